"""Tools and formats of a chat request, as far as they are checked before the engine sees them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

NAME = r"^[A-Za-z0-9_-]{1,64}$"
TOOLS = 128
Json = dict[str, Any]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Function(Strict):
    name: Annotated[str, Field(pattern=NAME)]
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class Tool(Strict):
    """Custom tools, whose input is free text, are not: engines have no such thing."""

    type: Literal["function"]
    function: Function


class JsonSchema(Strict):
    name: Annotated[str, Field(pattern=NAME)]
    description: str | None = None
    definition: Annotated[Json | None, Field(alias="schema")] = None
    strict: bool | None = None


class Format(Strict):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> "Format":
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema is given with type json_schema, and only with it")
        return self


class _Named(Strict):
    name: Annotated[str, Field(pattern=NAME)]


class NamedTool(Strict):
    """allowed_tools is not taken: leave out the tools that are not allowed."""

    type: Literal["function"]
    function: _Named


ToolChoice = Literal["none", "auto", "required"] | NamedTool


def given(value: BaseModel) -> Json:
    """As it came: nothing added, nothing left out."""
    return value.model_dump(exclude_unset=True, by_alias=True)

"""Tools, formats and choices of a Responses request, and the chat form that engines know."""

from typing import Annotated, Any, Literal

from pydantic import Field, Tag, model_validator

from server.openai.chat.tools import NAME, Json, Strict

STORES = 16


class RankingOptions(Strict):
    """hybrid_search weights are refused: the legs are fused with weights that were fitted."""

    ranker: Literal["auto", "none", "default-2024-11-15"] | None = None
    score_threshold: float | None = Field(default=None, ge=0, le=1)


class FileSearch(Strict):
    type: Literal["file_search"]
    vector_store_ids: list[str] = Field(min_length=1, max_length=STORES)
    filters: Json | None = None
    max_num_results: int | None = Field(default=None, ge=1, le=50)
    ranking_options: RankingOptions | None = None


class FunctionTool(Strict):
    type: Literal["function"]
    name: Annotated[str, Field(pattern=NAME)]
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None

    def for_chat(self) -> Json:
        fields = {name: getattr(self, name) for name in ("name", "description", "parameters", "strict")}
        return {"type": "function", "function": {name: value for name, value in fields.items() if value is not None}}

    def shown(self) -> Json:
        """As OpenAI echoes it."""
        return {**self.model_dump(exclude_none=True), "parameters": self.parameters, "strict": self.strict or False}


Tool = Annotated[
    Annotated[FileSearch, Tag("file_search")] | Annotated[FunctionTool, Tag("function")], Field(discriminator="type")
]


class NamedFunction(Strict):
    type: Literal["function"]
    name: Annotated[str, Field(pattern=NAME)]


class HostedTool(Strict):
    type: Literal["file_search"]


ToolChoice = Literal["none", "auto", "required"] | NamedFunction | HostedTool


class Format(Strict):
    type: Literal["text", "json_object", "json_schema"]
    name: Annotated[str, Field(pattern=NAME)] | None = None
    description: str | None = None
    definition: Annotated[Json | None, Field(alias="schema")] = None
    strict: bool | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> "Format":
        if (self.type == "json_schema") != (self.definition is not None and self.name is not None):
            raise ValueError("name and schema are given with type json_schema, and only with it")
        return self

    def for_chat(self) -> Json:
        if self.type != "json_schema":
            return {"type": self.type}
        fields = {"name": self.name, "schema": self.definition, "description": self.description, "strict": self.strict}
        return {"type": "json_schema", "json_schema": {name: v for name, v in fields.items() if v is not None}}

    def shown(self) -> Json:
        return self.model_dump(exclude_none=True, by_alias=True)


class TextConfig(Strict):
    format: Format | None = None
    verbosity: Literal["medium"] | None = None


class Reasoning(Strict):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: None = None
    generate_summary: None = None


def search_of(tools: list[Any]) -> FileSearch | None:
    return next((tool for tool in tools if isinstance(tool, FileSearch)), None)

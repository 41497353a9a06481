"""Who can write an answer: the engine, and the quoting that stands in for it."""

from collections.abc import Iterable
from dataclasses import dataclass

from models.base import Generator
from models.engines.engine import Engine
from models.wire.openai_client import OpenAIClient
from retrieval.prompting.prompt_texts import Style

ENGINE_DOWN = "engine: unavailable; the answer quotes the evidence"
ENGINE_SLOW = "engine: too slow; the answer quotes the evidence"


@dataclass(slots=True)
class Generators:
    """style: of the prompts that the engine can take in. quotes_evidence: what stands in documents is quoted without
    the engine, which is left what only an engine can do and answers without documents.
    """

    engine: Engine
    quoting: Generator
    style: Style = "full"
    quotes_evidence: bool = False

    @property
    def client(self) -> OpenAIClient:
        """The engine's own client: its name, its context, its wire."""
        return self.engine.generator

    @property
    def name(self) -> str:
        """The engine's model id."""
        return self.client.name

    @property
    def engine_now(self) -> str:
        """Its status, and while it starts how far: "starting: loading weights 40%"."""
        state = self.engine.state
        return f"{state.status}: {state.progress}" if state.progress else state.status

    @property
    def refuses_late(self) -> bool:
        """vLLM refuses under HTTP 200: what comes before its first word is no sign that it has taken the request."""
        return self.client.traits.dialect == "vllm"

    def choose(self, languages: Iterable[str], *, needs_engine: bool = False) -> tuple[Generator, str | None]:
        """The engine, or the quoting: by design where the engine does worse, else with a reason.

        languages: of question and evidence, none without evidence. needs_engine: nothing else will do, whatever the
        language and whether or not it is ready.
        """
        engine = self.client
        if needs_engine:
            return engine, None
        found = set(languages)
        if (found and self.quotes_evidence) or (engine.languages and not engine.languages.issuperset(found)):
            return self.quoting, None
        return (engine, None) if self.engine.status == "ready" else (self.quoting, ENGINE_DOWN)

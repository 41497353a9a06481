"""Who writes an answer: the engine or the quoting, on a stub engine."""

from models.base import Generator
from models.engines.connected import ConnectedEngine
from models.quoting.extractive import ExtractiveGenerator
from server.answering.generators import ENGINE_DOWN, Generators
from tests.stub_engine import StubEngine
from tests.until import PATIENCE


class NoEmbedder(ExtractiveGenerator):
    def __init__(self) -> None:
        self.name = "quoting"


async def test_evidence_is_quoted_without_an_engine_that_chooses_worse() -> None:
    async with StubEngine() as stub, ConnectedEngine(stub.url, model=stub.model) as engine:
        await engine.wait_ready(PATIENCE)
        quoting: Generator = NoEmbedder()
        small = Generators(engine, quoting, quotes_evidence=True)
        assert small.choose({"en"}) == (quoting, None)
        assert small.choose({"en"}, needs_engine=True) == (engine.generator, None)
        assert small.choose(()) == (engine.generator, None)
        assert Generators(engine, quoting).choose({"en"}) == (engine.generator, None)


async def test_an_engine_that_is_not_ready_is_named_as_the_reason() -> None:
    quoting: Generator = NoEmbedder()
    engine = ConnectedEngine("http://127.0.0.1:9/v1", model="none")
    assert Generators(engine, quoting).choose({"en"}) == (quoting, ENGINE_DOWN)
    assert Generators(engine, quoting, quotes_evidence=True).choose({"en"}) == (quoting, None)

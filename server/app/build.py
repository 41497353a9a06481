"""The one place where the server's parts are built, put together, and closed in reverse."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from models.base import Embedder, Generator
from models.engines.engine import Engine
from retrieval.prompting.prompt_texts import Style
from server.access.admission import Admission
from server.access.auth import DEFAULT_OWNER, Keys
from server.answering.running import RunningAnswers
from server.app.profile import options
from server.records.database import Database
from server.records.turns import Turns
from server.settings.settings import Settings
from server.telemetry.metrics import Metrics

if TYPE_CHECKING:  # each of these loads a heavy library
    from models.profiles import Profile
    from retrieval.indexes.manager import IndexManager
    from retrieval.ingest.upkeep import Upkeep
    from retrieval.ingest.worker import Ingestor
    from retrieval.passages.tokenize import Tokenizer
    from retrieval.ranking.raw_texts import Relevance
    from retrieval.ranking.search import Retriever
    from retrieval.ranking.stages import RerankPlan
    from retrieval.store.store import Store

log = logging.getLogger("ragpod.state")


@dataclass(slots=True)
class State:
    """started: Unix seconds."""

    settings: Settings
    keys: Keys
    store: "Store"
    corpus: "IndexManager"
    embedder: Embedder
    tokenizer: "Tokenizer"
    plan: "RerankPlan"
    retriever: "Retriever"
    ingestor: "Ingestor"
    upkeep: "Upkeep"
    engine: Engine
    extractive: Generator
    database: Database
    turns: Turns
    admission: Admission
    running: RunningAnswers
    metrics: Metrics
    style: Style = "full"
    started: int = field(default_factory=lambda: int(time.time()))

    @property
    def evidence_tokens(self) -> int:
        """Of evidence that a prompt may hold: half of what the engine reads, where the settings do not say."""
        return self.settings.retrieval.context_tokens or self.engine.generator.context_tokens // 2

    async def relevance(self, query: str, texts: Sequence[str], stages: Sequence[str] | None = None) -> "Relevance":
        """By the rerank stages; None: by the best that there are. Raises UnknownStages."""
        from retrieval.ranking.raw_texts import relevance

        return await relevance(query, texts, self.embedder, self.tokenizer, self.plan, stages)

    def missing(self) -> list[str]:
        """What a ready server has and this one has not, without details: /ready is open to everyone."""
        return [] if self.engine.status == "ready" else [f"engine: {self.engine_now}"]

    @property
    def engine_now(self) -> str:
        """Its status, and while it starts how far: "starting: loading weights 40%"."""
        engine = self.engine.state
        return f"{engine.status}: {engine.progress}" if engine.progress else engine.status


async def get_state(request: Request) -> State:
    state: State = request.app.state.ragpod
    return state


StateNow = Annotated[State, Depends(get_state)]


@asynccontextmanager
async def open_state(
    settings: Settings, *, embedder: Embedder | None = None, tokenizer: "Tokenizer | None" = None
) -> AsyncIterator[State]:
    """Opens everything, the data directory's lock first; what was opened is closed in reverse, however it ends.

    A given embedder or tokenizer stays its giver's. The engine may still be starting: see State.missing.
    Raises StoreError (DataDirLocked, NewerDatabase) and ModelError (a package that carries weights is not installed).
    """
    from models.profiles import resolve
    from retrieval.passages.tokenize import Tokenizer
    from retrieval.store.store import Store

    chosen = options(settings)
    profile = await asyncio.to_thread(resolve, settings.profile, chosen.models, chosen.engines)
    for note in profile.notes:
        log.warning("%s", note)
    async with AsyncExitStack() as stack:
        store = await asyncio.to_thread(Store, settings.data_dir)
        stack.callback(store.close)
        await asyncio.to_thread(store.ensure_store, DEFAULT_OWNER, settings.default_store)
        engine = await stack.enter_async_context(profile.engine())
        tokenizer = tokenizer or Tokenizer.load()
        embedder = embedder or await _embedder(profile, stack)
        plan = await _plan(settings, profile, embedder, stack)
        database = await Database.open(settings.data_dir)
        stack.push_async_callback(database.close)
        state = await _assembled(stack, settings, profile, store, embedder, tokenizer, plan, engine, database)
        _watch(state)
        await stack.enter_async_context(_warming(tokenizer))
        yield state


async def _assembled(
    stack: AsyncExitStack,
    settings: Settings,
    profile: "Profile",
    store: "Store",
    embedder: Embedder,
    tokenizer: "Tokenizer",
    plan: "RerankPlan",
    engine: Engine,
    database: Database,
) -> State:
    from models.quoting.extractive import ExtractiveGenerator
    from retrieval.indexes.dense.index import DenseConfig
    from retrieval.indexes.manager import IndexManager
    from retrieval.indexes.registry import kinds
    from retrieval.ingest.upkeep import Upkeep
    from retrieval.ingest.worker import Ingestor
    from retrieval.ranking.search import Retriever

    dense = DenseConfig(device=profile.dense_device, exact_up_to=settings.retrieval.exact_up_to)
    corpus = await asyncio.to_thread(
        partial(IndexManager, store, settings.data_dir, embedder.dim, embedder.name, kinds=kinds(dense))
    )
    stack.callback(corpus.close)
    ingestor = Ingestor(store, corpus, embedder, tokenizer)
    stack.push_async_callback(ingestor.aclose)
    await ingestor.start()
    upkeep = Upkeep(store, corpus)
    stack.push_async_callback(upkeep.aclose)
    upkeep.start()
    metrics, limits = Metrics(), settings.limits
    running = RunningAnswers(lambda reason: metrics.cancellations.labels(reason).inc())
    stack.push_async_callback(running.close)
    return State(
        settings=settings,
        keys=Keys.of(settings.api_keys),
        store=store,
        corpus=corpus,
        embedder=embedder,
        tokenizer=tokenizer,
        plan=plan,
        retriever=Retriever(store, corpus, embedder, tokenizer, plan),
        ingestor=ingestor,
        upkeep=upkeep,
        engine=engine,
        extractive=ExtractiveGenerator(embedder, tokenizer.terms),
        database=database,
        turns=Turns(database),
        admission=Admission(limits.answers, limits.queue, limits.queue_seconds),
        running=running,
        metrics=metrics,
        style=profile.prompt_style,
    )


async def _plan(settings: Settings, profile: "Profile", embedder: Embedder, stack: AsyncExitStack) -> "RerankPlan":
    from retrieval.ranking.ranker import Ranker
    from retrieval.ranking.stages import RerankPlan

    given = settings.retrieval
    reranker = await asyncio.to_thread(profile.load_reranker)
    if reranker is not None:
        stack.push_async_callback(reranker.aclose)
    return RerankPlan(
        ranker=await asyncio.to_thread(Ranker.load, Ranker.file_for(lexical=embedder.lexical)),
        reranker=reranker,
        late_interaction=await asyncio.to_thread(profile.late_interaction),
        seconds=given.rerank_seconds,
        margin=given.rerank_margin,
    )


async def _embedder(profile: "Profile", stack: AsyncExitStack) -> Embedder:
    embedder = await asyncio.to_thread(profile.load_embedder)
    stack.callback(embedder.close)
    return embedder


@asynccontextmanager
async def _warming(tokenizer: "Tokenizer") -> AsyncIterator[None]:
    """The Korean analyser (a second of CPU) loads when all else is there; a question that needs it earlier waits."""
    warming = asyncio.create_task(asyncio.to_thread(tokenizer.warm))
    try:
        yield
    finally:
        await asyncio.wait([warming])


def _watch(state: State) -> None:
    watch = state.metrics.watch
    watch("answers_running", "Answers being worked on.", lambda: state.admission.running)
    watch("answers_waiting", "Answers in the queue.", lambda: state.admission.waiting)
    watch("engine_up", "1 where the engine is ready.", lambda: state.engine.status == "ready")
    watch("engine_restarts", "Starts of the engine after its first.", lambda: state.engine.restarts)
    watch("ingest_unfinished", "Files waiting or being ingested.", lambda: state.ingestor.unfinished)
    text = "Lowest measured recall@10 of the dense indexes in memory; 1 where all are searched exactly."
    watch("dense_recall", text, lambda: min(state.corpus.recalls().values(), default=1.0))

"""The one place that knows every class: the parts of the house are built, put together, and closed in reverse."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from models.base import Embedder, Generator
from models.engines.engine import Engine
from retrieval.embedders import Embedders
from retrieval.ingest.documents import Documents
from retrieval.store.store import Store
from server.access.admission import Admission
from server.access.keys import Keys
from server.answering.answer import Answerer, AnswerLimits
from server.answering.ask import Asking, Defaults
from server.answering.generators import Generators
from server.answering.run import Runs
from server.api.chat import BackendChat
from server.app.ingestor import ingestor_of, regeneration_of
from server.app.profile import options
from server.app.stores import furnish, opened_store
from server.http.health import Background
from server.openai.chat.passthrough import Passthrough
from server.openai.chat.route import Chat
from server.openai.responses.question import Responding
from server.openai.retrieval.models import Catalogue
from server.openai.retrieval.rerank import Reranking
from server.openai.retrieval.search import Searching
from server.records.database import RecordsDatabase
from server.records.responses import Responses
from server.records.turns import Turns
from server.records.upkeep import RecordsUpkeep
from server.settings.settings import Settings
from server.telemetry.metrics import Metrics

if TYPE_CHECKING:  # each of these loads a heavy library
    from models.profiles import Profile
    from retrieval.indexes.manager import IndexManager
    from retrieval.ingest.regeneration import Regeneration
    from retrieval.ingest.upkeep import Upkeep
    from retrieval.ingest.worker import Ingestor
    from retrieval.passages.tokenize import Tokenizer
    from retrieval.ranking.raw_texts import Relevance
    from retrieval.ranking.search import Retriever
    from retrieval.ranking.stages import RerankPlan

    Related = Callable[[str, Sequence[str], Sequence[str] | None], Awaitable[Relevance]]

log = logging.getLogger("ragpod.build")
_ENDING_SECONDS = 60.0  # after its last moment an answer is kept


@dataclass(frozen=True, slots=True)
class Library:
    """The retrieval room: what is stored, indexed, ingested and found. embedder, plan: what it is searched with."""

    store: Store
    indexes: "IndexManager"
    embedder: Embedder
    plan: "RerankPlan"
    retriever: "Retriever"
    ingestor: "Ingestor"
    regeneration: "Regeneration"
    upkeep: "Upkeep"
    relevance: "Related"


@dataclass(frozen=True, slots=True)
class Parts:
    """A server that is ready to be served. Routes see of it what `provided` gives them."""

    settings: Settings
    keys: Keys
    library: Library
    generators: Generators
    database: RecordsDatabase
    turns: Turns
    admission: Admission
    runs: Runs
    metrics: Metrics

    def provided(self) -> Mapping[type[Any], Any]:
        """What routes and middleware may ask for, by its type (server/http/provided.py)."""
        settings, library, limits = self.settings, self.library, self.settings.limits
        store, embedder, reranker = library.store, library.embedder, library.plan.reranker
        asking = Asking(store.vector_stores, store.reads, self.generators, _defaults(settings))
        responses = Responses(self.database)
        passthrough = Passthrough(self.runs, asking, limits.total_seconds)
        given = (
            self.keys,
            self.metrics,
            self.generators,
            self.runs,
            self.turns,
            responses,
            store,
            Documents(store, library.ingestor, library.indexes),
            library.regeneration,
            Background(library.regeneration.degraded),
            Catalogue(store, self.generators, embedder, reranker),
            Chat(self.runs, asking, passthrough, embedder),
            Responding(self.runs, asking, responses, self.metrics),
            BackendChat(self.runs, asking),
            Searching(asking, library.retriever, settings.retrieval.candidates, limits.search_seconds),
            Reranking(library.relevance, embedder, reranker.name if reranker else None, limits.search_seconds),
        )
        return {**{type(each): each for each in given}, Embedder: embedder}


def _defaults(settings: Settings) -> Defaults:
    retrieval, limits = settings.retrieval, settings.limits
    return Defaults(
        store=settings.default_store,
        candidates=retrieval.candidates,
        keep=retrieval.keep,
        min_score=retrieval.min_score,
        rerank=retrieval.rerank,
        evidence_tokens=retrieval.context_tokens,
        answer_tokens=settings.engine.answer_tokens,
        max_tokens=limits.max_tokens,
        messages=limits.messages,
    )


@asynccontextmanager
async def open_parts(
    settings: Settings,
    *,
    embedder: Embedder | None = None,
    other_embedder: Callable[[str], Embedder] | None = None,
    tokenizer: "Tokenizer | None" = None,
    engine: Engine | None = None,
    keys: Keys | None = None,
    clock: Callable[[], float] = time.time,
    warm: bool = True,
) -> AsyncIterator[Parts]:
    """Opens everything, the data directory's lock first; what was opened is closed in reverse, however it ends.

    A given embedder, tokenizer or engine stays its giver's. other_embedder: by name, of vectors that are found still;
    None is the profile's. keys: None takes those of the settings. clock: the store's,
    Unix seconds. warm: the Korean analyser (a second of CPU) loads now, and not when Hangul first arrives. The engine
    may still be starting. Raises StoreError (DataDirLocked, NewerDatabase) and ModelError (a package that carries
    weights is not installed).
    """
    from models.profiles import resolve
    from retrieval.passages.tokenize import Tokenizer

    chosen = options(settings)
    profile = await asyncio.to_thread(resolve, settings.profile, chosen.models, chosen.engines)
    for note in profile.notes:
        log.warning("%s", note)
    async with AsyncExitStack() as stack:
        store = await asyncio.to_thread(opened_store, settings, clock)
        stack.callback(store.close)
        keys = keys or Keys.of(settings.api_keys)
        await asyncio.to_thread(furnish, store, keys.owners, settings.default_store)
        if engine is None:
            engine = await stack.enter_async_context(profile.engine())
        opening = asyncio.create_task(_records(settings, store))  # beside the models
        stack.push_async_callback(_closed, opening)
        tokenizer = tokenizer or Tokenizer.load()
        embedder = embedder or await _embedder(profile, stack)
        plan = await _plan(settings, profile, embedder, stack)
        database = await opening
        turns = Turns(database, store.consumer, settings.limits.total_seconds + _ENDING_SECONDS)
        await turns.interrupt_if_possible()
        records_upkeep = RecordsUpkeep(database, turns)
        stack.push_async_callback(records_upkeep.aclose)
        records_upkeep.start()
        embedders = Embedders(embedder, other_embedder or profile.embedder_named)
        stack.callback(embedders.close)
        library = await _library(stack, settings, profile, store, embedders, tokenizer, plan)
        generators = Generators(engine, _quoting(embedder, tokenizer), profile.prompt_style)
        parts = _served(settings, keys, library, generators, database, turns)
        stack.push_async_callback(parts.runs.aclose)
        _watch(parts)
        if warm:  # in the background, when all else is there; a question that needs Korean earlier waits
            stack.push_async_callback(asyncio.wait, [asyncio.create_task(asyncio.to_thread(tokenizer.warm))])
        yield parts


async def _records(settings: Settings, store: Store) -> RecordsDatabase:
    if store.database.is_sqlite:
        return await RecordsDatabase.open(settings.data_dir, store.database.reserve)
    return await RecordsDatabase.beside(store.database)


async def _library(
    stack: AsyncExitStack,
    settings: Settings,
    profile: "Profile",
    store: Store,
    embedders: Embedders,
    tokenizer: "Tokenizer",
    plan: "RerankPlan",
) -> Library:
    from retrieval.indexes.dense.index import DenseConfig
    from retrieval.indexes.manager import IndexManager
    from retrieval.indexes.registry import kinds
    from retrieval.ingest.upkeep import Upkeep
    from retrieval.ranking.search import Retriever

    embedder = embedders.current
    dense = DenseConfig(device=profile.dense_device, exact_up_to=settings.retrieval.exact_up_to)
    opened = partial(IndexManager, store.changes, store.passages, settings.data_dir, embedder.dim, kinds=kinds(dense))
    manager = await asyncio.to_thread(opened)
    stack.callback(manager.close)
    ingestor = ingestor_of(settings, store, manager, embedders, tokenizer)
    regeneration = regeneration_of(settings, store, manager, embedders, ingestor.take_up)
    await regeneration.begin()
    stack.push_async_callback(ingestor.aclose)
    await ingestor.start()
    stack.push_async_callback(regeneration.aclose)
    regeneration.start()
    upkeep = Upkeep(store, manager)
    stack.push_async_callback(upkeep.aclose)
    upkeep.start()
    newer = settings.retrieval.newer_wins
    retriever = Retriever(store, manager, embedder, tokenizer, plan, newer_wins=newer, embedders=embedders)
    related = _relevance(embedder, tokenizer, plan)
    return Library(store, manager, embedder, plan, retriever, ingestor, regeneration, upkeep, related)


def _served(
    settings: Settings, keys: Keys, library: Library, generators: Generators, database: RecordsDatabase, turns: Turns
) -> Parts:
    limits, metrics = settings.limits, Metrics()
    admission = Admission(limits.answers, limits.queue, limits.queue_seconds)
    seconds = AnswerLimits(limits.total_seconds, limits.search_seconds, limits.first_token_seconds)
    answerer = Answerer(library.retriever, generators, seconds, turns, metrics)
    runs = Runs(answerer, generators, admission, metrics, settings.heartbeat_seconds, limits.reader_seconds)
    return Parts(settings, keys, library, generators, database, turns, admission, runs, metrics)


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


async def _closed(opening: asyncio.Task[RecordsDatabase]) -> None:
    """Also where the start has failed meanwhile; what the opening itself raises is told by who waited for it."""
    await asyncio.wait([opening])
    if not opening.cancelled() and opening.exception() is None:
        await opening.result().close()


async def _embedder(profile: "Profile", stack: AsyncExitStack) -> Embedder:
    embedder = await asyncio.to_thread(profile.load_embedder)
    stack.callback(embedder.close)
    return embedder


def _quoting(embedder: Embedder, tokenizer: "Tokenizer") -> Generator:
    from models.quoting.extractive import ExtractiveGenerator
    from retrieval.language import language
    from retrieval.prompting.prompt import refusal

    return ExtractiveGenerator(embedder, tokenizer.terms, lambda question: refusal(language(question)))


def _relevance(embedder: Embedder, tokenizer: "Tokenizer", plan: "RerankPlan") -> "Related":
    from retrieval.ranking.raw_texts import relevance

    return lambda query, texts, stages: relevance(query, texts, embedder, tokenizer, plan, stages)


def _watch(parts: Parts) -> None:
    watch, library, engine = parts.metrics.watch, parts.library, parts.generators.engine
    watch("answers_running", "Answers being worked on.", lambda: parts.admission.running)
    watch("answers_waiting", "Answers in the queue.", lambda: parts.admission.waiting)
    watch("engine_up", "1 where the engine is ready.", lambda: engine.status == "ready")
    watch("engine_restarts", "Starts of the engine after its first.", lambda: engine.restarts)
    watch("generations_building", "Vector stores that are made anew.", lambda: library.regeneration.building)
    watch("ingest_unfinished", "Files waiting or being ingested.", lambda: library.ingestor.unfinished)
    text = "Lowest measured recall@10 of the dense indexes in memory; 1 where all are searched exactly."
    watch("dense_recall", text, lambda: min(library.indexes.recalls().values(), default=1.0))

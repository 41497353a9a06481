"""The one place that knows every class: the parts of the house are built, put together, and closed in reverse."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from models.base import Embedder
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
from server.app.gauges import watch
from server.app.ingestor import ingestor_of, regeneration_of, viewers_of
from server.app.loading import load_embedder, load_plan, quoting_of, relevance_of
from server.app.profile import options
from server.app.stores import furnish, opened_store
from server.http.health import Background
from server.openai.chat.passthrough import Passthrough
from server.openai.chat.route import Chat
from server.openai.responses.question import Responding
from server.openai.retrieval.models import Catalogue
from server.openai.retrieval.pages import Viewing
from server.openai.retrieval.rerank import Reranking
from server.openai.retrieval.search import Searching
from server.records.bookmarks import Bookmarks
from server.records.database import RecordsDatabase
from server.records.responses import Responses
from server.records.sessions import Sessions
from server.records.turns import Turns
from server.records.upkeep import RecordsUpkeep
from server.settings.settings import Settings
from server.telemetry.metrics import Metrics
from server.webhooks.opening import Webhooks, opened_webhooks

if TYPE_CHECKING:  # each of these loads a heavy library
    from models.profiles import Profile
    from retrieval.indexes.manager import IndexManager
    from retrieval.ingest.regeneration import Regeneration
    from retrieval.ingest.upkeep import Upkeep
    from retrieval.ingest.worker import Ingestor
    from retrieval.passages.tokenize import Tokenizer
    from retrieval.ranking.search import Retriever
    from retrieval.ranking.stages import RerankPlan
    from retrieval.sandbox.pool import Pool
    from server.app.loading import Related

log = logging.getLogger("ragpod.build")
VIEWS = 64  # pages that may wait to be drawn
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
    viewers: "Pool"
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
    webhooks: Webhooks

    def provided(self) -> Mapping[type[Any], Any]:
        """What routes and middleware may ask for, by its type (server/http/provided.py)."""
        settings, library, limits = self.settings, self.library, self.settings.limits
        store, embedder, reranker = library.store, library.embedder, library.plan.reranker
        asking = Asking(store.vector_stores, store.reads, self.generators, _defaults(settings))
        responses, sessions = Responses(self.database), Sessions(self.database)
        passthrough = Passthrough(self.runs, asking, limits.total_seconds)
        given = (
            self.keys,
            self.metrics,
            self.generators,
            self.runs,
            self.turns,
            responses,
            store,
            self.webhooks,
            Documents(store, library.ingestor, library.indexes),
            library.regeneration,
            Background(library.regeneration.degraded),
            Catalogue(store, self.generators, embedder, reranker),
            Chat(self.runs, asking, passthrough, embedder),
            Responding(self.runs, asking, responses, self.metrics),
            BackendChat(self.runs, asking, sessions),
            sessions,
            Bookmarks(self.database),
            Searching(asking, library.retriever, settings.retrieval.candidates, limits.search_seconds),
            Viewing(library.viewers, Admission(settings.parsing.viewers, VIEWS, limits.queue_seconds, "page")),
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
    None is the profile's. keys: None takes those of the settings. clock: the store's, Unix seconds. warm: the Korean
    analyser loads now, beside all else, and not when Hangul first arrives: it holds the GIL for a second of CPU, in
    which nobody is answered, /health neither. The engine may still be starting. Raises StoreError (DataDirLocked,
    NewerDatabase) and ModelError (a package that carries weights is not installed).
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
        quotes_evidence = engine is None and profile.quotes_evidence
        if engine is None:
            engine = await stack.enter_async_context(profile.engine())
        opening = asyncio.create_task(_records(settings, store))  # beside the models
        stack.push_async_callback(_closed, opening)
        tokenizer = tokenizer or Tokenizer.load()
        warming = asyncio.create_task(asyncio.to_thread(tokenizer.warm if warm else lambda: None))
        stack.push_async_callback(asyncio.wait, [warming])
        embedder = embedder or await load_embedder(profile, stack)
        plan = await load_plan(settings, profile, embedder, stack)
        database = await opening
        turns = Turns(database, store.consumer, settings.limits.total_seconds + _ENDING_SECONDS)
        await turns.interrupt_if_possible()
        records_upkeep = RecordsUpkeep(database, turns)
        stack.push_async_callback(records_upkeep.aclose)
        records_upkeep.start()
        embedders = Embedders(embedder, other_embedder or profile.embedder_named)
        stack.callback(embedders.close)
        library = await _library(stack, settings, profile, store, embedders, tokenizer, plan)
        quoting = quoting_of(embedder, tokenizer)
        generators = Generators(engine, quoting, profile.prompt_style, quotes_evidence=quotes_evidence)
        webhooks = opened_webhooks(stack, settings, store)
        parts = _served(settings, keys, library, generators, database, turns, webhooks)
        stack.push_async_callback(parts.runs.aclose)
        watch(parts.metrics, parts.admission, engine, library.indexes, library.ingestor, library.regeneration)
        await warming
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
    viewers = viewers_of(settings)
    stack.push_async_callback(viewers.aclose)
    await ingestor.start()
    stack.push_async_callback(regeneration.aclose)
    regeneration.start()
    upkeep = Upkeep(store, manager)
    stack.push_async_callback(upkeep.aclose)
    upkeep.start()
    newer = settings.retrieval.newer_wins
    retriever = Retriever(store, manager, embedder, tokenizer, plan, newer_wins=newer, embedders=embedders)
    related = relevance_of(embedder, tokenizer, plan)
    return Library(store, manager, embedder, plan, retriever, ingestor, regeneration, viewers, upkeep, related)


def _served(
    settings: Settings,
    keys: Keys,
    library: Library,
    generators: Generators,
    database: RecordsDatabase,
    turns: Turns,
    webhooks: Webhooks,
) -> Parts:
    limits, metrics = settings.limits, Metrics()
    admission = Admission(limits.answers, limits.queue, limits.queue_seconds)
    seconds = AnswerLimits(
        limits.total_seconds, limits.search_seconds, limits.first_token_seconds, limits.history_turns
    )
    answerer = Answerer(library.retriever, generators, seconds, turns, metrics)
    runs = Runs(answerer, generators, admission, metrics, settings.heartbeat_seconds, limits.reader_seconds)
    return Parts(settings, keys, library, generators, database, turns, admission, runs, metrics, webhooks)


async def _closed(opening: asyncio.Task[RecordsDatabase]) -> None:
    """Also where the start has failed meanwhile; what the opening itself raises is told by who waited for it."""
    await asyncio.wait([opening])
    if not opening.cancelled() and opening.exception() is None:
        await opening.result().close()

"""The ingestor as the settings want it, with the processes that its files are parsed in."""

from typing import TYPE_CHECKING

from models.base import Embedder
from retrieval.columns import own_columns
from retrieval.store.store import Store
from server.settings.settings import Settings

if TYPE_CHECKING:  # each of these loads a heavy library
    from retrieval.indexes.manager import IndexManager
    from retrieval.ingest.worker import Ingestor
    from retrieval.passages.tokenize import Tokenizer
    from retrieval.sandbox.pool import Parser


def ingestor_of(
    settings: Settings, store: Store, manager: "IndexManager", embedder: Embedder, tokenizer: "Tokenizer"
) -> "Ingestor":
    from retrieval.ingest.worker import Ingestor

    return Ingestor(
        store,
        manager,
        embedder,
        tokenizer,
        name=store.consumer,
        shared=not store.database.is_sqlite,
        masked=settings.privacy.mask,
        parser=_parser(settings),
    )


def _parser(settings: Settings) -> "Parser":
    from retrieval.sandbox.pool import Confinement, InThreads, Limits, Pool

    given = settings.parsing
    limits = Limits(columns=own_columns(given.columns))
    if not given.workers:
        return InThreads(limits=limits)
    confinement = Confinement(given.seconds, given.memory_bytes, nice=given.nice, files=given.files)
    return Pool(given.workers, confinement, limits)

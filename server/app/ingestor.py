"""The ingestor as the settings want it, with the processes that its files are parsed in, and what makes old vector
stores as the settings want them.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from retrieval.embedders import Embedders
from retrieval.store.base.values import DAY, VectorSpace
from retrieval.store.generations.values import Recipe
from retrieval.store.store import Store
from server.app.stores import cutting
from server.settings.settings import Settings

if TYPE_CHECKING:  # each of these loads a heavy library
    from retrieval.indexes.manager import IndexManager
    from retrieval.ingest.regeneration import Regeneration
    from retrieval.ingest.worker import Ingestor
    from retrieval.passages.tokenize import Tokenizer
    from retrieval.sandbox.pool import Parser


def ingestor_of(
    settings: Settings, store: Store, manager: "IndexManager", embedders: Embedders, tokenizer: "Tokenizer"
) -> "Ingestor":
    from retrieval.ingest.worker import Ingestor

    return Ingestor(
        store,
        manager,
        embedders.current,
        tokenizer,
        name=store.consumer,
        shared=not store.database.is_sqlite,
        masked=settings.privacy.mask,
        parser=_parser(settings),
        embedders=embedders,
    )


def regeneration_of(
    settings: Settings, store: Store, manager: "IndexManager", embedders: Embedders, take_up: Callable[[], None]
) -> "Regeneration":
    from retrieval.ingest.regeneration import Regeneration

    new = embedders.current
    return Regeneration(
        store,
        manager,
        embedders,
        Recipe(VectorSpace(new.name, new.dim, new.lexical), cutting(settings)),
        take_up,
        alone=store.database.is_sqlite,
        kept_seconds=settings.store.kept_days * DAY,
    )


def _parser(settings: Settings) -> "Parser":
    from retrieval.sandbox.pool import Confinement, InThreads, Pool

    given = settings.parsing
    if not given.workers:
        return InThreads()
    confinement = Confinement(given.seconds, given.memory_bytes, nice=given.nice, files=given.files)
    return Pool(given.workers, confinement)

"""The ingestor as the settings want it, with the processes that its files are parsed in, and what makes old vector
stores as the settings want them.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from retrieval.columns import own_columns
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
    from retrieval.sandbox.pool import Parser, Pool
    from retrieval.sandbox.tesseract import Ocr


_VIEW_SECONDS = 20.0
_WORKERS = 4  # files worked on at once, beside those that wait for OCR


def ingestor_of(
    settings: Settings, store: Store, manager: "IndexManager", embedders: Embedders, tokenizer: "Tokenizer"
) -> "Ingestor":
    from retrieval.ingest.worker import Ingestor

    ocr = ocr_of(settings)
    return Ingestor(
        store,
        manager,
        embedders.current,
        tokenizer,
        workers=_WORKERS + (ocr.files if ocr else 0),
        name=store.consumer,
        shared=not store.database.is_sqlite,
        masked=settings.privacy.mask,
        parser=_parser(settings, ocr),
        recognised=settings.data_dir / "recognised",
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


def ocr_of(settings: Settings) -> "Ocr | None":
    from retrieval.sandbox.tesseract import Ocr, installed

    given = settings.parsing
    if given.ocr == "off" or not installed():
        return None
    workers = given.ocr_workers or max(1, (os.cpu_count() or 1) // 2)
    return Ocr(given.ocr_languages, workers, given.ocr_seconds, given.ocr_pages, given.nice)


def viewers_of(settings: Settings) -> "Pool":
    """Children of their own: who looks at a file does not wait for the ingest, nor the ingest for them."""
    from retrieval.sandbox.pool import Confinement, Pool

    given = settings.parsing
    seconds = min(given.seconds, _VIEW_SECONDS)
    return Pool(given.viewers, Confinement(seconds, given.memory_bytes, nice=given.nice, files=given.files))


def _parser(settings: Settings, ocr: "Ocr | None") -> "Parser":
    from retrieval.sandbox.in_threads import InThreads
    from retrieval.sandbox.pool import Confinement, Limits, Pool

    given = settings.parsing
    limits = Limits(columns=own_columns(given.columns))
    if not given.workers:
        return InThreads(_WORKERS + (ocr.files if ocr else 0), ocr, limits)
    confinement = Confinement(given.seconds, given.memory_bytes, nice=given.nice, files=given.files)
    return Pool(given.workers, confinement, limits, ocr)

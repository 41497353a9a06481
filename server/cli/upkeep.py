"""`ragpod check` and `ragpod rebuild`: the store against its derived indexes. No model is loaded."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

from retrieval.indexes.consistency import Difference
from retrieval.indexes.manager import IndexManager
from retrieval.store.store import Store
from retrieval.store.types import StoreError
from server.access.keys import DEFAULT_OWNER
from server.cli.connection import load_settings
from server.cli.terminal import CommandError, say, say_json

SHOWN_KEYS = 10


def check(data: Path | None, *, as_json: bool) -> int:
    """0, or 1 on any difference."""
    with _opened(data) as (store, manager):
        differences = manager.check()
        checked = len(store.store_ids())
    if as_json:
        say_json([asdict(difference) for difference in differences])
    else:
        for difference in differences:
            say(_line(difference))
        say("they differ" if differences else f"store, BM25 and vector index agree ({checked} vector stores)")
    return 1 if differences else 0


def rebuild(data: Path | None, name: str | None) -> None:
    with _opened(data) as (store, manager):
        manager.rebuild(store.resolve(DEFAULT_OWNER, name).id if name else None)
    say(f"the indexes of {name or 'every vector store'} are made anew")


@contextmanager
def _opened(data: Path | None) -> Iterator[tuple[Store, IndexManager]]:
    """Raises CommandError: no data folder, or a server has it open."""
    data_dir = load_settings(data_dir=data).data_dir
    if not data_dir.is_dir():
        raise CommandError(f"no data folder {data_dir}")
    try:
        with closing(Store(data_dir)) as store, closing(IndexManager(store, data_dir)) as manager:
            yield store, manager
    except StoreError as error:
        raise CommandError(str(error)) from None


def _line(difference: Difference) -> str:
    kinds = {"missing": difference.missing, "extra": difference.extra, "doubled": difference.doubled}
    parts = (f"{len(keys)} {kind} ({_some(keys)})" for kind, keys in kinds.items() if keys)
    return f"{difference.store_id} {difference.index}: {'; '.join(parts)}"


def _some(keys: Sequence[int]) -> str:
    return ", ".join(map(str, keys[:SHOWN_KEYS])) + (", …" if len(keys) > SHOWN_KEYS else "")

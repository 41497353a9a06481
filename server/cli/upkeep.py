"""`ragpod check`, `rebuild`, `backup` and `restore`: what tends a data folder. No model is loaded."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from retrieval.indexes.consistency import Difference
from retrieval.indexes.manager import IndexManager
from retrieval.store.base.values import StoreError
from retrieval.store.store import Store
from server.access.keys import DEFAULT_OWNER
from server.app.stores import opened_store
from server.backup import making, restoring
from server.backup.manifest import BackupError
from server.cli.base.connection import load_settings
from server.cli.base.terminal import CommandError, say, say_json

SHOWN_KEYS = 10


def check(data: Path | None, owner: str | None, *, as_json: bool) -> int:
    """0, or 1 on any difference. owner: None is every one."""
    with _opened(data) as (store, manager):
        names = {each.index_id: each.store_id for each in store.generations.of(owner)}
        differences = [replace(each, store_id=names.get(each.store_id, each.store_id)) for each in manager.check(owner)]
        checked = len(store.changes.store_ids(owner))
    if as_json:
        say_json([asdict(difference) for difference in differences])
    else:
        for difference in differences:
            say(_line(difference))
        say("they differ" if differences else f"store, BM25 and vector index agree ({checked} vector stores)")
    return 1 if differences else 0


def rebuild(data: Path | None, name: str | None, owner: str | None) -> None:
    """name: of one vector store; None is every one, of the owner or (None) of all owners."""
    with _opened(data) as (store, manager):
        if name is None:
            rebuilt = store.changes.store_ids(owner)
        else:
            rebuilt = [store.vector_stores.resolve(owner or DEFAULT_OWNER, name).index_id]
        for store_id in rebuilt:
            manager.rebuild(store_id)
    say(f"made anew: the indexes of {name or f'{len(rebuilt)} vector stores'}")


def backup(data: Path | None, target: Path) -> None:
    """Also of a folder that a server has open. Raises CommandError."""
    settings = load_settings(data_dir=data)
    if settings.store.url is not None:
        raise CommandError(
            "this store is in PostgreSQL, whose own tool copies it: `pg_dump --format=custom --file=ragpod.dump URL`,"
            " and `pg_restore --dbname=URL ragpod.dump`; uploaded files are in it, unless store.blobs names a place"
        )
    try:
        made = making.make(settings.data_dir, target, settings.store.blobs or "folder", settings.effective())
    except (BackupError, StoreError) as error:
        raise CommandError(str(error)) from None
    size = sum(size for size, _ in made.files.values())
    told = f"{len(made.files)} files, {size / 1e6:.1f} MB"
    say(f"{target}: {told}; `ragpod restore {target} --data DIR` makes a data folder of it")


def restore(source: Path, data: Path | None) -> None:
    """Raises CommandError."""
    data_dir = load_settings(data_dir=data).data_dir
    try:
        made = restoring.restore(source, data_dir)
    except BackupError as error:
        raise CommandError(str(error)) from None
    when = datetime.fromtimestamp(made.made_at, UTC).isoformat()
    told = f"{len(made.files)} files as of {when}"
    say(f"{data_dir}: {told}; `ragpod check --data {data_dir}` makes the indexes and compares them")


@contextmanager
def _opened(data: Path | None) -> Iterator[tuple[Store, IndexManager]]:
    """Raises CommandError: no data folder, or a server has it open."""
    settings = load_settings(data_dir=data)
    data_dir = settings.data_dir
    if not data_dir.is_dir():
        raise CommandError(f"no data folder {data_dir}")
    try:
        with (
            closing(opened_store(settings)) as store,
            closing(IndexManager(store.changes, store.passages, data_dir)) as manager,
        ):
            yield store, manager
    except StoreError as error:
        raise CommandError(str(error)) from None


def _line(difference: Difference) -> str:
    kinds = {"missing": difference.missing, "extra": difference.extra, "doubled": difference.doubled}
    parts = (f"{len(keys)} {kind} ({_some(keys)})" for kind, keys in kinds.items() if keys)
    return f"{difference.store_id} {difference.index}: {'; '.join(parts)}"


def _some(keys: Sequence[int]) -> str:
    return ", ".join(map(str, keys[:SHOWN_KEYS])) + (", …" if len(keys) > SHOWN_KEYS else "")

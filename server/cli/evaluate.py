"""`ragpod eval`: BEIR folders through the pipeline that serves answers, stage by stage."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from retrieval.evaluation.evaluation import BeirSet, StageResult, evaluate, load_set
from server.access.keys import DEFAULT_OWNER
from server.app.build import Library
from server.cli.base.connection import load_settings, opened_parts
from server.cli.base.terminal import CommandError, Progress, note, say, say_json

COLUMNS = ("recall@100", "ndcg@10", "mrr@10", "p50_ms")


async def run(folders: Sequence[Path], data: Path, owner: str | None, *, as_json: bool) -> None:
    """The indexes stay in `data`, as `owner`'s (None: the default one's), so that the next run only searches.

    Raises CommandError: not a BEIR folder.
    """
    try:
        sets = [load_set(folder) for folder in folders]
    except ValueError as error:
        raise CommandError(str(error)) from None
    async with opened_parts(load_settings(data_dir=data)) as parts:
        for beir in sets:
            results = await _evaluated(parts.library, owner or DEFAULT_OWNER, beir, as_json)
            if as_json:
                say_json({"set": beir.name, "stages": {stage: found.summary() for stage, found in results.items()}})
            else:
                say("\n".join(table(beir.name, results)))


async def _evaluated(library: Library, owner: str, beir: BeirSet, as_json: bool) -> dict[str, StageResult]:
    store_id = await _indexed(library, owner, beir)
    with Progress(beir.name, len(beir.queries), silent=as_json) as progress:
        return await evaluate(library.retriever, library.store, owner, store_id, beir, progress.reach)


async def _indexed(library: Library, owner: str, beir: BeirSet) -> str:
    """The id of the store that holds the set's corpus. Raises CommandError where the corpus cannot be indexed."""
    began, store = time.monotonic(), library.store
    store_id = store.vector_stores.ensure(owner, beir.name).id
    content = beir.corpus.read_bytes()
    file = store.files.add(owner, beir.corpus.name, content, "application/jsonl", "assistants")
    await library.ingestor.submit(owner, store_id, file.id)
    done = await library.ingestor.wait(owner, store_id, file.id)
    if done.status != "completed":
        raise CommandError(f"{beir.corpus}: {done.error.message if done.error else done.status}")
    note(f"{beir.name}: {done.documents} documents, {done.chunks} passages; {time.monotonic() - began:.1f} s")
    return store_id


def table(name: str, results: Mapping[str, StageResult]) -> list[str]:
    """Markdown, as the README has it."""
    count = len(next(iter(results.values())).ndcg)
    head = [f"| {name} ({count} queries) | {' | '.join(COLUMNS)} |", "|---|" + "---:|" * len(COLUMNS)]
    rows = [
        f"| {stage} | " + " | ".join(f"{found.summary()[column]:.{_digits(column)}f}" for column in COLUMNS) + " |"
        for stage, found in results.items()
    ]
    return [*head, *rows, ""]


def _digits(column: str) -> int:
    return 1 if column.endswith("_ms") else 3

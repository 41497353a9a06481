"""kill -9 at random instants of an ingest of files of all formats: what is there in the end, beside a run without it.

    python -m benchmarks.kills ../shared/data/docs/ok --hostile ../shared/data/docs/hostile [--files 500] [--kills 200]

The ingestor, the store (SQLite), the indexes, the analyser and the parsers' processes are the real ones; the embedder
gives random vectors at once. A tenth of the files are hostile ones. Each life may make its share of the moves and is
killed at a seeded instant after its process begins, within twice the time that a start takes: about half of them die
while they start. Compared: for the newest version of every file its status, error code, counts, warnings, the text of
each passage and the bytes of the original; that no passage is visible twice; that the indexes agree with the store. The
exit status is 1 where anything differs.
"""

import hashlib
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import options, report
from benchmarks.kills.child import HANDBOOK, OWNER, attached
from benchmarks.kills.load import Move, make_load, write_moves
from benchmarks.store.child import DIM
from retrieval.indexes.manager import IndexManager
from retrieval.store.store import Store

# Killed at once or never: bombs take seconds each, and die by limits that a busy machine moves.
_LEFT_OUT = ("bomb", "loop", "made_deep.html", "debian_install")
State = dict[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Life:
    """seconds: from its start to its end. started: seconds until it worked; None where it was killed before."""

    acknowledged: int
    seconds: float
    started: float | None
    killed: bool


@dataclass(frozen=True, slots=True)
class Row:
    moves: int
    files: int
    kills: int
    while_starting: int
    minutes: float
    completed: int
    failed: int
    passages: int
    differing_files: int
    wrong: str


def main() -> int:
    arguments = options(__doc__)
    arguments.add_argument("folders", nargs="+")
    arguments.add_argument("--hostile", default="")
    arguments.add_argument("--files", type=int, default=500)
    arguments.add_argument("--kills", type=int, default=200)
    arguments.add_argument("--minutes", type=float, default=45, help="then no more kills: the rest is made in peace")
    given = arguments.parse_args()
    files = [file for folder in given.folders for file in _files(folder)]
    hostile = _files(given.hostile) if given.hostile else []
    with tempfile.TemporaryDirectory() as name:
        (folder := Path(name) / "files").mkdir()
        moves = make_load(files, hostile, given.files, folder, given.seed)
        row = measured(moves, given.kills, given.seed, Path(name), given.minutes)
    report("kills", given, [row])
    return int(bool(row.differing_files or row.wrong))


def _files(folder: str) -> list[Path]:
    found = [file for file in sorted(Path(folder).iterdir()) if file.is_file()]
    return [file for file in found if not any(part in file.name for part in _LEFT_OUT)]


def measured(moves: Sequence[Move], kills: int, seed: int, folder: Path, minutes: float = 45) -> Row:
    write_moves(moves, plan := folder / "moves.json")
    began = time.monotonic()
    with ThreadPoolExecutor(1) as beside:
        unharmed = beside.submit(_life, folder / "unharmed", plan, 0, len(moves), None)
        lives = _killed_lives(folder / "killed", plan, moves, kills, random.Random(seed), began + 60 * minutes)
        minutes = (time.monotonic() - began) / 60
        assert not unharmed.result().killed
    expected, _ = state(folder / "unharmed")
    found, wrong = state(folder / "killed")
    statuses = Counter(each[0] for each in found.values())
    return Row(
        moves=len(moves),
        files=len(found),
        kills=sum(life.killed for life in lives),
        while_starting=sum(life.killed and life.started is None for life in lives),
        minutes=round(minutes, 1),
        completed=statuses["completed"],
        failed=statuses["failed"],
        passages=sum(len(each[-1]) for each in found.values() if isinstance(each[-1], tuple)),
        differing_files=_differing(expected, found),
        wrong="; ".join(wrong),
    )


def _killed_lives(
    data: Path, plan: Path, moves: Sequence[Move], kills: int, chance: random.Random, end: float
) -> list[Life]:
    """The last one lives to its end. end: of the kills, on the monotonic clock."""
    lives: list[Life] = []
    done, start = 0, 3.0
    for number in range(1, kills + 1):
        if time.monotonic() > end:
            break
        share = -(-len(moves) * number // (kills + 1))
        lives.append(_life(data, plan, done, share, chance.uniform(0, 2 * start)))
        done += lives[-1].acknowledged
        start = lives[-1].started or 1.1 * start  # it may take longer than was thought
        print(number, done, lives[-1], file=sys.stderr, flush=True)
    return [*lives, _life(data, plan, done, len(moves), None)]


def _life(data: Path, plan: Path, first: int, last: int, seconds: float | None) -> Life:
    """seconds: until its end by kill -9; None: until it has finished."""
    program = [sys.executable, "-m", "benchmarks.kills.child", *map(str, (data, plan, first, last))]
    began, started, told = time.monotonic(), None, 0
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        killer = threading.Timer(seconds, process.kill) if seconds is not None else None
        if killer:
            killer.start()
        assert process.stdout is not None
        for line in process.stdout:
            told += line.startswith("acknowledged")
            started = started or (time.monotonic() - began if line.startswith("working") else None)
        code = process.wait()
        if killer:
            killer.cancel()
    assert code == (-9 if killer else 0), code
    return Life(told, round(time.monotonic() - began, 2), started, code == -9)


def state(data: Path) -> tuple[State, list[str]]:
    """Everything by file name, and what is wrong in itself."""
    wrong: list[str] = []
    found: State = {}
    versions: dict[str, int] = {}
    with closing(Store.open(data)) as store, closing(_indexes(store)) as manager:
        store_id = store.vector_stores.ensure(OWNER, HANDBOOK).id
        if unfinished := store.queue.unfinished():
            wrong.append(f"{unfinished} files are in progress")
        shown = 0
        for file in sorted(attached(store, store_id), key=lambda each: -each.version):
            shown += file.chunks if file.visible else 0
            if versions.get(file.filename, 0) > file.version:
                if file.visible and found[file.filename][0] == "completed":
                    wrong.append(f"an older {file.filename} is visible")
                # Else by chance: cancelled while it was worked at, or indexed before the newest one failed.
                continue
            versions[file.filename] = file.version
            texts = tuple(store.attachments.content(OWNER, store_id, file.file_id)) if file.visible else ()
            original = hashlib.sha256(store.files.content(OWNER, file.file_id)).hexdigest()
            code = file.error.code if file.error else ""
            found[file.filename] = (file.status, code, file.documents, file.chunks, str(file.warnings), original, texts)
        keys, _ = store.passages.visible_keys(store_id)
        if len(keys) != shown:
            wrong.append(f"{len(keys)} passages are visible, of {shown}")
        wrong += [str(problem) for problem in manager.check()]
    return found, wrong


def _indexes(store: Store) -> IndexManager:
    return IndexManager(store.changes, store.passages, store.data_dir, DIM, "fake")


def _differing(expected: State, found: State) -> int:
    differing = [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
    for name in sorted(differing)[:10]:
        for what, of in (("expected", expected), ("found", found)):
            print(what, name, [str(part)[:200] for part in of.get(name, ("nothing",))], file=sys.stderr)
    return len(differing)


if __name__ == "__main__":
    sys.exit(main())

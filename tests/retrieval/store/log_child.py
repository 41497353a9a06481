"""Writers and followers of one vector store: python -m tests.retrieval.store.log_child FOLDER URL VS ROLE SEED.

Each prints a line when it begins, and goes on until its standard input ends. Then a writer prints how many calls it
made; a follower how many changes it applied, how often it began anew, and what it has.
"""

import json
import random
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from retrieval.store.base.values import LogTrimmed, NotFound, Superseded
from retrieval.store.changes import Changes
from retrieval.store.store import Store
from tests.retrieval.publishing import attach
from tests.retrieval.store.invariants import replayed
from tests.retrieval.store.working import work

NAMES = 5


class Follower:
    """What it has must be what was visible at every head that it reaches."""

    def __init__(self, store: Store, changes: Changes, vs: str, seed: int) -> None:
        self._store, self._changes, self._vs = store, changes, vs
        self._chosen = random.Random(seed)
        self.applied, self.read, self.rebuilt = 0, 0, 0
        self.keys: set[int] = set()

    def step(self) -> None:
        """To the head of one moment, and now and then it is told to have that on disk."""
        visible, head = self._store.passages.visible_keys(self._vs)
        try:
            while self.applied < head:
                self._apply(min(head - self.applied, self._chosen.randrange(1, 50)))
        except LogTrimmed:
            self.keys, self.applied, self.rebuilt = set(visible), head, self.rebuilt + 1
        assert self.applied == head
        assert self.keys == set(visible)
        if self._chosen.random() < 0.3:
            self._changes.acknowledge(self._vs, {"one": self.applied, "two": self._chosen.randrange(self.applied + 1)})

    def _apply(self, most: int) -> None:
        found = self._changes.after(self._vs, self.applied, most)
        seqs = [change.seq for change in found]
        assert seqs == list(range(self.applied + 1, self.applied + 1 + most))
        self.keys = replayed(found, frozenset(self.keys))
        self.applied, self.read = seqs[-1], self.read + most

    def until(self, stopped: Callable[[], bool]) -> dict[str, object]:
        while not stopped():
            self.step()
        self.step()
        return {"read": self.read, "rebuilt": self.rebuilt, "applied": self.applied, "keys": sorted(self.keys)}


def write(store: Store, vs: str, seed: int, stopped: Callable[[], bool]) -> dict[str, int]:
    chosen, calls = random.Random(seed), 0
    while not stopped():
        try:
            _write_one(store, vs, chosen)
        except (NotFound, Superseded):  # the other writer's doing
            continue
        calls += 1
    return {"calls": calls}


def _write_one(store: Store, vs: str, chosen: random.Random) -> None:
    name = f"{chosen.randrange(NAMES)}.csv"
    lines = "\n".join(str(chosen.randrange(10)) for _ in range(chosen.randrange(1, 6)))
    file = attach(store, vs, name, lines)
    work(store)
    if chosen.random() < 0.2:
        store.attachments.detach("ann", vs, file.file_id)
    elif chosen.random() < 0.2:
        store.files.delete("ann", file.file_id)


def main(folder: str, url: str, vs: str, role: str, seed: str) -> None:
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    with closing(Store.open(Path(folder), url=url)) as store:
        print(flush=True)
        threading.Thread(target=wait, daemon=True).start()
        if role == "writer":
            print(json.dumps(write(store, vs, int(seed), ended.is_set)))
        else:
            print(json.dumps(Follower(store, store.changes, vs, int(seed)).until(ended.is_set)))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The file versions that an ingestor has before it, and those that are published and wait for their indexes."""

import asyncio


class Queue:
    """In memory alone: what is unfinished stands in the store, and is added again after a restart."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[int] = asyncio.Queue()
        self._published: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self._unfinished: dict[int, asyncio.Event] = {}
        self._taken: set[int] = set()
        self._again: set[int] = set()

    def __len__(self) -> int:
        """Versions waiting or being worked on."""
        return len(self._unfinished)

    def add(self, version: int) -> None:
        """Once, however often it is added while it waits. One that is being worked on is looked at once more
        afterwards: it may have been put up again after its worker has looked whether it is wanted.
        """
        if version in self._taken:
            self._again.add(version)
        else:
            self.watch(version)

    def watch(self, version: int) -> asyncio.Event:
        """Added where it is not there; the event is set by `done`."""
        if version not in self._unfinished:
            self._unfinished[version] = asyncio.Event()
            self._waiting.put_nowait(version)
        return self._unfinished[version]

    async def next(self) -> int:
        """The one that has waited longest; it stays unfinished."""
        version = await self._waiting.get()
        self._taken.add(version)
        return version

    def put_back(self, version: int) -> None:
        """Whoever worked on it does so no longer."""
        self._taken.discard(version)
        self._waiting.put_nowait(version)

    def publish(self, version: int, store_id: str) -> None:
        """It waits for the indexes of its vector store."""
        self._published.put_nowait((version, store_id))

    async def next_published(self) -> dict[str, list[int]]:
        """Everything that was published since the last call, at least one, by vector store."""
        published = [await self._published.get()]
        while not self._published.empty():
            published.append(self._published.get_nowait())
        found: dict[str, list[int]] = {}
        for version, store_id in published:
            found.setdefault(store_id, []).append(version)
        return found

    def done(self, version: int) -> None:
        """It is settled, or, where it was added meanwhile, waits again. Nothing happens the second time."""
        if version in self._again:
            self._again.discard(version)
            self.put_back(version)
        else:
            self._taken.discard(version)
            self._unfinished.pop(version, asyncio.Event()).set()

    def release(self) -> None:
        """Nobody waits any longer for what is unfinished."""
        for event in self._unfinished.values():
            event.set()

"""What stands beside vLLM on the card: BGE-M3, the reranker and a million vectors; without a GPU, nothing."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.gpu import checkpoints
from benchmarks.gpu.device import Device

_VECTORS, _DIM = 1_000_000, 1024
_TEXTS, _TOKENS = 64, 256


class Neighbours:
    """embedded: texts, by all of `embedding`."""

    def __init__(self, embedder: Any, texts: list[str]) -> None:
        self.embedded = 0
        self._embedder = embedder
        self._texts = texts

    @classmethod
    @contextmanager
    def load(cls, folder: Path, seed: int, device: Device) -> Iterator["Neighbours"]:
        if not device.cuda:
            yield cls(None, [])
            return
        import torch

        from models.embedders.bge_m3 import BgeM3Embedder
        from models.rerankers.cross_encoder import CrossEncoderReranker

        checkpoint = checkpoints.embedder(folder, checkpoints.LARGE, seed)
        embedder = BgeM3Embedder.load(str(checkpoint), device=device.name)
        reranking = checkpoints.reranker(folder, checkpoints.LARGE, seed)
        reranker = CrossEncoderReranker.load(str(reranking), device=device.name)
        vectors = torch.zeros(_VECTORS, _DIM, dtype=torch.float16, device=device.name)
        try:
            yield cls(embedder, checkpoints.texts(checkpoint, [_TOKENS] * _TEXTS, seed))
        finally:
            del vectors
            embedder.close()
            asyncio.run(reranker.aclose())

    @contextmanager
    def embedding(self) -> Iterator[None]:
        """Embeds passages all the while, as an ingest does. Raises what embedding raised."""
        stop, failures = threading.Event(), list[BaseException]()

        async def embed() -> None:
            while not stop.is_set():
                await self._embedder.embed_documents(self._texts, tokens=True)
                self.embedded += len(self._texts)

        def run() -> None:
            try:
                asyncio.run(embed())
            except Exception as error:
                failures.append(error)

        worker = threading.Thread(target=run)
        if self._embedder is not None:
            worker.start()
        try:
            yield
        finally:
            stop.set()
            if self._embedder is not None:
                worker.join()
        if failures:
            raise failures[0]

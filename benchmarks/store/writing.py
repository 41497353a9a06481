"""A writer of benchmarks.store.followers: files come, change and go, as fast as it can, with vectors made up."""

import random
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np

from retrieval.passages.identity import identify
from retrieval.store.base.values import IngestJob, NotFound, StoreConflict, StoreFile, Superseded
from retrieval.store.store import Store
from retrieval.types import NewChunk, ParsedDocument, Span

OWNER, DIM, EMBEDDER = "bench", 32, "synthetic"
NAMES = 60  # filenames in each vector store, for both writers together
PASSAGES = 20  # of a file, at most
WORDS = "refund order parcel invoice account password delivery coupon garden recipe oven river library lecture exam"


class Writer:
    """number: of this writer; also its seed."""

    def __init__(self, store: Store, store_ids: Sequence[str], number: int) -> None:
        self._store = store
        self._store_ids = store_ids
        self._name = f"writer {number}"
        self._chance = random.Random(number)
        self._vectors = np.random.default_rng(number)
        self._done: Counter[str] = Counter()

    def write(self, until: float) -> Counter[str]:
        """How often it did what."""
        while time.time() < until:
            try:
                if self._chance.random() < 0.3:
                    self._delete()
                else:
                    self._upload()
                while (job := self._store.queue.claim(self._name, 30)) is not None:
                    self._ingest(job)
            except (Superseded, NotFound):
                self._done["given up"] += 1
            except StoreConflict:
                self._done["conflicts"] += 1
        return self._done

    def _upload(self) -> None:
        """New content under a name that may be there."""
        rows = [self._text() for _ in range(self._chance.randint(1, PASSAGES))]
        name = f"page-{self._chance.randrange(NAMES)}.txt"
        file = self._store.files.add(OWNER, name, "\n".join(rows).encode())
        self._store.attachments.attach(OWNER, self._chance.choice(self._store_ids), file.id)

    def _delete(self) -> None:
        """One that is there: the file everywhere, or only from the vector store."""
        store_id = self._chance.choice(self._store_ids)
        if not (found := self._attached(store_id)):
            return
        gone = self._chance.choice(found)
        if self._chance.random() < 0.5:
            self._store.files.delete(OWNER, gone.file_id)
        else:
            self._store.attachments.detach(OWNER, store_id, gone.file_id)
        self._done["deleted"] += 1

    def _attached(self, store_id: str) -> Sequence[StoreFile]:
        return self._store.attachments.page(
            OWNER, store_id, limit=NAMES, order=self._chance.choice(["asc", "desc"])
        ).items

    def _ingest(self, job: IngestJob) -> None:
        store, attempt = self._store, job.attempt
        versions = store.versions
        versions.claim_embedder(attempt, EMBEDDER, DIM)
        text = store.files.content(job.owner, job.file_id).decode()
        documents = identify(job.store_id, job.filename, [ParsedDocument(row) for row in text.splitlines()])
        known = versions.keep_documents(attempt, documents)
        new = [each for each in documents if each.id not in known]
        versions.add_documents(
            attempt,
            [
                (each, [NewChunk(Span(0, len(each.parsed.text)), each.parsed.text, each.parsed.text.split())])
                for each in new
            ],
        )
        versions.finish_chunking(attempt, len(documents))
        if keys := versions.pending_keys(attempt):
            rows = self._vectors.standard_normal((len(keys), DIM), dtype=np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            versions.save_vectors(attempt, keys, rows, [b"code"] * len(keys))
        visible = {each.filename for each in self._attached(job.store_id) if each.visible}
        if not store.publishing.publish(attempt):
            store.queue.release(attempt)
            return
        store.publishing.complete([attempt.version])
        self._done["replaced" if job.filename in visible else "published"] += 1

    def _text(self) -> str:
        return " ".join(self._chance.choices(WORDS.split(), k=12)) + f" {self._chance.randrange(10**9)}"

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from models.embedders.e5 import E5Embedder
from retrieval.indexes.manager import IndexManager
from retrieval.ingest.documents import Documents
from retrieval.ingest.worker import Ingestor
from retrieval.passages.tokenize import Tokenizer
from retrieval.store.base.values import Attachment, NotFound
from retrieval.store.store import Store
from tests.retrieval.publishing import texts

OWNER = "ann"


@pytest.fixture(scope="module")
def e5() -> Iterator[E5Embedder]:
    loaded = E5Embedder.load(threads=1)
    yield loaded
    loaded.close()


@dataclass
class Bench:
    folder: Path
    store: Store
    ingestor: Ingestor
    documents: Documents

    def file(self, name: str, text: str) -> str:
        return self.store.files.add(OWNER, name, text.encode()).id

    async def done(self, store_id: str, *file_ids: str) -> list[str]:
        for file_id in file_ids:
            assert (await self.ingestor.wait(OWNER, store_id, file_id)).status == "completed"
        return texts(self.store, store_id)


@pytest.fixture
async def bench(tmp_path: Path, e5: E5Embedder) -> AsyncIterator[Bench]:
    store = Store.open(tmp_path)
    manager = IndexManager(store.changes, store.passages, tmp_path, e5.dim, e5.name)
    ingestor = Ingestor(store, manager, e5, Tokenizer.load())
    await ingestor.start()
    yield Bench(tmp_path, store, ingestor, Documents(store, ingestor, manager))
    await ingestor.aclose()
    manager.close()
    store.close()


async def test_a_new_vector_store_takes_up_its_files_and_a_deleted_one_takes_its_indexes_along(bench: Bench) -> None:
    one, two = bench.file("a.txt", "alpha"), bench.file("b.txt", "beta")
    created = await bench.documents.create_store(
        OWNER, "notes", {"of": "ann"}, description="all", expires_days=3, files=[Attachment(one), Attachment(two)]
    )
    assert (created.name, created.metadata, created.description) == ("notes", {"of": "ann"}, "all")
    assert (created.expires_days, created.counts.total) == (3, 2)
    assert sorted(await bench.done(created.id, one, two)) == ["alpha", "beta"]
    assert (bench.folder / "indexes" / created.id).exists()
    with pytest.raises(NotFound):
        await bench.documents.delete_store("bob", created.id)
    await bench.documents.delete_store(OWNER, created.id)
    assert not (bench.folder / "indexes" / created.id).exists()
    assert bench.store.vector_stores.page(OWNER).items == []
    assert bench.store.files.content(OWNER, one) == b"alpha"


async def test_a_vector_store_with_an_unknown_file_is_not_made(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await bench.documents.create_store(OWNER, "notes", files=[Attachment("file-none")])
    assert bench.store.vector_stores.page(OWNER).items == []


async def test_what_is_attached_alone_or_as_a_batch_is_taken_up(bench: Bench) -> None:
    files = [bench.file(f"{name}.txt", name) for name in ("alpha", "beta", "gamma")]
    store_id = (await bench.documents.create_store(OWNER, "notes")).id
    attached = await bench.documents.attach(OWNER, store_id, Attachment(files[0], {"lang": "el"}))
    assert (attached.status, attached.attributes) == ("in_progress", {"lang": "el"})
    batch = await bench.documents.create_batch(OWNER, store_id, [Attachment(each) for each in files[1:]])
    assert batch.counts.total == 2
    assert sorted(await bench.done(store_id, *files)) == ["alpha", "beta", "gamma"]
    with pytest.raises(NotFound):
        await bench.documents.attach("bob", store_id, Attachment(files[0]))
    with pytest.raises(NotFound):
        await bench.documents.create_batch(OWNER, store_id, [Attachment("file-none")])

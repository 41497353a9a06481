import pytest

from retrieval.store.base.values import Attachment, NotFound
from retrieval.store.store import Store
from retrieval.types import ParsedDocument
from tests.retrieval.publishing import prepare, publish, take_up


def test_a_batch_is_all_or_nothing(store: Store, vs: str) -> None:
    files = [Attachment(store.files.add("ann", f"{i}.txt", b"x").id) for i in range(3)]
    with pytest.raises(NotFound):
        store.batches.create("ann", vs, [*files, Attachment("file-none")])
    assert store.attachments.page("ann", vs).items == []
    with pytest.raises(NotFound):
        store.vector_stores.create("ann", "new", files=[*files, Attachment("file-none")])
    with pytest.raises(NotFound):
        store.vector_stores.find("ann", "new")
    batch = store.batches.create("ann", vs, [*files, files[0]])
    assert (batch.counts.in_progress, batch.counts.total) == (3, 3)
    with pytest.raises(NotFound):
        store.batches.get("bob", vs, batch.id)


def test_a_batch_counts_what_has_gone_as_it_ended(store: Store, vs: str) -> None:
    names = ["done.txt", "failed.txt", "early.txt", "replaced.txt"]
    files = [store.files.add("ann", name, name.encode()) for name in names]
    batch = store.batches.create("ann", vs, [Attachment(file.id) for file in files])
    done, failed, _, replaced = [store.attachments.get("ann", vs, file.id) for file in files]
    for attached in (done, replaced):
        attempt = prepare(store, attached.version, [ParsedDocument("alpha")])
        store.publishing.publish(attempt)
        store.publishing.complete([attached.version])
    store.publishing.fail(take_up(store, failed.version).attempt, "invalid_file", "broken")
    store.files.delete("ann", files[2].id)  # while it was in progress
    before = store.batches.get("ann", vs, batch.id).counts
    assert (before.completed, before.failed, before.cancelled, before.in_progress) == (2, 1, 1, 0)
    for file in files[:2]:
        store.files.delete("ann", file.id)
    publish(store, vs, "replaced.txt", ["something new"])
    assert store.batches.get("ann", vs, batch.id).counts == before
    assert store.batches.files("ann", vs, batch.id).items == []

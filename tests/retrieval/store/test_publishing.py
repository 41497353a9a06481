import pytest

from retrieval.store.base.values import Superseded
from retrieval.store.store import Store
from retrieval.types import ParsedDocument
from tests.retrieval.publishing import attach, passages, prepare, publish, texts


def test_a_pending_version_is_not_seen_and_the_old_one_stays_until_it_is_published(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["old"])
    new = attach(store, vs, "a.txt", "new")
    attempt = prepare(store, new.version, [ParsedDocument("new")])
    assert texts(store, vs) == ["old"]
    assert store.publishing.publish(attempt)
    assert texts(store, vs) == ["new"]
    assert [each.file_id for each in store.attachments.page("ann", vs).items] == [new.file_id]


def test_a_version_without_all_its_vectors_is_not_published(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["old"])
    new = attach(store, vs, "a.txt", "new")
    attempt = prepare(store, new.version, [ParsedDocument("new")], embed=False)
    assert not store.publishing.publish(attempt)
    assert texts(store, vs) == ["old"]
    assert store.attachments.get("ann", vs, new.file_id).stage == "accepted"


def test_a_failed_replacement_leaves_the_old_version_visible(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["old"])
    new = attach(store, vs, "a.txt", "broken")
    attempt = prepare(store, new.version, [ParsedDocument("broken")])
    store.publishing.fail(attempt, "invalid_file", "it is broken")
    failed = store.attachments.get("ann", vs, new.file_id)
    assert (failed.status, failed.error and failed.error.message) == ("failed", "it is broken")
    assert texts(store, vs) == ["old"]
    assert attach(store, vs, "a.txt", "broken").status == "in_progress"


def test_what_is_published_is_published_once_and_does_not_fail_any_more(store: Store, vs: str) -> None:
    attempt = prepare(store, attach(store, vs, "a.txt", "alpha").version, [ParsedDocument("alpha")])
    assert [store.publishing.publish(attempt) for _ in range(2)] == [True, True]
    assert store.changes.state(vs).head == 1
    with pytest.raises(Superseded, match="published already"):
        store.publishing.fail(attempt, "invalid_file", "too late")


def test_deleted_and_added_again_is_there_again(store: Store, vs: str) -> None:
    first = publish(store, vs, "a.txt", ["alpha"])
    before = passages(store, vs)
    store.files.delete("ann", first.file_id)
    assert texts(store, vs) == []
    publish(store, vs, "a.txt", ["alpha"])
    after = passages(store, vs)
    assert [p.chunk.id for p in after.values()] == [p.chunk.id for p in before.values()]
    assert set(after).isdisjoint(before)
    assert [change.added for change in store.changes.after(vs, 0, 9)] == [True, False, True]


def test_identical_pages_keep_distinct_ids(store: Store, vs: str) -> None:
    publish(store, vs, "a.pdf", ["this page is left blank"] * 3)
    chunks = [p.chunk for p in passages(store, vs).values()]
    assert len({chunk.id for chunk in chunks}) == 3
    assert len({chunk.document_id for chunk in chunks}) == 3

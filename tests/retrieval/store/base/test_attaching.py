"""Files of equal names and bytes in one vector store: each by itself, their work and their passages once."""

from collections.abc import Callable

import pytest

from retrieval.filters.syntax import Comparison
from retrieval.store.base.values import Attachment, NotFound, Superseded
from retrieval.store.store import Store
from retrieval.types import Chunking, ParsedDocument
from tests.databases import Time
from tests.retrieval.publishing import attach, prepare, publish, take_up, texts
from tests.retrieval.store.invariants import assert_whole

ALPHA = b"alpha\n()"  # as `publish` makes it of one text


def twin_of(store: Store, name: str = "a.txt", content: bytes = ALPHA, expires_seconds: int | None = None) -> str:
    return store.files.add("ann", name, content, purpose="user_data", expires_seconds=expires_seconds).id


def listed(store: Store, vs: str) -> list[str]:
    return [file.file_id for file in store.attachments.page("ann", vs, order="asc").items]


def told(store: Store, vs: str) -> list[str]:
    """The file of each passage."""
    named = store.vector_stores.resolve("ann", vs)
    keys, _ = store.passages.visible_keys(vs)
    return [store.passages.load("ann", named, keys)[key].chunk.file_id for key in keys]


def found(store: Store, vs: str, year: int) -> int:
    named = store.vector_stores.resolve("ann", vs)
    return len(store.passages.allowed_keys("ann", named, Comparison("eq", "year", (year,))))


def test_both_are_listed_and_counted_and_the_passages_are_there_once(store: Store, vs: str) -> None:
    first, twin = publish(store, vs, "a.txt", ["alpha"]), twin_of(store)
    with pytest.raises(NotFound):
        store.attachments.get("ann", vs, twin)
    attached = store.attachments.attach("ann", vs, twin)
    assert (attached.file_id, attached.version, attached.status) == (twin, first.version, "completed")
    assert listed(store, vs) == [first.file_id, twin]
    assert store.vector_stores.find("ann", vs).counts.completed == 2
    assert store.vector_stores.find("ann", vs).usage_bytes == first.usage_bytes
    assert texts(store, vs) == ["alpha"]
    assert store.attachments.content("ann", vs, twin) == ["alpha"]
    assert store.queue.unfinished() == 0
    assert_whole(store)


def detach(store: Store, vs: str, file: str) -> None:
    store.attachments.detach("ann", vs, file)


def delete(store: Store, _vs: str, file: str) -> None:
    store.files.delete("ann", file)


@pytest.mark.parametrize("leave", [detach, delete])
@pytest.mark.parametrize("first_leaves", [True, False])
def test_one_leaves_and_the_other_is_still_found(
    store: Store, vs: str, leave: Callable[[Store, str, str], None], first_leaves: bool
) -> None:
    one, other = publish(store, vs, "a.txt", ["alpha"]).file_id, twin_of(store)
    store.attachments.attach("ann", vs, other)
    if not first_leaves:
        one, other = other, one
    head = store.changes.state(vs).head
    leave(store, vs, one)
    assert (listed(store, vs), texts(store, vs), told(store, vs)) == ([other], ["alpha"], [other])
    assert store.changes.state(vs).head == head
    assert store.vector_stores.find("ann", vs).counts.total == 1
    assert_whole(store)
    leave(store, vs, other)
    assert (listed(store, vs), texts(store, vs)) == ([], [])
    assert_whole(store)


def test_one_that_expires_leaves_the_other(store: Store, vs: str, time: Time) -> None:
    short = twin_of(store, expires_seconds=60)
    store.attachments.attach("ann", vs, short)
    kept = publish(store, vs, "a.txt", ["alpha"]).file_id
    time.now += 61
    store.retention.expire()
    assert (listed(store, vs), texts(store, vs), told(store, vs)) == ([kept], ["alpha"], [kept])
    assert_whole(store)


def test_each_has_its_attributes_and_what_was_set_last_is_searched(store: Store, vs: str) -> None:
    first, twin = publish(store, vs, "a.txt", ["alpha"], {"year": 2024}).file_id, twin_of(store)
    assert store.attachments.attach("ann", vs, twin).attributes == {"year": 2024}
    assert told(store, vs) == [first]
    store.attachments.update_attributes("ann", vs, twin, {"year": 2025})
    assert store.attachments.get("ann", vs, first).attributes == {"year": 2024}
    assert store.attachments.get("ann", vs, twin).attributes == {"year": 2025}
    assert (told(store, vs), found(store, vs, 2024), found(store, vs, 2025)) == ([twin], 0, 1)
    store.files.delete("ann", twin)
    assert (told(store, vs), found(store, vs, 2024), found(store, vs, 2025)) == ([first], 1, 0)
    assert_whole(store)


def test_work_goes_on_from_the_other_file_where_the_first_leaves_meanwhile(store: Store, vs: str) -> None:
    first, twin = attach(store, vs, "a.txt", ALPHA.decode()), twin_of(store)
    attempt = prepare(store, first.version, [ParsedDocument("alpha")])
    store.attachments.attach("ann", vs, twin)
    store.files.delete("ann", first.file_id)
    with pytest.raises(Superseded):
        store.publishing.publish(attempt)
    job = take_up(store, first.version)
    assert (job.file_id, job.stage) == (twin, "chunked")
    assert store.publishing.publish(job.attempt)
    assert texts(store, vs) == ["alpha"]


def test_changed_content_replaces_all_files_that_had_the_old_one(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    store.attachments.attach("ann", vs, twin_of(store))
    new = publish(store, vs, "a.txt", ["beta"]).file_id
    assert (listed(store, vs), texts(store, vs)) == ([new], ["beta"])
    assert_whole(store)


def test_another_chunking_holds_for_all_of_them(store: Store, vs: str) -> None:
    first, twin = publish(store, vs, "a.txt", ["alpha"], {"year": 2024}).file_id, twin_of(store)
    store.attachments.attach("ann", vs, twin)
    cut = store.attachments.attach("ann", vs, twin, {"year": 2025}, Chunking(300, 0))
    both = [store.attachments.get("ann", vs, each) for each in (first, twin)]
    assert {(each.version, each.status, each.chunking.size) for each in both} == {(cut.version, "in_progress", 300)}
    assert [each.attributes["year"] for each in both] == [2024, 2025]
    assert_whole(store)


def test_a_batch_counts_each_of_them(store: Store, vs: str) -> None:
    first, twin = store.files.add("ann", "a.txt", ALPHA).id, twin_of(store)
    batch = store.batches.create("ann", vs, [Attachment(first), Attachment(twin)])
    assert batch.counts.in_progress == 2
    publish(store, vs, "a.txt", ["alpha"])
    store.attachments.detach("ann", vs, first)
    assert store.batches.get("ann", vs, batch.id).counts.completed == 2
    assert [each.file_id for each in store.batches.files("ann", vs, batch.id).items] == [twin]
    assert_whole(store)

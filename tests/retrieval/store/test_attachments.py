import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from retrieval.filters.syntax import Comparison
from retrieval.passages.identity import identify
from retrieval.store.base.values import NotFound, Superseded
from retrieval.store.store import Store
from retrieval.types import AUTO, Attributes, Chunking, ParsedDocument
from tests.retrieval.publishing import attach, prepare, publish, take_up, texts


def test_attaching_the_same_content_again_changes_nothing(store: Store, vs: str) -> None:
    first = publish(store, vs, "a.txt", ["alpha", "beta"], {"year": 2024})
    again = publish(store, vs, "a.txt", ["alpha", "beta"])
    assert again == first
    assert texts(store, vs) == ["alpha", "beta"]


def test_clients_that_attach_one_file_at_once_make_one_version(store: Store, vs: str) -> None:
    barrier = threading.Barrier(8)

    def one_client(_: int) -> int:
        barrier.wait()
        return attach(store, vs, "a.txt", "alpha").version

    with ThreadPoolExecutor(8) as pool:
        versions = set(pool.map(one_client, range(8)))
    assert len(versions) == 1
    assert store.queue.unfinished() == 1
    assert take_up(store, versions.pop()).filename == "a.txt"


def test_the_latest_version_of_a_filename_cancels_the_one_in_progress(store: Store, vs: str) -> None:
    middle = attach(store, vs, "a.txt", "middle")
    middle_attempt = prepare(store, middle.version, [ParsedDocument("middle")])
    last = attach(store, vs, "a.txt", "last")
    assert store.attachments.get("ann", vs, middle.file_id).status == "cancelled"
    with pytest.raises(Superseded):
        store.publishing.publish(middle_attempt)
    last_attempt = prepare(store, last.version, [ParsedDocument("last")])
    assert store.publishing.publish(last_attempt)
    assert texts(store, vs) == ["last"]


def test_attributes_of_the_file_and_of_the_row_are_one_set_for_filters(store: Store, vs: str) -> None:
    attached = publish(store, vs, "a.csv", ["one", "two"], {"lang": "ko", "year": 2024}, [{"year": 2025}, {"n": 1}])
    keys, _ = store.passages.visible_keys(vs)
    named = store.vector_stores.resolve("ann", vs)

    def allowed(key: str, value: str | int) -> list[int]:
        return sorted(store.passages.allowed_keys("ann", named, Comparison("eq", key, (value,))))

    assert allowed("year", 2025) == [keys[0]]
    assert allowed("year", 2024) == [keys[1]]
    store.attachments.update_attributes("ann", vs, attached.file_id, {"lang": "en"})
    assert allowed("lang", "en") == keys
    assert allowed("year", 2024) == []
    assert allowed("year", 2025) == [keys[0]]


Call = Callable[[Store, str, str, str], object]


@pytest.mark.parametrize(
    "call",
    [
        lambda s, who, vs, f: s.vector_stores.find(who, vs),
        lambda s, who, vs, f: s.vector_stores.resolve(who, vs),
        lambda s, who, vs, f: s.vector_stores.find(who, "handbook"),
        lambda s, who, vs, f: s.vector_stores.update(who, vs, name="mine"),
        lambda s, who, vs, f: s.vector_stores.delete(who, vs),
        lambda s, who, vs, f: s.vector_stores.page(who, after=vs),
        lambda s, who, vs, f: s.files.get(who, f),
        lambda s, who, vs, f: s.files.content(who, f),
        lambda s, who, vs, f: s.files.delete(who, f),
        lambda s, who, vs, f: s.files.page(who, before=f),
        lambda s, who, vs, f: s.attachments.attach(who, vs, f),
        lambda s, who, vs, f: s.attachments.attach(who, s.vector_stores.create(who, "mine").id, f),
        lambda s, who, vs, f: s.attachments.attach(who, vs, s.files.add(who, "a.txt", b"alpha\n()").id),
        lambda s, who, vs, f: s.attachments.get(who, vs, f),
        lambda s, who, vs, f: s.attachments.page(who, vs),
        lambda s, who, vs, f: s.attachments.content(who, vs, f),
        lambda s, who, vs, f: s.attachments.update_attributes(who, vs, f, {"a": 1}),
        lambda s, who, vs, f: s.attachments.cancel(who, vs, f),
        lambda s, who, vs, f: s.attachments.detach(who, vs, f),
        lambda s, who, vs, f: s.passages.neighbours(who, vs, "doc", 0, 9),
        lambda s, who, vs, f: s.batches.get(who, vs, "vsfb_none"),
    ],
)
def test_another_owners_ids_are_not_found(store: Store, vs: str, call: Call) -> None:
    file = publish(store, vs, "a.txt", ["alpha"])
    with pytest.raises(NotFound):
        call(store, "bob", vs, file.file_id)
    assert texts(store, vs) == ["alpha"]


def test_another_chunking_begins_a_new_version(store: Store, vs: str) -> None:
    done = publish(store, vs, "a.txt", ["alpha"], {"k": "v"})
    assert store.attachments.attach("ann", vs, done.file_id, chunking=AUTO).version == done.version
    anew = store.attachments.attach("ann", vs, done.file_id, chunking=Chunking(400, 0))
    assert (anew.version > done.version, anew.status, anew.attributes) == (True, "in_progress", {"k": "v"})
    assert texts(store, vs) == []
    assert store.attachments.attach("ann", vs, done.file_id).chunking == Chunking(400, 0)


@pytest.mark.parametrize("given", [None, {}, {"n": 0}])
def test_no_attributes_are_attributes_too_also_with_another_chunking(
    store: Store, vs: str, given: Attributes | None
) -> None:
    done = publish(store, vs, "a.txt", ["alpha"], {"k": "v"})
    expected = {"k": "v"} if given is None else given
    for chunking in (Chunking(400, 0), Chunking(400, 0), Chunking(100, 0)):
        anew = store.attachments.attach("ann", vs, done.file_id, given, chunking)
        assert (anew.chunking, anew.attributes) == (chunking, expected)


def test_unchanged_documents_are_not_kept_under_another_chunking(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha", "beta"])
    file = store.files.add("ann", "a.txt", b"new content")
    attached = store.attachments.attach("ann", vs, file.id, chunking=Chunking(400, 0))
    same = identify(vs, "a.txt", [ParsedDocument("alpha"), ParsedDocument("beta")])
    assert store.versions.keep_documents(take_up(store, attached.version).attempt, same) == set()


def test_nul_in_a_filename_and_in_attributes_does_not_keep_a_file_out(store: Store, vs: str) -> None:
    attached = publish(store, vs, "a\0.txt", ["al\0pha"], {"k\0": "v\0"})
    (text,) = texts(store, vs)
    kept = "\0" if store.database.is_sqlite else "\ufffd"
    assert (text, len(text)) == (f"al{kept}pha", 6)
    assert attached.filename == f"a{kept}.txt"
    assert attached.attributes == {f"k{kept}": f"v{kept}"}
    assert store.attachments.attach("ann", vs, attached.file_id) == attached


def test_what_failed_or_was_cancelled_is_put_up_again_and_nothing_else(store: Store, vs: str) -> None:
    failed, cancelled = attach(store, vs, "a.txt", "alpha"), attach(store, vs, "b.txt", "beta")
    store.publishing.fail(take_up(store, failed.version).attempt, "invalid_file", "broken")
    store.attachments.cancel("ann", vs, cancelled.file_id)
    done = publish(store, vs, "c.txt", ["gamma"])
    for file in (failed, cancelled):
        again = store.attachments.retry("ann", vs, file.file_id)
        assert (again.version, again.status, again.stage, again.error) == (
            file.version,
            "in_progress",
            "accepted",
            None,
        )
    assert store.attachments.retry("ann", vs, done.file_id) == done
    assert store.queue.unfinished() == 2
    with pytest.raises(NotFound):
        store.attachments.retry("bob", vs, failed.file_id)


def test_what_newer_content_has_replaced_is_not_put_up_again(store: Store, vs: str) -> None:
    old = attach(store, vs, "a.txt", "old")
    store.publishing.fail(take_up(store, old.version).attempt, "invalid_file", "broken")
    publish(store, vs, "a.txt", ["new"])
    assert store.attachments.retry("ann", vs, old.file_id).status == "failed"
    assert texts(store, vs) == ["new"]

"""What is put up for whom, in the transaction in which it happens."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from sqlalchemy import event

from retrieval.store.base.values import Attachment
from retrieval.store.outbox.events import put
from retrieval.store.store import Store
from retrieval.types import ParsedDocument
from tests.databases import Time
from tests.retrieval.publishing import attach, prepare, publish, take_up
from tests.retrieval.store.outbox.listening import URL, count, told


@pytest.fixture
def hook(store: Store) -> str:
    return store.webhooks.create("ann", URL, "", None)[0].id


def fail(store: Store, version: int) -> None:
    store.publishing.fail(take_up(store, version).attempt, "invalid_file", "broken")


def test_a_file_that_is_completed_or_failed_is_told(store: Store, vs: str, hook: str) -> None:
    done = publish(store, vs, "a.txt", ["alpha"])
    broken = attach(store, vs, "b.txt", "beta")
    fail(store, broken.version)
    (first, of_first), (second, of_second) = told(store, "ann", hook)
    assert (first, second) == ("file.completed", "file.failed")
    common = {"vector_store_id": vs, "warnings": {"count": 0, "messages": []}}
    assert of_first == common | {
        "file_id": done.file_id,
        "filename": "a.txt",
        "status": "completed",
        "last_error": None,
        "usage_bytes": done.usage_bytes,
        "documents": 1,
        "chunks": 1,
    }
    assert (of_second["file_id"], of_second["status"]) == (broken.file_id, "failed")
    assert of_second["last_error"] == {"code": "invalid_file", "message": "broken"}


def test_files_that_share_a_version_are_each_told(store: Store, vs: str, hook: str) -> None:
    first = attach(store, vs, "a.txt", "alpha")
    other = store.files.add("ann", "a.txt", b"alpha", "", "user_data")
    store.attachments.attach("ann", vs, other.id)
    store.publishing.publish(prepare(store, first.version, [ParsedDocument("alpha")]))
    store.publishing.complete([first.version, first.version])
    assert [data["file_id"] for _, data in told(store, "ann", hook)] == [first.file_id, other.id]
    store.publishing.complete([first.version])  # it is completed already
    assert len(told(store, "ann", hook)) == 2


def test_nothing_is_written_where_nobody_listens(store: Store, vs: str) -> None:
    bobs = store.webhooks.create("bob", URL, "", None)[0].id
    off = store.webhooks.create("ann", URL, "", None)[0].id
    store.webhooks.change("ann", off, enabled=False)
    other = store.webhooks.create("ann", URL, "", ["batch.failed"])[0].id
    publish(store, vs, "a.txt", ["alpha"])
    assert [told(store, owner, each) for owner, each in (("bob", bobs), ("ann", off), ("ann", other))] == [[], [], []]
    assert count(store, "webhook_events") == 0


def test_one_event_goes_to_all_who_listen_under_one_id(store: Store, vs: str, hook: str) -> None:
    second = store.webhooks.create("ann", URL, "", ["file.completed"])[0].id
    publish(store, vs, "a.txt", ["alpha"])
    ids = {store.deliveries.page("ann", each).items[0].event_id for each in (hook, second)}
    assert len(ids) == 1
    assert count(store, "webhook_events") == 1


@pytest.mark.parametrize("table", ["webhook_events", "webhook_deliveries"])
def test_what_cannot_be_told_has_not_happened(store: Store, vs: str, hook: str, table: str) -> None:
    """The event and what it tells of are one transaction."""
    file = attach(store, vs, "a.txt", "alpha")
    store.publishing.publish(prepare(store, file.version, [ParsedDocument("alpha")]))

    def broken(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(f"INSERT INTO {table}"):
            raise RuntimeError("killed")

    event.listen(store.database._engine, "before_cursor_execute", broken)
    with pytest.raises(RuntimeError, match="killed"):
        store.publishing.complete([file.version])
    event.remove(store.database._engine, "before_cursor_execute", broken)
    assert store.attachments.get("ann", vs, file.file_id).status == "in_progress"
    assert count(store, "webhook_events") == 0
    store.publishing.complete([file.version])
    assert [type for type, _ in told(store, "ann", hook)] == ["file.completed"]


def batch_of(store: Store, vs: str, *names: str) -> tuple[str, list[int], list[str]]:
    files = [store.files.add("ann", name, name.encode()).id for name in names]
    batch = store.batches.create("ann", vs, [Attachment(file) for file in files])
    return batch.id, [store.attachments.get("ann", vs, file).version for file in files], files


def batches_told(store: Store, hook: str) -> list[tuple[str, str, str]]:
    return [(t, d["batch_id"], d["status"]) for t, d in told(store, "ann", hook) if t.startswith("batch.")]


def complete(store: Store, version: int) -> None:
    store.publishing.publish(prepare(store, version, [ParsedDocument("alpha")]))
    store.publishing.complete([version])


def test_a_batch_is_told_once_when_its_last_file_has_ended(store: Store, vs: str, hook: str) -> None:
    batch, (first, second), _ = batch_of(store, vs, "a.txt", "b.txt")
    fail(store, first)
    assert batches_told(store, hook) == []
    complete(store, second)
    assert batches_told(store, hook) == [("batch.completed", batch, "completed")]
    (data,) = [data for type, data in told(store, "ann", hook) if type == "batch.completed"]
    assert data["file_counts"] == {"completed": 1, "failed": 1, "cancelled": 0, "total": 2}
    publish(store, vs, "c.txt", ["gamma"])
    store.deliveries.announce()
    assert len(batches_told(store, hook)) == 1


def test_a_batch_of_failures_has_failed_and_a_cancelled_one_is_told_too(store: Store, vs: str, hook: str) -> None:
    failed, (version,), _ = batch_of(store, vs, "a.txt")
    fail(store, version)
    cancelled, *_ = batch_of(store, vs, "b.txt", "c.txt")
    store.batches.cancel("ann", vs, cancelled)
    assert batches_told(store, hook) == [
        ("batch.failed", failed, "failed"),
        ("batch.completed", cancelled, "cancelled"),
    ]


def test_a_batch_with_nothing_left_to_do_is_told_at_once(store: Store, vs: str, hook: str) -> None:
    done = publish(store, vs, "a.txt", ["alpha"])
    batch = store.batches.create("ann", vs, [Attachment(done.file_id)])
    assert batches_told(store, hook) == [("batch.completed", batch.id, "completed")]


def test_a_batch_whose_last_file_leaves_is_told_by_the_upkeep(store: Store, vs: str, hook: str) -> None:
    batch, (first, _), files = batch_of(store, vs, "a.txt", "b.txt")
    complete(store, first)
    store.files.delete("ann", files[1])
    store.deliveries.announce()
    store.deliveries.announce()
    assert batches_told(store, hook) == [("batch.completed", batch, "completed")]


def test_a_batch_that_ended_unheard_is_not_told_later(store: Store, vs: str) -> None:
    _, (version,), _ = batch_of(store, vs, "a.txt")
    complete(store, version)
    hook = store.webhooks.create("ann", URL, "", None)[0].id
    store.deliveries.announce()
    assert told(store, "ann", hook) == []


def test_anything_can_be_told_and_its_time_is_iso(store: Store, hook: str, time: Time) -> None:
    with store.database.write() as db:
        put(db, "ann", "feedback.created", {"rating": "up", "comment": "가\0나"}, time.now)
    assert told(store, "ann", hook) == [("feedback.created", {"rating": "up", "comment": "가\0나"})]
    job = store.deliveries.claim("one", 60)
    assert job is not None
    stamp = job.payload.partition('"timestamp": "')[2].partition('"')[0]
    assert datetime.fromisoformat(stamp).timestamp() == time.now
    assert stamp.endswith("Z")


def test_a_webhook_that_is_deleted_meanwhile_disturbs_nobody(store: Store, vs: str) -> None:
    """However often, files are completed, and what is there is consistent."""
    names = [f"{number}.txt" for number in range(12)]
    for name in names:
        file = attach(store, vs, name, name)
        store.publishing.publish(prepare(store, file.version, [ParsedDocument(name)]))

    def come_and_go(_: int) -> None:
        for _ in range(12):
            hook = store.webhooks.create("ann", URL, "", None)[0].id
            store.webhooks.test("ann", hook)
            store.webhooks.delete("ann", hook)

    versions = [file.version for file in store.attachments.page("ann", vs, limit=100).items]
    with ThreadPoolExecutor(4) as pool:
        coming = [pool.submit(come_and_go, number) for number in range(2)]
        for done in [pool.submit(store.publishing.complete, [version]) for version in versions]:
            done.result(60)
        for each in coming:
            each.result(60)
    assert {file.status for file in store.attachments.page("ann", vs, limit=100).items} == {"completed"}
    assert (count(store, "webhook_deliveries"), count(store, "webhook_events")) == (0, 0)

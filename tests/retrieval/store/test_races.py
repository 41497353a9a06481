"""Two of the store's calls at the same instant, on PostgreSQL, whose row locks are all that keeps them apart.

Each races many times; whoever comes first, what is left is whole (invariants.py), and nobody was told of a deadlock.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from retrieval.passages.identity import identify
from retrieval.store.base.values import DAY, Attachment, Attempt, NotFound, Superseded
from retrieval.store.store import Store
from retrieval.types import Chunking, ParsedDocument
from tests.databases import Time, opened_store
from tests.retrieval.publishing import DIM, attach, prepare, publish, take_up, texts, vector
from tests.retrieval.store.at_once import at_once
from tests.retrieval.store.invariants import assert_whole
from tests.retrieval.store.working import embedded, work

pytestmark = pytest.mark.parametrize("rounds", [8, pytest.param(100, marks=pytest.mark.heavy)])


@pytest.fixture
def store(tmp_path: Path, time: Time) -> Iterator[Store]:
    with opened_store("postgresql", tmp_path, time) as opened:
        yield opened
        assert_whole(opened)


def test_two_contents_attached_under_one_name_leave_one_in_progress(store: Store, vs: str, rounds: int) -> None:
    for number in range(rounds):
        name = f"{number}.txt"
        at_once(*(partial(attach, store, vs, name, content) for content in ("one", "two", "one")))
        found = [file.status for file in store.attachments.page("ann", vs, limit=2).items]
        assert sorted(found) == ["cancelled", "in_progress"]


def test_a_file_that_is_deleted_while_it_is_attached_is_in_no_vector_store(store: Store, vs: str, rounds: int) -> None:
    other = store.vector_stores.create("ann", "other").id
    for number in range(rounds):
        file = store.files.add("ann", f"{number}.txt", b"x").id
        attaching = [partial(store.attachments.attach, "ann", each, file) for each in (vs, other)]
        at_once(*attaching, partial(store.files.delete, "ann", file))
    for each in (vs, other):
        assert store.attachments.page("ann", each).items == []


def test_what_was_uploaded_twice_is_attached_by_one_while_the_other_is_deleted(
    store: Store, vs: str, rounds: int
) -> None:
    """The version belongs to the first upload: changed twice in a transaction, PostgreSQL looks for that file again."""
    left: set[str] = set()
    for number in range(rounds):
        first, again = (
            store.files.add("ann", f"{number}.txt", b"x", purpose=each).id for each in ("user_data", "evals")
        )
        store.attachments.attach("ann", vs, first)
        store.attachments.cancel("ann", vs, first)
        attaching = partial(store.attachments.attach, "ann", vs, again, {"n": number})
        detaching = partial(store.attachments.detach, "ann", vs, again)
        at_once(attaching, partial(store.files.delete, "ann", first), detaching)
        with pytest.raises(NotFound):
            store.files.get("ann", first)
        left.add(again)
    assert {file.file_id for file in store.attachments.page("ann", vs, limit=1000).items} <= left


def test_a_version_of_a_batch_that_two_take_away_at_once_counts_as_what_it_was(
    store: Store, vs: str, rounds: int
) -> None:
    for number in range(rounds):
        file = store.files.add("ann", f"{number}.txt", b"x").id
        batch = store.batches.create("ann", vs, [Attachment(file)]).id
        taking = [partial(store.attachments.detach, "ann", vs, file), partial(store.files.delete, "ann", file)]
        at_once(*taking)
        assert store.batches.get("ann", vs, batch).counts.cancelled == 1


def test_what_is_cancelled_while_vectors_are_saved_keeps_none(store: Store, vs: str, rounds: int) -> None:
    for number in range(rounds):
        file = attach(store, vs, f"{number}.txt", "alpha")
        attempt = prepare(store, file.version, [ParsedDocument("alpha")], embed=False)
        keys = store.versions.pending_keys(attempt)
        saving = partial(store.versions.save_vectors, attempt, keys, vector("alpha")[None], [b"code"])
        at_once(saving, partial(store.attachments.cancel, "ann", vs, file.file_id))
        assert store.attachments.get("ann", vs, file.file_id).embedded == 0
        with pytest.raises(Superseded):
            store.publishing.publish(attempt)


def test_files_published_at_once_are_all_there(store: Store, vs: str, rounds: int) -> None:
    for number in range(rounds):
        attempts = [pending(store, vs, f"{name} {number}.txt", [f"{name} {number}", "same"]) for name in "abc"]
        assert at_once(*(partial(store.publishing.publish, each) for each in attempts)) == [True] * 3
        at_once(*(partial(store.publishing.complete, [each.version]) for each in attempts))
    assert len(texts(store, vs)) == store.changes.state(vs).head == 6 * rounds
    assert store.vector_stores.find("ann", vs).counts.completed == 3 * rounds


def test_two_workers_at_one_version_publish_it_once(store: Store, vs: str, rounds: int) -> None:
    for number in range(rounds):
        old = pending(store, vs, f"{number}.txt", ["alpha"])
        store.queue.release(old)
        new = claimed(store)
        answers = at_once(*(partial(store.publishing.publish, each) for each in (old, new, new)))
        assert isinstance(answers[0], Superseded)
        assert answers[1:] == [True, True]
    assert store.changes.state(vs).head == rounds


def test_what_is_detached_while_it_is_published_is_not_there(store: Store, vs: str, rounds: int) -> None:
    for number in range(rounds):
        attempt = pending(store, vs, "a.txt", [f"alpha {number}"])
        file = store.attachments.page("ann", vs, limit=1).items[0].file_id
        at_once(
            partial(store.publishing.publish, attempt),
            partial(store.publishing.complete, [attempt.version]),
            partial(store.attachments.detach, "ann", vs, file),
        )
        assert texts(store, vs) == []


def test_a_row_that_is_kept_while_its_version_leaves_is_not_lost(store: Store, vs: str, rounds: int) -> None:
    rows = [ParsedDocument("one"), ParsedDocument("new")]
    for number in range(rounds):
        old = publish(store, vs, "a.csv", ["one", "two", str(number)])
        new = attach(store, vs, "a.csv", f"new {number}")
        attempt = take_up(store, new.version).attempt
        store.versions.claim_embedder(attempt, "synthetic", DIM)
        at_once(
            partial(store.versions.keep_documents, attempt, identify(vs, "a.csv", rows)),
            partial(store.attachments.detach, "ann", vs, old.file_id),
        )
        while not store.publishing.publish(prepare(store, new.version, rows)):
            pass
        assert sorted(texts(store, vs)) == ["new", "one"]


def test_a_row_that_is_kept_leaves_with_its_version_or_is_published(store: Store, vs: str, rounds: int) -> None:
    rows = [ParsedDocument("one"), ParsedDocument("new")]
    for number in range(rounds):
        old = publish(store, vs, "a.csv", ["one", "two", str(number)])
        new = attach(store, vs, "a.csv", f"new {number}")
        attempt = prepare(store, new.version, rows)
        published, _ = at_once(
            partial(store.publishing.publish, attempt),
            partial(store.attachments.detach, "ann", vs, old.file_id),
        )
        assert sorted(texts(store, vs)) == (["new", "one"] if published else [])


def test_a_vector_store_that_is_deleted_takes_every_step_of_ingest_with_it(store: Store, rounds: int) -> None:
    for number in range(rounds):
        vs = store.vector_stores.create("ann", str(number)).id
        for name in "abcd":
            attach(store, vs, f"{name}.txt", name)
        at_once(*[partial(work, store)] * 3, partial(store.vector_stores.delete, "ann", vs))
        assert store.queue.unfinished() == 0
        with pytest.raises(NotFound):
            store.vector_stores.find("ann", vs)


def test_what_expires_while_files_are_attached_is_empty_or_lives_on(store: Store, time: Time, rounds: int) -> None:
    for number in range(rounds):
        vs = store.vector_stores.create("ann", str(number), expires_days=1).id
        publish(store, vs, "a.txt", ["alpha"])
        time.now += DAY
        attaching = [partial(attach, store, vs, f"{name}.txt", name) for name in "bc"]
        at_once(store.retention.expire, *attaching, store.retention.expire)
        assert store.vector_stores.resolve("ann", vs).expired
        assert store.attachments.page("ann", vs).items == []


def test_uses_are_written_while_files_of_many_vector_stores_are_deleted(store: Store, time: Time, rounds: int) -> None:
    """Each takes several vector stores."""
    for _ in range(rounds):
        stores = [store.vector_stores.create("ann", str(i), expires_days=1 + i % 2).id for i in range(6)]
        files = [store.files.add("ann", f"{name}.txt", b"x", expires_seconds=DAY).id for name in "ab"]
        for number, vs in enumerate(stores):
            store.batches.create("ann", vs, [Attachment(file) for file in files[:: 1 if number % 2 else -1]])
        time.now += DAY
        for vs in stores[1::2]:
            store.vector_stores.use(store.vector_stores.resolve("ann", vs))
        at_once(store.retention.expire, store.retention.write_uses, store.retention.expire)
        assert [store.vector_stores.find("ann", vs).counts.total for vs in stores] == [0] * 6
        for vs in stores:
            store.vector_stores.delete("ann", vs)


def test_batches_and_deletes_of_the_same_files_in_opposite_orders(store: Store, vs: str, rounds: int) -> None:
    other = store.vector_stores.create("ann", "other").id
    for number in range(rounds):
        files = [store.files.add("ann", f"{number} {i}.txt", b"x").id for i in range(4)]
        wanted = [Attachment(file) for file in files]
        at_once(
            partial(store.batches.create, "ann", vs, wanted),
            partial(store.batches.create, "ann", other, wanted[::-1]),
            partial(store.vector_stores.create, "ann", "new", files=wanted[1:]),
            *(partial(store.files.delete, "ann", file) for file in files[:1]),
            *(partial(store.files.delete, "ann", file) for file in files[:1:-1]),
        )
        for each in (vs, other):
            assert {file.file_id for file in store.attachments.page("ann", each).items} <= {files[1]}
            for file in store.attachments.page("ann", each).items:
                store.attachments.detach("ann", each, file.file_id)


def test_a_batch_that_is_cancelled_while_it_is_worked_at_has_ended(store: Store, vs: str, rounds: int) -> None:
    for number in range(rounds):
        files = [store.files.add("ann", f"{number} {i}.txt", str(i).encode()).id for i in range(4)]
        batch = store.batches.create("ann", vs, [Attachment(file) for file in files]).id
        at_once(*[partial(work, store)] * 2, partial(store.batches.cancel, "ann", vs, batch))
        work(store)
        counts = store.batches.get("ann", vs, batch).counts
        assert (counts.in_progress, counts.completed + counts.cancelled) == (0, 4)


def test_leases_are_renewed_while_all_that_is_leased_ends(store: Store, rounds: int) -> None:
    """In the order of the attempts; what ends many versions goes through them in an order of its own."""
    for number in range(rounds):
        vs = store.vector_stores.create("ann", str(number)).id
        leased = [pending(store, vs, f"{i}.txt", [str(i)]) for i in range(6)]
        for attempt in leased[::2]:
            assert store.publishing.publish(attempt)
        at_once(
            partial(store.queue.renew, "one", leased, 60),
            partial(store.queue.renew, "one", leased[::-1], 60),
            partial(store.publishing.complete, [attempt.version for attempt in leased[::-1]]),
            partial(store.queue.release_all, "one"),
            partial(store.vector_stores.delete, "ann", vs),
        )


def test_anybody_may_do_anything_at_any_time(store: Store, vs: str, time: Time, rounds: int) -> None:
    """A few names and contents, so that all of them meet."""
    stores = [vs, store.vector_stores.create("ann", "other").id]

    def one_client(seed: int) -> None:
        chosen = random.Random(seed)
        for _ in range(3 * rounds):
            with suppress(NotFound, Superseded):
                one_call(store, chosen, chosen.choice(stores))

    at_once(*(partial(one_client, seed) for seed in range(4)), *[partial(work_often, store, rounds)] * 2)
    work(store)
    assert store.queue.unfinished() == 0


def one_call(store: Store, chosen: random.Random, vs: str) -> None:
    name, content = f"{chosen.randrange(3)}.csv", chosen.choice([b"one", b"two", b"one\ntwo", b"three\none"])
    file = store.files.add("ann", name, content, purpose=chosen.choice(["assistants", "user_data"])).id
    calls: list[Callable[[], object]] = [
        partial(store.attachments.attach, "ann", vs, file),
        partial(store.attachments.attach, "ann", vs, file, {"n": chosen.random()}),
        partial(store.attachments.attach, "ann", vs, file, None, Chunking(chosen.choice([100, 200]), 0)),
        partial(store.attachments.detach, "ann", vs, file),
        partial(store.attachments.cancel, "ann", vs, file),
        partial(store.attachments.update_attributes, "ann", vs, file, {"n": 1}),
        partial(store.batches.create, "ann", vs, [Attachment(file)]),
        partial(store.files.delete, "ann", file),
        store.retention.sweep_blobs,
        partial(store.vector_stores.find, "ann", vs),
    ]
    chosen.choice(calls)()


def work_often(store: Store, rounds: int) -> None:
    for _ in range(rounds):
        work(store)


def pending(store: Store, vs: str, filename: str, rows: list[str]) -> Attempt:
    """The first attempt at a new file, which worker one holds, as far as publishing it. Nothing else can be claimed."""
    file = attach(store, vs, filename, "\n".join(rows))
    attempt = claimed(store)
    assert attempt.version == file.version
    return embedded(store, attempt, vs, filename, "\n".join(rows))


def claimed(store: Store) -> Attempt:
    job = store.queue.claim("one", 3600)
    assert job is not None
    return job.attempt

"""Versions in progress as a queue of leases: who may claim what, and when."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from retrieval.store.base.tables import store_files
from retrieval.store.base.values import Attempt, IngestJob, StoreFile, Superseded, Tried
from retrieval.store.store import Store
from retrieval.types import ParsedDocument
from tests.databases import Time
from tests.retrieval.publishing import WORKER, attach, prepare, vector

OWNER = "ann"
LEASE = 60.0


def claimed(store: Store, worker: str = "one") -> IngestJob:
    job = store.queue.claim(worker, LEASE)
    assert job is not None
    return job


def lease(store: Store, version: int) -> tuple[str | None, float | None]:
    held = select(store_files.c.leased_by, store_files.c.lease_until).where(store_files.c.version == version)
    with store.database.read() as db:
        worker, until = db.execute(held).one()
        return worker, until


def test_the_oldest_version_that_nobody_holds_is_claimed(store: Store, vs: str, time: Time) -> None:
    assert store.queue.claim("one", LEASE) is None
    files = [attach(store, vs, f"{name}.txt", name) for name in "abc"]
    store.attachments.cancel(OWNER, vs, files[1].file_id)
    job = claimed(store)
    assert (job.attempt, job.owner, job.store_id, job.file_id) == ((files[0].version, 1), OWNER, vs, files[0].file_id)
    assert (job.filename, job.stage, job.visible) == ("a.txt", "accepted", False)
    assert lease(store, files[0].version) == ("one", time.now + LEASE)
    assert claimed(store, "two").attempt.version == files[2].version
    assert store.queue.claim("one", LEASE) is None
    assert store.queue.unfinished() == 2
    versions = [file.version for file in files]
    assert store.queue.in_progress([*versions, 10**6]) == {versions[0], versions[2]}
    assert store.queue.in_progress([]) == set()


def test_owners_take_turns_and_so_do_the_vector_stores_of_one(store: Store, vs: str, time: Time) -> None:
    """A large upload, another store of the same owner, and somebody else's single files, put up later."""

    def put(owner: str, store_id: str, name: str) -> None:
        file = store.files.add(owner, name, name.encode())
        store.attachments.attach(owner, store_id, file.id)

    def names(count: int) -> list[str]:
        found = []
        for _ in range(count):
            time.now += 1
            found.append(claimed(store).filename)
        return found

    other, bobs = store.vector_stores.create(OWNER, "other").id, store.vector_stores.create("bob", "his").id
    for i in range(6):
        put(OWNER, vs, f"large {i}")
    assert names(2) == ["large 0", "large 1"]
    for i in range(2):
        put("bob", bobs, f"bob {i}")
        put(OWNER, other, f"other {i}")
    assert names(8) == ["bob 0", "other 0", "bob 1", "large 2", "other 1", "large 3", "large 4", "large 5"]
    put("bob", bobs, "bob 2")
    put(OWNER, vs, "large 6")
    assert names(2) == ["bob 2", "large 6"], "who was served long ago has no credit: one turn, and then in turns again"


def test_an_owner_whose_files_all_rest_holds_up_nobody(store: Store, vs: str, time: Time) -> None:
    bobs = store.vector_stores.create("bob", "his").id
    attach(store, vs, "a.txt", "alpha")
    store.queue.release(claimed(store).attempt, 5.0)
    time.now += 1
    file = store.files.add("bob", "b.txt", b"beta")
    store.attachments.attach("bob", bobs, file.id)
    assert claimed(store).filename == "b.txt"
    time.now += 1
    later = store.files.add("bob", "c.txt", b"gamma")
    store.attachments.attach("bob", bobs, later.id)
    assert claimed(store).filename == "c.txt", "ann was served before him, but what she has rests"
    assert store.queue.claim("one", LEASE) is None


def test_many_workers_claim_each_version_once(store: Store, vs: str) -> None:
    versions = [attach(store, vs, f"{i}.txt", str(i)).version for i in range(40)]

    def one_worker(number: int) -> list[Attempt]:
        jobs = iter(lambda: store.queue.claim(f"worker {number}", LEASE), None)
        return [job.attempt for job in jobs if job is not None]

    with ThreadPoolExecutor(8) as pool:
        found = [attempt for attempts in pool.map(one_worker, range(8)) for attempt in attempts]
    assert sorted(found) == [(version, 1) for version in versions]


def test_a_lease_that_has_run_out_is_taken_over_and_the_old_attempt_is_superseded(
    store: Store, vs: str, time: Time
) -> None:
    attach(store, vs, "a.txt", "alpha")
    old = claimed(store).attempt
    time.now += LEASE - 1
    assert store.queue.claim("two", LEASE) is None
    time.now += 1
    new = claimed(store, "two").attempt
    assert new == (old.version, old.number + 1)
    with pytest.raises(Superseded):
        store.versions.set_stage(old, "parsed")
    store.versions.set_stage(new, "parsed")


def test_a_lease_is_renewed_by_who_holds_it_alone(store: Store, vs: str, time: Time) -> None:
    kept, lost = (attach(store, vs, f"{name}.txt", name).version for name in "ab")
    attempts = [claimed(store).attempt, claimed(store).attempt]
    store.queue.release(attempts[1])
    taken = claimed(store, "two").attempt
    time.now += 40
    store.queue.renew("one", attempts, LEASE)
    store.queue.renew("one", [taken], LEASE)
    assert lease(store, kept) == ("one", time.now + LEASE)
    assert lease(store, lost) == ("two", time.now - 40 + LEASE)


def test_what_is_given_back_is_claimed_at_once_or_after_its_pause(store: Store, vs: str, time: Time) -> None:
    version = attach(store, vs, "a.txt", "alpha").version
    first = claimed(store).attempt
    store.queue.release(first)
    assert lease(store, version) == (None, None)
    second = claimed(store, "two").attempt
    store.queue.release(first, 5.0)  # it has no say any longer
    assert lease(store, version) == ("two", time.now + LEASE)
    store.queue.release(second, 5.0)
    assert lease(store, version) == (None, time.now + 5)
    assert store.queue.claim("one", LEASE) is None
    time.now += 5
    assert claimed(store).attempt.version == version


def test_a_worker_that_has_died_gives_back_what_it_had_at_its_next_start(store: Store, vs: str) -> None:
    versions = [attach(store, vs, f"{i}.txt", str(i)).version for i in range(3)]
    assert [claimed(store).attempt.version, claimed(store).attempt.version] == versions[:2]
    claimed(store, "two")
    store.queue.release_all("one")
    assert [claimed(store, "two").attempt.version for _ in range(2)] == versions[:2]
    assert store.queue.claim("two", LEASE) is None


def test_the_next_due_is_the_earliest_end_of_a_lease_or_a_pause(store: Store, vs: str, time: Time) -> None:
    assert store.queue.next_due() is None
    for name in "ab":
        attach(store, vs, f"{name}.txt", name)
    claimed(store)
    assert (store.queue.next_due() or 0) <= time.now  # the other one
    store.queue.release(claimed(store).attempt, 5.0)
    assert store.queue.next_due() == time.now + 5
    time.now += 5
    store.publishing.complete([claimed(store).attempt.version])  # it is not visible, so nothing happens
    assert store.queue.next_due() == time.now - 5 + LEASE


def cancelled(store: Store, vs: str, file: StoreFile, attempt: Attempt) -> None:
    store.attachments.cancel(OWNER, vs, file.file_id)


def failed(store: Store, vs: str, file: StoreFile, attempt: Attempt) -> None:
    store.publishing.fail(attempt, "invalid_file", "broken")


@pytest.mark.parametrize("end", [cancelled, failed])
def test_nobody_holds_what_has_ended_nor_what_is_put_up_again(
    store: Store, vs: str, end: Callable[[Store, str, StoreFile, Attempt], None]
) -> None:
    file = attach(store, vs, "a.txt", "alpha")
    old = claimed(store).attempt
    end(store, vs, file, old)
    assert lease(store, file.version) == (None, None)
    assert store.queue.claim("two", LEASE) is None
    attach(store, vs, "a.txt", "alpha")
    assert lease(store, file.version) == (None, None)
    store.queue.renew("one", [old], LEASE)
    assert claimed(store, "two").attempt > old


def test_what_is_published_stays_leased_until_it_is_completed(store: Store, vs: str, time: Time) -> None:
    file = attach(store, vs, "a.txt", "alpha")
    attempt = prepare(store, file.version, [ParsedDocument("alpha")])
    store.queue.release(attempt)
    job = claimed(store)
    assert store.publishing.publish(job.attempt)
    assert lease(store, file.version) == ("one", time.now + LEASE)
    time.now += LEASE
    assert claimed(store, "two").visible
    store.publishing.complete([file.version])
    assert lease(store, file.version) == (None, None)
    assert store.queue.unfinished() == 0


def test_who_has_nothing_to_claim_waits_for_no_writer(store: Store) -> None:
    with ThreadPoolExecutor(1) as pool, store.database.write():
        assert pool.submit(store.queue.claim, "one", LEASE).result(10) is None
        assert pool.submit(store.queue.next_due).result(10) is None


def tried(store: Store, version: int) -> Tried:
    columns = [store_files.c[name] for name in Tried._fields]
    with store.database.read() as db:
        return Tried(*db.execute(select(*columns).where(store_files.c.version == version)).one())


def test_a_claim_that_ends_without_a_word_is_a_death(store: Store, vs: str, time: Time) -> None:
    version = attach(store, vs, "a.txt", "alpha").version
    claimed(store)
    store.queue.release_all("one")  # it was ended, and said so
    assert claimed(store).tried.deaths == 0
    store.queue.release_all("one", 60.0)  # it is known to be dead
    assert claimed(store).tried.deaths == 1
    time.now += LEASE
    assert claimed(store).tried.deaths == 1, "its own lease ran out, while it could not renew it"
    time.now += LEASE
    assert claimed(store, "two").tried.deaths == 2
    store.queue.release(Attempt(version, 5), tried=Tried(tries=1))
    assert tried(store, version) == Tried(deaths=2, tries=1)


def test_what_was_in_vain_is_kept_until_something_is_done_that_stays(store: Store, vs: str) -> None:
    file = attach(store, vs, "a.txt", "alpha")
    given = Tried(0, 4, 2, 17.5)
    store.queue.release(claimed(store).attempt, tried=given)
    job = claimed(store)
    assert job.tried == given
    store.queue.release(job.attempt)
    assert claimed(store).tried == given
    store.versions.set_stage(Attempt(file.version, 3), "parsed")
    assert tried(store, file.version) == given, "a killed server parses it once more"
    store.queue.release(Attempt(file.version, 3))
    prepare(store, file.version, [ParsedDocument("alpha")], embed=False)
    assert tried(store, file.version) == Tried()


@pytest.mark.parametrize("how", ["vectors", "publish", "retry"])
def test_tries_begin_anew_with(store: Store, vs: str, how: str) -> None:
    file = attach(store, vs, "a.txt", "alpha")
    prepare(store, file.version, [ParsedDocument("alpha")], embed=how == "publish")
    store.queue.release_all(WORKER, 0.0)
    job = claimed(store)
    assert job.tried.deaths == 1
    if how == "vectors":
        (key,) = store.versions.pending_keys(job.attempt)
        store.versions.save_vectors(job.attempt, [key], vector("alpha")[None], [b"code"])
    elif how == "publish":
        assert store.publishing.publish(job.attempt)
    else:
        store.publishing.fail(job.attempt, "worker_died", "it died")
        store.attachments.retry(OWNER, vs, file.file_id)
    assert tried(store, file.version) == Tried()


def test_where_a_worker_died_it_has_one_file_at_a_time_beside_those_nobody_died_at(
    store: Store, vs: str, time: Time
) -> None:
    versions = [attach(store, vs, f"{name}.txt", name).version for name in "abcd"]
    for _ in range(3):
        claimed(store)
    store.queue.release_all("one", 60.0)
    first = claimed(store)
    assert (first.attempt.version, first.tried.deaths) == (versions[0], 1)
    assert claimed(store).attempt.version == versions[3]
    assert store.queue.claim("one", LEASE) is None
    assert (store.queue.next_due("one") or 0) == time.now + LEASE
    assert (store.queue.next_due("two") or 0) <= time.now
    assert claimed(store, "two").attempt.version == versions[1]
    store.queue.release(first.attempt, 5.0)
    assert claimed(store).attempt.version == versions[2]


def test_of_claims_at_once_one_has_a_file_that_somebody_died_at(store: Store, vs: str) -> None:
    for i in range(6):
        attach(store, vs, f"{i}.txt", str(i))
        claimed(store)
    store.queue.release_all("one", 60.0)
    with ThreadPoolExecutor(4) as pool:
        jobs = list(pool.map(lambda _: store.queue.claim("one", LEASE), range(8)))
    assert len([job for job in jobs if job is not None]) == 1


def test_what_two_have_died_at_rests_after_each_start(store: Store, vs: str, time: Time) -> None:
    """A server that is killed again and again, whatever it does, condemns no file: it must live for a while first."""
    attach(store, vs, "a.txt", "alpha")
    for _ in range(2):
        claimed(store)
        store.queue.release_all("one", 60.0)
    assert store.queue.claim("one", LEASE) is None
    for _ in range(5):
        time.now += 50
        store.queue.release_all("one", 60.0)  # nothing was at it this time
        assert store.queue.claim("one", LEASE) is None
    assert store.queue.next_due("one") == time.now + 60
    time.now += 60
    assert claimed(store).tried.deaths == 2

"""Whoever listens hears of what is found, once; of what is made anew in the background, nothing."""

import pytest

from retrieval.store.base.values import Attachment
from retrieval.store.store import Store
from tests.retrieval.publishing import DIM, attach, publish
from tests.retrieval.store.generations.test_generations import NEW, OWNER, building, ingest
from tests.retrieval.store.outbox.listening import URL, told


@pytest.fixture
def hook(store: Store) -> str:
    return store.webhooks.create(OWNER, URL, "", None)[0].id


def heard(store: Store, hook: str) -> list[tuple[str, str]]:
    """Types, and ids of files and batches."""
    return [(type, data.get("file_id") or data["batch_id"]) for type, data in told(store, OWNER, hook)]


def test_what_is_made_anew_is_told_to_nobody(store: Store, vs: str, hook: str) -> None:
    file = publish(store, vs, "a.txt", ["alpha"]).file_id
    batch = store.batches.create(OWNER, vs, [Attachment(file)]).id
    expected = [("file.completed", file), ("batch.completed", batch)]
    assert heard(store, hook) == expected
    store.generations.begin(NEW, alone=True)
    index_id = building(store)
    ingest(store, "new", 8)
    assert store.generations.switch(index_id) == "switched"
    store.deliveries.announce()
    assert heard(store, hook) == expected


@pytest.mark.parametrize("fails", [False, True])
def test_what_ends_in_the_generation_first_is_told_with_the_switch(
    store: Store, vs: str, hook: str, fails: bool
) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    store.generations.begin(NEW, alone=True)
    building(store)
    ingest(store, "new", 8)
    later = attach(store, vs, "b.txt", "beta").file_id
    batch = store.batches.create(OWNER, vs, [Attachment(later)]).id
    index_id = building(store)
    if fails:
        job = store.queue.claim("builder", 60, embedders=["new"])
        assert job is not None
        store.publishing.fail(job.attempt, "invalid_file", "broken")
    else:
        ingest(store, "new", 8)
    store.deliveries.announce()
    before = heard(store, hook)
    assert len(before) == 1, "nothing of the later one"
    assert store.generations.switch(index_id) == "switched"
    ended = "failed" if fails else "completed"
    expected = [*before, (f"file.{ended}", later), (f"batch.{ended}", batch)]
    assert heard(store, hook) == expected
    ingest(store, "synthetic", DIM)  # what was found until now
    store.deliveries.announce()
    assert heard(store, hook) == expected


def test_what_is_still_in_progress_at_the_switch_is_told_at_its_end(store: Store, vs: str, hook: str) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    store.generations.begin(NEW, alone=True)
    index_id = building(store)
    ingest(store, "new", 8)
    later = attach(store, vs, "b.txt", "beta").file_id
    batch = store.batches.create(OWNER, vs, [Attachment(later)]).id
    assert store.generations.switch(index_id) == "switched"
    before = heard(store, hook)
    ingest(store, "new", 8)
    assert heard(store, hook) == [*before, ("file.completed", later), ("batch.completed", batch)]

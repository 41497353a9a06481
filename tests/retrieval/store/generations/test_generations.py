"""Generations of a vector store, on both databases: begun, filled, switched, gone back to, dropped."""

from collections.abc import Sequence

import numpy as np
import pytest

from retrieval.passages.identity import identify
from retrieval.store.base.values import Attachment, IngestJob, NamedStore, NotFound, VectorSpace
from retrieval.store.generations.values import Recipe
from retrieval.store.store import Store
from retrieval.types import Chunking, Cutting, NewChunk, ParsedDocument, Span
from tests.retrieval.publishing import DIM, attach, publish, vector

OLD = Recipe(VectorSpace("synthetic", DIM), Cutting())
NEW = Recipe(VectorSpace("new", 8), Cutting(Chunking(300, 0)))
CUT = Recipe(VectorSpace("synthetic", DIM), Cutting(Chunking(300, 0)))
OWNER = "ann"


def ingest(store: Store, embedder: str, dim: int) -> list[str]:
    """What waits for that embedder is published, word by word; the names of its files, in their order."""
    names = []
    while (job := store.queue.claim("builder", 60, embedders=[embedder])) is not None:
        _publish(store, job, embedder, dim)
        names.append(job.filename)
    return names


def _publish(store: Store, job: IngestJob, embedder: str, dim: int) -> None:
    attempt, text = job.attempt, store.files.content(OWNER, job.file_id).decode().split("\n")[0]
    store.versions.claim_embedder(attempt, embedder, dim)
    documents = identify(job.store_id, job.filename, [ParsedDocument(text)])
    spans = _words(text)
    if documents[0].id not in store.versions.keep_documents(attempt, documents):
        chunks = [NewChunk(span, text[span.start : span.end], [text[span.start : span.end]]) for span in spans]
        store.versions.add_documents(attempt, [(documents[0], chunks)])
    store.versions.finish_chunking(attempt, 1)
    if pending := store.versions.pending_keys(attempt):
        rows = np.stack([vector(each, dim) for each in store.versions.pending_texts(attempt, pending)])
        store.versions.save_vectors(attempt, pending, rows, [b"code"] * len(pending))
    assert store.publishing.publish(attempt)
    store.publishing.complete([attempt.version])


def _words(text: str) -> list[Span]:
    ends = [at for at, character in enumerate(text) if character == " "] + [len(text)]
    return [Span(start, end) for start, end in zip([0, *(end + 1 for end in ends)], ends, strict=False)]


def found(store: Store, named: NamedStore) -> list[str]:
    """Everything that a search which began with `named` may find."""
    loaded = store.passages.load(OWNER, named, sorted(store.passages.keys(OWNER, named)))
    assert {passage.chunk.store_id for passage in loaded.values()} <= {named.id}
    return [loaded[key].chunk.text for key in sorted(loaded)]


def held(store: Store, index_id: str) -> list[str]:
    """The terms of a generation's passages, whether it is found or not."""
    return [terms for _, terms in store.passages.terms(store.passages.visible_keys(index_id)[0])]


def building(store: Store) -> str:
    (index_id,) = store.generations.building()
    store.generations.fill(index_id)
    return index_id


def states(store: Store) -> list[tuple[str, str | None]]:
    return [(each.state, each.recipe and each.recipe.space.embedder) for each in store.generations.of(OWNER)]


def made_anew(store: Store, recipe: Recipe = NEW) -> str:
    """index_id of what was found until now."""
    (before,) = (each.index_id for each in store.generations.of(OWNER) if each.state == "found")
    store.generations.begin(recipe, alone=True)
    index_id = building(store)
    ingest(store, recipe.space.embedder, recipe.space.dim)
    assert store.generations.switch(index_id) == "switched"
    return before


def test_what_is_found_changes_in_one_step_and_a_search_that_has_begun_stays_with_what_it_began_with(
    store: Store, vs: str
) -> None:
    published = publish(store, vs, "a.txt", ["alpha beta"], {"year": 2024})
    batch = store.batches.create(OWNER, vs, [Attachment(published.file_id)])
    began = store.vector_stores.resolve(OWNER, vs)
    store.generations.begin(NEW, alone=True)
    index_id = building(store)
    assert states(store) == [("found", "synthetic"), ("building", "new")]
    assert store.generations.switch(index_id) == "waiting"
    assert ingest(store, "new", 8) == ["a.txt"]
    assert found(store, store.vector_stores.resolve(OWNER, vs)) == ["alpha beta"]
    assert store.generations.switch(index_id) == "switched"
    now = store.vector_stores.resolve(OWNER, vs)
    assert (now.space, now.index_id, now.id) == (NEW.space, index_id, began.id)
    assert (found(store, now), found(store, began)) == (["alpha", "beta"], ["alpha beta"])
    assert states(store) == [("found", "new"), ("kept", "synthetic")]
    attached = store.attachments.get(OWNER, vs, published.file_id)
    assert (attached.status, attached.chunks, attached.attributes) == ("completed", 2, {"year": 2024})
    assert attached.chunking == Chunking(300, 0), "the usual passages are the new ones"
    assert store.batches.get(OWNER, vs, batch.id).counts.completed == 1
    assert [each.id for each in store.vector_stores.page(OWNER).items] == [vs]
    assert store.vector_stores.find(OWNER, vs).counts.total == 1
    assert store.generations.switch(index_id) == "gone", "it is found already"


def test_what_comes_and_goes_meanwhile_is_in_both(store: Store, vs: str) -> None:
    stays, goes = (publish(store, vs, f"{name}.txt", [name]) for name in ("stays", "goes"))
    publish(store, vs, "changes.txt", ["before"])
    store.generations.begin(NEW, alone=True)
    index_id = building(store)
    ingest(store, "new", 8)
    publish(store, vs, "comes.txt", ["comes"])
    publish(store, vs, "changes.txt", ["after"])
    store.attachments.detach(OWNER, vs, goes.file_id)
    store.attachments.update_attributes(OWNER, vs, stays.file_id, {"year": 2025})
    attach(store, vs, "pending.txt", "pending")
    assert store.generations.switch(index_id) == "waiting"
    assert sorted(ingest(store, "new", 8)) == ["changes.txt", "comes.txt", "pending.txt"]
    assert store.generations.switch(index_id) == "switched"
    words = ["after", "comes", "pending", "stays"]
    assert sorted(held(store, index_id)) == words == sorted(found(store, store.vector_stores.resolve(OWNER, vs)))
    assert store.attachments.get(OWNER, vs, stays.file_id).attributes == {"year": 2025}
    assert {each.filename for each in store.attachments.page(OWNER, vs).items} == {
        *("stays.txt", "changes.txt", "comes.txt", "pending.txt")
    }


def test_a_file_that_waits_at_the_switch_is_found_afterwards(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    store.generations.begin(NEW, alone=True)
    index_id = building(store)
    ingest(store, "new", 8)
    later = attach(store, vs, "b.txt", "beta")
    assert store.generations.switch(index_id) == "switched", "everything that is found is there"
    assert store.attachments.get(OWNER, vs, later.file_id).status == "in_progress"
    ingest(store, "new", 8)
    assert store.attachments.get(OWNER, vs, later.file_id).status == "completed"
    assert sorted(held(store, index_id)) == ["alpha", "beta"]


def test_files_that_fail_anew_hold_the_switch_until_they_are_tried_again_or_done_without(store: Store, vs: str) -> None:
    lost = publish(store, vs, "lost.txt", ["lost"])
    publish(store, vs, "a.txt", ["alpha"])
    store.generations.begin(NEW, alone=True)
    index_id = building(store)
    job = store.queue.claim("builder", 60, embedders=["new"])
    assert job is not None
    store.publishing.fail(job.attempt, "unsupported_file", "why")
    ingest(store, "new", 8)
    assert store.generations.switch(index_id) == "failed"
    assert store.generations.lacking(index_id) == (1, 1)
    store.generations.begin(NEW, alone=True)  # the next start
    assert store.generations.switch(index_id) == "waiting"
    job = store.queue.claim("builder", 60, embedders=["new"])
    assert job is not None
    store.publishing.fail(job.attempt, "unsupported_file", "why")
    assert store.generations.switch(index_id, whole=False) == "switched"
    told = store.attachments.get(OWNER, vs, lost.file_id)
    assert (told.status, told.error and told.error.code) == ("failed", "unsupported_file")


def test_it_goes_back_at_once_and_stays_there(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha beta"])
    gone = publish(store, vs, "gone.txt", ["gone"])
    before = made_anew(store)
    later = attach(store, vs, "later.txt", "later")
    ingest(store, "new", 8)
    store.files.delete(OWNER, gone.file_id)
    assert store.generations.switch(before, whole=False, refuse=True) == "switched"
    now = store.vector_stores.resolve(OWNER, vs)
    assert (now.index_id, now.id, found(store, now)) == (before, vs, ["alpha beta"])
    assert store.attachments.get(OWNER, vs, later.file_id).status == "in_progress"
    store.generations.begin(NEW, alone=True)
    assert store.generations.building() == [], "the next start does not undo it"
    ingest(store, "synthetic", DIM)
    assert sorted(found(store, now)) == ["alpha beta", "later"]
    assert store.generations.drop_ended(2**40) == [], "what was switched away from is dropped by hand alone"


def test_settings_that_come_back_find_what_is_kept(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    before = made_anew(store)
    attach(store, vs, "b.txt", "beta")
    ingest(store, "new", 8)
    store.generations.begin(OLD, alone=True)
    assert building(store) == before
    assert ingest(store, "synthetic", DIM) == ["b.txt"], "what is there is not done again"
    assert store.generations.switch(before) == "switched"
    assert sorted(held(store, before)) == ["alpha", "beta"]


def test_another_cutting_takes_the_vectors_that_are_there(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    store.generations.begin(CUT, alone=True)
    building(store)
    job = store.queue.claim("builder", 60)
    assert job is not None
    documents = identify(job.store_id, job.filename, [ParsedDocument("alpha gamma")])
    chunks = [NewChunk(Span(0, 5), "alpha", ["alpha"]), NewChunk(Span(6, 11), "gamma", ["gamma"])]
    store.versions.add_documents(job.attempt, [(documents[0], chunks)])
    store.versions.finish_chunking(job.attempt, 1)
    pending = store.versions.pending_keys(job.attempt)
    assert store.versions.pending_texts(job.attempt, pending) == ["gamma"]


def test_chunking_that_a_file_has_of_its_own_stays(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    own = store.files.add(OWNER, "own.txt", b"own")
    store.attachments.attach(OWNER, vs, own.id, chunking=Chunking(120, 10))
    made_anew(store)
    assert store.attachments.get(OWNER, vs, own.id).chunking == Chunking(120, 10)
    store.attachments.attach(OWNER, vs, own.id, chunking="auto")
    assert store.attachments.get(OWNER, vs, own.id).chunking == Chunking(300, 0)


def test_one_in_which_nothing_is_found_yet_is_begun_anew_in_its_place(store: Store, vs: str) -> None:
    attached = attach(store, vs, "a.txt", "alpha")
    job = store.queue.claim("one", 60)
    assert job is not None
    store.versions.claim_embedder(job.attempt, "synthetic", DIM)
    store.generations.begin(NEW, alone=True)
    assert store.generations.building() == []
    ingest(store, "new", 8)
    assert store.vector_stores.resolve(OWNER, vs).space == NEW.space
    assert store.attachments.get(OWNER, vs, attached.file_id).chunking == Chunking(300, 0)


def test_what_is_built_for_settings_that_nobody_has_any_more_is_dropped(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    for _ in range(2):
        store.generations.begin(NEW, alone=True)
        assert states(store) == [("found", "synthetic"), ("building", "new")]
    store.generations.begin(OLD, alone=False)
    assert states(store) == [("found", "synthetic"), ("building", "new")], "another server may want it"
    store.generations.begin(CUT, alone=True)
    assert states(store) == [("found", "synthetic"), ("building", "synthetic")]
    store.generations.begin(OLD, alone=True)
    assert states(store) == [("found", "synthetic")]


def test_what_is_kept_goes_in_its_time_or_when_it_is_dropped(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    before = made_anew(store)
    assert store.generations.drop_ended(0) == []
    with pytest.raises(NotFound):
        store.generations.drop("bob", before)
    with pytest.raises(NotFound):
        store.generations.drop(OWNER, store.vector_stores.resolve(OWNER, vs).index_id)
    assert store.generations.drop_ended(2**40) == [before]
    assert states(store) == [("found", "new")]
    second = made_anew(store, CUT)
    store.generations.drop(OWNER, second)
    assert states(store) == [("found", "synthetic")]


def test_a_vector_store_and_a_file_leave_with_all_their_generations(store: Store, vs: str) -> None:
    shared = publish(store, vs, "a.txt", ["alpha"])
    other = store.files.add(OWNER, "a.txt", b"alpha\n()", purpose="user_data")
    before = made_anew(store)
    store.attachments.attach(OWNER, vs, other.id, {"year": 2026})
    store.files.delete(OWNER, shared.file_id)
    assert held(store, before) == ["alpha"], "the other has the same content"
    store.files.delete(OWNER, other.id)
    assert store.passages.visible_keys(before)[0] == []
    store.vector_stores.delete(OWNER, vs)
    assert store.changes.store_ids() == []


@pytest.mark.parametrize("embedders", [["synthetic"], ["new"], ["neither"], None])
def test_files_wait_for_who_has_their_embedder(store: Store, vs: str, embedders: Sequence[str] | None) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    store.generations.begin(NEW, alone=True)
    building(store)
    attach(store, vs, "b.txt", "beta")
    assert (store.queue.next_due(embedders=embedders) is None) == (embedders == ["neither"])
    claimed = []
    while (job := store.queue.claim("one", 60, embedders=embedders)) is not None:
        claimed.append((job.filename, job.embedder))
    expected = {"synthetic": [("b.txt", "synthetic")], "new": [("a.txt", "new")], "neither": []}
    assert claimed == expected[embedders[0]] if embedders else len(claimed) == 2
    assert store.queue.claim("one", 60, embedders=["new"], beside=False) is None

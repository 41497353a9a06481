import numpy as np
import pytest

from retrieval.store.base.values import EmbedderMismatch, Superseded
from retrieval.store.store import Store
from retrieval.types import ParsedDocument
from tests.retrieval.publishing import DIM, WORKER, attach, prepare, publish, take_up, texts, vector


def test_rows_that_did_not_change_keep_their_keys_and_are_not_embedded_again(store: Store, vs: str) -> None:
    publish(store, vs, "a.csv", ["one", "two", "three"])
    before, _ = store.passages.visible_keys(vs)
    new = attach(store, vs, "a.csv", "another")
    attempt = prepare(store, new.version, [ParsedDocument(t) for t in ("zero", "three", "one")], embed=False)
    assert store.versions.pending_texts(attempt, store.versions.pending_keys(attempt)) == ["zero"]
    attempt = prepare(store, new.version, [ParsedDocument(t) for t in ("zero", "three", "one")])
    assert store.publishing.publish(attempt)
    after, _ = store.passages.visible_keys(vs)
    assert set(before) & set(after) == {before[0], before[2]}
    assert store.attachments.content("ann", vs, new.file_id) == ["zero", "three", "one"]
    log = [(change.key, change.added) for change in store.changes.after(vs, 3, 100)]
    assert sorted(log) == sorted([(before[1], False), (max(after), True)])


def test_a_passage_known_from_another_file_is_not_embedded_again(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"], lexical=True)
    copy = attach(store, vs, "b.txt", "alpha")
    attempt = prepare(store, copy.version, [ParsedDocument("alpha")], embed=False, lexical=True)
    assert store.versions.pending_keys(attempt) == []
    assert store.publishing.publish(attempt)
    wanted, _ = store.passages.visible_keys(vs)
    keys, rows = store.passages.vectors(wanted, DIM)
    assert len(keys) == 2
    np.testing.assert_allclose(rows, [vector("alpha")] * 2, atol=1e-3)
    assert len({weights for _, weights in store.passages.weights(wanted)}) == 1


def test_a_kept_row_whose_file_goes_away_is_worked_through_again(store: Store, vs: str) -> None:
    old = publish(store, vs, "a.csv", ["one", "two"])
    new = attach(store, vs, "a.csv", "another")
    rows = [ParsedDocument("one"), ParsedDocument("new")]
    attempt = prepare(store, new.version, rows)
    store.attachments.detach("ann", vs, old.file_id)
    assert not store.publishing.publish(attempt)
    attempt = prepare(store, new.version, rows)
    assert store.publishing.publish(attempt)
    assert sorted(texts(store, vs)) == ["new", "one"]


def test_vectors_of_another_model_are_refused_until_the_store_is_empty(store: Store, vs: str) -> None:
    held = publish(store, vs, "a.txt", ["alpha"])
    attempt = take_up(store, attach(store, vs, "b.txt", "beta").version).attempt
    for name, dim in (("synthetic", DIM * 2), ("other", DIM)):
        with pytest.raises(EmbedderMismatch, match="holds vectors of synthetic"):
            store.versions.claim_embedder(attempt, name, dim)
    store.attachments.detach("ann", vs, held.file_id)
    store.versions.claim_embedder(attempt, "other", DIM)
    assert store.vector_stores.find("ann", vs).embedder == "other"


def test_two_servers_with_different_models_never_mix_their_vectors(store: Store, vs: str) -> None:
    """Both claim it while it is empty: what the first one has begun begins anew, and is refused then."""
    slow = prepare(store, attach(store, vs, "a.txt", "alpha").version, [ParsedDocument("alpha")], embed=False)
    keys = store.versions.pending_keys(slow)
    store.queue.release_all(WORKER)
    quick = take_up(store, attach(store, vs, "b.txt", "beta").version).attempt
    slow = take_up(store, slow.version).attempt
    store.versions.claim_embedder(quick, "other", DIM)
    with pytest.raises(Superseded):
        store.versions.save_vectors(slow, keys, vector("alpha")[None], [b"code"])
    assert store.versions.pending_keys(take_up(store, slow.version).attempt) == []
    assert store.attachments.get("ann", vs, store.files.page("ann").items[1].id).stage == "accepted"

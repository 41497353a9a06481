from retrieval.filters.syntax import Comparison
from retrieval.store.store import Store
from tests.retrieval.publishing import passages, publish


def test_neighbours_come_in_their_order(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    (passage,) = passages(store, vs).values()
    assert passage.terms == ("alpha",)
    assert passage.token_code == b"code"
    chunks = store.passages.neighbours("ann", vs, passage.chunk.document_id, 0, 3)
    assert chunks == [passage.chunk]


def test_another_owner_finds_nothing_in_a_store_that_somebody_else_resolved(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"], {"a": 1})
    named, (keys, _) = store.vector_stores.resolve("ann", vs), store.passages.visible_keys(vs)
    wanted = Comparison("eq", "a", (1,))
    assert [set(store.passages.load(owner, named, keys)) for owner in ("ann", "bob")] == [set(keys), set()]
    assert [store.passages.allowed_keys(owner, named, wanted) for owner in ("ann", "bob")] == [set(keys), set()]


def test_the_keys_of_another_store_and_those_that_are_gone_are_left_out(store: Store, vs: str) -> None:
    file = publish(store, vs, "a.txt", ["alpha"])
    publish(store, store.vector_stores.create("ann", "other").id, "b.txt", ["beta"])
    (mine,), _ = store.passages.visible_keys(vs)
    every = list(range(mine + 5))
    assert list(passages(store, vs, every)) == [mine]
    store.attachments.detach("ann", vs, file.file_id)
    assert passages(store, vs, every) == {}
    assert store.passages.load("ann", store.vector_stores.resolve("ann", vs), []) == {}


def test_documents_that_hold_for_a_time_are_told_with_their_bounds(store: Store, vs: str) -> None:
    publish(store, vs, "always.txt", ["alpha"], {"kind": "notice"})
    bounded = publish(store, vs, "bounded.txt", ["beta", "gamma"], {"valid_until": "2026-12-31", "valid_from": 5})
    named = store.vector_stores.resolve("ann", vs)
    keys = store.passages.visible_keys(vs)[0]
    assert store.passages.keys("ann", named) == set(keys)
    found = store.passages.bounded("ann", named)
    assert sorted(found) == [(key, 5, "2026-12-31") for key in keys[1:]]
    assert (store.passages.bounded("bob", named), store.passages.keys("bob", named)) == ([], set())
    store.attachments.update_attributes("ann", vs, bounded.file_id, {"valid_until": 7})
    assert sorted(store.passages.bounded("ann", named)) == [(key, None, 7) for key in keys[1:]]
    store.attachments.update_attributes("ann", vs, bounded.file_id, {})
    assert store.passages.bounded("ann", named) == []

"""The contract of the change log (retrieval/store/changes.py)."""

import json
import subprocess
import sys
import time as system
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.indexes.bm25 import Bm25Index
from retrieval.indexes.manager import IndexManager
from retrieval.store.base.log import log_added
from retrieval.store.base.uses import Uses
from retrieval.store.base.values import DAY, LIVE_SECONDS, Change, LogTrimmed, NotFound, VectorSpace
from retrieval.store.changes import Changes
from retrieval.store.store import Store
from tests.databases import Time, empty_database
from tests.retrieval.publishing import DIM, attach, prepare, publish, texts
from tests.retrieval.store.at_once import at_once
from tests.retrieval.store.invariants import assert_whole, replayed
from tests.retrieval.store.log_child import Follower, write
from tests.retrieval.store.working import work
from tests.until import PATIENCE

SECONDS = [pytest.param(2), pytest.param(20, marks=pytest.mark.heavy)]


def follower(store: Store, name: str) -> Changes:
    """Another data folder, as far as the log knows."""
    return Changes(store.database, store.clock, Uses(), name)


def test_each_vector_store_counts_from_1(store: Store, vs: str) -> None:
    other = store.vector_stores.create("ann", "other").id
    publish(store, vs, "a.txt", ["alpha", "beta"])
    file = publish(store, other, "b.txt", ["gamma"])
    store.attachments.detach("ann", other, file.file_id)
    first, second = (store.changes.after(each, 0, 10) for each in (vs, other))
    keys = [change.key for change in first]
    assert first == [Change(1, keys[0], True), Change(2, keys[1], True)]
    assert [(change.seq, change.added) for change in second] == [(1, True), (2, False)]
    assert len({change.key for change in second}) == 1
    assert store.changes.state(vs) == (2, 0, VectorSpace("synthetic", DIM))
    assert store.vector_stores.resolve("ann", vs).head == 2


def test_what_was_never_visible_is_not_in_the_log(store: Store, vs: str) -> None:
    file = attach(store, vs, "a.txt", "alpha")
    store.attachments.cancel("ann", vs, file.file_id)
    store.files.delete("ann", file.file_id)
    assert store.changes.state(vs) == (0, 0, None)
    assert store.changes.after(vs, 0, 10) == []


def test_a_transaction_that_is_undone_leaves_no_gap(store: Store, vs: str) -> None:
    def undone(version: int) -> None:
        with store.database.write() as db:
            log_added(db, store.vector_stores.resolve("ann", vs).number, version)
            raise ZeroDivisionError

    publish(store, vs, "a.txt", ["alpha"])
    attempt = prepare(store, attach(store, vs, "b.txt", "beta").version, [])
    with pytest.raises(ZeroDivisionError):
        undone(attempt.version)
    publish(store, vs, "c.txt", ["gamma"])
    assert [change.seq for change in store.changes.after(vs, 0, 10)] == [1, 2]


names, lines = st.sampled_from(["a.csv", "b.csv"]), st.lists(st.sampled_from("12345"), min_size=1, max_size=4)
steps = st.lists(st.tuples(st.sampled_from(["publish", "detach", "delete", "attach"]), names, lines), max_size=8)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=steps, limits=st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_whoever_follows_has_what_is_visible_after_every_step(
    store: Store, steps: list[tuple[str, str, list[str]]], limits: list[int]
) -> None:
    vs = store.vector_stores.create("ann", "new").id
    keys: set[int] = set()
    applied, sizes = 0, iter(limits * 1000)
    for what, name, rows in steps:
        file = attach(store, vs, name, "\n".join(rows)).file_id
        if what != "attach":
            work(store)
        if what == "detach":
            store.attachments.detach("ann", vs, file)
        elif what == "delete":
            store.files.delete("ann", file)
        while found := store.changes.after(vs, applied, next(sizes)):
            assert [change.seq for change in found] == list(range(applied + 1, applied + 1 + len(found)))
            keys, applied = replayed(found, frozenset(keys)), found[-1].seq
        assert (sorted(keys), applied) == store.passages.visible_keys(vs)
    assert_whole(store)


@pytest.mark.parametrize("seconds", SECONDS)
def test_processes_that_write_and_follow_at_once(tmp_path: Path, seconds: int) -> None:
    """On PostgreSQL: each with a data folder of its own. A follower checks what it reads by itself."""
    with empty_database("postgresql", tmp_path) as url:
        where = url.render_as_string(hide_password=False)
        with ExitStack() as running:
            store = running.enter_context(closing(Store.open(tmp_path / "here", url=where)))
            vs = store.vector_stores.create("ann", "handbook").id
            children = [
                running.enter_context(child(tmp_path / f"{role} {seed}", where, vs, role, seed))
                for role in ("writer", "follower")
                for seed in (1, 2)
            ]
            for each in children:
                assert each.stdout is not None
                each.stdout.readline()
            system.sleep(seconds)
            writers, followers = ended(children[:2]), ended(children[2:])
            visible, head = store.passages.visible_keys(vs)
            assert all(each["calls"] > 1 for each in writers)
            assert [(each["keys"], each["applied"]) for each in followers] == [(visible, head)] * 2
            assert all(each["read"] for each in followers)
            assert_whole(store)


def child(*arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.retrieval.store.log_child", *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ended(children: list["subprocess.Popen[str]"]) -> list[Any]:
    """What each tells when it is asked to end, all of them at once."""
    for each in children:
        assert each.stdin is not None
        each.stdin.close()
        each.stdin = None
    return [json.loads(each.communicate(timeout=PATIENCE)[0]) for each in children]


@pytest.mark.parametrize("seconds", SECONDS)
def test_threads_that_write_and_follow_at_once(store: Store, vs: str, seconds: int) -> None:
    """As a SQLite file is one process's, they are all that can follow it."""
    stopped, quiet = Event(), Event()
    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(write, store, vs, seed, stopped.is_set) for seed in (1, 2)]
        following = [
            pool.submit(Follower(store, follower(store, name), vs, 3).until, quiet.is_set) for name in ("one", "two")
        ]
        system.sleep(seconds)
        stopped.set()
        calls = [each.result(PATIENCE)["calls"] for each in writing]
        quiet.set()
        told = [each.result(PATIENCE) for each in following]
    visible, head = store.passages.visible_keys(vs)
    assert min(calls) > 1
    assert [(each["keys"], each["applied"]) for each in told] == [(visible, head)] * 2
    assert_whole(store)


def test_the_log_is_trimmed_to_the_lowest_live_cursor(store: Store, vs: str) -> None:
    one, two = follower(store, "one"), follower(store, "two")
    publish(store, vs, "a.txt", list("abcdefgh"))
    for changes, applied, floor in (
        (one, {"bm25": 6, "dense": 4}, 4),
        (two, {"bm25": 2}, 4),  # it had not been known
        (one, {"bm25": 8, "dense": 8}, 4),
        (two, {"bm25": 5}, 5),
        (two, {"dense": 7}, 7),  # it has no other index any more
    ):
        changes.acknowledge(vs, applied)
        assert store.changes.state(vs).floor == floor
    assert [change.seq for change in store.changes.after(vs, 7, 10)] == [8]
    with pytest.raises(LogTrimmed, match="begins after 7, not after 6"):
        store.changes.after(vs, 6, 10)
    assert_whole(store)


def test_a_follower_that_is_dead_does_not_hold_the_log(store: Store, vs: str, time: Time) -> None:
    dead, sleeping, alive = (follower(store, name) for name in ("dead", "sleeping", "alive"))
    publish(store, vs, "a.txt", list("abcdefgh"))
    for applied, changes in enumerate((dead, sleeping, alive), 2):
        changes.acknowledge(vs, {"bm25": applied})
    assert store.changes.state(vs).floor == 2
    time.now += LIVE_SECONDS
    sleeping.stay_alive()
    alive.acknowledge(vs, {"bm25": 8})
    assert store.changes.state(vs).floor == 2  # it was heard of exactly so long ago
    time.now += 1
    alive.acknowledge(vs, {"bm25": 8})
    assert store.changes.state(vs).floor == 3
    time.now += DAY
    alive.acknowledge(vs, {"bm25": 8})
    assert store.changes.state(vs).floor == 8
    with pytest.raises(LogTrimmed):
        sleeping.after(vs, 3, 10)


def test_indexes_that_have_missed_changes_are_made_anew_from_what_is_visible(
    store: Store, vs: str, time: Time, tmp_path: Path
) -> None:
    """Whether they are open meanwhile, or on disk alone."""
    publish(store, vs, "a.txt", ["alpha", "beta"])
    managers = [
        IndexManager(follower(store, name), store.passages, tmp_path / name, DIM) for name in ("open", "closed")
    ]
    for manager in managers:
        manager.refresh(vs)
    managers[1].close()
    time.now += LIVE_SECONDS + 1
    file = publish(store, vs, "b.txt", ["gamma"])
    publish(store, vs, "c.txt", ["delta"])
    store.attachments.detach("ann", vs, file.file_id)
    head = store.changes.state(vs).head
    follower(store, "alive").acknowledge(vs, {"bm25": head})
    assert store.changes.state(vs).floor == head
    for manager in managers:
        manager.refresh(vs)
        index = manager.indexes(vs)[Bm25Index]
        assert [len(index.search([word], 9)) for word in ("alpha", "beta", "gamma", "delta")] == [1, 1, 0, 1]
        assert manager.check() == []
        manager.close()


def test_removals_are_told_until_this_consumer_has_them(store: Store, vs: str) -> None:
    one, two = follower(store, "one"), follower(store, "two")
    file = publish(store, vs, "a.txt", ["alpha"])
    for changes in (one, two):
        changes.acknowledge(vs, {"bm25": 1})
    assert [each.has_removals(vs) for each in (one, two)] == [False, False]
    store.files.delete("ann", file.file_id)
    one.acknowledge(vs, {"bm25": 2})
    assert [each.has_removals(vs) for each in (one, two)] == [False, True]
    assert not one.has_removals("vs_none")


def test_the_log_of_a_vector_store_that_is_gone_is_not_found(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    store.changes.acknowledge(vs, {"bm25": 1})
    store.vector_stores.delete("ann", vs)
    for call in (
        partial(store.changes.state, vs),
        partial(store.changes.after, vs, 0, 1),
        partial(store.changes.acknowledge, vs, {"bm25": 1}),
    ):
        with pytest.raises(NotFound):
            call()
    assert store.changes.store_ids() == store.changes.store_ids("ann") == []


@pytest.mark.parametrize("rounds", [10, pytest.param(100, marks=pytest.mark.heavy)])
def test_signs_of_life_and_acknowledgements_of_one_consumer_at_once(store: Store, time: Time, rounds: int) -> None:
    """They write the same cursors, each in an order of its own."""
    stores = [store.vector_stores.create("ann", str(i)).id for i in range(4)]
    cursors = dict.fromkeys((f"index {i}" for i in range(6)), 0)
    for number in range(rounds):
        kept = dict.fromkeys(list(cursors)[number % 3 :], 0)
        at_once(
            *(partial(store.changes.acknowledge, vs, each) for vs in stores for each in (cursors, kept)),
            *[store.changes.stay_alive] * 3,
        )
        time.now += 1
    publish(store, stores[0], "a.txt", ["alpha"])
    assert texts(store, stores[0]) == ["alpha"]

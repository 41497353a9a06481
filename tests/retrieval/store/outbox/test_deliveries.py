"""One delivery is one server's at a time, is tried until it arrives, and is listed."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from retrieval.store.base.values import NotFound, UnknownCursor
from retrieval.store.outbox.deliveries import KEPT_SECONDS
from retrieval.store.outbox.values import MOST, Outcome, TooManyWebhooks, WebhookDisabled
from retrieval.store.store import Store
from tests.databases import Time
from tests.retrieval.store.outbox.listening import LEASE, PATIENCE, URL, claimed, count

WELL = Outcome(200)


def ill(again: float | None = 5.0, code: int | None = 500) -> Outcome:
    return Outcome(code, "it answered 500", again)


@pytest.fixture
def hook(store: Store) -> str:
    return store.webhooks.create("ann", URL, "", None)[0].id


def test_a_delivery_is_claimed_once_and_again_when_its_lease_is_over(store: Store, hook: str, time: Time) -> None:
    delivery = store.webhooks.test("ann", hook)
    first = claimed(store)
    assert store.deliveries.claim("two", LEASE) is None
    assert store.deliveries.get("ann", hook, delivery).sending
    time.now += LEASE
    second = claimed(store, "two")
    assert (second.event_id, second.payload, second.attempt) == (first.event_id, first.payload, 2)
    store.deliveries.finish("one", first, WELL, PATIENCE)  # too late
    assert store.deliveries.get("ann", hook, delivery).status == "pending"
    store.deliveries.finish("two", second, WELL, PATIENCE)
    found = store.deliveries.get("ann", hook, delivery)
    assert (found.status, found.attempts, found.response_code, found.error) == ("delivered", 2, 200, None)
    assert (found.due, found.ended_at) == (None, time.now)
    assert store.deliveries.next_due() is None


def test_two_servers_at_once_never_have_the_same_one(store: Store, hook: str) -> None:
    for _ in range(30):
        store.webhooks.test("ann", hook)

    def all_of(worker: str) -> list[str]:
        found = []
        while (store.deliveries.next_due() or 1e18) <= store.clock():
            if (job := store.deliveries.claim(worker, LEASE)) is not None:
                found.append(job.event_id)
        return found

    with ThreadPoolExecutor(4) as pool:
        each = list(pool.map(all_of, ["one", "two", "three", "four"]))
    ids = [event_id for found in each for event_id in found]
    assert len(ids) == len(set(ids)) == 30


def test_what_a_killed_server_was_at_is_due_at_its_next_start(store: Store, hook: str) -> None:
    store.webhooks.test("ann", hook)
    killed = claimed(store)
    store.deliveries.release_all("two")
    assert store.deliveries.claim("two", LEASE) is None
    store.deliveries.release_all("one")
    assert claimed(store, "one").event_id == killed.event_id


def test_a_failure_is_tried_again_after_its_pause_and_given_up_at_the_last(store: Store, hook: str, time: Time) -> None:
    delivery = store.webhooks.test("ann", hook)
    store.deliveries.finish("one", claimed(store), ill(300), PATIENCE)
    found = store.deliveries.get("ann", hook, delivery)
    assert (found.status, found.due, found.response_code, found.error) == (
        *("pending", time.now + 300, 500),
        "it answered 500",
    )
    assert store.deliveries.next_due() == time.now + 300
    time.now += 300
    job = claimed(store)
    assert job.step == 1
    store.deliveries.finish("one", job, ill(None, None), PATIENCE)
    found = store.deliveries.get("ann", hook, delivery)
    assert (found.status, found.response_code, found.ended_at) == ("failed", None, time.now)
    again = store.deliveries.retry("ann", hook, delivery)
    assert (again.status, again.attempts, again.due) == ("pending", 2, time.now)
    assert claimed(store).step == 0


def test_a_webhook_that_is_gone_is_disabled_and_keeps_what_waits(store: Store, hook: str) -> None:
    first, second = store.webhooks.test("ann", hook), store.webhooks.test("ann", hook)
    store.deliveries.finish("one", claimed(store), Outcome(410, "gone", gone=True), PATIENCE)
    found = store.webhooks.get("ann", hook)
    assert (found.enabled, found.disabled_reason) == (False, "it answered 410: it wants no more")
    assert store.deliveries.get("ann", hook, first).status == "failed"
    assert store.deliveries.claim("one", LEASE) is None
    assert store.deliveries.next_due() is None
    with pytest.raises(WebhookDisabled, match="answered 410"):
        store.webhooks.test("ann", hook)
    with pytest.raises(WebhookDisabled):
        store.deliveries.retry("ann", hook, first)
    enabled = store.webhooks.change("ann", hook, enabled=True)
    assert (enabled.enabled, enabled.disabled_reason, enabled.failing_since) == (True, None, None)
    assert store.deliveries.get("ann", hook, second).due is not None
    claimed(store)


def test_a_webhook_is_disabled_after_nothing_but_failures_for_long(store: Store, hook: str, time: Time) -> None:
    for _ in range(3):
        store.webhooks.test("ann", hook)
    store.deliveries.finish("one", claimed(store), ill(1e6), PATIENCE)
    begun = time.now
    time.now += PATIENCE - 1
    store.deliveries.finish("one", claimed(store), ill(1e6), PATIENCE)
    found = store.webhooks.get("ann", hook)
    assert (found.enabled, found.failing_since) == (True, begun)
    time.now += 1
    store.deliveries.finish("one", claimed(store), ill(1e6), PATIENCE)
    found = store.webhooks.get("ann", hook)
    assert not found.enabled
    assert "nothing has arrived for" in (found.disabled_reason or "")


def test_a_success_ends_the_failing(store: Store, hook: str, time: Time) -> None:
    for _ in range(3):
        store.webhooks.test("ann", hook)
    for outcome in (ill(1e6), WELL, ill(1e6)):
        store.deliveries.finish("one", claimed(store), outcome, PATIENCE)
        time.now += PATIENCE
    found = store.webhooks.get("ann", hook)
    assert (found.enabled, found.failing_since) == (True, time.now - PATIENCE)


def test_a_busy_webhook_holds_up_no_other(store: Store, hook: str) -> None:
    for _ in range(3):
        store.webhooks.test("ann", hook)
    other = store.webhooks.create("bob", URL, "", None)[0].id
    store.webhooks.test("bob", other)
    busy = claimed(store).webhook
    job = store.deliveries.claim("one", LEASE, [busy])
    assert job is not None
    assert job.webhook_id == other
    assert store.deliveries.claim("one", LEASE, [busy]) is None
    assert (store.deliveries.next_due([busy]) or 0) > store.clock()


def test_owners_never_meet(store: Store, hook: str) -> None:
    delivery = store.webhooks.test("ann", hook)
    for call in (
        lambda: store.webhooks.get("bob", hook),
        lambda: store.webhooks.change("bob", hook, url="https://bob.example"),
        lambda: store.webhooks.rotate("bob", hook, 0),
        lambda: store.webhooks.test("bob", hook),
        lambda: store.webhooks.delete("bob", hook),
        lambda: store.deliveries.page("bob", hook),
        lambda: store.deliveries.get("bob", hook, delivery),
        lambda: store.deliveries.retry("bob", hook, delivery),
    ):
        with pytest.raises(NotFound, match="no webhook"):
            call()
    assert store.webhooks.page("bob").items == []
    other = store.webhooks.create("ann", URL, "", None)[0].id
    with pytest.raises(NotFound, match="no delivery"):
        store.deliveries.get("ann", other, delivery)


def test_secrets_rotate_and_sign_together_for_a_while(store: Store, time: Time) -> None:
    webhook, first = store.webhooks.create("ann", URL, "", None)
    store.webhooks.test("ann", webhook.id)
    assert claimed(store).secrets == [first]
    _, second = store.webhooks.rotate("ann", webhook.id, 100)
    time.now += LEASE
    assert claimed(store).secrets == [second, first]
    _, third = store.webhooks.rotate("ann", webhook.id, 1000)
    time.now += LEASE  # the first one's time is over, that of the second not
    assert claimed(store).secrets == [third, second]
    _, fourth = store.webhooks.rotate("ann", webhook.id, 0)
    time.now += LEASE
    assert claimed(store).secrets == [fourth, second]


def test_deliveries_are_listed_in_pages(store: Store, hook: str) -> None:
    ids = [store.webhooks.test("ann", hook) for _ in range(5)]
    store.deliveries.finish("one", claimed(store), WELL, PATIENCE)
    page = store.deliveries.page("ann", hook, limit=2, order="asc", after=ids[0])
    assert ([each.id for each in page.items], page.has_more) == (ids[1:3], True)
    assert [each.id for each in store.deliveries.page("ann", hook, "delivered").items] == ids[:1]
    assert [each.id for each in store.deliveries.page("ann", hook, limit=1).items] == ids[-1:]
    with pytest.raises(UnknownCursor):
        store.deliveries.page("ann", hook, after="whd_none")


def test_what_ended_long_ago_is_pruned_and_what_waits_is_not(store: Store, hook: str, time: Time) -> None:
    other = store.webhooks.create("ann", URL, "", None)[0].id
    store.webhooks.test("ann", hook)
    store.deliveries.finish("one", claimed(store), WELL, PATIENCE)
    waits = store.webhooks.test("ann", hook)
    store.webhooks.test("ann", other)
    store.webhooks.change("ann", other, enabled=False)
    store.deliveries.prune()
    assert count(store, "webhook_deliveries") == 3
    time.now += KEPT_SECONDS
    store.deliveries.prune()
    assert [each.id for each in store.deliveries.page("ann", hook).items] == [waits]
    assert store.deliveries.page("ann", other).items == []
    assert count(store, "webhook_events") == 1


def test_a_webhook_leaves_with_its_deliveries_and_an_owner_has_no_more_than_some(store: Store, hook: str) -> None:
    store.webhooks.test("ann", hook)
    store.webhooks.delete("ann", hook)
    assert (count(store, "webhook_deliveries"), count(store, "webhook_events")) == (0, 0)
    for _ in range(MOST):
        store.webhooks.create("ann", URL, "", None)
    with pytest.raises(TooManyWebhooks, match="delete one first"):
        store.webhooks.create("ann", URL, "", None)
    store.webhooks.create("bob", URL, "", None)

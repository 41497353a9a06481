"""Events over real sockets, from a server's outbox to who listens, whatever that one does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from retrieval.store.outbox.values import DeliveryJob
from server.outgoing.addresses import Allowed
from server.webhooks.dispatcher import Dispatcher, Pace
from server.webhooks.sending import Sender
from tests.databases import opened_store
from tests.server.house import House, house
from tests.server.webhooks.receiver import Receiver, never, receiver, status
from tests.until import PATIENCE, until

LOOPBACK = ["127.0.0.1"]
SECRET = "whsec_" + "QUFB" * 8
JOB = DeliveryJob(1, 1, "we_1", 1, 0, "", [SECRET], "msg_1", "webhook.test", '{"type": "webhook.test", "data": {}}')
QUICK = Pace(poll=0.02, leaving=0.0)


@pytest.fixture
async def listened(data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer) -> AsyncIterator[House]:
    async with house(data_dir, embedder, tokenizer, webhooks={"allow": LOOPBACK}) as opened:
        yield opened


async def hooked(home: House, to: Receiver, **fields: Any) -> str:
    code, made = await home.post("/api/v1/webhooks", {"url": to.url, **fields})
    assert code == 200, made
    to.secret = made["secret"]
    return str(made["id"])


async def deliveries(home: House, hook: str) -> list[dict[str, Any]]:
    code, listed = await home.get(f"/api/v1/webhooks/{hook}/deliveries?order=asc")
    assert code == 200
    found: list[dict[str, Any]] = listed["data"]
    return found


async def test_files_and_batches_are_told_of(listened: House) -> None:
    async with receiver() as to:
        hook = await hooked(listened, to)
        client = listened.openai
        store = (await client.vector_stores.create(name="told")).id
        contents = {"good.md": b"# Birds\n\nThe wren sings in spring.", "bad.pdf": b"%PDF-1.7 but no more than that"}
        files = [(await client.files.create(file=each, purpose="assistants")).id for each in contents.items()]
        batch = await client.vector_stores.file_batches.create_and_poll(store, file_ids=files, poll_interval_ms=20)
        assert (batch.file_counts.completed, batch.file_counts.failed) == (1, 1)
        await until(lambda: len(to.received) == 3, PATIENCE)
        (done,), (failed,), (ended,) = (to.of(each) for each in ("file.completed", "file.failed", "batch.completed"))
        assert (done.data["file_id"], done.data["filename"], done.data["vector_store_id"]) == (
            *(files[0], "good.md"),
            store,
        )
        attached = await client.vector_stores.files.retrieve(files[1], vector_store_id=store)
        assert attached.last_error is not None
        assert failed.data["last_error"]["message"] == attached.last_error.message
        assert (ended.data["batch_id"], ended.data["file_counts"]["total"]) == (batch.id, 2)

        async def all_delivered() -> bool:
            return {each["status"] for each in await deliveries(listened, hook)} == {"delivered"}

        await until(all_delivered, PATIENCE)
        assert {each["event_id"] for each in await deliveries(listened, hook)} == {each.id for each in to.received}


async def test_a_delivery_is_asked_for_listed_and_retried(listened: House) -> None:
    async with receiver(answer=status(500)) as to:
        hook = await hooked(listened, to, events=["file.failed"], description="night shift")
        code, put_up = await listened.post(f"/api/v1/webhooks/{hook}/test", {})
        assert (code, put_up["status"], put_up["type"]) == (200, "pending", "webhook.test")
        place = f"/api/v1/webhooks/{hook}/deliveries/{put_up['id']}"

        async def tried(times: int, outcome: str) -> bool:
            _, found = await listened.get(place)
            return (found["attempts"], found["status"], found["sending"]) == (times, outcome, False)

        await until(lambda: tried(1, "pending"), PATIENCE)
        _, found = await listened.get(place)
        assert (found["response_code"], found["last_error"]) == (500, "it answered 500")
        assert found["next_attempt_at"] >= found["last_attempt_at"] + 5
        to.answer = None
        code, _ = await listened.post(f"{place}/retry", {})
        assert code == 200
        await until(lambda: tried(2, "delivered"), PATIENCE)
        assert len({each.id for each in to.received}) == 1
        _, webhook = await listened.get(f"/api/v1/webhooks/{hook}")
        assert webhook["failing_since"] is None


async def test_both_secrets_sign_while_they_rotate(listened: House) -> None:
    async with receiver() as to:
        hook = await hooked(listened, to)
        old = to.secret
        code, rotated = await listened.post(f"/api/v1/webhooks/{hook}/rotate_secret", {"keep_hours": 1})
        assert (code, rotated["secret"] == old) == (200, False)
        for secret in (old, rotated["secret"]):  # each receiver finds its own
            to.secret = secret
            await listened.post(f"/api/v1/webhooks/{hook}/test", {})
            await until(lambda: len(to.received) > 0, PATIENCE)
            assert len(to.received.pop().signatures) == 2
        _, rotated = await listened.post(f"/api/v1/webhooks/{hook}/rotate_secret", {"keep_hours": 0})
        to.secret = rotated["secret"]
        await listened.post(f"/api/v1/webhooks/{hook}/test", {})
        await until(lambda: len(to.received) > 0, PATIENCE)


async def test_a_receiver_that_is_gone_disables_its_webhook(listened: House) -> None:
    async with receiver(answer=status(410)) as to:
        hook = await hooked(listened, to)
        await listened.post(f"/api/v1/webhooks/{hook}/test", {})

        async def disabled() -> bool:
            _, found = await listened.get(f"/api/v1/webhooks/{hook}")
            return not found["enabled"] and "410" in found["disabled_reason"]

        await until(disabled, PATIENCE)
        code, refused = await listened.post(f"/api/v1/webhooks/{hook}/test", {})
        assert (code, "enable it first" in refused["error"]["message"]) == (409, True)
        to.answer = None
        code, enabled = await listened.post(f"/api/v1/webhooks/{hook}", {"enabled": True})
        assert (code, enabled["enabled"], enabled["disabled_reason"]) == (200, True, None)
        await listened.post(f"/api/v1/webhooks/{hook}/test", {})
        await until(lambda: len(to.received) == 2, PATIENCE)


# The dispatcher, on both databases.


@asynccontextmanager
async def dispatching(store: Any, name: str = "one", seconds: float = 10.0) -> AsyncIterator[Dispatcher]:
    sender = Sender(Allowed(LOOPBACK), seconds, store.clock)
    running = Dispatcher(store.deliveries, sender, store.clock, worker=name, pace=QUICK)
    running.start()
    try:
        yield running
    finally:
        await running.aclose()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_two_servers_deliver_each_event_once(tmp_path: Path, kind: str) -> None:
    with opened_store(kind, tmp_path) as store:
        async with receiver() as to, dispatching(store), dispatching(store, "two"):
            hook, to.secret = await asyncio.to_thread(store.webhooks.create, "ann", to.url, "", None)
            for _ in range(40):
                await asyncio.to_thread(store.webhooks.test, "ann", hook.id)

            async def all_delivered() -> bool:
                page = await asyncio.to_thread(store.deliveries.page, "ann", hook.id, "delivered", limit=100)
                return len(page.items) == 40

            await until(all_delivered, PATIENCE)
            assert len({each.id for each in to.received}) == len(to.received) == 40


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_slow_receiver_holds_up_no_other_and_is_told_at_last(tmp_path: Path, kind: str) -> None:
    with opened_store(kind, tmp_path) as store:
        async with receiver(answer=never) as slow, receiver() as well:
            stalled, slow.secret = store.webhooks.create("ann", slow.url, "", None)
            quick, well.secret = store.webhooks.create("bob", well.url, "", None)
            for _ in range(20):
                store.webhooks.test("ann", stalled.id)
            async with dispatching(store):
                await until(lambda: len(slow.received) == QUICK.to_one, PATIENCE)
                store.webhooks.test("bob", quick.id)
                await until(lambda: len(well.received) == 1, PATIENCE)
                assert len(slow.received) == QUICK.to_one
            begun = {each.id for each in slow.received}
            slow.received.clear()
            slow.answer = None
            async with dispatching(store, "two"):  # what was under way is given back when a server ends
                await until(lambda: len(slow.received) == 20, PATIENCE)
            assert begun < {each.id for each in slow.received}


async def test_a_database_that_fails_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened_store("sqlite", tmp_path) as store:
        async with receiver() as to, dispatching(store) as running:
            hook, to.secret = store.webhooks.create("ann", to.url, "", None)
            kept = store.deliveries.next_due

            def broken(*_: object) -> float | None:
                raise RuntimeError("odd")

            running._deliveries.next_due = broken  # type: ignore[method-assign]
            store.webhooks.test("ann", hook.id)
            await until(lambda: "the webhooks failed" in caplog.text, PATIENCE)
            running._deliveries.next_due = kept  # type: ignore[method-assign]
            await until(lambda: len(to.received) == 1, PATIENCE)

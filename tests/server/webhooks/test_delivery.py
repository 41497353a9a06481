"""Events over real sockets, from a server's outbox to who listens, whatever that one does."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from retrieval.store.outbox.values import DeliveryJob, Outcome
from server.webhooks.addresses import Addresses
from server.webhooks.dispatcher import Dispatcher, Pace
from server.webhooks.sending import Sender
from tests.databases import opened_store
from tests.server.house import House, house
from tests.server.webhooks.receiver import Receiver, endless, never, receiver, status
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


# One attempt, by the sender alone.


async def sent(url: str, *, allowed: list[str] | None = None, seconds: float = 10.0, step: int = 0) -> Outcome:
    sender = Sender(Addresses(LOOPBACK if allowed is None else allowed), seconds, time.time)
    return await sender.send(replace(JOB, url=url, step=step))


async def test_a_receiver_that_is_down_or_slow_is_tried_again() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        refused = await sent(f"http://127.0.0.1:{nobody.getsockname()[1]}/")
    assert (refused.code, refused.again is not None) == (None, True)
    async with receiver(answer=never) as to:
        slow = await sent(to.url, seconds=0.3)
    assert slow.error == "no answer within 0.3 s"
    assert 5.0 <= (slow.again or 0) <= 6.0


async def test_a_receiver_may_ask_for_more_time_and_the_last_step_is_the_last() -> None:
    async with receiver(answer=status(503, retry_after="120")) as to:
        assert (await sent(to.url)).again == 120
        assert (await sent(to.url, step=9)).again is None


async def test_a_huge_answer_is_not_read() -> None:
    async with receiver(answer=endless) as to:
        async with asyncio.timeout(5.0):
            assert await sent(to.url) == Outcome(200)


async def test_a_huge_header_is_no_answer() -> None:
    async with receiver(answer=status(200, x_long="x" * 100_000)) as to:
        outcome = await sent(to.url)
    assert (outcome.code, outcome.error is None) == (None, False)


async def test_a_redirect_is_not_followed() -> None:
    async with receiver() as secret_place, receiver(answer=status(302, location=secret_place.url)) as to:
        outcome = await sent(to.url)
        assert outcome.error == "it answered 302: redirects are not followed"
        assert secret_place.received == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f.1"])
async def test_no_request_reaches_loopback_where_it_is_not_allowed(host: str) -> None:
    """Whichever way it is written."""
    async with receiver() as to:
        port = to.url.rpartition(":")[2].partition("/")[0]
        outcome = await sent(f"http://{host}:{port}/hook", allowed=[])
        assert (outcome.code, outcome.error is None) == (None, False)
        assert to.received == []


async def test_what_is_allowed_by_name_is_called_by_that_name_alone() -> None:
    async with receiver() as to:
        assert await sent(to.url.replace("127.0.0.1", "localhost"), allowed=["localhost"]) == Outcome(204)
        refused = await sent(to.url, allowed=["localhost"])
        assert refused.error is not None
        assert "not a public address" in refused.error


# The dispatcher, on both databases.


@asynccontextmanager
async def dispatching(store: Any, name: str = "one", seconds: float = 10.0) -> AsyncIterator[Dispatcher]:
    sender = Sender(Addresses(LOOPBACK), seconds, store.clock)
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


async def test_a_receiver_that_leaves_in_the_middle_is_tried_again() -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with receiver(answer=hang_up) as to:
        outcome = await sent(to.url)
    assert (outcome.code, outcome.again is not None) == (None, True)

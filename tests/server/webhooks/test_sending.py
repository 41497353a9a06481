"""One attempt, whatever the receiver does."""

import asyncio
import socket
import time
from dataclasses import replace

import pytest
from aiohttp import web

from retrieval.store.outbox.values import DeliveryJob, Outcome
from server.outgoing.addresses import Allowed
from server.webhooks.sending import Sender
from tests.server.webhooks.receiver import endless, never, receiver, status

LOOPBACK = ["127.0.0.1"]
SECRET = "whsec_" + "QUFB" * 8
JOB = DeliveryJob(1, 1, "we_1", 1, 0, "", [SECRET], "msg_1", "webhook.test", '{"type": "webhook.test", "data": {}}')


async def sent(url: str, *, allowed: list[str] | None = None, seconds: float = 10.0, step: int = 0) -> Outcome:
    sender = Sender(Allowed(LOOPBACK if allowed is None else allowed), seconds, time.time)
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


async def test_where_no_connection_is_made_the_words_are_of_that(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("server.outgoing.client", "server.webhooks.sending"):
        monkeypatch.setattr(f"{module}.CONNECT_SECONDS", 0.2)
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())  # its queue has one place
        outcome = await sent(f"http://127.0.0.1:{full.getsockname()[1]}/")
    assert (outcome.error, outcome.again is not None) == ("no connection within 0.2 s", True)


async def test_attempts_share_no_connection() -> None:
    peers = []

    async def noted(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername"))
        status = 400 if "cookie" in request.headers else 200
        return web.Response(status=status, headers={"set-cookie": "seen=1"})

    async with receiver(answer=noted) as to:
        sender = Sender(Allowed(LOOPBACK), 10.0, time.time)
        assert [await sender.send(replace(JOB, url=to.url)) for _ in range(3)] == [Outcome(200)] * 3
    assert len(set(peers)) == 3


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
        named = "127.0.0.1 is not a public address: webhooks.allow names those that may be called anyway"
        assert (refused.code, refused.error, refused.again is not None) == (None, named, True)
        unnamed = await sent(to.url.replace("127.0.0.1", "localhost"), allowed=["10.0.0.0/8"])
        assert (unnamed.error or "").startswith("localhost (")
        assert "webhooks.allow" in (unnamed.error or "")


async def test_a_receiver_that_leaves_in_the_middle_is_tried_again() -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with receiver(answer=hang_up) as to:
        outcome = await sent(to.url)
    assert (outcome.code, outcome.again is not None) == (None, True)

"""The server as a process: it starts, drains on SIGTERM, and says what is wrong with its address."""

import asyncio
import signal
import time
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from models.embedders.e5 import E5Embedder
from retrieval.database.lock import holder_of
from retrieval.passages.tokenize import Tokenizer
from retrieval.store.base.values import DataDirLocked
from server.app.build import open_parts
from server.app.run import Ending, serving
from server.settings.settings import Settings
from tests.server.app.process import process, ready, refuses
from tests.server.house import QUESTION, House
from tests.stub_engine import Finish, Hold, StubEngine
from tests.until import PATIENCE

MESSAGES = [{"role": "user", "content": QUESTION}]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_running_answer_finishes_after_the_signal_and_then_the_server_ends(
    data_dir: Path, number: signal.Signals
) -> None:
    body = {"model": "ragpod", "messages": MESSAGES, "stream": True}
    async with (
        StubEngine() as stub,
        process(data_dir, stub, {}) as (child, url),
        aiohttp.ClientSession() as client,
    ):
        assert holder_of(data_dir) is not None
        await ready(client, url)
        stub.script("배송은 ", Hold(), "이틀 [1]", Finish())
        async with client.post(f"{url}/v1/chat/completions", json=body) as response:
            await stub.started()
            child.send_signal(number)
            await refuses(url)
            stub.release()
            text = await response.text()
        assert await asyncio.wait_for(child.wait(), PATIENCE) == 0
        assert "[DONE]" in text
        assert "이틀" in text
    assert holder_of(data_dir) is None


async def test_an_answer_that_outlasts_the_drain_is_cut_and_stored(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    async with StubEngine() as stub:
        async with (
            process(data_dir, stub, {"RAGPOD_LIMITS_DRAIN_SECONDS": "1"}) as (child, url),
            aiohttp.ClientSession() as client,
        ):
            await ready(client, url)
            stub.script("배송은 ", Hold())
            body = {"model": "ragpod", "messages": MESSAGES, "stream": True}
            async with client.post(f"{url}/v1/chat/completions", json=body) as response:
                trace_id = response.headers["x-request-id"]
                await response.content.readuntil("배송은".encode())
                child.terminate()
                assert await asyncio.wait_for(child.wait(), PATIENCE) == Ending.CUT
            await stub.idle()
        settings = Settings.load(data_dir=data_dir, port=0, engine={"url": stub.url})
        async with open_parts(settings, embedder=embedder, tokenizer=tokenizer) as parts:
            turn = await parts.turns.get("default", trace_id)
    assert (turn.status, turn.answer) == ("cancelled", "배송은 ")


async def test_a_taken_port_is_told_before_anything_loads(home: House) -> None:
    taken = Settings.load(port=int(home.url.rpartition(":")[2]))
    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{taken.port}: "):
        await serving(replace(home.parts, settings=taken)).__aenter__()


async def test_a_data_directory_serves_one_process_and_tells_where(home: House) -> None:
    holder = holder_of(home.parts.settings.data_dir)
    assert holder is not None
    assert holder.url == home.url
    with pytest.raises(DataDirLocked, match=home.url):
        await open_parts(home.parts.settings).__aenter__()


class Slow(Tokenizer):
    """Holds the GIL while it loads, as the Korean analyser does: whoever asked meanwhile waited for it."""

    loaded = False

    def warm(self) -> None:
        time.sleep(0.5)
        self.loaded = True


async def test_nothing_loads_any_more_when_the_first_request_may_come(tmp_path: Path, embedder: E5Embedder) -> None:
    tokenizer = Slow(korean=False)
    async with StubEngine() as stub:
        settings = Settings.load(data_dir=tmp_path, engine={"url": stub.url, "model": stub.model})
        async with open_parts(settings, embedder=embedder, tokenizer=tokenizer):
            assert tokenizer.loaded

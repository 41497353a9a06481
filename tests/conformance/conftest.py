"""Servers for other people's clients, and the table of what these found."""

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from tests.conformance.suite import ROOT, Documents, Served, rows
from tests.conformance.table import page, table
from tests.server.cli.process import server
from tests.server.house import KOREAN
from tests.stub_engine import StubEngine

KEY = "a-key-of-the-conformance-suites"
LIMITS = {"RAGPOD_LIMITS_UPLOAD_BYTES": "200000", "RAGPOD_LIMITS_REQUEST_BYTES": "200000"}


@pytest.fixture(scope="session")
def environment() -> Path:
    """Of the clients."""
    if not (given := os.environ.get("CONFORMANCE_CLIENTS")):
        pytest.skip("needs the clients' environment: make test-conformance")
    return Path(given)


@pytest.fixture(scope="session")
def node_packages() -> Path:
    if not (given := os.environ.get("CONFORMANCE_NODE")):
        pytest.skip("needs Node and its packages: make test-conformance")
    return Path(given)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The embedded profile with its real engine."""
    data = tmp_path_factory.mktemp("conformance") / "data"
    with server(data, RAGPOD_PROFILE="embedded", RAGPOD_API_KEYS=KEY, **LIMITS) as running:
        yield Served(running.url, KEY)


@pytest.fixture(scope="session")
def documents(served: Served) -> Documents:
    with OpenAI(base_url=f"{served.url}/v1", api_key=served.key) as client:
        store = client.vector_stores.create(name="shop")
        files = [(name, text.encode()) for name, text in KOREAN.items()]
        batch = client.vector_stores.file_batches.upload_and_poll(store.id, files=files, poll_interval_ms=50)
        assert batch.file_counts.completed == len(KOREAN)
        return Documents("shop", store.id)


@pytest.fixture(scope="session")
def stub() -> Iterator[StubEngine]:
    """In a thread of its own, so that a test may wait for a client."""
    engine, opened, closing = StubEngine(), threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        async with engine:
            loops.append(asyncio.get_running_loop())
            opened.set()
            await closing.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    opened.wait()
    yield engine
    loops[0].call_soon_threadsafe(closing.set)
    thread.join()


def over(stub: StubEngine, **limits: str) -> dict[str, str]:
    return {"RAGPOD_ENGINE_URL": stub.url, "RAGPOD_ENGINE_MODEL": stub.model, **limits}


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory, stub: StubEngine) -> Iterator[Served]:
    """Over the scripted engine, which answers at once."""
    data = tmp_path_factory.mktemp("conformance") / "quick"
    with server(data, RAGPOD_PROFILE="embedded", RAGPOD_API_KEYS=KEY, **over(stub), **LIMITS) as running:
        yield Served(running.url, KEY)


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory, stub: StubEngine) -> Iterator[Served]:
    """Over the scripted engine, with one place for an answer and no queue."""
    data = tmp_path_factory.mktemp("conformance") / "narrow"
    full = {"RAGPOD_LIMITS_ANSWERS": "1", "RAGPOD_LIMITS_QUEUE": "0"}
    with server(data, RAGPOD_PROFILE="embedded", RAGPOD_API_KEYS=KEY, **over(stub), **full) as running:
        yield Served(running.url, KEY)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Every row, also as .bench/conformance.json, and as the page that REPORT names."""
    if not rows:
        return
    folder = ROOT / ".bench"
    folder.mkdir(exist_ok=True)
    (folder / "conformance.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    terminalreporter.write_line("\n" + table(rows))
    if report := os.environ.get("REPORT"):
        (ROOT / report).write_text(page(rows))

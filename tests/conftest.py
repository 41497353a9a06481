"""RAGPOD_REQUIRE=all: a test that skips fails instead, except one that needs a GPU, or to mount where
that is forbidden. `.ci/run` sets it.

Tests marked `torch` and `vllm` need `make test-torch` and `make test-vllm`, which bring what they run on.

Under pytest-xdist every worker collects everything and gets whole files, those with a test marked `slow` first: what
takes long is never what one worker ends with while the other one is idle.

Fixtures for the whole run (of each worker): `llama`, one real llama.cpp engine; `torch`, without which a test is
skipped; the checkpoints of tests/checkpoints.py. `database_url` runs a test on SQLite and on PostgreSQL, `cluster` is a
PostgreSQL of the module's own.
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from models.engines.llama_cpp import llama_cpp
from tests import checkpoints
from tests.small_disk import NO_MOUNT

if TYPE_CHECKING:
    from sqlalchemy import URL

    from tests.postgresql_cluster import Cluster

# On a busy machine any example may take long; what kind of examples there are (CI: the same in every run) stays.
hypothesis.settings.register_profile(
    "unhurried",
    hypothesis.settings.get_profile(hypothesis.settings.get_current_profile_name()),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("unhurried")
# A shell that puts the run into the background has it ignore SIGINT, and every process that a test starts would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
REQUIRE_ALL = os.environ.pop("RAGPOD_REQUIRE", "") == "all"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Workers start after the setting has left the environment."""
    node.workerinput["require_all"] = REQUIRE_ALL


def _all_required(config: pytest.Config) -> bool:
    return REQUIRE_ALL or bool(getattr(config, "workerinput", {}).get("require_all"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = {item.path for item in items if item.get_closest_marker("slow") is not None}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    expected = hasattr(report, "wasxfail") or item.get_closest_marker("gpu") is not None
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if report.skipped and not expected and NO_MOUNT not in reason and _all_required(item.config):
        report.outcome = "failed"
        report.longrepr = f"required by RAGPOD_REQUIRE=all, but {reason.lower()}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped and _all_required(collector.config):
        report.outcome = "failed"
        report.longrepr = f"required by RAGPOD_REQUIRE=all, but {collector.nodeid} was skipped as a whole"
    return report


@dataclass(frozen=True)
class Llama:
    """url ends in /v1; every request needs the key."""

    url: str
    api_key: str
    model: str


@pytest.fixture(scope="session")
def llama() -> Iterator[Llama]:
    spec = llama_cpp()
    pipe, env = subprocess.PIPE, {**os.environ, **spec.env}
    with subprocess.Popen(spec.command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=env) as process:
        assert process.stdout is not None
        yield Llama(json.loads(process.stdout.readline())["url"] + "/v1", spec.api_key or "", spec.model)
        process.terminate()


@pytest.fixture(params=("sqlite", "postgresql"))
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> "Iterator[URL]":
    """Of an empty database."""
    from tests.databases import empty_database

    with empty_database(request.param, tmp_path) as url:
        yield url


@pytest.fixture(scope="module")
def cluster() -> "Iterator[Cluster]":
    """A PostgreSQL that the module may kill; a test that does starts it again."""
    from tests.postgresql_cluster import running_cluster

    with running_cluster() as started:
        yield started


@pytest.fixture(scope="session")
def torch() -> Any:
    pytest.importorskip("transformers", reason="needs torch and transformers: make test-torch")
    return pytest.importorskip("torch", reason="needs torch: make test-torch")


def _made(make: Callable[[Path], Path], folder: Path) -> Iterator[Path]:
    """Removed afterwards: pytest keeps the folders of three runs, of half a gigabyte each."""
    folder.mkdir()
    yield make(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def bge_m3_checkpoint(torch: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield from _made(checkpoints.bge_m3, tmp_path_factory.mktemp("checkpoints") / "bge-m3")


@pytest.fixture(scope="session")
def reranker_checkpoint(torch: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield from _made(checkpoints.reranker, tmp_path_factory.mktemp("checkpoints") / "reranker")


@pytest.fixture(scope="session")
def e5_checkpoint(torch: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield from _made(checkpoints.e5, tmp_path_factory.mktemp("checkpoints") / "e5")

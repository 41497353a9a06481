"""The official SDKs, and clients that are built on them, each in a process and with packages of its own."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.conformance.suite import CLIENTS, NODE, Documents, Row, Served, failed, run

pytestmark = [pytest.mark.conformance, pytest.mark.engine]


def test_the_python_sdk_takes_the_tour(served: Served) -> None:
    found = run([sys.executable, CLIENTS / "python_sdk.py", served.url, served.key])
    assert len(found) > 15
    assert failed(found) == []


def test_the_python_sdk_of_the_version_before_takes_the_tour(served: Served, environment: Path) -> None:
    found = run([environment / "bin/python", CLIENTS / "python_sdk.py", served.url, served.key])
    assert failed(found) == []


def node(program: str, environment: Path, packages: Path, *arguments: str) -> list[Row]:
    """Node finds packages from where a program lies, so that is where it is copied to."""
    for source in NODE.glob("*.mjs"):
        shutil.copy(source, packages)
    return run([environment / "bin/node", program, *arguments], cwd=packages)


def test_the_node_sdk_takes_the_tour(served: Served, environment: Path, node_packages: Path) -> None:
    found = node("openai_sdk.mjs", environment, node_packages, served.url, served.key)
    assert len(found) > 12
    assert failed(found) == []


def test_the_vercel_ai_sdk_generates_streams_embeds_and_calls(
    served: Served, documents: Documents, environment: Path, node_packages: Path
) -> None:
    found = node("vercel_ai.mjs", environment, node_packages, served.url, served.key, documents.name, documents.id)
    assert failed(found) == []


@pytest.mark.parametrize("client", ["langchain_client.py", "llama_index_client.py"])
def test_a_framework_answers_streams_and_embeds(
    served: Served, documents: Documents, environment: Path, client: str
) -> None:
    cache = next(environment.glob("lib/python3*/site-packages/llama_index/core/_static/tiktoken_cache"))
    found = run(
        [environment / "bin/python", CLIENTS / client, served.url, served.key, documents.name],
        TIKTOKEN_CACHE_DIR=str(cache),
    )
    assert failed(found) == []

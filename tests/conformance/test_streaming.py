"""scripts/verify_streaming.py, as a user points it at the server."""

import sys

import pytest

from tests.conformance.suite import ROOT, Documents, Served, add, completed, loaded

pytestmark = [pytest.mark.conformance, pytest.mark.engine]


@pytest.mark.parametrize("model", ["engine", "documents"])
def test_the_server_streams_as_it_should(served: Served, documents: Documents, model: str) -> None:
    asked = () if model == "engine" else ("--model", f"ragpod:{documents.name}", "--prompt", "배송은 며칠 걸리나요?")
    done = completed(
        [sys.executable, ROOT / "scripts/verify_streaming.py", served.url, "--api-key", served.key,
         "--metrics", f"{served.url}/metrics", "--json", *asked],
    )  # fmt: skip
    told = loaded(done)
    for name, check in told["checks"].items():
        outcome = {"ok": "passed", "FAIL": "failed"}.get(check["outcome"], check["outcome"])
        add("verify_streaming.py", f"{told['model']}: {name}", outcome, check["detail"])
    assert told["failed"] == []

"""llm-comply (PyPI): answers and streams against the published schemas of chat completions and of Open Responses."""

from pathlib import Path

import pytest

from tests.conformance.suite import Row, Served, add, completed, loaded

pytestmark = [pytest.mark.conformance, pytest.mark.engine]

# Text only: an answer says 400 and names the part.
REFUSED = {"chat-image-input", "image-input"}


def complied(served: Served, environment: Path, form: str, model: str) -> list[Row]:
    done = completed(
        [environment / "bin/llm-comply", "--format", form, "-u", f"{served.url}/v1", "-k", served.key, "-m", model,
         "--timeout", "120", "--json"],
    )  # fmt: skip
    return [
        add(f"llm-comply {form}", f"{model}: {test['id']}", _outcome(test), "; ".join(test.get("errors", []))[:300])
        for test in loaded(done)["results"]
    ]


def _outcome(test: dict[str, str]) -> str:
    return "refused" if test["status"] == "failed" and test["id"] in REFUSED else test["status"]


def test_chat_completions_comply(served: Served, environment: Path) -> None:
    found = complied(served, environment, "openai-chat", "ragpod")
    assert [row for row in found if row["outcome"] == "failed"] == []
    assert len(found) == 9


def test_responses_comply(served: Served, environment: Path) -> None:
    found = complied(served, environment, "open-responses", "ragpod")
    assert [row for row in found if row["outcome"] == "failed"] == []
    assert len(found) > 10

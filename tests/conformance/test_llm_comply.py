"""llm-comply (PyPI): answers and streams against the published schemas of chat completions and of Open Responses."""

from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.conformance.suite import Row, Served, add, completed, loaded

pytestmark = [pytest.mark.conformance, pytest.mark.engine]

# Text only: an answer says 400 and names the part.
REFUSED = {"chat-image-input", "image-input"}


def complied(served: Served, environment: Path, form: str, model: str, *options: str) -> list[Row]:
    done = completed(
        [environment / "bin/llm-comply", "--format", form, "-u", f"{served.url}/v1", "-k", served.key, "-m", model,
         "--timeout", "120", "--json", *options],
    )  # fmt: skip
    return [
        add(f"llm-comply {form}", f"{model}: {test['id']}", _outcome(test), _detail(test))
        for test in loaded(done)["results"]
    ]


def _outcome(test: dict[str, Any]) -> str:
    return "refused" if test["status"] == "failed" and test["id"] in REFUSED else str(test["status"])


def _detail(test: dict[str, Any]) -> str:
    """Of what was refused, the status alone; of what passed, the suite's warnings."""
    errors = test.get("errors") or test.get("warnings") or []
    return "; ".join(errors[:1] if _outcome(test) == "refused" else errors)[:300]


def test_chat_completions_comply(served: Served, environment: Path) -> None:
    found = complied(served, environment, "openai-chat", "ragpod")
    assert [row for row in found if row["outcome"] == "failed"] == []
    assert len(found) == 9


def test_responses_comply(served: Served, environment: Path) -> None:
    with OpenAI(base_url=f"{served.url}/v1", api_key=served.key) as client:
        engine = next(card.id for card in client.models.list() if card.owned_by == "engine")
    found = complied(served, environment, "open-responses", engine)
    assert [row for row in found if row["outcome"] == "failed"] == []
    assert len(found) == 13


def test_responses_from_documents_comply_but_for_openais_own_call_item(served: Served, environment: Path) -> None:
    """Open Responses leaves file_search_call out of its schema, and its three events."""
    found = complied(served, environment, "open-responses", "ragpod", "--ignore", "file_search_call")
    assert [row for row in found if row["outcome"] == "failed"] == []

"""llm-comply (PyPI): answers and streams against the published schemas of chat completions and of Open Responses."""

from pathlib import Path

import pytest
from openai import OpenAI

from tests.conformance.comply import detail, outcome
from tests.conformance.suite import Row, Served, add, completed, loaded

pytestmark = [pytest.mark.conformance, pytest.mark.engine]


def complied(served: Served, environment: Path, form: str, model: str, *options: str) -> list[Row]:
    done = completed(
        [environment / "bin/llm-comply", "--format", form, "-u", f"{served.url}/v1", "-k", served.key, "-m", model,
         "--timeout", "120", "--json", *options],
    )  # fmt: skip
    return [
        add(f"llm-comply {form}", f"{model}: {test['id']}", outcome(test), detail(test))
        for test in loaded(done)["results"]
    ]


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

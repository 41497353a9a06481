"""The table of a chat request's fields against the official SDK's parameters: a new one there fails here."""

from pathlib import Path
from typing import get_type_hints

import pytest
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)

from server.openai.chat.fields import FIELDS, Fate
from server.openai.chat.requests import ChatRequest

DOCS = Path(__file__).resolve().parents[4] / "docs"
TEXT = "".join(page.read_text("utf-8") for page in DOCS.glob("openai*"))
KNOWN = (
    get_type_hints(CompletionCreateParamsNonStreaming).keys() | get_type_hints(CompletionCreateParamsStreaming).keys()
)


def test_every_parameter_of_the_sdk_has_its_fate_and_no_other_has() -> None:
    assert FIELDS.keys() == KNOWN


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_what_is_taken_is_checked_and_what_is_refused_is_not_read(name: str) -> None:
    field = FIELDS[name]
    assert (name in ChatRequest.model_fields) == (field.fate is not Fate.REFUSED)
    assert field.by_engine is (Fate.REFUSED if field.fate is Fate.REFUSED else Fate.PASSED)
    assert field.why


def test_only_the_extension_is_not_openais() -> None:
    assert ChatRequest.model_fields.keys() - KNOWN == {"ragpod"}


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_the_documentation_says_the_same(name: str) -> None:
    field = FIELDS[name]
    assert f"| `{name}` | {field.fate.value} | {field.by_engine.value} | {field.why}" in TEXT

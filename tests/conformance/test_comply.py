"""The verdicts of llm-comply as our table has them, and the table as it is committed."""

from pathlib import Path

import pytest

from tests.conformance.comply import detail, outcome

PAGE = Path(__file__).resolve().parents[2] / "docs/conformance.md"


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ({"id": "multi-turn", "status": "passed"}, "passed"),
        ({"id": "multi-turn", "status": "passed", "warnings": ["output is missing"]}, "failed"),
        ({"id": "multi-turn", "status": "failed", "errors": ["HTTP 500"]}, "failed"),
        ({"id": "image-input", "status": "failed", "errors": ["HTTP 400"]}, "refused"),
        ({"id": "compact-response", "status": "passed", "warnings": ["no output item"]}, "refused"),
        ({"id": "compact-missing-model", "status": "passed"}, "refused"),
        ({"id": "reasoning-summary", "status": "skipped", "errors": ["no such model"]}, "skipped"),
    ],
)
def test_a_pass_with_a_remark_is_none(test: dict[str, object], said: str) -> None:
    assert outcome(test) == said
    assert detail(test) or said == "passed"


def test_nothing_that_the_page_calls_passed_by_a_suite_of_schemas_has_a_remark() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.read_text().splitlines() if "|" in line]
    every = [row for row in rows if len(row) == 4 and row[0].startswith("llm-comply")]
    assert every
    assert [row for row in every if row[2] == "passed" and row[3]] == []
    assert [row for row in every if row[2] not in ("passed", "refused", "skipped")] == []

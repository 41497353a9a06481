"""What llm-comply says of one check, in the words of our table: a pass with a remark is none."""

from typing import Any

# Text only: an answer says 400 and names the part.
IMAGES = {"chat-image-input", "image-input"}
# POST /v1/responses/compact is not offered and answers 404, which the suite counts as passed, as the route is optional.
COMPACTION = {"compact-response", "compact-missing-model"}


def outcome(test: dict[str, Any]) -> str:
    status, remarks = str(test["status"]), remarks_of(test)
    if test["id"] in COMPACTION or (test["id"] in IMAGES and status == "failed"):
        return "refused"
    return "failed" if status == "passed" and remarks else status


def detail(test: dict[str, Any]) -> str:
    """Of what was refused, why."""
    if test["id"] in COMPACTION:
        return "HTTP 404: compaction is not offered"
    remarks = remarks_of(test)
    return "; ".join(remarks[:1] if outcome(test) == "refused" else remarks)[:300]


def remarks_of(test: dict[str, Any]) -> list[str]:
    return test.get("errors") or test.get("warnings") or []

import json

import pytest

from retrieval.store.types import StoreConflict, StoreError, StoreFull, StoreUnavailable
from server.http.errors import failure_of, respond


@pytest.mark.parametrize(
    ("error", "status", "kind", "code", "retry"),
    [
        (StoreUnavailable("away"), 503, "service_unavailable_error", "store_unavailable", "2"),
        (StoreFull("no room"), 507, "server_error", "store_full", None),
        (StoreConflict("it is there"), 409, "invalid_request_error", "conflict", None),
    ],
)
def test_a_store_in_trouble_is_told_as_openai_tells_failures(
    error: StoreError, status: int, kind: str, code: str, retry: str | None
) -> None:
    answer = respond(failure_of(error), "/v1/files")
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, retry)
    assert json.loads(answer.body) == {"error": {"message": str(error), "type": kind, "param": None, "code": code}}

import errno
import json

import pytest

from retrieval.store.base.values import StoreConflict, StoreError, StoreFull, StoreUnavailable
from server.http.errors import failure_of, respond


@pytest.mark.parametrize(
    ("error", "status", "kind", "code", "retry"),
    [
        (StoreUnavailable("away"), 503, "service_unavailable_error", "store_unavailable", "2"),
        (StoreFull("no room"), 507, "server_error", "store_full", None),
        (StoreConflict("it is there"), 409, "invalid_request_error", "conflict", None),
        (OSError(errno.ENOSPC, "/a/path"), 507, "server_error", "store_full", None),
        (OSError(errno.EDQUOT, "/a/path"), 507, "server_error", "store_full", None),
        (OSError(errno.EMFILE, "/a/path"), 503, "service_unavailable_error", "store_unavailable", "2"),
        (OSError(errno.EIO, "/a/path"), 503, "service_unavailable_error", "store_unavailable", "2"),
        (OSError(errno.ENOENT, "/a/path"), 500, "server_error", "internal_error", None),
    ],
)
def test_a_store_or_a_disk_in_trouble_is_told_as_openai_tells_failures(
    error: StoreError | OSError, status: int, kind: str, code: str, retry: str | None
) -> None:
    answer = respond(failure_of(error), "/v1/files")
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, retry)
    told = json.loads(answer.body)["error"]
    assert (told["type"], told["param"], told["code"]) == (kind, None, code)
    assert told["message"] == str(error) if isinstance(error, StoreError) else "/a/path" not in told["message"]

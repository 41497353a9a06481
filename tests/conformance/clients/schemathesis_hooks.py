"""Names that exist, in the bodies that schemathesis makes up: most of them then get past the first check.

SCHEMATHESIS_MODEL and SCHEMATHESIS_FILE hold them; without these, bodies stay as they are.
"""

import os
from typing import Any

import schemathesis

MODEL, FILE = os.environ.get("SCHEMATHESIS_MODEL"), os.environ.get("SCHEMATHESIS_FILE")


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    known = {"model": MODEL, "file_id": FILE, "file_ids": FILE and [FILE]}
    return body | {name: value for name, value in known.items() if value and name in body}

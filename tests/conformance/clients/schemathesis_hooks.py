"""Names that exist in the bodies that schemathesis makes up, and few fields at a time: most then pass the first checks.

SCHEMATHESIS_MODEL and SCHEMATHESIS_FILE hold the names; without these, bodies stay as they are.
"""

import os
import zlib
from typing import Any

import schemathesis

MODEL, FILE = os.environ.get("SCHEMATHESIS_MODEL"), os.environ.get("SCHEMATHESIS_FILE")
KNOWN = {"model": MODEL, "file_id": FILE, "file_ids": FILE and [FILE]}
ASKED = {
    "messages": [{"role": "user", "content": "What does the with statement do?"}],
    "input": "What does the with statement do?",
    "query": "with statement",
}
NEEDED = {"model", "documents", "texts", *ASKED}


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    if not isinstance(body, dict) or not MODEL:
        return body
    body = body | {name: value for name, value in KNOWN.items() if value and name in body}
    drawn = zlib.crc32(repr(body).encode())
    optional = sorted(set(body) - NEEDED)
    if drawn % 4 and "model" in body and optional:
        kept = NEEDED | {optional[drawn % len(optional)]}
        body = {name: value for name, value in body.items() if name in kept}
        body |= {name: value for name, value in ASKED.items() if name in body}
    return body

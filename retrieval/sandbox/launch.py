"""Another program in this process's place, as limited as a parser: what its input makes it do stays in it.

Started by retrieval.sandbox.tesseract with its options as one JSON argument; Python's own start takes .03 s.
"""

import json
import os
import sys

from retrieval.sandbox.confine import confine, join_parent, limit_file, open_statm


def main(options: str) -> None:
    """Never returns. What cannot be confined here is not told: the parsers' children tell the same (pool)."""
    given = json.loads(options)
    join_parent(given["parent"], given["nice"])
    open_statm()
    confine(given["readable"], but_exec=True)
    limit_file(given["memory"], given["seconds"])
    try:
        os.execv(given["program"], given["arguments"])  # noqa: S606 the server's own command
    except OSError as error:
        sys.stderr.write(f"{given['program']}: {error}")
        os._exit(127)

"""One file read by one library, in the environment that has it: nothing of ragpod is imported. Run as a program:

TOOL FILE: one line of JSON, {"text"} or {"error"}, with ms and mb, its highest resident set. A small text is read
before, so that what loads late has loaded.
"""

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable


def _markitdown() -> Callable[[str], str]:
    from markitdown import MarkItDown  # type: ignore[import-not-found]

    converter = MarkItDown()
    return lambda path: str(converter.convert(path).text_content)


def _kreuzberg() -> Callable[[str], str]:
    from kreuzberg import extract_file_sync  # type: ignore[import-not-found]

    return lambda path: str(extract_file_sync(path).content)


TOOLS = {"markitdown": _markitdown, "kreuzberg": _kreuzberg}


def main(tool: str, path: str) -> None:
    out = os.dup(1)
    os.dup2(2, 1)  # what a library prints is not the answer
    read = TOOLS[tool]()
    with tempfile.TemporaryDirectory() as folder:
        warm = os.path.join(folder, "warm.txt")
        with open(warm, "w", encoding="utf-8") as file:
            file.write("warm\n")
        read(warm)
    began = time.perf_counter()
    try:
        told = {"text": read(path)}
    except Exception as error:  # whatever a library raises is its outcome
        told = {"error": f"{type(error).__name__}: {error}"[:200]}
    ms = 1000 * (time.perf_counter() - began)
    mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    os.write(out, json.dumps(told | {"ms": ms, "mb": mb}).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])

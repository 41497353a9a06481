"""ragpod's parsers beside others' on the same files: whether the expected phrase is in the text, time and memory.

    python -m benchmarks.peers ../shared/data/docs/ok --phrases ../shared/data/docs/expected_phrases.json \\
        --peer markitdown=VENV --peer kreuzberg=VENV

VENV: an environment that has the library (`pip install "markitdown[all]"`; `pip install kreuzberg`); none of them is a
dependency. Every file is read in a process of its own, whose imports are over before the clock starts: by ragpod in its
limited child, by the others without limits, each as its quick start calls it. White space counts for nothing in a
phrase. found: files whose phrase is in their text. "empty": no error, and no text.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.formats import holds, one
from benchmarks.harness import note, options, report, table
from benchmarks.peers.reader import TOOLS

_SECONDS = 180
_READER = Path(__file__).with_name("reader.py")


@dataclass(frozen=True, slots=True)
class Read:
    """outcome: found, missing, empty, an error's name; mb: the process's highest resident set."""

    outcome: str
    ms: int
    mb: int


@dataclass(frozen=True, slots=True)
class Total:
    """Of the files that have a phrase. errors: files that gave none; ms: of all files that were read."""

    tool: str
    files: int
    found: int
    missing: int
    errors: int
    ms_p50: float
    seconds: float
    mb_p50: float
    mb_most: int


def main() -> None:
    arguments = options(__doc__)
    arguments.add_argument("folders", nargs="+")
    arguments.add_argument("--phrases", required=True, help="JSON: file name -> a phrase of it")
    arguments.add_argument("--peer", action="append", default=[], help=f"NAME=VENV; {', '.join(TOOLS)}")
    given = arguments.parse_args()
    phrases = json.loads(Path(given.phrases).read_text("utf-8"))
    peers = dict(peer.split("=", 1) for peer in given.peer)
    files = [file for folder in given.folders for file in sorted(Path(folder).iterdir()) if file.name in phrases]
    rows = []
    reads: dict[str, list[Read]] = {tool: [] for tool in ("ragpod", *peers)}
    for file in files:
        row: dict[str, object] = {"file": file.name}
        for tool in reads:
            phrase = phrases[file.name]
            read = _other(tool, Path(peers[tool]), file, phrase) if tool in peers else _ours(file, phrase)
            reads[tool].append(read)
            row |= {tool: read.outcome, f"{tool} ms": read.ms, f"{tool} mb": read.mb}
        rows.append(row)
        note(row)
    totals = [_total(tool, each) for tool, each in reads.items()]
    print(table(totals), "\n")
    report("peers", given, rows, versions={tool: _version(Path(venv), tool) for tool, venv in peers.items()})


def _ours(file: Path, phrase: str) -> Read:
    parsed = asyncio.run(one(file, phrase))
    outcome = {"yes": "found", "no": "missing"}[parsed.found] if parsed.outcome == "completed" else parsed.outcome
    return Read(outcome, parsed.ms, parsed.rss_mb)


def _other(tool: str, venv: Path, file: Path, phrase: str) -> Read:
    program = [str(venv / "bin" / "python"), "-I", str(_READER), tool, str(file.resolve())]
    try:
        done = subprocess.run(program, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Read("too slow", _SECONDS * 1000, 0)
    if done.returncode or not done.stdout:
        print(done.stderr.decode(errors="replace")[-500:], file=sys.stderr)
        return Read(f"status {done.returncode}", 0, 0)
    told = json.loads(done.stdout)
    return Read(_outcome(told, phrase), round(told["ms"]), told["mb"])


def _outcome(told: Mapping[str, str], phrase: str) -> str:
    if "error" in told:
        return told["error"].partition(":")[0]
    if not told["text"].strip():
        return "empty"
    return "found" if holds(told["text"], phrase) else "missing"


def _total(tool: str, reads: Sequence[Read]) -> Total:
    ms, mb = [read.ms for read in reads if read.mb], [read.mb for read in reads if read.mb]
    found, missing = (sum(read.outcome == outcome for read in reads) for outcome in ("found", "missing"))
    seconds, errors = round(sum(ms) / 1000, 1), len(reads) - found - missing
    return Total(tool, len(reads), found, missing, errors, median(ms), seconds, median(mb), max(mb))


def _version(venv: Path, tool: str) -> str:
    asked = f"from importlib.metadata import version; print(version({tool!r}))"
    return subprocess.run([venv / "bin" / "python", "-c", asked], capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()

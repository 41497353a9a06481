"""Every GPU benchmark in one command: each a process of its own, its table, log and JSON in one folder.

    python -m benchmarks.gpu [--small] [--brief] [--out .bench/gpu] [--only matrix,encoders] [--limit 600] [--cut]

Ends non-zero where a script breaks, prints no JSON, or outlasts its share of --limit; the others still run. A script
that cannot run on this machine says why and counts as skipped. One that is out of time keeps the rows that it had, and
with --cut does not count as broken. NAME.ended says in a line how each ended.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import environment, options, table

SCRIPTS = ("tests", "encoders", "stages", "dense", "serving", "matrix", "generation")
OUT_OF_TIME = "out of time"
GRACE = 5  # seconds for a script to end after it was asked to


@dataclass(frozen=True, slots=True)
class Outcome:
    script: str
    result: str
    seconds: float


def run(name: str, program: Sequence[str], out: Path, limit: float) -> Outcome:
    """program: what Python is given. Table and JSON go to NAME.txt and NAME.json, the rest to NAME.log, as it comes."""
    since = time.perf_counter()
    text, log, found = (out / f"{name}.{kind}" for kind in ("txt", "log", "json"))
    found.unlink(missing_ok=True)
    command = [sys.executable, *program]
    print(f"\n== {' '.join(command[1:])}", flush=True)
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with text.open("wb") as output, log.open("wb") as said:
        child = subprocess.Popen(command, stdout=output, stderr=said, env=env, start_new_session=True)
        code = _ended(child, limit)
    lines = text.read_text("utf-8", "replace").splitlines()
    result = _result(lines, code)
    if result == OUT_OF_TIME and (rows := _noted(log)):
        cut = {"benchmark": f"gpu.{name}", "cut": True, "environment": environment(), "rows": rows}
        found.write_text(json.dumps(cut, indent=1, ensure_ascii=False), "utf-8")
        text.write_text(table(rows) + "\n", "utf-8")
        result = f"{OUT_OF_TIME}, {len(rows)} rows kept"
    if isinstance(result, dict):
        found.write_text(json.dumps(result, indent=1, ensure_ascii=False), "utf-8")
        lines.pop()
        ended = f"skipped: {result['skipped']}" if "skipped" in result else "ok"
    else:
        lines += log.read_text("utf-8", "replace").splitlines()[-30:]
        ended = result
    print("\n".join(lines), flush=True)
    (out / f"{name}.ended").write_text(f"{ended}\n", "utf-8")
    return Outcome(name, ended, round(time.perf_counter() - since, 1))


def _ended(child: subprocess.Popen[bytes], limit: float) -> int | None:
    """The exit code; None past the limit. Whatever the script started ends with it: it may hold the GPU's memory."""
    try:
        return child.wait(max(limit, 1.0))
    except subprocess.TimeoutExpired:
        return None
    finally:
        _signal(child, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
        _signal(child, signal.SIGKILL)
        child.wait()


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def _result(lines: list[str], code: int | None) -> dict[str, object] | str:
    """What the script found, or what is wrong with it."""
    if code != 0:
        return OUT_OF_TIME if code is None else f"broken: exit code {code}"
    try:
        result = json.loads(lines[-1])
    except (IndexError, ValueError):
        return "broken: its last line is not JSON"
    return result if isinstance(result, dict) else "broken: its last line is no JSON object"


def _noted(log: Path) -> list[dict[str, object]]:
    """The rows that a script said as it measured them."""
    rows = []
    for line in log.read_text("utf-8", "replace").splitlines():
        with contextlib.suppress(ValueError):
            if isinstance(row := json.loads(line), dict):
                rows.append(row)
    return rows


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--out", type=Path, default=Path(".bench/gpu"))
    parser.add_argument("--only", default=",".join(SCRIPTS), help="names, comma-separated")
    parser.add_argument("--cut", action="store_true", help="out of time is no failure")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds for all of them")
    given = parser.parse_args()
    names = given.only.split(",")
    if unknown := sorted(set(names) - set(SCRIPTS)):
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(SCRIPTS)}")
    given.out.mkdir(parents=True, exist_ok=True)
    arguments = ["--seed", str(given.seed), *(f"--{flag}" for flag in ("small", "brief") if getattr(given, flag))]
    ends = time.perf_counter() + given.limit
    outcomes = [
        run(name, ["-m", f"benchmarks.gpu.{name}", *arguments], given.out, ends - time.perf_counter()) for name in names
    ]
    print("\n" + table(outcomes))
    good = ("ok", "skipped", *([OUT_OF_TIME] if given.cut else []))
    sys.exit(any(not outcome.result.startswith(good) for outcome in outcomes))


if __name__ == "__main__":
    main()

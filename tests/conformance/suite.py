"""A suite is a program: it drives a server and prints a line of JSON for each thing it did."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CLIENTS, NODE = (Path(__file__).with_name(name) for name in ("clients", "node"))
PATIENCE_SECONDS = 420
Row = dict[str, str]  # suite, check, outcome, detail
rows: list[Row] = []


@dataclass(frozen=True, slots=True)
class Served:
    url: str
    key: str


@dataclass(frozen=True, slots=True)
class Documents:
    """A store of the real server that has some."""

    name: str
    id: str


def completed(command: Sequence[str | Path], cwd: Path | None = None, **variables: str) -> CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "RAGPOD_"))}
    return subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=ours | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )


def add(suite: str, check: str, outcome: str, detail: str = "") -> Row:
    rows.append({"suite": suite, "check": check, "outcome": outcome, "detail": detail})
    return rows[-1]


def run(command: Sequence[str | Path], cwd: Path | None = None, **variables: str) -> list[Row]:
    """The rows that a client told, which join the table. Raises AssertionError where it told none, or died."""
    done = completed(command, cwd, **variables)
    found: list[Row] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"suite"')]
    rows.extend(found)
    assert found, f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, done.stderr
    return found


def loaded(done: CompletedProcess[str]) -> dict[str, Any]:
    """The JSON that is all a program printed. Raises AssertionError where it printed something else."""
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def failed(found: Sequence[Row]) -> list[str]:
    return [f"{row['check']}: {row['detail']}" for row in found if row["outcome"] == "failed"]

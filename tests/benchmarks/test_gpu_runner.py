"""The runner of the GPU benchmarks: a cut leaves what was measured; the check's script is bounded and kept."""

import json
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.gpu import __main__ as runner

ROOT = Path(__file__).resolve().parents[2]
CHECK = (ROOT / "scripts/gpu_check.sh").read_text()

ENDLESS = """
import time
from benchmarks.harness import note
note({"cell": "a", "p50_ms": 1.5})
note({"cell": "b", "p50_ms": 2.5})
time.sleep(600)
"""


def test_a_script_that_is_out_of_time_keeps_its_rows(tmp_path: Path) -> None:
    outcome = runner.run("endless", ["-c", ENDLESS], tmp_path, 5.0)
    assert outcome.result == "out of time, 2 rows kept"
    kept = json.loads((tmp_path / "endless.json").read_text())
    assert (kept["cut"], [row["cell"] for row in kept["rows"]]) == (True, ["a", "b"])
    assert "| b | 2.5 |" in (tmp_path / "endless.txt").read_text()
    assert (tmp_path / "endless.ended").read_text() == "out of time, 2 rows kept\n"


def test_the_check_has_every_script_once_the_most_telling_first() -> None:
    (parts,) = re.findall(r'^PARTS="(.*)"$', CHECK, re.MULTILINE)
    assert [part.split(":")[0] for part in parts.split()] == list(runner.SCRIPTS)


def test_the_check_ends_within_seven_minutes() -> None:
    (limit,) = re.findall(r"^LIMIT=\$\{LIMIT:-(\d+)\}$", CHECK, re.MULTILINE)
    assert int(limit) <= 7 * 60
    bounds = [int(seconds) for seconds in re.findall(r"[a-z]:(\d+)", CHECK.partition('PARTS="')[2].partition('"')[0])]
    assert sum(bounds[:-1]) <= int(limit) - 15  # the last, vLLM, takes what is left


def test_what_the_check_carries_is_named_once_and_sorted() -> None:
    lines = (ROOT / "benchmarks/gpu/wheels.txt").read_text().splitlines()
    names = [line.partition("==")[0].lower() for line in lines if not line.startswith("#")]
    assert names[1:] == sorted(set(names[1:]))


def test_every_script_takes_the_options_that_the_check_gives() -> None:
    for name in ("matrix", "dense"):
        command = [sys.executable, "-m", f"benchmarks.gpu.{name}", "--brief", "--small", "--help"]
        assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0

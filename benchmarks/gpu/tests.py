"""The tests that need a GPU (`@pytest.mark.gpu`), on the machine of the benchmarks.

    python -m benchmarks.gpu.tests

Only the files that name the mark are collected, so that nothing else need be installed than what they use. Warnings of
libraries that are older or newer than the project's own are no errors here. Last line: JSON.
"""

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu.device import Device
from benchmarks.harness import options, report, skip

NONE_COLLECTED = 5


@dataclass(frozen=True, slots=True)
class Row:
    test: str
    outcome: str
    seconds: float
    message: str


def marked(folder: Path = Path("tests")) -> list[str]:
    return sorted(str(path) for path in folder.rglob("test_*.py") if "pytest.mark.gpu" in path.read_text("utf-8"))


def outcomes(junit: Path) -> list[Row]:
    """Of every test in pytest's JUnit file."""
    rows: list[Row] = []
    for case in ET.parse(junit).iter("testcase"):
        said = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        outcome = "passed" if said is None else said.tag
        message = "" if said is None else (said.get("message") or "").partition("\n")[0][:200]
        rows.append(Row(f"{case.get('classname')}::{case.get('name')}", outcome, float(case.get("time", 0)), message))
    return rows


def main() -> None:
    given, device = options(__doc__).parse_args(), Device.find()
    files = marked()
    if not device.cuda or not files:
        skip("gpu.tests", "no GPU here" if files else "no test is marked gpu")
        return
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder) / "junit.xml"
        command = [sys.executable, "-m", "pytest", "-m", "gpu", "-W", "default", "-p", "no:cacheprovider"]
        code = subprocess.run([*command, f"--junitxml={junit}", *files], check=False).returncode
        rows = outcomes(junit) if junit.exists() else []
    report("gpu.tests", given, rows, device=device.name, files=files, exit_code=code)
    sys.exit(code if code != NONE_COLLECTED else 0)


if __name__ == "__main__":
    main()

"""Another commit's code beside the present one: a checkout of it, and processes that run what lies in a checkout."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[2]


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """In a temporary folder; git forgets it afterwards."""
    with tempfile.TemporaryDirectory(prefix="ragpod-before-") as folder:
        path = Path(folder) / commit
        git = ["git", "-C", str(HERE), "worktree"]
        subprocess.run([*git, "add", "--detach", str(path), commit], check=True, capture_output=True)
        try:
            yield path
        finally:
            subprocess.run([*git, "remove", "--force", str(path)], check=True)


def ran(code: Path, *arguments: str) -> None:
    """`python -m` of a checkout. Raises CalledProcessError."""
    subprocess.run([sys.executable, "-m", *arguments], cwd=code, check=True, stdout=subprocess.DEVNULL)


class Asked:
    """A program of this folder, which answers lines of JSON, over the code of a checkout."""

    def __init__(self, code: Path, program: str, *arguments: str) -> None:
        command = [sys.executable, "-P", str(Path(__file__).with_name(program)), *arguments]
        environment = os.environ | {"PYTHONPATH": str(code)}
        self._process = subprocess.Popen(
            command, cwd=code, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __call__(self, name: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([name, arguments]), file=self._process.stdin, flush=True)
        if not (answer := self._process.stdout.readline()):
            raise RuntimeError(f"{name}: the child has ended")
        return json.loads(answer)

    def close(self) -> None:
        """It ends by itself when there are no more lines."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def cpu_seconds(pid: int) -> float:
    """Of a process and its threads, so far; not of its children."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

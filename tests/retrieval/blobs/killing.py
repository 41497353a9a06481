"""Kills a process that puts, in the middle of it."""

import subprocess
import sys
import time
from pathlib import Path


def kill_while_putting(url: str, folder: Path, seconds: float) -> list[str]:
    """So long after its first put; gives the digests of all that it has put."""
    command = [sys.executable, "-m", "tests.retrieval.blobs.putting_child", url, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline().strip()
        time.sleep(seconds)
        process.kill()
        return [first, *process.stdout.read().split()]

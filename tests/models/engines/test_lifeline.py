"""No process outlives the one that holds its line, however it dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import alive
from tests.until import until

# A foreign command of two processes: both write their ids.
COMMAND = "sleep 600 & echo $! > {0}/second; echo $$ > {0}/first; wait"


def guard(tmp_path: Path) -> "subprocess.Popen[bytes]":
    return guarding("sh", "-c", COMMAND.format(tmp_path))


def guarding(*command: str) -> "subprocess.Popen[bytes]":
    guard = (sys.executable, "-P", "-m", "models.engines.lifeline", *command)
    return subprocess.Popen(guard, stdin=subprocess.PIPE, start_new_session=True)


async def pids(tmp_path: Path) -> tuple[int, int]:
    files = (tmp_path / "first", tmp_path / "second")
    await until(lambda: all(file.exists() and file.read_text().strip() for file in files), 20)
    return int(files[0].read_text()), int(files[1].read_text())


async def test_closing_the_line_ends_the_command_and_its_children(tmp_path: Path) -> None:
    with guard(tmp_path) as process:
        first, second = await pids(tmp_path)
        assert process.stdin is not None
        process.stdin.close()
        await until(lambda: not alive(first) and not alive(second), 15)
        assert process.wait(15) != 0


async def test_a_killed_guard_takes_its_command_with_it(tmp_path: Path) -> None:
    with guard(tmp_path) as process:
        first, second = await pids(tmp_path)
        process.kill()
        await until(lambda: not alive(first) and not alive(second), 15)
        assert process.wait(15) == -signal.SIGKILL


async def test_the_groups_sigterm_reaches_the_command_and_the_guard_follows(tmp_path: Path) -> None:
    with guard(tmp_path) as process:
        first, second = await pids(tmp_path)
        os.killpg(process.pid, signal.SIGTERM)
        await until(lambda: not alive(first) and not alive(second), 15)
        assert process.wait(15) == 256 - signal.SIGTERM


def test_the_commands_exit_status_is_the_guards() -> None:
    command = (sys.executable, "-P", "-m", "models.engines.lifeline", "sh", "-c", "exit 7")
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as process:
        assert process.wait(20) == 7


STUBBORN = """
import os, signal, sys, time
if os.fork():
    os._exit(0)
os.setsid()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(600)
"""


@pytest.mark.parametrize("ended_by", ["line", "command"])
async def test_a_descendant_that_left_the_group_and_ignores_sigterm_is_ended_too(tmp_path: Path, ended_by: str) -> None:
    told, go = tmp_path / "pid", tmp_path / "go"
    rest = f"while ! [ -e {go} ]; do sleep 0.05; done; exit 7"
    command = ("sh", "-c", f"'{sys.executable}' -c '{STUBBORN}' {told}; {rest}")
    with guarding(*command) as process:
        await until(lambda: told.exists() and bool(told.read_text()), 20)
        pid = int(told.read_text())
        assert process.stdin is not None
        if ended_by == "line":
            process.stdin.close()
        else:
            go.touch()
        await until(lambda: not alive(pid), 30)
        assert process.wait(20) == (7 if ended_by == "command" else 256 - signal.SIGTERM)

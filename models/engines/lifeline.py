"""A child process that never outlives its parent, however the parent dies.

Two lines: the kernel's parent-death signal (Linux prctl(2), PR_SET_PDEATHSIG) and the end of file on a stdin pipe whose
other end only the parent holds. `hold()` is for our own children; a foreign command runs under
`python -P -m models.engines.lifeline COMMAND…`, which holds the line for the command and all its descendants.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_SECONDS = 10.0
_ORPHANS_SECONDS = 3.0  # of a command that is gone: nothing of theirs is wanted any more
_REAP_SECONDS = 0.1


def hold(lost: Callable[[], None]) -> None:
    """Calls `lost` from a thread when the parent is gone or closes stdin."""
    threading.Thread(target=_watch_stdin, args=(lost,), name="lifeline", daemon=True).start()


def die_with_parent(signum: int = signal.SIGKILL) -> None:
    """No effect outside Linux, where the stdin line holds alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)


def _watch_stdin(lost: Callable[[], None]) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    lost()


def guard(command: list[str], environment: Mapping[str, str] | None = None) -> int:
    """Runs `command` in a process group of its own; it and all that it makes end with the parent, or with the command.

    Its descendants become this process's children when their own parents die (PR_SET_CHILD_SUBREAPER), so that none
    is lost sight of, whatever group it moved to. Should this process be killed itself, a second one kills the group.
    Returns the command's exit status.
    """
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    _second(os.getpid())
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: None)  # the group's signal reaches the command itself
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, preexec_fn=die_with_parent)  # noqa: S603
    hold(lambda: _end_all(_GRACE_SECONDS))
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return child.returncode or 0
        if pid == child.pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            _end_all(_ORPHANS_SECONDS)


def _second(group: int) -> None:
    """A process, nobody's child, that kills the group when this one is gone: it sees its end of a pipe close."""
    gone, _alive = os.pipe()  # stays open here, and nowhere else
    if os.fork():
        os.wait()
        os.close(gone)
        return
    os.close(_alive)
    os.setsid()
    if os.fork():
        os._exit(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):  # whoever reads this process's output must not wait for that one
        os.dup2(nothing, number)
    os.read(gone, 1)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    os._exit(0)


def _end_all(grace: float) -> None:
    """SIGTERM for the group; SIGKILL, after a grace, for every descendant that is still there."""
    os.killpg(0, signal.SIGTERM)
    threading.Thread(target=_kill_descendants, args=(grace,), name="lifeline-end", daemon=True).start()


def _kill_descendants(grace: float) -> None:
    time.sleep(grace)
    while True:
        for children in Path("/proc/self/task").glob("*/children"):
            for pid in children.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        time.sleep(_REAP_SECONDS)  # a killed process's own children come up next


if __name__ == "__main__":
    sys.exit(guard(sys.argv[1:]))

"""What a child does to itself before it reads a file of anybody's: it may compute, and answer, and nothing else.

What the kernel or a container forbids is left out, and said.
"""

import contextlib
import ctypes
import os
import resource
import signal
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from retrieval.sandbox.syscalls import refuse_system_calls

_PDEATHSIG, _NO_NEW_PRIVS = 1, 38
_FILES = 64
# Landlock (Linux landlock(7)); the same numbers on every machine.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_EXECUTE_READ = 0b1101  # execute, read_file, read_dir: libraries are mapped as programs are
_FS_OF_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # kinds of access that it can refuse


def join_parent(parent: int, nice: int) -> None:
    """It ends with its parent, gives way to it, and is the one that the kernel takes when memory runs out."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        with contextlib.suppress(OSError):  # a container may forbid it
            Path("/proc/self/oom_score_adj").write_text("1000")
    if os.getppid() != parent:
        os._exit(0)
    os.nice(nice)


def confine(readable: Sequence[str], *, but_exec: bool = False) -> list[str]:
    """For good. readable: folders of the libraries. but_exec: it is about to become another program, which inherits all
    of this. What could not be done, in words.
    """
    time.tzset()  # reads /etc/localtime now
    missing = []
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
    if sys.platform != "linux":
        return ["limits of resources alone: no Landlock, no system call filter"]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        missing.append("no PR_SET_NO_NEW_PRIVS")
    missing += [problem for problem in (_read_alone(libc, readable), refuse_system_calls(but_exec=but_exec)) if problem]
    return missing


def limit_file(memory: int, seconds: int) -> None:
    """memory: bytes beyond what the process has mapped already. seconds: of CPU, from now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, resource.RLIM_INFINITY))
    if mapped := _pages(0):  # macOS does not keep RLIMIT_AS
        resource.setrlimit(resource.RLIMIT_AS, (mapped + memory, resource.RLIM_INFINITY))


def extend_time(seconds: int) -> None:
    """Of CPU, as the file turns out to need them."""
    cpu, most = resource.getrlimit(resource.RLIMIT_CPU)
    if cpu != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu + seconds, most))


def lift_memory() -> None:
    """Until the next file: it must be received first."""
    if _pages(0):
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def resident() -> int:
    """Bytes in memory; 0 where that cannot be read."""
    return _pages(1)


class _Statm:
    """Opened once, before Landlock; a later open would be refused."""

    descriptor: int | None = None


def open_statm() -> None:
    try:
        _Statm.descriptor = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        _Statm.descriptor = None


def _pages(field: int) -> int:
    if _Statm.descriptor is None:
        return 0
    return int(os.pread(_Statm.descriptor, 256, 0).split()[field]) * resource.getpagesize()


def _read_alone(libc: ctypes.CDLL, readable: Sequence[str]) -> str:
    abi = libc.syscall(_CREATE_RULESET, None, 0, 1)
    if abi < 1:
        return f"no Landlock: {os.strerror(ctypes.get_errno())}"
    handled = (1 << _FS_OF_ABI.get(abi, 16)) - 1
    attributes = struct.pack("QQQ", handled, 0b11, 0b11)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    rules = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return f"no Landlock: {os.strerror(ctypes.get_errno())}"
    for folder in readable:
        if not Path(folder).is_dir():
            continue
        opened = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        libc.syscall(_ADD_RULE, rules, 1, struct.pack("=Qi", _EXECUTE_READ, opened), 0)
        os.close(opened)
    refused = libc.syscall(_RESTRICT_SELF, rules, 0)
    os.close(rules)
    return f"no Landlock: {os.strerror(ctypes.get_errno())}" if refused else ""

"""A seccomp filter (Linux seccomp(2), classic BPF) that refuses a parser every way out of its process.

Own code, as pyseccomp needs libseccomp on the machine (it is not in slim images) and sandlock brings a supervisor.
Numbers: the kernel's arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h (aarch64).
"""

import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass

_LOAD, _EQUAL, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data, the argument's low half
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_X32 = 0x40000000  # the other numbers of x86_64; aarch64 has none so high
_CLONE_THREAD = 0x00010000
_SET_MODE_FILTER, _ALL_THREADS = 1, 1


@dataclass(frozen=True, slots=True)
class _Machine:
    """architecture: AUDIT_ARCH_*. refused: with EPERM. exec: too, but for who is about to become another program. own:
    allowed for the process's own id (0 or its number).
    """

    architecture: int
    seccomp: int
    clone: int
    clone3: int
    own: tuple[int, ...]
    exec: tuple[int, ...]
    refused: tuple[int, ...]


_NEW = (424, 425, 426, 427, 434, 438)  # pidfd_*, io_uring_*: the same on every machine
_MACHINES = {
    "x86_64": _Machine(
        0xC000003E,
        seccomp=317,
        clone=56,
        clone3=435,
        own=(62, 234, 302),  # kill, tgkill, prlimit64
        exec=(59, 322),  # execve, execveat
        refused=(
            *(41, 42, 43, 44, 45, 46, 47, 49, 50, 53, 288, 299, 307),  # socket … socketpair, accept4, *mmsg
            *(57, 58),  # fork, vfork
            *(101, 129, 200, 297, 310, 311),  # ptrace, rt_sigqueueinfo, tkill, rt_tgsigqueueinfo, process_vm_*
            *(155, 161, 163, 165, 166, 167, 169, 175, 176, 246, 272, 308, 313),  # mounts, roots, modules, namespaces
            *(248, 249, 250, 298, 304, 319, 321, 323),  # keys, perf, file handles, memfd, bpf, userfaultfd
            *_NEW,
        ),
    ),
    "aarch64": _Machine(
        0xC00000B7,
        seccomp=277,
        clone=220,
        clone3=435,
        own=(129, 131, 261),
        exec=(221, 281),
        refused=(
            *(198, 199, 200, 201, 202, 203, 206, 207, 211, 212, 242, 243, 269),
            *(117, 138, 130, 240, 270, 271),
            *(41, 51, 89, 40, 39, 224, 142, 105, 106, 104, 97, 268, 273),
            *(217, 218, 219, 241, 265, 279, 280, 282),
            *_NEW,
        ),
    ),
}


def refuse_system_calls(*, but_exec: bool = False) -> str:
    """For all threads, for good. What kept it from that; "" where it holds. Needs PR_SET_NO_NEW_PRIVS."""
    machine = _MACHINES.get(platform.machine())
    if machine is None or platform.system() != "Linux":
        return f"no system call filter on {platform.system()} {platform.machine()}"
    refused = machine.refused if but_exec else (*machine.refused, *machine.exec)
    program = _program(machine, os.getpid(), refused)
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(machine.seccomp, _SET_MODE_FILTER, _ALL_THREADS, header) != 0:
        return f"no system call filter: {os.strerror(ctypes.get_errno())}"
    return ""


def _program(machine: _Machine, process: int, numbers: tuple[int, ...]) -> bytes:
    """Each test ends in a verdict or falls through to the next. struct sock_filter: code, jumps, operand."""
    refused = _step(_RETURN, _ERRNO | errno.EPERM)
    lines = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, machine.architecture, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        *(_step(_AT_LEAST, _X32, 0, 1), refused),
        *(_step(_EQUAL, machine.clone3, 0, 1), _step(_RETURN, _ERRNO | errno.ENOSYS)),  # libc falls back to clone
        *(_step(_EQUAL, machine.clone, 0, 4), _step(_LOAD, _FIRST_ARGUMENT)),
        *(_step(_ANY_BIT, _CLONE_THREAD, 1, 0), refused, _step(_RETURN, _ALLOW)),
    ]
    for number in machine.own:
        lines += [_step(_EQUAL, number, 0, 5), _step(_LOAD, _FIRST_ARGUMENT), _step(_EQUAL, process, 2, 0)]
        lines += [_step(_EQUAL, 0, 1, 0), refused, _step(_RETURN, _ALLOW)]
    for number in numbers:
        lines += [_step(_EQUAL, number, 0, 1), refused]
    return b"".join([*lines, _step(_RETURN, _ALLOW)])


def _step(code: int, operand: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, operand)

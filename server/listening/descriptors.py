"""How many connections the process has file descriptors for."""

import errno
import logging
import os
import resource

LEAST = 8  # connections; a server that has room for fewer is no use to anyone
log = logging.getLogger("ragpod.listening")


def room_for(wanted: int, kept: int) -> int:
    """Connections that may be open at once, `wanted` at most: `kept` descriptors stay free for files, databases and
    engines, or accepting one connection too many would fail all of these. The soft limit is raised where it may be.

    Raises OSError where not even LEAST have room.
    """
    used = len(os.listdir("/dev/fd"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    needed = used + kept + wanted
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    room = min(wanted, soft - used - kept)
    if room < min(LEAST, wanted):
        least = used + kept + min(LEAST, wanted)
        raise OSError(
            errno.EMFILE,
            f"{soft} file descriptors are too few: {used} are in use and {kept} are kept for files, databases and "
            f"engines. Allow {least} at least (ulimit -n {least}), or lower limits.answers and limits.uploads",
        )
    if room < wanted:
        log.warning("%d file descriptors: %d connections at once instead of %d (ulimit -n)", soft, room, wanted)
    return room

"""Ports that stay one's own."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port of 127.0.0.1 where nobody listens, and which the system gives to nobody else meanwhile.

    Bound and never listening, so a connection is refused until a server that sets SO_REUSEADDR, as all servers here
    do, listens there.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]

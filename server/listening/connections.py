"""Who may be connected: so many in all, so many of one address, and a few more that may only probe."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Protocol

RESERVED = 8
SWEEP_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """header_bytes, header_lines: of a request's head. header_seconds: for a whole head. body_seconds: of silence in
    a body, which must come at a least rate besides. body_bytes: what is read at most of a body that nobody wants.
    idle_seconds: between two requests. connections, of_address: at once; addresses in `exempt` count in all only.
    """

    header_bytes: int = 32 << 10
    header_lines: int = 100
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    body_bytes: int = 64 << 20
    idle_seconds: float = 75.0
    connections: int = 1024
    of_address: int = 256
    exempt: tuple[IPv4Network | IPv6Network, ...] = field(default=())


class Connection(Protocol):
    """address: of the peer itself; what a proxy says of others comes with the headers, too late for a limit."""

    address: str

    def idle_since(self) -> float | None:
        """The loop's seconds; None while it is worked for, or sends a request."""
        ...

    def check(self, now: float) -> None:
        """Ends it where it is late."""
        ...

    def drop(self) -> None: ...

    @property
    def served(self) -> bool: ...


class Connections:
    """A connection is in an ordinary place or in one of the reserved ones, whose oldest gives way to the next: so a
    probe is let in whatever the others hold.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._ordinary: dict[Connection, None] = {}
        self._reserved: dict[Connection, None] = {}  # in order of arrival
        self._of_address: Counter[str] = Counter()
        self._exempt: dict[str, bool] = {}
        self._swept = 0.0

    def __len__(self) -> int:
        return len(self._ordinary) + len(self._reserved)

    def __iter__(self) -> Iterator[Connection]:
        return iter([*self._ordinary, *self._reserved])

    def enter(self, connection: Connection) -> None:
        if self._has_room(connection.address):
            self._take(connection)
            return
        if len(self._reserved) >= RESERVED:
            oldest = next((one for one in self._reserved if not one.served), None)
            self._give_way(oldest if oldest is not None else connection)
            if oldest is None:
                return
        self._reserved[connection] = None

    def leave(self, connection: Connection) -> None:
        self._reserved.pop(connection, None)
        if connection in self._ordinary:
            del self._ordinary[connection]
            self._of_address[connection.address] -= 1
            if not self._of_address[connection.address]:
                del self._of_address[connection.address]

    def admits(self, connection: Connection) -> bool:
        """Whether it may send any request, now; else it may only probe."""
        if connection in self._reserved and self._has_room(connection.address):
            del self._reserved[connection]
            self._take(connection)
        return connection in self._ordinary

    def sweep(self, now: float) -> None:
        """To be called often; looks at every connection four times a second."""
        if now - self._swept >= SWEEP_SECONDS:
            self._swept = now
            for connection in self:
                connection.check(now)

    def _take(self, connection: Connection) -> None:
        self._ordinary[connection] = None
        self._of_address[connection.address] += 1

    def _has_room(self, address: str) -> bool:
        """Idle connections give way, the longest idle first."""
        held, limits = self._of_address[address], self.limits
        crowded = held >= limits.of_address and not self._is_exempt(address)
        if crowded and not self._end_idle(lambda one: one.address == address):
            return False
        return len(self._ordinary) < limits.connections or self._end_idle(lambda _: True)

    def _end_idle(self, eligible: Callable[[Connection], bool]) -> bool:
        idle = [(since, one) for one in self._ordinary if eligible(one) and (since := one.idle_since()) is not None]
        if not idle:
            return False
        self._give_way(min(idle, key=lambda pair: pair[0])[1])
        return True

    def _give_way(self, connection: Connection) -> None:
        self.leave(connection)
        connection.drop()

    def _is_exempt(self, address: str) -> bool:
        if address not in self._exempt:
            if len(self._exempt) > self.limits.connections:
                self._exempt.clear()
            self._exempt[address] = any(_within(address, network) for network in self.limits.exempt)
        return self._exempt[address]


def _within(address: str, network: IPv4Network | IPv6Network) -> bool:
    """An IPv4 peer of a socket that takes both is written ::ffff:a.b.c.d; one without an address is a local socket."""
    try:
        peer = ip_address(address)
    except ValueError:
        return True
    mapped = getattr(peer, "ipv4_mapped", None) or peer
    return mapped in network if mapped.version == network.version else False

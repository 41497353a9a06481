"""Where a webhook may lead: to public addresses, and to what the settings name.

Who may make a webhook must not reach, through this server, what only this server can: itself, its neighbours, the
cloud's metadata. A name is resolved, all of its addresses are looked at, and the connection goes to one that was looked
at: an answer of the DNS that changes in between (rebinding) changes nothing.
"""

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_LONGEST = 2048
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Of IANA's special-purpose registries what `ipaddress` takes for global, in one version of Python or another.
_SPECIAL = tuple(
    ipaddress.ip_network(each)
    for each in ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "100::/64", "3fff::/20", "5f00::/16", "fec0::/10")
)
_COMPATIBLE = ipaddress.IPv6Network("::/96")  # the loopback and the unspecified address are inside, too


class ForbiddenAddress(OSError):
    pass


class Addresses:
    """allowed: names of hosts, addresses and networks ("10.0.0.0/8") that may be called though they are not public."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self._names: set[str] = set()
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for each in allowed:
            try:
                self._networks.append(ipaddress.ip_network(each))
            except ValueError:
                self._names.add(_plain(each))

    def check(self, host: str, address: str) -> None:
        """Raises ForbiddenAddress. host: by which it is called."""
        if _plain(host) in self._names:
            return
        known = ipaddress.ip_address(address.partition("%")[0])
        if not is_public(known) and not any(known in network for network in self._networks):
            raise ForbiddenAddress(
                f"{_shown(host, address)} is not a public address: webhooks.allow names those that may be called anyway"
            )

    def problem(self, url: str) -> str | None:
        """What is wrong with the address of a webhook, as far as it can be seen without asking the DNS."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            return "it is not a URL"
        if parts.scheme not in ("http", "https") or not host:
            return "it must be an http:// or https:// URL with a host"
        if parts.username is not None or parts.password is not None:
            return "it must hold no user name and no password: verify the signature instead"
        if parts.fragment or len(url) > _LONGEST or any(character <= " " or character == "\x7f" for character in url):
            return f"it must have no fragment, no spaces and at most {_LONGEST} characters"
        try:
            self.check(host, "127.0.0.1" if _plain(host) == "localhost" else str(ipaddress.ip_address(host)))
        except ForbiddenAddress as forbidden:
            return str(forbidden)
        except ValueError:  # a name: it is resolved at each attempt
            return None
        return None


def is_public(address: Address) -> bool:
    """Reached over the internet; of an address that holds another one, that too."""
    inner: list[Address | None] = []
    if isinstance(address, ipaddress.IPv6Address):
        if address in _COMPATIBLE:
            return False
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        if address.ipv4_mapped is not None or address in _NAT64:  # it is no more than the address inside
            return all(is_public(each) for each in inner if each is not None)
    special = any(address in network for network in _SPECIAL)
    outside = special or address.is_multicast or address.is_reserved or not address.is_global
    return not outside and all(is_public(each) for each in inner if each is not None)


class CheckedResolver(AbstractResolver):
    """What it gives is what is connected to. One address that may not be called condemns the name."""

    def __init__(self, addresses: Addresses, resolver: AbstractResolver | None = None) -> None:
        self._addresses = addresses
        self._resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            self._addresses.check(host, each["host"])
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _plain(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _shown(host: str, address: str) -> str:
    return address if _plain(host) == address else f"{host!r} ({address})"

"""A client that connects to public addresses alone, whatever name or redirect leads elsewhere.

A name is resolved once, all of its addresses are looked at, and the connection is made to one of those: a name that
says something else a moment later (DNS rebinding) is not asked again. No proxy of the environment is used, as it would
resolve the names itself.
"""

import ipaddress
import socket
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from server.outgoing.addresses import Allowed, literal

CONNECT_SECONDS = 10.0
CONNECTIONS = 32
HEADER_BYTES = 8 << 10  # of an answer's first line, and of each header


class AddressRefused(aiohttp.ClientError):
    """The host is not public, and not allowed by name. Trying again changes nothing."""

    def __init__(self, host: str, address: str) -> None:
        self.where = host if host == address else f"{host} ({address})"
        super().__init__(f"{self.where} is not a public address, and is not allowed by name")


def open_session(
    allowed: Allowed,
    *,
    headers: dict[str, str] | None = None,
    total_seconds: float,
    silence_seconds: float,
    once: bool = False,
    resolver: AbstractResolver | None = None,
) -> aiohttp.ClientSession:
    """A session whose every connection is checked, those of redirects too; to be closed by the caller.

    It keeps no cookies and unpacks nothing: `server.outgoing.body` does, within a limit. total_seconds: of a request
    and its answer. silence_seconds: between two pieces of an answer. once: no connection and no answer of the DNS is
    kept for a second request. resolver: the system's where none is given. Requests raise AddressRefused.
    """
    return aiohttp.ClientSession(
        connector=_Connector(_Checked(resolver or ThreadedResolver(), allowed), allowed, once=once),
        headers=headers,
        timeout=aiohttp.ClientTimeout(
            total=total_seconds, sock_connect=min(CONNECT_SECONDS, total_seconds), sock_read=silence_seconds
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
        trust_env=False,
    )


class _Checked(AbstractResolver):
    """by_name: addresses that are not public, of names that are allowed."""

    def __init__(self, resolver: AbstractResolver, allowed: Allowed) -> None:
        self._resolver, self._allowed = resolver, allowed
        self.by_name: set[str] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if self._allowed.names(host):
            self.by_name.update(each["host"] for each in found)
            return found
        for each in found:
            if not self._allowed.permits(ipaddress.ip_address(each["host"])):
                raise AddressRefused(host, each["host"])
        return found

    async def close(self) -> None:
        await self._resolver.close()


class _Connector(aiohttp.TCPConnector):
    """aiohttp asks no resolver for a host that is an address: it is looked at here. What the socket is about to be
    connected to is looked at once more, for whatever way there may be around both.
    """

    def __init__(self, resolver: _Checked, allowed: Allowed, *, once: bool) -> None:
        super().__init__(
            resolver=resolver,
            socket_factory=self._socket,
            limit=CONNECTIONS,
            force_close=once,
            use_dns_cache=not once,
        )
        self._checked, self._allowed = resolver, allowed

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 as it is there
    ) -> aiohttp.connector.Connection:
        host = req.url.host or ""
        address = literal(host)
        if address is not None and not self._allowed.permits(address):
            raise AddressRefused(host, host)
        return await super().connect(req, traces, timeout)

    def _socket(self, addr_info: Any) -> socket.socket:
        family, kind, protocol, _, (host, *_) = addr_info
        if host not in self._checked.by_name and not self._allowed.permits(ipaddress.ip_address(host)):
            raise PermissionError(f"{host} is not a public address")
        return socket.socket(family, kind, protocol)

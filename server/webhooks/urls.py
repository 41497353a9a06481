"""What a webhook's URL must be, as far as it can be seen without asking the DNS.

Who may make a webhook must not reach, through this server, what only this server can: itself, its neighbours, the
cloud's metadata. Names are looked at where they are resolved, at each attempt: `server.outgoing`.
"""

from ipaddress import IPv4Address
from urllib.parse import urlsplit

from server.outgoing.addresses import Allowed, literal

_LONGEST = 2048
_LOOPBACK = IPv4Address("127.0.0.1")


def problem(url: str, allowed: Allowed) -> str | None:
    """What is wrong with it; None for nothing."""
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
    return _host_problem(host, allowed)


def refusal(where: str) -> str:
    """For the webhook's owner, and with what the operator can do. where: the host, and the address that it has."""
    return f"{where} is not a public address: webhooks.allow names those that may be called anyway"


def _host_problem(host: str, allowed: Allowed) -> str | None:
    address = _LOOPBACK if host.rstrip(".") == "localhost" else literal(host)
    if address is None or allowed.names(host) or allowed.permits(address):
        return None
    return refusal(host)

"""Which addresses are public, and which others a person has allowed by name.

IANA's special-purpose registries (RFC 6890), written out: `ipaddress` follows them by the version of Python. Of IPv6
only 2000::/3 is given to anybody, so what is not in there needs no list.
"""

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_SPECIAL_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind a carrier's NAT
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's own services, at every machine of its
        "169.254.0.0/16",  # link-local, also the metadata of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",  # documentation, as the next but one and the one after it
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_SPECIAL_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocols: Teredo, which holds an IPv4 address, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: holds an IPv4 address
        "3fff::/20",  # documentation
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")  # the last 32 bits are an IPv4 address


def is_public(address: Address) -> bool:
    """Whether it is some server's on the Internet: not this machine's, nor of a private, link-local, shared, multicast
    or reserved network, also where an IPv6 address stands for such a one.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_V4)
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        return is_public(IPv4Address(address.packed[-4:]))
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    return address in _GLOBAL_V6 and not any(address in network for network in _SPECIAL_V6)


def literal(host: str) -> Address | None:
    """The address that a URL's host is; None where it is a name."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


class Allowed:
    """What is not public and may be asked all the same: names, addresses and networks. Raises ValueError for others.

    A name allows every address that it has; `10.1.0.0/16` allows those of the network, by whatever name.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._hosts: set[str] = set()
        self._networks: list[Network] = []
        for given in names:
            name = given.strip()
            if (network := _network(name)) is not None:
                self._networks.append(network)
            elif name and not set(name) & set("/:@*? \t"):
                self._hosts.add(_plain(name))
            else:
                raise ValueError(f"{given!r} is no host, address or network (without scheme and port)")

    def names(self, host: str) -> bool:
        """Whether the name itself is allowed, wherever it leads."""
        return _plain(host) in self._hosts

    def permits(self, address: Address) -> bool:
        unwrapped = _unmapped(address)
        return is_public(address) or any(unwrapped in network for network in self._networks)


def _network(name: str) -> Network | None:
    try:
        return ipaddress.ip_network(name.strip("[]"))
    except ValueError:
        return None


def _unmapped(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _plain(host: str) -> str:
    """As names are compared: in ASCII, in lower case, without the root's dot."""
    try:
        return host.rstrip(".").lower().encode("idna").decode()
    except UnicodeError:
        return host.rstrip(".").lower()

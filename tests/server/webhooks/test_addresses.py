"""No request goes where only this server may go."""

import ipaddress
import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import example, given
from hypothesis import strategies as st

from server.webhooks.addresses import Addresses, CheckedResolver, ForbiddenAddress, is_public

INNER = [
    *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
    *("224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
]
INNER_6 = ["::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "::7f00:1", "64:ff9b:1::1"]
INNER_6 += ["fec0::1", "3fff::1", "100::1"]
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700:4700::1111", "2001:4860:4860::8888", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", [*INNER, *INNER_6])
def test_what_is_not_public_is_known(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_known(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@given(st.ip_addresses(v=4))
@example(ipaddress.IPv4Address("169.254.169.254"))
@example(ipaddress.IPv4Address("8.8.8.8"))
def test_an_address_inside_another_is_looked_at(inner: ipaddress.IPv4Address) -> None:
    """IPv4-mapped, NAT64 and 6to4 addresses lead to the one that they hold."""
    whole = int(inner)
    mapped = ipaddress.IPv6Address((0xFFFF << 32) | whole)
    nat64 = ipaddress.IPv6Address((0x64FF9B << 96) | whole)
    sixtofour = ipaddress.IPv6Address((0x2002 << 112) | (whole << 80) | 1)
    for outer in (mapped, nat64):
        assert is_public(outer) == is_public(inner)
    if not is_public(inner):
        assert not is_public(sixtofour)


class Answers(AbstractResolver):
    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=each, port=port, family=family, proto=0, flags=0)
            for each in self.addresses
        ]

    async def close(self) -> None:
        pass


async def test_one_inner_address_condemns_a_name() -> None:
    for answers in (("10.0.0.1",), ("8.8.8.8", "127.0.0.1"), ("8.8.8.8", "fe80::1%eth0")):
        with pytest.raises(ForbiddenAddress, match=r"'rebind.example' \(.+\) is not a public address"):
            await CheckedResolver(Addresses(), Answers(*answers)).resolve("rebind.example")
    found = await CheckedResolver(Addresses(), Answers("8.8.8.8", "1.1.1.1")).resolve("good.example")
    assert [each["host"] for each in found] == ["8.8.8.8", "1.1.1.1"]


async def test_what_the_settings_name_may_be_called() -> None:
    allowing = Addresses(["hooks.internal", "10.2.0.0/16", "::1"])
    for host, address in (("Hooks.Internal.", "192.168.0.9"), ("any.example", "10.2.3.4"), ("::1", "::1")):
        await CheckedResolver(allowing, Answers(address)).resolve(host)
    for host, address in (("other.internal", "192.168.0.9"), ("any.example", "10.3.3.4")):
        with pytest.raises(ForbiddenAddress):
            await CheckedResolver(allowing, Answers(address)).resolve(host)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://example.com/hook?a=b", None),
        ("http://example.com:8080", None),
        ("https://[2606:4700:4700::1111]/", None),
        ("ftp://example.com", "http"),
        ("https://", "host"),
        ("example.com/hook", "http"),
        ("https://ann:secret@example.com", "password"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com/a b", "spaces"),
        ("https://example.com:99999/", "not a URL"),
        ("https://[::1", "not a URL"),
        ("http://127.0.0.1:8080/", "not a public address"),
        ("http://localhost/", "not a public address"),
        ("http://LOCALHOST./", "not a public address"),
        ("http://[::ffff:10.0.0.1]/", "not a public address"),
        ("http://169.254.169.254/latest/meta-data", "not a public address"),
    ],
)
def test_what_is_wrong_with_a_url_is_said(url: str, problem: str | None) -> None:
    found = Addresses().problem(url)
    assert (found is None) if problem is None else (problem in (found or ""))


@given(st.text())
def test_any_text_is_a_url_or_has_a_problem(text: str) -> None:
    assert isinstance(Addresses().problem(f"http://{text}"), str | None)

"""Which addresses are public: the property, and what stands for what."""

import ipaddress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.outgoing.addresses import Allowed, is_public, literal

PRIVATE = """
127.0.0.1 127.255.255.254 0.0.0.0 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1
100.100.100.200 168.63.129.16 192.0.0.8 192.0.0.192 192.0.2.1 192.88.99.1 198.18.0.1 198.51.100.1 203.0.113.7
224.0.0.251 239.1.1.1 240.0.0.1 255.255.255.255 ::
::1 fe80::1 fe80::1%eth0 fc00::1 fd00:ec2::254 fec0::1 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::127.0.0.1
64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 2002:7f00:1:: 2002:a00:1::1 2001:0:4136:e378:8000:63bf:3fff:fdd2
2001:db8::1 2002:808:808::1 2001:4:112::1 3fff::1 100::1 5f00::1 2606:4700::1%eth0
""".split()  # noqa: SIM905 it fits the screen
PUBLIC = """
1.1.1.1 8.8.8.8 93.184.216.34 172.32.0.1 172.15.255.255 100.63.255.255 100.128.0.0 192.167.255.255 198.17.255.255
198.20.0.0 223.255.255.255 2606:4700::1111 2001:4860:4860::8888 2a00:1450:4001::200e ::ffff:8.8.8.8 64:ff9b::8.8.8.8
""".split()  # noqa: SIM905 it fits the screen


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_of_this_machine_or_its_networks_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_what_lies_beside_them_is(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_no_address_is_public_that_python_knows_as_special(address: IPv4Address) -> None:
    if is_public(address):
        assert address.is_global
        assert not any((address.is_multicast, address.is_reserved, address.is_private, address.is_loopback))


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_nor_one_of_the_sixth_version(address: IPv6Address) -> None:
    if is_public(address) and address.ipv4_mapped is None and address not in ipaddress.ip_network("64:ff9b::/96"):
        assert address.is_global
        assert not any((address.is_multicast, address.is_reserved, address.is_site_local))
        assert (address.sixtofour, address.teredo) == (None, None)


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_an_address_in_another_one_is_as_public_as_it_is_itself_or_not_at_all(address: IPv4Address) -> None:
    number = int(address)
    assert is_public(IPv6Address(0xFFFF << 32 | number)) == is_public(address)
    assert is_public(IPv6Address(0x64FF9B << 96 | number)) == is_public(address)
    assert not is_public(IPv6Address(number))
    assert not is_public(IPv6Address(0x2002 << 112 | number << 80))
    assert not is_public(IPv6Address(0x2001 << 112 | (number ^ 0xFFFFFFFF)))


@given(st.sampled_from([*PRIVATE, *PUBLIC]))
def test_an_allowed_network_permits_its_own_and_no_others(address: str) -> None:
    found = ipaddress.ip_address(address)
    permitted = Allowed(["10.0.0.0/8", "::1"]).permits(found)
    assert permitted == (is_public(found) or address in ("10.0.0.1", "::ffff:10.0.0.1", "::1"))


def test_a_name_is_allowed_as_it_may_be_written() -> None:
    allowed = Allowed(["Intranet.example", "위키.example."])
    assert allowed.names("intranet.EXAMPLE.")
    assert allowed.names("위키.example")
    assert allowed.names("xn--9q5b29o.example")
    assert not allowed.names("evil-intranet.example")
    assert not allowed.names("x.intranet.example")


@pytest.mark.parametrize("name", ["", " ", "http://intranet", "intranet:80", "*.example", "10.0.0.1/8", "user@host"])
def test_what_is_no_host_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no host"):
        Allowed([name])


def test_a_host_is_an_address_or_a_name() -> None:
    assert literal("[::1]") == IPv6Address("::1")
    assert literal("127.1") is None
    assert literal("localhost") is None

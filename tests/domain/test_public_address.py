"""Which addresses belong to the public internet."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.public_address import is_public

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "168.63.129.15",
    "100.128.0.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
]
NOT_PUBLIC = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.255.255.254"),
    *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1"),
    *("192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
    *("255.255.255.255", "168.63.129.16"),
    *("::", "::1", "::7f00:1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:168.63.129.16"),
    *("64:ff9b::1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::1"),
    *("2002:808:808::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "ff02::1", "ff05::1:3"),
]
NO_ADDRESSES = [
    "",
    "localhost",
    "example.com",
    "0x7f.1",
    "127.1",
    "2130706433",
    "[::1]",
    "1.1.1.1:80",
    "１.1.1.1",
    "1.1.1.1 ",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address(text: str) -> None:
    assert is_public(text)


@pytest.mark.parametrize("text", [*NOT_PUBLIC, *NO_ADDRESSES])
def test_all_that_is_not_public(text: str) -> None:
    assert not is_public(text)


@given(st.ip_addresses())
def test_what_carries_an_address_inside_is_no_way_around(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if address.version == 4:
        number = int(address)
        assert is_public(f"::ffff:{address}") == is_public(str(address))
        for base in ("::", "64:ff9b::"):
            assert not is_public(str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(base)) + number)))
        assert not is_public(str(ipaddress.IPv6Address((0x2002 << 112) + (number << 80))))
    elif is_public(str(address)):
        assert address.is_global


@given(st.text(max_size=20))
def test_any_text_has_an_answer(text: str) -> None:
    assert is_public(text) in (True, False)

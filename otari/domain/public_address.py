"""Which IP addresses belong to the public internet: all that a request may go to whose address came from outside."""

import ipaddress

# Said here, because `is_global` leaves some of them open in one release of Python or another: shared address space,
# protocol assignments, whatever carries an IPv4 address inside (6to4 and its relays, NAT64, Teredo, the compatible
# form), and the virtual address of a cloud's own services.
_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        (
            *("100.64.0.0/10", "168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/4"),
            *("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "ff00::/8"),
        ),
    )
)


def is_public(text: str) -> bool:
    """Whether an IP address (as text) is one of the public internet; False for whatever is no address."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])  # without the zone of a link-local one
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        address = mapped
    if not address.is_global or address.is_reserved:
        return False
    return not any(address.version == network.version and address in network for network in _NOT_PUBLIC)

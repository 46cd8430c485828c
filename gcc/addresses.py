"""Whom an address stands for where callers are counted."""

import ipaddress

V6_PREFIX = 64
"""An address of IPv6 is as many as its network has."""


def network_of(address: str) -> str:
    """One caller's: an address of IPv4, also within IPv6, or the network of one of IPv6; what is none as it is."""
    if ":" not in address:
        return address
    try:
        whole = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(whole.ipv4_mapped or ipaddress.ip_network((whole, V6_PREFIX), strict=False))

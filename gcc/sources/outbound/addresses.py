"""Which addresses are public: globally routable unicast, by a table of our own. Pure.

Python's `is_global` differs between its versions, and calls multicast, 6to4, NAT64, site-local addresses and those that
IPv4 was embedded in public. Of IPv4 everything is public but what stands here; of IPv6 only what is given out to be
routed (2000::/3), but for what stands here.
"""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

RESERVED = {
    ipaddress.ip_network(network): what
    for network, what in {
        "0.0.0.0/8": "unspecified",
        "10.0.0.0/8": "private",
        "100.64.0.0/10": "a carrier's own",
        "127.0.0.0/8": "loopback",
        "168.63.129.16/32": "a cloud's metadata",  # Azure's: within a public range
        "169.254.0.0/16": "link-local",  # metadata of most clouds, too
        "172.16.0.0/12": "private",
        "192.0.0.0/24": "reserved for protocols",
        "192.0.2.0/24": "for documentation",
        "192.31.196.0/24": "a sink",
        "192.52.193.0/24": "a relay of multicast",
        "192.88.99.0/24": "a relay of 6to4",
        "192.168.0.0/16": "private",
        "192.175.48.0/24": "a sink",
        "198.18.0.0/15": "for benchmarks",
        "198.51.100.0/24": "for documentation",
        "203.0.113.0/24": "for documentation",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved",
        # IPv6: the first that holds an address names it
        "::/128": "unspecified",
        "::1/128": "loopback",
        "::/96": "IPv4 within IPv6",
        "::ffff:0:0/96": "IPv4 within IPv6",
        "::ffff:0:0:0/96": "IPv4 within IPv6",
        "64:ff9b::/96": "IPv4 behind NAT64",
        "64:ff9b:1::/48": "IPv4 behind NAT64",
        "100::/64": "a sink",
        "2001::/32": "IPv4 behind Teredo",
        "2001::/23": "reserved for protocols",
        "2001:db8::/32": "for documentation",
        "2002::/16": "IPv4 behind 6to4",
        "2620:4f:8000::/48": "a sink",
        "3ffe::/16": "of a network that is no more",
        "3fff::/20": "for documentation",
        "fc00::/7": "unique local",
        "fe80::/10": "link-local",
        "fec0::/10": "site-local",
        "ff00::/8": "multicast",
    }.items()
}
ROUTED = ipaddress.ip_network("2000::/3")


def not_public(address: Address) -> str:
    """What it is, in a word or a few; "" where it is public."""
    for network, what in RESERVED.items():
        if address in network:
            return what
    return "" if address.version == 4 or address in ROUTED else "not routed"

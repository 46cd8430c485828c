"""Who asks through a proxy: the address that a trusted one tells, not that of the proxy.

In: the ASGI scope of a request. Out: its client is the caller, for all who look there: rates, throttles, networks of
keys, where a session is from. Only a trusted proxy is believed, and only the one header that it writes: in others a
client may send what it likes. Each hop adds on the right whom it has seen, so the caller is the rightmost address that
is no trusted proxy's. What is no address ends the reading: then the hop that told it is the caller.
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Any

from gcc.config.sections import ProxyHeader
from gcc.web.api.encoding import is_here

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PROXIED = frozenset({b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip"})
"""What proxies write, of which one alone is believed."""

_PORT = re.compile(r"(?P<four>[0-9.]+)(?::[0-9]{1,5})?|\[(?P<six>[^\]]+)\](?::[0-9]{1,5})?")
_PAIR = re.compile(r"""\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=([!#$%&'*+.^_`|~0-9A-Za-z-]+|"(?:[^"\\]|\\.)*")\s*""")


class Proxies:
    def __init__(self, trusted: Sequence[Network], header: ProxyHeader) -> None:
        """Of no `trusted` nothing is believed."""
        self._trusted = tuple(trusted)
        self._header = header.encode()
        self._hops = _forwarded if header == "forwarded" else _forwarded_for

    def look_behind(self, scope: dict[str, Any]) -> None:
        if not self._trusted or (client := scope.get("client")) is None:
            return
        caller = _address(client[0])
        if caller is None or not self._trusts(caller):
            return
        told = b",".join(value for name, value in scope["headers"] if name == self._header)
        for hop in self._hops(told.decode("latin-1")):
            found = _address(hop)
            if found is None:
                break
            caller = found
            if not self._trusts(found):
                break
        scope["client"] = (str(caller), 0)

    def asked_here(self, scope: dict[str, Any]) -> bool:
        """Whether a program of this machine asks, and no proxy on it for somebody else."""
        client = scope.get("client")
        return client is not None and is_here(client[0]) and not any(name in PROXIED for name, _ in scope["headers"])

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _forwarded_for(told: str) -> Iterator[str]:
    """The nearest first."""
    while told:
        told, _, hop = told.rpartition(",")
        yield _without_port(hop.strip())


def _forwarded(told: str) -> Iterator[str]:
    """RFC 7239, the nearest first. Read whole, as a quote that a client has opened may swallow what follows: of one
    that does not read to its end nothing is believed."""
    hops: list[str] = []
    place, begins = 0, True
    while place < len(told):
        pair = _PAIR.match(told, place)
        if pair is None:
            return
        if begins:
            hops.append("")
        if pair[1].lower() == "for":
            hops[-1] = _without_port(re.sub(r"\\(.)", r"\1", pair[2].strip('"')))
        place = pair.end()
        if place < len(told) and told[place] not in ";,":
            return
        begins = told[place : place + 1] == ","
        place += 1
    yield from reversed(hops)


def _without_port(hop: str) -> str:
    found = _PORT.fullmatch(hop)
    return hop if found is None else found["four"] or found["six"]


def _address(text: str) -> Address | None:
    """IPv4 within IPv6 is IPv4, and of an address of a link its interface is left out. None: it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address

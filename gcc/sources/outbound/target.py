"""A URL that somebody else chose, read once and strictly. Pure.

Parsers of URLs differ in what they make of odd ones, and what one checks another may send elsewhere. So there is one
here, which takes the plain form alone, and what it found is what is looked up, told to TLS and written as Host.
"""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass

import idna

from gcc.errors import Permanent
from gcc.sources.outbound.addresses import Address

URL_CHARS_MAX = 2048
HOST_CHARS_MAX = 253
HOST_SHOWN_CHARS = 80
PORTS = {"http": 80, "https": 443}

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<target>[^#]*)")
_PLAIN = re.compile(r"[!#-;=?-\[\]_a-z~]*")  # visible ASCII but " < > \ ^ ` { | }, which a URL percent-encodes
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # as the last label: resolvers read the whole as an IPv4 address


class NotAllowed(Permanent):
    """Such a request must not leave: nothing was sent."""


@dataclass(frozen=True, slots=True)
class Target:
    """`address`: what the host is, where it is no name. `path` begins with '/', and holds the query."""

    scheme: str
    host: str
    port: int
    path: str
    address: Address | None

    @property
    def authority(self) -> str:
        """As Host tells it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def target_of(url: str, *, ports: Collection[int] = (443,), own: bool = False) -> Target:
    """Where it leads: https, to one of `ports`. `own`: it is the operator's, who may write http, any port, and names
    of its own network. NotAllowed."""
    if len(url) > URL_CHARS_MAX:
        raise NotAllowed(f"the URL is longer than {URL_CHARS_MAX} characters")
    if not _PLAIN.fullmatch(url):
        raise NotAllowed("the URL holds characters that must be percent-encoded; a host is written as xn--...")
    found = _URL.fullmatch(url)
    if found is None:
        raise NotAllowed("the URL is not https://host/path, without a fragment")
    scheme = found["scheme"].lower()
    if scheme not in (("https", "http") if own else ("https",)):
        raise NotAllowed("the URL is not https://")
    if "@" in found["authority"]:
        raise NotAllowed("the URL holds a user or a password, which is sent nowhere; sign by a secret instead")
    parts = _AUTHORITY.fullmatch(found["authority"])
    if parts is None:
        raise NotAllowed("the URL has no possible host and port")
    host, address = _host(parts["host"].lower(), own=own)
    port = int(parts["port"] or PORTS[scheme])
    if not 0 < port < 65536 or not (own or port in ports):
        raise NotAllowed(f"{shown(host)}: port {port} is none of {', '.join(map(str, sorted(ports)))}")
    path = found["target"]
    return Target(scheme, host, port, path if path.startswith("/") else f"/{path}", address)


def shown(host: str) -> str:
    return host if len(host) <= HOST_SHOWN_CHARS else f"{host[:HOST_SHOWN_CHARS]}..."


def _host(host: str, *, own: bool) -> tuple[str, Address | None]:
    """It, and the address that it is."""
    if host.startswith("["):
        try:
            literal = ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise NotAllowed(f"{shown(host)} is no IPv6 address") from None
        return str(literal), literal
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            plain = ipaddress.IPv4Address(host)
        except ValueError:
            raise NotAllowed(f"{shown(host)} is no IPv4 address of four decimal numbers") from None
        return host, plain
    if len(host) > HOST_CHARS_MAX or not all(map(_LABEL.fullmatch, labels)):
        raise NotAllowed(f"{shown(host)} is no possible host: a label is empty, too long or ends in a hyphen")
    if not own and len(labels) == 1:
        raise NotAllowed(f"{shown(host)} is no public host: it has no dot")
    if not all(_is_encoded(label) for label in labels if label.startswith("xn--")):
        raise NotAllowed(f"{shown(host)} is no possible host: an xn-- of it stands for no name")
    return host, None


def _is_encoded(label: str) -> bool:
    """Whether it is the one way to write an international name, and not something else in disguise."""
    try:
        return idna.alabel(idna.ulabel(label)).decode() == label
    except (idna.IDNAError, UnicodeError):
        return False

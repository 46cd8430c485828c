"""amqp:// and amqps:// URLs, by RabbitMQ's URI specification.

Parts are percent-decoded. What is absent gets a default: guest, guest, localhost, 5672 (5671 with TLS), vhost "/".
A path that is there but empty (`amqp://host/`) names the vhost "": write `amqp://host` or `amqp://host/%2F` for "/".
Of the query, `cacertfile`, `certfile`, `keyfile` and `verify` (verify_peer, verify_none) are understood; anything
else is refused, never ignored.
"""

import ssl
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from gcc.passwords import HIDDEN, is_host, is_odd, masked, odd, shown

from .errors import UrlError

_PARAMETERS = ("cacertfile", "certfile", "keyfile", "verify")


@dataclass(frozen=True, slots=True)
class Url:
    """Where a broker is and who asks. `str()` is for people and holds neither user nor password."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    vhost: str
    tls: bool
    anonymous: bool = False
    """No user stood in the URL: of amqp://user:12/word nobody can tell whether the word is a vhost or of a password."""
    parameters: dict[str, str] = field(default_factory=dict)

    def tls_context(self) -> ssl.SSLContext:
        """Verifies the broker's certificate and name unless `verify=verify_none`. UrlError for unusable files."""
        try:
            context = ssl.create_default_context(cafile=self.parameters.get("cacertfile"))
            if "certfile" in self.parameters:
                context.load_cert_chain(self.parameters["certfile"], self.parameters.get("keyfile"))
        except OSError as error:  # ssl.SSLError is one
            raise UrlError(f"{self}: the files for TLS cannot be used: {error}") from error
        if self.parameters.get("verify") == "verify_none":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        vhost = HIDDEN if self._hides_vhost else shown(self.vhost)
        return f"rabbitmq at {shown(host)}:{self.port}, vhost {vhost!r}"

    @property
    def _hides_vhost(self) -> bool:
        return self.anonymous and self.vhost not in ("", "/")

    def masked(self, text: str) -> str:
        """What the broker says while it lets nobody in, without what `str()` does not show."""
        hidden = {part for part in (self.user, self.host, self.vhost) if is_odd(part)}
        return masked(text, hidden, words={self.vhost} if self._hides_vhost else ())


def parse_url(text: str) -> Url:
    """Raises UrlError, which says what is wrong without repeating the URL."""
    try:
        parts = urlsplit(text)
    except ValueError:
        raise UrlError("this is no URL; write amqp://user:password@host:5672/vhost") from None
    if parts.scheme not in ("amqp", "amqps"):
        raise UrlError("the URL must begin with amqp:// or amqps://")
    if parts.fragment:
        raise UrlError("the URL has a '#'; write %23 where a name or password holds one")
    try:
        user, password, host, port = _authority(parts.netloc)
        vhost = _vhost(parts.path)
    except UnicodeDecodeError:
        raise UrlError("the URL's percent-encoding is not UTF-8") from None
    tls, anonymous = parts.scheme == "amqps", "@" not in parts.netloc
    port = port or (5671 if tls else 5672)
    return Url(host, port, user, password, vhost, tls, anonymous, _parameters(parts.query, tls))


def _authority(text: str) -> tuple[str, str, str, int | None]:
    credentials, at, place = text.rpartition("@")
    user, colon, password = credentials.partition(":")
    host, _, port = place.rpartition(":") if not place.endswith("]") and ":" in place else (place, "", "")
    if host.startswith("[") != host.endswith("]") or (":" in host and not host.startswith("[")):
        raise UrlError("the URL's host cannot be read; an IPv6 address stands in [brackets]")
    if is_odd(host):
        raise UrlError(f"the URL {odd('host')}")
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise UrlError("the URL's port is no number between 1 and 65535")
    name = _decoded(host.strip("[]")) or "localhost"
    if not is_host(name):
        raise UrlError("the URL's host is no name that a resolver could be asked for")
    return (
        _decoded(user) if at else "guest",
        _decoded(password) if colon else "guest",
        name,
        int(port) if port else None,
    )


def _vhost(path: str) -> str:
    if not path:
        return "/"
    if "/" in path[1:]:
        raise UrlError("the URL's path has more than one part; write %2F for a '/' inside a vhost's name")
    if is_odd(path[1:]):
        raise UrlError(f"the URL {odd('vhost')}")
    vhost = _decoded(path[1:])
    if len(vhost.encode()) > 127:
        raise UrlError("the URL's vhost is longer than 127 bytes")
    return vhost


def _parameters(query: str, tls: bool) -> dict[str, str]:
    try:
        parameters = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
    except ValueError:
        raise UrlError("the URL's query cannot be read; write ?name=value&name=value") from None
    if not set(parameters) <= set(_PARAMETERS):  # unnamed: after a '?' in a password it would be a part of that
        raise UrlError(f"the URL's query has an unknown parameter; known are {', '.join(_PARAMETERS)}")
    if parameters.get("verify", "verify_peer") not in ("verify_peer", "verify_none"):
        raise UrlError("the URL's verify is neither verify_peer nor verify_none")
    if parameters and not tls:
        raise UrlError(f"the URL's {', '.join(sorted(parameters))} needs amqps://")
    return parameters


def _decoded(text: str) -> str:
    return unquote(text, errors="strict")

"""amqp:// and amqps:// URLs, by RabbitMQ's URI specification.

Parts are percent-decoded. What is absent gets a default: guest, guest, localhost, 5672 (5671 with TLS), vhost "/".
A path that is there but empty (`amqp://host/`) names the vhost "": write `amqp://host` or `amqp://host/%2F` for "/".
Of the query, `cacertfile`, `certfile`, `keyfile` and `verify` (verify_peer, verify_none) are understood; anything
else is refused, never ignored.
"""

import ssl
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

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
        return f"rabbitmq at {host}:{self.port}, vhost {self.vhost!r}"


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
    tls = parts.scheme == "amqps"
    return Url(host, port or (5671 if tls else 5672), user, password, vhost, tls, _parameters(parts.query, tls))


def _authority(text: str) -> tuple[str, str, str, int | None]:
    credentials, at, place = text.rpartition("@")
    user, colon, password = credentials.partition(":")
    host, _, port = place.rpartition(":") if not place.endswith("]") and ":" in place else (place, "", "")
    if host.startswith("[") != host.endswith("]") or (":" in host and not host.startswith("[")):
        raise UrlError("the URL's host cannot be read; an IPv6 address stands in [brackets]")
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise UrlError("the URL's port is no number between 1 and 65535")
    return (
        _decoded(user) if at else "guest",
        _decoded(password) if colon else "guest",
        _decoded(host.strip("[]")) or "localhost",
        int(port) if port else None,
    )


def _vhost(path: str) -> str:
    if not path:
        return "/"
    if "/" in path[1:]:
        raise UrlError("the URL's path has more than one part; write %2F for a '/' inside a vhost's name")
    if "@" in path:
        raise UrlError("the URL's path has an '@'; write %40 in a vhost's name, %2F for a '/' in a password")
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

"""From which pages a port may be asked: one rule, for every port that is meant for this machine.

In: the ASGI scope of a request. Out: nothing, or an ApiError that says why not.
- Host must name this machine, or a page of another site could reach us under its own name (DNS rebinding). Without a
  Host, as HTTP/1.0 allows it, no browser asks;
- Origin, where a browser sends one, must be the port's own or one that the settings allow.
Tokens, and what a port asks besides, are its own affair.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from gcc.config import is_loopback
from gcc.web.api.errors import ApiError, Code

_HOST = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[^\s:/?#@\[\]]+))(?::[0-9]*)?")
NOBODY: Collection[str] = ()


def check(scope: Mapping[str, Any], *, names: Collection[str] = NOBODY, origins: Collection[str] = NOBODY) -> None:
    """Raise ApiError HOST_NOT_ALLOWED or ORIGIN_REFUSED. `names`: hosts that are ours, beside loopback and the
    address that was connected to; `origins`: pages that may ask, beside our own."""
    check_host(scope, names)
    check_origin(scope, origins)


def check_host(scope: Mapping[str, Any], names: Collection[str] = NOBODY) -> None:
    host = header(scope, b"host")
    if host is None:
        return
    found = _HOST.fullmatch(host.lower())
    name = (found["six"] or found["name"]) if found else ""
    if not name or not (is_loopback(name) or name in names or name == (scope.get("server") or ("",))[0]):
        raise ApiError(Code.HOST_NOT_ALLOWED, f"Host {host[:200]!r} is not this machine; use 127.0.0.1")


def check_origin(scope: Mapping[str, Any], origins: Collection[str] = NOBODY) -> None:
    origin = header(scope, b"origin")
    if origin is not None and origin not in origins and not same_origin(scope):
        reason = "it was not served here, and gateway.cors_origins (of the API) does not list it"
        raise ApiError(Code.ORIGIN_REFUSED, f"a page of {origin[:100]!r} may not ask: {reason}")


def same_origin(scope: Mapping[str, Any]) -> bool:
    """Whether a browser says that a page of this very port asks; http or https alike: a proxy may speak TLS."""
    origin, host = header(scope, b"origin"), header(scope, b"host")
    if origin is None or host is None:
        return False
    return origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")


def header(scope: Mapping[str, Any], name: bytes) -> str | None:
    """The first of that (lower-case) name."""
    return next((value.decode("latin-1") for found, value in scope["headers"] if found == name), None)

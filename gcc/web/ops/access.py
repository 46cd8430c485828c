"""Who may ask the ops port what: the token, as a Bearer header (CLI) or a cookie (page), and browsers' tricks.

- Host and Origin are checked as on every port of this machine (gcc/web/access.py);
- a cookie is only believed for an action when Origin is our own and the page's own header is there (CSRF);
- tokens are compared in constant time. The cookie's name has the port: cookies ignore ports, and two
  supervisors on one machine would overwrite each other's.

A refusal is `Refused`, which app.py answers with the error envelope.
"""

import hmac
from collections.abc import Callable
from urllib.parse import urlsplit

from quart.wrappers import Request, Websocket

from gcc.web import access

ACTION_HEADER = "x-gcc-action"
OPEN_PATHS = ("/live", "/ready", "/metrics")
"""For probes and scrapers, which come under any name: nothing in them is secret or changes anything."""


class Refused(Exception):
    """An answer that is an error of the caller's: status, code of the envelope, title, detail."""

    def __init__(self, status: int, code: str, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.title, self.detail = status, code, title, detail


class Access:
    """`own_url()` is the URL under which the port was announced (its host is allowed too)."""

    def __init__(self, token: str, own_url: Callable[[], str]) -> None:
        if not token:
            raise ValueError("the ops port needs a token")
        self._token = token.encode()
        self._own_url = own_url

    def check_host(self, request: Request | Websocket) -> None:
        """Raise ApiError (421) unless Host is loopback, the announced host or the address connected to."""
        if request.path not in OPEN_PATHS:
            access.check_host(request.scope, (urlsplit(self._own_url()).hostname or "",))

    def valid(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token)

    def cookie_name(self, request: Request | Websocket) -> str:
        server = request.scope.get("server") or ("", 0)
        return f"gcc_ops_{server[1]}"

    def has_cookie(self, request: Request | Websocket) -> bool:
        return self.valid(request.cookies.get(self.cookie_name(request), ""))

    def check_reader(self, request: Request | Websocket) -> None:
        """Raise Refused (401) or ApiError (403) unless the token is there and Origin, where one is sent, is ours."""
        if not (self._has_bearer(request) or self.has_cookie(request)):
            raise Refused(
                401,
                "TOKEN_REQUIRED",
                "Token required",
                "Send 'Authorization: Bearer TOKEN', or open the URL that was printed at the start "
                "(or by: python -m gcc.supervisor status)",
            )
        access.check_origin(request.scope)

    def check_action(self, request: Request, action: str) -> None:
        """As check_reader; with a cookie, Origin must be there and the page's own header must say `action`."""
        self.check_reader(request)
        by_page = access.same_origin(request.scope) and request.headers.get(ACTION_HEADER) == action
        if not (self._has_bearer(request) or by_page):
            raise Refused(
                403, "ACTION_NOT_CONFIRMED", "Not from the page", f"With a cookie, send {ACTION_HEADER}: {action}"
            )

    def _has_bearer(self, request: Request | Websocket) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.valid(token.strip())

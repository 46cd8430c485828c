"""Which pages in browsers may call: exact origins from the settings, none by default.

A preflight of an allowed origin is answered before auth (browsers send it without a token). Any other
origin gets no header at all, and its browser keeps the answer from the page.
"""

from quart import Request

from gcc.web.gateway.hot import Answered, Told

METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
HEADERS = (
    "authorization, content-type, idempotency-key, if-match, if-none-match, x-bb-clientid, x-bb-device-id,"
    " x-bb-requestid, x-bb-timeout-ms"
)
EXPOSED = (
    "deprecation, etag, idempotency-replayed, link, location, ratelimit, ratelimit-policy, retry-after, sunset,"
    " x-bb-requestid"
)
PREFLIGHT = {
    "access-control-allow-methods": METHODS,
    "access-control-allow-headers": HEADERS,
    "access-control-max-age": "600",
}


class Cors:
    def __init__(self, origins: tuple[str, ...]) -> None:
        self.origins = frozenset(origins)

    def preflight(self, request: Request) -> Answered | None:
        """The answer to a preflight of an allowed origin; None for every other request."""
        headers = request.headers
        if request.method != "OPTIONS" or "access-control-request-method" not in headers:
            return None
        if headers.get("origin") not in self.origins:
            return None
        return Told(b"", status=204, headers=PREFLIGHT)

    def mark(self, request: Request, response: Answered) -> None:
        """Say in `response` that the page's origin may read it, if it may."""
        response.headers.add("vary", "Origin")
        origin = request.headers.get("origin")
        if origin in self.origins:
            response.headers["access-control-allow-origin"] = origin
            response.headers["access-control-expose-headers"] = EXPOSED

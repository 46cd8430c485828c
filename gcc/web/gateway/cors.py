"""Which pages in browsers may call: exact origins from the settings, none by default.

A preflight of an allowed origin is answered before auth (browsers send it without a token). Any other
origin gets no header at all, and its browser keeps the answer from the page.
"""

from quart import Request, Response

METHODS = "GET, POST, OPTIONS"
HEADERS = "authorization, content-type, x-bb-requestid"
EXPOSED = "x-bb-requestid, ratelimit, ratelimit-policy, retry-after"
MAX_AGE_S = 600


class Cors:
    def __init__(self, origins: tuple[str, ...]) -> None:
        self.origins = frozenset(origins)

    def preflight(self, request: Request) -> Response | None:
        """The answer to a preflight of an allowed origin; None for every other request."""
        headers = request.headers
        if request.method != "OPTIONS" or "access-control-request-method" not in headers:
            return None
        if headers.get("origin") not in self.origins:
            return None
        return Response(
            b"",
            status=204,
            headers={
                "access-control-allow-methods": METHODS,
                "access-control-allow-headers": HEADERS,
                "access-control-max-age": str(MAX_AGE_S),
            },
        )

    def mark(self, request: Request, response: Response) -> None:
        """Say in `response` that the page's origin may read it, if it may."""
        if not self.origins:
            return
        response.headers.add("vary", "Origin")
        origin = request.headers.get("origin")
        if origin in self.origins:
            response.headers["access-control-allow-origin"] = origin
            response.headers["access-control-expose-headers"] = EXPOSED

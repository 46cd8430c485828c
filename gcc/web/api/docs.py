"""The OpenAPI document and a page that shows it, from vendored files only: no request leaves this host."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
from quart import Request, Response

from gcc.web.api import openapi
from gcc.web.api.envelope import JSON
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.route import Route

STATIC = Path(__file__).parent / "static"
_TYPES = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "docs.js": "text/javascript; charset=utf-8",
}
_HTML = "text/html; charset=utf-8"
# The browser enforces that nothing comes from elsewhere; the page styles its elements inline.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Docs:
    """Reads its files once, when built."""

    def __init__(self, version: str) -> None:
        self.version = version
        self._page = (STATIC / "index.html").read_bytes()
        self._files = {name: (STATIC / name).read_bytes() for name in _TYPES}
        self._document = b""

    def describe(self, routes: Iterable[Route]) -> None:
        """Make the document of all routes, these here included. Called once, before serving."""
        self._document = msgspec.json.encode(openapi.document(routes, self.version))

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/openapi.json", "getOpenApi", "This document", self.document, open=True),
            Route("GET", "/docs", "getDocs", "This document as a page", self.page, open=True, media_type="text/html"),
            Route("GET", "/docs/static/{file}", "getDocsFile", "A script or style sheet of the page", self.static,
                  parts={"file": f"One of {', '.join(_TYPES)}."}, part_schemas={"file": {"enum": list(_TYPES)}},
                  open=True, errors=(Code.NOT_FOUND,),
                  media_type="text/javascript"),
        ]  # fmt: skip

    async def document(self, tenant: None, request: Request) -> Response:
        return Response(self._document, content_type=JSON)

    async def page(self, tenant: None, request: Request) -> Response:
        return Response(self._page, content_type=_HTML, headers={"content-security-policy": _POLICY})

    async def static(self, tenant: None, request: Request, file: str) -> Response:
        if file not in self._files:
            raise ApiError(Code.NOT_FOUND, f"there is no file {file[:80]!r}")
        return Response(self._files[file], content_type=_TYPES[file], headers={"cache-control": "public, max-age=3600"})

"""The OpenAPI document and a page that shows it, from vendored files only: no request leaves this host."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
from quart import Request

from gcc.web.api import etags, openapi
from gcc.web.api.envelope import JSON
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.kept import Kept
from gcc.web.api.route import Route

STATIC = Path(__file__).parent / "static"
_TYPES = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "docs.js": "text/javascript; charset=utf-8",
}
# The browser enforces that nothing comes from elsewhere; the page styles its elements inline.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Docs:
    """Reads its files once, when built."""

    def __init__(self, version: str) -> None:
        self.version = version
        page = (STATIC / "index.html").read_bytes()
        self._page = Kept(page, "text/html; charset=utf-8", headers={"content-security-policy": _POLICY})
        self._files = {
            name: Kept((STATIC / name).read_bytes(), kind, headers={"cache-control": "public, max-age=3600"})
            for name, kind in _TYPES.items()
        }
        self._document = Kept(b"", JSON)

    def describe(self, routes: Iterable[Route]) -> str:
        """Make the document of all routes, these here included, and tell its tag. Called once, before serving."""
        document = msgspec.json.encode(openapi.document(routes, self.version))
        self._document = Kept(document, JSON, etag=etags.tag(document))
        return self._document.etag

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/openapi.json", "getOpenApi", "This document", self.document, who="OPEN",
                  rate="open", conditional=True),
            Route("GET", "/docs", "getDocs", "This document as a page", self.page, who="OPEN", rate="open",
                  media_type="text/html"),
            Route("GET", "/docs/static/{file}", "getDocsFile", "A script or style sheet of the page", self.static,
                  parts={"file": f"One of {', '.join(_TYPES)}."}, part_schemas={"file": {"enum": list(_TYPES)}},
                  who="OPEN", rate="open", errors=(Code.NOT_FOUND,), media_type="text/javascript, text/css"),
        ]  # fmt: skip

    async def document(self, tenant: None, request: Request) -> Kept:
        return await self._document.zipped()

    async def page(self, tenant: None, request: Request) -> Kept:
        return await self._page.zipped()

    async def static(self, tenant: None, request: Request, file: str) -> Kept:
        if file not in self._files:
            raise ApiError(Code.NOT_FOUND, f"there is no file {file[:80]!r}")
        return await self._files[file].zipped()

"""Answers that are kept as bytes: pages, their files, documents, what was just answered. They are gzipped once."""

from collections.abc import Mapping

import trio

from gcc import threads
from gcc.web.api import encoding


class Kept:
    def __init__(self, body: bytes, content_type: str, *, etag: str = "", headers: Mapping[str, str] = {}) -> None:
        """With an `etag` who has it is told so."""
        self.body = body
        self.content_type = content_type
        self.etag = etag
        self.headers = headers
        self.gzip = b""

    async def zipped(self) -> "Kept":
        """Itself, also in that form. In a thread: a large script takes a tenth of a second."""
        if not self.gzip:
            with threads.needed("a page's files"):
                self.gzip = await trio.to_thread.run_sync(encoding.zipped, self.body, encoding.LEVEL_KEPT)
        return self

"""Bytes into requests: llhttp (of httptools) parses HTTP/1.0 and 1.1 strictly, framing.py refuses what else is odd.

In: what a client sends, in whatever pieces. Out: exchanges, whose bodies grow as they come, the handshake of a
websocket, or why nothing more can be read. Bounded: heads, trailers and what surrounds chunks. What follows a refusal,
a handshake or a last request is never read as a request.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import unquote

import httptools

from gcc.web import framing
from gcc.web.api.errors import ApiError
from gcc.web.exchange import Exchange, Line
from gcc.web.framing import Header

QUIET_BYTES_MAX = 2 * framing.HEADERS_BYTES_MAX  # of a body: sizes of chunks, their extensions, trailers


@dataclass(frozen=True, slots=True)
class Handshake:
    """Of a websocket, and what came behind it."""

    target: bytes
    headers: list[Header]
    version: str
    rest: bytes


class _NotTaken(Exception):
    """Ends the parsing of a request that is refused."""


class Parser:
    """Of one connection. What has come is told to `arrived`: an exchange as soon as its head is whole."""

    def __init__(self, line: Line, arrived: Callable[[Exchange | Handshake], None]) -> None:
        self._line, self._arrived = line, arrived
        self.client: Any = None
        self.server: Any = None
        self._llhttp = httptools.HttpRequestParser(self)
        self.exchange: Exchange | None = None  # the last that began
        self._refusal: ApiError | None = None
        self._is_last = False  # the client says so, or can be read no further
        self._in_head = False
        self._heads_begun = 0  # in the piece that was fed last
        self._head_bytes = 0  # of one that comes in pieces
        self._quiet_bytes = 0  # in which no body was: sizes of chunks, trailers
        self._target = b""
        self._headers: list[Header] = []
        self._framing: list[Header] = []  # of these, what tells where it ends and for whom it is

    @property
    def method(self) -> bytes:
        """Of what was read last, if it got as far."""
        return self._llhttp.get_method()

    @property
    def owes_body(self) -> bool:
        return self.exchange is not None and not self.exchange.is_whole and not self._is_last

    @property
    def is_owed(self) -> bool:
        """The client has begun a request and not ended it."""
        return self._in_head or self.owes_body

    def feed(self, data: bytes) -> ApiError | None:
        """Why it can be read no further, and never again."""
        if self._is_last:
            return None
        is_between = not self.is_owed
        self._heads_begun = 0
        self._quiet_bytes += len(data)
        while data:
            try:
                self._llhttp.feed_data(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                data = self._upgraded(data[upgrade.args[0] :])
            except httptools.HttpParserError as error:
                if self._is_last:  # what comes after the last request
                    return None
                self._is_last = True
                return self._refusal or framing.refused(400, f"this is no request: {error}")
        if self._in_head:
            if self._heads_begun:  # where in this piece is not known, unless it is all there is
                self._head_bytes = len(data) if is_between and self._heads_begun == 1 else 0
            else:
                self._head_bytes += len(data)
        self._refusal = self._grows_too_large()
        self._is_last = self._is_last or self._refusal is not None
        return self._refusal

    def _grows_too_large(self) -> ApiError | None:
        """What has not come to its end, and is no body."""
        if not self._in_head:
            is_large = self.owes_body and self._quiet_bytes > QUIET_BYTES_MAX
            return framing.refused(431) if is_large else None
        line_bytes = len(b"%b %b HTTP/1.1\r\n" % (self._llhttp.get_method(), self._target))
        if len(self._target) > framing.URL_BYTES_MAX:
            return framing.refused(414)
        return framing.refused(431) if self._head_bytes - line_bytes > framing.HEADERS_BYTES_MAX else None

    def _upgraded(self, rest: bytes) -> bytes:
        """What is still to be read: nothing of a websocket. Any other upgrade is not offered: the same without it."""
        method, version, headers = self._llhttp.get_method(), self._llhttp.get_http_version(), self._headers
        if method == b"GET" and dict(headers).get(b"upgrade", b"").lower() == b"websocket":
            self._is_last = True
            self._arrived(Handshake(self._target, headers, version, rest))
            return b""
        line = b"%b %b HTTP/%b\r\n" % (method, self._target, version.encode())
        kept = [b"%b: %b\r\n" % header for header in headers if header[0] != b"upgrade"]
        self._llhttp = httptools.HttpRequestParser(self)
        return b"".join([line, *kept, b"\r\n", rest])

    def on_message_begin(self) -> None:
        self._in_head = True
        self._heads_begun += 1
        self._target = b""
        self._headers = []
        self._framing = []

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # a trailer otherwise
            header = name.lower(), value.strip()
            self._headers.append(header)
            if header[0] in framing.NAMES:
                self._framing.append(header)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._quiet_bytes = 0
        llhttp, target, headers = self._llhttp, self._target, self._headers
        method, version = llhttp.get_method(), llhttp.get_http_version()
        self._refusal = framing.check(method, target, version, headers, self._framing)
        if self._refusal is not None:
            self.exchange = None
            raise _NotTaken
        if llhttp.should_upgrade():
            return
        path, _, query = target.partition(b"?")
        text = path.decode("ascii")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.1"},
            "http_version": version,
            "method": method.decode("ascii"),
            "scheme": "http",
            "path": unquote(text) if "%" in text else text,
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": self.client,
            "server": self.server,
            "state": {},
        }
        is_kept = version == "1.1" and llhttp.should_keep_alive()
        expects = len(self._framing) > 1 and any(
            name == b"expect" and value.lower() == b"100-continue" and version == "1.1" for name, value in self._framing
        )
        self.exchange = Exchange(self._line, scope, is_kept, expects)
        self._arrived(self.exchange)

    def on_body(self, data: bytes) -> None:
        self._quiet_bytes = 0
        cast(Exchange, self.exchange).came(data)

    def on_message_complete(self) -> None:
        if self.exchange is not None and not self._llhttp.should_upgrade():
            self.exchange.complete()
            self._is_last = not self.exchange.is_kept

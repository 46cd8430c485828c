"""One request and its answer, as an ASGI app has them: `receive` and `send`, on one side of a connection.

In: a head, the pieces of a body, what the app sends. Out: the bytes of the answer, framed: by its content-length, in
chunks, or by the connection's end. A small answer leaves in one piece, for the head waits for the body. An answer that
is not as long as it said, or whose headers have line ends in them, is an exception of the app.
"""

from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any, Protocol

import trio

from gcc.web import framing
from gcc.web.api.errors import ApiError
from gcc.web.at_once import PAUSE, Pause
from gcc.web.framing import Header

HANG_UP = "gcc.hang_up"
"""The extension by which an app is called back, at once and at most once, when nobody waits for its answer any more."""

WHOLE = "gcc.whole"
"""The extension by which an app sends an answer that is all there: `Exchange.send_whole`."""

_BODILESS = frozenset({204, 304})


class Line(Protocol):
    """What an exchange needs of its connection."""

    @property
    def pause(self) -> Pause:
        """Of the work of which this exchange is a part."""

    @property
    def is_over(self) -> bool:
        """Nothing is sent any more."""

    @property
    def is_draining(self) -> bool:
        """No request follows."""

    async def send(self, data: bytes) -> None:
        """All of it, or the connection ends."""

    def has_room(self) -> None:
        """More of the body may be read."""


class Exchange:
    """One request and its answer, as ASGI has them. Of each only one task waits at a time, as in any ASGI server."""

    __slots__ = (
        "_body",
        "_chunked",
        "_expects",
        "_headers",
        "_hung_up",
        "_is_told",
        "_left",
        "_line",
        "_more",
        "_status",
        "has_begun",
        "has_ended",
        "is_kept",
        "is_whole",
        "refusal",
        "scope",
        "unread_bytes",
    )

    def __init__(self, line: Line, scope: dict[str, Any], is_kept: bool, expects: bool = False) -> None:
        """`expects`: to be told that its body is wanted."""
        self._line = line
        self.scope = scope
        self.is_kept = is_kept
        self.is_whole = False  # the request has come to its end
        self.refusal: ApiError | None = None
        self.unread_bytes = 0
        self._body: list[bytes] = []
        self._is_told = False  # the app knows that the request is whole
        self._more: trio.Event | None = None
        self._hung_up: Callable[[], None] | None = None
        scope["extensions"] = {HANG_UP: self.on_hang_up, PAUSE: line.pause, WHOLE: self.send_whole}
        self._expects = expects
        self._status = 0
        self._headers: list[Header] = []
        self.has_begun = False  # the answer's head is out
        self.has_ended = False
        self._chunked = False
        self._left: int | None = None  # bytes of the answer that are still due; None: any number

    # The request

    def came(self, data: bytes) -> None:
        self._body.append(data)
        self.unread_bytes += len(data)
        self.tell()

    def complete(self) -> None:
        self.is_whole = True
        self.tell()

    def tell(self) -> None:
        """There is something new to whoever waits in `receive`, or nothing to wait for."""
        if self._more is not None:
            self._more.set()
        if self._hung_up is not None and self._is_lost:
            hung_up, self._hung_up = self._hung_up, None
            hung_up()

    def on_hang_up(self, call: Callable[[], None]) -> None:
        self._hung_up = call
        self.tell()

    @property
    def _is_lost(self) -> bool:
        return self._line.is_over or (self.refusal is not None and not self._status)

    @property
    def seems_whole(self) -> bool:
        """The connection's end would end an answer that the app has not ended."""
        return self.has_begun and not self.has_ended and self._left is None and not self._chunked

    async def receive(self) -> dict[str, Any]:
        if self._expects and not self.is_whole and not self.has_begun:
            self._expects = False
            await self._line.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        while True:
            if self._line.is_over or self.has_ended or (self.refusal is not None and not self._body):
                return {"type": "http.disconnect"}
            if self._body or (self.is_whole and not self._is_told):
                body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
                self._body.clear()
                self.unread_bytes = 0
                self._line.has_room()
                self._is_told = self.is_whole
                return {"type": "http.request", "body": body, "more_body": not self.is_whole}
            if not self._line.pause.is_over:
                await self._line.pause
                continue  # what is waited for may have come meanwhile
            self._more = trio.Event()
            await self._more.wait()

    # The answer

    async def send(self, message: dict[str, Any]) -> None:
        if self._is_lost:
            return  # to nobody
        kind = message["type"]
        if kind == "http.response.start" and not self._status:
            self._status, self._headers = message["status"], message["headers"]
        elif kind == "http.response.body" and self._status and not self.has_ended:
            body, more = message.get("body", b""), message.get("more_body", False)
            had_begun = self.has_begun
            data = (b"" if had_begun else self._head(None if more else len(body))) + self._framed(body, more)
            self.has_begun = True
            self.has_ended = not more
            if data:
                await self._line.send(data)
            if more and had_begun:
                await self._line.pause
                await trio.lowlevel.checkpoint()  # who sends without end waits for nobody otherwise
            if self.has_ended:
                self.tell()
        else:
            raise RuntimeError(f"the app sent {kind} out of turn")

    async def send_whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """In place of two messages: `headers` have names in small letters, and none that frames the answer."""
        if self._is_lost:
            return  # to nobody
        if self._status:
            raise RuntimeError("the app sent an answer out of turn")
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if lines.count("\n") != len(headers) or lines.count("\r") != len(headers) or "\0" in lines:
            raise RuntimeError("the app's headers have line ends or NULs in them")
        self._status, self.has_begun, self.has_ended = status, True, True
        self.is_kept = self.is_kept and not self._line.is_draining
        is_bodiless = status in _BODILESS
        await self._line.send(
            b"%b%b%b%b%b\r\n%b"
            % (
                framing.STATUS_LINES[status],
                lines.encode("latin-1"),
                b"" if is_bodiless else b"content-length: %d\r\n" % len(body),
                _date(),
                b"" if self.is_kept else b"connection: close\r\n",
                b"" if is_bodiless or self.scope["method"] == "HEAD" else body,
            )
        )
        self.tell()

    def _head(self, body_bytes: int | None) -> bytes:
        """Waits for the body, and leaves with it. `body_bytes`: where it is known to be all."""
        lines = [framing.STATUS_LINES.get(self._status) or b"HTTP/1.1 %d \r\n" % self._status]
        is_bodiless = self.scope["method"] == "HEAD" or self._status in _BODILESS
        for name, value in self._headers:
            lower = name.lower()
            if lower == b"content-length":
                self._left = int(value)
            elif lower == b"connection":
                self.is_kept = self.is_kept and b"close" not in value.lower()
                continue
            elif lower == b"transfer-encoding":
                continue  # that is decided here
            lines.append(b"%b: %b\r\n" % (name, value))
        if self._left is None and self._status not in _BODILESS:
            if body_bytes is not None:
                self._left = body_bytes
                lines.append(b"content-length: %d\r\n" % body_bytes)
            elif self.scope["http_version"] == "1.1":
                self._chunked = not is_bodiless
                lines.append(b"transfer-encoding: chunked\r\n")
            else:
                self.is_kept = False
        if is_bodiless:
            self._left = -1
        lines.append(_date())
        if not self.is_kept or self._line.is_draining:
            self.is_kept = False
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines) or b"\0" in head:
            raise RuntimeError("the app's headers have line ends or NULs in them")
        return head

    def _framed(self, body: bytes, more: bool) -> bytes:
        if self._chunked:
            return (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        if self._left is None:
            return body
        if self._left < 0:
            return b""  # no body belongs to it
        self._left -= len(body)
        if self._left < 0 or (self._left and not more):
            raise RuntimeError(f"the app's answer is {-self._left} bytes longer than its content-length says")
        return body


_dated: tuple[int, bytes] = (-1, b"")


def _date() -> bytes:
    """Made once a second."""
    global _dated
    second = int(trio.current_time())
    if _dated[0] != second:
        _dated = second, f"date: {formatdate(usegmt=True)}\r\n".encode()
    return _dated[1]

"""HTTP/2 to the outside: many questions on one connection, none of which holds up another.

h2 knows the protocol; this moves the bytes, behind httpcore's interface of a connection, in place of httpcore's own.
No task belongs to a connection. Of those who wait for an answer one reads for all, hands each what is its own, and when
it has its own or is cancelled wakes another to read on. Who has frames to send writes whatever there is to write.

- A frame is written whole or the connection is given up: a write is shielded from cancellation, for WRITE_S.
- A stream that is left early is reset, and what of it was not read given back to the connection's window.
- A connection that breaks fails all its streams at once. One that is bidden farewell (GOAWAY), or stays silent until
  a question is given up, takes no more of them, and is closed after its last.
- ConnectionNotAvailable, upon which httpcore's pool takes another connection, is for what was surely not processed.
"""

import math
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self, cast

import httpcore
import trio
from h2.config import H2Configuration
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import NoAvailableStreamIDError, ProtocolError
from h2.settings import SettingCodes, Settings

from gcc.sources.http2_core import EMPTY_FRAMES_EACH, Core

STREAMS_MAX = 100
STREAM_BYTES_MAX = 256 << 10  # of an answer, here and unread: what a server may send ahead
CONNECTION_BYTES_MAX = STREAMS_MAX * STREAM_BYTES_MAX  # so that no stream's unread bytes keep another from coming
HEADERS_BYTES_MAX = 64 << 10
READ_BYTES = 64 << 10
WRITE_S = 5.0  # also what a cancelled question may have to wait, where the server reads nothing
FAREWELL_S = 1.0
LOOK_S = 0.1
SILENT_S = 5.0
_REPEATED = re.compile(
    r"""b['"].*|\d{10,}""", re.DOTALL
)  # in errors, of what the server said: maybe a secret that it was sent
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
_OF_HTTP11 = frozenset((b"host", b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_WITH_BODY = frozenset((b"content-length", b"transfer-encoding"))


@dataclass(eq=False)
class _Stream:
    """A question and what came of its answer."""

    id: int
    asked: bool  # to its last byte
    head: list[tuple[bytes, bytes]] | None = None
    pieces: deque[bytes] = field(default_factory=deque)
    unread: int = 0  # bytes of the windows that the pieces take
    ended: bool = False
    failed: Exception | None = None

    @property
    def over(self) -> bool:
        return self.ended or self.failed is not None


class Http2Connection(httpcore.AsyncConnectionInterface):
    """Over `network`, to `origin`. Made by `started`; idle for `keepalive_s`, it has expired."""

    def __init__(
        self, origin: httpcore.Origin, network: httpcore.AsyncNetworkStream, keepalive_s: float | None = None
    ) -> None:
        self._origin = origin
        self._network = network
        self._keepalive_s = math.inf if keepalive_s is None else keepalive_s
        self._core = Core(H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False,
                                           validate_inbound_headers=False))  # fmt: skip
        self._out = bytearray()
        self._writing = trio.Lock()
        self._reading = False
        self._waiting: dict[object, trio.Event] = {}
        self._streams: dict[int, _Stream] = {}
        self._streams_max = 0  # until the server's settings came
        self._retired = False
        self._broken: str | None = None
        self._answered = False
        self._silent_since: float | None = None  # while a question waits
        self._expires_at = math.inf

    @classmethod
    async def started(
        cls, origin: httpcore.Origin, network: httpcore.AsyncNetworkStream, keepalive_s: float | None = None
    ) -> Self:
        """Once the server has told how many streams it allows. RemoteProtocolError; when cancelled, it is closed."""
        self = cls(origin, network, keepalive_s)
        core = self._core
        core.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: STREAM_BYTES_MAX,
                SettingCodes.MAX_HEADER_LIST_SIZE: HEADERS_BYTES_MAX,
            },
        )
        del core.local_settings[SettingCodes.ENABLE_CONNECT_PROTOCOL]  # some servers hang up on what they do not know
        core.initiate_connection()
        core.increment_flow_control_window(CONNECTION_BYTES_MAX - core.inbound_flow_control_window)
        try:
            await self._write()
            await self._until(lambda: self._streams_max > 0, self)
        except BaseException:
            await self._break("it did not begin")
            raise
        self._expires_at = trio.current_time() + self._keepalive_s
        return self

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """The answer's head; its body comes as it is read. Cancelled: the stream is reset.

        ConnectionNotAvailable: it was not processed. LocalProtocolError: it cannot be sent. RemoteProtocolError.
        """
        await self._look()
        if trace := request.extensions.get("trace"):
            await trace("http2.send_request_headers.started", {"request": request})
        stream = await self._open(request)
        try:
            await self._send(stream, request)
            await self._until(lambda: stream.head is not None or stream.over, stream)
            if stream.head is None:
                raise stream.failed or httpcore.RemoteProtocolError("the server ended an answer that did not begin")
            status, headers = _read_head(stream.head)
        except BaseException:
            await self._leave(stream)
            raise
        body = _Body(self, stream)
        return httpcore.Response(status, headers=headers, content=body, extensions={"http_version": b"HTTP/2"})

    async def _look(self) -> None:
        """Hear what a connection was told while nobody asked it anything: that the server hung up, at worst."""
        if self._answered and self.is_idle() and not self._reading:
            with trio.move_on_after(LOOK_S):
                await self._until(lambda: self._broken or not self._network.get_extra_info("is_readable"), object())

    async def _open(self, request: httpcore.Request) -> _Stream:
        fields = _fields(request)
        if not self.is_available():
            if self.is_idle() and not self._answered:  # the next connection would be no better
                raise httpcore.RemoteProtocolError(
                    "the server takes no questions: it took its leave, or allows no stream"
                )
            raise httpcore.ConnectionNotAvailable()
        asked = not any(name.lower() in _WITH_BODY for name, _ in request.headers)
        try:
            stream = _Stream(self._core.get_next_available_stream_id(), asked)
            self._core.send_headers(stream.id, fields, end_stream=asked)
        except NoAvailableStreamIDError:
            self._retired = True
            raise httpcore.ConnectionNotAvailable() from None
        except ProtocolError as error:  # how much of the headers' compression the server now lacks, nobody knows
            await self._break(f"a question could not be written: {error}")
            raise httpcore.ConnectionNotAvailable() from None
        self._streams[stream.id] = stream
        self._core.empty_frames = max(0, self._core.empty_frames - EMPTY_FRAMES_EACH)
        if self._silent_since is None:
            self._silent_since = trio.current_time()
        return stream

    async def _send(self, stream: _Stream, request: httpcore.Request) -> None:
        if stream.asked:
            await self._write()
            return
        # read whole: a generator that is left at a yield would stay behind
        left = memoryview(b"".join([piece async for piece in cast(AsyncIterator[bytes], request.stream)]))
        while left:
            await self._until(lambda: stream.over or self._room(stream) > 0, stream)
            if stream.over:
                return  # answered before it was asked: the rest is of no interest
            room = self._room(stream)
            self._core.send_data(stream.id, bytes(left[:room]))
            left = left[room:]
            await self._write()
        if not stream.over:
            self._core.end_stream(stream.id)
            stream.asked = True
            await self._write()

    def _room(self, stream: _Stream) -> int:
        """How many bytes of a question's body may be sent at once, now."""
        return min(self._core.local_flow_control_window(stream.id), self._core.max_outbound_frame_size)

    async def piece(self, stream: _Stream) -> bytes:
        """Of an answer's body, what came since the last; empty after the end."""
        while True:
            await self._until(lambda: stream.pieces or stream.over, stream)
            data = b"".join(stream.pieces)
            stream.pieces.clear()
            if stream.unread and self._broken is None:
                self._core.acknowledge_received_data(stream.unread, stream.id)
                stream.unread = 0
                if self._to_write():
                    with suppress(httpcore.RemoteProtocolError):  # whoever waits for more will hear of it
                        await self._write()
            if data:
                return data
            if stream.failed:
                raise stream.failed
            if stream.ended:
                return b""

    async def _leave(self, stream: _Stream) -> None:
        """Be done with it, whatever came of it. Shielded; waits only where there is something to tell the server."""
        if self._streams.pop(stream.id, None) is None:
            return
        if not self._streams:
            self._expires_at = trio.current_time() + self._keepalive_s
        if self._broken is not None:
            return
        if not stream.over and self._silent_since is not None:
            # the server may be gone without a word
            self._retired |= trio.current_time() - self._silent_since > SILENT_S
        elif not self._streams:
            self._silent_since = None
        if stream.failed is None and not (stream.ended and stream.asked):
            self._core.reset_stream(stream.id, ErrorCodes.CANCEL)
        if stream.unread:
            self._core.acknowledge_received_data(stream.unread, stream.id)
        if self._to_write():
            with suppress(httpcore.RemoteProtocolError), trio.move_on_after(WRITE_S, shield=True):
                await self._write()
        if self._retired and not self._streams:
            await self.aclose()

    # Reading

    async def _until(self, ready: Callable[[], object], who: object) -> None:
        """Return when `ready`, which the connection's events make so. RemoteProtocolError: it broke before.

        Meanwhile one of those who wait reads for all; the others wait for events of their own, or for their turn to
        read. Cancelled: another reads on.
        """
        try:
            while not ready():
                if self._broken is not None:
                    raise httpcore.RemoteProtocolError(self._broken)
                if self._reading:
                    woken = self._waiting[who] = trio.Event()
                    try:
                        await woken.wait()
                    finally:
                        del self._waiting[who]
                    continue
                await self._read()
                if self._to_write():
                    self._read_on()  # a server that reads only after we did must find us reading
                    with suppress(httpcore.RemoteProtocolError):  # who has no answer yet hears of it
                        await self._write()
        finally:
            self._read_on()

    def _read_on(self) -> None:
        if self._waiting and not self._reading:
            next(iter(self._waiting.values())).set()

    async def _read(self) -> None:
        self._reading = True
        try:
            data = await self._network.read(READ_BYTES)
            events = self._core.receive_data(data)
        except (httpcore.NetworkError, ProtocolError) as error:
            await self._break(f"{type(error).__name__}: {_REPEATED.sub('...', str(error))}")
        else:
            for event in events:
                self._hear(event)
            if data:
                self._silent_since = trio.current_time()
            else:
                await self._break("the server hung up")
        finally:
            self._reading = False

    def _hear(self, event: Event) -> None:
        if isinstance(event, RemoteSettingsChanged | WindowUpdated):
            if isinstance(event, RemoteSettingsChanged):
                self._streams_max = min(STREAMS_MAX, self._core.remote_settings.max_concurrent_streams)
            self._wake_all()
        elif isinstance(event, ConnectionTerminated):
            self._retire(event)
        elif isinstance(event, ResponseReceived | DataReceived | StreamEnded | StreamReset):
            stream = self._streams.get(event.stream_id or 0)
            if stream is None:
                return
            if isinstance(event, ResponseReceived):
                stream.head = event.headers
                self._answered = True
            elif isinstance(event, DataReceived):
                if event.data:
                    stream.pieces.append(event.data)
                stream.unread += event.flow_controlled_length or 0
            elif isinstance(event, StreamEnded):
                stream.ended = True
            else:
                stream.asked = True  # as far as anybody wants to know
                if not stream.ended:
                    stream.failed = httpcore.RemoteProtocolError(
                        f"the server reset the stream: {_code(event.error_code)}"
                    )
            if stream in self._waiting:
                self._waiting[stream].set()

    def _retire(self, farewell: ConnectionTerminated) -> None:
        """Streams up to the last that the server names go on; it promises to have done nothing about later ones."""
        self._retired = True
        for stream in self._streams.values():
            if stream.id > (farewell.last_stream_id or 0) and not stream.over:
                # a server that takes its leave of every connection before any answer is not to be asked in a circle
                stream.failed = (
                    httpcore.ConnectionNotAvailable()
                    if self._answered
                    else httpcore.RemoteProtocolError(f"the server took its leave: {_code(farewell.error_code)}")
                )
        self._wake_all()

    def _wake_all(self) -> None:
        for woken in self._waiting.values():
            woken.set()

    # Writing

    def _to_write(self) -> bool:
        self._out += self._core.data_to_send()
        return bool(self._out)

    async def _write(self) -> None:
        """What there is to write, of whomever. RemoteProtocolError. Cancelled: it is left to the next who writes."""
        async with self._writing:
            if self._broken is not None:
                raise httpcore.RemoteProtocolError(self._broken)
            if not self._to_write():
                return
            data, self._out = bytes(self._out), bytearray()
            try:
                with trio.CancelScope(shield=True):  # after half a frame the server would misread all that follows
                    await self._network.write(data, WRITE_S)
            except (httpcore.NetworkError, httpcore.TimeoutException) as error:
                await self._break(f"{type(error).__name__}: {error}")
                raise httpcore.RemoteProtocolError(self._broken) from None

    # Closing

    async def _break(self, why: str) -> None:
        """Close it without a word, and tell all who wait."""
        if self._broken is None:
            self._broken = why
            self._wake_all()
        with trio.CancelScope(shield=True) as at_once:
            at_once.cancel()
            await self._network.aclose()

    async def aclose(self) -> None:
        """Take leave, and close. Who still waits for an answer gets RemoteProtocolError."""
        if self._broken is None:
            self._broken = "it was closed"
            self._wake_all()
            self._core.close_connection()
            if not self._writing.locked():
                with suppress(httpcore.NetworkError, httpcore.TimeoutException):
                    with trio.move_on_after(FAREWELL_S, shield=True):
                        self._to_write()
                        await self._network.write(bytes(self._out))
                        await self._network.aclose()
        await self._break("it was closed")

    # What the pool asks

    def can_handle_request(self, origin: httpcore.Origin) -> bool:
        return origin == self._origin

    def is_available(self) -> bool:
        return self._broken is None and not self._retired and len(self._streams) < self._streams_max

    def has_expired(self) -> bool:
        return self.is_idle() and (self._retired or trio.current_time() > self._expires_at)

    def is_idle(self) -> bool:
        return self._broken is None and not self._streams

    def is_closed(self) -> bool:
        return self._broken is not None

    def info(self) -> str:
        state = self._broken or ("RETIRED" if self._retired else "OPEN")
        return f"{str(self._origin)!r}, HTTP/2, {state}, Streams: {len(self._streams)} of {self._streams_max}"


class _Body:
    """An answer's, piece by piece."""

    def __init__(self, connection: Http2Connection, stream: _Stream) -> None:
        self._connection = connection
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if piece := await self._connection.piece(self._stream):
            return piece
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await self._connection._leave(self._stream)


class Http2OrNot(httpcore.AsyncHTTPConnection):
    """httpcore's connection, which speaks what the server chooses (ALPN); here HTTP/2 is ours.

    While it connects, all who ask `origin` wait for it, unless that is among `without`, where it is noted: what speaks
    HTTP/1.1 alone takes one question at a time.
    """

    def __init__(self, origin: httpcore.Origin, without: set[str], **settings: Any) -> None:
        super().__init__(origin, http2=True, **settings)
        self._without = without
        self._refused: Exception | None = None

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        async with self._request_lock:
            if self._connection is None:
                if self._connect_failed:
                    # nobody tries a host again that just refused another; but whoever connected may have been cancelled
                    raise self._refused or httpcore.ConnectionNotAvailable()
                try:
                    self._connection = await self._spoken(request)
                except BaseException as error:
                    self._connect_failed = True
                    self._refused = error if isinstance(error, Exception) else None
                    raise
        return await self._connection.handle_async_request(request)

    async def _spoken(self, request: httpcore.Request) -> httpcore.AsyncConnectionInterface:
        network = await self._connect(request)
        tls = network.get_extra_info("ssl_object")
        if tls and tls.selected_alpn_protocol() == "h2":
            self._without.discard(str(self._origin))
            return await Http2Connection.started(self._origin, network, self._keepalive_expiry)
        self._without.add(str(self._origin))
        return httpcore.AsyncHTTP11Connection(self._origin, network, self._keepalive_expiry)

    def is_available(self) -> bool:
        return super().is_available() and (self._connection is not None or str(self._origin) not in self._without)


def _fields(request: httpcore.Request) -> list[tuple[bytes, bytes]]:
    """The request's headers as HTTP/2 wants them. LocalProtocolError: one cannot be sent."""
    told = [(name.lower(), value) for name, value in request.headers]
    authority = next(value for name, value in told if name == b"host")
    scheme, path = request.url.scheme, request.url.target
    fields = [(b":method", request.method), (b":authority", authority), (b":scheme", scheme), (b":path", path)]
    for name, value in told:
        if name not in _OF_HTTP11:
            if not _NAME.fullmatch(name):
                raise httpcore.LocalProtocolError("a header's name cannot be sent")
            fields.append((name, value))
    if not all(_VALUE.fullmatch(value) for _, value in fields):
        raise httpcore.LocalProtocolError("a header's value cannot be sent")
    return fields


def _read_head(head: list[tuple[bytes, bytes]]) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Status and headers. RemoteProtocolError: it has no status."""
    status = dict(head).get(b":status", b"")
    if not re.fullmatch(rb"[1-9]\d\d", status):
        raise httpcore.RemoteProtocolError(f"an answer's status is {status[:20]!r}")
    return int(status), [(name, value) for name, value in head if not name.startswith(b":")]


def _code(code: ErrorCodes | int | None) -> str:
    """ "CANCEL", or the number of what has no name."""
    try:
        return ErrorCodes(code or 0).name
    except ValueError:
        return str(code)

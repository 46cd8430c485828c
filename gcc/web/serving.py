"""Serves an ASGI app on one port: Hypercorn's protocols on Trio, with their traps mended here and nowhere else.

In: an app, where to bind, the event after which it shall finish. Out: the URL, once connections are
accepted. A busy port, a foreign address or a port without rights refuses to start (ConfigError); an
exception inside the app is one answer of 500 and a log line, one inside a connection ends that connection.
Who is let in, and how many, is decided in accepting.py.

Of hypercorn 0.18 (whose private names are touched only in this file) its HTTP/1 and websocket protocols are used,
not its server. What is different here:
- HTTP/2 is not spoken: its flow control makes answers last as long as a client likes. `Upgrade: h2c` is ignored, the
  preface refused;
- a connection is closed at its EOF, not when its idle timer ends; a send that takes longer than SEND_S or is cancelled
  half-way closes it, and so does a body that stalls for STALL_S;
- what an app never reads of a body does not hold up its connection for ever;
- refusals of the protocol have the envelope as their body; what h11 lets pass although it is ambiguous, large or no
  path of ours is refused, too; a websocket whose frames cannot be read is closed with the code that says so;
- websockets are not compressed, which triples the cost of a fan-out;
- sockets are not inherited by child processes, which would hold the port after a restart;
- a small answer leaves in one piece: the head waits for the body.

Not here: the bound of a request's body and its whole time are the app's (it has the error's shape),
and websocket handlers watch `draining` and close with 1001 themselves, or they last until `grace_s`.
"""

import errno
import logging
import math
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, cast

import h11
import structlog
import trio
from hypercorn import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Data, Request, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import ASGIWebsocketState, FrameTooLargeError, WSStream
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.task_group import TaskGroup, _handle
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr, wrap_app
from wsproto.connection import ConnectionState as Websocket
from wsproto.events import CloseConnection, Message, Ping
from wsproto.frame_protocol import CloseReason

from gcc.clock import SystemClock
from gcc.config import Bind
from gcc.errors import ConfigError
from gcc.web.accepting import Door, Guest, connections_max
from gcc.web.api import envelope
from gcc.web.api.errors import ApiError, Code

HYPERCORN = "0.18.0"
"""The version whose private names are known here; a test refuses another one."""

SEND_S = 5.0  # a client that takes nothing for this long is gone
STALL_S = 15.0  # and so is one that owes a part of its request's body for this long
IDLE_S = 30.0  # between requests, and for the headers of the first one
LINGER_S = 1.0  # what a client still sends after the last answer is read and dropped for this long
BACKLOG = 256  # connections the kernel holds until they are accepted
RECEIVE_BYTES = 64 * 1024
HEADERS_BYTES_MAX = 32 * 1024
HEADERS_MAX = 100
URL_BYTES_MAX = 8 * 1024
MESSAGE_BYTES_MAX = 64 * 1024  # of one websocket message from a client
QUEUE_MAX = 10  # pieces of a body that the app has not read yet
STARTUP_S = 10.0  # the app's own start
RETRY_S = 1  # said to whom there is no room for

log = structlog.get_logger()
_ids = SystemClock()

REFUSALS = {
    400: (Code.BAD_REQUEST, "send HTTP/1.1, and a path that begins with /; HTTP/2 is not spoken here"),
    403: (Code.NO_WEBSOCKET, "there is no websocket at this path"),
    408: (Code.REQUEST_TIMEOUT, "the rest of the request did not come; send it in one go"),
    414: (Code.URL_TOO_LONG, f"the URL is longer than {URL_BYTES_MAX} bytes"),
    431: (Code.HEADERS_TOO_LARGE, f"send at most {HEADERS_MAX} headers of {HEADERS_BYTES_MAX} bytes together"),
    500: (Code.INTERNAL, "the log has the cause"),
    501: (Code.NOT_IMPLEMENTED, "the only transfer-encoding that is understood is chunked"),
    503: (Code.TOO_MANY_CONNECTIONS, "this port has as many connections as it takes; try again"),
}
"""What is answered here and not by an app, by its status."""
_BARE = [(b"content-length", b"0"), (b"connection", b"close")]
"""The headers of hypercorn's own refusals."""


async def serve(
    app: Any,
    bind: Bind,
    *,
    key: str,
    draining: trio.Event,
    grace_s: float,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer requests until `draining` is set; then take no more and return when the last is answered.

    `started("http://host:port")` is called when connections are accepted. `key` names the setting of
    the port ("ops.port") for error messages. Requests that outlive `grace_s` after `draining` are
    cancelled. Cancelled itself: connections are closed at once.

    Raises ConfigError when the address cannot be bound.
    """
    config = _config(grace_s)
    wrapped = wrap_app(app, config.wsgi_max_body_size, "asgi")
    context = WorkerContext(None)
    lifespan = Lifespan(wrapped, config, {})

    async def serve_one(guest: Guest) -> None:
        try:
            await Connection(wrapped, config, context, guest).run()
        except Exception:
            log.exception("a connection failed", port=key)

    with await _listen(bind, key) as listener:
        door = Door(key, bind.connections_max or connections_max(), refusal=_full, serve=serve_one)
        async with trio.open_nursery() as living:
            await living.start(lifespan.handle_lifespan)
            await lifespan.wait_for_startup()
            async with trio.open_nursery() as connections:
                accepting = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
                try:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(door.run, accepting, connections)
                        task_status.started(_url(bind.host, listener))
                        await draining.wait()
                        nursery.cancel_scope.cancel()
                finally:
                    accepting.socket.close()
                    await context.terminated.set()
                    door.guests.dismiss()
                    connections.cancel_scope.deadline = trio.current_time() + grace_s
            await lifespan.wait_for_shutdown()
            living.cancel_scope.cancel()


def _config(grace_s: float) -> Config:
    config = Config()
    config.shutdown_timeout = grace_s
    config.startup_timeout = STARTUP_S
    config.h11_max_incomplete_size = HEADERS_BYTES_MAX
    config.websocket_max_message_size = MESSAGE_BYTES_MAX
    config.include_server_header = False
    config.accesslog = None  # 100 us a request
    config.errorlog = logging.getLogger("hypercorn.error")
    config.errorlog.setLevel(logging.WARNING)
    return config


async def _listen(bind: Bind, key: str) -> socket.socket:
    """A listening socket that children do not inherit; SO_REUSEADDR lets a restart have the port at once."""
    try:
        found = await trio.socket.getaddrinfo(bind.host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(f"host {bind.host!r} (of {key}) is not known: {error.strerror}; use an address") from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setblocking(False)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(_refusal(error, bind, key)) from error
    return listener


def _refusal(error: OSError, bind: Bind, key: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {bind.port} ({key}) is in use; set another or 0 for any free one"
    if error.errno == errno.EACCES:
        return f"port {bind.port} ({key}) needs more rights than this user has; set one above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"host {bind.host!r} (of {key}) is no address of this machine; use 127.0.0.1"
    return f"{bind.host}:{bind.port} ({key}) cannot be bound: {error.strerror}"


def _url(host: str, listener: socket.socket) -> str:
    """The URL that opens this port from the same machine: a wildcard address is shown as loopback."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    name = f"[{shown}]" if ":" in shown else shown
    return f"http://{name}:{listener.getsockname()[1]}"


def _refused(status: int) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body of a refusal; the connection ends with it."""
    code, detail = REFUSALS.get(status, (Code.BAD_REQUEST, HTTPStatus(status).phrase))
    wait = {"retry_after": str(RETRY_S)} if status == 503 else {}
    _, headers, body = envelope.whole_failure(ApiError(code, detail), str(_ids.new_id()), connection="close", **wait)
    return headers, body


def _full() -> bytes:
    """The whole answer to whom there is no room for."""
    headers, body = _refused(503)
    head = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 503 Service Unavailable\r\n" + head + b"\r\n" + body


class Connection:
    """One connection: one task that reads, and one of the app while a request is in hand."""

    def __init__(self, app: Any, config: Config, context: WorkerContext, guest: Guest) -> None:
        self._app, self._config, self._context = app, config, context
        self._guest = guest
        self._stream = guest.stream
        self._sending = trio.Lock()  # the app answers, the reader refuses
        self._reading = trio.CancelScope()
        self._idle = True
        self._over = False  # nothing is sent any more
        self._protocol: Http1

    async def run(self) -> None:
        with suppress(OSError):  # the client left before it could be asked who it is
            sock = self._stream.socket
            client, server = (parse_socket_addr(sock.family, name) for name in (sock.getpeername(), sock.getsockname()))
            async with _Apps() as apps:
                self._protocol = Http1(
                    self._app, self._config, self._context, apps, ConnectionState({}), False, client, server,
                    cast(Callable[[Event], Awaitable[None]], self._handle),
                )  # fmt: skip
                self._protocol.is_gone = lambda: self._over or self._guest.is_closed
                with suppress(trio.ClosedResourceError):
                    await self._read()
                await self._protocol.handle(Closed())  # the app is told
                self._guest.close()

    async def _read(self) -> None:
        """Until the client hangs up, or owes something for too long."""
        while True:
            with trio.CancelScope(deadline=self._patience_ends_s()) as self._reading:
                try:
                    data = await self._stream.receive_some(RECEIVE_BYTES)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return
            if self._reading.cancelled_caught:
                if not self._over and self._protocol.owed:
                    await self._protocol.refuse(408)
                return
            if not data:
                return
            if not self._over:
                await self._protocol.handle(RawData(bytes(data)))

    def _patience_ends_s(self) -> float:
        if self._over:
            return trio.current_time() + LINGER_S
        if self._idle:
            return self._guest.idle_since_s + IDLE_S
        return trio.current_time() + STALL_S if self._protocol.owed else math.inf

    async def _handle(self, event: Event) -> None:
        """What the protocol wants. Only sending waits: the task may be the app's, cancelled when its answer is out."""
        if isinstance(event, RawData):
            if event.data:
                await self._send(event.data)
        elif isinstance(event, Updated):
            self._idle = event.idle
            if event.idle:
                self._guest.idle()
                self._reading.deadline = self._patience_ends_s()
            else:
                self._guest.busy()
        elif isinstance(event, Closed) and not self._over:
            self._over = True
            async with self._sending:  # an answer that is on its way goes first
                with suppress(OSError):
                    self._stream.socket.shutdown(socket.SHUT_WR)
            self._guest.idle()  # it may be closed for another
            self._reading.deadline = self._patience_ends_s()
            await self._protocol.handle(Closed())

    async def _send(self, data: bytes) -> None:
        """All of it, or the connection ends."""
        async with self._sending:
            sent = False
            try:
                with trio.move_on_after(SEND_S):
                    await self._stream.send_all(data)
                    sent = True
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            finally:
                if not sent:
                    self._guest.close()
        if not sent:
            await self._protocol.handle(Closed())


class _Apps(TaskGroup):
    """Runs the app for each request. What it does not read before it ends is dropped."""

    async def spawn_app(self, app: Any, config: Config, scope: Any, send: Any) -> Any:
        put, take = trio.open_memory_channel[Any](QUEUE_MAX)

        async def run() -> None:
            with take:
                await _handle(app, config, scope, take.receive, send, trio.to_thread.run_sync, trio.from_thread.run)

        async def put_unless_over(message: Any) -> None:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                if not message["type"].endswith(".disconnect"):
                    await put.send(message)
                    return
                with suppress(trio.WouldBlock):  # nobody waits here: it may be the app's own task that tells
                    while True:
                        take.receive_nowait()
                put.send_nowait(message)

        cast(trio.Nursery, self._nursery).start_soon(run)
        return put_unless_over


class _NotTaken(Exception):
    """A request that is refused before any app sees it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"refused with {status}")
        self.status = status


class Http1(H11Protocol):
    """HTTP/1.0 and 1.1, and the way from it to websockets."""

    connection: Any
    is_gone: Callable[[], bool]
    _method = b""
    _held_head = b""
    _refused = False

    @property
    def owed(self) -> bool:
        """The client has begun a request and not ended it."""
        state = self.connection.their_state
        return state is h11.SEND_BODY or (state is h11.IDLE and bool(self.connection.trailing_data[0]))

    async def handle(self, event: Event) -> None:
        try:
            await super().handle(event)
        except _NotTaken as refusal:
            await self.refuse(refusal.status)
            await self.send(Closed())

    async def refuse(self, status: int) -> None:
        """Answer so, if an answer is due, and nothing else after it, whatever the app does meanwhile."""
        connection = getattr(self.connection, "h11_connection", self.connection)
        is_due = not self._refused and connection.our_state in (h11.IDLE, h11.SEND_RESPONSE)
        self._refused = True
        if is_due:
            headers, body = _refused(status)
            events = [h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()]
            if self._method == b"HEAD":
                del events[1]
            await self.send(RawData(data=b"".join(connection.send(event) for event in events)))

    async def _send_error_response(self, status_code: int) -> None:
        """What h11 cannot read."""
        await self.refuse(status_code)

    async def stream_send(self, event: StreamEvent) -> None:
        if isinstance(event, Response) and event.headers == _BARE:
            await self.refuse(event.status_code)
        else:
            await super().stream_send(event)

    async def _send_h11_event(self, event: Any) -> None:
        """A head is kept until the body's first piece (or its end) follows."""
        if self._refused:
            return
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
            return
        data, self._held_head = self._held_head + data, b""
        if isinstance(event, h11.Response):
            self._held_head = data
        else:
            await self.send(RawData(data=data))

    async def _check_protocol(self, event: h11.Request) -> None:
        """Refuse what h11 lets pass and we do not, and what was sent ahead by a client that is gone."""
        if self.is_gone():
            raise trio.ClosedResourceError
        self._method = event.method
        names = [name for name, _ in event.headers]
        size = sum(len(name) + len(value) for name, value in event.headers)
        version = event.http_version
        framed_twice = b"transfer-encoding" in names and (b"content-length" in names or version == b"1.0")
        if version not in (b"1.0", b"1.1") or not event.target.startswith(b"/") or framed_twice:
            raise _NotTaken(400)
        if len(event.target) > URL_BYTES_MAX:
            raise _NotTaken(414)
        if len(names) > HEADERS_MAX or size > HEADERS_BYTES_MAX:  # h11 measures only a head that is not whole
            raise _NotTaken(431)

    async def _create_stream(self, request: h11.Request) -> None:
        kind: type[HTTPStream | WSStream] = HTTPStream
        headers = list(request.headers)
        if _wants_websocket(request):
            kind = Socket
            headers = [header for header in headers if header[0] != b"sec-websocket-extensions"]
            if not all(value.isascii() for _, value in headers):
                raise _NotTaken(400)
            self.connection = H11WSConnection(self.connection)
        else:
            # Any other upgrade is ignored; h11 would wait for our verdict and read no further, not even the EOF.
            self.connection._cstate.pending_switch_proposals.clear()
        self.stream = kind(
            self.app, self.config, self.context, self.task_group, self.ssl, self.client, self.server,
            self.stream_send, STREAM_ID,
        )  # fmt: skip
        self.keep_alive_requests += 1
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=headers,
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii").upper(),
                raw_path=request.target,
                state=self.connection_state,
            )
        )


def _wants_websocket(request: h11.Request) -> bool:
    headers = dict(request.headers)
    if b"upgrade" not in headers or request.method != b"GET":
        return False
    tokens = [token.strip() for token in headers.get(b"connection", b"").lower().split(b",")]
    return headers[b"upgrade"].strip().lower() == b"websocket" and b"upgrade" in tokens


class Socket(WSStream):
    """A websocket. What is no handshake, or comes before its answer, is refused; so are frames that cannot be read."""

    async def handle(self, event: StreamEvent) -> None:
        if self.closed:
            return
        if isinstance(event, Data) and self.state in (ASGIWebsocketState.RESPONSE, ASGIWebsocketState.HTTPCLOSED):
            return  # the answer is on its way
        if isinstance(event, Data) and not self.handshake.accepted:
            self.closed = True
            await cast(Any, self.app_put)({"type": "websocket.disconnect", "code": CloseReason.PROTOCOL_ERROR})
            await self._send_error_response(400)
        else:
            await super().handle(event)
        if self.closed:
            await self.send(StreamClosed(stream_id=self.stream_id))

    async def _handle_events(self) -> None:
        for event in self.connection.events():
            if isinstance(event, Message):
                try:
                    self.buffer.extend(event)
                except FrameTooLargeError:
                    await self._end(CloseConnection(code=CloseReason.MESSAGE_TOO_BIG))
                    return
                if event.message_finished:
                    await cast(Any, self.app_put)(self.buffer.to_message())
                    self.buffer.clear()
            elif isinstance(event, Ping):
                await self._send_wsproto_event(event.response())
            elif isinstance(event, CloseConnection):  # the client's, or wsproto's verdict on what it cannot read
                theirs = self.connection.state is Websocket.REMOTE_CLOSING
                await self._end(event.response() if theirs else event)

    async def _end(self, farewell: CloseConnection) -> None:
        await self._send_wsproto_event(farewell)
        await self.send(StreamClosed(stream_id=self.stream_id))

"""Serves an ASGI app on one port: Hypercorn on Trio, with its traps mended here and nowhere else.

In: an app, where to bind, the event after which it shall finish. Out: the URL, once connections are
accepted. A busy port, a foreign address or a port without rights refuses to start (ConfigError); an
exception inside the app is one answer of 500 and a log line.

What is mended (hypercorn 0.18, whose private names are touched only in this file):
- it shields its sends without a deadline, so one client that does not read wedges the shutdown for
  ever. Here a send that takes longer than SEND_S, or is cancelled half-way, closes its connection;
- it sets the idle timer (or closes) from the app's task, which Quart cancels when the answer is out: such
  connections never end by themselves and each drain lasts its whole grace;
- it compresses websockets whenever a browser offers it, which triples the cost of a fan-out;
- its own sockets are inherited by child processes, which then hold the port after a restart;
- it sends a small answer in three pieces. Here the head waits for the body and leaves with it.

Not here: the bound of a request's body is the app's (`MAX_CONTENT_LENGTH`, it has the error's shape),
and websocket handlers watch `draining` and close with 1001 themselves, or they last until `grace_s`.
"""

import errno
import logging
import socket
from typing import Any, cast

import h11
import trio
from hypercorn import Config
from hypercorn.config import Sockets
from hypercorn.events import Closed as ConnectionClosed
from hypercorn.events import Event, RawData
from hypercorn.protocol import ws_stream
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.run import worker_serve
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.utils import wrap_app

from gcc.config import Bind
from gcc.errors import ConfigError

HYPERCORN = "0.18.0"
"""The version whose private names are known here; a test refuses another one."""

SEND_S = 5.0  # a client that takes nothing for this long is gone
BACKLOG = 256  # connections the kernel holds until they are accepted
HEADERS_BYTES_MAX = 32 * 1024
MESSAGE_BYTES_MAX = 64 * 1024  # of one websocket message from a client
IDLE_S = 30.0  # between requests, and for the headers of the first one
STARTUP_S = 10.0  # the app's own start


class _Started:
    """Hypercorn reports a list of addresses; our callers wait for one URL."""

    def __init__(self, url: str, task_status: trio.TaskStatus[str]) -> None:
        self._url, self._task_status = url, task_status

    def started(self, _binds: list[str]) -> None:
        self._task_status.started(self._url)


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
    with await _listen(bind, key) as listener:
        config = Config()
        config.graceful_timeout = grace_s
        config.shutdown_timeout = grace_s
        config.startup_timeout = STARTUP_S
        config.keep_alive_timeout = IDLE_S
        config.h11_max_incomplete_size = HEADERS_BYTES_MAX
        config.websocket_max_message_size = MESSAGE_BYTES_MAX
        config.include_server_header = False
        config.accesslog = None  # 100 us a request
        config.errorlog = logging.getLogger("hypercorn.error")
        config.errorlog.setLevel(logging.WARNING)
        await worker_serve(
            wrap_app(app, config.wsgi_max_body_size, "asgi"),
            config,
            sockets=Sockets([], [listener], []),
            shutdown_trigger=draining.wait,
            task_status=cast(Any, _Started(_url(bind.host, listener), task_status)),
        )


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


_protocol_send = TCPServer.protocol_send


async def _send_or_close(self: TCPServer, event: Event) -> None:
    """`TCPServer.protocol_send` with a deadline, cancellable: what was not sent whole closes the connection.

    The book-keeping after an answer (idle timer, close) is shielded, because the app's task may be cancelled.
    """
    if not isinstance(event, RawData):
        with trio.move_on_after(SEND_S, shield=True):
            await _protocol_send(self, event)
        return
    if not event.data:
        return
    async with self.send_lock:
        sent = False
        try:
            with trio.move_on_after(SEND_S):
                await self.stream.send_all(event.data)
                sent = True
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            if not sent:
                await trio.aclose_forcefully(self.stream)
    if not sent:
        await self.protocol.handle(ConnectionClosed())


async def _send_head_with_body(self: Any, event: Any) -> None:
    """`H11Protocol._send_h11_event`, but a head is kept until the body's first piece (or its end) follows."""
    try:
        data = self.connection.send(event)
    except h11.LocalProtocolError:
        if self.connection.their_state is not h11.ERROR:
            raise
        return
    data = self.__dict__.pop("held_head", b"") + data
    if isinstance(event, h11.Response):
        self.held_head = data
    else:
        await self.send(RawData(data=data))


def _no_compression(_requested: Any, _supported: Any) -> None:
    """`ws_stream.server_extensions_handshake` that accepts nothing."""


MENDED = (
    (TCPServer, "protocol_send", _send_or_close),
    (H11Protocol, "_send_h11_event", _send_head_with_body),
    (ws_stream, "server_extensions_handshake", _no_compression),
)
for _owner, _name, _mended in MENDED:
    setattr(_owner, _name, _mended)

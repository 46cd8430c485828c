"""Serves an ASGI app on one port: HTTP/1.1 and websockets on Trio.

In: an app, where to bind, the event after which it shall finish. Out: the URL, once connections are
accepted. A busy port, a foreign address or a port without rights refuses to start (ConfigError); an
exception inside the app is one answer of 500 and a log line, one inside a connection ends that connection.
Who is let in, and how many, is decided in accepting.py; what is said on a connection, in connection.py, framing.py and
websockets.py.

- HTTP/2 is not spoken: its flow control makes answers last as long as a client likes. `Upgrade: h2c` is ignored, the
  preface refused;
- sockets are not inherited by child processes, which would hold the port after a restart;
- at the drain, who is idle is closed at once, and every other after its answer.

Not here: the bound of a request's body and its whole time are the app's (it has the error's shape),
and websocket handlers watch `draining` and close with 1001 themselves, or they last until `grace_s`.
"""

import errno
import logging
import socket
from functools import partial
from typing import Any

import structlog
import trio
from hypercorn import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.utils import wrap_app

from gcc.config import Bind
from gcc.errors import ConfigError
from gcc.web import framing
from gcc.web.accepting import Door, Guest, connections_max
from gcc.web.at_once import PAUSE
from gcc.web.connection import App, Connection, Port, let_go_of_idle
from gcc.web.websockets import Speaker

BACKLOG = 256  # connections the kernel holds until they are accepted
MESSAGE_BYTES_MAX = 64 * 1024  # of one websocket message from a client
STARTUP_S = 10.0  # the app's own start

log = structlog.get_logger()


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
    lifespan = Lifespan(wrapped, config, {})
    port = Port(
        app if getattr(app, "begins_at_once", False) else _patient(app), draining, partial(Speaker, wrapped, config)
    )

    async def serve_one(guest: Guest) -> None:
        try:
            await Connection(port, guest).run()
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
                        nursery.start_soon(let_go_of_idle, door.guests)
                        task_status.started(_url(bind.host, listener))
                        await draining.wait()
                        nursery.cancel_scope.cancel()
                finally:
                    accepting.socket.close()
                    door.guests.dismiss()
                    connections.cancel_scope.deadline = trio.current_time() + grace_s
            await lifespan.wait_for_shutdown()
            living.cancel_scope.cancel()


def _patient(app: Any) -> App:
    """An app that knows of no pause, in a task of its own from its beginning."""

    async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await scope["extensions"][PAUSE]
        await app(scope, receive, send)

    return answer


def _config(grace_s: float) -> Config:
    config = Config()
    config.shutdown_timeout = grace_s
    config.startup_timeout = STARTUP_S
    config.websocket_max_message_size = MESSAGE_BYTES_MAX
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


def _full() -> bytes:
    """The whole answer to whom there is no room for."""
    status, headers, body = framing.answer(framing.refused(503))
    return framing.head(status, headers) + body

"""Websockets of a port: Hypercorn's stream on wsproto, with its traps mended here and nowhere else.

In: a handshake and the bytes behind it, as connection.py read them. Out: what is sent, and that nothing follows.
Private names of hypercorn 0.18 are touched only here and in serving.py. What is different here:
- websockets are not compressed, which triples the cost of a fan-out;
- what is no handshake, or comes before its answer, is refused in the envelope; a websocket whose frames cannot be read
  is closed with the code that says so;
- what an app does not read before it ends is dropped.

Handlers watch `draining` and close with 1001 themselves, or they last until the port's grace is over.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, cast

import trio
from hypercorn import Config
from hypercorn.protocol.events import Body, Data, Request, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.ws_stream import ASGIWebsocketState, FrameTooLargeError, WSStream
from hypercorn.trio.task_group import TaskGroup, _handle
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from wsproto.connection import ConnectionState as Websocket
from wsproto.events import CloseConnection, Message, Ping
from wsproto.frame_protocol import CloseReason

from gcc.web import framing
from gcc.web.framing import Header

HYPERCORN = "0.18.0"
"""The version whose private names are known here; a test refuses another one."""

QUEUE_MAX = 10  # messages that the app has not read yet
STREAM_ID = 1  # of the only one that a connection has
_BARE = [(b"content-length", b"0"), (b"connection", b"close")]
"""The headers of hypercorn's own refusals."""


class Speaker:
    """One websocket. `send` and `end` are the connection's: bytes, all of them or it is lost; nothing follows."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        nursery: trio.Nursery,
        addresses: tuple[Any, Any],
        send: Callable[[bytes], Awaitable[None]],
        end: Callable[[], Awaitable[None]],
    ) -> None:
        self._send, self._end = send, end
        self._is_answered = False
        self._stream = Socket(
            app, config, WorkerContext(None), _Apps(nursery), False, *addresses, self._speak, STREAM_ID
        )  # fmt: skip

    async def begin(self, target: bytes, headers: Sequence[Header], version: str) -> None:
        if not all(value.isascii() for _, value in headers):
            await self._refuse(400)
            return
        offered = [header for header in headers if header[0] != b"sec-websocket-extensions"]
        await self._stream.handle(
            Request(
                stream_id=STREAM_ID, headers=offered, http_version=version, method="GET", raw_path=target,
                state=ConnectionState({}),
            )
        )  # fmt: skip

    async def take(self, data: bytes) -> None:
        """What the client sent."""
        if data:
            await self._stream.handle(Data(stream_id=STREAM_ID, data=data))

    async def lost(self) -> None:
        """The connection is over."""
        await self._stream.handle(StreamClosed(stream_id=STREAM_ID))

    async def _speak(self, event: StreamEvent) -> None:
        if isinstance(event, Response):
            if event.headers == _BARE:
                await self._refuse(event.status_code)
            elif not self._is_answered:
                self._is_answered = True
                last = [] if event.status_code == 101 else [(b"connection", b"close")]
                await self._send(framing.head(event.status_code, [*event.headers, *last]))
        elif isinstance(event, Body | Data):
            await self._send(event.data)
        elif isinstance(event, StreamClosed):
            await self.lost()
            await self._end()

    async def _refuse(self, status: int) -> None:
        if not self._is_answered:
            self._is_answered = True
            status, headers, body = framing.answer(framing.refused(status))
            await self._send(framing.head(status, headers) + body)
        await self._end()


class _Apps(TaskGroup):
    """Runs the app. What it does not read before it ends is dropped."""

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__()
        self._nursery = nursery

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

"""One connection of a port: bytes into requests, the app's answers into bytes.

In: a guest of the door, an ASGI app. Out: answers, one after the other, in the order in which they were asked for.
parser.py reads the requests, exchange.py is one of them and its answer, websockets.py has the websockets. Two tasks:
one reads, as long as the connection lives, so that an app is told at once that its client hung up; one runs the app for
what has come, and begins only where that must wait (at_once.py). Failures are the connection's own:
- what is no request is answered with its reason, once, after what was asked for before it; nothing that follows is read
  as a request;
- an exception of the app is an answer of 500 and a line of the log; where its answer had begun, the connection closes
  without the answer's end, as it does where the answer is not as long as it said;
- a client that takes nothing for SEND_S, that owes the rest of a body for STALL_S, of a head for IDLE_S, or that is
  idle for IDLE_S, is let go of. So is one that hangs up, at its EOF.

Bounded: a head, by framing.py; a body that the app has not read, by UNREAD_BYTES_MAX; what is sent ahead, by one
RECEIVE_BYTES; answers are not kept at all. What an app never reads of a body does not hold up its connection for ever.
"""

import math
import os
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
import trio

from gcc.web import framing
from gcc.web.accepting import Guest, Guests
from gcc.web.api.errors import ApiError
from gcc.web.at_once import Pause, begin, go_on
from gcc.web.exchange import Exchange
from gcc.web.parser import Handshake, Parser
from gcc.web.websockets import Speaker

SEND_S = 5.0  # a client that takes nothing for this long is gone
STALL_S = 15.0  # and so is one that owes a part of its request's body for this long
IDLE_S = 30.0  # between requests, and for the headers of the first one
LINGER_S = 1.0  # what a client still sends after the last answer is read and dropped for this long
RECEIVE_BYTES = 64 * 1024
RESET = struct.pack("ii", 1, 0)
"""The SO_LINGER by which a client sees a reset, and no end."""
UNREAD_BYTES_MAX = 256 * 1024

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Port:
    """What all connections of a port share."""

    app: App  # awaits the pause of its scope before it waits
    draining: trio.Event
    websocket: Callable[..., Speaker]


async def let_go_of_idle(guests: Guests) -> None:
    """Of who owes nothing and has asked for nothing for IDLE_S; until cancelled. A scope for each wait would cost a
    quarter of what a small answer does."""
    while True:
        await trio.sleep(IDLE_S / 30)
        for guest in [*guests.since(trio.current_time() - IDLE_S)]:
            if not guest.owes:
                guest.close()


class Connection:
    """Of one guest; `run` is its life."""

    def __init__(self, port: Port, guest: Guest) -> None:
        self._port = port
        self._guest = guest
        self._stream = guest.stream
        self._sending = trio.Lock()  # the app answers, the reader refuses
        self._unsent = b""  # what waits for it
        self._reading = trio.CancelScope()
        self._lingering = trio.CancelScope()
        self._turns: deque[Exchange | ApiError | Handshake] = deque()  # the first is in hand
        self._room = trio.Event()
        self._is_working = False
        self._worker: trio.lowlevel.Task | None = None  # which goes on with what must wait; kept, as a task costs much
        self._waits: Coroutine[Any, Any, None] | None = None  # for it
        self._is_left = False
        self.pause = Pause()  # of the work in hand
        self._websocket: Speaker | None = None
        self.is_over = False  # nothing is sent any more
        self._parser = Parser(self, self._arrived)

    async def run(self) -> None:
        sock = self._stream.socket
        try:
            self._parser.client, self._parser.server = sock.getpeername()[:2], sock.getsockname()[:2]
        except OSError:  # the client left before it could be asked who it is
            return
        async with trio.open_nursery() as self._nursery:
            await self._read()
            await self._lose()
            self._is_left = True
            if not self._is_working:
                self._wake()

    # What is read

    async def _read(self) -> None:
        """Until the client hangs up, or owes something for too long."""
        while True:
            is_owed = not self.is_over and self._websocket is None and self._parser.is_owed
            self._guest.owes = is_owed
            try:
                data = await (self._receive_owed() if is_owed else self._receive())
            except (OSError, trio.ClosedResourceError):
                return
            if data is None and self.is_over:
                continue  # until it is let go of
            if data is None:
                self.pause.is_over = True
                await self._break(framing.refused(408))
                if not self._is_working:
                    await self._work()
                if not self.is_over:
                    return
                continue  # who is told why may read it
            if not data:
                return
            if self.is_over:
                continue
            if self._websocket is not None:
                await self._websocket.take(data)
                continue
            await self._parse(data)
            while self._is_full():
                self._room = trio.Event()
                await self._room.wait()

    async def _receive(self) -> bytes:
        """What has come, in one piece; nothing at the end. Raises OSError, ClosedResourceError."""
        while True:
            await trio.lowlevel.wait_readable(self._descriptor())
            try:
                return os.read(self._descriptor(), RECEIVE_BYTES)
            except BlockingIOError:
                pass

    def _descriptor(self) -> int:
        """Asked for anew at each use: of a connection that was closed meanwhile the next one may have the number."""
        if self._guest.is_closed:
            raise trio.ClosedResourceError("the connection was closed")
        return self._stream.socket.fileno()

    async def _receive_owed(self) -> bytes | None:
        """The same where the client has begun something; None: it has had its time."""
        with trio.CancelScope(deadline=self._patience_ends_s()) as self._reading:
            return await self._receive()
        return None

    async def _parse(self, data: bytes) -> None:
        if not self._is_working:
            self.pause = Pause()
        refusal = self._parser.feed(data)
        if refusal is not None:
            self.pause.is_over = True
            await self._break(refusal)
        if not self._turns or self._is_working:
            return
        self._is_working = True
        working = self._work()
        if self.pause.is_over or not begin(working)[0]:
            self._waits = working
            if self._worker is None:
                self._nursery.start_soon(self._go_on)
            else:
                self._wake()

    async def _go_on(self) -> None:
        """With what waits, one after the other, until the client has left."""
        self._worker = trio.lowlevel.current_task()
        while self._waits is not None:
            working, self._waits = self._waits, None
            await go_on(working)
            if not self._is_left:
                await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.SUCCEEDED)

    def _wake(self) -> None:
        if self._worker is not None:
            trio.lowlevel.reschedule(self._worker)

    def _is_full(self) -> bool:
        if self.is_over or not self._turns:
            return False
        first = self._turns[0]
        return len(self._turns) > 1 or (isinstance(first, Exchange) and first.unread_bytes > UNREAD_BYTES_MAX)

    def _patience_ends_s(self) -> float:
        if not self._turns and self._websocket is None:
            return self._guest.idle_since_s + IDLE_S
        return trio.current_time() + STALL_S if self._parser.owes_body else math.inf

    def _arrived(self, turn: Exchange | ApiError | Handshake) -> None:
        self._guest.busy()
        self._turns.append(turn)

    @property
    def is_draining(self) -> bool:
        return self._port.draining.is_set()

    def has_room(self) -> None:
        self._room.set()

    # What is answered

    async def _work(self) -> None:
        """Everything that has come, in turn."""
        while not self.is_over and self._turns:
            turn = self._turns[0]
            if isinstance(turn, Exchange):
                await self._answer(turn)
            elif isinstance(turn, Handshake):
                await self.pause
                self._websocket = self._port.websocket(
                    self._nursery, (self._parser.client, self._parser.server), self.send, self._end
                )
                await self._websocket.begin(turn.target, turn.headers, turn.version)
                await self._websocket.take(turn.rest)
            else:
                await self._refuse(turn)
            if self.is_over:
                break
            self._turns.popleft()
            self.has_room()
            if self._turns:
                await self.pause
                await trio.lowlevel.checkpoint()
        self._is_working = False
        if not self.is_over and self._websocket is None:
            self._guest.idle()
            if self._guest.owes:  # what it begun while this was answered
                self._reading.deadline = self._patience_ends_s()

    async def _answer(self, exchange: Exchange) -> None:
        if exchange.refusal is not None:
            await self._refuse(exchange.refusal, exchange)
            return
        try:
            await self._port.app(exchange.scope, exchange.receive, exchange.send)
        except Exception:
            log.exception("an app failed", path=exchange.scope["path"])
        exchange.scope["extensions"] = {}  # which leads back to it
        if self.is_over:
            return
        if not exchange.has_begun:
            await self._refuse(framing.refused(500), exchange)
        elif exchange.seems_whole:
            with suppress(OSError):
                self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            await self._lose()
        elif not (exchange.has_ended and exchange.is_kept and exchange.is_whole) or self.is_draining:
            await self._end()

    async def _refuse(self, refusal: ApiError, exchange: Exchange | None = None) -> None:
        """The connection's last answer."""
        status, headers, body = framing.answer(refusal)
        head = framing.head(status, headers)
        method = exchange.scope["method"].encode() if exchange is not None else self._parser.method
        await self.send(head if method == b"HEAD" else head + body)
        await self._end()

    async def _break(self, refusal: ApiError) -> None:
        """What was asked for can be read no further: refuse it now, or after what came before it."""
        exchange = self._parser.exchange
        if exchange is None or exchange.is_whole:
            self._arrived(refusal)
            return
        exchange.refusal = refusal
        exchange.tell()
        if exchange is self._turns[0] and self._is_working and not exchange.has_begun:
            exchange.has_begun = True  # whatever the app says now comes too late
            await self._refuse(refusal, exchange)

    # What is sent

    async def send(self, data: bytes) -> None:
        """All of it, or the connection ends. Without a wait, where the kernel takes it."""
        if not self._sending.locked() and not self._unsent and not self.is_over:
            try:
                sent = os.write(self._stream.socket.fileno(), data)
            except BlockingIOError:
                sent = 0
            except OSError:
                await self._lose()
                return
            if sent == len(data):
                return
            data = data[sent:]
        self._unsent += data
        await self.pause  # whoever sends next sends this first
        await self._send_all()

    async def _send_all(self) -> None:
        async with self._sending:
            data, self._unsent = self._unsent, b""
            is_sent = self.is_over  # to nobody
            try:
                if not is_sent:
                    with trio.move_on_after(SEND_S):
                        await self._stream.send_all(data)
                        is_sent = True
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            finally:
                if not is_sent:
                    self._guest.close()
        if not is_sent:
            await self._lose()

    async def _end(self) -> None:
        """Nothing follows; what the client still sends is read and dropped for a while."""
        if self.is_over:
            return
        self.is_over = True
        await self.pause
        async with self._sending:  # an answer that is on its way goes first
            with suppress(OSError):
                self._stream.socket.shutdown(socket.SHUT_WR)
        self._guest.idle()  # it may be closed for another
        self._nursery.start_soon(self._let_go)
        await self._tell()

    async def _let_go(self) -> None:
        with self._lingering:
            await trio.sleep(LINGER_S)
            self._guest.close()

    async def _lose(self) -> None:
        """The client is gone."""
        self.is_over = True
        self._lingering.cancel()
        self._guest.close()
        await self._tell()

    async def _tell(self) -> None:
        """Whoever waits here that there is nothing to wait for."""
        self.has_room()
        if self._turns and isinstance(self._turns[0], Exchange):
            self._turns[0].tell()
        if self._websocket is not None:
            await self._websocket.lost()

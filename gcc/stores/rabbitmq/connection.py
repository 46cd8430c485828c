"""A connection: the handshake, one task that writes, one that reads, heartbeats, and the end.

The writer owns the stream's sending side; everyone else appends whole messages to a buffer, so no cancelled
caller can leave half a frame on the wire. The buffer is bounded by what may be appended: publishers wait
while it is `full`, each channel has one method under way, and there are no more acknowledgements than
deliveries. The reader hands on all frames of one receive at once and never waits for a consumer: prefetch
bounds what comes.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import trio
from pamqp import base, commands, common

from . import codec
from .channel import Channel
from .codec import Event, Parser
from .errors import AmqpError, ConnectionClosed, ProtocolError, fresh
from .url import Url, parse_url

RECEIVE_BYTES_MAX: Final = 256 * 1024
OUT_BYTES_MAX: Final = 1024 * 1024
"""Publishers wait while this much is on its way out."""
FAREWELL_S: Final = 1.0
"""How long closing may take: what was appended before is sent, and the broker says goodbye."""

_CAPABILITIES: Final[common.FieldTable] = {
    "publisher_confirms": True,
    "consumer_cancel_notify": True,
    "connection.blocked": True,
    "basic.nack": True,
    "authentication_failure_close": True,
}

_Reply = TypeVar("_Reply", bound=base.Frame)


class Connection:
    """Made by `connect`, and usable inside its block. A lost one stays lost: connect again."""

    def __init__(
        self, stream: trio.abc.Stream, parser: Parser, channel_max: int, heartbeat_s: float, held_bytes_max: int | None
    ) -> None:
        self.blocked: str | None = None
        """The broker's reason while it takes nothing from publishers (memory or disk alarm)."""
        self.closed: AmqpError | None = None
        """Why, once it is closed."""
        self.frame_max = parser.frame_max
        self.changed = trio.lowlevel.ParkingLot()
        """Woken when something that a publisher waits for may have changed."""
        self.held_bytes = 0
        """In deliveries that are neither acknowledged nor given back: `Delivery.held_bytes` of each."""
        self._held_bytes_max = held_bytes_max
        self._released = trio.lowlevel.ParkingLot()
        self._stream = stream
        self._parser = parser
        self._channel_max = channel_max
        self._heartbeat_s = heartbeat_s
        self._channels: dict[int, Channel] = {}
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._out_waits = trio.lowlevel.ParkingLot()
        self._gone = trio.Event()
        self._ended = trio.Event()
        self._scope = trio.CancelScope(shield=True)

    # -- for callers

    async def open_channel(self) -> Channel:
        """A new channel. Raises ConnectionClosed, or AmqpError when all of them are in use."""
        if self.closed is not None:
            raise fresh(self.closed)
        number = next((n for n in range(1, self._channel_max + 1) if n not in self._channels), None)
        if number is None:
            raise AmqpError(f"all {self._channel_max} channels of the connection are open; close some")
        channel = self._channels[number] = Channel(self, number)
        self._parser.channels_opened = max(number, self._parser.channels_opened)
        try:
            await channel.open()
        except BaseException:
            channel.close()
            raise
        return channel

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[Channel]:
        """The same, closed at the end of the block."""
        channel = await self.open_channel()
        try:
            yield channel
        finally:
            channel.close()

    async def wait_closed(self) -> None:
        """Return when the connection is gone; `closed` tells why."""
        await self._gone.wait()

    # -- for channels

    @property
    def full(self) -> bool:
        return self._out_bytes > OUT_BYTES_MAX

    def append(self, data: bytes) -> None:
        """Send whole frames, soon."""
        self._out.append(data)
        self._out_bytes += len(data)
        self._out_waits.unpark_all()

    def hold(self, size: int) -> None:
        """A delivery came (`size` > 0), or was settled."""
        self.held_bytes += size
        if size < 0:
            self._released.unpark_all()

    def forget(self, number: int) -> None:
        """Both sides have closed the channel: its number is free."""
        self._channels.pop(number, None)

    # -- the tasks

    async def serve(self, events: list[tuple[int, Event]]) -> None:
        """Read and write until the connection has ended; `events` were read with the handshake.

        Shielded, so that cancelling the block of `connect` still lets it say goodbye: `end` bounds that.
        """
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                await self._read(events)
                nursery.cancel_scope.cancel()
            await trio.aclose_forcefully(self._stream)
        self._ended.set()

    async def _read(self, events: list[tuple[int, Event]]) -> None:
        """Until the connection is lost or both sides have said goodbye."""
        silence_s = 2 * self._heartbeat_s
        try:
            while not self._handle(events):
                while self._holds_too_much():
                    await self._released.park()  # and the broker finds the socket full
                with trio.move_on_after(silence_s) as silence:
                    data = await self._stream.receive_some(RECEIVE_BYTES_MAX)
                if silence.cancelled_caught:
                    raise ConnectionClosed(None, f"nothing was heard from the broker for {silence_s:g} s")
                if not data:
                    raise ConnectionClosed(None, "the broker closed the TCP connection")
                events = self._parser.feed(bytes(data))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._fail(_lost(error))
        except AmqpError as error:
            self._fail(error)
        else:
            with trio.move_on_after(FAREWELL_S):
                while self._out_bytes:
                    await self.changed.park()

    def _holds_too_much(self) -> bool:
        """A message that has begun counts, too; alone it does not, for who waits for its end must read on."""
        if self._held_bytes_max is None or not self.held_bytes:
            return False
        return self.held_bytes + self._parser.begun_bytes > self._held_bytes_max

    async def _write(self) -> None:
        """Send what was appended, or a heartbeat when there was nothing for half an interval."""
        try:
            while True:
                with trio.move_on_after(self._heartbeat_s / 2):
                    while not self._out:
                        await self._out_waits.park()
                data = b"".join(self._out)
                self._out.clear()
                await self._stream.send_all(data or codec.HEARTBEAT)
                self._out_bytes -= len(data)
                self.changed.unpark_all()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            with trio.move_on_after(FAREWELL_S):  # the reader may find the broker's reason in what came before
                await self._gone.wait()
            self._fail(_lost(error))

    def _handle(self, events: list[tuple[int, Event]]) -> bool:
        """Hand events to their channels; True once both sides have said goodbye. Raises ProtocolError."""
        for number, event in events:
            if number:
                channel = self._channels.get(number)
                if channel is not None:  # else its last words, late
                    channel.handle(event)
            elif isinstance(event, commands.Connection.Close):
                self.append(codec.method(0, commands.Connection.CloseOk()))
                self._fail(ConnectionClosed(event.reply_code, event.reply_text))
                return True
            elif isinstance(event, commands.Connection.CloseOk) and self.closed is not None:
                return True
            elif isinstance(event, commands.Connection.Blocked):
                self.blocked = event.reason or "blocked"
                self.changed.unpark_all()
            elif isinstance(event, commands.Connection.Unblocked):
                self.blocked = None
                self.changed.unpark_all()
            else:
                raise ProtocolError(f"{getattr(event, 'name', type(event).__name__)} on channel 0")
        return False

    def _fail(self, error: AmqpError) -> None:
        """The connection is gone because of `error`: everyone who waits gets it."""
        if self.closed is None:
            self.closed = error
            for channel in self._channels.values():
                if channel.closed is None:
                    channel.fail(error)
            self._gone.set()

    async def end(self) -> None:
        """Say goodbye, at most FAREWELL_S, and stop the tasks."""
        if self.closed is None:
            self._fail(ConnectionClosed(None, "closed by this side"))
            self.append(
                codec.method(0, commands.Connection.Close(reply_code=200, reply_text="", class_id=0, method_id=0))
            )
        with trio.move_on_after(FAREWELL_S, shield=True):
            await self._ended.wait()
        self._scope.cancel()


def _lost(error: Exception) -> ConnectionClosed:
    return ConnectionClosed(None, f"the connection was lost: {error.__cause__ or error or type(error).__name__}")


@asynccontextmanager
async def connect(
    url: str,
    *,
    name: str = "",
    heartbeat_s: int = 10,
    frame_max: int = 131072,
    connect_s: float = 10.0,
    held_bytes_max: int | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Connection]:
    """A connection to the broker at `url`, shown there as `name`.

    `heartbeat_s` and `frame_max` are what is asked for: the broker may say less. A broker that is not heard for two
    intervals counts as lost. While more than `held_bytes_max` of deliveries is unsettled nothing is read: that
    bounds memory whatever the prefetch, and delays everything else on this connection. `tls` replaces the context
    made from the URL's parameters. Raises UrlError; ConnectionClosed when the broker cannot be reached within
    `connect_s` or refuses (403 bad credentials, 530 unknown vhost); ProtocolError. At the block's end, cancelled or
    not, what was appended is sent and the connection closed, within FAREWELL_S.
    """
    if heartbeat_s < 1 or frame_max < codec.FRAME_MAX_MIN:
        raise ValueError(f"heartbeat_s {heartbeat_s} must be at least 1, frame_max {frame_max} at least 4096")
    target = parse_url(url)
    failure: Exception | None = None
    stream, connection, events = await _open(target, tls, name, heartbeat_s, frame_max, connect_s, held_bytes_max)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.serve, events)
            try:
                yield connection
            except Exception as error:
                failure = error  # raised outside of the nursery, which would wrap it in a group
            finally:
                await connection.end()
    finally:
        await trio.aclose_forcefully(stream)
    if failure is not None:
        raise failure


async def _open(
    url: Url,
    tls: ssl.SSLContext | None,
    name: str,
    heartbeat_s: int,
    frame_max: int,
    connect_s: float,
    held_bytes_max: int | None,
) -> tuple[trio.abc.Stream, Connection, list[tuple[int, Event]]]:
    stream: trio.abc.Stream | None = None
    try:
        with trio.fail_after(connect_s):
            if url.tls:
                stream = await trio.open_ssl_over_tcp_stream(
                    url.host,
                    url.port,
                    ssl_context=tls or url.tls_context(),
                    https_compatible=True,
                )
            else:
                stream = await trio.open_tcp_stream(url.host, url.port)
            handshake = Handshake(stream, frame_max)
            connection = await handshake.run(url, name, heartbeat_s, held_bytes_max)
            return stream, connection, handshake.events
    except BaseException as error:
        if stream is not None:
            await trio.aclose_forcefully(stream)
        if isinstance(error, trio.TooSlowError):
            raise ConnectionClosed(None, f"{url}: no connection within {connect_s:g} s") from None
        if isinstance(error, ConnectionClosed):
            raise ConnectionClosed(error.code, f"{url}: {url.masked(error.text)}{_hint(url, error)}") from None
        if isinstance(error, OSError | trio.BrokenResourceError):
            raise ConnectionClosed(None, f"{url}: {_reason(error)}") from error
        if isinstance(error, UnicodeError):
            raise ConnectionClosed(None, f"{url}: its host is no name that a resolver could be asked for") from None
        raise


def _reason(error: OSError | trio.BrokenResourceError) -> BaseException:
    """What the system said; of the tries to reach a host's addresses, the last."""
    cause = error.__cause__ or error
    return cause.exceptions[-1] if isinstance(cause, BaseExceptionGroup) else cause


def _hint(url: Url, error: ConnectionClosed) -> str:
    if error.code == 530 and not url.vhost:
        return " (the URL ends in '/', which names the vhost ''; leave the '/' out or write %2F for the vhost '/')"
    return ""


class Handshake:
    """From the first byte to connection.open-ok; `events` is what the broker sent right after it."""

    def __init__(self, stream: trio.abc.Stream, frame_max: int) -> None:
        self.events: list[tuple[int, Event]] = []
        self._stream = stream
        self._parser = Parser(frame_max)

    async def run(self, url: Url, name: str, heartbeat_s: int, held_bytes_max: int | None) -> Connection:
        await self._stream.send_all(codec.PROTOCOL_HEADER)
        start = await self._expect(commands.Connection.Start)
        if "PLAIN" not in str(start.mechanisms).split():
            raise ConnectionClosed(None, f"the broker wants one of {start.mechanisms}; this client knows PLAIN")
        properties: common.FieldTable = {
            "product": "amqp on trio",
            "connection_name": name,
            "capabilities": _CAPABILITIES,
        }
        response = f"\0{url.user}\0{url.password}"
        await self._send(commands.Connection.StartOk(properties, "PLAIN", response, "en_US"))
        tune = await self._expect(commands.Connection.Tune)
        self._parser.frame_max = max(_lesser(self._parser.frame_max, tune.frame_max), codec.FRAME_MAX_MIN)
        channel_max = tune.channel_max or 65535
        heartbeat_s = _lesser(heartbeat_s, tune.heartbeat)
        await self._send(commands.Connection.TuneOk(channel_max, self._parser.frame_max, heartbeat_s))
        await self._send(commands.Connection.Open(virtual_host=url.vhost))
        await self._expect(commands.Connection.OpenOk)
        return Connection(self._stream, self._parser, channel_max, heartbeat_s, held_bytes_max)

    async def _send(self, request: base.Frame) -> None:
        await self._stream.send_all(codec.method(0, request))

    async def _expect(self, reply: type[_Reply]) -> _Reply:
        while not self.events:
            data = await self._stream.receive_some(RECEIVE_BYTES_MAX)
            if not data:
                raise ConnectionClosed(None, "the broker closed the connection in the handshake")
            self.events = self._parser.feed(bytes(data))
        _, event = self.events.pop(0)
        if isinstance(event, commands.Connection.Close):
            raise ConnectionClosed(event.reply_code, event.reply_text)
        if not isinstance(event, reply):
            raise ProtocolError(f"{getattr(event, 'name', type(event).__name__)} instead of {reply.name}")
        return event


def _lesser(ours: int, theirs: int | None) -> int:
    """What both sides can live with; 0 is the broker's way to say that it does not mind."""
    return min(ours, theirs) if theirs else ours

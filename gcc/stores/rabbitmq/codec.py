"""AMQP 0-9-1 on the wire, without any I/O: bytes in, events out, and the bytes of what is sent.

The frames that flow by the thousand (deliver, content header, body, publish, ack, nack) are read and written
here with struct; every other method goes through pamqp. Whatever a peer sends, `Parser.feed` answers with
events or with ProtocolError, and what it holds is bounded by `frame_max` and `message_bytes_max`: what others may
publish (long bodies, any octets as names and properties) is no ProtocolError, it would come again for ever.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pamqp import base, commands, frame

from .errors import ProtocolError
from .message import Delivery, Message, short_string, text

PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"
HEARTBEAT: Final = b"\x08\x00\x00\x00\x00\x00\x00\xce"
FRAME_MAX_MIN: Final = 4096
"""The smallest frame_max that AMQP allows."""
FRAME_OVERHEAD: Final = 8
"""Type, channel and size before a frame's payload, and the end octet after it."""
MESSAGE_BYTES_MAX: Final = 128 * 1024 * 1024
"""Of longer ones only the beginning is kept. RabbitMQ takes at most 512 MiB, 16 or 128 unless told otherwise."""

_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_BASIC: Final = 60
_DELIVER, _RETURN, _ACK, _NACK = 0x3C003C, 0x3C0032, 0x3C0050, 0x3C0078
_CHANNEL_CLOSE, _CHANNEL_CLOSE_OK = 0x140028, 0x140029
_END: Final = b"\xce"
_FRAME: Final = struct.Struct(">BHI")
_U32: Final = struct.Struct(">I")
_U64: Final = struct.Struct(">Q")
_CONTENT: Final = struct.Struct(">HHQ")
_CONTENT_FRAME: Final = struct.Struct(">BHIHHQ")
_SETTLE_FRAME: Final = struct.Struct(">BHIIQBB")


@dataclass(frozen=True, slots=True)
class Confirm:
    """The broker settled message `tag` of a channel; with `multiple` all before it too (tag 0: all there are)."""

    tag: int
    multiple: bool
    nacked: bool


@dataclass(slots=True)
class ReturnedMessage:
    """A mandatory message that no queue took; its confirm follows."""

    code: int
    text: str
    exchange: str
    key: str
    body: bytes = b""
    packed_properties: bytes = b""
    cut_bytes: int = 0


Event = Delivery | ReturnedMessage | Confirm | base.Frame


class _Content:
    """A message that is being put together: after its method come a header and bodies."""

    __slots__ = ("begun_bytes", "excess_bytes", "item", "missing_bytes", "parts")

    def __init__(self, item: Delivery | ReturnedMessage) -> None:
        self.item = item
        self.missing_bytes = -1  # no header yet
        self.excess_bytes = 0
        self.begun_bytes = 0
        self.parts: list[bytes] = []


class Parser:
    """Cuts a byte stream into events, each with the number of its channel. Heartbeats are swallowed."""

    def __init__(self, frame_max: int, message_bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self.frame_max = frame_max
        self.message_bytes_max = message_bytes_max
        self.channels_opened = 0
        """The highest channel number that was ever opened; frames of higher ones are refused."""
        self._chunks: list[bytes] = []
        self._held_bytes = 0
        self._needed_bytes = FRAME_OVERHEAD
        self._contents: dict[int, _Content] = {}

    @property
    def begun_bytes(self) -> int:
        """Held of messages whose end has not come yet."""
        return sum(content.begun_bytes for content in self._contents.values())

    def feed(self, data: bytes) -> list[tuple[int, Event]]:
        """All events that `data` completes, in order. Raises ProtocolError: the stream is lost then."""
        self._chunks.append(data)
        self._held_bytes += len(data)
        if self._held_bytes < self._needed_bytes:
            return []
        buffer = data if len(self._chunks) == 1 else b"".join(self._chunks)
        events: list[tuple[int, Event]] = []
        try:
            position = self._frames(buffer, events)
        except (IndexError, struct.error) as error:
            raise ProtocolError(f"a frame that cannot be read: {error}") from error
        rest = buffer[position:]
        self._chunks = [rest] if rest else []
        self._held_bytes = len(rest)
        return events

    def _frames(self, buffer: bytes, events: list[tuple[int, Event]]) -> int:
        """Append the events of the whole frames in `buffer`; answers where the first cut frame begins."""
        position = 0
        length = len(buffer)
        payload_max = self.frame_max - FRAME_OVERHEAD
        self._needed_bytes = FRAME_OVERHEAD
        while length - position >= FRAME_OVERHEAD:
            kind, channel, size = _FRAME.unpack_from(buffer, position)
            if kind not in (_METHOD, _HEADER, _BODY, _HEARTBEAT):
                other = buffer.startswith(b"AMQP", position)
                raise ProtocolError("the peer speaks another AMQP than 0-9-1" if other else f"frame of type {kind}")
            if size > payload_max:
                raise ProtocolError(f"frame of {size:,} bytes; at most {payload_max:,} were agreed on")
            if channel > self.channels_opened:
                raise ProtocolError(f"frame of channel {channel}, which was never opened")
            start = position + 7
            end = start + size
            if end >= length:
                self._needed_bytes = size + FRAME_OVERHEAD
                break
            if buffer[end] != 0xCE:
                raise ProtocolError(f"frame ends with octet {buffer[end]:#04x}, not 0xce")
            if kind == _BODY:
                self._body(channel, buffer, start, end, events)
            elif kind == _HEADER:
                self._header(channel, buffer, start, end, events)
            elif kind == _METHOD:
                self._method(channel, buffer, start, end, events)
            elif channel or size:
                raise ProtocolError(f"heartbeat of {size} bytes on channel {channel}")
            position = end + 1
        return position

    def _method(self, channel: int, buffer: bytes, start: int, end: int, events: list[tuple[int, Event]]) -> None:
        (method,) = _U32.unpack_from(buffer, start)
        if channel in self._contents:
            if method not in (_CHANNEL_CLOSE, _CHANNEL_CLOSE_OK):
                raise ProtocolError(f"method {method:#x} on channel {channel} in the middle of a message")
            del self._contents[channel]
        if method == _DELIVER and channel:
            self._contents[channel] = _Content(_deliver(buffer, start + 4, end))
        elif method in (_ACK, _NACK) and end - start == 13:
            (tag,) = _U64.unpack_from(buffer, start + 4)
            events.append((channel, Confirm(tag, bool(buffer[start + 12] & 1), method == _NACK)))
        else:
            try:
                _, _, decoded = frame.unmarshal(buffer[start - 7 : end + 1])
            except Exception as error:  # many kinds for garbage, RecursionError among them
                raise ProtocolError(f"method {method:#x} that cannot be read: {error}") from error
            if isinstance(decoded, commands.Basic.Return) and channel:
                item = ReturnedMessage(
                    decoded.reply_code or 0, decoded.reply_text, decoded.exchange, decoded.routing_key or ""
                )
                self._contents[channel] = _Content(item)
            elif isinstance(decoded, base.Frame):
                events.append((channel, decoded))

    def _header(self, channel: int, buffer: bytes, start: int, end: int, events: list[tuple[int, Event]]) -> None:
        content = self._contents.get(channel)
        if content is None or content.missing_bytes >= 0:
            raise ProtocolError(f"content header on channel {channel} without a message")
        class_id, weight, size = _CONTENT.unpack_from(buffer, start)
        if class_id != _BASIC or weight or end - start < 12:  # its properties may be anything, down to nothing
            raise ProtocolError(f"content header of class {class_id} and {end - start} bytes")
        content.item.packed_properties = buffer[start + 12 : end]
        content.missing_bytes = size
        content.excess_bytes = max(0, size - self.message_bytes_max)
        if not size:
            del self._contents[channel]
            events.append((channel, content.item))

    def _body(self, channel: int, buffer: bytes, start: int, end: int, events: list[tuple[int, Event]]) -> None:
        content = self._contents.get(channel)
        if content is None or content.missing_bytes < 0:
            raise ProtocolError(f"body on channel {channel} without a content header")
        size = end - start
        if size > content.missing_bytes:
            raise ProtocolError(f"body on channel {channel} is longer than its header said")
        content.missing_bytes -= size
        kept = min(size, max(0, content.missing_bytes + size - content.excess_bytes))
        if content.missing_bytes:
            if kept:  # empty ones are allowed and would only fill memory
                content.parts.append(buffer[start : start + kept])
                content.begun_bytes += kept
            return
        content.item.body = buffer[start : start + kept]
        if content.parts:
            content.item.body = b"".join((*content.parts, content.item.body))
        content.item.cut_bytes = content.excess_bytes
        del self._contents[channel]
        events.append((channel, content.item))


def _deliver(buffer: bytes, position: int, end: int) -> Delivery:
    stop = position + 1 + buffer[position]
    consumer_tag = text(buffer[position + 1 : stop])
    (tag,) = _U64.unpack_from(buffer, stop)
    redelivered = buffer[stop + 8] & 1
    position = stop + 9
    stop = position + 1 + buffer[position]
    exchange = text(buffer[position + 1 : stop])
    position = stop
    stop = position + 1 + buffer[position]
    if stop != end:
        raise ProtocolError("basic.deliver whose strings and frame do not end together")
    return Delivery(tag, redelivered == 1, exchange, text(buffer[position + 1 : stop]), consumer_tag)


def method(channel: int, request: base.Frame) -> bytes:
    """The frame of any method. Raises ValueError (or TypeError) for values that AMQP cannot carry."""
    return frame.marshal(request, channel)


def publish(channel: int, messages: Sequence[Message], frame_max: int, *, mandatory: bool) -> bytes:
    """The frames of whole messages, in order; bodies are cut to what `frame_max` allows. Raises ValueError."""
    heads: dict[tuple[str, str], bytes] = {}
    parts: list[bytes] = []
    body_max = frame_max - FRAME_OVERHEAD
    for message in messages:
        route = (message.exchange, message.key)
        head = heads.get(route)
        if head is None:
            head = heads[route] = _publish_method(channel, message, mandatory)
        properties = message.properties.pack()
        if len(properties) + 12 > body_max:
            raise ValueError(f"properties of {len(properties):,} bytes do not fit into a frame of {frame_max:,}")
        body = message.body
        size = len(body)
        content = _CONTENT_FRAME.pack(_HEADER, channel, 12 + len(properties), _BASIC, 0, size)
        parts += (head, content, properties, _END)
        if 0 < size <= body_max:
            parts += (_FRAME.pack(_BODY, channel, size), body, _END)
        else:
            for start in range(0, size, body_max):
                piece = body[start : start + body_max]
                parts += (_FRAME.pack(_BODY, channel, len(piece)), piece, _END)
    return b"".join(parts)


def _publish_method(channel: int, message: Message, mandatory: bool) -> bytes:
    payload = b"".join(
        (
            b"\x00\x3c\x00\x28\x00\x00",
            short_string(message.exchange),
            short_string(message.key),
            b"\x01" if mandatory else b"\x00",
        )
    )
    return _FRAME.pack(_METHOD, channel, len(payload)) + payload + _END


def ack(channel: int, tag: int, *, multiple: bool) -> bytes:
    return _SETTLE_FRAME.pack(_METHOD, channel, 13, _ACK, tag, multiple, 0xCE)


def nack(channel: int, tag: int, *, multiple: bool, requeue: bool) -> bytes:
    return _SETTLE_FRAME.pack(_METHOD, channel, 13, _NACK, tag, multiple | requeue << 1, 0xCE)

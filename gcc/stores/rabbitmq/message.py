"""Messages as callers see them: what is published, what is delivered, and the properties of both."""

import datetime as dt
import functools
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from pamqp import decode, encode

NESTED_BYTES_MAX: Final = 8 * 1024
"""Of tables and lists among a message's headers, together; what is more is left out unread. They are decoded in
quadratic time, and any producer may have written them."""
TABLE_KEY_BYTES_MAX: Final = 128

_SHORT, _OCTET, _TABLE, _TIME = range(4)
_FIELDS: Final = (
    ("content_type", 0x8000, _SHORT),
    ("content_encoding", 0x4000, _SHORT),
    ("headers", 0x2000, _TABLE),
    ("delivery_mode", 0x1000, _OCTET),
    ("priority", 0x0800, _OCTET),
    ("correlation_id", 0x0400, _SHORT),
    ("reply_to", 0x0200, _SHORT),
    ("expiration", 0x0100, _SHORT),
    ("message_id", 0x0080, _SHORT),
    ("timestamp", 0x0040, _TIME),
    ("type", 0x0020, _SHORT),
    ("user_id", 0x0010, _SHORT),
    ("app_id", 0x0008, _SHORT),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties:
    """The properties of a message; None is absent. `delivery_mode` 2 is persistent.

    `headers` may hold str, int, float (sent in single precision), bool, None, bytearray, Decimal,
    datetime, and dicts and lists of them. `timestamp` has a time zone and is sent in whole seconds.
    """

    content_type: str | None = None
    content_encoding: str | None = None
    headers: Mapping[str, Any] | None = None
    delivery_mode: int | None = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: dt.datetime | None = None
    type: str | None = None
    user_id: str | None = None
    app_id: str | None = None

    def pack(self) -> bytes:
        """Flags and values as a content header carries them. ValueError for what cannot be said in AMQP."""
        flags = 0
        parts = [b""]
        for name, flag, kind in _FIELDS:
            value = getattr(self, name)
            if value is None:
                continue
            flags |= flag
            try:
                if kind == _SHORT:
                    parts.append(short_string(value))
                elif kind == _OCTET:
                    parts.append(value.to_bytes(1, "big"))
                elif kind == _TABLE:
                    parts.append(table(value))
                else:
                    parts.append(int(value.timestamp()).to_bytes(8, "big"))
            except (ValueError, TypeError, OverflowError, AttributeError, struct.error) as error:
                raise ValueError(f"property {name} of a message: {error}") from error
        parts[0] = flags.to_bytes(2, "big")
        return b"".join(parts)

    @classmethod
    def unpack(cls, data: bytes) -> "Properties":
        """The other way. It raises nothing: any producer may have written anything.

        What cannot be read is left out, and nothing else: one property, one header. Only what follows a value whose
        end nobody knows is lost with it.
        """
        return cls(**_values(data))


def _values(data: bytes) -> dict[str, Any]:
    position = 2
    flags = word = int.from_bytes(data[:2], "big")
    while word & 1:  # flags go on; no property is known that they could name
        word = int.from_bytes(data[position : position + 2], "big")
        position += 2
    values: dict[str, Any] = {}
    for name, kind in _present(flags):
        if position >= len(data):
            break
        if kind == _SHORT:
            end = position + 1 + data[position]
            values[name] = text(data[position + 1 : end])
        elif kind == _OCTET:
            end = position + 1
            values[name] = data[position]
        elif kind == _TABLE:
            end = position + 4 + int.from_bytes(data[position : position + 4], "big")
            if end <= len(data):
                values[name] = _headers(data[position + 4 : end])
        else:
            end = position + 8
            with suppress(ValueError, OverflowError, OSError):  # a time that no clock shows, or cut short
                values[name] = decode.timestamp(data[position:end])[1]
        if end > len(data):
            values.pop(name, None)
            break
        position = end
    return values


@functools.lru_cache(256)
def _present(flags: int) -> tuple[tuple[str, int], ...]:
    return tuple((name, kind) for name, flag, kind in _FIELDS if flags & flag)


def _headers(data: bytes) -> dict[str, Any]:
    """The first level of a table, value by value. What we write ourselves (text, whole numbers) goes the short way."""
    values: dict[str, Any] = {}
    position = nested_bytes = 0
    while position < len(data):
        start = position + 1 + data[position]  # where the value begins, with the letter of its type
        letter = data[start : start + 1]
        if letter not in _HEADER_SIZES:
            break
        counted, size = _HEADER_SIZES[letter]
        end = start + 1 + size + int.from_bytes(data[start + 1 : start + 1 + counted], "big")
        if end > len(data):
            break
        name = text(data[position + 1 : start])
        position = end
        if letter == b"S":
            value = data[start + 5 : end]
            try:
                values[name] = value.decode()
            except UnicodeDecodeError:
                values[name] = value
            continue
        if letter in _WHOLE:
            values[name] = int.from_bytes(data[start + 1 : end], "big", signed=_WHOLE[letter])
            continue
        if letter in _NESTED:
            nested_bytes += end - start
            if nested_bytes > NESTED_BYTES_MAX:
                continue
        with suppress(Exception):  # pamqp raises many kinds for garbage, RecursionError among them
            values[name] = decode.embedded_value(data[start:end])[1]
    return values


def text(data: bytes) -> str:
    """What should be UTF-8 and need not be: what is not keeps its bytes in sight, so that different ones differ."""
    return data.decode(errors="backslashreplace")


_NESTED: Final = (b"A", b"F")
_HEADER_SIZES: Final = {
    letter: size
    for letters, size in (
        ((b"V", b"\0"), (0, 0)), ((b"t", b"b", b"B"), (0, 1)), ((b"s", b"u"), (0, 2)), ((b"I", b"i", b"f"), (0, 4)),
        ((b"D",), (0, 5)), ((b"l", b"L", b"d", b"T"), (0, 8)), ((b"S", b"x", *_NESTED), (4, 4)),
    )
    for letter in letters
}  # fmt: skip
"""Of the values of a table, by the letter of their type: the octets that count what follows them, and their size
without that."""
_WHOLE: Final = {b"b": True, b"B": False, b"s": True, b"u": False, b"I": True, b"i": False, b"l": True, b"L": True}
"""The letters of whole numbers: whether they may be negative."""


def short_string(value: str) -> bytes:
    data = value.encode()
    if len(data) > 255:
        raise ValueError(f"{value[:40]!r}... has {len(data):,} bytes; AMQP allows 255")
    return bytes((len(data),)) + data


def table(values: Mapping[str, Any]) -> bytes:
    for key in values:
        if len(key.encode()) > TABLE_KEY_BYTES_MAX:  # pamqp would cut it
            raise ValueError(f"key {key[:40]!r}... is longer than {TABLE_KEY_BYTES_MAX} bytes")
    return encode.field_table(dict(values))


@dataclass(frozen=True, slots=True)
class Message:
    """What to publish: `exchange` may be "" (the default one: `key` names the queue)."""

    exchange: str
    key: str
    body: bytes
    properties: Properties = field(default_factory=Properties)


DELIVERY_BYTES: Final = 512
"""What a delivery takes beside what is in it: objects, and its places in buffers."""


class Delivery:
    """A message handed to a consumer; `tag` is for ack, nack and reject on the channel it came on, and only there.

    `cut_bytes` of the end of a body that was too long are not there.
    """

    __slots__ = ("body", "consumer_tag", "cut_bytes", "exchange", "key", "packed_properties", "redelivered", "tag")

    def __init__(self, tag: int, redelivered: bool, exchange: str, key: str, consumer_tag: str) -> None:
        self.tag = tag
        self.redelivered = redelivered
        self.exchange = exchange
        self.key = key
        self.consumer_tag = consumer_tag
        self.body = b""
        self.cut_bytes = 0
        self.packed_properties = b""

    @property
    def held_bytes(self) -> int:
        """What it takes of memory. All that a producer chooses counts: tiny bodies may have large headers."""
        names = len(self.exchange) + len(self.key)
        return DELIVERY_BYTES + names + len(self.packed_properties) + len(self.body)

    @property
    def properties(self) -> Properties:
        """Decoded at every call; see `Properties.unpack`."""
        return Properties.unpack(self.packed_properties)

    def __repr__(self) -> str:
        return f"<Delivery {self.tag} of {self.exchange!r} {self.key!r}, {len(self.body):,} bytes>"


@dataclass(frozen=True, slots=True)
class Returned:
    """Why the broker gave a mandatory message back (312 NO_ROUTE)."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the broker said of a publish() call, by index into its messages. Every other message is stored.

    Of the `unsettled` it has said nothing in time: each of them may or may not be stored.
    """

    nacked: frozenset[int] = frozenset()
    returned: Mapping[int, Returned] = field(default_factory=dict)
    unsettled: frozenset[int] = frozenset()

"""Messages as callers see them: what is published, what is delivered, and the properties of both."""

import datetime as dt
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pamqp import decode, encode

from .errors import ProtocolError

PROPERTIES_BYTES_MAX: Final = 32 * 1024
"""More is refused unread: tables are decoded in quadratic time, and any producer may have written them."""
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
        """The other way. Raises ProtocolError, nothing else, for bytes that are no properties."""
        if len(data) > PROPERTIES_BYTES_MAX:
            raise ProtocolError(f"properties of {len(data):,} bytes; at most {PROPERTIES_BYTES_MAX:,} are read")
        try:
            return cls(**_values(data))
        except Exception as error:  # pamqp raises many kinds for garbage, RecursionError among them
            raise ProtocolError(f"properties that cannot be read: {error or type(error).__name__}") from error


def _values(data: bytes) -> dict[str, Any]:
    flags = int.from_bytes(data[:2], "big")
    if len(data) < 2 or flags & 0x0003:
        raise ValueError("flags cut short or not known")
    position = 2
    values: dict[str, Any] = {}
    for name, flag, kind in _FIELDS:
        if not flags & flag:
            continue
        if kind == _SHORT:
            end = position + 1 + data[position]
            values[name] = data[position + 1 : end].decode()
        elif kind == _OCTET:
            end = position + 1
            values[name] = data[position]
        else:
            read = decode.field_table if kind == _TABLE else decode.timestamp
            used, values[name] = read(data[position:])
            end = position + used
        if end > len(data):
            raise ValueError(f"{name} is cut short")
        position = end
    return values


def short_string(text: str) -> bytes:
    data = text.encode()
    if len(data) > 255:
        raise ValueError(f"{text[:40]!r}... has {len(data):,} bytes; AMQP allows 255")
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


class Delivery:
    """A message handed to a consumer; `tag` is for ack, nack and reject on the channel it came on, and only there."""

    __slots__ = ("body", "consumer_tag", "exchange", "key", "packed_properties", "redelivered", "tag")

    def __init__(self, tag: int, redelivered: bool, exchange: str, key: str, consumer_tag: str) -> None:
        self.tag = tag
        self.redelivered = redelivered
        self.exchange = exchange
        self.key = key
        self.consumer_tag = consumer_tag
        self.body = b""
        self.packed_properties = b""

    @property
    def properties(self) -> Properties:
        """Decoded at every call. Raises ProtocolError when a producer wrote garbage: the message is poison."""
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

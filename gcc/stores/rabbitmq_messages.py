"""How a frame looks on RabbitMQ, and what messages of other producers become: pure.

Ours: newline-delimited JSON, the frame's id, the number of its events and when it was committed in the headers.
Foreign: one JSON event a message, whatever its content type and headers (`x-retry-count`, ...). It gets a frame id
that is the same at every delivery: derived from the queue and the message id, or else (it has none, or one of zeros)
from the hash of the body.

What makes a message ours are its frame's headers, which only our relay writes: what an event says of its own `origin`
is any producer's to copy. A whole message that somebody sends again, headers and all, has the same event ids, and is
the same events. This is no seal: whoever writes all of these headers on purpose is believed, as is whoever may write to
the database.
"""

import codecs
import datetime as dt
import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from gcc.channels.message import EVENT_BYTES_MAX, FRAME_EVENTS_MAX, Delivery, Frame, Route, names_nothing
from gcc.stores import rabbitmq

APP = "gcc"
CONTENT_TYPE = "application/x-ndjson"
FRAME, EVENTS, COMMITTED, COUNTED = "frame", "events", "committed_ms", "counted"
PERSISTENT = 2
FOREIGN = uuid.UUID("5f0ed9ce-4e1f-5f8e-8f9b-0d6c0b1c4a3e")
"""The namespace of the ids of foreign frames."""
CUT = "cut_bytes"
"""Put beside the headers of a message that was too long: so much of its end is lost."""
HEADER_CHARS_MAX = 1000


def packed(frame: Frame, committed_at: dt.datetime) -> rabbitmq.Message:
    headers = {
        **frame.headers,
        FRAME: str(frame.id),
        EVENTS: frame.events,
        COMMITTED: int(committed_at.timestamp() * 1000),
        **({} if frame.counted is None else {COUNTED: frame.counted}),
    }
    properties = rabbitmq.Properties(
        content_type=CONTENT_TYPE,
        delivery_mode=PERSISTENT,
        message_id=str(frame.id),
        app_id=APP,
        headers=headers,
    )
    return rabbitmq.Message(frame.route.exchange, frame.route.key, frame.body, properties)


def unpacked(queue: str, id: int, message: rabbitmq.Delivery, now: dt.datetime) -> Delivery:
    """What a consumer gets. A message that cannot be understood is passed on as it is: its handler refuses it."""
    properties = message.properties
    headers = properties.headers or {}
    route = Route(message.exchange, message.key)
    deliveries = 2 if message.redelivered else 1
    if (ours := _ours(headers)) is not None:
        frame_id, events, committed_ms = ours
        counted = headers.get(COUNTED)
        known = type(counted) is int and 0 <= counted <= events
        frame = Frame(frame_id, route, events, message.body, counted=counted if known else None)
        return Delivery(queue, id, frame, deliveries, max(0.0, now.timestamp() - committed_ms / 1000))
    message_id = properties.message_id or ""
    known_by = hashlib.sha256(message.body).hexdigest() if names_nothing(message_id) else f"id {message_id}"
    told = _plain(headers) | ({CUT: str(message.cut_bytes)} if message.cut_bytes else {})
    frame_id = uuid.uuid5(FOREIGN, f"{queue}:{known_by}")
    frame = Frame(frame_id, route, 1, _one_line(message.body), counted=0, headers=told)
    sent_at = properties.timestamp
    return Delivery(queue, id, frame, deliveries, max(0.0, (now - sent_at).total_seconds()) if sent_at else 0.0)


def _ours(headers: Mapping[str, Any]) -> tuple[uuid.UUID, int, int] | None:
    match headers:
        case {"frame": str(frame_id), "events": int(events), "committed_ms": int(committed_ms)} if (
            0 < events <= FRAME_EVENTS_MAX and bool not in (type(events), type(committed_ms))
        ):
            try:
                return uuid.UUID(frame_id), events, committed_ms
            except ValueError:
                return None
    return None


def _one_line(body: bytes) -> bytes:
    """JSON that somebody has spread over lines as the one line that an event is."""
    if b"\n" not in body or len(body) > EVENT_BYTES_MAX:
        return body
    try:
        return msgspec.json.encode(msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8)))
    except (ValueError, RecursionError):
        return body


def _plain(headers: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value)[:HEADER_CHARS_MAX] for name, value in headers.items()}

"""What other programs send, and what of it must become of what: good events among garbage of every kind.

A foreign message holds lines. Those that are events of their queue's type must be stored, all others refused: each in
one dead letter, or as one row of error_event where its type has that table.
"""

import datetime as dt
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gcc.channels import rabbitmq
from gcc.channels.message import Frame, Route
from gcc.channels.rabbitmq_messages import packed, unpacked
from gcc.clock import Clock
from gcc.pipelines.events.reading import blank, event_id_of
from gcc.pipelines.events.types import (
    APP_EVENT,
    POST_LOG,
    PROFILE_LOG,
    SCRAPE_REQUEST_LOG,
    TRACE_LOG,
    EventType,
    encode,
)
from tests.fakes.event_store import REFUSED

TYPES = (PROFILE_LOG, POST_LOG, SCRAPE_REQUEST_LOG, TRACE_LOG, APP_EVENT)
"""Those that a simulation has sinkers for."""
GARBAGE = {
    "an invalid byte": b'{"event_name":"AEvent","x":"\xff"}',
    "nothing": b"",
    "blanks": b" \r\t ",
    "nested deeply": b'{"event_name":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "open brackets": b"[" * 20_000,
    "huge numbers": b'{"event_timestamp":1e999,"v":' + b"9" * 500 + b"}",
    "a huge time": b'{"event_timestamp":99999999999999999999,"event_name":"a"}',
    "a NUL": b"\0",
    "a NUL in a name": b'{"event_name":"a\\u0000","event_timestamp":"\\u0000"}',
    "half a character": b'{"event_timestamp":"\\ud83d","event_name":"\\udc00"}',
    "half a character, raw": b'{"event_name":"\xed\xa0\xbd"}',
    "other types": b'{"event_id":{},"event_timestamp":[],"event_name":3,"v":"x","metrics":7}',
    "a list": b"[1,2,3]",
    "text": b"<html>",
    "a number": b"17",
    "cut short": b'{"event_name":"AEvent","event_timest',
    "one thing twice": b'{"event_id":"a"}{"event_id":"b"}',
    "UTF-16": '{"event_name":"a"}'.encode("utf-16"),
}
"""None of them is an event of any type."""
BETWEEN_EVENTS = [line for line in GARBAGE.values() if line.strip()]
"""A blank line among others is nothing."""


Lines = Sequence[tuple[bytes, str]]
"""Each with the id of its event; "" for garbage, and for what no table takes."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """One message, as the consumer of `queue` meets it, and what its lines are."""

    queue: str
    frame: Frame
    good: frozenset[str]  # ids of events
    bad: frozenset[bytes]  # lines
    errors: Mapping[str, bytes]  # the ids of the rows of error_event that they may become, where there are such


class Producers:
    """Make messages; each has another id, and no two lines of one are the same."""

    def __init__(self, rng: random.Random, clock: Clock, refused: float) -> None:
        """`refused`: the share of events that can be read, and that no table takes."""
        self._rng = rng
        self._clock = clock
        self._refused = refused

    def lines(self, event_type: EventType) -> Lines:
        """Of one message."""
        chance = self._rng.random()
        if chance < 0.6:
            return [(self._rng.choice(list(GARBAGE.values())), "")]
        if chance < 0.8:
            return [self._event(event_type)]
        several = [(line, "") for line in self._rng.sample(BETWEEN_EVENTS, self._rng.randint(0, 3))]
        several += [self._event(event_type) for _ in range(self._rng.randint(2, 20))]
        self._rng.shuffle(several)
        return several

    def _event(self, event_type: EventType) -> tuple[bytes, str]:
        refused = self._rng.random() < self._refused
        event_id = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        values = {"event_id": event_id, "origin": "partner", "origin_id": REFUSED.decode() if refused else ""}
        if event_type is APP_EVENT:
            values["event_name"] = "AnEvent"
        return encode(msgspec.json.decode(blank(event_type)) | values), "" if refused else event_id

    def frame(self, route: Route, lines: Lines) -> Frame:
        """What they are in an outbox or a queue of the database."""
        return Frame(self._clock.new_id(), route, len(lines), b"\n".join(line for line, _ in lines))

    def message(self, route: Route, lines: Lines) -> rabbitmq.Message:
        """What they are on a broker: one event as others send it, several as we do."""
        frame = self.frame(route, lines)
        if len(lines) > 1:
            return packed(frame, self._clock.now())
        named = self._rng.random() < 0.5
        properties = rabbitmq.Properties(message_id=str(frame.id) if named else None, content_type="application/json")
        return rabbitmq.Message(route.exchange, route.key, frame.body, properties)


def foreign(queue: str, event_type: EventType | None, frame: Frame, lines: Lines) -> Foreign:
    """What must become of `frame` in `queue`; of no `event_type`, nobody reads it."""
    if event_type is None:
        return Foreign(queue, frame, frozenset(), frozenset(line for line, _ in lines), {})
    errors = {
        event_id_of(_given(line), event_type, frame, number)[0]: line
        for number, (line, event_id) in enumerate(lines)
        if not event_id and event_type.errors_to
    }
    good = frozenset(event_id for _, event_id in lines if event_id)
    return Foreign(queue, frame, good, frozenset(line for line, event_id in lines if not event_id), errors)


def _given(line: bytes) -> dict[str, Any]:
    return msgspec.json.decode(line) if REFUSED in line else {}


def met(queue: str, message: rabbitmq.Message, now: dt.datetime) -> Frame:
    """The frame that a message of the broker becomes."""
    delivery = rabbitmq.Delivery(1, False, message.exchange, message.key, queue)
    delivery.body, delivery.packed_properties = message.body, message.properties.pack()
    return unpacked(queue, 1, delivery, now).frame

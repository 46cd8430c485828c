"""What other programs send, and what of it must become of what: good events among garbage of every kind.

A foreign message holds lines. Those that are events of their queue's type must be stored, all others refused: each in
one dead letter, or as one row of error_event where its type has that table. A message over which the code stumbles is
refused whole.
"""

import datetime as dt
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from gcc.channels.message import Frame, Route
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
from gcc.stores import rabbitmq
from gcc.stores.rabbitmq_messages import packed, unpacked
from tests.fakes.broker import BENT_TIMES, bent
from tests.fakes.event_store import REFUSED
from tests.simulation.world import BUGS

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
STUMBLES = "nobody expects "
"""What is said, before the name of one of BUGS, by events over which the way to the store stumbles."""
BENT_PROPERTIES = 0.3
"""Of the messages of others, where there is a broker."""


class Line(NamedTuple):
    text: bytes
    good: bool  # an event of its queue's type that its table takes


Lines = Sequence[Line]


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

    def __init__(self, rng: random.Random, clock: Clock, refused: float, stumbling: float) -> None:
        """Of the events that can be read: the shares that no table takes, and over which the code stumbles."""
        self._rng = rng
        self._clock = clock
        self._refused = refused
        self._stumbling = stumbling

    def lines(self, event_type: EventType) -> Lines:
        """Of one message."""
        chance = self._rng.random()
        if chance < 0.5:
            return [Line(self._rng.choice(list(GARBAGE.values())), False)]
        if chance < 0.8:
            return [self._event(event_type, alone=True)]
        several = [Line(line, False) for line in self._rng.sample(BETWEEN_EVENTS, self._rng.randint(0, 3))]
        several += [self._event(event_type) for _ in range(self._rng.randint(2, 20))]
        self._rng.shuffle(several)
        return several

    def _event(self, event_type: EventType, *, alone: bool = False) -> Line:
        """With an id of its own. Some that come alone have none: nothing but their messages' ids tells them apart."""
        values = {"event_id": str(uuid.UUID(int=self._rng.getrandbits(128), version=4)), "origin": "partner"}
        if event_type is APP_EVENT:
            values["event_name"] = "AnEvent"
        chance = self._rng.random()
        if chance < self._refused:
            values["origin_id"] = REFUSED.decode()
        elif chance < self._refused + self._stumbling:
            values["origin_id"] = STUMBLES + self._rng.choice(list(BUGS))
        event = msgspec.json.decode(blank(event_type)) | values
        if alone and "origin_id" not in values and self._rng.random() < 0.5:
            del event["event_id"]
        return Line(encode(event), chance >= self._refused)

    def frame(self, route: Route, lines: Lines) -> Frame:
        """What they are in an outbox or a queue of the database."""
        return Frame(self._clock.new_id(), route, len(lines), b"\n".join(line.text for line in lines))

    def message(self, route: Route, lines: Lines) -> rabbitmq.Message:
        """What they are on a broker: one event as others send it, several as we do."""
        frame = self.frame(route, lines)
        if len(lines) > 1:
            return packed(frame, self._clock.now())
        named = b'"event_id"' not in frame.body or self._rng.random() < 0.5
        properties = rabbitmq.Properties(message_id=str(frame.id) if named else None, content_type="application/json")
        if self._rng.random() < BENT_PROPERTIES:
            in_headers = self._rng.choice((False, True))
            properties = bent(properties, self._rng.choice(BENT_TIMES), in_headers=in_headers)
        return rabbitmq.Message(route.exchange, route.key, frame.body, properties)


def foreign(queue: str, event_type: EventType | None, frame: Frame, lines: Lines) -> Foreign:
    """What must become of `frame` in `queue`; of no `event_type`, nobody reads it."""
    if event_type is None or STUMBLES.encode() in frame.body:
        return Foreign(queue, frame, frozenset(), frozenset(line.text for line in lines), {})
    ids = [event_id_of(_given(line), event_type, frame, number)[0] for number, line in enumerate(lines)]
    good = frozenset(id for id, line in zip(ids, lines, strict=True) if line.good)
    bad = {id: line.text for id, line in zip(ids, lines, strict=True) if not line.good}
    return Foreign(queue, frame, good, frozenset(bad.values()), bad if event_type.errors_to else {})


def _given(line: Line) -> dict[str, Any]:
    return msgspec.json.decode(line.text) if line.good or REFUSED in line.text else {}


def bug_over(body: bytes) -> Exception | None:
    """What is raised over these events by whatever code that is wrong."""
    _, stumbles, rest = body.partition(STUMBLES.encode())
    return BUGS[rest[: rest.index(b'"')].decode()]() if stumbles else None


def met(queue: str, message: rabbitmq.Message, now: dt.datetime) -> Frame:
    """The frame that a message of the broker becomes, whatever else of its properties can be read or not."""
    properties = rabbitmq.Properties(message_id=message.properties.message_id, headers=message.properties.headers)
    delivery = rabbitmq.Delivery(1, False, message.exchange, message.key, queue)
    delivery.body, delivery.packed_properties = message.body, properties.pack()
    return unpacked(queue, 1, delivery, now).frame

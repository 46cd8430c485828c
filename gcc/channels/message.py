"""What travels: a Frame (events of one transaction and one route) and its Delivery to one queue.

A frame's body is newline-delimited JSON, one event a line, at most FRAME_EVENTS_MAX events and
FRAME_BYTES_MAX bytes (one event larger than that makes a frame of its own). Frames are immutable:
a retry resends the same bytes.
"""

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

FRAME_EVENTS_MAX = 100
FRAME_BYTES_MAX = 64 * 1024
EVENT_BYTES_MAX = 1 << 20
"""A longer event is refused unread: to decode one may take thirty times its bytes and a second, in which nothing else
runs (a million empty lists)."""

NOTHING = frozenset({"null", "none", "nil", "undefined", "unknown", "nan", "na", "objectobject"})
_MARKS = re.compile(r"[\s!-/:-@\[-`{-~]+")  # of ASCII: an id may be any bytes

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

NewId = Callable[[], uuid.UUID]


@dataclass(frozen=True, slots=True)
class Route:
    """Where producers publish: an exchange and a routing key (spec/events.md).

    Exchange '' leads to the queue whose name is the key, and to no other, as in AMQP; so replays go.
    """

    exchange: str
    key: str


@dataclass(frozen=True, slots=True)
class Binding:
    """What a consumer declares: frames of `route` go to `queue`."""

    route: Route
    queue: str


@dataclass(frozen=True, slots=True)
class Frame:
    """Events of one transaction and one route, as they are stored in the outbox.

    `counted`: how many of them we counted as emitted when they were committed; None is all. 0: another producer's.
    `headers` are what the producer of a foreign message put beside it; they do not make frames differ.
    """

    id: uuid.UUID
    route: Route
    events: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS, compare=False)
    counted: int | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A frame handed to one consumer under a lease; `deliveries` counts from 1 and fences the ack.

    `age_s` is how long ago it was committed to the outbox, when it was handed out.
    """

    queue: str
    id: int
    frame: Frame
    deliveries: int
    age_s: float = 0.0


def names_nothing(given_id: str) -> bool:
    """Whether an id is none, but zeros (the nil UUID) or what programs write that have none: one for all they send."""
    plain = _MARKS.sub("", given_id).lower()
    return plain in NOTHING or not plain.strip("0")


def frames(route: Route, lines: Iterable[bytes], new_id: NewId) -> Iterator[Frame]:
    """Pack encoded events (no newline in them) into as few frames as the limits allow, in order."""
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if batch and (len(batch) == FRAME_EVENTS_MAX or size + len(line) + 1 > FRAME_BYTES_MAX):
            yield Frame(new_id(), route, len(batch), b"\n".join(batch))
            batch, size = [], 0
        batch.append(line)
        size += len(line) + 1
    if batch:
        yield Frame(new_id(), route, len(batch), b"\n".join(batch))

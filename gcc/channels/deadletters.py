"""Where refused events go: one JSON document each into the object store, a row with the reason into PostgreSQL.

Idempotent: the same events of the same frame get the same id, so a burial that was cut short is done
again without a second row. The object is written first; a row always has its object. How letters come
back is in replay.py.
"""

import base64
import datetime as dt
import hashlib
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec
import trio

from gcc.channels.message import Frame
from gcc.clock import Clock
from gcc.errors import Permanent, Transient
from gcc.stores import statements
from gcc.stores.objects import Objects
from gcc.stores.postgres import Pool

SQL = statements.load("deadletters")
UNROUTABLE = "unroutable"  # stands for the queue of a frame that no queue is bound to
REASON_CHARS_MAX = 2000
BURIALS_AT_ONCE = 4  # of the actors' connections, which all others need, too


@dataclass(frozen=True, slots=True)
class Burial:
    """`events` events of `frame` (their lines in `body`) that `queue`'s consumer refuses, and why."""

    queue: str
    frame: Frame
    body: bytes
    events: int
    reason: str


class DeadLetters(Protocol):
    async def bury(self, burial: Burial) -> None:
        """Keep it. Transient: not kept."""


def unroutable(frame: Frame) -> Burial:
    """The burial of a frame that no queue is bound to."""
    reason = f"no queue is bound to exchange {frame.route.exchange!r} with routing key {frame.route.key!r}"
    return Burial(UNROUTABLE, frame, frame.body, frame.events, reason)


async def bury_all(dead_letters: DeadLetters, burials: Iterable[Burial]) -> None:
    """A few at once: each is an object and a row. Transient: one is not kept, others may be."""
    waiting = iter(burials)
    failures: list[Transient] = []

    async def bury_one_by_one() -> None:
        for burial in waiting:
            if failures:
                return
            try:
                await dead_letters.bury(burial)
            except Transient as error:
                failures.append(error)

    async with trio.open_nursery() as nursery:
        for _ in range(BURIALS_AT_ONCE):
            nursery.start_soon(bury_one_by_one)
    if failures:
        raise failures[0]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A letter as the object store keeps it. `body` is the text of UTF-8 bytes, base64 of others."""

    id: uuid.UUID
    queue: str
    exchange: str
    routing_key: str
    frame_id: uuid.UUID
    events: int
    reason: str
    headers: Mapping[str, str]
    dead_lettered_at: dt.datetime
    body_encoding: Literal["utf-8", "base64"]
    body: str

    @property
    def content(self) -> bytes:
        """The body as it was refused, byte by byte. Permanent: this is no letter's body any more."""
        try:
            content = (
                self.body.encode() if self.body_encoding == "utf-8" else base64.b64decode(self.body, validate=True)
            )
        except ValueError as error:
            raise Permanent(f"the body of dead letter {self.id} is no {self.body_encoding}: {error}") from error
        if letter_id(self.queue, self.frame_id, content) != self.id:
            raise Permanent(f"the body of dead letter {self.id} was changed since it was buried")
        return content


def letter_id(queue: str, frame_id: uuid.UUID, body: bytes) -> uuid.UUID:
    """Derived, so that it tells whether a body is still the one that was buried."""
    return uuid.uuid5(frame_id, f"{queue}:{hashlib.sha256(body).hexdigest()}")


def document(burial: Burial, dead_lettered_at: dt.datetime) -> Document:
    """Its letter."""
    frame = burial.frame
    try:
        encoding: Literal["utf-8", "base64"] = "utf-8"
        text = burial.body.decode()
    except UnicodeDecodeError:
        encoding, text = "base64", base64.b64encode(burial.body).decode()
    return Document(
        id=letter_id(burial.queue, frame.id, burial.body),
        queue=burial.queue,
        exchange=frame.route.exchange,
        routing_key=frame.route.key,
        frame_id=frame.id,
        events=burial.events,
        reason=_storable(burial.reason)[:REASON_CHARS_MAX],
        headers={_storable(name): _storable(value) for name, value in frame.headers.items()},
        dead_lettered_at=dead_lettered_at,
        body_encoding=encoding,
        body=text,
    )


def decoded(data: bytes) -> Document:
    """The document of an object. Permanent: it is none."""
    try:
        return msgspec.json.decode(data, type=Document)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Permanent(f"not a dead letter's document: {error}") from error


def _storable(text: str) -> str:
    """Without what PostgreSQL and JSON refuse: NUL and halves of characters."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


class StoredDeadLetters:
    """Dead letters in the object store under dlq/{date}/{queue}/{id}.json, and in table `dead_letter`."""

    def __init__(self, pool: Pool, objects: Objects, clock: Clock) -> None:
        self._pool = pool
        self._objects = objects
        self._clock = clock

    async def bury(self, burial: Burial) -> None:
        now = self._clock.now()
        letter = document(burial, now)
        key = f"dlq/{now:%Y-%m-%d}/{letter.queue}/{letter.id}.json"
        await self._objects.put(key, msgspec.json.encode(letter))
        async with self._pool.connection() as conn:
            await conn.execute(
                SQL["bury"],
                {
                    "id": letter.id,
                    "queue": letter.queue,
                    "exchange": letter.exchange,
                    "key": letter.routing_key,
                    "frame_id": letter.frame_id,
                    "events": letter.events,
                    "reason": letter.reason,
                    "object_key": key,
                },
            )

"""Where refused events go: a line of JSON each into the object store, a row with the reason into PostgreSQL.

In: what is refused, many at a time. Out: objects of up to LETTERS_MAX letters, each followed by its rows in one
insert; a row says where in its object its letter stands, so each can be read alone. How letters come back is in
letters.py.

Idempotent: the same events of the same frame get the same id, and what has its row is left alone, so a burial that
was cut short is done again without a second row. The object is written first; a row always has its object. An
object whose rows could not be written is put again, under the same key, by whoever buries the same letters on the
same day; if nobody does, it lies there unread and harms nothing.
"""

import base64
import datetime as dt
import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from gcc.channels.message import Frame
from gcc.channels.outbox import OutboxRow
from gcc.errors import Permanent
from gcc.supervisor.lifecycle import storable

UNROUTABLE = "unroutable"  # stands for the queue of a frame that no queue is bound to
REASON_CHARS_MAX = 2000
LETTERS_MAX = 1000  # in one object
OBJECT_BYTES_MAX = 16 << 20  # of one object, unless a single letter is larger


@dataclass(frozen=True, slots=True)
class Burial:
    """`events` events of `frame` (their lines in `body`) that `queue`'s consumer refuses, and why.

    `counted`: see `Frame`.
    """

    queue: str
    frame: Frame
    body: bytes
    events: int
    reason: str
    counted: int | None = None


class DeadLetters(Protocol):
    async def bury(self, burials: Sequence[Burial]) -> None:
        """Keep them. Transient: not all are kept, and asking again keeps the rest."""


class OutboxDeadLetters(Protocol):
    async def bury_outbox(self, refused: Sequence[tuple[OutboxRow, str]], leader: tuple[str, int] | None) -> None:
        """Make letters of rows of the outbox, with the reasons ("": no queue is bound), which leave it with that; of
        those that are gone nothing becomes.

        `leader`: only while it leads, by its name and term. LeaseLost: it does not. Transient: some may be there still.
        """


def unroutable(frame: Frame, reason: str = "") -> Burial:
    """The burial of a frame that no queue is bound to, or that cannot be published for another reason."""
    nowhere = f"no queue is bound to exchange {frame.route.exchange!r} with routing key {frame.route.key!r}"
    return Burial(UNROUTABLE, frame, frame.body, frame.events, reason or nowhere, frame.counted)


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A letter as the object store keeps it, on a line of its own. `body` is UTF-8 text, or other bytes in base64."""

    id: uuid.UUID
    queue: str
    exchange: str
    routing_key: str
    frame_id: uuid.UUID
    events: int
    counted: int | None = None
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
    queue = storable(burial.queue)
    try:
        encoding: Literal["utf-8", "base64"] = "utf-8"
        text = burial.body.decode()
    except UnicodeDecodeError:
        encoding, text = "base64", base64.b64encode(burial.body).decode()
    return Document(
        id=letter_id(queue, frame.id, burial.body),
        queue=queue,
        exchange=storable(frame.route.exchange),
        routing_key=storable(frame.route.key),
        frame_id=frame.id,
        events=burial.events,
        counted=burial.counted,
        reason=storable(burial.reason)[:REASON_CHARS_MAX],
        headers={storable(name): storable(value) for name, value in frame.headers.items()},
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


@dataclass(frozen=True, slots=True)
class Packed:
    """Letters of one object, and their lines."""

    letters: Sequence[Document]
    lines: Sequence[bytes]

    @property
    def name(self) -> str:
        """Says which letters are in it, and where: put again under its name, it leaves all its rows true."""
        places = (f"{letter.id}:{len(line)}" for letter, line in zip(self.letters, self.lines, strict=True))
        return hashlib.sha256(" ".join(places).encode()).hexdigest()[:32]


def packed(letters: Iterable[Document]) -> Iterator[Packed]:
    """As few objects as the limits allow, in order."""
    batch: list[Document] = []
    lines: list[bytes] = []
    size = 0
    for letter in letters:
        line = msgspec.json.encode(letter) + b"\n"
        if lines and (len(lines) == LETTERS_MAX or size + len(line) > OBJECT_BYTES_MAX):
            yield Packed(batch, lines)
            batch, lines, size = [], [], 0
        batch.append(letter)
        lines.append(line)
        size += len(line)
    if lines:
        yield Packed(batch, lines)

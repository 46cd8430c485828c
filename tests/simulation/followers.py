"""What others ask of the scorer, and the books of what becomes of it.

Each follower that is asked about is answered by one event, the same however often the question is delivered; one over
whom every worker dies has no score, and takes none from its neighbours; a line that names nobody is one dead letter. A
question is acknowledged only when its answer is in the outbox.
"""

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gcc.channels.deadletters import Burial
from gcc.channels.message import Frame, Route
from gcc.clock import Clock
from gcc.pipelines.events.routes import CREATOR_FOLLOWER_IN
from gcc.pipelines.events.types import encode, timestamp
from gcc.pipelines.scoring.scorer import SCORER_VERSION
from tests.fakes.scorers import KILLS

QUEUE = CREATOR_FOLLOWER_IN.key
BURSTS = (1, 3, 10, 40)
SCORELESS, LOST = b'"score":null', b"workers were lost"
NOBODY = (b"<html>", b'{"profile_id":"c"}', b"[1]", b'{"follower_handle":"a"}', b"17")


@dataclass(slots=True)
class Asked:
    """`answers`: ids of the events that must come; `nobody`: lines that must be dead letters."""

    answers: set[str] = field(default_factory=set)
    nobody: set[bytes] = field(default_factory=set)
    buried: set[bytes] = field(default_factory=set)
    excused: bool = False  # it met a simulated bug, and is a dead letter whole


class Followers:
    """`complain` is told what is wrong; `where` is the ledger's: event_id -> "asked" until it is emitted."""

    def __init__(self, where: dict[str, str], complain: Callable[[str], None]) -> None:
        self._where = where
        self._complain = complain
        self.steady = False  # workers die over those alone over whom every one does
        self._asked: dict[uuid.UUID, Asked] = {}  # by frame
        self._answers: dict[str, bytes | None] = {}  # by the event's id: what it says, once it was emitted

    def ask(self, rng: random.Random, clock: Clock) -> Frame:
        """A message about some followers, which is about to be sent."""
        asked, lines, frame_id = Asked(), [], clock.new_id()
        for number in range(rng.choice(BURSTS)):
            if rng.random() < 0.1:
                line = rng.choice(NOBODY)
                asked.nobody.add(line)
            else:
                told, event_id = self._follower(rng, clock, uuid.uuid5(frame_id, str(number)))
                asked.answers.add(str(uuid.uuid5(event_id, SCORER_VERSION)))
                line = encode(told)
            lines.append(line)
        self._where.update(dict.fromkeys(asked.answers, "asked"))
        self._answers.update(dict.fromkeys(asked.answers))
        self._asked[frame_id] = asked
        return Frame(
            frame_id, rng.choice((CREATOR_FOLLOWER_IN, Route("", QUEUE))), len(lines), b"\n".join(lines), counted=0
        )

    def _follower(self, rng: random.Random, clock: Clock, derived: uuid.UUID) -> tuple[dict[str, Any], uuid.UUID]:
        handle = f"{KILLS if rng.random() < 0.02 else ''}f{rng.randrange(10**6)}"
        told = {"profile_id": "c", "follower_handle": handle, "event_timestamp": timestamp(clock.now())}
        if rng.random() < 0.9:
            told["follower_full_name"] = "Asha"
        if rng.random() < 0.5:
            return told, derived
        event_id = uuid.UUID(int=rng.getrandbits(128), version=4)
        return told | {"event_id": str(event_id)}, event_id

    def emitted(self, event_id: str, line: bytes) -> None:
        """An answer is in the outbox."""
        if event_id not in self._answers:
            self._complain(f"answer {event_id} is to no question")
            return
        before = self._answers[event_id]
        if before is None:
            self._answers[event_id] = line
            self._where[event_id] = "emitted"
        elif before != line and SCORELESS not in (before + line):  # workers may have died six times, or not
            self._complain(f"answer {event_id} was {before!r} and is {line!r}")
        if KILLS.encode() in line and SCORELESS not in line:
            self._complain(f"answer {event_id} has a score, of one over whom every worker dies")
        if self.steady and LOST in line and KILLS.encode() not in line:
            self._complain(f"answer {event_id} has no score, although no worker dies over it: {line!r}")

    def buried(self, letter: Burial) -> None:
        asked = self._asked[letter.frame.id]
        if "Bug: simulated" in letter.reason:
            asked.excused = True
        elif letter.body not in asked.nobody:
            self._complain(f"a good question was dead-lettered: {letter.body[:80]!r}: {letter.reason}")
        asked.buried.add(letter.body)

    def acknowledged(self, frame: Frame) -> None:
        asked = self._asked[frame.id]
        if asked.excused:
            return
        if left := [event_id for event_id in asked.answers if self._where[event_id] == "asked"]:
            self._complain(f"question {frame.id} was acknowledged, {len(left)} of its answers are nowhere")
        if left_out := asked.nobody - asked.buried:
            self._complain(f"{len(left_out)} lines of question {frame.id} vanished")

    def close(self) -> None:
        """Every question has its answers."""
        for frame_id, asked in self._asked.items():
            if not asked.excused and any(self._where[event_id] == "asked" for event_id in asked.answers):
                self._complain(f"question {frame_id} was never answered")

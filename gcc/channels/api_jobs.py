"""Jobs of the API: what a tenant asks for and a request cannot wait for, done batch by batch.

A job is a row; an attempt is a term, as with the jobs of crawls (jobs.py): every write says which attempt it belongs
to, and a write of one that is over raises LeaseLost and changes nothing. A batch is one transaction: what it did, what
it leaves for the file and the report, how far it came. So whoever dies, the next goes on after the last batch that was
committed, and nothing is done twice. Losing the store is Transient.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from gcc.channels.message import Frame
from gcc.errors import Permanent

State = Literal["PENDING", "RUNNING", "COMPLETE", "FAILED", "CANCELLED", "EXPIRED"]
ENDED: frozenset[State] = frozenset({"COMPLETE", "FAILED", "CANCELLED", "EXPIRED"})
Stream = Literal["rows", "report"]

BATCH = 500
"""So many rows or lines a batch has at most."""


class ApiJob(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed one. `place` is where its next batch begins, as the one before left it; `made`: there is no next."""

    id: uuid.UUID
    partner_id: int
    account_id: uuid.UUID | None
    user_id: uuid.UUID | None
    role: Any  # see gcc.stores.tenant
    plan: Any
    kind: str
    params: Any
    attempt: int
    failures: int
    place: Any
    batches: int
    made: bool


class CannotBeDone(Permanent):
    """Trying again changes nothing: the job has failed. Code and reason are shown to who asked for it."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Line:
    """Of a report: what became of one line of what was sent."""

    line: int
    status: str
    code: str = ""
    reason: str = ""
    input: str = ""


@dataclass(slots=True)
class Batch:
    """What one batch tells of itself. `rows` go into the file, in the order of the columns.

    `anew`: it is the first again; what those before it left does not count. `total`: of the whole job, once known.
    """

    done: int = 0
    failed: int = 0
    total: int | None = None
    anew: bool = False
    rows: list[Sequence[Any]] = field(default_factory=list)
    report: list[Line] = field(default_factory=list)


Told = Callable[[int, uuid.UUID, str, State], Sequence[Frame]]
"""The frames that tell a partner of a job of that id and kind which has just ended so."""

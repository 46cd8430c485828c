"""What a database remembers, in memory: it outlives the actors that use it, like the real one.

A change is made between two checkpoints, so it is whole or it is not; `commit` is where a simulation may
let a connection break: before the change (nothing happened) or after it (it happened, the caller is not told).
"""

import datetime as dt
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import trio

from gcc.channels.message import Binding, Frame
from gcc.clock import Clock
from gcc.sources.snapshot import ProfileSnapshot
from gcc.stores.jobs import Job

T = TypeVar("T")


async def steady() -> None:
    """A connection that never breaks."""
    await trio.lowlevel.checkpoint()


@dataclass
class JobRow:
    job: Job
    key: str
    due_at: dt.datetime
    lease_until: dt.datetime | None = None
    data: dict[str, str] | None = None
    events: int = 0
    awaited: bool = False


@dataclass
class QueueRow:
    id: int
    queue: str
    frame: Frame
    created_at: dt.datetime
    lease_until: dt.datetime | None = None
    deliveries: int = 0


@dataclass(frozen=True)
class DeadLetter:
    queue: str
    body: bytes
    events: int
    reason: str


@dataclass
class Database:
    clock: Clock
    before: Callable[[], Awaitable[None]] = field(default=steady)
    after: Callable[[], Awaitable[None]] = field(default=steady)
    jobs: dict[uuid.UUID, JobRow] = field(default_factory=dict)
    profiles: dict[tuple[str, str], ProfileSnapshot] = field(default_factory=dict)
    outbox: list[Frame] = field(default_factory=list)
    bindings: set[Binding] = field(default_factory=set)
    queues: dict[int, QueueRow] = field(default_factory=dict)
    dead_letters: dict[str, DeadLetter] = field(default_factory=dict)
    sequence: int = 0

    async def commit(self, change: Callable[[], T]) -> T:
        """Run `change` at once, with the network's two chances to fail around it."""
        await self.before()
        result = change()
        await self.after()
        return result

"""The exchange port: what carries frames from the outbox to queues, and hands them to consumers.

Two real ones pass one contract suite: PostgreSQL queues (embedded default) and RabbitMQ. Delivery is
at least once: a frame is gone only when it was acknowledged (or dead-lettered, which acknowledges it).
Losing the exchange is Transient; no method keeps a partial effect when cancelled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gcc.channels.message import Binding, Delivery


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """A queue's content, in events: all of it, the part under a live lease, the oldest one's age.

    A broker counts messages, and shows what is ready and what this process has.
    """

    queue: str
    events: int
    in_flight: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class QueueLook:
    """What a broker tells of a queue, in messages. A consumer holds at most `held_max` more."""

    queue: str
    ready: int
    consumers: int
    held_max: int


@dataclass(frozen=True, slots=True)
class Held:
    """What one process has of a queue of a broker: consumers, messages on their way through it, all it ever had."""

    queue: str
    consumers: int
    messages: int
    received: int


class Queues(Protocol):
    """What a consumer needs of it."""

    async def take(self, queue: str, *, frames_max: int) -> list[Delivery]:
        """Lease the oldest ready frames, at most `frames_max`; none when the queue has none.

        A moment's work, which a drain does not cut short. Cancelled: what was leased comes back when the
        lease ends.
        """

    async def wait(self, queue: str) -> None:
        """Return when `queue` may have frames: told, or a poll interval later. Transient: the exchange is lost."""

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Forget these frames for ever. Frames whose lease passed to another consumer are skipped."""

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """End the leases now, at no cost: the frames are ready for another take."""

    async def rest(self, queue: str) -> None:
        """Take no more of `queue` for now: what this process has of it, or has fetched ahead, is ready for others.

        Another `take` begins anew.
        """


class Exchange(Queues, Protocol):
    async def declare(self, bindings: Sequence[Binding]) -> None:
        """Make sure that frames of these routes reach these queues. Idempotent; removes nothing."""

    async def relay(self, term: int = 0) -> int:
        """Move one batch of outbox frames into queues; returns how many frames. 0: there is none to move.

        A frame of exchange '' goes to the queue that its key names, if any binding names it. A frame whose route
        has no binding is dead-lettered. Frames of one route keep their order as long as all is well. `term` is the
        relay's, where only one may relay at a time: it fences what would be done by one that was deposed (Transient).
        """

    async def pending(self) -> int | None:
        """The number of the outbox's oldest frame, for whoever relays; None: it is empty."""

    async def wait_outbox(self) -> None:
        """Return when the outbox may hold frames: told by a producer, or a poll interval later."""

    async def depths(self) -> list[QueueDepth]:
        """One entry for each bound queue, ordered by name."""

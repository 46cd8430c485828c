"""Whether a broker's queues are empty, all that consumers hold included: what `check` must know to count exactly.

The broker tells what is ready and how many consumers there are, not what those hold. So each process tells that itself
(`Telling`): every second a row with the messages that it has of each counted queue, and how many it was ever given; it
asks the broker before, so that what was on its way to it has come. What it gives back counts as held until the broker
has it. Then, for `Stillness`:

1. read the rows: nobody held anything at the time that each tells of
2. ask the broker: nothing is ready, and there are no consumers beside those that tell
3. wait until each has told of a time after that: nobody holds anything, and nobody was given anything in between
4. ask the broker again: what came in between and nobody has taken is ready now

At 2 the queues were empty. A message that was there must have been ready (2 has seen it), or held by one who tells: at
1 it was not, and to hold it later one must be given it. So a message that one gives back and another takes between
their rows is seen, too. A process that is cut off from the broker, or dead, tells of no consumers, or nothing, while
the broker still counts its consumers until what they held is ready again.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import trio

from gcc.channels.exchange import Held, QueueLook
from gcc.channels.message import FRAME_EVENTS_MAX
from gcc.clock import Clock
from gcc.errors import Transient
from gcc.stores.holdings import Holding, tell, told
from gcc.stores.postgres import Pool

TELL_S = 1.0
TWO_BEATS_S = 6.0  # in which everybody alive has told twice
LOOK_S = 0.2


class Broker(Protocol):
    """The part of an exchange whose queues are not in the database. Transient: it is away."""

    async def look(self, queues: Sequence[str]) -> list[QueueLook]: ...


class Holder(Protocol):
    """The part of an exchange that knows what this process has of its queues."""

    async def held(self, queues: Sequence[str]) -> list[Held]: ...


class Telling:
    """Tells what this process holds, for as long as it consumes."""

    def __init__(self, pool: Pool, holder: Holder, clock: Clock, queues: Sequence[str]) -> None:
        self._pool = pool
        self._holder = holder
        self._process = clock.new_id()
        self._queues = queues

    async def __call__(self) -> int:
        """A chore of `Maintenance`."""
        await tell(self._pool, self._process, await self._holder.held(self._queues))
        return 0

    async def last(self) -> None:
        """When nothing is consumed any more: else it is waited for until it is taken for dead."""
        with suppress(Transient):
            await self()


@dataclass(slots=True)
class Stillness:
    """A look at the queues. `moving` is why they cannot be known to be empty; `waits_for` is nothing once they are."""

    pool: Pool
    broker: Broker
    queues: Sequence[str]
    waits_for: list[str] = field(default_factory=list)
    events_max: int = 0
    """What may be in them unseen."""
    in_flight: int = 0
    _before: list[Holding] = field(default_factory=list)

    async def begin(self) -> None:
        """Steps 1 and 2."""
        self._before = await told(self.pool)
        await self._look(self._before)

    async def _look(self, holdings: Sequence[Holding]) -> None:
        self.in_flight = self.events_max = 0
        for look in await self.broker.look(self.queues):
            known = [each.held for each in holdings if each.held.queue == look.queue]
            consumers, messages = sum(held.consumers for held in known), sum(held.messages for held in known)
            self.in_flight += messages
            self.events_max += (look.ready + max(look.consumers, consumers) * look.held_max) * FRAME_EVENTS_MAX
            if look.ready:
                self.waits_for.append(f"{look.ready:,} messages that are ready in queue {look.queue}")
            if messages:
                self.waits_for.append(f"{messages:,} messages of queue {look.queue} that are in work")
            if look.consumers > consumers:
                others = look.consumers - consumers
                self.waits_for.append(f"{others} consumers of queue {look.queue}, which do not tell what they hold")

    async def end(self) -> None:
        """Steps 3 and 4: for some seconds, unless it is in vain."""
        if self.waits_for:
            return
        working = {each.process for each in self._before if each.held.consumers}
        due = {each.process: each.beat + 2 for each in await told(self.pool)}  # the first may tell of earlier
        with trio.move_on_after(TWO_BEATS_S):
            while True:
                after = await told(self.pool)
                beats = {each.process: each.beat for each in after}
                if all(beats.get(process, 0) >= due.get(process, 0) > 0 for process in working):
                    break
                await trio.sleep(LOOK_S)
            received = {(each.process, each.held.queue): each.held.received for each in self._before}
            for holding in after:
                held = holding.held
                if held.messages or held.received != received.get((holding.process, held.queue), 0):
                    self.waits_for.append(f"messages of queue {held.queue}, which come and go")
            if not self.waits_for:
                await self._look(after)
            return
        self.waits_for.append("a process that does not tell what it holds")

"""What goes wrong where the platform meets its stores and the outside; off once `healed`."""

import random

import trio

from gcc.errors import Transient
from gcc.sources.http import Request
from tests.fakes.fetcher import Reply
from tests.simulation.mix import Mix
from tests.simulation.world import answer_of

DEPENDENCIES = ("database", "store", "graphapi", "ytapi", "broker")
RETRY_AFTER_S = 2
SLOW_PACKETS = 0.1


class Bug(Exception):
    """What no adapter knows. Whatever meets it must lose nothing."""


class Faults:
    """One run's troubles. `away` holds the dependencies that are gone altogether at the moment."""

    def __init__(self, mix: Mix, rng: random.Random) -> None:
        self._mix = mix
        self._rng = rng
        self.healed = False
        self.away: set[str] = set()

    def heal(self) -> None:
        self.healed = True
        self.away.clear()

    def strikes(self, share: float) -> bool:
        return not self.healed and share > 0.0 and self._rng.random() < share

    async def _on_the_way(self) -> None:
        """A packet's time: mostly none that counts (each sleep is a leap of the virtual clock, which costs)."""
        chance = self._rng.random()
        if chance < SLOW_PACKETS:
            await trio.sleep(self._rng.expovariate(1 / self._mix.commit_s))
        elif chance < 0.5:
            await trio.lowlevel.checkpoint()

    async def before_commit(self) -> None:
        await self._on_the_way()
        if "database" in self.away or self.strikes(self._mix.break_before):
            raise Transient("simulated: the connection broke before the commit")
        if self.strikes(self._mix.bug):
            raise Bug("simulated: before the commit")

    async def after_commit(self) -> None:
        await self._on_the_way()
        if self.strikes(self._mix.break_after):
            raise Transient("simulated: the connection broke after the commit")
        if self.strikes(self._mix.bug):
            raise Bug("simulated: after the commit")

    async def before_insert(self) -> None:
        await trio.sleep(self._rng.expovariate(1 / self._mix.store_s))
        if "store" in self.away or self.strikes(self._mix.store_fails):
            raise Transient("simulated: the store is away")

    async def after_insert(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.strikes(self._mix.store_answer_lost):
            raise Transient("simulated: the store did not answer")

    def outside(self, request: Request) -> Reply:
        """The world's answer, or trouble."""
        slow = self._rng.random() < self._mix.source_slow  # also when healed: slowness is no fault
        delay_s = self._rng.uniform(5.0, 14.0) if slow else self._rng.expovariate(5)
        if request.source in self.away:
            return self._rng.choice((Reply(503, b"gone", {}, delay_s), Reply(lost=True, delay_s=delay_s)))
        if self.strikes(self._mix.source_fails):
            kind = self._rng.choice(("429", "500", "silence", "lost", "garbage"))
            return {
                "429": Reply(429, b"{}", {"retry-after": str(RETRY_AFTER_S)}, delay_s),
                "500": Reply(500, b"oops", {}, delay_s),
                "silence": Reply(delay_s=1e6),
                "lost": Reply(lost=True, delay_s=delay_s),
                "garbage": Reply(200, b"<html>", {}, delay_s),
            }[kind]
        found = answer_of(request)
        return Reply(found.status, found.body, {"content-type": found.content_type}, delay_s)

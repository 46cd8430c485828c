"""Limits per day, from midnight to midnight of a zone, reserved in small blocks where all processes share them.

In: units that a caller wants of a name's day. Out: leave, or when there may be some again. A process spends of its
block, which ends with the day; a process that dies loses what it had left of it, and no day is ever exceeded. Around
midnight, while the other side may count a call to either day, nobody gets any.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import trio

EDGE_S = 2.0  # our midnight, and the other side's
WAY_S = 20.0  # so long before it nobody gets any: a call may wait for a connection as long as its whole timeout, 15 s
BLOCK_SHARE, BLOCK_MAX = 100, 100
AGAIN_S = 60.0  # how soon to look again for what is spent: somebody may have raised it


@dataclass(frozen=True, slots=True)
class Block:
    """`units` of a day that began `begun_s` ago and ends in `ends_s`; all processes together have `reserved` of it."""

    units: int
    reserved: int
    begun_s: float
    ends_s: float


class Days(Protocol):
    async def reserve(self, name: str, *, units: int, calls: int, zone: str) -> Block:
        """So many units of the `calls` that `name` has in this day, or what is left of them. Transient: nobody knows.

        Cancelled, or Transient: they may be reserved, and are lost then.
        """


class Day:
    """What this process has left of the day of one name."""

    def __init__(self, name: str, days: Days) -> None:
        self._name = name
        self._days = days
        self._lock = trio.Lock()
        self._calls = 0
        self._reserved = 0
        self._left = 0
        self._begins = self._ends = self._asks_at = -math.inf  # on Trio's clock

    async def take(self, units: int, *, calls: int, zone: str) -> float | None:
        """None: they are taken. Otherwise when to come back. Transient; cancelled: none is taken."""
        async with self._lock:
            now = trio.current_time()
            if now >= self._ends or calls < self._calls:
                self._left = 0
            if self._left < units and (now >= min(self._asks_at, self._ends) or calls != self._calls):
                await self._reserve(units - self._left, calls, zone)
            now = trio.current_time()
            if now < self._begins:
                return self._begins
            if self._left < units or now >= self.closes_at:
                return self._ends + EDGE_S
            self._left -= units
            return None

    @property
    def closes_at(self) -> float:
        """Until when what was taken now may be sent, on Trio's clock: later it may count as the next day's."""
        return self._ends - WAY_S

    def give_back(self, units: int, closes_at: float) -> None:
        """They were taken of the day that closes then, and not used."""
        if closes_at == self.closes_at:
            self._left += units

    def used(self) -> int:
        """What all have of today, as far as this process knows, less what it has left itself."""
        return self._reserved - self._left if trio.current_time() < self._ends else 0

    async def _reserve(self, units: int, calls: int, zone: str) -> None:
        now, left = trio.current_time(), self._left
        wanted = max(units, min(BLOCK_MAX, calls // BLOCK_SHARE))
        block = await self._days.reserve(self._name, units=wanted, calls=calls, zone=zone)
        ends = now + block.ends_s  # the database's midnight is not sooner
        self._left = block.units + (left if ends - self._ends < EDGE_S else 0)  # nothing of the day before
        self._calls, self._reserved = calls, block.reserved
        self._begins, self._ends = now - block.begun_s + EDGE_S, ends
        self._asks_at = now if block.units >= units else now + AGAIN_S

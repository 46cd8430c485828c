"""A call on its way: when it was at the other side, at the latest. From then on it counts in the windows of its limits.

A call that was let through waits for a connection, is written, and arrives; those let through one after the other may
arrive at once. So it is in flight from its leave until it arrived, which its answer tells: it came before the answer
did, by at least the shortest time that any answer of the source took lately (see Floor). Else a window here would be
kept, and the one at their door not.
"""

from collections import defaultdict
from types import TracebackType
from typing import Self

import trio

ANSWERS_MIN = 40
FORGET_S = 300.0


class Floor:
    """The shortest time from sending a call to the first of its answer, of the last FORGET_S to twice as long.

    0 until enough answers came: a few may all have been slow.
    """

    def __init__(self) -> None:
        self._shortest_s = [float("inf"), float("inf")]  # before, and since
        self._since = -float("inf")
        self._answers = 0

    def took(self, answer_s: float) -> None:
        now = trio.current_time()
        if now >= self._since + FORGET_S:
            self._shortest_s = [self._shortest_s[1], answer_s]
            self._since = now
        self._shortest_s[1] = min(self._shortest_s[1], answer_s)
        self._answers += 1

    @property
    def s(self) -> float:
        return min(self._shortest_s) if self._answers >= ANSWERS_MIN else 0.0


class Call:
    """What a limiter lets through, a context around asking; where nobody tells it more, it counts from its leave.

    A `gcc.sources.http.Passage`. `sent_at`: when it was sent last; `came_at`: when it was there at the latest, where it
    was answered; on Trio's clock.
    """

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self.sent_at: float | None = None
        self.came_at: float | None = None

    async def sending(self) -> None:
        """It is about to be written. LimitRefused: it may not any more."""
        self.sent_at = trio.current_time()

    def answered(self) -> None:
        """Its answer begins to come."""
        now = trio.current_time()
        self.came_at = now
        if self.sent_at is not None:
            self.came_at = max(self.sent_at, now - self._floor.s)
            self._floor.took(now - self.sent_at)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It is over, whatever came of it."""


Floors = defaultdict[str, Floor]

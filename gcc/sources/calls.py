"""A call on its way: when it was at the other side, at the latest. From then on it counts in the windows of its limits.

A call that was let through waits for a connection, is written, and arrives; those let through one after the other may
arrive at once. So it is in flight from its leave until it arrived, which its answer tells: it came before the answer
did, by at least what the shortest answers of the source took lately (see Floor). Else a window here would be
kept, and the one at their door not.
"""

from bisect import insort
from collections import defaultdict
from types import TracebackType
from typing import Self

import trio

ANSWERS_MIN = 40
SHORTEST = 10
FORGET_S = 300.0


class Floor:
    """The least time from sending a call to the first of its answer, by the answers of the last FORGET_S to twice that.

    A call may yet be answered quicker than all of them, and would have arrived later than the shortest tells: by as
    much as the SHORTEST shortest lie apart, nothing where answers take about the same, their least is below them (were
    the distances between them of one kind, it were so but for one time in 2 ** (SHORTEST - 1)). 0 until enough answers
    came: a few may all have been slow.
    """

    def __init__(self) -> None:
        self._before, self._since = _Shortest(), _Shortest()
        self._began = -float("inf")

    def took(self, answer_s: float) -> None:
        now = trio.current_time()
        if now >= self._began + FORGET_S:
            self._before, self._since, self._began = self._since, _Shortest(), now
        self._since.took(answer_s)

    @property
    def s(self) -> float:
        if self._before.answers + self._since.answers < ANSWERS_MIN:
            return 0.0
        shortest = sorted(self._before.times_s + self._since.times_s)[:SHORTEST]
        return max(0.0, 2 * shortest[0] - shortest[-1])


class _Shortest:
    def __init__(self) -> None:
        self.answers = 0
        self.times_s: list[float] = []  # the SHORTEST shortest of them, in order

    def took(self, answer_s: float) -> None:
        self.answers += 1
        if len(self.times_s) < SHORTEST or answer_s < self.times_s[-1]:
            insort(self.times_s, answer_s)
            del self.times_s[SHORTEST:]


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

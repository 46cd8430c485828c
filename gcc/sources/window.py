"""A sliding window of what was spent: at most so many units in ANY `per_s` seconds. Pure; times are of one clock.

Not a token bucket: a bucket lets through up to twice the limit around a refill, which the other side answers with 429s
that take credentials out. Bursts up to the limit are allowed, not spread out: a person who waits is served at once, and
the window is kept all the same.
"""

from collections import deque
from itertools import islice


class Window:
    """The units of the window, by when they were spent: never more entries than units of the limit."""

    def __init__(self) -> None:
        self._spent: deque[tuple[float, int]] = deque()  # (when, units), oldest first
        self._used = 0

    def used(self, now: float, per_s: float) -> int:
        """The units of the window; older ones are forgotten."""
        while self._spent and self._spent[0][0] + per_s <= now:
            self._used -= self._spent.popleft()[1]
        return self._used

    def spend(self, now: float, units: int) -> None:
        self._spent.append((now, units))
        self._used += units

    def room_at(self, now: float, units: int, per_s: float, most: int, ahead: int) -> float:
        """When `units` fit under `most`, after `ahead` units of others who each take their turn at once; now, if they
        do. More units than `most` have room once the window is empty."""
        most = max(most, units)
        over = self.used(now, per_s) + ahead + units - most
        if over <= 0:
            return now
        excess = max(0, self._used - most)  # of a limit that was lowered
        rounds, place = divmod(over - excess - 1, most)
        return self._freed_at(excess + place, now) + (rounds + 1) * per_s

    def _freed_at(self, place: int, now: float) -> float:
        """When the unit at this place was spent, or will be at the soonest."""
        for at, units in islice(self._spent, place + 1):
            place -= units
            if place < 0:
                return at
        return now

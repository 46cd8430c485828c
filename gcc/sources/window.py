"""A sliding window of what was spent: at most so many units in ANY `per_s` seconds. Pure; times are of one clock.

Not a token bucket: a bucket lets through up to twice the limit around a refill, which the other side answers with 429s
that take credentials out. Bursts up to the limit are allowed, not spread out: a person who waits is served at once, and
the window is kept all the same.
"""

import math
from collections import deque
from itertools import islice, takewhile

IN_FLIGHT = math.inf
"""When a unit was spent whose call was not sent yet."""
WAY_S_MAX = 1.0


def way_s(per_s: float) -> float:
    """How long what was sent may be on its way at most, as windows of `per_s` reckon until it is answered."""
    return min(WAY_S_MAX, per_s / 2)


class Window:
    """The units of the window, by when they were spent: never more entries than units of the limit.

    What was spent later than now is not yet known to have arrived: then at the latest.
    """

    def __init__(self) -> None:
        self._spent: deque[tuple[float, int]] = deque()  # (when, units), oldest first
        self._used = 0

    def used(self, now: float, per_s: float) -> int:
        """The units of the window; older ones are forgotten."""
        while self._spent and self._spent[0][0] + per_s <= now:
            self._used -= self._spent.popleft()[1]
        return self._used

    def since(self, at: float) -> int:
        """The units that were spent from then on."""
        return sum(units for _, units in takewhile(lambda entry: entry[0] >= at, reversed(self._spent)))

    def spend(self, at: float, units: int) -> None:
        self._spent.insert(self._place((at, units)), (at, units))
        self._used += units

    def move(self, at: float, to: float, units: int) -> None:
        """What was spent `at` counts as spent at another time, unless it is forgotten."""
        place = self._place((at, units)) - 1
        if place >= 0 and self._spent[place] == (at, units):
            del self._spent[place]
            self._used -= units
            self.spend(to, units)

    def _place(self, entry: tuple[float, int]) -> int:
        """Behind what is not later; the search begins at the end, where nearly all of it is."""
        place = len(self._spent)
        while place and self._spent[place - 1] > entry:
            place -= 1
        return place

    def room_at(self, now: float, units: int, per_s: float, most: int, ahead: int) -> float:
        """When `units` fit under `most`, after `ahead` units of others who each take their turn at once; now, if they
        do. More units than `most` have room once the window is empty."""
        most = max(most, units)
        over = self.used(now, per_s) + ahead + units - most
        if over <= 0:
            return now
        excess = max(0, self._used - most)  # of a limit that was lowered
        rounds, place = divmod(over - excess - 1, most)
        return self._freed_at(excess + place, now, per_s) + rounds * per_s

    def _freed_at(self, place: int, now: float, per_s: float) -> float:
        """When the unit at this place leaves the window, or will at the soonest."""
        for at, units in islice(self._spent, place + 1):
            place -= units
            if place < 0:
                return _leaves(at, now, per_s)
        return now + per_s


def _leaves(at: float, now: float, per_s: float) -> float:
    """When what was spent at that time leaves the window, or may at the soonest; after now."""
    if at <= now:
        return at + per_s
    if at == IN_FLIGHT:
        return now + per_s
    soonest = at - way_s(per_s) + per_s
    return soonest if soonest > now else at + per_s

"""Restart decisions as plain values: no Trio, no clock, no chance.

The supervisor tells of exits, with the time as an argument, and asks what to do; this module answers.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class Restart(StrEnum):
    """Which exits of a child bring it back."""

    PERMANENT = "permanent"  # every exit, a normal return too
    TRANSIENT = "transient"  # errors only
    TEMPORARY = "temporary"  # none


class Strategy(StrEnum):
    """Who is restarted when one child is."""

    ONE_FOR_ONE = "one_for_one"  # that child
    REST_FOR_ONE = "rest_for_one"  # that child and those started after it
    ONE_FOR_ALL = "one_for_all"  # all children


Verdict = Literal["restart", "forget", "escalate"]


@dataclass(frozen=True, slots=True)
class Intensity:
    """At most `max_restarts` within any `window_s` seconds; the next one is the parent's affair."""

    max_restarts: int = 3
    window_s: float = 5.0


@dataclass(slots=True)
class Policy:
    """The memory of one supervisor: its recent restarts, and each child's failures in a row."""

    strategy: Strategy
    intensity: Intensity
    _restarts: deque[float] = field(default_factory=deque)  # times; at most max_restarts
    _failures: dict[str, int] = field(default_factory=dict)

    def judge(self, restart: Restart, *, failed: bool, now: float) -> Verdict:
        """What becomes of a child that ended at `now` (seconds); "restart" is counted as one."""
        if restart is Restart.TEMPORARY or (restart is Restart.TRANSIENT and not failed):
            return "forget"
        while self._restarts and now - self._restarts[0] > self.intensity.window_s:
            self._restarts.popleft()
        if len(self._restarts) >= self.intensity.max_restarts:
            return "escalate"
        self._restarts.append(now)
        return "restart"

    def failures_in_a_row(self, name: str, *, ran_s: float) -> int:
        """Count one more failure of this child and return the row; a life of `window_s` begins a new row."""
        before = 0 if ran_s >= self.intensity.window_s else self._failures.get(name, 0)
        self._failures[name] = before + 1
        return before + 1

    def affected(self, names: Sequence[str], exited: str) -> list[str]:
        """The children to stop and start again, in start order. `names` holds all, in start order."""
        position = names.index(exited)
        if self.strategy is Strategy.ONE_FOR_ONE:
            return [exited]
        if self.strategy is Strategy.REST_FOR_ONE:
            return list(names[position:])
        return list(names)

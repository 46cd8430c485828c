"""When to stop asking a dependency that does not answer: pure, no Trio, no clock; time and chance are arguments.

Closed: everything goes. After `failures_max` failures in a row it opens: nothing goes until `retry_at`. Then it
is half-open: the caller lets one thing through, and what becomes of that closes it or opens it again, for longer.
It never gives up.
"""

import random
from typing import Literal

from gcc.supervisor.backoff import Backoff

BreakerState = Literal["closed", "open", "half-open"]


class Breaker:
    """`backoff` says how long it stays open: after the first opening, and after each further one in a row."""

    def __init__(self, failures_max: int, backoff: Backoff) -> None:
        if failures_max < 1:
            raise ValueError(f"failures_max counts from 1, not {failures_max}")
        self.retry_at: float | None = None
        """When it lets something through again, on the caller's clock; None while it is closed."""
        self._failures_max = failures_max
        self._backoff = backoff
        self._failures = 0  # in a row
        self._openings = 0  # in a row

    def state(self, now: float) -> BreakerState:
        if self.retry_at is None:
            return "closed"
        return "open" if now < self.retry_at else "half-open"

    def failed(self, now: float, rng: random.Random, at_least_s: float = 0.0) -> None:
        """It did not answer, and wants to be left alone `at_least_s`. Told of an open one this changes nothing: the
        call had begun before."""
        state = self.state(now)
        if state == "open":
            return
        self._failures += 1
        if state == "half-open" or self._failures >= self._failures_max:
            self.open(now, rng, at_least_s)

    def open(self, now: float, rng: random.Random, at_least_s: float = 0.0) -> None:
        """Open at once, however few the failures: one that took too long is enough."""
        self._openings += 1
        self.retry_at = now + max(self._backoff.delay_s(self._openings, rng), at_least_s)

    def succeeded(self) -> None:
        """It answered: closed, and nothing is held against it any more."""
        self._failures = self._openings = 0
        self.retry_at = None

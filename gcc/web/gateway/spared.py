"""A service that is left alone while it does not answer.

After FAILURES_MAX failures in a row nobody asks it for OPEN_S, then one at a time does, to see how it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import trio

from gcc.clock import Clock
from gcc.errors import Transient
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.breaker import Breaker

FAILURES_MAX, OPEN_S = 5, 10.0

log = structlog.get_logger()


class Spared:
    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._breaker = Breaker(FAILURES_MAX, Backoff(OPEN_S, OPEN_S))
        self._is_tried = False  # by the one that a half-open breaker lets through

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around a question. Transient: it failed too often just now. What becomes of it `succeeded` or `failed` tells;
        neither: nothing that tells how it is."""
        now = trio.current_time()
        state = self._breaker.state(now)
        if state == "open" or (state == "half-open" and self._is_tried):
            wait_s = max(1.0, (self._breaker.retry_at or now) - now)
            raise Transient(f"{self._name} does not answer just now", retry_after_s=wait_s)
        self._is_tried |= state == "half-open"
        try:
            yield
        finally:
            if state == "half-open":
                self._is_tried = False

    def succeeded(self) -> None:
        self._breaker.succeeded()

    def failed(self, why: str) -> None:
        now = trio.current_time()
        self._breaker.failed(now, self._clock.rng, OPEN_S)
        state = self._breaker.state(now)
        log.warning("a service does not answer well", service=self._name, why=why, breaker=state)

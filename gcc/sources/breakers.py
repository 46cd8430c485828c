"""A breaker for each source: an outside API that answers nothing is left alone for a while, in view.

In: what became of each question. Out: leave to ask, or SourceClosed. FAILURES_MAX failures in a row (5xx,
silence, a lost connection, garbage) open a source's breaker: nobody asks it for a second, longer with each opening
up to a minute, or for as long as the last failure's Retry-After says; then one question at a time goes through
(half-open) until one is answered. Any answer closes it, a refusal (not found, rate limited, a dead token, a
permission) too: whoever refuses is there. A good answer without what was asked for is neither (see `doubts`).

A failure that opens the breaker, or finds it open, is told as SourceClosed: it says something of the source and
nothing of what was asked, so it costs the job no attempt. As FAILURES_MAX is no more than the failures that a job
may have (scraper.attempts_max, 5), an outage of any length fails no job. Each source has a line on the board.
"""

import random
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import trio

from gcc.errors import Transient
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.breaker import Breaker
from gcc.supervisor.lifecycle import Actor, Board, State

FAILURES_MAX = 5
OPEN = Backoff(first_s=1.0, max_s=60.0)
TRY_S = 1.0  # while the one question of a half-open breaker is out, others are told to come back this much later


class SourceClosed(Transient):
    """The source's breaker is open. It costs no attempt: come back `retry_after_s` later."""


class SourceBreaker:
    """The breaker of one source. `actor` is its line: state, questions that are out, answers, failures.

    The board shows it open until somebody asks again. `changed` is called when it opens or closes.
    """

    def __init__(
        self, name: str, breaker: Breaker, actor: Actor, rng: random.Random, changed: Callable[[], None]
    ) -> None:
        self._name = name
        self._breaker = breaker
        self._actor = actor
        self._rng = rng
        self._changed = changed
        self._trying = False  # the one question of a half-open breaker is out
        self._show()

    def closed_for_s(self) -> float:
        """Seconds until a question may be let through; 0 now."""
        now = trio.current_time()
        match self._breaker.state(now):
            case "open":
                return (self._breaker.retry_at or now) - now
            case "half-open" if self._trying:
                return TRY_S
        return 0.0

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around one question, from before its limit is spent to its end. Raises SourceClosed."""
        if wait_s := self.closed_for_s():
            raise SourceClosed(f"{self._name} is not asked, it failed: {self._actor.last_error}", retry_after_s=wait_s)
        trying = self._breaker.retry_at is not None
        self._trying = self._trying or trying
        self._show()
        self._actor.in_flight += 1
        try:
            yield
        finally:
            self._actor.in_flight -= 1
            if trying:
                self._trying = False
                self._changed()

    def answered(self) -> None:
        """The source is there, whatever it said."""
        self._actor.processed()
        self._breaker.succeeded()
        self._show()

    def failed(self, error: Transient) -> Transient:
        """The source did not answer. Returns what to raise instead of `error`: SourceClosed, or `error` itself."""
        self._actor.erred(error)
        self._breaker.failed(trio.current_time(), self._rng, error.retry_after_s or 0.0)
        self._show()
        if wait_s := self.closed_for_s():
            return SourceClosed(str(error), retry_after_s=wait_s)
        return error

    def told(self, trouble: Exception | str) -> None:
        """Show a trouble that says nothing of whether the source is there: one with its credentials."""
        self._actor.told(trouble)

    def _show(self) -> None:
        before, now = self._actor.breaker, self._breaker.state(trio.current_time())
        self._actor.breaker = now
        self._actor.retry_at = self._breaker.retry_at if now == "open" else None
        self._actor.state = State.BACKOFF if now == "open" else State.RUNNING
        if before != now:
            self._changed()


class Breakers:
    """The breakers of all sources of one process, each made when it is first named."""

    def __init__(
        self, board: Board, rng: random.Random, *, failures_max: int = FAILURES_MAX, backoff: Backoff = OPEN
    ) -> None:
        self._board = board
        self._rng = rng
        self._failures_max = failures_max
        self._backoff = backoff
        self._breakers: dict[str, SourceBreaker] = {}
        self._changed = trio.Event()

    def of(self, source: str) -> SourceBreaker:
        if source not in self._breakers:
            breaker = Breaker(self._failures_max, self._backoff)
            actor = self._board.actor(f"sources/{source}")
            self._breakers[source] = SourceBreaker(source, breaker, actor, self._rng, self._tell)
        return self._breakers[source]

    async def askable(self, sources: Collection[str]) -> None:
        """Return when one of `sources` (at least one) may be asked: before that no work for them is worth taking."""
        while wait_s := min(self.of(source).closed_for_s() for source in sources):
            with trio.move_on_after(wait_s):
                await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

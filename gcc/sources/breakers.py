"""A breaker for each source: an outside API that answers nothing is left alone for a while, in view.

In: what became of each question. Out: leave to ask, or SourceClosed. FAILURES_MAX failures in a row (5xx,
silence, a lost connection, garbage) open a source's breaker: nobody asks it for a second, longer with each opening
up to a minute, or for as long as the last failure's Retry-After says; then one question at a time goes through
(half-open) until one is answered. Any answer closes it, a refusal (not found, rate limited, a dead token, a
permission) too: whoever refuses is there. A good answer without what was asked for is neither (see `doubts`).

A failure that opens the breaker, or finds it open, is told as SourceClosed: it says something of the source and
nothing of what was asked, so it costs the job no attempt. As FAILURES_MAX is no more than the failures that a job
may have (scraper.attempts_max, 5), an outage of any length fails no job. Each source has a line on the board.

A source is `Out` while its breaker is open, and while our limit is spent or no credential is ready, as the last
question was told: work for it is not worth taking before that ends. Work that somebody waits for may be tried all the
same, to tell them why.
"""

import random
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import trio

from gcc.errors import Transient
from gcc.sources.credentials import NoCredential
from gcc.sources.limits import LimitRefused
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.breaker import Breaker
from gcc.supervisor.lifecycle import Actor, Board, State

FAILURES_MAX = 5
OPEN = Backoff(first_s=1.0, max_s=60.0)
OUT_S_MAX = 3600.0  # look again at least once an hour
NO_CREDENTIAL_S = 30.0  # and this soon where nobody knows when a credential will be ready
TRY_S = 1.0  # while the one question of a half-open breaker is out, others are told to come back this much later


class SourceClosed(Transient):
    """The source's breaker is open. It costs no attempt: come back `retry_after_s` later."""

    code = "SOURCE_CLOSED"


Refusal = SourceClosed | LimitRefused | NoCredential
"""Why a source was not asked: it says nothing of the question."""


def wait_s(refusal: Transient) -> float:
    """How long to leave it alone after this."""
    return min(NO_CREDENTIAL_S if refusal.retry_after_s is None else refusal.retry_after_s, OUT_S_MAX)


@dataclass(frozen=True, slots=True)
class Out:
    """Why a source is not to be asked (SOURCE_CLOSED, LIMITED or NO_CREDENTIAL), and until when, on Trio's clock."""

    code: str
    reason: str
    until: float


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
        self._refused: tuple[Out, int] | None = None  # by a limit or for want of a credential, and their renewals then
        self._show()

    def out(self, renewals: int = 0) -> Out | None:
        """None: it may be asked. `renewals` of its credentials, see `Credentials`: one more ends the want of them."""
        now = trio.current_time()
        if closed_s := self.closed_for_s():
            return Out(SourceClosed.code, f"{self._name} failed: {self._actor.last_error}", now + closed_s)
        if self._refused is None:
            return None
        out, renewals_then = self._refused
        renewed = out.code == NoCredential.code and renewals != renewals_then
        return None if renewed or out.until <= now else out

    def refused(self, refusal: LimitRefused | NoCredential, renewals: int = 0) -> None:
        """Who began to ask after so many `renewals` was told to come back later, and so would be who comes next."""
        self._refused = Out(refusal.code, str(refusal), trio.current_time() + wait_s(refusal)), renewals

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
        self,
        board: Board,
        rng: random.Random,
        *,
        failures_max: int = FAILURES_MAX,
        backoff: Backoff = OPEN,
        renewals: Callable[[str], int] = lambda source: 0,
    ) -> None:
        """`renewals` of a source's credentials: see `Credentials`."""
        self._board = board
        self._rng = rng
        self._failures_max = failures_max
        self._backoff = backoff
        self._renewals = renewals
        self._breakers: dict[str, SourceBreaker] = {}
        self._changed = trio.Event()

    def of(self, source: str) -> SourceBreaker:
        if source not in self._breakers:
            breaker = Breaker(self._failures_max, self._backoff)
            actor = self._board.actor(f"sources/{source}")
            self._breakers[source] = SourceBreaker(source, breaker, actor, self._rng, self._tell)
        return self._breakers[source]

    def out(self, sources: Collection[str]) -> Out | None:
        """None: one of `sources` (at least one) may be asked. Else why not the one that may be the soonest."""
        outs = [self.of(source).out(self._renewals(source)) for source in sources]
        return None if None in outs else min((out for out in outs if out), key=lambda out: out.until)

    async def changed(self) -> None:
        """Return when a breaker has opened or closed, or one that was tried may be tried again."""
        await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

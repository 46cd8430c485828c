"""What every actor is doing, as the dashboard, /metrics and `status` read it: one line an actor.

Actors, their supervisor and the watchdog write, nobody waits: these are plain attributes, read between
checkpoints. Rates are taken on Trio's clock; the time of day comes from outside.
"""

import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import trio

RATE_S = 10
ERROR_CHARS_MAX = 500
STACK_CHARS_MAX = 8192
ERRORS_KEPT = 20
STORM_RESTARTS = 3  # so many within its supervisor's window are a storm


class State(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    STANDBY = "standby"  # another process does it, and this one would take over
    PAUSED = "paused"
    BACKOFF = "backoff"
    DRAINING = "draining"
    FINISHED = "finished"
    FAILED = "failed"


def one_line(error: BaseException | str) -> str:
    """The error's type and text on one line of bounded length, `storable`; of a group, those of its members."""
    if isinstance(error, BaseExceptionGroup):
        text = "; ".join(one_line(member) for member in error.exceptions)
    elif isinstance(error, BaseException):
        text = f"{type(error).__name__}: {_text(error)}".removesuffix(": ")
    else:
        text = error
    text = storable(" ".join(text.split()))
    return text if len(text) <= ERROR_CHARS_MAX else text[: ERROR_CHARS_MAX - 1] + "…"


def storable(text: str) -> str:
    """Without what PostgreSQL and JSON refuse in text: NUL and halves of characters."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # its own __str__ is broken
        return "it cannot say what it is"


class Stuck(Exception):
    """Work waited for an actor that made no progress. `stack` tells where its tasks stood; it is a note, too."""

    def __init__(self, actor: str, waited_s: float, stack: str) -> None:
        super().__init__(f"{actor}: work has waited {waited_s:g} s without any progress")
        self.stack = stack
        self.add_note(stack)


@dataclass(eq=False, slots=True)
class Watch:
    """A block that `Actor.watched` keeps open, as the watchdog sees it."""

    work_waits: Callable[[], bool]
    stuck_after_s: float
    task: trio.lowlevel.Task
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    beats_seen: int = -1  # the actor's beats when progress was last seen; none yet
    waited_s: float = 0.0  # since then
    stuck: Stuck | None = None  # set by the watchdog as it cancels the scope


class Actor:
    """One line of the board.

    `last_stack` is where the last crash or bug came from or where the tasks of a stuck actor stood; bounded.
    `breaker` is "closed", "open" or "half-open" where the actor has one; the actor sets it. `retry_at`, on Trio's
    clock: when one that is open lets something through.
    """

    def __init__(self, name: str, board: "Board") -> None:
        self.name = name
        self.state = State.STARTING
        self.restarts = 0
        self.last_error: str | None = None
        self.last_stack: str | None = None
        self.breaker: str | None = None
        self.retry_at: float | None = None
        self.in_flight = 0
        self.lag_s: float | None = None
        self.done = 0
        self.failed = 0
        self.bugs = 0
        self.beats = 0
        self.watches: list[Watch] = []
        self._restarted_at: deque[float] = deque()
        self._restart_window_s = 0.0
        self._board = board
        self._done_by_second: deque[tuple[int, int]] = deque(maxlen=RATE_S + 1)  # (second, count), ascending

    def beat(self) -> None:
        """Give a sign of life: some progress was made. `processed` and `erred` do it too."""
        self.beats += 1

    @contextmanager
    def watched(self, work_waits: Callable[[], bool], stuck_after_s: float) -> Iterator[None]:
        """Let the watchdog end the block (of this task) when work has waited `stuck_after_s` without a beat.

        `work_waits()` tells, without waiting, whether the actor has anything to do; it must not raise. A paused
        actor, and one whose breaker is open, have not. The watchdog cancels the block, and it ends with Stuck.
        Cancelled from outside: Cancelled passes, also where both happen. Without a watchdog nothing happens.
        """
        watch = Watch(work_waits, stuck_after_s, trio.lowlevel.current_task())
        self.watches.append(watch)
        try:
            with watch.scope:
                yield
        finally:
            self.watches.remove(watch)
        if watch.stuck is not None and watch.scope.cancelled_caught:
            raise watch.stuck

    @property
    def stuck(self) -> bool:
        """Whether the watchdog has cancelled a block of this actor that has not ended yet."""
        return any(watch.stuck for watch in self.watches)

    def restarted(self, window_s: float) -> None:
        """Count one more life. The supervisor tells over how long it counts restarts."""
        self.restarts += 1
        self._restart_window_s = window_s
        now = trio.current_time()
        self._restarted_at.append(now)
        self.restarts_lately(now)

    def restarts_lately(self, now: float) -> int:
        """Restarts within the supervisor's window up to `now` (Trio's clock)."""
        while self._restarted_at and now - self._restarted_at[0] > self._restart_window_s:
            self._restarted_at.popleft()
        return len(self._restarted_at)

    @property
    def storm(self) -> bool:
        """Whether the actor is restarted so often that something must be wrong with it."""
        return self.restarts_lately(trio.current_time()) >= STORM_RESTARTS

    def processed(self, n: int = 1) -> None:
        """Count `n` pieces of work as done now."""
        self.beat()
        self.done += n
        second = int(trio.current_time())
        if self._done_by_second and self._done_by_second[-1][0] == second:
            n += self._done_by_second.pop()[1]
        self._done_by_second.append((second, n))

    @property
    def rate_per_s(self) -> float:
        """Work done per second: the mean of the last 10 whole seconds and the one that runs."""
        now = trio.current_time()
        oldest = int(now) - RATE_S
        return sum(n for second, n in self._done_by_second if second >= oldest) / (now - oldest)

    def erred(self, error: BaseException | str, *, job: str = "") -> None:
        """Count a failure that the actor deals with itself, and show it. `job`: the id of the one that it befell."""
        self.beat()
        self.failed += 1
        self.last_error = one_line(error)
        self._board.note(self.name, self.last_error, job)

    def bug(self, line: str, stack: str) -> None:
        """Count an unexpected exception that cost one piece of work, not the actor; keep where it came from."""
        self.bugs += 1
        self.erred(line)
        self.last_stack = stack[-STACK_CHARS_MAX:]

    def told(self, trouble: BaseException | str) -> None:
        """Show a trouble that is no failure of the actor's own; the same one again changes nothing."""
        line = one_line(trouble)
        if self.last_error != line:
            self.last_error = line
            self._board.note(self.name, line)

    def crashed(self, error: BaseException) -> None:
        """Count a failure that ended the actor, and keep where it came from."""
        self.erred(error)
        self.last_stack = storable("".join(traceback.format_exception(error)))[-STACK_CHARS_MAX:]


class Board:
    """All actors of a process, and the last errors. `now` gives the time of day (aware).

    `order` lists the first parts of names ("a" of "a/b") as they are to be shown; others come after them.
    """

    def __init__(self, now: Callable[[], datetime], order: Sequence[str] = ()) -> None:
        self.errors: deque[dict[str, str]] = deque(
            maxlen=ERRORS_KEPT
        )  # {"at": RFC 3339, "actor", "error"}, some a "job"
        self._now = now
        self._actors: dict[str, Actor] = {}
        self._rank = {part: rank for rank, part in enumerate(order)}

    def actor(self, name: str) -> Actor:
        """The line of this name: a new one, or the old one, which goes on (an actor that was restarted)."""
        if name not in self._actors:
            self._actors[name] = Actor(name, self)
        return self._actors[name]

    def actors(self) -> list[Actor]:
        """By `order`, then as they were created."""
        last = len(self._rank)
        return sorted(self._actors.values(), key=lambda actor: self._rank.get(actor.name.partition("/")[0], last))

    def note(self, actor: str, error: str, job: str = "") -> None:
        """Add to the last errors; the oldest goes. `job` is the id of the one that it befell."""
        at = self._now().isoformat(timespec="milliseconds")
        self.errors.append({"at": at, "actor": actor, "error": error, **({"job": job} if job else {})})

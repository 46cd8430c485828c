"""What every actor is doing, as the dashboard, /metrics and `status` read it: one line an actor.

Actors and their supervisor write, nobody waits: these are plain attributes, read between checkpoints.
Rates are taken on Trio's clock; the time of day comes from outside.
"""

import traceback
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum

import trio

RATE_S = 10
ERROR_CHARS_MAX = 500
TRACEBACK_CHARS_MAX = 8192
ERRORS_KEPT = 20


class State(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    BACKOFF = "backoff"
    DRAINING = "draining"
    FINISHED = "finished"
    FAILED = "failed"


def one_line(error: BaseException | str) -> str:
    """The error's type and text on one line of bounded length; of a group, those of its members."""
    if isinstance(error, BaseExceptionGroup):
        text = "; ".join(one_line(member) for member in error.exceptions)
    elif isinstance(error, BaseException):
        text = f"{type(error).__name__}: {error}".removesuffix(": ")
    else:
        text = error
    text = " ".join(text.split())
    return text if len(text) <= ERROR_CHARS_MAX else text[: ERROR_CHARS_MAX - 1] + "…"


class Actor:
    """One line of the board. `last_traceback` is that of the last crash, its end if it is long."""

    def __init__(self, name: str, board: "Board") -> None:
        self.name = name
        self.state = State.STARTING
        self.restarts = 0
        self.last_error: str | None = None
        self.last_traceback: str | None = None
        self.in_flight = 0
        self.lag_s: float | None = None
        self.done = 0
        self.failed = 0
        self._board = board
        self._done_by_second: deque[tuple[int, int]] = deque(maxlen=RATE_S + 1)  # (second, count), ascending

    def processed(self, n: int = 1) -> None:
        """Count `n` pieces of work as done now."""
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

    def erred(self, error: BaseException | str) -> None:
        """Count a failure that the actor deals with itself, and show it."""
        self.failed += 1
        self.last_error = one_line(error)
        self._board.note(self.name, self.last_error)

    def crashed(self, error: BaseException) -> None:
        """Count a failure that ended the actor, and keep where it came from."""
        self.erred(error)
        self.last_traceback = "".join(traceback.format_exception(error))[-TRACEBACK_CHARS_MAX:]


class Board:
    """All actors of a process, and the last errors. `now` gives the time of day (aware).

    `order` lists the first parts of names ("a" of "a/b") as they are to be shown; others come after them.
    """

    def __init__(self, now: Callable[[], datetime], order: Sequence[str] = ()) -> None:
        self.errors: deque[dict[str, str]] = deque(maxlen=ERRORS_KEPT)  # {"at": RFC 3339, "actor", "error"}
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

    def note(self, actor: str, error: str) -> None:
        """Add to the last errors; the oldest goes."""
        self.errors.append({"at": self._now().isoformat(timespec="milliseconds"), "actor": actor, "error": error})

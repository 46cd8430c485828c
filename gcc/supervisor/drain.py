"""The orderly end: stages that begin one after the other, each when the one before has no members left.

A member is an actor that still has work for the stage. A stage that begins only tells (`begun`);
actors stop waiting for intake, finish what they hold and leave, and the next stage begins. `grace_s`
after the request nothing is waited for any more: what is left then is reported and the caller cancels
it. Pure Trio; nothing here cancels work in hand.

A part of the process drains by a Drain of its own `within` the process's: its stages are branches, so
that the whole waits for their members and begins them in its turn. A part that has drained may reopen.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import trio

T = TypeVar("T")


class Stage:
    """One step of the drain. `begun` is set once, when its turn has come, and so is that of its branches."""

    def __init__(self, name: str, trunk: "Stage | None" = None) -> None:
        self.name = name
        self.begun = trio.Event()
        self.open: dict[trio.CancelScope, None] = {}  # to be cancelled, in the order of coming: a seed replays it
        self._trunk = trunk
        self._branches: list[Stage] = []
        self._members: Counter[str] = Counter()
        self._emptied = trio.Event()
        if trunk is not None:
            trunk._branches.append(self)

    def begin(self) -> None:
        """Set `begun` and end what is `intake_open`, here and in the branches."""
        self.begun.set()
        for scope in self.open:
            scope.cancel()
        for branch in self._branches:
            branch.begin()

    @contextmanager
    def member(self, name: str) -> Iterator[None]:
        """Keep the stage from ending as long as the block runs. The same name may enter many times at once.

        A stage that has ended does not come back: enter before the work is taken, not after.
        """
        self._members[name] += 1
        try:
            with self._trunk.member(name) if self._trunk else nullcontext():
                yield
        finally:
            self._members[name] -= 1
            if not self._members[name]:
                del self._members[name]
            if not self._members:
                self._emptied.set()

    def members(self) -> list[str]:
        """Who is in the stage now, by order of entering: "relay", "scraper refresh_x x3"."""
        return [name if count == 1 else f"{name} x{count}" for name, count in self._members.items()]

    async def empty(self) -> None:
        """Return when the stage has no members; at once if it has none. The caller sets the deadline."""
        while self._members:
            self._emptied = trio.Event()
            await self._emptied.wait()


@dataclass(frozen=True, slots=True)
class StageReport:
    """What a stage waited for: its members when it began, and those who outstayed the grace."""

    name: str
    waited_s: float
    waited_for: list[str]
    left_behind: list[str] = field(default_factory=list)


class Drain:
    """The stages of one process, or of a part `within` it, in order, and the request that sets them off.

    `grace_s` bounds all stages together, from the request on. `over` begins after the last stage: what
    still runs then is to be cancelled.
    """

    def __init__(self, stage_names: Sequence[str], grace_s: float, within: "Drain | None" = None) -> None:
        if len(set(stage_names)) != len(stage_names):
            raise ValueError(f"stage names must differ: {', '.join(stage_names)}")
        self.grace_s = grace_s
        self.within = within
        self.reason: str | None = None
        self.requested = trio.Event()
        self.over = Stage("over")
        self._stages = {name: Stage(name, within.stage(name) if within else None) for name in stage_names}
        self._reports: dict[str, StageReport] = {}
        self._deadline = float("inf")
        self._stage_began_at = 0.0

    def stage(self, name: str) -> Stage:
        """The stage of this name; KeyError if the drain has none."""
        return self._stages[name]

    @property
    def draining(self) -> bool:
        """True from the request on (this one's or the whole's), also after the last stage."""
        return self.requested.is_set() or (self.within is not None and self.within.draining)

    @property
    def report(self) -> list[StageReport]:
        """Of the stages that have ended so far, in order."""
        return list(self._reports.values())

    def request(self, reason: str) -> None:
        """Ask for the drain. The first request counts; later ones change nothing."""
        if not self.requested.is_set():
            self.reason = reason
            self._deadline = trio.current_time() + self.grace_s
            self.requested.set()

    def reopen(self) -> None:
        """Back to how it was before the request: the part works again. ValueError unless it has drained."""
        if not self.over.begun.is_set() or (self.within is not None and self.within.draining):
            raise ValueError(
                f"only what has drained can be reopened, and only while the whole does not drain: {self.reason}"
            )
        self.reason = None
        self.requested = trio.Event()
        self._reports.clear()
        self._deadline = float("inf")
        for stage in (*self._stages.values(), self.over):
            stage.begun = trio.Event()

    async def run(self) -> list[StageReport]:
        """Wait for the request (for ever: that is the actor's rest), then end the stages in order.

        To be run once, and once more after each `reopen`. After the grace the stages that are left begin
        all the same, without a wait. Cancelled: the stages that have begun stay begun.
        """
        await self.requested.wait()
        for stage in self._stages.values():
            waited_for = stage.members()
            self._stage_began_at = began_at = trio.current_time()
            stage.begin()
            with trio.move_on_at(self._deadline):
                await stage.empty()
            waited_s = trio.current_time() - began_at
            self._reports[stage.name] = StageReport(stage.name, waited_s, waited_for, stage.members())
        self.over.begin()
        return self.report

    @property
    def state(self) -> str:
        """running, draining, or drained (of a part: until it is reopened)."""
        if not self.draining:
            return "running"
        return "drained" if self.over.begun.is_set() else "draining"

    def snapshot(self) -> list[dict[str, Any]]:
        """One {name, waited_s, waited_for, state: "waiting"|"draining"|"drained"} a stage, in order.

        `waited_for` of a stage that is draining tells whom it still waits for; of a drained one, whom
        it found when it began.
        """
        return [self._line(stage) for stage in self._stages.values()]

    def _line(self, stage: Stage) -> dict[str, Any]:
        line: dict[str, Any] = {"name": stage.name, "waited_s": 0.0, "waited_for": [], "state": "waiting"}
        if report := self._reports.get(stage.name):
            return line | {"waited_s": report.waited_s, "waited_for": report.waited_for, "state": "drained"}
        if stage.begun.is_set():
            waited_s = trio.current_time() - self._stage_began_at
            return line | {"waited_s": waited_s, "waited_for": stage.members(), "state": "draining"}
        return line


@contextmanager
def intake_open(stage: Stage) -> Iterator[trio.CancelScope]:
    """A block that only *waits for intake*: it is cancelled as soon as the stage begins (at once, if it has)."""
    with trio.CancelScope() as scope:
        if stage.begun.is_set():
            scope.cancel()  # before the block can take anything
        stage.open[scope] = None
        try:
            yield scope
        finally:
            del stage.open[scope]


async def take_until(stage: Stage, take: Callable[[], Awaitable[T]]) -> T | None:
    """What `take()` returns, or None when the stage has begun or begins while `take()` waits.

    A value that `take()` has returned is never lost to a stage that begins in the same tick. Errors of
    `take()` leave as they are. Cancelled from outside: as `take()` itself.
    """
    taken: T | None = None
    if not stage.begun.is_set():
        with intake_open(stage):
            taken = await take()
    return taken

"""Gates and levels: how people's live overrides reach the actors of this process.

In: the overrides that PostgreSQL holds (controls.py). Out: a `Gate` for each actor, which it passes
before it takes new work (a closed one is a pause; work in hand goes on), and a `Level` for each flow's
concurrency. A store that is away changes nothing: the last known overrides hold until it answers; so do they where a
row that somebody wrote by hand cannot be read.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import trio

from gcc.actors import bugs
from gcc.actors.controls import CONCURRENCY, CONCURRENCY_MAX, PAUSE, Action, Controls
from gcc.actors.patience import Patience
from gcc.channels.memory import Signal
from gcc.clock import Clock
from gcc.errors import Transient
from gcc.supervisor.drain import Stage, take_until
from gcc.supervisor.lifecycle import Actor, State

T = TypeVar("T")

READ_EVERY_S = 30.0  # a notification may have been missed
RECENT_ACTIONS = 20


class Gate:
    """Open, or closed by a pause. New ones are open."""

    def __init__(self) -> None:
        self.is_open = True
        self.changed = trio.Event()
        """Set at the next opening or closing, and then replaced: read it anew for each wait."""
        self._waiting: dict[trio.CancelScope, None] = {}  # in the order of coming: a seed replays it

    def turn(self, *, is_open: bool) -> None:
        """Open or close; tells those who wait if that changes anything."""
        if is_open != self.is_open:
            self.is_open = is_open
            self.changed.set()
            self.changed = trio.Event()
            for scope in self._waiting:
                scope.cancel()

    async def opened(self) -> None:
        """Return when the gate is open: at once if it is."""
        while not self.is_open:
            await self.changed.wait()

    async def while_open(self, take: Callable[[], Awaitable[T]]) -> T | None:
        """What `take()` returns, or None when the gate is closed or closes while `take()` waits (it is cancelled).

        A value that `take()` has returned is never lost to a gate that closes in the same tick. Errors of
        `take()` leave as they are. Cancelled from outside: as `take()` itself.
        """
        taken: T | None = None
        if self.is_open:
            with trio.CancelScope() as scope:
                self._waiting[scope] = None
                try:
                    taken = await take()
                finally:
                    del self._waiting[scope]
        return taken

    async def passed(self, stage: Stage, actor: Actor) -> None:
        """Return when the gate is open or `stage` has begun; meanwhile `actor` is PAUSED, after it RUNNING."""
        if not self.is_open and not stage.begun.is_set():
            actor.state = State.PAUSED
            await take_until(stage, self.opened)
            actor.state = State.RUNNING


ALWAYS_OPEN = Gate()
"""For actors that nobody pauses."""


class Level:
    """A number of things at once that people may change while it is used."""

    def __init__(self, default: int) -> None:
        self.default = default
        self.value = default
        self.changed = trio.Event()
        """Set at the next change of `value`, and then replaced: read it anew for each wait."""

    def turn(self, value: int) -> None:
        if value != self.value:
            self.value = value
            self.changed.set()
            self.changed = trio.Event()


class Gates:
    """One process's gates and levels, kept current by `run`."""

    def __init__(self, controls: Controls, actor: Actor, clock: Clock) -> None:
        self.actions: list[Action] = []
        """The last RECENT_ACTIONS, newest first, as of the last reading."""
        self._controls = controls
        self._actor = actor
        self._clock = clock
        self._overrides: Mapping[str, Any] = {}
        self._gates: dict[str, Gate] = {}
        self._levels: dict[str, Level] = {}
        self._woken = Signal()
        self._followers: list[Callable[[Mapping[str, Any]], None]] = []

    @property
    def overrides(self) -> Mapping[str, Any]:
        """All of them, as of the last reading."""
        return self._overrides

    def follow(self, hear: Callable[[Mapping[str, Any]], None]) -> None:
        """Have `hear` told all overrides after each reading."""
        self._followers.append(hear)

    def gate(self, actor_name: str) -> Gate:
        """The gate of this actor, the same at every call (an actor that was restarted finds its pause)."""
        if actor_name not in self._gates:
            self._gates[actor_name] = Gate()
            self._apply()
        return self._gates[actor_name]

    def concurrency(self, flow: str, default: int) -> Level:
        """How many jobs of `flow` run at once, the same object at every call; `default` without an override."""
        level = self._levels.setdefault(flow, Level(default))
        level.default = default
        self._apply()
        return level

    def paused(self) -> list[str]:
        """The actors that are paused, here or in other processes, by name."""
        return sorted(name.removeprefix(PAUSE) for name in self._overrides if name.startswith(PAUSE))

    def levels(self) -> dict[str, dict[str, int]]:
        """{flow: {"now": n, "default": n}} of the flows that run in this process."""
        return {flow: {"now": level.value, "default": level.default} for flow, level in self._levels.items()}

    def woken(self, _payload: str = "") -> None:
        """Something was changed (NOTIFY gcc_controls): read again."""
        self._woken.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep gates and levels current until cancelled; started() after the first reading."""
        patience = Patience(self._actor, self._clock.rng)
        while True:
            try:
                self._overrides = await self._controls.read()
                self._apply()
                self.actions = await self._controls.actions(RECENT_ACTIONS)
                self._actor.processed()
            except Transient as error:
                await patience.wait_after(error)
                continue
            except Exception as error:
                bugs.told(self._actor, error)
            patience.reset()
            self._actor.state = State.RUNNING
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED  # once is enough
            await self._woken.wait(READ_EVERY_S)

    def _apply(self) -> None:
        for name, gate in self._gates.items():
            gate.turn(is_open=PAUSE + name not in self._overrides)
        for flow, level in self._levels.items():
            asked = self._overrides.get(CONCURRENCY + flow)
            level.turn(asked if type(asked) is int and 1 <= asked <= CONCURRENCY_MAX else level.default)
        for hear in self._followers:
            hear(self._overrides)

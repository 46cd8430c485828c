"""Keeps what the tree consists of: each child under a supervisor of its own, begun as soon as what it needs stands.

In: children in order, what each of them needs, the roles of the process with their drains. Out: one root supervisor,
which stops them in reverse order. A child whose first start fails stops everything, with its error; if that passes
(Transient: a server is away), it is tried again for as long as it takes, in view, and what does not need it runs. One
that keeps failing later asks for the drain: what can finish does, and the error comes out at the end.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog
import trio

from gcc.actors.patience import Patience
from gcc.errors import Transient
from gcc.pipelines.declared import Run
from gcc.pipelines.roles import Roles
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.drain import Drain, StageReport, intake_open
from gcc.supervisor.lifecycle import Board, State, one_line
from gcc.supervisor.policy import Intensity
from gcc.supervisor.supervisor import Child, Supervisor
from gcc.supervisor.told import Told
from gcc.supervisor.watchdog import Watchdog

INTENSITY = Intensity(max_restarts=5, window_s=60.0)
AWAY = Backoff(first_s=0.1, max_s=5.0)  # how often what could not start is tried again

log = structlog.get_logger()


@dataclass(frozen=True)
class Rules:
    """By the names of children. `needs`: what must have stood before it begins; those that are not there are not
    waited for. `intensity`: where it differs. `unawaited`: whose first start is tried once, whatever its error."""

    needs: Mapping[str, Collection[str]]
    intensity: Mapping[str, Intensity] = field(default_factory=dict)
    unawaited: Collection[str] = ()


class Keeping:
    def __init__(
        self,
        children: Sequence[tuple[Child, str | None]],
        rules: Rules,
        *,
        roles: Roles,
        board: Board,
        rng: random.Random,
    ) -> None:
        """`children` stand with their role, one of `roles.here`, if they have one."""
        self._children = children
        self._rules = rules
        self._roles = roles
        self._board = board
        self._rng = rng
        self._stood = {child.name: trio.Event() for child, _ in children}  # started once
        self._everything = trio.CancelScope()
        self._failure: Exception | None = None

    async def run(
        self, awaited: Collection[str], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Start everything, `started()` when all `awaited` stand; return when a requested drain has ended.

        Raises what kept a child from starting (what had started is stopped), RestartsExceeded after the drain when
        one kept failing. Cancelled: everything is stopped at once.
        """
        root = Supervisor(
            "gcc",
            [Child(child.name, self._kept(child, role), child.restart) for child, role in self._children],
            board=self._board,
            rng=self._rng,
            stopping=lambda: self._roles.whole.draining,
        )
        async with trio.open_nursery() as nursery:
            self._everything = nursery.cancel_scope
            await nursery.start(Watchdog(self._board).run)
            for role, drain in self._roles.here.items():
                nursery.start_soon(self._shifts, role, drain)
            nursery.start_soon(self._finish)
            await nursery.start(root.run)
            for name in awaited:
                await self._stood[name].wait()
            task_status.started()
        if self._failure is not None:
            raise self._failure

    async def stood(self, name: str) -> None:
        """Return when this child has been started, at least once."""
        await self._stood[name].wait()

    async def _finish(self) -> None:
        """The drain, then the end of the stores: by cancelling, in reverse order."""
        _tell(await self._roles.whole.run())
        self._everything.cancel()

    async def _shifts(self, role: str, drain: Drain) -> None:
        """A role's drains, one after the other, each until it is resumed."""
        while True:
            resumed = self._roles.resumed(role)
            _tell(await drain.run(), role=role)
            await resumed.wait()

    def _kept(self, child: Child, role: str | None) -> Run:
        """What the root supervisor runs. Of a role: it ends when that has drained, and begins again when resumed."""
        drain = self._roles.drain_of(role)
        stood = self._stood[child.name]

        async def keep() -> None:
            try:
                with intake_open(drain.over):
                    for need in self._rules.needs.get(child.name, ()):
                        if need in self._stood:
                            await self._stood[need].wait()
                    await self._live(child, drain)
            except Exception as error:
                self._failure = self._failure or error
                if not stood.is_set():
                    self._everything.cancel()
                    return
                log.error("gave up", part=child.name, error=one_line(error))
                self._roles.whole.request(f"{child.name} keeps failing")

        async def run(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            task_status.started()  # at once: who needs it waits by himself, the others need not
            self._board.actor(child.name).state = State.STARTING
            while True:
                resumed = self._roles.resumed(role) if role else None
                await keep()
                if resumed is None or self._roles.whole.draining:
                    return
                if not drain.requested.is_set() and not resumed.is_set():  # set: resumed before it had ended
                    return
                stood.set()  # drained as it started: those that need it need not wait until it is resumed
                await resumed.wait()

        return run

    async def _live(self, child: Child, drain: Drain) -> None:
        """Its lives under a supervisor. Raises what its first start raised, or RestartsExceeded."""
        began = trio.current_time()

        def started(_: object) -> None:
            log.info("started", part=child.name, seconds=round(trio.current_time() - began, 2))
            self._stood[child.name].set()

        await Supervisor(
            child.name,
            [child if child.name in self._rules.unawaited else replace(child, run=self._patient(child))],
            board=self._board,
            rng=self._rng,
            intensity=self._rules.intensity.get(child.name, INTENSITY),
            stopping=lambda: drain.draining,
        ).run(task_status=Told(started))

    def _patient(self, child: Child) -> Run:
        """The child, whose start is tried again for as long as it meets what passes: Transient."""

        async def run(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            patience = Patience(self._board.actor(child.name), self._rng, AWAY)
            stands = False

            def started(_: object) -> None:
                nonlocal stands
                stands = True
                task_status.started()

            while True:
                try:
                    await child.run(task_status=Told(started))
                    return
                except Transient as error:
                    if stands:
                        raise
                    if not patience.failures:
                        log.warning("away", part=child.name, error=one_line(error))
                    await patience.wait_after(error)

        return run


def _tell(reports: Sequence[StageReport], **of: str) -> None:
    for report in reports:
        log.info("drained", stage=report.name, waited_s=round(report.waited_s, 2), waited_for=report.waited_for, **of)
        if report.left_behind:
            log.warning("grace is over", stage=report.name, cancelled=report.left_behind, **of)

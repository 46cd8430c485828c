"""Keeps the leases of the jobs that this process has, begun or not: one heartbeat statement for all of them.

An attempt whose lease is lost is cancelled: somebody else owns the job now, and its writes would be
refused by the fence anyway. While the store is gone the attempts go on; the fence decides later.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import trio

from gcc.errors import Transient
from gcc.supervisor.lifecycle import Actor, State


class Term(Protocol):
    """A claimed job of any kind: a row, and which attempt at it this is."""

    @property
    def id(self) -> uuid.UUID: ...

    @property
    def attempt(self) -> int: ...


T = TypeVar("T", bound=Term)
Kept = TypeVar("Kept", bound=Term, contravariant=True)


class Extended(Protocol[Kept]):
    """See `gcc.channels.jobs.Jobs`."""

    async def extend(self, jobs: Sequence[Kept]) -> set[uuid.UUID]: ...


@dataclass(eq=False, slots=True)
class _Held(Generic[T]):
    job: T
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)  # cancelled when the lease is lost


class Leases(Generic[T]):
    def __init__(self, jobs: Extended[T], actor: Actor, *, lease_s: float) -> None:
        self._jobs = jobs
        self._actor = actor
        self._every_s = lease_s / 3
        self._held: dict[uuid.UUID, _Held[T]] = {}

    def keep(self, jobs: Iterable[T]) -> None:
        """Keep the leases of jobs just claimed, until they are held or dropped: they may wait long to begin."""
        for job in jobs:
            self._held[job.id] = _Held(job)
        self._actor.in_flight = len(self._held)

    def drop(self, jobs: Iterable[T]) -> None:
        """They were given back unbegun."""
        for job in jobs:
            self._held.pop(job.id, None)
        self._actor.in_flight = len(self._held)

    @contextmanager
    def hold(self, job: T) -> Iterator[trio.CancelScope]:
        """Keep `job`'s lease while the body runs; the scope is cancelled when the lease is lost, or was before."""
        held = self._held.get(job.id)
        if held is None or held.job.attempt != job.attempt:
            held = self._held[job.id] = _Held(job)
        with held.scope:
            try:
                yield held.scope
            finally:
                if self._held.get(job.id) is held:
                    self.drop([job])

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until cancelled. After a beat that failed the next comes sooner: a lease lasts three of them."""
        self._actor.state = State.RUNNING
        task_status.started()
        wait_s = self._every_s
        while True:
            await trio.sleep(wait_s)
            wait_s = self._every_s if await self.beat() else self._every_s / 4

    async def beat(self) -> bool:
        """Extend every held lease once; cancel the attempts that lost theirs. False: no answer came."""
        asked = dict(self._held)
        if not asked:
            return True
        ours: set[uuid.UUID] | None = None
        try:
            with trio.move_on_after(self._every_s / 2):  # a server that vanished without a word: the next asks another
                ours = await self._jobs.extend([held.job for held in asked.values()])
        except Transient as error:
            self._actor.erred(error)
            return False
        if ours is None:
            self._actor.erred(f"no answer to the heartbeat of {len(asked)} leases within {self._every_s / 2:g} s")
            return False
        self._actor.processed(len(ours))
        for job_id, held in asked.items():
            if job_id not in ours and self._held.get(job_id) is held:
                held.scope.cancel()
        return True

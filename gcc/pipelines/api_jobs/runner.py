"""Runs the jobs of the API: claims them, makes one batch after the other, then the file of what they left.

In: jobs, leased from PostgreSQL, AT_ONCE of them. Out: their batches, each committed with how far the job is, files,
and how each ended. A job has a turn of TURN_S, then goes back to the line: others' jobs wait no longer than that for a
place. At drain, and for a pause, the batch in hand is finished and the job given back; whoever claims it goes on there.
A cancel is met at the next commit, which it refuses. A store that is away is waited for, for a turn. Whatever else a
batch raises is that job's failure alone: after ATTEMPTS_MAX in a row without a batch it has FAILED.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import trio

from gcc.actors import bugs
from gcc.actors.gates import ALWAYS_OPEN, Gate
from gcc.actors.leases import Leases
from gcc.actors.patience import Patience
from gcc.actors.taking import take_on
from gcc.channels.api_jobs import ApiJob, CannotBeDone
from gcc.channels.memory import Channels, ChannelUse, Signal
from gcc.channels.objects import Objects
from gcc.clock import Clock
from gcc.errors import LeaseLost, Transient
from gcc.metrics import Metrics
from gcc.pipelines.api_jobs.kind import Kind
from gcc.pipelines.api_jobs.parquet import parquet
from gcc.pipelines.api_jobs.sheet import sheet
from gcc.stores.api_jobs import PostgresApiJobs, object_key
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.drain import Stage, take_until
from gcc.supervisor.lifecycle import Actor

AT_ONCE, SLOTS = 4, "slots of API jobs"
POLL_S = 1.0
"""What was asked for is found so late."""
TURN_S = 10.0
BATCH_S = 60.0
"""A batch that takes longer is a bug of its kind."""
ATTEMPTS_MAX = 3
BACKOFF = Backoff(first_s=1.0, max_s=60.0)
SHOWN_OF_BUGS = "the platform made a mistake; what was done until then stands"


class Runner:
    """`gate` closed is a pause."""

    def __init__(
        self,
        kinds: Mapping[str, Kind],
        jobs: PostgresApiJobs,
        objects: Objects,
        leases: Leases[ApiJob],
        clock: Clock,
        *,
        actor: Actor,
        stage: Stage,
        metrics: Metrics,
        channels: Channels,
        gate: Gate = ALWAYS_OPEN,
    ) -> None:
        self._kinds = kinds
        self._jobs = jobs
        self._objects = objects
        self._leases = leases
        self._clock = clock
        self._actor = actor
        self._stage = stage
        self._metrics = metrics
        self._gate = gate
        self._ended = Signal()
        channels.watch(SLOTS, lambda: ChannelUse(SLOTS, actor.in_flight, AT_ONCE, actor.name))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the stage has begun and the batches in hand are done."""
        await take_on(
            self._claim,
            self._begun,
            at_once=AT_ONCE,
            poll_s=POLL_S,
            news=self._ended,
            actor=self._actor,
            stage=self._stage,
            gate=self._gate,
            rng=self._clock.rng,
            task_status=task_status,
        )

    async def _claim(self, room: int) -> Sequence[ApiJob]:
        claimed = await self._jobs.claim(self._kinds, room)
        self._leases.keep(claimed)
        return claimed

    async def _begun(self, job: ApiJob) -> None:
        with bugs.contained(self._actor, kind=job.kind, job=str(job.id)), self._leases.hold(job):
            await self._attempt(job)

    async def _attempt(self, job: ApiJob) -> None:
        """A turn of the job, to its end or as far as it comes."""
        patience = Patience(self._actor, self._clock.rng)
        turn_ends_at, first, waits = trio.current_time() + TURN_S, job.batches, False
        try:
            while True:
                try:
                    over = trio.current_time() >= turn_ends_at and (waits or job.batches > first)
                    ends = over or self._stage.begun.is_set() or not self._gate.is_open
                    if ends and (waits or not job.made):
                        await self._jobs.release([job], after_s=TURN_S if over and waits else 0.0)
                        return
                    if job.made:
                        await self._finish(job)
                        return
                    job = await self._step(job)
                except Transient as error:  # with the lease in hand, as long as it lasts
                    waits = True
                    await self._wait(patience, error)
                except LeaseLost:
                    raise
                except Exception as error:
                    await self._fail(job, error)
                    return
                else:
                    waits = False
                    patience.reset()
        except LeaseLost:  # it was cancelled, or is somebody else's
            pass
        finally:
            patience.reset()  # cut short by a lost lease, too

    async def _wait(self, patience: Patience, error: Transient) -> None:
        """No longer than until the stage begins; then as patiently as ever."""
        if self._stage.begun.is_set():
            await patience.wait_after(error)
        else:
            await take_until(self._stage, partial(patience.wait_after, error))

    async def _step(self, job: ApiJob) -> ApiJob:
        """The job after its next batch."""
        kind = self._kinds[job.kind]
        params = msgspec.convert(job.params, kind.params)
        with trio.fail_after(BATCH_S):
            async with self._jobs.batch(job) as begun:
                await kind.step(job, params, begun)
        self._actor.processed()
        return begun.after(job)

    async def _finish(self, job: ApiJob) -> None:
        kind = self._kinds[job.kind]
        result: dict[str, Any] = {}
        key = None
        if kind.file is not None:
            file = kind.file(msgspec.convert(job.params, kind.params))
            lines = self._jobs.lines(job.partner_id, job.id, "rows")
            made = sheet(list(file.columns), lines) if file.form == "csv" else parquet(file.columns, lines)
            key = object_key(job.partner_id, job.id)
            result = {"bytes": await self._objects.put(key, made), "format": file.form}
        await self._jobs.complete(job, result, key)
        self._metrics.api_jobs.labels(job.kind, "COMPLETE").inc()

    async def _fail(self, job: ApiJob, error: Exception) -> None:
        """This attempt has failed; where that cannot be written, its lease ends by itself."""
        if isinstance(error, CannotBeDone):
            told, after_s, traceback = (error.code, str(error)), None, None
        else:
            bugs.told(self._actor, error, kind=job.kind, job=str(job.id))
            failures = job.failures + 1
            told, traceback = (bugs.CODE, SHOWN_OF_BUGS), bugs.traceback_of(error)
            after_s = None if failures >= ATTEMPTS_MAX else BACKOFF.delay_s(failures, self._clock.rng)
        patience = Patience(self._actor, self._clock.rng)
        while True:
            try:
                await self._jobs.fail(job, *told, after_s=after_s, traceback=traceback)
            except Transient as trouble:
                await patience.wait_after(trouble)
            else:
                break
        patience.reset()
        if after_s is None:
            self._metrics.api_jobs.labels(job.kind, "FAILED").inc()

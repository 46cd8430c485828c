"""A kind of API job that leaves a row for each number, and a process that runs it, for a test that kills it:
`python -m tests.integration.api_job_child CONNINFO FOLDER`. It says each batch before it commits.
"""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import trio

from gcc.actors.gates import ALWAYS_OPEN, Gate
from gcc.actors.leases import Leases
from gcc.channels.api_jobs import ApiJob, CannotBeDone, Line
from gcc.channels.memory import Channels
from gcc.channels.objects import Objects
from gcc.clock import Clock, SystemClock
from gcc.metrics import Metrics
from gcc.pipelines.api_jobs.kind import File, Kind
from gcc.pipelines.api_jobs.runner import Runner
from gcc.pipelines.api_jobs.told import told_of
from gcc.stores.api_jobs import LEASE_S, Begun, PostgresApiJobs
from gcc.stores.folder_objects import FolderObjects
from gcc.stores.postgres import Pool
from gcc.supervisor.drain import Stage
from gcc.supervisor.lifecycle import Board

EFFECTS = "create table effect (job_id uuid, number integer)"
"""Without a key: what is done twice is seen."""


class Count(msgspec.Struct, frozen=True):
    to: int
    each: int = 10


Meanwhile = Callable[[ApiJob], Awaitable[None]]


def counting(meanwhile: Meanwhile) -> Kind:
    """`meanwhile` runs when a batch has done all that it does, before it is committed."""

    async def step(job: ApiJob, params: Count, begun: Begun) -> None:
        first = 0 if job.place is None else job.place["next"]
        numbers = range(first, min(first + params.each, params.to))
        for number in numbers:
            await begun.connection.execute("insert into effect values (%s, %s)", [job.id, number])
        told = begun.told
        told.done, told.total = len(numbers), params.to
        told.rows = [(number, f"={number}") for number in numbers]
        told.report = [Line(number + 1, "ADDED", input=f"@{number}") for number in numbers]
        begun.place, begun.last = {"next": numbers.stop}, numbers.stop == params.to
        await meanwhile(job)

    return Kind("count", Count, step, lambda _: File({"number": "integer", "text": "text"}), reports=True)


async def refuse(job: ApiJob, params: Count, begun: Begun) -> None:
    await begun.connection.execute("insert into effect values (%s, 0)", [job.id])
    raise CannotBeDone("NO_DATA", "there is nothing to count")


async def err(job: ApiJob, params: Count, begun: Begun) -> None:
    await begun.connection.execute("insert into effect values (%s, 0)", [job.id])
    raise ZeroDivisionError("of a secret")


REFUSING, BUGGY = Kind("refuse", Count, refuse), Kind("err", Count, err)


def runner(
    jobs: PostgresApiJobs,
    objects: Objects,
    clock: Clock,
    stage: Stage,
    *kinds: Kind,
    board: Board | None = None,
    gate: Gate = ALWAYS_OPEN,
) -> Runner:
    board = board or Board(clock.now)
    leases: Leases[ApiJob] = Leases(jobs, board.actor("leases"), lease_s=LEASE_S)
    return Runner(
        {kind.name: kind for kind in kinds}, jobs, objects, leases, clock,
        actor=board.actor("runner"), stage=stage, metrics=Metrics(), channels=Channels(), gate=gate,
    )  # fmt: skip


async def run(conninfo: str, folder: str) -> None:
    clock, objects = SystemClock(), FolderObjects(Path(folder))
    jobs = PostgresApiJobs(Pool(conninfo, 4, name="child"), objects, told_of(clock))

    async def say(job: ApiJob) -> None:
        print(job.batches, flush=True)
        await trio.to_thread.run_sync(sys.stdin.readline)  # until the test lets it commit

    await runner(jobs, objects, clock, Stage("intake"), counting(say)).run()


if __name__ == "__main__":
    trio.run(run, *sys.argv[1:])

"""Jobs of the API while a store is away: what is made is made no worse, and holds up nobody. And large tables."""

from dataclasses import replace
from typing import Any

import pytest
import trio

from gcc.actors.gates import Gate
from gcc.errors import Transient
from gcc.pipelines.api_jobs import runner as running
from gcc.pipelines.api_jobs.kind import File, Form, Kind
from gcc.pipelines.api_jobs.told import told_of
from gcc.stores.api_jobs import SQL, PostgresApiJobs, object_key
from gcc.supervisor.drain import Stage
from tests.fakes.objects import MemoryObjects
from tests.integration.api_job_child import Count, counting, runner
from tests.integration.test_api_jobs import ENDED, Bench, nothing, rows_of
from tests.integration.test_api_jobs import bench as bench

FREE = Kind("free", Count, counting(nothing).step)  # of files


@pytest.mark.parametrize("form", ["csv", "parquet"])
async def test_an_end_whose_answer_is_lost_leaves_the_file_as_it_was(bench: Bench, form: Form) -> None:
    id, file = await bench.add(), File({"number": "integer", "text": "text"}, form)
    puts: list[bytes | None] = []

    class Deaf(PostgresApiJobs):
        async def complete(self, *arguments: Any) -> None:
            puts.append(bench.objects.held(object_key(1, id)))
            await super().complete(*arguments)
            raise Transient("the connection was lost")

    bench.jobs = Deaf(bench.pool, bench.objects, told_of(bench.clock))
    async with bench.running(replace(counting(nothing), file=lambda _: file)):
        await bench.until(id, ENDED)
    assert await bench.row(id, "state") == ("COMPLETE",)
    first, again = puts
    assert first is not None and first == again
    assert form == "parquet" or len(rows_of(first)) == 26
    assert await bench.told() == [("job.completed", 1, str(id))]


@pytest.mark.parametrize("ends", ["turn", "pause", "drain"])
async def test_made_ones_hold_up_nobody_while_their_files_cannot_be_put(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setattr(running, "TURN_S", 0.2 if ends == "turn" else 600.0)
    stage, gate, all_tried, tried = Stage("intake"), Gate(), trio.Event(), 0

    async def away() -> None:
        nonlocal tried
        tried += 1
        if tried == running.AT_ONCE:
            all_tried.set()
        raise Transient("the bucket is away", retry_after_s=600.0 if ends == "drain" else 0.0)

    objects = MemoryObjects(away)
    made = [await bench.add() for _ in range(running.AT_ONCE)]
    async with trio.open_nursery() as nursery:
        kinds = (counting(nothing), FREE)
        mine = runner(bench.jobs, objects, bench.clock, stage, *kinds, board=bench.board, gate=gate)
        await nursery.start(mine.run)
        with trio.fail_after(30):
            await all_tried.wait()
        if ends == "turn":
            other = await bench.add("free")
            with trio.fail_after(30):
                while not (await bench.row(other, ENDED))[0]:  # noqa: ASYNC110
                    await trio.sleep(0.01)  # a commit of another task tells nobody
        elif ends == "pause":
            gate.turn(is_open=False)
            for id in made:
                await bench.until(id, "state = 'PENDING'")
        stage.begin()
        with trio.fail_after(30):
            await stage.empty()
    for id in made:
        assert await bench.row(id, "state", "made", "failures") == ("PENDING", True, 0)
    await bench.execute("update api_job set due_at = now()")
    async with bench.running(counting(nothing)):
        for id in made:
            await bench.until(id, ENDED)
            assert await bench.row(id, "state") == ("COMPLETE",)


async def test_the_parts_of_a_few_are_freed_without_a_look_at_all(bench: Bench) -> None:
    id = await bench.add()
    others = "select gen_random_uuid(), 1, 'OWNER', 'PAID', 'count', '{}' from generate_series(1, 2000)"
    await bench.execute(f"insert into api_job (id, partner_id, role, plan, kind, params) {others}")
    await bench.execute("insert into api_job_part select 1, id, 'report', g, 'x' from api_job, generate_series(1, 5) g")
    await bench.execute("analyze api_job, api_job_part")
    async with bench.pool.connection() as connection:
        which = {"ids": [id], "partner_ids": [1]}
        plan = await (await connection.execute(b"explain " + SQL["freed"].encode(), which)).fetchall()
    assert "Index Cond: ((partner_id = " in str(plan), plan

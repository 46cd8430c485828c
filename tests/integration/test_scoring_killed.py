"""A scorer on a real RabbitMQ that ends where it hurts: between a batch's steps, within it, hanging, over one follower,
and under messages of a hundred megabytes. Each follower has one answer in the end, and no neighbour pays."""

import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from gcc.channels.message import Delivery, Frame, Route
from gcc.clock import SystemClock
from gcc.metrics import Metrics
from gcc.pipelines.declared import Context
from gcc.pipelines.events.sinks import Sink
from gcc.pipelines.events.types import CREATOR_FOLLOWER_SCORE
from gcc.pipelines.scoring.batches import MESSAGE_LINES_MAX, SLICES
from gcc.pipelines.scoring.pipeline import QUEUE
from gcc.stores import rabbitmq as amqp
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.postgres import Pool
from tests.fakes import victims
from tests.fakes.objects import MemoryObjects
from tests.fakes.victims import HANGS, KILLS, ONCE
from tests.integration.scoring_child import exchange_at, scoring
from tests.integration.test_scoring_workers import children, until_gone

FOLLOWERS = 900
WITHIN_S = 120.0


def asked(handle: str, **more: Any) -> dict[str, Any]:
    return {"profile_id": "c1", "follower_handle": handle, "follower_full_name": "Asha Rao"} | more


async def publish(url: str, *bodies: bytes) -> None:
    """As anybody does, without any header of ours."""
    async with amqp.connect(url) as connection:
        channel = await connection.open_channel()
        await channel.select_confirms()
        outcome = await channel.publish([amqp.Message("beat.dx", "creator_follower_in", body) for body in bodies])
        assert not outcome.nacked and not outcome.returned


def body(lines: Sequence[dict[str, Any]]) -> bytes:
    return b"\n".join(map(msgspec.json.encode, lines))


async def declared(url: str, pool: Pool) -> None:
    """The queue, by a scorer that has nothing to do."""
    async with scoring(url, pool):
        pass


async def answers(pool: Pool) -> list[bytes]:
    """The lines that are committed."""
    async with pool.connection() as connection:
        rows = await (await connection.execute("select routing_key, body from outbox order by id")).fetchall()
    assert {key for key, _ in rows} <= {"creator_out"}
    return [line for _, packed in rows for line in bytes(packed).splitlines()]


async def letters(pool: Pool) -> list[str]:
    async with pool.connection() as connection:
        return [reason for (reason,) in await (await connection.execute("select reason from dead_letter")).fetchall()]


async def all_scored(context: Context, count: int) -> None:
    """`count` in this life, and then it drains: what it took is acknowledged."""
    (tally,) = context.tallies
    with trio.fail_after(WITHIN_S):
        while tally.scored.total() < count:  # noqa: ASYNC110 - it tells nobody
            await trio.sleep(0.02)
        context.drain.stage("intake").begin()
        await context.drain.stage("intake").empty()


async def left(url: str, pool: Pool) -> int:
    """Messages of the queue that nobody has acknowledged."""
    async with exchange_at(url, pool) as exchange:
        (look,) = await exchange.look([QUEUE])
        return look.ready


@pytest.mark.parametrize("point", ["scored", "committed"])
async def test_a_process_that_is_killed_in_its_batch_loses_nothing_and_doubles_no_row(
    rabbitmq: str, database: str, pool: Pool, clickhouse: ClickHouse, point: str
) -> None:
    await declared(rabbitmq, pool)
    hundreds = range(0, FOLLOWERS, 100)
    await publish(rabbitmq, *(body([asked(f"asha_{at + number}") for number in range(100)]) for at in hundreds))
    command = [sys.executable, "-m", "tests.integration.scoring_child", rabbitmq, database, point]
    with trio.fail_after(WITHIN_S):
        child = await trio.run_process(command, check=False, stderr=subprocess.STDOUT)
    assert child.returncode == -signal.SIGKILL
    before = await answers(pool)
    assert bool(before) == (point == "committed")
    async with scoring(rabbitmq, pool) as context:
        await all_scored(context, FOLLOWERS)
    assert await left(rabbitmq, pool) == 0
    lines = await answers(pool)
    found = defaultdict(set)
    for line in lines:
        answer = msgspec.json.decode(line)
        found[answer["follower_handle"]].add((answer["event_id"], answer["score"]))
    assert len(lines) == FOLLOWERS + len(before), "what was committed and not acknowledged is answered again"
    assert len(found) == FOLLOWERS and all(len(each) == 1 for each in found.values()), "by the same event"
    assert await letters(pool) == []
    clock = SystemClock()
    frame = Frame(clock.new_id(), Route("", "creator_out"), len(lines), b"\n".join(lines), counted=0)
    sink = Sink(CREATOR_FOLLOWER_SCORE, clickhouse, StoredDeadLetters(pool, MemoryObjects(), clock), Metrics())
    await sink.handle([Delivery("creator_out", 1, frame, 1)])
    (row,) = await clickhouse.rows(
        "select count() as rows, uniqExact(event_id) as ids from _e.creator_follower_score final"
    )
    assert row == {"rows": FOLLOWERS, "ids": FOLLOWERS}


async def test_a_worker_without_memory_costs_time_and_the_one_over_whom_each_ends_is_one_refused_row(
    rabbitmq: str, pool: Pool, tmp_path: Path
) -> None:
    await declared(rabbitmq, pool)
    lines = [asked(f"asha_{number}") for number in range(FOLLOWERS)]
    lines[100] = asked(f"{ONCE}{tmp_path / 'mark'}")
    lines[700] = asked(f"{KILLS}each_worker")
    await publish(rabbitmq, body(lines))
    async with scoring(rabbitmq, pool, score=victims.mortal) as context:
        await all_scored(context, FOLLOWERS)
        lost = context.tallies[0].lost
    found = [msgspec.json.decode(line) for line in await answers(pool)]
    assert len({each["event_id"] for each in found}) == len(found) == FOLLOWERS
    (refused,) = (each for each in found if each["score"] is None)
    assert refused["follower_handle"] == f"{KILLS}each_worker"
    assert "the process that scored ended (exit code 137)" in refused["refused"]
    assert set(lost) == {"killed"} and lost["killed"] in (len(SLICES), len(SLICES) + 1)
    assert await left(rabbitmq, pool) == 0 and await letters(pool) == []


async def test_a_worker_that_hangs_at_a_drain_is_ended_with_the_grace_and_its_batch_comes_again(
    rabbitmq: str, pool: Pool
) -> None:
    await declared(rabbitmq, pool)
    await publish(rabbitmq, body([asked(f"{HANGS}on"), asked("asha_1")]))
    async with scoring(rabbitmq, pool, score=victims.score, slow_s=3600) as context:
        actor = context.board.actor("scoring/scorer")
        with trio.fail_after(WITHIN_S):
            while not (actor.in_flight and children()):  # noqa: ASYNC110 - it tells nobody
                await trio.sleep(0.02)
        hanging = children()
        context.drain.stage("intake").begin()
        with trio.move_on_after(0.5) as grace:
            await context.drain.stage("intake").empty()
        assert grace.cancelled_caught, "what is in hand is not let go before"
    await until_gone(hanging)
    assert await answers(pool) == []
    async with scoring(rabbitmq, pool) as context:
        await all_scored(context, 2)
    assert len(await answers(pool)) == 2 and await left(rabbitmq, pool) == 0


async def test_messages_of_a_hundred_megabytes_are_scored_or_refused_and_neighbours_are_well(
    rabbitmq: str, pool: Pool
) -> None:
    """The broker takes 128 MiB at most."""
    await declared(rabbitmq, pool)
    count = MESSAGE_LINES_MAX - 1000
    many = body([asked(f"asha_{number}", bio="x" * 5200) for number in range(count)])
    endless = b'{"profile_id":"c1","follower_handle":"ravi","bio":"' + b"y" * len(many) + b'"}'
    assert min(len(many), len(endless)) > 100_000_000
    await publish(rabbitmq, endless, many, body([asked("neighbour")]))
    async with scoring(rabbitmq, pool) as context:
        await all_scored(context, count + 1)
    found = [msgspec.json.decode(line)["follower_handle"] for line in await answers(pool)]
    assert len(found) == len(set(found)) == count + 1
    assert [reason.partition(", ")[0] for reason in await letters(pool)] == [f"it has {len(endless):,} bytes"]
    assert await left(rabbitmq, pool) == 0

"""Followers through real processes on a real RabbitMQ and PostgreSQL: scorers that share the queue are killed, and
their workers, and the broker; each follower is stored with one score, and none is lost."""

import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from gcc.channels.message import Frame, frames
from gcc.clock import SystemClock
from gcc.pipelines.events.routes import CREATOR_FOLLOWER_IN
from gcc.stores import outbox
from gcc.stores.postgres import Pool
from tests.integration.test_lost_dependencies import line, worked
from tests.process import PlatformProcess, Status, platform
from tests.services.rabbitmq import RabbitMQNode
from tests.torture.victim import workers_of

FOLLOWERS = 6000
URL = "GCC_EXCHANGE__URL"
HUB = ("world.enabled=false", 'roles=["relay","sinker"]', "sinker.batch_age_s=0.5", "demo=false", "web.dev_token=")
SCORER = ("world.enabled=false", 'roles=["scorer"]', "scorer.workers=1", "demo=false", "web.dev_token=")
OUT, SINKER = "scoring/scorer", "events/sinker creator_follower_score"

COUNT = """
import json, sys
from pathlib import Path
from gcc.stores.clickhouse_clients import Opener
(client,) = Opener(Path(sys.argv[1]), query_s_max=60).open({"count": 1})["count"]
(row,) = client.query(
    "select count() as n, uniqExact(event_id) as answers, uniqExact(follower_profile_id) as followers,"
    " countIf(score is null) as refused from _e.creator_follower_score final"
).named_results()
print(json.dumps(row))
client.close()
"""
"""In a process of its own: this one may have opened another engine."""


async def ask(pool: Pool, numbers: Sequence[int]) -> None:
    clock = SystemClock()
    told = (
        msgspec.json.encode(
            {
                "profile_id": f"c{number % 7}",
                "follower_profile_id": str(number),
                "follower_handle": f"asha_{number}",
                "follower_full_name": "Asha Rao",
                "event_id": str(clock.new_id()),
            }
        )
        for number in numbers
    )
    packed = frames(CREATOR_FOLLOWER_IN, told, clock.new_id)
    async with pool.transaction() as connection:
        await outbox.put(connection, [Frame(f.id, f.route, f.events, f.body, counted=0) for f in packed])


async def until(running: PlatformProcess, what: Any, told: str) -> Status:
    async def now(status: Status) -> Status | None:
        return status if what(status) else None

    found: Status = await running.until(now, told)
    return found


def queued(status: Status) -> int:
    return sum(each["used"] for each in status["channels"] if each["kind"] == "queue")


async def test_what_is_killed_loses_no_follower_and_doubles_none(
    tmp_path: Path,
    rabbitmq: str,
    rabbitmq_node: RabbitMQNode,
    database: str,
    pool: Pool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GCC_POSTGRES__URL", database)
    monkeypatch.setenv(URL, rabbitmq)
    async with AsyncExitStack() as running:
        hub = await running.enter_async_context(platform(tmp_path / "hub", *HUB))
        first = await running.enter_async_context(platform(tmp_path / "first", *SCORER))
        second = await running.enter_async_context(platform(tmp_path / "second", *SCORER))
        await ask(pool, range(FOLLOWERS // 3))
        await until(first, lambda s: worked(s, OUT) > 0, "scores of the first")
        (worker,) = workers_of(first.process.pid)
        os.kill(worker, signal.SIGKILL)
        await ask(pool, range(FOLLOWERS // 3, 2 * FOLLOWERS // 3))
        await until(second, lambda s: worked(s, OUT) > 0, "scores of the second: they share the queue")
        orphans = workers_of(second.process.pid)
        second.process.kill()
        await second.process.wait()
        with trio.fail_after(30):
            while any(Path(f"/proc/{pid}").exists() for pid in orphans):  # noqa: ASYNC110, ASYNC240
                await trio.sleep(0.05)
        await ask(pool, range(2 * FOLLOWERS // 3, FOLLOWERS))
        await rabbitmq_node.settle()
        rabbitmq_node.kill()
        await until(first, lambda s: line(s, OUT)["state"] == "backoff", "a scorer without a broker")
        await rabbitmq_node.start()
        await until(hub, lambda s: worked(s, SINKER) >= FOLLOWERS and not queued(s), "all scores stored")
        for process in (first, hub):
            assert await process.stop() == 0
    async with pool.connection() as connection:
        ((letters,),) = await (await connection.execute("select count(*) from dead_letter")).fetchall()
        ((left,),) = await (await connection.execute("select count(*) from outbox")).fetchall()
    assert (letters, left) == (0, 0)
    counted = await trio.run_process(
        [sys.executable, "-c", COUNT, str(tmp_path / "hub" / "clickhouse")], capture_stdout=True
    )
    assert json.loads(counted.stdout) == {"n": FOLLOWERS, "answers": FOLLOWERS, "followers": FOLLOWERS, "refused": 0}

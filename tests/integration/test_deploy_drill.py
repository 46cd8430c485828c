"""A deploy: two processes on one PostgreSQL, RabbitMQ and ClickHouse; the leader is drained, the other goes on."""

import json
from pathlib import Path

import psycopg
import pytest

from tests.fakes.credentials import KEY
from tests.integration.test_lost_dependencies import (
    SETTINGS,
    all_done,
    clickhouse,
    done,
    free_port,
    line,
    until,
    worked,
)
from tests.process import PlatformProcess, Status, platform

CREATORS = 80
LEADER = "events/relay leader"


def at_work(status: Status) -> bool:
    """It scrapes and stores; of relaying see its leader."""
    scrapers = [actor["done"] for actor in status["actors"] if actor["name"].startswith("scraping/scraper")]
    return sum(scrapers) > 10 and worked(status, "events/sinker profile_log") > 0


async def asked(running: PlatformProcess, verb: str, flow: str) -> None:
    url, json = f"{running.running.url}/api/{verb}", {"what": flow, "why": "a deploy"}
    (await running.client.post(url, json=json, headers=running.running.headers)).raise_for_status()


async def test_the_leader_of_two_processes_is_drained_and_the_other_finishes_everything(
    tmp_path: Path, rabbitmq: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GCC_EXCHANGE__URL", rabbitmq)  # of the child processes
    monkeypatch.setenv("GCC_POSTGRES__URL", database)
    monkeypatch.setenv("GCC_CREDENTIALS__KEYS", json.dumps([KEY]))
    port = await free_port()
    settings = (
        *SETTINGS, f"world.creators={CREATORS}", "sources.ytapi.calls=1", f"clickhouse.url=http://127.0.0.1:{port}",
    )  # fmt: skip
    async with clickhouse(tmp_path / "server", port), platform(tmp_path / "old", *settings) as old:
        flows = sorted((await until(old, lambda s: done(s) > 10, "the crawl"))["jobs_by_flow"])
        for flow in flows:  # however long the new one takes to start, it finds work
            await asked(old, "pause", flow)
        async with platform(tmp_path / "new", *settings) as new:
            at_once, left = flows  # of the second one some is left however fast the crawl is
            await asked(old, "resume", at_once)
            await until(new, at_work, "the new one at work")
            both = [await until(each, at_work, "both at work") for each in (old, new)]
            assert [line(status, LEADER)["state"] for status in both] == ["running", "standby"]
            assert worked(both[1], "events/relay") == 0
            assert await old.stop() == 0
            with psycopg.connect(database) as connection:
                (resigned,) = connection.execute(
                    "select until <= now() or term = 2 from leader where name = 'relay'"
                ).fetchall()
            assert resigned == (True,), "nobody waits until the term runs out"
            after = await until(new, lambda s: line(s, LEADER)["state"] == "running", "a new leader")
            assert done(after) < 2 * CREATORS, "the crawl was not over yet"
            await asked(new, "resume", left)
            await until(new, lambda s: worked(s, "events/relay") > 0, "relaying")
            await all_done(new, restarted=set(), creators=CREATORS)

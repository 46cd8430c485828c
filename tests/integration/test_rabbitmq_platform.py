"""The platform on a RabbitMQ that is killed, stopped and starved while it is loaded: it waits, in view, and goes on."""

import os
import signal
from pathlib import Path

import pytest
import trio

from tests.clusters import started_before
from tests.integration.test_error_queues import given_up
from tests.integration.test_lost_dependencies import YOUTUBE, all_done, done, line, sinkers, until, worked
from tests.process import Status, command, platform, verb
from tests.services.rabbitmq import RabbitMQNode

BROKER, RELAY = "stores/rabbitmq", "events/relay"
CREATORS = 100
# A first crawl of half a minute: long enough for several things to go wrong in the middle of it.
SETTINGS = (
    f"world.creators={CREATORS}", "world.history_days=2", "world.calls_per_s=400", "sinker.batch_age_s=0.5",
    "sources.graphapi.calls=1", "sources.ytapi.calls=1", 'roles=["scraper","relay","sinker"]',
)  # fmt: skip
LONG = (*SETTINGS, "sources.graphapi.per_s=2.5", "sources.ytapi.per_s=2.5")
"""Minutes, so that a busy machine, too, kills broker and process in the middle of it; the next start hurries."""
URL = "GCC_EXCHANGE__URL"


@pytest.fixture(autouse=True)
def exchange(rabbitmq: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL, rabbitmq)  # of the child processes


def lost(status: Status) -> bool:
    """The broker is away and everyone who needs it says so; the process is ready all the same."""
    away = [line(status, BROKER), line(status, RELAY), *sinkers(status)]
    return {actor["state"] for actor in away} == {"backoff"} and bool(status["counts_error"])


def at_work(status: Status) -> bool:
    return line(status, BROKER)["state"] == "running" and {a["state"] for a in sinkers(status)} == {"running"}


def queued(status: Status) -> int:
    return sum(channel["used"] for channel in status["channels"] if channel["kind"] == "queue")


async def test_the_broker_the_process_and_postgres_are_killed_in_turn(
    tmp_path: Path, rabbitmq_node: RabbitMQNode
) -> None:
    data = await started_before(tmp_path / "data")
    async with platform(data, *LONG) as running:
        await until(running, lambda s: done(s) > 10 and worked(s, "events/sinker profile_log"), "the crawl")
        await given_up(os.environ[URL], "identity.dx", "error.identity_token_q", b"<token/>", reason="no JSON")
        buried = await until(running, lambda s: s["dead_letters"]["letters"], "what another program gave up")
        (group,) = buried["dead_letters"]["groups"]
        assert (group["queue"], group["reason"]) == ("identity_token_q", "given up by another consumer: no JSON")
        await rabbitmq_node.settle()
        rabbitmq_node.kill()
        gone = await until(running, lost, "a lost broker")
        assert "Connection refused" in line(gone, BROKER)["last_error"]
        await until(running, lambda s: done(s) > done(gone) + 10, "scraping")
        await rabbitmq_node.start()
        back = await until(running, at_work, "the broker again")
        assert {actor["name"] for actor in back["actors"] if actor["restarts"]} == set()
        running.process.kill()
        await running.process.wait()
    async with platform(data, *SETTINGS) as running:
        await until(running, lambda s: done(s) > done(back) + 10, "the crawl, resumed")
        postmaster = int((data / "postgres" / "postmaster.pid").read_text().partition("\n")[0])
        os.kill(postmaster, signal.SIGKILL)
        await all_done(running, restarted={"stores/postgres"}, creators=CREATORS)
    vhost = os.environ[URL].rpartition("/")[2]
    queues = (await rabbitmq_node.control("list_queues", "-p", vhost, "name", "messages")).splitlines()[1:]
    assert len(queues) >= 4 and {queue.split()[1] for queue in queues} == {"0"}, "nothing is left unacknowledged"
    code, report, _ = await verb("check", data)
    assert (code, report["jobs_complete"], report["queued"]) == (0, 2 * CREATORS, 0)
    rabbitmq_node.kill()
    code, report, told = await verb("check", data)
    assert (code, report, told.count("\n")) == (1, None, 1) and "Connection refused" in told, told


async def test_a_broker_is_waited_for_at_the_start_blocks_publishers_and_stands_still(
    tmp_path: Path, rabbitmq_node: RabbitMQNode
) -> None:
    data = await started_before(tmp_path / "data")
    rabbitmq_node.kill()

    async def look_and_start() -> None:
        status: Status = {"actors": []}
        while line(status, BROKER).get("state") != "backoff":
            _, answer, _ = await verb("status", data)
            status = answer or status
        assert status["state"] == "starting" and "Connection refused" in line(status, BROKER)["last_error"]
        paused, _, told = await verb(
            "pause", data, YOUTUBE, "--why", "the rest of the crawl is for the broker's return"
        )
        assert paused == 0, told  # no broker is needed for it, nor for what else is scraped meanwhile
        await rabbitmq_node.start()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look_and_start)
        async with platform(data, *SETTINGS) as running:
            await until(running, lambda s: done(s) > 10 and worked(s, "events/sinker profile_log"), "the crawl")

            await rabbitmq_node.set_memory_alarm(True)
            assert (await verb("resume", data, YOUTUBE, "--why", "something to publish"))[0] == 0
            blocked = await until(running, lambda s: line(s, BROKER)["state"] == "backoff", "blocked publishers")
            assert "blocks publishers: low on memory" in line(blocked, BROKER)["last_error"]
            later = await until(running, lambda s: done(s) > done(blocked) + 10 and not queued(s), "all else at work")
            assert {sinker["state"] for sinker in sinkers(later)} == {"running"}
            await rabbitmq_node.set_memory_alarm(False)
            await until(running, lambda s: at_work(s) and worked(s, RELAY) > worked(later, RELAY), "relaying")

            rabbitmq_node.pause()
            gone = await until(running, lost, "a broker that does not answer")  # two heartbeats later
            rabbitmq_node.resume()
            await until(running, lambda s: at_work(s) and done(s) >= done(gone), "the broker again")
            await all_done(running, restarted=set(), creators=CREATORS)


@pytest.mark.parametrize(
    ("path", "why"),
    [("//nobody:hush-hush@{place}/{vhost}", "ACCESS_REFUSED"), ("//{login}@{place}/nowhere", "nowhere not found")],
)
async def test_a_broker_that_refuses_us_refuses_the_start(
    tmp_path: Path, rabbitmq: str, database: str, monkeypatch: pytest.MonkeyPatch, path: str, why: str
) -> None:
    authority, _, vhost = rabbitmq.removeprefix("amqp://").partition("/")
    login, _, place = authority.partition("@")
    monkeypatch.setenv("GCC_POSTGRES__URL", database)  # which is there already
    monkeypatch.setenv(URL, "amqp:" + path.format(place=place, vhost=vhost, login=login))
    with trio.fail_after(60):
        ended = await trio.run_process(
            command("run", tmp_path, settings=SETTINGS), capture_stdout=True, capture_stderr=True, check=False
        )
    (told,) = [text for text in ended.stderr.decode().splitlines() if text.startswith("gcc: ")]
    assert (ended.returncode, why in told, told.count("gcc: ")) == (2, True, 1), told
    assert "exchange.url: rabbitmq at " + place in told
    assert "hush" not in ended.stderr.decode() and "ready" not in ended.stdout.decode()

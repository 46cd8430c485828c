"""What a process needs for its roles and does not find at the start: it is waited for, or tells why it refuses."""

import json
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
import trio
from psycopg.conninfo import make_conninfo

from gcc.errors import ConfigError
from gcc.pipelines.scraping.start import keep_apart
from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.stores.postgres import Connection, Pool
from tests.clusters import started_before
from tests.integration.test_lost_dependencies import clickhouse, free_port, line
from tests.integration.test_secrets import AWAY, SECRET
from tests.process import Launch, PlatformProcess, Status, command, launched, platform
from tests.services.rabbitmq import RabbitMQNode
from tests.services.redis import RedisNode

SMALL = ("world.creators=2", "world.history_days=2", "sinker.batch_age_s=0.2")


@asynccontextmanager
async def postgres(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder, fsync=False)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        yield server
        nursery.cancel_scope.cancel()


async def until(running: PlatformProcess, condition: Callable[[Status], Any], what: str) -> Status:
    async def so(status: Status) -> Status | None:
        return status if condition(status) else None

    return dict(await running.until(so, what))


async def code(running: PlatformProcess, path: str) -> int:
    return (await running.client.get(running.running.url + path)).status_code


def told(launch: Launch, event: str, part: str) -> list[dict[str, Any]]:
    lines = [json.loads(text) for text in launch.log.read_text().splitlines() if text.startswith("{")]
    return [each for each in lines if each["event"] == event and each.get("part") == part]


def names(status: Status) -> set[str]:
    return {actor["name"] for actor in status["actors"]}


@pytest.mark.parametrize("role", ["scraper", "relay", "sinker", "analytics", "web"])
async def test_postgres_that_is_away_is_waited_for(tmp_path: Path, role: str) -> None:
    server = EmbeddedPostgres(await started_before(tmp_path / "server"), fsync=False)
    settings = (*SMALL, f'roles=["{role}"]', f"postgres.url={server.conninfo}")
    async with launched(tmp_path / "data", *settings) as launch:
        running = await launch.reachable()
        gone = await until(running, lambda s: line(s, "stores/schema").get("failed", 0) >= 3, "some tries")
        assert line(gone, "stores/schema")["state"] == "backoff"
        assert gone["state"] == "starting"
        assert (await code(running, "/live"), await code(running, "/ready")) == (200, 503)
        assert [each["error"] for each in told(launch, "away", "stores/schema")] == [
            line(gone, "stores/schema")["last_error"]
        ]
        async with postgres(tmp_path / "server"):
            await launch.ready()
            assert await code(running, "/ready") == 200
            assert len(told(launch, "away", "stores/schema")) == len(told(launch, "started", "stores/schema")) == 1
            assert await running.stop() == 0


async def test_what_no_role_needs_is_not_opened(tmp_path: Path) -> None:
    nowhere = (
        "clickhouse.url=http://127.0.0.1:1",
        "exchange.url=amqp://127.0.0.1:1",
        "redis.url=redis://127.0.0.1:1",
    )
    for roles, opened in [
        (["relay"], {"stores/rabbitmq"}),
        (["analytics"], {"stores/clickhouse", "stores/rabbitmq"}),  # changed accounts and alerts are announced to it
        (["scraper"], {"stores/redis", "stores/rabbitmq"}),  # the listeners of credentials are with it
        (["web"], {"stores/clickhouse", "stores/redis"}),
        (["sinker"], {"stores/clickhouse", "stores/rabbitmq"}),
    ]:
        async with launched(
            await started_before(tmp_path / roles[0]), *SMALL, *nowhere, f"roles={json.dumps(roles)}"
        ) as launch:
            running = await launch.reachable()
            status = await until(running, lambda s: line(s, "controls").get("done"), "the database")
            found = names(status) & {"stores/clickhouse", "stores/rabbitmq", "stores/redis"}
            assert (roles, found) == (roles, opened)
            assert (roles, status["state"]) == (roles, "starting") or roles == ["web"]


async def test_clickhouse_that_is_away_is_waited_for_and_the_rest_works(tmp_path: Path) -> None:
    port = await free_port()
    async with launched(
        await started_before(tmp_path / "data"), *SMALL, f"clickhouse.url=http://127.0.0.1:{port}"
    ) as launch:
        running = await launch.reachable()
        await until(running, lambda s: s["jobs"].get("COMPLETE") == 4, "a crawl without ClickHouse")
        gone = await until(running, lambda s: line(s, "stores/clickhouse").get("failed", 0) >= 3, "some tries")
        assert (gone["state"], line(gone, "stores/clickhouse")["state"]) == ("starting", "backoff")
        assert line(gone, "events/sinkers")["state"] == "starting"
        profiles = (await running.world("/truth/YOUTUBE?limit=1"))["data"]
        path = f"/discovery-service/api/profile/YOUTUBE/{profiles[0]['handle']}"
        assert (await running.api("GET", path)).status_code == 200
        async with clickhouse(tmp_path / "server", port):
            await launch.ready()
            assert len(told(launch, "away", "stores/clickhouse")) == 1
            await until(running, lambda s: s["stored_lag_s"] == 0, "all stored")
            assert await running.stop() == 0


async def test_a_gateway_is_ready_without_clickhouse_and_redis(tmp_path: Path) -> None:
    nowhere, parts = ("clickhouse.url=http://127.0.0.1:1", "redis.url=redis://127.0.0.1:1/0"), ("clickhouse", "redis")
    async with platform(await started_before(tmp_path / "data"), *SMALL, 'roles=["web"]', *nowhere) as running:

        def tried(status: Status) -> bool:
            return status["state"] == "ready" and all(line(status, f"stores/{part}").get("failed") for part in parts)

        status = await until(running, tried, "tries")
        assert [line(status, f"stores/{part}")["state"] for part in parts] == ["backoff"] * 2
        assert (await running.api("GET", "/heartbeat")).status_code == 200
        told = await running.api("POST", "/leaderboard-service/api/leaderboard/platform/INSTAGRAM")
        assert (told.status_code, told.headers["ratelimit-policy"]) == (200, '"read";q=300;w=60'), "a quarter"


async def test_a_broker_that_is_away_is_waited_for_and_the_rest_works(
    tmp_path: Path, rabbitmq: str, rabbitmq_node: RabbitMQNode
) -> None:
    await rabbitmq_node.settle()
    rabbitmq_node.kill()
    environ = {"GCC_EXCHANGE__URL": rabbitmq}
    async with launched(await started_before(tmp_path / "data"), *SMALL, environ=environ) as launch:
        running = await launch.reachable()
        gone = await until(running, lambda s: s["jobs"].get("COMPLETE") == 4, "a crawl without the broker")
        assert (gone["state"], line(gone, "stores/rabbitmq")["state"]) == ("starting", "backoff")
        assert (await running.api("GET", "/heartbeat")).json()["error"]["code"] == "STARTING"
        await rabbitmq_node.start()
        await launch.ready()
        assert len(told(launch, "away", "stores/rabbitmq")) == len(told(launch, "back", "stores/rabbitmq")) == 1
        await until(running, lambda s: s["stored_lag_s"] == 0, "all stored")
        assert await running.stop() == 0


async def test_a_process_that_still_waits_ends_when_it_is_asked(tmp_path: Path) -> None:
    nowhere = ("clickhouse.url=http://127.0.0.1:1", "postgres.url=postgresql://127.0.0.1:1/gcc")
    for number in (signal.SIGTERM, signal.SIGINT):
        async with launched(tmp_path / number.name, *SMALL, *nowhere) as launch:
            running = await launch.reachable()
            await until(running, lambda s: line(s, "stores/schema").get("failed"), "a try")
            assert await running.stop(number) == 0


async def test_no_password_of_what_is_away_is_logged(tmp_path: Path) -> None:
    environ = {**AWAY, "GCC_SOURCES__GRAPHAPI__TOKENS": json.dumps([f"17:{SECRET}"])}
    parts = ("stores/schema", "stores/clickhouse", "stores/rabbitmq", "stores/redis")
    async with launched(tmp_path / "data", *SMALL, environ=environ) as launch:
        running = await launch.reachable()
        await until(running, lambda s: all(line(s, part).get("failed", 0) >= 2 for part in parts), "tries of all")
        status = (await running.client.get(running.running.url + "/api/status", headers=running.running.headers)).text
        assert await running.stop() == 0
    assert all(len(told(launch, "away", part)) == 1 for part in parts)
    assert SECRET not in status
    assert SECRET not in launch.log.read_text()


async def test_check_says_what_a_process_has_not_open(tmp_path: Path) -> None:
    async with platform(await started_before(tmp_path / "data"), *SMALL, 'roles=["scraper", "relay"]') as running:
        answer = await running.client.post(running.running.url + "/api/check", headers=running.running.headers)
        assert answer.status_code == 422
        assert answer.json()["error"]["detail"] == (
            "check reads ClickHouse, which this process (roles: scraper, relay) has not open;"
            " ask one with the role sinker"
        )


# refused


async def refused(tmp_path: Path, name: str, value: str, *settings: str) -> str:
    """The sentence of a start with this variable. No secret is in it, and no traceback beside it."""
    data = await started_before(Path(tempfile.mkdtemp(dir=tmp_path)))
    async with launched(data, *SMALL, *settings, environ={name: value}) as launch:
        exit_code, log = await launch.ended()
    assert exit_code == 2, log
    assert SECRET not in log
    assert "Traceback" not in log
    (sentence,) = [text for text in log.splitlines() if text.startswith("gcc: ")]
    return sentence


async def test_a_postgres_that_refuses_us_is_told_at_once(tmp_path: Path) -> None:
    async with postgres(tmp_path / "server") as server:
        async with await Connection.connect(server.superuser_conninfo) as owner:
            await owner.execute("create role asks login password 'right'")
            await owner.execute("create role reads login")
            place = tmp_path / "server" / "postgres" / "pg_hba.conf"
            place.write_text("local all asks scram-sha-256\nlocal all shut reject\n" + place.read_text())
            await owner.execute("select pg_reload_conf()")
        for changed, says in [
            ({"user": "asks", "password": SECRET}, 'password authentication failed for user "asks"'),
            ({"user": "asks"}, "no password supplied"),
            ({"user": "shut"}, "pg_hba.conf rejects connection"),
            ({"user": "nobody_knows"}, 'role "nobody_knows" does not exist'),
            ({"dbname": "nowhere"}, 'database "nowhere" does not exist'),
            ({"user": "reads"}, "permission denied for schema public"),
        ]:
            sentence = await refused(tmp_path, "GCC_POSTGRES__URL", make_conninfo(server.conninfo, **changed))
            assert "postgres.url: " in sentence
            assert says in sentence


@pytest.mark.parametrize(
    ("zone", "says"),
    [
        (
            "Nowhere/None",
            "(chdb) does not start here: Cannot load time zone Nowhere/None; ",
        ),
        (":/etc/passwd", "(chdb) does not start here: "),
        ("XXX+99:99", "the variable TZ is no time zone"),
    ],
)
async def test_a_time_zone_that_is_none_is_told_at_once(tmp_path: Path, zone: str, says: str) -> None:
    assert says in await refused(tmp_path, "TZ", zone)
    done = await trio.run_process(
        command("doctor", tmp_path / "new"), env={**os.environ, "TZ": zone}, capture_stdout=True, capture_stderr=True,
        check=False,
    )  # fmt: skip
    told = (done.stdout + done.stderr).decode()
    assert done.returncode in (1, 2) and "Traceback" not in told
    assert " ".join(says.split()[:4]) in told


async def test_an_engine_without_room_is_told_at_once(tmp_path: Path) -> None:
    words = ["prlimit", "--as=1000000000", *command("run", tmp_path / "data", settings=SMALL)]
    with trio.fail_after(60):
        done = await trio.run_process(words, capture_stdout=True, capture_stderr=True, check=False)
    log = done.stderr.decode()
    assert (done.returncode, "Traceback" in log) == (2, False), log
    assert "gcc: the embedded ClickHouse (chdb) does not start here: a process may have 953 MiB of addresses" in log


async def test_a_redis_that_refuses_us_is_told_at_once(tmp_path: Path, redis: str, redis_node: RedisNode) -> None:
    with redis_py.Redis.from_url(redis) as admin:
        sentence = await refused(tmp_path, "GCC_REDIS__URL", redis.removesuffix("/0") + "/99999")
        assert "redis.url: " in sentence
        assert "DB index" in sentence
        admin.config_set("requirepass", "right")
        try:
            for url in (redis, redis.replace("//", f"//:{SECRET}@"), redis.replace("//", f"//u:{SECRET}@")):
                assert "redis.url: " in await refused(tmp_path, "GCC_REDIS__URL", url)
        finally:
            admin.auth("right")
            admin.config_set("requirepass", "")


async def test_a_clickhouse_that_refuses_us_is_told_at_once(tmp_path: Path) -> None:
    port = await free_port()
    async with clickhouse(tmp_path / "server", port):
        url = f"http://u:{SECRET}@127.0.0.1:{port}/nowhere"
        assert "clickhouse.url: " in (sentence := await refused(tmp_path, "GCC_CLICKHOUSE__URL", url))
        assert "nowhere" in sentence


async def test_a_broker_that_refuses_us_is_told_at_once(tmp_path: Path, rabbitmq: str) -> None:
    user, _, rest = rabbitmq.removeprefix("amqp://").partition(":")
    wrong = f"amqp://{user}:{SECRET}@{rest.partition('@')[2]}"
    for url in (wrong, rabbitmq.rpartition("/")[0] + "/nowhere"):
        assert "exchange.url: " in await refused(tmp_path, "GCC_EXCHANGE__URL", url)


async def test_made_up_creators_are_not_put_among_real_ones(tmp_path: Path) -> None:
    data = await started_before(tmp_path / "data")
    async with platform(data, *SMALL, 'roles=["scraper","relay"]') as running:
        assert await running.stop() == 0
    async with launched(data, "world.enabled=false", 'roles=["scraper"]') as launch:
        exit_code, log = await launch.ended()
    (sentence,) = [text for text in log.splitlines() if text.startswith("gcc: ")]
    assert (exit_code, "Traceback" in log) == (2, False)
    assert "was filled from the stand-in world" in sentence
    assert "--set world.mix=true" in sentence
    for allowed in ("world.mix=true", 'roles=["relay"]'):  # which asks nobody
        async with platform(data, "world.enabled=false", allowed) as running:
            assert await running.stop() == 0


@pytest.mark.parametrize(("imported", "is_world"), [(None, False), (0, False), (7, True)])
async def test_who_filled_a_database_of_an_earlier_version_is_found_out(
    pool: Pool, imported: int | None, is_world: bool
) -> None:
    if imported is not None:
        async with pool.connection() as conn:
            detail = json.dumps({"imported": imported})
            await conn.execute("insert into milestone (name, detail) values ('history_imported', %s)", (detail,))
    if is_world:
        with pytest.raises(ConfigError, match="filled from the stand-in world"):
            await keep_apart(pool, world=False, mix=False)
        await keep_apart(pool, world=True, mix=False)
    else:
        await keep_apart(pool, world=False, mix=False)
        with pytest.raises(ConfigError, match="filled from the real APIs"):
            await keep_apart(pool, world=True, mix=False)
    await keep_apart(pool, world=not is_world, mix=True)

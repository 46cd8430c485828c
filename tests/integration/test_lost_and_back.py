"""Servers that go away under a platform with nothing to do: one log line when one goes, one when it is back."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import trio

from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.stores.postgres import Connection
from tests.clusters import started_before
from tests.integration.test_lost_dependencies import clickhouse, free_port
from tests.integration.test_start_without import code, postgres, until
from tests.process import PlatformProcess, Status, launched, platform
from tests.services.rabbitmq import RabbitMQNode
from tests.services.redis import RedisNode

SETTINGS = ("world.creators=2", "world.history_days=2", "sinker.batch_age_s=0.2")


def events(log: Path) -> list[tuple[str, str]]:
    """What the log tells of parts that go and come, and that they have a cause."""
    lines = [json.loads(text) for text in log.read_text().splitlines() if text.startswith("{")]
    assert all(line["error"] for line in lines if line["event"] == "away")
    return [(line["event"], line["part"]) for line in lines if line["event"] in ("away", "back")]


async def seen(running: PlatformProcess, *degraded: str, ready: int = 200) -> None:
    """Wait until status and /ready tell that these parts are away, and no other."""

    async def so(status: Status) -> bool:
        answer = await running.client.get(running.running.url + "/ready")
        told = (status["degraded"], answer.json().get("degraded", []), answer.status_code)
        return told == (list(degraded), list(degraded), ready)

    await running.until(so, f"degraded: {degraded}")


async def refused(running: PlatformProcess) -> str:
    """Why a profile that nobody knows is not scraped now; told long before the wait for a scrape is over."""
    with trio.fail_after(8):
        answer = await running.api("GET", "/discovery-service/api/profile/INSTAGRAM/nobody.yet")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "SOURCE_UNAVAILABLE"), answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    return str(answer.json()["error"]["detail"])


@asynccontextmanager
async def stopped(start: Callable[[AsyncExitStack], Awaitable[object]], server: AsyncExitStack) -> AsyncIterator[None]:
    """Without the server that `start` opened, which is started again at the end."""
    await server.aclose()
    yield
    await start(server)


@asynccontextmanager
async def read_only(server: Path) -> AsyncIterator[None]:
    """The PostgreSQL server answers and lets everybody in, and takes no writes."""
    async with await Connection.connect(EmbeddedPostgres(server, fsync=False).superuser_conninfo) as admin:
        await admin.execute("alter system set default_transaction_read_only = on")
        await admin.execute("select pg_reload_conf()")
        yield
        await admin.execute("alter system reset default_transaction_read_only")
        await admin.execute("select pg_reload_conf()")


async def test_each_server_is_told_once_when_it_goes_and_once_when_it_is_back(
    tmp_path: Path, redis: str, redis_node: RedisNode, rabbitmq: str, rabbitmq_node: RabbitMQNode
) -> None:
    port = await free_port()
    await rabbitmq_node.settle()

    async def start_clickhouse(server: AsyncExitStack) -> None:
        await server.enter_async_context(clickhouse(tmp_path / "clickhouse", port))

    async def start_postgres(server: AsyncExitStack) -> str:
        return (await server.enter_async_context(postgres(tmp_path / "server"))).conninfo

    async with AsyncExitStack() as clickhouses, AsyncExitStack() as databases:
        await start_clickhouse(clickhouses)
        conninfo = await start_postgres(databases)
        environ = {"GCC_EXCHANGE__URL": rabbitmq, "GCC_REDIS__URL": redis, "GCC_POSTGRES__URL": conninfo}
        url = f"clickhouse.url=http://127.0.0.1:{port}"
        async with launched(tmp_path / "data", *SETTINGS, url, environ=environ) as launch:
            running = await launch.ready()
            await until(running, lambda s: s["jobs"] == {"COMPLETE": 4} and s["stored_lag_s"] == 0, "a crawl")
            await seen(running)
            redis_node.kill()
            await seen(running, "stores/redis")
            assert await refused(running) == "INSTAGRAM could not be asked: the store of our limits does not answer"
            await redis_node.start()
            await seen(running)
            rabbitmq_node.kill()
            await seen(running, "stores/rabbitmq")
            await rabbitmq_node.start()
            await seen(running)
            async with stopped(start_clickhouse, clickhouses):
                await seen(running, "stores/clickhouse")
            await seen(running)
            async with stopped(start_postgres, databases):
                await seen(running, "stores/notifications", ready=503)
                assert await code(running, "/live") == 200
            await seen(running)
            async with read_only(tmp_path / "server"):
                await seen(running, "stores/processes")
            await seen(running)
            assert await running.stop() == 0
    parts = ("stores/redis", "stores/rabbitmq", "stores/clickhouse", "stores/notifications", "stores/processes")
    assert events(launch.log) == [(event, part) for part in parts for event in ("away", "back")]


async def test_a_request_is_told_that_nobody_scrapes(tmp_path: Path) -> None:
    async with platform(await started_before(tmp_path), *SETTINGS, 'roles=["web"]') as running:
        assert await refused(running) == "INSTAGRAM could not be asked: no process with the role scraper runs"
        assert await running.stop() == 0


async def test_a_request_is_told_that_its_source_is_away(tmp_path: Path) -> None:
    settings = ("world.creators=2", "world.history_days=0", 'roles=["scraper", "web"]', "scraper.backoff_s=0.1")
    async with platform(await started_before(tmp_path), *settings) as running:
        await running.world("/faults", json={"source": "graphapi", "kind": "500", "rate": 1, "seconds": 600})
        assert "graphapi: HTTP 500" in await refused(running)
        assert "graphapi: HTTP 500" in await refused(running), "who joins the job is told the same"
        assert await running.stop() == 0

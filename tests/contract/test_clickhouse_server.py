"""The ClickHouse store on a server: the same class over HTTP (tests/fakes/clickhouse_server.py)."""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import trio

from gcc.errors import ConfigError, Permanent, Transient
from gcc.stores.clickhouse import ClickHouse
from tests.contract.test_clickhouse import ENDLESS, PROFILES, count, ndjson, profile_event, running, until_running
from tests.fakes.clickhouse_server import clickhouse_server


@pytest.fixture
async def server(clickhouse: ClickHouse, clickhouse_folder: Path) -> AsyncIterator[ClickHouse]:
    """A store on a server with the migrated, empty tables."""
    with clickhouse_server(clickhouse_folder) as url:
        store = ClickHouse(url, writers=1, readers=2, query_s_max=20, fsync=False)
        await store.open()
        yield store
        await store.aclose()


async def test_rows_go_in_once_and_come_back(server: ClickHouse) -> None:
    for _ in range(2):
        await server.insert_ndjson(PROFILES, ndjson(profile_event(1), profile_event(2)), token="t")
    assert await count(server) == 2
    [row] = await server.rows(
        "select event_timestamp, followers from _e.profile_log_events where followers = {n:Int64}", {"n": 1001}
    )
    assert row == {"event_timestamp": dt.datetime(2026, 3, 4, 5, 6, 7, 123456, tzinfo=dt.UTC), "followers": 1001}


async def test_refusals_are_permanent_and_say_why(server: ClickHouse) -> None:
    with pytest.raises(Permanent, match=f"insert into {PROFILES}: code 117: .*surprise"):
        await server.insert_ndjson(PROFILES, ndjson(profile_event(surprise=1)), token="t")
    with pytest.raises(Permanent, match=r"code 60: .*nope"):
        await server.rows("select * from _e.nope")
    with pytest.raises(Transient, match="code 159"):
        await server.rows(f"{ENDLESS} settings max_execution_time = 0.1")


async def test_a_cancelled_query_is_killed(server: ClickHouse, clickhouse: ClickHouse) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.rows, ENDLESS)
        await until_running(clickhouse, "sin(number)")
        nursery.cancel_scope.cancel()
    assert not await running(clickhouse, "sin(number)")
    assert await server.rows("select 1 as n") == [{"n": 1}]


async def test_a_stream_is_complete_or_fails(server: ClickHouse) -> None:
    async with aclosing(server.stream("select number from numbers(30000)")) as chunks:
        assert sum([chunk.count(b"\n") async for chunk in chunks]) == 30_000
    with pytest.raises(Transient, match="broke off a stream: __exception__"):
        async with aclosing(server.stream("select number, throwIf(number = 50000) from numbers(100000)")) as chunks:
            async for _ in chunks:
                pass
    with pytest.raises(Permanent, match="code 60"):
        async with aclosing(server.stream("select * from _e.nope")) as chunks:
            async for _ in chunks:
                pass


async def test_a_stream_left_midway_frees_its_reader(server: ClickHouse, clickhouse: ClickHouse) -> None:
    async with aclosing(server.stream("select number from system.numbers")) as chunks:
        await anext(chunks)
    assert not await running(clickhouse, "system.numbers")
    assert [lane.used for lane in server.lanes] == [0, 0, 0]


async def test_a_server_that_is_away_is_transient() -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    store = ClickHouse(f"http://user:secret@127.0.0.1:{port}/x", writers=1, readers=1, query_s_max=5, fsync=False)
    with pytest.raises(Transient) as refusal:
        await store.open()
    assert "secret" not in str(refusal.value)


async def test_a_database_that_does_not_exist_stops_the_start(clickhouse_folder: Path, clickhouse: ClickHouse) -> None:
    with clickhouse_server(clickhouse_folder) as url:
        store = ClickHouse(f"{url}/nope", writers=1, readers=1, query_s_max=5, fsync=False)
        with pytest.raises(ConfigError, match=r"clickhouse.url: .*code 81"):
            await store.open()

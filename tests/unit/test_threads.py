"""A machine that gives no threads for a while: what needs one says Transient, and is as good as before afterwards."""

import math
import threading
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from gcc import threads
from gcc.channels.memory import Signal
from gcc.clock import SystemClock
from gcc.errors import Transient
from gcc.sources.http import HttpFetcher, Request
from gcc.stores.clickhouse import ClickHouse, Lane
from gcc.stores.folder_objects import FolderObjects
from gcc.stores.postgres import Connection
from gcc.stores.rabbitmq_exchange import RabbitMQExchange
from gcc.stores.rabbitmq_topology import Topology
from gcc.stores.redis import Redis
from gcc.stores.s3_objects import S3Objects
from tests.fakes.threads import refused

CLICKHOUSE = "http://127.0.0.1:1"


async def rabbitmq(_: Path) -> None:
    exchange = RabbitMQExchange(
        "amqp://localhost:1",
        None,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        SystemClock(),
        Signal(),
        Topology({}),
        held_bytes_max=1,
    )
    await exchange.connected(lambda: None)


async def fetch(_: Path) -> None:
    async with HttpFetcher() as fetcher:
        await fetcher.fetch(Request("graphapi", "GET", "http://localhost:1/"))


USES: dict[str, Callable[[Path], Awaitable[object]]] = {
    "folder": lambda folder: FolderObjects(folder).put("key", b""),
    "bucket": lambda _: S3Objects("bucket", endpoint_url="http://127.0.0.1:1").read("key"),
    "redis": lambda _: Redis("redis://127.0.0.1:1").look(),
    "postgres": lambda _: Connection.connect("host=127.0.0.1 port=1"),
    "clickhouse": lambda _: ClickHouse(CLICKHOUSE, writers=1, readers=1, query_s_max=5, fsync=False).open(),
    "rabbitmq": rabbitmq,
    "http": fetch,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
async def test_it_passes(use: Callable[[Path], Awaitable[object]], tmp_path: Path) -> None:
    with refused(math.inf), pytest.raises(Transient, match="no thread could be started"):
        await use(tmp_path)


def test_other_errors_are_bugs_still() -> None:
    with pytest.raises(RuntimeError, match="a bug"), threads.needed("x"):
        raise RuntimeError("a bug")


class Client:
    """Of ClickHouse: a query named "endless" ends when it is killed."""

    def __init__(self) -> None:
        self.killed = threading.Event()

    def query(self, sql: str, *_: Any, **__: Any) -> Any:
        if "endless" in sql:
            self.killed.wait(60)
        return SimpleNamespace(named_results=list)

    def command(self, *_: Any, **__: Any) -> None:
        self.killed.set()

    def close(self) -> None:
        pass


@pytest.fixture
def store() -> ClickHouse:
    store, client = ClickHouse(CLICKHOUSE, writers=1, readers=1, query_s_max=5, fsync=False), Client()
    store._lanes = {name: Lane(name, [client]) for name in ("writers", "readers", "killers")}  # type: ignore[list-item]
    return store


async def test_no_client_is_lost(store: ClickHouse) -> None:
    with refused(math.inf):
        for _ in range(3):
            with pytest.raises(Transient, match="no thread"):
                await store.rows("select 1")
    assert [lane.used for lane in store.lanes] == [0, 0]
    assert await store.rows("select 1") == []


async def test_a_cancelled_query_is_killed_by_a_later_thread(store: ClickHouse) -> None:
    with ExitStack() as stack, trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.rows, "endless")
            await wait_all_tasks_blocked()
            stack.enter_context(refused(2))
            nursery.cancel_scope.cancel()
    assert [lane.used for lane in store._lanes.values()] == [0, 0, 0]


async def test_closing_ends(store: ClickHouse) -> None:
    with refused(math.inf):
        await store.aclose()
    assert store.lanes == []

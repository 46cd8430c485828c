"""NOTIFY reaches callbacks; a lost connection comes back by itself and says so."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from structlog.testing import capture_logs

from gcc.actors.connection import Connection
from gcc.clock import SystemClock
from gcc.errors import ConfigError
from gcc.stores.notifications import Notifications
from gcc.stores.postgres import Pool
from gcc.supervisor.lifecycle import Actor, Board, State

PATIENCE_S = 20.0


def kept(notifications: Notifications, actor: Actor | None = None) -> Callable[..., Awaitable[None]]:
    """What the platform runs: its connection, one life after the other."""
    actor = actor or Board(SystemClock().now).actor("stores/notifications")
    return Connection(notifications.connected, actor, random.Random(1)).run


class Heard:
    """What a callback was told, to be waited for in order."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[str](100)

    def __call__(self, payload: str) -> None:
        self._send.send_nowait(payload)

    async def next(self) -> str:
        with trio.fail_after(PATIENCE_S):
            return await self._receive.receive()


@pytest.fixture
async def listening(database: str) -> AsyncIterator[Notifications]:
    notifications = Notifications(database, ["gcc_jobs", "gcc_queue"])
    async with trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE_S):
            await nursery.start(kept(notifications))
        yield notifications
        nursery.cancel_scope.cancel()


async def notify(pool: Pool, channel: str, payload: str) -> None:
    async with pool.connection() as connection:
        await connection.execute("select pg_notify(%s, %s)", (channel, payload))


async def test_callbacks_hear_their_channel(listening: Notifications, pool: Pool) -> None:
    jobs, also_jobs, queues = Heard(), Heard(), Heard()
    listening.on("gcc_jobs", jobs)
    listening.on("gcc_jobs", also_jobs)
    listening.on("gcc_queue", queues)
    await notify(pool, "gcc_jobs", "refresh")
    await notify(pool, "gcc_queue", "profile_log")
    await notify(pool, "gcc_jobs", "again")
    assert [await jobs.next(), await jobs.next()] == ["refresh", "again"]
    assert [await also_jobs.next(), await also_jobs.next()] == ["refresh", "again"]
    assert await queues.next() == "profile_log"


async def test_nothing_is_heard_of_a_transaction_before_it_commits(listening: Notifications, pool: Pool) -> None:
    jobs = Heard()
    listening.on("gcc_jobs", jobs)
    with pytest.raises(ZeroDivisionError):
        async with pool.transaction() as connection:
            await connection.execute("notify gcc_jobs, 'rolled back'")
            raise ZeroDivisionError
    async with pool.transaction() as connection:
        await connection.execute("notify gcc_jobs, 'committed'")
    assert await jobs.next() == "committed"


async def test_after_a_reconnect_every_callback_is_told_to_look(listening: Notifications, pool: Pool) -> None:
    jobs, queues = Heard(), Heard()
    listening.on("gcc_jobs", jobs)
    listening.on("gcc_queue", queues)
    async with pool.connection() as connection:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'gcc notifications'"
        )
    assert (await jobs.next(), await queues.next()) == ("", "")
    await notify(pool, "gcc_jobs", "still here")
    assert await jobs.next() == "still here"


async def test_a_server_that_is_away_is_waited_for(database: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The server seems to appear when a link to its socket does."""
    folder = tmp_path_factory.mktemp("s")
    notifications = Notifications(make_conninfo(database, host=str(folder)), ["gcc_jobs"])
    actor = Board(SystemClock().now).actor("stores/notifications")
    async with trio.open_nursery() as nursery:
        started = trio.Event()

        async def run() -> None:
            await nursery.start(kept(notifications, actor))
            started.set()

        nursery.start_soon(run)
        with capture_logs() as logs, trio.fail_after(PATIENCE_S):
            while actor.failed < 3:
                await trio.lowlevel.checkpoint()
            assert not started.is_set()
            assert actor.state == State.BACKOFF
            (folder / ".s.PGSQL.5432").symlink_to(f"{conninfo_to_dict(database)['host']}/.s.PGSQL.5432")
            await started.wait()
        assert actor.state == State.RUNNING
        assert [line["event"] for line in logs] == ["away", "back"]  # once each, however often it was tried
        assert str(folder) in logs[0]["error"]
        nursery.cancel_scope.cancel()


async def test_an_undeclared_channel_is_refused(database: str) -> None:
    with pytest.raises(KeyError):
        Notifications(database, ["gcc_jobs"]).on("gcc_queue", print)
    with pytest.raises(ConfigError):
        Notifications("postgresql://[", ["gcc_jobs"])


async def test_a_callback_that_raises_is_a_bug_and_ends_the_run(database: str, pool: Pool) -> None:
    notifications = Notifications(database, ["gcc_jobs"])

    def broken(payload: str) -> None:
        raise ZeroDivisionError

    notifications.on("gcc_jobs", broken)
    with pytest.RaisesGroup(ZeroDivisionError), trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(kept(notifications))
            await notify(pool, "gcc_jobs", "x")
            await trio.sleep_forever()

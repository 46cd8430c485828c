"""Migrations on a real, empty database: applied once each, in order, or not at all."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import trio
from psycopg.conninfo import make_conninfo

from gcc.errors import ConfigError, Transient
from gcc.statements import SQL
from gcc.stores import migrations
from gcc.stores.migrations import migrate_postgres, read
from gcc.stores.postgres import Connection

PATIENCE_S = 20.0
JOB = """
insert into scrape_request_log (id, platform, flow, params, expires_at)
values (gen_random_uuid(), 'INSTAGRAM', 'f', '{}', now())
"""


@pytest.fixture
def empty(postgres_server: str, postgres_admin: "psycopg.Connection[tuple[object, ...]]") -> Iterator[str]:
    """conninfo of a database that has seen nothing."""
    postgres_admin.execute("create database empty strategy file_copy")
    yield make_conninfo(postgres_server, dbname="empty")
    postgres_admin.execute("drop database empty with (force)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_one.sql").write_text("create table one (id integer);\ninsert into one values (1);\n")
    (tmp_path / "0002_two.sql").write_text("create table two (id integer);\n")
    return tmp_path


async def tables(conninfo: str) -> list[str]:
    async with await Connection.connect(conninfo) as connection:
        query = "select table_name from information_schema.tables where table_schema = 'public' order by 1"
        return [name for (name,) in await (await connection.execute(query)).fetchall()]


async def ledger(conninfo: str) -> list[tuple[int, str]]:
    async with await Connection.connect(conninfo) as connection:
        return await (await connection.execute("select number, name from schema_migration order by 1")).fetchall()


async def test_each_file_is_applied_once_and_written_down(empty: str, folder: Path) -> None:
    assert await migrate_postgres(empty, folder) == 2
    assert await migrate_postgres(empty, folder) == 0
    (folder / "0003_three.sql").write_text("create table three (id integer)")
    async with await Connection.connect(empty) as connection:
        assert await migrate_postgres(connection, folder) == 1
        assert not connection.closed
    assert await tables(empty) == ["one", "schema_migration", "three", "two"]
    assert await ledger(empty) == [(1, "one"), (2, "two"), (3, "three")]


async def test_the_platform_s_own_migrations_apply(empty: str) -> None:
    assert await migrate_postgres(empty, SQL / "postgres") == len(read(SQL / "postgres")) > 0


async def test_a_file_that_fails_leaves_nothing_of_itself(empty: str, folder: Path) -> None:
    (folder / "0002_two.sql").write_text("create table two (id integer); select nonsense;")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        await migrate_postgres(empty, folder)
    assert await tables(empty) == ["one", "schema_migration"]
    (folder / "0002_two.sql").write_text("create table two (id integer)")
    assert await migrate_postgres(empty, folder) == 1


async def test_a_file_changed_after_it_was_applied_is_refused(empty: str, folder: Path) -> None:
    await migrate_postgres(empty, folder)
    (folder / "0001_one.sql").write_text("create table another (id integer)")
    (folder / "0003_three.sql").write_text("create table three (id integer)")
    with pytest.raises(ConfigError, match=r"migration 0001_one changed after it was applied"):
        await migrate_postgres(empty, folder)
    assert "three" not in await tables(empty)


async def test_a_database_newer_than_the_code_is_refused(empty: str, folder: Path) -> None:
    await migrate_postgres(empty, folder)
    (folder / "0002_two.sql").unlink()
    with pytest.raises(ConfigError, match=r"database has migration 0002_two, the code ends at 0001"):
        await migrate_postgres(empty, folder)


async def test_starters_at_the_same_time_apply_each_file_once(empty: str, folder: Path) -> None:
    for number in range(3, 11):
        (folder / f"{number:04d}_more.sql").write_text(f"create table more_{number} (id integer)")
    applied: list[int] = []

    async def start() -> None:
        applied.append(await migrate_postgres(empty, folder))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(start)
    assert sum(applied) == 10
    assert len(await ledger(empty)) == 10


async def test_a_migrator_that_holds_the_lock_too_long_is_transient(
    empty: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LOCK_S", 0.02)
    async with await Connection.connect(empty) as other, other.transaction():
        await other.execute(migrations._SQL["lock"])
        with pytest.raises(Transient, match="lock timeout"), trio.fail_after(PATIENCE_S):
            await migrate_postgres(empty, folder)
    assert await migrate_postgres(empty, folder) == 2


WAITS = "select count(*) from pg_stat_activity where datname = 'empty' and wait_event_type = 'Lock'"


async def test_a_crawl_of_the_release_before_that_is_under_way_is_waited_for(empty: str, tmp_path: Path) -> None:
    """It holds its job, and is about to write a table that the next file changes before it comes to the jobs."""
    files = [(file.name, file.read_text()) for file in sorted((SQL / "postgres").glob("*.sql"))]
    for name, text in files[:17]:
        (tmp_path / name).write_text(text)
    await migrate_postgres(empty, tmp_path)
    for name, text in files[17:]:
        (tmp_path / name).write_text(text)
    async with await Connection.connect(empty) as crawl, await Connection.connect(empty) as watcher:
        await crawl.execute(JOB)
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                async with crawl.transaction():
                    await crawl.execute("update scrape_request_log set attempt = 1")
                    nursery.start_soon(migrate_postgres, empty, tmp_path)
                    while True:
                        if await (await watcher.execute(WAITS)).fetchone() != (0,):
                            break
                        await trio.sleep(0.005)
                    await crawl.execute(
                        "insert into tracked_profile (platform, profile_id, handle) values ('X', 'y', 'z')"
                    )
    assert len(await ledger(empty)) == len(files)


async def test_a_file_gives_way_to_whoever_has_a_table_in_use(
    empty: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody else would wait behind it, for as long as a dump takes."""
    monkeypatch.setattr(migrations, "TABLES_S", 0.02)
    monkeypatch.setattr(migrations, "REST_S", 0.0)
    await migrate_postgres(empty, folder)
    (folder / "0003_three.sql").write_text("alter table two add more integer; alter table one add more text")
    async with await Connection.connect(empty) as dump, await Connection.connect(empty) as writer:
        async with dump.transaction():
            await dump.execute("select from one")
            with pytest.raises(Transient, match="0003_three waits for a table"), trio.fail_after(PATIENCE_S):
                await migrate_postgres(empty, folder)
            with trio.fail_after(PATIENCE_S):
                await writer.execute("insert into two values (1)")
        assert await migrate_postgres(empty, folder) == 1


async def test_of_many_starters_none_tries_while_one_gives_way(
    empty: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They took turns, so that nobody else got at the table between."""
    monkeypatch.setattr(migrations, "TABLES_S", 0.02)
    await migrate_postgres(empty, folder)
    (folder / "0003_three.sql").write_text("alter table one add more text")
    waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
    resting = "select count(*) from pg_stat_activity where datname = 'empty' and state = 'idle in transaction'"
    async with await Connection.connect(empty) as dump, await Connection.connect(empty) as watcher:
        async with dump.transaction(), trio.open_nursery() as nursery:
            await dump.execute("select from one")
            for _ in range(3):
                nursery.start_soon(migrate_postgres, empty, folder)
            with trio.fail_after(PATIENCE_S):
                for query, number in ((waiting, 2), (resting, 2)):  # the dump, too
                    while await (await watcher.execute(query)).fetchone() != (number,):  # noqa: ASYNC110
                        await trio.sleep(0.005)
            assert await (await watcher.execute(waiting)).fetchone() == (2,)
            nursery.cancel_scope.cancel()


async def test_cancelled_in_the_middle_it_can_be_run_again(empty: str, folder: Path) -> None:
    (folder / "0003_slow.sql").write_text("create table three (id integer); select pg_sleep(60);")
    with trio.move_on_after(PATIENCE_S) as patience:
        async with trio.open_nursery() as nursery, await Connection.connect(empty) as watcher:
            nursery.start_soon(migrate_postgres, empty, folder)
            query = "select count(*) from pg_stat_activity where state = 'active' and query ~ '^create.*pg_sleep'"
            while True:
                if await (await watcher.execute(query)).fetchone() != (0,):
                    break
                await trio.sleep(0.005)
            nursery.cancel_scope.cancel()
    assert not patience.cancelled_caught
    assert await tables(empty) == ["one", "schema_migration", "two"]
    (folder / "0003_slow.sql").write_text("create table three (id integer)")
    with trio.fail_after(PATIENCE_S):
        assert await migrate_postgres(empty, folder) == 1


@pytest.mark.parametrize(
    ("names", "mistake"),
    [
        (["0001_a.sql", "0003_c.sql"], r"0003_c\.sql has number 3 where 2 is due"),
        (["0001_a.sql", "0001_b.sql"], r"0001_b\.sql has number 1 where 2 is due"),
        (["0002_a.sql"], r"0002_a\.sql has number 2 where 1 is due"),
        (["0001_a.sql", "later.sql"], r"later\.sql must be named like"),
    ],
)
def test_a_folder_with_gaps_doubles_or_other_names_is_refused(tmp_path: Path, names: list[str], mistake: str) -> None:
    for name in names:
        (tmp_path / name).write_text("select 1")
    with pytest.raises(ConfigError, match=mistake):
        read(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        read(tmp_path / "nowhere")


async def test_the_leaderboard_is_read_while_its_indexes_are_built(empty: str, tmp_path: Path) -> None:
    """Those are what takes long of its changes: 0033 adds columns, 0035 the indexes."""
    *before, words = sorted((SQL / "postgres").glob("*.sql"))[:35]
    for file in before:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    await migrate_postgres(empty, tmp_path)
    async with await Connection.connect(empty) as migrator, await Connection.connect(empty) as reader:
        await reader.execute("set lock_timeout = '1s'")
        async with migrator.transaction():
            await migrator.execute(words.read_bytes())
            await reader.execute("select * from leaderboard")

"""The embedded server: it starts, stops, dies with its owner, and comes back with everything committed."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
import trio
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import FeatureNotSupported, InsufficientPrivilege

from gcc.errors import ConfigError, Transient
from gcc.stores import embedded_postgres
from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.stores.postgres import Connection

PATIENCE_S = 60.0
ROOT = os.geteuid() == 0

OWNER = """
import pathlib, sys, trio
from gcc.stores.embedded_postgres import EmbeddedPostgres

async def main():
    async with trio.open_nursery() as nursery:
        await nursery.start(EmbeddedPostgres(pathlib.Path(sys.argv[1]), fsync=False).run)
        print("ready", flush=True)

trio.run(main)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A new folder that every user may enter; pytest's own are private to one."""
    folder = Path(tempfile.mkdtemp(prefix="gcc-embedded-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A data folder that was started and stopped once."""
    folder = Path(tempfile.mkdtemp(prefix="gcc-embedded-"))
    folder.chmod(0o755)

    async def make() -> None:
        async with serving(folder):
            pass

    trio.run(make)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def data_dir(made: Path, open_folder: Path) -> Path:
    """A stopped data folder of this test's own; copying is quicker than making."""
    shutil.copytree(made, open_folder / "data", copy_function=shutil.copy2)
    owner = (made / "postgres").stat()
    for path in (open_folder / "data" / "postgres", *(open_folder / "data" / "postgres").rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    return open_folder / "data"


@asynccontextmanager
async def serving(data_dir: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(data_dir, fsync=False)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE_S):
            await nursery.start(server.run)
        yield server
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def owner(data_dir: Path, *prefix: str) -> AsyncIterator[trio.Process]:
    """Another Python process that owns a server; at the end neither lives any more."""
    command = [*prefix, sys.executable, "-c", OWNER, str(data_dir)]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout
    try:
        with trio.fail_after(PATIENCE_S):
            assert [line async for line in _lines(process.stdout)] == ["ready"]
        server = os.pidfd_open(postmaster(data_dir))
        yield process
        process.kill()
        await gone(server)
    finally:
        with trio.move_on_after(PATIENCE_S, shield=True):
            process.kill()
            await process.wait()
            await process.stdout.aclose()


async def _lines(stream: trio.abc.ReceiveStream) -> AsyncIterator[str]:
    """Its lines up to the first one that is "ready", or its end."""
    text = b""
    async for block in stream:
        text += block
        while b"\n" in text:
            line, _, text = text.partition(b"\n")
            yield line.decode()
            if line == b"ready":
                return


def within(folder: Path) -> list[str]:
    """All that is in it, however deep."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def user_of(pid: int) -> int:
    """Its effective user id."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[2]) for line in status if line.startswith("Uid:"))


def capabilities_of(pid: int) -> int:
    """Its effective capabilities, a bit each."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))


async def gone(pidfd: int) -> None:
    with trio.fail_after(PATIENCE_S):
        await trio.lowlevel.wait_readable(pidfd)
    os.close(pidfd)


async def execute(server: EmbeddedPostgres, query: str, conninfo: str = "") -> list[tuple[object, ...]]:
    """As the application, or as somebody else."""
    async with await Connection.connect(conninfo or server.conninfo) as connection:
        cursor = await connection.execute(query)
        return await cursor.fetchall() if cursor.description else []


async def test_it_starts_in_a_new_folder_and_keeps_its_data(open_folder: Path) -> None:
    data_dir = open_folder / "new" / "data"
    async with serving(data_dir) as server:
        await execute(server, "create table kept as select 1 as id")
        query = (
            "select current_database(), lower('É'), current_setting('listen_addresses'), current_setting('TimeZone')"
        )
        assert await execute(server, query) == [("gcc", "é", "", "UTC")]
        pidfd = os.pidfd_open(postmaster(data_dir))
    await gone(pidfd)
    assert sorted(path.name for path in data_dir.iterdir()) == ["postgres", "postgres.lock", "postgres.log"]
    async with serving(data_dir) as server:
        assert await execute(server, "select id from kept") == [(1,)]


async def test_kill_9_of_the_owner_leaves_no_server_behind(data_dir: Path) -> None:
    async with owner(data_dir) as process:
        server = os.pidfd_open(postmaster(data_dir))
        process.kill()
        await gone(server)
    assert not (data_dir / "postgres" / "postmaster.pid").exists()  # it did stop, and was not killed


async def test_after_kill_9_of_the_owner_the_next_one_starts_at_once(data_dir: Path) -> None:
    async with owner(data_dir) as process:
        server = EmbeddedPostgres(data_dir, fsync=False)
        await execute(server, "create table kept as select generate_series(1, 100000) as id")
        async with trio.open_nursery() as nursery, await Connection.connect(server.conninfo) as busy:
            nursery.start_soon(_lose, busy)  # a session in the middle of a statement slows the old server down
            await trio.testing.wait_all_tasks_blocked()
            process.kill()
            async with serving(data_dir) as server:
                assert await execute(server, "select count(*) from kept") == [(100000,)]


async def _lose(connection: Connection) -> None:
    with pytest.raises(Exception, match=r"terminating|closed|lost"):
        await connection.execute("select pg_sleep(600)")


async def test_after_kill_9_of_owner_and_server_the_next_one_recovers(data_dir: Path) -> None:
    async with owner(data_dir) as process:
        await execute(EmbeddedPostgres(data_dir, fsync=False), "create table kept as select 1 as id")
        process.send_signal(signal.SIGSTOP)  # or it would hear of its child's end
        os.kill(postmaster(data_dir), signal.SIGKILL)
        process.kill()
        async with serving(data_dir) as server:
            assert await execute(server, "select id from kept") == [(1,)]


def as_server(data_dir: Path) -> list[str]:
    """The words before a command that make it run as the server's user, here without dying with us."""
    account = (data_dir / "postgres").stat()
    become = ["setpriv", f"--reuid={account.st_uid}", f"--regid={account.st_gid}", "--clear-groups", "--"]
    return become if ROOT else []


@pytest.fixture
def stranger(data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the server's user, whose number stands in a pid file that a server left behind."""
    with subprocess.Popen([*as_server(data_dir), "sleep", "600"]) as process:
        pid_file = data_dir / "postgres" / "postmaster.pid"
        pid_file.write_text(f"{process.pid}\n{data_dir}/postgres\n0\n5432\n{data_dir}/postgres\n\n0 0\n")
        yield process
        process.kill()


async def test_a_left_pid_file_with_the_number_of_a_stranger_is_no_obstacle(
    data_dir: Path, stranger: "subprocess.Popen[bytes]"
) -> None:
    async with serving(data_dir) as server:
        assert await execute(server, "select 1") == [(1,)]
    assert stranger.poll() is None


@pytest.fixture
def impostor(data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another user's process that carries the mark of the folder's server."""
    words = [f"postgres: {EmbeddedPostgres(data_dir, fsync=False)._mark}", "600"]
    with subprocess.Popen(words, executable="/bin/sleep", user=4711, group=4711, extra_groups=[]) as process:
        yield process
        process.kill()


@pytest.mark.skipif(not ROOT, reason="only root may become another user to try this")
async def test_a_process_of_another_user_is_no_predecessor(data_dir: Path, impostor: subprocess.Popen[bytes]) -> None:
    (data_dir / "postgres" / "postmaster.pid").touch()  # left by a server that was killed
    async with serving(data_dir) as server:
        assert await execute(server, "select 1") == [(1,)]
    assert impostor.poll() is None


@pytest.fixture
def orphan(data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server that nobody owns: its owner died before setpriv could bind it."""
    command = EmbeddedPostgres(data_dir, fsync=False)._command(embedded_postgres._programs())
    with subprocess.Popen(
        [*as_server(data_dir), *command], cwd=data_dir / "postgres", stderr=subprocess.PIPE
    ) as process:
        assert process.stderr
        assert any(b"ready to accept connections" in line for line in process.stderr)
        yield process
        process.kill()


async def test_a_server_without_owner_is_stopped_and_replaced(
    data_dir: Path, orphan: "subprocess.Popen[bytes]"
) -> None:
    async with serving(data_dir) as server:
        assert await execute(server, "select 1") == [(1,)]
        assert postmaster(data_dir) != orphan.pid
    assert orphan.wait(PATIENCE_S) == 0


async def test_kill_9_while_the_folder_is_being_made_leaves_nothing_half(open_folder: Path) -> None:
    data_dir = open_folder / "data"
    process = await trio.lowlevel.open_process([sys.executable, "-c", OWNER, str(data_dir)], stdout=subprocess.DEVNULL)
    with trio.fail_after(PATIENCE_S):
        while True:
            if list(data_dir.glob("postgres.new-*/PG_VERSION")):
                break
            await trio.sleep(0.001)
        process.kill()
        await process.wait()
    assert not (data_dir / "postgres").exists()
    async with serving(data_dir) as server:
        assert await execute(server, "select 1") == [(1,)]
    assert not list(data_dir.glob("postgres.new-*"))


def _something(place: Path) -> None:
    place.mkdir()
    (place / "notes").touch()


def _a_folder_for_its_version(place: Path) -> None:
    (place / "PG_VERSION").mkdir(parents=True)


def _a_link_to_an_empty_folder(place: Path) -> None:
    place.parent.chmod(0o700)
    place.with_name("elsewhere").mkdir()
    place.symlink_to("elsewhere")


@pytest.mark.parametrize("plant", [_something, _a_folder_for_its_version, _a_link_to_an_empty_folder])
async def test_what_is_no_database_is_refused_and_stays(open_folder: Path, plant: Callable[[Path], None]) -> None:
    plant(open_folder / "postgres")
    before = within(open_folder)
    with pytest.raises(ConfigError, match=rf"{open_folder}/postgres holds no database .*; look at it and remove it"):
        await EmbeddedPostgres(open_folder, fsync=False).run()
    assert set(within(open_folder)) == {*before, "postgres.lock"}


async def test_an_empty_folder_becomes_the_database(open_folder: Path) -> None:
    (open_folder / "postgres").mkdir()
    async with serving(open_folder) as server:
        assert await execute(server, "select 1") == [(1,)]


async def test_a_database_that_cannot_be_made_leaves_nothing(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_postgres, "START_S", 0.0)  # its time is over at once
    with pytest.raises(ConfigError, match="no database could be made"):
        await EmbeddedPostgres(open_folder, fsync=False).run()
    assert within(open_folder) == ["postgres.lock", "postgres.log"]


async def test_what_a_killed_start_left_beside_a_database_is_removed(data_dir: Path) -> None:
    (data_dir / "postgres.new-abc").mkdir()
    (data_dir / "postgres.new-abc" / "PG_VERSION").touch()
    async with serving(data_dir) as server:
        assert await execute(server, "select 1") == [(1,)]
    assert not [name for name in within(data_dir) if name.startswith("postgres.new")]


async def test_a_server_that_dies_is_an_error_and_a_restart_loses_nothing(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, fsync=False)
    with pytest.RaisesGroup(pytest.RaisesExc(Transient, match=r"ended by itself with code -9")):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            await execute(server, "create table kept as select 1 as id")
            os.kill(postmaster(data_dir), signal.SIGKILL)
            await trio.sleep_forever()
    async with serving(data_dir) as server:
        assert await execute(server, "select id from kept") == [(1,)]


async def test_a_server_that_nobody_can_reach_is_stopped_and_the_next_start_is_reached(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_postgres, "LOOK_S", 0.01)
    monkeypatch.setattr(embedded_postgres, "LOST_S", 0.1)
    server = EmbeddedPostgres(data_dir, fsync=False)
    with (
        pytest.RaisesGroup(pytest.RaisesExc(Transient, match=r"nobody could reach .*/\.s\.PGSQL\.5432 for 0.1 s")),
        trio.fail_after(PATIENCE_S),
    ):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            await execute(server, "create table kept as select 1 as id")
            pidfd = os.pidfd_open(postmaster(data_dir))
            (data_dir / "postgres" / ".s.PGSQL.5432").unlink()
            await trio.sleep_forever()
    await gone(pidfd)
    async with serving(data_dir) as server:
        assert await execute(server, "select id from kept") == [(1,)]


async def test_looking_at_a_server_again_and_again_leaves_no_words(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_postgres, "LOOK_S", 0.001)
    async with serving(data_dir) as server:
        before = (data_dir / "postgres.log").read_text()
        for _ in range(100):
            assert await execute(server, "select 1") == [(1,)]
        assert (data_dir / "postgres.log").read_text() == before


async def test_a_second_owner_is_refused_and_the_first_goes_on(data_dir: Path) -> None:
    async with serving(data_dir) as server:
        with pytest.raises(ConfigError, match=rf"data folder {data_dir} is in use by process {os.getpid()}"):
            await EmbeddedPostgres(data_dir, fsync=False).run()
        assert await execute(server, "select 1") == [(1,)]


async def test_a_server_that_cannot_start_says_why_at_once(data_dir: Path) -> None:
    (data_dir / "postgres" / "postgresql.conf").write_text("work_mem = nonsense\n")
    with pytest.raises(Transient, match=r"did not start: .*work_mem"), trio.fail_after(PATIENCE_S):
        await EmbeddedPostgres(data_dir, fsync=False).run()


async def test_a_lock_file_that_cannot_be_made_is_no_reason_to_try_again_and_again(data_dir: Path) -> None:
    (data_dir / "postgres").chmod(0o500)  # as a full disk does
    with pytest.raises(Transient, match=r"did not start: .*lock file"), trio.fail_after(embedded_postgres.START_S / 4):
        await EmbeddedPostgres(data_dir, fsync=False).run()


async def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigError, match=r"data_dir .*/file/data is not writable: Not a directory"):
        await EmbeddedPostgres(tmp_path / "file" / "data", fsync=False).run()


async def test_a_planted_link_is_not_followed(data_dir: Path) -> None:
    target = data_dir.parent / "target"
    target.write_text("mine")
    for name in ("postgres.log", "postgres.lock"):  # the lock is looked at first
        (data_dir / name).unlink()
        (data_dir / name).symlink_to(target)
        with pytest.raises(ConfigError, match=rf"{data_dir}/{name} is a symbolic link.*remove it"):
            await EmbeddedPostgres(data_dir, fsync=False).run()
        assert target.read_text() == "mine"


async def test_without_setpriv_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="needs the program setpriv"):
        await EmbeddedPostgres(tmp_path, fsync=False).run()


@pytest.fixture
def long_dir(data_dir: Path) -> Path:
    long = data_dir.parent / ("long" * 25) / "data"
    long.parent.mkdir()
    return data_dir.rename(long)


@pytest.fixture
def sockets(long_dir: Path) -> Iterator[Path]:
    """The folder of its socket, which is elsewhere."""
    sockets = Path(str(conninfo_to_dict(EmbeddedPostgres(long_dir, fsync=False).conninfo)["host"]))
    yield sockets
    shutil.rmtree(sockets)


async def test_a_path_too_long_for_a_socket_gets_a_short_one(long_dir: Path, sockets: Path) -> None:
    async with serving(long_dir) as server:
        assert await execute(server, "select 1") == [(1,)]
        assert len(str(sockets)) < 50
        assert os.stat(sockets).st_mode & 0o077 == 0


def _open_to_others(place: Path, target: Path) -> None:
    place.mkdir(mode=0o755)


def _a_link(place: Path, target: Path) -> None:
    place.symlink_to(target)


def _a_file(place: Path, target: Path) -> None:
    place.touch()


def _of_another_user(place: Path, target: Path) -> None:
    place.mkdir(mode=0o700)
    os.chown(place, 4711, 4711)


async def test_a_socket_folder_of_somebody_else_is_refused(long_dir: Path, sockets: Path) -> None:
    for plant in (_a_link, _a_file, *([_of_another_user] if ROOT else []), _open_to_others):
        plant(sockets, long_dir)
        with pytest.raises(ConfigError, match=rf"{sockets} belongs to somebody else"):
            await EmbeddedPostgres(long_dir, fsync=False).run()
        shutil.move(sockets, long_dir.parent / plant.__name__)
    os.mkdir(sockets)  # for the fixture


async def test_a_log_that_grew_long_starts_anew(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_postgres, "LOG_BYTES_MAX", 100_000)
    log = data_dir / "postgres.log"
    log.write_text("old\n" * 100_000)
    async with serving(data_dir):
        assert "old" not in log.read_text()
        assert "ready to accept connections" in log.read_text()


# -- roles

REFUSED = [
    "copy (select 1) to program 'id'",
    "copy (select 1) to '/tmp/gcc-copied'",
    "select pg_read_file('PG_VERSION')",
    "select pg_ls_dir('.')",
    "select lo_import('/etc/passwd')",
    "create database another",
    "create role another superuser",
    "alter role gcc createrole",
    "set role postgres",
    "set session authorization postgres",
    "alter system set work_mem = '1GB'",
    "create extension if not exists plpython3u",
    "create function run() returns int language c as '/lib/x86_64-linux-gnu/libc.so.6', 'system'",
]


async def test_the_application_owns_its_database_and_nothing_else(data_dir: Path) -> None:
    async with serving(data_dir) as server:
        assert await execute(
            server, "select current_user::text, usesuper from pg_user where usename = current_user"
        ) == [("gcc", False)]
        for statement in REFUSED:
            with pytest.raises((InsufficientPrivilege, FeatureNotSupported)):
                await execute(server, statement)
        for database in ("postgres", "template1"):
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                await execute(server, "select 1", make_conninfo(server.conninfo, dbname=database))
        await execute(server, "create schema own; create table own.kept (id int); drop schema own cascade")
        await execute(server, "create table public.kept (id int)")
        for statement in (*REFUSED, "create table public.more (id int)", "select from kept", "set role gcc"):
            with pytest.raises((InsufficientPrivilege, FeatureNotSupported)):
                await execute(server, statement, server.web_conninfo)
        assert await execute(
            server, "select rolsuper from pg_roles where rolname = current_user", server.superuser_conninfo
        ) == [(True,)]


TRAP = """
create function public.trap(oid, regrole) returns boolean language plpgsql as $$
begin
    if (select rolsuper from pg_roles where rolname = current_user) then
        alter role gcc superuser;
    end if;
    return $1 = $2::oid;
end $$;
create operator public.= (leftarg = oid, rightarg = regrole, function = public.trap);
alter database gcc set search_path = public, pg_catalog;
"""
OBSTACLES = """
alter database gcc set default_transaction_read_only = on;
alter database gcc set role = gcc;
alter database gcc set local_preload_libraries = missing;
"""


@pytest.mark.parametrize("planted", [TRAP, OBSTACLES])
async def test_what_the_application_defines_in_its_database_is_no_matter_of_the_superuser(
    data_dir: Path, planted: str
) -> None:
    async with serving(data_dir) as server:
        await execute(server, planted)
    async with serving(data_dir) as server:
        superusers = "select rolname::text from pg_roles where rolsuper"
        assert await execute(server, superusers, server.superuser_conninfo) == [("postgres",)]


OLD = """
create table plain (id bigint generated always as identity primary key, name text unique, n serial);
create table parts (id int, at date) partition by range (at);
create table parts_2026 partition of parts for values from ('2026-01-01') to ('2027-01-01');
create unlogged table held (id int references plain);
create sequence numbers;
create view seen as select * from plain;
create materialized view counted as select count(*) from plain;
create schema "Odd ""name";
create table "Odd ""name"."Table" (id int);
create type mood as enum ('glad', 'sad');
create type pair as (a int, b int);
create type span as range (subtype = int);
create domain positive as int check (value > 0);
create function twice(n int) returns int language sql return 2 * n;
create procedure nothing() language sql as 'select 1';
create aggregate total (int) (sfunc = int4pl, stype = int);
create statistics known on id, name from plain;
insert into plain (name) values ('kept');
"""
OF_SUPERUSER = """
select (pg_identify_object(classid, objid, 0)).identity
from (
    select 'pg_class'::regclass as classid, oid as objid, relowner as owner from pg_class
    union all select 'pg_type'::regclass, oid, typowner from pg_type
    union all select 'pg_proc'::regclass, oid, proowner from pg_proc
    union all select 'pg_namespace'::regclass, oid, nspowner from pg_namespace
    union all select 'pg_statistic_ext'::regclass, oid, stxowner from pg_statistic_ext
) as everything
where objid >= 16384 and owner = 'postgres'::regrole
"""


@pytest.mark.parametrize("lost", ["gcc", "gcc, gcc_web"])
async def test_a_folder_of_an_earlier_version_is_handed_over(data_dir: Path, lost: str) -> None:
    """There, all belonged to the superuser, which was the application's role."""
    async with serving(data_dir) as server:
        superuser = make_conninfo(server.superuser_conninfo, dbname="gcc")
        await execute(server, OLD, superuser)
        await execute(server, f"alter database gcc owner to postgres; drop role {lost}", superuser)
        assert len(await execute(server, OF_SUPERUSER, superuser)) > 20
    for _ in range(2):  # the second start finds nothing to do
        async with serving(data_dir) as server:
            assert await execute(server, OF_SUPERUSER) == []
            assert await execute(server, "select datdba::regrole::text from pg_database where datname = 'gcc'") == [
                ("gcc",)
            ]
            assert await execute(server, "select pg_has_role('gcc_web', 'usage')") == [(True,)]
            assert await execute(server, "select name, twice(21) from seen") == [("kept", 42)]
    async with serving(data_dir) as server:
        await execute(
            server, 'alter table plain add column more int; drop table parts, held; drop schema "Odd ""name" cascade'
        )


# -- users


@pytest.mark.skipif(not ROOT, reason="only root runs the server as somebody else")
async def test_root_runs_it_as_a_user_that_nobody_else_is(data_dir: Path) -> None:
    data_dir.parent.chmod(0o700)
    async with serving(data_dir):
        assert user_of(postmaster(data_dir)) == embedded_postgres.SERVER_UID
        assert (os.stat(data_dir).st_uid, os.stat(data_dir).st_mode & 0o777) == (0, 0o700)
        assert capabilities_of(postmaster(data_dir)) == 0
        account = pwd.getpwnam("nobody")
        nobody = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--", "ls"]
        for place in (data_dir, data_dir / "postgres", Path(f"/proc/{postmaster(data_dir)}/cwd/")):
            seen = await trio.run_process([*nobody, f"{place}/"], check=False, capture_stdout=True, capture_stderr=True)
            assert (seen.stdout, b"Permission denied" in seen.stderr) == (b"", True)


@pytest.mark.skipif(not ROOT, reason="only root runs the server as somebody else")
async def test_the_folder_of_nobody_which_an_earlier_version_chose_is_given_to_that_user(data_dir: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    folder = data_dir / "postgres"
    for path in (folder, *folder.rglob("*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    (folder / "planted").symlink_to(data_dir.parent)
    (data_dir.parent / "roots").write_text("mine")
    (folder / "linked").hardlink_to(data_dir.parent / "roots")
    async with serving(data_dir) as server:
        assert user_of(postmaster(data_dir)) == embedded_postgres.SERVER_UID
        assert await execute(server, "select 1") == [(1,)]
    assert {path.stat().st_uid for path in (data_dir.parent, data_dir, data_dir.parent / "roots")} == {0}
    assert {path.lstat().st_uid for path in folder.rglob("*")} == {0, embedded_postgres.SERVER_UID}


@pytest.mark.skipif(not ROOT, reason="only root has programs that others cannot reach")
async def test_programs_of_root_are_reached_by_one_capability(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    shutil.copytree(embedded_postgres._programs().parent, hidden / "pginstall", symlinks=True)
    monkeypatch.setattr(embedded_postgres, "_programs", lambda: hidden / "pginstall" / "bin")
    async with serving(data_dir) as server:
        assert await execute(server, "select 1") == [(1,)]
        assert capabilities_of(postmaster(data_dir)) == 1 << 2  # dac_read_search
    monkeypatch.setattr(embedded_postgres, "_more_than_others", lambda become: [])
    with pytest.raises(ConfigError, match=r"cannot run as root, and its user cannot enter .*; run chmod o\+x"):
        await EmbeddedPostgres(data_dir, fsync=False).run()


@pytest.mark.skipif(not ROOT, reason="only root may become another user to try this")
async def test_another_user_makes_and_runs_it_too(open_folder: Path, made: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    become = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    # Python itself may be installed below a closed folder: let it read there, and write nowhere.
    become += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search", "--"]
    command = [*become, sys.executable, "-c", OWNER, str(made)]
    refused = await trio.run_process(command, check=False, capture_stderr=True)
    assert f"data_dir {made} belongs to user root; run as that user" in refused.stderr.decode()
    os.chown(open_folder, nobody.pw_uid, nobody.pw_gid)
    async with owner(open_folder / "data", *become):
        assert user_of(postmaster(open_folder / "data")) == nobody.pw_uid
    with pytest.raises(ConfigError, match=r"belongs to user nobody; run as that user"):
        await EmbeddedPostgres(open_folder / "data", fsync=False).run()


@pytest.mark.skipif(not ROOT, reason="needs a folder of another user")
async def test_a_server_s_folder_of_another_user_is_refused(data_dir: Path) -> None:
    os.chown(data_dir / "postgres", 4711, 4711)
    with pytest.raises(ConfigError, match=r"postgres belongs to user 4711; run chown -R 65520 "):
        await EmbeddedPostgres(data_dir, fsync=False).run()

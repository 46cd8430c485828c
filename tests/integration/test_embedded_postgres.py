"""The embedded server: it starts, stops, dies with its owner, and comes back with everything committed."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from psycopg.conninfo import conninfo_to_dict

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


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def user_of(pid: int) -> int:
    """Its effective user id."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[2]) for line in status if line.startswith("Uid:"))


async def gone(pidfd: int) -> None:
    with trio.fail_after(PATIENCE_S):
        await trio.lowlevel.wait_readable(pidfd)
    os.close(pidfd)


async def execute(server: EmbeddedPostgres, query: str) -> list[tuple[object, ...]]:
    async with await Connection.connect(server.conninfo) as connection:
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


@pytest.mark.parametrize("name", ["postgres.lock", "postgres.log"])
async def test_a_planted_link_is_not_followed(data_dir: Path, name: str) -> None:
    target = data_dir.parent / "target"
    target.write_text("mine")
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
    sockets = Path(conninfo_to_dict(EmbeddedPostgres(long_dir, fsync=False).conninfo)["host"])
    yield sockets
    shutil.rmtree(sockets)


async def test_a_path_too_long_for_a_socket_gets_a_short_one(long_dir: Path, sockets: Path) -> None:
    async with serving(long_dir) as server:
        assert await execute(server, "select 1") == [(1,)]
        assert len(str(sockets)) < 50
        assert os.stat(sockets).st_mode & 0o077 == 0


async def test_a_socket_folder_that_others_can_reach_is_refused(long_dir: Path, sockets: Path) -> None:
    os.mkdir(sockets, mode=0o777)
    with pytest.raises(ConfigError, match=rf"{sockets} belongs to somebody else"):
        await EmbeddedPostgres(long_dir, fsync=False).run()


async def test_a_log_that_grew_long_starts_anew(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_postgres, "LOG_BYTES_MAX", 100_000)
    log = data_dir / "postgres.log"
    log.write_text("old\n" * 100_000)
    async with serving(data_dir):
        assert "old" not in log.read_text()
        assert "ready to accept connections" in log.read_text()


# -- users


@pytest.mark.skipif(not ROOT, reason="only root runs the server as somebody else")
async def test_root_runs_it_as_nobody_even_below_a_closed_folder(data_dir: Path) -> None:
    data_dir.parent.chmod(0o700)
    async with serving(data_dir):
        assert user_of(postmaster(data_dir)) == pwd.getpwnam("nobody").pw_uid


@pytest.mark.skipif(not ROOT, reason="only root may become nobody to try this")
async def test_nobody_runs_it_too(data_dir: Path) -> None:
    account = (data_dir / "postgres").stat()
    become = ["setpriv", f"--reuid={account.st_uid}", f"--regid={account.st_gid}", "--clear-groups"]
    # Python itself may be installed below a closed folder: let it read there, and write nowhere.
    become += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search", "--"]
    command = [*become, sys.executable, "-c", OWNER, str(data_dir)]
    refused = await trio.run_process(command, check=False, capture_stderr=True)
    assert f"data_dir {data_dir} belongs to user root; run as that user" in refused.stderr.decode()
    for path in (data_dir, data_dir / "postgres.lock", data_dir / "postgres.log"):
        os.chown(path, account.st_uid, account.st_gid)
    async with owner(data_dir, *become):
        assert user_of(postmaster(data_dir)) == account.st_uid


@pytest.mark.skipif(not ROOT, reason="needs a folder of another user")
async def test_the_folder_of_another_user_is_used_as_that_user(data_dir: Path) -> None:
    for path in (data_dir / "postgres", *(data_dir / "postgres").rglob("*")):
        os.chown(path, 4711, 4711)
    async with serving(data_dir):
        assert user_of(postmaster(data_dir)) == 4711

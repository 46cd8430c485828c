"""ClickHouse from Trio: clickhouse-connect in worker threads, over a server or the embedded engine (chdb).

In: newline-delimited JSON for a table (with a token that makes resending harmless), SQL with parameters.
Out: rows, or a stream of lines as COPY takes them. Writers, readers, what builds models and the one client that
kills queries are kept apart: a client does one thing at a time, a long SELECT must not hold up inserts, and a kill
must not wait for either. Every query has the engine's max_execution_time and a deadline here.

Failure: `Permanent` (the statement or the rows) or `Transient` (all else: network, parts, memory, time);
both name what was asked and ClickHouse's code. Cancelled: the query is killed and its thread awaited for
at most KILL_S; a client is free again when its thread comes back, never before. Whether a cancelled
insert was stored is unknown: send the same bytes again under the same token.

The embedded engine belongs to one process, keeps one folder open and forbids fork afterwards.
"""

import itertools
import math
import os
import re
import socket
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

import outcome
import structlog
import trio
from clickhouse_connect.driver.client import Client

from gcc import statements, threads
from gcc.errors import Transient
from gcc.passwords import encoded
from gcc.stores import clickhouse_clients, migrations
from gcc.stores.clickhouse_clients import Builds
from gcc.stores.clickhouse_errors import MESSAGE_CHARS_MAX, is_unreachable, translated
from gcc.stores.clickhouse_room import LOOK_S, ROOM_BYTES, Room
from gcc.supervisor.lifecycle import one_line

log = structlog.get_logger()
T = TypeVar("T")
Parameters = Mapping[str, Any]

KILL_S = 5.0
"""How long a cancelled caller waits, shielded, for its query to end."""
CLOSE_S = 5.0
"""How long aclose() waits for clients that are still in use; those are left to their threads."""
PART = "stores/clickhouse"
QUIET_S = 30.0
"""From an answer on, so long nothing is told of a server that is lost again."""
OVERDUE_S = 5.0
"""How much longer than the engine's own limit a caller waits before the query is killed."""
STREAM_CHUNK_BYTES = 256 * 1024
"""About the size of a stream's chunks; a chunk holds whole lines."""
_TOLD_MIDWAY = re.compile(r"__exception__.*|Code: \d+\. DB::.*", re.DOTALL)
"""How a server tells what failed, new and older ones."""

ONE_MACHINE: Mapping[str, str] = {
    "engine": "ReplacingMergeTree",
    "engine_latest": "ReplacingMergeTree(event_timestamp)",
    "engine_replica": "ReplacingMergeTree(_version, _deleted)",
    "on_cluster": "",
}
"""The variables of migrations without a cluster. {engine}: equal keys are one row sent again, whichever stays;
{engine_latest}: of rows with one key the latest stays, in whatever order they came; {engine_replica}: the same of rows
that can be deleted."""

_SQL = statements.load("store", statements.SQL / "clickhouse" / "queries")
PARTITIONS_MAX = 200
"""Of one insert, which makes a part of each (a batch of an import may hold years). A part takes some 5 ms and 200 kB:
1,600 at once are more than the embedded engine may have."""
_INSERT = {
    "input_format_skip_unknown_fields": 0,
    "input_format_json_read_objects_as_strings": 1,
    "input_format_null_as_default": 1,
    "input_format_parallel_parsing": 0,  # one batch is one block: stored whole or not at all
    "date_time_input_format": "best_effort",
    "max_partitions_per_insert_block": PARTITIONS_MAX,
}
_numbers = itertools.count(1)


class Call(Generic[T]):
    """Work that a thread does with one client. `done` is set in Trio once the thread is back."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.outcome: outcome.Outcome[T] | None = None


class Lane:
    """Clients of one kind; each does one thing at a time. `used` of `size` are at work.

    Whoever waits for a client, or for its answer, does so for `query_s_max` or hardly longer.
    """

    def __init__(self, name: str, clients: list[Client], query_s_max: float = math.inf) -> None:
        self.name = name
        self.query_s_max = query_s_max
        self.size = len(clients)
        self._give, self._take = trio.open_memory_channel[Client](len(clients))
        for client in clients:
            self._give.send_nowait(client)

    @property
    def used(self) -> int:
        return self.size - self._take.statistics().current_buffer_used

    async def take(self, wait_s: float) -> Client:
        """A free client, first come first served. Transient when none comes free in time."""
        with trio.move_on_after(wait_s):
            return await self._take.receive()
        raise Transient(f"ClickHouse: all {self.size} {self.name} were busy for {wait_s:g} s")

    def start(self, client: Client, work: Callable[[Client], T]) -> Call[T]:
        """Begin `work` in a thread; the client comes back to the lane when that has ended. Transient: none began."""
        call: Call[T] = Call()
        token = trio.lowlevel.current_trio_token()

        def arrive(result: outcome.Outcome[T]) -> None:
            call.outcome = result
            self._give.send_nowait(client)
            call.done.set()

        def deliver(result: outcome.Outcome[T]) -> None:
            with suppress(trio.RunFinishedError):  # nobody is left to tell
                token.run_sync_soon(arrive, result)

        try:
            with threads.needed("ClickHouse"):
                trio.lowlevel.start_thread_soon(lambda: work(client), deliver, f"clickhouse {self.name}")
        except BaseException:
            self._give.send_nowait(client)
            raise
        return call


class Reach:
    """Tells in the log when the server cannot be reached, with the cause, and when it answers again: a line each."""

    def __init__(self) -> None:
        self._lost_at: float | None = None
        self._back_at = -math.inf

    def answered(self) -> None:
        """With rows or with an error."""
        if self._lost_at is not None:
            self._back_at = trio.current_time()
            log.info("back", part=PART, after_s=round(self._back_at - self._lost_at, 1))
            self._lost_at = None

    def lost(self, error: Transient) -> None:
        """One that comes and goes is told of once in QUIET_S."""
        now = trio.current_time()
        if self._lost_at is None and now - self._back_at >= QUIET_S:
            self._lost_at = now
            log.warning("away", part=PART, error=one_line(error))


class ClickHouse:
    """One ClickHouse: a server (`http(s)://[user:password@]host:port[/database]`) or the embedded engine's folder.

    `writers` inserts and `readers` statements run at once, each in a thread with its own client; more wait
    their turn for at most `query_s_max` seconds, then raise Transient. `query_s_max` also bounds every query.
    `fsync`: event tables survive a power loss, for about a quarter of the insert rate; set by migrate().
    `builds` bounds what makes models, see `ClickHouse.builders`.
    `room_bytes`: so much of the embedded engine's disk must stay free, see clickhouse_room; `keep_room` must run.
    """

    def __init__(
        self,
        target: str | Path,
        *,
        writers: int,
        readers: int,
        query_s_max: float,
        fsync: bool,
        builds: Builds = Builds(),  # noqa: B008 (frozen)
        room_bytes: int = ROOM_BYTES,
    ) -> None:
        self._clients = clickhouse_clients.Opener(target, query_s_max=query_s_max, builds=builds)
        self._room = Room(self._clients.folder, room_bytes)
        # One more builder than models that are built at once: to ask and note what builds are about.
        self._sizes = {"writers": writers, "readers": readers, "builders": builds.at_once + 1, "killers": 1}
        self._fsync = fsync
        self._lanes: dict[str, Lane] = {}
        self._reach = Reach()

    @property
    def lanes(self) -> list[Lane]:
        """Writers, readers and builders, with how many of them are at work; empty while closed."""
        return [lane for name, lane in self._lanes.items() if name != "killers"]

    async def open(self) -> None:
        """Connect every client (the engine starts with the first: seconds when files are cold).

        Raises ConfigError (folder in use, not writable or on a full disk, user refused, no such database) or Transient
        (server away). Waits out its thread when cancelled: connecting is bounded by the clients' own timeouts.
        """
        self._room.require_to_start()
        hidden = encoded(self._clients.url)
        with translated("connecting", starting=True, hidden=hidden), threads.needed("ClickHouse"):
            clients = await trio.to_thread.run_sync(self._clients.open, self._sizes)
        seconds = self._clients.query_s_max
        self._lanes = {name: Lane(name, members, seconds(name)) for name, members in clients.items()}

    async def aclose(self) -> None:
        """Close every client; what runs has CLOSE_S to end. The last one closed stops the embedded engine."""
        lanes, self._lanes = self._lanes, {}
        with trio.move_on_after(CLOSE_S, shield=True), suppress(Transient), threads.needed("ClickHouse"):
            for lane in lanes.values():
                for _ in range(lane.size):
                    client = await lane.take(CLOSE_S)
                    await trio.to_thread.run_sync(client.close)

    @property
    def is_server(self) -> bool:
        return self._clients.folder is None

    async def look(self) -> None:
        """Find out whether it answers. Transient: it does not, as the log has told once."""

        def work(client: Client) -> None:
            with translated("select 1"):
                client.command("select 1")

        await self._call("killers", _new_tag(), work)  # not a reader, which a long query may hold

    async def keep_room(self) -> None:
        """Stop the embedded engine's merges while its disk is short of room. Runs until cancelled."""
        merging = True
        while True:
            if self._room.enough != merging:
                with suppress(Transient):
                    await self._let_merge(not merging)
                    merging = not merging
            await trio.sleep(LOOK_S)

    async def _let_merge(self, may: bool) -> None:
        sql = f"system {'start' if may else 'stop'} merges"

        def work(client: Client) -> None:
            with translated(sql):
                client.command(sql)

        await self._call("killers", _new_tag(), work)  # not a reader, which a long query may hold

    async def insert_ndjson(self, table: str, body: bytes, *, token: str) -> None:
        """Store `body`, one JSON object a line, into `table` ("database.table"): all of it, or an error.

        The same token again within the table's deduplication window (1,000 inserts) is dropped by ClickHouse,
        whatever its content: a token names frozen bytes. Objects and arrays become JSON text in String columns,
        null the column's default. Permanent: a field that does not exist, a value that does not fit; TooMuch: more
        than PARTITIONS_MAX partitions, or than one query's memory. Transient: all else, also a table that is not there.
        """
        tag = _new_tag()
        settings = {**_INSERT, "insert_deduplication_token": token, "log_comment": tag, "query_id": tag}

        def work(client: Client) -> None:
            self._room.require(f"insert into {table}")
            with translated(f"insert into {table}", inserting=True):
                client.raw_insert(table, insert_block=body, fmt="JSONEachRow", settings=settings)

        await self._call("writers", tag, work)

    @property
    def builders(self) -> "Builders":
        """The way for what builds models."""
        return Builders(self)

    async def rows(self, sql: str, params: Parameters | None = None, *, lane: str = "readers") -> list[dict[str, Any]]:
        """The result of a SELECT, held in memory whole; times are aware UTC. `{name:Type}` is bound by the server."""
        tag = _new_tag()

        def work(client: Client) -> list[dict[str, Any]]:
            with translated("query"):
                result = client.query(_tagged(sql, tag), dict(params or {}), settings={"query_id": tag}, query_tz="UTC")
                return list(result.named_results())

        return await self._call(lane, tag, work)

    async def command(
        self,
        sql: str,
        params: Parameters | None = None,
        *,
        starting: bool = False,
        lane: str = "readers",
    ) -> None:
        """A statement without a result: DDL, INSERT ... SELECT, KILL. It takes a reader's place.

        `starting`: a missing right is a ConfigError.
        """
        tag = _new_tag()

        def work(client: Client) -> None:
            self._room.require_for(sql)
            with translated("command", starting=starting):
                client.command(_tagged(sql, tag), dict(params or {}), settings={"query_id": tag})

        await self._call(lane, tag, work)

    async def stream(self, sql: str, params: Parameters | None = None) -> AsyncGenerator[bytes, None]:
        """A SELECT's result as chunks of whole lines: a line a row, fields between tabs, escaped as PostgreSQL's COPY
        takes them, times as RFC 3339 in UTC.

        Use it within `contextlib.aclosing`. At most three chunks and one block of the engine are held, however
        slow the consumer; its time counts against query_s_max. Ended early, the query is killed. An error after
        the first chunk is raised from the next step: what came before is incomplete.
        """
        tag = _new_tag()
        token = trio.lowlevel.current_trio_token()
        chunks_in, chunks_out = trio.open_memory_channel[bytes](1)

        def work(client: Client) -> None:
            try:
                with translated("stream"):
                    for chunk in _read_lines(client, _tagged(sql, tag), dict(params or {}), tag):
                        trio.from_thread.run(chunks_in.send, chunk, trio_token=token)
            except trio.BrokenResourceError:
                pass  # the consumer left
            finally:
                trio.from_thread.run_sync(chunks_in.close, trio_token=token)

        lane = self._lane("readers")
        call = lane.start(await lane.take(lane.query_s_max), work)
        try:
            while (chunk := await _next(chunks_out, lane.query_s_max + OVERDUE_S)) is not None:
                yield chunk
            await call.done.wait()  # at once: closing the channel was the thread's last act
        finally:
            chunks_out.close()
            await self._kill(call, tag)
        if call.outcome is not None:
            self._result(call.outcome)

    async def migrate(self, folder: Path, variables: Mapping[str, str] = ONE_MACHINE) -> int:
        """Run the numbered files of `folder` that the ledger does not have; returns how many.

        `{name}` of each variable is replaced in their text. ClickHouse has no transactions: the ledger's row is
        written after a file's last statement, so that a file cut short runs again from its start; statements
        must bear that (IF NOT EXISTS). ConfigError when an applied file has changed since, or is missing.
        """
        files = migrations.read(folder)
        await self.command(_filled(_SQL["create_ledger"], variables))
        ledger = [(row["number"], row["name"], row["checksum"]) for row in await self.rows(_SQL["read_ledger"])]
        due = migrations.pending(files, ledger)
        for file in due:
            for statement in _split(_filled(file.sql, variables)):
                await self.command(statement, starting=True)
            done = {"number": file.number, "name": file.name, "checksum": file.checksum}
            await self.command(_SQL["record"], done)
        for row in await self.rows(_SQL["tables_to_set_fsync"], {"fsync": self._fsync}):
            values = {**variables, "name": row["name"], "fsync": str(int(self._fsync))}
            await self.command(_filled(_SQL["set_fsync"], values))
        return len(due)

    def _lane(self, name: str) -> Lane:
        if not self._lanes:
            raise Transient("ClickHouse is closed")
        return self._lanes[name]

    async def _call(self, lane_name: str, tag: str, work: Callable[[Client], T]) -> T:
        lane = self._lane(lane_name)
        call = lane.start(await lane.take(lane.query_s_max), work)
        try:
            with trio.move_on_after(lane.query_s_max + OVERDUE_S):
                await call.done.wait()
        finally:
            await self._kill(call, tag)
        if call.outcome is None:
            silent = Transient(f"ClickHouse: no answer within {lane.query_s_max + OVERDUE_S:g} s")
            self._reach.lost(silent)
            raise silent
        return self._result(call.outcome)

    def _result(self, result: outcome.Outcome[T]) -> T:
        if isinstance(result, outcome.Error) and is_unreachable(result.error):
            self._reach.lost(result.error)
        else:
            self._reach.answered()
        return result.unwrap()

    async def _kill(self, call: Call[Any], tag: str) -> None:
        """End a query whose caller leaves. Again and again: the engine may not have heard of it yet."""
        if call.done.is_set() or not self._lanes:
            return
        killers = self._lane("killers")
        with trio.move_on_after(KILL_S, shield=True):
            while not call.done.is_set():
                killer = await killers.take(math.inf)
                with suppress(Transient):  # without a thread it is tried again, too
                    await killers.start(killer, lambda client: client.command(_SQL["kill"], {"tag": tag})).done.wait()
                with trio.move_on_after(0.05):
                    await call.done.wait()


class Builders:
    """The same store for what builds models: on clients of their own, so that neither these builds nor readers wait
    for each other, and with bounds of their own (`Builds`)."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def rows(self, sql: str, params: Parameters | None = None) -> list[dict[str, Any]]:
        return await self._clickhouse.rows(sql, params, lane="builders")

    async def command(self, sql: str, params: Parameters | None = None) -> None:
        await self._clickhouse.command(sql, params, lane="builders")


def _new_tag() -> str:
    """Names one query among all that run: host, process, count. The last character keeps 1 apart from 12."""
    return f"gcc:{socket.gethostname()}:{os.getpid()}:{next(_numbers)}:"


def _tagged(sql: str, tag: str) -> str:
    return f"/* {tag} */ {sql}"


def _filled(sql: str, variables: Mapping[str, str]) -> str:
    for name, value in variables.items():
        sql = sql.replace("{" + name + "}", value)
    return sql


def _split(sql: str) -> Iterator[str]:
    """The statements of a file: each ends with a line that ends with a semicolon."""
    lines: list[str] = []
    for line in sql.splitlines():
        if line.strip() and not line.lstrip().startswith("--"):
            lines.append(line.rstrip())
            if lines[-1].endswith(";"):
                yield "\n".join(lines).removesuffix(";")
                lines = []
    if lines:
        yield "\n".join(lines)


async def _next(chunks_out: trio.MemoryReceiveChannel[bytes], wait_s: float) -> bytes | None:
    """The next chunk, None after the last."""
    with trio.move_on_after(wait_s):
        try:
            return await chunks_out.receive()
        except trio.EndOfChannel:
            return None
    raise Transient(f"ClickHouse: no part of the stream within {wait_s:g} s")


def _read_lines(client: Client, sql: str, params: dict[str, Any], tag: str) -> Iterator[bytes]:
    """Runs in a thread. A server that fails midway writes its error where a row is due: Transient."""
    source: Any = client.raw_stream(sql, params, settings={"query_id": tag}, fmt="TSV")
    try:
        rest, tabs = b"", None
        while piece := source.read(STREAM_CHUNK_BYTES):
            whole, newline, rest = (rest + piece).rpartition(b"\n")
            if newline:
                tabs = whole.partition(b"\n")[0].count(b"\t") if tabs is None else tabs
                _check_row(whole, tabs)
                yield whole + newline
        if rest:
            _check_row(rest, tabs)
            yield rest + b"\n"
    finally:
        source.close()


def _check_row(lines: bytes, tabs: int | None) -> None:
    """A row has as many tabs as the first one, and what a field has of line breaks is escaped."""
    row = lines.rpartition(b"\n")[2]
    if b"\r" in row or row.count(b"\t") != tabs:
        told = _TOLD_MIDWAY.search(lines[-MESSAGE_CHARS_MAX:].decode(errors="replace"))
        raise Transient(f"ClickHouse broke off a stream: {' '.join(told[0].split()) if told else 'a row is not whole'}")

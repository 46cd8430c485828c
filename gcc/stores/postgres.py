"""PostgreSQL from Trio: psycopg's asyncio connection with its waiting replaced, and a bounded pool.

In: SQL and parameters of tasks. Out: rows. What says something about the server or the moment (it is away, it
has become read-only, a deadlock, a timeout, a cancelled query) leaves a pool as errors.Transient; other errors,
which are about the SQL or the data, pass unchanged. A server that has become read-only is left: see `Pool`.

Cancelling a task cancels its query on the server too. Nothing of a cancelled task is committed unless
its COMMIT was already on its way: then only the database knows. A connection that was interrupted, or
comes back with a transaction open, is closed, never reused.
"""

import select
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from typing import Any, Final, Self, TypeVar

import psycopg
import trio
from psycopg import AsyncTransaction
from psycopg.abc import PQGen, PQGenConn
from psycopg.conninfo import conninfo_attempts, make_conninfo
from psycopg.errors import (
    CancellationTimeout,
    ConnectionTimeout,
    InFailedSqlTransaction,
    UndefinedColumn,
    UndefinedTable,
    _WaitTimeout,
)
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, TupleRow
from psycopg.waiting import Ready, Wait

from gcc import threads
from gcc.errors import Transient
from gcc.passwords import masked
from gcc.stores import odd_values, unit
from gcc.stores.conninfo import odd_parts, parameters, place, read_parts
from gcc.stores.pipelined import WHOSE, Asked, Lanes, Preparing, Question, Speaking, only_reads
from gcc.stores.tenant import Tenant

PSYCOPG: Final = "3.3.9"
"""The version whose private names `Connection` was checked against; a test compares it."""

CONNECT_S = 5.0
CANCEL_S = 2.0
"""How long a cancelled task may wait for the server to agree, shielded; then the connection is closed."""
BUSY_S = 0.005
"""How long a connection that never has to wait may keep other tasks from running."""

# SQLSTATE, by which errors are judged: psycopg files read-only and some timeouts under InternalError.
AWAY = frozenset({"08", "53", "57"})
"""Classes: the connection, the server's resources, the server's operators."""
READ_ONLY, DISK_FULL = "25006", "53100"
PASSING = frozenset({READ_ONLY, "25P03", "25P04", "40001", "40P01", "55P03"})
"""Single codes: a standby or a read-only primary; the timeouts of idle and of long transactions; transactions in each
other's way, locks that were not given."""
TOO_LARGE = "54"
"""The class of the server's fixed limits (a row that no index takes): psycopg files it with what passes."""

DatabaseError = psycopg.Error
"""What leaves a connection or a pool unchanged, for those who do not import the driver."""
NOT_MIGRATED = (UndefinedTable, UndefinedColumn)
"""Said of a statement that needs what a pending migration brings."""

_Result = TypeVar("_Result")


@contextmanager
def transient(where: str, hidden: Collection[str] = ()) -> Iterator[None]:
    """What passes by itself leaves the block as Transient, named by `where`; other errors of psycopg as they are.

    What is `hidden` is masked in what the server says.
    """
    try:
        yield
    except psycopg.Error as error:
        if not passes(error):
            raise
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise Transient(f"{where}: {masked(reason, hidden)}") from error


def passes(error: psycopg.Error) -> bool:
    """Whether the same statement may succeed later: the error is not about it, nor about its data."""
    code = error.sqlstate or ""
    if code[:2] in AWAY or code in PASSING:
        return True
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and code[:2] != TOO_LARGE


def is_unreachable(error: Transient) -> bool:
    """Whether the server is away: not where a pool is exhausted, or one transaction was in another's way."""
    cause = error.__cause__
    return isinstance(cause, psycopg.Error) and (cause.sqlstate or "08")[:2] in AWAY


def takes_nothing(error: Transient) -> bool:
    """Whether the server answers and takes no writes: it is read-only, or its disk is full."""
    cause = error.__cause__
    return isinstance(cause, psycopg.Error) and cause.sqlstate in (READ_ONLY, DISK_FULL)


class _Lock:
    """As trio.Lock, but for the turn of the loop that one costs where it is free: each statement takes it, and waits
    for its answer anyway."""

    def __init__(self) -> None:
        self._lock = trio.Lock()

    async def __aenter__(self) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self._lock.acquire_nowait()
        except trio.WouldBlock:
            await self._lock.acquire()

    async def __aexit__(self, *exc: object) -> None:
        self._lock.release()


class Connection(psycopg.AsyncConnection[TupleRow]):
    """psycopg's AsyncConnection on Trio, always in autocommit mode.

    psycopg writes its protocol as generators that yield what they wait for; only `connect`, `wait` and
    `cancel_safe` touch asyncio, so these are replaced, and the lock. Cursors, `transaction()`, `copy()`,
    `pipeline()` and `notifies()` are psycopg's own and work on top. Private names used: `_connect_gen`,
    `_cancel_gen`, `_should_cancel`, `_autocommit`, `_num_transactions`, `_prepared`, `errors._WaitTimeout`; hence the
    pinned version (PSYCOPG). Raises psycopg's errors. One task at a time; others wait on its lock.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lock = _Lock()  # type: ignore[assignment]
        odd_values.register(self.adapters)
        self.interrupted = False
        """A task was cancelled in the middle of a query here: a pool does not keep such a connection."""
        self.era = 0
        """A pool's count of servers that it has left, when this was opened."""
        self.speaking = Speaking(self)
        self._prepared = Preparing()
        self._others_ran_at = -1.0
        self._partner = ""  # whose rows its transaction sees
        self._unsaid: list[Asked] = []  # with which its transaction begins: goes with the first statement
        self.last: list[Asked] = []
        """What is done as a transaction ends, in the message that commits it; each is to answer a row."""

    async def ping(self, within_s: float) -> None:
        """psycopg.OperationalError: the server, connected as it is, does not answer within that time: it hangs."""
        with trio.move_on_after(within_s) as patience:
            await self.execute("select")
        if patience.cancelled_caught:
            raise psycopg.OperationalError(f"no answer within {within_s:g} s")

    async def rows(self, statement: str | bytes, arguments: Mapping[str, Any]) -> list[DictRow]:
        """What it answers: each row by the names of its columns."""
        return (await self.rows_of([(statement, arguments)]))[0]

    async def rows_of(self, asked: Sequence[Asked]) -> list[list[DictRow]]:
        """What each of several statements answers, which are sent as one message. Where one fails none behind it is
        done, and in no transaction nothing of them is."""
        async with self.lock:
            with self._beginning() as begun:
                questions = [*begun, *_questions(asked)]
                await self.wait(self.speaking.asked(questions))
                return [question.rows() for question in questions][len(begun) :]

    @classmethod
    async def connect(cls, conninfo: str = "", *, connect_s: float = CONNECT_S) -> Self:  # type: ignore[override]
        """Connect to the first address that answers; `connect_s` is shared by all of them.

        Raises OperationalError; Transient without a thread. Cancelled: nothing stays open.
        """
        # Resolving host names blocks, so a thread does it; it ends by itself when nobody waits any more.
        with threads.needed("postgres"):
            attempts = await trio.to_thread.run_sync(conninfo_attempts, read_parts(conninfo), abandon_on_cancel=True)
        last: psycopg.Error | None = None
        for attempt in attempts:
            try:
                with trio.fail_after(connect_s / len(attempts)):
                    connection = await _drive_connecting(cls._connect_gen(make_conninfo("", **attempt)))
            except trio.TooSlowError:
                last = ConnectionTimeout(f"no answer within {connect_s / len(attempts):g} s")
            except psycopg.OperationalError as error:
                last = error
            else:
                connection._autocommit = True
                return connection
        raise last or psycopg.OperationalError("no host to connect to")

    async def wait(self, gen: PQGen[_Result], interval: float = 0.0, timeout: float | None = None) -> _Result:
        """Run one of psycopg's generators to its end, waiting for the socket where it asks.

        Raises _WaitTimeout after `timeout` seconds (psycopg's notifies() asks for that). Cancelled: the
        query is cancelled on the server and its answer read, at most CANCEL_S; else the connection closes.
        """
        if self._unsaid:
            with self._beginning() as questions:
                await self.wait(self.speaking.asked(questions))
                for question in questions:
                    question.rows()
        await self._let_others_run()  # cancelled here, the generator has not begun
        return await self.go_on(gen, timeout)

    async def go_on(self, gen: PQGen[_Result], timeout: float | None = None) -> _Result:
        """As `wait`, also where that has raised _WaitTimeout: cancelled at any await, what was asked is, too."""
        try:
            if timeout is None:
                return await self._drive(gen)
            with trio.move_on_after(timeout):
                return await self._drive(gen)
            gen.send(Ready.NONE)  # what has already arrived counts, and a timeout of 0 looks once
            raise _WaitTimeout("wait timeout expired")
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        except (trio.Cancelled, KeyboardInterrupt):
            self.interrupted = True
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                await self._abandon(gen)
            raise

    @contextmanager
    def _beginning(self) -> Iterator[list[Question]]:
        """What its transaction begins with, to be asked in the block; if none has begun then, with the next statement:
        whoever passes over an error is not to speak outside of it, as nobody's."""
        unsaid, self._unsaid = self._unsaid, []
        try:
            yield _questions(unsaid)
        except BaseException:
            if self.pgconn.transaction_status == TransactionStatus.IDLE:
                self._unsaid = unsaid
            raise

    async def cancel_safe(self, *, timeout: float = CANCEL_S) -> None:
        """Ask the server, over a second socket, to cancel what runs here. Raises CancellationTimeout."""
        if self._should_cancel():
            try:
                with trio.fail_after(timeout):
                    await _drive_connecting(self._cancel_gen())
            except trio.TooSlowError:
                raise CancellationTimeout("cancellation timeout expired") from None

    @asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[AsyncTransaction]:
        """psycopg's transaction block. Cancelled: the connection closes, which rolls back.

        psycopg would send ROLLBACK, which a cancelled task cannot; the next statement of a task that
        outlives its cancel scope must not run inside the abandoned transaction. Nor does a block end well in which a
        statement failed, whoever passed over that: its COMMIT would roll back, and say nothing.
        """
        depth = self._num_transactions
        try:
            async with super().transaction(savepoint_name, force_rollback) as transaction:
                yield transaction
                if not depth:
                    await self._do_last()
                self._refuse_to_commit_nothing()
        except BaseException:
            if self._num_transactions != depth:
                await self.close()
            raise

    @asynccontextmanager
    async def of_partner(self, partner_id: int) -> AsyncIterator[None]:
        """A transaction in which the policies of row-level security show this partner's rows alone; in another one a
        savepoint, after which it is whose it was.

        BEGIN and whose it is go with the first statement, and without one not at all.
        """
        before, self._partner = self._partner, f"{partner_id:d}"
        begin, commit, rollback = ["begin"], ["commit"], ["rollback"]
        is_within = bool(self._unsaid) or self.pgconn.transaction_status != TransactionStatus.IDLE
        if is_within:
            begin, commit, rollback = ["savepoint whose"], ["release whose"], ["rollback to whose", "release whose"]
        self._unsaid += [*((each, {}) for each in begin), (WHOSE, {"partner": self._partner})]
        try:
            yield
            self._refuse_to_commit_nothing()
            if is_within:
                await self.rows_of([*((each, {}) for each in commit), (WHOSE, {"partner": before})])
            elif self.last or not self._unsaid:
                await self._do_last(*((each, {}) for each in commit))
        except BaseException as failure:
            is_back = bool(self._unsaid) and not is_within
            try:
                if isinstance(failure, Exception) and not is_back:
                    with suppress(psycopg.Error):
                        await self.rows_of([(each, {}) for each in rollback])
                        is_back = True
            finally:
                if not is_back:  # nor will a cancelled task's ROLLBACK be sent
                    await self.close()
            raise
        finally:
            self._partner = before
            if not is_within:
                self._unsaid, self.last = [], []

    async def _do_last(self, *then: Asked) -> None:
        last, self.last = self.last, []
        if last or then:
            answers = await self.rows_of([*last, *then])
            assert all(answers[: len(last)]), f"nothing was done at the end by {last[0][0]!r}"

    def _refuse_to_commit_nothing(self) -> None:
        if self.closed:
            raise psycopg.OperationalError("the connection was lost before its transaction was committed")
        if self.pgconn.transaction_status == TransactionStatus.INERROR:
            raise InFailedSqlTransaction("a statement of this transaction failed: nothing of it is committed")

    async def close(self) -> None:
        """Close at once (no checkpoint). A task that waits for an answer here gets OperationalError."""
        if not self.closed:
            trio.lowlevel.notify_closing(self.pgconn.socket)
            await super().close()

    async def __aexit__(self, *exc: object) -> None:
        await self.close()  # nothing to commit in autocommit mode

    async def _drive(self, gen: PQGen[_Result], *, begun: bool = False) -> _Result:
        fd = self.pgconn.socket  # raises when the connection is closed, before the generator has begun
        try:
            wanted = gen.send(Ready.NONE) if begun else next(gen)
            while True:
                if wanted == Wait.RW:  # pipelines and large statements: nearly always ready, so no wait
                    await self._let_others_run()
                wanted = gen.send(await _ready(fd, wanted))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        except (OSError, trio.ClosedResourceError) as error:
            raise psycopg.OperationalError("the connection's socket was closed") from error

    async def _let_others_run(self) -> None:
        """A checkpoint, but not at every call: a COPY of many small rows hardly ever waits by itself."""
        if trio.current_time() - self._others_ran_at > BUSY_S:
            await trio.lowlevel.checkpoint()
            self._others_ran_at = trio.current_time()

    async def _abandon(self, gen: PQGen[_Result]) -> None:
        with trio.move_on_after(CANCEL_S, shield=True), suppress(psycopg.Error):
            await self.cancel_safe()
            await self._drive(gen, begun=True)
        if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
            self.pgconn.finish()  # the server did not agree in time, or a pipeline is half-read


def _questions(asked: Sequence[Asked]) -> list[Question]:
    return [Question(statement, arguments, is_last=True) for statement, arguments in asked]


async def _ready(fd: int, wanted: Wait) -> Ready:
    """Wait until the socket can be read or written as wanted."""
    if wanted == Wait.R:
        await trio.lowlevel.wait_readable(fd)
        return Ready.R
    if wanted == Wait.W:
        await trio.lowlevel.wait_writable(fd)
        return Ready.W
    with select.epoll() as either:  # readable itself as soon as the socket is one or the other
        either.register(fd, select.EPOLLIN | select.EPOLLOUT)
        while not (events := either.poll(0)):
            await trio.lowlevel.wait_readable(either.fileno())
    event = events[0][1]
    readable = Ready.R if event & ~select.EPOLLOUT else Ready.NONE  # an error or a hang-up is read, too
    return Ready(readable | (Ready.W if event & select.EPOLLOUT else Ready.NONE))


async def _drive_connecting(gen: PQGenConn[_Result]) -> _Result:
    """As `Connection._drive`, for generators that may change the socket as they go."""
    try:
        fd, wanted = next(gen)
        while True:
            fd, wanted = gen.send(await _ready(fd, wanted))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    except OSError as error:
        raise psycopg.OperationalError("the connection's socket was closed") from error


async def named_rows(connection: Connection, statement: str, arguments: Mapping[str, Any]) -> list[DictRow]:
    """What the statement answers: each row by the names of its columns."""
    return await connection.rows(statement, arguments)


class Pool:
    """At most `size` connections to one database, opened when needed, the last one used first.

    Bounded in every way: connecting takes at most CONNECT_S, waiting for a free connection `acquire_s`.
    Reconnects by itself: a connection that the server closed while it was idle is replaced unnoticed.
    A server that answers that it is read-only (its standby has taken over) is left: no connection to it is
    used again, and new ones look for the server that takes writes, by name, or among several hosts.
    """

    def __init__(
        self, conninfo: str, size: int, *, name: str, acquire_s: float = 10.0, key: str = "postgres.url"
    ) -> None:
        """Opens nothing yet. `name` shows in pg_stat_activity and errors. ConfigError: conninfo, which the setting
        `key` gives, is malformed."""
        given = parameters(conninfo, key)
        self.name, self.size = name, size
        self._where, self._hidden = place(given), odd_parts(given)
        self.conninfo = make_conninfo("", **{"application_name": f"gcc {name}", **given})
        self._acquire_s = acquire_s
        self._free = trio.Semaphore(size, max_value=size)
        self._idle: deque[Connection] = deque()
        self._era = 0
        self._closed = False
        self._lanes = Lanes(self._own_connection, self._spares, size + 1)

    @property
    def used(self) -> int:
        """Connections that tasks hold or open right now."""
        return self.size - self._free.value

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in autocommit mode, the caller's for the length of the block; of the task's unit of work (see
        gcc/stores/unit.py), if it has begun one here.

        Session state (SET, LISTEN, temporary tables) stays with the connection: use SET LOCAL. Raises
        Transient where the server is away, the pool exhausted, or psycopg reports what `passes` inside the
        block; trio.ClosedResourceError after aclose().
        """
        if (begun := unit.of(self)) is None:
            async with self._own_connection() as connection:
                yield connection
        else:
            with transient(self._where, self._hidden):
                yield await begun.connection()

    @asynccontextmanager
    async def _own_connection(self) -> AsyncIterator[Connection]:
        if self._closed:
            raise trio.ClosedResourceError(f"pool {self.name} is closed")
        await self._take_turn()
        connection: Connection | None = None
        try:
            with transient(self._where, self._hidden):
                connection = self._take_idle() or await self._connect()
                yield connection
        except Transient as error:
            if getattr(error.__cause__, "sqlstate", None) == READ_ONLY:
                await self._leave_server()
            if connection and connection.interrupted:
                # What a cancelled block's own clean-up met on the closed connection must not hide the cancellation.
                await trio.lowlevel.checkpoint_if_cancelled()
            raise
        finally:
            if connection:
                await self._put_back(connection)
            self._free.release()

    async def _take_turn(self) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self._free.acquire_nowait()
        except trio.WouldBlock:
            with trio.move_on_after(self._acquire_s) as patience:
                await self._free.acquire()
            if patience.cancelled_caught:
                told = f"pool {self.name} exhausted: all {self.size} in use for {self._acquire_s:g} s"
                raise Transient(told) from None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """As connection(), in a transaction: committed at the end of the block, rolled back by any exception. Within a
        unit of work it is a savepoint."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def rows(
        self, statement: str | bytes, arguments: Mapping[str, Any], *, whose: Tenant | int | None = None
    ) -> list[DictRow]:
        """What a statement answers: one that only reads asked together with what others ask now
        (gcc/stores/pipelined.py), another in a transaction of its own; either in that of the task's unit of work, if it
        has begun one. `whose`: as tenant().

        Raises as connection(). Cancelled: others are answered.
        """
        partner_id = whose.partner_id if isinstance(whose, Tenant) else whose
        begun = unit.of(self)
        with transient(self._where, self._hidden):
            if begun is None and only_reads(statement):
                return await self._lanes.rows(statement, arguments, "" if partner_id is None else str(partner_id))
            if begun is None:
                async with self.own_transaction(partner_id) as connection:
                    return await connection.rows(statement, arguments)
            connection = await begun.connection()
            async with nullcontext() if partner_id in (None, begun.partner_id) else connection.of_partner(partner_id):
                return await connection.rows(statement, arguments)

    @asynccontextmanager
    async def tenant(self, whose: Tenant | int) -> AsyncIterator[Connection]:
        """As transaction(), for rows of one partner: where row-level security holds, it sees and writes no others."""
        partner_id = whose if isinstance(whose, int) else whose.partner_id
        async with self.connection() as connection, connection.of_partner(partner_id):
            yield connection

    @asynccontextmanager
    async def own_transaction(self, partner_id: int | None = None) -> AsyncIterator[Connection]:
        """As tenant() or, without a partner, transaction(), whatever unit of work the task has begun."""
        async with self._own_connection() as connection:
            async with connection.transaction() if partner_id is None else connection.of_partner(partner_id):
                yield connection

    async def aclose(self) -> None:
        """Close the idle connections now, the others when they come back. Idempotent, never waits."""
        self._closed = True
        self._lanes.close()
        await self._close_idle()

    async def _close_idle(self) -> None:
        while self._idle:
            await self._idle.pop().close()

    async def _leave_server(self) -> None:
        self._era += 1
        await self._close_idle()

    async def _connect(self) -> Connection:
        era = self._era
        connection = await Connection.connect(self.conninfo)
        connection.era = era
        return connection

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and not _has_news(connection.pgconn.socket):
                return connection
            connection.pgconn.finish()
        return None

    async def _put_back(self, connection: Connection) -> None:
        idle = connection.pgconn.transaction_status == TransactionStatus.IDLE  # a closed one is UNKNOWN
        if idle and self._keeps(connection):
            self._idle.append(connection)
        else:
            await connection.close()

    def _keeps(self, connection: Connection) -> bool:
        """Not, either, where something was to be done at the end of a transaction that failed: the next would do it."""
        is_clean = not connection.interrupted and not connection.last
        return is_clean and connection.era == self._era and not self._closed

    def _spares(self, connection: Connection) -> bool:
        return self._keeps(connection) and not self._free.statistics().tasks_waiting


def _has_news(fd: int) -> bool:
    """True when an idle connection's socket is readable: its server said goodbye, or is gone."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))

"""Statements that PostgreSQL is sent in one piece, and the answer of each: libpq's pipeline mode.

In: questions, each one statement with its values; those of a pool only read. Out: rows as dicts, times in UTC. What
tasks ask a pool at about the same moment leaves as one message over one connection, so that a system call, a turn of
the loop and a connection serve all of them. In one message and in one transaction, yet each its own:
- whose rows a statement sees (row-level security) is said before it, and ends with the transaction;
- where one fails, it fails; PostgreSQL answers none behind it, so these are asked again, each in its own transaction;
- where one takes long, those behind it are asked again over another connection, and soon end on this one;
- who is cancelled leaves; where everybody has left, the statements are cancelled on the server, too.
"""

import re
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from copy import copy
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

import trio
from psycopg import errors
from psycopg._preparing import PrepareManager
from psycopg.abc import PQGen
from psycopg.abc import Transformer as Reader
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus, Format, PipelineStatus
from psycopg.pq.abc import PGresult
from psycopg.rows import DictRow
from psycopg.waiting import Wait

if TYPE_CHECKING:
    from gcc.stores.postgres import Connection

BATCH_MAX = 64
"""Questions in one message: more would make the first of the next wait for longer than a message saves."""
LANES = 2
"""Connections on which a pool's readers ask, beside those on which somebody's statement takes long."""
HELD_S = 0.05
"""Without an answer for so long, those behind a statement wait for it no longer; nor may what they left there run for
longer."""
PREPARED_MAX = 200
"""Statements that a connection keeps prepared, the last used."""

_PLACEHOLDERS = re.compile(rb"%%|%\((\w+)\)([sbt])")
_READS = re.compile(rb"(\s|\(|--[^\n]*(\n|$)|/\*.*?\*/)*(select|with|values)\b", re.I | re.S)
_WRITES = re.compile(
    rb"\b(insert|update|delete|merge|into|(next|set)val|set_config|pg_notify|pg_(try_)?advisory_\w+|for\s+(key\s+)?share)\b",
    re.I,
)
_STALE = ("0A", "26", "42", "XX")
"""Classes of what is said, too, of a prepared statement whose tables have changed since, or that the server forgot."""
_IN_THE_WAY = "40"
"""The class of what is said of transactions in each other's way: all in a message have the locks of each."""
_dumping = Transformer()
WHOSE = b"select set_config('gcc.partner_id', %(partner)s, true)"
"""Of row-level security, until the transaction ends."""

Asked = tuple[str | bytes, Mapping[str, Any]]
"""A statement, and its values by name."""


@lru_cache(4096)
def numbered(statement: str | bytes) -> tuple[bytes, tuple[str, ...], tuple[PyFormat, ...]]:
    """%(name)s as the server has it, $1, the names in that order, and their forms, as psycopg's letters say."""
    named: dict[str, tuple[int, PyFormat]] = {}

    def number(found: re.Match[bytes]) -> bytes:
        if found[1] is None:
            return b"%"
        return b"$%d" % named.setdefault(found[1].decode(), (len(named) + 1, PyFormat(found[2].decode())))[0]

    text = _PLACEHOLDERS.sub(number, statement if isinstance(statement, bytes) else statement.encode())
    return text, tuple(named), tuple(form for _, form in named.values())


@lru_cache(4096)
def only_reads(statement: str | bytes) -> bool:
    """What may be asked again, and beside others: it must not write, or lock, or set what holds for those behind it.
    What functions of ours do is not looked at."""
    text = statement if isinstance(statement, bytes) else statement.encode()
    return bool(_READS.match(text)) and not _WRITES.search(text)


class Question:
    """One statement, until it is answered: `rows` then has its rows, or raises its error."""

    __slots__ = (
        "_answer", "_error", "_prepared", "_reader", "batch", "formats", "is_last", "partner", "sql", "task", "types",
        "values",
    )  # fmt: skip

    def __init__(
        self, statement: str | bytes, arguments: Mapping[str, Any], partner: str = "", *, is_last: bool = False
    ) -> None:
        """`partner`: whose rows it may see; '': nobody's, or it was said before. `is_last`: it cannot be asked again.

        Raises psycopg.DataError where a value cannot be told to a server.
        """
        self.partner, self.is_last = partner, is_last
        self.sql, names, forms = numbered(statement)
        self.values = _dumping.dump_sequence([arguments[name] for name in names], forms)
        self.types, self.formats = tuple(_dumping.types or ()), _dumping.formats
        self.task: trio.lowlevel.Task | None = None  # that waits for the answer
        self.batch: Batch | None = None  # that was asked with it
        self._answer: PGresult | None = None
        self._error: Exception | None = None
        self._prepared: Prepared | None = None
        self._reader: Reader | None = None

    @property
    def is_answered(self) -> bool:
        return self._answer is not None or self._error is not None

    def answered(self, answer: PGresult, prepared: "Prepared", reader: Reader) -> None:
        if not self.is_answered:  # elsewhere, where it was moved
            self._answer, self._prepared, self._reader = answer, prepared, reader
            self._told()

    def failed(self, error: Exception) -> None:
        if not self.is_answered:
            self._error = error
            self._told()

    def _told(self) -> None:
        if self.task is not None:
            trio.lowlevel.reschedule(self.task)
            self.task = None

    def rows(self) -> list[DictRow]:
        """In order of asking: the first that failed tells why."""
        if self._error is not None:
            raise copy(self._error) from self._error.__cause__  # others have the same one
        answer, prepared, reader = self._answer, self._prepared, self._reader
        assert answer is not None and prepared is not None and reader is not None
        if not answer.ntuples:
            return []
        if prepared.row is None:
            names = [answer.fname(number) for number in range(answer.nfields)]
            prepared.row = row_of(tuple(name.decode() for name in names if name is not None))
        reader.set_pgresult(answer)
        row = prepared.row
        return [row(*values) for values in reader.load_rows(0, answer.ntuples, tuple)]


@lru_cache(4096)
def row_of(columns: tuple[str, ...]) -> Callable[..., DictRow]:
    """A function that makes a dict of values in that order: as code it takes two thirds of what dict(zip()) does, and
    that is most of what a row costs."""
    values = [f"v{number}" for number in range(len(columns))]
    pairs = [f"{column!r}: {value}" for column, value in zip(columns, values, strict=True)]
    made: Callable[..., DictRow] = eval(f"lambda {', '.join(values)}: {{{', '.join(pairs)}}}", {})
    return made


class Prepared:
    """A statement that a connection knows by name."""

    __slots__ = ("is_there", "key", "name", "row")

    def __init__(self, key: tuple[bytes, tuple[int, ...]], name: bytes) -> None:
        self.key, self.name = key, name
        self.row: Callable[..., DictRow] | None = None  # once it has answered
        self.is_there = False


Sent = tuple[Literal["prepare", "ask", "close", "end"], Question | None, Prepared | None]
"""What PostgreSQL was told, of which question it is a part, if any, and of which statement."""


class Speaking:
    """What a connection knows of the questions that were asked on it."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._reader = Transformer(connection)
        self._prepared: OrderedDict[tuple[bytes, tuple[int, ...]], Prepared] = OrderedDict()
        self._unused: dict[bytes, Prepared] = {}  # by name: that it has not been told to forget, or not heard
        self.steps = 0
        """Pieces that were sent, or answered, since it was opened: where there are more, it goes on."""
        self._numbers = count()

    def forget(self) -> None:
        """The server has forgotten all that was prepared."""
        self._prepared.clear()
        self._unused.clear()

    def asked(self, questions: Sequence[Question], *, each_alone: bool = False) -> PQGen[None]:
        """Ask all of them. Those behind one that failed are not answered, but where `each_alone`, nor is one whose
        columns have changed since it was prepared.

        Raises psycopg.OperationalError where the connection is lost, psycopg.Error where nothing was committed after
        all; it is to be closed where this is not driven to its end.
        """
        pgconn = self._connection.pgconn
        if pgconn.pipeline_status != PipelineStatus.OFF:  # what is still to be read would be taken for ours
            raise errors.OperationalError("somebody's answers were not read to their end here")
        pgconn.enter_pipeline_mode()
        sent = self._sent(questions, each_alone=each_alone)
        batch = questions[0].batch
        error: errors.Error | None = None
        uncommitted: errors.Error | None = None
        while pgconn.flush():
            yield Wait.RW
            self.steps += 1
            pgconn.consume_input()
        for part, question, prepared in sent:
            while pgconn.is_busy():
                yield Wait.R
                pgconn.consume_input()
            result = pgconn.get_result()
            assert result is not None, "each that was sent is answered"
            self.steps += question is not None and part == "ask"
            if part == "end":
                if result.status != ExecStatus.PIPELINE_SYNC:
                    uncommitted = errors.error_from_result(result)
                    pgconn.get_result()
                    while pgconn.is_busy():  # for the end itself, if the server has not said goodbye
                        yield Wait.R
                        pgconn.consume_input()
                    pgconn.get_result()
                continue
            assert pgconn.get_result() is None, "a statement has one answer"
            if result.status in (ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED):
                is_its = result.status == ExecStatus.FATAL_ERROR
                error = errors.error_from_result(result) if is_its else error
                is_stale = self._failed(prepared, error if is_its else None)
                is_told = each_alone or (is_its and question is not None and (question.is_last or not is_stale))
                if question is not None and question.batch is batch and is_told:  # who was moved is told elsewhere
                    assert error is not None
                    question.failed(error)
            elif prepared is not None and part == "close":
                self._unused.pop(prepared.name, None)
            elif prepared is not None:
                prepared.is_there = True
                if question is not None and part == "ask":
                    question.answered(result, prepared, self._reader)
        pgconn.exit_pipeline_mode()
        if uncommitted is not None:
            raise uncommitted

    def _sent(self, questions: Sequence[Question], *, each_alone: bool) -> list[Sent]:
        pgconn = self._connection.pgconn
        sent: list[Sent] = []
        for unused in self._unused.values():
            self._close(unused, sent)
        whose = ""
        for each in questions:
            if each.partner != whose:
                self._send(Question(WHOSE, {"partner": each.partner}), None, sent, is_kept=not each_alone)
                whose = each.partner
            self._send(each, each, sent, is_kept=not each_alone)
            if each_alone:
                pgconn.pipeline_sync()
                sent.append(("end", None, None))
                whose = ""
            else:
                pgconn.send_flush_request()  # it does not wait for those behind it
        if not each_alone:
            pgconn.pipeline_sync()
            sent.append(("end", None, None))
        return sent

    def _send(self, question: Question, told: Question | None, sent: list[Sent], *, is_kept: bool) -> None:
        """And prepare it where it is not known; where it is not to be `is_kept`, anew and without a name."""
        pgconn, key = self._connection.pgconn, (question.sql, question.types)
        known = self._prepared.get(key) if is_kept else None
        if known is None:
            while is_kept and len(self._prepared) >= PREPARED_MAX:
                _, unused = self._prepared.popitem(last=False)
                self._unused[unused.name] = unused
                self._close(unused, sent)
            known = Prepared(key, b"gcc_%d" % next(self._numbers) if is_kept else b"")
            if is_kept:
                self._prepared[key] = known
            pgconn.send_prepare(known.name, question.sql, question.types)
            sent.append(("prepare", told, known))
        else:
            self._prepared.move_to_end(key)
        pgconn.send_query_prepared(known.name, question.values, question.formats, result_format=Format.BINARY)
        sent.append(("ask", told, known))

    def _close(self, unused: Prepared, sent: list[Sent]) -> None:
        self._connection.pgconn.send_close_prepared(unused.name)
        sent.append(("close", None, unused))

    def _failed(self, prepared: Prepared | None, error: errors.Error | None) -> bool:
        """With its own error, or behind another. Whether it may fare better anew, in a transaction of its own."""
        said = ((error and error.sqlstate) or "")[:2]
        if prepared is not None and self._prepared.get(prepared.key) is prepared:
            if not prepared.is_there:
                del self._prepared[prepared.key]
            elif said in _STALE:
                self._unused[prepared.name] = self._prepared.pop(prepared.key)
        return said in _STALE or said == _IN_THE_WAY


class Preparing(PrepareManager):
    """psycopg's: where it has the server forget all statements, ours are forgotten, too."""

    def maintain_gen(self, conn: Any) -> PQGen[None]:
        if None in self._to_flush:
            conn.speaking.forget()
        yield from super().maintain_gen(conn)


class Batch:
    """Questions that were sent as one message."""

    def __init__(self, questions: list[Question]) -> None:
        self.questions = questions
        self.scope = trio.CancelScope()
        for question in questions:
            question.batch = self

    @property
    def open(self) -> list[Question]:
        """That are not answered yet, and whom somebody waits for."""
        return [question for question in self.questions if question.batch is self and not question.is_answered]

    def left(self, question: Question) -> None:
        question.batch = None
        if not self.open:
            self.scope.cancel()


class Lanes:
    """On which the readers of one pool ask. A lane is a task of Trio's system, as a pool has no nursery: it holds a
    connection while there is something to ask, rests otherwise, and is over when Trio is, or the lanes are closed.

    `connected` waits for a connection, and `spares` tells whether it may be kept for the next message. `lanes_max` is
    one more than there are connections: where slow statements have all of them, `connected` tells those who wait.
    """

    def __init__(
        self,
        connected: Callable[[], AbstractAsyncContextManager["Connection"]],
        spares: Callable[["Connection"], bool],
        lanes_max: int,
    ) -> None:
        self._connected, self._spares, self._lanes_max = connected, spares, lanes_max
        self._waiting: deque[Question] = deque()
        self._resting: list[trio.lowlevel.Task] = []
        self._lanes = 0
        self._speaking = 0  # of them, that have a connection
        self._held = 0  # of these, on which somebody's statement takes long
        self._is_called = False  # one that has not looked yet
        self._is_closed = False

    async def rows(self, statement: str | bytes, arguments: Mapping[str, Any], partner: str) -> list[DictRow]:
        """Raises psycopg.Error, Transient; trio.ClosedResourceError after close(). Cancelled: it has left."""
        if self._is_closed:
            raise trio.ClosedResourceError("the pool is closed")
        question = Question(statement, arguments, partner)
        assert only_reads(question.sql), "what writes is asked in its own transaction"
        await trio.lowlevel.checkpoint_if_cancelled()
        question.task = trio.lowlevel.current_task()
        self._waiting.append(question)
        self._call()

        def leave(_: object) -> trio.lowlevel.Abort:
            question.task = None
            if question.batch is not None:
                question.batch.left(question)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(leave)
        return question.rows()

    def close(self) -> None:
        """What was sent is still answered."""
        self._is_closed = True
        while self._resting:
            trio.lowlevel.reschedule(self._resting.pop())

    def _call(self) -> None:
        """One that looks what there is to ask, as soon as all who run now have asked."""
        if self._is_called:
            return
        if self._resting:
            trio.lowlevel.reschedule(self._resting.pop())
        elif self._lanes - self._held < LANES and self._lanes < self._lanes_max:
            self._lanes += 1
            trio.lowlevel.spawn_system_task(self._run, name="a lane of a pool", context=Context())
        else:
            return
        self._is_called = True

    async def _run(self) -> None:
        """Nothing leaves but what is Trio's own: who asked is told."""
        while True:
            is_refused = False
            if self._waiting:
                is_refused = not await self._speak()
            self._is_called = False
            if self._waiting and not is_refused:
                continue
            if self._is_closed or self._lanes - self._held > LANES:
                self._lanes -= 1
                return
            await self._rest()

    async def _speak(self) -> bool:
        """While there is something to ask; False: no connection could be had, and others speak."""
        batch: Batch | None = None
        try:
            async with self._connected() as connection:
                self._speaking += 1
                try:
                    while batch := self._next():
                        with batch.scope:
                            await self._ask(connection, batch)
                        if not self._spares(connection):
                            break
                finally:
                    self._speaking -= 1
        except Exception as error:
            if batch is None and self._speaking > self._held:
                return False
            while failing := self._taken() if batch is None else batch.open:
                for question in failing:
                    question.failed(error)
        return True

    async def _rest(self) -> None:
        task = trio.lowlevel.current_task()
        self._resting.append(task)

        def end(_: object) -> trio.lowlevel.Abort:
            self._resting.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(end)

    def _next(self) -> Batch | None:
        self._is_called = False
        taken = self._taken()
        return Batch(taken) if taken else None

    def _taken(self) -> list[Question]:
        """Of those for whom somebody waits."""
        taken: list[Question] = []
        while self._waiting and len(taken) < BATCH_MAX:
            question = self._waiting.popleft()
            if question.task is not None:
                taken.append(question)
        return taken

    async def _ask(self, connection: "Connection", batch: Batch) -> None:
        each_alone = False
        while asked := batch.open:
            asking, due = connection.speaking.asked(asked, each_alone=each_alone), connection.speaking.steps
            while not await _is_over(connection, asking):
                if connection.speaking.steps == due:
                    await self._hold(connection, batch, asking)
                    break
                due = connection.speaking.steps
            each_alone = True

    async def _hold(self, connection: "Connection", batch: Batch, asking: PQGen[None]) -> None:
        """Those behind the one that takes long are asked elsewhere. Here they are cancelled when it is their turn,
        unless they are over at once: a server that is slow with all would do all again on each connection."""
        self._held += 1
        try:
            for question in reversed(batch.open[1:]):
                batch.left(question)
                self._waiting.appendleft(question)
            if self._waiting:
                self._call()
            due = connection.speaking.steps
            while not await _is_over(connection, asking):
                if not batch.open and connection.speaking.steps == due:
                    batch.scope.cancel()
                due = connection.speaking.steps
        finally:
            self._held -= 1


async def _is_over(connection: "Connection", asking: PQGen[None]) -> bool:
    try:
        await connection.go_on(asking, timeout=HELD_S)
    except errors._WaitTimeout:
        return False
    return True

"""Which errors of a real server are Transient, and how a pool finds the server that takes writes."""

import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psycopg
import pytest
import trio
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gcc.errors import ConfigError, Transient
from gcc.stores.conninfo import odd_parts, parameters, place
from gcc.stores.notifications import Notifications
from gcc.stores.postgres import Connection, Pool, passes, transient
from tests.contract.test_notifications import kept

PATIENCE_S = 20.0
WRITE = "create table if not exists thing (id integer)"
READ_ONLY = "set default_transaction_read_only = on"

PASSES = {
    **dict.fromkeys(("08000", "08003", "08006", "08P01"), True),  # the connection
    **dict.fromkeys(("53000", "53100", "53200", "53300", "53400"), True),  # disk, memory, connections
    **dict.fromkeys(("57000", "57014", "57P01", "57P02", "57P03", "57P04", "57P05"), True),  # operators
    **dict.fromkeys(("25006", "25P03", "25P04"), True),
    **dict.fromkeys(("40001", "40P01", "55P03"), True),
    **dict.fromkeys(("23505", "22P02", "22021", "42601", "42P01", "25P02", "54000", "XX001"), False),
}


@pytest.mark.parametrize(("code", "expected"), PASSES.items())
@pytest.mark.parametrize("kind", [None, psycopg.DatabaseError])
def test_an_error_is_judged_by_its_sqlstate_whatever_class_it_comes_as(
    code: str, expected: bool, kind: type[psycopg.Error] | None
) -> None:
    base = kind or errors.lookup(code)

    class Came(base):  # type: ignore[valid-type,misc]
        sqlstate = code

    assert passes(Came("it came")) is expected


def test_what_has_no_sqlstate_is_the_connections_own() -> None:
    assert passes(psycopg.OperationalError("the server closed the connection unexpectedly"))
    assert passes(psycopg.InterfaceError("the connection is closed"))
    assert not passes(psycopg.ProgrammingError("the query has 1 placeholder but 0 parameters were passed"))


async def value(connection: Connection, query: str) -> Any:
    cursor = await connection.execute(query)
    row = await cursor.fetchone() if cursor.description else None
    return row[0] if row else None


async def ask(pool: Pool, query: str) -> Any:
    async with pool.connection() as connection:
        return await value(connection, query)


async def gone(pool: Pool, pid: int) -> None:
    with trio.fail_after(PATIENCE_S):
        while await ask(pool, f"select true from pg_stat_activity where pid = {pid}"):  # noqa: ASYNC110, S608
            await trio.sleep(0.005)


@pytest.fixture
async def other(database: str) -> AsyncIterator[Pool]:
    pool = Pool(database, 1, name="other")
    yield pool
    await pool.aclose()


# -- real ends of sessions


async def idle(connection: Connection, died: Callable[[], Awaitable[None]]) -> None:
    await connection.execute("set idle_session_timeout = '20ms'")
    await died()
    await connection.execute("select 1")


async def idle_in_transaction(connection: Connection, died: Callable[[], Awaitable[None]]) -> None:
    async with connection.transaction():
        await connection.execute("set idle_in_transaction_session_timeout = '20ms'")
        await died()
        await connection.execute("select 1")


async def idle_before_commit(connection: Connection, died: Callable[[], Awaitable[None]]) -> None:
    async with connection.transaction():
        await connection.execute("set idle_in_transaction_session_timeout = '20ms'")
        await died()


async def statement_timeout(connection: Connection, died: Callable[[], Awaitable[None]]) -> None:
    await connection.execute("set statement_timeout = '10ms'")
    await connection.execute("select pg_sleep(60)")


async def terminated(connection: Connection, died: Callable[[], Awaitable[None]]) -> None:
    await connection.execute("select pg_terminate_backend(pg_backend_pid())")


async def terminated_in_transaction(connection: Connection, died: Callable[[], Awaitable[None]]) -> None:
    async with connection.transaction():
        await connection.execute(WRITE)
        await connection.execute("select pg_terminate_backend(pg_backend_pid())")


async def read_only(connection: Connection, died: Callable[[], Awaitable[None]]) -> None:
    await connection.execute(READ_ONLY)
    await connection.execute(WRITE)


async def read_only_transaction(connection: Connection, died: Callable[[], Awaitable[None]]) -> None:
    await connection.execute(READ_ONLY)
    async with connection.transaction():
        await connection.execute("select 1")
        await connection.execute(WRITE)


ENDS = [
    idle,
    idle_in_transaction,
    idle_before_commit,
    statement_timeout,
    terminated,
    terminated_in_transaction,
    read_only,
    read_only_transaction,
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_what_a_server_does_to_a_session_is_transient_and_the_pool_goes_on(
    database: str, other: Pool, end: Callable[[Connection, Callable[[], Awaitable[None]]], Awaitable[None]]
) -> None:
    pool = Pool(database, 1, name="test")
    for _ in range(2):
        with trio.fail_after(PATIENCE_S), pytest.raises(Transient, match="postgres at"):
            async with pool.connection() as connection:
                pid = connection.info.backend_pid

                async def died(pid: int = pid) -> None:
                    await gone(other, pid)

                await end(connection, died)
        assert pool.used == 0
    await ask(pool, "reset statement_timeout")  # of a session that lives on
    await ask(pool, "create table other_thing (id integer)")
    assert await ask(other, "select to_regclass('thing') is null") is True, "nothing of it was committed"
    await pool.aclose()


async def test_a_row_that_no_index_takes_is_no_passing_matter(pool: Pool) -> None:
    await ask(pool, "create table wide (text text primary key)")
    with pytest.raises(psycopg.errors.ProgramLimitExceeded):
        await ask(pool, "insert into wide select string_agg(gen_random_uuid()::text, '') from generate_series(1, 500)")


async def test_listening_goes_on_after_a_server_that_refuses_to_be_listened_to(
    database: str, other: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a standby does: "cannot execute LISTEN during recovery" is 25006."""
    connect, refused = Connection.connect, 0

    class Standby:
        async def __aenter__(self) -> "Standby":
            return self

        async def __aexit__(self, *exc: object) -> None: ...

        async def execute(self, *_: object) -> None:
            raise errors.ReadOnlySqlTransaction("cannot execute LISTEN during recovery")

    async def refusing_first(conninfo: str) -> Any:
        nonlocal refused
        refused += 1
        return Standby() if refused == 1 else await connect(conninfo)

    monkeypatch.setattr(Connection, "connect", refusing_first)
    notifications, told = Notifications(database, ["here"]), trio.Event()
    notifications.on("here", lambda _: told.set())
    async with trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE_S):
            await nursery.start(kept(notifications))
            assert refused == 2
            async with other.connection() as connection:
                monkeypatch.undo()
                await connection.execute("notify here")
            await told.wait()
        nursery.cancel_scope.cancel()


# -- a server that has become read-only is left


async def demote(pool: Pool) -> set[int]:
    """What becomes of the sessions when their server turns read-only without closing them."""
    async with AsyncExitStack() as stack:
        held = [await stack.enter_async_context(pool.connection()) for _ in range(pool.size)]
        for connection in held:
            await connection.execute(READ_ONLY)
        return {connection.info.backend_pid for connection in held}


async def test_no_connection_to_a_read_only_server_is_used_again(pool: Pool) -> None:
    old = await demote(pool)
    async with pool.connection() as busy:  # has not met it yet
        with pytest.raises(Transient, match="read-only"):
            await ask(pool, WRITE)
        await ask(pool, WRITE)  # the next one is new, and so is its server
        assert busy.info.backend_pid in old
    assert busy.closed
    async with AsyncExitStack() as stack:
        held = [await stack.enter_async_context(pool.connection()) for _ in range(pool.size)]
        assert not old & {connection.info.backend_pid for connection in held}


async def test_a_server_that_stays_read_only_is_transient_until_it_is_not(
    database: str, pool: Pool, postgres_admin: "psycopg.Connection[tuple[object, ...]]"
) -> None:
    name = conninfo_to_dict(database)["dbname"]
    postgres_admin.execute(f"alter database {name} set default_transaction_read_only = on".encode())
    for _ in range(2 * pool.size):
        with pytest.raises(Transient, match="read-only"):
            await ask(pool, WRITE)
        assert await ask(pool, "select 1") == 1
    postgres_admin.execute(f"alter database {name} reset default_transaction_read_only".encode())
    with pytest.raises(Transient, match="read-only"):
        await ask(pool, WRITE)  # the one that read last
    await ask(pool, WRITE)


class Node:
    """One address of the test's server. Sessions that come while it is a standby are read-only from their start."""

    def __init__(self, conninfo: str) -> None:
        given = conninfo_to_dict(conninfo)
        self._server = str(given.get("host")), str(given.get("port") or 5432)
        self.standby = False
        self.sessions = 0
        self.port = 0

    async def _connect(self) -> trio.abc.Stream:
        host, port = self._server
        if host.startswith("/"):
            return await trio.open_unix_socket(f"{host}/.s.PGSQL.{port}")
        return await trio.open_tcp_stream(host, int(port))

    async def serve(self, client: trio.SocketStream) -> None:
        async with client, await self._connect() as server, trio.open_nursery() as nursery:
            first = bytes(await client.receive_some())
            if self.standby and first[4:8] == struct.pack("!I", 196608):  # a startup message, protocol 3.0
                body = first[4:-1] + b"options\0-c default_transaction_read_only=on\0\0"
                first = struct.pack("!I", len(body) + 4) + body
            self.sessions += 1
            await server.send_all(first)
            nursery.start_soon(_forward, client, server)
            await _forward(server, client)
            nursery.cancel_scope.cancel()


async def _forward(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
    try:
        async for block in source:
            await sink.send_all(block)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


@asynccontextmanager
async def cluster(database: str) -> AsyncIterator[tuple[list[Node], str]]:
    """Two addresses, and the conninfo that names both."""
    nodes = [Node(database), Node(database)]
    async with trio.open_nursery() as nursery:
        for node in nodes:
            [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            node.port = listener.socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, node.serve, [listener])
        ports = ",".join(str(node.port) for node in nodes)
        host = {"host": "127.0.0.1,127.0.0.1", "port": ports, "sslmode": "disable", "gssencmode": "disable"}
        yield nodes, make_conninfo(database, **host)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("first", [0, 1])
async def test_of_several_hosts_the_one_that_takes_writes_is_used_and_found_again(database: str, first: int) -> None:
    async with cluster(database) as (nodes, conninfo):
        nodes[1 - first].standby = True
        pool = Pool(conninfo, 3, name="test")
        try:
            await demoted_and_found(pool, nodes, first)
        finally:
            await pool.aclose()


async def demoted_and_found(pool: Pool, nodes: list[Node], first: int) -> None:
    await ask(pool, WRITE)
    old = await demote(pool)
    nodes[first].standby, nodes[1 - first].standby = True, False
    with pytest.raises(Transient, match="read-only"):
        await ask(pool, "insert into thing values (1)")
    before = nodes[1 - first].sessions
    await ask(pool, "insert into thing values (2)")
    assert nodes[1 - first].sessions == before + 1
    assert await ask(pool, "select pg_backend_pid()") not in old
    await demote(pool)
    nodes[1 - first].standby = True
    for _ in range(2):  # nobody takes writes: what cannot be connected to is waited for like any other
        with pytest.raises(Transient, match="read-only"):
            await ask(pool, "insert into thing values (3)")
    nodes[first].standby = False
    await ask(pool, "insert into thing values (4)")
    assert await ask(pool, "select array_agg(id) from thing") == [2, 4]


def test_a_word_of_the_conninfo_is_kept() -> None:
    assert parameters("host=a,b target_session_attrs=any")["target_session_attrs"] == "any"
    assert parameters("postgresql://a,b/d")["target_session_attrs"] == "read-write"
    assert "target_session_attrs" not in parameters("host=a")


@pytest.mark.parametrize(
    ("conninfo", "wrong"),
    [
        ("postgresql://u:hush@127.0.0.1:1:2/x", "port"),
        ("postgresql://u:hush@h:70000/x", "port"),
        ("host=a,b port=5432,x password=hush", "port"),
        ("postgresql://u:hush@h/x?sslmode=on", "sslmode"),
        ("postgresql://u:hush@h/x?target_session_attrs=primary-or-so", "target_session_attrs"),
        ("postgresql://u:hush@h/x?connect_timeout=3s", "connect_timeout"),
        ("postgresql://u:hush@h/x?keepalives=yes", "keepalives"),
    ],
)
def test_what_no_server_could_mend_is_refused_by_name_and_never_waited_for(conninfo: str, wrong: str) -> None:
    with pytest.raises(ConfigError, match=rf"^postgres\.url has no possible {wrong};") as refused:
        parameters(conninfo)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("conninfo", "part"),
    [
        ("postgresql://u:12/hush@h/d", "database"),
        ("postgresql:///u:hush@h/d", "database"),
        ("postgresql:////u:hush@h/d", "database"),
        ("postgresql://h/d;password=hush", "database"),
        ("dbname=postgresql://u:hush@h2/d", "database"),
        ("host=h dbname=d;password=hush", "database"),
        ("host=h;password=hush", "host"),
        ("postgresql://h/d?dbname=u:hush", "database"),
        ("postgresql://u:p@hush@h/d", "host"),
        ("host=h,password=hush", "host"),
        ("host=/run,password=hush", "host"),
        ("host=/run/password=hush", "host"),
        ("postgresql://h/d?host=u:hush&connect%5Ftimeout=1", "host"),
    ],
)
def test_a_piece_of_a_password_is_no_host_and_no_database(conninfo: str, part: str) -> None:
    for ask in (parameters, lambda given: Pool(given, 1, name="x"), lambda given: Notifications(given, [])):
        with pytest.raises(ConfigError, match=rf"^postgres\.url has an '@'.* in its {part},.*%40") as refused:
            ask(conninfo)
        assert "hush" not in str(refused.value)


@pytest.mark.parametrize("host", ["a..b", "a" * 64, ".a", "b,a..b"])
def test_a_host_that_is_no_name_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=r"^postgres\.url has no possible host"):
        parameters(f"host={host}")


@pytest.mark.parametrize(
    ("conninfo", "told"),
    [
        ("postgresql://u:p@h:1/d", "postgres at h:1/d"),
        ("postgresql:///hu%40sh?host=/run/x", "postgres at /run/x:5432/***"),
        ("postgresql://%40hush:1,[::1]:2/d", "postgres at ***,::1:1,2/d"),
        ("host=@hush dbname='u:hush@h'", "postgres at ***:5432/***"),
    ],
)
def test_a_place_shows_no_part_that_may_be_of_a_password(conninfo: str, told: str) -> None:
    assert place(parameters(conninfo)) == told


@pytest.mark.parametrize("conninfo", ["postgresql://us%3Aer:pass@h/hu%40sh", "host=h,a:b user=us:er dbname=hu@sh"])
async def test_what_a_server_repeats_of_an_address_is_masked(conninfo: str) -> None:
    said = psycopg.OperationalError('database "hu@sh" does not exist for "us:er"')
    with pytest.raises(Transient) as caught, transient("x", odd_parts(parameters(conninfo))):
        raise said
    assert str(caught.value) == 'x: database "***" does not exist for "***"'


@pytest.mark.parametrize(
    "conninfo",
    [
        "host=a,b port=1,2",
        "host=/tmp port=5432",
        "postgresql://[::1]:5432/x?connect_timeout=3",
        "postgresql://h/x?port=",
        "dbname=x",
        "postgresql://h1:1,h2:2/d",
        "postgresql://[::1]:1,[fe80::1%25eth0]:2/d",
        "postgresql://%2Frun%2Fx/d",
        "postgresql://u:p%40%2F%3A%3F@h/d?options=-csearch_path%3Da",
        "host=/run/x=y:z options=-csearch_path=a",
        "postgresql:///a%40b?host=/run/x",
        "postgresql://u:p@%40abstract/d",
        "hostaddr=::1",
        "host=@abstract dbname=x",
        "host=h dbname='a=b'",
        "host=h dbname='my;db'",
        "host=h dbname='100%'",
    ],
)
def test_what_a_server_may_answer_is_not_refused(conninfo: str) -> None:
    assert conninfo_to_dict(conninfo).items() <= parameters(conninfo).items()

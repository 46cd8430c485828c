"""A real PostgreSQL for tests: one embedded server a session, a fresh migrated database a test.

`database` is the conninfo of a database with every migration applied, dropped after the test; `pool` is a
`Pool` on it, both as the role of the application, which owns nothing else; `web_pool` is one as requests have it, whom
row-level security holds. `postgres_server` is the server itself, for
tests that make their own databases. GCC_TEST_POSTGRES_URL names one from outside, by a user who may make and drop
databases, and who is the application's role, too; nothing but those of the tests is touched.
"""

import itertools
import os
import queue
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

import psycopg
import pytest
import trio
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gcc.statements import SQL
from gcc.stores.embedded_postgres import ROLE, EmbeddedPostgres
from gcc.stores.migrations import migrate_postgres
from gcc.stores.postgres import Pool
from gcc.stores.tenancy import ROLE as WEB_ROLE
from gcc.stores.tenancy import settle

URL = "GCC_TEST_POSTGRES_URL"
TEMPLATE = f"gcc_template_{os.getpid()}"
READY_S = 120.0

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """conninfo of a session's server (database postgres, all rights), with the migrated template in it."""
    given = os.environ.get(URL)
    with nullcontext(given) if given else _embedded() as server:
        conninfo = make_conninfo(server, dbname="postgres")
        with psycopg.connect(conninfo, autocommit=True) as admin:
            admin.execute(f"create database {TEMPLATE} owner {_owner(conninfo)}".encode())
            if given:
                admin.execute(f"create role {WEB_ROLE}".encode())
                admin.execute(f"grant {WEB_ROLE} to current_user".encode())
        application = of_application(conninfo, TEMPLATE)
        with ThreadPoolExecutor(1) as thread:  # a test that asks for this late is inside a run of its own
            thread.submit(trio.run, migrate_postgres, application, SQL / "postgres").result()
            thread.submit(trio.run, settle, application, of_requests(application)).result()
        yield conninfo
        with psycopg.connect(conninfo, autocommit=True) as admin:
            admin.execute(f"drop database {TEMPLATE} with (force)".encode())
            if given:
                admin.execute(f"drop role {WEB_ROLE}".encode())


def of_application(server: str, database: str) -> str:
    """conninfo of a database of the session's server, for the role of the platform."""
    return make_conninfo(server, dbname=database, user=None if URL in os.environ else ROLE)


def of_requests(database: str) -> str:
    """conninfo of the same database, for the role that row-level security holds."""
    if URL in os.environ:
        return make_conninfo(database, options=f"-c role={WEB_ROLE}")
    return make_conninfo(database, user=WEB_ROLE)


def _owner(server: str) -> str:
    return str(conninfo_to_dict(of_application(server, TEMPLATE)).get("user", "current_user"))


@contextmanager
def _embedded() -> Iterator[str]:
    data_dir = Path(tempfile.mkdtemp(prefix="gcc-tests-"))
    answers: queue.SimpleQueue[tuple[str, trio.lowlevel.TrioToken, trio.CancelScope] | BaseException]
    answers = queue.SimpleQueue()

    async def serve() -> None:
        server = EmbeddedPostgres(data_dir, fsync=False)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            answers.put((server.superuser_conninfo, trio.lowlevel.current_trio_token(), nursery.cancel_scope))

    def run() -> None:
        try:
            trio.run(serve)
        except BaseException as error:
            answers.put(error)

    # The server dies with the thread that started it (see EmbeddedPostgres): this one lives for the session.
    thread = threading.Thread(target=run, name="postgres_server")
    thread.start()
    try:
        answer = answers.get(timeout=READY_S)
        if isinstance(answer, BaseException):
            raise answer
        conninfo, token, scope = answer
        yield conninfo
        token.run_sync_soon(scope.cancel)
    finally:
        thread.join(READY_S)
        shutil.rmtree(data_dir)


@pytest.fixture(scope="session")
def postgres_admin(postgres_server: str) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """A blocking connection that makes and drops databases."""
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        yield admin


@pytest.fixture
def database(postgres_server: str, postgres_admin: "psycopg.Connection[tuple[object, ...]]") -> Iterator[str]:
    """conninfo of a fresh database with every migration applied."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    owner = _owner(postgres_server)
    postgres_admin.execute(f"create database {name} template {TEMPLATE} owner {owner} strategy file_copy".encode())
    yield of_application(postgres_server, name)
    postgres_admin.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    """A pool of four on the test's database."""
    pool = Pool(database, 4, name="test")
    yield pool
    await pool.aclose()


@pytest.fixture
async def web_pool(database: str) -> AsyncIterator[Pool]:
    """As `pool`, of the role of requests."""
    pool = Pool(of_requests(database), 4, name="web test")
    yield pool
    await pool.aclose()

"""Numbered, forward-only schema migrations, and the ledger that tells which ones a database has seen.

In: a folder of `0001_what_it_does.sql`, `0002_...`: no gaps, no number twice. Out: a database at the
last of them. Each file runs in one transaction together with its ledger row, so a failure or a
cancellation leaves whole files applied or nothing. Starters that run at once serialise on an advisory
lock and each file is applied once. Processes of the release before may go on meanwhile: their changes
of jobs wait. Who keeps a table for longer (a dump, a session that was left open) holds up the file alone: it gives way
and is tried again. An applied file that changed since, or a database that has seen more than this code knows,
is a ConfigError: nothing is touched.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import trio

from gcc import statements
from gcc.errors import ConfigError, Transient
from gcc.passwords import masked
from gcc.stores.conninfo import odd_parts, parameters, place
from gcc.stores.postgres import Connection, transient

_REFUSALS = (
    "authentication failed for user",
    "no password supplied",
    '" does not exist',  # database or role
    "pg_hba.conf",
    "is not permitted to log in",
    "permission denied",
)
"""What a server says that waiting does not mend; libpq tells no code of an error while connecting."""
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_SQL = statements.load("migrations")

LOCK_S = 60.0
"""How long one migrator waits for another's current file."""
TABLES_S = 1.0
"""How long a file waits for a table that others use, while everybody else's statements queue up behind it."""
REST_S = 4.0
"""How long they go on then before the next try, whoever makes it."""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int  # from 1, without gaps
    name: str
    sql: str
    checksum: str  # SHA-256 of the file, hexadecimal


def read(folder: Path) -> list[Migration]:
    """The folder's migrations in order. ConfigError for a gap, a double or a file that is named otherwise."""
    migrations: list[Migration] = []
    if not folder.is_dir():
        raise ConfigError(f"migrations folder {folder} does not exist")
    for file in sorted(folder.glob("*.sql")):
        if not (parts := _FILE.fullmatch(file.name)):
            raise ConfigError(f"migration {file} must be named like 0001_what_it_does.sql")
        number, expected = int(parts[1]), len(migrations) + 1
        if number != expected:
            raise ConfigError(f"migration {file} has number {number} where {expected} is due; no gaps, no doubles")
        content = file.read_bytes()
        migrations.append(Migration(number, parts[2], content.decode(), hashlib.sha256(content).hexdigest()))
    return migrations


def pending(migrations: Sequence[Migration], ledger: Sequence[tuple[int, str, str]]) -> Sequence[Migration]:
    """Those not in the ledger (number, name, checksum). ConfigError when ledger and files disagree. Pure."""
    if len(ledger) > len(migrations):
        number, name, _ = ledger[-1]
        raise ConfigError(
            f"the database has migration {number:04d}_{name}, the code ends at {len(migrations):04d}:"
            " it was used by a newer release; start that release"
        )
    for migration, (number, name, checksum) in zip(migrations, ledger, strict=False):
        if (migration.number, migration.checksum) != (number, checksum):
            raise ConfigError(
                f"migration {migration.number:04d}_{migration.name} changed after it was applied as"
                f" {number:04d}_{name}; restore the file and add a new migration instead"
            )
    return migrations[len(ledger) :]


async def migrate_postgres(database: str | Connection, folder: Path) -> int:
    """Bring a database (a conninfo, or a connection) up to date; returns how many files this call ran.

    Raises ConfigError as above, and when the server refuses us; Transient when it is away, another migrator holds the
    lock for longer than LOCK_S or others a table for longer than TABLES_S; psycopg's error when a file's SQL is wrong.
    Idempotent; safe to cancel.
    """
    migrations = read(folder)
    if isinstance(database, Connection):
        return await _migrate(database, migrations)
    with refused(database, "postgres.url"):
        async with await Connection.connect(database) as connection:
            return await _migrate(connection, migrations)


@contextmanager
def refused(database: str, key: str) -> Iterator[None]:
    """What waiting does not mend leaves the block as ConfigError, which names the setting; Transient: it is away."""
    given = parameters(database, key)
    where, secrets = place(given), odd_parts(given)
    try:
        with transient(f"migrations, {where}", secrets):
            yield
    except (Transient, psycopg.errors.InsufficientPrivilege) as error:
        if isinstance(error, Transient) and not any(words in str(error) for words in _REFUSALS):
            raise
        reason = str(error).partition("\n")[0].rpartition("FATAL: ")[2].strip()
        variable = "GCC_" + key.upper().replace(".", "__")
        raise ConfigError(
            f"{key}: {where} refuses us: {masked(reason, secrets)}; mend {variable} or the server"
        ) from error


async def _migrate(connection: Connection, migrations: Sequence[Migration]) -> int:
    applied = 0
    while await _apply_next(connection, migrations):
        applied += 1
    return applied


async def _apply_next(connection: Connection, migrations: Sequence[Migration]) -> bool:
    """Lock, look, run one file, write it down, commit: a waiting migrator then sees it in the ledger."""
    async with connection.transaction():
        await connection.execute(f"set local lock_timeout = '{LOCK_S:g}s'")
        await connection.execute(_SQL["lock"])
        await connection.execute(_SQL["create_ledger"])
        ledger = await (await connection.execute(_SQL["read_ledger"])).fetchall()
        due = pending(migrations, ledger)
        if not due:
            return False
        await connection.execute(f"set local lock_timeout = '{TABLES_S:g}s'")
        try:
            async with connection.transaction():
                await connection.execute(_SQL["await_jobs"])
                await connection.execute(due[0].sql, prepare=False)
        except psycopg.errors.LockNotAvailable as error:
            await trio.sleep(REST_S)  # with the lock of migrators alone: any number of them tries as often as one
            raise Transient(
                f"migration {due[0].number:04d}_{due[0].name} waits for a table that another session has had in use for"
                f" {TABLES_S:g} s (a dump, an open transaction: pg_stat_activity tells which); it is tried again"
            ) from error
        await connection.execute(_SQL["record"], (due[0].number, due[0].name, due[0].checksum))
        return True

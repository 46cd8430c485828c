"""The credentials port on PostgreSQL: the table `credential`.

A crawl picks thousands of times, so a source's are kept for a second; disabling and putting
drop them at once in this process, others see it a second later. Of one that may be used again all processes are told
(NOTIFY gcc_credentials, by a trigger: whoever wrote the row). A lost store is Transient.
"""

import datetime as dt
import math
import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import trio
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from gcc import statements
from gcc.clock import Clock
from gcc.sources.credentials import Credential, Standing, choose
from gcc.stores.postgres import Pool

SQL = statements.load("credentials")
CREDENTIALS_CHANNEL = "gcc_credentials"
KEPT_S = 1.0
LISTED_MAX = 50


@dataclass(frozen=True, slots=True)
class Listed:
    """A credential as people see it. `out_s`: 0 when it is ready, infinite until a new token comes. `total` and
    `ready` count those of its source."""

    source: str
    handle: str
    out_s: float
    reason: str | None
    updated_at: dt.datetime
    total: int
    ready: int


class PostgresCredentials:
    """See `gcc.sources.credentials.Credentials`. The database's clock measures rests, `clock` gives ids and chance."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._kept: dict[str, tuple[float, list[Standing]]] = {}  # source -> (good until, its credentials)
        self._renewals: dict[str, int] = {}  # of the sources that somebody asked about
        self._locks: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)  # one reader or writer a source

    def renewals(self, source: str) -> int:
        return self._renewals.setdefault(source, 0)

    def woken(self, source: str = "") -> None:
        """A credential of `source` may be used (NOTIFY gcc_credentials); '' means of any."""
        for known in self._renewals if source == "" else self._renewals.keys() & {source}:
            self._renewals[known] += 1
            self._kept.pop(known, None)

    async def pick(self, source: str, *, without: Collection[uuid.UUID] = ()) -> Credential:
        return choose(source, await self._standings(source), trio.current_time(), self._clock.rng, without)

    async def disable(self, credential: Credential, *, rest_s: float | None, reason: str) -> bool:
        statement = SQL["retire_credential"] if rest_s is None else SQL["rest_credential"]
        values = {"id": credential.id, "secret": Jsonb(dict(credential.secret)), "rest_s": rest_s, "reason": reason}
        return await self._write(credential.source, statement, values) == (True,)

    async def put(self, source: str, handle: str, secret: Mapping[str, Any]) -> bool:
        values = {"id": self._clock.new_id(), "source": source, "handle": handle, "secret": Jsonb(dict(secret))}
        return await self._write(source, SQL["put_credential"], values) is not None

    async def listed(self) -> list[Listed]:
        """All credentials without their secrets: of each source at most LISTED_MAX, those that are out first."""
        async with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Listed)) as cursor:
            await cursor.execute(SQL["listed_credentials"], {"listed_max": LISTED_MAX})
            return await cursor.fetchall()

    async def _standings(self, source: str) -> list[Standing]:
        if (kept := self._fresh(source)) is not None:
            return kept
        async with self._locks[source]:  # the first reads for all who wait
            if (kept := self._fresh(source)) is not None:
                return kept
            async with self._pool.connection() as connection:
                cursor = await connection.execute(SQL["standing_credentials"], {"source": source})
                rows = await cursor.fetchall()
            now_s = trio.current_time()
            standings = [
                Standing(Credential(id, source, handle, secret), now_s + out_s, reason)
                if isinstance(secret, dict)
                else Standing(Credential(id, source, handle, {}), math.inf, "its credentials are no JSON object")
                for id, handle, secret, reason, out_s in rows
            ]
            self._kept[source] = (now_s + KEPT_S, standings)
            return standings

    def _fresh(self, source: str) -> list[Standing] | None:
        good_until, standings = self._kept.get(source, (-float("inf"), []))
        return standings if trio.current_time() < good_until else None

    async def _write(self, source: str, statement: str, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Run one statement; from its beginning on nobody picks from what was kept. Returns the row that it answers."""
        async with self._locks[source]:
            self._kept.pop(source, None)
            async with self._pool.connection() as connection:
                cursor = await connection.execute(statement, values)
                return await cursor.fetchone()

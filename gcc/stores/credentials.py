"""The credentials port on PostgreSQL: the table `credential`.

A crawl picks thousands of times, so a source's are kept for a second; disabling and putting
drop them at once in this process, others see it a second later. Of one that may be used again all processes are told
(NOTIFY gcc_credentials, by a trigger: whoever wrote the row). A lost store is Transient.
"""

import datetime as dt
import math
import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

import trio
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from gcc import statements
from gcc.clock import Clock
from gcc.sources.credentials import UNKNOWN, Credential, Facts, Rest, RestKey, Standing, choose, rest_key, standing
from gcc.sources.verdicts import RestScope
from gcc.stores.postgres import Pool

SQL = statements.load("credentials")
CREDENTIALS_CHANNEL = "gcc_credentials"
FACTS = tuple(each.name for each in fields(Facts))
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


@dataclass(frozen=True, slots=True)
class _Held:
    """What a source has: how each credential stands by itself, and the rests that are not of one alone."""

    standings: list[Standing]
    rests: Mapping[RestKey, Rest]


class PostgresCredentials:
    """See `gcc.sources.credentials.Credentials`. The database's clock measures rests, `clock` gives ids and chance.

    `shares`: a source -> the one whose credentials it uses.
    """

    def __init__(self, pool: Pool, clock: Clock, shares: Mapping[str, str] = MappingProxyType({})) -> None:
        self._pool = pool
        self._clock = clock
        self._shares = shares
        self._kept: dict[str, tuple[float, _Held]] = {}  # source -> (good until, its credentials)
        self._renewals: dict[str, int] = {}  # of the sources that somebody asked about
        self._locks: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)  # one reader or writer a source

    def renewals(self, source: str) -> int:
        return self._renewals.setdefault(self._lender(source), 0)

    def woken(self, source: str = "") -> None:
        """A credential of `source` may be used (NOTIFY gcc_credentials); '' means of any."""
        for known in self._renewals if source == "" else self._renewals.keys() & {source}:
            self._renewals[known] += 1
            self._kept.pop(known, None)

    async def pick(
        self, source: str, *, bucket: str = "", owner: str | None = None, without: Collection[uuid.UUID] = ()
    ) -> Credential:
        held = await self._held_of(self._lender(source))
        standings = [standing(own, held.rests, bucket) for own in held.standings]
        return choose(source, standings, trio.current_time(), self._clock.rng, owner=owner, without=without)

    async def disable(
        self,
        credential: Credential,
        *,
        rest_s: float | None,
        reason: str,
        scope: RestScope = "credential",
        bucket: str = "",
    ) -> bool:
        values = {"id": credential.id, "version": credential.version, "rest_s": rest_s, "reason": reason}
        if rest_s is None:
            statement = "retire_credential"
        elif scope == "credential":
            statement = "rest_credential"
        else:
            statement, key = "rest_widely", rest_key(credential, scope, bucket)
            values |= {"source": credential.source} | dict(zip(("scope", "key", "bucket"), key, strict=True))
        return await self._write(credential.source, SQL[statement], values) == (True,)

    async def put(self, source: str, handle: str, secret: Mapping[str, Any], facts: Facts = UNKNOWN) -> bool:
        values = {"id": self._clock.new_id(), "source": source, "handle": handle, "secret": Jsonb(dict(secret))}
        told = {name: getattr(facts, name) for name in FACTS} | {"scopes": list(facts.scopes)}
        return await self._write(source, SQL["put_credential"], values | told) is not None

    async def listed(self) -> list[Listed]:
        """All credentials without their secrets: of each source at most LISTED_MAX, those that are out first."""
        async with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Listed)) as cursor:
            await cursor.execute(SQL["listed_credentials"], {"listed_max": LISTED_MAX})
            return await cursor.fetchall()

    def _lender(self, source: str) -> str:
        return self._shares.get(source, source)

    async def _held_of(self, source: str) -> _Held:
        if (kept := self._fresh(source)) is not None:
            return kept
        async with self._locks[source]:  # the first reads for all who wait
            if (kept := self._fresh(source)) is not None:
                return kept
            async with self._pool.connection() as connection:
                cursor = await connection.execute(SQL["standing_credentials"], {"source": source})
                rows = await cursor.fetchall()
                resting = await (await connection.execute(SQL["standing_rests"], {"source": source})).fetchall()
            now_s = trio.current_time()
            standings = [_standing(source, row, now_s) for row in rows]
            rests = {(scope, key, bucket): Rest(now_s + rest_s, why) for scope, key, bucket, rest_s, why in resting}
            held = _Held(standings, rests)
            self._kept[source] = (now_s + KEPT_S, held)
            return held

    def _fresh(self, source: str) -> _Held | None:
        good_until, held = self._kept.get(source, (-float("inf"), None))
        return held if trio.current_time() < good_until else None

    async def _write(self, source: str, statement: str, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Run one statement; from its beginning on nobody picks from what was kept. Returns the row that it answers."""
        async with self._locks[source]:
            self._kept.pop(source, None)
            async with self._pool.connection() as connection:
                cursor = await connection.execute(statement, values)
                return await cursor.fetchone()


def _standing(source: str, row: Sequence[Any], now_s: float) -> Standing:
    id, handle, secret, *known, version, reason, out_s = row
    facts = dict(zip(FACTS, known, strict=True))
    facts["scopes"] = tuple(facts["scopes"])
    if not isinstance(secret, dict):
        out_s, reason, secret = math.inf, "its credentials are no JSON object", {}
    return Standing(Credential(id, source, handle, secret, version, **facts), now_s + out_s, reason)

"""The credentials port on PostgreSQL: the table `credential`.

A crawl picks thousands of times, so a source's are kept for a second; disabling and putting
drop them at once in this process, others see it a second later. Of one that may be used again all processes are told
(NOTIFY gcc_credentials, by a trigger: whoever wrote the row). A lost store is Transient.
"""

import datetime as dt
import hashlib
import json
import math
import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

import trio

from gcc import statements
from gcc.clock import Clock
from gcc.errors import Transient
from gcc.sources.credentials import (
    BY_HAND,
    GIVEN_MAX,
    UNKNOWN,
    Credential,
    Facts,
    Rest,
    RestKey,
    Standing,
    choose,
    rest_key,
    standing,
)
from gcc.sources.verdicts import RestScope
from gcc.stores.postgres import Connection, Pool
from gcc.stores.sealing import Keys, Unsealable

SQL = statements.load("credentials")
CREDENTIALS_CHANNEL = "gcc_credentials"
FACTS = tuple(each.name for each in fields(Facts))
KEPT_S = 1.0
USES_S = 10.0


@dataclass(frozen=True, slots=True)
class _Held:
    """What a source has: how each credential stands by itself, and the rests that are not of one alone."""

    standings: list[Standing]
    rests: Mapping[RestKey, Rest]


class PostgresCredentials:
    """See `gcc.sources.credentials.Credentials`. The database's clock measures rests, `clock` gives ids and chance.

    Secrets are sealed under `keys`. `shares`: a source -> the one whose credentials it uses.
    """

    def __init__(self, pool: Pool, clock: Clock, keys: Keys, shares: Mapping[str, str] = MappingProxyType({})) -> None:
        self._pool = pool
        self._clock = clock
        self._keys = keys
        self._shares = shares
        self._kept: dict[str, tuple[float, _Held]] = {}  # source -> (good until, its credentials)
        self._renewals: dict[str, int] = {}  # of the sources that somebody asked about
        self._locks: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)  # one reader or writer a source
        self._uses: Counter[uuid.UUID] = Counter()  # not written yet
        self._uses_due = -math.inf

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

    def used(self, credential: Credential) -> None:
        self._uses[credential.id] += 1

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

    async def put(
        self,
        source: str,
        handle: str,
        secret: Mapping[str, Any],
        facts: Facts | None = None,
        *,
        once: bool = False,
        issued_at: dt.datetime | None = None,
    ) -> bool:
        async with self._locks[source]:
            self._kept.pop(source, None)
            async with self._keys.turn, self._pool.connection() as connection, connection.transaction():
                return await self._put(connection, source, handle, secret, facts, once, issued_at)

    async def _put(
        self,
        connection: Connection,
        source: str,
        handle: str,
        secret: Mapping[str, Any],
        facts: Facts | None,
        once: bool,
        issued_at: dt.datetime | None,
    ) -> bool:
        place = {"source": source, "handle": handle}
        new_id = self._clock.new_id()
        new = place | self._sealed(secret, new_id) | _columns(facts or UNKNOWN)
        new |= {"given": _given(secret, new_id), "issued_at": issued_at}
        if await (await connection.execute(SQL["add_credential"], new)).fetchone() is not None:
            return True
        row = await (await connection.execute(SQL["held_secret"], place | {"issued_at": issued_at})).fetchone()
        if row is None:
            raise Transient(f"credential {handle} of {source} was removed at this moment")
        id, plain, sealed, key_id, given, is_newer = row
        if is_newer or (once and _given(secret, id) in given):
            return False
        # Unsealable: what may be newer than the secret given, renewed by ourselves, is not replaced
        held = plain if sealed is None else self._keys.open(sealed, key_id, id.bytes)
        if is_new := held != dict(secret):
            await connection.execute(SQL["replace_secret"], self._sealed(secret, id) | {"issued_at": issued_at})
        noted = {"id": id, "given": _given(secret, id), "given_max": GIVEN_MAX}
        await connection.execute(SQL["note_given"], noted)
        if facts is not None and (is_new or not once):
            await connection.execute(SQL["know_credential"], {"id": id} | _columns(facts))
        return is_new

    async def held(self, source: str, handle: str) -> Credential | None:
        lender = self._lender(source)
        async with self._pool.connection() as connection:
            values = {"source": lender, "handle": handle}
            row = await (await connection.execute(SQL["held_credential"], values)).fetchone()
        if row is None:
            return None
        found = self._standing(lender, row, 0.0)
        if found.ready_at == math.inf:
            raise Transient(f"credential {handle} of {lender} cannot be used: {found.reason}")
        return found.credential

    async def revive(self, credential: Credential) -> bool:
        values = {"id": credential.id, "version": credential.version, "by_hand": BY_HAND}
        return await self._write(credential.source, SQL["revive_credential"], values) is not None

    async def renewing(self, credential: Credential, *, alone_s: float) -> float | None:
        values = {"id": credential.id, "version": credential.version, "alone_s": alone_s}
        noted = await self._write(credential.source, SQL["note_renewing"], values)
        return None if noted is None else noted[0]

    async def renewed(self, credential: Credential, secret: Mapping[str, Any], facts: Facts) -> bool:
        same = {"id": credential.id, "version": credential.version}
        async with self._locks[credential.source]:
            self._kept.pop(credential.source, None)
            async with self._keys.turn, self._pool.connection() as connection, connection.transaction():
                if await (await connection.execute(SQL["still_held"], same)).fetchone() is None:
                    return False
                followed = self._sealed(secret, credential.id) | {"by_hand": BY_HAND}
                await connection.execute(SQL["renew_secret"], followed)
                await connection.execute(SQL["know_credential"], {"id": credential.id} | _columns(facts))
        return True

    def _sealed(self, secret: Mapping[str, Any], id: uuid.UUID) -> dict[str, Any]:
        return {"id": id, "sealed": self._keys.seal(secret, id.bytes), "key_id": self._keys.newest}

    def _lender(self, source: str) -> str:
        return self._shares.get(source, source)

    async def _held_of(self, source: str) -> _Held:
        if (kept := self._fresh(source)) is not None:
            return kept
        async with self._locks[source]:  # the first reads for all who wait
            if (kept := self._fresh(source)) is not None:
                return kept
            async with self._pool.connection() as connection:
                await self._count_uses(connection)
                resting = await (await connection.execute(SQL["standing_rests"], {"source": source})).fetchall()
                cursor = await connection.execute(SQL["standing_credentials"], {"source": source})
                rows = await cursor.fetchall()
            now_s = trio.current_time()
            standings = [self._standing(source, row, now_s) for row in rows]
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

    async def _count_uses(self, connection: Connection) -> None:
        """Now and then: a process that is killed loses the uses of a few seconds."""
        if not self._uses or trio.current_time() < self._uses_due:
            return
        self._uses_due = trio.current_time() + USES_S
        uses, self._uses = self._uses, Counter()
        await connection.execute(SQL["count_uses"], {"ids": list(uses), "uses": list(uses.values())})

    def _standing(self, source: str, row: Sequence[Any], now_s: float) -> Standing:
        id, handle, plain, sealed, key_id, *known, version, reason, out_s = row
        facts = dict(zip(FACTS, known, strict=True))
        facts["scopes"] = tuple(facts["scopes"])
        try:
            secret = plain if sealed is None else self._keys.open(sealed, key_id, id.bytes)
        except Unsealable as error:
            secret, reason = None, str(error)
        if not isinstance(secret, dict):
            out_s, reason = math.inf, reason if sealed or plain is None else "its credentials are no JSON object"
        held = secret if isinstance(secret, dict) else {}
        return Standing(Credential(id, source, handle, held, version, **facts), now_s + out_s, reason)


def _given(secret: Mapping[str, Any], id: uuid.UUID) -> bytes:
    """What tells, of a row, whether a secret was given for it before; of what a secret is it tells nothing."""
    return hashlib.sha256(id.bytes + json.dumps(dict(secret), sort_keys=True).encode()).digest()


def _columns(facts: Facts) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in FACTS} | {"scopes": list(facts.scopes)}

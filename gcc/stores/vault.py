"""What is done to credentials as rows: unlocking them at the start, new keys, and what people do and see.

In: the keys of this process, words of people. Out: sealed rows, and their standing without any secret.
"""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import class_row

from gcc import statements
from gcc.errors import ConfigError, Permanent
from gcc.sources.credentials import BY_HAND
from gcc.stores.postgres import Pool
from gcc.stores.sealing import Keys, Unsealable

SQL = statements.load("credentials")
LISTED_MAX = 50
BATCH = 100
FIRST = uuid.UUID(int=0)


@dataclass(frozen=True, slots=True)
class Listed:
    """A credential as people see it. `out_s`: 0 when it is ready, infinite until a new token comes; `rest_scope` tells
    what rests then, `buckets` ({"bucket", "back_in_s", "reason"}) which of its calls do. `total` and `ready` count
    those of its source."""

    source: str
    handle: str
    out_s: float
    reason: str | None
    updated_at: dt.datetime
    total: int
    ready: int
    kind: str = "token"
    app: str = ""
    account: str | None = None
    scopes: Sequence[str] = ()
    enabled: bool = True
    expires_at: dt.datetime | None = None
    data_access_expires_at: dt.datetime | None = None
    rest_scope: str = "credential"
    buckets: Sequence[dict[str, Any]] = ()
    uses: int = 0
    used_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Resealed:
    """`key` is the id of the newest key; `left`: so many cannot be opened, and lie as they were."""

    key: str
    resealed: int
    left: int


class Vault:
    """The credentials of one database under `keys`."""

    def __init__(self, pool: Pool, keys: Keys) -> None:
        self._pool = pool
        self._keys = keys

    async def unlock(self) -> None:
        """Load the keys, make one where nothing is sealed yet, and seal what lies open.

        ConfigError: something is sealed under a key that is not here. Nothing was changed then.
        """
        under = await self._sealed_under()
        self._keys.load(make=not under.keys() - {None})
        if missing := under.keys() - {None, *self._keys.ids}:
            raise ConfigError(_lost(sorted(str(each) for each in missing), self._keys.place))
        if under.get(None):
            await self.reseal()

    async def rotate(self) -> Resealed:
        """Seal all under the newest key. Where the keys are a file's, that is a new one, unless the last rotation did
        not come to its end: then this is its rest. Cut short anywhere, it may be asked for again."""
        if not (await self._sealed_under()).keys() - {None, self._keys.newest}:
            async with self._keys.turn:
                self._keys.renew()
        resealed = await self.reseal()
        if not resealed.left:
            self._keys.forget_old()
        return resealed

    async def reseal(self) -> Resealed:
        """Seal all that are not under the newest key, a few a transaction."""
        resealed = left = 0
        after = FIRST
        while True:
            async with self._pool.connection() as connection, connection.transaction():
                values = {"newest": self._keys.newest, "after": after, "limit": BATCH}
                rows = await (await connection.execute(SQL["to_seal"], values)).fetchall()
                for id, plain, sealed, key_id in rows:
                    after = id
                    try:
                        secret = plain if sealed is None else self._keys.open(sealed, key_id, id.bytes)
                    except Unsealable:
                        left += 1
                        continue
                    values = {"id": id, "sealed": self._keys.seal(secret, id.bytes), "key_id": self._keys.newest}
                    await connection.execute(SQL["seal"], values)
                    resealed += 1
            if len(rows) < BATCH:
                return Resealed(self._keys.newest, resealed, left)

    async def listed(self) -> list[Listed]:
        """All credentials without their secrets: of each source at most LISTED_MAX, those that are out first."""
        return await self._listed(listed_max=LISTED_MAX, source=None, handle=None)

    async def look(self, source: str, handle: str) -> Listed:
        """One of them. Permanent: there is none of this name."""
        for found in await self._listed(listed_max=1, source=source, handle=handle):
            return found
        raise _unknown(source, handle)

    async def _listed(self, **which: Any) -> list[Listed]:
        async with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Listed)) as cursor:
            await cursor.execute(SQL["listed_credentials"], which)
            return await cursor.fetchall()

    async def enable(self, source: str, handle: str | None) -> None:
        """End every rest of one credential, also of one that was retired; without `handle` those of the source and of
        its apps. Permanent: there is none of this name, or it has no secret any more."""
        async with self._pool.connection() as connection, connection.transaction():
            key = None
            if handle is not None:
                place = {"source": source, "handle": handle}
                row = await (await connection.execute(SQL["enable_credential"], place)).fetchone()
                key = str(_known(row, source, handle))
                if row is not None and not row[1]:
                    raise Permanent(
                        f"credential {handle!r} of {source} has no secret: its connection was ended; it comes back when"
                        " the creator connects again, or with a new secret: credentials add"
                    )
            await connection.execute(SQL["end_rests"], {"source": source, "key": key})

    async def disable(self, source: str, handle: str, reason: str) -> None:
        """Take it out until somebody enables it or puts a new secret in its place. Permanent: there is none."""
        async with self._pool.connection() as connection:
            values = {"source": source, "handle": handle, "reason": reason}
            _known(await (await connection.execute(SQL["disable_credential"], values)).fetchone(), source, handle)

    async def due(self, rules: Mapping[str, tuple[float, float, bool]], again_s: float) -> list[tuple[str, str]]:
        """(source, handle) of those that are to be renewed, by their kinds' (seconds before the end, least age, whether
        one that was found dead is renewed too)."""
        near_s, age_s, revives = [list(each) for each in zip(*rules.values(), strict=True)]
        values = {
            "kinds": list(rules), "near_s": near_s, "age_s": age_s, "revives": revives, "again_s": again_s,
            "by_hand": BY_HAND,
        }  # fmt: skip
        async with self._pool.connection() as connection:
            return await (await connection.execute(SQL["due_renewals"], values)).fetchall()

    async def ending(self, renewed: Sequence[str], near_s: float) -> list[tuple[str, str, str, dt.datetime]]:
        """(source, handle, kind, when) of those that end within `near_s`; no secret of the kinds in `renewed`."""
        async with self._pool.connection() as connection:
            values = {"renewed": list(renewed), "near_s": near_s}
            return await (await connection.execute(SQL["ending"], values)).fetchall()

    async def _sealed_under(self) -> dict[str | None, int]:
        async with self._pool.connection() as connection:
            return dict(await (await connection.execute(SQL["sealed_under"])).fetchall())


def _known(row: tuple[Any, ...] | None, source: str, handle: str) -> uuid.UUID:
    if row is None:
        raise _unknown(source, handle)
    id: uuid.UUID = row[0]
    return id


def _unknown(source: str, handle: str) -> Permanent:
    return Permanent(f"{source} has no credential {handle!r}; see: credentials list")


def _lost(missing: Sequence[str], place: str) -> str:
    remove = f"delete from credential where key_id = '{missing[0]}'"  # noqa: S608 - told to people, not run
    return (
        f"credentials of this database are sealed under key {', '.join(missing)}, which is not in {place}: put it back"
        " there (or, from another machine's file, into GCC_CREDENTIALS__KEYS); if it is lost for good, remove what it"
        f" sealed ({remove}) and add those credentials anew"
    )

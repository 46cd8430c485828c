"""What our own rows tell clients, on PostgreSQL; see `gcc.sources.known.Known`."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from gcc import statements
from gcc.sources.instagram.identity import Told
from gcc.sources.known import HASHTAGS_MAX, HASHTAGS_PER_S, Account, Author, HashtagTurn, no_turn
from gcc.stores.postgres import Pool

SQL = statements.load("known")


class PostgresKnown:
    """The 30 hashtags of 7 days are rows: a restart forgets none, and all processes share them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def account(self, profile_id: str) -> Account | None:
        rows = await self._rows("account", profile_id=profile_id)
        return Account(*rows[0]) if rows else None

    async def names_of(self, told: Sequence[Told]) -> Mapping[str, str]:
        if not told:
            return {}
        return dict(await self._rows("names_of", told=Jsonb(told, dumps=msgspec.json.encode)))

    async def author_of(self, *, shortcode: str = "", post_id: str = "") -> Author | None:
        rows = await self._rows("author_of", shortcode=shortcode, post_id=post_id)
        return Author(*rows[0]) if rows else None

    async def hashtag_turn(self, tag: str) -> HashtagTurn:
        async with self._pool.transaction() as conn:
            within = {"tag": tag, "within_s": HASHTAGS_PER_S}
            await conn.execute(SQL["one_hashtag_at_a_time"].encode())
            rows = await (await conn.execute(SQL["hashtag_accounts"].encode(), within)).fetchall()
            if not rows or not (rows[0][1] or rows[0][2] < HASHTAGS_MAX):
                raise no_turn(max((first_s for _, _, _, first_s in rows), default=None))
            account = rows[0][0]
            await conn.execute(SQL["ask_hashtag"].encode(), {**within, "account": account})
            known = await (await conn.execute(SQL["hashtag_id"].encode(), within)).fetchone()
        return HashtagTurn(account, known[0] if known else None)

    async def hashtag_found(self, tag: str, hashtag_id: str) -> None:
        async with self._pool.connection() as conn:
            await conn.execute(SQL["hashtag_found"].encode(), {"tag": tag, "hashtag_id": hashtag_id})

    async def _rows(self, statement: str, **arguments: Any) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as conn:
            return await (await conn.execute(SQL[statement].encode(), arguments)).fetchall()

"""What our own rows tell clients, on PostgreSQL; see `gcc.sources.known.Known`."""

from typing import Any

from gcc import statements
from gcc.sources.known import HASHTAGS_MAX, HASHTAGS_PER_S, Author, HashtagTurn, no_turn
from gcc.stores.postgres import Pool

SQL = statements.load("known")


class PostgresKnown:
    """The 30 hashtags of 7 days are rows: a restart forgets none, and all processes share them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def handle_of(self, profile_id: str) -> str | None:
        rows = await self._rows("handle_of", profile_id=profile_id)
        return rows[0][0] if rows else None

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

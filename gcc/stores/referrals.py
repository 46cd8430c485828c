"""Who came to the app by whose referral, in PostgreSQL."""

import datetime as dt
from collections.abc import Sequence

import psycopg

from gcc import statements
from gcc.channels.referrals import Referral
from gcc.errors import Transient
from gcc.stores.postgres import Pool

SQL = statements.load("referrals")


class PostgresReferrals:
    """See `gcc.channels.referrals.Referrals`: table `referral`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, referrals: Sequence[Referral]) -> None:
        ordered = sorted(referrals, key=lambda referral: referral.event_id)
        arguments = {
            name: [_text(getattr(referral, name)) for referral in ordered] for name in Referral.__dataclass_fields__
        }
        async with self._pool.connection() as conn:
            try:
                await conn.execute(SQL["add_referrals"], arguments)
            except psycopg.ProgrammingError as error:  # a grant or a column is missing: that says nothing of the rows
                raise Transient(f"table referral: {str(error).partition(chr(10))[0]}") from error


def _text(value: str | dt.datetime) -> str | dt.datetime:
    """PostgreSQL's text holds no NUL."""
    return value.replace("\0", "") if isinstance(value, str) else value

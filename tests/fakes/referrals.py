"""Referrals in memory; tests/contract/test_referrals.py holds them to the real ones."""

from collections.abc import Sequence

from gcc.channels.referrals import Referral
from tests.fakes.database import Connection


class FakeReferrals:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, referrals: Sequence[Referral]) -> None:
        def change() -> None:
            for referral in referrals:
                self._connection.database.referrals.setdefault(referral.event_id, referral)

        await self._connection.commit(change)

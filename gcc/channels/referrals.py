"""Who came to the app by whose referral, as the serving side reads it."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Referral:
    """`event_id` is the event's that told of it; text that is not known is empty."""

    event_id: str
    referral_code: str
    referrer_user_id: str
    user_id: str
    device_id: str
    channel: str
    referred_at: dt.datetime


class Referrals(Protocol):
    async def add(self, referrals: Sequence[Referral]) -> None:
        """Keep each once, by event_id; all or, when it raises Transient, none."""

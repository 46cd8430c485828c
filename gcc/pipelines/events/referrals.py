"""What the sinker of launch_refer_event does beside storing: rows of PostgreSQL's `referral`.

The event store comes first, then this, then the acknowledgement: a referral has its event, one that the store refuses
makes none, and what is cut short between any two of them is done again without a second row.
"""

import datetime as dt
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from gcc.stores.referrals import Referral, Referrals


class _Params(msgspec.Struct):
    referral_code: str | int = ""
    referrer_user_id: str | int = ""


class _Launch(_Params):
    event_id: str = ""
    event_timestamp: str = ""
    user_id: str = ""
    device_id: str = ""
    channel: str = ""
    event_params: msgspec.Raw = msgspec.Raw(b"{}")


_launch = msgspec.json.Decoder(_Launch).decode
_params = msgspec.json.Decoder(_Params).decode


def also_referrals(referrals: Referrals) -> Callable[[Sequence[bytes]], Awaitable[None]]:
    """For `Sink(also=...)`."""

    async def add(lines: Sequence[bytes]) -> None:
        await referrals.add([referral(line) for line in lines])

    return add


def referral(line: bytes) -> Referral:
    """Of a line that is stored. What it does not say itself is looked for in its params."""
    launch = _launch(line)
    try:
        params = _params(launch.event_params)
    except msgspec.ValidationError:  # theirs are of any type
        params = _Params()
    return Referral(
        event_id=launch.event_id,
        referral_code=str(launch.referral_code or params.referral_code),
        referrer_user_id=str(launch.referrer_user_id or params.referrer_user_id),
        user_id=launch.user_id,
        device_id=launch.device_id,
        channel=launch.channel,
        referred_at=dt.datetime.fromisoformat(launch.event_timestamp).replace(tzinfo=dt.UTC),
    )

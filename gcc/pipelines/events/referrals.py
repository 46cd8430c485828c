"""What the sinker of launch_refer_event does beside storing: rows of PostgreSQL's `referral`.

The event store comes first, then this, then the acknowledgement: a referral has its event, one that the store refuses
makes none, and what is cut short between any two of them is done again without a second row.
"""

import datetime as dt
from collections.abc import Mapping, Sequence

import msgspec

from gcc.channels.referrals import Referral, Referrals
from gcc.pipelines.events.sinks import Also

TEXT_CHARS_MAX = 500
"""PostgreSQL's indexes hold no texts of more than 2,700 bytes."""


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


def also_referrals(referrals: Referrals) -> Also:
    """For `Sink(also=...)`."""

    async def add(lines: Sequence[bytes]) -> Mapping[int, str]:
        kept: list[Referral] = []
        refused: dict[int, str] = {}
        for at, line in enumerate(lines):
            try:
                kept.append(referral(line))
            except ValueError as error:
                refused[at] = f"stored, but no referral: {error}"
        await referrals.add(kept)
        return refused

    return add


def referral(line: bytes) -> Referral:
    """Of a line that is stored; what it does not say itself is looked for in its params. ValueError: it is too long."""
    launch = _launch(line)
    try:
        params = _params(launch.event_params)
    except (msgspec.ValidationError, RecursionError):  # theirs are of any type
        params = _Params()
    texts = {
        "referral_code": str(launch.referral_code or params.referral_code),
        "referrer_user_id": str(launch.referrer_user_id or params.referrer_user_id),
        "user_id": launch.user_id,
        "device_id": launch.device_id,
        "channel": launch.channel,
    }
    for name, text in texts.items():
        if len(text) > TEXT_CHARS_MAX:
            raise ValueError(f"its {name} has {len(text)} characters, more than {TEXT_CHARS_MAX}")
    at = dt.datetime.fromisoformat(launch.event_timestamp).replace(tzinfo=dt.UTC)
    return Referral(event_id=launch.event_id, referred_at=at, **texts)

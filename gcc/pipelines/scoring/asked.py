"""What a message on creator_follower_in asks: a follower of a creator to be scored, one a line of JSON.

    {"handle": "asha", "profile_id": "178414", "follower_handle": "ravi_9", "follower_full_name": "Ravi Kumar",
     "follower_profile_id": "5", "account": {"followers": 3, "following": 700, "posts": 0, "picture": true,
     "private": false, "age_days": 40}, "platform": "INSTAGRAM", "event_id": "...", "event_timestamp": "..."}

Needed are the creator (by id, or by a handle that was crawled) and the follower's handle or name; what else is missing,
or of another type, is not known. Pure. The answer's event is a function of the message, the scorer's version and, where
the message tells no time, of now: a message that comes again is answered by the same event.
"""

import datetime as dt
import uuid
from dataclasses import asdict, dataclass
from typing import Any

from gcc.channels.message import Frame
from gcc.errors import Permanent
from gcc.pipelines.events.reading import DEEP, decoded, event_id_of, moment
from gcc.pipelines.events.schemas import CreatorFollowerScore
from gcc.pipelines.events.types import CREATOR_FOLLOWER_SCORE, timestamp
from gcc.pipelines.scoring.record import Account, Follower, Reason, Scored
from gcc.sources.fields import Fields
from gcc.sources.verdicts import OddAnswer

AHEAD_MAX = dt.timedelta(days=1)
"""So far the clocks of producers and ours may be apart; what is of a later time would outlive every newer answer."""
HANDLE_CHARS_MAX = 300
NAME_CHARS_MAX = 20_000
PLATFORMS = ("INSTAGRAM", "YOUTUBE")


class Refused(Permanent):
    """Nobody can be scored by this line."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`creator_id` "": known by `creator` (a handle) alone. `at`: when it was asked, as events tell times."""

    id: uuid.UUID
    at: str
    platform: str
    creator_id: str
    creator: str
    follower_id: str
    follower: Follower


def read(line: bytes, frame: Frame, number: int, now: dt.datetime) -> Asked:
    """The `number`-th line of the frame. Raises Refused."""
    try:
        given = decoded(line)
        told = Fields(given, "message")
        event_id, _ = event_id_of(given, CREATOR_FOLLOWER_SCORE, frame, number)
        at = moment(given["event_timestamp"]) if "event_timestamp" in told else timestamp(now)
        if at > timestamp(now + AHEAD_MAX):
            at = timestamp(now)
    except (ValueError, OddAnswer) as error:
        raise Refused(f"it asks for no follower: {error}") from None
    except RecursionError:
        raise Refused(f"it asks for no follower: {DEEP}") from None
    asked = Asked(
        uuid.UUID(event_id),
        at,
        (told.text("platform", chars_max=HANDLE_CHARS_MAX) or PLATFORMS[0]).upper(),
        told.number_or_text("profile_id") or "",
        (told.number_or_text("handle", chars_max=HANDLE_CHARS_MAX) or "").removeprefix("@"),
        told.number_or_text("follower_profile_id") or "",
        Follower(
            told.number_or_text("follower_handle", chars_max=HANDLE_CHARS_MAX) or "",
            told.text("follower_full_name", chars_max=NAME_CHARS_MAX) or "",
            _account(told.object("account")),
        ),
    )
    if asked.platform not in PLATFORMS:
        raise Refused(f"it is of platform {asked.platform[:40]!r}, which is none of {', '.join(PLATFORMS)}")
    if not (asked.creator_id or asked.creator):
        raise Refused(f"it names no creator: profile_id or handle is needed{_odd(told)}")
    if not (asked.follower.handle or asked.follower.full_name):
        raise Refused(f"it names no follower: follower_handle or follower_full_name is needed{_odd(told)}")
    return asked


def _odd(told: Fields) -> str:
    return f" ({told.notes[0]})" if told.notes else ""


def _account(told: Fields) -> Account:
    return Account(
        followers=told.count("followers"),
        following=told.count("following"),
        posts=told.count("posts"),
        picture=told.flag("picture"),
        private=told.flag("private"),
        age_days=told.count("age_days"),
    )


def answered(asked: Asked, scored: Scored) -> CreatorFollowerScore:
    """The event that answers it."""
    return CreatorFollowerScore(
        event_id=str(uuid.uuid5(asked.id, scored.scorer_version)),
        event_timestamp=asked.at,
        origin_id=str(asked.id),
        platform=asked.platform,
        profile_id=asked.creator_id,
        handle=asked.creator,
        follower_profile_id=asked.follower_id,
        follower_handle=asked.follower.handle,
        follower_full_name=asked.follower.full_name,
        score=scored.score,
        refused=scored.refused or "",
        features=dict(scored.features),
        reasons=[_told(reason) for reason in scored.reasons],
        account={name: value for name, value in asdict(asked.follower.account).items() if value is not None},
        account_score=scored.account_score,
        account_reasons=[_told(reason) for reason in scored.account_reasons],
        scorer_version=scored.scorer_version,
    )


def _told(reason: Reason) -> dict[str, Any]:
    return {"feature": reason.feature, "value": reason.value, "against": reason.against}

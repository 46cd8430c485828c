"""What a message on creator_follower_in asks: a follower of a creator to be scored, one a line of JSON.

    {"handle": "asha", "profile_id": "178414", "follower_handle": "ravi_9", "follower_full_name": "Ravi Kumar",
     "follower_profile_id": "5", "account": {"followers": 3, "following": 700, "posts": 0, "picture": true,
     "private": false, "age_days": 40}, "platform": "INSTAGRAM", "event_id": "...", "event_timestamp": "..."}

Needed are the creator (by id, or by a handle that was crawled) and the follower's id, handle or name; what else is
missing, or of another type, is not known, and half a character is U+FFFD. `again_for` is of our own questions alone:
the version of the scorer that they are for (push.py). Pure. The answer's event is a function of the message, the
scorer's version and, where the message tells no time, of now: a message that comes again is answered by the same event.
"""

import codecs
import datetime as dt
import json
import uuid
from dataclasses import dataclass, fields
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
_FIGURES = tuple(field.name for field in fields(Account))
PLATFORMS = ("INSTAGRAM", "YOUTUBE")


Key = tuple[uuid.UUID, Follower]


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
    odd: str = ""  # what of the message was of another type
    again_for: int = 0

    @property
    def key(self) -> Key:
        """By which its score is remembered: some give the same id to many."""
        return self.id, self.follower

    @property
    def whom(self) -> tuple[str, str, str, str, Follower]:
        return self.platform, self.creator_id, self.creator, self.follower_id, self.follower


def read(line: bytes, frame: Frame, number: int, now: dt.datetime) -> Asked:
    """The `number`-th line of the frame. Raises Refused."""
    try:
        given = _given(line)
        told = Fields(given, "message")
    except (ValueError, OddAnswer) as error:
        raise Refused(f"it asks for no follower: {error}") from None
    except RecursionError:
        raise Refused(f"it asks for no follower: {DEEP}") from None
    asked = Asked(
        uuid.UUID(_event_id(given, frame, number)),
        _at(given, now),
        (told.text("platform", chars_max=HANDLE_CHARS_MAX) or PLATFORMS[0]).upper(),
        told.number_or_text("profile_id") or "",
        _handle(told, "handle").removeprefix("@"),
        told.number_or_text("follower_profile_id") or "",
        Follower(
            _handle(told, "follower_handle"),
            told.text("follower_full_name", chars_max=NAME_CHARS_MAX) or "",
            _account(told.object("account")),
        ),
        _odd(told),
        told.count("again_for") or 0,
    )
    if asked.platform not in PLATFORMS:
        raise Refused(f"it is of platform {asked.platform[:40]!r}, which is none of {', '.join(PLATFORMS)}")
    if not (asked.creator_id or asked.creator):
        raise Refused(f"it names no creator: profile_id or handle is needed{asked.odd}")
    if not (asked.follower_id or asked.follower.handle or asked.follower.full_name):
        raise Refused(f"it names no follower: follower_handle or follower_full_name is needed{asked.odd}")
    return asked


def _given(line: bytes) -> dict[str, Any]:
    """Also where it is JSON but for half a character, a byte of another alphabet, a tab in a text, or NaN."""
    try:
        return decoded(line)
    except ValueError as error:
        try:
            given = json.loads(line.removeprefix(codecs.BOM_UTF8).decode(errors="replace"), strict=False)
        except ValueError:
            raise error from None
        if not isinstance(given, dict):
            raise
        return given


def _event_id(given: dict[str, Any], frame: Frame, number: int) -> str:
    """One that is no id is none."""
    try:
        return event_id_of(given, CREATOR_FOLLOWER_SCORE, frame, number)[0]
    except ValueError:
        return event_id_of({}, CREATOR_FOLLOWER_SCORE, frame, number)[0]


def _at(given: dict[str, Any], now: dt.datetime) -> str:
    told = given.get("event_timestamp")
    if told is None:
        return timestamp(now)
    try:
        at = moment(told)
    except ValueError:
        return timestamp(now)
    return timestamp(now) if at > timestamp(now + AHEAD_MAX) else at


def _handle(told: Fields, key: str) -> str:
    """Mutilated ones too: by such a one nobody is found, but its bearer is answered."""
    text = told.text if told.kind(key) == "a text" else told.number_or_text
    return text(key, chars_max=HANDLE_CHARS_MAX) or ""


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
        refused=f"{scored.refused}{asked.odd}" if scored.refused else "",
        features=dict(scored.features),
        reasons=[_told(reason) for reason in scored.reasons],
        account=_known(asked.follower.account),
        account_score=scored.account_score,
        account_reasons=[_told(reason) for reason in scored.account_reasons],
        scorer_version=scored.scorer_version,
    )


def _known(account: Account) -> dict[str, Any]:
    """By hand: asdict takes a quarter of the time that an answer does."""
    return {name: value for name in _FIGURES if (value := getattr(account, name)) is not None}


def _told(reason: Reason) -> dict[str, Any]:
    return {"feature": reason.feature, "value": reason.value, "against": reason.against}

"""What a follower is to the scorer, and what it answers: plain values that cross to worker processes and back.

Answers are structs: a scored follower is a dozen of them, which are made cheaply and need no collector of cycles.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class Account:
    """What the crawl knows of the follower's account; None is not known, which is no sign of anything."""

    followers: int | None = None
    following: int | None = None
    posts: int | None = None
    picture: bool | None = None
    private: bool | None = None
    age_days: int | None = None


@dataclass(frozen=True, slots=True)
class Follower:
    handle: str
    full_name: str
    account: Account = Account()


class Reason(msgspec.Struct, frozen=True, gc=False):
    """One sign, and `against`: the threshold, the text or the list it was compared with."""

    feature: str
    value: float | int | str | None
    against: str


class Scored(msgspec.Struct, frozen=True, gc=False):
    """The two answers of the scorer, kept apart, with what each was drawn from.

    `score`: 0.0 real, 0.33 weak sign, 1.0 fake by the rules of names; None with `refused` where there is nothing to
    compare. `account_score`: 0..1 by the account model; None where nothing is known of the account.
    """

    score: float | None
    features: Mapping[str, float | int]
    reasons: tuple[Reason, ...]
    account_score: float | None
    account_reasons: tuple[Reason, ...]
    scorer_version: str
    refused: str | None = None

"""The account model: how likely an account of these numbers is a fake one, 0..1, with what each number adds.

account.json is a sum of steps, one table a feature, learned offline by bench/account_training.py from labelled sets
(docs/scoring.md: which, how well, and what their licences mean). A number that is not known has a table entry of its
own, learned by hiding numbers; where nothing is known there is no score. Half means even odds where half of all are
fake, which no audience is: it ranks accounts, and is no share.
"""

import json
from bisect import bisect_left
from collections.abc import Mapping
from functools import cache
from math import exp
from pathlib import Path
from typing import NamedTuple

from gcc.pipelines.scoring.record import Account, Reason

MODEL = Path(__file__).with_name("account.json")
COUNT_MAX = 10**11
AGE = "no weight: in the one labelled set that has ages, the bought accounts are all of the same days"


class Steps(NamedTuple):
    edges: tuple[float, ...]  # up to edges[0] is the first step, above the last the last
    adds: tuple[float, ...]  # to the log-odds of fake
    told: tuple[str, ...]  # what a reason says of each step
    unknown: float


@cache
def steps() -> Mapping[str, Steps]:
    tables = json.loads(MODEL.read_text())["features"]
    return {
        name: Steps(
            tuple(table["edges"]),
            tuple(table["adds"]),
            tuple(f"{add:+.2f} to the log-odds of fake" for add in table["adds"]),
            table["unknown"],
        )
        for name, table in tables.items()
    }


def counted(count: int | None) -> int | None:
    """A count below zero, or of more than there are people, is a mistake of the source, so it is not known."""
    return count if count is not None and 0 <= count <= COUNT_MAX else None


def amounts(account: Account) -> dict[str, float | int | None]:
    """What the model looks at, by its names."""
    followers = counted(account.followers)
    following = counted(account.following)
    ratio = None if followers is None or following is None else (following + 1) / (followers + 1)
    return {
        "followers": followers,
        "following": following,
        "posts": counted(account.posts),
        "picture": None if account.picture is None else int(account.picture),
        "private": None if account.private is None else int(account.private),
        "following_per_follower": ratio,
    }


def score_account(account: Account) -> tuple[float | None, tuple[Reason, ...]]:
    """The score and a reason for each number that is known; no score where none is that weighs."""
    odds, reasons, tables = 0.0, [], steps()
    for name, amount in amounts(account).items():
        edges, adds, told, unknown = tables[name]
        if amount is None:
            odds += unknown
            continue
        step = bisect_left(edges, amount)
        odds += adds[step]
        reasons.append(Reason(name, amount, told[step]))
    value = 1 / (1 + exp(-odds)) if reasons else None
    if account.age_days is not None:
        reasons.append(Reason("age_days", account.age_days, AGE))
    return value, tuple(reasons)

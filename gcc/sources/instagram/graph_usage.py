"""What the Graph API tells of its limits on every answer, in percent of it; it refuses at 100 of any. Pure.

X-App-Usage is of the app, over an hour that rolls; X-Business-Use-Case-Usage of the account that asks, with the MINUTES
until it may ask again.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from gcc.sources.http import Answer
from gcc.sources.limits import Reading
from gcc.sources.usage import TOLD_S, decoded, nearest, number

APP, ACCOUNT = "x-app-usage", "x-business-use-case-usage"
_PERCENTS = ("call_count", "total_time", "total_cputime")
_BLOCKED = "estimated_time_to_regain_access"


def usage(answer: Answer) -> Sequence[Reading]:
    """See `SourceApi.usage`."""
    app = decoded(answer.headers.get(APP, ""))
    of_app = [Reading("app", share, TOLD_S, f"{APP} tells {share:.0%}") for share in _share(app)]
    return [*of_app, *nearest(_of_account(decoded(answer.headers.get(ACCOUNT, ""))))]


def _of_account(told: Any) -> Iterator[Reading]:
    cases = (
        [case for rows in told.values() if isinstance(rows, list) for case in rows] if isinstance(told, dict) else []
    )
    for case in cases:
        for share in _share(case):
            blocked_s = (number(case.get(_BLOCKED)) or 0.0) * 60.0
            share = 1.0 if blocked_s > 0 else share
            yield Reading("credential", share, blocked_s or TOLD_S, f"{ACCOUNT} tells {share:.0%}")


def _share(percents: Any) -> list[float]:
    """The highest of them, as a share; none where there are none."""
    if not isinstance(percents, dict):
        return []
    told = [number(percents.get(name)) for name in _PERCENTS]
    known = [percent for percent in told if percent is not None and percent >= 0]
    return [max(known) / 100] if known else []

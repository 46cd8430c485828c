"""What RapidAPI's gateway tells of a key's plan: x-ratelimit-<object>-limit, -remaining and -reset (seconds), of each
object that the plan counts. Pure.
"""

import re
from collections.abc import Mapping, Sequence

from gcc.sources.http import RETRY_AFTER_S_MAX, Answer
from gcc.sources.limits import Reading
from gcc.sources.usage import nearest, number, of_left, seconds

_PART = re.compile(r"x-ratelimit-(.+)-(limit|remaining|reset)")


def usage(answer: Answer) -> Sequence[Reading]:
    """See `SourceApi.usage`."""
    return nearest(
        reading
        for name, of in _objects(answer.headers).items()
        for reading in of_left(
            number(of["limit"]),
            number(of["remaining"]),
            seconds(of["reset"]),
            f"{of['remaining']} of {of['limit']} {name} left",
        )
    )


def full_again_s(headers: Mapping[str, str]) -> float | None:
    """Until all that is spent is full again; None: nothing is, or it does not tell when."""
    spent = (of for of in _objects(headers).values() if (left := number(of["remaining"])) is not None and left <= 0)
    resets_s = [reset_s for of in spent if (reset_s := seconds(of["reset"])) is not None]
    return min(max(1.0, *resets_s), RETRY_AFTER_S_MAX) if resets_s else None


def _objects(headers: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
    """By their names the parts that are told of each; "" of those that are not."""
    told: dict[str, dict[str, str]] = {}
    for header, value in headers.items():
        if found := _PART.fullmatch(header):
            told.setdefault(found[1], dict.fromkeys(("limit", "remaining", "reset"), ""))[found[2]] = value
    return told

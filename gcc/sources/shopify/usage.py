"""What Shopify tells of a shop's bucket: "32/40" calls of REST in a header, points of GraphQL in the body. Pure."""

import re
from collections.abc import Sequence

from gcc.sources.http import Answer
from gcc.sources.limits import Reading
from gcc.sources.usage import decoded, number, of_left

REST = "rest"
"""The bucket of its calls."""
CALLS = "x-shopify-shop-api-call-limit"
CALLS_PER_S = 2.0  # what leaks of the smallest plan's bucket
_POINTS = re.compile(rb'(?<!\\)"throttleStatus"\s*:\s*(\{[^{}]{0,1000}\})')


def usage(answer: Answer) -> Sequence[Reading]:
    """See `SourceApi.usage`. The body is searched, not decoded once more."""
    used, _, size = answer.headers.get(CALLS, "").partition("/")
    spent, calls = number(used), number(size)
    if spent is not None and calls is not None:
        return of_left(calls, calls - spent, spent / CALLS_PER_S, f"{CALLS} tells {used}/{size}", bucket=REST)
    if (found := _POINTS.findall(answer.body)) and isinstance(
        status := decoded(found[-1].decode(errors="replace")), dict
    ):
        points, left = number(status.get("maximumAvailable")), number(status.get("currentlyAvailable"))
        per_s = number(status.get("restoreRate"))
        full_s = (points - left) / per_s if points is not None and left is not None and per_s else None
        return of_left(points, left, full_s, f"throttleStatus tells {left} of {points} points left")
    return []

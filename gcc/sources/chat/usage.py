"""What an OpenAI-like API tells of a key: x-ratelimit-{limit,remaining,reset}-{requests,tokens}. Pure.

`reset` is "12ms", "6m0s" or plain seconds; -1 anywhere: it is not told.
"""

from collections.abc import Sequence

from gcc.sources.http import Answer
from gcc.sources.limits import Reading
from gcc.sources.usage import nearest, number, of_left, seconds


def usage(answer: Answer) -> Sequence[Reading]:
    """See `SourceApi.usage`."""

    def told(part: str, what: str) -> str:
        return answer.headers.get(f"x-ratelimit-{part}-{what}", "")

    readings = []
    for what in ("requests", "tokens"):
        limit, left = number(told("limit", what)), number(told("remaining", what))
        if left is not None and left >= 0:
            why = f"{told('remaining', what)} of {told('limit', what)} {what} left"
            readings += of_left(limit, left, seconds(told("reset", what)), why)
    return nearest(readings)

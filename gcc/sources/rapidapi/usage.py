"""What RapidAPI's gateway tells of a key's plan: x-ratelimit-<object>-limit, -remaining and -reset (seconds), of each
object that the plan counts. Pure.
"""

import re
from collections.abc import Sequence

from gcc.sources.http import Answer
from gcc.sources.limits import Reading
from gcc.sources.usage import nearest, number, of_left, seconds

_LIMIT = re.compile(r"x-ratelimit-(.+)-limit")


def usage(answer: Answer) -> Sequence[Reading]:
    """See `SourceApi.usage`."""
    objects = [found[1] for name in answer.headers if (found := _LIMIT.fullmatch(name))]
    told = {
        name: {part: answer.headers.get(f"x-ratelimit-{name}-{part}", "") for part in ("limit", "remaining", "reset")}
        for name in objects
    }
    return nearest(
        reading
        for name, of in told.items()
        for reading in of_left(
            number(of["limit"]),
            number(of["remaining"]),
            seconds(of["reset"]),
            f"{of['remaining']} of {of['limit']} {name} left",
        )
    )

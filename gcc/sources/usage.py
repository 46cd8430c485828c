"""How much of the other side's limits is used, as its answers tell: what the sources' `usage` functions share. Pure.

Nothing that an answer says raises: what cannot be read tells nothing.
"""

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from gcc.sources.limits import Reading

TOLD_S = 300.0  # how long a reading without a time holds; the next answer tells anew
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PARTS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)")


def number(value: Any) -> float | None:
    """A number of JSON, or of a header's text; None: it is none."""
    if isinstance(value, str):
        try:
            value = float(value.strip()[:30])
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def seconds(text: str) -> float | None:
    """Of "12ms", "1s", "6m0s", "1h30m" or "19"; None: it tells none, as "-1" does."""
    text = text.strip().lower()
    if parts := _PARTS.findall(text):
        return sum(float(figure) * _UNITS_S[unit] for figure, unit in parts)
    plain = number(text)
    return None if plain is None or plain < 0 else plain


def decoded(text: str) -> Any:
    """The JSON of a header; None: it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def of_left(
    limit: float | None, left: float | None, for_s: float | None, why: str, *, bucket: str = ""
) -> list[Reading]:
    """What a limit of a credential tells, of which so much is left until it is full again; none where it does not."""
    if limit is None or left is None or limit <= 0 or left > limit:
        return []
    return [Reading("credential", 1.0 - max(left, 0.0) / limit, TOLD_S if for_s is None else for_s, why, bucket)]


def nearest(readings: Iterable[Reading]) -> list[Reading]:
    """The one that is nearest its ceiling, or of those that are there the one that stays there longest."""
    return [max(found, key=lambda each: (min(each.share_used, 1.0), each.for_s))] if (found := list(readings)) else []

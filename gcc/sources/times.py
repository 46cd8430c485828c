"""Times as people, spreadsheets and APIs write them: RFC 3339, its relatives of ISO 8601, and plain dates. Pure."""

import datetime as dt
import re

_BEGINS = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}(?:[T ]|$)")
_LEAP_SECOND = re.compile(r"(.*[T ][0-9]{2}:?[0-9]{2}:?)60(.*)")


def instant(text: str) -> dt.datetime:
    """The time that is written there, with its offset if it has one. ValueError: it is none.

    T and Z may be small letters, UTC may stand for Z. A leap second (:60) is the next minute's first: clocks here have
    none. What is no time but would be taken for one by datetime (weeks, any letter before the hour) is refused.
    """
    text = text.upper()
    if text.endswith("UTC"):
        text = f"{text[:-3].rstrip()}Z"
    if not _BEGINS.match(text):
        raise ValueError(f"{text[:60]!r} is no time")
    leap = _LEAP_SECOND.fullmatch(text)
    if leap is None:
        return dt.datetime.fromisoformat(text)
    try:
        return dt.datetime.fromisoformat(f"{leap[1]}59{leap[2]}") + dt.timedelta(seconds=1)
    except OverflowError:
        raise ValueError(f"{text[:60]!r} is out of range") from None

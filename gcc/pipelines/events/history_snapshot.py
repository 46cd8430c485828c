"""A row of a history file as a profile_log event, or why it is none. Pure.

Own fields: platform, profile_id, handle (or the URL of the profile), timestamp, source. `dimensions.*` are kept as they
are, and so is what stands in one of DIMENSIONS or of the file's fields of text. Every other field is a metric, read by
the table METRICS, exactly or not at all: what a spreadsheet rounded, cut or dressed up ("1.234", 1_000, 1.78E+16,
10^23) is refused, since nobody can know what it was, but for what the file's Form tells. An empty field is absent.
Ids are derived from (source, platform, profile_id, timestamp, kind), so the same snapshot is the same event. A row
without an id tells of whoever has its handle: its snapshot waits for the id (`ByHandle`).
"""

import datetime as dt
import hashlib
import re
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache, partial
from math import isfinite
from typing import Any, NamedTuple, TypeVar

from gcc.pipelines.events.history_form import AS_IT_TELLS, Form, hint
from gcc.pipelines.events.schemas import IMPORTED, ProfileLog
from gcc.pipelines.events.types import encode, timestamp
from gcc.platforms import PLATFORMS, Platform

NAMESPACE = uuid.UUID("6f1c0b1e-8f0e-5d2c-9a55-1d4e5b7a9c11")
_NAMESPACE = NAMESPACE.bytes
SOURCE = "import"
SOURCE_CHARS_MAX = 100
TEXT_CHARS_MAX = 500  # of a URL, say
EARLIEST_YEAR = 2000
LEVELS_MAX = 16  # lists and objects in a dimension
INT64_MAX = 2**63 - 1
DIGITS_SAFE = 18  # are in 64 bits, whatever they are
FLOAT_WHOLE_MAX = 2**53  # above, whole numbers are rounded
SHOWN_CHARS_MAX = 60

FAULTS_TOLD_MAX = 20
"""Of one row: more tell no more."""

OWN_FIELDS = frozenset({"platform", "profile_id", "handle", "timestamp", "source"})
DIMENSION = "dimensions."
DIMENSIONS = frozenset(
    {
        "full_name", "title", "bio", "description", "category", "language", "country", "city", "profile_type",
        "is_verified", "is_business", "profile_pic_url",
    }
)  # fmt: skip
"""What crawls tell of a profile, beside its metrics."""
_DIGITS = re.compile(r"([0-9]{1,19})(?:\.0)?")  # some programs write every number of a column with empty cells as 12.0
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")
_ROUNDED = re.compile(r"[0-9](?:[.,][0-9]+)?[eE][+]?[0-9]+")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # in JSON


class Malformed(Exception):
    """A row that is not a snapshot: which field, and why; `faults` are all that were found, this first."""

    def __init__(self, name: str, reason: str, others: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(f"{name}: {reason}")
        self.field = name
        self.reason = reason
        self.faults = [(name, reason), *others]


class Snapshot(NamedTuple):
    event_id: str
    platform: str
    profile_id: str
    handle: str
    line: bytes


class ByHandle(NamedTuple):
    """A row that tells of a profile by its handle alone: `snapshot(profile_id)`, or None if it tells nothing more."""

    platform: str
    handle: str
    snapshot: Callable[[str], Snapshot] | None
    bytes: int = 0


def count(value: Any) -> int:
    """A number of things, whole in every digit. ValueError: it is none."""
    if type(value) is str:
        if (digits := _DIGITS.fullmatch(value)) and (found := int(digits[1])) <= INT64_MAX:
            return found
    elif type(value) is int and 0 <= value <= INT64_MAX:
        return value
    elif type(value) is float and 0 <= value < FLOAT_WHOLE_MAX and value.is_integer():
        return int(value)
    raise ValueError(f"is no count: a whole number from 0 to {INT64_MAX}, in digits alone")


def number(value: Any) -> int | float:
    """Any number that 64 bits hold. ValueError: it is none."""
    if type(value) is str:
        if not _NUMBER.fullmatch(value):
            raise ValueError("is no number: digits with at most one point among them, such as 0.045")
        value = int(value) if value.lstrip("+-").isdecimal() else float(value)
    if type(value) is float:
        if isfinite(value):
            return value
    elif type(value) is int and -INT64_MAX - 1 <= value <= INT64_MAX:
        return value
    raise ValueError("is no number that 64 bits hold")


def rate(value: Any) -> int | float:
    """A mean or a share, which is never below zero. ValueError: it is none."""
    if (found := number(value)) < 0:
        raise ValueError("is below zero")
    return found


_Read = Callable[[Any], int | float]
METRICS: Mapping[str, _Read] = {
    **dict.fromkeys(
        (
            "followers", "following", "media_count", "likes", "comments", "views", "plays", "reach", "impressions",
            "shares", "saved", "subscribers", "uploads", "total_views", "shorts_reach",
        ),
        count,
    ),
    **dict.fromkeys(("avg_likes", "avg_comments", "avg_views", "engagement_rate"), rate),
}  # fmt: skip
"""How the columns of the spec are read; any other metric is a `number`."""


Known = tuple[Platform, ...]
"""The platforms that rows may tell of."""
ALL: Known = tuple(PLATFORMS.values())


def snapshot(
    row: Mapping[str, Any],
    latest: dt.datetime,
    form: Form = AS_IT_TELLS,
    texts: Collection[str] = (),
    platforms: Known = ALL,
) -> Snapshot | ByHandle:
    """A row as an event, or Malformed: among others if it tells of a time after `latest`, which nobody can know.

    `texts`: fields that nobody knows and that hold text, see `is_text`."""
    faults: list[Malformed] = []
    whose = _or_fault(faults, _whose_row, row, platforms)
    metrics, dimensions = _figures(row, form, texts, faults)
    if whose and not (faults or metrics or row.get("timestamp")):  # somebody to follow
        known, profile_id, handle = whose
        return ByHandle(known.name, known.asked_as(profile_id, handle), None)
    at = _or_fault(faults, _time_of, row, latest, form)
    if not metrics and all(fault.field in OWN_FIELDS for fault in faults):
        faults.append(Malformed("metrics", "no metric column has a value"))
    source = _or_fault(faults, _source, row)
    if faults or whose is None or at is None or source is None:
        raise _together(faults)
    known, profile_id, handle = whose
    dimensions["handle"] = handle
    event = partial(
        _event, platform=known.name, handle=handle, at=at, source=source, metrics=metrics, dimensions=dimensions
    )
    found = event(profile_id)
    return found if profile_id else ByHandle(known.name, handle, event, len(found.line))


_T = TypeVar("_T")


def _or_fault(faults: list[Malformed], read: Callable[..., _T], *given: Any) -> _T | None:
    try:
        return read(*given)
    except Malformed as fault:
        faults.append(fault)
        return None


def _together(faults: list[Malformed]) -> Malformed:
    (name, reason), *others = [told for fault in faults for told in fault.faults][:FAULTS_TOLD_MAX]
    return Malformed(name, reason, others)


def _event(
    profile_id: str,
    *,
    platform: str,
    handle: str,
    at: tuple[str, str],
    source: str,
    metrics: dict[str, int | float | None],
    dimensions: dict[str, Any],
) -> Snapshot:
    event_id = derived_id("\x1f".join((source, platform, profile_id, at[0], "profile_log")))
    line = encode(
        ProfileLog(
            event_id=event_id,
            event_timestamp=at[1],
            origin=IMPORTED,
            source=source,
            platform=platform,
            profile_id=profile_id,
            handle=handle,
            metrics=metrics,
            dimensions=dimensions,
        )
    )
    if b"\\u0000" in line and _NUL.search(line):  # PostgreSQL, where dimensions end up, has none
        raise Malformed("(row)", "holds a NUL character")
    return Snapshot(event_id, platform, profile_id, handle, line)


def derived_id(key: str) -> str:
    """uuid.uuid5(NAMESPACE, key) as text; ten times as fast, and an import makes millions."""
    digest = hashlib.sha1(_NAMESPACE + key.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def shown(value: Any) -> str:
    """A value as a reason tells it: short, whatever it is."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, str) and len(value) > SHOWN_CHARS_MAX:
        value = f"{value[:SHOWN_CHARS_MAX]}..."
    return repr(value)


def _whose_row(row: Mapping[str, Any], platforms: Known) -> tuple[Platform, str, str]:
    platform = _text(row, "platform")
    faults: list[Malformed] = []
    has_id = row.get("profile_id") not in (None, "")
    profile_id = _or_fault(faults, _text, row, "profile_id") if has_id else None
    handle = _or_fault(faults, _text, row, "handle")
    whose = _or_fault(faults, _whose, platforms, platform, profile_id or "", handle or "")
    if faults or whose is None:
        raise _together(faults)
    return whose


@lru_cache(maxsize=4096)  # a profile has many snapshots
def _whose(platforms: Known, platform: str, profile_id: str, handle: str) -> tuple[Platform, str, str]:
    """What these three texts mean, '' for what is missing; of a channel the handle may tell the id."""
    known = next((each for each in platforms if platform.isascii() and each.name == platform.upper()), None)
    if known is None:
        names = ", ".join(each.name for each in platforms)
        raise Malformed("platform", f"{shown(platform)} is not one of {names}")
    faults: list[Malformed] = []
    if profile_id and not known.is_id(profile_id):
        why = "a spreadsheet rounded it; export ids as text" if _ROUNDED.fullmatch(profile_id) else known.id_rule
        faults.append(Malformed("profile_id", f"{shown(profile_id)} is no id on {known.name}: {why}"))
    named = handle
    try:
        if handle and not (named := known.handle_in(handle) or profile_id):  # a channel is found by that, too
            raise ValueError(f"{shown(handle)} does not tell the handle, and there is no profile_id")
        if known.known_by_id and known.is_id(named):
            profile_id = profile_id or named
            if named != profile_id:
                raise ValueError(f"{named} is another profile than profile_id tells")
    except ValueError as error:
        faults.append(Malformed("handle", str(error)))
    if faults:
        raise _together(faults)
    return known, profile_id, named


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if type(value) is str and len(value) <= TEXT_CHARS_MAX and (text := value.strip()):
        return text
    if type(value) is int:
        value = str(value)
    if type(value) is not str and value is not None:
        raise Malformed(name, f"{shown(value)} is no text; write it in quotes")
    if not value or not (text := value.strip()):
        raise Malformed(name, "is missing")
    if len(text) > TEXT_CHARS_MAX:
        raise Malformed(name, f"is longer than {TEXT_CHARS_MAX} characters")
    return text


def _source(row: Mapping[str, Any]) -> str:
    source = row.get("source") or SOURCE
    if type(source) is not str or len(source) > SOURCE_CHARS_MAX:
        raise Malformed("source", f"{shown(source)} is no name of at most {SOURCE_CHARS_MAX} characters")
    return source.strip() or SOURCE


def is_text(value: Any, form: Form) -> bool:
    """Whether a field that nobody knows is one of text, by the first value in it: it is no number, nor nested."""
    if type(value) is not str:
        return type(value) is bool
    try:
        number(form.plain(value.strip()))
    except ValueError:
        return True
    return False


def _figures(
    row: Mapping[str, Any], form: Form, texts: Collection[str], faults: list[Malformed]
) -> tuple[dict[str, int | float | None], dict[str, Any]]:
    """Metrics and dimensions; what is neither becomes a fault."""
    metrics: dict[str, int | float | None] = {}
    dimensions: dict[str, Any] = {}
    for name, value in row.items():
        if value is None or value == "" or name in OWN_FIELDS:
            continue
        try:
            if name.startswith(DIMENSION) or name in DIMENSIONS or name in texts:
                if (bare := name.removeprefix(DIMENSION)) in dimensions:
                    raise Malformed(name, f"stands twice, as {shown(bare)} and as {shown(DIMENSION + bare)}")
                dimensions[bare] = value if type(value) is str else _storable(name, value)
            elif type(value) is int and 0 <= value <= INT64_MAX:  # to all readers the same, as are so many digits
                metrics[name] = value
            elif type(value) is str and len(value) <= DIGITS_SAFE and value.isdigit() and value.isascii():
                metrics[name] = int(value)
            elif type(value) is not str or (value := value.strip()):
                metrics[name] = _metric(name, value, form)
        except Malformed as fault:
            faults.append(fault)
    return metrics, dimensions


def _metric(name: str, value: Any, form: Form) -> int | float:
    try:
        return METRICS.get(name, number)(form.plain(value) if type(value) is str else value)
    except ValueError as error:
        is_nested = type(value) is dict and name not in METRICS
        why = f"is no number; write its fields as {name}.NAME, or NAME" if is_nested else error
        raise Malformed(name, f"{shown(value)} {why}{hint(value, form) if type(value) is str else ''}") from None


def _storable(name: str, value: Any, levels: int = LEVELS_MAX) -> Any:
    """The value of a dimension as it is; Malformed if it could not be read again everywhere."""
    if isinstance(value, list | dict):
        if not levels:
            raise Malformed(name, f"is nested deeper than {LEVELS_MAX} levels")
        for part in value.values() if isinstance(value, dict) else value:
            _storable(name, part, levels - 1)
    elif type(value) is int and not -INT64_MAX - 1 <= value <= INT64_MAX:
        raise Malformed(name, f"{shown(value)} is no number that 64 bits hold")
    return value


def _time_of(row: Mapping[str, Any], latest: dt.datetime, form: Form) -> tuple[str, str]:
    return _time(_text(row, "timestamp"), latest, form)


@lru_cache(maxsize=256)  # a day's snapshots share their time
def _time(text: str, latest: dt.datetime, form: Form) -> tuple[str, str]:
    """The time in UTC as ids are derived from it, and as events carry it."""
    try:
        at = form.time(text)
    except ValueError as error:
        raise Malformed("timestamp", f"{shown(text)} {error}") from None
    at = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
    try:
        at = at.astimezone(dt.UTC)
    except OverflowError:
        raise Malformed("timestamp", f"{shown(text)} is out of range") from None
    if at.year < EARLIEST_YEAR:
        raise Malformed("timestamp", f"{shown(text)} is before {EARLIEST_YEAR}")
    if at > latest:
        raise Malformed("timestamp", f"{shown(text)} is in the future")
    return at.isoformat(), timestamp(at)

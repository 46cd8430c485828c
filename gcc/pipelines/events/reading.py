"""A line of a frame, as its table takes it: pure.

What we sent is checked and passed on byte for byte. Events of other producers are understood where their meaning is
plain, and written again as ours: without event_id, `v` and `origin`; with other forms of time (RFC 3339, epoch in
seconds, or since 2000 in milliseconds or microseconds); with numbers where text is due and text where numbers are; with
null for what may be absent; with fields that the schema does not know, which are kept in `extra`.
Where such an event says that we emitted it, it is understood without that.
An id that is missing is derived from the frame's, which the exchange keeps stable: the message redelivered is the
same event.
"""

import codecs
import datetime as dt
import math
import re
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from typing import Annotated, Any, get_args, get_origin

import msgspec

from gcc.channels.message import Frame, names_nothing
from gcc.pipelines.events.app_schemas import AppEvent, AppHeader, ErrorEvent
from gcc.pipelines.events.schemas import EMITTED_BY, Event, Id, Named, Time
from gcc.pipelines.events.types import EventType, encode, timestamp
from gcc.sources.times import instant

GIVEN_IDS = uuid.UUID("6f0b1c0a-3f0e-5d5c-9d0e-6b1f7a3c2e11")
"""The namespace of ids that others gave and that are no UUIDs."""
YEARS = range(1970, 2200)
UNKNOWN_TIME = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
FOREIGN = {"v": 1, "origin": ""}
DEEP = "it is nested too deeply"
SHOWN_CHARS_MAX = 80
WHOLE_FLOATS = 2.0**53
"""From here on floats leave whole numbers out."""

_HALF_A_CHARACTER = re.compile(
    rb"\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f])|(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f][0-9a-f]{2}", re.IGNORECASE
)
_TIMES = "write RFC 3339, YYYY-MM-DD HH:MM:SS or a Unix time (in smaller units than seconds of 2000 or later)"
_LINE = re.compile(rb"\S[^\n]*")
_Naive = Annotated[dt.datetime, msgspec.Meta(tz=False)]
_CHECKED: dict[Any, Any] = {Id: uuid.UUID, Time: _Naive, Time | None: _Naive | None}
_SECONDS = (
    1e8  # smaller numbers (before 1973) are no Unix times, but years, days of spreadsheets, dates without hyphens
)
_MILLIS, _MICROS = 946_684_800e3, 946_684_800e6  # from here on (the year 2000) they are in smaller units: below that
# lie dates and times without anything between their digits, such as 202601011200


class LineReader:
    """Reads lines of one event type. `now`: for those that may not be of the future; None: all may."""

    def __init__(self, event_type: EventType, now: Callable[[], dt.datetime] | None = None) -> None:
        fields = msgspec.structs.fields(event_type.schema)
        self._type = event_type
        self._now = now
        self._check: Callable[[bytes], Any] = msgspec.json.Decoder(_checking(event_type.schema)).decode
        self._known = frozenset(field.name for field in fields)
        self._optional = frozenset(field.name for field in fields if not field.required)
        self._times = [field.name for field in fields if field.type in (Time, Time | None)]
        self._further_times = [name for name in self._times if name != "event_timestamp"]
        self._texts = [field.name for field in fields if field.type in (str, Named)]
        self._named_by_key = issubclass(event_type.schema, AppEvent)

    def read(self, line: bytes, frame: Frame, number: int) -> bytes:
        """The `number`-th line of `frame`, ready to be stored. ValueError: it is no such event, and why."""
        try:
            if self._is_as_ours(line, frame):
                return line
        except RecursionError:
            raise ValueError(DEEP) from None
        return self.rewritten(line, frame, number)

    def rewritten(self, line: bytes, frame: Frame, number: int) -> bytes:
        """As `read`, and in our own words even where they are as ours: tables read some forms of JSON more strictly."""
        try:
            return self._translated(decoded(line), frame, number)
        except RecursionError:
            raise ValueError(DEEP) from None

    def _claims(self, origin: Any, frame: Frame) -> bool:
        """Whether it says that we emitted it, and it came by no frame of ours. `check` counts by the origin."""
        return self._type.counted and frame.counted == 0 and origin in EMITTED_BY

    def _is_ahead(self, at: dt.datetime) -> bool:
        most = self._type.ahead_max
        return most is not None and self._now is not None and at > self._now() + most

    def _is_as_ours(self, line: bytes, frame: Frame) -> bool:
        try:
            event = self._check(line)
        except ValueError:  # of msgspec, and UnicodeDecodeError
            return False
        if self._claims(event.origin, frame) or not event.event_id.int:
            return False
        if self._is_ahead(event.event_timestamp.replace(tzinfo=dt.UTC)):
            return False
        return event.event_timestamp.year in YEARS and all(
            at is None or at.year in YEARS for at in (getattr(event, name) for name in self._further_times)
        )

    def _translated(self, given: dict[str, Any], frame: Frame, number: int) -> bytes:
        extra = {name: value for name, value in given.items() if name not in self._known}
        values = {
            name: value
            for name, value in given.items()
            if name in self._known and not (value is None and name in self._optional)
        }
        if values.get("event_timestamp") is None and (at := given.get(self._type.time_field)) is not None:
            values["event_timestamp"] = at
            extra.pop(self._type.time_field, None)
        if self._named_by_key:
            values.setdefault("event_name", frame.route.key)
        for name in self._times:
            if values.get(name) is not None:
                values[name] = moment(values[name])
        for name in self._texts:
            if isinstance(values.get(name), int | float) and not isinstance(values[name], bool):
                values[name] = _digits(name, values[name])
        event_id, as_given = event_id_of(given, self._type, frame, number)
        values = {**FOREIGN, "origin_id": as_given, **values, "event_id": event_id}
        if self._claims(values["origin"], frame):  # an event of its own: under the id of ours it would replace that
            values |= {"origin": "", "origin_id": as_given or event_id, "event_id": _derived(self._type, event_id)}
        event = msgspec.convert(values, self._type.schema, strict=False)
        if self._is_ahead(instant(event.event_timestamp).replace(tzinfo=dt.UTC)):
            raise ValueError(f"event_timestamp: {event.event_timestamp} is more than {self._type.ahead_max} ahead")
        row = {name: _finite(name, getattr(event, name)) for name in values}
        if extra:
            row["extra"] = encode(extra).decode()
        return encode(row)


def decoded(line: bytes) -> dict[str, Any]:
    """The object in a line of another producer's; some begin with a mark. ValueError: there is none, and why."""
    try:
        return msgspec.json.decode(line.removeprefix(codecs.BOM_UTF8), type=dict[str, Any])
    except msgspec.DecodeError:
        if _HALF_A_CHARACTER.search(line):
            raise ValueError("it holds half a character (one \\ud800 to \\udfff without the other)") from None
        raise


def fault(text: bytes) -> str:
    """What keeps it from being an object."""
    try:
        decoded(text)
    except ValueError as error:
        return str(error)
    except RecursionError:
        return DEEP
    return "it is spread over lines"


def _digits(name: str, number: int | float) -> str:
    """A number where text is due; 123.0 is 123 as an id, not as a version. ValueError: it was rounded."""
    if isinstance(number, float) and abs(number) >= WHOLE_FLOATS:
        raise ValueError(f"{name}: {number} was rounded; send text")
    return str(int(number)) if name.endswith("id") and number == int(number) else str(number)


def _finite(name: str, value: Any) -> Any:
    """ "nan" and "inf" are understood where numbers are due, and are none that JSON could carry."""
    for each in value.values() if isinstance(value, dict) else (value,):
        if isinstance(each, float) and not math.isfinite(each):
            raise ValueError(f"{name}: {each} is no number")
    return value


class _Origin(msgspec.Struct):
    origin: str = ""


def lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Those that are not blank with their numbers, from 0, found one by one: a body may have millions."""
    number = end = 0
    for found in _LINE.finditer(body):
        number += body.count(b"\n", end, found.start())
        end = found.end()
        yield number, found[0]


def counted(frame: Frame, body: bytes) -> int:
    """How many lines of this body of the frame's are events that we counted as emitted: it is ours, and they say so."""
    return 0 if frame.counted == 0 else sum(_origin(line) in EMITTED_BY for _, line in lines(body))


def _origin(line: bytes) -> str:
    try:
        return msgspec.json.decode(line, type=_Origin).origin
    except (ValueError, RecursionError):
        return ""


def _is_none(value: Any) -> bool:
    return not value or (isinstance(value, str) and names_nothing(value))


def event_id_of(given: dict[str, Any], event_type: EventType, frame: Frame, number: int) -> tuple[str, str]:
    """(the event's id, the one that it came with if that is no UUID). ValueError: what it came with is no id."""
    its_own = next((given[name] for name in ("event_id", event_type.id_field) if not _is_none(given.get(name))), None)
    if its_own is None:
        return str(uuid.uuid5(frame.id, str(number))), ""
    if isinstance(its_own, bool) or not isinstance(its_own, str | int | float):
        raise ValueError(f"{_shown(its_own)} is no event_id; send text")
    if isinstance(its_own, float):
        its_own = _digits("event_id", its_own)
    try:
        return str(uuid.UUID(str(its_own))), ""
    except ValueError:
        return _derived(event_type, its_own), str(its_own)


def _derived(event_type: EventType, given: str | float) -> str:
    return str(uuid.uuid5(GIVEN_IDS, f"{event_type.name}:{given}"))


def moment(value: Any) -> str:
    """A time as others write it, as we do. Without an offset it is UTC. ValueError: it is none."""
    try:
        at = _instant(value)
    except (ValueError, OverflowError, TypeError):
        raise ValueError(f"{_shown(value)} is no time; {_TIMES}") from None
    if at.year not in YEARS:
        raise ValueError(f"{_shown(value)} is not between {YEARS.start} and {YEARS.stop - 1}")
    return timestamp(at)


def _instant(value: Any) -> dt.datetime:
    if isinstance(value, str) and not value.strip().replace(".", "", 1).isdecimal():
        at = instant(value.strip())
        return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    if isinstance(value, bool):
        raise TypeError
    number = float(value)
    if number < _SECONDS:
        raise ValueError
    unit = 1.0 if number < _MILLIS else 1e3 if number < _MICROS else 1e6
    return UNKNOWN_TIME + dt.timedelta(seconds=number / unit)


def _shown(value: Any) -> str:
    """A value of any kind and size, as a reason names it."""
    if not isinstance(value, str | int | float | None):
        return f"a {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS_MAX else text[:SHOWN_CHARS_MAX] + "…"


def error_line(line: bytes, error: str, event_type: EventType, frame: Frame, number: int) -> bytes:
    """An app event that was not taken, as an error_event: all of it that can be read, and the whole of it as text.

    Where it tells no time: that of its frame, or UNKNOWN_TIME. Nothing here depends on when it is handled.
    """
    try:
        given = decoded(line)
    except (ValueError, RecursionError):  # of msgspec, and UnicodeDecodeError
        given = {}
    try:
        at = moment(given.get("event_timestamp"))
    except ValueError:
        at = timestamp(_minted(frame.id))
    try:
        event_id, as_given = event_id_of(given, event_type, frame, number)
    except ValueError:
        event_id, as_given = event_id_of({}, event_type, frame, number)
    header = {name: given[name] for name in _HEADER if isinstance(given.get(name), str)}
    name = given.get("event_name")
    event = ErrorEvent(
        event_id=event_id,
        event_timestamp=at,
        origin="",
        origin_id=as_given,
        event_name=name if isinstance(name, str) else frame.route.key,
        event_params={"raw": line.decode(errors="replace")},
        error=error,
        **header,
    )
    return encode(event)


_HEADER = sorted(set(AppHeader.__struct_fields__) - set(Event.__struct_fields__))


def _minted(frame_id: uuid.UUID) -> dt.datetime:
    """When a UUIDv7 was made; of others nobody knows."""
    try:
        at = UNKNOWN_TIME + dt.timedelta(milliseconds=frame_id.int >> 80)
    except OverflowError:
        return UNKNOWN_TIME
    return at if frame_id.version == 7 and at.year in YEARS else UNKNOWN_TIME


@cache
def blank(event_type: EventType) -> bytes:
    """An event of this type with every field and no content: a table that does not take it takes none."""
    values = {field.name: _blank(field) for field in msgspec.structs.fields(event_type.schema)}
    return encode(values | {"extra": ""})


def _blank(field: msgspec.structs.FieldInfo) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    if field.type == Id:
        return str(uuid.UUID(int=0))
    if field.type == Time:
        return timestamp(UNKNOWN_TIME)
    kind = get_args(field.type)[0] if get_origin(field.type) is Annotated else field.type
    return (get_origin(kind) or kind)()


def _checking(schema: type[Event]) -> type[msgspec.Struct]:
    """The schema with ids and times checked for what they are. Only for decoding: the values are thrown away."""
    fields = [
        (field.name, _CHECKED.get(field.type, field.type), field.required) for field in msgspec.structs.fields(schema)
    ]
    return msgspec.defstruct(
        schema.__name__,
        [(name, kind) if required else (name, kind, None) for name, kind, required in fields],
        forbid_unknown_fields=True,
        kw_only=True,
    )

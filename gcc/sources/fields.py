"""Reading decoded JSON by field: absent (or null) is None, and so is what is of a wrong type, which is noted.

So a parser says what it wants and never meets a KeyError; one odd field costs that field, and a changed API is told by
its paths. What has no value without a part (an id, the list that was asked for) says so, and is refused: OddAnswer
naming the path. Texts come out as every store can hold them.
"""

import datetime as dt
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from gcc.sources.http import Answer, decode, retry_after_s
from gcc.sources.times import instant
from gcc.sources.verdicts import OddAnswer, SourceFailed, failed, may_not_or_away

T = TypeVar("T")
ID_CHARS_MAX = 200  # longer ones fit no index, and are none
LIST_MAX = 10_000  # no page of an API is longer
NOTES_MAX = 20
KEYS_MAX = 200
OTHERS_MAX = 50  # so much is kept of what nobody asked for
OTHER_CHARS_MAX = 2000
_INT64_MAX = 2**63 - 1  # counts are stored in 64 bits
_INT64_DIGITS = 19  # int() of a text of any length could take for ever
_YEARS = range(1970, 2200)  # what both stores can hold, and any post can have
_EPOCH_S = range(1, 7_258_118_400)  # to the end of these years
AMOUNT_CHARS_MAX = 40
_AMOUNT = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Fields:
    """One JSON object of an answer of `source`, at `path` in it.

    `notes` tells what was odd so far anywhere in the answer, by path; the first NOTES_MAX are kept.
    """

    __slots__ = ("_path", "_source", "_values", "notes")

    def __init__(self, value: Any, source: str, path: str = "$", notes: list[str] | None = None) -> None:
        self._source = source
        self._path = path
        self.notes: list[str] = [] if notes is None else notes
        if not isinstance(value, dict):
            raise OddAnswer(f"{source}: {path} should be an object, got {_kind(value)}")
        self._values: dict[str, Any] = value

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        """The names of what is there, null too."""
        return iter(self._values)

    @property
    def source(self) -> str:
        return self._source

    def kind(self, key: str) -> str:
        """What stands at `key`: "an object", "a list", "a text", "true or false", "a number" or, null, "nothing"."""
        return _kind(self._values.get(key))

    def names(self) -> list[str]:
        """Of the names of what is there those that can be names of ours: no spaces, no dots, KEYS_MAX at most."""
        return [key for key in list(self)[:KEYS_MAX] if key.isascii() and key.isidentifier()]

    def noting(self, notes: list[str]) -> "Fields":
        """The same object for another reader: what that one finds odd goes to `notes`."""
        return Fields(self._values, self._source, self._path, notes)

    def object(self, key: str, *, needed: bool = False) -> "Fields":
        """The object at `key`; absent or odd it is refused where it is `needed`, else empty."""
        value = self._values.get(key)
        if not isinstance(value, dict | None) and not needed:
            self._odd(key, "an object", value)
            value = None
        return Fields({} if value is None and not needed else value, self._source, f"{self._path}.{key}", self.notes)

    def objects(self, key: str, *, needed: bool = False) -> list["Fields"]:
        """The objects in the list at `key`; absent or odd it is refused where it is `needed`, else empty."""
        found = []
        for place, item in self._list(key, needed=needed):
            if isinstance(item, dict):
                found.append(Fields(item, self._source, f"{self._path}.{place}", self.notes))
            else:
                self._odd(place, "an object", item)
        return found

    def members(self) -> list["Fields"]:
        """The objects in it, whatever their names."""
        return [
            Fields(value, self._source, f"{self._path}.{_storable(key[:ID_CHARS_MAX])}", self.notes)
            for key, value in islice(self._values.items(), LIST_MAX)
            if isinstance(value, dict)
        ]

    def each(self, key: str, parse: Callable[["Fields"], T], *, needed: bool = False) -> list[T]:
        """What `parse` makes of each of `objects`; one that it refuses (OddAnswer) is left out, and noted."""
        return parsed(self.objects(key, needed=needed), parse)

    def lists(self, key: str) -> list[tuple[str, list[Any]]]:
        """(path, items) of each list in the list at `key`: rows of a table. Texts among the items can be stored."""
        found = []
        for place, items in self._list(key):
            if isinstance(items, list):
                row = [_storable(item) if isinstance(item, str) else item for item in items]
                found.append((f"{self._path}.{place}", row))
            else:
                self._odd(place, "a list", items)
        return found

    def texts(self, key: str) -> list[str]:
        """The texts in the list at `key`."""
        value = self._values.get(key)
        if isinstance(value, list) and len(value) <= LIST_MAX and all(isinstance(item, str) for item in value):
            return [_storable(item) for item in value]  # as nearly all are: their places are of no interest
        found = []
        for place, item in self._list(key):
            if isinstance(item, str):
                found.append(_storable(item))
            else:
                self._odd(place, "a text", item)
        return found

    def text(self, key: str, *, chars_max: int | None = None) -> str | None:
        value = self._values.get(key)
        if value is None:
            return None
        if isinstance(value, str) and (chars_max is None or len(value) <= chars_max):
            return _storable(value)
        self._odd(key, "a text" if chars_max is None else f"a text of {chars_max} characters at most", value)
        return None

    def identity(self, key: str) -> str:
        """The text at `key`, without which the object is nothing: absent, empty or mutilated is refused."""
        value = self._values.get(key)
        if not isinstance(value, str) or not 0 < len(value) <= ID_CHARS_MAX:
            raise self._refusal(key, "an id", value)
        if value != _storable(value) or "\ufffd" in value:
            raise self._refusal(key, "an id", value)
        return value

    def number_or_text(self, key: str, *, chars_max: int = ID_CHARS_MAX) -> str | None:
        """An id that some write as a number, others as a text: as a text. Empty is None, mutilated is odd."""
        value = self._values.get(key)
        if isinstance(value, str) and len(value) <= chars_max and value == _storable(value):
            return value or None
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**64):
            return None if value is None else str(value)
        self._odd(key, "an id", value)
        return None

    def refusal(self, key: str, wanted: str) -> OddAnswer:
        """For callers that looked for what is `wanted`, without which the object is nothing, and found it nowhere."""
        return self._refusal(key, wanted, self._values.get(key))

    def flag(self, key: str) -> bool | None:
        value = self._values.get(key)
        if isinstance(value, bool | None):
            return value
        self._odd(key, "true or false", value)
        return None

    def count(self, key: str) -> int | None:
        """A number of things: an integer, one that was written as a float, or its digits in a text, 0 to 2^63 - 1."""
        number = self.code(key)
        if key not in self or (number is not None and number >= 0):
            return number
        self._odd(key, "a count", self._values[key])
        return None

    def number(self, key: str) -> int | float | None:
        """A number of things or a share of them: not below 0, and of 64 bits."""
        value = self._values.get(key)
        if isinstance(value, float):
            if 0 <= value < _INT64_MAX:  # so it is finite
                return value
            self._odd(key, "a number", value)
            return None
        return self.count(key)

    def counts(self, key: str) -> dict[str, int | float]:
        """The numbers in the object at `key`, by their names; others are noted."""
        inner = self.object(key)
        numbers = {_storable(name[:ID_CHARS_MAX]): inner.number(name) for name in islice(inner._values, LIST_MAX)}
        return {name: number for name, number in numbers.items() if number is not None}

    def others(self, known: Collection[str]) -> tuple[dict[str, int | float], dict[str, str | bool]]:
        """What stands under other names than `known`: numbers, and texts and flags; those of an object as NAME.INNER.

        So what an API begins to tell is kept before anybody asks for it. Lists and odd values are no such thing.
        """
        numbers: dict[str, int | float] = {}
        told: dict[str, str | bool] = {}
        for name, value in islice(self._values.items(), LIST_MAX):
            if name in known:
                continue
            for inner, said in islice(value.items(), OTHERS_MAX) if isinstance(value, dict) else ((None, value),):
                if len(numbers) + len(told) == OTHERS_MAX:
                    return numbers, told
                full = _storable((name if inner is None else f"{name}.{inner}")[:ID_CHARS_MAX])
                if isinstance(said, bool):
                    told[full] = said
                elif isinstance(said, str):
                    told[full] = _storable(said[:OTHER_CHARS_MAX])
                elif isinstance(said, int | float) and 0 <= said <= _INT64_MAX:
                    numbers[full] = said
        return numbers, told

    def amount(self, key: str) -> float | None:
        """A number with decimals, or one in a text, as money is told; finite, and it may be negative."""
        value = self._values.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _INT64_MAX:
            return float(value)
        if isinstance(value, str) and len(value) <= AMOUNT_CHARS_MAX and _AMOUNT.fullmatch(value):
            return float(value)
        if value is not None:
            self._odd(key, "an amount", value)
        return None

    def code(self, key: str) -> int | None:
        """A number that means something: negative ones too, a text or a float of the same value, anything else None.

        Nothing is noted: `shown` tells it as it stands.
        """
        value = self._values.get(key)
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            value = int(value)
        return _whole(value)

    def shown(self, key: str) -> str:
        """What stands at `key`, for people: short, on one line."""
        code = self.code(key)
        return _shown(self._values.get(key)) if code is None else str(code)

    def time(self, key: str) -> dt.datetime | None:
        """An ISO 8601 time with its zone, as UTC."""
        return self.read(key, "a time with its zone", _time)

    def epoch(self, key: str) -> dt.datetime | None:
        """A time as seconds since 1970, or thousandths or millionths of them, a number or its digits in a text, or as
        `time` reads it; 0 is None. What is less than a second is left out."""
        value = self._values.get(key)
        told = int(value) if isinstance(value, float) and abs(value) < 2**53 else self.code(key)
        if told is None:
            return self.time(key)
        seconds = next((told // parts for parts in (1, 1000, 1_000_000) if told // parts in _EPOCH_S), None)
        if told == 0 or seconds is not None:
            return dt.datetime.fromtimestamp(seconds, dt.UTC) if seconds else None
        self._odd(key, "seconds since 1970", told)
        return None

    def read(self, key: str, wanted: str, parse: Callable[[str], T]) -> T | None:
        """What `parse` makes of the text at `key`; ValueError or SourceFailed says that it is not what is `wanted`."""
        text = self.text(key)
        if text is None:
            return None
        try:
            return parse(text)
        except (ValueError, SourceFailed):
            self._odd(key, wanted, text)
            return None

    def _note(self, text: str) -> None:
        if len(self.notes) < NOTES_MAX:
            self.notes.append(text)

    def _list(self, key: str, *, needed: bool = False) -> list[tuple[str, Any]]:
        """(place, item) of the list at `key`."""
        value = self._values.get(key)
        if value is None and not needed:
            return []
        if not isinstance(value, list):
            if needed:
                raise self._refusal(key, "a list", value)
            self._odd(key, "a list", value)
            return []
        if len(value) > LIST_MAX:
            self._odd(key, f"a list of {LIST_MAX} at most", value)
        return [(f"{key}[{number}]", item) for number, item in enumerate(value[:LIST_MAX])]

    def _odd(self, key: str, wanted: str, value: Any) -> None:
        self._note(f"{self._path}.{key} should be {wanted}, got {_shown(value)}")

    def _refusal(self, key: str, wanted: str, value: Any) -> OddAnswer:
        return OddAnswer(f"{self._source}: {self._path}.{key} should be {wanted}, got {_shown(value)}")


def parsed(items: Iterable[Fields], parse: Callable[[Fields], T]) -> list[T]:
    """What `parse` makes of each of `items`; one that it refuses (OddAnswer) is left out, and noted."""
    found = []
    for item in items:
        try:
            found.append(parse(item))
        except OddAnswer as refusal:
            if len(item.notes) < NOTES_MAX:
                item.notes.append(str(refusal))
    return found


def opened(answer: Answer, source: str, now: dt.datetime) -> tuple[Any, Fields | None]:
    """The decoded JSON object of a good answer, and what it says of its error, if it is none.

    Raises SourceFailed where it is no JSON, OddAnswer where that is no object; a refusal for asking too much (429)
    needs none. Where it refuses the credential (401, 403), or whatever stands before the API refuses us all, another
    credential tells which.
    """
    try:
        decoded = decode(answer, source)
    except SourceFailed as garbled:
        if answer.status != 429:
            verdict = may_not_or_away if answer.status in (401, 403) else failed
            raise verdict(str(garbled), retry_after_s(answer, now)) from None
        decoded = {}
    if answer.status == 200 and (not isinstance(decoded, dict) or decoded.get("error") is None):
        Fields(decoded, source)  # refuses what is no object
        return decoded, None
    return decoded, _error_of(decoded, source)


def _error_of(decoded: Any, source: str) -> Fields:
    """An error in whatever shape: an object, a text, a list with one of these, or nothing."""
    said = decoded
    for _ in range(3):  # as deep as one was ever met: [{"error": [{...}]}]
        if isinstance(said, list):
            said = next((item for item in said if isinstance(item, dict | str)), None)
        elif isinstance(said, dict) and "error" in said:
            said = said["error"]
    if isinstance(said, str):
        said = {"message": said}
    return Fields(said if isinstance(said, dict) else {}, source, "$.error")


def _whole(value: Any) -> int | None:
    """A whole number of 64 bits, or its digits in a text."""
    if isinstance(value, str):
        digits = value.removeprefix("-")
        if len(digits) > _INT64_DIGITS or not (digits.isascii() and digits.isdecimal()):
            return None
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -_INT64_MAX <= value <= _INT64_MAX else None


def _time(text: str) -> dt.datetime:
    time = instant(text)
    if time.tzinfo is None or time.year not in _YEARS:
        raise ValueError(text)
    return time.astimezone(dt.UTC)


def _shown(value: Any) -> str:
    """For people: short values themselves, of others their kind."""
    if isinstance(value, str):
        return repr(value[:60])
    if isinstance(value, bool | float | None) or (isinstance(value, int) and abs(value) <= _INT64_MAX):
        return repr(value)
    return _kind(value)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")


def _storable(text: str) -> str:
    """As every store can hold it: without NUL, and half a character (a lone surrogate) as U+FFFD."""
    whole = text if text.isascii() else _SURROGATE.sub("\ufffd", text)
    return whole.replace("\x00", "")

"""Reading decoded JSON by field: absent (or null) is None, a wrong type is SourceFailed naming its path.

So a parser says what it wants and never meets a KeyError, and a changed API is told by its first odd field.
"""

import datetime as dt
from typing import Any

from gcc.sources.verdicts import SourceFailed

_INT64_MAX = 2**63 - 1  # counts are stored in 64 bits
_YEARS = range(1970, 2200)  # what both stores can hold, and any post can have


class Fields:
    """One JSON object of an answer of `source`, at `path` in it."""

    __slots__ = ("_path", "_source", "_values")

    def __init__(self, value: Any, source: str, path: str = "$") -> None:
        self._source = source
        self._path = path
        if not isinstance(value, dict):
            raise SourceFailed(f"{source}: {path} should be an object, got {_kind(value)}")
        self._values: dict[str, Any] = value

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def object(self, key: str) -> "Fields":
        """The object at `key`; an empty one where it is absent."""
        value = self._values.get(key)
        return Fields({} if value is None else value, self._source, f"{self._path}.{key}")

    def objects(self, key: str) -> list["Fields"]:
        """The list of objects at `key`; empty where it is absent."""
        path = f"{self._path}.{key}"
        return [Fields(item, self._source, f"{path}[{i}]") for i, item in enumerate(self._list(key))]

    def texts(self, key: str) -> list[str]:
        items = self._list(key)
        if not all(isinstance(item, str) for item in items):
            raise self._odd(key, "a list of texts", items)
        return [_storable(item) for item in items]

    def text(self, key: str) -> str | None:
        value = self._values.get(key)
        if value is not None and not isinstance(value, str):
            raise self._odd(key, "a text", value)
        return None if value is None else _storable(value)

    def identity(self, key: str) -> str:
        """The text at `key`, without which the object is nothing: absent or empty is refused too."""
        value = self.text(key)
        if not value:
            raise self._odd(key, "an id", value)
        return value

    def flag(self, key: str) -> bool | None:
        value = self._values.get(key)
        if value is not None and not isinstance(value, bool):
            raise self._odd(key, "true or false", value)
        return value

    def count(self, key: str) -> int | None:
        """A number of things: an integer or its digits in a text, 0 to 2^63 - 1."""
        value = self._values.get(key)
        if value is None:
            return None
        # 19 digits are what 64 bits can need; int() of a text of any length could take for ever
        if isinstance(value, str) and len(value) <= 19 and value.isascii() and value.isdecimal():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _INT64_MAX:
            raise self._odd(key, "a count", value)
        return value

    def time(self, key: str) -> dt.datetime | None:
        """An ISO 8601 time with its zone, as UTC."""
        text = self.text(key)
        if text is None:
            return None
        try:
            time = dt.datetime.fromisoformat(text)
            if time.tzinfo is not None and time.year in _YEARS:
                return time.astimezone(dt.UTC)
        except (ValueError, OverflowError):
            pass
        raise self._odd(key, "a time with its zone", text)

    def _list(self, key: str) -> list[Any]:
        value = self._values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._odd(key, "a list", value)
        return value

    def _odd(self, key: str, wanted: str, value: Any) -> SourceFailed:
        shown = repr(value)[:60] if isinstance(value, str | int | float | None) else _kind(value)
        return SourceFailed(f"{self._source}: {self._path}.{key} should be {wanted}, got {shown}")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")


def _storable(text: str) -> str:
    """PostgreSQL stores no NUL."""
    return text.replace("\x00", "")

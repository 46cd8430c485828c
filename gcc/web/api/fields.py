"""`?fields=handle,recent_posts.likes`: rows with what was asked for and no more, their ids always.

In: the type of an answer's data, the names that a caller wants, two levels deep. Out: the same data, smaller. It is
done after the plan's gate: what is null there stays so.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import pydantic

from gcc.web.api.envelope import Answer
from gcc.web.api.errors import ApiError, Code

NAME = "fields"
FIELDS_MAX = 50

Chosen = Mapping[str, frozenset[str]]
"""Name -> those within it; none: it is wanted whole."""


class Fields:
    """Of one type of data: a model, several, or a list of them."""

    def __init__(self, data: Any) -> None:
        self.names = sorted(set(_names(data)))
        self._known = frozenset(self.names)

    def chosen(self, text: str) -> Chosen:
        """Raises ApiError INVALID_PARAMETER where there is no such field, or they are too many."""
        names = text.split(",")
        if len(names) > FIELDS_MAX:
            raise _refused(f"{len(names)} names; at most {FIELDS_MAX}")
        for name in names:
            if name not in self._known:
                raise _refused(f"there is no field {name[:100]!r}")
        chosen: dict[str, frozenset[str]] = {}
        for name in sorted(names, reverse=True):  # what is wanted whole comes last
            outer, _, inner = name.partition(".")
            chosen[outer] = chosen.get(outer, frozenset()) | {inner} if inner else frozenset()
        return chosen


def shown(answer: Answer, chosen: Chosen) -> Answer:
    gated = [name for name in answer.gated if name in chosen]
    return dataclasses.replace(answer, data=picked(answer.data, chosen), gated=gated)


def picked(data: Any, chosen: Chosen) -> Any:
    if isinstance(data, list):
        return [picked(row, chosen) for row in data]
    return {
        name: _within(value, chosen.get(name)) for name, value in data.items() if name in chosen or identifies(name)
    }


def identifies(name: str) -> bool:
    return name == "id" or name == "platform" or name.endswith("_id")


def _within(value: Any, names: frozenset[str] | None) -> Any:
    if not names or value is None:
        return value
    return picked(value, dict.fromkeys(names, frozenset()))


def _names(data: Any) -> Iterator[str]:
    for model in _models(data):
        for name, field in model.model_fields.items():
            yield name
            yield from (f"{name}.{inner}" for each in _models(field.annotation) for inner in each.model_fields)


def _models(kind: Any) -> Iterator[type[pydantic.BaseModel]]:
    """Those that it is, is a list of, or may be."""
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        yield kind
        return
    for each in get_args(kind):
        yield from _models(each)


def _refused(reason: str) -> ApiError:
    return ApiError(Code.INVALID_PARAMETER, f"{NAME}: {reason}", errors=[{"path": NAME, "reason": reason}])

"""The `fields` language of the Graph API: `id,media.limit(25).after(X){id,caption}`. Pure.

In: the text of the parameter. Out: a list of `Field`s, nested. A text that is no such list is a
FieldsError that says where.
"""

import re
from dataclasses import dataclass, field

from gcc.errors import Permanent

_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|\.(?P<call>[a-z_]+)\((?P<value>[^)]*)\)|(?P<mark>[{},]))")
_DEPTH_MAX = 5


class FieldsError(Permanent):
    """Not a list of fields; the text is the API's own."""


@dataclass(frozen=True)
class Field:
    name: str
    args: dict[str, str] = field(default_factory=dict)  # limit, after, username, ...
    fields: tuple["Field", ...] = ()


def parse(text: str) -> tuple[Field, ...]:
    fields, position = _list(text, 0, _DEPTH_MAX)
    if text[position:].strip():
        raise _expected("end of string", text, position)
    return fields


def _list(text: str, position: int, depth: int) -> tuple[tuple[Field, ...], int]:
    if depth == 0:
        raise FieldsError("Syntax error: fields are nested too deep.")
    fields = []
    while True:
        found, position = _field(text, position, depth)
        fields.append(found)
        token = _TOKEN.match(text, position)
        if token is None or token["mark"] != ",":
            return tuple(fields), position
        position = token.end()


def _field(text: str, position: int, depth: int) -> tuple[Field, int]:
    token = _TOKEN.match(text, position)
    if token is None or token["name"] is None:
        raise _expected("name", text, position)
    name, position = token["name"], token.end()
    args: dict[str, str] = {}
    while (token := _TOKEN.match(text, position)) is not None and token["call"]:
        args[token["call"]] = token["value"]
        position = token.end()
    if token is None or token["mark"] != "{":
        return Field(name, args), position
    nested, position = _list(text, token.end(), depth - 1)
    token = _TOKEN.match(text, position)
    if token is None or token["mark"] != "}":
        raise _expected("}", text, position)
    return Field(name, args, nested), token.end()


def _expected(wanted: str, text: str, position: int) -> FieldsError:
    got = text[position : position + 1] or "end of string"
    return FieldsError(f'Syntax error "Expected {wanted} instead of "{got}"." at character {position}: {text[:200]}')

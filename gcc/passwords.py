"""Finds what is secret in an address: in any URL, or in a connection string of keywords.

In: a setting's text, whoever wrote it, however wrong. Out: the secrets in it, as they stand there. It rather sees one
too many: what it sees is refused in a file, and masked where people read.
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote_plus

_USERINFO = re.compile(r"://[^/?#@]*:(.+)@", re.DOTALL)  # to the last @: a password may hold any character
_PAIR = re.compile(r"([^\s?&;#=]+)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&;#]*)")  # of a query, or keyword = 'value'
_SECRET_NAME = re.compile(r"passw|secret|token|credential|^pwd$|^(api|access|private)?[_-]?key$")
_ENCODED_TIMES_MAX = 3


def passwords(text: str) -> set[str]:
    """The secrets in `text`; empty where it may be shown to everybody."""
    found = {match[1] for match in _USERINFO.finditer(text)}
    found |= {value.strip("'") for name, value in _pairs(text) if _SECRET_NAME.search(_plain(name))}
    return found - {""}


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    return ((match[1], match[2]) for match in _PAIR.finditer(text))


def _plain(name: str) -> str:
    for _ in range(_ENCODED_TIMES_MAX):
        name = unquote_plus(name)
    return name.strip().lower()


def is_host(name: str) -> bool:
    """Whether a resolver can be asked for it: of `a..b`, or a label of 64 letters, Python makes a UnicodeError."""
    try:
        return bool(name.encode("idna").strip(b"."))
    except UnicodeError:
        return False

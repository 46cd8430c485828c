"""What of an address may be shown: of any URL, or of a connection string of keywords.

In: a setting's text, whoever wrote it, however wrong. Out: the secrets in it, as they stand there, and which of its
parts people may see. It rather sees one too many: what it sees is refused in a file, and masked where people read.

A password whose '/', '?', '#' or '@' is not percent-encoded ends up in the host, the database, the vhost or the path,
and is told with them by us and by servers. So the adapters refuse such a part where it `is_odd` as written, show what
is odd once it is decoded as HIDDEN, and mask it in what a server says.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from urllib.parse import SplitResult, unquote, unquote_plus

HIDDEN = "***"

# Each looks at a character a few times at most: a text of any length may come from a command line.
_USER = re.compile(r":/[^:]*:")  # then a password to the last @, since it may hold any character
_NAME = re.compile(r"(?<![^\s?&;#=,/'\"])[^\s?&;#=,/'\"]++\s*+=\s*+")  # of a query, or a keyword
_VALUE = re.compile(r"'(?:[^'\\]|\\.)*+'|[^\s&;#]*+")
_SECRET_NAME = re.compile(
    r"passw|secret|token|credential|^(pass|pwd?|jwt|auth)$|^scram_\w+_key$|^(api|access|private)?[_-]?key$"
)
_ENCODED_TIMES_MAX = 3
_SECRETS_MAX = 100  # a text with more is no address: it is secret as a whole
_ODD = re.compile(r"[@:=;]")
_SEPARATOR = re.compile(r"[/?&#@:=;,\s]+")


def passwords(text: str) -> set[str]:
    """The secrets in `text`; empty where it may be shown to everybody."""
    found = set(_values(text.partition("?")[2] if text.startswith("s3://") else text))  # a key may be token=1
    if user := _USER.search(text):
        found.add(text[user.end() : max(user.end(), text.rfind("@"))])
    return found - {""} if len(found) <= _SECRETS_MAX else {text}


def _values(text: str) -> Iterator[str]:
    """Of what has a secret name; a secret's value is one, whatever stands in it."""
    place = 0
    while name := _NAME.search(text, place):
        place = name.end()
        if _SECRET_NAME.search(_plain(name[0])) and (value := _VALUE.match(text, place)):
            place = value.end()
            yield value[0].strip("'")


def _plain(name: str) -> str:
    for _ in range(_ENCODED_TIMES_MAX):
        name = unquote_plus(name)
    return name.strip(" \t\r\n=").lower()


def is_odd(part: str) -> bool:
    """Whether a host, database, vhost or path may be a piece of a password that was not percent-encoded."""
    try:
        ipaddress.ip_address(part.strip("[]"))
    except ValueError:
        return _ODD.search(part) is not None
    return False


def is_torn(url: SplitResult) -> bool:
    """Whether some part of a URL, as written, may be a piece of a password. Options of its query may hold an '@'."""
    options = re.split("[&;]", url.query)
    rest = [url.fragment, *(option for option in options if "=" not in option)]
    return is_odd(url.hostname or "") or is_odd(url.path) or any("@" in part for part in rest)


def odd(part: str) -> str:
    """What to say of a `part` ("host", ...) that is; it is not repeated."""
    return (
        f"has an '@', ':', '=' or ';' in its {part}, which may be a piece of a password: percent-encode it in a URL"
        " (%40, %3A, %3D, %3B), and '/', '?', '#' in a user or password, too (%2F, %3F, %23)"
    )


def shown(part: str) -> str:
    """A part of an address, as people may see it."""
    return HIDDEN if is_odd(part) else part


def encoded(address: str) -> set[str]:
    """What is odd in an address once it is decoded: a server may tell it, and it may be the whole `user:password`."""
    return {plain for piece in _SEPARATOR.split(address) if is_odd(plain := unquote(piece))}


def masked(text: str, secrets: Iterable[str], *, words: Iterable[str] = ()) -> str:
    """The text without any of the secrets, and without those `words` where they stand alone."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for word in sorted(filter(None, words), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", HIDDEN, text)
    return text


def is_host(name: str) -> bool:
    """Whether a resolver can be asked for it: of `a..b`, or a label of 64 letters, Python makes a UnicodeError."""
    try:
        return bool(name.encode("idna").strip(b".")) and "\0" not in name
    except UnicodeError:
        return False

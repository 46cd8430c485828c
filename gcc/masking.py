"""Secrets out of what people are shown: headers, JSON at any depth, query strings, any text. Pure.

What is stored and replayed stays as it is. Names decide (`is_secret`); in text that is no JSON, what follows such a
name and `=` or `:`, and what follows Bearer or Basic. It rather hides too much: "next_page_token" goes too.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

MASK = "•••"
PARSED_CHARS_MAX = 1 << 17  # a longer line is cut, and masked as text

WORDS = frozenset((
    "token", "tokens", "jwt", "otp", "pin", "secret", "secrets", "password", "passwords", "passwd", "pwd", "passphrase",
    "authorization", "auth", "bearer", "cookie", "cookies", "credential", "credentials", "apikey", "accesskey",
    "privatekey", "signature", "hmac", "sessionid", "csrf", "xsrf",
))  # fmt: skip
"""A name is secret when one of its words, or two of them together, is one of these."""
URL_NAMES = frozenset(("key", "sig", "code"))  # secret in a query string, plain elsewhere
WHOLE_LINE = frozenset(("authorization", "cookie"))  # as headers in text: their values have spaces

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_WORD = re.compile(r"[^a-z0-9]+")
_SCHEME = re.compile(r"\b(Bearer|Basic)(\s+|%20|\+)[\w.~+/=:-]{6,}", re.IGNORECASE)
_URL_USER = re.compile(r"(?<=://)[^/@\s\"']+@")
_NAME = re.compile(  # as JSON, as a query string (percent-encoded too), as a header
    r"""(?:(?<=%3F)|(?<=%26)|(?<![\w.\[\]%-]))(?P<name>[\w.\[\]-]{1,200})\\*["']?\s*(?P<sign>=|%3D|:)\s*""",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"""(?P<quote>\\+["']).*?(?P=quote)   # a string inside a string
      | (?P<plain>["'])(?:\\.|(?!(?P=plain))[^\\])*(?P=plain)
      | (?:\\*["']|[{\[]).*               # without an end: all the rest
      | (?:(?!%26)[^\s&;,"'<>#}\])\\])+""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_PLAIN_NAME = re.compile(r"[\w.-]{1,200}")
_LINE = re.compile(r"[^\n]+")


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether a header or field of this name holds a secret: access_token, X-Api-Key, clientSecret, ..."""
    words = [word for word in _NO_WORD.split(_CAMEL.sub("_", name).lower()) if word]
    pairs = [first + second for first, second in pairwise(words)]
    return not WORDS.isdisjoint([*words, *pairs])


def masked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: MASK if is_secret(name) else masked_text(value) for name, value in headers.items()}


def masked_body(body: bytes, chars_max: int) -> tuple[str, bool]:
    """The body as people read it, and whether that is all of it: its lines of JSON indented, secrets masked.

    Bytes that are no UTF-8 are shown as text too, as far as they are any.
    """
    shown: list[str] = []
    size = 0
    for line in body.decode("utf-8", "replace").split("\n"):
        is_long = len(line) > PARSED_CHARS_MAX
        shown.append(masked_text(line[:chars_max]) if is_long else _pretty(line))
        size += len(shown[-1]) + 1
        if is_long or size - 1 > chars_max:
            return "\n".join(shown)[:chars_max], False
    return "\n".join(shown), True


def masked_text(text: str) -> str:
    """Text of any kind: an error, a URL, a line that is no JSON."""
    text = _URL_USER.sub(f"{MASK}@", _SCHEME.sub(rf"\1\2{MASK}", text))
    kept: list[str] = []
    place = 0
    while found := _NAME.search(text, place):
        kept.append(text[place : found.end()])
        place = found.end()
        if _hides(text, found) and (value := _value_after(text, found)):
            kept.append(MASK)
            place = value.end()
    return "".join([*kept, text[place:]])


def _hides(text: str, found: re.Match[str]) -> bool:
    before = text[max(0, found.start() - 3) : found.start()].upper()
    in_url = found["sign"] != ":" and before.endswith(("?", "&", "%3F", "%26"))
    return is_secret(found["name"]) or (in_url and found["name"].lower() in URL_NAMES)


def _value_after(text: str, found: re.Match[str]) -> re.Match[str] | None:
    words = _NO_WORD.split(found["name"].lower())
    as_header = (
        found["sign"] == ":" and not WHOLE_LINE.isdisjoint(words) and text[found.end() : found.end() + 1] not in "\"'\\"
    )
    return (_LINE if as_header else _VALUE).match(text, found.end())


def masked_value(value: Any) -> Any:
    """What JSON holds, its secrets masked; nested deeper than can be walked, nothing of it is shown."""
    try:
        return _masked(value)
    except RecursionError:
        return MASK


def _pretty(line: str) -> str:
    try:
        return json.dumps(_masked(json.loads(line)), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return masked_text(line)


def _masked(value: Any) -> Any:
    match value:
        case {"name": str(name), "value": _} if _names_a_secret(name):
            return {**_masked({key: part for key, part in value.items() if key != "value"}), "value": MASK}
        case dict():
            return {
                _masked_string(name): MASK if is_secret(name) and part not in (None, "") else _masked(part)
                for name, part in value.items()
            }
        case [str(name), _] if _names_a_secret(name):
            return [name, MASK]
        case list():
            return [_masked(part) for part in value]
        case str():
            return _masked_string(value)
        case _:
            return value


def _names_a_secret(text: str) -> bool:
    """Whether a string, which may be anything, is the name of a secret."""
    return _PLAIN_NAME.fullmatch(text) is not None and is_secret(text)


def _masked_string(text: str) -> str:
    """A string may be JSON itself."""
    if text[:1] in ("{", "[", '"') and len(text) <= PARSED_CHARS_MAX:
        try:
            return json.dumps(_masked(json.loads(text)), ensure_ascii=False)
        except (ValueError, RecursionError):
            pass
    return masked_text(text)

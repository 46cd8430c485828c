"""The outside of every simulation: a small cast, the same in all runs, and its answers."""

import datetime as dt
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from gcc.sources.http import Request
from gcc.world.answer import Answer
from gcc.world.creators import generate
from gcc.world.graph import GraphApi
from gcc.world.model import Cast
from gcc.world.youtube import DataApi

CREATORS = 12  # per platform
TODAY = dt.date(2026, 1, 1)
UNKNOWN = "nobody_has_this_handle"
BUGS: dict[str, Callable[[], Exception]] = {
    "raises_value_error": lambda: ValueError("invalid literal for int() with base 10: 'many'"),
    "raises_key_error": lambda: KeyError("data"),
    "raises_a_group": lambda: ExceptionGroup(
        "two of them", [ZeroDivisionError("by zero"), ExceptionGroup("", [IndexError()])]
    ),
    "raises_recursion": lambda: RecursionError("maximum recursion depth exceeded"),
    "raises_assertion": lambda: AssertionError(),
    "raises_half_a_char": lambda: UnicodeEncodeError("utf-8", "\ud83d", 0, 1, "surrogates not allowed \ud83d \0"),
}
"""Handles over which the code stumbles each time, and what it raises."""
ATTEMPTS_MAX = 5

_CASTS = {platform: Cast(platform, generate(platform, 1, CREATORS), TODAY) for platform in ("INSTAGRAM", "YOUTUBE")}
_GRAPH, _YOUTUBE = GraphApi(_CASTS["INSTAGRAM"]), DataApi(_CASTS["YOUTUBE"])
HANDLES = [(platform, creator.handle) for platform, cast in _CASTS.items() for creator, _ in cast.ranked]


def ends_as(platform: str, params: Mapping[str, Any]) -> str:
    """The code that a job of these params ends with, where nothing fails; "" is COMPLETE."""
    handle = params.get("handle")
    if handle in BUGS:
        return "BUG"
    if handle == UNKNOWN:
        return "NOT_VISIBLE" if platform == "INSTAGRAM" else "PROFILE_NOT_FOUND"
    return "INVALID_PARAMS" if handle is None else ""


def bug_in(request: Request) -> Exception | None:
    """What is raised over this request, if it asks for one of BUGS."""
    asked = str(request.params)
    return next((bug() for handle, bug in BUGS.items() if handle in asked), None) if "raises_" in asked else None


def answer_of(request: Request) -> Answer:
    """What the world's API answers; the same question always gets the same answer."""
    return _answer(urlsplit(request.url).path, tuple(sorted(request.params.items())))


@cache
def _answer(path: str, params: tuple[tuple[str, str], ...]) -> Answer:
    api, _, rest = path[1:].partition("/")
    return (_GRAPH if api == "graph" else _YOUTUBE).answer("GET", f"/{rest}", dict(params), {}, b"")

"""The outside of every simulation: a small cast, the same in all runs, and its answers."""

import datetime as dt
from functools import cache
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

_CASTS = {platform: Cast(platform, generate(platform, 1, CREATORS), TODAY) for platform in ("INSTAGRAM", "YOUTUBE")}
_GRAPH, _YOUTUBE = GraphApi(_CASTS["INSTAGRAM"]), DataApi(_CASTS["YOUTUBE"])
HANDLES = [(platform, creator.handle) for platform, cast in _CASTS.items() for creator, _ in cast.ranked]


def answer_of(request: Request) -> Answer:
    """What the world's API answers; the same question always gets the same answer."""
    return _answer(urlsplit(request.url).path, tuple(sorted(request.params.items())))


@cache
def _answer(path: str, params: tuple[tuple[str, str], ...]) -> Answer:
    api, _, rest = path[1:].partition("/")
    return (_GRAPH if api == "graph" else _YOUTUBE).answer(f"/{rest}", dict(params))

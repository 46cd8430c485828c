"""The outside APIs that the world stands in for, a row each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gcc.clock import Clock
from gcc.config import World as Settings
from gcc.world import graph, youtube
from gcc.world.api import Api
from gcc.world.model import Cast, Platform

USER = "17841400000000000"  # in whose name the Graph tokens ask
Casts = Mapping[Platform, Cast]


@dataclass(frozen=True, slots=True)
class Row:
    """An API and its room, the first part of its path; `tokens` as the settings of its source take them."""

    room: str
    source: str
    make: Callable[[Casts, Settings, Clock], Api]
    tokens: Callable[[Settings], Sequence[str]]
    endpoint: str


APIS = (
    Row(
        "graph",
        "graphapi",
        lambda casts, settings, clock: graph.GraphApi(casts["INSTAGRAM"]),
        lambda settings: [f"{USER}:{token}" for token in graph.TOKENS],
        "GET /graph/v25.0/{ig_user_id}?fields=business_discovery.username(HANDLE){...}&access_token=",
    ),
    Row(
        "youtube",
        "ytapi",
        lambda casts, settings, clock: youtube.DataApi(casts["YOUTUBE"]),
        lambda settings: youtube.KEYS,
        "GET /youtube/v3/channels|playlistItems|videos?part=&key=",
    ),
)

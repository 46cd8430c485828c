"""The outside APIs that the world stands in for, a row each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gcc.clock import Clock
from gcc.config import World as Settings
from gcc.world import graph, scrapers, youtube
from gcc.world.api import Api
from gcc.world.creators import generate
from gcc.world.graph_tokens import given
from gcc.world.model import Cast, Platform

Casts = Mapping[Platform, Cast]


@dataclass(frozen=True, slots=True)
class Row:
    """An API and its room, the first part of its path; `tokens` as the settings of its source take them.

    None: it is no source of its own, but another address of one.
    """

    room: str
    source: str
    make: Callable[[Casts, Settings, Clock], Api]
    tokens: Callable[[Settings], Sequence[str]] | None
    endpoint: str


def _graph(casts: Casts, settings: Settings, clock: Clock, login: graph.Login) -> Api:
    hourly = settings.calls_per_hour or round(2 * 3600 * settings.calls_per_s)
    return graph.GraphApi(casts["INSTAGRAM"], clock.now, login=login, hourly_calls=max(hourly, 1))


def _scraper(source: str, endpoint: str, *, posted: bool = False, plain: bool = False) -> Row:
    """One of those who scrape Instagram."""
    return Row(
        source,
        source,
        lambda casts, settings, clock: scrapers.Scraper(source, casts["INSTAGRAM"], posted=posted, plain=plain),
        lambda settings: scrapers.tokens(source),
        endpoint,
    )


def _owners_tokens(settings: Settings) -> list[str]:
    """Those of recorded creators would take seconds to find: there are none."""
    if not settings.owners or settings.recorded is not None:
        return []
    return given(generate("INSTAGRAM", settings.seed, settings.creators), settings.owners)


APIS = (
    Row(
        "graph",
        "graphapi",
        lambda casts, settings, clock: _graph(casts, settings, clock, "facebook"),
        lambda settings: [*(f"{graph.USER}:{token}" for token in graph.TOKENS), *_owners_tokens(settings)],
        "GET /graph/v25.0/{ig_user_id}?fields=business_discovery.username(HANDLE){...}&access_token=",
    ),
    Row(
        "graph_instagram",
        graph.SOURCES["instagram"],
        lambda casts, settings, clock: _graph(casts, settings, clock, "instagram"),
        None,
        "GET /graph_instagram/v25.0/me?fields=&access_token=, /refresh_access_token?grant_type=ig_refresh_token",
    ),
    Row(
        "youtube",
        "ytapi",
        lambda casts, settings, clock: youtube.DataApi(casts["YOUTUBE"]),
        lambda settings: youtube.KEYS,
        "GET /youtube/v3/channels|playlistItems|videos?part=&key=",
    ),
    _scraper("insta-best-performance", "GET /insta-best-performance/profile?username=|user_id="),
    _scraper("instagram-scraper2", "GET /instagram-scraper2/user_info_by_id?user_name=|user_id="),
    _scraper("instagram-scraper-2022", "GET /instagram-scraper-2022/ig/info_username/?user="),
    _scraper("rocketapi", 'POST /rocketapi/instagram/user/get_info {"username"}', posted=True),
    _scraper("lama", "GET /lama/a1/user?username=", plain=True),
)

"""The outside APIs that the world stands in for, a row each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gcc.clock import Clock
from gcc.config import World as Settings
from gcc.world import graph, logins, rapidapi, scrapers, shopify, youtube, youtube_analytics, youtube_scraped
from gcc.world.api import Api
from gcc.world.creators import generate
from gcc.world.graph_tokens import given
from gcc.world.model import Cast, Platform
from gcc.world.youtube_owners import OWNERS, access_token

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
        lambda settings: rapidapi.keys(source),
        endpoint,
    )


def _owners_tokens(settings: Settings) -> list[str]:
    """Those of recorded creators would take seconds to find: there are none."""
    if not settings.owners or settings.recorded is not None:
        return []
    return given(generate("INSTAGRAM", settings.seed, settings.creators), settings.owners)


def _channel_owners_tokens(settings: Settings) -> list[str]:
    """As CHANNEL_ID:TOKEN; of recorded creators none either."""
    if settings.recorded is not None:
        return []
    signed_in = generate("YOUTUBE", settings.seed, min(settings.owners, settings.creators, OWNERS))
    return [f"{creator.profile_id}:{access_token(creator.profile_id, 0)}" for creator in signed_in]


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
        f"GET /youtube/v3/{'|'.join(youtube.COLLECTIONS)}?part=&key=",
    ),
    Row(
        "ytanalytics",
        "ytanalytics",
        lambda casts, settings, clock: youtube_analytics.AnalyticsApi(casts["YOUTUBE"]),
        _channel_owners_tokens,
        "GET /ytanalytics/v2/reports?ids=channel==MINE&startDate=&endDate=&metrics=&dimensions= (an owner's)",
    ),
    Row(
        "oauth2",
        youtube_analytics.TokenApi.source,
        lambda casts, settings, clock: youtube_analytics.TokenApi(casts["YOUTUBE"], clock.now),
        None,
        "POST /oauth2/token grant_type=refresh_token&refresh_token=&client_id=&client_secret= (a form)",
    ),
    Row(
        "instagram_login",
        logins.InstagramLogin.source,
        lambda casts, settings, clock: logins.InstagramLogin(casts["INSTAGRAM"], clock.now),
        None,
        "GET /instagram_login/oauth/authorize?client_id=&redirect_uri=&response_type=code&scope=&state= (a page),"
        " POST /instagram_login/oauth/access_token grant_type=authorization_code (a form)",
    ),
    Row(
        "google_accounts",
        logins.GoogleAccounts.source,
        lambda casts, settings, clock: logins.GoogleAccounts(casts["YOUTUBE"], clock.now),
        None,
        "GET /google_accounts/o/oauth2/v2/auth?client_id=&redirect_uri=&response_type=code&scope=&state= (a page)",
    ),
    Row(
        "youtube138",
        "youtube138",
        lambda casts, settings, clock: youtube_scraped.Youtube138(casts["YOUTUBE"]),
        lambda settings: rapidapi.keys("youtube138"),
        "GET /youtube138/channel/details/?id=",
    ),
    Row(
        "youtubev31",
        "youtubev31",
        lambda casts, settings, clock: youtube_scraped.V31Api(casts["YOUTUBE"]),
        lambda settings: rapidapi.keys("youtubev31"),
        "GET /youtubev31/channels?part=&id=",
    ),
    _scraper("insta-best-performance", "GET /insta-best-performance/profile?username=|user_id="),
    _scraper("instagram-scraper2", "GET /instagram-scraper2/user_info_by_id?user_name=|user_id="),
    _scraper("instagram-scraper-2022", "GET /instagram-scraper-2022/ig/info_username/?user="),
    _scraper("rocketapi", 'POST /rocketapi/instagram/user/get_info {"username"}', posted=True),
    _scraper("lama", "GET /lama/a1/user?username=", plain=True),
    Row(
        "shopify",
        shopify.SOURCE,
        lambda casts, settings, clock: shopify.ShopifyApi(
            settings.seed, [creator.handle for creator, _ in casts["INSTAGRAM"].ranked[:20]], clock.now
        ),
        lambda settings: [f"{store}{shopify.DOMAIN}:{token}" for token, store in shopify.TOKENS.items()],
        "POST /shopify/{store}/admin/api/2026-10/graphql.json, GET /shopify/{store}/admin/api/2026-10/orders.json",
    ),
)

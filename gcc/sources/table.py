"""The outside APIs, a row each: the folders here hold how they are asked and read."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from gcc.sources.chain import Outside
from gcc.sources.instagram.graph_client import GraphApi
from gcc.sources.instagram_web.client import WebClient
from gcc.sources.instagram_web.providers import PROVIDERS, Provider
from gcc.sources.limits import Daily, Limit, Rule
from gcc.sources.shopify.client import POINTS_MAX, ShopifyApi
from gcc.sources.shopify.usage import REST
from gcc.sources.source import Source
from gcc.sources.tokens import renewals as tokens
from gcc.sources.tokens.client import TokenApi
from gcc.sources.youtube import v31, youtube138
from gcc.sources.youtube.analytics import AnalyticsApi
from gcc.sources.youtube.data_client import DataApi
from gcc.sources.youtube.v31 import V31Api
from gcc.sources.youtube.youtube138 import Youtube138

CALLS = Limit(50, 1.0)  # a second; where the other side names no number, this bounds the whole platform
PACIFIC = "America/Los_Angeles"

_GRAPH = (Rule(CALLS), Rule(None, "app"), Rule(None, "credential"))  # for what its headers tell
_YOUTUBE = (
    Rule(CALLS),
    Rule(Daily(100, PACIFIC), "credential", "search"),
    Rule(Daily(10_000, PACIFIC), "credential", "stats"),
    Rule(Daily(10_000, PACIFIC), "credential", "units"),
)


def scraper(provider: Provider, limit: Limit, base_url: str = "", world_room: str = "") -> Source:
    """One who scrapes Instagram; `base_url` where it does not stand behind RapidAPI's gateway."""
    return Source(
        provider.name,
        base_url or f"https://{provider.host}",
        f"/{world_room or provider.asks_as or provider.name}",
        (Rule(limit), Rule(None, "credential")),  # the latter for what the gateway's headers tell
        partial(WebClient, provider),
        unofficial=True,
        shares=provider.asks_as,
    )


def _youtube_scraper(name: str, host: str, limit: Limit, client: Callable[[Outside, str], Any]) -> Source:
    """One who scrapes YouTube, behind RapidAPI's gateway."""
    limits = (Rule(limit), Rule(None, "credential"))
    return Source(name, f"https://{host}", f"/{name}", limits, client, unofficial=True)


_SHOPIFY = (  # in points of GraphQL, of which a call of REST counts as one; of the smallest plan
    Rule(Limit(20_000, 1.0)),
    Rule(Limit(POINTS_MAX, 5.0), "credential"),  # half of a bucket of 1,000 that 100 a second fill again
    Rule(Limit(2, 1.0), "credential", REST),
)

SOURCES: Mapping[str, Source] = {
    row.name: row
    for row in (
        Source(
            "graphapi",
            "https://graph.facebook.com",
            "/graph",
            _GRAPH,
            GraphApi,
            version="v25.0",
            versions=r"v\d+\.\d+",
            account="IG_USER_ID",
        ),
        Source(
            "ytapi",
            "https://www.googleapis.com/youtube",
            "/youtube",
            _YOUTUBE,
            DataApi,
            version="v3",
            versions=r"v\d+\w*",
            kept_days=30,
            derives=False,
        ),
        Source(
            "ytanalytics",
            "https://youtubeanalytics.googleapis.com",
            "/ytanalytics",
            (Rule(CALLS),),
            AnalyticsApi,
            version="v2",
            versions=r"v\d+\w*",
            account="CHANNEL_ID",
            of_owners=True,
            kept_days=30,
            derives=False,
        ),
        _youtube_scraper("youtube138", youtube138.HOST, Limit(850, 60.0), Youtube138),
        _youtube_scraper("youtubev31", v31.HOST, Limit(500, 60.0), V31Api),
        Source(
            "shopify",
            "https://{store}.myshopify.com/admin/api",
            "/shopify/{store}/admin/api",
            _SHOPIFY,
            ShopifyApi,
            version="2026-10",
            versions=r"(rest-)?(\d{4}-\d{2}|unstable)",
            account="NAME.myshopify.com",
            of_owners=True,
        ),
        scraper(PROVIDERS["insta-best-performance"], Limit(2, 1.0)),
        scraper(PROVIDERS["instagram-scraper2"], Limit(5, 1.0)),
        scraper(PROVIDERS["instagram-scraper-2022"], Limit(100, 30.0)),
        scraper(PROVIDERS["arraybobo"], Limit(100, 30.0)),  # another name of the one above, whose limit holds
        scraper(PROVIDERS["rocketapi"], Limit(100, 30.0)),
        scraper(PROVIDERS["lama"], Limit(1, 1.0), "https://api.lamadava.com"),
        # Where tokens are renewed: each kind's own host, see tokens/renewals.py.
        Source(tokens.SOURCE, "", "", (Rule(Limit(10, 1.0)),), TokenApi, keyless=True),
    )
}

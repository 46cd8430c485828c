"""Who scrapes Instagram, as rows and settings declare it: endpoints as they are written, requests as they go out."""

import json
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from gcc.clock import VirtualClock
from gcc.config import load
from gcc.errors import ConfigError
from gcc.metrics import Metrics
from gcc.pipelines.scraping.table import Catalogue, asked, catalogue_of, lenders, limits
from gcc.sources.chain import Outside, Visit, first_of
from gcc.sources.http import Request
from gcc.sources.instagram_web.client import WebClient
from gcc.sources.instagram_web.providers import PROVIDERS, endpoint
from gcc.sources.limits import InProcessLimiter, Limit
from tests.fakes.credentials import FakeCredentials
from tests.fakes.fetcher import FakeFetcher, Reply

NOTHING = dict.fromkeys(("handle", "profile_id", "shortcode", "post_id", "tag", "after"), "")


@pytest.mark.parametrize(
    ("written", "values", "expected"),
    [
        ("GET profile?username={handle}", {"handle": "tea"}, ("GET", "http://a/profile", {"username": "tea"}, None)),
        ("GET feed?id={profile_id}&max={after}", {"profile_id": "5"}, ("GET", "http://a/feed", {"id": "5"}, None)),
        (
            "GET feed?user_id={profile_id}&max={after}",
            {"profile_id": "5", "after": "a&b="},
            ("GET", "http://a/feed", {"user_id": "5", "max": "a&b="}, None),
        ),
        ("GET u/{handle}/posts?n=12", {"handle": "a/b"}, ("GET", "http://a/u/a%2Fb/posts", {"n": "12"}, None)),
        (
            "POST user/media?id:={profile_id}&count:=12&max_id={after}",
            {"profile_id": "5", "after": "7"},
            ("POST", "http://a/user/media", {}, {"id": 5, "count": 12, "max_id": "7"}),
        ),
        ("POST media?ids:=[{profile_id}]&x={after}", {"profile_id": "5"}, ("POST", "http://a/media", {}, {"ids": [5]})),
        ("POST info?username={handle}", {"handle": 'a"b'}, ("POST", "http://a/info", {}, {"username": 'a"b'})),
    ],
)  # fmt: skip
def test_an_endpoint_is_asked_as_it_is_written(written: str, values: dict[str, str], expected: Any) -> None:
    request = endpoint(written).request("lama", "http://a", {**NOTHING, **values})
    body = json.loads(request.body) if request.body else None
    assert (request.method, request.url, request.params, body) == expected
    assert ("Content-Type" in request.headers) == (body is not None)


@pytest.mark.parametrize(
    "written", ["", "profile", "PUT profile", "GET profile?id={nobody}", "GET  profile", "GET /profile ?a=b", "GET \n"]
)
def test_what_is_no_endpoint_is_refused(written: str) -> None:
    with pytest.raises(ConfigError, match="an endpoint is GET or POST"):
        endpoint(written)


FIVE = ["instagram-scraper2", "instagram-scraper-2022", "arraybobo", "rocketapi", "lama"]


@pytest.mark.parametrize(
    ("flow", "names"),
    [
        ("refresh_profile_by_handle", ["insta-best-performance", *FIVE]),
        ("refresh_profile_basic", ["insta-best-performance", *FIVE]),
        ("refresh_profile_custom", ["insta-best-performance", *FIVE]),
        ("refresh_profile_by_profile_id", ["insta-best-performance", *FIVE]),
        ("refresh_post_by_shortcode", FIVE),
        ("refresh_tagged_posts", ["instagram-scraper-2022", "arraybobo"]),
        ("refresh_stories_posts", ["instagram-scraper-2022", "arraybobo", "rocketapi", "lama"]),
        ("refresh_post_insights", []),
        ("fetch_profile_followers", ["instagram-scraper2", "rocketapi", "lama"]),
        ("fetch_profile_following", ["instagram-scraper2", "lama"]),
        ("fetch_hashtag_posts", ["instagram-scraper2", "lama"]),
        ("fetch_post_comments", ["instagram-scraper2"]),
        ("fetch_post_likes", ["instagram-scraper2"]),
    ],
)
def test_who_stands_in_for_what_in_which_order(flow: str, names: list[str]) -> None:
    chain = list(Catalogue().flows[flow].chain)
    assert [name for name in chain if name in PROVIDERS] == names
    assert chain[len(chain) - len(names) :] == names, "those who scrape come last"


def settings(**sources: Any) -> Any:
    return load(None, environ={"GCC_SOURCES": json.dumps({name.replace("_", "-"): of for name, of in sources.items()})})


def test_they_are_off_until_they_are_switched_on_by_name() -> None:
    off, on = settings(), settings(lama={"enabled": True}, arraybobo={"enabled": True})
    assert not set(asked(off, Catalogue())) & set(PROVIDERS)
    assert [name for name in asked(on, Catalogue()) if name in PROVIDERS] == ["arraybobo", "lama"]
    lent = set(lenders(on, Catalogue())) - set(lenders(off, Catalogue()))
    assert lent == {"instagram-scraper-2022", "lama"}  # whose other name the first is


LOOTER = {
    "host": "instagram-looter2.p.rapidapi.com",
    "calls": 60,
    "per_s": 1.0,
    "enabled": True,
    "endpoints": {"user": "GET profile?username={handle}", "posts": "GET feeds?id={profile_id}&end_cursor={after}"},
}  # fmt: skip


def test_one_more_is_declared_by_settings_alone() -> None:
    given = settings(looter={**LOOTER})
    catalogue = catalogue_of(given)
    row = catalogue.sources["looter"]
    assert row.unofficial
    assert row.base_url == "https://instagram-looter2.p.rapidapi.com"
    assert asked(given, catalogue)[-1] == "looter"
    assert limits(given, catalogue)["looter"] == Limit(60, 1.0)
    chain = catalogue.flows["refresh_profile_by_handle"].chain
    assert list(chain)[-1] == "looter"
    assert next(iter(chain)) == "graphapi"
    assert chain["looter"] is chain["lama"]
    assert "looter" not in catalogue.flows["refresh_yt_profiles"].chain


def test_one_that_is_asked_like_a_known_one_at_another_address() -> None:
    given = settings(hiker={"like": "lama", "base_url": "https://api.hikerapi.example", "calls": 5, "per_s": 1.0})
    row = catalogue_of(given).sources["hiker"]
    assert (row.base_url, row.world_path, row.shares) == ("https://api.hikerapi.example", "/lama", "")


def test_endpoints_of_a_known_one_can_be_changed() -> None:
    given = settings(lama={"endpoints": {"hashtag": "GET v1/hashtag/medias/top/chunk?name={tag}&max_id={after}"}})
    assert list(catalogue_of(given).sources) == list(Catalogue().sources)


@pytest.mark.parametrize(
    ("sources", "complaint"),
    [
        ({"looter": {"enabled": True}}, "sources.looter is no source"),
        ({"looter": {**LOOTER, "calls": None}}, "sources.looter needs calls"),
        ({"looter": {**LOOTER, "host": ""}}, "sources.looter needs calls, and a host"),
        ({"Looter": LOOTER}, "sources.Looter needs"),
        ({"looter": {**LOOTER, "endpoints": {"cats": "GET cats"}}}, "looter.endpoints: 'cats' is nothing"),
        ({"looter": {**LOOTER, "endpoints": {"user": "profile"}}}, "sources.looter.endpoints: an endpoint is"),
        ({"looter": {**LOOTER, "like": "nobody"}}, "sources.looter.like 'nobody' is none of"),
        ({"graphapi": {"endpoints": {"user": "GET profile"}}}, "sources.graphapi.endpoints: it has none"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_refused_by_its_name(sources: Any, complaint: str) -> None:
    given = settings(**sources)
    with pytest.raises(ConfigError, match=complaint):
        limits(given, catalogue_of(given))


async def test_a_long_back_off_sends_the_question_to_the_next_source_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    def outside(request: Request) -> Reply:
        if request.source == "insta-best-performance":
            return Reply(429, b'{"message": "Too many requests"}', {"Retry-After": "3300"})
        user = {"pk": 5, "username": "tea", "follower_count": 12, "media_count": 0}
        return Reply(200, json.dumps({"user": user}).encode())

    clock, fetcher = VirtualClock(1), FakeFetcher(outside)
    credentials = FakeCredentials(clock)
    limiter = InProcessLimiter(dict.fromkeys(PROVIDERS, Limit(100, 1.0)))
    through = Outside(fetcher, limiter, credentials, clock, Metrics(), {})
    names = ("insta-best-performance", "instagram-scraper2")
    for name in names:
        await credentials.put(name, "a", {"token": f"{name} token"})
    visit, begun = Visit(), trio.current_time()
    clients = {name: WebClient(PROVIDERS[name], through, "http://outside.example") for name in names}
    found = await first_of([(name, partial(api.profile, "tea", visit)) for name, api in clients.items()])
    assert (found.source, found.metrics["followers"]) == ("instagram-scraper2", 12)
    assert trio.current_time() == begun
    hosts = [request.headers["X-RapidAPI-Host"] for request in fetcher.requests]
    assert hosts == [PROVIDERS[name].host for name in names]

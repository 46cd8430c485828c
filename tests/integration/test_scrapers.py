"""Each of those who scrape Instagram, asked over HTTP for all that it shows, and compared with what there is."""

import datetime as dt
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio

from gcc.clock import VirtualClock
from gcc.config import World as Settings
from gcc.metrics import Metrics
from gcc.sources.chain import Outside, Visit
from gcc.sources.http import HttpFetcher
from gcc.sources.instagram_web.client import WebClient
from gcc.sources.instagram_web.providers import PROVIDERS
from gcc.sources.limits import InProcessLimiter, Limit
from gcc.sources.snapshot import Found, PostSnapshot, ProfileSnapshot
from gcc.sources.verdicts import InvalidHandle, NotFound, NotVisible, QuestionFailed, Unserved
from gcc.world import audience, comments, crowd, rapidapi, scrapers, stories, tagging
from gcc.world.instagram_shapes import pk_of
from gcc.world.model import Creator, Post, State
from gcc.world.server import people, serve_world
from tests.fakes.credentials import FakeCredentials

SETTINGS = Settings(enabled=True, port=0, creators=40, odd=20, calls_per_s=100_000.0)


class Stopped(VirtualClock):
    """It is one day in the world and for who compares, whatever Trio's clock says: sockets need the real one."""

    def now(self) -> dt.datetime:
        return self.epoch


CAST = people(SETTINGS, Stopped(1).epoch.date())["INSTAGRAM"]


class Bench:
    """One provider's client, and what there is for it to show."""

    def __init__(self, name: str, url: str, fetcher: HttpFetcher) -> None:
        self.clock = Stopped(1)
        self.credentials = FakeCredentials(self.clock, {"arraybobo": "instagram-scraper-2022"})
        self.limiter = InProcessLimiter(dict.fromkeys(PROVIDERS, Limit(10_000, 1.0)))
        outside = Outside(fetcher, self.limiter, self.credentials, self.clock, Metrics(), {})
        row = PROVIDERS[name]
        self.api = WebClient(row, outside, f"{url}/{row.asks_as or name}")
        self.visit = Visit()


@asynccontextmanager
async def asking(name: str) -> AsyncIterator[Bench]:
    draining = trio.Event()
    source = PROVIDERS[name].asks_as or name
    actor = partial(serve_world, SETTINGS, Stopped(1), draining=draining, grace_s=2.0)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, HttpFetcher() as fetcher:
            bench = Bench(name, await nursery.start(actor), fetcher)
            await bench.credentials.put(source, "a", {"token": rapidapi.keys(source)[0]})
            yield bench
            draining.set()


def someone(state: State = "public") -> Creator:
    return next(creator for creator, _ in CAST.ranked[3:] if creator.state == state)


def of(creator: Creator) -> list[Post]:
    return CAST.posts_of(creator)


def posts_told(found: Sequence[PostSnapshot]) -> list[Any]:
    return [
        (post.post_id, post.shortcode, post.profile_id, post.metrics["likes"], post.metrics["comments"],
         post.publish_time, post.dimensions["caption"], post.dimensions["post_type"])
        for post in found
    ]  # fmt: skip


def posts_true(found: Sequence[tuple[Creator, Post]]) -> list[Any]:
    return [
        (post.pk, post.shortcode, creator.pk, post.likes if creator.shows_likes else None, post.comments,
         post.published, post.title, {"reel": "reels"}.get(post.kind, post.kind))
        for creator, post in found
    ]  # fmt: skip


def check_profile(creator: Creator, found: ProfileSnapshot) -> None:
    day = CAST.today_of(creator)
    assert (found.profile_id, found.handle) == (creator.pk, creator.handle)
    assert found.dimensions["full_name"] == creator.full_name
    assert found.dimensions["website"] == creator.website
    figures = (found.metrics["followers"], found.metrics["following"], found.metrics["media_count"])
    assert figures == (day.followers, day.following, day.media_count)
    shown = of(creator)[:12] if creator.shows_posts else []
    assert posts_told(found.posts) == posts_true([(creator, post) for post in shown])
    assert found.dimensions["is_private"] == (creator.state == "private")
    assert list(found.notes) == []


async def profile(bench: Bench) -> None:
    for state in ("public", "private", "renamed", "age_gated", "hides_likes"):
        creator = someone(state)  # type: ignore[arg-type]
        check_profile(creator, await bench.api.profile(creator.handle, bench.visit))
    with pytest.raises(NotFound):
        await bench.api.profile(someone("gone").handle, bench.visit)
    with pytest.raises(NotFound) as absent:
        await bench.api.profile(someone("renamed").former_handles[0], bench.visit)
    assert absent.value.code == "PROFILE_NOT_FOUND"
    asked = len(bench.visit.traces)
    with pytest.raises(InvalidHandle):
        await bench.api.profile("no handle", bench.visit)
    assert len(bench.visit.traces) == asked


async def profile_by_id(bench: Bench) -> None:
    creator = someone("renamed")
    check_profile(creator, await bench.api.profile_by_id(creator.pk, bench.visit))
    person = crowd.person(5)
    found = await bench.api.profile_by_id(person.profile_id, bench.visit)
    assert (found.handle, found.metrics["followers"], found.posts) == (person.handle, person.followers, [])
    with pytest.raises(NotFound):
        await bench.api.profile_by_id("123", bench.visit)


async def post(bench: Bench) -> None:
    creator = someone()
    true = of(creator)[3]
    found = await bench.api.post(true.shortcode, "", bench.visit)
    assert posts_told([found]) == posts_true([(creator, true)])
    assert found.handle == creator.handle
    with pytest.raises(NotFound) as absent:
        await bench.api.post("nowhere", "", bench.visit)
    assert absent.value.code == "POST_NOT_FOUND"


async def posts(bench: Bench) -> None:
    creator = someone()
    found = await bench.api.posts(creator.handle, "", 10, bench.visit)
    assert posts_told(found.items) == posts_true([(creator, post) for post in of(creator)])
    assert found.partial is None
    short = await bench.api.posts(creator.handle, creator.pk, 1, bench.visit)
    assert len(short.items) == 12
    assert short.partial == "there are more than 1 pages"
    with pytest.raises(NotVisible):
        await bench.api.posts("", someone("private").pk, 1, bench.visit)


async def tagged(bench: Bench) -> None:
    creator = max((creator for creator, _ in CAST.ranked[:20]), key=lambda each: len(tagging.tagged(CAST, each)))
    found = await bench.api.tagged(creator.handle, creator.pk, 10, bench.visit)
    assert posts_told(found.items) == posts_true(tagging.tagged(CAST, creator))


async def told_stories(bench: Bench) -> None:
    for creator, _ in CAST.ranked[:5]:
        found = await bench.api.stories(creator.handle, creator.pk, bench.visit)
        true = stories.stories(CAST, creator)
        assert [
            (each.post_id, each.shortcode, each.publish_time, each.dimensions["expires_at"]) for each in found.items
        ] == [(each.pk, each.shortcode, each.published, each.expires.isoformat()) for each in true]
        assert all(each.dimensions["post_type"] == "story" and each.handle == creator.handle for each in found.items)


async def followers(bench: Bench) -> None:
    creator = someone()
    found = await bench.api.followers(creator.handle, creator.pk, 3, bench.visit)
    true = audience.followers(CAST, creator, 0, 150)
    assert [(each.person.profile_id, each.person.handle) for each in found.items] == [
        (pk_of(each), each.handle) for each in true
    ]
    assert all(each.target.profile_id == creator.pk for each in found.items)
    assert found.partial == "there are more than 3 pages"
    with pytest.raises(NotVisible):
        await bench.api.followers("", someone("private").pk, 3, bench.visit)


async def following(bench: Bench) -> None:
    creator = min((each for each, _ in CAST.ranked), key=lambda each: CAST.today_of(each).following or 0)
    found = await bench.api.following(creator.handle, "", 40, bench.visit)
    true = audience.following(CAST, creator, 0, CAST.today_of(creator).following or 0)
    assert [each.target.profile_id for each in found.items] == [pk_of(each) for each in true]
    assert found.partial is None


async def hashtag(bench: Bench) -> None:
    tag = of(someone())[0].tags[0]
    found = await bench.api.hashtag(tag, 20, bench.visit)
    assert posts_told(found.items) == posts_true(tagging.hashtag(CAST, tag))
    with pytest.raises(NotFound) as absent:
        await bench.api.hashtag("nobodysaysthis", 1, bench.visit)
    assert absent.value.code == "HASHTAG_NOT_FOUND"
    with pytest.raises(QuestionFailed):
        await bench.api.hashtag("no tag", 1, bench.visit)


def quietest(count: Callable[[Post], int]) -> tuple[Creator, Post]:
    """The post of which there is least, but something."""
    every = [(creator, post) for creator, _ in CAST.ranked if creator.state == "public" for post in of(creator)]
    return min((each for each in every if count(each[1])), key=lambda each: count(each[1]))


async def told_comments(bench: Bench) -> None:
    creator, true = quietest(lambda post: post.comments)
    found = await bench.api.comments(true.shortcode, true.pk, 100, bench.visit)
    expected = []
    for thread in comments.threads(CAST, creator, true, 0, comments.thread_count(true)):
        expected += [thread, *comments.replies(CAST, creator, true, thread, 0, thread.replies)]
    assert [(each.activity_id, each.actor.handle, each.dimensions, each.metrics["likes"]) for each in found.items] == [
        (each.comment_id, each.actor.handle, {"text": each.text, "parent_id": each.parent_id}, each.likes)
        for each in expected
    ]
    assert len(found.items) == true.comments
    assert found.partial is None


async def likers(bench: Bench) -> None:
    creator, true = quietest(lambda post: post.likes)
    found = await bench.api.likers(true.shortcode, true.pk, 100, bench.visit)
    shown = min(true.likes, scrapers.LIKERS_MAX)
    expected = [pk_of(each) for each in audience.likers(CAST, creator, true, 0, shown)]
    assert [each.actor.profile_id for each in found.items] == expected
    assert found.partial == (None if true.likes == shown else f"{shown} of {true.likes}")


ASKED: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "user": profile,
    "user_by_id": profile_by_id,
    "post": post,
    "posts": posts,
    "tagged": tagged,
    "stories": told_stories,
    "followers": followers,
    "following": following,
    "hashtag": hashtag,
    "comments": told_comments,
    "likers": likers,
}


@pytest.mark.parametrize(
    ("name", "asked"), [(name, asked) for name, row in PROVIDERS.items() for asked in row.endpoints]
)
async def test_what_a_provider_shows_is_what_there_is(name: str, asked: str) -> None:
    async with asking(name) as bench:
        await ASKED[asked](bench)
        assert {trace.source for trace in bench.visit.traces} <= {PROVIDERS[name].asks_as or name}
        told = json.dumps([(trace.uri, trace.headers, trace.request) for trace in bench.visit.traces])
        assert "world-" not in told.replace(f"/{name}/", "/")


async def test_what_a_provider_has_no_endpoint_for_it_does_not_serve() -> None:
    async with asking("insta-best-performance") as bench:
        with pytest.raises(Unserved):
            await bench.api.likers("Cab", "1", 1, bench.visit)
        assert bench.visit.traces == []


async def test_followers_that_are_cut_are_partial() -> None:
    async with asking("rocketapi") as bench:
        creator = someone()
        found: Found[Any] = await bench.api.followers(creator.handle, creator.pk, 1000, bench.visit)
        told = CAST.today_of(creator).followers
        assert scrapers.FOLLOWERS_MAX <= len(found.items) < told
        assert found.partial == f"{len(found.items)} of {told}"


async def test_the_other_name_of_a_provider_is_asked_with_its_credentials_and_told_by_its_own() -> None:
    async with asking("arraybobo") as bench:
        creator = someone()
        found = await bench.api.profile(creator.handle, bench.visit)
        assert found.source == "arraybobo"
        (use,) = [use for use in bench.limiter.usage() if use.used]
        assert (use.name, use.used) == ("instagram-scraper-2022", len(bench.visit.traces))

"""The Graph API's client over HTTP against the world, which others wrote: what it finds is compared with what is."""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from gcc.clock import VirtualClock
from gcc.config import World as Settings
from gcc.metrics import Metrics
from gcc.sources.chain import Outside, Visit
from gcc.sources.credentials import Facts
from gcc.sources.http import HttpFetcher
from gcc.sources.instagram.graph_client import GraphApi
from gcc.sources.instagram.graph_errors import SOURCE
from gcc.sources.known import Author, InProcessKnown
from gcc.sources.limits import InProcessLimiter, Limit
from gcc.sources.tokens import renewals
from gcc.sources.verdicts import NeedsOwner, NotFound, NotVisible
from gcc.world import comments, graph_insights, insights, stories, tagging
from gcc.world.graph import TOKENS, USER
from gcc.world.graph_tokens import owners
from gcc.world.model import Creator, Post
from gcc.world.server import people, serve_world
from tests.fakes.credentials import FakeCredentials

SETTINGS = Settings(enabled=True, port=0, creators=60, odd=10, calls_per_s=100_000.0)
PAGES = 1000


class Stopped(VirtualClock):
    """It is one moment in the world and for who compares, whatever Trio's clock says: sockets need the real one."""

    def now(self) -> dt.datetime:
        return self.epoch


CAST = people(SETTINGS, Stopped(1).epoch.date())["INSTAGRAM"]
OWNERS = [(creator, token) for creator, login, token in owners(CAST) if login == "facebook"]
OWNER, _ = next(pair for pair in OWNERS if stories.stories(CAST, pair[0]))


class Bench:
    """The client, and whose tokens it has."""

    def __init__(self, url: str, fetcher: HttpFetcher) -> None:
        clock = Stopped(1)
        self.credentials = FakeCredentials(clock)
        authors = {
            name: Author(creator.profile_id, creator.handle, post.post_id, post.shortcode)
            for creator, _ in OWNERS
            for post in CAST.posts_of(creator)
            for name in (post.post_id, post.shortcode)
        }
        known = InProcessKnown(authors=authors, accounts=(USER,))
        limiter = InProcessLimiter(dict.fromkeys((SOURCE, renewals.SOURCE), Limit(100_000, 1.0)))
        self.url = url
        self.outside = Outside(fetcher, limiter, self.credentials, clock, Metrics(), {}, known=known)
        self.api = GraphApi(self.outside, f"{url}/graph/v25.0")
        self.visit = Visit()


@asynccontextmanager
async def asking() -> AsyncIterator[Bench]:
    draining = trio.Event()
    with trio.fail_after(120):
        async with trio.open_nursery() as nursery, HttpFetcher() as fetcher:
            url = await nursery.start(partial(serve_world, SETTINGS, Stopped(1), draining=draining, grace_s=2.0))
            bench = Bench(url, fetcher)
            await bench.credentials.put(SOURCE, "app", {"token": TOKENS[0]}, Facts(account=USER))
            for creator, login, token in owners(CAST):
                facts = Facts(kind=login, account=creator.profile_id)
                await bench.credentials.put(SOURCE, creator.handle, {"token": token}, facts)
            yield bench
            draining.set()


def likes(creator: Creator, found: list[Post]) -> list[int | None]:
    return [post.likes if creator.shows_likes else None for post in found]


async def test_profiles_and_all_their_posts() -> None:
    async with asking() as bench:
        for creator, day in CAST.ranked[::9]:
            if creator.state != "public":
                continue
            profile = await bench.api.profile(creator.handle, bench.visit)
            figures = profile.metrics["followers"], profile.metrics["following"], profile.metrics["media_count"]
            assert figures == (day.followers, day.following, day.media_count)
            posts = await bench.api.posts(creator.handle, creator.profile_id, PAGES, bench.visit)
            assert [post.post_id for post in posts.items] == [post.post_id for post in CAST.posts_of(creator)]
            assert posts.partial is None
            oldest = CAST.posts_of(creator)[-1]
            found = await bench.api.post(oldest.shortcode, creator.handle, bench.visit)
            assert (found.post_id, found.metrics["likes"]) == (oldest.post_id, oldest.likes)


async def test_odd_accounts() -> None:
    async with asking() as bench:
        for creator in (creator for creator, _ in CAST.ranked if creator.state != "public"):
            if creator.state in ("private", "gone", "age_gated"):
                with pytest.raises(NotVisible):
                    await bench.api.profile(creator.handle, bench.visit)
                continue
            for former in creator.former_handles:
                with pytest.raises(NotVisible):
                    await bench.api.profile(former, bench.visit)
            profile = await bench.api.profile(creator.handle, bench.visit)
            assert profile.profile_id == creator.profile_id
            assert [post.metrics["likes"] for post in profile.posts] == likes(creator, CAST.posts_of(creator)[:12])


async def test_what_an_owner_is_told() -> None:
    async with asking() as bench:
        profile = await bench.api.profile_by_id(OWNER.profile_id, bench.visit)
        assert (profile.handle, len(profile.posts)) == (OWNER.handle, 12)
        tagged = await bench.api.tagged(OWNER.handle, OWNER.profile_id, PAGES, bench.visit)
        assert [post.post_id for post in tagged.items] == [post.post_id for _, post in tagging.tagged(CAST, OWNER)]
        told = await bench.api.stories(OWNER.handle, OWNER.profile_id, bench.visit)
        assert [post.post_id for post in told.items] == [each.story_id for each in stories.stories(CAST, OWNER)]
        assert (tagged.partial, told.partial) == (None, None)
        given = [creator for creator, *_ in owners(CAST)]
        other = next(creator for creator, _ in CAST.ranked if creator not in given)
        with pytest.raises(NeedsOwner):
            await bench.api.stories(other.handle, other.profile_id, bench.visit)


async def test_an_owner_by_instagram_login_is_told_the_same() -> None:
    owner = next(creator for creator, login, _ in owners(CAST) if login == "instagram")
    async with asking() as bench:
        profile = await bench.api.profile_by_id(owner.profile_id, bench.visit)
        assert (profile.handle, len(profile.posts)) == (owner.handle, 12)
        post = CAST.posts_of(owner)[0]
        found = await bench.api.post_insights(post.post_id, owner.profile_id, bench.visit)
        assert insights.post(owner, post).items() <= found.items[0].metrics.items()


async def test_every_comment_and_every_reply() -> None:
    async with asking() as bench:
        post = min(CAST.posts_of(OWNER), key=lambda post: abs(post.comments - 900))
        found = await bench.api.comments(post.shortcode, post.post_id, PAGES, bench.visit)
        true = [
            each
            for thread in comments.threads(CAST, OWNER, post, 0, 10**9)
            for each in (thread, *comments.replies(CAST, OWNER, post, thread, 0, thread.replies))
        ]
        assert found.partial is None
        assert sorted(each.activity_id for each in found.items) == sorted(each.comment_id for each in true)
        by_id = {each.activity_id: each for each in found.items}
        for each in true:
            told = by_id[each.comment_id]
            assert (told.actor.handle, told.dimensions["text"]) == (each.actor.handle, each.text)
            assert told.dimensions.get("parent_id") == each.parent_id


async def test_posts_of_a_hashtag() -> None:
    async with asking() as bench:
        found = await bench.api.hashtag("reels", PAGES, bench.visit)
        assert found.partial is None
        true = {post.post_id: post.likes for _, post in tagging.hashtag(CAST, "reels")}
        assert {post.post_id: post.metrics["likes"] for post in found.items} == true
        with pytest.raises(NotFound):
            await bench.api.hashtag("nobodyusesthis", PAGES, bench.visit)


async def test_insights_of_accounts_posts_and_stories() -> None:
    async with asking() as bench:
        profile = await bench.api.profile_insights(OWNER.profile_id, bench.visit)
        yesterday = insights.account(CAST, OWNER, CAST.today - dt.timedelta(days=1))
        assert [profile.metrics[name] for name in ("reach", "follower_count")] == [
            yesterday[name] for name in ("reach", "follower_count")
        ]
        for part in insights.BREAKDOWNS:
            assert profile.dimensions[f"audience_{part}"] == insights.demographics(CAST, OWNER, part)
        for creator, _ in OWNERS:
            since = graph_insights.business_since(CAST, creator)
            for post in CAST.posts_of(creator)[::7]:
                found = await bench.api.post_insights(post.post_id, creator.profile_id, bench.visit)
                if post.published < since:
                    assert found.partial is not None
                    continue
                assert insights.post(creator, post).items() <= found.items[0].metrics.items()
            for story in stories.stories(CAST, creator):
                found = await bench.api.story_insights(story.story_id, creator.profile_id, bench.visit)
                figures = graph_insights.story_figures(CAST, creator, story)
                assert (figures is None) == ("reach" not in found.items[0].metrics)
                for name in ("views", "reach", "replies", "navigation") if figures else ():
                    assert found.items[0].metrics[name] == figures[name]

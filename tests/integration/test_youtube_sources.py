"""The clients of YouTube asked over HTTP, and what they find compared with what there is."""

import datetime as dt
from collections.abc import AsyncIterator
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
from gcc.sources.limits import InProcessLimiter, Limit
from gcc.sources.snapshot import PostSnapshot
from gcc.sources.verdicts import NotFound, NotVisible
from gcc.sources.youtube.data_client import DataApi
from gcc.sources.youtube.v31 import V31Api
from gcc.sources.youtube.youtube138 import Youtube138
from gcc.world import rapidapi, truth_youtube, youtube, youtube_model
from gcc.world.model import Creator, State
from gcc.world.server import people, serve_world
from tests.fakes.credentials import FakeCredentials

SETTINGS = Settings(enabled=True, port=0, creators=40, odd=5, calls_per_s=100_000.0)
CLIENTS = {
    "ytapi": (DataApi, "/youtube/v3"),
    "youtubev31": (V31Api, "/youtubev31"),
    "youtube138": (Youtube138, "/youtube138"),
}
TOKENS = {"ytapi": youtube.KEYS[0], **{name: rapidapi.keys(name)[0] for name in ("youtubev31", "youtube138")}}


class Stopped(VirtualClock):
    """It is one day in the world and for who compares, whatever Trio's clock says: sockets need the real one."""

    def now(self) -> dt.datetime:
        return self.epoch


CAST = people(SETTINGS, Stopped(1).epoch.date())["YOUTUBE"]


@asynccontextmanager
async def asking(name: str) -> AsyncIterator[Any]:
    """A client of that source, in a running world."""
    draining, clock = trio.Event(), Stopped(1)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, HttpFetcher() as fetcher:
            url = await nursery.start(partial(serve_world, SETTINGS, clock, draining=draining, grace_s=2.0))
            credentials = FakeCredentials(clock)
            await credentials.put(name, "a", {"token": TOKENS[name]})
            limiter = InProcessLimiter({name: Limit(10_000, 1.0)})
            client, root = CLIENTS[name]
            yield client(Outside(fetcher, limiter, credentials, clock, Metrics(), {}), url + root)
            draining.set()


def someone(state: State = "public") -> Creator:
    return next(creator for creator, _ in CAST.ranked[3:] if creator.state == state)


def whole(part: tuple[int, list[Any]] | None) -> list[Any]:
    assert part is not None
    return part[1]


def figures(posts: list[PostSnapshot]) -> list[Any]:
    return [(post.post_id, *(post.metrics.get(name) for name in ("views", "likes", "comments"))) for post in posts]


def true_figures(rows: list[Any]) -> list[Any]:
    return [(row["post_id"], row["views"], row["likes"], row["comments"]) for row in rows]


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("state", ["public", "renamed", "age_gated", "hides_likes", "private"])
async def test_a_profile(name: str, state: State) -> None:
    creator = someone(state)
    true = truth_youtube.profile(CAST, creator)
    async with asking(name) as api:
        found = await api.profile(creator.profile_id, Visit())
    assert (found.profile_id, found.handle) == (creator.profile_id, creator.handle)
    assert found.metrics["subscribers"] == true["subscribers"]
    assert found.metrics["total_views"] == true["total_views"]
    if state != "renamed" or name != "youtube138":  # whose lists of videos leave out what is on the air
        assert len(found.posts) == len(true["posts"])
    known = {post["post_id"]: post for post in true["posts"]}
    for post in found.posts:
        if post.post_id in known and known[post.post_id]["views"]:
            assert post.metrics.get("views") == known[post.post_id]["views"]


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_terminated_channel_is_not_found(name: str) -> None:
    async with asking(name) as api:
        with pytest.raises(NotFound):
            await api.profile(someone("gone").profile_id, Visit())


async def test_the_data_api_finds_what_there_is() -> None:
    creator = someone()
    async with asking("ytapi") as api:
        found = await api.channel_videos(creator.profile_id, 10, Visit())
        assert figures(found.items) == true_figures(whole(truth_youtube.OF_ACCOUNT["videos"](CAST, creator, 0, 500)))
        did = await api.activities(creator.profile_id, 20, Visit())
        assert [each.activity_id for each in did.items] == [
            row["activity_id"] for row in whole(truth_youtube.OF_ACCOUNT["activities"](CAST, creator, 0, 500))
        ]
        video = min(CAST.posts_of(creator), key=lambda post: post.comments)
        said = await api.comments(video.post_id, 10_000, Visit())
        rows = whole(truth_youtube.OF_NAME["comments"](CAST, video.post_id, 0, 100_000))
        ids = {row["comment_id"] for row in rows} | {each["comment_id"] for row in rows for each in row["replies"]}
        assert {each.activity_id for each in said.items} == ids
        assert len(said.items) == video.comments


async def test_a_playlist_tells_what_is_missing() -> None:
    listed = next(
        each
        for creator, _ in CAST.ranked
        for each in youtube_model.playlists(CAST, creator)
        if any(row.post is None for row in each.rows)
    )
    async with asking("ytapi") as api:
        found = await api.playlist(listed.playlist_id, 10, Visit())
    rows = whole(truth_youtube.OF_NAME["playlist"](CAST, listed.playlist_id, 0, 500))
    assert figures(found.items) == true_figures([row for row in rows if not row["private"]])
    assert found.partial is not None
    assert found.partial.startswith(str(sum(row["private"] for row in rows)))


async def test_subscriptions_are_told_by_some() -> None:
    told = next(each for each, _ in CAST.ranked if youtube_model.tells_subscriptions(each))
    shy = next(each for each, _ in CAST.ranked if not youtube_model.tells_subscriptions(each))
    async with asking("ytapi") as api:
        found = await api.subscriptions(told.profile_id, 10, Visit())
        assert [each.target.profile_id for each in found.items] == [
            row["channel_id"] for row in whole(truth_youtube.OF_ACCOUNT["subscriptions"](CAST, told, 0, 500))
        ]
        with pytest.raises(NotVisible):
            await api.subscriptions(shy.profile_id, 10, Visit())


async def test_comments_that_are_closed_are_none() -> None:
    closed = CAST.posts_of(someone("age_gated"))[0]
    async with asking("ytapi") as api:
        assert (await api.comments(closed.post_id, 10, Visit())).items == []


async def test_kinds_searches_and_charts() -> None:
    creator = someone()
    kinds = {post.post_id: post.kind for post in CAST.posts_of(creator)[:6]}
    async with asking("ytapi") as api:
        for video_id, kind in kinds.items():
            (post,) = (await api.post_type(video_id, creator.profile_id, Visit())).items
            assert post.dimensions["post_type"] == kind
        found = await api.search(creator.handle, 10, Visit())
        true = whole(truth_youtube.OF_NAME["search"](CAST, creator.handle, 0, 500))
        assert {post.post_id for post in found.items} == {row["post_id"] for row in true if "post_id" in row}
        music = await api.genre("10", "IN", 2, Visit())
        assert music.items and {post.profile_id for post in music.items} <= {
            each.profile_id for each, _ in CAST.ranked if each.category in ("Music", "Dance")
        }

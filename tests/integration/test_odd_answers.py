"""Whatever an outside API answers: what the parsers let through can be stored by a real PostgreSQL, whole."""

import datetime as dt
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import trio
from hypothesis import HealthCheck, given, settings

from gcc.errors import GccError
from gcc.sources.instagram import graph_parse
from gcc.sources.snapshot import ProfileSnapshot
from gcc.sources.youtube import data_parse
from gcc.stores import upserts
from gcc.stores.postgres import Connection
from tests.crawls import crawl_of
from tests.unit.mutated_json import LONG, mutated
from tests.unit.test_data_parse import CHANNELS, PLAYLIST, VIDEOS, channel_of, ids_of, posts_of
from tests.unit.test_graph_parse import PROFILE, answer

AT = dt.datetime(2026, 10, 30, 12, tzinfo=dt.UTC)
EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def stored(database: str, profile: ProfileSnapshot) -> None:
    async def store() -> None:
        async with await Connection.connect(database) as connection:
            await upserts.write(connection, crawl_of(profile).writes)

    trio.run(store)


def instagram(document: Any) -> ProfileSnapshot:
    return graph_parse.profile(graph_parse.judge(answer(document, 200), AT), "asked", AT)


@EXAMPLES
@given(mutated(PROFILE))
def test_instagram_profiles_of_any_shape(database: str, document: Any) -> None:
    try:
        profile = instagram(document)
    except GccError:
        return
    stored(database, profile)


@EXAMPLES
@given(mutated(CHANNELS), mutated(PLAYLIST), mutated(VIDEOS))
def test_youtube_channels_of_any_shape(database: str, channels: Any, playlist: Any, videos: Any) -> None:
    try:
        profile, _ = channel_of(data_parse.judge(answer(channels, 200), AT), "asked")
        ids = ids_of(data_parse.judge(answer(playlist, 200), AT))
        found = {post.post_id: post for post in posts_of(data_parse.judge(answer(videos, 200), AT), profile)}
    except GccError:
        return
    stored(database, replace(profile, posts=[found[each] for each in ids if each in found]))


def test_half_a_character_is_stored_as_a_whole_one(database: str) -> None:
    found = PROFILE["business_discovery"]
    stored(database, instagram({"business_discovery": {**found, "biography": "tea \ud83d", "followers_count": -1}}))
    with psycopg.connect(database) as connection:
        row = connection.execute("select bio, followers, following, media_count from instagram_account").fetchone()
    assert row == ("tea \ufffd", None, 12, 340)


@pytest.mark.parametrize("place", ["permalink", "shortcode"])
def test_what_no_index_can_hold_is_left_out(database: str, place: str) -> None:
    link = f"https://www.instagram.com/p/{LONG}/" if place == "permalink" else LONG
    stored(database, instagram({"business_discovery": {"id": "1", "media": {"data": [{"id": "9", place: link}]}}}))
    with psycopg.connect(database) as connection:
        row = connection.execute("select post_id, length(shortcode) < 300 from instagram_post").fetchone()
    assert row == ("9", True)

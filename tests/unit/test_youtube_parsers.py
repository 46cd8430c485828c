"""What YouTube's lists of people and deeds, scraped pages and owners' reports are read as, whatever stands in them."""

import datetime as dt
import json
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcc.clock import SystemClock
from gcc.errors import GccError
from gcc.pipelines.scraping import sheets, yields
from gcc.platforms import YOUTUBE
from gcc.sources.fields import ID_CHARS_MAX, Fields
from gcc.sources.http import Answer
from gcc.sources.snapshot import Found, Sheet
from gcc.sources.verdicts import OddAnswer
from gcc.sources.youtube import analytics, data_parse, data_people, scraped_parse, youtube138
from tests.recorded import FOLDER, recorded
from tests.unit.mutated_json import ANYTHING, mutated

AT = dt.datetime(2026, 10, 30, 12, 0, tzinfo=dt.UTC)
new_id = SystemClock().new_id


def files(folder: str) -> list[str]:
    return sorted(str(file.relative_to(FOLDER)) for file in (FOLDER / folder).rglob("*.json")) or [folder]


def root(document: Any, notes: list[str] | None = None) -> Fields:
    return Fields(document, "src", notes=notes)


THREADS: dict[str, Any] = {
    "items": [
        {
            "id": "t1",
            "snippet": {
                "channelId": "UCowner",
                "videoId": "v1",
                "topLevelComment": {
                    "id": "c1",
                    "snippet": {
                        "authorDisplayName": "@someone",
                        "authorProfileImageUrl": "https://cdn.example/a",
                        "authorChannelId": {"value": "UCsomeone"},
                        "textDisplay": "<b>hi</b>",
                        "textOriginal": "hi",
                        "likeCount": 3,
                        "publishedAt": "2026-10-01T05:30:00Z",
                    },
                },
                "totalReplyCount": 1,
            },
            "replies": {"comments": [{"id": "c1.1", "snippet": {"parentId": "c1", "textDisplay": "you too"}}]},
        }
    ]
}


def test_a_thread_and_its_replies() -> None:
    ((first, reply),) = root(THREADS).each("items", partial(data_people.thread, at=AT))
    assert (first.activity_id, first.post_id, first.profile_id, first.kind) == ("c1", "v1", "UCowner", "comment")
    assert (first.actor.profile_id, first.actor.handle) == ("UCsomeone", "someone")
    assert (first.metrics, first.dimensions) == ({"likes": 3, "replies": 1}, {"text": "hi"})
    assert first.publish_time == dt.datetime(2026, 10, 1, 5, 30, tzinfo=dt.UTC)
    assert (reply.activity_id, reply.post_id, reply.profile_id) == ("c1.1", "v1", "UCowner")
    assert (reply.actor.profile_id, reply.dimensions) == ("", {"text": "you too", "parent_id": "c1"})


ACTIVITIES: dict[str, Any] = {
    "items": [
        {"id": "a0", "snippet": {"type": kind, "channelId": "UCx", "publishedAt": "2026-10-01T05:30:00Z"},
         "contentDetails": {kind: details}}
        for kind, details in (
            ("upload", {"videoId": "v"}),
            ("like", {"resourceId": {"kind": "youtube#video", "videoId": "v"}}),
            ("favorite", {"resourceId": {"videoId": "v"}}),
            ("comment", {"resourceId": {"channelId": "UCz"}}),
            ("subscription", {"resourceId": {"channelId": "UCz"}}),
            ("playlistItem", {"resourceId": {"videoId": "v"}, "playlistId": "PL", "playlistItemId": "PI"}),
            ("recommendation", {"resourceId": {"videoId": "v"}, "reason": "videoWatched",
                                "seedResourceId": {"videoId": "s"}}),
            ("social", {"type": "facebook", "resourceId": {"videoId": "v"}}),
            ("channelItem", {"resourceId": {"videoId": "v"}}),
            ("bulletin", None),
            ("somethingNew", {"thingId": "t"}),
        )
    ]
}  # fmt: skip


def test_every_kind_of_activity() -> None:
    done = root(ACTIVITIES).each("items", partial(data_people.activity, at=AT))
    assert [(each.kind, each.dimensions) for each in done] == [
        ("upload", {"video_id": "v"}),
        ("like", {"video_id": "v"}),
        ("favorite", {"video_id": "v"}),
        ("comment", {"channel_id": "UCz"}),
        ("subscription", {"channel_id": "UCz"}),
        ("playlist_item", {"playlist_id": "PL", "playlist_item_id": "PI", "video_id": "v"}),
        ("recommendation", {"seed_video_id": "s", "video_id": "v", "reason": "videoWatched"}),
        ("social", {"video_id": "v"}),
        ("channel_item", {"video_id": "v"}),
        ("bulletin", {}),
        ("something_new", {"thing_id": "t"}),
    ]
    assert {each.channel_id for each in done} == {"UCx"}


SUBSCRIPTIONS: dict[str, Any] = {
    "items": [
        {"id": "s1", "snippet": {"channelId": "UCme", "title": "Them", "resourceId": {"channelId": "UCthem"},
                                 "publishedAt": "2026-10-01T05:30:00Z"},
         "contentDetails": {"totalItemCount": 12, "activityType": "all"}},
        {"id": "s2", "snippet": {"channelId": "UCother", "resourceId": {"channelId": "UCme"}},
         "subscriberSnippet": {"channelId": "UCfan", "title": "Fan"}},
    ]
}  # fmt: skip


def test_both_sides_of_a_subscription() -> None:
    mine, fan = root(SUBSCRIPTIONS).each("items", partial(data_people.subscription, at=AT))
    assert (mine.person.profile_id, mine.target.profile_id, mine.kind) == ("UCme", "UCthem", "subscribes")
    assert (mine.target.metrics, mine.target.dimensions["full_name"]) == ({"uploads": 12}, "Them")
    assert (fan.person.profile_id, fan.person.dimensions, fan.target.profile_id) == (
        "UCfan", {"full_name": "Fan"}, "UCme",
    )  # fmt: skip


SCRAPED: dict[str, Any] = {
    "contents": [
        {"type": "video", "video": {
            "videoId": "v1", "title": "One", "lengthSeconds": 120, "isLiveNow": False,
            "author": {"channelId": "UCx", "title": "X", "canonicalBaseUrl": "/@ex"},
            "stats": {"views": 5, "likes": 2, "shares": 1},
            "publishedTimeText": "2 years ago", "thumbnails": [{"url": "s", "width": 1}, {"url": "l", "width": 2}],
        }},
        {"type": "channel", "channel": {
            "channelId": "UCx", "title": "X", "username": "@ex", "badges": [{"type": "VERIFIED_CHANNEL"}],
            "stats": {"subscribersText": "4.03M subscribers", "videos": 3, "views": None}, "avatar": [],
        }},
        {"type": "shorts_listing", "data": [{"type": "shorts", "videoId": "v2", "viewCountText": "13M views"}]},
        {"type": "playlist", "playlist": {"playlistId": "PL"}},
        {"videoId": "v3", "lengthText": "1:02:03", "viewCount": "41894", "channelHandle": "@why", "channelId": "UCy",
         "publishedAt": "2025-01-09T00:00:00Z"},
        {"videoId": "v4", "lengthText": "LIVE", "isLive": True, "viewCount": "No views"},
    ],
    "cursorNext": "c",
}  # fmt: skip


def test_scraped_videos() -> None:
    one, two, three, four = scraped_parse.videos(root(SCRAPED), AT)
    assert (one.post_id, one.profile_id, one.handle, one.publish_time) == ("v1", "UCx", "ex", None)
    assert one.metrics == {"views": 5, "likes": 2, "comments": None, "shares": 1}
    assert one.dimensions["published_about"].startswith("2024-10-")
    assert (one.dimensions["thumbnail_url"], one.dimensions["post_type"]) == ("l", "short")
    assert (two.metrics["views"], two.dimensions["post_type"]) == (13_000_000, "short")
    assert (three.handle, three.dimensions["duration_s"], three.metrics["views"]) == ("why", 3723, 41894)
    assert three.publish_time == dt.datetime(2025, 1, 9, tzinfo=dt.UTC)
    assert (four.dimensions["post_type"], four.metrics["views"]) == ("live", 0)


def test_scraped_channels() -> None:
    (found,) = scraped_parse.channels(root(SCRAPED), AT)
    assert (found.profile_id, found.handle) == ("UCx", "ex")
    assert (found.metrics["subscribers"], found.metrics["uploads"], found.metrics["views"]) == (4_030_000, 3, None)
    assert found.dimensions["is_verified"] is True


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("1,234 views", 1234), ("308K subscribers", 308_000), ("4.03M subscribers", 4_030_000),
     ("2B", 2_000_000_000), ("No views", 0), ("12 watching now", 12), ("1.5K", 1500),
     ("12,34,567 views", 1_234_567), ("1.2 lakh views", 120_000), ("3 crore subscribers", 30_000_000), ("5 likes", 5),
     ("1.5 million views", 1_500_000), ("2 L", 200_000)],
)  # fmt: skip
def test_numbers_as_pages_show_them(text: str, number: int) -> None:
    assert scraped_parse.counted(text) == number


@pytest.mark.parametrize("text", ["", "many", "1,23 views", "-1", "1e9", "9" * 19 + "B", "٣", "1.2.3M"])
def test_what_shows_no_number(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text) or "^$"):
        scraped_parse.counted(text)


@pytest.mark.parametrize(
    ("text", "days"),
    [("1 day ago", 1), ("Streamed 4 days ago", 4), ("2 weeks ago (edited)", 14), ("Premiered 36 hours ago", 1.5)],
)
def test_ages(text: str, days: float) -> None:
    assert scraped_parse.ago(text, AT) == AT - dt.timedelta(days=days)


REPORT: dict[str, Any] = {
    "kind": "youtubeAnalytics#resultTable",
    "columnHeaders": [{"name": "day"}, {"name": "views"}],
    "rows": [["2026-10-01", 4], ["2026-10-03", 2]],
}


def test_a_report_has_no_row_for_a_day_without_views() -> None:
    notes: list[str] = []
    assert analytics.table(REPORT, notes) == Sheet(["day", "views"], [["2026-10-01", 4], ["2026-10-03", 2]])
    assert analytics.table({**REPORT, "rows": None}, notes).rows == []
    assert notes == []
    odd = analytics.table({**REPORT, "rows": [["2026-10-01"], 7, [{}, 1], ["x", 2**70], ["x", 1.5]]}, notes)
    assert (odd.rows, len(notes)) == ([["x", 1.5]], 4)
    with pytest.raises(OddAnswer, match=r"\$\.columnHeaders should be a list"):
        analytics.table({}, notes)


def parsed(parse: Callable[[Fields], Any]) -> Callable[[Any], Any]:
    return lambda document: root(document).each("items", parse, needed=True)


def as_posts(posts: Any) -> yields.Yield:
    return yields.of_posts(YOUTUBE, Found([post for post in posts if post]), new_id)


def as_sheet(channels: Any) -> yields.Yield:
    return yields.of_sheet(sheets.of_channels(Found(channels)), new_id)


PARSERS: list[tuple[Any, Callable[[Any], Any], Callable[[Any], yields.Yield]]] = [
    (THREADS, parsed(partial(data_people.thread, at=AT)),
     lambda found: yields.of_activities(Found([each for thread in found for each in thread]), new_id)),
    (ACTIVITIES, parsed(partial(data_people.activity, at=AT)),
     lambda found: yields.of_channel_activities(Found(found), new_id)),
    (SUBSCRIPTIONS, parsed(partial(data_people.subscription, at=AT)),
     lambda found: yields.of_relations(Found(found), new_id)),
    (SCRAPED, lambda document: scraped_parse.videos(root(document), AT), as_posts),
    (SCRAPED, lambda document: scraped_parse.channels(root(document), AT), as_sheet),
    (REPORT, lambda document: analytics.table(document, []), lambda sheet: yields.of_sheet(Found(sheet), new_id)),
]  # fmt: skip


@pytest.mark.parametrize(("document", "parse", "made"), PARSERS)
def test_any_shape_is_a_verdict_or_what_can_be_stored(document: Any, parse: Any, made: Any) -> None:
    @given(mutated(document) | ANYTHING)
    def fuzzed(shape: Any) -> None:
        with suppress(GccError):
            found = made(parse(shape))
            for upsert in found.writes:
                for row in upsert.rows:
                    upsert.table.key_of(row)
                    check(dict(row))
            for body in found.objects.values():
                body.decode()

    fuzzed()


def check(value: Any) -> None:
    """That PostgreSQL and ClickHouse can hold it: no NUL, no half characters, numbers of 64 bits."""
    text = msgspec.json.encode(value).decode()
    assert "\\u0000" not in text
    match value:
        case dict():
            for key, each in value.items():
                assert isinstance(key, str)
                assert len(key) <= ID_CHARS_MAX
                check(each)
        case list():
            for each in value:
                check(each)
        case int():
            assert abs(value) < 2**63


@given(st.sampled_from([200, 400, 403, 404, 429, 500]), st.binary(max_size=30) | ANYTHING | mutated(SCRAPED))
def test_every_answer_of_a_scraper_gets_a_verdict(status: int, body: Any) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with suppress(GccError):
        assert isinstance(youtube138.judge(Answer(status, {}, raw, 0.1), AT), dict)


READ: dict[str, Callable[[Fields], Any]] = {
    "youtube#activity": partial(data_people.activity, at=AT),
    "youtube#channel": partial(data_parse.channel, at=AT),
    "youtube#comment": partial(data_people.comment, at=AT),
    "youtube#commentThread": partial(data_people.thread, at=AT),
    "youtube#playlistItem": data_parse.entry,
    "youtube#playlist": data_parse.playlist,
    "youtube#searchResult": partial(data_parse.found_video, at=AT),
    "youtube#subscription": partial(data_people.subscription, at=AT),
    "youtube#video": partial(data_parse.video, at=AT),
    "youtube#videoCategory": data_parse.category,
}
UNREAD = {"youtube#channelSection", "youtube#guideCategory", "youtube#member", "youtube#membershipsLevel"}


@pytest.mark.parametrize("file", files("youtube_data_api/apidata"))
def test_recorded_lists(file: str) -> None:
    """Each is let through, and nothing in it is odd."""
    document = recorded(file)
    listed = document if "items" in document else {"kind": "youtube#listResponse", "items": [document]}
    decoded = data_parse.judge(Answer(200, {}, json.dumps(listed).encode(), 0.1), AT)
    whole = root(decoded)
    for item in whole.objects("items", needed=True):
        kind = item.text("kind") or ""
        assert kind in READ or kind in UNREAD
        if kind in READ:
            assert READ[kind](item) or item.object("id").text("channelId")  # a search finds channels too: no videos
    assert whole.notes == []


@pytest.mark.parametrize("file", files("youtube_rapidapi"))
def test_recorded_pages(file: str) -> None:
    """Comments apart, each is a list of videos, and nothing in it is odd."""
    document = recorded(file)
    whole = root({"items": document} if isinstance(document, list) else document)
    if "comments" in whole:
        comments = whole.each("comments", partial(scraped_parse.comment, at=AT, video_id="v"))
        assert len(comments) == 20
        assert all(each.actor.handle and each.dimensions["published_about"] for each in comments)
        assert comments[0].metrics == {"likes": 776, "replies": 914}
    elif whole.text("kind") == "youtube#commentThreadListResponse":
        assert len(whole.each("items", partial(data_people.thread, at=AT))) == 8
    else:
        posts = scraped_parse.videos(whole, AT)
        assert len(posts) == {"ChannelVideos": 4, "FetchedData": 1, "recomendedVideos": 18, "singleVideoData": 1,
                              "youtubeVideosData": 5, "HomeFeed": 49, "PlaylistApi": 100, "VideoDetais": 20}[
                                  Path(file).stem]  # fmt: skip
        assert all(post.dimensions["title"] for post in posts)
    assert whole.notes == []


def test_recorded_report() -> None:
    notes: list[str] = []
    sheet = analytics.table(recorded("youtube_analytics/reports_query_day_views.json"), notes)
    assert (list(sheet.header), len(sheet.rows), notes) == (["day", "views"], 2, [])

"""The stand-in for the YouTube Data API: every list beside channels, uploads and videos, and odd channels."""

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest

from gcc.world import comments, truth_youtube, youtube_model
from gcc.world.answer import Answer
from gcc.world.creators import generate
from gcc.world.model import Cast, Creator
from gcc.world.youtube import DataApi
from gcc.world.youtube_owners import owners
from tests.recorded import recorded

TODAY = dt.date(2026, 10, 30)


@pytest.fixture(scope="module")
def cast() -> Cast:
    return Cast("YOUTUBE", generate("YOUTUBE", 1, 60, odd=5), TODAY)


@pytest.fixture(scope="module")
def api(cast: Cast) -> DataApi:
    return DataApi(cast)


def get(api: DataApi, collection: str, token: str | None = None, **query: str) -> Answer:
    headers = {b"authorization": f"Bearer {token}".encode()} if token else {}
    return api.answer("GET", f"/v3/{collection}", query, headers, b"")


def ask(api: DataApi, collection: str, token: str | None = None, **query: str) -> Any:
    answer = get(api, collection, token, **query)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def refusal(answer: Answer) -> tuple[int, str]:
    error = json.loads(answer.body)["error"]
    return answer.status, error["errors"][0]["reason"]


def walk(api: DataApi, collection: str, **query: str) -> list[Any]:
    """The items of all pages."""
    items: list[Any] = []
    while True:
        page = ask(api, collection, **query)
        items += page["items"]
        if "nextPageToken" not in page:
            return items
        query["pageToken"] = page["nextPageToken"]


def odd(cast: Cast, state: str) -> Creator:
    return next(creator for creator, _ in cast.ranked if creator.state == state)


def the_public(cast: Cast) -> list[Creator]:
    return [creator for creator, _ in cast.ranked if creator.state == "public"]


def whole(part: tuple[int, list[Any]] | None) -> list[Any]:
    assert part is not None
    assert part[0] == len(part[1])
    return part[1]


# Each collection, as the real one has it.


def unlike(ours: Any, real: Any, path: str = "$") -> Iterator[str]:
    """Where we show what the real one does not, or another type."""
    if type(ours) is not type(real):
        yield f"{path}: {type(ours).__name__}, not {type(real).__name__}"
    elif isinstance(ours, dict):
        for name, value in ours.items():
            if name in real:
                yield from unlike(value, real[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}"
    elif isinstance(ours, list) and ours and real:
        yield from unlike(ours[0], real[0], f"{path}[]")


SHAPES = [
    ("playlists", "playlists/playlists_paged_1.json", {"part": "snippet"}, set()),
    ("search", "search/search_by_keywords_p1.json", {"part": "snippet", "q": "the", "type": "video"}, {"publishTime"}),
    ("videoCategories", "categories/video_category_by_region.json", {"part": "snippet", "regionCode": "IN"}, set()),
    ("activities", "activities/activities_by_channel_p1.json", {"part": "snippet"}, set()),
    ("subscriptions", "subscriptions/subscriptions_by_channel_p1.json", {"part": "snippet"}, {"width", "height"}),
    (
        "commentThreads", "comment_threads/comment_threads_by_video_paged_1.json", {"part": "snippet"},
        {"channelId"},  # added by the API since
    ),
    ("videos", "videos/videos_chart_paged_1.json", {"part": "snippet", "chart": "mostPopular"}, {"fhd"}),
]  # fmt: skip


@pytest.mark.parametrize(("collection", "file", "query", "newer"), SHAPES, ids=[row[0] for row in SHAPES])
def test_the_real_shapes(
    cast: Cast, api: DataApi, collection: str, file: str, query: dict[str, str], newer: set[str]
) -> None:
    creator = next(each for each in the_public(cast) if youtube_model.tells_subscriptions(each))
    target = {
        "playlists": {"channelId": creator.profile_id},
        "activities": {"channelId": creator.profile_id},
        "subscriptions": {"channelId": creator.profile_id},
        "commentThreads": {"videoId": cast.posts_of(creator)[5].post_id},
    }
    found = ask(api, collection, **query, **target.get(collection, {}))
    assert found["items"]
    different = list(unlike(found, recorded(f"youtube_data_api/apidata/{file}")))
    missing = [path for path in different if path.rpartition(".")[2] not in newer | {"prevPageToken"}]
    assert [path for path in missing if "defaultAudioLanguage" not in path] == []


def test_the_playlists_of_a_channel_split_its_uploads(cast: Cast, api: DataApi) -> None:
    creator = the_public(cast)[0]
    ids = {
        head: [
            item["contentDetails"]["videoId"]
            for item in walk(api, "playlistItems", part="contentDetails", playlistId=head + creator.key)
        ]
        for head in ("UU", "UUSH", "UULF")
    }
    kinds = {post.post_id: post.kind for post in cast.posts_of(creator)}
    assert ids["UU"] == list(kinds)
    assert {kinds[each] for each in ids["UUSH"]} == {"short"}
    assert sorted(ids["UUSH"] + ids["UULF"]) == sorted(ids["UU"])
    no_live = get(api, "playlistItems", part="id", playlistId="UULV" + creator.key)
    assert refusal(no_live) == (404, "playlistNotFound")
    shorts = ask(api, "videos", part="contentDetails", id=",".join(ids["UUSH"][:50]))["items"]
    assert shorts and all("M" not in item["contentDetails"]["duration"][:5] for item in shorts)


def test_one_video_of_a_playlist(cast: Cast, api: DataApi) -> None:
    creator = the_public(cast)[0]
    posts = cast.posts_of(creator)
    short = next(post for post in posts if post.kind == "short")
    query = {"part": "snippet", "playlistId": "UUSH" + creator.key}
    (item,) = ask(api, "playlistItems", **query, videoId=short.post_id)["items"]
    assert item["snippet"]["resourceId"]["videoId"] == short.post_id
    long = next(post for post in posts if post.kind == "video")
    assert ask(api, "playlistItems", **query, videoId=long.post_id)["items"] == []


def test_a_playlist_keeps_a_row_of_a_video_that_has_become_private(cast: Cast, api: DataApi) -> None:
    listed = [row for each in the_public(cast)[:8] for row in youtube_model.playlists(cast, each)]
    shown = ask(api, "playlists", part="snippet,contentDetails", id=listed[0].playlist_id)["items"][0]
    assert shown["contentDetails"]["itemCount"] == len(listed[0].rows)
    private = []
    for each in listed:
        items = walk(api, "playlistItems", part="snippet,contentDetails,status", playlistId=each.playlist_id)
        true = whole(truth_youtube.OF_NAME["playlist"](cast, each.playlist_id, 0, 500))
        assert [item["contentDetails"]["videoId"] for item in items] == [row["post_id"] for row in true]
        assert [item["status"]["privacyStatus"] == "private" for item in items] == [row["private"] for row in true]
        private += [item for item in items if item["snippet"]["title"] == "Private video"]
    assert private
    assert all("videoPublishedAt" not in item["contentDetails"] for item in private)
    gone = ",".join(item["contentDetails"]["videoId"] for item in private[:5])
    assert ask(api, "videos", part="id", id=gone)["items"] == []


def test_search_finds_by_words_and_filters_and_orders(cast: Cast, api: DataApi) -> None:
    items = walk(api, "search", part="snippet", q="part 2", type="video", maxResults="50")
    assert items
    assert all("part 2" in item["snippet"]["title"].lower() for item in items)
    creator = the_public(cast)[2]
    since = cast.posts_of(creator)[9].published
    own = walk(
        api, "search", part="snippet", channelId=creator.profile_id, type="video", order="date",
        publishedAfter=since.isoformat(), maxResults="4",
    )  # fmt: skip
    assert [item["id"]["videoId"] for item in own] == [post.post_id for post in cast.posts_of(creator)[:10]]
    popular = walk(api, "search", part="snippet", channelId=creator.profile_id, type="video", order="viewCount")
    views = {post.post_id: post.views or 0 for post in cast.posts_of(creator)}
    shown = [views[item["id"]["videoId"]] for item in popular]
    assert shown == sorted(views.values(), reverse=True)
    kinds = {item["id"]["kind"] for item in walk(api, "search", part="snippet", q=creator.handle)}
    assert kinds == {"youtube#channel", "youtube#video"}
    short = walk(api, "search", part="snippet", channelId=creator.profile_id, type="video", videoDuration="short")
    durations = {post.post_id: post.duration_s for post in cast.posts_of(creator)}
    assert short and all(durations[item["id"]["videoId"]] < 240 for item in short)
    assert ask(api, "search", part="snippet", q="zzzz nothing")["items"] == []
    music = walk(api, "search", part="snippet", type="video", videoCategoryId="10", order="viewCount", maxResults="50")
    found = ask(api, "videos", part="snippet", id=",".join(item["id"]["videoId"] for item in music[:50]))["items"]
    assert {item["snippet"]["categoryId"] for item in found} == {"10"}


@pytest.mark.parametrize(("category", "names"), [("10", {"10"}), ("20", {"20"}), ("1", {"1"}), ("", {"1", "10", "20"})])
def test_a_chart_is_of_music_movies_and_gaming_alone(cast: Cast, api: DataApi, category: str, names: set[str]) -> None:
    query = {"videoCategoryId": category} if category else {}
    items = walk(api, "videos", part="snippet", chart="mostPopular", regionCode="IN", maxResults="50", **query)
    assert {item["snippet"]["categoryId"] for item in items} <= names
    assert items
    if category:
        true = whole(truth_youtube.OF_NAME["chart"](cast, f"{category},IN", 0, 500))
        assert [item["id"] for item in items] == [row["post_id"] for row in true]
    other = get(api, "videos", part="id", chart="mostPopular", videoCategoryId="17")
    assert refusal(other) == (404, "videoChartNotFound")


def test_threads_carry_five_replies_and_comments_the_rest(cast: Cast, api: DataApi) -> None:
    creator = the_public(cast)[0]
    post = next(each for each in cast.posts_of(creator) if 60 < each.comments < 20_000)
    page = ask(api, "commentThreads", part="snippet,replies", videoId=post.post_id, maxResults="100")
    true = truth_youtube.OF_NAME["comments"](cast, post.post_id, 0, 100)
    assert true is not None and true[0] == comments.thread_count(post) == page["pageInfo"]["totalResults"]
    assert [item["id"] for item in page["items"]] == [row["comment_id"] for row in true[1]]
    for item, row in zip(page["items"], true[1], strict=True):
        told = item["snippet"]["topLevelComment"]["snippet"]
        assert (told["textOriginal"], told["likeCount"]) == (row["text"], row["likes"])
        assert item["snippet"]["totalReplyCount"] == len(row["replies"])
        carried = item.get("replies", {}).get("comments", [])
        assert [each["id"] for each in carried] == [reply["comment_id"] for reply in row["replies"][:5]]
    long = next(row for row in true[1] if len(row["replies"]) > 5)
    replies = walk(api, "comments", part="snippet", parentId=long["comment_id"], maxResults="7")
    assert [each["id"] for each in replies] == [reply["comment_id"] for reply in long["replies"]]
    assert {each["snippet"]["parentId"] for each in replies} == {long["comment_id"]}
    by_id = ask(api, "comments", part="snippet", id=replies[3]["id"])["items"]
    assert by_id == [replies[3]]


def test_the_threads_of_a_video_are_paged_whole(cast: Cast, api: DataApi) -> None:
    creator = the_public(cast)[-1]
    post = min((each for each in cast.posts_of(creator) if each.comments), key=lambda each: each.comments)
    items = walk(api, "commentThreads", part="id,snippet", videoId=post.post_id, maxResults="3")
    count = sum(1 + item["snippet"]["totalReplyCount"] for item in items)
    assert count == post.comments
    assert len({item["id"] for item in items}) == len(items)


def test_activities_and_subscriptions_are_the_truths(cast: Cast, api: DataApi) -> None:
    creator = next(each for each in the_public(cast) if youtube_model.tells_subscriptions(each))
    shown = walk(api, "activities", part="snippet,contentDetails", channelId=creator.profile_id, maxResults="9")
    true = whole(truth_youtube.OF_ACCOUNT["activities"](cast, creator, 0, 500))
    assert [(item["id"], item["snippet"]["type"]) for item in shown] == [
        (row["activity_id"], row["type"]) for row in true
    ]
    assert {item["snippet"]["type"] for item in shown} == {"upload", "playlistItem"}
    followed = walk(api, "subscriptions", part="snippet", channelId=creator.profile_id)
    true = whole(truth_youtube.OF_ACCOUNT["subscriptions"](cast, creator, 0, 500))
    assert [item["snippet"]["resourceId"]["channelId"] for item in followed] == [row["channel_id"] for row in true]
    shy = next(each for each in the_public(cast) if not youtube_model.tells_subscriptions(each))
    refused = get(api, "subscriptions", part="snippet", channelId=shy.profile_id)
    assert refusal(refused) == (403, "subscriptionForbidden")


def test_stats_of_many_in_one_call(cast: Cast, api: DataApi) -> None:
    posts = [post for creator in the_public(cast)[:3] for post in cast.posts_of(creator)][:49]
    asked = ",".join([*(post.post_id for post in posts), "aaaaaaaaaaa"])
    found = ask(api, "videos:batchGetStats", part="id,snippet,statistics,contentDetails", id=asked)
    assert [(item["id"], item["statistics"]["viewCount"]) for item in found["items"]] == [
        (post.post_id, str(post.views)) for post in posts
    ]
    assert all(set(item["snippet"]) == {"publishTime"} for item in found["items"])
    assert api.cost("GET", "/v3/videos:batchGetStats", {}, b"") == ("batchGetStats", 1)
    assert api.cost("GET", "/v3/search", {}, b"") == ("search", 1)
    assert api.cost("GET", "/v3/videos", {}, b"") == ("", 1)


def test_an_owner_asks_for_mine(cast: Cast, api: DataApi) -> None:
    given = owners(cast).given_out()[0]
    (item,) = ask(api, "channels", token=given["token"], part="id", mine="true")["items"]
    assert item["id"] == given["channel_id"]
    assert "items" in ask(api, "subscriptions", token=given["token"], part="id", mine="true")
    assert refusal(get(api, "channels", part="id", mine="true")) == (401, "required")
    assert refusal(get(api, "channels", token="stolen", part="id", mine="true")) == (401, "required")


# Odd channels.


@pytest.mark.parametrize("state", ["private", "renamed", "age_gated", "hides_likes"])
def test_the_truth_of_an_odd_channel_is_what_is_shown_of_it(cast: Cast, api: DataApi, state: str) -> None:
    creator = odd(cast, state)
    true = truth_youtube.profile(cast, creator)
    (item,) = ask(api, "channels", part="statistics", id=creator.profile_id)["items"]
    hidden = item["statistics"]["hiddenSubscriberCount"]
    assert true["subscribers"] == (None if hidden else int(item["statistics"]["subscriberCount"]))
    ids = ",".join(post["post_id"] for post in true["posts"]) or "none"
    shown = [item["statistics"] for item in ask(api, "videos", part="statistics", id=ids)["items"]]
    for name, count in (("likes", "likeCount"), ("comments", "commentCount"), ("views", "viewCount")):
        told = [int(figures[count]) if count in figures else None for figures in shown]
        assert [post[name] for post in true["posts"]] == told
        known = [figure for figure in told if figure is not None]
        assert true[f"avg_{name}"] == (sum(known) / len(known) if known else None)


def test_a_terminated_channel_is_a_list_without_items(cast: Cast, api: DataApi) -> None:
    gone = odd(cast, "gone")
    for query in ({"id": gone.profile_id}, {"forHandle": gone.handle}, {"forUsername": "anybody"}):
        assert "items" not in ask(api, "channels", part="snippet", **query)
    assert refusal(get(api, "playlistItems", part="id", playlistId="UU" + gone.key)) == (404, "playlistNotFound")
    assert refusal(get(api, "activities", part="id", channelId=gone.profile_id)) == (404, "channelNotFound")


def test_a_private_one_hides_its_subscribers_and_videos(cast: Cast, api: DataApi) -> None:
    shy = odd(cast, "private")
    (item,) = ask(api, "channels", part="statistics", id=shy.profile_id)["items"]
    assert (item["statistics"]["hiddenSubscriberCount"], item["statistics"]["subscriberCount"]) == (True, "0")
    assert refusal(get(api, "playlistItems", part="id", playlistId="UU" + shy.key)) == (404, "playlistNotFound")
    video = cast.posts_of(shy)[0].post_id
    assert ask(api, "videos", part="id", id=video)["items"] == []


def test_no_likes_and_no_comments_are_absent_fields(cast: Cast, api: DataApi) -> None:
    for state, absent in (("hides_likes", "likeCount"), ("age_gated", "commentCount")):
        video = cast.posts_of(odd(cast, state))[0].post_id
        (item,) = ask(api, "videos", part="statistics", id=video)["items"]
        told = {"viewCount", "likeCount", "favoriteCount", "commentCount"}
        assert set(item["statistics"]) == told - {absent}
    closed = cast.posts_of(odd(cast, "age_gated"))[0].post_id
    assert refusal(get(api, "commentThreads", part="id", videoId=closed)) == (403, "commentsDisabled")


def test_a_live_stream_and_a_premiere(cast: Cast, api: DataApi) -> None:
    host = odd(cast, "renamed")
    uploads = walk(api, "playlistItems", part="contentDetails", playlistId="UU" + host.key)
    ids = [item["contentDetails"]["videoId"] for item in uploads[:2]]
    premiere, live = ask(api, "videos", part="snippet,contentDetails,liveStreamingDetails", id=",".join(ids))["items"]
    assert premiere["snippet"]["liveBroadcastContent"] == "upcoming"
    assert premiere["contentDetails"]["duration"] == "PT10M"
    assert set(premiere["liveStreamingDetails"]) == {"scheduledStartTime"}
    assert (live["snippet"]["liveBroadcastContent"], live["contentDetails"]["duration"]) == ("live", "P0D")
    on_air = walk(api, "playlistItems", part="contentDetails", playlistId="UULV" + host.key)
    assert [item["contentDetails"]["videoId"] for item in on_air] == [live["id"]]
    (found,) = walk(api, "search", part="id", channelId=host.profile_id, type="video", eventType="live")
    assert found["id"]["videoId"] == live["id"]
    former = {"part": "id", "forHandle": host.former_handles[0]}
    assert "items" not in ask(api, "channels", **former)


@pytest.mark.parametrize(
    ("collection", "query", "expected"),
    [
        ("channels", {"part": "id", "id": "a", "forHandle": "b"}, (400, "missingRequiredParameter")),
        ("search", {"part": "id", "type": "city"}, (400, "invalidParameter")),
        ("search", {"part": "id", "q": "a", "eventType": "live"}, (400, "invalidSearchFilter")),
        ("search", {"part": "id", "q": "a", "publishedAfter": "yesterday"}, (400, "invalidParameter")),
        ("search", {"part": "id", "q": "a", "publishedAfter": "2026-01-01T00:00:00"}, (400, "invalidParameter")),
        ("search", {"part": "id", "q": "a", "pageToken": "CAUQAA"}, (400, "invalidPageToken")),
        ("search", {"part": "id", "q": "a", "pageToken": "\udc80é"}, (400, "invalidPageToken")),
        ("videos", {"part": "id", "chart": "mostPopular", "regionCode": "India"}, (400, "invalidParameter")),
        ("videos", {"part": "id", "chart": "leastPopular"}, (400, "invalidParameter")),
        ("commentThreads", {"part": "id", "videoId": "none"}, (404, "videoNotFound")),
        ("commentThreads", {"part": "id", "videoId": "none", "maxResults": "101"}, (404, "videoNotFound")),
        ("comments", {"part": "id", "parentId": "Ugw\u00ff4AaABAg"}, (404, "commentNotFound")),
        ("comments", {"part": "id"}, (400, "missingRequiredParameter")),
        ("activities", {"part": "id"}, (400, "missingRequiredParameter")),
        ("subscriptions", {"part": "id", "channelId": "UCnone"}, (404, "subscriberNotFound")),
        ("playlists", {"part": "id"}, (400, "missingRequiredParameter")),
        ("videos:batchGetStats", {"part": "id"}, (400, "missingRequiredParameter")),
        ("videos:batchGetStats", {"part": "status", "id": "a"}, (400, "unknownPart")),
    ],
)
def test_refusals_of_lists(api: DataApi, collection: str, query: dict[str, str], expected: tuple[int, str]) -> None:
    assert refusal(get(api, collection, **query)) == expected

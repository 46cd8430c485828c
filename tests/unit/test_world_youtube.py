"""The stand-in for the YouTube Data API: the real shapes, paging, errors."""

import datetime as dt
import json
from typing import Any

import pytest

from gcc.world.answer import Answer
from gcc.world.creators import generate
from gcc.world.model import Cast
from gcc.world.youtube import KEYS, DataApi, duration
from tests.recorded import recorded

TODAY = dt.date(2026, 10, 30)


@pytest.fixture(scope="module")
def cast() -> Cast:
    return Cast("YOUTUBE", generate("YOUTUBE", 1, 60), TODAY)


@pytest.fixture(scope="module")
def api(cast: Cast) -> DataApi:
    return DataApi(cast)


def ask(api: DataApi, collection: str, **query: str) -> Any:
    answer = api.answer("GET", f"/v3/{collection}", query, {}, b"")
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def refusal(answer: Answer) -> tuple[int, str]:
    error = json.loads(answer.body)["error"]
    assert error["code"] == answer.status
    assert error["message"] == error["errors"][0]["message"]
    return answer.status, error["errors"][0]["reason"]


def shape(item: dict[str, Any]) -> dict[str, type]:
    return {name: type(value) for name, value in item.items()}


def test_a_channel_by_handle_and_by_id(cast: Cast, api: DataApi) -> None:
    creator, day = cast.ranked[0]
    parts = "snippet,statistics,contentDetails"
    by_handle = ask(api, "channels", part=parts, forHandle="@" + creator.handle.upper())
    assert by_handle == ask(api, "channels", part=parts, forHandle=creator.handle)
    assert by_handle == ask(api, "channels", part=parts, id=creator.profile_id)
    (item,) = by_handle["items"]
    assert item["statistics"] == {
        "viewCount": str(day.total_views),
        "subscriberCount": str(day.followers),
        "hiddenSubscriberCount": False,
        "videoCount": str(day.media_count),
    }
    assert item["snippet"]["customUrl"] == "@" + creator.handle
    assert item["contentDetails"]["relatedPlaylists"]["uploads"] == "UU" + creator.profile_id[2:]
    assert set(ask(api, "channels", part="id", id=creator.profile_id)["items"][0]) == {"kind", "etag", "id"}


def test_several_channels(cast: Cast, api: DataApi) -> None:
    ids = [creator.profile_id for creator, _ in cast.ranked[:5]]
    found = ask(api, "channels", part="id", id=",".join([*ids, "UC0000000000000000000000"]))
    assert [item["id"] for item in found["items"]] == ids
    assert found["pageInfo"]["totalResults"] == 5


def test_country_is_told_by_some(cast: Cast, api: DataApi) -> None:
    told = {
        creator.profile_id: "country"
        in ask(api, "channels", part="snippet", id=creator.profile_id)["items"][0]["snippet"]
        for creator, _ in cast.ranked
    }
    assert 30 < sum(told.values()) < 60
    assert told == {creator.profile_id: creator.tells_country for creator, _ in cast.ranked}


def test_no_channel_is_a_list_without_items(cast: Cast, api: DataApi) -> None:
    absent = ask(api, "channels", part="snippet", forHandle="@nobody-here")
    assert absent["pageInfo"] == {"totalResults": 0, "resultsPerPage": 5}
    assert "items" not in absent
    handle_as_id = ask(api, "channels", part="snippet", id=cast.ranked[0][0].handle)
    assert "items" not in handle_as_id


def test_the_real_keys(cast: Cast, api: DataApi) -> None:
    creator = next(creator for creator, _ in cast.ranked if creator.tells_country)
    real_list = recorded("youtube_data_api/apidata/channels/info.json")
    listing = ask(api, "channels", part="snippet,statistics,contentDetails", forHandle=creator.handle)
    assert shape(listing) == shape(real_list)
    assert shape(listing["items"][0]["snippet"]) == shape(real_list["items"][0]["snippet"])
    real = recorded("youtube_data_api/modeldata/channels/channel_info.json")
    real["statistics"].pop("commentCount")  # given up by the API since
    assert shape(listing["items"][0]["statistics"]) == shape(real["statistics"])

    items = ask(api, "playlistItems", part="snippet", playlistId="UU" + creator.key, maxResults="10")
    real_items = recorded("youtube_data_api/apidata/playlist_items/playlist_items_paged_1.json")
    assert shape(items) == shape(real_items)
    owner = {"videoOwnerChannelTitle": str, "videoOwnerChannelId": str}  # added by the API since
    assert shape(items["items"][0]["snippet"]) == shape(real_items["items"][0]["snippet"]) | owner

    video_id = items["items"][0]["snippet"]["resourceId"]["videoId"]
    videos = ask(api, "videos", part="snippet,statistics,contentDetails", id=video_id)
    assert shape(videos) == shape(recorded("youtube_data_api/apidata/videos/videos_info_single.json"))
    real_video = recorded("youtube_data_api/modeldata/videos/video_info.json")
    real_video["snippet"].pop("defaultLanguage")  # told by few
    assert shape(videos["items"][0]["snippet"]) == shape(real_video["snippet"])
    real_video["statistics"].pop("dislikeCount")  # given up by the API since
    assert shape(videos["items"][0]["statistics"]) == shape(real_video["statistics"])
    rating = {"contentRating": dict}
    assert shape(videos["items"][0]["contentDetails"]) == shape(real_video["contentDetails"]) | rating


@pytest.mark.parametrize("per_page", [1, 5, 15, 50])
def test_paging_covers_every_video_once(cast: Cast, api: DataApi, per_page: int) -> None:
    creator, _ = cast.ranked[4]
    query = {"part": "contentDetails,snippet", "playlistId": "UU" + creator.key, "maxResults": str(per_page)}
    ids: list[str] = []
    while True:
        page = ask(api, "playlistItems", **query)
        assert page["pageInfo"] == {"totalResults": len(cast.posts_of(creator)), "resultsPerPage": per_page}
        assert [item["snippet"]["position"] for item in page["items"]] == list(
            range(len(ids), len(ids) + len(page["items"]))
        )
        ids += [item["contentDetails"]["videoId"] for item in page["items"]]
        if "nextPageToken" not in page:
            break
        query["pageToken"] = page["nextPageToken"]
    assert ids == [post.post_id for post in cast.posts_of(creator)]


def test_videos_are_as_the_cast_has_them(cast: Cast, api: DataApi) -> None:
    creator, _ = cast.ranked[1]
    posts = cast.posts_of(creator)
    asked = ",".join([posts[3].post_id, "aaaaaaaaaaa", posts[0].post_id, posts[3].post_id])
    found = ask(api, "videos", part="snippet,statistics,contentDetails,liveStreamingDetails", id=asked)
    assert [item["id"] for item in found["items"]] == [posts[3].post_id, posts[0].post_id]
    for item, post in zip(found["items"], (posts[3], posts[0]), strict=True):
        assert item["statistics"]["viewCount"] == str(post.views)
        assert item["statistics"]["likeCount"] == str(post.likes)
        assert item["statistics"]["commentCount"] == str(post.comments)
        assert item["snippet"]["channelId"] == creator.profile_id
        assert dt.datetime.fromisoformat(item["snippet"]["publishedAt"]) == post.published
        assert item["contentDetails"]["duration"] == duration(post.duration_s)
    assert ask(api, "videos", part="id", id="aaaaaaaaaaa")["items"] == []


def test_durations() -> None:
    assert [duration(s) for s in (0, 45, 60, 1267, 3602)] == ["PT0S", "PT45S", "PT1M", "PT21M7S", "PT1H2S"]


def test_errors(cast: Cast, api: DataApi) -> None:
    playlist = "UU" + cast.ranked[0][0].key
    for collection, query, expected in (
        ("channels", {"part": "snippet"}, (400, "missingRequiredParameter")),
        ("channels", {"id": "x"}, (400, "missingRequiredParameter")),
        ("channels", {"part": "snippets", "id": "x"}, (400, "unknownPart")),
        ("playlistItems", {"part": "statistics", "playlistId": playlist}, (400, "unknownPart")),
        ("playlistItems", {"part": "snippet", "playlistId": "UUnone"}, (404, "playlistNotFound")),
        ("playlistItems", {"part": "snippet", "playlistId": playlist, "pageToken": "x"}, (400, "invalidPageToken")),
        ("playlistItems", {"part": "snippet", "playlistId": playlist, "maxResults": "51"}, (400, "invalidParameter")),
        ("playlistItems", {"part": "snippet", "playlistId": playlist, "maxResults": "-1"}, (400, "invalidParameter")),
        ("videos", {"part": "snippet"}, (400, "missingRequiredParameter")),
        ("videos", {"part": "snippet", "id": ",".join(map(str, range(51)))}, (400, "invalidFilters")),
        ("search", {"part": "snippet", "order": "size"}, (400, "invalidParameter")),
        ("captions", {"part": "snippet"}, (404, "notFound")),
    ):
        assert refusal(api.answer("GET", f"/v3/{collection}", query, {}, b"")) == expected


def test_refusals(api: DataApi) -> None:
    assert refusal(api.refuse_token(KEYS[0])) == (400, "keyInvalid")
    assert refusal(api.refuse_token(None)) == (403, "forbidden")
    assert refusal(api.refuse_quota()) == (403, "quotaExceeded")
    assert refusal(api.refuse_rate(2, of_user=False)) == (429, "rateLimitExceeded")
    assert refusal(api.fail(500)) == (500, "backendError")


def test_the_quota_refusal_has_the_keys_of_the_real_one(api: DataApi) -> None:
    real = recorded("error_envelopes/youtube_errors.json")[0]
    body = json.loads(api.refuse_quota().body)
    assert real["http_status"] == api.refuse_quota().status
    assert body == real["body"]


def test_the_key_comes_from_the_query_or_the_header(api: DataApi) -> None:
    assert api.token({"key": "a"}, {}) == "a"
    assert api.token({}, {b"x-goog-api-key": b"b"}) == "b"
    assert api.token({}, {}) is None

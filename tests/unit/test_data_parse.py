"""The YouTube Data API's answers: a made-up channel, the error table, mutations of both, and recorded answers."""

import datetime as dt
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcc.errors import GccError
from gcc.sources.fields import Fields
from gcc.sources.http import Answer
from gcc.sources.snapshot import PostSnapshot, ProfileSnapshot
from gcc.sources.verdicts import (
    CredentialDead,
    CredentialRefused,
    MaybeAway,
    NotFound,
    NotVisible,
    OddAnswer,
    QuestionFailed,
    RateLimited,
    SourceFailed,
)
from gcc.sources.youtube import data_parse
from gcc.sources.youtube.data_errors import CommentsOff, StalePage
from tests.recorded import recorded
from tests.unit.mutated_json import ANYTHING, VERDICTS, mutated
from tests.unit.storable import check_storable

AT = dt.datetime(2026, 10, 30, 12, 0, tzinfo=dt.UTC)
CHANNEL_ID = "UCaaaaaaaaaaaaaaaaaaaaaa"

CHANNELS: dict[str, Any] = {
    "kind": "youtube#channelListResponse",
    "items": [
        {
            "id": CHANNEL_ID,
            "snippet": {
                "title": "Made Up Channel",
                "description": "Nothing",
                "customUrl": "@MadeUp",
                "country": "in",
                "thumbnails": {"default": {"url": "https://cdn.example/s"}, "high": {"url": "https://cdn.example/h"}},
            },
            "statistics": {
                "viewCount": "160361638",
                "subscriberCount": "1927873",
                "hiddenSubscriberCount": False,
                "videoCount": "5026",
            },
            "contentDetails": {"relatedPlaylists": {"likes": "", "uploads": "UUaaaaaaaaaaaaaaaaaaaaaa"}},
        }
    ],
}


def video(video_id: str, **parts: Any) -> dict[str, Any]:
    return {
        "id": video_id,
        "snippet": {
            "publishedAt": "2026-10-01T05:30:00Z",
            "title": "A video",
            "description": "",
            "tags": ["one", "two"],
            "categoryId": "28",
            "defaultAudioLanguage": "hi",
            "liveBroadcastContent": "none",
            "thumbnails": {"medium": {"url": "https://cdn.example/v"}},
        },
        "contentDetails": {"duration": "PT21M7S"},
        "statistics": {"viewCount": "8087", "likeCount": "190", "commentCount": "32"},
        **parts,
    }


PLAYLIST = {"items": [{"contentDetails": {"videoId": "b"}}, {"snippet": {"resourceId": {"videoId": "a"}}}, {}]}
VIDEOS = {"items": [video("a"), video("b", statistics={"viewCount": "5"}, contentDetails={"duration": "PT60S"})]}


def answer(body: Any, status: int = 403, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw, 0.1)


def channel_of(decoded: Any, asked: str) -> tuple[ProfileSnapshot, str | None]:
    """The first channel of a list, and its uploads' playlist."""
    root = Fields(decoded, "ytapi")
    items = root.objects("items", needed=True)
    if not items:
        raise OddAnswer(root.notes[0])
    return data_parse.channel(items[0], AT, asked), data_parse.uploads(items[0])


def ids_of(decoded: Any, notes: list[str] | None = None) -> list[str]:
    rows = Fields(decoded, "ytapi", notes=notes).each("items", data_parse.entry, needed=True)
    return [row.video_id for row in rows]


def posts_of(decoded: Any, profile: ProfileSnapshot, notes: list[str] | None = None) -> list[PostSnapshot]:
    root = Fields(decoded, "ytapi", notes=notes)
    return root.each("items", lambda each: data_parse.video(each, AT, profile.handle, profile.profile_id), needed=True)


def refusal(reason: str, message: str = "made up", **headers: str) -> Answer:
    return answer({"error": {"code": 403, "message": message, "errors": [{"reason": reason}]}}, **headers)


def test_a_channel() -> None:
    profile, uploads = channel_of(CHANNELS, "madeup")
    assert (profile.platform, profile.profile_id, profile.handle) == ("YOUTUBE", CHANNEL_ID, "MadeUp")
    assert (profile.source, profile.at, uploads) == ("ytapi", AT, "UUaaaaaaaaaaaaaaaaaaaaaa")
    assert profile.metrics == {
        "subscribers": 1927873,
        "followers": 1927873,
        "uploads": 5026,
        "media_count": 5026,
        "total_views": 160361638,
        "views": 160361638,
    }
    assert profile.dimensions == {
        "handle": "MadeUp",
        "title": "Made Up Channel",
        "full_name": "Made Up Channel",
        "description": "Nothing",
        "country": "IN",
        "profile_pic_url": "https://cdn.example/h",
    }


@pytest.mark.parametrize("flag", [True, "true", "yes", 1, [], {}])
def test_hidden_subscribers_are_none_whatever_number_stands_there(flag: Any) -> None:
    hidden = {"items": [{"id": "x", "statistics": {"hiddenSubscriberCount": flag, "subscriberCount": "0"}}]}
    profile, uploads = channel_of(hidden, "@asked")
    assert len(profile.notes) == (flag is not True)
    assert set(profile.metrics.values()) == {None}
    assert (profile.handle, uploads) == ("asked", None)


NO_CHANNELS = {"kind": "youtube#channelListResponse", "pageInfo": {"totalResults": 0, "resultsPerPage": 5}}
NO_ITEMS = {"kind": "youtube#playlistItemListResponse", "items": [], "pageInfo": {"totalResults": 3}}
NO_LISTS: list[dict[str, Any]] = [
    {},
    {"message": "You are not subscribed to this API."},
    {"errors": [{"reason": "quotaExceeded"}]},
    {"items": []},
    {"items": None, "pageInfo": {"totalResults": 1}},
    {"items": [], "pageInfo": {"totalResults": 1}},
    {"items": [], "pageInfo": {"totalResults": 0}},
    {"pageInfo": {"totalResults": 0}},
    {"kind": "youtube#channel"},
    {"kind": "youtube#channel", "items": []},
    {"kind": ["youtube#channelListResponse"], "items": []},
    {"kind": "youtube#channelListResponse", "items": []},
    {**NO_CHANNELS, "items": [], "pageInfo": {"totalResults": 1}},
    {**NO_CHANNELS, "pageInfo": {"totalResults": None}},
    {**NO_CHANNELS, "pageInfo": []},
    {**NO_ITEMS, "items": None},
    {**NO_ITEMS, "items": {}},
]


@pytest.mark.parametrize("body", NO_LISTS)
def test_what_is_no_list_tells_of_no_absence(body: Any) -> None:
    with pytest.raises(OddAnswer, match=r"ytapi: \$\.(kind|items|pageInfo\.totalResults) should be "):
        data_parse.judge(answer(body, 200), AT)


def test_a_playlist_may_be_empty_whatever_total_it_tells() -> None:
    """What was deleted is counted for a while."""
    assert ids_of(data_parse.judge(answer(NO_ITEMS, 200), AT)) == []


def test_videos() -> None:
    profile, _ = channel_of(CHANNELS, "madeup")
    assert ids_of(PLAYLIST) == ["b", "a"]
    a, b = posts_of(VIDEOS, profile)
    assert (b.post_id, b.shortcode, a.profile_id, a.handle, a.at) == ("b", "b", CHANNEL_ID, "MadeUp", AT)
    assert b.metrics == {"views": 5, "likes": None, "comments": None}
    assert (b.dimensions["post_type"], b.dimensions["duration_s"]) == ("short", 60)
    assert a.metrics == {"views": 8087, "likes": 190, "comments": 32}
    assert a.publish_time == dt.datetime(2026, 10, 1, 5, 30, tzinfo=dt.UTC)
    assert a.dimensions == {
        "post_type": "video",
        "title": "A video",
        "description": "",
        "tags": ["one", "two"],
        "language": "hi",
        "category_id": "28",
        "duration_s": 1267,
        "thumbnail_url": "https://cdn.example/v",
    }


@pytest.mark.parametrize(
    ("parts", "post_type"),
    [
        ({"contentDetails": {"duration": "PT3M"}}, "short"),
        ({"contentDetails": {"duration": "PT3M1S"}}, "video"),
        ({"snippet": {"publishedAt": "2024-10-14T23:59:59Z"}, "contentDetails": {"duration": "PT1M"}}, "short"),
        ({"snippet": {"publishedAt": "2024-10-14T23:59:59Z"}, "contentDetails": {"duration": "PT1M1S"}}, "video"),
        ({"snippet": {"publishedAt": "2024-10-15T00:00:00Z"}, "contentDetails": {"duration": "PT1M1S"}}, "short"),
        ({"snippet": {}, "contentDetails": {"duration": "PT1M1S"}}, "short"),
        ({"contentDetails": {}}, None),
        ({"snippet": {"liveBroadcastContent": "upcoming"}, "contentDetails": {"duration": "P0D"}}, "live"),
        ({"snippet": {"liveBroadcastContent": "live"}, "contentDetails": {"duration": "P0D"}}, "live"),
        # a premiere is a film that all see first together
        ({"snippet": {"liveBroadcastContent": "upcoming"}, "liveStreamingDetails": {},
          "contentDetails": {"duration": "PT21M7S"}}, "video"),
        ({"contentDetails": {"duration": "P0D"}}, None),
        ({"contentDetails": {"duration": "PT0S"}}, None),
        ({"contentDetails": {"duration": "PT1.5S"}}, None),  # whatever it says: nobody guesses
        ({"liveStreamingDetails": {"actualEndTime": "2026-10-01T05:30:00Z"}}, "live"),
    ],
)  # fmt: skip
def test_post_types(parts: dict[str, Any], post_type: str | None) -> None:
    profile, _ = channel_of(CHANNELS, "madeup")
    (post,) = posts_of({"items": [video("a", **parts)]}, profile)
    assert post.dimensions["post_type"] == post_type
    assert post.dimensions["duration_s"] != 0


def test_who_watches_a_stream_now_is_a_figure() -> None:
    profile, _ = channel_of(CHANNELS, "madeup")
    (post,) = posts_of({"items": [video("a", liveStreamingDetails={"concurrentViewers": "55"})]}, profile)
    assert post.metrics["watching"] == 55


@given(st.integers(0, 2**31 - 1), st.booleans())
def test_durations_round_trip(seconds: int, with_days: bool) -> None:
    days, rest = divmod(seconds, 86_400) if with_days else (0, seconds)
    hours, minutes, left = rest // 3600, rest // 60 % 60, rest % 60
    parts = [f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (left, "S")) if number]
    text = "P" + (f"{days}D" if days or not parts else "") + ("T" + "".join(parts) if parts else "")
    assert data_parse.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "1H", "PT-1S", "PT1.5S", "PT1S ", "PT99999999999999S", "P999999W"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(SourceFailed, match="duration"):
        data_parse.duration(text)


@pytest.mark.parametrize(
    ("now", "until_s"),
    [
        ("2026-10-30T06:59:00+00:00", 60),  # summer time, UTC-7
        ("2026-10-30T07:00:00+00:00", 86_400),
        ("2026-12-30T07:59:00+00:00", 60),  # winter time, UTC-8
        ("2026-11-01T07:00:00+00:00", 90_000),  # the day of 25 hours
        ("2027-03-14T08:00:00+00:00", 82_800),  # the day of 23
    ],
)
def test_the_quota_comes_back_at_midnight_pacific(now: str, until_s: float) -> None:
    with pytest.raises(RateLimited) as caught:
        data_parse.judge(refusal("quotaExceeded"), dt.datetime.fromisoformat(now))
    assert caught.value.retry_after_s == until_s


@pytest.mark.parametrize(
    ("got", "verdict", "wait_s"),
    [
        (refusal("dailyLimitExceeded"), RateLimited, 19 * 3600.0),
        (refusal("quotaExceeded", retry_after="30"), RateLimited, 30.0),
        (refusal("rateLimitExceeded"), RateLimited, 60.0),
        (refusal("userRateLimitExceeded", retry_after="9"), RateLimited, 9.0),
        (answer(b"<html>", 429, retry_after="3"), RateLimited, 3.0),
        (refusal("keyInvalid"), CredentialDead, None),
        (refusal("badRequest", "API key not valid. Please pass a valid API key."), CredentialDead, None),
        (refusal("badRequest", "API key expired. Please renew the API key."), CredentialDead, None),
        (answer({"error": {"details": [{"reason": "API_KEY_INVALID"}]}}, 400), CredentialDead, None),
        (refusal("badRequest", "Invalid part."), QuestionFailed, None),
        (refusal("forbidden"), CredentialRefused, None),
        (refusal("accessNotConfigured"), CredentialDead, None),
        (answer({"error": {"errors": [{"reason": "forbidden"}], "details": [{"reason": "API_KEY_SERVICE_BLOCKED"}]}}),
         CredentialDead, None),
        (answer({"error": {"status": "RESOURCE_EXHAUSTED"}}, 400), RateLimited, 60.0),
        (answer({"error": {"code": 429, "message": "'Search Queries per day'"}}, 429), RateLimited, 19 * 3600.0),
        (refusal("commentsDisabled"), CommentsOff, None),
        (answer({"error": {"errors": [{"reason": "invalidPageToken"}]}}, 400), StalePage, None),
        (refusal("subscriptionForbidden"), NotVisible, None),
        (refusal("accountClosed"), NotFound, None),  # the account that was asked for, not the one that asks
        (refusal("accountSuspended"), NotFound, None),
        (refusal("authenticatedUserAccountSuspended"), CredentialDead, None),
        (refusal("watchHistoryNotAccessible"), QuestionFailed, None),
        (refusal("playlistOperationUnsupported"), QuestionFailed, None),
        (answer({"error": {"errors": [{"reason": "processingFailure"}]}}, 400), QuestionFailed, None),
        (answer({"error": {"errors": [{"reason": "commentThreadNotFound"}]}}, 404), QuestionFailed, None),
        (answer({"error": {"errors": [{"reason": "neverHeardOf"}]}}, 503), SourceFailed, None),
        (answer({"error": {"errors": {"reason": "keyInvalid"}, "details": "x"}}, 400), SourceFailed, None),
        (answer([{"error": {"errors": [{"reason": "keyInvalid"}]}}], 400), CredentialDead, None),
        (answer({"error": "invalid_grant"}, 401), CredentialRefused, None),
        (refusal("playlistNotFound"), NotFound, None),
        (refusal("playlistItemsNotAccessible"), NotFound, None),
        (answer({"error": {"code": 500}}, 500), SourceFailed, None),
        (answer({"error": "a text"}, 400), SourceFailed, None),
        (answer(b"", 503), SourceFailed, None),
        (answer(b"", 503, retry_after="120"), SourceFailed, 120.0),
        (answer(b"<html>", 403), MaybeAway, None),
        (answer(b"", 401, retry_after="7"), MaybeAway, 7.0),
        (answer(b"<html>", 400), SourceFailed, None),
        (answer({"error": {"errors": [{"reason": 7}]}}, 403), CredentialRefused, None),
        (answer({"error": {"errors": [{"reason": 7}]}}, 404), SourceFailed, None),
    ],
)  # fmt: skip
def test_each_error_has_its_verdict(got: Answer, verdict: type[GccError], wait_s: float | None) -> None:
    with pytest.raises(verdict) as caught:
        data_parse.judge(got, AT)
    assert type(caught.value) is verdict
    assert getattr(caught.value, "retry_after_s", None) == wait_s


def items(**parts: Any) -> dict[str, Any]:
    return {"items": [{**CHANNELS["items"][0], **parts}]}


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ([], r"\$ should be an object, got a list"),
        ({"items": "x"}, r"\$\.items should be a list, got 'x'"),
        ({"items": [7]}, r"\$\.items\[0\] should be an object, got 7"),
        (items(id=None), r"\$\.items\[0\]\.id should be an id, got None"),
        (items(id=["UC"]), r"\$\.items\[0\]\.id should be an id, got a list"),
        (items(id="UC\ud83d"), r"\$\.items\[0\]\.id should be an id"),
    ],
)
def test_without_its_identity_a_channel_is_refused(wrong: Any, path: str) -> None:
    with pytest.raises(SourceFailed, match=path):
        channel_of(wrong, "x")


@pytest.mark.parametrize(
    ("odd", "unknown", "notes"),
    [
        ({"statistics": {"subscriberCount": "-1", "videoCount": "5026", "viewCount": "1"}}, {"subscribers"}, 1),
        ({"statistics": {"subscriberCount": [], "videoCount": 1.5, "viewCount": "1e3"}},
         {"subscribers", "uploads", "total_views"}, 3),
        ({"statistics": "x"}, {"subscribers", "uploads", "total_views"}, 1),
        ({"snippet": []}, set(), 1),
        ({"contentDetails": 7}, set(), 1),
    ],
)  # fmt: skip
def test_an_odd_field_of_a_channel_is_unknown(odd: dict[str, Any], unknown: set[str], notes: int) -> None:
    profile, _ = channel_of(items(**odd), "@asked")
    assert {name for name in ("subscribers", "uploads", "total_views") if profile.metrics[name] is None} == unknown
    assert profile.handle == ("MadeUp" if "snippet" not in odd else "asked")
    assert len(profile.notes) == notes


def test_an_odd_field_of_a_video_is_unknown_and_one_without_id_is_none() -> None:
    profile, _ = channel_of(CHANNELS, "madeup")
    notes = list(profile.notes)
    ids = ids_of({"items": [*PLAYLIST["items"], 7, {"contentDetails": {"videoId": 9}}]}, notes)
    assert ids == ["b", "a"]
    odd = video("a", contentDetails={"duration": "soon"}, statistics={"viewCount": -1, "likeCount": "3"})
    odd["snippet"] |= {"tags": ["one", 2, "tea \ud83d"], "publishedAt": 7, "title": {}}
    a, b = posts_of({"items": [odd, {"id": None}, "x", video("b")]}, profile, notes)
    assert (a.metrics, a.publish_time) == ({"views": None, "likes": 3, "comments": None}, None)
    assert a.dimensions["tags"] == ["one", "tea \ufffd"]
    assert (a.dimensions["title"], a.dimensions["duration_s"]) == (None, None)
    assert b.metrics["views"] == 8087
    assert len(notes) == 10, notes


@given(mutated(CHANNELS), mutated(PLAYLIST), mutated(VIDEOS))
def test_whatever_changes_is_a_snapshot_or_a_verdict(channels: Any, playlist: Any, videos: Any) -> None:
    def judged(document: Any) -> Any:
        return data_parse.judge(answer(document, 200), AT)

    try:
        profile, uploads = channel_of(judged(channels), "asked")
    except VERDICTS:
        profile, uploads = channel_of(CHANNELS, "asked")
    assert uploads is None or uploads
    notes = list(profile.notes)
    try:
        ids = ids_of(judged(playlist), notes)
    except VERDICTS:
        ids = ["a", "b"]
    with suppress(*VERDICTS):
        found = {post.post_id: post for post in posts_of(judged(videos), profile, notes)}
        profile = replace(profile, posts=[found[each] for each in ids if each in found], notes=notes)
    check_storable(profile)


REFUSAL = {"error": {"message": "m", "code": 403, "errors": [{"reason": "quotaExceeded"}], "details": []}}


@given(st.sampled_from([200, 400, 403, 500]), st.binary(max_size=30) | ANYTHING | mutated(REFUSAL))
def test_every_answer_gets_a_verdict(status: int, body: Any) -> None:
    with suppress(*VERDICTS):
        assert isinstance(data_parse.judge(answer(body, status), AT), dict)


def test_recorded_answers() -> None:
    channel = recorded("youtube_data_api/modeldata/channels/channel_info.json")
    profile, uploads = channel_of({"items": [channel]}, "x")
    assert (profile.handle, profile.metrics["subscribers"], uploads) == (
        "googledevelopers",
        1927873,
        "UU_x5XG1OV2P6uZZ5FSM9Ttw",
    )
    bare, _ = channel_of(recorded("youtube_data_api/apidata/channels/info.json"), "x")
    assert set(bare.metrics.values()) == {None}
    ids = ids_of(recorded("youtube_data_api/apidata/playlist_items/playlist_items_paged_1.json"))
    assert len(ids) == len(set(ids)) > 1
    videos = recorded("youtube_data_api/apidata/videos/videos_info_multi.json")
    posts = posts_of(videos, profile)
    assert [post.dimensions["post_type"] for post in posts] == [None, None]  # their length is not told
    (post,) = posts_of({"items": [recorded("youtube_data_api/modeldata/videos/video_info.json")]}, profile)
    assert post.metrics == {"views": 8087, "likes": 190, "comments": 32, "dislike_count": 23, "favorite_count": 0}
    assert (post.dimensions["duration_s"], post.dimensions["language"]) == (1267, "en")


def test_recorded_errors() -> None:
    for entry in recorded("error_envelopes/youtube_errors.json"):
        with pytest.raises(RateLimited):
            data_parse.judge(answer(entry["body"], entry["http_status"]), AT)
    with pytest.raises(SourceFailed):
        data_parse.judge(answer(recorded("youtube_data_api/error_response_simple.json"), 400), AT)

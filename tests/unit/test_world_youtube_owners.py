"""The stand-ins for YouTube Analytics, Google's token endpoint and those who scrape YouTube."""

import datetime as dt
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from gcc.world import truth_youtube
from gcc.world.answer import Answer
from gcc.world.api import Api
from gcc.world.creators import generate
from gcc.world.limits import Rule, Used
from gcc.world.model import Cast, Creator
from gcc.world.youtube import DataApi
from gcc.world.youtube_analytics import AnalyticsApi, TokenApi
from gcc.world.youtube_owners import CLIENT_ID, CLIENT_SECRET, owners
from gcc.world.youtube_scraped import V31Api, Youtube138
from tests.recorded import recorded

TODAY = dt.date(2026, 10, 30)
NOW = dt.datetime.combine(TODAY, dt.time(), dt.UTC)


@pytest.fixture
def cast() -> Cast:
    return Cast("YOUTUBE", generate("YOUTUBE", 1, 12, odd=5), TODAY)


@pytest.fixture
def owner(cast: Cast) -> Creator:
    return cast.at(0)


def report(cast: Cast, token: str | None = None, **query: str) -> Answer:
    token = token or owners(cast).current(cast.at(0).profile_id)
    asked = {"ids": "channel==MINE", "startDate": "2026-08-01", "endDate": "2026-10-30", **query}
    return AnalyticsApi(cast).answer("GET", "/v2/reports", asked, {b"authorization": f"Bearer {token}".encode()}, b"")


def table(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200, answer.body
    body = json.loads(answer.body)
    names = [header["name"] for header in body["columnHeaders"]]
    return [dict(zip(names, row, strict=True)) for row in body.get("rows", [])]


def reason(answer: Answer) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["error"]["errors"][0]["reason"]


def test_a_table_has_the_real_shape(cast: Cast) -> None:
    real = recorded("youtube_analytics/reports_query_day_views.json")
    ours = json.loads(report(cast, dimensions="day", metrics="views").body)
    assert set(ours) == set(real)
    assert ours["columnHeaders"] == real["columnHeaders"]
    assert [type(cell) for cell in ours["rows"][0]] == [type(cell) for cell in real["rows"][0]]


def test_days_come_late_and_not_all(cast: Cast, owner: Creator) -> None:
    rows = table(report(cast, dimensions="day", metrics="views,subscribersGained,engagedViews"))
    true = {row["day"]: row for row in truth_youtube.OF_ACCOUNT["daily"](cast, owner, 0, 500)[1]}
    assert rows[-1]["day"] <= "2026-10-27"
    assert 80 < len(rows) < 88  # of 88 days
    for row in rows:
        assert {name: true[row["day"]][name] for name in row} == row
        assert row["engagedViews"] <= row["views"]


def test_months_are_whole_and_sum_their_days(cast: Cast) -> None:
    months = table(report(cast, dimensions="month", metrics="views", endDate="2026-09-01"))
    days = table(report(cast, dimensions="day", metrics="views", endDate="2026-09-30"))
    sums = {
        month: sum(row["views"] for row in days if row["day"].startswith(month)) for month in ("2026-08", "2026-09")
    }
    assert {row["month"]: row["views"] for row in months} == sums
    assert reason(report(cast, dimensions="month", metrics="views", endDate="2026-09-15")) == (400, "badRequest")


def test_countries_share_the_total(cast: Cast, owner: Creator) -> None:
    (total,) = table(report(cast, metrics="views,likes"))
    rows = table(report(cast, dimensions="country", metrics="views,likes", sort="-views"))
    assert sum(row["views"] for row in rows) == total["views"]
    assert [row["views"] for row in rows] == sorted((row["views"] for row in rows), reverse=True)
    assert rows[0]["country"] == owner.country


@pytest.mark.parametrize("dimensions", ["ageGroup", "gender", "ageGroup,gender"])
def test_viewers_are_a_hundred_percent(cast: Cast, dimensions: str) -> None:
    rows = table(report(cast, dimensions=dimensions, metrics="viewerPercentage"))
    assert sum(row["viewerPercentage"] for row in rows) == pytest.approx(100)
    assert all(set(row) == {*dimensions.split(","), "viewerPercentage"} for row in rows)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"metrics": "viewerPercentage", "dimensions": "day"}, (400, "badRequest")),
        ({"metrics": "views", "dimensions": "ageGroup"}, (400, "badRequest")),
        ({"metrics": "views", "dimensions": "city"}, (400, "badRequest")),
        ({"metrics": ""}, (400, "badRequest")),
        ({"metrics": "estimatedRevenue", "dimensions": "day"}, (403, "insufficientPermissions")),
        ({"metrics": "views", "ids": "channel==UCsomebody"}, (403, "insufficientPermissions")),
        ({"metrics": "views", "startDate": "today"}, (400, "invalidParameter")),
        ({"metrics": "views", "startDate": "2026-11-30"}, (400, "badRequest")),
        ({"metrics": "views", "sort": "-likes"}, (400, "badRequest")),
    ],
)
def test_unfit_reports(cast: Cast, query: dict[str, str], expected: tuple[int, str]) -> None:
    assert reason(report(cast, **query)) == expected


def renew(cast: Cast, **form: str) -> Answer:
    given = owners(cast).given_out()[0]
    sent = {
        "grant_type": "refresh_token", "refresh_token": given["refresh_token"], "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET, **form,
    }  # fmt: skip
    return TokenApi(cast, lambda: NOW).answer("POST", "/token", {}, {}, urlencode(sent).encode())


def test_a_refresh_token_gives_another_access_token(cast: Cast) -> None:
    api = AnalyticsApi(cast)
    before = api.tokens[0]
    told = json.loads(renew(cast).body)
    assert told["access_token"] == api.tokens[0] != before
    assert (told["token_type"], told["expires_in"]) == ("Bearer", 3599)
    assert api.lets_in(before) and api.lets_in(told["access_token"])
    for _ in range(12):
        renew(cast)
    assert not api.lets_in(before)
    assert api.lets_in(api.tokens[0])


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"refresh_token": "1//none"}, (400, "invalid_grant")),
        ({"client_secret": "guessed"}, (401, "invalid_client")),
        ({"grant_type": "password"}, (400, "unsupported_grant_type")),
    ],
)
def test_refusals_of_the_token_endpoint(cast: Cast, form: dict[str, str], expected: tuple[int, str]) -> None:
    answer = renew(cast, **form)
    assert (answer.status, json.loads(answer.body)["error"]) == expected


def scraped(api: Api, path: str, **query: str) -> Any:
    answer = api.answer("GET", path, query, {}, b"")
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def test_youtubev31_answers_as_the_data_api(cast: Cast, owner: Creator) -> None:
    query = {"part": "snippet,statistics", "id": owner.profile_id}
    direct = json.loads(DataApi(cast).answer("GET", "/v3/channels", query, {}, b"").body)
    assert scraped(V31Api(cast), "/channels", **query) == direct
    missing = V31Api(cast).answer("GET", "/captions/list", query, {}, b"")
    assert (missing.status, json.loads(missing.body)) == (404, {"message": "Endpoint '/captions/list' does not exist"})


@pytest.mark.parametrize(
    ("path", "query", "file", "name"),
    [
        ("/channel/videos/", "channel", "ChannelVideos.json", "contents"),
        ("/search/", "words", "recomendedVideos.json", "contents"),
        ("/video/comments/", "video", "VideoComments.json", "comments"),
    ],
)
def test_youtube138_has_the_real_keys(cast: Cast, owner: Creator, path: str, query: str, file: str, name: str) -> None:
    video_id = cast.posts_of(owner)[0].post_id
    asked = {"channel": {"id": owner.profile_id}, "words": {"q": owner.handle}, "video": {"id": video_id}}[query]
    ours = next(row for row in scraped(Youtube138(cast), path, **asked)[name] if row.get("type") != "channel")
    real = recorded(f"youtube_rapidapi/youtube138/{file}")[name]
    real = next(row for row in real if row.get("type") in (None, "video"))
    while "video" in ours:
        ours, real = ours["video"], real["video"]
    assert set(ours) <= set(real)


def test_youtube138_pages_a_channel_its_shorts_and_comments(cast: Cast, owner: Creator) -> None:
    api = Youtube138(cast)
    posts = cast.posts_of(owner)
    shown: list[str] = []
    for name in ("shorts_latest", "videos_latest"):
        query = {"id": owner.profile_id, "filter": name}
        while True:
            page = scraped(api, "/channel/videos/", **query)
            shown += [row["video"]["videoId"] for row in page["contents"]]
            if page["cursorNext"] is None:
                break
            query["cursorNext"] = page["cursorNext"]
    assert sorted(shown) == sorted(post.post_id for post in posts)
    details = scraped(api, "/video/details/", id=posts[0].post_id)
    assert (details["stats"]["views"], details["stats"]["likes"]) == (posts[0].views, posts[0].likes)
    channel = scraped(api, "/channel/details/", id="@" + owner.handle)
    assert channel["stats"]["subscribers"] == cast.today_of(owner).followers
    first = scraped(api, "/video/comments/", id=posts[5].post_id)
    second = scraped(api, "/video/comments/", id=posts[5].post_id, cursor=first["cursorNext"])
    ids = [row["commentId"] for page in (first, second) for row in page["comments"]]
    assert len(set(ids)) == len(ids) == 40
    answered = next(row for row in first["comments"] if row["stats"]["replies"])
    replies = scraped(api, "/video/comments/", id=posts[5].post_id, cursor=answered["cursorReplies"])
    assert len(replies["comments"]) == answered["stats"]["replies"]
    assert api.answer("GET", "/channel/details/", {"id": "UCnone"}, {}, b"").status == 404


def test_the_gateway_refuses_in_its_own_words(cast: Cast) -> None:
    api = Youtube138(cast)
    said = {
        name: (answer.status, json.loads(answer.body)["message"])
        for name, answer in {
            "none": api.refuse_token(None),
            "bad": api.refuse_token("stolen"),
            "rate": api.refuse_rate(1, of_user=True),
            "daily": api.error("daily", None),
        }.items()
        if answer is not None
    }
    assert said["none"][0] == 401
    assert said["bad"] == (403, "You are not subscribed to this API.")
    assert said["rate"] == (429, "Too many requests")
    assert "DAILY quota" in said["daily"][1]
    assert api.error("unheard", None) is None
    told = dict(api.usage(Used(Rule("youtube138", 850, 60.0), 800, 12.4)))
    assert told == {
        "x-ratelimit-requests-limit": "850", "x-ratelimit-requests-remaining": "50", "x-ratelimit-requests-reset": "12",
    }  # fmt: skip

"""The stand-in for the Graph API, of an account for its owner: media, stories, tags, comments, insights, tokens."""

import datetime as dt
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gcc.world import comments, graph_insights, insights, stories, tagging
from gcc.world.answer import Answer
from gcc.world.creators import ODD_STATES, generate
from gcc.world.graph import SOURCES, TOKENS, USER, GraphApi
from gcc.world.graph_hashtags import PER_WINDOW, RECENT
from gcc.world.graph_nodes import child_ids
from gcc.world.graph_tokens import owners
from gcc.world.model import Cast, Creator, Post
from gcc.world.names import tags
from tests.recorded import recorded

TODAY = dt.date(2026, 10, 30)
NOW = dt.datetime.combine(TODAY, dt.time(12), dt.UTC)


@pytest.fixture(scope="module")
def cast() -> Cast:
    return Cast("INSTAGRAM", generate("INSTAGRAM", 1, 80, odd=10), TODAY)


@pytest.fixture(scope="module")
def api(cast: Cast) -> GraphApi:
    return GraphApi(cast, lambda: NOW)


@pytest.fixture(scope="module")
def owner(cast: Cast) -> Creator:
    return next(creator for creator, login, _ in owners(cast) if login == "facebook")


def token_of(cast: Cast, creator: Creator) -> str:
    return next(token for each, _, token in owners(cast) if each == creator)


def answered(api: GraphApi, token: str, path: str, version: str = "v25.0", **query: str) -> Answer:
    headers = {b"host": b"127.0.0.1:8090"}
    return api.answer("GET", f"/{version}/{path}", {"access_token": token, **query}, headers, b"")


def ask(api: GraphApi, token: str, path: str, **query: str) -> Any:
    found = answered(api, token, path, **query)
    assert found.status == 200, found.body
    return json.loads(found.body)


def refusal(api: GraphApi, token: str, path: str, **query: str) -> tuple[int, int | None, str]:
    """(code, subcode, message)"""
    found = answered(api, token, path, **query)
    assert found.status >= 400, found.body
    error = json.loads(found.body)["error"]
    return error["code"], error.get("error_subcode"), error["message"]


def walk(api: GraphApi, token: str, path: str, **query: str) -> tuple[list[Any], int]:
    """All items by `after`, and how many pages were empty though more followed."""
    items: list[Any] = []
    empty = 0
    seen: set[str] = set()
    while True:
        page = ask(api, token, path, **query)
        items += page["data"]
        paging = page.get("paging", {})
        if page["data"]:
            assert paging["cursors"].keys() == {"before", "after"}  # the last page has them, too
        if "next" not in paging:
            return items, empty
        after = paging["cursors"]["after"]
        assert after not in seen
        seen.add(after)
        following = parse_qs(urlsplit(paging["next"]).query)
        assert (following["after"], following["access_token"]) == ([after], [token])
        empty += not page["data"]
        query["after"] = after


def posts_with(cast: Cast, creator: Creator, kind: str) -> list[Post]:
    return [post for post in cast.posts_of(creator) if post.kind == kind]


@pytest.mark.parametrize("limit", ["1", "3", "25"])
@pytest.mark.parametrize("edge", ["media", "stories", "tags"])
def test_edges_of_an_account_are_as_the_cast_has_them(
    cast: Cast, api: GraphApi, owner: Creator, edge: str, limit: str
) -> None:
    wanted = {
        "media": [post.post_id for post in cast.posts_of(owner)],
        "stories": [story.story_id for story in stories.stories(cast, owner)],
        "tags": [post.post_id for _, post in tagging.tagged(cast, owner)],
    }[edge]
    found, _ = walk(api, token_of(cast, owner), f"{owner.profile_id}/{edge}", limit=limit)
    assert [item["id"] for item in found] == wanted


def test_some_pages_are_empty_before_the_end(cast: Cast, api: GraphApi) -> None:
    walks = [
        walk(api, token, f"{creator.profile_id}/media", limit="2")
        for creator, login, token in owners(cast)
        if login == "facebook"
    ]
    assert sum(empty for _, empty in walks) > 3


def test_comments_and_replies_are_as_the_cast_has_them(cast: Cast, api: GraphApi, owner: Creator) -> None:
    post = min(cast.posts_of(owner), key=lambda post: abs(post.comments - 300))
    token = token_of(cast, owner)
    shown = "id,text,timestamp,username,like_count,from,replies.limit(5){id,text}"
    found, _ = walk(api, token, f"{post.post_id}/comments", limit="50", fields=shown)
    threads = comments.threads(cast, owner, post, 0, 10**9)
    assert [item["id"] for item in found] == [thread.comment_id for thread in threads]
    for item, thread in zip(found, threads, strict=True):
        assert (item["text"], item["username"]) == (thread.text, thread.actor.handle)
        assert item["from"] == {"id": thread.actor.profile_id, "username": thread.actor.handle}
        assert len(item.get("replies", {}).get("data", [])) == min(thread.replies, 5)
    popular = max(threads, key=lambda thread: thread.replies)
    replies, _ = walk(api, token, f"{popular.comment_id}/replies", limit="7", fields="id,parent_id")
    told = comments.replies(cast, owner, post, popular, 0, 10**9)
    assert replies == [{"id": reply.comment_id, "parent_id": popular.comment_id} for reply in told]
    assert ask(api, token, popular.comment_id)["text"] == popular.text


def test_media_of_an_account(cast: Cast, api: GraphApi, owner: Creator) -> None:
    token = token_of(cast, owner)
    album, reel = posts_with(cast, owner, "carousel")[0], posts_with(cast, owner, "reel")[0]
    body = ask(
        api, token, album.post_id, fields="id,media_type,like_count,saved_count,children{id,media_url,permalink}"
    )
    assert (body["media_type"], body["like_count"]) == ("CAROUSEL_ALBUM", album.likes)
    assert [child["id"] for child in body["children"]["data"]] == child_ids(cast, owner, album)
    assert all("permalink" not in child for child in body["children"]["data"])
    child = body["children"]["data"][0]["id"]
    assert ask(api, token, f"{album.post_id}/children")["data"][0] == {"id": child}
    assert ask(api, token, child, fields="media_type") == {"id": child, "media_type": "IMAGE"}
    assert refusal(api, token, f"{child}/insights", metric="reach")[0] == 100
    assert "children" not in ask(api, token, reel.post_id, fields="children")
    assert "view_count" in refusal(api, token, reel.post_id, fields="view_count")[2]


def test_a_copyrighted_reel_has_no_file(cast: Cast, api: GraphApi) -> None:
    creator, post = next((c, post) for c, _ in cast.ranked for post in cast.posts_of(c) if post.copyrighted)
    asked = f"business_discovery.username({creator.handle}){{media.limit(100){{media_url,thumbnail_url}}}}"
    media = ask(api, TOKENS[0], USER, fields=asked)["business_discovery"]["media"]["data"]
    item = next(item for item in media if item["id"] == post.post_id)
    assert item.keys() == {"id", "thumbnail_url"}
    assert any("media_url" in item for item in media)


def test_odd_states_in_business_discovery(cast: Cast, api: GraphApi) -> None:
    by_state = {creator.state: creator for creator, _ in cast.ranked}
    assert set(by_state) == {"public", *ODD_STATES}
    for state in ("private", "gone", "age_gated"):
        asked = f"business_discovery.username({by_state[state].handle}){{id}}"
        assert refusal(api, TOKENS[0], USER, fields=asked)[:2] == (110, 2207013)
    renamed, hiding = by_state["renamed"], by_state["hides_likes"]
    asked = "business_discovery.username({}){{username,media{{like_count,comments_count}}}}"
    assert refusal(api, TOKENS[0], USER, fields=asked.format(renamed.former_handles[0]))[:2] == (110, 2207013)
    found = ask(api, TOKENS[0], USER, fields=asked.format(renamed.handle))["business_discovery"]
    assert found["id"] == renamed.profile_id
    found = ask(api, TOKENS[0], USER, fields=asked.format(hiding.handle))["business_discovery"]
    assert all("like_count" not in item and "comments_count" in item for item in found["media"]["data"])


def test_an_account_is_its_owners_alone(cast: Cast, api: GraphApi, owner: Creator) -> None:
    other = next(creator for creator, _ in cast.ranked if creator != owner and creator.state == "public")
    post = cast.posts_of(other)[0]
    for token in (TOKENS[0], token_of(cast, owner)):
        assert refusal(api, token, other.profile_id, fields="username")[:2] == (100, 33)
        for edge in ("media", "stories", "tags", "insights"):
            assert refusal(api, token, f"{other.profile_id}/{edge}", metric="reach")[0] == 10
        for path in (post.post_id, f"{post.post_id}/comments", f"{post.post_id}/insights"):
            assert refusal(api, token, path, metric="reach")[:2] == (100, 33)
    assert refusal(api, TOKENS[0], "18000000000000001")[:2] == (24, 2207006)
    assert refusal(api, TOKENS[0], "17000000000000001")[:2] == (100, 33)
    assert refusal(api, token_of(cast, owner), "17841400000000777")[:2] == (100, 33)


def test_me_is_who_asks(cast: Cast, api: GraphApi, owner: Creator) -> None:
    body = ask(api, token_of(cast, owner), "me", fields="id,username,followers_count,media.limit(2){id},stories{id}")
    assert (body["id"], body["username"]) == (owner.profile_id, owner.handle)
    assert body["followers_count"] == cast.today_of(owner).followers
    assert [item["id"] for item in body["media"]["data"]] == [post.post_id for post in cast.posts_of(owner)[:2]]
    assert ask(api, TOKENS[0], "me", fields="username")["id"] == USER


@pytest.mark.parametrize(("asked", "told"), [("v15.0", "v21.0"), ("v21.0", "v21.0"), ("v25.0", "v25.0")])
def test_an_ended_version_is_answered_as_the_oldest_that_lives(
    cast: Cast, api: GraphApi, owner: Creator, asked: str, told: str
) -> None:
    found = answered(api, token_of(cast, owner), f"{owner.profile_id}/media", version=asked, limit="1")
    assert json.loads(found.body)["paging"]["next"].startswith(f"http://127.0.0.1:8090/graph/{told}/")


def test_too_large_a_page_is_too_much_data(cast: Cast, api: GraphApi, owner: Creator) -> None:
    token = token_of(cast, owner)
    assert "reduce the amount of data" in refusal(api, token, f"{owner.profile_id}/media", limit="200")[2]
    for after in ("", "x", "QVFI", "QVFI////", "QVFIMDo"):
        if after:
            assert refusal(api, token, f"{owner.profile_id}/media", after=after)[0] == 100


ACCOUNT_REFUSALS = [
    ({"metric": "reach,impressions"}, "(#100) metric[1] must be one of the following values: reach, follower_count,"),
    ({"metric": ""}, "(#100) metric[0] must be one of"),
    ({"metric": "reach,views"}, "The following metrics (views) should be specified with parameter metric_type=total_v"),
    ({"metric": "follower_count", "metric_type": "total_value"}, "(follower_count) should be specified"),
    ({"metric": "follower_demographics", "metric_type": "total_value"}, "incompatible with the period (day)"),
    ({"metric": "reach", "period": "month"}, "period must be one of"),
    ({"metric": "reach", "breakdown": "age"}, "incompatible with breakdown (age)"),
    ({"metric": "reach", "since": "2026-01-01", "until": "2026-03-01"}, "more than 30 days"),
    ({"metric": "reach", "since": "99999999999"}, "since"),
    ({"metric": "reach", "since": "last week"}, "since must be a valid time"),
]


@pytest.mark.parametrize(("query", "says"), ACCOUNT_REFUSALS)
def test_one_wrong_word_fails_a_call_for_insights(
    cast: Cast, api: GraphApi, owner: Creator, query: dict[str, str], says: str
) -> None:
    code, _, message = refusal(api, token_of(cast, owner), f"{owner.profile_id}/insights", **query)
    assert code == 100
    assert says in message


def test_insights_of_an_account(cast: Cast, api: GraphApi, owner: Creator) -> None:
    token, path = token_of(cast, owner), f"{owner.profile_id}/insights"
    days = [TODAY - dt.timedelta(days=ago) for ago in (3, 2, 1)]
    figures = [insights.account(cast, owner, day) for day in days]
    span = {"since": days[0].isoformat(), "until": TODAY.isoformat()}
    series = ask(api, token, path, metric="reach,follower_count", period="day", **span)["data"]
    assert [item["name"] for item in series] == ["reach", "follower_count"]
    for item in series:
        assert [value["value"] for value in item["values"]] == [day[item["name"]] for day in figures]
        assert item["values"][0]["end_time"] == "2026-10-28T07:00:00+0000"
    total = ask(api, token, path, metric="views,saves", metric_type="total_value", **span)["data"]
    assert [item["total_value"]["value"] for item in total] == [sum(d[n] for d in figures) for n in ("views", "saves")]
    moved = ask(
        api, token, path, metric="follows_and_unfollows", metric_type="total_value", breakdown="follow_type", **span
    )
    results = moved["data"][0]["total_value"]["breakdowns"][0]["results"]
    assert [result["value"] for result in results] == [sum(day[n] for day in figures) for n in ("follows", "unfollows")]


@pytest.mark.parametrize("part", insights.BREAKDOWNS)
def test_who_the_followers_are(cast: Cast, api: GraphApi, owner: Creator, part: insights.Breakdown) -> None:
    body = ask(
        api, token_of(cast, owner), f"{owner.profile_id}/insights",
        metric="follower_demographics", period="lifetime", metric_type="total_value", breakdown=part,
    )  # fmt: skip
    found = body["data"][0]["total_value"]["breakdowns"][0]
    assert found["dimension_keys"] == [part]
    told = {result["dimension_values"][0]: result["value"] for result in found["results"]}
    assert told == insights.demographics(cast, owner, part)


@pytest.mark.parametrize("kind", ["image", "reel"])
def test_insights_of_a_post(cast: Cast, api: GraphApi, owner: Creator, kind: str) -> None:
    token, product = token_of(cast, owner), "REELS" if kind == "reel" else "FEED"
    newest = posts_with(cast, owner, kind)[0]
    told = insights.post(owner, newest)
    body = ask(api, token, f"{newest.post_id}/insights", metric=",".join(told))
    assert {item["name"]: item["values"][0]["value"] for item in body["data"]} == told
    assert told.keys() <= set(graph_insights.MEDIA[product])
    unfit = "ig_reels_avg_watch_time" if kind == "image" else "follows"
    says = f"The Media Insights API does not support the impressions, {unfit} metric for this media product type."
    asked = f"reach,impressions,{unfit}"
    assert says in refusal(api, token, f"{newest.post_id}/insights", metric=asked)[2]
    assert "metric[0] must be one of" in refusal(api, token, f"{newest.post_id}/insights", metric="likings")[2]


def test_posts_from_before_the_business_account_have_no_insights(cast: Cast, api: GraphApi) -> None:
    owner, token = next(
        (creator, token) for creator, login, token in owners(cast)
        if login == "facebook" and cast.slot(creator) % 5 == 0
    )  # fmt: skip
    posts = cast.posts_of(owner)
    assert ask(api, token, f"{posts[0].post_id}/insights", metric="reach")["data"]
    assert refusal(api, token, f"{posts[-1].post_id}/insights", metric="reach")[:2] == (100, 2108006)


def test_insights_of_stories_seen_and_hardly_seen(cast: Cast) -> None:
    api = GraphApi(cast, lambda: NOW)
    seen = 0
    unseen = 0
    for owner, login, token in owners(cast):
        for story in stories.stories(cast, owner) if login == "facebook" else ():
            figures = graph_insights.story_figures(cast, owner, story)
            query = {"metric": "views,reach,navigation", "breakdown": "story_navigation_action_type"}
            if figures is None:
                unseen += 1
                code, subcode, message = refusal(api, token, f"{story.story_id}/insights", **query)
                assert (code, subcode) == (10, None)
                assert "Not enough viewers" in message
                continue
            seen += 1
            views, reach, navigation = ask(api, token, f"{story.story_id}/insights", **query)["data"]
            assert views["values"] == [{"value": figures["views"]}]
            assert reach["values"] == [{"value": figures["reach"]}]
            assert navigation["total_value"]["value"] == figures["navigation"]
            parts = navigation["total_value"]["breakdowns"][0]["results"]
            assert [part["value"] for part in parts] == [figures[step] for step in insights.NAVIGATION]
    assert seen
    assert unseen


def test_thirty_hashtags_in_seven_days(cast: Cast) -> None:
    now = NOW
    api = GraphApi(cast, lambda: now)

    def search(tag: str, account: str = USER) -> Answer:
        return answered(api, TOKENS[0], "ig_hashtag_search", user_id=account, q=tag)

    some = tags()[: PER_WINDOW + 1]
    assert [search(tag).status for tag in some] == [200] * PER_WINDOW + [400]
    assert json.loads(search(some[-1]).body)["error"]["code"] == 18
    assert search(some[0].upper()).status == 200  # again is free
    assert search(some[-1], account="17841400000000001").status == 200
    assert len(ask(api, TOKENS[0], f"{USER}/recently_searched_hashtags")["data"]) == PER_WINDOW
    now = NOW + dt.timedelta(days=7)
    assert search(some[-1]).status == 200
    assert json.loads(search("nobodyusesthis").body)["error"]["error_subcode"] == 2207024
    assert json.loads(search("").body)["error"]["code"] == 100


@pytest.mark.parametrize("edge", ["top_media", "recent_media"])
def test_posts_of_a_hashtag(cast: Cast, api: GraphApi, edge: str) -> None:
    node = ask(api, TOKENS[0], "ig_hashtag_search", user_id=USER, q="#reels")["data"][0]["id"]
    assert ask(api, TOKENS[0], node, fields="name") == {"id": node, "name": "reels"}
    found, _ = walk(api, TOKENS[0], f"{node}/{edge}", user_id=USER, limit="50", fields="like_count,timestamp,username")
    wanted = [post for _, post in tagging.hashtag(cast, "reels")]
    if edge == "recent_media":
        midnight = dt.datetime.combine(TODAY, dt.time(), dt.UTC)
        wanted = [post for post in wanted if post.published >= midnight - RECENT]
        assert [item["id"] for item in found] == [post.post_id for post in wanted]
    else:
        assert sorted(item["id"] for item in found) == sorted(post.post_id for post in wanted)
        assert [item["like_count"] for item in found] == sorted((p.likes for p in wanted), reverse=True)
    assert found
    assert not any("username" in item for item in found)
    assert refusal(api, TOKENS[0], f"{node}/{edge}")[0] == 100


def test_tokens_are_told_of_and_renewed(cast: Cast) -> None:
    now = NOW
    api = GraphApi(cast, lambda: now)
    owner, _, token = owners(cast)[0]
    told = ask(api, TOKENS[0], "debug_token", input_token=token)["data"]
    assert told["is_valid"]
    assert told["expires_at"] - told["issued_at"] == 60 * 86_400
    assert told["granular_scopes"][0]["target_ids"] == [owner.profile_id]
    renewed = ask(api, token, "oauth/access_token", grant_type="fb_exchange_token", fb_exchange_token=token)
    fresh = renewed["access_token"]
    assert renewed["expires_in"] == 60 * 86_400
    assert api.lets_in(fresh)
    assert ask(api, fresh, "me")["id"] == owner.profile_id
    now = NOW + dt.timedelta(days=55)
    assert not api.lets_in(token)
    assert not ask(api, fresh, "debug_token", input_token=token)["data"]["is_valid"]
    assert ask(api, fresh, "debug_token", input_token=fresh)["data"]["is_valid"]
    assert refusal(api, fresh, "oauth/access_token", grant_type="fb_exchange_token", fb_exchange_token=token)[0] == 190
    for stolen in ("stolen", f"{token}~7", f"{token}x", ""):
        assert not api.lets_in(stolen)
    assert not ask(api, token, "debug_token", input_token="stolen")["data"]["is_valid"]


def test_instagram_login_sees_itself_alone(cast: Cast) -> None:
    now = NOW
    api = GraphApi(cast, lambda: now, login="instagram")
    owner, _, token = next(each for each in owners(cast) if each[1] == "instagram")
    other = next(creator for creator, login, _ in owners(cast) if login == "facebook")
    assert api.source == SOURCES["instagram"]
    assert token in api.tokens
    assert not api.lets_in(TOKENS[0])
    assert not api.lets_in(token_of(cast, other))
    assert ask(api, token, "me", fields="user_id,username")["user_id"] == owner.profile_id
    assert len(ask(api, token, f"{owner.profile_id}/media")["data"]) == min(len(cast.posts_of(owner)), 25)
    asked = f"business_discovery.username({other.handle}){{id}}"
    assert "nonexisting field (business_discovery)" in refusal(api, token, "me", fields=asked)[2]
    query = {"grant_type": "ig_refresh_token", "access_token": token}
    fresh = json.loads(api.answer("GET", "/refresh_access_token", query, {}, b"").body)["access_token"]
    assert api.lets_in(fresh)
    assert api.answer("GET", "/refresh_access_token", query | {"access_token": fresh}, {}, b"").status == 400
    now = NOW + dt.timedelta(hours=25)
    assert api.answer("GET", "/refresh_access_token", query | {"access_token": fresh}, {}, b"").status == 200


def test_usage_headers_tell_what_was_asked(cast: Cast, owner: Creator) -> None:
    now = NOW
    api = GraphApi(cast, lambda: now, hourly_calls=10)
    token = token_of(cast, owner)

    def call(whose: str) -> tuple[int, dict[str, Any]]:
        found = answered(api, whose, "me")
        return found.status, {name: json.loads(value) for name, value in found.headers}

    for number in range(1, 6):
        status, headers = call(TOKENS[0])
        assert status == 200
        assert headers["x-app-usage"]["call_count"] == 10 * number
        assert "x-business-use-case-usage" not in headers
    now = NOW + dt.timedelta(minutes=20)
    _, headers = call(token)
    own = headers["x-business-use-case-usage"][owner.profile_id][0]
    assert (own["type"], own["call_count"], own["estimated_time_to_regain_access"]) == ("instagram", 10, 0)
    assert headers["x-app-usage"]["call_count"] == 60
    statuses = [call(token)[0] for _ in range(5)]
    assert statuses == [200, 200, 200, 403, 403]
    now = NOW + dt.timedelta(minutes=61)
    assert call(TOKENS[0])[0] == 200


SHAPES = [
    ("models/ig_comment.json", "comments", "id,like_count,media,text,timestamp,username,hidden"),
    ("models/ig_reply.json", "replies", "hidden,id,like_count,media,text,timestamp,username"),
    ("apidata/stories/stories_default.json", "stories", "id,media_type,media_url,owner,permalink,shortcode,ig_id"),
    ("apidata/users/tagged_medias.json", "tags", "id,caption,comments_count,like_count,media_url,permalink,timestamp"),
]


@pytest.mark.parametrize(("file", "edge", "fields"), SHAPES)
def test_items_have_the_keys_and_types_of_real_ones(
    cast: Cast, api: GraphApi, file: str, edge: str, fields: str
) -> None:
    real = recorded(f"instagram_graph_api/instagram/{file}")
    real = real["data"][0] if "data" in real else real
    owner = next(c for c, login, _ in owners(cast) if login == "facebook" and stories.stories(cast, c))
    post = max(cast.posts_of(owner), key=lambda post: post.comments)
    thread = next(each for each in comments.threads(cast, owner, post, 0, 100) if each.replies)
    node = {"comments": post.post_id, "replies": thread.comment_id}.get(edge, owner.profile_id)
    item = ask(api, token_of(cast, owner), f"{node}/{edge}", fields=fields)["data"][0]
    assert {name: type(item[name]) for name in fields.split(",")} == {
        name: type(real[name]) for name in fields.split(",")
    }


NASTY = [
    "id", "me/", "me/media/x", "../me", "me%00", "17" * 200, "18" + "9" * 15, "1", "0", "debug_token/x", "oauth",
    "ig_hashtag_search/x", "²" * 17,
]  # fmt: skip


@pytest.mark.parametrize("path", NASTY)
@pytest.mark.parametrize("query", [{}, {"fields": "insights.metric(x)"}, {"fields": "media.limit(x){y}", "limit": "²"}])
def test_whatever_a_caller_sends_has_an_answer(
    cast: Cast, api: GraphApi, owner: Creator, path: str, query: dict[str, str]
) -> None:
    found = answered(api, token_of(cast, owner), path, **query)
    assert found.status in (200, 400)
    assert json.loads(found.body)

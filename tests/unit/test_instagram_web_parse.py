"""Each shape of Instagram's web and private answers as snapshots: recorded ones, and those of the five scrapers."""

import copy
import datetime as dt
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gcc.errors import GccError
from gcc.sources.instagram_web import parse
from gcc.sources.paging import Page
from gcc.sources.snapshot import Person, PostSnapshot, ProfileSnapshot, Relation
from gcc.sources.verdicts import NotFound, OddAnswer
from tests.recorded import recorded
from tests.unit.mutated_json import ANYTHING, mutated
from tests.unit.storable import check_storable, check_value

AT = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)
ME = Person("9", "me")
TAKEN_AT = dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC)

Parse = Callable[[Any], Any]
PARSERS: dict[str, Parse] = {
    "profile": lambda answer: parse.profile(answer, "lama", AT, "me"),
    "posts": lambda answer: parse.posts(answer, "lama", AT, ME),
    "tagged": lambda answer: parse.tagged(answer, "lama", AT),
    "hashtag": lambda answer: parse.hashtag(answer, "lama", AT),
    "post": lambda answer: parse.post(answer, "lama", AT, ME),
    "stories": lambda answer: parse.stories(answer, "lama", AT, ME),
    "followers": lambda answer: parse.followers(answer, "lama", AT, ME),
    "following": lambda answer: parse.following(answer, "lama", AT, ME),
    "people": lambda answer: parse.people(answer, "lama"),
    "likers": lambda answer: parse.likers(answer, "lama", AT, "7", "Cx"),
    "comments": lambda answer: parse.comments(answer, "lama", AT, "7", "Cx"),
}


def facts(found: Any) -> dict[str, Any]:
    """What is told of a thing, flat: its fields, metrics and dimensions."""
    shown = {
        each.name: getattr(found, each.name) for each in fields(found) if each.name not in ("metrics", "dimensions")
    }
    return {**shown, **found.dimensions, **found.metrics}


WEB = "instagram_web"
LOOTER = "instagram_rapidapi/looter2"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            f"{WEB}/profile.json",
            {"profile_id": "1518284433", "handle": "robertdowneyjr", "followers": 52979346, "following": 5,
             "media_count": 419, "category": "Artist", "is_verified": True, "is_business": True, "website": None},
        ),
        (
            f"{WEB}/profile-alternative.json",
            {"profile_id": "1518284433", "followers": 50857062, "following": 4, "media_count": 400,
             "website": "http://www.swau.com/RDJ", "is_private": False, "usertags_count": 671305},
        ),
        (f"{WEB}/profile-id.json", {"profile_id": "3", "handle": "kevin", "followers": None, "bio": None}),
        (f"{WEB}/live.json", {"profile_id": "184263228", "handle": "pgrimaud", "is_private": True}),
        (
            f"{LOOTER}/user-info/response.json",
            {"profile_id": "72741069431", "followers": 108221, "following": 54, "media_count": 34,
             "category": "Public figure", "is_business": False},
        ),
    ],
)  # fmt: skip
def test_recorded_profiles(name: str, expected: dict[str, Any]) -> None:
    found = facts(PARSERS["profile"](recorded(name)))
    assert expected.items() <= found.items()
    assert found["notes"] == []


@pytest.mark.parametrize(
    ("name", "parser", "count", "first"),
    [
        (f"{WEB}/medias.json", "posts", 12, {"post_id": "2224305748263047050", "shortcode": "B7eUksNFA-K",
            "likes": 695047, "comments": 1939, "views": 2726827, "post_type": "video", "handle": "robertdowneyjr"}),
        (f"{WEB}/reels.json", "posts", 12, {"post_id": "2589531623544609760", "shortcode": "CPv3UqsBFvg",
            "likes": 16965, "views": 100856, "plays": 401421, "post_type": "reels", "profile_id": "3171067"}),
        (f"{WEB}/timeline.json", "posts", 12, {"post_id": "2822243923248759214", "likes": 660599, "comments": 1092,
            "post_type": "carousel", "views": None, "handle": "marvelstudios"}),
        # its numbers beyond 2^53 are rounded: only the id's text is the post's
        (f"{LOOTER}/posts/response.json", "posts", 12, {"post_id": "3722942542216596724", "shares": 49, "reposts": 3,
            "likes": 941, "plays": None, "post_type": "reels", "shortcode": "DOqjIRkAoz0"}),
        (f"{WEB}/tagged-medias.json", "tagged", 10, {"post_id": "2648326015839115937", "likes": 1103884,
            "hashtags": ["whatsyourx"], "profile_id": "1518284433"}),
        (f"{WEB}/hashtag.json", "hashtag", 43, {"post_id": "2498383483036303865", "likes": 0, "handle": ""}),
        (f"{WEB}/hashtag-2.json", "hashtag", 20, {"post_id": "2498725976956626429", "likes": 4, "comments": 0}),
        (f"{WEB}/stories.json", "stories", 1, {"post_id": "2313478624923545316", "post_type": "story",
            "handle": "starwars", "expires_at": "2020-05-21T20:56:02+00:00"}),
        (f"{WEB}/highlights-stories.json", "stories", 50, {"post_id": "2312546210158288428",
            "handle": "statement.paris"}),
    ],
)  # fmt: skip
def test_recorded_lists_of_posts(name: str, parser: str, count: int, first: dict[str, Any]) -> None:
    page: Page[PostSnapshot] = PARSERS[parser](recorded(name))
    assert len(page.items) == count
    assert first.items() <= facts(page.items[0]).items()
    assert (page.after is None) == (parser == "stories")
    assert list(page.notes) == []
    assert page.partial is None
    assert all(post.publish_time and post.dimensions["thumbnail_url"] for post in page.items)


@pytest.mark.parametrize(
    ("name", "likes", "post_type"),
    [("media", 820750, "carousel"), ("media-2", 600190, "video"), ("media-3", 1246110, "carousel")],
)
def test_recorded_posts(name: str, likes: int, post_type: str) -> None:
    found = facts(PARSERS["post"](recorded(f"{WEB}/{name}.json")))
    assert (found["likes"], found["post_type"], found["handle"]) == (likes, post_type, "jlo")
    assert found["thumbnail_url"].startswith("https://")


def test_recorded_people_and_comments() -> None:
    likers = PARSERS["likers"](recorded("instagram_rapidapi/graphql_shortcode_media.json"))
    assert len(likers.items) == 20
    assert likers.after
    assert likers.items[0].activity_id == "7:46907128"
    assert likers.items[0].actor.handle == "briana1872"
    said = PARSERS["comments"](recorded(f"{WEB}/media-comments.json"))
    assert len(said.items) == 12
    assert (said.items[0].activity_id, said.items[0].dimensions["text"]) == ("17969014687354566", "Good themw")
    assert said.items[0].actor.handle == "myself_walker"
    related = PARSERS["people"](recorded(f"{LOOTER}/related-creators/response.json"))
    assert len(related.items) == 80


@pytest.mark.parametrize("name", ["login-success", "login-error", "unfollow", "checkpoint/challenge-done"])
@pytest.mark.parametrize("parser", [name for name in PARSERS if name != "people"])
def test_an_answer_to_something_else_is_odd(name: str, parser: str) -> None:
    with pytest.raises(OddAnswer, match=r"lama: \$"):
        PARSERS[parser](recorded(f"{WEB}/{name}.json"))


# The scrapers' shapes, each as short as it can be.

USER = {"pk": 5, "username": "tea", "full_name": "Tea", "follower_count": 12, "following_count": 3, "media_count": 4}
MEDIA = {"pk": 81, "id": "81_5", "code": "Cab", "taken_at": 1700000000, "media_type": 8, "like_count": 6,
         "comment_count": 2, "caption": {"text": "hi #tea"}, "user": {"pk": 5, "username": "tea"},
         "image_versions2": {"candidates": [{"url": "https://i/1"}]}}  # fmt: skip
NODE = {"id": "81", "shortcode": "Cab", "taken_at_timestamp": 1700000000, "__typename": "GraphSidecar",
        "edge_media_preview_like": {"count": 6}, "edge_media_to_comment": {"count": 2}, "display_url": "https://i/1",
        "edge_media_to_caption": {"edges": [{"node": {"text": "hi #tea"}}]},
        "owner": {"id": "5", "username": "tea"}}  # fmt: skip
FLAT = {"pk": "81", "id": "81_5", "code": "Cab", "taken_at": "2023-11-14T22:13:20Z", "media_type": 8, "like_count": 6,
        "comment_count": 2, "caption_text": "hi #tea", "user": {"pk": "5", "username": "tea"},
        "thumbnail_url": "https://i/1"}  # fmt: skip
OF_2016 = {"id": "81_5", "code": "Cab", "created_time": "1700000000", "__typename": "GraphSidecar",
           "caption": {"text": "hi #tea"}, "likes": {"data": [], "count": 6}, "comments": {"data": [], "count": 2},
           "images": {"standard_resolution": {"url": "https://i/1"}},
           "user": {"id": "5", "username": "tea"}}  # fmt: skip
WEB_USER = {"id": "5", "username": "tea", "full_name": "Tea", "edge_followed_by": {"count": 12},
            "edge_follow": {"count": 3}, "edge_owner_to_timeline_media": {"count": 4}}  # fmt: skip


def rocket(body: Any) -> Any:
    return {"status": "done", "response": {"status_code": 200, "content_type": "application/json", "body": body}}


def edges(*nodes: Any, more: str | None = "c2") -> Any:
    page_info = {"has_next_page": more is not None, "end_cursor": more or ""}
    return {"count": 900, "page_info": page_info, "edges": [{"node": node} for node in nodes]}


@pytest.mark.parametrize(
    "answer",
    [
        USER,
        {"user": USER, "status": "ok"},
        {"data": {"user": WEB_USER}, "status": "ok"},
        {"graphql": {"user": WEB_USER}},
        WEB_USER,
        rocket({"user": USER, "status": "ok"}),
        rocket({"data": {"user": WEB_USER}, "status": "ok"}),
        {"data": {"xdt_api__v1__users__web_profile": {"user": {**USER, "pk": "5", "id": "5"}}}},
        {"response": {"user": USER}},
        {"data": {"fetch__XDTUserDict": USER}},
        {"data": {"__typename": "Query", "1$fetch__XDTUserDict(data:$data,id:$id)": USER}},
        {"data": {"1$multifetch__XDTUserDict(ids:$ids)": [{"node": USER}]}},
        {**USER, "follower_count": 12.0, "media_count": "4"},
    ],
)
def test_profiles_of_the_scrapers(answer: Any) -> None:
    found = facts(PARSERS["profile"](answer))
    expected = {"profile_id": "5", "handle": "tea", "followers": 12, "following": 3, "media_count": 4, "posts": []}
    assert expected.items() <= found.items()


@pytest.mark.parametrize("fbid", [17841400000000017, "17841400000000017"])
def test_the_id_of_the_graph_api_is_a_text_however_it_is_written(fbid: Any) -> None:
    assert PARSERS["profile"]({**USER, "fbid_v2": fbid}).dimensions["fbid"] == "17841400000000017"


def test_a_profile_of_2016_with_its_posts() -> None:
    post = {"id": "81", "code": "Cab", "date": 1700000000, "caption": "hi #tea", "display_src": "https://i/1",
            "likes": {"count": 6}, "comments": {"count": 2}, "is_video": True, "video_views": 9}  # fmt: skip
    user = {"id": "5", "username": "tea", "followed_by": {"count": 12}, "follows": {"count": 3},
            "media": {"count": 4, "nodes": [post], "page_info": {"has_next_page": False}}}  # fmt: skip
    found = PARSERS["profile"]({"user": user, "logging_page_id": "profilePage_5"})
    assert {"followers": 12, "following": 3, "media_count": 4}.items() <= found.metrics.items()
    assert ([each.metrics["views"] for each in found.posts], found.notes) == ([9], [])


@pytest.mark.parametrize(
    ("answer", "after"),
    [
        ({"items": [MEDIA], "more_available": True, "next_max_id": "c2"}, "c2"),
        ({"items": [MEDIA], "more_available": False, "next_max_id": "c2"}, None),
        ({"items": [{"media": MEDIA}], "paging_info": {"max_id": "c2", "more_available": True}}, "c2"),
        ({"items": [{"media": MEDIA}], "paging_info": {"max_id": "", "more_available": False}}, None),
        ({"data": {"user": {"edge_owner_to_timeline_media": edges(NODE)}}, "status": "ok"}, "c2"),
        ({"data": {"user": {"edge_owner_to_timeline_media": edges(NODE, more=None)}}, "status": "ok"}, None),
        (rocket({"items": [MEDIA], "more_available": True, "next_max_id": 77}), "77"),
        ([[FLAT], "c2"], "c2"),
        ([[FLAT], ""], None),
        ([[FLAT], None], None),
        ([FLAT], None),
        ({"data": {"xdt_api__v1__feed__user_timeline_graphql_connection": edges(MEDIA)}}, "c2"),
        ({"response": {"items": [MEDIA], "next_max_id": None}, "next_page_id": "c2"}, "c2"),
        ({"posts": [{"node": MEDIA}], "next_cursor": "c2"}, "c2"),
        ({"data": {"items": [MEDIA]}, "pagination_token": "c2"}, "c2"),
        ({"items": [OF_2016], "more_available": True, "next_max_id": "c2"}, "c2"),
        (
            {
                "data": {
                    "items": [
                        {
                            **MEDIA,
                            "like_count": None,
                            "comment_count": None,
                            "metrics": {"like_count": 6, "comment_count": 2},
                        }
                    ]
                }
            },
            None,
        ),
    ],
)
def test_posts_of_the_scrapers(answer: Any, after: str | None) -> None:
    page = PARSERS["posts"](answer)
    (found,) = map(facts, page.items)
    expected = {"post_id": "81", "shortcode": "Cab", "profile_id": "5", "handle": "tea", "likes": 6, "comments": 2,
                "caption": "hi #tea", "hashtags": ["tea"], "post_type": "carousel", "thumbnail_url": "https://i/1",
                "publish_time": TAKEN_AT,
                "permalink": "https://www.instagram.com/p/Cab/"}  # fmt: skip
    assert expected.items() <= found.items()
    assert (page.after, page.partial, list(page.notes)) == (after, None, [])


@pytest.mark.parametrize(
    "answer",
    [
        {"items": [MEDIA], "num_results": 1, "more_available": False},
        NODE,
        MEDIA,
        FLAT,
        {"data": {"shortcode_media": NODE}},
        {"data": {"xdt_shortcode_media": NODE}},
        {"data": {"xdt_api__v1__media__shortcode__web_info": {"items": [MEDIA]}}},
        {"graphql": {"shortcode_media": NODE}},
        {"media_or_ad": MEDIA, "status": "ok"},
        rocket({"items": [MEDIA]}),
    ],
)
def test_one_post_of_the_scrapers(answer: Any) -> None:
    found = facts(PARSERS["post"](answer))
    assert {"post_id": "81", "shortcode": "Cab", "likes": 6, "profile_id": "5"}.items() <= found.items()


STORY = {**MEDIA, "expiring_at": 1700086400}


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        ({"reels": {"5": {"items": [STORY], "user": USER}}, "status": "ok"}, 1),
        ({"data": {"xdt_api__v1__feed__reels_media__connection": edges({"items": [STORY], "user": USER})}}, 1),
        ({"reels": {"5": None}}, 0),
        ({"reels": {}}, 0),
        ({"reel": None, "status": "ok"}, 0),
        ({"reel": {"items": [STORY], "user": USER}}, 1),
        (rocket({"reels": {"5": {"items": [STORY, {**STORY, "id": "83"}], "user": USER}}}), 2),
        ([STORY], 1),
        ([], 0),
    ],
)
def test_stories_of_the_scrapers(answer: Any, count: int) -> None:
    page = PARSERS["stories"](answer)
    assert [post.dimensions["post_type"] for post in page.items] == ["story"] * count
    assert all(post.dimensions["expires_at"] == "2023-11-15T22:13:20+00:00" for post in page.items)


@pytest.mark.parametrize("parser", ["followers", "following"])
@pytest.mark.parametrize(
    ("answer", "after", "partial"),
    [
        ({"data": {"user": {"edge_followed_by": edges(WEB_USER), "edge_follow": edges(WEB_USER)}}}, "c2", None),
        (rocket({"users": [USER], "big_list": True, "next_max_id": "c2"}), "c2", None),
        (rocket({"users": [USER], "big_list": False, "next_max_id": None}), None, None),
        ({"users": [USER], "big_list": True}, None, "it says that there is more, and names no way there"),
        ([[USER], "c2"], "c2", None),
        ([[USER], ""], None, None),
        (
            {"response": {"users": [USER], "next_max_id": None, "should_limit_list_of_followers": True}},
            None,
            "it shows a part of this list only",
        ),
        ({"data": [USER]}, None, None),
    ],
)
def test_who_follows_whom(parser: str, answer: Any, after: str | None, partial: str | None) -> None:
    page = PARSERS[parser](copy.deepcopy(answer))
    (found,) = page.items
    theirs, mine = (found.person, found.target) if parser == "followers" else (found.target, found.person)
    assert (theirs.profile_id, theirs.handle, theirs.dimensions["full_name"]) == ("5", "tea", "Tea")
    assert mine == ME
    assert (page.after, page.partial) == (after, partial)


def test_a_page_of_seven_thousand_followers_is_read_whole() -> None:
    users = [{"pk": number, "username": f"u{number}"} for number in range(1, 7001)]
    page = PARSERS["followers"]({"users": users})
    assert len(page.items) == 7000
    assert page.after is None


SAID = {"pk": "31", "text": "nice", "created_at_utc": 1700000000, "comment_like_count": 4, "user": USER}
ANSWER = {"pk": "32", "text": "thanks", "created_at": 1700000001, "user": USER}


@pytest.mark.parametrize(
    "answer",
    [
        {"comments": [{**SAID, "preview_child_comments": [ANSWER]}], "next_min_id": "c2"},
        {"data": {"shortcode_media": {"edge_media_to_parent_comment": edges(
            {"id": "31", "text": "nice", "created_at": 1700000000, "owner": {"id": "5", "username": "tea"},
             "edge_liked_by": {"count": 4}, "edge_threaded_comments": edges(
                 {"id": "32", "text": "thanks", "owner": {"id": "5", "username": "tea"}})})}}},
        {"response": {"comments": [SAID, {**ANSWER, "parent_comment_id": "31"}]}, "next_page_id": "c2"},
    ],
)  # fmt: skip
def test_comments_of_the_scrapers(answer: Any) -> None:
    page = PARSERS["comments"](answer)
    said, answered = page.items
    assert (said.activity_id, said.dimensions, said.metrics["likes"]) == ("31", {"text": "nice", "parent_id": None}, 4)
    assert answered.dimensions == {"text": "thanks", "parent_id": "31"}
    assert said.actor.handle == answered.actor.handle == "tea"
    assert (said.post_id, said.shortcode, said.kind, page.after) == ("7", "Cx", "comment", "c2")


@pytest.mark.parametrize(
    "tags",
    [
        {"usertags": {"in": [{"user": {"pk": 6, "username": "cup"}, "position": [0.5, 0.5]}]}},
        {"usertags": [{"user": {"pk": "6", "username": "cup"}, "x": 0.5, "y": 0.5}]},
        {"edge_media_to_tagged_user": edges({"user": {"id": "6", "username": "cup"}, "x": 0.5})},
    ],
)
def test_whom_a_post_was_made_with_and_for(tags: dict[str, Any]) -> None:
    more = {"coauthor_producers": [{"pk": 7, "username": "pot"}], "is_paid_partnership": True, "video_duration": 60.1}
    told = PARSERS["post"]({**MEDIA, **tags, **more}).dimensions
    expected = {"collaborators": ["pot"], "tagged": ["cup"], "paid_partnership": True, "duration_s": 60.1}
    assert expected.items() <= told.items()
    nothing = {"usertags": None, "coauthor_producers": [], "is_paid_partnership": False, "video_duration": 0.0}
    assert expected.keys().isdisjoint(PARSERS["post"]({**MEDIA, **nothing}).dimensions)


def test_a_hashtag_in_rows_of_a_page() -> None:
    row = {"layout_type": "media_grid", "layout_content": {"medias": [{"media": MEDIA}], "fill_items": []}}
    page = PARSERS["hashtag"]({"data": {"recent": {"sections": [row], "more_available": True, "next_max_id": "c2"}}})
    assert [post.post_id for post in page.items] == ["81"]
    assert page.after == "c2"


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"edge_media_preview_like": {"count": -1}}, "likes", None),
        ({"edge_media_preview_like": {"count": "6"}}, "likes", 6),
        ({"edge_media_preview_like": None, "edge_liked_by": {"count": 9}}, "likes", 9),
        ({"edge_media_preview_like": None}, "likes", None),
        ({"video_view_count": 5, "is_video": True, "__typename": None}, "post_type", "video"),
        ({"product_type": "clips"}, "permalink", "https://www.instagram.com/reel/Cab/"),
        ({"edge_media_to_caption": {"edges": []}}, "caption", None),
        ({"view_count": 0, "play_count": 0, "__typename": "GraphImage"}, "views", None),
        ({"view_count": 0, "play_count": 16033, "product_type": "clips"}, "views", 16033),
        ({"video_view_count": 0, "is_video": True, "__typename": None}, "views", None),  # but it has likes
        (
            {
                "video_view_count": 0,
                "is_video": True,
                "__typename": None,
                "edge_media_preview_like": {"count": 0},
                "edge_media_to_comment": {"count": 0},
            },
            "views",
            0,
        ),
        ({"taken_at_timestamp": 1700000000.5}, "publish_time", TAKEN_AT),
        ({"taken_at_timestamp": "1700000000500"}, "publish_time", TAKEN_AT),
        (
            {"taken_at_timestamp": 1700000000500000},
            "publish_time",
            TAKEN_AT,
        ),
        ({"some_new_count": 3}, "some_new_count", 3),
        ({"taken_at_timestamp": 0}, "publish_time", None),
    ],
)
def test_single_values(change: dict[str, Any], field: str, value: Any) -> None:
    page = PARSERS["posts"]({"edges": [{"node": {**NODE, **change}}]})
    assert facts(page.items[0])[field] == value
    assert list(page.notes) == []


@pytest.mark.parametrize(
    ("parser", "answer", "code"),
    [
        ("profile", {"data": {"user": None}, "status": "ok"}, "PROFILE_NOT_FOUND"),
        ("posts", {"data": {"user": None}, "status": "ok"}, "PROFILE_NOT_FOUND"),
        ("post", {"data": {"shortcode_media": None}}, "POST_NOT_FOUND"),
        ("comments", {"data": {"xdt_shortcode_media": None}}, "POST_NOT_FOUND"),
        ("hashtag", {"data": {"hashtag": None}}, "HASHTAG_NOT_FOUND"),
    ],
)
def test_null_is_absent(parser: str, answer: Any, code: str) -> None:
    with pytest.raises(NotFound) as absent:
        PARSERS[parser](answer)
    assert absent.value.code == code


@pytest.mark.parametrize(
    ("parser", "answer", "path"),
    [
        ("profile", {}, r"\$\.user"),
        ("profile", {"user": {"username": "tea"}}, r"\$\.user\.pk_id"),
        ("profile", {"user": {"username": "tea", "pk": "tea"}}, r"\$\.user\.pk_id"),
        ("posts", {"data": {"user": {"edge_owner_to_timeline_media": {"count": 4}}}}, r"\$\.data"),
        ("posts", {"items": [{}, {"id": None}]}, r"\$\.items\[1\]\.id"),
        ("followers", {"data": {"user": {"edge_followed_by": {"count": 4}}}}, r"\$"),
        ("post", {"items": []}, r"\$\.items"),
        ("posts", "text", r"\$"),
        ("profile", 7, r"\$"),
    ],
)
def test_without_what_was_asked_for_it_is_odd(parser: str, answer: Any, path: str) -> None:
    with pytest.raises(OddAnswer, match=path):
        PARSERS[parser](answer)


def test_what_is_odd_is_noted_by_its_path_and_left_out() -> None:
    page = PARSERS["posts"]({"items": [MEDIA, 5, {"code": "x"}, {**MEDIA, "id": "82_5", "like_count": "many"}]})
    assert [post.post_id for post in page.items] == ["81", "82"]
    assert [note.partition(" ")[0].removeprefix("lama:") for note in page.notes][:1] == ["$.items[1]"]
    assert any("$.items[2].id" in note for note in page.notes)
    assert any("$.items[3].like_count" in note for note in page.notes)


FUZZED: list[tuple[str, Any]] = [
    ("profile", {"user": {**USER, "hd_profile_pic_url_info": {"url": "https://i/1"}}, "status": "ok"}),
    ("profile", rocket({"data": {"user": {**WEB_USER, "edge_owner_to_timeline_media": edges(NODE)}}})),
    ("posts", {"items": [{"media": MEDIA}], "paging_info": {"max_id": "c2", "more_available": True}}),
    ("posts", [[FLAT], "c2"]),
    (
        "hashtag",
        {"data": {"hashtag": {"edge_hashtag_to_media": edges(NODE), "edge_hashtag_to_top_posts": edges(NODE)}}},
    ),
    ("tagged", {"data": {"user": {"edge_user_to_photos_of_you": edges(NODE)}}}),
    ("post", {"data": {"xdt_shortcode_media": NODE}}),
    ("stories", {"reels": {"5": {"items": [STORY], "user": USER}}}),
    ("followers", rocket({"users": [USER], "big_list": True, "next_max_id": "c2"})),
    ("following", {"data": {"user": {"edge_follow": edges(WEB_USER)}}}),
    ("likers", {"data": {"shortcode_media": {"edge_liked_by": edges(WEB_USER)}}}),
    ("comments", {"comments": [{**SAID, "preview_child_comments": [ANSWER]}], "next_min_id": "c2"}),
]


@pytest.mark.parametrize(("parser", "answer"), FUZZED)
@given(st.data())
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
def test_a_mutated_answer_is_a_value_or_a_verdict(parser: str, answer: Any, data: st.DataObject) -> None:
    fed = data.draw(mutated(answer))
    try:
        found = PARSERS[parser](fed)
    except GccError as verdict:
        assert "$" in str(verdict) or isinstance(verdict, NotFound)
        return
    if isinstance(found, ProfileSnapshot):
        check_storable(found)
    check_value(list(found.notes if isinstance(found, Page) else ()))
    for thing in [found] if isinstance(found, PostSnapshot) else getattr(found, "items", ()):
        for told in thing, *(getattr(thing, name, ME) for name in ("person", "target", "actor")):
            if not isinstance(told, Relation):
                check_value(dict(told.dimensions))
                assert all(number is None or 0 <= number < 2**63 for number in told.metrics.values())


@pytest.mark.parametrize("parser", PARSERS)
@given(ANYTHING)
def test_anything_is_a_value_or_a_verdict(parser: str, answer: Any) -> None:
    try:
        PARSERS[parser](answer)
    except GccError as verdict:
        assert "$" in str(verdict) or isinstance(verdict, NotFound)

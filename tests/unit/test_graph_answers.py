"""The Graph API's lists, comments, hashtags and insights: every form they come in, mutated, and as recorded."""

import datetime as dt
import json
import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcc.sources.fields import ID_CHARS_MAX
from gcc.sources.instagram import graph_parse
from gcc.sources.instagram.graph_metrics import ACCOUNT, FEED, METRICS, REELS, STORY, calls, version_of
from gcc.sources.paging import Page
from gcc.sources.snapshot import Activity, PostSnapshot
from gcc.sources.verdicts import OddAnswer
from tests.recorded import FOLDER, recorded
from tests.unit.mutated_json import ANYTHING, mutated
from tests.unit.test_graph_parse import AT, media

IN = "instagram_graph_api/instagram"


def posts(decoded: Any, **whose: str) -> Page[PostSnapshot]:
    return graph_parse.posts(decoded, AT, **whose)


def comments(decoded: Any, **under: str) -> Page[Activity]:
    return graph_parse.comments(decoded, AT, **under)


# The forms of a list, and where it ends.


@pytest.mark.parametrize(
    "decoded",
    [
        {"data": [media(1), media(2)]},
        {"18001": media(1), "18002": media(2)},
        {"data": [media(1), 7, {"id": None}, media(2)]},
    ],
)
def test_the_forms_of_a_list(decoded: Any) -> None:
    assert [post.post_id for post in posts(decoded).items] == ["18001", "18002"]


@pytest.mark.parametrize("decoded", [media(1), {"mentioned_media": media(1), "id": "17"}])
def test_the_forms_of_one(decoded: Any) -> None:
    assert [post.post_id for post in posts(decoded).items] == ["18001"]


@pytest.mark.parametrize(
    ("decoded", "path"),
    [
        ({}, r"\$\.data should be a list, got None"),
        ({"data": {}}, r"\$\.data should be a list, got an object"),
        ({"a": 1}, r"\$\.data should be a list"),
        ([], r"\$ should be an object"),
    ],
)
@pytest.mark.parametrize("parse", [posts, comments, graph_parse.hashtag_ids, graph_parse.insights])
def test_what_is_no_list_is_odd(parse: Callable[[Any], Any], decoded: Any, path: str) -> None:
    with pytest.raises(OddAnswer, match=path):
        parse(decoded)


@pytest.mark.parametrize(
    ("paging", "after", "partial"),
    [
        ({"cursors": {"after": "M"}, "next": "u"}, "M", None),
        ({"cursors": {"after": "M"}, "previous": "u"}, None, None),
        ({"cursors": {"before": "a", "after": "b"}}, None, None),
        ({"next": "https://graph.example/v/17/media?access_token=T&access_token=T&limit=2&after=abc%3D"}, "abc=", None),
        ({"next": "https://graph.example/?since=1&access_token=T"}, None, "a next page is named, but no cursor"),
        ({"next": "http://[", "cursors": 7}, None, "a next page is named, but no cursor"),
        ({"next": "", "cursors": {"after": "M"}}, None, None),
        ({"next": 7}, None, None),
        (None, None, None),
        ("x", None, None),
    ],
)
@pytest.mark.parametrize("data", [[], [media(1)]])
def test_only_an_absent_next_ends_a_list(data: list[Any], paging: Any, after: str | None, partial: str | None) -> None:
    page = posts({"data": data, "paging": paging})
    assert page.after == after
    assert (page.partial or "").startswith(partial or "") and (page.partial is None) == (partial is None)


@pytest.mark.parametrize(
    ("paging", "after"),
    [
        ({"cursors": {"after": "QVFI_abc-="}}, "QVFI_abc-="),
        ({"cursors": {"before": "b"}}, None),
        ({}, None),
        ({"cursors": {"after": "x){id},media.limit(9"}}, None),
        ({"cursors": {"after": "a b"}}, None),
        ({"cursors": {"after": ""}}, None),
    ],
)
def test_pages_of_business_discovery_name_their_cursor_alone(paging: Any, after: str | None) -> None:
    """And one that would end its place in the field expression is none."""
    found = {"business_discovery": {"id": "9", "media": {"data": [media(1)], "paging": paging}}, "id": "17"}
    page = graph_parse.discovered_posts(found, "made.up", AT)
    assert (page.after, [(post.profile_id, post.handle) for post in page.items]) == (after, [("9", "made.up")])


# Media.


def test_what_is_hidden_is_absent_and_what_is_new_is_kept_under_its_name() -> None:
    told = media(
        1, view_count=90, saved_count=3, shares_count=4, reposts_count=5, total_like_count=120, total_views_count=200,
        quoted_count=6, is_comment_enabled=True, alt_text="rain", ig_id="262", thumbnail_url="https://cdn.example/t.jpg",
        boost_eligibility_info={"eligible_to_boost": True, "left": 2}, owner={"id": "17", "username": "own.er"},
        collaborators={"data": [{"id": "1", "username": "some.one"}]}, children={"data": [{"id": "5"}, {"id": "6"}]},
    )  # fmt: skip
    del told["like_count"], told["comments_count"]
    (post,) = posts(told).items
    assert (post.profile_id, post.handle) == ("17", "own.er")
    assert post.metrics == {
        "likes": None, "comments": None, "views": 90, "plays": 90, "saved": 3, "shares": 4, "reposts": 5,
        "total_like_count": 120, "total_views_count": 200, "quoted_count": 6, "boost_eligibility_info.left": 2,
    }  # fmt: skip
    assert post.dimensions["thumbnail_url"] == "https://cdn.example/t.jpg"
    assert post.dimensions["media_url"] == "https://cdn.example/1.jpg"
    assert post.dimensions["children"] == ["5", "6"]
    assert post.dimensions["collaborators"] == ["some.one"]
    more = {"is_comment_enabled": True, "alt_text": "rain", "boost_eligibility_info.eligible_to_boost": True}
    assert more.items() <= post.dimensions.items()


def test_media_without_a_file_have_what_they_have() -> None:
    """As airbyte#1814 met one, and as those with music come."""
    (bare,) = posts({"data": [{"id": "1", "media_type": "VIDEO"}]}, profile_id="17", handle="own.er").items
    assert (bare.profile_id, bare.handle, bare.shortcode, bare.publish_time) == ("17", "own.er", "1", None)
    assert set(bare.metrics.values()) == {None}
    assert bare.dimensions["thumbnail_url"] is None
    (music,) = posts({"id": "1", "thumbnail_url": "t"}).items
    assert music.dimensions["thumbnail_url"] == "t" and "media_url" not in music.dimensions


@pytest.mark.parametrize(
    ("fields", "post_type"),
    [
        ({"media_type": "IMAGE", "media_product_type": "STORY"}, "story"),
        ({"media_type": "VIDEO", "media_product_type": "REELS"}, "reels"),
        ({"media_type": "VIDEO", "media_product_type": "AD"}, "video"),
    ],
)
def test_types_of_media(fields: dict[str, Any], post_type: str) -> None:
    assert posts(media(1, **fields)).items[0].dimensions["post_type"] == post_type


def test_insights_that_came_with_a_media_are_its_own() -> None:
    told = media(1, insights={"data": [{"name": "reach", "values": [{"value": 7}]}]})
    assert posts(told).items[0].metrics["reach"] == 7


# Comments.

COMMENT = {
    "id": "178", "text": "so @nice", "timestamp": "2026-10-29T18:30:00+0000", "username": "some.one", "like_count": 2,
    "from": {"id": "42", "username": "some.one", "self_ig_scoped_id": "43"}, "user": {"id": "44"}, "hidden": False,
    "media": {"id": "18001", "shortcode": "C_a-1", "media_product_type": "FEED"}, "legacy_instagram_comment_id": "9",
    "replies": {"data": [
        {"id": "179", "text": "thanks", "timestamp": "2026-10-29T19:30:00+0000", "username": "own.er"},
        {"id": "180", "text": "no", "parent_id": "179"},
    ]},
}  # fmt: skip


def test_a_comment_with_its_replies() -> None:
    page = comments({"data": [COMMENT]}, post_id="0", profile_id="17")
    first, second, third = page.items
    assert (first.activity_id, first.kind, first.post_id, first.shortcode) == ("178", "comment", "18001", "C_a-1")
    assert (first.profile_id, first.actor.profile_id, first.actor.handle) == ("17", "42", "some.one")
    assert first.publish_time == dt.datetime(2026, 10, 29, 18, 30, tzinfo=dt.UTC)
    assert first.metrics == {"likes": 2, "replies": 2}
    assert first.dimensions == {
        "text": "so @nice", "hidden": False, "legacy_instagram_comment_id": "9",
    }  # fmt: skip
    assert (second.activity_id, second.dimensions["parent_id"], second.actor.handle) == ("179", "178", "own.er")
    assert (second.post_id, second.actor.profile_id, second.metrics) == ("18001", "", {"likes": None})
    assert third.dimensions["parent_id"] == "179"
    assert page.partial is None


def test_replies_that_did_not_come_are_told() -> None:
    more = {**COMMENT, "replies": {"data": [], "paging": {"cursors": {"after": "a"}, "next": "u"}}}
    assert comments({"data": [more, {"id": "5"}]}).partial == "1 comments have more replies than came with them"


# Hashtags.


@pytest.mark.parametrize(
    ("decoded", "ids"),
    [
        ({"data": [{"id": "17841562426109234"}]}, {"17841562426109234": None}),
        ({"id": "1", "name": "love"}, {"1": "love"}),
        ({"1": {"id": "1", "name": "love"}, "2": {"id": "2", "name": "coke"}}, {"1": "love", "2": "coke"}),
        ({"data": []}, {}),
    ],
)
def test_hashtags_by_their_ids(decoded: Any, ids: dict[str, str | None]) -> None:
    assert graph_parse.hashtag_ids(decoded) == ids


# Insights.


def by(keys: list[str], *results: tuple[list[str], Any]) -> dict[str, Any]:
    told = [{"dimension_values": values, "value": value} for values, value in results]
    return {"dimension_keys": keys, "results": told}


def test_old_insights() -> None:
    found = graph_parse.insights(
        {
            "data": [
                {"name": "reach", "period": "day", "values": [
                    {"value": 3, "end_time": "2026-10-28T07:00:00+0000"},
                    {"value": 36, "end_time": "2026-10-29T07:00:00+0000"},
                ]},
                {"name": "reach", "period": "days_28", "values": [{"value": 90}]},
                {"name": "audience_city", "values": [{"value": {"Pune, Maharashtra": 3, "Goa": "4"}}]},
                {"name": "reels_skip_rate", "values": [{"value": 48.4}]},
                {"name": "never_heard_of", "values": [{"value": 1}]},
                {"name": "online_followers", "values": [{}]},
                {"name": "gone", "values": []},
            ]
        }
    )  # fmt: skip
    assert found.metrics == {"reach": 36, "reach_days_28": 90, "reels_skip_rate": 48.4, "never_heard_of": 1}
    assert found.dimensions == {
        "reach_by_end_time": {"2026-10-28T07:00:00+00:00": 3, "2026-10-29T07:00:00+00:00": 36},
        "audience_city": {"Pune, Maharashtra": 3, "Goa": 4},
    }
    assert found.notes == []


def test_insights_that_others_hand_on_have_a_bare_value() -> None:
    parts = {"metric": "navigation", "value": {"tap_exit": 2}}
    found = graph_parse.insights({"data": [{"id": "18001", "metric": "reach", "value": 7}, parts]})
    assert (found.metrics, found.dimensions) == ({"reach": 7}, {"navigation": {"tap_exit": 2}})


def test_new_insights() -> None:
    ages = by(["age"], (["18-24"], 10), (["25-34"], 25))
    both = by(["age", "gender"], (["18-24", "F"], 5))
    countries = by(["country"], (["IN"], 5))
    found = graph_parse.insights(
        {
            "data": [
                {"name": "views", "total_value": {"value": 90}},
                {"name": "follower_demographics", "total_value": {"breakdowns": [ages]}},
                {"name": "follower_demographics", "total_value": {"breakdowns": [both]}},
                {"name": "engaged_audience_demographics", "total_value": {"breakdowns": [countries]}},
                {"name": "follows_and_unfollows", "total_value": {"breakdowns": [
                    by(["follow_type"], (["FOLLOWER"], 12), (["NON_FOLLOWER"], 3), (["UNKNOWN"], 1)),
                ]}},
                {"name": "navigation", "total_value": {"value": 9, "breakdowns": [
                    by(["story_navigation_action_type"], (["TAP_EXIT"], 2), (["SWIPE_FORWARD"], None)),
                ]}},
                {"name": "reach", "period": "day", "total_value": {"breakdowns": [{"dimension_keys": ["age"]}]}},
                {"id": "17/insights/profile_activity/day", "values": [{"value": 11}], "total_value": {"value": 12}},
            ]
        }
    )  # fmt: skip
    assert found.metrics == {"views": 90, "follows": 12, "unfollows": 3, "navigation": 9, "profile_activity": 12}
    assert found.dimensions == {
        "audience_age": {"18-24": 10, "25-34": 25},
        "audience_age_gender": {"18-24.F": 5},
        "engaged_audience_country": {"IN": 5},
        "follows_and_unfollows_by_follow_type": {"FOLLOWER": 12, "NON_FOLLOWER": 3, "UNKNOWN": 1},
        "navigation_by_story_navigation_action_type": {"TAP_EXIT": 2},
    }


@pytest.mark.parametrize(
    ("item", "note"),
    [
        ({"values": [{"value": 1}]}, "$.data[0].name should be an id, got None"),
        ({"name": 7}, "$.data[0].name should be an id, got 7"),
        ({"name": "reach", "values": 7}, "$.data[0].values should be a list, got 7"),
        ({"name": "reach", "values": [{"value": -1}]}, "$.data[0].values[0].value should be a count, got -1"),
        ({"name": "reach", "values": [{"value": "many"}]}, "$.data[0].values[0].value should be a count, got 'many'"),
        ({"name": "reach", "total_value": 7}, "$.data[0].total_value should be an object, got 7"),
        ({"name": "r", "total_value": {"value": 1e300}}, "$.data[0].total_value.value should be a number, got 1e+300"),
    ],
)
def test_odd_insights_cost_themselves(item: dict[str, Any], note: str) -> None:
    found = graph_parse.insights({"data": [item, {"name": "views", "values": [{"value": 1}]}]})
    assert found.metrics == {"views": 1}
    assert [each.removeprefix("graphapi: ") for each in found.notes] == [note]


# Which are asked for.


@pytest.mark.parametrize(
    ("kind", "version", "asked", "not_asked"),
    [
        (
            FEED,
            25,
            {"views", "follows", "saved", "total_interactions"},
            {"impressions", "engagement", "replies", "plays"},
        ),
        (FEED, 21, {"views", "impressions"}, {"video_views", "engagement"}),
        (FEED, 17, {"impressions", "engagement", "video_views"}, {"views", "total_interactions"}),
        (REELS, 25, {"views", "ig_reels_avg_watch_time"}, {"follows", "profile_visits", "plays"}),
        (REELS, 21, {"plays", "clips_replays_count"}, set()),
        (STORY, 25, {"views", "replies", "navigation"}, {"likes", "saved", "exits"}),
        (STORY, 17, {"exits", "taps_back"}, {"navigation"}),
        (ACCOUNT, 25, {"follower_demographics", "follows_and_unfollows", "reach"}, {"audience_city", "impressions"}),
    ],
)
def test_what_fits_a_version_and_a_kind(kind: str, version: int, asked: set[str], not_asked: set[str]) -> None:
    names = {name for call in calls(kind, version) for name in call.names}
    assert asked <= names
    assert not names & not_asked


def test_what_needs_a_call_of_its_own_has_one() -> None:
    of_reels = [call.names for call in calls(REELS, 25) if call.alone]
    assert of_reels == [["reels_skip_rate"], ["facebook_views"], ["crossposted_views"]]
    by_breakdown = [(call.names, call.params.get("breakdown")) for call in calls(ACCOUNT, 25)]
    assert by_breakdown[-5:] == [
        (["follows_and_unfollows"], "follow_type"),
        *((["follower_demographics"], part) for part in ("age", "gender", "city", "country")),
    ]
    assert calls(ACCOUNT, 25)[0].params == {"period": "day"}


def test_the_table_names_each_metric_once_a_call() -> None:
    for kind in (ACCOUNT, FEED, REELS, STORY):
        for version in range(15, 30):
            for call in calls(kind, version):
                assert len(set(call.names)) == len(call.names), (kind, version)
    assert all(row.since < row.until for row in METRICS)


@pytest.mark.parametrize(
    ("address", "version"),
    [("https://graph.facebook.com/v25.0", 25), ("http://x/graph/v9.1", 9), ("http://x/graph", 999), ("v25.0", 999)],
)
def test_the_version_of_an_address(address: str, version: int) -> None:
    assert version_of(address) == version


# Whatever comes.


def check(value: Any) -> None:
    """Any store can hold it, any encoder can write it."""
    match value:
        case str():
            assert "\x00" not in value
            value.encode()
        case bool() | None | dt.datetime():
            pass
        case int() | float():
            assert 0 <= value < 2**63 and math.isfinite(value)
        case dict():
            for name, inner in value.items():
                check(name)
                check(inner)
        case list() | tuple():
            for inner in value:
                check(inner)
        case _:
            raise AssertionError(f"{value!r} was not expected here")


def check_page(page: Page[Any]) -> None:
    for item in page.items:
        assert 0 < len(item.post_id if isinstance(item, PostSnapshot) else item.activity_id) <= ID_CHARS_MAX
        check(msgspec.to_builtins(item, builtin_types=(dt.datetime,)))
    check([page.after, page.partial, list(page.notes)])


EDGE = {
    "data": [media(1, children={"data": [{"id": "5"}]}, owner={"id": "1"}, boost={"a": 1}), media(2)],
    "paging": {"cursors": {"after": "a"}, "next": "https://x.example/?after=b&access_token=T"},
}
THREADS = {"data": [COMMENT, {**COMMENT, "id": "999"}], "paging": EDGE["paging"]}
INSIGHTS = {
    "data": [
        {"name": "reach", "period": "day", "values": [{"value": 3, "end_time": "2026-10-28T07:00:00+0000"}]},
        {"name": "views", "period": "day", "total_value": {"value": 9, "breakdowns": [by(["age"], (["18-24"], 1))]}},
        {"name": "audience_city", "period": "lifetime", "values": [{"value": {"Goa": 3}}]},
    ]
}  # fmt: skip


def told_by_path(refusal: OddAnswer) -> None:
    assert "$" in str(refusal)


@given(mutated(EDGE) | ANYTHING)
def test_any_list_of_media_is_a_page_or_a_verdict(document: Any) -> None:
    try:
        check_page(posts(document, profile_id="1", handle="x"))
    except OddAnswer as refusal:
        told_by_path(refusal)


@given(mutated({"business_discovery": {"id": "1", "media": EDGE}}) | ANYTHING)
def test_any_discovery_is_a_page_or_a_verdict(document: Any) -> None:
    try:
        check_page(graph_parse.discovered_posts(document, "x", AT))
    except OddAnswer as refusal:
        told_by_path(refusal)


@given(mutated(THREADS) | ANYTHING)
def test_any_list_of_comments_is_a_page_or_a_verdict(document: Any) -> None:
    try:
        check_page(comments(document))
    except OddAnswer as refusal:
        told_by_path(refusal)


@given(mutated(INSIGHTS) | ANYTHING)
def test_any_insights_are_insights_or_a_verdict(document: Any) -> None:
    try:
        found = graph_parse.insights(document)
    except OddAnswer as refusal:
        told_by_path(refusal)
        return
    check([found.metrics, found.dimensions, list(found.notes)])


@given(mutated({"1": {"id": "1", "name": "love"}, "2": {"id": "2", "name": "coke"}}) | ANYTHING)
def test_any_hashtags_are_ids_or_a_verdict(document: Any) -> None:
    try:
        check(graph_parse.hashtag_ids(document))
    except OddAnswer as refusal:
        told_by_path(refusal)


@given(st.dictionaries(st.text(max_size=5), ANYTHING, max_size=80))
def test_what_nobody_asked_for_is_bounded(extra: dict[str, Any]) -> None:
    (post,) = posts({"data": [{**extra, "id": "1"}]}).items
    assert len(post.metrics) + len(post.dimensions) < 70
    check([post.metrics, post.dimensions])


# As recorded.


@pytest.mark.parametrize(
    ("name", "ids", "after"),
    [
        ("apidata/users/medias_p1.json", ["17895731045244887", "17896622936197745"], "after"),
        ("apidata/users/medias_p2.json", ["17896129349106152", "17893085207160254"], None),
        ("apidata/medias/media_default.json", ["17896129349106152"], None),
        ("apidata/medias/medias_fields.json", ["17893085207160254", "17896129349106152"], None),
        ("apidata/stories/stories_fields_p1.json", ["18168273289049440", "17876166859931045"], "after"),
        ("apidata/stories/story_info.json", ["17876166859931045"], None),
        ("models/ig_media.json", ["17896129349106152"], None),
        ("models/ig_story.json", ["17908009870517752"], None),
    ],
)
def test_recorded_media(name: str, ids: list[str], after: str | None) -> None:
    page = posts(recorded(f"{IN}/{name}"))
    assert ([post.post_id for post in page.items], page.after, page.notes) == (ids, after, [])


def test_recorded_lists() -> None:
    first, second = (posts(recorded(f"{IN}/apidata/hashtags/hashtag_top_medias_p{number}.json")) for number in (1, 2))
    assert (len(first.items), first.after, len(second.items), second.after) == (25, "after", 25, None)
    assert {post.handle for post in first.items} == {""}
    assert first.items[0].metrics["likes"] == 997
    tagged = posts(recorded(f"{IN}/apidata/users/tagged_medias.json"))
    assert (len(tagged.items), tagged.after) == (5, None)
    album = posts(recorded(f"{IN}/models/ig_media.json")).items[0]
    assert (album.handle, album.profile_id, len(album.dimensions["children"])) == ("ikroskun", "17841406338772941", 3)
    one = graph_parse.discovered_posts(recorded("instagram_graph_api/base/discovery_medias_p1.json"), "x", AT)
    two = graph_parse.discovered_posts(recorded("instagram_graph_api/base/discovery_medias_p2.json"), "x", AT)
    assert (len(one.items), one.after, len(two.items), two.after) == (5, "after", 5, None)
    assert two.items[1].dimensions["thumbnail_url"] is None, "a video without its file"


@pytest.mark.parametrize("name", ["apidata/users/user_fields.json", "models/ig_user.json"])
def test_recorded_profiles_of_their_owners(name: str) -> None:
    profile = graph_parse.profile(recorded(f"{IN}/{name}"), "", AT)
    assert (profile.profile_id, profile.handle) == ("17841407673135339", "facebookfordevelopers")
    assert profile.metrics["media_count"] == 427
    assert profile.notes == []


def test_recorded_comments() -> None:
    whole = comments(recorded(f"{IN}/models/ig_comment.json")).items
    assert [comment.activity_id for comment in whole] == ["17892250648466172", "17845747489952795"]
    assert (whole[0].actor.profile_id, whole[0].actor.handle) == ("17841406338772941", "ikroskun")
    mentioned = comments(recorded(f"{IN}/apidata/users/mentioned_comment.json")).items
    assert [comment.dimensions["text"] for comment in mentioned] == ["@ikroskun good"]
    assert len(comments(recorded(f"{IN}/apidata/comments/replies.json")).items) == 1


def test_recorded_insights() -> None:
    reels = graph_parse.insights(recorded("instagram_graph_api/connector/media_insights_for_reels.json"))
    assert len(reels.metrics) == 10
    assert (reels.metrics["plays"], reels.metrics["ig_reels_avg_watch_time"]) == (2385, 12549)
    month = graph_parse.insights(recorded("instagram_graph_api/connector/user_insights_for_days_28.json"))
    assert month.metrics == {"reach": 15000}
    days = graph_parse.insights(recorded(f"{IN}/apidata/users/user_insights.json"))
    assert days.metrics == {"impressions": 66, "reach": 36, "profile_views": 2}
    new = graph_parse.insights(recorded(f"{IN}/apidata/medias/insights_new.json"))
    assert new.dimensions == {"profile_activity_by_action_type": {"bio_link_clicked": 11}}


def test_recorded_answers_of_other_questions_are_borne() -> None:
    recorded("instagram_graph_api/base/error_data.json")
    for file in sorted((FOLDER / "instagram_graph_api").rglob("*.json")):
        document = json.loads(file.read_text("utf-8"))
        for parse in (posts, comments, graph_parse.hashtag_ids, graph_parse.insights):
            try:
                parse(document)
            except OddAnswer as refusal:
                told_by_path(refusal)

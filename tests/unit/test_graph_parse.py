"""The Graph API's answers: a made-up profile, the error table, mutations of both, and recorded answers."""

import datetime as dt
import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcc.errors import GccError
from gcc.sources.http import Answer, retry_after_s
from gcc.sources.instagram import graph_parse
from gcc.sources.instagram.graph_errors import NamesRefused, NoInsights, TooMuchData
from gcc.sources.verdicts import (
    CredentialDead,
    CredentialRefused,
    CredentialRests,
    MaybeAway,
    NotFound,
    NotVisible,
    OddAnswer,
    QuestionFailed,
    RateLimited,
    SourceFailed,
)
from tests.recorded import FOLDER, recorded
from tests.unit.mutated_json import ANYTHING, VERDICTS, mutated
from tests.unit.storable import check_storable

AT = dt.datetime(2026, 10, 30, 12, 0, 5, tzinfo=dt.UTC)


def media(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"1800{number}",
        "caption": "Rain at last #Monsoon",
        "like_count": 100 + number,
        "comments_count": number,
        "media_type": "IMAGE",
        "media_product_type": "FEED",
        "permalink": f"https://www.instagram.com/p/C_a-{number}/",
        "timestamp": "2026-10-29T18:30:00+0000",
        "media_url": "https://cdn.example/1.jpg",
        **fields,
    }


PROFILE: dict[str, Any] = {
    "business_discovery": {
        "id": "17841400000000001",
        "username": "made.up_one",
        "name": "Made Up",
        "biography": "Nobody\x00 at all",
        "followers_count": 5000,
        "follows_count": 12,
        "media_count": 340,
        "profile_picture_url": "https://cdn.example/p.jpg",
        "website": "https://made-up.example",
        "media": {
            "data": [media(1), media(2, media_product_type="REELS", media_type="VIDEO", view_count=900)],
            "paging": {"cursors": {"after": "abc"}},
        },
    },
    "id": "17841499999999999",
}


def answer(body: Any, status: int = 400, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    shown = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, shown, raw, 0.1, "https://graph.example/v25.0/17")


def error(**fields: Any) -> Answer:
    return answer({"error": {"message": "made up", "type": "OAuthException", **fields}})


def test_a_profile_with_its_first_page() -> None:
    profile = graph_parse.profile(PROFILE, "asked", AT)
    assert (profile.platform, profile.profile_id, profile.handle) == ("INSTAGRAM", "17841400000000001", "made.up_one")
    assert (profile.source, profile.at) == ("graphapi", AT)
    assert profile.metrics == {"followers": 5000, "following": 12, "media_count": 340}
    assert profile.dimensions == {
        "handle": "made.up_one",
        "full_name": "Made Up",
        "bio": "Nobody at all",
        "profile_pic_url": "https://cdn.example/p.jpg",
        "website": "https://made-up.example",
    }
    image, reel = profile.posts
    assert (image.post_id, image.shortcode, image.profile_id) == ("18001", "C_a-1", "17841400000000001")
    assert image.publish_time == dt.datetime(2026, 10, 29, 18, 30, tzinfo=dt.UTC)
    assert image.metrics == {"likes": 101, "comments": 1, "views": None, "plays": None}
    assert reel.metrics == {"likes": 102, "comments": 2, "views": 900, "plays": 900}
    assert image.dimensions["hashtags"] == ["monsoon"]
    assert image.dimensions["thumbnail_url"] == "https://cdn.example/1.jpg"


def test_what_the_api_leaves_out_is_none() -> None:
    bare = {"business_discovery": {"id": "1", "media": {"data": [{"id": "9"}]}}}
    profile = graph_parse.profile(bare, "asked", AT)
    assert profile.handle == "asked"
    assert set(profile.metrics.values()) == {None}
    (post,) = profile.posts
    assert post.shortcode == "9"
    assert post.publish_time is None
    assert set(post.metrics.values()) == {None}


def test_a_post_that_is_listed_twice_counts_once() -> None:
    twice = {"business_discovery": {"id": "1", "media": {"data": [media(1), media(2), media(1)]}}}
    assert [post.post_id for post in graph_parse.profile(twice, "x", AT).posts] == ["18001", "18002"]


@pytest.mark.parametrize(
    ("fields", "post_type"),
    [
        ({"media_type": "IMAGE"}, "image"),
        ({"media_type": "VIDEO", "media_product_type": "FEED"}, "video"),
        ({"media_type": "VIDEO", "media_product_type": "REELS"}, "reels"),
        ({"media_type": "CAROUSEL_ALBUM", "media_product_type": "FEED"}, "carousel"),
        ({"media_type": None}, None),
    ],
)
def test_post_types(fields: dict[str, Any], post_type: str | None) -> None:
    page = {"business_discovery": {"id": "1", "media": {"data": [media(1, **fields)]}}}
    assert graph_parse.profile(page, "x", AT).posts[0].dimensions["post_type"] == post_type


@pytest.mark.parametrize("kind", ["p", "reel", "reels", "tv", "some.one/reel"])
def test_shortcodes_from_permalinks(kind: str) -> None:
    link = f"https://www.instagram.com/{kind}/C-x_9/?utm=1"
    page = {"business_discovery": {"id": "1", "media": {"data": [media(1, permalink=link)]}}}
    assert graph_parse.profile(page, "x", AT).posts[0].shortcode == "C-x_9"


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ([], r"\$ should be an object, got a list"),
        ({}, r"\$\.business_discovery should be an object, got nothing"),
        ({"business_discovery": None}, r"\$\.business_discovery should be an object, got nothing"),
        ({"business_discovery": "x"}, r"\$\.business_discovery should be an object, got a text"),
        ({"business_discovery": {}}, r"\$\.business_discovery\.id should be an id, got None"),
        ({"business_discovery": {"id": 7}}, r"\$\.business_discovery\.id should be an id, got 7"),
        ({"business_discovery": {"id": "1\x00"}}, r"\.id should be an id, got '1.x00'"),
        ({"business_discovery": {"id": "1\ud83d"}}, r"\.id should be an id, got '1.ud83d'"),
        ({"business_discovery": {"id": "1\ufffd"}}, r"\.id should be an id"),
        ({"business_discovery": {"id": "1" * 201}}, r"\.id should be an id"),
        ({"business_discovery": {"id": "1", "username": ["x"]}}, r"\.username should be an id, got a list"),
        ({"business_discovery": {"id": "1", "username": "x\ud83d"}}, r"\.username should be an id, got 'x.ud83d'"),
    ],
)
def test_without_its_identity_a_profile_is_refused(wrong: Any, path: str) -> None:
    with pytest.raises(SourceFailed, match=path):
        graph_parse.profile(wrong, "x", AT)


def discovered(**fields: Any) -> dict[str, Any]:
    return {"business_discovery": {**PROFILE["business_discovery"], **fields}}


@pytest.mark.parametrize(
    ("odd", "note"),
    [
        ({"followers_count": -1}, "$.business_discovery.followers_count should be a count, got -1"),
        ({"followers_count": True}, "$.business_discovery.followers_count should be a count, got True"),
        ({"followers_count": 1.5}, "$.business_discovery.followers_count should be a count, got 1.5"),
        ({"followers_count": 10**30}, "$.business_discovery.followers_count should be a count, got a number"),
        ({"followers_count": "many"}, "$.business_discovery.followers_count should be a count, got 'many'"),
        ({"followers_count": [1]}, "$.business_discovery.followers_count should be a count, got a list"),
    ],
)
def test_an_odd_count_is_unknown_and_costs_nothing_else(odd: dict[str, Any], note: str) -> None:
    profile = graph_parse.profile(discovered(**odd), "asked", AT)
    sound = graph_parse.profile(PROFILE, "asked", AT)
    assert profile.metrics == {**sound.metrics, "followers": None}
    assert (profile.dimensions, profile.posts) == (sound.dimensions, sound.posts)
    assert profile.notes == [note]
    assert sound.notes == []


def test_odd_fields_of_one_post_cost_that_post_these_fields() -> None:
    odd = media(
        2, timestamp="2026-10-29", like_count=-1, caption={"text": "x"}, permalink=7, media_url="ok", shortcode=[]
    )
    page = discovered(media={"data": [media(1), odd, {"id": 9}, "x", media(3)]})
    profile = graph_parse.profile(page, "x", AT)
    assert [post.post_id for post in profile.posts] == ["18001", "18002", "18003"], "one without its id is none"
    post = profile.posts[1]
    assert (post.publish_time, post.metrics["likes"], post.dimensions["caption"]) == (None, None, None)
    assert (post.metrics["comments"], post.dimensions["thumbnail_url"], post.shortcode) == (2, "ok", "18002")
    assert [note.partition(" should be ")[0] for note in profile.notes] == [
        "$.business_discovery.media.data[3]",
        *(f"$.business_discovery.media.data[1].{name}" for name in ("caption", "permalink", "shortcode")),
        *(f"$.business_discovery.media.data[1].{name}" for name in ("timestamp", "like_count")),
        "graphapi: $.business_discovery.media.data[2].id",
    ]


@pytest.mark.parametrize("odd", ["x", 7, [], {"data": "x"}, {"data": {"id": "1"}}])
def test_posts_of_an_odd_shape_are_none(odd: Any) -> None:
    profile = graph_parse.profile(discovered(media=odd), "x", AT)
    assert profile.posts == []
    assert len(profile.notes) == 1


def test_a_flood_of_oddities_is_told_in_part() -> None:
    profile = graph_parse.profile(discovered(media={"data": [7] * 1_000_000}), "x", AT)
    assert len(profile.notes) == 20


@pytest.mark.parametrize(
    ("body", "bio"),
    [
        (rb'"tea \ud83d"', "tea \ufffd"),
        (rb'"\udc00 tea \ud83d\ude00"', "\ufffd tea 😀"),
        (b'"tea \xff"', "tea \ufffd"),
        (b'"tea \xed\xa0\xbd"', "tea \ufffd\ufffd\ufffd"),
        (b'"one\ntwo\x01\x00"', "one\ntwo\x01"),
        (rb'"a\u0000b"', "ab"),
        (b"NaN", None),
        (b"-Infinity", None),
        (b"1e999", None),
        (b"1" * 5000, None),
        (b'"old", "biography": "new"', "new"),
    ],
)
def test_what_is_no_strict_json_costs_its_field(body: bytes, bio: str | None) -> None:
    whole = b'{"business_discovery": {"id": "1", "biography": %s, "followers_count": 5}}' % body
    profile = graph_parse.profile(graph_parse.judge(answer(whole, 200), AT), "x", AT)
    assert (profile.profile_id, profile.metrics["followers"], profile.dimensions["bio"]) == ("1", 5, bio)
    assert len(profile.notes) == (bio is None)


@pytest.mark.parametrize("count", [b"NaN", b"Infinity", b"1e999", b"-1e999", b"9" * 40, b"9" * 5000, b"-1", b"1.5"])
def test_numbers_beyond_any_count_are_unknown(count: bytes) -> None:
    whole = b'{"business_discovery": {"id": "1", "biography": "b", "followers_count": %s}}' % count
    profile = graph_parse.profile(graph_parse.judge(answer(whole, 200), AT), "x", AT)
    assert (profile.metrics["followers"], profile.dimensions["bio"], len(profile.notes)) == (None, "b", 1)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"", b"\xff", b'{"a"', b"\x00", b"<html>"])
def test_what_is_no_json_at_all_is_the_source_s_failure(body: bytes) -> None:
    with pytest.raises(SourceFailed, match="no JSON"):
        graph_parse.judge(answer(body, 200), AT)


def test_deep_nesting_where_nobody_looks_is_borne() -> None:
    whole = b'{"business_discovery": {"id": "1", "odd": %s1%s}}' % (b"[" * 300, b"]" * 300)
    assert graph_parse.profile(graph_parse.judge(answer(whole, 200), AT), "x", AT).profile_id == "1"


@given(mutated(PROFILE))
def test_whatever_changes_is_a_snapshot_or_a_verdict(document: Any) -> None:
    try:
        profile = graph_parse.profile(graph_parse.judge(answer(document, 200), AT), "asked", AT)
    except VERDICTS as refusal:
        assert re.search(r"\$|error|HTTP", str(refusal))
        return
    check_storable(profile)


@pytest.mark.parametrize(
    ("refusal", "verdict"),
    [
        (error(code=190, error_subcode=463), CredentialDead),
        (error(code=190), CredentialDead),
        (error(code=102), CredentialDead),
        (error(code=2500, message="An active access token must be used to query information"), CredentialDead),
        (error(code=2500, message="Unknown path components: /17"), MaybeAway),
        (error(code=2500), MaybeAway),
        (error(message="Error validating access token: Session has expired"), MaybeAway),
        (answer({"type": "OAuthException", "message": "Error validating access token"}), MaybeAway),
        (answer(b"<html>", 403), MaybeAway),
        (answer(b"", 401), MaybeAway),
        (answer({}, 403), CredentialRefused),
        *((error(code=code), RateLimited) for code in (4, 341, 17, 32, 613, 80000, 80002, 80014, 18)),
        (error(code=110, error_subcode=2207013, error_user_title="Cannot find User"), NotVisible),
        (error(code=100, error_subcode=2207013), NotVisible),
        (error(code=100, message="Invalid user id"), NotVisible),
        (error(code=24, error_subcode=2207006), NotFound),
        (error(code=24, error_subcode=2207024), NotFound),
        (error(code=190, error_subcode=459), CredentialRests),
        (error(code=368), CredentialRests),
        (error(code=100, error_subcode=33), CredentialRefused),
        (error(code=100, error_subcode=33, message="Unsupported get request."), CredentialRefused),
        (error(code=100, message="(#100) Object does not exist"), CredentialRefused),
        (error(code=100, message='Object with ID "17" does not exist'), CredentialRests),
        (error(code=100, message='Object with ID "foo" does not exist'), CredentialRefused),
        (error(code=100, error_subcode=33, message="Object with ID '17' does not exist"), CredentialRests),
        (error(code=100, error_subcode=33, message="Object with ID '99' does not exist"), CredentialRefused),
        (
            error(
                code=100, error_subcode=33, message="Invalid parameter", error_user_msg="Object with ID '17' does not"
            ),
            CredentialRests,
        ),
        (error(code=803, message="(#803) Some of the aliases you requested do not exist: 17"), CredentialRests),
        (error(code=803, message="(#803) Some of the aliases you requested do not exist: made.up"), CredentialRefused),
        (error(code=803, message="(#803) Cannot query users by their username (made.up)"), CredentialRefused),
        (error(code=10), CredentialRefused),
        (error(code=200), CredentialRefused),
        (error(code=100, message="(#100) Invalid parameter"), QuestionFailed),
        (error(code=100, error_subcode=2108006), NoInsights),
        (error(code=10, message="(#10) Not enough viewers for the media to show insights"), NoInsights),
        (error(code=1, message="Please reduce the amount of data you're asking for"), TooMuchData),
        (error(code=-1, error_subcode=2207086, message="Fatal"), QuestionFailed),
        (error(code=36104), QuestionFailed),
        (error(code=1, is_transient=True), SourceFailed),
        (error(code=-1, error_subcode=2207001), SourceFailed),
        (error(code=-2, error_subcode=2207003), SourceFailed),
        (error(code="190"), CredentialDead),
        (error(code=190.0), CredentialDead),
        (error(code=190.5), SourceFailed),
        (error(code=True), SourceFailed),
        (error(code=None), SourceFailed),
        (error(code=10**30), SourceFailed),
        (error(code={"a": 1}), SourceFailed),
        (answer({"error": {"code": 190, "message": ["x"]}}), CredentialDead),
        (answer({"error": [{"code": 190}]}), CredentialDead),
        (answer([{"error": {"code": 190}}]), CredentialDead),
        (answer({"code": 190, "message": "without an envelope"}), CredentialDead),
        (answer({"error": {"code": 190}}, 200), CredentialDead),
        (answer({"error": {"code": 99999}}, 403), CredentialRefused),
        (answer({"error": {"code": 99999}}, 500), SourceFailed),
        (error(code=9007, is_transient=False), QuestionFailed),  # whatever it is, it stays so
        (error(code=9007, is_transient=True), SourceFailed),
        (error(), SourceFailed),
        (answer({"error": "a text"}, 400), SourceFailed),
        (answer(b"<html>Bad gateway</html>", 502), SourceFailed),
        (answer(b"", 200), SourceFailed),
        (answer([1], 200), OddAnswer),
        (answer({}, 200), OddAnswer),
        (answer({"business_discovery": None, "id": "17"}, 200), OddAnswer),
        (answer({}, 302), SourceFailed),
        (answer(b"slow down", 429), RateLimited),
    ],
)
def test_each_error_has_its_verdict(refusal: Answer, verdict: type[GccError]) -> None:
    with pytest.raises(verdict) as caught:
        graph_parse.judge(refusal, AT)
    assert type(caught.value) is verdict


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (error(message="Fatal", code=-1, error_subcode=2207001), "graphapi: HTTP 400, error -1/2207001: Fatal"),
        (error(message="Fatal", code="abc"), "graphapi: HTTP 400, error 'abc': Fatal"),
        (error(message="Fatal", code=1.5, error_subcode=[]), "graphapi: HTTP 400, error 1.5/a list: Fatal"),
        (error(message="Fatal", code=10**30), "graphapi: HTTP 400, error a number: Fatal"),
        (error(message=" two\nlines\x00 ", code="-7"), "graphapi: HTTP 400, error -7: two lines"),
        (error(message="half \ud83d", code=1), "graphapi: HTTP 400, error 1: half \ufffd"),
        (error(message=7), "graphapi: HTTP 400, error without a code: no message"),
        (answer({"error": "a text"}), "graphapi: HTTP 400, error without a code: a text"),
        (answer({"error": ["a text"]}), "graphapi: HTTP 400, error without a code: a text"),
        (answer({"error": [{"code": 1, "message": "m"}]}), "graphapi: HTTP 400, error 1: m"),
        (answer("a text"), "graphapi: HTTP 400, error without a code: a text"),
        (answer(None), "graphapi: HTTP 400, error without a code: no message"),
        (answer({}, 503), "graphapi: HTTP 503, error without a code: no message"),
        (answer(b"", 400), "graphapi: HTTP 400 with a body that is no JSON: Expecting value: line 1 column 1 (char 0)"),
        (answer({"error": {"code": 4, "message": "slow"}}, 429), "graphapi: HTTP 429, error 4: slow"),
        (answer(b"<html>", 429), "graphapi: HTTP 429, error without a code: no message"),
    ],
)
def test_an_error_keeps_its_message_and_codes(refusal: Answer, told: str) -> None:
    with pytest.raises(GccError) as caught:
        graph_parse.judge(refusal, AT)
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (error(code=24, error_subcode=2207006), "POST_NOT_FOUND"),
        (error(code=24, error_subcode=2207024), "HASHTAG_NOT_FOUND"),
    ],
)
def test_not_found_says_what(refusal: Answer, code: str) -> None:
    with pytest.raises(NotFound) as caught:
        graph_parse.judge(refusal, AT)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("refusal", "scope", "rest_s"),
    [
        (error(code=4), "app", None),
        (error(code=341), "app", None),
        (answer({"error": {"code": 4}}, 429, retry_after="7"), "app", 7),
        (error(code=17), "credential", None),
        (error(code=80002), "credential", None),
        (answer({}, 429), "credential", None),
        (error(code=368), "source", 86_400),
        (error(code=18, error_subcode=2207034), "bucket", 86_400),
        (error(code=190, error_subcode=459), "credential", 86_400),
        (error(code=190, error_subcode=464), "credential", 86_400),
        (error(code=4, error_subcode=2207051), "credential", None),
    ],
)
def test_who_rests_and_how_long(refusal: Answer, scope: str, rest_s: float | None) -> None:
    with pytest.raises(CredentialRests) as caught:
        graph_parse.judge(refusal, AT)
    assert (caught.value.scope, caught.value.retry_after_s) == (scope, rest_s)


@pytest.mark.parametrize("subcode", [33, None])
def test_a_post_that_is_not_there_is_not_found_once_another_token_agrees(subcode: int | None) -> None:
    """Also where the message names what is in the path: that is no account of the credential's."""
    gone = error(code=100, error_subcode=subcode, message="Unsupported get request. Object with ID '17' does not exist")
    with pytest.raises(CredentialRefused) as caught:
        graph_parse.judging(lambda decoded, at: decoded, of_post=True)(gone, AT)
    assert caught.value.agreed is not None
    assert caught.value.agreed.code == "POST_NOT_FOUND"


NAMES = ["reach", "likes", "views", "follower_count"]


@pytest.mark.parametrize(
    ("message", "names", "everywhere"),
    [
        ("(#100) metric[1] must be one of the following values: reach, views, saved", {"likes"}, True),
        ("metric[0] must be one of the following values: impressions, likes", {"reach"}, True),
        ("The Media Insights API does not support the views metric for this media product type.", {"views"}, True),
        ("The API does not support the views, likes metric for this media product type", {"views", "likes"}, True),
        (
            "Starting from version v22.0 and above, the likes metric is no longer supported for the queried media.",
            {"likes"},
            True,
        ),
        ("(#100) The following metrics (views,likes) should be specified with parameter metric_type=total_value",
         {"views", "likes"}, True),
        ("(#100) Incompatible breakdowns (follow_type) for metric (views)", {"views"}, True),
        ("(#100) The following periods (week) are incompatible with the metric (reach)", {"reach"}, True),
        ("(#100) Tried accessing nonexisting field (views) on node type (IGMedia)", {"views"}, True),
        ("(#100) The follower_count metric is not available to this account", {"follower_count"}, False),
    ],
)  # fmt: skip
def test_names_that_the_api_refuses(message: str, names: set[str], everywhere: bool) -> None:
    with pytest.raises(NamesRefused) as caught:
        graph_parse.judging(lambda decoded, at: decoded, names=NAMES)(error(code=100, message=message), AT)
    assert (caught.value.names, caught.value.everywhere) == (names, everywhere)


@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        ("(#100) metric[9] must be one of the following values: reach", QuestionFailed),
        ("(#100) metric[0", QuestionFailed),
        ("(#100) Tried accessing nonexisting field (other) on node type (IGMedia)", QuestionFailed),
        ("Invalid parameter: reach likes views", QuestionFailed),
        ("(#100) Missing permissions", CredentialRefused),
    ],
)
def test_a_refusal_that_names_none_of_them_is_an_ordinary_one(message: str, verdict: type[GccError]) -> None:
    with pytest.raises(verdict) as caught:
        graph_parse.judging(lambda decoded, at: decoded, names=NAMES)(error(code=100, message=message), AT)
    assert type(caught.value) is verdict


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("7", 7.0),
        ("0", 1.0),
        ("2.5", 2.5),
        ("Fri, 30 Oct 2026 12:01:05 GMT", 60.0),
        ("Fri, 30 Oct 2020 12:01:05 GMT", 1.0),
        ("1e9", 86_400.0),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("Fri, 30 Oct 2026 12:01:05 +99999999999999", None),
        ("Fri, 30 Oct 299999999026 12:01:05 GMT", None),
        ("31 Dec 9999 23:59:59 -1200", 86_400.0),
        ("1 Jan 0001 00:00:00 +1400", 1.0),
        ("9" * 5000, None),
    ],
)
def test_the_wait_that_a_429_names(header: str, wait_s: float | None) -> None:
    with pytest.raises(RateLimited) as caught:
        graph_parse.judge(answer({}, 429, retry_after=header), AT)
    assert caught.value.retry_after_s == wait_s


REFUSAL = {"error": {"message": "m", "code": 4, "error_subcode": 1, "error_user_title": "t"}}


@given(st.sampled_from([200, 400, 403, 500]), st.binary(max_size=30) | ANYTHING | mutated(REFUSAL))
def test_every_answer_gets_a_verdict(status: int, body: Any) -> None:
    with suppress(*VERDICTS):
        assert isinstance(graph_parse.judge(answer(body, status), AT), dict)


@given(st.text(st.sampled_from("0123456789-+:,. GMTFriOctDecJan"), max_size=40))
def test_any_wait_is_some_or_none(header: str) -> None:
    wait_s = retry_after_s(answer({}, 429, retry_after=header), AT)
    assert wait_s is None or 1.0 <= wait_s <= 86_400.0


def test_recorded_profiles() -> None:
    profile = graph_parse.profile(recorded("instagram_graph_api/instagram/apidata/discovery/user_fields.json"), "x", AT)
    assert profile.metrics == {"followers": 64976, "following": None, "media_count": 436}
    page = graph_parse.profile(recorded("instagram_graph_api/base/discovery_medias_p1.json"), "x", AT)
    assert [post.metrics["likes"] for post in page.posts] == [958, 1284, 1278, 8008, 1514]
    assert page.posts[0].shortcode == "CVVV5iaIaBp"


def test_recorded_errors() -> None:
    verdicts = {}
    for entry in recorded("error_envelopes/meta_graph_errors.json"):
        with pytest.raises(GccError) as caught:
            graph_parse.judge(answer(entry["body"], entry["http_status"] or 400), AT)
        verdicts.setdefault(entry["body"]["error"]["code"], set()).add(type(caught.value))
    assert {code for code, kinds in verdicts.items() if kinds == {RateLimited}} == {4, 17, 32, 613, 80000}
    assert verdicts[190] == {CredentialDead}
    assert verdicts[100] == verdicts[200] == {CredentialRefused}


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("instagram_graph_api/base/error_data.json", CredentialRefused),
        ("instagram_graph_api/connector/media_insights_for_error_posted_before_business.json", QuestionFailed),
        (
            "instagram_graph_api/connector/media_insights_for_error_with_wrong_permissions_code_10.json",
            CredentialRefused,
        ),
        ("instagram_graph_api/connector/user_insights_for_error_code_100_subcode_33.json", CredentialRefused),
        ("instagram_graph_api/connector/user_insights_for_error_subcode_2108006.json", QuestionFailed),
    ],
)
def test_recorded_refusals(name: str, verdict: type[GccError]) -> None:
    with pytest.raises(verdict):
        graph_parse.judge(answer(recorded(name)), AT)


def test_every_recorded_answer_is_borne() -> None:
    """Answers of other questions, too: a snapshot or a verdict, never another exception."""
    recorded("instagram_graph_api/base/error_data.json")
    for file in sorted((FOLDER / "instagram_graph_api").rglob("*.json")):
        with suppress(*VERDICTS):
            check_storable(graph_parse.profile(graph_parse.judge(answer(file.read_bytes(), 200), AT), "asked", AT))

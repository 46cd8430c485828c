"""One id for each account and post of Instagram, whoever tells of it."""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcc.sources.instagram.identity import is_fbid, may_be, media_id, named, shortcode_of, told
from gcc.sources.instagram_web import parse
from gcc.sources.snapshot import Activity, Found, Person, PostSnapshot, ProfileSnapshot, Relation
from tests.recorded import FOLDER, needs_recorded, recorded

AT = dt.datetime(2026, 10, 30, 12, tzinfo=dt.UTC)
FBID, IG_ID, POST_FBID = "17841472882932633", "72741069431", "17984016661384418"
CODE, POST_ID = "CVVV5iaIaBp", "2690152665356279913"


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(part)


@needs_recorded
def test_all_recorded_shortcodes_tell_the_ids_that_stand_beside_them() -> None:
    compared = 0
    for file in sorted(FOLDER.glob("instagram_*/**/*.json")):
        graph = "graph" in str(file)
        for media in _objects(recorded(str(file.relative_to(FOLDER)))):
            code = media.get("code") or media.get("shortcode")
            own = media.get("ig_id") if graph else media.get("strong_id__") or media.get("id")
            if isinstance(code, str) and own and (graph or "taken_at" in media or "taken_at_timestamp" in media):
                assert (media_id(code), shortcode_of(own.partition("_")[0])) == (own.partition("_")[0], code), file
                compared += 1
    assert compared > 100


@given(st.integers(64**8, 64**11 - 1).filter(lambda number: not re.fullmatch("1[78][0-9]{15}", str(number))))
def test_an_id_and_its_shortcode_tell_each_other(number: int) -> None:
    code = shortcode_of(str(number))
    assert code is not None and media_id(code) == str(number)


@pytest.mark.parametrize("code", ["", "C1", "Cab", POST_FBID, "C VV5iaIaBp", "Cééééééééé", "C" * 12])
def test_what_is_no_shortcode_tells_no_id(code: str) -> None:
    assert media_id(code) is None


@pytest.mark.parametrize("post_id", ["", "0", "18001", POST_FBID, "9" * 30, "-5", "²" * 18])
def test_what_is_another_id_has_no_shortcode(post_id: str) -> None:
    assert shortcode_of(post_id) is None


def test_the_shortcode_of_a_private_account_s_post_is_followed_by_a_key() -> None:
    assert media_id(CODE + "x" * 28) == POST_ID


@pytest.mark.parametrize(("profile_id", "so"), [(FBID, True), (IG_ID, False), (f"{FBID}0", False), ("", False)])
def test_which_ids_are_the_graph_api_s(profile_id: str, so: bool) -> None:
    assert is_fbid(profile_id) == so


def a_post(source: str, post_id: str, profile_id: str) -> PostSnapshot:
    return PostSnapshot("INSTAGRAM", source, AT, post_id, CODE, profile_id, "made.up", None, {}, {})


def a_profile(source: str, profile_id: str, **dimensions: Any) -> ProfileSnapshot:
    post_id = POST_FBID if source == "graphapi" else POST_ID
    posts = [a_post(source, post_id, profile_id)]
    return ProfileSnapshot("INSTAGRAM", source, AT, profile_id, "made.up", {}, dimensions, posts)


GRAPH = a_profile("graphapi", FBID)
SCRAPED = a_profile("lama", IG_ID, fbid=FBID)
UNTOLD = a_profile("lama", IG_ID, fbid=None)


@pytest.mark.parametrize(
    ("found", "names", "profile_id", "known"),
    [
        (GRAPH, {}, FBID, {"fbid": FBID}),
        (a_profile("graphapi", FBID, ig_id=IG_ID), {}, FBID, {"fbid": FBID, "ig_id": IG_ID}),
        (SCRAPED, {}, FBID, {"fbid": FBID, "ig_id": IG_ID}),
        (UNTOLD, {}, IG_ID, {"fbid": None, "ig_id": IG_ID}),
        (GRAPH, {FBID: IG_ID}, IG_ID, {"fbid": FBID}),
        (SCRAPED, {IG_ID: IG_ID}, IG_ID, {"fbid": FBID, "ig_id": IG_ID}),
        (UNTOLD, {IG_ID: FBID}, FBID, {"fbid": None, "ig_id": IG_ID}),
    ],
)
def test_a_profile_goes_by_the_id_that_we_have_else_by_the_graph_api_s(
    found: ProfileSnapshot, names: dict[str, str], profile_id: str, known: dict[str, Any]
) -> None:
    one = named(found, names)
    assert (one.profile_id, one.dimensions) == (profile_id, known)
    (post,) = one.posts
    assert (post.post_id, post.profile_id) == (POST_ID, profile_id)
    assert post.dimensions == ({"fbid": POST_FBID} if found.source == "graphapi" else {})


def test_further_posts_and_those_of_others_are_named_too() -> None:
    more = Found([replace(a_post("lama", POST_ID, "5"), handle="other"), a_post("lama", "7", IG_ID)], "cut", ["odd"])
    one = named(replace(UNTOLD, more=more), {IG_ID: FBID, "5": "6"})
    assert [(post.post_id, post.profile_id) for post in one.more.items] == [(POST_ID, "6"), (POST_ID, FBID)]
    assert (one.more.partial, one.more.notes) == ("cut", ["odd"])


def test_lists_of_people_name_each_by_its_one_id() -> None:
    who = Person(IG_ID, "made.up", dimensions={"fbid": FBID})
    follows = Relation("INSTAGRAM", "lama", AT, who, Person("5", "other"))
    said = Activity("INSTAGRAM", "lama", AT, "17", "comment", POST_FBID, CODE, "5", who)
    liked = Activity("INSTAGRAM", "lama", AT, f"{POST_FBID}:{IG_ID}", "like", POST_FBID, CODE, "", who)
    relation, comment, like = named(Found([follows, said, liked]), {"5": "6"}).items
    assert (relation.person.profile_id, relation.target.profile_id) == (FBID, "6")
    assert (comment.activity_id, comment.post_id, comment.profile_id, comment.actor.profile_id) == (
        "17", POST_ID, "6", FBID,
    )  # fmt: skip
    assert (like.activity_id, like.post_id, like.profile_id) == (f"{POST_ID}:{FBID}", POST_ID, "")


def test_each_account_is_asked_for_once_with_what_was_told_of_it() -> None:
    (one,) = told(replace(SCRAPED, posts=[*SCRAPED.posts, *SCRAPED.posts]))
    assert (one.id, one.handle, one.ig_id, one.fbid, one.post_ids) == (
        IG_ID, "made.up", IG_ID, FBID, (POST_ID, POST_ID),
    )  # fmt: skip
    assert told(Found([a_post("graphapi", POST_FBID, "")])) == []


def test_an_fbid_that_may_have_been_rounded_is_told_as_such() -> None:
    user = {"pk": int(IG_ID), "username": "made.up", "fbid_v2": int(float(FBID))}
    found = parse.profile(user, "lama", AT)
    assert (found.dimensions["fbid"], found.dimensions["fbid_about"]) == (None, "17841472882932632")
    (one,) = told(found)
    assert (one.fbid, one.about) == (None, float(FBID))
    assert may_be(FBID, found.dimensions) and not may_be("17841472882932699", found.dimensions)
    assert may_be(FBID, {}) and may_be(FBID, {"fbid": FBID}) and not may_be(FBID, {"fbid": "17841472882932634"})


@pytest.mark.parametrize("odd", ["", "0", "abc", "17841", "17841472882932633.0", IG_ID])
def test_an_odd_id_of_the_graph_api_is_none(odd: str) -> None:
    """It would stand in the row as if it were one, and be cast to a number there."""
    profile = ProfileSnapshot("INSTAGRAM", "s", AT, IG_ID, "h", {}, {"fbid": odd, "bio": "b"}, [])
    assert {name: value for name, value in named(profile, {}).dimensions.items() if value} == {
        "ig_id": IG_ID,
        "bio": "b",
    }

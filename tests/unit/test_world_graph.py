"""The stand-in for the Graph API: the fields language, the real shapes, paging, errors."""

import datetime as dt
import json
from typing import Any

import pytest

from gcc.world.answer import Answer
from gcc.world.creators import generate
from gcc.world.graph import TOKENS, GraphApi
from gcc.world.graph_fields import Field, FieldsError, parse
from gcc.world.model import Cast
from tests.recorded import recorded

TODAY = dt.date(2026, 10, 30)
PATH = "/v25.0/17841406338772941"


@pytest.fixture(scope="module")
def cast() -> Cast:
    return Cast("INSTAGRAM", generate("INSTAGRAM", 1, 60), TODAY)


@pytest.fixture(scope="module")
def api(cast: Cast) -> GraphApi:
    return GraphApi(cast)


def ask(api: GraphApi, fields: str, path: str = PATH) -> Any:
    answer = api.answer("GET", path, {"fields": fields}, {}, b"")
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def refusal(answer: Answer) -> tuple[int, dict[str, Any]]:
    return answer.status, json.loads(answer.body)["error"]


def test_fields_nest_and_take_arguments() -> None:
    assert parse("id,business_discovery.username(a.b_c){name , media.limit(5).after(Q==){id,caption}},x") == (
        Field("id"),
        Field(
            "business_discovery",
            {"username": "a.b_c"},
            (Field("name"), Field("media", {"limit": "5", "after": "Q=="}, (Field("id"), Field("caption")))),
        ),
        Field("x"),
    )


@pytest.mark.parametrize(
    "text", ["", "a,", "a{", "a{b", "a{b}}", "a.limit(", "a b", "{a}", "a{}", "a{b{c{d{e{f{g}}}}}}"]
)
def test_what_is_no_list_of_fields_is_refused(text: str) -> None:
    with pytest.raises(FieldsError, match="Syntax error"):
        parse(text)


def test_only_what_was_asked_for_is_answered(cast: Cast, api: GraphApi) -> None:
    creator, day = cast.ranked[0]
    body = ask(api, f"business_discovery.username({creator.handle}){{followers_count,name}}")
    assert body == {
        "business_discovery": {
            "followers_count": day.followers,
            "name": creator.full_name,
            "id": creator.profile_id,
        },
        "id": PATH.rpartition("/")[2],
    }
    assert ask(api, "id") == {"id": PATH.rpartition("/")[2]}


def test_a_profile_has_the_keys_of_the_real_answer(cast: Cast, api: GraphApi) -> None:
    real = recorded("instagram_graph_api/instagram/apidata/discovery/user_fields.json")
    asked = ",".join(real["business_discovery"])
    body = ask(api, f"business_discovery.username({cast.ranked[0][0].handle}){{{asked}}}")
    assert body.keys() == real.keys()
    assert shape(body["business_discovery"]) == shape(real["business_discovery"])


def test_media_have_the_keys_of_the_real_answer_on_the_first_and_the_last_page(cast: Cast, api: GraphApi) -> None:
    handle = cast.ranked[0][0].handle
    first, last = (recorded(f"instagram_graph_api/base/discovery_medias_p{page}.json") for page in (1, 2))
    asked = ",".join(first["business_discovery"]["media"]["data"][0])
    page = ask(api, f"business_discovery.username({handle}){{media.limit(5){{{asked}}}}}")["business_discovery"]
    assert page.keys() == first["business_discovery"].keys()
    real_media, media = first["business_discovery"]["media"], page["media"]
    assert media.keys() == real_media.keys()
    assert media["paging"].keys() == real_media["paging"].keys()
    assert media["paging"]["cursors"].keys() == real_media["paging"]["cursors"].keys() == {"after"}
    assert all(shape(item) == shape(real_media["data"][0]) for item in media["data"])
    while "after" in media["paging"]["cursors"]:
        cursor = media["paging"]["cursors"]["after"]
        found = ask(api, f"business_discovery.username({handle}){{media.limit(5).after({cursor}){{{asked}}}}}")
        media = found["business_discovery"]["media"]
    assert media["paging"]["cursors"].keys() == last["business_discovery"]["media"]["paging"]["cursors"].keys()


def shape(item: dict[str, Any]) -> dict[str, type]:
    return {name: type(value) for name, value in item.items()}


@pytest.mark.parametrize("limit", [1, 7, 12, 25, 100])
def test_paging_covers_every_post_once(cast: Cast, api: GraphApi, limit: int) -> None:
    creator, _ = cast.ranked[5]
    ids: list[str] = []
    cursor = ""
    while True:
        asked = f"business_discovery.username({creator.handle}){{media.limit({limit}){cursor}{{id}}}}"
        media = ask(api, asked)["business_discovery"]["media"]
        assert len(media["data"]) <= limit
        ids += [item["id"] for item in media["data"]]
        cursors = media.get("paging", {}).get("cursors", {})
        if "after" not in cursors:
            break
        cursor = f".after({cursors['after']})"
    assert ids == [post.post_id for post in cast.posts_of(creator)]


def test_a_before_cursor_goes_back(cast: Cast, api: GraphApi) -> None:
    creator, _ = cast.ranked[5]
    asked = "business_discovery.username(" + creator.handle + "){{media.limit(5){}{{id}}}}"
    first = ask(api, asked.format(""))["business_discovery"]["media"]
    second = ask(api, asked.format(f".after({first['paging']['cursors']['after']})"))["business_discovery"]["media"]
    back = ask(api, asked.format(f".before({second['paging']['cursors']['before']})"))["business_discovery"]["media"]
    assert back == first


def test_posts_are_as_the_cast_has_them(cast: Cast, api: GraphApi) -> None:
    creator, _ = cast.ranked[2]
    wanted = "id,caption,like_count,comments_count,media_type,permalink,timestamp,view_count,thumbnail_url"
    body = ask(api, f"business_discovery.username({creator.handle.upper()}){{media.limit(12){{{wanted}}}}}")
    for item, post in zip(body["business_discovery"]["media"]["data"], cast.posts_of(creator), strict=False):
        assert (item["id"], item["caption"]) == (post.post_id, post.title)
        assert (item["like_count"], item["comments_count"]) == (post.likes, post.comments)
        assert dt.datetime.strptime(item["timestamp"], "%Y-%m-%dT%H:%M:%S%z") == post.published
        assert post.shortcode in item["permalink"]
        assert "view_count" not in item  # absent, not null
        assert ("thumbnail_url" in item) == (item["media_type"] == "VIDEO")


def test_errors(api: GraphApi) -> None:
    status, error = refusal(
        api.answer("GET", PATH, {"fields": "business_discovery.username(nobody.here){id}"}, {}, b"")
    )
    assert (status, error["code"], error["error_subcode"], error["message"]) == (400, 110, 2207013, "Invalid user id")
    assert error["error_user_title"] == "Cannot find User"
    for fields, code in (
        ("business_discovery{id}", 100),
        ("likes", 100),
        ("business_discovery.username(x){id", 2500),
    ):
        status, error = refusal(api.answer("GET", PATH, {"fields": fields}, {}, b""))
        assert (status, error["code"], error["type"]) == (400, code, "OAuthException")
    for path in ("/v25.0/", "/v25.0/1/media/2", "/"):
        assert refusal(api.answer("GET", path, {}, {}, b""))[1]["code"] == 2500


@pytest.mark.parametrize("media", ["media.limit(0){id}", "media.limit(x){id}", "media.after(x){id}", "media{likes}"])
def test_a_bad_page_is_refused(cast: Cast, api: GraphApi, media: str) -> None:
    asked = f"business_discovery.username({cast.ranked[0][0].handle}){{{media}}}"
    status, error = refusal(api.answer("GET", PATH, {"fields": asked}, {}, b""))
    assert (status, error["code"]) == (400, 100)


def test_refusals_have_the_keys_of_the_real_ones(api: GraphApi) -> None:
    real: dict[int, dict[str, Any]] = {}
    for entry in recorded("error_envelopes/meta_graph_errors.json"):
        real.setdefault(entry["body"]["error"]["code"], entry["body"]["error"])
    for answer, code, status in (
        (api.refuse_token(TOKENS[0]), 190, 400),
        (api.refuse_rate(3, of_user=False), 4, 429),
        (api.refuse_rate(3, of_user=True), 17, 400),
    ):
        got_status, error = refusal(answer)
        assert (got_status, error["code"]) == (status, code)
        assert shape(error) == shape(real[code])
    assert api.refuse_rate(3, of_user=True).retry_after_s == api.refuse_rate(3, of_user=False).retry_after_s == 3


def test_the_token_comes_from_the_query_or_the_header(api: GraphApi) -> None:
    assert api.token({"access_token": "a"}, {}) == "a"
    assert api.token({}, {b"authorization": b"Bearer b"}) == "b"
    assert api.token({}, {b"authorization": b"Basic b"}) is None
    assert api.token({}, {}) is None

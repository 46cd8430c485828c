"""The flows of Instagram: what they are given, whom they ask in which order, and what becomes of it."""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pydantic
import pytest

from gcc.clock import SystemClock
from gcc.errors import Transient
from gcc.pipelines.scraping.instagram import FLOWS
from gcc.pipelines.scraping.work import NO_COST, refused
from gcc.sources.chain import Visit, first_of
from gcc.sources.instagram.identity import Told
from gcc.sources.known import InProcessKnown
from gcc.sources.snapshot import Found, PostSnapshot, ProfileSnapshot, derive
from gcc.sources.table import SOURCES

AT = dt.datetime(2026, 10, 30, 12, tzinfo=dt.UTC)
BY_NAME = {flow.name: flow for flow in FLOWS}
B, J, A, R, L = (
    "insta-best-performance",
    "instagram-scraper2",
    "instagram-scraper-2022",
    "rocketapi",
    "lama",
)
WORKERS = {
    "refresh_profile_by_handle": 10, "refresh_profile_basic": 5, "refresh_profile_by_profile_id": 1,
    "refresh_profile_custom": 1, "refresh_post_by_shortcode": 1, "refresh_tagged_posts": 1, "refresh_post_insights": 1,
    "refresh_stories_posts": 1, "refresh_story_insights": 1, "fetch_profile_followers": 3, "fetch_profile_following": 1,
    "fetch_hashtag_posts": 1, "fetch_post_comments": 1, "fetch_post_likes": 1, "refresh_profile_insights": 1,
}  # fmt: skip


def test_all_of_them_are_there_with_their_workers() -> None:
    assert {flow.name: flow.workers for flow in FLOWS} == WORKERS


@pytest.mark.parametrize(
    ("flow", "chain", "capability"),
    [
        ("refresh_profile_by_handle", ["graphapi", B, J, A, R, L], "public"),
        ("refresh_profile_by_profile_id", ["graphapi", B, J, A, R, L], "public"),
        ("refresh_post_by_shortcode", ["graphapi", J, A, R, L], "public"),
        ("refresh_tagged_posts", ["graphapi", A], "owner"),
        ("refresh_stories_posts", ["graphapi", A, R, L], "owner"),
        ("refresh_post_insights", ["graphapi"], "owner"),
        ("refresh_story_insights", ["graphapi"], "owner"),
        ("refresh_profile_insights", ["graphapi"], "owner"),
        ("fetch_profile_followers", [J, R, L], "unofficial"),
        ("fetch_profile_following", [J, L], "unofficial"),
        ("fetch_hashtag_posts", ["graphapi", J, L], "public"),
        ("fetch_post_comments", ["graphapi", J], "owner"),
        ("fetch_post_likes", [J], "unofficial"),
    ],
)
def test_whom_they_ask(flow: str, chain: list[str], capability: str) -> None:
    row = BY_NAME[flow]
    assert [source for source in row.chain if source != "arraybobo"] == chain  # which is A by another name
    assert row.capability == capability
    assert row.chain.keys() <= SOURCES.keys()
    assert (capability == "unofficial") == all(SOURCES[source].unofficial for source in row.chain)


@pytest.mark.parametrize(
    ("flow", "params", "told"),
    [
        ("refresh_profile_basic", {}, "handle: Field required"),
        ("refresh_profile_basic", {"handle": " "}, "handle: String should have at least 1 character"),
        ("refresh_profile_by_profile_id", {"profile_id": "made.up"}, "profile_id: String should match pattern"),
        ("refresh_profile_by_profile_id", {"profile_id": "17/insights"}, "profile_id: String should match pattern"),
        ("refresh_profile_by_profile_id", {"profile_id": "17\n"}, "profile_id: String should match pattern"),
        ("refresh_profile_custom", {"handle": "a", "pages_max": 0}, "pages_max: Input should be greater than or equal"),
        ("refresh_post_by_shortcode", {"shortcode": "a b"}, "shortcode: String should match pattern"),
        ("refresh_tagged_posts", {"profile_id": "17", "pages_max": 10**9}, "pages_max: Input should be less than"),
        ("refresh_post_insights", {"post_id": 17}, "post_id: Input should be a valid string"),
        ("fetch_profile_followers", {}, "profile_id or handle is needed"),
        ("fetch_hashtag_posts", {"hashtag": "a b"}, "hashtag: String should match pattern"),
        ("fetch_hashtag_posts", {"hashtag": "a/../b"}, "hashtag: String should match pattern"),
        ("fetch_post_likes", {"shortcode": "C", "limit": 1}, "limit: the flow has no such param"),
    ],
)
def test_a_bad_param_is_told_by_its_name(flow: str, params: dict[str, Any], told: str) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        BY_NAME[flow].params.model_validate(params)
    assert told in refused(caught.value)


@pytest.mark.parametrize(
    ("flow", "params"),
    [
        ("refresh_profile_by_handle", {"handle": "made.up"}),
        ("refresh_stories_posts", {"profile_id": "17841400000000001"}),
        ("refresh_story_insights", {"post_id": "18001"}),
        ("fetch_profile_following", {"handle": "made.up"}),
        ("fetch_hashtag_posts", {"hashtag": "#बारिश"}),
        ("fetch_post_comments", {"shortcode": "C_a-1", "post_id": "18001", "pages_max": 3}),
    ],
)
def test_good_params(flow: str, params: dict[str, Any]) -> None:
    BY_NAME[flow].params.model_validate(params)


def post(number: int) -> PostSnapshot:
    return PostSnapshot(
        "INSTAGRAM", "graphapi", AT, f"1800{number}", f"C{number}", "17", "made.up", AT - dt.timedelta(days=number),
        {"likes": number, "comments": 1, "views": None}, {"post_type": "image"},
    )  # fmt: skip


class Shows:
    """A client that shows one profile, and one post more than stands beside it."""

    def __init__(self, profile: ProfileSnapshot) -> None:
        self.known = InProcessKnown()
        self._profile = profile

    async def profile(self, handle: str, visit: Visit) -> ProfileSnapshot:
        return self._profile

    async def posts(self, handle: str, profile_id: str, pages_max: int, visit: Visit) -> Found[list[PostSnapshot]]:
        assert (handle, profile_id, pages_max) == ("made.up", "17", 4)
        return Found([post(1), post(3), post(100)], "there are more than 4 pages")


async def test_a_custom_crawl_keeps_its_averages_over_the_latest_posts() -> None:
    metrics = {"followers": 10}
    profile = ProfileSnapshot("INSTAGRAM", "graphapi", AT, "17", "made.up", metrics, {}, [post(1), post(2), post(3)])
    flow, visit = BY_NAME["refresh_profile_custom"], Visit()
    retrieved = await flow.chain["graphapi"](Shows(profile), flow.params.model_validate({"handle": "made.up"}), visit)
    found = flow.yields(derive(retrieved), SystemClock().new_id)
    (account,) = next(write.rows for write in found.writes if write.table.name == "instagram_account")
    posts = [row["post_id"] for write in found.writes if write.table.name == "instagram_post" for row in write.rows]
    assert (account["avg_likes"], account["state"]) == (2, "active")
    assert sorted(posts) == ["18001", "1800100", "18002", "18003"]
    assert (found.data["posts"], found.data["partial"]) == (4, "there are more than 4 pages")
    assert sum(frame.events for frame in found.frames) == 5


@pytest.mark.parametrize("patience_s", [0.0, 60.0])
async def test_while_our_rows_are_away_no_other_source_is_asked(patience_s: float) -> None:
    """Its answer could not be stored either; and the job costs no attempt."""
    asked = list[str]()

    class Lost(InProcessKnown):
        async def names_of(self, told: Sequence[Told]) -> Mapping[str, str]:
            raise Transient("postgres: gone")

    class Api:
        known = Lost()

        def __init__(self, source: str) -> None:
            self.source = source

        async def profile(self, handle: str, visit: Visit) -> ProfileSnapshot:
            asked.append(self.source)
            return ProfileSnapshot("INSTAGRAM", self.source, AT, "1", handle, {}, {}, [])

    row = BY_NAME["refresh_profile_basic"]
    params = row.params.model_validate({"handle": "made.up"})
    chain = [(source, partial(ask, Api(source), params, Visit())) for source, ask in row.chain.items()]
    with pytest.raises(NO_COST, match="postgres: gone"):
        await first_of(chain, patience_s=patience_s)
    assert asked == ["graphapi"]


def test_a_private_profile_is_known_as_one() -> None:
    profile = ProfileSnapshot("INSTAGRAM", "lama", AT, "17", "made.up", {}, {"is_private": True}, [])
    found = BY_NAME["refresh_profile_by_handle"].yields(profile, SystemClock().new_id)
    (account,) = next(write.rows for write in found.writes if write.table.name == "instagram_account")
    assert account["state"] == "private"


def test_each_is_told_in_the_documents() -> None:
    told = (Path(__file__).parents[2] / "docs" / "sources.md").read_text()
    assert [name for name in WORKERS if not re.search(rf"`{name}`", told)] == []

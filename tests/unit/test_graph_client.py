"""The Graph API's client: whose credential asks where, its pages, and names and sizes that the API refuses."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import trio
import trio.testing

from gcc.clock import VirtualClock
from gcc.errors import GccError
from gcc.metrics import Metrics
from gcc.sources.chain import Outside, Visit
from gcc.sources.credentials import Facts
from gcc.sources.http import Request
from gcc.sources.instagram.graph_client import GraphApi
from gcc.sources.instagram.graph_metrics import REFUSED_S
from gcc.sources.known import HASHTAGS_MAX, Account, Author, InProcessKnown
from gcc.sources.limits import InProcessLimiter, Limit, LimitRefused
from gcc.sources.verdicts import NeedsOwner, NotFound, NotVisible, QuestionFailed
from tests.fakes.credentials import FakeCredentials
from tests.fakes.fetcher import FakeFetcher, Reply
from tests.unit.test_graph_parse import PROFILE, media

OWNER, POST = "17", "18001"


def good(body: Any) -> Reply:
    return Reply(200, json.dumps(body).encode())


def refused(code: int, message: str = "made up", subcode: int | None = None) -> Reply:
    return Reply(400, json.dumps({"error": {"code": code, "error_subcode": subcode, "message": message}}).encode())


class Bench:
    """A client whose outside is `replies` by path below the version: a reply, a list of them in turn, or a function."""

    def __init__(self, replies: Mapping[str, Any], known: InProcessKnown | None = None, root: str = "facebook") -> None:
        self.replies = {path: list(reply) if isinstance(reply, list) else reply for path, reply in replies.items()}
        clock = VirtualClock(seed=1)
        self.credentials = FakeCredentials(clock)
        self.fetcher = FakeFetcher(self._reply)
        limiter = InProcessLimiter({"graphapi": Limit(10_000, 1.0)})
        outside = Outside(self.fetcher, limiter, self.credentials, clock, Metrics(), {}, known=known)
        self.api = GraphApi(outside, f"https://graph.{root}.com/v25.0")
        self.visit = Visit()

    def _reply(self, request: Request) -> Reply:
        reply = self.replies[request.url.partition("/v25.0/")[2]]
        if callable(reply):
            return reply(request)
        return reply.pop(0) if isinstance(reply, list) else reply

    async def ready(self, *owners: str, kind: str = "facebook") -> "Bench":
        for owner in owners or ("1",):
            await self.credentials.put(
                "graphapi", owner, {"token": f"token of {owner}"}, Facts(kind=kind, account=owner)
            )
        return self

    @property
    def asked(self) -> list[tuple[str, dict[str, str]]]:
        """(path, parameters) without the tokens."""
        return [
            (request.url.partition("/v25.0/")[2], {k: v for k, v in request.params.items() if k != "access_token"})
            for request in self.fetcher.requests
        ]


def page(*numbers: int, after: str | None = None, whole: bool = True) -> Reply:
    paging = {"cursors": {"after": after}, "next": f"https://graph.facebook.com/?access_token=T&after={after}"}
    return good({"data": [media(number) for number in numbers], **({"paging": paging} if after else {})})


def found(*numbers: int, after: str | None = None) -> Reply:
    edge = {"data": [media(number) for number in numbers], "paging": {"cursors": {"after": after} if after else {}}}
    return good({"business_discovery": {"id": "9", "media": edge}, "id": "1"})


# Of anybody.


async def test_the_pages_of_a_profile(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench({"1": [found(1, 2, after="a-1"), found(3)]}).ready()
    posts = await bench.api.posts("made.up", "", 5, bench.visit)
    assert ([post.post_id for post in posts.items], posts.partial) == (["18001", "18002", "18003"], None)
    fields = [params["fields"] for _, params in bench.asked]
    assert fields[0].startswith("business_discovery.username(made.up){media.limit(50){id,")
    assert fields[1].startswith("business_discovery.username(made.up){media.after(a-1).limit(50){id,")


async def test_a_profile_that_was_not_asked_for_is_none(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench({"1": good({"business_discovery": {"id": "9", "username": "Another"}, "id": "1"})}).ready()
    with pytest.raises(QuestionFailed, match=r"username should be 'made\.up', got 'Another'"):
        await bench.api.profile("made.up", bench.visit)
    assert (await bench.api.profile("another", bench.visit)).handle == "Another"


async def test_a_post_is_looked_for_page_after_page(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench({"1": [found(1, 2, after="a"), found(3, 4, after="b"), found(5)]}).ready()
    post = await bench.api.post("C_a-4", "made.up", bench.visit)
    assert (post.post_id, post.handle, len(bench.asked)) == ("18004", "made.up", 2)


async def test_a_post_whose_author_our_rows_tell(autojump_clock: trio.testing.MockClock) -> None:
    known = InProcessKnown(authors={"C_a-1": Author("9", "made.up")})
    bench = await Bench({"1": found(1)}, known).ready()
    assert (await bench.api.post("C_a-1", "", bench.visit)).handle == "made.up"
    with pytest.raises(NotVisible, match="nobody knows whose C_a-2 is"):
        await bench.api.post("C_a-2", "", bench.visit)
    with pytest.raises(NotVisible, match=r"C_a-2 is not among the posts of made\.up"):
        await bench.api.post("C_a-2", "made.up", bench.visit)


async def test_a_page_that_is_too_much_is_halved(autojump_clock: trio.testing.MockClock) -> None:
    def reply(request: Request) -> Reply:
        if "limit(50)" in request.params["fields"] or "limit(25)" in request.params["fields"]:
            return refused(1, "Please reduce the amount of data you're asking for, then retry your request")
        return found(2) if "after(a)" in request.params["fields"] else found(1, after="a")

    bench = await Bench({"1": reply}).ready()
    posts = await bench.api.posts("made.up", "", 5, bench.visit)
    assert [post.post_id for post in posts.items] == ["18001", "18002"]
    limits = [params["fields"].partition("limit(")[2].partition(")")[0] for _, params in bench.asked]
    assert limits == ["50", "25", "12", "12"], "and stays so"


async def test_what_is_always_too_much_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench({"1": refused(1, "Please reduce the amount of data")}).ready()
    with pytest.raises(QuestionFailed, match="reduce the amount"):
        await bench.api.profile("made.up", bench.visit)
    assert len(bench.asked) == 4  # 12, 6, 3, 1


async def test_a_field_that_is_refused_is_left_out_for_a_day(autojump_clock: trio.testing.MockClock) -> None:
    def reply(request: Request) -> Reply:
        if "view_count" in request.params["fields"]:
            return refused(100, "(#100) Tried accessing nonexisting field (view_count) on node type (ShadowIGMedia)")
        return good(PROFILE)

    bench = await Bench({"1": reply}).ready()
    for _ in range(3):
        await bench.api.profile("made.up_one", bench.visit)
    assert len(bench.asked) == 4
    await trio.sleep(REFUSED_S + 1)
    await bench.api.profile("made.up_one", bench.visit)
    assert len(bench.asked) == 6


async def test_by_its_id_a_profile_is_asked_for_by_its_handle(autojump_clock: trio.testing.MockClock) -> None:
    same = PROFILE["business_discovery"]["id"]
    known = InProcessKnown(accounts_known={same: Account("made.up_one", same), "5": Account("made.up_one", "5")})
    bench = await Bench({"1": good(PROFILE)}, known).ready()
    assert (await bench.api.profile_by_id(same, bench.visit)).profile_id == same
    with pytest.raises(NotVisible, match=r"made\.up_one is another profile now"):
        await bench.api.profile_by_id("5", bench.visit)
    with pytest.raises(NeedsOwner):
        await bench.api.profile_by_id("6", bench.visit)


async def test_an_instagram_login_is_never_asked_for_another_s_profile(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench({"1": good(PROFILE)}).ready(kind="instagram")
    with pytest.raises(GccError):
        await bench.api.profile("made.up", bench.visit)
    assert bench.asked == []


# Of the owner.


@pytest.mark.parametrize(("kind", "host"), [("facebook", "graph.facebook.com"), ("instagram", "graph.instagram.com")])
async def test_each_login_asks_its_own_host(autojump_clock: trio.testing.MockClock, kind: str, host: str) -> None:
    me = {"id": "app-scoped", "user_id": OWNER, "username": "own.er", "followers_count": 5, "account_type": "BUSINESS"}
    bench = await Bench({OWNER: good(me), f"{OWNER}/media": page(1, 2, after="a")}).ready(OWNER, kind=kind)
    await bench.credentials.put("graphapi", "x", {"token": "another's"}, Facts(kind="facebook", account="1"))
    profile = await bench.api.profile_by_id(OWNER, bench.visit)
    assert (profile.profile_id, profile.handle, profile.dimensions["profile_type"]) == (OWNER, "own.er", "BUSINESS")
    assert [post.handle for post in profile.posts] == ["own.er", "own.er"]
    assert {request.url.partition("/v25.0/")[0] for request in bench.fetcher.requests} == {f"https://{host}"}
    assert {request.params["access_token"] for request in bench.fetcher.requests} == {f"token of {OWNER}"}
    assert bench.asked[1][1]["limit"] == "12"


@pytest.mark.parametrize(
    "ask",
    [
        lambda bench: bench.api.tagged("", OWNER, 3, bench.visit),
        lambda bench: bench.api.stories("", OWNER, bench.visit),
        lambda bench: bench.api.profile_insights(OWNER, bench.visit),
        lambda bench: bench.api.post_insights(POST, OWNER, bench.visit),
        lambda bench: bench.api.post_insights(POST, "", bench.visit),
        lambda bench: bench.api.story_insights(POST, OWNER, bench.visit),
        lambda bench: bench.api.comments("C_a-1", "", 3, bench.visit),
    ],
)
async def test_without_the_owner_s_credential_nothing_is_asked(
    autojump_clock: trio.testing.MockClock, ask: Callable[[Bench], Any]
) -> None:
    bench = await Bench({}).ready("1", "2")
    with pytest.raises(NeedsOwner):
        await ask(bench)
    assert bench.asked == []


async def test_tagged_media_to_the_last_page(autojump_clock: trio.testing.MockClock) -> None:
    edge = f"{OWNER}/tags"
    bench = await Bench(
        {edge: [page(1, after="a"), good({"data": [], **json.loads(page(after="b").body)}), page(2)]}
    ).ready(OWNER)
    found = await bench.api.tagged("", OWNER, 5, bench.visit)
    assert ([post.post_id for post in found.items], found.partial) == (["18001", "18002"], None)
    assert [params.get("after") for _, params in bench.asked] == [None, "a", "b"]
    assert {post.handle for post in found.items} == {""}


async def test_a_list_is_capped_and_says_so(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench({f"{OWNER}/tags": [page(1, after="a"), page(2, after="b")]}).ready(OWNER)
    found = await bench.api.tagged("", OWNER, 2, bench.visit)
    assert (len(found.items), found.partial) == (2, "there are more than 2 pages")


async def test_comments_with_replies(autojump_clock: trio.testing.MockClock) -> None:
    known = InProcessKnown(authors={"C_a-1": Author(OWNER, "own.er", POST, "C_a-1")})
    comment = {"id": "5", "text": "so", "replies": {"data": [{"id": "6", "text": "no"}]}}
    bench = await Bench({f"{POST}/comments": good({"data": [comment]})}, known).ready(OWNER)
    found = await bench.api.comments("C_a-1", "", 3, bench.visit)
    told = [(each.activity_id, each.post_id, each.shortcode, each.profile_id) for each in found.items]
    assert told == [("5", POST, "C_a-1", OWNER), ("6", POST, "C_a-1", OWNER)]
    assert bench.asked[0][1]["fields"].endswith("}")
    assert ",replies.limit(50){id,text," in bench.asked[0][1]["fields"]


# Insights.


def told(**metrics: int) -> Reply:
    return good({"data": [{"name": name, "values": [{"value": value}]} for name, value in metrics.items()]})


def insights(request: Request) -> Reply:
    """Of every metric that is asked for: its length."""
    return told(**{name: len(name) for name in request.params["metric"].split(",")})


def reel(**fields: Any) -> Reply:
    return good(media(1, media_type="VIDEO", media_product_type="REELS", owner={"id": OWNER}, **fields))


async def test_insights_of_a_reel(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench({POST: reel(), f"{POST}/insights": insights}).ready(OWNER)
    found = await bench.api.post_insights(POST, OWNER, bench.visit)
    (post,) = found.items
    assert (post.post_id, post.shortcode, post.profile_id, found.partial) == (POST, "C_a-1", OWNER, None)
    assert {
        "views": 5,
        "reach": 5,
        "ig_reels_avg_watch_time": 23,
        "reels_skip_rate": 15,
    }.items() <= post.metrics.items()
    metrics = [params["metric"].split(",") for path, params in bench.asked if path.endswith("insights")]
    assert metrics[1:] == [["reels_skip_rate"], ["facebook_views"], ["crossposted_views"]]
    assert "follows" not in metrics[0]


async def test_a_metric_that_is_refused_costs_one_call_a_day(autojump_clock: trio.testing.MockClock) -> None:
    def reply(request: Request) -> Reply:
        names = request.params["metric"].split(",")
        if "views" in names:
            return refused(
                100, "(#100) The Media Insights API does not support the views metric for this media product type."
            )
        if "shares" in names:
            listed = "reach, likes, comments, saved"
            return refused(100, f"(#100) metric[{names.index('shares')}] must be one of the following values: {listed}")
        return refused(-1, "Fatal", 2207086) if "_views" in names[0] else insights(request)

    bench = await Bench({POST: reel(), f"{POST}/insights": reply}).ready(OWNER)
    for _ in range(3):
        found = await bench.api.post_insights(POST, OWNER, bench.visit)
        assert found.items[0].metrics["reach"] == 5
        assert "shares" not in found.items[0].metrics
        assert found.items[0].metrics["views"] is None, "absent, not 0"
        assert found.partial is None
    calls = sum(path.endswith("insights") for path, _ in bench.asked)
    assert calls == 3 * 2 + 2 + 2  # reach and reels_skip_rate each time; two names, and two calls, refused once
    await trio.sleep(REFUSED_S + 1)
    await bench.api.post_insights(POST, OWNER, bench.visit)
    assert sum(path.endswith("insights") for path, _ in bench.asked) == calls + 2 + 2 + 2


async def test_a_metric_of_another_kind_is_still_asked_for(autojump_clock: trio.testing.MockClock) -> None:
    def reply(request: Request) -> Reply:
        if "views" in request.params["metric"].split(","):
            return refused(100, "The Media Insights API does not support the views metric for this media product type.")
        return insights(request)

    image = good(media(2, id="18002", owner={"id": OWNER}))
    bench = await Bench({POST: reel(), f"{POST}/insights": reply, "18002": image, "18002/insights": insights}).ready(
        OWNER
    )
    await bench.api.post_insights(POST, OWNER, bench.visit)
    assert (await bench.api.post_insights("18002", OWNER, bench.visit)).items[0].metrics["views"] == 5


async def test_a_metric_that_one_account_has_not_is_asked_of_the_next(autojump_clock: trio.testing.MockClock) -> None:
    def reply(request: Request) -> Reply:
        if "follower_count" in request.params["metric"].split(","):
            return refused(
                100, "(#100) The follower_count metric is not there for accounts with less than 100 followers"
            )
        return insights(request)

    replies: dict[str, Any] = {}
    for owner in ("17", "18"):
        replies[owner] = good({"id": owner, "username": "own.er"})
    replies |= {"17/insights": reply, "18/insights": insights}
    bench = await Bench(replies).ready("17", "18")
    first = await bench.api.profile_insights("17", bench.visit)
    assert (first.metrics["reach"], "follower_count" in first.metrics) == (5, False)
    second = await bench.api.profile_insights("18", bench.visit)
    assert (second.handle, second.posts, second.metrics["follower_count"]) == ("own.er", [], 14)


@pytest.mark.parametrize(
    ("reply", "why", "again"),
    [
        (refused(10, "(#10) Not enough viewers for the media to show insights"), "Not enough viewers", True),
        (refused(100, "Invalid parameter", 2108006), "older than the business account", False),
    ],
)
async def test_a_media_without_insights_stays_and_says_why(
    autojump_clock: trio.testing.MockClock, reply: Reply, why: str, again: bool
) -> None:
    story = good(media(1, media_product_type="STORY", owner={"id": OWNER}))
    bench = await Bench({POST: story, f"{POST}/insights": reply}).ready(OWNER)
    for _ in range(2):
        found = await bench.api.story_insights(POST, OWNER, bench.visit)
        assert [post.metrics["likes"] for post in found.items] == [101]
        assert "reach" not in found.items[0].metrics
        assert why in (found.partial or "")
    assert sum(path.endswith("insights") for path, _ in bench.asked) == 1 + again


async def test_insights_of_an_account_by_parts(autojump_clock: trio.testing.MockClock) -> None:
    def reply(request: Request) -> Reply:
        part = request.params.get("breakdown")
        if part == "city":
            return refused(100, "(#100) Invalid parameter")
        if part is None:
            return insights(request)
        results = [{"dimension_values": ["FOLLOWER" if part == "follow_type" else part], "value": 7}]
        total = {"breakdowns": [{"dimension_keys": [part], "results": results}]}
        return good({"data": [{"name": request.params["metric"], "total_value": total}]})

    bench = await Bench({OWNER: good({"id": OWNER, "username": "own.er"}), f"{OWNER}/insights": reply}).ready(OWNER)
    profile = await bench.api.profile_insights(OWNER, bench.visit)
    assert profile.dimensions["audience_age"] == {"age": 7}
    assert {"audience_gender", "audience_country"} <= profile.dimensions.keys()
    assert (profile.metrics["follows"], profile.metrics["accounts_engaged"]) == (7, 16)
    assert ["Invalid parameter" in note for note in profile.notes] == [True], "what is missing is told"
    first = next(params for path, params in bench.asked if path.endswith("insights"))
    assert first == {"metric": "reach,follower_count", "period": "day"}


async def test_where_no_insights_come_at_all_there_is_no_answer(autojump_clock: trio.testing.MockClock) -> None:
    replies = {OWNER: good({"id": OWNER, "username": "own.er"}), f"{OWNER}/insights": refused(100, "Invalid parameter")}
    bench = await Bench(replies).ready(OWNER)
    with pytest.raises(QuestionFailed, match="Invalid parameter"):
        await bench.api.profile_insights(OWNER, bench.visit)


# Hashtags.


async def test_a_hashtag_is_searched_for_once(autojump_clock: trio.testing.MockClock) -> None:
    replies = {
        "ig_hashtag_search": good({"data": [{"id": "1784"}]}),
        "1784/recent_media": lambda request: page(2) if "after" in request.params else page(1, after="same"),
        "1784/top_media": page(1, 3),
    }
    bench = await Bench(replies, InProcessKnown(accounts=("1",))).ready()
    for _ in range(2):
        found = await bench.api.hashtag("#Rain", 5, bench.visit)
        assert {post.post_id for post in found.items} == {"18001", "18002", "18003"}
        assert found.partial is None
    assert [path for path, _ in bench.asked].count("ig_hashtag_search") == 1
    assert bench.asked[0][1] == {"user_id": "1", "q": "rain"}
    assert bench.asked[1][1]["user_id"] == "1"
    assert "username" not in bench.asked[1][1]["fields"]


async def test_all_pages_of_a_hashtag_may_name_one_cursor(autojump_clock: trio.testing.MockClock) -> None:
    known = InProcessKnown(accounts=("1",), hashtag_ids={"rain": "1784"})
    recent = [page(1, after="same"), page(2, after="same"), page(3)]
    bench = await Bench({"1784/recent_media": recent, "1784/top_media": page()}, known).ready()
    found = await bench.api.hashtag("rain", 5, bench.visit)
    assert ([post.post_id for post in found.items], found.partial) == (["18001", "18002", "18003"], None)


async def test_30_hashtags_and_no_more(autojump_clock: trio.testing.MockClock) -> None:
    replies = {
        "ig_hashtag_search": lambda request: good({"data": [{"id": request.params["q"].removeprefix("tag")}]}),
        **{f"{number}/{edge}": page() for number in range(40) for edge in ("recent_media", "top_media")},
    }
    bench = await Bench(replies, InProcessKnown(accounts=("1",))).ready()
    for number in range(HASHTAGS_MAX):
        await bench.api.hashtag(f"tag{number}", 1, bench.visit)
    asked = len(bench.asked)
    with pytest.raises(LimitRefused, match="30 hashtags of 7 days"):
        await bench.api.hashtag("tag30", 1, bench.visit)
    assert len(bench.asked) == asked
    await bench.api.hashtag("tag0", 1, bench.visit)


@pytest.mark.parametrize("reply", [refused(24, "none", 2207024), good({"data": []})])
async def test_a_hashtag_that_is_none(autojump_clock: trio.testing.MockClock, reply: Reply) -> None:
    bench = await Bench({"ig_hashtag_search": reply}, InProcessKnown(accounts=("1",))).ready()
    with pytest.raises(NotFound) as caught:
        await bench.api.hashtag("nobody", 1, bench.visit)
    assert caught.value.code == "HASHTAG_NOT_FOUND"


async def test_hashtags_with_emoji_are_left_to_others(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench({}, InProcessKnown(accounts=("1",))).ready()
    with pytest.raises(NotVisible, match="emoji"):
        await bench.api.hashtag("rain☔", 1, bench.visit)


async def test_no_trace_tells_a_token(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench({f"{OWNER}/tags": [page(1, after="a"), page(2)]}).ready(OWNER)
    await bench.api.tagged("", OWNER, 5, bench.visit)
    assert len(bench.visit.traces) == 2
    assert "token of" not in repr(bench.visit.traces)
    assert all("access_token=***" in trace.uri for trace in bench.visit.traces)

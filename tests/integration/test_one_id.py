"""An account is one row and one id, and so is each of its posts, whichever source tells of it first."""

import datetime as dt
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from psycopg.types.json import Jsonb

from gcc import statements
from gcc.clock import SystemClock
from gcc.config import World as Settings
from gcc.metrics import Metrics
from gcc.pipelines.scraping.instagram import FLOWS
from gcc.sources.chain import Outside, Visit
from gcc.sources.credentials import Facts
from gcc.sources.http import HttpFetcher
from gcc.sources.instagram.graph_client import GraphApi
from gcc.sources.instagram.graph_errors import SOURCE as GRAPH
from gcc.sources.instagram.identity import Told, media_id
from gcc.sources.instagram_web.client import WebClient
from gcc.sources.instagram_web.providers import PROVIDERS
from gcc.sources.known import Account
from gcc.sources.limits import InProcessLimiter, Limit
from gcc.sources.snapshot import ProfileSnapshot, derive
from gcc.sources.verdicts import NotVisible
from gcc.stores import upserts
from gcc.stores.known import PostgresKnown
from gcc.stores.postgres import Pool
from gcc.world import rapidapi
from gcc.world.graph import TOKENS, USER
from gcc.world.graph_tokens import owners
from gcc.world.model import Cast
from gcc.world.server import people, serve_world
from tests.fakes.credentials import FakeCredentials

SETTINGS = Settings(enabled=True, port=0, creators=40, calls_per_s=100_000.0)
BY_NAME = {flow.name: flow for flow in FLOWS}
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
OLDER, NEWER = {"id": uuid.UUID(int=1)}, {"id": uuid.UUID(int=2)}
FBID, OTHER_FBID, IG_ID = "17841400000000017", "17841400000000099", "72741069431"


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = Pool(database, 2, name="test")
    yield pool
    await pool.aclose()


async def rows(pool: Pool, sql: str, *arguments: Any) -> list[Any]:
    async with pool.connection() as conn:
        cursor = await conn.execute(sql.encode(), arguments)
        return await cursor.fetchall() if cursor.description else []


class Bench:
    """All sources of Instagram, and the rows that they share."""

    def __init__(self, pool: Pool, url: str, fetcher: HttpFetcher) -> None:
        self.pool = pool
        clock = SystemClock()
        self.new_id = clock.new_id
        self.cast: Cast = people(SETTINGS, clock.now().date())["INSTAGRAM"]
        self.credentials = FakeCredentials(clock, {"arraybobo": "instagram-scraper-2022"})
        limiter = InProcessLimiter(dict.fromkeys((GRAPH, *PROVIDERS), Limit(100_000, 1.0)))
        known = PostgresKnown(pool)
        outside = Outside(fetcher, limiter, self.credentials, clock, Metrics(), {}, known=known)
        self.apis: dict[str, Any] = {GRAPH: GraphApi(outside, f"{url}/graph/v25.0")}
        for name, row in PROVIDERS.items():
            self.apis[name] = WebClient(row, outside, f"{url}/{row.asks_as or name}")

    async def crawl(self, flow: str, source: str, **params: Any) -> list[dict[str, Any]]:
        """Ask the source, and store what it tells; the events."""
        row = BY_NAME[flow]
        retrieved = await row.chain[source](self.apis[source], row.params.model_validate(params), Visit())
        found = row.yields(derive(retrieved) if isinstance(retrieved, ProfileSnapshot) else retrieved, self.new_id)
        async with self.pool.transaction() as conn:
            await upserts.write(conn, found.writes)
        return [json.loads(line) for frame in found.frames for line in frame.body.splitlines()]

    async def accounts(self) -> list[Any]:
        return await rows(self.pool, "select profile_id, ig_id, fbid, state from instagram_account order by profile_id")


@asynccontextmanager
async def asking(pool: Pool) -> AsyncIterator[Bench]:
    draining = trio.Event()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, HttpFetcher() as fetcher:
            url = await nursery.start(partial(serve_world, SETTINGS, SystemClock(), draining=draining, grace_s=2.0))
            bench = Bench(pool, url, fetcher)
            await bench.credentials.put(GRAPH, "app", {"token": TOKENS[0]}, Facts(account=USER))
            for creator, login, token in owners(bench.cast):
                facts = Facts(kind=login, account=creator.profile_id)
                await bench.credentials.put(GRAPH, creator.handle, {"token": token}, facts)
            for name, row in PROVIDERS.items():
                await bench.credentials.put(row.asks_as or name, "a", {"token": rapidapi.keys(row.asks_as or name)[0]})
            yield bench
            draining.set()


@pytest.mark.parametrize("official_first", [True, False])
@pytest.mark.parametrize("scraper", ["insta-best-performance", "rocketapi", "lama"])
async def test_the_official_api_and_a_scraper_tell_of_one_account_and_its_posts(
    pool: Pool, scraper: str, official_first: bool
) -> None:
    async with asking(pool) as bench:
        creator = bench.cast.ranked[5][0]
        events = []
        for source in (GRAPH, scraper) if official_first else (scraper, GRAPH):
            events += await bench.crawl("refresh_profile_by_handle", source, handle=creator.handle)
        ((profile_id, ig_id, fbid, state),) = await bench.accounts()
        assert (ig_id, fbid, state) == (creator.pk, creator.profile_id, "active")
        assert profile_id in (ig_id, fbid)
        assert {event["profile_id"] for event in events} == {profile_id}
        assert sorted(event["source"] for event in events if "shortcode" not in event) == sorted((GRAPH, scraper))
        posts = {post.pk: post.post_id for post in bench.cast.posts_of(creator)[:12]}
        told = [event["post_id"] for event in events if "shortcode" in event]
        assert sorted(told) == sorted([*posts, *posts])
        stored = await rows(pool, "select post_id, fbid from instagram_post where profile_id = %s", profile_id)
        assert dict(stored) == posts and len(stored) == 12
        assert await rows(pool, "select profile_id, handle from tracked_profile") == [(profile_id, creator.handle)]


async def test_by_either_id_every_source_finds_the_account(pool: Pool) -> None:
    async with asking(pool) as bench:
        creator = next(creator for creator, login, _ in owners(bench.cast) if login == "facebook")
        for source in ("insta-best-performance", GRAPH):  # which tells a rounded fbid: it goes by its ig_id
            await bench.crawl("refresh_profile_by_handle", source, handle=creator.handle)
        before = await bench.accounts()
        assert before == [(creator.pk, creator.pk, creator.profile_id, "active")]
        for profile_id in (creator.pk, creator.profile_id):
            for source in (GRAPH, "lama", "rocketapi"):
                await bench.crawl("refresh_profile_by_profile_id", source, profile_id=profile_id)
            told = await bench.crawl("fetch_profile_followers", "rocketapi", profile_id=profile_id, pages_max=1)
            assert {event["target_profile_id"] for event in told} == {creator.pk}
            told = await bench.crawl("refresh_profile_insights", GRAPH, profile_id=profile_id)
            assert {event["profile_id"] for event in told} == {creator.pk}
        assert await bench.accounts() == before
        assert await rows(pool, "select profile_id from instagram_profile_insights") == [(creator.pk,)]


async def test_by_either_id_a_post_s_owner_is_told_of_it(pool: Pool) -> None:
    async with asking(pool) as bench:
        creator = next(creator for creator, login, _ in owners(bench.cast) if login == "facebook")
        post = bench.cast.posts_of(creator)[2]
        asked = {"profile_id": creator.profile_id}
        for post_id in (post.pk, post.post_id):  # the first is looked for: nothing of it is known here
            (told,) = await bench.crawl("refresh_post_insights", GRAPH, post_id=post_id, **asked)
            assert (told["post_id"], told["dimensions"]["fbid"]) == (post.pk, post.post_id)
            said = await bench.crawl("fetch_post_comments", GRAPH, shortcode=post.shortcode, post_id=post_id)
            assert {event["dimensions"]["post_id"] for event in said} == {post.pk}
        assert await rows(pool, "select distinct post_id from post_activity_log") == [(post.pk,)]
        assert await rows(pool, "select post_id, fbid from instagram_post") == [(post.pk, post.post_id)]
        with pytest.raises(NotVisible):
            await bench.crawl("refresh_post_insights", GRAPH, post_id="2690152665356279913", **asked)


async def test_a_scraper_is_never_asked_for_an_id_of_the_graph_api(pool: Pool) -> None:
    async with asking(pool) as bench:
        creator = bench.cast.ranked[5][0]
        with pytest.raises(NotVisible, match="nobody knows the handle"):
            await bench.crawl("refresh_profile_by_profile_id", "lama", profile_id=creator.profile_id)
        other = bench.cast.ranked[6][0]
        await known_here(pool, creator.profile_id, other.handle, fbid=creator.profile_id)
        with pytest.raises(NotVisible, match="is another profile now"):
            await bench.crawl("refresh_profile_by_profile_id", "lama", profile_id=creator.profile_id)


async def known_here(
    pool: Pool,
    profile_id: str,
    handle: str,
    *,
    fbid: str | None = None,
    ig_id: str | None = None,
    ago: int = 0,
    id: uuid.UUID | None = None,
) -> None:
    await rows(
        pool,
        "insert into instagram_account (id, profile_id, handle, ig_id, fbid, source, scraped_at)"
        " values (%s, %s, %s, %s, %s, 's', %s)",
        id or uuid.uuid4(), profile_id, handle, ig_id, fbid, NOW - ago * DAY,
    )  # fmt: skip


BY_GRAPH = Told(FBID, "made.up", NOW, None, FBID)
BY_SCRAPER = Told(IG_ID, "Made.Up", NOW, IG_ID, None, post_ids=("2690152665356279913",))


@pytest.mark.parametrize(
    ("told", "row", "same"),
    [
        (BY_GRAPH, {"ig_id": IG_ID}, True),  # the handle was theirs lately
        (BY_SCRAPER, {"fbid": FBID}, True),
        (BY_SCRAPER, {"fbid": FBID, "ago": 15}, False),  # it may be another's by now
        (BY_GRAPH, {"ig_id": IG_ID, "ago": 15}, False),
        (BY_GRAPH, {"fbid": OTHER_FBID}, False),  # an id speaks against it
        (BY_SCRAPER, {"ig_id": "5", "fbid": FBID}, False),
        (Told(IG_ID, "new.name", NOW, IG_ID, FBID), {"fbid": FBID, "ago": 900}, True),  # renamed
        (Told(IG_ID, "made.up", NOW, IG_ID, None, float(FBID)), {"fbid": FBID, "ago": 900}, True),
        (Told(IG_ID, "made.up", NOW, IG_ID, None, float(OTHER_FBID)), {"fbid": FBID}, False),
        (Told(IG_ID, "", NOW, IG_ID, None), {"fbid": FBID}, False),
    ],
)
async def test_who_is_meant_where_the_ids_do_not_tell(pool: Pool, told: Told, row: dict[str, Any], same: bool) -> None:
    await known_here(pool, "1", "made.up", **row)
    assert await PostgresKnown(pool).names_of([told]) == ({told.id: "1"} if same else {})


@pytest.mark.parametrize("imported", [FBID, IG_ID])
async def test_whose_history_was_imported_goes_on_under_that_id(pool: Pool, imported: str) -> None:
    await rows(pool, "insert into tracked_profile values ('INSTAGRAM', %s, 'old.name')", imported)
    both = Told(IG_ID, "made.up", NOW, IG_ID, FBID)
    known = PostgresKnown(pool)
    assert await known.names_of([both]) == {IG_ID: imported}
    await known_here(pool, "1", "made.up")
    assert await known.names_of([both]) == {IG_ID: "1"}, "whom a crawl has found"


async def test_no_handle_is_nobody_s(pool: Pool) -> None:
    """An answer by id may lack it, and who acted is told without the post's owner's."""
    await known_here(pool, "1", "", fbid=FBID, **OLDER)
    unnamed = Told(IG_ID, "", NOW, IG_ID, None)
    assert await PostgresKnown(pool).names_of([unnamed]) == {}
    await known_here(pool, IG_ID, "", ig_id=IG_ID, **NEWER)
    await rows(pool, "update instagram_account set state = 'active'")
    assert await PostgresKnown(pool).names_of([unnamed]) == {IG_ID: IG_ID}


async def test_a_post_that_both_have_tells_that_they_are_one(pool: Pool) -> None:
    await known_here(pool, "1", "made.up", fbid=FBID, ago=900)
    await rows(
        pool,
        "insert into instagram_post (post_id, shortcode, profile_id, source, scraped_at)"
        " values (%s, 'c', '1', 's', %s)",
        BY_SCRAPER.post_ids[0], NOW,
    )  # fmt: skip
    assert await PostgresKnown(pool).names_of([BY_SCRAPER]) == {IG_ID: "1"}


async def test_a_handle_that_was_left_is_nobody_s_proof(pool: Pool) -> None:
    await known_here(pool, "1", "made.up", fbid=FBID)
    await rows(pool, "update instagram_account set state = 'renamed'")
    known = PostgresKnown(pool)
    assert await known.names_of([BY_SCRAPER]) == {}
    assert await known.names_of([BY_GRAPH, BY_SCRAPER]) == {FBID: "1"}
    assert await known.account(FBID) == Account("made.up", "1", None, FBID)
    assert await known.names_of([]) == {}


@pytest.mark.parametrize("first", [FBID, IG_ID])
async def test_two_rows_of_one_account_become_the_older_one(pool: Pool, first: str) -> None:
    """As two crawls made them at once, or the release before: each had the id that one kind of source tells."""
    for own, ids in ((FBID, {"fbid": FBID}), (IG_ID, {"ig_id": IG_ID})):
        await known_here(pool, own, "made.up", **ids, **(OLDER if own == first else NEWER))
    await rows(pool, "update instagram_account set state = 'active'")  # as the next crawl of each tells
    known = PostgresKnown(pool)
    assert await known.names_of([BY_GRAPH, BY_SCRAPER]) == {FBID: first, IG_ID: first}


@pytest.mark.parametrize(
    ("older", "handle"),
    [
        ({"fbid": FBID, "ago": 15}, "made.up"),  # it may be another's handle by now
        ({"fbid": FBID, "ig_id": "5"}, "made.up"),
        ({"ig_id": "5"}, "made.up"),
        ({"fbid": FBID}, "another"),  # when the older one had the handle, it had this one
    ],
)
async def test_strangers_of_one_handle_stay_two(pool: Pool, older: dict[str, Any], handle: str) -> None:
    await known_here(pool, "1", "made.up", **older, **OLDER)
    await known_here(pool, IG_ID, handle, ig_id=IG_ID, **NEWER)
    await rows(pool, "update instagram_account set state = 'active'")
    assert await PostgresKnown(pool).names_of([BY_SCRAPER]) == {IG_ID: IG_ID}


async def test_who_was_erased_is_known_by_the_id_that_was(pool: Pool) -> None:
    """Else a source that tells the other id, too, would bring them back under that one."""
    known, both = PostgresKnown(pool), Told(IG_ID, "made.up", NOW, IG_ID, FBID)
    await rows(
        pool, "insert into erased_profile (platform, profile_id, names, who, why)"
        " values ('INSTAGRAM', %s, '{made.up}', 'me', 'w'), ('YOUTUBE', %s, '{}', 'me', 'w')", IG_ID, FBID,
    )  # fmt: skip
    assert await known.names_of([both]) == {IG_ID: IG_ID}
    await known_here(pool, FBID, "made.up", fbid=FBID)
    assert await known.names_of([both]) == {IG_ID: IG_ID}, "whatever came since"
    assert await known.names_of([BY_GRAPH]) == {FBID: FBID}


async def test_nobody_is_looked_for_in_all_rows(pool: Pool) -> None:
    """Nor where the planner knows nothing of them yet, as after a migration or a first import."""
    async with pool.connection() as conn:
        await conn.execute("alter table instagram_account disable trigger user")
        await conn.execute(
            "insert into instagram_account (id, profile_id, handle, ig_id, fbid, source, scraped_at)"
            " select gen_random_uuid(), n, 'h' || n, n, null, 's', now() from generate_series(1, 20000) n"
        )
        sql = statements.load("known")
        told = Jsonb([{"id": "0", "ig_id": "0", "fbid": FBID, "handle": "nobody", "at": NOW.isoformat()}])
        for name, asked in (("names_of", {"told": told}), ("account", {"profile_id": "0"})):
            plan = await (await conn.execute(b"explain " + sql[name].encode(), asked)).fetchall()
            words = "\n".join(row[0] for row in plan)
            assert "instagram_account_ig_id" in words and "instagram_account_id_key" not in words, words
            assert "Seq Scan on instagram_account" not in words, words


async def test_rows_of_before_are_found_and_posts_renamed(pool: Pool) -> None:
    """What 0030_one_id.sql does with the rows that it finds."""
    sql = (statements.SQL / "postgres" / "0030_one_id.sql").read_text()
    async with pool.transaction() as conn:
        await conn.execute("alter table instagram_account drop column ig_id, drop column fbid")
        await conn.execute("alter table instagram_post drop column fbid")
        for profile_id in (FBID, IG_ID):
            await conn.execute(
                "insert into instagram_account (id, profile_id, handle, source, scraped_at)"
                " values (%s, %s, %s, 's', now())",
                (uuid.uuid4(), profile_id, f"h{profile_id}"),
            )
        for post_id, code, day in (
            ("17984016661384418", "CVVV5iaIaBp", 1), ("2690152665356279913", "CVVV5iaIaBp", 2),
            ("17984016661384419", "DOqjIRkAoz0", 1), ("18001", "Cab", 1),
            ("17984016661384420", "DP-jIRkAoz0", 1), (media_id("DP-jIRkAoz0"), "DP-jIRkAoz0" + "k" * 28, 2),
            ("17984016661384421", "DQ-jIRkAoz0", 2), (media_id("DQ-jIRkAoz0"), "odd", 1),
        ):  # fmt: skip
            await conn.execute(
                "insert into instagram_post (post_id, shortcode, profile_id, source, scraped_at)"
                " values (%s, %s, '1', %s, %s)",
                (post_id, code, f"s{day}", NOW + day * DAY),
            )
        await conn.execute("update instagram_post set reach = 7, likes = 1 where post_id = '17984016661384418'")
        await conn.execute("update instagram_post set likes = 2 where post_id = '2690152665356279913'")
        await conn.execute(sql.encode())
    kept = await rows(pool, "select reach, likes from instagram_post where post_id = '2690152665356279913'")
    assert kept == [(7, 2)], "what its owner alone was told stays"
    accounts = await rows(pool, "select profile_id, ig_id, fbid from instagram_account order by profile_id")
    assert accounts == [(FBID, None, FBID), (IG_ID, IG_ID, None)]
    assert await rows(pool, "select post_id, fbid, source from instagram_post order by post_id") == [
        ("18001", None, "s1"),
        ("2690152665356279913", "17984016661384418", "s2"),
        ("3722942542216596724", "17984016661384419", "s1"),
        (media_id("DP-jIRkAoz0"), "17984016661384420", "s2"),
        (media_id("DQ-jIRkAoz0"), "17984016661384421", "s2"),
    ]

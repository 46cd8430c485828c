"""Who is erased is in no store any more, and stays away; everybody else is as before, and `check` is exact."""

import datetime as dt
import json
import uuid
from dataclasses import replace
from typing import Any

import pytest
import trio
from psycopg.types.json import Jsonb
from trio.lowlevel import checkpoint

from gcc.channels.jobs import NewJob, Room
from gcc.channels.memory import Signal
from gcc.clock import SystemClock
from gcc.errors import Permanent, Transient
from gcc.pipelines.analytics.replica_erasure import ReplicaErasure, whose_are
from gcc.pipelines.analytics.replicas import REPLICAS
from gcc.pipelines.events.check import check
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.events.erasure import PLACES, Erasure
from gcc.pipelines.events.removal import Removal
from gcc.pipelines.events.score_retention import SCORES
from gcc.pipelines.events.types import (
    ASSET_LOG,
    EVENT_TYPES,
    PARTNER_ACTIVITY_LOG,
    POST_ACTIVITY_LOG,
    POST_LOG,
    PROFILE_LOG,
    PROFILE_RELATIONSHIP_LOG,
    SCRAPE_REQUEST_LOG,
    SENTIMENT_LOG,
    TRACE_LOG,
    YT_ACTIVITY_LOG,
    EventType,
)
from gcc.pipelines.scraping.erased import spared
from gcc.pipelines.scraping.table import SHARED_STATES, Catalogue, states_by_platform
from gcc.pipelines.scraping.work import FORGOTTEN
from gcc.sources.credentials import Facts
from gcc.sources.snapshot import Activity, Found, Person, PostSnapshot, ProfileSnapshot, Relation
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.credentials import PostgresCredentials
from gcc.stores.erasures import PERSONS, Leaving, PostgresErasures
from gcc.stores.postgres import Pool
from gcc.stores.postgres_jobs import PostgresJobs
from tests.fakes.credentials import KEYS
from tests.fakes.objects import MemoryObjects
from tests.integration.test_replica import following
from tests.integration.test_retention import FIELDS, Stored, leading

AT = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
GONE, STAYS = "17840000000000001", "17840000000000002"
OF: dict[EventType, Any] = {
    PROFILE_LOG: lambda who: {"profile_id": who},
    POST_LOG: lambda who: {"profile_id": who, "shortcode": "c"},
    SENTIMENT_LOG: lambda who: {
        "profile_id": who, "shortcode": "c", "comment_id": "1", "comment": "x", "sentiment": "positive", "score": 1.0,
    },
    ASSET_LOG: lambda who: {"profile_id": who, "asset_type": "picture", "s3_url": "s", "cdn_url": "c"},
    POST_ACTIVITY_LOG: lambda who: {
        "profile_id": "0", "shortcode": "c", "activity_type": "like", "actor_profile_id": who,
    },
    PROFILE_RELATIONSHIP_LOG: lambda who: {
        "source_profile_id": "0", "target_profile_id": who, "relationship_type": "follows",
    },
    YT_ACTIVITY_LOG: lambda who: {"activity_id": "1", "activity_type": "upload", "actor_channel_id": who},
    SCRAPE_REQUEST_LOG: lambda who: {**FIELDS[SCRAPE_REQUEST_LOG], "params": {"handle": f"Name.{who[-1]}"}},
    TRACE_LOG: lambda who: {
        **FIELDS[TRACE_LOG], "uri": f"http://x/1?fields=business_discovery.username%28name.{who[-1]}%29%7Bid%7D",
    },
}  # fmt: skip
"""An event of each kind that tells of a profile."""


BASES = {event_type: dict(FIELDS[event_type]) for event_type in (SCRAPE_REQUEST_LOG, TRACE_LOG)}


def erasures_of(pool: Pool) -> PostgresErasures:
    catalogue = Catalogue()
    return PostgresErasures(pool, catalogue.platforms, states_by_platform(catalogue), SHARED_STATES)


class Ground:
    def __init__(self, pool: Pool, clickhouse: ClickHouse) -> None:
        self.pool, self.clickhouse = pool, clickhouse
        self.stored = Stored(pool, clickhouse)
        self.erasures = erasures_of(pool)
        self.objects = MemoryObjects()
        self.rebuilt = 0
        self.carry = False

    async def fill(self) -> None:
        for who in (GONE, STAYS):
            for event_type, fields in OF.items():
                platform = {"platform": "INSTAGRAM"} if event_type is not TRACE_LOG else {}
                base = {} if event_type in (SCRAPE_REQUEST_LOG, TRACE_LOG) else self._base(event_type)
                FIELDS[event_type] = {**base, **fields(who), **platform}
                await self.stored.put(event_type, 2, 3)
            await self._rows(who)
            await self.objects.put(f"media/instagram/{who}/picture/1.jpg", b"1")

    def _base(self, event_type: EventType) -> dict[str, Any]:
        known = {"source": "s", "handle": "h", "metrics": {}, "dimensions": {}}
        return {name: value for name, value in known.items() if name in event_type.schema.__struct_fields__}

    async def put(self, event_type: EventType, **fields: Any) -> None:
        """Two events of it."""
        platform = {} if event_type is TRACE_LOG else {"platform": "INSTAGRAM"}
        base = BASES[event_type] if event_type in (SCRAPE_REQUEST_LOG, TRACE_LOG) else self._base(event_type)
        FIELDS[event_type] = {**base, **platform, **fields}
        await self.stored.put(event_type, 2, 3)

    async def _rows(self, who: str) -> None:
        other = {"profile_id": who, "handle": f"name.{who[-1]}", "source": "graphapi", "scraped_at": AT}
        async with self.pool.connection() as conn:
            await conn.execute(
                "insert into instagram_account (id, profile_id, handle, source, scraped_at)"
                " values (gen_random_uuid(), %(profile_id)s, %(handle)s, %(source)s, %(scraped_at)s)", other,
            )  # fmt: skip
            await conn.execute(
                "insert into instagram_post (post_id, shortcode, profile_id, source, scraped_at)"
                " select %(profile_id)s || n, 'c', %(profile_id)s, 's', now() from generate_series(1, 2500) n", other,
            )  # fmt: skip
            await conn.execute("insert into tracked_profile values ('INSTAGRAM', %(profile_id)s, %(handle)s)", other)
            await conn.execute(
                "insert into profile_relationship values"
                " ('INSTAGRAM', '0', %(profile_id)s, 'follows', null, null, 's', now(), now())", other,
            )  # fmt: skip

    async def erase(self, *, every: bool = False) -> dict[str, Any]:
        async def rebuild() -> None:
            self.rebuilt += 1
            await carry("while models are built")

        async def settled() -> None:
            await carry("by a run that ends later")

        async def carry(when: str) -> None:
            """What a sync has read of marts before they were built anew."""
            if self.carry:
                async with self.pool.connection() as conn:
                    for who in (GONE, STAYS):
                        await conn.execute(
                            "insert into social_profile_hashtags (platform, profile_id, tag, posts)"
                            " values ('INSTAGRAM', %s, %s, 1)", (who, when),
                        )  # fmt: skip

        async with leading(self.pool) as leader:
            removal = Removal(self.clickhouse, self.pool, leader, trio.Lock())
            forget = ReplicaErasure(self.clickhouse, REPLICAS)
            erasure = Erasure(self.erasures, removal, self.objects, SystemClock(), rebuild, forget, settled, checkpoint)
            return await erasure(every=every)

    async def dropped(self) -> int:
        """How many events `check` knows of that are gone; to it nothing is missing or doubled."""
        report = await check(self.pool, self.clickhouse)
        assert report.well and report.settled, report
        assert report.events_stored + report.events_dropped + report.outbox_pending == report.events_emitted, report
        return report.events_dropped

    async def left(self, who: str) -> dict[str, int]:
        """Where something of them is left, and how much."""
        found = {}
        for event_type in OF:
            rows = await self.clickhouse.rows(f"select * from {event_type.table} final")  # noqa: S608
            found[event_type.table] = sum(who in str(row) or f"ame.{who[-1]}" in str(row) for row in rows)
        async with self.pool.connection() as conn:
            for table in ("instagram_account", "instagram_post", "tracked_profile", "profile_relationship",
                          "profile_handle", "scrape_request_log"):  # fmt: skip
                rows = await (await conn.execute(f"select * from {table}")).fetchall()  # noqa: S608
                found[table] = sum(who in str(row) or f"name.{who[-1]}" in str(row) for row in rows)
        found["objects"] = len(await self.objects.keys(f"media/instagram/{who}/"))
        return {place: count for place, count in found.items() if count}


@pytest.fixture
async def ground(pool: Pool, clickhouse: ClickHouse) -> Ground:
    return Ground(pool, clickhouse)


def jobs_of(pool: Pool) -> PostgresJobs:
    clock = SystemClock()
    return PostgresJobs(pool, clock, StatusEvents(clock), lease_s=60, lost_max=3, outbox_written=Signal())


async def test_nothing_is_left_of_them_and_all_of_the_others(ground: Ground) -> None:
    await ground.fill()
    jobs = jobs_of(ground.pool)
    new = [NewJob("refresh_profile_by_handle", "INSTAGRAM", {"handle": f"name.{who[-1]}"}) for who in (GONE, STAYS)]
    await jobs.enqueue(new)
    before = await ground.left(STAYS)
    assert before == await ground.left(GONE)
    assert await ground.erasures.erase("INSTAGRAM", "@Name.1", who="me", why="asked") == GONE
    found = await ground.erase()
    assert await ground.left(GONE) == {}
    assert await ground.left(STAYS) == before
    assert (found["events"], found["rows"], found["jobs"], found["objects"]) == (2 * len(OF), 2504, 1, 1)
    assert ground.rebuilt == 1
    (told,) = await ground.erasures.listed()
    assert (told.profile_id, told.who, told.erased_at is not None) == (GONE, "me", True)
    assert await ground.dropped() == 2 * sum(event_type.counted for event_type in OF)


async def test_what_syncs_carry_while_models_are_built_goes_too(ground: Ground) -> None:
    await ground.fill()
    await ground.erasures.erase("INSTAGRAM", "@Name.1", who="me", why="asked")
    ground.carry = True
    await ground.erase()
    async with ground.pool.connection() as conn:
        rows = await (await conn.execute("select distinct profile_id from social_profile_hashtags")).fetchall()
    assert rows == [(STAYS,)]


async def test_a_round_that_was_cut_short_before_models_were_built_is_owed_by_the_next_process(ground: Ground) -> None:
    await ground.fill()
    await ground.erasures.erase("INSTAGRAM", "@Name.1", who="me", why="asked")
    (leaving,) = await ground.erasures.due(every=False)
    await ground.erasures.forget_rows(leaving)  # and then it was killed
    for event_type in OF:
        await ground.clickhouse.command(f"truncate table {event_type.table}")
    await ground.erase()
    assert ground.rebuilt == 1
    await ground.erase()
    assert ground.rebuilt == 1


async def test_who_is_erased_by_one_id_is_erased_by_all(ground: Ground) -> None:
    """Sources tell of an account by different ones."""
    await ground.fill()
    ig_id = "72741069431"
    async with ground.pool.connection() as conn:
        await conn.execute(
            "update instagram_account set ig_id = %s, fbid = profile_id where profile_id = %s", (ig_id, GONE)
        )
        await conn.execute("update profile_relationship set target_profile_id = %s where target_profile_id = %s",
                           (ig_id, GONE))  # fmt: skip
    assert await ground.erasures.erase("INSTAGRAM", ig_id, who="me", why="asked") == GONE
    assert (await ground.erasures.of("INSTAGRAM")).ids == {GONE, ig_id}
    assert {told.profile_id: list(told.names) for told in await ground.erasures.listed()} == {
        GONE: ["name.1"], ig_id: ["name.1"],
    }  # fmt: skip
    await ground.erase()
    assert (await ground.left(GONE), await ground.left(ig_id)) == ({}, {})


async def test_who_has_two_rows_is_erased_with_both_under_all_handles(ground: Ground) -> None:
    """Each was made by a source that told another id, before one told both."""
    ig_id = "72741069431"
    async with ground.pool.connection() as conn:
        for own, handle, scraper_s, graph_s in ((ig_id, "name.1", ig_id, GONE), (GONE, "name.1", None, GONE)):
            await conn.execute(
                "insert into instagram_account (id, profile_id, handle, ig_id, fbid, source, scraped_at)"
                " values (gen_random_uuid(), %s, %s, %s, %s, 's', %s)", (own, handle, scraper_s, graph_s, AT),
            )  # fmt: skip
        await conn.execute("insert into profile_handle values ('INSTAGRAM', %s, 'name.0', now(), now())", (ig_id,))
    for name in ("name.1", GONE, ig_id, "@name.0"):
        assert await ground.erasures.erase("INSTAGRAM", name, who="me", why="asked") in {GONE, ig_id}
        leaving = await ground.erasures.of("INSTAGRAM")
        assert leaving.ids == {GONE, ig_id}
        assert {"name.0", "name.1"} <= leaving.names
        async with ground.pool.connection() as conn:
            await conn.execute("delete from erased_profile")
    await ground.erasures.erase("INSTAGRAM", GONE, who="me", why="asked")
    assert (await ground.erase())["rows"] >= 2
    assert (await ground.left(GONE), await ground.left(ig_id)) == ({}, {})


async def test_a_handle_of_digits_is_not_taken_for_the_id_of_another(ground: Ground) -> None:
    async with ground.pool.connection() as conn:
        for own, handle, ig_id in ((GONE, "2024", "5"), (STAYS, "name.2", "2024")):
            await conn.execute(
                "insert into instagram_account (id, profile_id, handle, ig_id, fbid, source, scraped_at)"
                " values (gen_random_uuid(), %s, %s, %s, %s, 's', %s)", (own, handle, ig_id, own, AT),
            )  # fmt: skip
    with pytest.raises(Permanent, match="2 profiles"):
        await ground.erasures.erase("INSTAGRAM", "2024", who="me", why="asked")
    assert await ground.erasures.erase("INSTAGRAM", "@2024", who="me", why="asked") == GONE
    assert (await ground.erasures.of("INSTAGRAM")).ids == {GONE, "5"}


async def test_what_comes_later_goes_with_the_next_round(ground: Ground) -> None:
    await ground.erasures.erase("INSTAGRAM", GONE, who="me", why="nobody knows them yet")
    assert await ground.erase() == {"profiles": 1}
    await ground.fill()
    await ground.erase()
    assert await ground.left(GONE) == {f"{TRACE_LOG.table}": 2, f"{SCRAPE_REQUEST_LOG.table}": 2}, "told by no id"
    assert ground.rebuilt == 2
    async with ground.pool.connection() as conn:
        await conn.execute("update erased_profile set requested_at = now() - interval '3 days'")
    assert await ground.erase() == {"profiles": 0}
    assert await ground.erase(every=True) == {"profiles": 1}


async def test_a_handle_that_another_takes_over_is_no_name_of_the_erased(ground: Ground) -> None:
    """Once they are gone. Else the jobs of who has it now would go with each round, and nobody could ask for them."""
    await ground.fill()
    await ground.erasures.erase("INSTAGRAM", GONE, who="me", why="asked")
    await ground.erase()
    jobs = jobs_of(ground.pool)

    async def asked() -> bool:
        new = NewJob("refresh_profile_by_handle", "INSTAGRAM", {"handle": "name.1"})
        [queued] = await jobs.enqueue([new])
        await ground.erase(every=True)
        async with ground.pool.connection() as conn:
            found = await (await conn.execute("select from scrape_request_log where id = %s", (queued.id,))).fetchall()
        return bool(found)

    assert not await asked(), "nobody else is known by it"
    async with ground.pool.connection() as conn:
        await conn.execute("update instagram_account set handle = 'Name.1' where profile_id = %s", (STAYS,))
    assert await asked()
    ground.erasures.woken("")
    assert "name.1" not in (await ground.erasures.of("INSTAGRAM")).names
    assert GONE in (await ground.erasures.of("INSTAGRAM")).names


async def test_a_build_that_failed_is_tried_again_though_nothing_more_goes(ground: Ground) -> None:
    await ground.fill()
    await ground.erasures.erase("INSTAGRAM", GONE, who="me", why="asked")
    tries: list[str] = []

    async def rebuild() -> None:
        tries.append("tried")
        if len(tries) == 1:
            raise Transient("a model was not built")

    async with leading(ground.pool) as leader:
        removal = Removal(ground.clickhouse, ground.pool, leader, trio.Lock())
        forget = ReplicaErasure(ground.clickhouse, REPLICAS)
        erasure = Erasure(
            ground.erasures, removal, ground.objects, SystemClock(), rebuild, forget, checkpoint, checkpoint
        )
        with pytest.raises(Transient, match="a model was not built"):
            await erasure()
        for _ in range(2):
            await erasure()
    assert tries == ["tried"] * 2


async def test_their_own_tokens_go_too(ground: Ground) -> None:
    credentials = PostgresCredentials(ground.pool, SystemClock(), KEYS)
    for handle, account in (("theirs", GONE), ("others", STAYS), ("nobodys", None)):
        await credentials.put("graphapi", handle, {"token": handle}, Facts(account=account))
    async with ground.pool.connection() as conn:
        await conn.execute("insert into hashtag_query values (%s, 'a', now()), (%s, 'a', now())", (GONE, STAYS))
    await ground.erasures.erase("INSTAGRAM", GONE, who="me", why="asked")
    assert (await ground.erase())["credentials"] == 1
    async with ground.pool.connection() as conn:
        rows = await (await conn.execute("select handle from credential order by handle")).fetchall()
        asked = await (await conn.execute("select account from hashtag_query")).fetchall()
    assert rows == [("nobodys",), ("others",)] and asked == [(STAYS,)]


async def test_what_was_answered_of_them_and_done_to_them_is_told_no_more(ground: Ground) -> None:
    """What was done stays done: its key is known, and the note that somebody did it."""
    await ground.fill()
    answers = {
        1: f'{{"status":"SUCCESS","data":{{"platform":"INSTAGRAM","profile_id":"{GONE}"}}}}',
        2: '{"status":"SUCCESS","data":[{"handle":"Name.1","followers":1}]}',
        3: f'{{"status":"SUCCESS","data":{{"platform":"INSTAGRAM","profile_id":"{STAYS}","handle":"name.2"}}}}',
        4: '{"status":"SUCCESS","data":{"name":"name.1"}}',
    }
    notes: dict[int, tuple[str | None, dict[str, Any]]] = {
        1: (None, {"platform": "instagram", "handle": "Name.1", "kind": "a"}),
        2: (GONE, {"platform": "INSTAGRAM"}),
        3: (STAYS, {"profile_id": STAYS, "handle": "name.2"}),
        4: (None, {"platform": "YOUTUBE", "handle": "name.1"}),
        5: (None, {"name": "name.1"}),
    }
    kept = {1: (None, {"platform": "instagram", "kind": "a"}), 2: (None, {"platform": "INSTAGRAM"})}
    async with ground.pool.connection() as conn:
        await conn.execute("insert into partner (id, name) values (7, 'Brand')")
        answer = "insert into idempotency_key values (%s, 7, 'f', 201, '/x', %s, now() + interval '1 day')"
        for number, body in answers.items():
            await conn.execute(answer, (bytes([number]), body.encode()))
        columns = "id, partner_id, activity_type, thing_id, metadata"
        note = f"insert into activity_tracker ({columns}) values (%s, 7, 'X', %s, %s)".encode()  # noqa: S608
        for number, (thing_id, metadata) in notes.items():
            await conn.execute(note, (uuid.UUID(int=number), thing_id, Jsonb(metadata)))
    for thing_id, metadata in notes.values():
        told = metadata if thing_id is None else metadata | {"thing_id": thing_id}
        FIELDS[PARTNER_ACTIVITY_LOG] = {"partner_id": 7, "user_id": "u", "activity_type": "X", "metadata": told}
        await ground.stored.put(PARTNER_ACTIVITY_LOG, 2, 1)
    await ground.erasures.erase("INSTAGRAM", "@Name.1", who="me", why="asked")
    found = await ground.erase()
    assert (found["answers"], found["notes"]) == (2, 6)
    async with ground.pool.connection() as conn:
        rows = await (await conn.execute("select body, location from idempotency_key order by scope")).fetchall()
        noted = await (await conn.execute("select thing_id, metadata from activity_tracker order by id")).fetchall()
    assert rows == [(b"", None)] * 2 + [(answers[number].encode(), "/x") for number in (3, 4)]
    assert noted == [kept.get(number, note) for number, note in notes.items()]
    events = await ground.clickhouse.rows(f"select distinct metadata from {PARTNER_ACTIVITY_LOG.table} final")  # noqa: S608
    left = [dict(metadata) | ({} if thing_id is None else {"thing_id": thing_id}) for thing_id, metadata in noted]
    assert sorted(json.dumps(json.loads(row["metadata"]), sort_keys=True) for row in events) == sorted(
        json.dumps(each, sort_keys=True) for each in left
    )
    again = await ground.erase(every=True)
    assert {"answers", "notes"}.isdisjoint(again)


async def test_a_name_that_is_also_a_word_or_a_number_takes_no_job_of_others(ground: Ground) -> None:
    """Nor the events of these, nor what they exported."""
    async with ground.pool.connection() as conn:
        await conn.execute("insert into tracked_profile values ('INSTAGRAM', %s, '20')", (GONE,))
        await conn.execute("insert into profile_handle values ('INSTAGRAM', %s, 'fitness', now(), now())", (GONE,))
    others = [{"hashtag": "fitness"}, {"query": "Fitness"}, {"pages_max": 20, "tags": ["20"]}]
    theirs = [{"handle": "Fitness"}, {"handle": "@20"}, {"profile_id": GONE}, {"channels": ["x", "@Fitness"]}]
    for params in (*others, *theirs):
        FIELDS[SCRAPE_REQUEST_LOG] = {**FIELDS[SCRAPE_REQUEST_LOG], "params": params, "platform": "INSTAGRAM"}
        await ground.stored.put(SCRAPE_REQUEST_LOG, 2, 1)
    await jobs_of(ground.pool).enqueue([NewJob("a_flow", "INSTAGRAM", params) for params in (*others, *theirs)])
    await ground.erasures.erase("INSTAGRAM", GONE, who="me", why="asked")
    found = await ground.erase()
    async with ground.pool.connection() as conn:
        rows = await (await conn.execute("select params from scrape_request_log")).fetchall()
    assert sorted(str(sorted(row[0].items())) for row in rows) == sorted(str(sorted(each.items())) for each in others)
    assert (found["jobs"], found["events"]) == (len(theirs), 2 * len(theirs))


async def test_an_attempt_under_way_has_lost_its_job(ground: Ground) -> None:
    await ground.fill()
    jobs = jobs_of(ground.pool)
    await jobs.enqueue([NewJob("refresh_profile_by_handle", "INSTAGRAM", {"handle": "name.1"})])
    (job,) = await jobs.claim({"refresh_profile_by_handle": Room(1)})
    await ground.erasures.erase("INSTAGRAM", "name.1", who="me", why="asked")
    await ground.erase()
    assert await jobs.extend([job]) == set()
    assert await jobs.look(job.id) is None
    await ground.dropped()


async def test_whom_nobody_can_tell_is_not_erased(ground: Ground) -> None:
    await ground.fill()
    async with ground.pool.connection() as conn:
        await conn.execute("insert into tracked_profile values ('INSTAGRAM', '99', 'name.1')")
    for platform, name, told in (
        ("INSTAGRAM", "name.1", "2 profiles have had the handle"),
        ("INSTAGRAM", "nobody", "nobody here is known"),
        ("FACES", "name.2", "there is no platform"),
    ):
        with pytest.raises(Permanent, match=told):
            await ground.erasures.erase(platform, name, who="me", why="asked")
    assert not await ground.erasures.listed()


async def test_all_processes_hear_of_it(ground: Ground) -> None:
    here, elsewhere = ground.erasures, erasures_of(ground.pool)
    assert (await elsewhere.of("INSTAGRAM")).ids == (await here.of("INSTAGRAM")).ids == frozenset()
    async with ground.pool.connection() as conn:
        await conn.execute("insert into tracked_profile values ('INSTAGRAM', %s, 'Name.1')", (GONE,))
    await here.erase("INSTAGRAM", GONE, who="me", why="asked")
    assert (await here.of("INSTAGRAM")).ids == {GONE}
    elsewhere.woken("")
    told = await elsewhere.of("INSTAGRAM")
    assert (told.ids, told.names) == ({GONE}, {GONE, f"@{GONE}", "name.1", "@name.1"})
    assert (await elsewhere.of("YOUTUBE")).ids == frozenset()


def test_a_crawl_is_spared_of_them() -> None:
    def person(name: str) -> Person:
        return Person(name)

    erased = Leaving("P", frozenset({GONE}), frozenset({"name.1", "@name.1", GONE}))
    stays = Leaving("P", frozenset({STAYS}), frozenset())
    profile = ProfileSnapshot("P", "s", AT, GONE, "h", {}, {}, [])
    assert spared(profile, erased) is None
    assert spared(profile, stays) == profile
    relations = [Relation("P", "s", AT, person("1"), person(who)) for who in (GONE, STAYS)]
    activities = [Activity("P", "s", AT, who, "like", "p", "c", "2", person(who)) for who in (GONE, STAYS)]
    posts = [PostSnapshot("P", "s", AT, "p", "c", who, "h", None, {}, {}) for who in (GONE, STAYS)]
    profiles = [ProfileSnapshot("P", "s", AT, who, "h", {}, {}, []) for who in (GONE, STAYS)]
    for items in (relations, activities, posts, profiles):
        found = Found(items, "a part", ["odd"])
        assert spared(found, erased) == Found(items[1:], "a part", ["odd"])
    assert (FORGOTTEN.code, FORGOTTEN.retry_after_s) == ("ERASED", None)


def test_a_crawl_is_spared_of_handles_and_of_what_comes_beside_a_profile() -> None:
    erased = Leaving("P", frozenset({GONE}), frozenset({"media", "@media", GONE}))
    others = [Person("", "Media"), Person("9", "media"), Person("", "")]
    relations = [Relation("P", "s", AT, person, Person("1")) for person in others]
    activities = [Activity("P", "s", AT, "a", "like", "p", "c", "2", person) for person in others]
    assert spared(Found(relations), erased) == Found(relations[1:]), "with another id it is somebody else"
    assert spared(Found(activities), erased) == Found(activities[1:])

    def post(profile_id: str, **dimensions: Any) -> PostSnapshot:
        return PostSnapshot("P", "s", AT, "p", "c", profile_id, "", None, {"likes": 1}, dimensions)

    hashtags = {"hashtags": ["media"], "caption": "media"}
    posts = [post("1", tagged=["MEDIA", "b"], collaborators=["media"], **hashtags), post(GONE), post("1", **hashtags)]
    left = [post("1", tagged=["b"], collaborators=[], **hashtags), post("1", **hashtags)]
    profile = ProfileSnapshot("P", "s", AT, "1", "h", {}, {}, posts, more=Found(posts, "a part"))
    assert spared(profile, erased) == replace(profile, posts=left, more=Found(left, "a part"))


async def test_who_is_known_by_a_handle_alone_goes_too(ground: Ground) -> None:
    await ground.fill()
    rows = (("", "Name.1"), ("", "name.11"), ("77", "name.1"))
    for number, (actor, handle) in enumerate(rows):
        told = {"profile_id": "5", "shortcode": "c", "activity_type": "like", "actor_profile_id": actor}
        await ground.put(POST_ACTIVITY_LOG, **told, dimensions={"actor_handle": handle})
        await ground.put(
            PROFILE_RELATIONSHIP_LOG, source_profile_id=actor, source_dimensions={"handle": handle},
            target_profile_id="5", relationship_type="follows",
        )  # fmt: skip
        await ground.put(POST_LOG, profile_id=actor, handle=handle, shortcode="c")
        async with ground.pool.connection() as conn:
            await conn.execute(
                "insert into post_activity_log (platform, activity_id, activity_type, post_id, shortcode,"
                " actor_profile_id, actor_handle, source, scraped_at)"
                " values ('INSTAGRAM', %s, 'like', 'p', 'c', %s, %s, 's', now())", (str(number), actor, handle),
            )  # fmt: skip
            await conn.execute(
                "insert into profile_relationship values"
                " ('INSTAGRAM', %s, '5', 'follows', %s, null, 's', now(), now())",
                (actor, handle) if number != 1 else ("78", handle),
            )
    await ground.erasures.erase("INSTAGRAM", GONE, who="me", why="asked")
    await ground.erase()
    async with ground.pool.connection() as conn:
        left = await (await conn.execute("select actor_handle from post_activity_log order by 1")).fetchall()
        follow = await (
            await conn.execute(
                "select source_handle from profile_relationship where target_profile_id = '5' order by 1"
            )
        ).fetchall()
    assert left == follow == [("name.1",), ("name.11",)]
    for event_type, handle in (
        (POST_ACTIVITY_LOG, "JSONExtractString(dimensions, 'actor_handle')"),
        (PROFILE_RELATIONSHIP_LOG, "source_handle"),
        (POST_LOG, "handle"),
    ):
        found = await ground.clickhouse.rows(
            f"select distinct {handle} as handle from {event_type.table} final"  # noqa: S608
            " where handle like 'name.1%' order by handle"
        )
        assert [row["handle"] for row in found] == ["name.1", "name.11"], event_type.name
    await ground.dropped()


async def test_their_handle_goes_from_the_lists_of_other_peoples_posts(ground: Ground) -> None:
    await ground.fill()
    kept = {"post_type": "reels", "caption": 'with "tagged": ["name.1"]', "hashtags": ["name.1"]}
    lists = {"collaborators": ["a", "Name.1"], "tagged": ["name.1", "b", "name.10", "c"]}
    await ground.put(POST_LOG, profile_id="5", shortcode="named", metrics={"likes": 7}, dimensions={**lists, **kept})
    await ground.put(POST_LOG, profile_id="5", shortcode="other", dimensions={"tagged": ["name.2"]})
    await ground.erasures.erase("INSTAGRAM", GONE, who="me", why="asked")
    assert (await ground.erase())["names"] == 4
    found = await ground.clickhouse.rows(
        f"select distinct shortcode, dimensions, likes, post_type from {POST_LOG.table} final"  # noqa: S608
        " where profile_id = '5' order by shortcode"
    )
    assert [json.loads(row["dimensions"]) for row in found] == [
        {"collaborators": ["a"], "tagged": ["b", "name.10", "c"], **kept}, {"tagged": ["name.2"]},
    ]  # fmt: skip
    assert (found[0]["likes"], found[0]["post_type"]) == (7, "reels")
    await ground.dropped()
    assert "names" not in await ground.erase(every=True)


async def test_their_rows_go_from_the_sheets_of_others(ground: Ground) -> None:
    async with ground.pool.connection() as conn:
        await conn.execute("insert into tracked_profile values ('INSTAGRAM', %s, 'media')", (GONE,))
    header = "channel_id,handle,title\r\n"
    sheets = {
        "exports/one.csv": f'{header}{GONE},media,"a\nb"\r\n{STAYS},media,"c,\nd"\r\n'.encode(),
        "exports/two.csv": f"{header}{STAYS},\xe9,{GONE}\r\n".encode("latin-1"),
        "exports/three.csv": b"day,views\r\n2026-11-01,1\r\n",
        "exports/empty.csv": b"",
        f"media/instagram/{STAYS}/picture/1.jpg": GONE.encode(),
    }
    for key, body in sheets.items():
        await ground.objects.put(key, body)
    await ground.erasures.erase("INSTAGRAM", GONE, who="me", why="asked")
    assert (await ground.erase())["sheets"] == 1
    left = {key: await ground.objects.read(key) for key in sheets}
    assert left == {**sheets, "exports/one.csv": f'{header}{STAYS},media,"c,\nd"\r\n'.encode()}
    await ground.objects.put("exports/one.csv", sheets["exports/one.csv"])
    assert "sheets" not in await ground.erase(), "they were looked through"
    assert (await ground.erase(every=True))["sheets"] == 1, "once more, for what was made meanwhile"


@pytest.mark.parametrize("word", ["media", "profiles", "username", "fields", "id"])
async def test_a_handle_that_is_a_word_of_addresses_takes_nothing_of_others(ground: Ground, word: str) -> None:
    async with ground.pool.connection() as conn:
        await conn.execute("insert into tracked_profile values ('INSTAGRAM', %s, %s)", (GONE, word))
    other, theirs = uuid.uuid4(), uuid.uuid4()
    for job, handle in ((other, "somebody"), (theirs, word)):
        await ground.put(SCRAPE_REQUEST_LOG, scl_id=str(job), params={"handle": handle, "fields": ["media"]})
    await ground.put(SCRAPE_REQUEST_LOG, scl_id=str(other), params={"profile_id": STAYS, "hashtag": word})
    asked = (
        f"http://x/v25.0/{STAYS}/media?fields=username,media.limit(2){{id}}&id=7&name=somebody",
        "http://x/profiles/somebody/?username=somebody&fields=id",
    )
    gone = (f"http://x/{word}/feed", f"http://x/v25.0/1?fields=business_discovery.username%28{word}%29%7Bid%7D")
    for uri in asked:
        await ground.put(TRACE_LOG, uri=uri, origin_id=str(other))
    await ground.put(TRACE_LOG, uri=gone[0], origin_id=str(theirs))
    await ground.put(TRACE_LOG, uri=gone[1], origin_id=str(other))
    await ground.objects.put(f"media/instagram/{STAYS}/picture/1.jpg", b"1")
    await ground.erasures.erase("INSTAGRAM", word, who="me", why="asked")
    await ground.erase()
    found = await ground.clickhouse.rows(f"select distinct uri from {TRACE_LOG.table} final")  # noqa: S608
    assert {row["uri"] for row in found} == set(asked)
    jobs = await ground.clickhouse.rows(f"select distinct scl_id from {SCRAPE_REQUEST_LOG.table} final")  # noqa: S608
    assert [row["scl_id"] for row in jobs] == [str(other)]
    assert await ground.objects.keys("") == [f"media/instagram/{STAYS}/picture/1.jpg"]
    await ground.dropped()


async def test_a_handle_that_looks_like_anothers_id_takes_nothing_of_that(ground: Ground) -> None:
    async with ground.pool.connection() as conn:
        await conn.execute("insert into tracked_profile values ('INSTAGRAM', %s, %s)", (GONE, STAYS))
    await jobs_of(ground.pool).enqueue(
        [NewJob("a_flow", "INSTAGRAM", {name: who}) for name, who in (("profile_id", STAYS), ("profile_id", GONE))]
    )
    await ground.put(SCRAPE_REQUEST_LOG, params={"profile_id": STAYS})
    await ground.put(TRACE_LOG, uri=f"http://x/{STAYS}/media")
    await ground.erasures.erase("INSTAGRAM", GONE, who="me", why="asked")
    assert await ground.erase() == {"profiles": 1, "rows": 1, "jobs": 1}


async def test_scores_of_followers_go_with_the_creator_and_with_who_follows(ground: Ground) -> None:
    rows = {
        "creator": (GONE, "", "x"),
        "follower": (STAYS, GONE, "x"),
        "by handle": (STAYS, "", f"Name.{GONE[-1]}"),
        "another's handle": (STAYS, "3", f"Name.{GONE[-1]}"),
        "nobody": (STAYS, "3", "x"),
    }
    for name, (creator, follower, handle) in rows.items():
        columns = "event_id, event_timestamp, profile_id, follower_profile_id, follower_handle, handle"
        await ground.clickhouse.command(
            f"insert into {SCORES} ({columns})"
            " select generateUUIDv4(), now64(6), {creator:String}, {follower:String}, {handle:String}, {name:String}",
            {"creator": creator, "follower": follower, "handle": handle, "name": name},
        )
    await ground._rows(GONE)
    await ground.erasures.erase("INSTAGRAM", GONE, who="me", why="asked")
    assert (await ground.erase())["events"] == 3
    left = {row["handle"] for row in await ground.clickhouse.rows(f"select handle from {SCORES} final")}  # noqa: S608
    assert left == {"another's handle", "nobody"}


async def test_a_list_forgets_their_posts_also_where_it_does_not_tell_whose_they_are(ground: Ground) -> None:
    posts = {"row": None, "event": None, "own": GONE, "others": None, "told": STAYS}
    await ground.put(POST_LOG, profile_id=GONE, shortcode="event", handle="h")
    await ground.put(POST_LOG, profile_id=STAYS, shortcode="others", handle="h")
    async with ground.pool.connection() as conn:
        await conn.execute(
            "insert into instagram_account (id, profile_id, handle, source, scraped_at)"
            " values (gen_random_uuid(), %s, 'n', 's', now())", [GONE],
        )  # fmt: skip
        await conn.execute(
            "insert into instagram_post (post_id, shortcode, profile_id, source, scraped_at)"
            " select n, n, %s, 's', now() from unnest(array['row', 'told']) as n", [GONE],
        )  # fmt: skip
        await conn.execute("insert into post_collection (id, partner_id, name) values (%s, 1, 'a')", [uuid.UUID(int=1)])
        for platform in ("INSTAGRAM", "YOUTUBE"):
            for shortcode, profile_id in posts.items():
                await conn.execute(
                    "insert into post_collection_item"
                    " (id, partner_id, collection_id, platform, post_shortcode, platform_profile_id)"
                    " values (gen_random_uuid(), 1, %s, %s, %s, %s)",
                    [uuid.UUID(int=1), platform, shortcode, profile_id],
                )
    async with following(ground.pool, ground.clickhouse, "post_collection_item") as follows:
        await follows.caught_up()
    await ground.erasures.erase("INSTAGRAM", GONE, who="me", why="asked")
    assert (await ground.erase())["replicas"] == 3
    kept = {("INSTAGRAM", "others"), ("INSTAGRAM", "told"), *(("YOUTUBE", shortcode) for shortcode in posts)}
    async with ground.pool.connection() as conn:
        items = await (await conn.execute("select platform, post_shortcode from post_collection_item")).fetchall()
    assert set(items) == kept
    rows = await ground.clickhouse.rows("select platform, post_shortcode from coffee_replica.post_collection_item")
    assert {(row["platform"], row["post_shortcode"]) for row in rows} == kept


async def test_their_connections_end_with_what_they_gave(ground: Ground) -> None:
    async with ground.pool.connection() as conn:
        await conn.execute("insert into account (id, partner_id, name) values (gen_random_uuid(), 1, 'Main')")
        for who in (GONE, STAYS):
            await conn.execute(
                "with made as (insert into connection"
                " (id, partner_id, account_id, platform, profile_id, handle, source, scopes)"
                " select gen_random_uuid(), 1, id, 'INSTAGRAM', %s, 'a', 's', '{}' from account where partner_id = 1"
                " returning id) insert into oauth_grant (id, partner_id, connection_id)"
                " select gen_random_uuid(), 1, id from made",
                (who,),
            )
    await ground.erasures.erase("INSTAGRAM", GONE, who="me", why="asked")
    await ground.erase()
    async with ground.pool.connection() as conn:
        left = await conn.execute("select profile_id from connection join oauth_grant on connection_id = connection.id")
        assert await left.fetchall() == [(STAYS,)]
        assert await (await conn.execute("select count(*) from oauth_grant")).fetchone() == (1,)


async def test_no_place_is_forgotten(pool: Pool, clickhouse: ClickHouse) -> None:
    """A table or an event that comes to be, and tells of profiles, is looked at, or named here with its reason."""
    named = await clickhouse.rows(
        "select distinct concat('_e.', table) as place from system.columns"
        " where database = '_e' and name in {persons:Array(String)}",
        {"persons": [*PERSONS, "actor_channel_id", "follower_profile_id"]},
    )
    assert {row["place"] for row in named} <= {event_type.table for event_type in PLACES}
    told = {
        event_type
        for event_type in EVENT_TYPES
        if {*PERSONS, "actor_channel_id"} & {*event_type.schema.__struct_fields__}
    }
    assert told <= PLACES.keys(), told - PLACES.keys()
    async with pool.connection() as conn:
        rows = await (
            await conn.execute(
                "select distinct table_name from information_schema.columns join information_schema.tables"
                " using (table_schema, table_name) where table_schema = 'public' and table_type = 'BASE TABLE'"
                " and column_name = any(%s)",
                [list(PERSONS)],
            )
        ).fetchall()
    erasures = erasures_of(pool)
    looked_at = {table.name for platform in Catalogue().platforms for table, _ in erasures._places(platform)}
    assert {row[0] for row in rows} - looked_at == {"erased_profile"}, "that is how it is known whom not to store"


PERSONAL_ROWS = (
    "insert into youtube_account (id, channel_id, handle, source, scraped_at)"
    " values (gen_random_uuid(), %(who)s, 'y' || %(who)s, 's', now())",
    "insert into instagram_profile_insights (profile_id, metrics, dimensions, source, scraped_at)"
    """ values (%(who)s, '{"reach": 1}', '{}', 's', now())""",
    "insert into post_activity_log (platform, activity_id, activity_type, post_id, shortcode, actor_profile_id,"
    " actor_handle, source, scraped_at) values ('INSTAGRAM', %(who)s, 'like', '1', 'c', '', %(name)s, 's', now())",
    "insert into credential (id, source, handle, account) values (gen_random_uuid(), 'graphapi', %(who)s, %(who)s)",
    "insert into scrape_request_log (id, platform, flow, params, expires_at)"
    " values (gen_random_uuid(), 'INSTAGRAM', 'f', jsonb_build_object('handle', %(name)s::text), now())",
    "insert into profile_log (event_id, platform, profile_id, metrics, dimensions, source, event_timestamp)"
    " values (gen_random_uuid(), 'INSTAGRAM', %(who)s, '{}', '{}', 's', now())",
    "insert into asset_log (id, platform, profile_id, entity_type, entity_id, asset_type, source_url)"
    " values (gen_random_uuid(), 'INSTAGRAM', %(who)s, 'PROFILE', %(who)s, 'picture', 'x')",
    "insert into curated_account (platform, profile_id, category) values ('INSTAGRAM', %(who)s, 'beauty')",
    "insert into campaign_profiles (id, partner_id, platform, profile_id, handle)"
    " values (gen_random_uuid(), 1, 'INSTAGRAM', %(who)s, %(name)s)",
    "insert into partner_profile_page_track (id, partner_id, platform, profile_id, day)"
    " values (gen_random_uuid(), 1, 'INSTAGRAM', %(who)s, now())",
    "insert into social_link (id, partner_id, platform, profile_id, linked_platform, linked_profile_id)"
    " values (gen_random_uuid(), 1, 'YOUTUBE', 'y', 'INSTAGRAM', %(who)s)",
    "with made as (insert into profile_collection (id, partner_id, name)"
    " values (gen_random_uuid(), 1, %(name)s) returning id)"
    ", added as (insert into post_collection (id, partner_id, name)"
    " values (gen_random_uuid(), 1, %(name)s) returning id)"
    ", items as (insert into profile_collection_item (id, partner_id, collection_id, platform, platform_profile_id)"
    " select gen_random_uuid(), 1, id, 'INSTAGRAM', %(who)s from made)"
    " insert into post_collection_item (id, partner_id, collection_id, platform, post_shortcode, platform_profile_id)"
    " select gen_random_uuid(), 1, id, 'INSTAGRAM', 'c', %(who)s from added",
)
"""Where a profile stands in what replicas follow, beside its own row and posts. A channel of the same id stays."""


async def test_replicas_forget_them_too(ground: Ground) -> None:
    for who in (GONE, STAYS):
        await ground._rows(who)
        async with ground.pool.connection() as conn:
            for statement in PERSONAL_ROWS:
                await conn.execute(statement, {"who": who, "name": f"name.{who[-1]}"})
            await conn.execute(
                "update profile_collection set name = 'c' || id; update post_collection set name = 'c' || id"
            )

    async def left(who: str) -> set[str]:
        found = set()
        for table in REPLICAS:
            rows = await ground.clickhouse.rows(f"select * from {table.name}")  # noqa: S608
            if any(who in str(row) or f"ame.{who[-1]}" in str(row) for row in rows):
                found.add(table.table)
        return found

    names = [table.table for table in REPLICAS]
    async with following(ground.pool, ground.clickhouse, *names) as follows:
        await follows.caught_up()
    everywhere = await left(STAYS)
    assert await left(GONE) == everywhere
    assert len(everywhere) == 15, everywhere
    await ground.erasures.erase("INSTAGRAM", GONE, who="me", why="asked")
    assert (await ground.erase())["replicas"] > len(everywhere)
    assert await left(GONE) == {"youtube_account"}, "another person's id on another platform"
    async with following(ground.pool, ground.clickhouse, *names) as follows:
        assert (await follows.repair())["mended"] == {}
    assert await left(STAYS) == everywhere


async def test_no_replica_is_forgotten(clickhouse: ClickHouse) -> None:
    """One that has a column in which a profile may stand is looked at, for one platform at least."""
    for table in REPLICAS:
        query = "select name from system.columns where database = {d:String} and table = {t:String}"
        columns = {row["name"] for row in await clickhouse.rows(query, {"d": table.database, "t": table.table})}
        tells = any(name.endswith(("profile_id", "channel_id")) or name in ("account", "params") for name in columns)
        looked_at = any(whose_are(table, columns, platform) for platform in Catalogue().platforms)
        assert tells == looked_at, table.name

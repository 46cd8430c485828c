"""What a source lets us keep for so many days goes after them, from every store, and `check` is exact at every step."""

import datetime as dt
import itertools
from collections.abc import Mapping
from typing import Any

import pytest
import trio

from gcc.config import Settings
from gcc.pipelines.events.audit import TABLES
from gcc.pipelines.events.removal import Removal
from gcc.pipelines.events.source_retention import SourceRetention
from gcc.pipelines.events.types import POST_LOG, PROFILE_LOG
from gcc.pipelines.scraping.table import Catalogue, derives, kept_days, states
from gcc.platforms import YOUTUBE
from gcc.sources.table import SOURCES
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from tests.integration.test_retention import FIELDS, KEPT, Cut, Later, Mortal, Stored, leading
from tests.integration.test_retention import round_of as dropped_of

DAYS = {"short": 30}
YOUTUBES = {"ytapi": 30, "ytanalytics": 30}
FIELDS[POST_LOG] = {**FIELDS[PROFILE_LOG], "shortcode": "c"}


@pytest.fixture
async def stored(pool: Pool, clickhouse: ClickHouse) -> Stored:
    return Stored(pool, clickhouse)


async def round_of(stored: Stored, *, on: Any = None, days: Mapping[str, int] = DAYS) -> tuple[dict[str, int], int]:
    """What went, by table, and how often the marts were built anew."""
    rebuilt = 0

    async def rebuild() -> None:
        nonlocal rebuilt
        rebuilt += 1

    async with leading(stored.pool) as leader:
        removal = Removal(on or stored.clickhouse, stored.pool, leader, trio.Lock())
        retention = SourceRetention(removal, stored.pool, leader, Later(), days, [YOUTUBE.account], rebuild)
        return dict((await retention())["removed"]), rebuilt


async def put_account(stored: Stored, channel_id: str, source: str, days_ago: float) -> None:
    async with stored.pool.connection() as conn:
        await conn.execute(
            "insert into youtube_account (id, channel_id, source, scraped_at) values (gen_random_uuid(), %s, %s, %s)",
            (channel_id, source, stored.now - dt.timedelta(days=days_ago)),
        )


async def accounts(stored: Stored) -> set[str]:
    async with stored.pool.connection() as conn:
        return {row[0] for row in await (await conn.execute("select channel_id from youtube_account")).fetchall()}


async def test_what_is_older_goes_and_nothing_else(stored: Stored) -> None:
    for source, ago in itertools.product(("short", "long"), (10, 29, 31, 400)):
        await stored.put(PROFILE_LOG, 3, ago, source=source)
        await stored.put(POST_LOG, 5, ago, source=source)
        await put_account(stored, f"{source}{ago}", source, ago)
    assert await round_of(stored) == ({PROFILE_LOG.table: 6, POST_LOG.table: 10, "youtube_account": 2}, 1)
    assert await stored.well() == (6 * 3 + 6 * 5, 16)
    assert await accounts(stored) == {"short10", "short29", "long10", "long29", "long31", "long400"}
    assert await round_of(stored) == ({}, 0)
    assert await stored.well() == (6 * 3 + 6 * 5, 16)


async def test_the_audit_goes_with_what_it_is_of(stored: Stored) -> None:
    async with stored.pool.connection() as conn:
        for source, ago in itertools.product(("short", "long"), (10, 31)):
            await conn.execute(
                "insert into post_log (event_id, platform, profile_id, shortcode, metrics, dimensions, source,"
                " event_timestamp) values (gen_random_uuid(), 'YOUTUBE', '1', 'c', '{}', '{}', %s, %s)",
                (source, stored.now - dt.timedelta(days=ago)),
            )
    async with leading(stored.pool) as leader:
        removal = Removal(stored.clickhouse, stored.pool, leader, trio.Lock())
        retention = SourceRetention(
            removal, stored.pool, leader, Later(), DAYS, list(TABLES.values()), lambda: pytest.fail("no event went")
        )
        assert await retention() == {"removed": {"post_log": 1}}


async def test_what_arrives_late_is_removed_when_it_is_settled(stored: Stored) -> None:
    class Now(Later):
        def now(self) -> dt.datetime:
            return super().now() - dt.timedelta(days=2)

    await stored.put(PROFILE_LOG, 3, 40, source="short")
    async with leading(stored.pool) as leader:
        removal = Removal(stored.clickhouse, stored.pool, leader, trio.Lock())
        early = SourceRetention(removal, stored.pool, leader, Now(), DAYS, [], lambda: pytest.fail("nothing went"))
        assert await early() == {"removed": {}}
    assert (await round_of(stored))[0] == {PROFILE_LOG.table: 3}


async def test_events_that_came_twice_count_once(stored: Stored) -> None:
    ids = await stored.put(PROFILE_LOG, 2, 40, source="short")
    at = (stored.now - dt.timedelta(days=40)).strftime("%Y-%m-%d %H:%M:%S.%f")
    await stored.insert(PROFILE_LOG, ids, at, source="short")
    assert (await round_of(stored))[0] == {PROFILE_LOG.table: 2}
    assert await stored.well() == (0, 2)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_partition_waits_for_what_is_being_removed_from_it(stored: Stored, after: bool) -> None:
    """Its rows are counted already: with the partition they would be counted again."""
    await stored.put(PROFILE_LOG, 3, 1100, source="short")
    await stored.put(PROFILE_LOG, 2, 1100, source="long")
    with pytest.RaisesGroup(Cut, allow_unwrapped=True, flatten_subgroups=True):
        await round_of(stored, on=Mortal(stored.clickhouse, 2, after=after))
    assert await dropped_of(stored, KEPT) == {}
    assert await stored.well() == (2, 3)
    await round_of(stored)
    assert await dropped_of(stored, KEPT) == {PROFILE_LOG.table: 2}
    assert await stored.well() == (0, 5)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_cut_short_anywhere_the_next_round_goes_on(stored: Stored, after: bool) -> None:
    for death in itertools.count(1):
        await stored.put(PROFILE_LOG, 3, 40, source="short")
        await stored.put(PROFILE_LOG, 2, 40, source="long")
        store = Mortal(stored.clickhouse, death, after=after)
        try:
            await round_of(stored, on=store)
        except* Cut:
            pass
        else:
            assert death > 3, "it died at each statement before"
            break
        await stored.well()
        await round_of(stored)
        assert await stored.well() == (2 * death, 3 * death)


@pytest.mark.parametrize(
    ("settings", "kept", "may_derive"),
    [
        ({}, YOUTUBES, False),
        ({"world": {"enabled": True}}, {}, True),
        ({"world": {"enabled": True}, "sources": {"ytapi": {"base_url": "http://x"}}}, {"ytapi": 30}, False),
        ({"sources": {"ytapi": {"retention_days": 0, "derive": True}}}, {"ytanalytics": 30}, True),
        (
            {"sources": {"graphapi": {"retention_days": 7}, "ytapi": {"retention_days": 20}}},
            {**YOUTUBES, "graphapi": 7, "ytapi": 20},
            False,
        ),
    ],
)
def test_the_settings_say_more_than_the_row(settings: dict[str, Any], kept: dict[str, int], may_derive: bool) -> None:
    chosen = Settings.model_validate(settings)
    official = {name: days for name, days in kept_days(chosen, Catalogue()).items() if not SOURCES[name].unofficial}
    assert official == kept
    assert derives(chosen, SOURCES["ytapi"]) is may_derive


def test_all_state_is_looked_at() -> None:
    assert {"instagram_account", "youtube_post"} <= {table.name for table in states(Catalogue())}

"""Each synced table on real stores: its mart's types arrive, keys, indexes and views stay."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from gcc.actors.leader import Leader
from gcc.actors.sync import Sync
from gcc.actors.transformer import Transformer
from gcc.clock import SystemClock
from gcc.errors import Permanent
from gcc.pipelines.analytics import models
from gcc.pipelines.analytics.synced import SYNCED
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.folder_objects import FolderObjects
from gcc.stores.leadership import PostgresLeadership
from gcc.stores.postgres import Pool
from gcc.stores.synced_tables import SyncedTables
from gcc.supervisor.lifecycle import Board

TYPES = {
    "text": "Nullable(String)",
    "bigint": "Nullable(Int64)",
    "integer": "Nullable(Int32)",
    "double precision": "Nullable(Float64)",
    "date": "Nullable(Date)",
    "timestamp with time zone": "Nullable(DateTime64(6, 'UTC'))",
    "uuid": "UUID",
    "boolean": "Nullable(Bool)",
    "text[]": "Array(String)",
    "jsonb": "Map(String, Float64)",
}
VALUES: dict[str, Any] = {
    "text": "héllo",
    "bigint": 2**60,
    "integer": 7,
    "double precision": 0.5,
    "date": "2026-03-01",
    "timestamp with time zone": "2026-03-01 10:00:00.000001",
    "uuid": "019a0000-0000-7000-8000-000000000000",
    "boolean": True,
    "text[]": ["a", "b\u0000c"],
    "jsonb": {"male": 0.25},
}
INDEXES = """
    select indexname, indexdef from pg_indexes where tablename = %s
    union all
    select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid = to_regclass(%s)
    order by 1, 2
"""


@pytest.fixture
async def sync(clickhouse: ClickHouse, pool: Pool, tmp_path: Path) -> AsyncIterator[Sync]:
    clock = SystemClock()
    board = Board(clock.now)
    leader = Leader("x", PostgresLeadership(pool), board.actor("leader"), clock)
    tables = SyncedTables(pool, leader="x")
    async with trio.open_nursery() as nursery:
        await nursery.start(leader.run)
        yield Sync(clickhouse, FolderObjects(tmp_path), tables, SYNCED, leader, board.actor("sync"), clock)
        nursery.cancel_scope.cancel()


async def columns(pool: Pool, table: str) -> dict[str, str]:
    async with pool.connection() as connection:
        found = await connection.execute(
            "select attname, format_type(atttypid, null) from pg_attribute where attrelid = to_regclass(%s)"
            " and attnum > 0 and not attisdropped and attgenerated = '' order by attnum",
            [table],
        )
        return dict(await found.fetchall())


async def mart(clickhouse: ClickHouse, name: str, kinds: dict[str, str], row: dict[str, Any]) -> None:
    await clickhouse.command(f"drop table if exists dbt.{name} sync")
    made = ", ".join(f"{column} {TYPES[kind]}" for column, kind in kinds.items())
    await clickhouse.command(f"create table dbt.{name} ({made}) engine = MergeTree order by tuple()")
    await clickhouse.insert_ndjson(f"dbt.{name}", json.dumps(row).encode(), token=name)


@pytest.mark.parametrize("declared", SYNCED, ids=lambda declared: declared.table)
async def test_values_keys_and_indexes_survive_swaps(
    clickhouse: ClickHouse, pool: Pool, sync: Sync, declared: Any
) -> None:
    table = declared.table
    kinds = await columns(pool, table)
    assert kinds, "it is there"
    if table == "linked_social":
        kinds = {name.replace("linked_", "other_"): kind for name, kind in kinds.items()}
    if table == "trending_content":
        genre = {"platform": "text", "shortcode": "text", "week": "date", "rank": "integer"}
        await mart(
            clickhouse, "mart_genre_trending_content", genre, {name: VALUES[kind] for name, kind in genre.items()}
        )
        del kinds["genre_rank"]
    row = {name: VALUES[kind] for name, kind in kinds.items()} | ({"score": 0.75} if "score" in kinds else {})
    await mart(clickhouse, declared.mart, kinds, row)

    async def standing() -> list[Any]:
        async with pool.connection() as connection:
            return await (await connection.execute(INDEXES, [table, table])).fetchall()

    before = await standing()
    assert any("PRIMARY KEY" in definition for _, definition in before)
    for _ in range(2):
        assert (await sync.sync(table)).outcome == "swapped"
        assert await standing() == before
    async with pool.connection() as connection:
        (found,) = await (await connection.execute(f"select to_jsonb({table}) from {table}".encode())).fetchone()  # type: ignore[misc]  # noqa: S608
    for name, value in row.items():
        stored = found[name.replace("other_", "linked_")]
        match kinds[name]:
            case "timestamp with time zone":
                assert stored.startswith("2026-03-01T10:00:00.000001") and stored.endswith("+00:00")
            case "text[]":
                assert stored == ["a", "bc"]
            case _:
                assert stored == value
    assert found.get("genre_rank", 7) == 7


async def test_marts_have_the_columns_of_their_tables(clickhouse: ClickHouse, pool: Pool, sync: Sync) -> None:
    """Those that are models already, built of nothing."""
    clock = SystemClock()
    graph = models.read(variables={"timezone": "Asia/Kolkata"})
    actor = Board(clock.now).actor("transformer")
    transformer = Transformer(clickhouse.builders, graph, actor, clock, zone="Asia/Kolkata")
    assert all(run.ok for run in await transformer.run_models())
    built = {model.name for model in graph}
    for declared in SYNCED:
        if declared.mart in built:
            assert (await sync.sync(declared.table)).outcome == "nothing yet"


async def test_the_view_of_posts_follows_its_table(clickhouse: ClickHouse, pool: Pool, sync: Sync) -> None:
    kinds = await columns(pool, "collection_post_metrics_summary")
    for level, count in (("POST", 1), ("COLLECTION", 0)):
        row = {name: VALUES[kind] for name, kind in kinds.items()} | {"level": level}
        await mart(clickhouse, "mart_collection_post_summary", kinds, row)
        await sync.sync("collection_post_metrics_summary")
        async with pool.connection() as connection:
            found = await connection.execute("select count(*) from collection_post_metrics where likes is not null")
            assert await found.fetchone() == (count,)


async def test_profiles_are_found_by_words_and_trigrams(clickhouse: ClickHouse, pool: Pool, sync: Sync) -> None:
    kinds = await columns(pool, "search_profile")
    row = {name: VALUES[kind] for name, kind in kinds.items()} | {
        "handle": "asha.travels",
        "keywords": ["mountain bikes"],
    }
    await mart(clickhouse, "mart_search_profile", kinds, row)
    await sync.sync("search_profile")
    async with pool.connection() as connection:
        await connection.execute("set enable_seqscan = off")
        for where in (
            "doc @@ to_tsquery('simple', 'bikes')",
            "lower(handle) like '%%travel%%'",
            "keywords @> array['mountain bikes']",
        ):
            found = await connection.execute(f"select profile_id from search_profile where {where}".encode())  # noqa: S608
            assert len(await found.fetchall()) == 1, where
        plan = await connection.execute("explain select 1 from search_profile where lower(handle) like '%%travel%%'")
        assert "trigrams" in str(await plan.fetchall())


async def test_keys_of_a_map_are_cleaned_as_texts_are(clickhouse: ClickHouse, pool: Pool, sync: Sync) -> None:
    kinds = await columns(pool, "search_profile")
    row = {name: VALUES[kind] for name, kind in kinds.items()} | {"audience_gender": {"a\0b": 0.25}}
    await mart(clickhouse, "mart_search_profile", kinds, row)
    await clickhouse.command(
        "insert into dbt.mart_search_profile select * replace ('other' as profile_id, map(unhex('61FF'), 0.5) as"
        " audience_gender) from dbt.mart_search_profile"
    )
    assert (await sync.sync("search_profile")).rows == 2
    async with pool.connection() as connection:
        found = await connection.execute("select audience_gender from search_profile order by profile_id")
        assert await found.fetchall() == [({"ab": 0.25},), ({"a\ufffd": 0.5},)]


async def test_a_text_that_no_index_holds_is_told_as_a_refusal(clickhouse: ClickHouse, pool: Pool, sync: Sync) -> None:
    kinds = await columns(pool, "social_profile_hashtags")
    row = {name: VALUES[kind] for name, kind in kinds.items()}
    tag = "".join(chr(0x4E00 + number * 7919 % 20000) for number in range(3000))
    await mart(clickhouse, "mart_social_profile_hashtags", kinds, row | {"tag": tag})
    with pytest.raises(Permanent, match="social_profile_hashtags were refused: index row"):
        await sync.sync("social_profile_hashtags")

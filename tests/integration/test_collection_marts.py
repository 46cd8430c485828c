"""Marts of collections on a real ClickHouse: their figures by an oracle, and no row of a tenant tells of another."""

import json
import uuid
from collections.abc import Collection, Sequence
from typing import Any

import pytest

from gcc.actors.modelled import Model
from gcc.actors.transformer import Transformer
from gcc.clock import SystemClock
from gcc.pipelines.analytics import models
from gcc.stores.clickhouse import ClickHouse
from gcc.supervisor.lifecycle import Board
from tests.integration.collections_oracle import FIGURES, Row, World, collection_posts, drawn, post_days, sums

ZONE = "Asia/Kolkata"
GRAPH = {model.name: model for model in models.read(variables={"timezone": ZONE})}
WORTH = {"view": 0.15, "like": 0.5, "comment": 5.0}
MARTS = (
    "mart_collection_post_ts",
    "mart_collection_influencer",
    "mart_collection_top_posts",
    "mart_collection_group_metrics",
    "mart_collection_post_summary",
)


def with_parents(names: Collection[str]) -> list[Model]:
    wanted = set(names)
    for model in reversed(GRAPH.values()):
        if model.name in wanted:
            wanted |= {*model.parents}
    return [model for model in GRAPH.values() if model.name in wanted]


class Marts:
    def __init__(self, clickhouse: ClickHouse) -> None:
        clock = SystemClock()
        self._clickhouse = clickhouse
        self._graph = with_parents(MARTS)
        self._transformer = Transformer(
            clickhouse.builders, self._graph, Board(clock.now).actor("transformer"), clock, zone=ZONE
        )

    async def store(self, world: World) -> None:
        for table in ("post_collection", "post_collection_item", "collection_group", "campaign_profiles"):
            rows = {
                "post_collection": world.post_collections,
                "post_collection_item": world.items,
                "collection_group": world.groups,
                "campaign_profiles": world.campaign_profiles,
            }[table]
            await self._insert(f"coffee_replica.{table}", [{"_version": 1, **row} for row in rows])
        await self.store_snapshots(world.posts, world.profiles)

    async def store_snapshots(self, posts: Sequence[Row], profiles: Sequence[Row] = ()) -> None:
        await self._insert("_e.post_log_events", [_post_event(post) for post in posts])
        await self._insert("_e.profile_log_events", [_profile_event(profile) for profile in profiles])

    async def build(self) -> None:
        assert [run for run in await self._transformer.run_models() if not run.ok] == []

    async def rows(self, name: str, *key: str) -> dict[Any, Row]:
        found = await self._clickhouse.rows(f"select * from dbt.{name}{' final' if _is_log(name) else ''}")  # noqa: S608
        rows = {tuple(str(row[part]) if part.endswith("_id") else row[part] for part in key): row for row in found}
        assert len(rows) == len(found), "keys are unique"
        return rows

    async def _insert(self, table: str, rows: Sequence[Row]) -> None:
        if rows:
            body = "\n".join(json.dumps(row) for row in rows).encode()
            await self._clickhouse.insert_ndjson(table, body, token=str(uuid.uuid4()))


def _is_log(name: str) -> bool:
    return GRAPH[name].strategy == "keys"


def _post_event(post: Row) -> Row:
    told = {name: post[name] for name in ("likes", "comments", "views", "plays", "reach", "saved", "shares")}
    return _event(post, told, {"post_type": post["post_type"]}) | {
        "shortcode": post["shortcode"],
        "post_id": post["shortcode"],
        "publish_time": f"{post['publish_time']:%Y-%m-%d %H:%M:%S}",
    }


def _profile_event(profile: Row) -> Row:
    return _event(profile, {"followers": profile["followers"]}, {})


def _event(seen: Row, metrics: Row, dimensions: Row) -> Row:
    return {
        "event_id": str(uuid.uuid5(uuid.NAMESPACE_OID, repr(sorted((k, str(v)) for k, v in seen.items())))),
        "v": 1,
        "source": "graphapi",
        "platform": seen["platform"],
        "profile_id": seen["profile_id"],
        "event_timestamp": f"{seen['at']:%Y-%m-%d %H:%M:%S}",
        "metrics": metrics,
        "dimensions": dimensions,
    }


@pytest.fixture
def marts(clickhouse: ClickHouse) -> Marts:
    return Marts(clickhouse)


def _same(row: Row, expected: Row) -> bool:
    return {name: row[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
async def test_figures_are_the_oracle_s(marts: Marts, seed: int) -> None:
    world = drawn(seed)
    await marts.store(world)
    await marts.build()

    expected = collection_posts(world, ZONE, WORTH)
    posts = await marts.rows("mart_collection_post", "collection_id", "shortcode")
    assert posts.keys() == expected.keys()
    for key, row in expected.items():
        assert _same(posts[key], row), key

    summaries = await marts.rows("mart_collection_post_summary", "collection_id", "level", "shortcode")
    days = post_days(world, ZONE)
    series = await marts.rows("mart_collection_post_ts", "collection_id", "shortcode", "date")
    listed = set(expected)
    assert series.keys() == {(cid, code, day) for cid, code in listed for (of, day) in days if of == code}
    for (_, code, day), row in series.items():
        assert _same(row, days[code, day]), (code, day)
    for collection in world.post_collections:
        of_it = [row for (cid, _), row in expected.items() if cid == collection["id"]]
        assert _same(summaries[collection["id"], "COLLECTION", ""], sums(of_it))


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_of_one_tenant_stands_in_a_row_of_another(marts: Marts, seed: int) -> None:
    world = drawn(seed)
    await marts.store(world)
    await marts.build()
    owner = {row["id"]: row["partner_id"] for row in world.post_collections}
    expected = collection_posts(world, ZONE, WORTH)
    price = {(row["partner_id"], row["profile_id"]): row["price"] for row in world.campaign_profiles}

    for name in (*MARTS[:3], "mart_collection_post_summary", "mart_collection_post", "mart_staging_collection_group"):
        rows = await marts.rows(name, *GRAPH[name].unique_key)
        assert rows
        assert {owner[str(row["collection_id"])] - row["partner_id"] for row in rows.values()} == {0}
    for row in (await marts.rows("mart_collection_influencer", "collection_id", "profile_id")).values():
        assert row["price"] == price.get((row["partner_id"], row["profile_id"]))
    groups = await marts.rows("mart_collection_group_metrics", "group_id")
    for group in world.groups:
        own = {
            code: row for (cid, code), row in expected.items() if owner[cid] == group["partner_id"] == row["partner_id"]
        }
        row = groups[(group["id"],)]
        assert (row["partner_id"], row["collections"]) == (group["partner_id"], 2)
        assert _same(row, sums(own.values()))


async def test_late_and_doubled_snapshots_and_late_lists_come_out_as_if_all_was_there_at_once(
    marts: Marts, clickhouse: ClickHouse
) -> None:
    world = drawn(7)
    late = [item for item in world.items if item["post_shortcode"] in ("s1", "s2", "s3", "s4")]
    early = [item for item in world.items if item not in late]
    await marts.store(World(world.post_collections, early, world.groups, world.campaign_profiles))
    await marts.store_snapshots(world.posts[::2], world.profiles)
    # They came long ago, also those of posts that no list had yet.
    age = "update insert_timestamp = insert_timestamp - interval 2 day where true settings mutations_sync = 1"
    await clickhouse.command(f"alter table _e.post_log_events {age}")
    await marts.build()
    await marts.store_snapshots(world.posts[1::2])
    await marts.store_snapshots(world.posts[:4])
    await marts.store(World(items=late))
    await marts.build()
    days, listed = post_days(world, ZONE), {*collection_posts(world, ZONE, WORTH)}
    series = await marts.rows("mart_collection_post_ts", "collection_id", "shortcode", "date")
    assert series.keys() == {(cid, code, day) for cid, code in listed for (of, day) in days if of == code}
    for (_, code, day), row in series.items():
        assert _same({name: row[name] for name in FIGURES}, {name: days[code, day][name] for name in FIGURES})

"""No value of a source stops a model or a sync: each column, and each field of JSON that models read, is odd once.

What a database's own constraints rule out (tenants' platforms, its own times) is left as it is.
"""

import datetime as dt
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trio

from gcc.actors.leader import Leader
from gcc.actors.sync import Sync, SyncRefused
from gcc.actors.transformer import Transformer
from gcc.clock import SystemClock
from gcc.pipelines.analytics import models
from gcc.pipelines.analytics.model_tests import ModelTests
from gcc.pipelines.analytics.synced import SYNCED
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.folder_objects import FolderObjects
from gcc.stores.leadership import PostgresLeadership
from gcc.stores.postgres import Pool
from gcc.stores.synced_tables import SyncedTables
from gcc.supervisor.lifecycle import Board

ZONE = "Asia/Kolkata"
NOW = SystemClock().now()
Row = dict[str, Any]


def days_ago(days: float) -> str:
    return f"{NOW - dt.timedelta(days=days):%Y-%m-%d %H:%M:%S}.000000"


LATELY = days_ago(10)
TAGS = " ".join(f"#t{number}" for number in range(1000))
TEXTS = [
    *("", "0", "a:b", "a:c", "%", "[", "{", "null", "-1", "NaN", "9" * 400, "x" * 100_000, "a,b|c;d", "a\x1fb"),
    *('it\'s \\ "x" \0 \n', "\U0001f600" * 9, "e\u0301", "\u202eabc", "\u200b", "İß", "instagram", "TIKTOK"),
    f"#a#b #हिन्दी #İstanbul #STRASSE #straße #a(b*[c\\ {TAGS}",
]
TIMES = [
    *("1900-01-01 00:00:00.000000", "1969-12-31 23:59:59.999999", "1970-01-01 00:00:00.000000"),
    *("1971-01-03 00:00:00.000000", "2004-02-29 12:00:00.000000", "2106-02-07 06:28:16.000000"),
    *("2149-06-06 23:00:00.000000", "2299-12-31 23:59:59.999999"),
    *(days_ago(days) for days in (0, -0.5, -3, 400)),
]
DATES = ["1970-01-01", "1970-01-02", "2004-02-29", "2149-06-06", days_ago(400)[:10], days_ago(-40)[:10]]
FLOATS = [-1, 0, "-0.0", 0.5, 1e308, -1e308, 5e-324, "nan", "inf", "-inf"]
LISTS = [[], [""] * 3, TEXTS, ["a(b", "*", "\\", "a", "A"], [f"k{number}" for number in range(1000)]]
MAPS: list[Row] = [{}, {"": 1}, {"F.18-24": -5, "M.25-34": 1e308}, {"it's": 0.5, "x\0": 1}, {"US": 0, "IN": 0}]
JSONS = [
    *("-1", "0.5", "-0.0", "1e300", "1e400", str(2**63), str(2**64), "null", "true", "[]", "{}", "[[1]]"),
    *('"12"', '"1e5"', '""', '{"a":[1]}', '["a",5,null]', f'"{"x" * 1000}"', '"it\'s \\u0000 \\\\"'),
    *('"2500-01-01T00:00:00Z"', '"0001-01-01"', '{"a":-5,"b":1e300,"":1}', '{"name":5,"content":5}'),
]
FIELDS = {
    "metrics": """followers following media_count views avg_likes avg_comments avg_views engagement_rate likes comments
        plays reach impressions shares saved confidence current_total_price subtotal_price total_refunded total_tax
        commission total_price total_discounts quantity items""",
    "dimensions": """handle full_name bio website category language country city gender profile_pic_url topics utm
        duration_s upright test tagged paid_promotion paid_partnership is_paid discount_codes discount_code title
        collaborators audience_gender audience_age audience_country audience_city audience_language text keywords
        referring_site prompt_version post_id parent_id location location_name landing_site fulfillment_status
        description customer_id caption activity_id actor_handle placed_at cancelled_at status currency post_type
        profile_type is_verified""",
    "source_dimensions": "full_name handle",
    "target_dimensions": "handle",
    "source_metrics": "followers",
    "target_metrics": "followers",
    "params": "profile_id handle shortcode channel_id",
    "event_data": """id total_price current_total_price total_discounts financial_status currency cancelled_at
        created_at processed_at test discount_codes landing_site refunds""",
}
USUAL = {"metrics": {"followers": 20_000, "likes": 5, "comments": 1, "views": 50}, "dimensions": {"handle": "h"}}
BASE: Row = {
    "platform": "INSTAGRAM", "linked_platform": "YOUTUBE", "source": "graphapi", "partner_id": 1, "_version": 1, "v": 1,
    "status": "COMPLETE", "currency": "INR", "post_type": "image", "ingestion_frequency": "DAILY", "version": 1,
    "activity_type": "comment", "relationship_type": "FOLLOW", "metric": "audience_country", "topic": "orders/create",
    "store": "shop", "shop_domain": "shop", "sentiment": "positive", "_deleted": 0, "keywords": ["music"],
    "platforms": ["INSTAGRAM"], "target_profile_id": "creator",
}  # fmt: skip
OWN = {"_deleted", "_version", "platform", "linked_platform", "partner_id", "created_at", "updated_at", "scraped_at"}
"""What databases of ours make or check."""
POSTS_EACH = 4  # of a profile: three make an average


def bare(kind: str) -> str:
    return re.sub(r"^(LowCardinality\()?(Nullable\()?([^)]*(\(.*\))?[^)]*?)\)*$", r"\3", kind)


def odd(kind: str) -> list[Any]:
    """Values of a type that a producer may send."""
    nothing = [None] if "Nullable(" in kind else []
    match bare(kind):
        case "String":
            return [*TEXTS, *nothing]
        case "Float64":
            return [*FLOATS, *nothing]
        case "Date":
            return [*DATES, *nothing]
        case "Bool":
            return [True, False, *nothing]
        case number if found := re.fullmatch(r"(U?)Int(\d+)", number):
            bits = int(found[2])
            signed = [2**bits - 1] if found[1] else [-1, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1]
            return [0, 1, *signed, *nothing]
        case time if time.startswith("DateTime64"):
            return [*TIMES, *nothing]
        case list_ if list_.startswith("Array(String"):
            return LISTS
        case map_ if map_.startswith("Map("):
            return MAPS
    return []


def usual(column: str, kind: str, table: str, number: int) -> Any:
    if column in BASE:
        return BASE[column]
    if column in FIELDS:
        return json.dumps(USUAL.get(column, {}))
    if column in ("profile_id", "channel_id", "platform_profile_id"):
        return f"p{number}"
    if column in ("post_id", "shortcode", "video_id", "post_shortcode"):
        return f"c{number}"
    match bare(kind):
        case "UUID":
            return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{table} {column} {number}"))
        case "String":
            return f"{column[:5]}{number}"
        case "Date":
            return LATELY[:10]
        case "Bool":
            return False
        case "Float64":
            return 0.5
        case time if time.startswith("DateTime64"):
            return LATELY
        case list_ if list_.startswith("Array("):
            return ["a"] if "String" in list_ else []
        case map_ if map_.startswith("Map("):
            return {"IN": 60.0, "US": 40.0}
    return 100


def changes(columns: dict[str, str], *, ours: bool) -> Iterator[Row]:
    for column, kind in columns.items():
        if column == "_deleted" or (ours and column in OWN):
            continue
        yield from ({column: value} for value in odd(kind))
        for field in FIELDS.get(column, "").split():
            rest = {name: value for name, value in USUAL.get(column, {}).items() if name != field}
            for raw in JSONS:
                more = json.dumps(rest)[1:-1]
                yield {column: f'{{"{field}": {raw}{", " if more else ""}{more}}}'}


async def put(clickhouse: ClickHouse, table: str, rows: list[Row]) -> None:
    for first in range(0, len(rows), 2000):
        body = "\n".join(map(json.dumps, rows[first : first + 2000])).encode()
        await clickhouse.insert_ndjson(table, body, token=f"{table} {first} {len(rows)}")


async def columns_of(clickhouse: ClickHouse, table: str) -> dict[str, str]:
    """Without those that it computes itself."""
    found = await clickhouse.rows(f"describe table {table}")
    return {row["name"]: row["type"] for row in found if row["default_type"] != "MATERIALIZED"}


async def put_odd(clickhouse: ClickHouse) -> None:
    text = " ".join(path.read_text() for path in models.MODELS.rglob("*.sql"))
    number = 0
    for database, name in sorted(set(re.findall(r"source\('(\w+)', *'(\w+)'\)", text))):
        table = f"{database}.{name}"
        columns = await columns_of(clickhouse, table)
        rows: list[Row] = []
        for platform in ("INSTAGRAM", "YOUTUBE") if "platform" in columns else ("",):
            for change in changes(columns, ours=database != "_e"):
                number += POSTS_EACH
                for each in range(POSTS_EACH if name == "post_log_events" else 1):
                    row = {column: usual(column, kind, name, number + each) for column, kind in columns.items()}
                    row |= {"profile_id": f"p{number}"} if "profile_id" in row else {}
                    rows.append({**row, **({"platform": platform} if platform else {}), **change})
        await put(clickhouse, table, rows)


async def collect(clickhouse: ClickHouse) -> None:
    """A list of all posts, one of all profiles, and a group of both, in which one is named twice."""
    members = {
        kind: await clickhouse.rows(
            f"select distinct platform, {key} as {as_} from {table}"  # noqa: S608
            f" where length({key}) < 800 and platform in ('INSTAGRAM', 'YOUTUBE')"
        )
        for kind, key, as_, table in (
            ("post", "shortcode", "post_shortcode", "_e.post_log_events"),
            ("profile", "profile_id", "platform_profile_id", "_e.profile_log_events"),
        )
    }
    ids = {kind: str(uuid.uuid5(uuid.NAMESPACE_DNS, kind)) for kind in ("post", "profile")}
    lists = {f"{kind}_collection": [{"id": ids[kind]}] for kind in ids}
    lists["collection_group"] = [{"collection_ids": [*ids.values(), *ids.values()]}]
    for kind in ids:
        lists[f"{kind}_collection_item"] = [{"collection_id": ids[kind], **member} for member in members[kind]]
    for name, rows in lists.items():
        columns = await columns_of(clickhouse, f"coffee_replica.{name}")
        whole = [
            {column: usual(column, kind, f"whole {name}", number) for column, kind in columns.items()} | row
            for number, row in enumerate(rows)
        ]
        await put(clickhouse, f"coffee_replica.{name}", whole)


async def test_no_value_stops_a_model_or_a_sync(clickhouse: ClickHouse, pool: Pool, tmp_path: Path) -> None:
    await put_odd(clickhouse)
    await collect(clickhouse)
    clock = SystemClock()
    board = Board(clock.now)
    graph = models.read(variables={"timezone": ZONE})
    tests = ModelTests(clickhouse.builders, graph, clock, zone=ZONE)
    transformer = Transformer(
        clickhouse.builders, graph, board.actor("transformer"), clock, zone=ZONE, tests=tests
    )  # fmt: skip
    for _ in range(2):
        runs = await transformer.run_models()
        assert [run.error for run in runs if not run.ok and not run.skipped] == []
    leader = Leader("x", PostgresLeadership(pool), board.actor("leader"), clock)
    tables = SyncedTables(pool, leader="x")
    async with trio.open_nursery() as nursery:
        await nursery.start(leader.run)
        sync = Sync(
            clickhouse, FolderObjects(tmp_path), tables, SYNCED, leader, board.actor("sync"), clock, models=graph
        )
        for declared in SYNCED:
            try:
                await sync.sync(declared.table)
            except SyncRefused:  # so much of it is odd here
                await sync.accept(declared.table, "x")
                await sync.sync(declared.table)
        nursery.cancel_scope.cancel()

"""No value that a producer may send stops a model: what is odd is left out, or a warning."""

import datetime as dt
import json
from typing import Any

from gcc.actors.transformer import Transformer
from gcc.clock import SystemClock
from gcc.pipelines.analytics import models
from gcc.pipelines.analytics.model_tests import ModelTests
from gcc.stores.clickhouse import ClickHouse
from gcc.supervisor.lifecycle import Board

ZONE = "Asia/Kolkata"
NOW = SystemClock().now()
BEFORE, LATELY = (f"{NOW - dt.timedelta(days=days):%Y-%m-%d %H:%M:%S}.000000" for days in (20, 10))
EACH = 4  # posts of a profile: three make an average
PROFILE = {
    "platform": "INSTAGRAM", "profile_id": "p", "handle": "h", "source": "s", "metrics": {"followers": 20_000},
    "dimensions": {}, "event_timestamp": BEFORE,
}  # fmt: skip
POST = {**PROFILE, "shortcode": "c", "post_id": "1", "publish_time": LATELY, "metrics": {"likes": 5, "comments": 1}}
METRICS = (
    "followers",
    "following",
    "media_count",
    "views",
    "avg_likes",
    "avg_comments",
    "avg_views",
    "engagement_rate",
)
COUNTS = ("likes", "comments", "views", "plays", "reach", "impressions", "shares", "saved")
OLD = ("1970-01-01 00:00:00.000000", "1970-06-01 00:00:00.000000", "2004-01-01 00:00:00.000000")
NUMBERS = (-5, -0.5, 7.5, 10**12, 1e300, 2**63 - 1, -(2**63))
PROFILES = [
    *({"metrics": {"followers": 20_000, name: number}} for name in METRICS for number in NUMBERS),
    *({"event_timestamp": at} for at in OLD),
    {
        "handle": 'it\'s \\ "x" \0 \n',
        "dimensions": {"category": "\\'\0", "full_name": "' or 1=1 --", "bio": "\ud83d\ude00" * 9},
    },
]
POSTS = [
    *({"metrics": {"likes": 5, "comments": 1, name: number}} for name in COUNTS for number in NUMBERS),
    {"metrics": {"likes": 500, "comments": 1, "views": 1, "plays": 1, "reach": 1}, "dimensions": {"post_type": "reel"}},
    *({"event_timestamp": at} for at in OLD),
    *({"publish_time": at} for at in OLD),
    {
        "shortcode": "it's \\ \0",
        "dimensions": {"caption": "#'\\ \0 @' \\", "duration_s": -1e300, "location": {"name": "'"}},
    },
]


async def put(
    clickhouse: ClickHouse, table: str, base: dict[str, Any], odd: list[dict[str, Any]], each: int = 1
) -> None:
    for number in range(len(odd) * each):
        own = {"event_id": f"00000000-0000-7000-8000-{number:012}", "profile_id": f"p{number // each}"}
        if "shortcode" in base:
            own |= {"shortcode": f"c{number}", "post_id": f"{number}"}
        row = {**base, **own, **odd[number // each]}
        row |= {name: json.dumps(row[name]) for name in ("metrics", "dimensions")}
        await clickhouse.insert_ndjson(table, json.dumps(row).encode(), token=f"{table} {number}")


async def collect(clickhouse: ClickHouse) -> None:
    """A list of all the posts, and one of each alone."""
    common = {"partner_id": 1, "_version": 1, "created_at": LATELY, "updated_at": LATELY}
    lists, items = [], []
    for number in range(len(POSTS) * EACH):
        own, item = (f"019a0000-0000-7000-800{kind}-{number:012}" for kind in (0, 1))
        more = {
            "name": "x",
            "source": "SAAS",
            "is_shared": False,
            "ingestion_frequency": "DAILY",
            "show_in_report": False,
        }
        lists.append({**common, **more, "id": own, "version": 1})
        item_of = {**common, "platform": "INSTAGRAM", "post_shortcode": f"c{number}"}
        items.append({**item_of, "id": item, "collection_id": own})
        items.append({**item_of, "id": item.replace("-8001-", "-8002-"), "collection_id": lists[0]["id"]})
    for table, rows in (("post_collection", lists), ("post_collection_item", items)):
        await clickhouse.insert_ndjson(
            f"coffee_replica.{table}", "\n".join(map(json.dumps, rows)).encode(), token=table
        )


async def test_no_event_stops_a_model(clickhouse: ClickHouse) -> None:
    await put(clickhouse, "_e.profile_log_events", PROFILE, PROFILES)
    await put(clickhouse, "_e.post_log_events", POST, POSTS, each=EACH)
    await collect(clickhouse)
    clock = SystemClock()
    graph = models.read(variables={"timezone": ZONE})
    tests = ModelTests(clickhouse.builders, graph, clock, zone=ZONE)
    transformer = Transformer(
        clickhouse.builders, graph, Board(clock.now).actor("transformer"), clock, zone=ZONE, tests=tests
    )
    for _ in range(2):
        runs = await transformer.run_models()
        assert [run.error for run in runs if not run.ok and not run.skipped] == []
    (row,) = await clickhouse.rows(
        "select count() as posts, max(engagement_rate) as most from dbt.mart_collection_post where found"
    )
    assert row["posts"] > len(POSTS) and row["most"] <= 5

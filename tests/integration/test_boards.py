"""Boards and genres: what is built month by month is what a whole build says, and what plain Python says."""

import datetime as dt
import json
import random
import zoneinfo
from collections.abc import Iterable
from typing import Any

import pytest

from gcc.actors.modelled import Model
from gcc.actors.transformer import Transformer
from gcc.clock import SystemClock
from gcc.pipelines.analytics import models
from gcc.stores.clickhouse import ClickHouse
from gcc.supervisor.lifecycle import Board
from tests.integration.snapshots_oracle import Row, Snapshot, ndjson

ZONE = "Asia/Kolkata"
GRAPH = models.read(variables={"timezone": ZONE})
BY_PARTITION = [model for model in GRAPH if model.strategy == "partitions"]
CATEGORIES = ["Food", "Beauty, Cosmetic & Personal Care", "Digital creator", "Unheard of", None]


def with_parents(wanted: Iterable[Model]) -> list[Model]:
    names = {model.name for model in wanted}
    for model in reversed(GRAPH):
        if model.name in names:
            names |= {*model.parents}
    return [model for model in GRAPH if model.name in names]


def transformer_of(clickhouse: ClickHouse) -> Transformer:
    """Of what is compared here, and of what that reads."""
    clock = SystemClock()
    graph = with_parents(BY_PARTITION)
    return Transformer(clickhouse.builders, graph, Board(clock.now).actor("transformer"), clock, zone=ZONE)


class World:
    """Random events of the last 100 days until now, or, where they come `late`, of the open month."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = SystemClock().now()
        local = self.now.astimezone(zoneinfo.ZoneInfo(ZONE))
        opened = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        self.open_s = max(60, int((local - opened).total_seconds()))

    def snapshots(self, count: int, *, late: bool) -> list[Snapshot]:
        return [self._snapshot(self._at(late=late)) for _ in range(count)]

    def posts(self, count: int, *, late: bool) -> list[Row]:
        """Late ones are of the open month, by whom earlier ones are known: of a frozen month nothing changes."""
        return [self._post(self._at(late=late), index % 60, late=late) for index in range(count)]

    def _at(self, *, late: bool) -> dt.datetime:
        return self.now - dt.timedelta(seconds=self.rng.randrange(1, self.open_s if late else 100 * 86_400))

    def _snapshot(self, at: dt.datetime) -> Snapshot:
        platform = self.rng.choice(["INSTAGRAM", "YOUTUBE"])
        number = self.rng.randrange(30)
        metrics: Row = {"followers": self.rng.choice([None, 900, 1000 + number * self.rng.randrange(200)])}
        metrics |= {"engagement_rate": self.rng.random(), "views": self.rng.randrange(10**6)}
        dimensions = {"category": self.rng.choice(CATEGORIES), "language": self.rng.choice(["hi-IN", "Tamil", "und"])}
        dimensions |= {"country": self.rng.choice(["India", "US"]), "full_name": f"Name {number}"}
        if platform == "INSTAGRAM":
            dimensions["website"] = f"https://youtube.com/channel/UC{number % 7:022}"
        return Snapshot(platform, self._profile(platform, number), f"{at:%Y-%m-%d %H:%M:%S.%f}", metrics, dimensions)

    def _post(self, at: dt.datetime, creator: int, *, late: bool) -> Row:
        platform = "INSTAGRAM" if creator % 2 else "YOUTUBE"
        number = self.rng.randrange(10**9)
        published = at if late else at - dt.timedelta(hours=self.rng.randrange(48))
        metrics = {"likes": self.rng.randrange(500), "comments": self.rng.randrange(50), "views": number % 9999}
        return {
            "event_id": f"00000000-0000-7000-8000-{number:012}",
            "platform": platform,
            "profile_id": self._profile(platform, creator // 2),
            "shortcode": f"s{number}",
            "post_id": f"{number}",
            "publish_time": f"{published:%Y-%m-%d %H:%M:%S.%f}",
            "event_timestamp": f"{at:%Y-%m-%d %H:%M:%S.%f}",
            "metrics": metrics,
            "dimensions": {"post_type": "reels" if platform == "INSTAGRAM" else "video"},
        }

    def _profile(self, platform: str, number: int) -> str:
        return f"{number}" if platform == "INSTAGRAM" else f"UC{number:022}"

    async def store(self, clickhouse: ClickHouse, token: str, snapshots: list[Snapshot], posts: list[Row]) -> None:
        await clickhouse.insert_ndjson("_e.profile_log_events", ndjson(snapshots), token=f"profiles {token}")
        body = "\n".join(json.dumps(post) for post in posts).encode()
        await clickhouse.insert_ndjson("_e.post_log_events", body, token=f"posts {token}")
        own = ("post_id", "shortcode", "profile_id", "publish_time")
        instagram = [post for post in posts if post["platform"] == "INSTAGRAM"]
        rows = [
            (*(post[name] for name in own), "reels", f"#tag{index % 3} #all") for index, post in enumerate(instagram)
        ]
        columns = ", ".join((*own, "post_type", "caption"))
        values = ", ".join(map(repr, rows))
        await clickhouse.command(f"insert into beat_replica.instagram_post_simple ({columns}) values {values}")  # noqa: S608


async def contents(clickhouse: ClickHouse) -> dict[str, list[tuple[Any, ...]]]:
    """Of the open month, and of the week in which it opened, whose Monday may lie before it: what comes late of a post,
    a link or a genre changes no month that is frozen."""
    found = {}
    for model in BY_PARTITION:
        [day] = {"month", "week", "date"} & {*model.unique_key}
        opened = f"toStartOfMonth(toDate(now(), '{ZONE}'))"
        where = f"week >= toMonday({opened})" if day == "week" else f"{day} >= {opened}"
        rows = await clickhouse.rows(f"select * from dbt.{model.name} where {where}")  # noqa: S608
        found[model.name] = sorted(tuple(map(repr, row.values())) for row in rows)
    return found


@pytest.mark.parametrize("seed", range(2))
async def test_months_built_bit_by_bit_are_those_of_a_whole_build(clickhouse: ClickHouse, seed: int) -> None:
    world, transformer = World(seed), transformer_of(clickhouse)
    for part, late in enumerate((False, True, True)):
        await world.store(clickhouse, str(part), world.snapshots(300, late=late), world.posts(300, late=late))
        assert [run for run in await transformer.run_models() if not run.ok] == []
    grown = await contents(clickhouse)
    assert {name for name, rows in grown.items() if not rows} == set()
    assert [run for run in await transformer.run_models(whole=True) if not run.ok] == []
    whole = await contents(clickhouse)
    for name, rows in whole.items():
        assert grown[name] == rows, name

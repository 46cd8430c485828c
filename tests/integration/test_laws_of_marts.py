"""The laws of test_model_laws.py, of the models themselves: each that grows, by keys or by partitions, is what its
whole SELECT makes of what it reads, whatever came late, doubled, imported or ahead of its time, in any order.

Months that were frozen stay as they were, until a backfill. What a model reads is held to the same: so all that is
built in parts is what would be built at once.
"""

import datetime as dt
import json
import random
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gcc import statements
from gcc.actors.modelled import EVERYTHING, Model
from gcc.actors.transformer import Transformer
from gcc.actors.warehouse import Queries
from gcc.clock import SystemClock
from gcc.pipelines.analytics import models
from gcc.stores.clickhouse import ClickHouse
from gcc.supervisor.lifecycle import Board
from tests.fixtures_clickhouse import empty, opened

Row = dict[str, Any]
Months = dict[dt.date, list[str]]

SQL = statements.load("models", statements.SQL / "clickhouse" / "queries")
ZONE = "Asia/Kolkata"
GRAPH = models.read(variables={"timezone": ZONE})
GROWING = {model.name: model for model in GRAPH if model.materialized == "incremental"}
ACCOUNTS = {"mart_instagram_account_partial", "mart_youtube_account_partial"}
WHOLE_ACCOUNTS = {"mart_instagram_account", "mart_youtube_account"}
LAWS = {
    # Which models, built with all that they read, and how many histories: some cost three times as much as others.
    "keys": ({name for name, model in GROWING.items() if model.strategy == "keys"} - ACCOUNTS, 3),
    "partitions": ({name for name, model in GROWING.items() if model.strategy == "partitions"}, 2),
    "accounts": (ACCOUNTS, 1),
}
FEW = {"genre_tag_creators": 1, "min_posts": 1, "min_followers_told": 1, "min_bucket": 1, "rank_min_followers": 500}
"""Cuts that the handful of profiles here passes."""

START = dt.datetime(2024, 1, 10, 12)  # noqa: DTZ001 (UTC, as ClickHouse tells it)
FOREVER = (dt.date(2023, 9, 1), dt.date(2024, 6, 30))
FIRST, NEVER_FROZEN = dt.date(1970, 1, 1), dt.date(2149, 1, 1)
CLOCK = "assumeNotNull((select at from default.clock))"
IN_USE = {
    # Days of a post that was taken out of all lists stay; nobody reads them until it is listed again.
    "mart_staging_collection_post_daily": """
    where (platform, shortcode) in (select platform, shortcode from dbt.stg_coffee_post_collection_item)"""
}
ITS_OWN = {"built_at", "seq"}  # columns that tell of a build, not of what is built


def profile(rng: random.Random, at: str) -> Row:
    """A snapshot of a profile, or a model's guess about it. Some of them link to each other."""
    platform, number = rng.choice(["INSTAGRAM", "YOUTUBE"]), rng.randint(1, 3)
    links = {"INSTAGRAM": f"https://youtube.com/@h{number}", "YOUTUBE": f"instagram.com/h{number}"}
    told = {
        "handle": f"@h{number}" if platform == "YOUTUBE" else f"h{number}",
        "full_name": rng.choice(["A", "B"]),
        "website": rng.choice([links[platform], links[platform], "https://example.com"]),
        "category": rng.choice(["Food", "Art", "Digital creator"]),
        "language": rng.choice(["hi", "Tamil", "und"]),
        "country": rng.choice(["IN", "US"]),
    }
    guessed = {
        "gender": rng.choice(["F", "M"]),
        "age_band": "18-24",
        "topics": rng.choice([["food"], ["art", "craft"]]),
        "prompt_version": str(rng.randint(1, 3)),
        "audience_gender": rng.choice([{"F": 60, "M": 40}, {"F": 0.5, "M": 0.5}, {"F": 9}]),
    }
    metrics = {
        "followers": rng.choice([0, 400, 2000, 2000, 5000]),
        "following": rng.randint(1, 9),
        "media_count": rng.randint(0, 9),
        "views": rng.randint(1, 9) * 1000,
        "engagement_rate": rng.choice([0.01, 0.02, 0.03]),
        "avg_likes": rng.randint(1, 9),
    }
    is_guess = rng.random() < 0.25
    return {
        "source": "openai" if is_guess else "graphapi",
        "platform": platform,
        "profile_id": f"{platform[0]}{number}",
        "metrics": {} if is_guess else some(rng, metrics),
        "dimensions": some(rng, told | guessed if is_guess else told),
    }


def post(rng: random.Random, at: str) -> Row:
    platform, number = rng.choice(["INSTAGRAM", "YOUTUBE"]), rng.randint(1, 3)
    code = f"{platform[0]}{number}p{rng.randint(1, 3)}"
    published = dt.datetime.fromisoformat(at) - dt.timedelta(days=rng.choice([0, 2, 9, 30]))
    metrics = {"likes": rng.randint(0, 50), "comments": rng.randint(0, 12), "views": 100, "plays": rng.randint(1, 900)}
    dimensions = {
        "post_type": rng.choice(["reel", "image", "video", "short"]),
        "caption": rng.choice(["#food", "#ad #food", "tea"]),
        "duration_s": rng.choice([30, 90, 600]),
    }
    return {
        "platform": platform,
        "profile_id": f"{platform[0]}{number}",
        "shortcode": code,
        "post_id": code,
        "publish_time": f"{published:%F %T}",
        "metrics": some(rng, metrics),
        "dimensions": some(rng, dimensions),
    }


def job(rng: random.Random, at: str) -> Row:
    statuses = ["PENDING", "PROCESSING", "COMPLETE", "FAILED"]
    return {
        "scl_id": f"j{rng.randint(1, 4)}",
        "seq": int(dt.datetime.fromisoformat(at).timestamp()) // 60,  # no two of one job have the same
        "flow": "f",
        "platform": "INSTAGRAM",
        "params": {},
        "status": rng.choice(statuses),
        "priority": 0,
        "retry_count": rng.randint(0, 3),
        "reason": rng.choice([None, "late"]),
    }


def order(rng: random.Random, at: str) -> Row:
    metrics = {"total_price": rng.randint(1, 9), "total_refunded": 1, "current_total_price": 5}
    dimensions = {
        "status": rng.choice(["paid", "cancelled", "pending"]),
        "currency": "INR",
        "discount_code": rng.choice(["A", "B"]),
        "placed_at": f"2024-01-0{rng.randint(1, 9)} 10:00:00",
        "test": rng.random() < 0.1,
    }
    store, number = rng.choice(["s", "t.myshopify.com"]), str(rng.randint(1, 4))
    return {
        "platform": "SHOPIFY",
        "store": store,
        "platform_order_id": number,
        "metrics": some(rng, metrics),
        "dimensions": some(rng, dimensions),
    }


def affiliate_order(rng: random.Random, at: str) -> Row:
    told = {"status": "confirmed", "referral_code": "A", "currency": "INR", "amount": rng.randint(1, 9)}
    return {"store": rng.choice(["s", "t"]), "order_id": str(rng.randint(1, 4)), **some(rng, told)}


def shop_event(rng: random.Random, at: str) -> Row:
    data = {
        "total_price": str(rng.randint(1, 9)),
        "currency": "INR",
        "financial_status": rng.choice(["paid", "pending"]),
        "cancelled_at": rng.choice([None, "2024-01-09 10:00:00"]),
    }
    shop = rng.choice(["s", "t"]) + ".myshopify.com"
    return {"shop_domain": shop, "topic": "orders/updated", "event_data": {"id": rng.randint(1, 4), **some(rng, data)}}


def follower(rng: random.Random, at: str) -> Row:
    name = rng.choice(["Priya", "தமிழ்", "हिन्दी"])
    return {
        "platform": "INSTAGRAM",
        "source_profile_id": rng.choice(["", f"f{rng.randint(1, 5)}"]),
        "target_profile_id": f"I{rng.randint(1, 9)}",  # most are known by nothing else
        "relationship_type": "follower",
        "source_dimensions": {"handle": f"F{rng.randint(1, 2)}", "full_name": name},
    }


def score(rng: random.Random, at: str) -> Row:
    return {
        "profile_id": f"I{rng.randint(1, 9)}",
        "follower_handle": f"f{rng.randint(1, 2)}",
        "score": rng.choice([0, 1]),
    }


def listed_post(rng: random.Random, at: str) -> Row:
    """Put into a list, or taken out of it."""
    platform = rng.choice(["INSTAGRAM", "YOUTUBE"])
    code = f"{platform[0]}{rng.randint(1, 3)}p{rng.randint(1, 3)}"
    key = {"partner_id": 1, "collection_id": str(uuid.UUID(int=1)), "platform": platform, "post_shortcode": code}
    return {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, code)), "_deleted": int(rng.random() < 0.4), **key}


def instagram_post(rng: random.Random, at: str) -> Row:
    whose = {"post_id": f"p{rng.randint(1, 9)}", "profile_id": f"I{rng.randint(1, 3)}"}
    return {**whose, "caption": rng.choice(["#food #tea", "#food", "#art"]), "publish_time": at}


def youtube_post(rng: random.Random, at: str) -> Row:
    whose = {"video_id": f"v{rng.randint(1, 9)}", "channel_id": f"Y{rng.randint(1, 3)}"}
    return {**whose, "title": rng.choice(["#food #tea", "#food", "#art"]), "publish_time": at}


SOURCES: Mapping[str, tuple[Callable[[random.Random, str], Row], int]] = {
    # What tells of it, and how many tellings there are.
    "_e.profile_log_events": (profile, 150),
    "_e.post_log_events": (post, 120),
    "_e.scrape_request_log_events": (job, 15),
    "_e.order_log_events": (order, 20),
    "_e.affiliate_order_event": (affiliate_order, 15),
    "_e.shopify_event": (shop_event, 15),
    "_e.profile_relationship_log_events": (follower, 20),
    "_e.creator_follower_score": (score, 120),
    "coffee_replica.post_collection_item": (listed_post, 60),
    "beat_replica.instagram_post_simple": (instagram_post, 25),
    "beat_replica.youtube_post_simple": (youtube_post, 25),
}


def some(rng: random.Random, told: Row) -> Row:
    """A part of it: what a snapshot leaves out, an older one still tells."""
    return {name: value for name, value in told.items() if rng.random() < 0.7}


def telling(table: str, number: int) -> Row:
    """Always the same one: what is drawn twice is doubled."""
    rng = random.Random(f"{table} {number}")
    at = str(START + dt.timedelta(days=rng.randint(-50, 60), seconds=rng.randint(0, 86399), microseconds=number))
    row = SOURCES[table][0](rng, at)
    if table.startswith("_e."):
        return {"event_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{table} {number}")), "event_timestamp": at, **row}
    return {"updated_at": at, "_version": int(dt.datetime.fromisoformat(at).timestamp() * 1e6), **row}


TELLINGS = [(table, telling(table, number)) for table, (_, count) in SOURCES.items() for number in range(count)]


def planted(step: int, now: dt.datetime) -> list[tuple[str, Row]]:
    """What comes in each step beside what is drawn: each is heard of by one model in one way only."""

    def event(table: str, at: dt.datetime, **row: Any) -> tuple[str, Row]:
        event_id = uuid.uuid5(uuid.NAMESPACE_OID, f"planted {step} {table} {row}")
        return f"_e.{table}", {"event_id": str(event_id), "event_timestamp": str(at), **row}

    def whose(platform: str, profile_id: str) -> Row:
        return {"platform": platform, "profile_id": f"{platform[0]}{profile_id}"}

    def post_of(profile_id: str, shortcode: str, at: dt.datetime, platform: str = "INSTAGRAM") -> tuple[str, Row]:
        told = {"shortcode": shortcode, "post_id": shortcode, "publish_time": str(START - dt.timedelta(days=1))}
        told |= {"metrics": {"likes": 10 + step, "views": 100}}
        return event("post_log_events", at, **whose(platform, profile_id), **told)

    # A post that a list has, then none, then one again; and its day, which got a snapshot while none had it.
    item = {"id": str(uuid.UUID(int=2)), "partner_id": 1, "collection_id": str(uuid.UUID(int=1))}
    item |= {"platform": "INSTAGRAM", "post_shortcode": "relisted", "_deleted": int(step == 1)}
    rows = [("coffee_replica.post_collection_item", item | {"updated_at": str(now), "_version": step + 1})]
    if step < 2:
        rows += [post_of("52", "relisted", START + dt.timedelta(minutes=step))]
    # A follower who is scored later than he is known, and then otherwise.
    creator = {"platform": "INSTAGRAM", "target_profile_id": "I60", "relationship_type": "follower"}
    if step == 0:
        follower = {"handle": "f9", "full_name": "தமிழ்"}
        rows += [event("profile_relationship_log_events", START, **creator, source_dimensions=follower)]
    else:
        rows += [event("creator_follower_score", now, profile_id="I60", follower_handle="f9", score=step - 1)]
    # An account of which snapshots tell, and one of which its posts alone tell.
    for platform in ("INSTAGRAM", "YOUTUBE"):
        told = {"followers": 2000, "avg_likes": 10 + step}
        rows += [event("profile_log_events", now, **whose(platform, "50"), source="graphapi", metrics=told)]
        rows += [post_of("51", f"{platform[0]}51p", now, platform)]
        if step == 0:
            long_ago = START - dt.timedelta(days=80)
            rows += [event("profile_log_events", long_ago, **whose(platform, "51"), source="graphapi", metrics=told)]
    return rows


Step = tuple[int, list[int]]
"""So many days after the one before, these of TELLINGS came; then everything is built."""


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """All come, some twice. The simplest history has them out of order already, because few are tried."""
    days = draw(st.lists(st.sampled_from([25, 40, 1, 7]), min_size=3, max_size=3))
    rng, once = random.Random(1), range(len(TELLINGS))
    doubled = [*once, *rng.choices(once, k=len(once) // 5)]
    order = draw(st.permutations(rng.sample(doubled, len(doubled))))
    return [(each, order[number :: len(days)]) for number, each in enumerate(days)]


class At:
    """The store, at a time of the test's: also what a SELECT asks the clock."""

    def __init__(self, store: ClickHouse) -> None:
        self._queries: Queries = store.builders
        self._store = store
        self.now = START

    async def pass_days(self, days: int) -> None:
        self.now += dt.timedelta(days=days)
        await self._store.command("create or replace table default.clock (at DateTime64(6, 'UTC')) engine = Memory")
        await self._store.command(f"insert into default.clock values ('{self.now}')")  # noqa: S608

    async def rows(self, sql: str, params: Any = None) -> list[Row]:
        if sql == SQL["server_time"]:
            (told,) = await self._queries.rows(sql, params)
            end = month_after(self.now.date() + dt.timedelta(days=1))
            return [told | {"now": f"{self.now:%F %T.%f}", "end": str(end)}]
        return await self._queries.rows(sql.replace("now64(6, 'UTC')", CLOCK), params)

    async def command(self, sql: str, params: Any = None) -> None:
        await self._queries.command(sql.replace("now64(6, 'UTC')", CLOCK), params)


def month_after(day: dt.date) -> dt.date:
    return (day.replace(day=1) + dt.timedelta(days=32)).replace(day=1)


def with_parents(names: Iterable[str]) -> list[Model]:
    wanted = set(names)
    for model in reversed(GRAPH):
        if model.name in wanted:
            wanted |= {*model.parents}

    def passing(model: Model) -> Model:
        return replace(model, select=lambda scope: model.select(replace(scope, variables=FEW)))

    return [passing(model) for model in GRAPH if model.name in wanted]


def in_months(model: Model, rows: Sequence[Row]) -> Months:
    """Rows by the month that may freeze, in one order."""
    found: Months = {}
    column = next((name for name in ("month", "week", "date") if name in model.unique_key), "")
    for row in rows:
        day = dt.date.fromisoformat(str(row[column])) if model.strategy == "partitions" else NEVER_FROZEN
        told = {name: rounded(value) for name, value in row.items() if name not in ITS_OWN}
        if "row_hash" in row:  # of announcements their figures: a crawl that changed none of them announces nothing
            told = {name: told[name] for name in (*model.unique_key, "row_hash")}
        found.setdefault(day.replace(day=1), []).append(str(told))
    return {month: sorted(each) for month, each in found.items()}


def rounded(value: Any) -> Any:
    """Floats are added up in whatever order."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    return value


@pytest.mark.parametrize("law", LAWS)
def test_models_built_in_parts_are_what_their_whole_selects_make(clickhouse_folder: Path, law: str) -> None:
    names, tries = LAWS[law]
    graph = with_parents(names)
    grown = [model for model in graph if model.name in GROWING]
    months = {model.name: model for model in grown if model.strategy == "partitions"}
    filled: set[str] = set()
    froze: set[str] = set()

    async def check(steps: Sequence[Step]) -> None:
        async with opened(clickhouse_folder) as store:
            await empty(store)
            clock, at = SystemClock(), At(store)
            transformer = Transformer(at, graph, Board(clock.now).actor("t"), clock, zone=ZONE, events_at_once=0)
            await transformer.prepare()
            await store.command("alter table dbt.model_run remove ttl")  # 2024 is over

            async def build(**how: Any) -> None:
                assert [run.error for run in await transformer.run_models(**how) if not run.ok] == []

            async def stands(model: Model) -> Months:
                final = "final" if model.strategy == "keys" else ""
                rows = f"select * from dbt.{model.name} {final} {IN_USE.get(model.name, '')}"  # noqa: S608
                return in_months(model, await at.rows(rows))

            async def check_all(before: Mapping[str, Months], open_from: dt.date) -> None:
                for model in grown:
                    whole = in_months(model, await at.rows(model.select(EVERYTHING)))
                    expected = {month: rows for month, rows in before[model.name].items() if month < open_from}
                    expected |= {month: rows for month, rows in whole.items() if month >= open_from}
                    assert await stands(model) == expected, model.name
                    filled.update({model.name} if whole else ())
                    froze.update({model.name} if expected != whole else ())

            async def check_planted_accounts() -> None:
                """While the whole marts, which would tell of them, are as they were."""
                await build(select=[model.name for model in graph if model.name not in WHOLE_ACCOUNTS])
                for model in (GROWING[name] for name in sorted(ACCOUNTS)):
                    key, whole = model.unique_key[0], model.select(replace(EVERYTHING, variables=FEW))
                    of_planted = f"where {key} in ('I50', 'I51', 'Y50', 'Y51') order by {key}"
                    hashes = f"select {key}, row_hash from {{}} {of_planted}"  # noqa: S608
                    announced = await at.rows(hashes.format(f"dbt.{model.name} final"))
                    assert announced == await at.rows(hashes.format(f"({whole}) as whole")), model.name
                    assert len(announced) == 2

            nothing: dict[str, Months] = {model.name: {} for model in grown}
            before, open_from = nothing, FIRST
            # What came is looked at once more by each model in turn, one a step: the last one is quiet.
            quiet: list[Step] = [(40, [])] if law == "accounts" else []
            for number, (days, came) in enumerate([*steps, *quiet]):
                await at.pass_days(days)
                await store_rows(store, [*(TELLINGS[each] for each in came), *planted(number, at.now)], at.now)
                if law == "accounts":
                    await check_planted_accounts()
                await build()
                await check_all(before, open_from)
                before = {model.name: await stands(model) for model in grown}
                open_from = (at.now.date() - dt.timedelta(days=2)).replace(day=1)
            await build(period=FOREVER)
            await check_all(nothing, FIRST)
            if months:  # anew, in steps
                await build(select=[*months], whole=True)
                await check_all(nothing, FIRST)

    phases = (Phase.generate,)  # a shorter history that fails is not worth minutes

    @settings(max_examples=tries, phases=phases, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(histories())
    def checked(steps: Sequence[Step]) -> None:
        trio.run(check, steps)

    checked()
    assert filled == {model.name for model in grown}
    # What reads only what is frozen, too, has nothing that it could hear of later.
    assert froze == {name for name, model in months.items() if not months.keys() >= {*model.parents}}


async def store_rows(store: ClickHouse, rows: Iterable[tuple[str, Row]], now: dt.datetime) -> None:
    lines: dict[str, list[str]] = {}
    for table, row in rows:
        # Before the five minutes that the next build looks at, too.
        inserted = {"insert_timestamp": str(now - dt.timedelta(hours=1))} if table.startswith("_e.") else {}
        lines.setdefault(table, []).append(json.dumps(row | inserted))
    for table, each in lines.items():
        await store.insert_ndjson(table, "\n".join(each).encode(), token=str(uuid.uuid4()))


def test_every_model_that_grows_has_its_law() -> None:
    assert set().union(*(names for names, _ in LAWS.values())) == GROWING.keys()

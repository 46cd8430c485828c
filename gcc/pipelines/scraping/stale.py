"""The producers: stale rows of models and replicas become jobs, each time their schedule is due.

In: a row of PRODUCERS, and its statement in sql/clickhouse/queries/producers.sql. Out: jobs of the row's flow, the most
urgent first, as many as the flow's queue has room for. A job's key is flow:id:period; what was asked for in a period is
not asked for again in it, however that ended: `produced_job` remembers, and is written after the jobs, so that a crash
between the two costs a doubled question and loses none.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pydantic

from gcc import statements
from gcc.actors.warehouse import Warehouse
from gcc.channels.jobs import Jobs, NewJob
from gcc.clock import Clock
from gcc.config import Settings
from gcc.errors import Permanent, there_are
from gcc.pipelines.scraping.flow import Flow
from gcc.pipelines.scraping.producers import StaleProfiles
from gcc.pipelines.scraping.table import Catalogue, asked
from gcc.stores.postgres import Pool

WAITING_MAX = 5_000
"""Of one flow's jobs that wait, beyond which producers add none: the rest is asked for later."""
BATCH = 500
LOOKS_MAX = 20  # of one run, behind rows that make no job
HOUR, DAY, WEEK = 1, 24, 168
DUE = ("mart_staging_collection_due",)

_SQL = statements.load("producers", statements.SQL / "clickhouse" / "queries")
_JOBS = statements.load("produced")
_FRAGMENTS = ("viewed", "collected", "connected", "open_collections")


@dataclass(frozen=True, slots=True)
class Producer:
    """`period_h`: within so many hours nothing is asked for twice. `reads`: models without which nothing is to do.

    `most`: jobs of one run. `many`: the param that takes a list, and how many a job takes.
    """

    name: str
    flow: str
    period_h: int
    reads: Sequence[str] = ()
    most: int = WAITING_MAX
    many: tuple[str, int] | None = None


PRODUCERS: Sequence[Producer] = (
    Producer("insta_profiles_basic", "refresh_profile_basic", DAY),
    Producer("insta_profiles_by_id", "refresh_profile_by_profile_id", WEEK),
    Producer("insta_profiles_custom", "refresh_profile_custom", HOUR, DUE),
    Producer("insta_posts_hourly", "refresh_post_by_shortcode", HOUR, DUE),
    Producer("insta_posts_daily", "refresh_post_by_shortcode", DAY, DUE),
    Producer("insta_tagged_posts", "refresh_tagged_posts", DAY),
    Producer("insta_post_insights", "refresh_post_insights", 4),
    Producer("insta_profile_insights", "refresh_profile_insights", DAY),
    Producer("insta_stories", "refresh_stories_posts", HOUR),
    Producer("insta_story_insights", "refresh_story_insights", HOUR),
    Producer("insta_followers", "fetch_profile_followers", DAY),
    Producer("insta_following", "fetch_profile_following", DAY),
    Producer("insta_hashtag_posts", "fetch_hashtag_posts", 6),
    Producer("insta_comments", "fetch_post_comments", 3),
    Producer("insta_likes", "fetch_post_likes", 6),
    Producer("yt_profiles_basic", "refresh_yt_profiles", DAY),
    Producer("yt_posts_by_channel", "refresh_yt_posts_by_channel_id", 3),
    Producer("yt_posts_collections", "refresh_yt_posts", HOUR, DUE, many=("video_ids", 50)),
    Producer("yt_posts_by_playlist", "refresh_yt_posts_by_playlist_id", WEEK),
    Producer("yt_posts_by_genre", "refresh_yt_posts_by_genre", DAY, most=15),  # each costs a hundredth of a key's day
    Producer("yt_posts_by_search", "refresh_yt_posts_by_search", DAY, most=80),  # so does each of these
    Producer("yt_post_type", "refresh_yt_post_type", DAY),
    Producer("yt_profile_insights", "refresh_yt_profile_insights", DAY),
    Producer("yt_activities", "refresh_yt_activities", DAY),
    Producer("yt_comments", "fetch_yt_post_comments", 3),
    Producer("yt_relationships", "refresh_yt_profile_relationship", WEEK),
)
TRACKED: Mapping[str, str] = {"insta_profiles_tracked": "INSTAGRAM", "yt_profiles_tracked": "YOUTUBE"}
"""Those of everybody who is followed, see `StaleProfiles`: by platform."""


class StaleRows:
    """`produce(name)` runs one producer. Transient: a store is away; what was enqueued until then stays."""

    def __init__(
        self, warehouse: Warehouse, pool: Pool, jobs: Jobs, clock: Clock, settings: Settings, catalogue: Catalogue
    ) -> None:
        self._warehouse = warehouse
        self._pool = pool
        self._jobs = jobs
        self._clock = clock
        self._flows = catalogue.flows
        self._on = frozenset(asked(settings, catalogue))
        self._rows = {row.name: row for row in PRODUCERS}
        self._tracked = {
            name: StaleProfiles(pool, jobs, stale_s=settings.web.stale_after_s, flows={platform: flow})
            for name, platform in TRACKED.items()
            if (flow := catalogue.refreshing.get(platform))
        }

    async def produce(self, name: str) -> Mapping[str, Any]:
        """How many rows are stale, and jobs of them new; or why there is nothing to do. Permanent: no such producer."""
        if name in self._tracked:
            return await self._tracked[name]()
        if name not in self._rows:
            raise Permanent(f"there is no producer {name!r}; {there_are([*self._tracked, *self._rows], name)}")
        row = self._rows[name]
        flow = self._flows.get(row.flow)
        if flow is None or self._on.isdisjoint(flow.chain):
            return {"enqueued": 0, "why": f"none of the sources of {row.flow} is switched on"}
        if missing := await self._missing(row):
            return {"enqueued": 0, "why": f"dbt.{missing[0]} is not built yet"}
        return await self._produce(row, flow)

    async def _produce(self, row: Producer, flow: Flow) -> Mapping[str, Any]:
        """Where rows make no job, those behind them have their turn: however many there are, they hold nobody up."""
        where = {"flow": row.flow, "period": _period(self._clock.now(), row.period_h)}
        stale = enqueued = refused = 0
        for _ in range(LOOKS_MAX):
            async with self._pool.connection() as conn:
                ((waiting, asked_for),) = await (await conn.execute(_JOBS["room"], where)).fetchall()
            room = min(max(0, WAITING_MAX - waiting), row.most - enqueued)
            if not room:
                if not enqueued:
                    return {"enqueued": 0, "why": f"{waiting:,} jobs of {row.flow} wait"}
                break
            limit = room * (row.many[1] if row.many else 1) + asked_for
            found = await self._warehouse.rows(_statement(row.name), {"limit": limit})
            ids = [str(each["id"]) for each in found]
            async with self._pool.connection() as conn:
                new = {each for (each,) in await (await conn.execute(_JOBS["new"], {**where, "ids": ids})).fetchall()}
            jobs, odd = _jobs(row, flow, [each for each in found if str(each["id"]) in new], where["period"])
            stale, refused = len(found), refused + len(odd)
            enqueued += await self._enqueue(jobs[:room], where)
            if not odd:
                break
            await self._remember(odd, where)
        async with self._pool.connection() as conn:
            await conn.execute(_JOBS["forget"])
        return {"stale": stale, "enqueued": enqueued, **({"refused": refused} if refused else {})}

    async def _enqueue(self, jobs: Sequence[tuple[NewJob, list[str]]], where: Mapping[str, str]) -> int:
        enqueued = 0
        for begin in range(0, len(jobs), BATCH):
            batch = jobs[begin : begin + BATCH]
            enqueued += sum(job.inserted for job in await self._jobs.enqueue([job for job, _ in batch]))
            await self._remember([each for _, of in batch for each in of], where)
        return enqueued

    async def _remember(self, ids: Sequence[str], where: Mapping[str, str]) -> None:
        async with self._pool.connection() as conn:
            await conn.execute(_JOBS["remember"], {**where, "ids": ids})

    async def _missing(self, row: Producer) -> list[str]:
        if not row.reads:
            return []
        there = {each["name"] for each in await self._warehouse.rows(_SQL["models"], {"names": list(row.reads)})}
        return [name for name in row.reads if name not in there]


def _statement(name: str) -> str:
    text = _SQL[name]
    for _ in range(2):  # `connected` stands in fragments' places, and holds none itself
        for fragment in _FRAGMENTS:
            text = text.replace(f"{{{fragment}}}", _SQL[fragment])
    return text


def _period(now: dt.datetime, hours: int) -> str:
    """The period's first hour."""
    first = int(now.timestamp()) // (3600 * hours) * 3600 * hours
    return dt.datetime.fromtimestamp(first, dt.UTC).strftime("%Y%m%dT%H")


def _jobs(
    row: Producer, flow: Flow, found: Sequence[Mapping[str, Any]], period: str
) -> tuple[list[tuple[NewJob, list[str]]], list[str]]:
    """The jobs, each with the ids it is about; and the ids of rows that make no job, since their params are odd."""
    good = [each for each in found if _fits(flow, _params(row, [each]))]
    size = row.many[1] if row.many else 1
    jobs = []
    for group in (good[begin : begin + size] for begin in range(0, len(good), size)):
        first, ids = group[0], [str(each["id"]) for each in group]
        key = f"{row.flow}:{ids[0]}:{period}"
        new = NewJob(flow.name, flow.platform, _params(row, group), key=key, priority=int(first["priority"]))
        jobs.append((new, ids))
    kept = {str(each["id"]) for each in good}
    return jobs, [each for each in (str(each["id"]) for each in found) if each not in kept]


def _params(row: Producer, group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    params = {key: value for key, value in group[0].items() if key not in ("id", "priority") and value is not None}
    return params | ({row.many[0]: [each[row.many[0]] for each in group]} if row.many else {})


def _fits(flow: Flow, params: Mapping[str, Any]) -> bool:
    try:
        flow.params.model_validate(params)
    except pydantic.ValidationError:
        return False
    return True

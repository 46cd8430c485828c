"""Parity: does what is served say what the audit says (gcc/pipelines/events/audit.py), `check --parity`?

In: the audit tables of PostgreSQL, the event tables and the ranks of ClickHouse. Out: three comparisons.

- days: how many events of each day either side has, in UTC; a day may differ by DAYS_SHARE
- spots: SPOTS events of each table, others each time, must say the same
- ranks: of the open month and the one before, over MEMBERS_MAX profiles whose last snapshot the models have read, among
  themselves and by what either side says; RANKS_SHARE of them must be equal

What was emitted within SETTLED is left out, since its transaction may not have committed. What events
that are on their way (see check.py) may explain is no trouble: `waits_for` tells of them. Nothing is written.
"""

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from gcc import statements
from gcc.clock import Clock
from gcc.config import Settings
from gcc.errors import Permanent
from gcc.pipelines.declared import Real
from gcc.pipelines.events.audit import TABLES, kept, plain
from gcc.pipelines.events.check import Reading, check
from gcc.pipelines.events.stillness import Broker
from gcc.pipelines.events.types import POST_LOG, EventType, timestamp
from gcc.stores.postgres import Pool, named_rows

_POSTGRES = statements.load("parity")
_CLICKHOUSE = statements.load("parity", statements.SQL / "clickhouse" / "queries")

SETTLED = dt.timedelta(minutes=10)
BEFORE_BUILD = dt.timedelta(minutes=5)  # what was emitted by then was stored when the build began
DAYS_SHARE = 0.001
RANKS_SHARE = 0.999
SPOTS = 200
MEMBERS_MAX = 20_000
AT_ONCE = 1000
TROUBLES_MAX = 50
RANKED = {"followers": 0, "engagement_rate": 1000, "views": 1000}
"""By what is ranked, and the followers that it takes (models.md, 2.4)."""
RANKED_BY = ("mart_profile_daily", "mart_profile_monthly", "mart_leaderboard_rank")
NO_AUDIT = "nothing is audited: set postgres.audit = true, restart, and let it crawl (docs/migration.md)"

Member = tuple[str, str, str]
"""Platform, profile, month."""


@dataclass(frozen=True, slots=True)
class DayOfTable:
    table: str
    day: str
    audited: int
    stored: int

    @property
    def differs(self) -> bool:
        return abs(self.audited - self.stored) > DAYS_SHARE * self.audited

    @property
    def lost(self) -> int:
        return max(0, self.audited - self.stored)

    @property
    def told(self) -> str:
        return f"{self.table}, {self.day}: {self.audited:,} events are audited, {self.stored:,} are stored"


@dataclass(frozen=True, slots=True)
class Ranks:
    platform: str
    month: str
    metric: str
    compared: int
    equal: int

    @property
    def differ(self) -> bool:
        return self.equal < RANKS_SHARE * self.compared


@dataclass(slots=True)
class ParityReport:
    """`troubles`: a sentence each, TROUBLES_MAX at most. `waits_for`: why it cannot be told yet."""

    since: str
    until: str
    days: list[DayOfTable] = field(default_factory=list)
    spots: int = 0
    spots_equal: int = 0
    ranks: list[Ranks] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    waits_for: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Of days that differ."""
        return sum(day.lost for day in self.days if day.differs)

    @property
    def well(self) -> bool:
        return not self.troubles and not self.waits_for

    def as_dict(self) -> dict[str, Any]:
        told = asdict(self)
        told["troubles"] = self.troubles[:TROUBLES_MAX]
        return {**told, "well": self.well}


async def parity(pool: Pool, clickhouse: Reading, broker: Broker | None, clock: Clock, zone: str) -> ParityReport:
    """Permanent: nothing is audited. Transient: a store is away."""
    async with pool.connection() as conn:
        ((since,),) = await (await conn.execute(_POSTGRES["since"])).fetchall()
    if since is None:
        raise Permanent(NO_AUDIT)
    since = since.astimezone(dt.UTC)
    comparison = Comparison(pool, clickhouse, since, clock.now() - SETTLED, clock.new_id())
    report = comparison.report
    await comparison.days()
    on_the_way = await check(pool, clickhouse, broker)
    moving = on_the_way.outbox_pending + on_the_way.queued
    explained = 0 < report.lost <= moving
    if explained:
        report.waits_for.append(f"{moving:,} events that are on their way")
    report.troubles += [day.told for day in report.days if day.differs and not (explained and day.lost)]
    await comparison.spots(absent_is_wrong=not explained)
    await comparison.ranks(ZoneInfo(zone))
    if on_the_way.dead_lettered and report.troubles:
        report.troubles.append(f"{on_the_way.dead_lettered:,} events are dead-lettered: mend their cause, replay them")
    return report


class ParityCheck:
    """The schedule `parity_check`; without an audit it does nothing. Permanent: both sides say different things."""

    def __init__(self, real: Real, clock: Clock, settings: Settings) -> None:
        self._real = real
        self._clock = clock
        self._settings = settings

    async def __call__(self) -> dict[str, Any]:
        if not self._settings.postgres.audit:
            return {"audit": "off"}
        real, zone = self._real, self._settings.reports.timezone
        report = await parity(real.pool, real.clickhouse, real.rabbitmq, self._clock, zone)
        if report.troubles:
            raise Permanent("; ".join(report.troubles[:5]))
        compared = {"days": len(report.days), "spots": report.spots, "ranks": len(report.ranks)}
        return {**compared, "waits_for": report.waits_for}


class Comparison:
    def __init__(
        self, pool: Pool, clickhouse: Reading, since: dt.datetime, until: dt.datetime, seed: uuid.UUID
    ) -> None:
        self._pool = pool
        self._clickhouse = clickhouse
        self._until = until
        self._values = {"since": since, "until": until, "seed": str(seed)}
        self._times = {"since": timestamp(since), "until": timestamp(until)}
        self.report = ParityReport(since=since.isoformat(), until=until.isoformat())

    async def days(self) -> None:
        """Count both sides."""
        for event_type, table in TABLES.items():
            audited = {str(row["day"]): row["events"] for row in await self._rows("days", table.name)}
            rows = await self._clickhouse.rows(_CLICKHOUSE["days"].replace("{table}", event_type.table), self._times)
            stored = {str(row["day"]): int(row["events"]) for row in rows}
            self.report.days += [
                DayOfTable(table.name, day, audited.get(day, 0), stored.get(day, 0))
                for day in sorted(audited.keys() | stored.keys())
            ]
        if not any(day.audited for day in self.report.days):
            self.report.waits_for.append(
                f"the first audited events that are older than {SETTLED.seconds // 60} minutes"
            )

    async def spots(self, *, absent_is_wrong: bool) -> None:
        """Look some events up."""
        for event_type, table in TABLES.items():
            audited = await self._rows("spots", table.name)
            stored = await self._stored(event_type, audited)
            for row in audited:
                found = stored.get(row["event_id"])
                if found is None and not absent_is_wrong:
                    continue
                self.report.spots += 1
                wrong = "is not stored" if found is None else _difference(row, found)
                self.report.spots_equal += not wrong
                if wrong:
                    self.report.troubles.append(f"{table.name}, {row['day']}: event {row['event_id']} {wrong}")

    async def _stored(
        self, event_type: EventType, audited: Sequence[Mapping[str, Any]]
    ) -> dict[str, Mapping[str, Any]]:
        """By event_id."""
        of_profiles = sorted({(row["platform"], row["profile_id"]) for row in audited})
        statement = _CLICKHOUSE["spots"].replace("{table}", event_type.table)
        values = {
            "platforms": [platform for platform, _ in of_profiles],
            "profile_ids": [profile_id for _, profile_id in of_profiles],
            "ids": [row["event_id"] for row in audited],
        }
        shortcode = "shortcode" if event_type is POST_LOG else "''"
        rows = await self._clickhouse.rows(statement.replace("{shortcode}", shortcode), values) if audited else []
        return {row["id"]: row for row in rows}

    async def ranks(self, zone: ZoneInfo) -> None:
        """Rank the same profiles by what either side says of them."""
        built = await self._built()
        if built is None:
            self.report.waits_for.append("the models of the leaderboard, which are not built")
            return
        this = self._until.astimezone(zone).date().replace(day=1)
        first_month = (this - dt.timedelta(days=1)).replace(day=1)
        # All snapshots, not only settled ones: who has one that the models may not have read is left out.
        every = {"until": self._until + SETTLED + dt.timedelta(days=1)}
        more = {**every, "zone": zone.key, "built": built - BEFORE_BUILD, "first_month": first_month}
        audited = {_member(row): row for row in await self._rows("last_known", "profile_log", **more)}
        ranked = await self._ranked(audited, first_month)
        groups: dict[tuple[str, str], list[Member]] = defaultdict(list)
        for member in audited:
            groups[member[0], member[2]].append(member)
        for (platform, month), members in sorted(groups.items()):
            for metric, followers_min in RANKED.items():
                ours = places(audited, members, metric, followers_min)
                theirs = places(ranked, list(ours), metric, followers_min)
                equal = sum(theirs.get(member) == place for member, place in ours.items())
                ranks = Ranks(platform, month, metric, len(ours), equal)
                self.report.ranks.append(ranks)
                if ranks.differ:
                    self.report.troubles.append(
                        f"mart_leaderboard_rank, {month[:7]}, {platform}: {equal:,} of {len(ours):,} ranks by {metric}"
                        " are those of the audit"
                    )

        if not any(ranks.compared for ranks in self.report.ranks):
            self.report.waits_for.append("a build of the leaderboard that is five minutes younger than some snapshots")

    async def _built(self) -> dt.datetime | None:
        if len(await self._clickhouse.rows(_CLICKHOUSE["tables"])) < 2:
            return None
        (row,) = await self._clickhouse.rows(_CLICKHOUSE["built"], {"models": list(RANKED_BY)})
        complete = int(row["models"]) == len(RANKED_BY)
        return dt.datetime.fromtimestamp(int(row["built"]) / 1e6, dt.UTC) if complete else None

    async def _ranked(self, members: Mapping[Member, Any], first_month: dt.date) -> dict[Member, Mapping[str, Any]]:
        """What the mart says of these."""
        found: dict[Member, Mapping[str, Any]] = {}
        ids = sorted({profile_id for _, profile_id, _ in members})
        for begin in range(0, len(ids), AT_ONCE):
            values = {"profile_ids": ids[begin : begin + AT_ONCE], "first_month": first_month.isoformat()}
            found |= {_member(row): row for row in await self._clickhouse.rows(_CLICKHOUSE["ranked"], values)}
        return found

    async def _rows(self, statement: str, table: str, **more: Any) -> list[dict[str, Any]]:
        limit = MEMBERS_MAX if statement == "last_known" else SPOTS
        text = _POSTGRES[statement].replace("{table}", table).replace("{audited}", _POSTGRES["audited"])
        text = text.replace("{shortcode}", "shortcode" if table == "post_log" else "''").replace("{limit}", str(limit))
        async with self._pool.connection() as conn:
            return await named_rows(conn, text, {**self._values, **more})


def places(
    known: Mapping[Member, Mapping[str, Any]], members: Sequence[Member], metric: str, followers_min: int
) -> dict[Member, int]:
    """The rank of each of the members of whom the metric is known, among themselves: ties share, the next one skips."""
    values = {
        member: float(known[member][metric])
        for member in members
        if member in known and known[member][metric] is not None and (known[member]["followers"] or 0) >= followers_min
    }
    return dict(_places(values))


def _places(values: Mapping[Member, float]) -> Iterator[tuple[Member, int]]:
    place, before = 0, None
    for number, member in enumerate(sorted(values, key=lambda member: -values[member]), start=1):
        if values[member] != before:
            place, before = number, values[member]
        yield member, place


def _member(row: Mapping[str, Any]) -> Member:
    return row["platform"], row["profile_id"], row["month"]


def _difference(audited: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    """What they say differently; empty: nothing."""
    theirs = {
        **stored,
        "metrics": plain(stored["metrics"].encode()),
        "dimensions": kept(plain(stored["dimensions"].encode())),
    }
    for name in ("profile_id", "shortcode", "metrics", "dimensions"):
        if audited[name] != theirs[name]:
            return f"says other {name}"
    return ""

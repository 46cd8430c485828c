"""What is built of models: whole, in slices of what changed, or of months.

In: a Model, which is one SELECT; what stands of it, and what the run is asked for. Out: the Slices of it that are
built, and a ModelRun for each model. How they are built: transformer.py.
"""

import datetime as dt
import itertools
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import trio

NEVER = "1970-01-01 00:00:00"
"""The watermark of a model that was never built."""

EVENTS_AT_ONCE = 30_000_000
"""A model of strategy partitions is built whole in steps of months with so many events: memory may not hold years."""

Period = tuple[dt.date, dt.date]
"""First and last day."""


@dataclass(frozen=True)
class Slice:
    """So much of a model as one build makes: `incremental`, what changed since its watermark or is in its period."""

    incremental: bool = False
    since: Mapping[str, str] = field(default_factory=dict)  # the watermark of each model
    first: str = "1970-01-01"  # the period's first day,
    end: str = "2149-01-01"  # and the first one after it
    variables: Mapping[str, object] = field(default_factory=dict)  # what var() answers instead, of a unit test
    once: frozenset[str] = frozenset()  # models of strategy keys that hold each key once: they are read without FINAL


EVERYTHING = Slice()


@dataclass(frozen=True)
class Model:
    """One SELECT file. `select(slice)` is its SQL."""

    name: str
    description: str
    materialized: Literal["view", "table", "incremental"]
    strategy: Literal["", "keys", "partitions"]  # of an incremental one
    tags: frozenset[str]
    unique_key: tuple[str, ...]
    partition_by: str  # an expression, or ''
    looks_back: int | None  # so many months before its own it reads, too; None: all
    parents: tuple[str, ...]
    fingerprint: str  # of its text and of every model it reads
    select: Callable[[Slice], str]
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # what a column may say
    newer_than: tuple[str, ...] = ()  # others whose watermark it asks for: a run that builds both builds them first


class BuildTests(Protocol):
    """Looks at what builds have made."""

    async def of_build(
        self, run_id: uuid.UUID, model: Model, table: str, *, only: str = "true", kept_of: str | None = None
    ) -> None:
        """The rows of `table` that are `only`; more than half as many as in `kept_of`. Permanent: they are wrong."""

    async def record(self) -> None:
        """Store what was found since."""


@dataclass(frozen=True)
class ModelRun:
    """What became of one model in one run. `rows` counts the whole table, 0 for a view.

    `overhead_s` of the seconds were not the SELECT's. `peak_bytes`: of memory, 0 where nobody looked in time.
    """

    model: str
    seconds: float
    rows: int
    error: str | None = None
    overhead_s: float = 0.0
    peak_bytes: int = 0
    transient: bool = False  # the error is worth another try
    skipped: bool = False  # not even tried: a model that it reads failed

    @property
    def ok(self) -> bool:
        return self.error is None


@dataclass(frozen=True)
class Build:
    """The last build of a model: its `error`, if it failed; what is known of the last good one; and what stands."""

    fingerprint: str | None  # of what stands
    error: str
    seconds: float | None
    rows: int | None
    overhead_s: float | None
    peak_bytes: int | None
    fresh_at: dt.datetime | None  # when the last good one began


@dataclass
class Run:
    """One call of run_models: what stood before it, what is asked for, and which models are done."""

    id: uuid.UUID
    started_at: str
    built: dict[str, str]  # name -> fingerprint
    watermarks: dict[str, str]
    open_from: dict[str, str]  # model -> the first day that its last good build did not freeze
    end: str  # the first day after the last open month
    whole: bool
    period: Period | None
    reach: dict[str, dt.date]  # of a period: the first day after the months of each model that it changes
    done: dict[str, trio.Event]
    stand_ins: list[Model] = field(default_factory=list)  # of what was never built, not selected
    hollow: set[str] = field(default_factory=set)  # models that stand in, and what was made of them
    steps_from: list[str] = field(default_factory=list)  # months, at which a whole build goes on with its next step
    results: dict[str, ModelRun] = field(default_factory=dict)
    select_s: dict[str, float] = field(default_factory=dict)  # how long each SELECT took
    peaks: dict[str, int] = field(default_factory=dict)  # bytes
    unrecorded: dict[str, dict[str, object]] = field(default_factory=dict)  # model -> its row of dbt.model_run
    recorded_at: float = field(default_factory=trio.current_time)
    over: trio.Event = field(default_factory=trio.Event)
    once: set[str] = field(default_factory=set)  # models that this run has built whole, and found to hold each key once

    def backfills(self, model: Model) -> bool:
        """Whether it is only the asked-for months that are built: such a build freezes none."""
        return self.period is not None and model.strategy == "partitions" and self.grows(model)

    def grows(self, model: Model) -> bool:
        """Whether what stands is good, so that only what changed is built."""
        return not self.whole and model.name in self.watermarks and self.built.get(model.name) == model.fingerprint

    def is_made_of_hollow(self, model: Model) -> bool:
        return not self.hollow.isdisjoint(model.parents)

    def slices_of(self, model: Model) -> list[Slice]:
        """What is built of an incremental model that grows. A backfill goes by months: memory may not hold years."""
        if not self.backfills(model):
            return [self._slice(True, self.open_from[model.name], self.end)]
        assert self.period is not None
        first, after = self.period[0], self.reach[model.name]
        months = itertools.takewhile(lambda month: month < after, (_month(first, n) for n in itertools.count()))
        return [self._slice(True, str(month), str(_month(month, 1))) for month in months]

    def steps_of(self, model: Model) -> list[Slice]:
        """What is built of a model that is built whole."""
        if model.strategy != "partitions" or not self.steps_from:
            return [self._slice(False, EVERYTHING.first, EVERYTHING.end)]
        edges = [EVERYTHING.first, *self.steps_from, EVERYTHING.end]
        return [self._slice(True, first, end) for first, end in itertools.pairwise(edges)]

    def _slice(self, incremental: bool, first: str, end: str) -> Slice:
        return Slice(incremental, self.watermarks, first, end, once=frozenset(self.once))

    def kept_of(self, model: Model) -> str | None:
        """What may not have had twice as many rows: the table before, unless its text was another or all is anew."""
        kept = model.materialized == "table" and not self.whole and self.built.get(model.name) == model.fingerprint
        return f"dbt.{model.name}" if kept and "recent" not in model.tags else None


def steps_from(months: Sequence[tuple[str, int]], events_at_once: int) -> list[str]:
    """At which months a whole build goes on with its next step; `months`: with how many events, in order."""
    found, since = [], 0
    for month, events in months:
        if since > events_at_once:
            found.append(month)
            since = 0
        since += events
    return found


def reach(models: Sequence[Model], period: Period, end: dt.date) -> dict[str, dt.date]:
    """How far a change of these months goes in each model, `end` at most: who looks back on a month changes, too, and
    so do those that read it."""
    reached: dict[str, dt.date] = {}
    for model in models:
        after = max([_month(period[1], 1), *(reached[parent] for parent in model.parents if parent in reached)])
        reached[model.name] = end if model.looks_back is None else min(_month(after, model.looks_back), end)
    return reached


def _month(day: dt.date, later: int) -> dt.date:
    """The first day of its month, or of one so many months later."""
    months = day.year * 12 + day.month - 1 + later
    return dt.date(months // 12, months % 12 + 1, 1)

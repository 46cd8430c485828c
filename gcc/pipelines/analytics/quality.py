"""What is promised of the models, and how it is kept: how old they are by tag, what tests found, how many events came.

In: the runs of models, the last findings of their tests, the event tables. Out: what people look at; the schedules
freshness_check, volume_check and model_tests tell of the same by alert. The store away is Transient.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import trio

from gcc import statements
from gcc.actors.modelled import Model
from gcc.actors.warehouse import Queries
from gcc.clock import Clock
from gcc.pipelines.analytics.freshness import AGE_S_MAX, Age, ages
from gcc.pipelines.analytics.model_tests import ModelTests
from gcc.pipelines.analytics.volume import Volume, volumes

_SQL = statements.load("model_tests", statements.SQL / "clickhouse" / "queries")

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
OVERLAP = dt.timedelta(minutes=5)
"""Findings of one moment may become visible later than newer ones."""
ASKED_EVERY = dt.timedelta(days=3)
"""A rule that was not asked for so long before the last look at its model is none any more: each is asked daily."""
WRONG_MAX = 200
"""Of findings that are shown in one list."""


class Quality:
    """`queries`: what people look at does not wait while models are built."""

    def __init__(self, queries: Queries, models: Sequence[Model], tests: ModelTests, clock: Clock) -> None:
        self.queries = queries
        self._models = models
        self._names = {model.name for model in models}
        self._tests = tests
        self._clock = clock
        self._found: dict[tuple[str, str, str], dict[str, Any]] = {}  # by model, test and column
        self._looked_at = EPOCH + OVERLAP  # the newest of them was looked at
        self._turn = trio.Lock()
        self._counted_at: dt.datetime | None = None
        self._volumes: list[Volume] = []

    async def ages(self) -> dict[str, Age]:
        """Of every table for which its tag makes a promise, by name."""
        return {age.model: age for age in await ages(self.queries, self._models)}

    async def findings(self, model: str) -> list[dict[str, Any]]:
        """The last finding of each test of a model, what is wrong first: a Finding's fields, `ok`, `looked_at` (RFC
        3339)."""
        return _asked_still([_shown(row) for row in await self._last(model, EPOCH)])

    async def all_findings(self) -> list[dict[str, Any]]:
        """The same of all models, in no order. The store has millions: what was read before is not read again."""
        for row in await self._last("", self._looked_at - OVERLAP):
            self._found[row["model"], row["test"], row["column"]] = _shown(row)
            self._looked_at = max(self._looked_at, row["looked_at"])
        return _asked_still(list(self._found.values()))

    async def _last(self, model: str, since: dt.datetime) -> list[dict[str, Any]]:
        await self._tests.make()
        at = since.strftime("%Y-%m-%d %H:%M:%S.%f")
        rows = await self.queries.rows(_SQL["last_findings"], {"model": model, "since": at})
        return [row for row in rows if row["model"] in self._names]

    async def overview(self) -> dict[str, Any]:
        """`promises`: a line a tag. `tests`: how many there are, and how many found something; `wrong`: those."""
        ages, findings = await self.ages(), await self.all_findings()
        wrong = [finding for finding in findings if not finding["ok"]]
        by_model = counted(findings)
        return {
            "promises": [self._promise(tag, by_model, ages) for tag in AGE_S_MAX],
            "tests": _sum(by_model.values()),
            "tested_at": min((finding["looked_at"] for finding in findings), default=None),
            "wrong": sorted(wrong, key=_rank)[:WRONG_MAX],
        }

    def _promise(self, tag: str, findings: Mapping[str, Mapping[str, int]], ages: Mapping[str, Age]) -> dict[str, Any]:
        """`oldest_s`: null where none was built; `late` names what is older than promised, `unbuilt` what never was
        built, which is late only after so long."""
        of = [age for age in ages.values() if age.tag == tag]
        known = [age.age_s for age in of if age.age_s is not None]
        tagged = [findings[model.name] for model in self._models if tag in model.tags and model.name in findings]
        return {
            "tag": tag,
            "age_s_max": AGE_S_MAX[tag],
            "models": sum(tag in model.tags for model in self._models),
            "promised": len(of),
            "oldest_s": max(known, default=None),
            "late": [age.model for age in of if not age.ok],
            "unbuilt": [age.model for age in of if age.age_s is None],
            **_sum(tagged),
        }

    async def volumes(self) -> list[dict[str, Any]]:
        """How many events of each type arrived in the last whole hour, and what is usual then. It reads four weeks,
        once an hour: who asks again gets what was counted."""
        async with self._turn:
            hour = self._clock.now().replace(minute=0, second=0, microsecond=0)
            if self._counted_at != hour:
                self._volumes = await volumes(self.queries, self._clock.now())
                self._counted_at = hour
        return [{**vars(volume), "hour": rfc3339(volume.hour), "ok": volume.ok} for volume in self._volumes]


def _asked_still(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without those of rules that are not asked any more: a column is gone, or what it may say is declared now."""
    newest: dict[str, str] = {}
    for finding in findings:
        newest[finding["model"]] = max(newest.get(finding["model"], ""), finding["looked_at"])
    since = {model: rfc3339(dt.datetime.fromisoformat(looked_at) - ASKED_EVERY) for model, looked_at in newest.items()}
    return [finding for finding in findings if finding["looked_at"] >= since[finding["model"]]]


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "ok": row["found"] == 0, "looked_at": rfc3339(row["looked_at"])}


def _rank(finding: Mapping[str, Any]) -> tuple[str, ...]:
    """Errors before warnings."""
    return finding["severity"], finding["model"], finding["test"], finding["column"]


def counted(findings: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Of each model: `looked` tests, of which `failed` and `warned`."""
    by_model: dict[str, dict[str, int]] = {}
    for finding in findings:
        sums = by_model.setdefault(finding["model"], {"looked": 0, "failed": 0, "warned": 0})
        sums["looked"] += 1
        if not finding["ok"]:
            sums["failed" if finding["severity"] == "error" else "warned"] += 1
    return by_model


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    all_counts = list(counts)
    return {key: sum(each[key] for each in all_counts) for key in ("looked", "failed", "warned")}


def rfc3339(at: dt.datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")

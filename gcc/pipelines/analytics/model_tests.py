"""Generic tests: what is asked of each model by its columns' names and types, its key and its header, with no list.

In: the models, and tables of theirs: what a build has just made, before anybody reads it, or all that stands. Out:
findings, and the same as rows of `dbt.model_test`. The rules are in sql/dbt/macros/rules.sql, one SELECT a model, which
dbt runs, too; beside them frozen months, whose rows may not change but by a backfill.

A finding of severity error stops the model's descendants and its sync (`require_well`) until a look finds it mended; a
warning stops nothing. Failure of the store is Transient as ever, and no finding.
"""

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import trio

from gcc import statements
from gcc.actors.modelled import Model
from gcc.actors.warehouse import Queries
from gcc.clock import Clock
from gcc.errors import Permanent
from gcc.pipelines.analytics.dbt_macros import macros

_SQL = statements.load("model_tests", statements.SQL / "clickhouse" / "queries")

Severity = Literal["error", "warn"]

REFERENCES: Mapping[str, Sequence[tuple[str, str]]] = {
    "profile_id": [("mart_profile_attributes", "profile_id")],
    "channel_id": [("mart_profile_attributes", "profile_id")],
    "collection_id": [("stg_coffee_profile_collection", "id"), ("stg_coffee_post_collection", "id")],
}
"""Where what a column names stands. Asked of those alone that are built from one of these: others may know more."""

AT_ONCE = 2
ROWS_MAX = 400
"""Of one statement, whose text has its bounds."""


@dataclass(frozen=True)
class Finding:
    """What a look at one rule of a model found: `found` rows are wrong, `said` is one of them; 0 is well."""

    model: str
    test: str
    column: str
    severity: Severity
    found: int
    said: str

    @property
    def failed(self) -> bool:
        return self.found > 0 and self.severity == "error"

    def __str__(self) -> str:
        return (
            f"{self.test} {self.column}".strip() + f": {self.found:,} wrong" + (f" ({self.said})" if self.said else "")
        )


Findings = dict[tuple[str, str, str], tuple[uuid.UUID, Finding]]
"""By model, test and column: the run, and what it found."""


class ModelTests:
    """`zone`: whose days these are. Any number of callers."""

    def __init__(self, queries: Queries, models: Sequence[Model], clock: Clock, *, zone: str) -> None:
        self._queries = queries
        self._models = {model.name: model for model in models}
        self._clock = clock
        self._zone = zone
        self._types: dict[tuple[str, str], dict[str, str]] = {}  # by name and fingerprint
        self._unrecorded: Findings = {}
        self._references = references(models)
        self._made = False

    async def of_build(
        self, run_id: uuid.UUID, model: Model, table: str, *, only: str = "true", kept_of: str | None = None
    ) -> None:
        """Look at what a build has made: the rows of `table` that are `only`, see rules.sql. Permanent: it is wrong."""
        findings = await self._look(model, table, only=only, kept_of=kept_of)
        self._unrecorded |= {(each.model, each.test, each.column): (run_id, each) for each in findings}
        if failed := [str(finding) for finding in findings if finding.failed]:
            raise Permanent(f"its tests failed: {'; '.join(failed)}")

    async def record(self) -> None:
        """Store what builds have found. What cannot be stored is kept for the next time, of each test what was found
        last. Raises Transient."""
        rows, self._unrecorded = self._unrecorded, {}
        try:
            await self._store([*rows.values()])
        except BaseException:
            self._unrecorded = rows | self._unrecorded
            raise

    async def run(self, names: Collection[str] = ()) -> list[Finding]:
        """Look at all that stands of the models named, or of all; what was found, also where it is well.

        Raises Permanent for a name that no model has, Transient when the store is away.
        """
        if unknown := {*names} - self._models.keys():
            raise Permanent(f"no model is called {', '.join(sorted(unknown))}")
        await self.make()
        standing = await self._standing()
        due = [self._models[name] for name in names or self._models if name in standing]
        run_id, found = self._clock.new_id(), dict[str, list[Finding]]()
        limit = trio.CapacityLimiter(AT_ONCE)

        async def look(model: Model) -> None:
            async with limit:
                final = " final" if model.strategy == "keys" else ""
                found[model.name] = await self._look(model, f"dbt.{model.name}{final}", standing=standing)
                if model.strategy == "partitions":
                    found[model.name].append(await self._frozen_months(model))

        async with trio.open_nursery() as nursery:
            for model in due:
                nursery.start_soon(look, model)
        findings = [finding for model in due for finding in found[model.name]]
        await self._store([(run_id, finding) for finding in findings])
        return findings

    async def note(self, findings: Sequence[Finding]) -> None:
        """Store what others have looked at, as rows of one run. Raises Transient."""
        run_id = self._clock.new_id()
        await self._store([(run_id, finding) for finding in findings])

    async def require_well(self, model: str) -> None:
        """Permanent: by the last look something is wrong with it, and nobody should have it."""
        if "model_test" not in await self._standing():
            return
        if failing := await self._queries.rows(_SQL["failing"], {"model": model}):
            told = "; ".join(f"{row['test']} {row['column']} ({row['said']})" for row in failing)
            raise Permanent(f"{model} is wrong by its tests: {told}; when it is mended, run: models test {model}")

    async def _look(
        self,
        model: Model,
        table: str,
        *,
        only: str = "true",
        kept_of: str | None = None,
        standing: set[str] | None = None,
    ) -> list[Finding]:
        columns = await self._columns(model, table)
        references = [
            (column, [(f"dbt.{name}", field) for name, field in there])
            for column, there in self._references[model.name]
            if standing is None or standing.issuperset(name for name, _ in there)
        ]
        sql = macros("rules").rules(
            table,
            columns,
            model.unique_key,
            model.values,
            references,
            f"toDate(now(), '{self._zone}')",
            only,
            kept_of,
            not model.name.startswith("stg_"),
        )
        rows = await self._queries.rows(sql)
        return [Finding(model.name, **row) for row in rows]

    async def _columns(self, model: Model, table: str) -> dict[str, str]:
        known = model.name, model.fingerprint
        if known not in self._types:
            rows = await self._queries.rows(f"describe table {table.removesuffix(' final')}")
            self._types = {key: types for key, types in self._types.items() if key[0] != model.name}
            self._types[known] = {row["name"]: row["type"] for row in rows}
        return self._types[known]

    async def _frozen_months(self, model: Model) -> Finding:
        """Whether each says what it said when it was first seen frozen. A month seen first is noted."""
        now = await self._queries.rows(_SQL["frozen_months"].format(name=model.name), {"zone": self._zone})
        known = {
            (row["partition"], row["table_id"]): row["checksum"]
            for row in await self._queries.rows(_SQL["known_months"], {"model": model.name})
        }
        changed = [
            row["partition"]
            for row in now
            if known.get((row["partition"], row["table_id"]), row["checksum"]) != row["checksum"]
        ]
        new = [
            {**row, "table_id": str(row["table_id"]), "model": model.name}
            for row in now
            if (row["partition"], row["table_id"]) not in known
        ]
        if new:
            await self._queries.command(_SQL["record_months"], {"rows": _lines(new)})
        return Finding(model.name, "frozen_months", model.partition_by, "error", len(changed), ", ".join(changed))

    async def _store(self, rows: Sequence[tuple[uuid.UUID, Finding]]) -> None:
        if rows:
            await self.make()
        for first in range(0, len(rows), ROWS_MAX):
            some = rows[first : first + ROWS_MAX]
            lines = _lines({"run_id": str(run_id), **vars(finding)} for run_id, finding in some)
            await self._queries.command(_SQL["record_tests"], {"rows": lines})

    async def make(self) -> None:
        """Make the tables of findings, if nobody has."""
        if not self._made:
            for statement in ("create_model_test", "create_model_month"):
                await self._queries.command(_SQL[statement])
            self._made = True

    async def _standing(self) -> set[str]:
        """The tables and views of `dbt`."""
        return {row["name"] for row in await self._queries.rows(_SQL["standing"])}


def _lines(rows: Any) -> str:
    return "\n".join(json.dumps(row) for row in rows)


def references(models: Sequence[Model]) -> dict[str, list[tuple[str, Sequence[tuple[str, str]]]]]:
    """Of each model the REFERENCES that hold for it. Parents come first."""
    ancestors: dict[str, set[str]] = {}
    for model in models:
        ancestors[model.name] = {*model.parents}.union(*(ancestors[parent] for parent in model.parents))
    return {
        name: [(column, there) for column, there in REFERENCES.items() if above.intersection(dict(there))]
        for name, above in ancestors.items()
    }

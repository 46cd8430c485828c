"""From which columns each column of the models comes, down to events and replicas: `dbt.column_lineage`.

In: models as they stand built. Out: rows, made anew when somebody asks after a model's text has changed, and the way of
a column through them. See origins.py for what a row tells.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import structlog
import trio

from gcc import statements, threads
from gcc.actors.modelled import Model
from gcc.actors.warehouse import Queries
from gcc.errors import Permanent, there_are
from gcc.supervisor.lifecycle import one_line

ROWS_MAX = 400
"""Of one statement, whose text has its bounds."""

log = structlog.get_logger()

_SQL = statements.load("lineage", statements.SQL / "clickhouse" / "queries")


@dataclass(frozen=True, order=True)
class Origin:
    """`parent` is "database.table"."""

    model: str
    column: str
    parent: str
    parent_column: str


Made = tuple[str, ...]
"""The fingerprints of the models that rows are of."""


class Lineage:
    """`dbt.column_lineage`. One refresh at a time."""

    def __init__(self, queries: Queries, models: Sequence[Model]) -> None:
        self._queries = queries
        self._models = models
        self._turn = trio.Lock()
        self._read: dict[str, list[Origin]] = {}  # by model: its text stays the same as long as the process
        self._stored: Made = ()
        self._digest = hashlib.sha256("".join(model.fingerprint for model in models).encode()).hexdigest()

    async def refresh(self) -> bool:
        """Make it anew if it is not of these models; whether it did. Takes seconds, in a thread.

        Of a model that is not built nothing is known, nor of what reads it: they are left out until then. Cancelled:
        what was read of the models is kept for the next call, or who has no time would never get it.
        """
        async with self._turn:
            standing = await self._queries.rows(_SQL["standing"])
            digest = next((row["comment"] for row in standing if row["name"] == "column_lineage"), "")
            names = {row["name"] for row in standing}
            built = [model for model in self._models if {model.name, *model.parents} <= names]
            own = self._digest if len(built) == len(self._models) else ""
            made = tuple(model.fingerprint for model in built)
            if digest == own and (digest or ("column_lineage" in names and self._stored == made)):
                return False
            if unread := [model for model in built if model.name not in self._read]:
                columns: dict[str, list[str]] = {}
                for row in await self._queries.rows(_SQL["columns"]):
                    columns.setdefault(row["parent"], []).append(row["name"])
                with threads.needed("lineage"):
                    for model in unread:
                        self._read[model.name] = await trio.to_thread.run_sync(_origins, [model], columns)
            found = [origin for model in built for origin in self._read[model.name]]
            await self._queries.command(_SQL["drop_spare"])
            await self._queries.command(_SQL["create_spare"].format(digest=own))
            for start in range(0, len(found), ROWS_MAX):
                lines = "\n".join(json.dumps(asdict(origin)) for origin in found[start : start + ROWS_MAX])
                await self._queries.command(_SQL["fill_spare"], {"rows": lines})
            await self._queries.command(_SQL["exchange" if "column_lineage" in names else "put_in_place"])
            self._stored = made
            return True

    async def of(self, model: str, column: str | None = None, *, depth_max: int | None = None) -> list[dict[str, Any]]:
        """The origins of a model's column, or of all of them, and of those, and so on to events and replicas, or only
        `depth_max` times.

        Each once, as a mapping with `depth` (1: the model's own). Permanent: there is no such column.
        """
        await self.refresh()
        by_column: dict[tuple[str, str], list[Origin]] = {}
        for row in await self._queries.rows(_SQL["lineage"]):
            origin = Origin(**row)
            by_column.setdefault((f"dbt.{origin.model}", origin.column), []).append(origin)
        start = f"dbt.{model}"
        level = [key for key in by_column if key[0] == start and key[1] == (column or key[1]) != "*"]
        if not level:
            known = sorted(key[1] for key in by_column if key[0] == start and key[1] != "*")
            told = there_are(known, str(column)) if known else "nothing is known of it: is it built?"
            raise Permanent(f"{model} has no column {column!r}; {told}")
        rows: list[dict[str, Any]] = []
        seen = set(level)
        depth = 0
        while level and depth != depth_max:
            depth += 1
            found = [origin for key in level for origin in by_column.get(key, ())]
            rows += [asdict(origin) | {"depth": depth} for origin in found]
            level = [key for key in dict.fromkeys((o.parent, o.parent_column) for o in found) if key not in seen]
            seen.update(level)
        return rows


def _origins(models: Sequence[Model], columns: Mapping[str, Sequence[str]]) -> list[Origin]:
    """Of a model that the parser does not understand, or trips over, there are none."""
    from gcc.pipelines.analytics.origins import origins  # the parser takes memory, for which only who asks should pay

    found: list[Origin] = []
    for model in models:
        try:
            found += origins(model, columns)
        except Exception as error:
            log.warning("lineage", part="analytics", model=model.name, error=one_line(error))
    return found

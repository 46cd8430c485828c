"""From which columns each column of a model comes, as its SELECT tells.

In: models and the columns of the tables that they read. Out: `Origin`s, one for each column and each column of a table
or model that it is made of; and the same as rows of `dbt.column_lineage`, made anew when a model's text has changed.

What is made of whole rows (count(), a literal, now()) comes from column `*` of each table its SELECT reads, as the
model's own `*` does, and what is made of nothing from parent ''. So every column has an origin; one that has none, or
whose SELECT the parser does not understand, is a ConfigError that names the model.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlglot
import trio
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope

from gcc import statements, threads
from gcc.actors.transformer import EVERYTHING, Model
from gcc.actors.warehouse import Queries
from gcc.errors import ConfigError, Permanent

ROWS_MAX = 400
"""Of one statement, whose text has its bounds."""

_DIALECT = "clickhouse"
_SQL = statements.load("lineage", statements.SQL / "clickhouse" / "queries")


@dataclass(frozen=True, order=True)
class Origin:
    """`parent` is "database.table"."""

    model: str
    column: str
    parent: str
    parent_column: str


def origins(model: Model, columns: Mapping[str, Collection[str]]) -> list[Origin]:
    """Those of one model, in order. `columns` of each "database.table" that it reads. ConfigError: see above."""
    try:
        parsed = sqlglot.parse_one(model.select(EVERYTHING), read=_DIALECT)
        _refuse_misread(model, parsed)
        schema: dict[str, Any] = {}
        tables = {_named(table) for table in parsed.find_all(exp.Table) if table.db}
        for table in tables:
            database, _, name = table.partition(".")
            schema.setdefault(database, {})[name] = dict.fromkeys(columns.get(table, ()), "String")
        query: Any = qualify(parsed, schema=schema, dialect=_DIALECT)
        scope = build_scope(query)
        found = {
            Origin(model.name, column, parent, parent_column)
            for column in query.named_selects
            for node in lineage(
                column, query, schema, dialect=_DIALECT, scope=scope, trim_selects=False, copy=False
            ).walk()
            if not node.downstream
            for parent, parent_column in _leaves(node)
        }
    except SqlglotError as error:
        raise ConfigError(f"{model.name}: its lineage cannot be read: {str(error).splitlines()[0]}") from None
    return sorted(found | {Origin(model.name, "*", table, "*") for table in tables})


def _refuse_misread(model: Model, parsed: exp.Expr) -> None:
    """What the parser takes for something else, with what says the same; and remove what is no part of lineage."""
    for join in parsed.find_all(exp.Join):
        if str(join.args.get("kind")).upper() == "ARRAY":
            raise ConfigError(
                f"{model.name}: ARRAY JOIN hides where a column comes from; use arrayJoin() in a subselect"
            )
    for cte in parsed.find_all(exp.CTE):
        if not isinstance(cte.this, exp.Query):
            raise ConfigError(f"{model.name}: WITH {cte.alias} is a value, not a SELECT; use a var, or a subselect")
    for select in parsed.find_all(exp.Select):
        select.set("settings", None)


def _leaves(node: Node) -> Iterator[tuple[str, str]]:
    if isinstance(node.expression, exp.Table):
        yield _named(node.expression) if node.expression.db else "", node.name.rpartition(".")[2].strip('"')
        return
    tables = {_named(table) for table in node.source.find_all(exp.Table) if table.db}
    yield from ((table, "*") for table in sorted(tables)) if tables else [("", "")]


def _named(table: exp.Table) -> str:
    return f"{table.db}.{table.name}"


class Lineage:
    """`dbt.column_lineage`. One refresh at a time."""

    def __init__(self, queries: Queries, models: Sequence[Model]) -> None:
        self._queries = queries
        self._models = models
        self._turn = trio.Lock()
        self._digest = hashlib.sha256("".join(model.fingerprint for model in models).encode()).hexdigest()

    async def refresh(self) -> bool:
        """Make it anew if it is not of these models; whether it did. Takes seconds, in a thread.

        Of a model that is not built nothing is known, nor of what reads it: they are left out until then.
        """
        async with self._turn:
            standing = await self._queries.rows(_SQL["standing"])
            digest = next((row["comment"] for row in standing if row["name"] == "column_lineage"), "")
            names = {row["name"] for row in standing}
            built = [model for model in self._models if {model.name, *model.parents} <= names]
            own = self._digest if len(built) == len(self._models) else ""
            if digest and digest == own:
                return False
            columns: dict[str, list[str]] = {}
            for row in await self._queries.rows(_SQL["columns"]):
                columns.setdefault(row["parent"], []).append(row["name"])
            with threads.needed("lineage"):
                found = await trio.to_thread.run_sync(
                    lambda: [origin for model in built for origin in origins(model, columns)]
                )
            await self._queries.command(_SQL["drop_spare"])
            await self._queries.command(_SQL["create_spare"].format(digest=own))
            for start in range(0, len(found), ROWS_MAX):
                lines = "\n".join(json.dumps(asdict(origin)) for origin in found[start : start + ROWS_MAX])
                await self._queries.command(_SQL["fill_spare"], {"rows": lines})
            await self._queries.command(_SQL["exchange" if "column_lineage" in names else "put_in_place"])
            return True

    async def of(self, model: str, column: str | None = None) -> list[dict[str, Any]]:
        """The origins of a model's column, or of all of them, and of those, and so on to events and replicas.

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
            told = f"it has {', '.join(known)}" if known else "nothing is known of it: is it built?"
            raise Permanent(f"{model} has no column {column!r}; {told}")
        rows: list[dict[str, Any]] = []
        seen = set(level)
        depth = 0
        while level:
            depth += 1
            found = [origin for key in level for origin in by_column.get(key, ())]
            rows += [asdict(origin) | {"depth": depth} for origin in found]
            level = [key for key in dict.fromkeys((o.parent, o.parent_column) for o in found) if key not in seen]
            seen.update(level)
        return rows

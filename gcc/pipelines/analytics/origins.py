"""From which columns each column of one model comes, as its SELECT tells.

In: a model and the columns of the tables that it reads. Out: `Origin`s, one for each column and each column of a table
or model that it is made of.

What is made of whole rows (count(), a literal, now()) comes from column `*` of each table its SELECT reads, as the
model's own `*` does, and what is made of nothing from parent ''. So every column has an origin; one that has none, or
whose SELECT the parser does not understand, is a ConfigError that names the model.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope

from gcc.actors.modelled import EVERYTHING, Model
from gcc.errors import ConfigError
from gcc.pipelines.analytics.lineage import Origin

_DIALECT = "clickhouse"


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
        named = {cte.alias: cte.this for cte in query.find_all(exp.CTE)}
        found = {
            Origin(model.name, column, parent, parent_column)
            for column in query.named_selects
            for node in lineage(
                column, query, schema, dialect=_DIALECT, scope=scope, trim_selects=False, copy=False
            ).walk()
            if not node.downstream
            for parent, parent_column in _leaves(node, named)
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


def _leaves(node: Node, named: Mapping[str, exp.Expr]) -> Iterator[tuple[str, str]]:
    """`named`: what stands in WITH."""
    if isinstance(node.expression, exp.Table) and node.expression.db:
        yield _named(node.expression), node.name.rpartition(".")[2].strip('"')
        return
    tables = {*_tables(node.expression if isinstance(node.expression, exp.Table) else node.source, named)}
    yield from ((table, "*") for table in sorted(tables)) if tables else [("", "")]


def _tables(query: exp.Expr, named: Mapping[str, exp.Expr]) -> Iterator[str]:
    """Those that it reads, also by way of WITH."""
    for table in query.find_all(exp.Table):
        if table.db:
            yield _named(table)
        elif table.name in named:
            others = {name: each for name, each in named.items() if name != table.name}
            yield from _tables(named[table.name], others)


def _named(table: exp.Table) -> str:
    return f"{table.db}.{table.name}"

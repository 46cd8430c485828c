"""Unit tests of models: rows of its inputs, and the rows that the model must say of them.

In: `sql/models/**/NAME.yml` beside NAME.sql, in the words of dbt's unit tests; docs/models.md tells how to write one.
Out: tests, and for each what differs when the model's SELECT runs over its rows in ClickHouse, where the models stand
built (the types of columns are taken from there), empty or not: no table is made or changed.

dbt runs the same files and, by the macros of sql/dbt, the same SQL. A mistake in a file is a ConfigError that names it.
"""

import csv
import datetime as dt
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gcc.actors.modelled import Model, Slice
from gcc.actors.warehouse import Queries
from gcc.errors import ConfigError
from gcc.pipelines.analytics import models
from gcc.pipelines.analytics.dbt_macros import macros

Rows = Sequence[Mapping[str, Any]]

_INPUT = re.compile(r"""this|ref\(\s*['"](\w+)['"]\s*\)|source\(\s*['"](\w+)['"]\s*,\s*['"](\w+)['"]\s*\)""")
_RELATION = re.compile(r"\b((?:dbt|_e|\w+_replica)\.\w+)\b")
_KEYS = {"name", "description", "model", "given", "expect", "overrides", "not_in_dbt"}
_CTE = "__dbt__cte__"
WATERMARK_OVERLAP = dt.timedelta(minutes=5)


@dataclass(frozen=True)
class UnitTest:
    """`given`: rows of each input, by the name that it has in SQL (dbt.stg_x, _e.x; the model's own for `this`)."""

    path: Path
    name: str
    model: str
    given: Mapping[str, Rows]
    inputs: Mapping[str, Rows]  # the same, by the words of dbt
    expect: Rows
    variables: Mapping[str, Any] = field(default_factory=dict)
    incremental: bool = False
    not_in_dbt: str = ""  # why dbt cannot run it

    def __str__(self) -> str:
        return f"{self.model}-{self.name}"


def read(folder: Path = models.MODELS) -> list[UnitTest]:
    """Every unit test below `folder`."""
    return [test for path in sorted(folder.rglob("*.yml")) for test in _read_file(path)]


def _read_file(path: Path) -> list[UnitTest]:
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
        if not isinstance(content, dict) or content.keys() != {"unit_tests"}:
            raise ConfigError("has one key, unit_tests: a list")
        tests = [_test(path, entry) for entry in content["unit_tests"]]
        if len({test.name for test in tests}) < len(tests):
            raise ConfigError("two tests have one name")
    except (ConfigError, yaml.YAMLError, KeyError, TypeError, AttributeError, csv.Error) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigError(f"{path}: {reason}") from None
    return tests


def _test(path: Path, entry: Mapping[str, Any]) -> UnitTest:
    name = entry["name"]
    if unknown := entry.keys() - _KEYS:
        raise ConfigError(f"{name}: {', '.join(sorted(unknown))} is none of {', '.join(sorted(_KEYS))}")
    if entry["model"] != path.stem or not (path.with_suffix(".sql")).exists():
        raise ConfigError(f"{name}: model is {entry['model']!r}; the tests of NAME.sql stand in NAME.yml beside it")
    expect = _rows(entry["expect"])
    if len({frozenset(row) for row in expect}) > 1:
        raise ConfigError(f"{name}: every row of expect names the same columns")
    overrides = entry.get("overrides", {})
    how = overrides.get("macros", {})
    if overrides.keys() - {"vars", "macros"} or how.keys() - {"is_incremental"}:
        raise ConfigError(f"{name}: overrides are vars, and of macros is_incremental")
    inputs = {item["input"]: _rows(item) for item in entry["given"]}
    given = {_relation(name, said, entry["model"]): rows for said, rows in inputs.items()}
    return UnitTest(
        path,
        name,
        entry["model"],
        given,
        inputs,
        expect,
        overrides.get("vars", {}),
        how.get("is_incremental", False),
        entry.get("not_in_dbt", ""),
    )


def _relation(name: str, text: str, model: str) -> str:
    match = _INPUT.fullmatch(text.strip())
    if not match:
        raise ConfigError(f"{name}: input {text!r} is none of ref('model'), source('database', 'table'), this")
    ref, database, table = match.groups()
    return f"{database}.{table}" if table else f"{models.DATABASE}.{ref or model}"


def _rows(item: Mapping[str, Any]) -> Rows:
    """Rows as mappings, or as CSV: an empty field is null, spaces around fields are for the eye."""
    rows = item["rows"]
    if item.get("format", "dict") == "csv":
        table = [
            [cell.strip() for cell in line] for line in csv.reader(rows.splitlines(), skipinitialspace=True) if line
        ]
        if any(len(line) != len(table[0]) for line in table):
            raise ConfigError(f"a line of {rows!r} has more or fewer fields than the first")
        rows = [{column: cell or None for column, cell in zip(table[0], line, strict=True)} for line in table[1:]]
    return [{column: _value(value) for column, value in row.items()} for row in rows]


def _value(value: Any) -> Any:
    """YAML reads 2026-01-31 as a date; SQL is given its text."""
    return str(value) if isinstance(value, dt.date) else value


def relations(sql: str) -> set[str]:
    """The relations that a rendered SELECT reads."""
    return {*_RELATION.findall(sql)}


def with_given(test: UnitTest, sql: str, ctes: Mapping[str, str]) -> str:
    """The model's rendered SELECT over `ctes`, the SQL of each input. ConfigError: one is not given, or not read."""
    if (read := relations(sql)) != ctes.keys():
        missing = ", ".join(sorted(read - ctes.keys())) or "nothing more"
        idle = ", ".join(sorted(ctes.keys() - read)) or "nothing"
        raise ConfigError(f"{test.path}: {test.name}: the model reads {missing} (give it rows, or []), and not {idle}")
    names = {relation: _CTE + relation.replace(".", "__") for relation in ctes}
    over = macros("fixtures").fixture_without_final(_RELATION.sub(lambda match: names[match[1]], sql))
    return (
        "with "
        + ",\n".join(f"{names[relation]} as (\n{rows}\n)" for relation, rows in ctes.items())
        + f"\nselect * from (\n{over}\n)"
    )


def select(test: UnitTest, model: Model) -> str:
    """The model's SELECT as the test has it: its variables, whole or as an incremental run.

    That one's watermark is of the built rows given as `this`, as dbt has it.
    """
    if not test.incremental:
        return model.select(Slice(variables=test.variables))
    built = [row["built_at"] for row in test.given.get(_own(test), ()) if row.get("built_at")]
    if not built:
        raise ConfigError(f"{test.path}: {test.name}: an incremental run is given `this`, its rows with built_at")
    watermark = str(max(dt.datetime.fromisoformat(at) for at in built) - WATERMARK_OVERLAP)
    return model.select(Slice(incremental=True, since={test.model: watermark}, variables=test.variables))


def _own(test: UnitTest) -> str:
    return f"{models.DATABASE}.{test.model}"


async def differences(warehouse: Queries, test: UnitTest, model: Model) -> list[str]:
    """Run it over the model that it is of. What differs, a line a row."""
    write, sql = macros("fixtures"), select(test, model)
    ctes: dict[str, str] = {}
    for relation, rows in test.given.items():
        types = await _types(warehouse, relation)
        _check_columns(test, relation, rows, types)
        if relation in relations(sql) or relation != _own(test):  # an incremental run knows its watermark already
            ctes[relation] = write.fixture_rows(rows, types)
    actual = with_given(test, sql, ctes)
    found = await _types(warehouse, write.fixture_subselect(actual))
    _check_columns(test, test.model, test.expect, found)
    types = {column: found[column] for column in (test.expect[0] if test.expect else found)}
    rows = await warehouse.rows(write.fixture_comparison(actual, write.fixture_rows(test.expect, types), types))
    sides: dict[str, Counter[str]] = {"actual": Counter(), "expected": Counter()}
    for row in rows:
        sides[row.pop("actual_or_expected")][", ".join(f"{name}={value!r}" for name, value in row.items())] += 1
    said, wanted = sides["actual"], sides["expected"]
    return [f"missing: {row}" for row in (wanted - said).elements()] + [
        f"too much: {row}" for row in (said - wanted).elements()
    ]


async def _types(warehouse: Queries, relation: str) -> dict[str, str]:
    """Columns with their types, of a table or a SELECT in brackets."""
    return {row["name"]: row["type"] for row in await warehouse.rows(f"describe table {relation}")}


def _check_columns(test: UnitTest, relation: str, rows: Rows, types: Mapping[str, str]) -> None:
    unknown = {column for row in rows for column in row} - types.keys()
    if unknown:
        raise ConfigError(
            f"{test.path}: {test.name}: {relation} has no {', '.join(sorted(unknown))}; it has {', '.join(types)}"
        )

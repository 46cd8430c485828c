"""Statement files: what is read, and which mistakes are found when a module is imported."""

import re
from pathlib import Path

import pytest

from gcc import statements
from gcc.stores import migrations


def written(folder: Path, text: str) -> Path:
    (folder / "queries.sql").write_text(text)
    return folder


def test_statements_are_found_by_name_without_description_and_semicolon(tmp_path: Path) -> None:
    text = """\
-- What this file is about.

-- name: claim_jobs
-- PENDING -> PROCESSING, 100 % of them.
-- Ordered.
select id  -- the key
from job;

-- name: find
select ';'
"""
    loaded = statements.load("queries", written(tmp_path, text))
    assert dict(loaded) == {"claim_jobs": "select id  -- the key\nfrom job", "find": "select ';'"}
    with pytest.raises(TypeError):
        loaded["find"] = ""  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("-- name: a\nselect 1;\n-- name: a\nselect 2;\n", r"queries\.sql:3: statement 'a' is there twice"),
        ("-- name:\nselect 1;\n", r"queries\.sql:1: '' is no statement name"),
        ("-- name: Two Words\nselect 1;\n", r"queries\.sql:1: 'Two Words' is no statement name"),
        ("-- about\nselect 1;\n-- name: a\nselect 2;\n", r"queries\.sql:2: SQL before the first"),
        ("-- name: a\n-- only words\n\n-- name: b\nselect 1;\n", r"queries\.sql: statement 'a' has no SQL"),
        ("-- name: a\n;\n", r"queries\.sql: statement 'a' has no SQL"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path: Path, text: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        statements.load("queries", written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing\.sql does not exist"):
        statements.load("nothing", tmp_path)


@pytest.mark.parametrize("file", sorted(statements.SQL.glob("*/queries/*.sql")), ids=lambda file: file.stem)
def test_every_statement_file_of_the_platform_can_be_read(file: Path) -> None:
    assert statements.load(file.stem, file.parent)


PICKED = ("jobs.due", "jobs.lapsed", "jobs.overdue")
LIMITED_AND_LOCKED = re.compile(r"limit \S+\s+for (no key )?update skip locked")


def test_what_changes_a_limited_number_of_locked_rows_picks_them_in_a_materialized_cte() -> None:
    """See tests/contract/test_limited_statements.py for what becomes of a subquery."""
    found = {
        f"{file.stem}.{name}": statement
        for file in statements.QUERIES.glob("*.sql")
        for name, statement in statements.load(file.stem).items()
        if LIMITED_AND_LOCKED.search(statement)
    }
    for picked in PICKED:  # fill {picked} of others, there only
        del found[picked]
    for name in ("claim", "rescue", "expire"):
        ctes = re.split(r"\w+ as materialized \(\n", statements.load("jobs")[name])[1:]
        assert [cte.partition("\n)")[0].strip() for cte in ctes] == ["{picked}"], name
    assert {"exchange.relay", "exchange.take"} <= set(found)
    for name, statement in found.items():
        ctes = re.split(r"\w+ as materialized \(\n", statement)[1:]
        locking = [cte for cte in ctes if LIMITED_AND_LOCKED.search(cte.partition("\n)")[0])]
        assert len(locking) == len(LIMITED_AND_LOCKED.findall(statement)), f"{name} locks limited rows elsewhere"


@pytest.mark.parametrize("store", ["postgres", "clickhouse"])
def test_migrations_are_numbered_without_gaps_and_doubles(store: str) -> None:
    assert migrations.read(statements.SQL / store)

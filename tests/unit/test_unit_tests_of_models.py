"""How the YAML beside a model is read, and what is wrong with one says so."""

from pathlib import Path

import pytest

from gcc.errors import ConfigError
from gcc.pipelines.analytics import unit_tests

GOOD = """
unit_tests:
  - name: one
    model: mart_x
    given:
      - input: ref("stg_y")
        format: csv
        rows: |
          id, day,        said
          1,  2026-01-31, "a, b"
          2,  ,
      - input: source('_e', 'z_events')
        rows: []
    expect:
      rows: [{id: 1, day: 2026-01-31}]
"""


def read(folder: Path, text: str) -> list[unit_tests.UnitTest]:
    (folder / "mart_x.sql").write_text("-- description: x\nselect 1 as id\n")
    (folder / "mart_x.yml").write_text(text)
    return unit_tests.read(folder)


def test_rows_are_mappings_or_a_table(tmp_path: Path) -> None:
    [test] = read(tmp_path, GOOD)
    assert test.given == {
        "dbt.stg_y": [{"id": "1", "day": "2026-01-31", "said": "a, b"}, {"id": "2", "day": None, "said": None}],
        "_e.z_events": [],
    }
    assert test.expect == [{"id": 1, "day": "2026-01-31"}]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("model: mart_x", "model: mart_y", "stand in NAME.yml beside it"),
        ('ref("stg_y")', "stg_y", "is none of ref"),
        ("name: one", "nam: one", "'name' is missing"),
        ("    expect:", "    when: 1\n    expect:", "when is none of"),
        ("          2,  ,", "          2,", "more or fewer fields"),
        ("day: 2026-01-31}]", "day: 2026-01-31}, {id: 2}]", "the same columns"),
        ("unit_tests:", "version: 2\nunit_tests:", "has one key"),
        ("    expect:", "    overrides: {macros: {now: 1}}\n    expect:", "is_incremental"),
        ("rows: []", "rows: [", "mart_x.yml"),
    ],
)
def test_a_mistake_names_the_file_and_the_way_out(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=r"mart_x\.yml") as error:
        read(tmp_path, GOOD.replace(old, new))
    assert said in str(error.value)


def test_every_input_is_given_and_none_that_is_not_read(tmp_path: Path) -> None:
    [test] = read(tmp_path, GOOD)
    with pytest.raises(ConfigError, match=r"reads dbt\.stg_w .* not _e\.z_events"):
        unit_tests.with_given(test, "select 1 from dbt.stg_w", {"_e.z_events": "select 1"})


def test_an_input_is_a_subselect_that_takes_no_final(tmp_path: Path) -> None:
    [test] = read(tmp_path, GOOD)
    sql = unit_tests.with_given(
        test, "select 1 from dbt.stg_y as y FINAL join dbt.stg_y final", {"dbt.stg_y": "select 1"}
    )
    assert "final" not in sql.lower()
    assert "from __dbt__cte__dbt__stg_y as y join __dbt__cte__dbt__stg_y" in sql

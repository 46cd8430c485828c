"""Declared tables: what is none, which row stands, and in which order rows are written."""

import pytest

from gcc.tables import Row, Table, Upsert, ordered

TABLE = Table(
    "seen",
    key={"id": "text"},
    first={"minted": "integer"},
    latest={"at": "integer", "score": "integer"},
    known={"name": "text"},
    newer="at",
)
OTHER = Table("earlier", key={"a": "integer", "b": "integer"})


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        ({"key": {}}, "needs a key"),
        ({"known": {"score": "integer"}}, "stands in one group"),
        ({"stamp": "at"}, "stands in one group"),
        ({"newer": "name"}, "newer column name"),
        ({"newer": "nothing"}, "newer column nothing"),
    ],
)
def test_what_is_no_table(changes: dict[str, dict[str, str]], mistake: str) -> None:
    given = {"key": {"id": "text"}, "latest": {"at": "integer", "score": "integer"}, "known": {"name": "text"}}
    with pytest.raises(ValueError, match=f"table seen: .*{mistake}"):
        Table("seen", **{**given, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("new", "stands"),
    [
        ({"at": 2, "score": 5, "name": "b", "minted": 9}, {"at": 2, "score": 5, "name": "b", "minted": 1}),
        ({"at": 1, "score": 5, "name": "b"}, {"at": 1, "score": 5, "name": "b", "minted": 1}),
        ({"at": 2, "score": None, "name": None}, {"at": 2, "score": None, "name": "a", "minted": 1}),
        ({"at": 0, "score": 5, "name": "b", "minted": 9}, {"at": 1, "score": 4, "name": "a", "minted": 1}),
    ],
    ids=["newer", "as new", "unknown", "older"],
)
def test_which_row_stands(new: Row, stands: Row) -> None:
    old = {"id": "x", "at": 1, "score": 4, "name": "a", "minted": 1}
    assert TABLE.merged(old, {"id": "x", **new}) == {"id": "x", **stands}
    assert TABLE.merged(None, {"id": "x", **new}) == {"id": "x", **new}


def test_rows_are_written_by_table_and_key_each_key_once() -> None:
    writes = [
        Upsert(TABLE, [{"id": "b", "at": 1, "score": 1}, {"id": "a", "at": 1}]),
        Upsert(OTHER, [{"a": 2, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 1}]),
        Upsert(TABLE, [{"id": "b", "at": 3, "score": 3}, {"id": "b", "at": 2, "score": 2}]),
    ]
    assert [(table.name, rows) for table, rows in ordered(writes)] == [
        ("earlier", [{"a": 1, "b": 2}, {"a": 2, "b": 1}]),
        ("seen", [{"id": "a", "at": 1}, {"id": "b", "at": 3, "score": 3, "name": None, "minted": None}]),
    ]


@pytest.mark.parametrize(
    ("row", "mistake"),
    [
        ({"id": "a", "at": 1, "nmae": "x"}, "no column 'nmae'; it has id, minted, at, score, name"),
        ({"at": 1}, "without id"),
        ({"id": None, "at": 1}, "without id"),
        ({"id": "a"}, "without at"),
    ],
)
def test_what_is_no_row_of_a_table(row: Row, mistake: str) -> None:
    with pytest.raises(ValueError, match=f"table seen.*{mistake}"):
        list(ordered([Upsert(TABLE, [row])]))

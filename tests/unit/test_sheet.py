"""CSV that spreadsheets open without running what strangers wrote into it."""

import csv
import io
from collections.abc import AsyncGenerator
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

from gcc.formulas import cell, given
from gcc.pipelines.api_jobs.sheet import lines, sheet


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ('=HYPERLINK("http://x","y")', '\'=HYPERLINK("http://x","y")'), ("=1+1", "'=1+1"), ("+x", "'+x"), ("-x", "'-x"),
        ("@asha", "'@asha"), ("\tx", "'\tx"), ("\rx", "'\rx"), ("-", "'-"), ("+", "'+"), ("--5", "'--5"),
        ("-5", "-5"), ("+5", "+5"), ("-5.25", "-5.25"), ("-.5", "-.5"), ("-1e9", "-1e9"), ("+91 98765", "'+91 98765"),
        ("-5\n", "'-5\n"), ("-٥", "'-٥"), ("-5+cmd", "'-5+cmd"), ("-1e", "'-1e"),
        (-5, "-5"), (-0.5, "-0.5"), (5, "5"), (None, ""), (True, "true"), (False, "false"), ("", ""), ("asha", "asha"),
        (" =1", " =1"), ("'quoted", "'quoted"),
    ],
)  # fmt: skip
def test_what_a_spreadsheet_would_run_gets_an_apostrophe_unless_it_is_a_number(value: Any, shown: str) -> None:
    assert cell(value) == shown


@hypothesis.given(st.text())
def test_what_went_out_comes_back(text: str) -> None:
    assert given(cell(text)) == text or text.startswith("'")
    assert not cell(text) or cell(text)[0] not in "=@\t\r"


def test_an_apostrophe_of_its_own_stays() -> None:
    assert [given(text) for text in ("'quoted", "'", "'=1", "'-5", "'-x")] == ["'quoted", "'", "=1", "'-5", "-x"]


@hypothesis.given(
    st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=2))
)
def test_commas_quotes_and_newlines_are_read_as_they_were(rows: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(lines(rows).decode(), newline="")))
    assert read == [[cell(value) for value in row] for row in rows]


async def test_a_file_has_its_columns_first() -> None:
    async def batches() -> AsyncGenerator[list[list[Any]], None]:
        yield [[1, "a,b"]]
        yield [[2, None]]

    made = b"".join([piece async for piece in sheet(["number", "text"], batches())])
    assert made == b'number,text\r\n1,"a,b"\r\n2,\r\n'

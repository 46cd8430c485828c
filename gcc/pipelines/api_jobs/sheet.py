"""CSV as spreadsheets open it: RFC 4180 in UTF-8.

A text that a spreadsheet would take for a formula gets an apostrophe before it: names of creators are strangers' words.
"""

import csv
import io
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from gcc.formulas import cell

Rows = Sequence[Sequence[Any]]


def lines(rows: Rows) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


async def sheet(columns: Sequence[str], batches: AsyncGenerator[Rows, None]) -> AsyncGenerator[bytes, None]:
    """A whole file, in pieces. Closes `batches`."""
    async with aclosing(batches):
        yield lines([columns])
        async for rows in batches:
            yield lines(rows)

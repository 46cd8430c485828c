"""Cells of CSV as spreadsheets open them: what would be run there as a formula gets an apostrophe before it.

Names of creators and followers are strangers' words.
"""

import re
from typing import Any

_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def cell(value: Any) -> str:
    """As it stands in a file. What begins with = + - @, a tab or a return gets an apostrophe, unless it is a number."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def given(text: str) -> str:
    """The value of a cell of such a file that comes back: without the apostrophe that `cell` put there."""
    return text[1:] if text.startswith("'") and cell(text[1:]) == text else text

"""Recorded answers of the real APIs, which stand beside the repository; what needs them is skipped without them."""

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "shared" / "data"
MISSING = "the recorded answers (../shared/data) are not here"
needs_recorded = pytest.mark.skipif(not FOLDER.is_dir(), reason=MISSING)


def recorded(path: str) -> Any:
    """The decoded JSON of the file at this path of the folder."""
    if not FOLDER.is_dir():
        pytest.skip(MISSING)
    return json.loads((FOLDER / path).read_text("utf-8"))

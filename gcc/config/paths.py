"""Paths as people write them in settings."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator


def whole_path(given: Any) -> Any:
    """A path as people give it, its `~` expanded, and from the root: while chdb is loaded, the whole process stands in
    chdb's own folder. ValueError: it names nothing (for Path, '' is where one stands)."""
    if isinstance(given, Path):
        return given.absolute()
    if not isinstance(given, str):
        return given
    if not given.strip() or "\0" in given:
        raise ValueError("it names no path; give one, or leave it out")
    try:
        return Path(given).expanduser().absolute()
    except RuntimeError:
        raise ValueError("it begins with the home of nobody known here; give the whole path") from None


WholePath = Annotated[Path, BeforeValidator(whole_path)]

"""Times as people read them, of what the platform tells as RFC 3339."""

from collections.abc import Mapping
from typing import Any


def minute(text: str | None) -> str:
    """UTC; '-' where there is none."""
    return f"{text[:10]} {text[11:16]}Z" if text else "-"


def next_run(schedule: Mapping[str, Any]) -> str:
    """When it runs next; '-' where nobody knows (it is another process's, or runs by hand)."""
    return "now" if schedule["running"] else minute(schedule["next_run"])

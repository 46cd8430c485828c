"""Files that verbs send row by row, and what is told of the rows that were rejected."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gcc.cli.client import printable
from gcc.errors import ConfigError

CHUNK_BYTES = 256 * 1024
SHOWN_MAX = 20  # lines of rejected rows


def tell_rejected(report: dict[str, Any]) -> None:
    """The first rejected rows of a file, on stderr."""
    lines = [
        f"line {entry['line']}: {fault['field']}: {fault['reason']}"
        for entry in report["rejected"][:SHOWN_MAX]
        for fault in (entry, *entry.get("also", ()))
    ]
    for line in lines[:SHOWN_MAX]:
        tell(line)
    if report["rejected_total"] > SHOWN_MAX or len(lines) > SHOWN_MAX:
        tell(f"... {report['rejected_total']:,} rows were rejected; --json lists more")


def tell(line: str) -> None:
    """On stderr, without what would steer the terminal."""
    print(printable(line), file=sys.stderr)


def chunks(file: Path) -> Iterator[bytes]:
    """A file, as it is sent. ConfigError: it cannot be read."""
    try:
        with file.open("rb") as source:
            while chunk := source.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise ConfigError(f"file {file} cannot be read: {error.strerror}") from None

"""`import-history FILE [--encoding NAME]`: past snapshots into a running platform; safe to run again."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from gcc.cli.client import find
from gcc.cli.replay import printable
from gcc.errors import ConfigError

CHUNK_BYTES = 256 * 1024
SHOWN = (
    "they show in series and leaderboards after the next models and syncs (when: schedules), or now:"
    " schedules run models_and_syncs --why WHY"
)


def main(arguments: argparse.Namespace) -> int:
    if arguments.file is None:
        raise ConfigError("import-history needs a file: import-history FILE")
    query = {"name": arguments.file.name.encode(errors="replace").decode()}
    if arguments.encoding is not None:
        query["encoding"] = arguments.encoding.encode(errors="replace").decode()
    report = find(arguments).ask("POST", "/api/import-history", content=_chunks(arguments.file), **query)["data"]
    if arguments.json:
        print(json.dumps(report))
    else:
        rejected = f", {report['rejected_total']:,} rejected" if report["rejected_total"] else ""
        imported = f"{report['imported']:,} imported, {report['duplicates']:,} were there already"
        print(f"{report['rows']:,} rows: {imported}{rejected}")
        if report["imported"]:
            print(SHOWN, file=sys.stderr)
        if not report["rows"]:
            print(printable(f"warning: there is no row in {arguments.file}"), file=sys.stderr)
        for told in report.get("warnings", []):
            print(printable(f"warning: {told}"), file=sys.stderr)
        for entry in report["rejected"][:20]:
            print(printable(f"line {entry['line']}: {entry['field']}: {entry['reason']}"), file=sys.stderr)
        if report["rejected_total"] > 20:
            print(f"... {report['rejected_total']:,} rows were rejected; --json lists more", file=sys.stderr)
    return 1 if report["rejected_total"] else 0


def _chunks(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as source:
            while chunk := source.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise ConfigError(f"file {file} cannot be read: {error.strerror}") from None

"""`import-history FILE [--encoding NAME] [--date-format FORMAT] [--thousands MARK] [--dry-run]`: past snapshots into a
running platform; safe to run again."""

import argparse
import json
from typing import Any

from gcc.cli.client import Running, find
from gcc.cli.files import chunks, tell, tell_rejected
from gcc.errors import ConfigError, GccError

ALL = "models_and_syncs"
"""The schedule between an imported snapshot and an answer of the API."""


def main(arguments: argparse.Namespace) -> int:
    if arguments.file is None:
        raise ConfigError("import-history needs a file: import-history FILE")
    query = {"name": arguments.file.name}
    given = vars(arguments)
    query |= {key: given[key] for key in ("encoding", "date_format", "thousands", "why") if given[key] is not None}
    if arguments.dry_run:
        query["dry_run"] = "true"
    query = {key: value.encode(errors="replace").decode() for key, value in query.items()}
    running = find(arguments)
    report = running.ask("POST", "/api/import-history", content=chunks(arguments.file), **query)["data"]
    if arguments.json:
        print(json.dumps(report))
    else:
        print(_counts(report, dry_run=arguments.dry_run))
        if report["imported"] and not arguments.dry_run:
            tell(_shown_when(running))
        if not report["rows"]:
            tell(f"warning: there is no row in {arguments.file}")
        for told in report.get("warnings", []):
            tell(f"warning: {told}")
        tell_rejected(report)
    return 1 if report["rejected_total"] else 0


def _counts(report: dict[str, Any], *, dry_run: bool) -> str:
    would, were = ("would be imported", "are") if dry_run else ("imported", "were")
    parts = [f"{report['imported']:,} {would}", f"{report['duplicates']:,} {were} there already"]
    if followed := report.get("followed"):
        parts.append(f"{followed:,} {'would only be followed' if dry_run else 'only followed'}, by handle")
    if report["rejected_total"]:
        parts.append(f"{report['rejected_total']:,} rejected")
    return f"{report['rows']:,} rows: {', '.join(parts)}"


def _shown_when(running: Running) -> str:
    """When series and leaderboards will have what was imported."""
    try:
        schedules = running.ask("GET", "/api/schedules", holds=list)["data"]
        here = any(schedule["name"] == ALL for schedule in schedules)
    except (GccError, LookupError, TypeError):  # they cannot be asked for now
        here = False
    if here:
        return f"series and leaderboards show them as soon as they are stored: {ALL} runs then"
    return (
        "they show in series and leaderboards after the next models and syncs (when: schedules), or all of it now:"
        f" schedules run {ALL} --why WHY"
    )

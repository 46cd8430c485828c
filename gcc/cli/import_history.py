"""`import-history FILE [--encoding NAME] [--date-format FORMAT] [--thousands MARK] [--dry-run]`: past snapshots into a
running platform; safe to run again."""

import argparse
import json
from typing import Any

from gcc.cli.client import Running, find
from gcc.cli.files import chunks, tell, tell_rejected
from gcc.cli.schedules import next_run
from gcc.errors import ConfigError, GccError

MODELS, ALL = "core_models", "models_and_syncs"
SHOWS = {"sync_time_series": "series", "sync_leaderboard": "leaderboards"}
"""The schedules between an imported snapshot and an answer of the API."""


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
    """When series and leaderboards will have what was imported, and how they have it now."""
    now = f"or all of it now: schedules run {ALL} --why WHY"
    try:
        schedules = running.ask("GET", "/api/schedules", holds=list)["data"]
        due = {schedule["name"]: f"{schedule['name']} (next {next_run(schedule)})" for schedule in schedules}
        shows = " and ".join(f"{due[name]} in {where}" for name, where in SHOWS.items())
        return f"{due[MODELS]} models them, then they are shown by {shows}; {now}"
    except (GccError, LookupError, TypeError):  # another process has them, or they cannot be asked for now
        return f"they show in series and leaderboards after the next models and syncs (when: schedules), {now}"

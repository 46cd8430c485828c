"""`schedules [list]`: what runs when; `schedules run NAME --why WHY`: one of them now, until it has ended;
`schedules pause|resume --why WHY`: whether any runs when it is due, in every process.

The list is that of the platform that runs on the data folder; where none does, as these settings would have it.
"""

import argparse
import json
from typing import Any

from gcc.cli.client import NotRunning, Running, find, sentence, settings_of
from gcc.errors import ConfigError
from gcc.pipelines.timetable import NOT_YET, ROWS, SCHEDULER, overridden


def main(arguments: argparse.Namespace) -> int:
    action = arguments.action
    if action == "run":
        if not (arguments.name and arguments.why):
            raise ConfigError("schedules run needs a name and a reason: schedules run NAME --why WHY")
        return _run(find(arguments), arguments)
    if action in ("pause", "resume"):
        if arguments.name or not arguments.why:
            raise ConfigError(f"schedules {action} is of all, and needs a reason: schedules {action} --why WHY")
        done = find(arguments).act(f"/api/{action}", {"what": SCHEDULER, "why": arguments.why})
        actor = done["paused" if action == "pause" else "resumed"]
        told = "paused: what runs goes on, and triggers work" if action == "pause" else "due times count again"
        print(json.dumps(done) if arguments.json else f"{actor}  {told}")
        return 0
    return _list(arguments)


def _list(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    try:
        schedules = find(arguments).ask("GET", "/api/schedules", holds=list)["data"]
        told = "as it runs"
    except NotRunning:
        schedules = [_as_declared(row) for row in overridden(ROWS, settings.analytics.schedules)]
        told = f"nothing runs on {settings.data_dir}; as a start would, by {settings.told_by}"
    if arguments.json:
        print(json.dumps({"settings": told, "schedules": schedules}))
        return 0
    print(told)
    for schedule in schedules:
        name, cron = f"{schedule['name']:<32}", f"{schedule['cron'] or 'by hand':<16}"
        if schedule["waits_for"]:
            print(f"{name} {cron} waits for {schedule['waits_for']}")
            continue
        last = schedule["last_run"]
        ran = f"{last['status']} at {_time(last['ended_at'] or last['started_at'])}" if last else "never"
        skipped = f"  skipped {schedule['skipped']} times in a row" if schedule["skipped"] else ""
        print(f"{name} {cron} next {next_run(schedule):<17}  last {ran}{skipped}")
    return 0


def _as_declared(row: Any) -> dict[str, Any]:
    waits_for = row.waits_for or NOT_YET.get(row.name)
    return {
        "name": row.name, "cron": row.cron, "running": False, "next_run": None, "last_run": None, "skipped": 0,
        "waits_for": waits_for,
    }  # fmt: skip


def _run(running: Running, arguments: argparse.Namespace) -> int:
    return tell_run(running.act("/api/schedules/run", {"name": arguments.name, "why": arguments.why}), arguments.json)


def tell_run(ended: dict[str, Any], as_json: bool) -> int:
    """Print a run that has ended; the exit code."""
    if as_json:
        print(json.dumps(ended))
    else:
        error = (ended["detail"] or {}).get("error")
        told = f": {sentence(str(error))}" if error else ""
        print(f"{ended['name']}  {ended['status']}  {_time(ended['started_at'])} to {_time(ended['ended_at'])}{told}")
    return 0 if ended["status"] == "COMPLETE" else 1


def next_run(schedule: dict[str, Any]) -> str:
    """When it runs next, for people: UTC; '-' where nobody knows (it is another process's, or runs by hand)."""
    return "now" if schedule["running"] else _time(schedule["next_run"])


def _time(text: str | None) -> str:
    return f"{text[:10]} {text[11:16]}Z" if text else "-"

"""`schedules [list]`: what runs when; `schedules show NAME`: what one does, and its last runs; `schedules run NAME
--why WHY`: one of them now, until it has ended; `schedules pause|resume --why WHY`: whether any runs when it is due, in
every process.

The list is that of the platform that runs on the data folder; where none does, as these settings would have it.
"""

import argparse
import datetime as dt
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gcc.cli.client import NotRunning, Running, find, many, sentence, settings_of
from gcc.cli.times import minute, next_run
from gcc.errors import ConfigError, there_are
from gcc.pipelines.timetable import NOT_YET, ROWS, SCHEDULER, does, overridden

RUNS = 20
"""So many past ones are shown."""
UNTOLD = ("table", "seconds", "snapshot_id", "error")
PARTS_MAX = 5


def main(arguments: argparse.Namespace) -> int:
    action = arguments.action
    if action == "run":
        if not (arguments.name and arguments.why):
            raise ConfigError("schedules run needs a name and a reason: schedules run NAME --why WHY")
        return _run(find(arguments), arguments)
    if action == "show":
        if not arguments.name:
            raise ConfigError("schedules show needs a name: schedules show NAME")
        return _show(arguments)
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
    print(told + PAUSED * any(schedule.get("paused") for schedule in schedules))
    print(f"{'schedule':<32} {'cron, UTC':<16} {'next run':<17}  last run")
    for schedule in schedules:
        print(f"{schedule['name']:<32} {_due(schedule)}  {_went(schedule)}")
    return 0


PAUSED = "; all are paused: due times are skipped until schedules resume --why WHY"


def _show(arguments: argparse.Namespace) -> int:
    running = find(arguments)
    lines = {line["name"]: line for line in running.ask("GET", "/api/schedules", holds=list)["data"]}
    if arguments.name not in lines:
        raise ConfigError(f"no schedule is called {arguments.name!r}; {there_are(lines, arguments.name)}")
    line = lines[arguments.name]
    path = f"/api/schedules/{quote(arguments.name, safe='')}/runs"
    runs = running.ask("GET", path, holds=list, limit=str(RUNS))["data"]
    if arguments.json:
        print(json.dumps(line | {"runs": runs}))
        return 0
    print(f"{line['name']}  {line.get('does') or ''}".rstrip() + PAUSED * bool(line.get("paused")))
    print(f"{_due(line)}  {_went(line)}")
    for run in runs:
        print(f"{minute(run['started_at'])}  {run['status']:<9}  {_took(run):>8}  {did_what(run['detail'])}".rstrip())
    return 0


def _due(schedule: Mapping[str, Any]) -> str:
    return f"{schedule['cron'] or 'by hand':<16} {next_run(schedule):<17}"


def _went(schedule: Mapping[str, Any]) -> str:
    if schedule["waits_for"]:
        return f"waits for {schedule['waits_for']}"
    last = schedule["last_run"]
    ran = f"{last['status']} at {minute(last['ended_at'] or last['started_at'])}" if last else "never"
    skipped = f"; skipped {many(schedule['skipped'], 'time')} since: the run before had not ended"
    return ran + skipped * bool(schedule["skipped"])


def _took(run: Mapping[str, Any]) -> str:
    if not run["ended_at"]:
        return "-"
    began, ended = (dt.datetime.fromisoformat(run[key]) for key in ("started_at", "ended_at"))
    return f"{(ended - began).total_seconds():,.1f} s"


def did_what(detail: Mapping[str, Any] | None) -> str:
    """A run's detail in a few words: "29 models", "stale 412, enqueued 96", "swapped, rows 12,004"; its error whole."""
    said = {name: value for name, value in (detail or {}).items() if name not in UNTOLD and value not in (None, [], {})}
    told = [_part(name, value) for name, value in said.items()]
    few = ", ".join(told[:PARTS_MAX]) + " ..." * (len(told) > PARTS_MAX)
    error = (detail or {}).get("error")
    return sentence(str(error)) if error else few


def _part(name: str, value: Any) -> str:
    words = name.replace("_", " ")
    if isinstance(value, list):
        return f"{len(value):,} {words}"
    if isinstance(value, Mapping):
        some = [f"{key} {part:,}" for key, part in value.items() if isinstance(part, int) and part]
        return f"{words} {', '.join(some) or 'nothing'}"
    if name in ("outcome", "why"):
        return sentence(str(value))
    return f"{words} {value:,}" if isinstance(value, int | float) else f"{words} {sentence(str(value))}"


def _as_declared(row: Any) -> dict[str, Any]:
    waits_for = row.waits_for or NOT_YET.get(row.name)
    return {
        "name": row.name, "cron": row.cron, "running": False, "next_run": None, "last_run": None, "skipped": 0,
        "waits_for": waits_for, "does": does(row),
    }  # fmt: skip


def _run(running: Running, arguments: argparse.Namespace) -> int:
    return tell_run(running.act("/api/schedules/run", {"name": arguments.name, "why": arguments.why}), arguments.json)


def tell_run(ended: dict[str, Any], as_json: bool) -> int:
    """Print a run that has ended; the exit code."""
    if as_json:
        print(json.dumps(ended))
    else:
        print(f"{ended['name']}  {ended['status']}  {_took(ended)}  {did_what(ended['detail'])}".rstrip())
    return 0 if ended["status"] == "COMPLETE" else 1

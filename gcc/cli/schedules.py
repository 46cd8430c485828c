"""`schedules [list]`: what runs when; `schedules run NAME --why WHY`: one of them now, until it has ended."""

import argparse
import json
from typing import Any

from gcc.cli.client import Running, find, sentence
from gcc.errors import ConfigError


def main(arguments: argparse.Namespace) -> int:
    if arguments.action == "run":
        if not (arguments.name and arguments.why):
            raise ConfigError("schedules run needs a name and a reason: schedules run NAME --why WHY")
        return _run(find(arguments), arguments)
    schedules = find(arguments).ask("GET", "/api/schedules", holds=list)["data"]
    if arguments.json:
        print(json.dumps({"schedules": schedules}))
        return 0
    for schedule in schedules:
        last = schedule["last_run"]
        ran = f"{last['status']} at {_time(last['ended_at'] or last['started_at'])}" if last else "never"
        print(f"{schedule['name']:<18} {schedule['cron'] or 'by hand':<14} next {next_run(schedule):<17}  last {ran}")
    return 0


def _run(running: Running, arguments: argparse.Namespace) -> int:
    ended = running.act("/api/schedules/run", {"name": arguments.name, "why": arguments.why})
    if arguments.json:
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

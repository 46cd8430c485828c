"""`replay [--queue Q] [--reason R] [--since T] [--id ID] [--limit N]`: sends dead letters to their queues again.

Each letter is replayed once, whoever asks; what is refused again is a new letter. With --dry-run it only tells what
it would be. Exit 1: some letters could not be read; the others are replayed.
"""

import argparse
import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from gcc.cli.client import find, many, printable
from gcc.cli.jobs import moment
from gcc.clock import Clock, SystemClock
from gcc.errors import ConfigError

PIPE_COLUMNS = 160


def main(arguments: argparse.Namespace) -> int:
    if not (arguments.why or arguments.dry_run):
        raise ConfigError("replay needs --why WHY, or --dry-run")
    wanted = filter_of(arguments, SystemClock()) | ({"ids": arguments.id} if arguments.id else {})
    body = {"filter": wanted, "why": arguments.why, "dry_run": arguments.dry_run}
    done = find(arguments).act("/api/replay", body)
    if arguments.json:
        print(json.dumps(done))
    elif arguments.dry_run:
        print_groups(done["groups"])
        print(f"{_counted(done)} would be replayed")
    else:
        print(f"{_counted(done)} replayed")
        _print_unreadable(done["unreadable"], done["errors"])
    return 1 if done.get("unreadable") else 0


def filter_of(arguments: argparse.Namespace, clock: Clock) -> dict[str, Any]:
    """What was given, as the ops port takes it."""
    given = {
        "queue": arguments.queue,
        "reason": arguments.reason,
        "since": arguments.since and moment(arguments.since, clock),
        "limit": arguments.limit,
    }
    return {name: value for name, value in given.items() if value is not None}


def _counted(done: dict[str, Any]) -> str:
    return f"{many(done['letters'], 'letter')} with {many(done['events'], 'event')}"


def _print_unreadable(unreadable: int, errors: list[dict[str, Any]]) -> None:
    for trouble in errors:
        print(f"not replayed: {trouble['id']}: {trouble['reason']}", file=sys.stderr)
    if more := unreadable - len(errors):
        print(f"not replayed: {more:,} more", file=sys.stderr)


def print_groups(groups: list[dict[str, Any]]) -> None:
    """How many letters wait, by queue and reason; nothing where none does."""
    if not groups:
        return
    table = Table(box=None, header_style="bold")
    for title in ("queue", "reason", "letters", "events", "newest"):
        is_number = title in ("letters", "events")
        table.add_column(title, justify="right" if is_number else "left", no_wrap=title != "reason", overflow="fold")
    for group in groups:
        newest = group["newest"][:19]
        table.add_row(
            group["queue"], printable(group["reason"]), f"{group['letters']:,}", f"{group['events']:,}", newest
        )
    Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS, markup=False, highlight=False).print(table)

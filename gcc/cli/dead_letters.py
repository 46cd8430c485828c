"""`dead-letters [--queue Q] [--reason R] [--since T] [--limit N]`: those that wait; `--show ID`: one, with its body.

Secrets are masked in what is shown; what is replayed is whole.
"""

import argparse
import json
import sys
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.table import Table

from gcc.cli.client import Running, find, many, printable
from gcc.cli.replay import PIPE_COLUMNS, filter_of, print_groups
from gcc.clock import SystemClock
from gcc.errors import ConfigError


def main(arguments: argparse.Namespace) -> int:
    wanted = filter_of(arguments, SystemClock())
    if arguments.show is None:
        return _list(find(arguments), wanted, as_json=arguments.json)
    if wanted:
        raise ConfigError("dead-letters --show ID shows one; leave out the filter")
    return _show(find(arguments), arguments.show, as_json=arguments.json)


def _list(running: Running, wanted: dict[str, Any], *, as_json: bool) -> int:
    query = {name: str(value) for name, value in wanted.items()}
    answer = running.ask("GET", "/api/dead-letters", content=None, holds=list, **query)
    letters, total, groups = answer["data"], answer["meta"]["total"], answer["meta"]["groups"]
    if as_json:
        print(json.dumps({"letters": letters, "total": total, "groups": groups}))
        return 0
    if len(groups) > 1:
        print_groups(groups)
        print()
    table = Table(box=None, header_style="bold")
    for title in ("id", "buried", "queue", "events", "reason"):
        table.add_column(title, no_wrap=True, overflow="ellipsis", justify="right" if title == "events" else "left")
    for letter in letters:
        table.add_row(
            letter["id"], letter["at"][:19], letter["queue"], f"{letter['events']:,}", printable(letter["reason"])
        )
    if letters:
        Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS, markup=False, highlight=False).print(table)
    print(f"{len(letters):,} of {many(total, 'dead letter')}")
    return 0


def _show(running: Running, letter_id: str, *, as_json: bool) -> int:
    """Exit 1: the letter is there, its body cannot be read."""
    try:
        letter = running.ask("GET", f"/api/dead-letters/{UUID(letter_id)}")["data"]
    except ValueError:
        raise ConfigError(f"--show {letter_id!r} is no id of a dead letter") from None
    if as_json:
        print(json.dumps(letter))
    else:
        for name in ("id", "at", "queue", "exchange", "routing_key", "frame_id", "events", "reason", "object"):
            print(f"{name:<13}{printable(str(letter[name]))}")
        if letter["replayed_at"]:
            print(f"{'replayed':<13}{letter['replayed_at']} by {letter['replayed_by']}")
        for name, value in letter["headers"].items():
            print(f"{'header':<13}{printable(name)}: {printable(value)}")
        if letter["trouble"] is None:
            print(f"\n{printable(letter['body'])}")
            if not letter["whole"]:
                print(f"... (cut; the body has {many(letter['bytes'], 'byte')})")
    if letter["trouble"] is not None:
        print(f"gcc: {letter['trouble']}", file=sys.stderr)
        return 1
    return 0

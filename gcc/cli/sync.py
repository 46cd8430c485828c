"""`sync [list]`: the tables that are synced from marts, and what was refused; `sync run TABLE --why WHY`: one of them
now, until it has ended; `sync accept TABLE --why WHY`: let through what a guard refused, once, and sync it.

The list is that of the platform that runs on the data folder; where none does, the tables as they are declared.
"""

import argparse
import json
from typing import Any

from gcc.cli.client import NotRunning, find, sentence
from gcc.cli.schedules import tell_run
from gcc.errors import ConfigError
from gcc.pipelines.analytics.synced import SYNCED

UNKNOWN = ("rows", "as_of", "built_at", "refused", "refused_at", "accepted_by")


def main(arguments: argparse.Namespace) -> int:
    if arguments.action == "list":
        return _list(arguments)
    if not (arguments.table and arguments.why):
        given = f"sync {arguments.action} TABLE --why WHY"
        raise ConfigError(f"sync {arguments.action} needs a table and a reason: {given}")
    body = {"table": arguments.table, "why": arguments.why}
    return tell_run(find(arguments).act(f"/api/sync/{arguments.action}", body), arguments.json)


def _list(arguments: argparse.Namespace) -> int:
    try:
        tables = find(arguments).ask("GET", "/api/sync", holds=list)["data"]
    except NotRunning:
        tables = [{"table": row.table, "mart": row.mart, **dict.fromkeys(UNKNOWN)} for row in SYNCED]
    if arguments.json:
        print(json.dumps({"sync": tables}))
        return 0
    print(f"{'table':<32} {'from':<34} {'rows':>12}  as of, UTC")
    for row in tables:
        rows, as_of = (
            ("-", "never") if row["rows"] is None else (f"{row['rows']:,}", row["as_of"][:16].replace("T", " "))
        )
        print(f"{row['table']:<32} {row['mart']:<34} {rows:>12}  {as_of}")
        if row["refused"]:
            way = f"let it through: sync accept {row['table']} --why WHY"
            print(f"    refused: {sentence(row['refused'])}; {_accepted(row) or way}")
    return 0


def _accepted(row: dict[str, Any]) -> str:
    return f"accepted by {row['accepted_by']}, the next run lets it through" if row["accepted_by"] else ""

"""`sync [list]`: the tables that are synced from marts, and what was refused; `sync run TABLE --why WHY`: one of them
now, until it has ended; `sync accept TABLE --why WHY`: let through what a guard refused, once, and sync it.

The list is that of the platform that runs on the data folder; where none does, the tables as they are declared.
"""

import argparse
import json

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
    for row in tables:
        synced = "never synced" if row["rows"] is None else f"{row['rows']:,} rows as of {row['as_of'][:16]}Z"
        print(f"{row['table']:<32} {row['mart']:<34} {synced}")
        if row["refused"]:
            by = (
                f"; accepted by {row['accepted_by']}" if row["accepted_by"] else f"; sync accept {row['table']} lets it"
            )
            print(f"    refused: {sentence(row['refused'])}{by}")
    return 0

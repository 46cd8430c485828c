"""`flows`: what is scraped, from which sources, under which limits, into which tables."""

import argparse
import json

from rich.console import Console
from rich.table import Table

from gcc.cli.client import settings_of
from gcc.pipelines.scraping.table import overview


def main(arguments: argparse.Namespace) -> int:
    flows = overview(settings_of(arguments))
    if arguments.json:
        print(json.dumps({"flows": flows}))
        return 0
    table = Table(
        "flow", "platform", "sources", "in flight", "limits", "events", "tables", box=None, header_style="bold"
    )
    for flow in flows:
        limits = ", ".join(f"{limit['calls']} per {limit['per_s']:g} s" for limit in flow["limits"].values())
        table.add_row(
            flow["name"], flow["platform"], ", ".join(flow["sources"]), f"{flow['concurrency']:,}", limits,
            ", ".join(flow["events"]), ", ".join(flow["tables"]),
        )  # fmt: skip
    Console().print(table)
    return 0

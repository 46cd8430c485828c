"""`flows`: what is scraped, from which sources, under which limits, into which tables."""

import argparse
import json

from gcc.cli.client import settings_of
from gcc.pipelines.scraping.table import overview


def main(arguments: argparse.Namespace) -> int:
    flows = overview(settings_of(arguments))
    if arguments.json:
        print(json.dumps({"flows": flows}))
        return 0
    for flow in flows:
        limits = [f"{name} ({limit['calls']} per {limit['per_s']:g} s)" for name, limit in flow["limits"].items()]
        print(f"{flow['name']}  {flow['platform']}  {flow['concurrency']} at once")
        for label, words in (("sources", limits), ("events", flow["events"]), ("tables", flow["tables"])):
            print(f"    {label:<9}{', '.join(words)}")
    return 0

"""`flows`: what is scraped, from which sources, under which limits, into which tables.

Of the platform that runs on the data folder, as it runs; where none does, as these settings would have it.
"""

import argparse
import json

from gcc.cli.client import NotRunning, find, settings_of
from gcc.pipelines.scraping.table import catalogue_of, overview


def main(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    try:
        answer = find(arguments).ask("GET", "/api/flows", holds=list)
        flows, told = answer["data"], f"as it runs, by {answer['meta']['settings']}"
    except NotRunning:
        flows, told = (
            overview(settings, catalogue_of(settings)),
            f"nothing runs on {settings.data_dir}; as a start would, by {settings.told_by}",
        )
    if arguments.json:
        print(json.dumps({"settings": told, "flows": flows}))
        return 0
    print(told)
    for flow in flows:
        limits = [f"{name} ({limit['calls']} per {limit['per_s']:g} s)" for name, limit in flow["limits"].items()]
        print(f"{flow['name']}  {flow['platform']}  {flow['concurrency']} at once")
        for label, words in (("sources", limits), ("events", flow["events"]), ("tables", flow["tables"])):
            print(f"    {label:<9}{', '.join(words)}")
    return 0

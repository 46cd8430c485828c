"""`flows`: what is scraped, from which sources, under which limits, into which tables.

Of the platform that runs on the data folder, as it runs; where none does, as these settings would have it.
"""

import argparse
import json
from typing import Any

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
        state = "" if flow["enabled"] else "  off: none of its sources is switched on"
        print(f"{flow['name']}  {flow['platform']}  {flow['capability']}  {flow['concurrency']:,} at once{state}")
        for label, words in _lines(flow):
            if words:
                print(f"    {label:<9}{', '.join(words)}")
    print("owner: asked with the account's own credential; off: until sources.NAME.enabled = true; see docs/sources.md")
    return 0


def _lines(flow: dict[str, Any]) -> list[tuple[str, list[str]]]:
    on = [name for name in flow["sources"] if name not in flow["off"]]
    return [
        ("params", [_param(name, flow["params"]) for name in flow["params"]["properties"]]),
        ("sources", [_limited(name, flow["limits"].get(name)) for name in on]),
        ("off", flow["off"]),
        ("events", flow["events"]),
        ("tables", flow["tables"]),
        ("object", ["exports/JOB.csv"] if flow["exports"] else []),
    ]


def _param(name: str, schema: dict[str, Any]) -> str:
    """Its name; in brackets where it may be left out, with what holds then."""
    if name in schema.get("required", ()):
        return name
    default = schema["properties"][name].get("default")
    return f"[{name}]" if default in (None, "") else f"[{name}={default}]"


def _limited(name: str, limit: dict[str, Any] | None) -> str:
    return name if limit is None else f"{name} ({limit['calls']:,} per {limit['per_s']:g} s)"

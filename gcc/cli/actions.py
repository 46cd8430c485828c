"""`actions [--limit N]`: the action log, newest first: who did what to the platform, and why."""

import argparse
import json

from gcc.cli.client import find


def main(arguments: argparse.Namespace) -> int:
    actions = find(arguments).ask("GET", "/api/actions", holds=list, limit=str(arguments.limit))["data"]
    if arguments.json:
        print(json.dumps({"actions": actions}))
        return 0
    if not actions:
        print(
            "nobody has done anything yet: no pause, no change of concurrency, no retry, cancellation, replay or drain"
        )
    for action in actions:
        things = "" if action["things"] is None else f" ({action['things']:,})"
        done = f"{action['verb']} {action['target']}{things}"
        print(f"{action['at'][:19]}Z  {action['who']}  {done}: {action['why'] or '-'}")
    return 0

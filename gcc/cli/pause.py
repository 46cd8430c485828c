"""`pause WHAT --why WHY`: a flow, a queue's consumers or an actor takes no new work until `resume`."""

import argparse
import json

from gcc.cli.client import find


def main(arguments: argparse.Namespace) -> int:
    done = find(arguments).act("/api/pause", {"what": arguments.what, "why": arguments.why})
    print(json.dumps(done) if arguments.json else f"paused {done['paused']}; it finishes what it holds")
    return 0

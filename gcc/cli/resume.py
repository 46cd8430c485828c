"""`resume WHAT --why WHY`: ends a pause, or lets a role that was drained work again."""

import argparse
import json

from gcc.cli.client import find


def main(arguments: argparse.Namespace) -> int:
    done = find(arguments).act("/api/resume", {"what": arguments.what, "why": arguments.why})
    print(json.dumps(done) if arguments.json else f"resumed {done['resumed']}")
    return 0

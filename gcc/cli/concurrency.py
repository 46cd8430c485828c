"""`concurrency FLOW N|default --why WHY`: how many jobs of a flow run at once, from now on."""

import argparse
import json

from gcc.cli.client import find
from gcc.errors import ConfigError


def main(arguments: argparse.Namespace) -> int:
    value = None if arguments.value == "default" else _number(arguments.value)
    done = find(arguments).act("/api/concurrency", {"flow": arguments.flow, "value": value, "why": arguments.why})
    told = "as many as configured" if value is None else f"{value} at once"
    print(json.dumps(done) if arguments.json else f"{done['flow']}: {told}")
    return 0


def _number(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise ConfigError(f"concurrency {word!r} is no number; write 1 to 1000, or default") from None

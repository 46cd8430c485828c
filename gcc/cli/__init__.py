"""The command line: `python -m gcc.supervisor [VERB] [--config FILE] [--data DIR] [--set key.sub=value ...]`.

One verb a file; without a verb it is `run`. Verbs are clients of the running platform, found through
DATA/supervisor.json; only run, check and flows work without one. Reports go to stdout (with --json one
object on the last line), logs to stderr. Exit codes: 0 done, 1 the thing asked about is not well, 2 wrong
use or configuration.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gcc.errors import ConfigError, GccError

VERBS = {
    "run": "start the platform and stay until it has drained",
    "status": "what a running platform is doing",
    "drain": "ask a running platform to finish what it holds and exit",
    "check": "is every event stored once, dead-lettered, or on its way?",
    "import-history": "import past snapshots from CSV or NDJSON",
    "flows": "what is scraped, from which sources, under which limits",
}
USAGE = 2


class Parser(argparse.ArgumentParser):
    """One sentence and exit code 2 for a wrong call."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see python -m gcc.supervisor --help")


def parser() -> Parser:
    top = Parser(
        prog="python -m gcc.supervisor",
        description="gcc: an open influencer-marketing data platform.",
        epilog="verbs:\n" + "\n".join(f"  {verb:<16}{says}" for verb, says in VERBS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("verb", nargs="?", default="run", choices=VERBS, metavar="VERB", help="default: run")
    top.add_argument("file", nargs="?", type=Path, help="import-history: the CSV or NDJSON file")
    top.add_argument("--config", type=Path, metavar="FILE", help="settings, TOML")
    top.add_argument("--data", type=Path, metavar="DIR", help="the folder of all state (settings: data_dir)")
    top.add_argument("--set", action="append", default=[], metavar="KEY.SUB=VALUE", help="override one setting")
    top.add_argument("--json", action="store_true", help="one JSON object on the last line of stdout")
    top.add_argument("--watch", action="store_true", help="status: stay and follow")
    top.add_argument("--wait", action="store_true", help="drain: return when it is done")
    top.add_argument("--role", metavar="ROLE", help="drain: only this role")
    return top


def main(argv: Sequence[str]) -> int:
    """Run one verb; returns the exit code. Expected trouble is one sentence on stderr."""
    try:
        arguments = parser().parse_args(argv)
        verb = importlib.import_module(f"gcc.cli.{arguments.verb.replace('-', '_')}")
        return int(verb.main(arguments))
    except ConfigError as error:
        print(f"gcc: {error}", file=sys.stderr)
        return USAGE
    except GccError as error:
        print(f"gcc: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of stdout left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130

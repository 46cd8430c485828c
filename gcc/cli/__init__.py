"""The command line: `python -m gcc.supervisor [VERB] [--config FILE] [--data DIR] [--set key.sub=value ...]`.

One verb a file; without a verb it is `run`. Verbs are clients of the running platform, found through
DATA/supervisor.json; only run, check, doctor, flows, score, openapi and lists of schedules and syncs work
without one. Reports go to stdout (with --json one
object on the last line), logs and what went wrong to stderr. Exit codes: 0 done, 1 the thing asked about is not
well, 2 wrong use or configuration.
"""

import argparse
import errno
import gc
import importlib
import importlib.metadata
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn, TextIO

from gcc import interrupt
from gcc.config import whole_path
from gcc.errors import ConfigError, GccError
from gcc.interrupt import INTERRUPTED
from gcc.passwords import masked, passwords
from gcc.statements import ROOT

VERBS = {
    "run": "start the platform and stay until it has drained",
    "status": "what a running platform is doing",
    "drain": "ask a running platform to finish what it holds and exit",
    "pause": "let a flow, a queue's consumers or an actor take no new work",
    "resume": "end a pause, or let a drained role work again",
    "concurrency": "change how many jobs of a flow run at once",
    "jobs": "list, show, add, retry or cancel jobs",
    "dead-letters": "list the dead letters that wait, or show one",
    "replay": "send dead letters to their queues again, each once",
    "sources": "how full the sources' limits are, whether they answer, and which credentials are out",
    "limits": "how full each limit is and what narrows it, or change one while the platform runs",
    "credentials": "list, add, probe, enable or disable tokens and keys; seal them under a new key",
    "users": "a link by which an operator, or somebody of a partner, becomes a user",
    "schedules": "what runs when; run one now, pause or resume all",
    "sync": "the tables that are synced from marts; sync one now, or let one through that a guard refused",
    "models": "how models stand, one with its SQL, where a column comes from; build, test, export them",
    "erase": "have a creator forgotten in every store, for good, or list who is",
    "actions": "who did what to the platform, and why",
    "check": "is every event stored once, dead-lettered, or on its way?",
    "doctor": "checks config, stores, versions, clock, disk, ports, migrations and bindings, and how to mend each",
    "import-history": "import past snapshots from CSV or NDJSON",
    "score": "score the followers in a file, or one by its handle and name, for being fake",
    "flows": "what is scraped, from which sources, under which limits",
    "openapi": "print the OpenAPI document of a port, whether the platform runs or not",
    "completions": "print what makes a shell complete this command (bash, zsh, fish)",
}
CONFIG = ROOT / "config"
MODULE, COMMAND = "python -m gcc.supervisor", "gcc-platform"
USAGE = 2
WORKERS_MAX = 256
_VALUE = re.compile(r"=\S+")
_STRANGE = re.compile(
    r"(invalid choice: |ignored explicit argument )(?!'[a-z-]+'(?: \(choose|$)).*?( \(choose from .*)?$", re.S
)
"""A word in the place of another, unless it is a plain one: a secret may have been put there."""
_OPTION = re.compile(r"--[\w-]+|-\w")


class Parser(argparse.ArgumentParser):
    """One sentence and exit code 2 for a wrong call. `intermixed`: words may stand after options, too."""

    intermixed = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if not self.intermixed:
            return super().parse_known_args(args, namespace)
        self.intermixed = False  # it comes here again, twice
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.intermixed = True

    def error(self, message: str) -> NoReturn:
        message = _STRANGE.sub(r"\1'...'\2", message)
        message = masked(message, passwords(message))  # a word without its --set is an argument that nobody knows
        raise ConfigError(f"{_VALUE.sub('=...', message)}; see --help")


def _path(text: str) -> Path:
    if passwords(text):  # which a path would be told with
        raise argparse.ArgumentTypeError("this is an address with a password, and no path")
    try:
        return Path(whole_path(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _config(text: str) -> Path:
    """The file, or one that comes with us: by its name, or as its path in the repository."""
    file = _path(text)
    if not file.exists():
        for shipped in (CONFIG / f"{text}.toml", CONFIG.parent / text):
            if CONFIG in shipped.parents and shipped.is_file():
                return shipped
        if file.name == text:
            raise argparse.ArgumentTypeError(f"there is no file {text!r} here, and none of {_shipped()} is called so")
    return file


def _shipped() -> str:
    return ", ".join(sorted(file.stem for file in CONFIG.glob("*.toml")))


def _everywhere(*, default: str | None = None) -> Parser:
    """What may stand before and after every verb. `default`: of all that is not given."""
    everywhere = Parser(add_help=False, allow_abbrev=False, argument_default=default)
    configs = f"settings, TOML; or the name of one that comes with it ({_shipped()})"
    everywhere.add_argument("--config", type=_config, metavar="FILE", help=configs)
    everywhere.add_argument("--data", type=_path, metavar="DIR", help="the folder of all state (settings: data_dir)")
    everywhere.add_argument(
        "--set", action="append", default=default or [], metavar="KEY.SUB=VALUE", help="override one setting"
    )
    everywhere.add_argument(
        "--json", action="store_true", help="what it reports as one JSON object on the last line of stdout"
    )
    return everywhere


@lru_cache(maxsize=1)
def whole(prog: str) -> Parser:
    """The parser of all verbs and options, for one who calls us so."""
    top = Parser(
        prog=prog,
        description="gcc: an open influencer-marketing data platform. Without a verb: run.",
        parents=[_everywhere()],
        allow_abbrev=False,
    )
    version = f"gcc-platform {importlib.metadata.version('gcc-platform')}"
    top.add_argument("--version", action="version", version=version, help="show it and exit")
    _add_verbs(top)
    return top


def parse(argv: Sequence[str], prog: str = MODULE) -> argparse.Namespace:
    """The verb and its options. The options of every verb may stand before and after it."""
    arguments: argparse.Namespace
    arguments, rest = _everywhere().parse_known_args(argv)
    if not rest or (rest[0].startswith("-") and rest[0] not in ("-h", "--help", "--version")):
        rest = ["run", *rest]
    top = whole(prog)
    arguments, unknown = top.parse_known_args(rest, namespace=arguments)
    if unknown:
        top.error(f"unrecognized arguments: {' '.join(_named(unknown))}")
    return arguments


def _named(unknown: Sequence[str]) -> Iterator[str]:
    """The options among them by their names; other words may be a secret that one of these was given."""
    options = [found[0] for word in unknown if (found := _OPTION.match(word))]
    yield from options
    if others := len(unknown) - len(options):
        yield f"{'and ' if options else ''}{others} {'word' if others == 1 else 'words'}, not repeated here"


def _add_verbs(top: Parser) -> None:
    known = _everywhere(default=argparse.SUPPRESS)  # for their help: they have been read by now
    added = top.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    verb = {
        name: added.add_parser(name, help=says, description=says, allow_abbrev=False, parents=[known])
        for name, says in VERBS.items()
    }
    verb["check"].add_argument("--parity", action="store_true", help="of the audit instead: see docs/migration.md")
    verb["status"].add_argument("--watch", action="store_true", help="stay and follow")
    _add_import(verb["import-history"])
    _add_score(verb["score"])
    verb["drain"].add_argument("--wait", action="store_true", help="return when it is done")
    verb["drain"].add_argument("--role", metavar="ROLE", help="only this role; resume ROLE lets it work again")
    verb["drain"].add_argument("--why", default="", metavar="WHY", help="for the action log")
    verb["pause"].add_argument("what", metavar="WHAT", help="a flow, a queue or an actor")
    verb["resume"].add_argument("what", metavar="WHAT", help="a flow, a queue, an actor or a role")
    verb["concurrency"].add_argument("flow", metavar="FLOW")
    verb["concurrency"].add_argument("value", metavar="N", help="1 to 1000, or default: as configured")
    for name in ("pause", "resume", "concurrency"):
        verb[name].add_argument("--why", required=True, metavar="WHY", help="for the action log")
    verb["erase"].add_argument("who", nargs="*", metavar="PLATFORM PROFILE", help="its handle or id; without: list")
    verb["erase"].add_argument("--why", default="", metavar="WHY", help="for the action log; needed to erase")
    verb["actions"].add_argument("--limit", type=int, default=20, metavar="N", help="how many, the newest (20)")
    verb["limits"].add_argument("action", nargs="?", default="list", choices=("list", "set"))
    words = "of set: the NAME of a limit, and its CALLS and seconds (PER_S), or default: as configured"
    verb["limits"].add_argument("words", nargs="*", metavar="WORD", help=words)
    verb["limits"].add_argument("--why", default="", metavar="WHY", help="for the action log; set needs it")
    verb["openapi"].add_argument("--port", default="gateway", choices=("gateway", "beat"), help="whose (gateway)")
    verb["completions"].add_argument("shell", choices=("bash", "zsh", "fish"))
    verb["schedules"].add_argument(
        "action", nargs="?", default="list", choices=("list", "show", "run", "pause", "resume")
    )
    verb["schedules"].add_argument("name", nargs="?", metavar="NAME", help="of the one to show or run")
    _add_models(verb["models"])
    verb["sync"].add_argument("action", nargs="?", default="list", choices=("list", "run", "accept"))
    verb["sync"].add_argument("table", nargs="?", metavar="TABLE")
    for name in ("schedules", "sync"):
        verb[name].add_argument(
            "--why", default="", metavar="WHY", help="for the action log; what does something needs it"
        )
    _add_jobs(verb["jobs"])
    _add_credentials(verb["credentials"])
    _add_users(verb["users"])
    _add_letters(verb["dead-letters"], verb["replay"])


def _add_models(models: Parser) -> None:
    models.intermixed = True
    actions = ("list", "show", "lineage", "run", "backfill", "test", "export-dbt")
    models.add_argument("action", nargs="?", default="list", choices=actions)
    words = "the NAME to show; the NAME.COLUMN to trace; NAMEs to test, or with tag:core to build (all); a new folder"
    models.add_argument("words", nargs="*", metavar="WORD", help=words)
    models.add_argument("--full", action="store_true", help="of run: incremental models whole, frozen months, too")
    models.add_argument("--from", dest="first", metavar="DAY", help="of backfill: its first month has this day")
    models.add_argument("--to", dest="last", metavar="DAY", help="of backfill: its last month has this day")
    models.add_argument("--why", default="", metavar="WHY", help="for the action log, of run and backfill")


def _add_import(history: argparse.ArgumentParser) -> None:
    history.add_argument("file", nargs="?", type=Path, help="CSV or NDJSON")
    encoding = "of the file, such as cp1252 (without: UTF-8, or what the file tells)"
    history.add_argument("--encoding", metavar="NAME", help=encoding)
    dates = "of its times, such as %%d/%%m/%%Y or '%%d.%%m.%%Y %%H:%%M' (without: 2026-12-31 and RFC 3339)"
    history.add_argument("--date-format", metavar="FORMAT", help=dates)
    thousands = "what parts the thousands of its numbers: , or . or ' or a space (without: nothing)"
    history.add_argument("--thousands", metavar="MARK", help=thousands)
    history.add_argument("--dry-run", action="store_true", help="only tell what it would be")
    history.add_argument("--why", default="", metavar="WHY", help="for the action log")


def _add_score(score: argparse.ArgumentParser) -> None:
    score.add_argument("file", nargs="?", type=_path, help="JSON, NDJSON, CSV or Parquet, by its suffix")
    out = "of the result, its suffix tells what it is (beside the file: ..._final_fake_analysis)"
    score.add_argument("--out", type=_path, metavar="FILE", help=out)
    score.add_argument("--workers", type=_workers, metavar="N", help="processes (as many as there are cores)")
    score.add_argument("--handle", metavar="HANDLE", help="of one follower, without a file")
    score.add_argument("--name", metavar="NAME", help="its full name")
    for name in ("followers", "following", "posts", "age-days"):
        score.add_argument(f"--{name}", type=int, metavar="N", help="of its account, if known")
    for name in ("picture", "private"):
        score.add_argument(f"--{name}", choices=("yes", "no"), help="of its account, if known")


def _workers(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= WORKERS_MAX):
        raise argparse.ArgumentTypeError(f"1 to {WORKERS_MAX}")
    return int(text)


def _add_jobs(jobs: argparse.ArgumentParser) -> None:
    jobs.add_argument("action", choices=("list", "show", "add", "retry", "cancel"))
    words = "the ID of the one to show; the FLOW to add jobs of, and of one job its params as NAME=VALUE"
    jobs.add_argument("words", nargs="*", metavar="WORD", help=words)
    jobs.add_argument("--flow", metavar="FLOW")
    jobs.add_argument("--status", metavar="STATUS", help="PENDING, PROCESSING, COMPLETE, FAILED, EXPIRED, CANCELLED")
    jobs.add_argument("--code", metavar="CODE", help="of the last failure")
    jobs.add_argument("--since", metavar="TIME", help="ended or waiting since then: RFC 3339, or 90s, 30m, 2h, 1d ago")
    jobs.add_argument("--key", metavar="KEY", help="that it has; of one to add: one unfinished job has a key")
    jobs.add_argument("--id", action="append", metavar="ID", help="may be given again")
    jobs.add_argument("--limit", type=int, metavar="N", help="at most so many")
    jobs.add_argument("--file", type=_path, metavar="FILE", help="CSV of jobs to add: its header names the params")
    jobs.add_argument("--priority", type=int, metavar="N", help="of jobs to add, -99 to 99 (0), the highest first")
    jobs.add_argument("--ttl", type=int, metavar="S", help="seconds that a job to add may wait (a day)")
    jobs.add_argument("--dry-run", action="store_true", help="only tell how many it would be")
    jobs.add_argument("--why", default="", metavar="WHY", help="for the action log; retry and cancel need it")


def _add_credentials(credentials: argparse.ArgumentParser) -> None:
    credentials.add_argument("action", choices=("list", "add", "probe", "enable", "disable", "rotate-key"))
    credentials.add_argument("source", nargs="?", metavar="SOURCE")
    handle = "what people call it; enable without it ends the rests of the source and its apps"
    credentials.add_argument("handle", nargs="?", metavar="HANDLE", help=handle)
    secret = "the variable that holds the secret (without: stdin); a token, or a JSON object with all of it"
    credentials.add_argument("--secret-from", metavar="VARIABLE", help=secret)
    kinds = "token, key, facebook, instagram, google, shopify or shopify_app (token)"
    credentials.add_argument("--kind", default="token", metavar="KIND", help=kinds)
    credentials.add_argument(
        "--app", default="", metavar="APP", help="whom it was given to: they are throttled together"
    )
    credentials.add_argument("--account", metavar="ID", help="whose own it is: an Instagram user, a channel, a shop")
    credentials.add_argument("--scope", action="append", metavar="SCOPE", help="may be given again")
    credentials.add_argument("--expires-at", metavar="TIME", help="RFC 3339")
    credentials.add_argument("--data-access-expires-at", metavar="TIME", help="RFC 3339")
    credentials.add_argument("--why", default="", metavar="WHY", help="for the action log; all but list need it")


def _add_users(users: argparse.ArgumentParser) -> None:
    users.add_argument("action", choices=("add",))
    users.add_argument("email", metavar="EMAIL")
    users.add_argument("--role", required=True, choices=("operator", "owner", "editor", "viewer"))
    users.add_argument("--partner", type=int, default=1, metavar="ID", help="of all but operators (1)")
    users.add_argument("--why", default="", metavar="WHY", help="for the action log")


def _add_letters(letters: argparse.ArgumentParser, replay: argparse.ArgumentParser) -> None:
    for verb in (letters, replay):
        verb.add_argument("--queue", metavar="QUEUE", help="that refused it; unroutable: no queue was bound")
        verb.add_argument("--reason", metavar="TEXT", help="a part of the reason")
        verb.add_argument("--since", metavar="TIME", help="buried since then: RFC 3339, or 90s, 30m, 2h, 1d ago")
        verb.add_argument("--limit", type=int, metavar="N", help="at most so many")
    letters.add_argument("--show", metavar="ID", help="one letter, with headers and body, secrets masked")
    replay.add_argument("--id", action="append", metavar="ID", help="may be given again")
    replay.add_argument("--dry-run", action="store_true", help="only tell what it would be")
    replay.add_argument("--why", default="", metavar="WHY", help="for the action log; needed, but for a dry run")


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """The errors in it, however deep."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


def _told(error: GccError | BaseExceptionGroup[BaseException]) -> int:
    """Expected trouble, out of its groups, as one sentence on stderr; the exit code. Raises what is unexpected."""
    found = list(leaves(error)) if isinstance(error, BaseExceptionGroup) else [error]
    if any(isinstance(each, KeyboardInterrupt) for each in found):
        return INTERRUPTED
    if all(isinstance(each, OSError | SystemExit) for each in found):  # of stdout; rich exits where its reader left
        raise found[0]
    if not all(isinstance(each, GccError) for each in found):
        raise error
    complain(found[0])
    return USAGE if isinstance(found[0], ConfigError) else 1


def lose(stream: TextIO) -> None:
    """Let what it still holds, and all that comes, be lost: it has no reader or no room, and each flush fails."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def complain(what: object) -> None:
    """A sentence on stderr. Where that has no room it is lost, and the exit code still tells."""
    try:
        print(f"gcc: {what}", file=sys.stderr, flush=True)
    except OSError:
        lose(sys.stderr)


def _open_standard_streams() -> None:
    """/dev/null for those that the caller closed: what is opened next would get their numbers, and what they print."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115 - to the end


def _refuse_odd_zone() -> None:
    """A TZ more than a day away: whoever asks for the local time, as a driver does when it is loaded, fails."""
    if max(abs(time.timezone), abs(time.altzone)) >= 86_400:
        raise ConfigError("the variable TZ is no time zone; set it to a name such as UTC, or remove it")


def _unwritten(error: OSError) -> int:
    """The reader of stdout left, or its disk is full. Raises any other error."""
    if error.errno not in (errno.EPIPE, errno.ENOSPC):
        raise error
    lose(sys.stdout)
    if error.errno == errno.ENOSPC:
        complain(f"the output cannot be written: {error.strerror}")
    return 1


def main(argv: Sequence[str], prog: str = MODULE) -> int:
    """Run one verb; returns the exit code. Expected trouble is one sentence on stderr."""
    _open_standard_streams()
    try:
        try:
            arguments = parse(argv, prog)
            _refuse_odd_zone()
            gc.disable()  # of what is imported nothing goes again: to look for it would be a fifth of the time
            verb = importlib.import_module(f"gcc.cli.{arguments.verb.replace('-', '_')}")
            gc.enable()
            interrupt.imported()
            code = int(verb.main(arguments))
        except (GccError, BaseExceptionGroup) as error:
            code = _told(error)
        sys.stdout.flush()
        return code
    except OSError as error:
        return _unwritten(error)
    except KeyboardInterrupt:
        return INTERRUPTED


def command() -> NoReturn:
    """The installed command `gcc-platform`."""
    sys.exit(main(sys.argv[1:], prog=COMMAND))

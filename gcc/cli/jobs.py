"""`jobs list|retry|cancel [filters]`: looks at jobs, or lets those that match begin anew or end. `jobs show ID`: tells
all of one. `jobs add FLOW k=v ...` or `jobs add FLOW --file F.csv`: adds one, or one for each row."""

import argparse
import csv
import datetime as dt
import io
import json
import re
import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from gcc.cli.client import Running, find, many, sentence
from gcc.cli.files import chunks, tell, tell_rejected
from gcc.clock import Clock, SystemClock
from gcc.config import Kept
from gcc.errors import ConfigError

AGO = re.compile(r"(\d+)([smhd])")
SHOWN = (
    "id", "flow", "platform", "params", "key", "status", "code", "reason", "source", "priority", "attempt",
    "retry_count", "lost", "created_at", "due_at", "picked_at", "lease_until", "ended_at", "expires_at", "events",
)  # fmt: skip
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def main(arguments: argparse.Namespace) -> int:
    if arguments.action == "add":
        return _add(arguments)
    if len(arguments.words) != (arguments.action == "show"):
        raise ConfigError("jobs show needs the ID of one: jobs show ID; list, retry and cancel take --id ID")
    if arguments.action == "show":
        return _show(find(arguments), arguments.words[0], as_json=arguments.json)
    wanted = filter_of(arguments, SystemClock())
    if arguments.action == "list":
        return _list(find(arguments), wanted, as_json=arguments.json)
    body = {"filter": wanted, "why": arguments.why, "dry_run": arguments.dry_run}
    if not (arguments.why or arguments.dry_run):
        raise ConfigError(f"jobs {arguments.action} needs --why WHY, or --dry-run")
    done = find(arguments).act(f"/api/jobs/{arguments.action}", body)
    if arguments.json:
        print(json.dumps(done))
    else:
        told = {"retry": "retried", "cancel": "cancelled"}[arguments.action]
        print(f"{many(done['things'], 'job')} {'would be ' if arguments.dry_run else ''}{told}")
    return 0


def _add(arguments: argparse.Namespace) -> int:
    flow, *params = arguments.words or [None]
    if flow is None or bool(params) == (arguments.file is not None):
        raise ConfigError("jobs add needs a flow, and what its job is of: jobs add FLOW k=v ..., or FLOW --file F.csv")
    given = {
        "flow": flow,
        "name": arguments.file and arguments.file.name,
        "priority": arguments.priority,
        "ttl_s": arguments.ttl,
        "key": arguments.key,
        "why": arguments.why or None,
        "dry_run": "true" if arguments.dry_run else None,
    }
    query: dict[str, Any] = {
        name: str(value).encode(errors="replace").decode() for name, value in given.items() if value is not None
    }
    content = one_row(params) if arguments.file is None else chunks(arguments.file)
    report = find(arguments).ask("POST", "/api/jobs/add", content=content, **query)["data"]
    if arguments.json:
        print(json.dumps(report))
    elif arguments.file is None and report["job"]:
        print(f"{report['job']}  {'added' if report['added'] else 'was there already'}")
    elif arguments.file is None and report["rejected"]:
        tell("{field}: {reason}".format(**report["rejected"][0]))
    else:
        would = "would be " if arguments.dry_run else ""
        told = f"{report['added']:,} {would}added, {report['known']:,} are there already"
        print(f"{many(report['rows'], 'row')}: {told}, {report['rejected_total']:,} rejected")
        tell_rejected(report)
    return 1 if report["rejected_total"] else 0


def one_row(params: Sequence[str]) -> bytes:
    """What k=v, ... are as a file of one job. ConfigError: they are not written so."""
    if odd := next((each for each in params if not each.partition("=")[1]), None):
        raise ConfigError(f"a param is given as NAME=VALUE, not as {odd[:40]!r}")
    text = io.StringIO()
    csv.writer(text).writerows(zip(*(each.split("=", 1) for each in params), strict=True))
    return text.getvalue().encode(errors="replace")


def filter_of(arguments: argparse.Namespace, clock: Clock) -> dict[str, Any]:
    """What was given, as the ops port takes it."""
    given = {
        "flow": arguments.flow,
        "status": arguments.status and arguments.status.upper(),
        "code": arguments.code,
        "since": arguments.since and moment(arguments.since, clock),
        "key": arguments.key,
        "ids": arguments.id,
        "limit": arguments.limit,
    }
    return {name: value for name, value in given.items() if value is not None}


def moment(word: str, clock: Clock) -> str:
    """What --since says, RFC 3339. ConfigError: it is no time."""
    if ago := AGO.fullmatch(word):
        return (clock.now() - dt.timedelta(seconds=int(ago[1]) * SECONDS[ago[2]])).isoformat()
    try:
        at = dt.datetime.fromisoformat(word)
    except ValueError:
        raise ConfigError(f"--since {word!r} is no time; write 2026-10-31T12:00:00Z, or 30m, 2h, 1d ago") from None
    return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).isoformat()


def _list(running: Running, wanted: dict[str, Any], *, as_json: bool) -> int:
    query = {name: ",".join(value) if name == "ids" else str(value) for name, value in wanted.items()}
    answer = running.ask("GET", "/api/jobs", content=None, holds=list, **query)
    jobs, total = answer["data"], answer["meta"]["total"]
    more = " or more" if total >= answer["meta"]["counted_max"] else ""
    if as_json:
        print(json.dumps({"jobs": jobs, "total": total}))
        return 0
    for job in jobs:
        params = job["params"]  # any JSON: somebody else may have written the row
        named = isinstance(params, dict)
        what = " ".join(f"{name}={_word(value)}" for name, value in params.items()) if named else json.dumps(params)
        failure = f"{job['code']}: {job['reason']}" if job["code"] else ""
        parts = [
            job["id"],
            job["status"],
            job["created_at"][:19],
            job["flow"],
            what,
            many(job["retry_count"], "failure"),
            failure,
        ]
        print(_on_screen(parts) if sys.stdout.isatty() else "\t".join(map(sentence, parts)))
    about = sys.stdout if sys.stdout.isatty() else sys.stderr  # in a pipe a line is a job, and nothing else
    print(f"{len(jobs):,} of {many(total, 'job')}{more}", file=about)
    kept = Kept(**{f"{kind}_days": days for kind, days in answer["meta"]["kept_days"].items()})
    now = SystemClock().now()
    asked = now - dt.datetime.fromisoformat(wanted["since"]) if "since" in wanted else dt.timedelta()
    if not jobs or 0 < kept.jobs_days <= asked.days:
        print(kept.jobs_in_words, file=about)
    return 0


def _show(running: Running, job_id: str, *, as_json: bool) -> int:
    job = running.ask("GET", f"/api/jobs/{quote(job_id, safe='')}")["data"]
    if as_json:
        print(json.dumps(job))
        return 0
    for name in SHOWN:
        if job[name] is not None:
            shown = job[name] if isinstance(job[name], str) else json.dumps(job[name])
            print(f"{name:<12} {sentence(shown)}")
    for title, text in (("data", job["data"]), ("traceback", job["traceback"])):
        if text:
            print(f"\n{title}")
            print("\n".join(f"    {_line(line)}" for line in text.splitlines()))
    if job["history_error"]:
        print(f"\nwhat became of it, and what was asked for it, is not known: {sentence(job['history_error'])}")
        return 0
    print("\nwhat became of it, as far as it is stored")
    for told in job["statuses"]:
        print(f"    {told['at'][:19]}  {told['status']:<10}  {sentence(told['reason'] or '')}".rstrip())
    print("\nwhat was asked for it")
    for asked in job["requests"]:
        answered = asked["status"] or "no answer"
        took = f"{asked['took_s'] * 1000:,.0f} ms"
        print(
            f"    {asked['at'][:19]}  {asked['source']}  {asked['method']} {sentence(asked['uri'])}  {answered}  {took}"
        )
    return 0


def _word(value: Any) -> str:
    """A param as `jobs add` takes it."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _line(text: str) -> str:
    """One line of a text, its indentation kept, without what would steer the terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _on_screen(parts: Sequence[str]) -> str:
    """Three lines at most, which fit 80 columns but for a long reason."""
    job_id, status, created, flow, what, retries, failure = map(sentence, parts)
    lines = [
        f"{job_id}  {status:<10}  {created}",
        f"    {flow}  {what}  {retries}",
        f"    {failure}" if failure else "",
    ]
    return "\n".join(filter(None, lines))

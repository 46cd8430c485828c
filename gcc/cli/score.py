"""`score FILE [--out FILE] [--workers N]`: the followers in a file, each with its score and the reasons; and
`score --handle HANDLE --name NAME`: one, for people. Neither needs a platform."""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict

import trio
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from gcc.cli import leaves
from gcc.cli.client import printable
from gcc.cli.files import SHOWN_MAX, tell
from gcc.errors import ConfigError, Permanent
from gcc.pipelines.scoring.bulk import Job, Report, Show, out_of, score_file
from gcc.pipelines.scoring.record import Account, Follower, Reason
from gcc.pipelines.scoring.rows import VERDICTS, plain_handle, to_json, told, verdict
from gcc.pipelines.scoring.scorer import score

SMALL_BYTES = 1 << 20  # scored before a process has started
STEP_PERCENT = 10  # without a terminal, progress is a line each
GOES_ON = "what is scored stays: the same command goes on from there"
NOBODY = "nobody has a score, and `refused` says why: a handle needs a full name (Instagram's own download tells none)"
SHARES_FROM = 100  # followers with a score; fewer make no shares
Z = 1.96  # the normal distribution's 97.5th percentile
SAYS = {
    "real": "real: nothing in the names speaks against it",
    "weak": "a weak sign",
    "fake": "fake",
    "unscored": "not known",
}


def main(arguments: argparse.Namespace) -> int:
    of_one = arguments.handle is not None or arguments.name is not None
    if of_one == (arguments.file is not None):
        raise ConfigError("score needs a file, or --handle and --name: score FILE; score --handle HANDLE --name NAME")
    return _one(arguments) if of_one else _file(arguments)


def _one(arguments: argparse.Namespace) -> int:
    known = {name: getattr(arguments, name) for name in ("followers", "following", "posts", "age_days")}
    flags = {
        name: None if (said := getattr(arguments, name)) is None else said == "yes" for name in ("picture", "private")
    }
    scored = score(Follower(plain_handle(arguments.handle or ""), arguments.name or "", Account(**known, **flags)))
    if arguments.json:
        print(to_json(told(scored)).decode())
        return 0
    shown = "-" if scored.score is None else f"{scored.score:g}"
    print(f"by names     {shown:<5} {scored.refused or SAYS[verdict(scored.score)]}")
    _tell_reasons(scored.reasons)
    if scored.account_score is None:
        print("by account   -     nothing is known of it (--followers, --following, --posts, ...)")
    else:
        print(f"by account   {scored.account_score:<5.2f} from 0, real, to 1, fake")
    _tell_reasons(scored.account_reasons)
    print(f"scorer {scored.scorer_version}; names alone are weak evidence: docs/scoring.md")
    return 0


def _tell_reasons(reasons: Iterable[Reason]) -> None:
    for reason in reasons:
        value = f"{reason.value:g}" if isinstance(reason.value, float) else reason.value
        print(printable(f"  {reason.feature:<24} {value!s:<6} {reason.against}"))


def _file(arguments: argparse.Namespace) -> int:
    """1: lines of the file are no rows, or nothing could be scored."""
    file = arguments.file
    is_small = file.is_file() and file.stat().st_size < SMALL_BYTES
    workers = arguments.workers or (1 if is_small else len(os.sched_getaffinity(0)))
    job = Job(file, arguments.out or out_of(file), workers)
    try:
        with _progress() as show:
            report = trio.run(score_file, job, show)
    except* KeyboardInterrupt:
        tell(f"interrupted; {GOES_ON}")
        raise
    except* OSError as errors:
        error = next(each for each in leaves(errors) if isinstance(each, OSError))
        raise Permanent(f"{error.filename or job.out}: {error.strerror}; {GOES_ON}") from None
    if arguments.json:
        more = {"rows": report.rows, "rows_per_s": report.rows_per_s, "shares": shares(report.counts)}
        print(json.dumps(asdict(report) | more))
    else:
        print(_counts(report))
        print(_shares(report))
        if report.rows and report.counts["unscored"] == report.rows:
            tell(NOBODY)
        for line, why in report.bad[:SHOWN_MAX]:
            tell(f"line {line:,}: {why}")
        if report.bad_total > SHOWN_MAX:
            tell(f"... {report.bad_total:,} lines are no rows; --json lists more")
    return 1 if report.bad_total else 0


def _counts(report: Report) -> str:
    parts = [f"{report.counts[kind]:,} {kind}" for kind in VERDICTS]
    before = f", {report.resumed_rows:,} of them before" if report.resumed_rows else ""
    rate = f"{report.seconds:,.1f} s, {report.rows_per_s:,.0f} rows/s"
    return f"{report.rows:,} rows{before} into {report.out}: {', '.join(parts)} ({rate})"


def shares(counts: Mapping[str, int]) -> dict[str, float] | None:
    """Of the `n` with a score by names, and Wilson's bounds of 95 % for the share of fake. None: too few for any."""
    n = sum(counts.values()) - counts["unscored"]
    if n < SHARES_FROM:
        return None
    fake, z2 = counts["fake"] / n, Z * Z
    middle, half = fake + z2 / (2 * n), Z * math.sqrt(fake * (1 - fake) / n + z2 / (4 * n * n))
    bounds = {"fake_low": (middle - half) / (1 + z2 / n), "fake_high": (middle + half) / (1 + z2 / n)}
    return {"n": n, **{kind: counts[kind] / n for kind in ("real", "weak", "fake")}, **bounds}


def _shares(report: Report) -> str:
    told = shares(report.counts)
    if told is None:
        return f"too few for shares: under {SHARES_FROM} with a score by names"
    return (
        f"of {told['n']:,} with a score by names: fake {told['fake']:.1%} ({told['fake_low']:.1%} to"
        f" {told['fake_high']:.1%}), weak {told['weak']:.1%}, real {told['real']:.1%}"
    )


@contextmanager
def _progress() -> Iterator[Show]:
    """A bar on a terminal, else a line for each tenth."""
    if not sys.stderr.isatty():
        yield _steps()
        return
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("scoring", total=None)

        def show(done: int, of: int, rows: int) -> None:
            progress.update(task, completed=done, total=of, description=f"{rows:,} followers scored")

        yield show


def _steps() -> Show:
    last: int | None = None

    def show(done: int, of: int, rows: int) -> None:
        nonlocal last
        step = 100 * done // max(of, 1) // STEP_PERCENT * STEP_PERCENT
        if last is None:
            if rows:
                tell(f"{rows:,} rows were scored before; going on from there")
        elif step > last:
            tell(f"{step} %, {rows:,} rows")
        last = step

    return show

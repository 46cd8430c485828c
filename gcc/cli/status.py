"""`status [--watch]`: what a running platform is doing, once or followed live in the terminal."""

import argparse
import json
import sys
from collections import Counter
from typing import Any

import trio
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gcc.cli.client import Running, find, many, sentence
from gcc.cli.live import messages
from gcc.cli.times import next_run
from gcc.supervisor.lifecycle import State

PIPE_COLUMNS = 160
RUNS_TOLD = 6
STATE_COLUMNS = max(map(len, State))
COLOURS = {
    "ready": "green",
    "running": "green",
    "starting": "yellow",
    "draining": "yellow",
    "unready": "red",
    "failed": "red",
}


def main(arguments: argparse.Namespace) -> int:
    running = find(arguments)
    if arguments.watch:
        try:
            trio.run(_watch, running, arguments.json)
        except* KeyboardInterrupt:
            pass
        return 0
    status = running.ask("GET", "/api/status", holds=None)
    if arguments.json:
        print(json.dumps(status))
    else:
        Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS).print(screen(status, running.page))
    return 0 if status["state"] == "ready" else 1


async def _watch(running: Running, as_json: bool) -> None:
    async with messages(running) as live_messages:
        if as_json:
            async for message in live_messages:
                print(json.dumps(message), flush=True)
            return
        if not sys.stdout.isatty():  # one screen after the other
            console = Console(width=PIPE_COLUMNS)
            async for message in live_messages:
                console.print(screen(message, running.page), "")
                sys.stdout.flush()
            return
        with Live(console=Console(), auto_refresh=False) as live:
            async for message in live_messages:
                live.update(screen(message, running.page), refresh=True)


def screen(status: dict[str, Any], page: str) -> Group:
    """The status object as people read it."""
    state = status["state"]
    head = Text.assemble(
        (state, f"bold {COLOURS.get(state, 'white')}"),
        f"  up {_duration(status['uptime_s'])}",
        f"  {_number(status['events_per_s'])} events/s",
        f"  lag {_number(status['stored_lag_s'])} s",
        f"  in flight {_number(status['in_flight'])}",
        f"  {page}",
    )
    parts: list[Any] = [head]
    errors = {actor["name"]: actor["last_error"] for actor in status["actors"]}
    for part in status["degraded"]:
        parts.append(Text.assemble(("away  ", "bold"), (part, "yellow"), f"  {errors.get(part) or ''}"))
    crawl = status.get("first_crawl")
    if crawl and crawl["done"] < crawl["total"]:
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            "first crawl", ProgressBar(total=crawl["total"], completed=crawl["done"], width=40),
            f"{crawl['done']:,} of {crawl['total']:,}",
        )  # fmt: skip
        parts.append(bar)
    if drained := [role for role in status["roles"] if role["state"] != "running"]:
        told = ", ".join(f"{role['name']} is {role['state']}" for role in drained)
        parts.append(Text.assemble(("roles  ", "bold"), (told, "yellow"), "; resume ROLE lets one work again"))
    busy = {actor["name"] for actor in status["actors"] if not actor["idle"]}
    parts += [_actors(status["actors"]), _channels(status["channels"], busy), _jobs(status)]
    if len(processes := status["processes"]) > 1:
        parts.append(_processes(processes))
    parts += [
        Text.assemble(("limits differ  ", "bold"), (sentence(told), "yellow")) for told in status["differing_limits"]
    ]
    if due := [line for line in status.get("schedules", []) if line["next_run"]]:
        due.sort(key=lambda line: (not line["running"], line["next_run"]))
        told = "  ".join(f"{line['name']} {next_run(line)}" for line in due[:RUNS_TOLD])
        more = f"  and {len(due) - RUNS_TOLD} more; see: schedules" * (len(due) > RUNS_TOLD)
        parts.append(Text.assemble(("next runs  ", "bold"), told, (more, "dim")))
    if replicas := status.get("replicas"):
        parts.append(_replicas(replicas))
    if (letters := status.get("dead_letters")) and letters["letters"]:
        words = f"{letters['letters']:,} with {many(letters['events'], 'event')}; see: dead-letters"
        parts.append(Text.assemble(("dead letters  ", "bold"), (words, "yellow")))
    return Group(*parts)


def _replicas(replicas: list[dict[str, Any]]) -> Text:
    """How old they are, and which are behind."""
    lags = [line["lag_s"] for line in replicas if line["lag_s"] is not None]
    first = (
        f"{len(lags)} of {len(replicas)} have all that changed {max(lags):.0f} s ago" if lags else "none is whole yet"
    )
    behind = [f"{line['name']}: {line['error']}" for line in replicas if line["error"]]
    return Text.assemble(("replicas  ", "bold"), first, ("".join(f"; {told}" for told in behind), "yellow"))


def _actors(actors: list[dict[str, Any]]) -> Table:
    """The idle ones of a kind share a line after its last one."""
    table = Table(box=None, header_style="bold", expand=True)
    table.add_column("actor", overflow="fold")  # the one that a narrow terminal makes narrower
    table.add_column("state", no_wrap=True, min_width=STATE_COLUMNS)
    for title in ("restarts", "rate/s", "in flight", "lag s"):
        table.add_column(title, justify="right", no_wrap=True, min_width=len(title))
    table.add_column("last error", overflow="ellipsis", no_wrap=True, ratio=1)
    idle = Counter(actor["kind"] for actor in actors if actor["idle"])
    last = {actor["kind"]: actor["name"] for actor in actors}
    for actor in actors:
        kind = actor["kind"]
        if not actor["idle"] or idle[kind] == 1:
            table.add_row(
                actor["name"], Text(actor["state"], COLOURS.get(actor["state"], "default")), str(actor["restarts"]),
                _number(actor["rate_per_s"]), f"{actor['in_flight']:,}", _number(actor["lag_s"]),
                actor["last_error"] or "",
            )  # fmt: skip
        if idle[kind] > 1 and actor["name"] == last[kind]:
            group = actor["name"].partition("/")[0]
            table.add_row(Text(f"{group}/{idle[kind]} idle {kind}", "dim"), Text("running", "dim"))
    return table


def _channels(channels: list[dict[str, Any]], busy: set[str]) -> Table:
    """Those that are empty, and of which nobody who is `busy` takes, share a line."""
    table = Table("channel", "kind", box=None, header_style="bold")
    table.add_column("used", justify="right")
    table.add_column("size", justify="right")
    folded = 0
    for channel in channels:
        is_taken = channel["consumer"] in busy or (channel["kind"] != "queue" and channel["consumer"] is None)
        if not channel["used"] and not is_taken:
            folded += 1
        else:
            table.add_row(channel["name"], channel["kind"], _number(channel["used"]), _number(channel["size"]))
    if folded:
        table.add_row(Text(f"{folded} idle channels and queues", "dim"), "", "0")
    return table


def _processes(processes: list[dict[str, Any]]) -> Table:
    table = Table("process", "state", "version", "roles", box=None, header_style="bold")
    for process in processes:
        state = Text(sentence(process["state"]), COLOURS.get(process["state"], "default"))
        if process["silent"]:
            ago = _duration(process["seen_s"])
            left = process["state"] == "draining"
            state = Text(f"left {ago} ago") if left else Text(f"silent for {ago}", "yellow")
        elif process["away"]:
            state = Text(sentence(f"{process['state']}, without {' '.join(process['away'])}"), "yellow")
        drained = f", drained: {' '.join(process['drained'])}" if process["drained"] else ""
        told = (f"{process['host']}:{process['pid']}", process["version"], f"{' '.join(process['roles'])}{drained}")
        name, version, roles = (Text(sentence(word)) for word in told)  # another process wrote it
        table.add_row(name, state, version, roles)
    return table


def _jobs(status: dict[str, Any]) -> Text:
    counts = "  ".join(f"{state} {count:,}" for state, count in sorted(status["jobs"].items()))
    return Text.assemble(("jobs  ", "bold"), counts or "none")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.1f}".removesuffix(".0")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"

"""`doctor`: what is wrong with the configuration, this machine, the stores or a running platform, and its mending.

Works beside a running platform, whose embedded stores it does not open: it asks the ops port, and PostgreSQL over
its socket. Of a stopped platform it starts the embedded stores itself, as `check` does; before the first start it
checks what that needs. Exit 0: nothing failed (warnings may stand); 1: something did; 2: wrong use or configuration.
"""

import argparse
import errno
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import trio
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from gcc.cli import USAGE, checkup, checkup_rabbitmq, checkup_redis
from gcc.cli.checkup import VERB, within
from gcc.cli.client import NOBODY, Told, decoded, settings_as_run
from gcc.cli.descriptors import allow_files
from gcc.cli.finding import Finding
from gcc.clock import Clock, SystemClock
from gcc.config import Bind, Settings
from gcc.errors import ConfigError, GccError
from gcc.parts import open_objects, rabbitmq_topology
from gcc.passwords import encoded, masked, passwords
from gcc.pipelines.events.pipeline import bindings
from gcc.refusals import DEV_TOKEN
from gcc.statements import SQL
from gcc.stores import data_folder
from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.tree import Tree
from gcc.web.ops.registry import REGISTRY, read_registry

DEADLINE_S = 10.0  # of each question
PIPE_COLUMNS = 160
LISTEN = "0A"  # a state in /proc/net/tcp
SIGNS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "bold red")}


def main(arguments: argparse.Namespace) -> int:
    code = 0
    try:
        settings = settings_as_run(arguments)
        allow_files(settings)
        Tree(settings, SystemClock())  # opens nothing, and refuses what a start would
    except ConfigError as error:
        wrong = Finding("config", "fail", str(error), "mend that in the file, in the variable GCC_... or after --set")
        findings, code = [wrong, checkup.python(), checkup.libraries(SQL.parent)], USAGE
    else:
        found = f"{settings.told_by}; roles {', '.join(settings.roles or ['all'])}; data_dir {settings.data_dir}"
        told = Finding("config", "ok", found)
        findings = [told, *trio.run(partial(examine, settings, clock=SystemClock()))]
    well = all(finding.state != "fail" for finding in findings)
    if arguments.json:
        print(json.dumps({"well": well, "checks": [asdict(finding) for finding in findings]}))
    else:
        Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS).print(screen(findings))
    return code or (0 if well else 1)


@dataclass(frozen=True, slots=True)
class Beside:
    """A process that has the data folder: its number and last status, None where it does not tell."""

    pid: int | None
    status: dict[str, Any] | None


async def examine(
    settings: Settings,
    *,
    clock: Clock,
    sql: Path = SQL,
    deadline_s: float = DEADLINE_S,
    free_bytes: int | None = None,
) -> list[Finding]:
    """All findings but the first, in the order of a start: this machine, its ports, the stores.

    `sql` holds the migrations; `free_bytes` stands in for the free bytes of the disk. No secret of `settings` is in
    a finding. Raises nothing that can be expected. Cancelled: stops a server that it started.
    """
    beside, platform = await _platform(settings, deadline_s)
    findings = [
        checkup.python(),
        checkup.libraries(SQL.parent),
        *([] if beside else [checkup.memory()]),
        folder := checkup.folder(settings.data_dir),
        checkup.disk(settings.data_dir, free_bytes),
        *platform,
        *await _ports(settings, beside, deadline_s),
    ]
    findings += await checkup_redis.examine(settings, clock, deadline_s)
    if folder.state != "fail":
        findings += await _stores(settings, beside, clock, sql, deadline_s)
    if settings.exchange.url != "postgres":
        findings += await checkup_rabbitmq.examine(
            settings.exchange.url,
            bindings(foreign=True),
            rabbitmq_topology(settings),
            running=beside is not None,
            deadline_s=deadline_s,
        )
    secrets = _secrets(settings)
    return [_without(secrets, finding) for finding in findings]


async def _stores(
    settings: Settings, beside: Beside | None, clock: Clock, sql: Path, deadline_s: float
) -> list[Finding]:
    running = beside is not None
    postgres = partial(
        checkup.postgres,
        settings=settings, clock=clock, running=running, sql=sql / "postgres", deadline_s=deadline_s,
    )  # fmt: skip

    async def clickhouse() -> list[Finding]:
        embedded = settings.clickhouse.url == "chdb"
        if beside and embedded:
            return [_held_clickhouse(beside)]
        target = settings.data_dir / "clickhouse" if embedded else settings.clickhouse.url
        return await checkup.clickhouse(target, clock, running=running, sql=sql / "clickhouse", deadline_s=deadline_s)

    async def clickhouse_alone() -> list[Finding]:
        """Its folder is opened under the lock of the data folder: no platform starts meanwhile."""
        if beside or settings.clickhouse.url != "chdb" or not (settings.data_dir / "clickhouse").is_dir():
            return await clickhouse()
        try:
            async with data_folder.owned(settings.data_dir):
                return await clickhouse()
        except ConfigError as error:
            return [Finding("clickhouse", "fail", f"{error}; it could not be looked at", "mend what it names")]

    findings: list[Finding] = []
    if settings.objects.url.startswith("s3:") or settings.data_dir.is_dir():  # else: nothing is made before a start
        probe = partial(checkup.objects, open_objects(settings), f"doctor-{clock.new_id()}")
        findings += await within(deadline_s, "objects", probe)
    if settings.postgres.url != "embedded":
        return [*findings, *await postgres(settings.postgres.url), *await clickhouse_alone()]
    embedded = EmbeddedPostgres(settings.data_dir, fsync=settings.postgres.fsync)
    if beside:
        return [*findings, *await postgres(embedded.conninfo), *await clickhouse()]
    if not (settings.data_dir / "postgres").is_dir():
        findings += await within(deadline_s, "postgres", checkup.server_programs)
        return [*findings, checkup.sane(clock.now(), None), *checkup.seeds(settings), *await clickhouse_alone()]
    try:
        async with data_folder.owned(settings.data_dir), trio.open_nursery() as nursery:
            await nursery.start(embedded.serve)
            findings += await postgres(embedded.conninfo)
            findings += await clickhouse()
            nursery.cancel_scope.cancel()
    except* GccError as group:
        why = "; ".join(str(error) for error in group.exceptions)
        mend = f"mend what it names; the server's log is {settings.data_dir / 'postgres.log'}"
        findings.append(Finding("postgres", "fail", f"{why}; the stores could not be looked at", mend))
    return findings


# a platform that runs


async def _platform(settings: Settings, deadline_s: float) -> tuple[Beside | None, list[Finding]]:
    """Who has the data folder, as far as its registry tells."""
    file = settings.data_dir / REGISTRY
    try:
        match json.loads(read_registry(file)):
            case {"pid": int(pid), "url": str(url), "token": str(token)}:
                pass
            case _:
                raise ValueError("it is not what a platform writes there")
    except (FileNotFoundError, NotADirectoryError):
        return None, [Finding("platform", "ok", "none runs here")]
    except (ConfigError, OSError, ValueError, RecursionError) as error:
        mend = f"run doctor as the user of the platform; if none runs, remove {file}"
        return Beside(None, None), [Finding("platform", "fail", f"{file} cannot be read: {error}", mend)]
    try:
        with trio.fail_after(deadline_s):
            async with httpx.AsyncClient(trust_env=False, timeout=None, verify=NOBODY) as client:
                answer = await client.get(url + "/api/status", headers={"Authorization": f"Bearer {token}"})
        status = None if answer.is_client_error else decoded(answer.raise_for_status().content) or Told()
    except httpx.ConnectError:
        status = None
    except (trio.TooSlowError, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        why = checkup.first_line(error, default=f"no answer within {deadline_s:g} s")
        mend = f"see whether process {pid} is stopped or overloaded; kill -9 loses nothing, then: {VERB} run"
        return Beside(pid, None), [Finding("platform", "fail", f"process {pid} at {url}: {why}", mend)]
    if status is None:  # nobody is there, or somebody else by now
        found = f"process {pid} is gone without a word; {file.name} is what it left"
        return None, [
            Finding(
                "platform", "warn", found, f"start it again, with the --config that it had, which tidies up: {VERB} run"
            )
        ]
    try:
        found = f"{status['state']} for {status['uptime_s']:,.0f} s, process {pid} at {url}"
        platform = Finding("platform", "ok", found)
        if status["state"] != "ready":
            platform = Finding("platform", "warn", found, f"wait until it is ready or gone: {VERB} status --watch")
        return Beside(pid, status), [platform, *_environment(settings, status), *_actors(status)]
    except (GccError, LookupError, TypeError, ValueError, AttributeError):
        mend = "see what listens there; use the doctor of the release that runs"
        return Beside(pid, None), [
            Finding("platform", "fail", f"what answers at {url} is no platform of this version", mend)
        ]


def _environment(settings: Settings, status: dict[str, Any]) -> list[Finding]:
    """Variables that the running platform was given and this command was not: their values are known to it alone."""
    lacking = sorted(_variables(status["settings"]) - _variables(settings.told_by))
    if not lacking:
        return []
    found = (
        f"lacks {', '.join(lacking)}, which the running platform was given: what is looked at below may be other stores"
    )
    return [Finding("environment", "warn", found, "set the same variables here, then ask again")]


def _variables(told_by: str) -> set[str]:
    """The names among what tells where settings come from."""
    return {word for word in told_by.split(", ") if word.startswith("GCC_")}


def _actors(status: dict[str, Any]) -> list[Finding]:
    """What its actors tell of themselves: those in trouble, and what people paused or drained."""
    trouble = [f"{actor['name']} {what}" for actor in status["actors"] if (what := _trouble(actor))]
    paused = [actor["name"] for actor in status["actors"] if actor["state"] == "paused"]
    if status["counts_error"]:
        trouble.append(f"counting: {status['counts_error']}")
    failed = any(actor["state"] == "failed" or actor.get("stuck") for actor in status["actors"])
    mend = f"mend the cause, they go on by themselves; their errors and stacks: {VERB} status --json"
    findings = [Finding("actors", "ok", f"{len(status['actors'])}, none in trouble")]
    if trouble:
        findings = [Finding("actors", "fail" if failed else "warn", "; ".join(trouble), mend)]
    if paused:
        mend = f"let it go on: {VERB} resume WHAT --why WHY; who paused it, and why: {VERB} actions"
        findings.append(Finding("paused", "warn", ", ".join(paused), mend))
    if drained := [f"{role['name']} is {role['state']}" for role in status["roles"] if role["state"] != "running"]:
        mend = f"let it work again: {VERB} resume ROLE --why WHY"
        findings.append(Finding("roles", "warn", ", ".join(drained), mend))
    mend = "give every process the same sources.NAME.calls and per_s, and start it again"
    findings += [Finding("limits", "warn", told, mend) for told in status["differing_limits"]]
    return findings


def _trouble(actor: dict[str, Any]) -> str:
    words = [actor["state"]] if actor["state"] in ("failed", "backoff") else []
    words += [word for word, key in (("stuck", "stuck"), ("restarting again and again", "storm")) if actor.get(key)]
    if actor.get("breaker") in ("open", "half-open"):
        words.append(f"breaker {actor['breaker']}")
    return f"is {', '.join(words)} ({actor['last_error'] or 'no error told'})" if words else ""


def _held_clickhouse(beside: Beside) -> Finding:
    """The embedded engine belongs to the process that runs: what that one tells of it."""
    holds = f"held open by process {beside.pid}"
    states = {actor["name"]: actor for actor in (beside.status or {}).get("actors", [])}
    actor = states.get("stores/clickhouse")
    if actor is None:
        mend = "stop the platform and ask again, or use a ClickHouse server"
        return Finding("clickhouse", "warn", f"{holds}, which does not tell how it is", mend)
    if actor["state"] == "running":
        return Finding("clickhouse", "ok", f"{holds}, which applied its migrations when it started")
    found = f"{holds}, where it is {actor['state']} ({actor['last_error'] or 'no error told'})"
    return Finding("clickhouse", "fail", found, "mend the error, the platform tries again by itself")


# ports


async def _ports(settings: Settings, beside: Beside | None, deadline_s: float) -> list[Finding]:
    binds: dict[str, Bind] = {"ops": settings.ops}
    if settings.has_role("web"):
        binds["gateway"] = settings.gateway
    if settings.world.enabled:
        binds["world"] = Bind(port=settings.world.port)
    findings = []
    for key, bind in binds.items():

        async def look(key: str = key, bind: Bind = bind) -> list[Finding]:
            # In a thread, since a name server may be asked.
            return [await trio.to_thread.run_sync(_port, key, bind, beside, abandon_on_cancel=True)]

        findings += await within(deadline_s, f"{key}.port", look)
    return findings


def _port(key: str, bind: Bind, beside: Beside | None) -> Finding:
    name, place = f"{key}.port", f"{bind.host}:{bind.port}"
    if bind.port == 0:
        return Finding(name, "ok", "any free one")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            bind.host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the platform does
            listener.bind(address)
            listener.listen()
        return Finding(name, "ok", f"{place} is free")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            mend = f"set {key}.host to an address of this machine (127.0.0.1) and {name} to one above 1023"
            return Finding(name, "fail", f"{place} cannot be had: {error.strerror}", mend)
    holders = dict(_holders(bind.port))
    if beside and (beside.pid in holders or urlsplit(_url(beside, key)).port == bind.port):
        return Finding(name, "ok", f"{place} is held by the running platform")
    who = ", ".join(f"{program} (process {pid})" for pid, program in holders.items()) or "a process of another user"
    mend = f"stop that process, or choose another port: --set {name}=N (0: any free one)"
    return Finding(name, "fail", f"{place} is held by {who}", mend)


def _url(beside: Beside, key: str) -> str:
    return str((beside.status or {}).get("urls", {}).get(key, ""))


def _holders(number: int) -> Iterator[tuple[int, str]]:
    """(pid, program) of those that listen on the port, as far as we may look."""
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for fields in map(str.split, Path(table).read_text().splitlines()[1:]):
                if fields[1].endswith(f":{number:04X}") and fields[3] == LISTEN:
                    sockets.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(os.readlink(descriptor) in sockets for descriptor in (process / "fd").iterdir()):
                yield int(process.name), (process / "comm").read_text().strip()


# the report


def _secrets(settings: Settings) -> set[str]:
    """What must not be printed, in every form in which an error may repeat it."""
    urls = [getattr(settings, part).url for part in ("postgres", "clickhouse", "exchange", "redis", "objects")]
    urls.append(settings.postgres.web_url)
    found = {settings.objects.access_key, settings.objects.secret_key, settings.web.dev_token} - {DEV_TOKEN}
    for url in [*urls, *(source.base_url for source in settings.sources.values())]:
        found |= passwords(url) | encoded(url)
    for source in settings.sources.values():
        found |= {*source.tokens, *(token.rpartition(":")[2] for token in source.tokens)}
    return {secret for secret in (*found, *map(unquote, found)) if secret}


def _without(secrets: set[str], finding: Finding) -> Finding:
    return replace(finding, found=masked(finding.found, secrets))


def screen(findings: list[Finding]) -> Group:
    """The findings as people read them: a line each, and below it how to mend what is not well."""
    table = Table(box=None, header_style="bold")
    table.add_column("check", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("found")
    for finding in findings:
        sign, style = SIGNS[finding.state]
        found = Text(finding.found)
        if finding.mend:
            found.append("\n→ " + finding.mend, "italic")
        table.add_row(finding.name, Text(f"{sign} {finding.state}", style), found)
    counts = {state: sum(finding.state == state for finding in findings) for state in SIGNS}
    verdict = Text("NOT well", "bold red") if counts["fail"] else Text("well", "bold green")
    return Group(table, Text.assemble(verdict, ": ", ", ".join(f"{count} {state}" for state, count in counts.items())))

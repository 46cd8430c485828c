"""`check` and `check --parity`: asks a running platform, or opens the folder of a stopped one itself."""

import argparse
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from typing import Any

import trio

from gcc.channels.memory import Signal
from gcc.cli import leaves
from gcc.cli.client import NotRunning, find, settings_as_run
from gcc.clock import SystemClock
from gcc.config import Settings
from gcc.errors import ConfigError, GccError
from gcc.parts import open_clickhouse, open_objects, open_rabbitmq
from gcc.pipelines.analytics.parity import ParityReport, parity
from gcc.pipelines.events.check import CheckReport, check
from gcc.pipelines.events.pipeline import RELAY_LEADER
from gcc.pipelines.events.stillness import Broker
from gcc.pipelines.events.types import BINDINGS
from gcc.stores import data_folder
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.stores.outbox import PostgresOutbox
from gcc.stores.postgres import Pool
from gcc.stores.rabbitmq_exchange import RabbitMQExchange

Check = Callable[[Settings, Pool, ClickHouse, Broker | None], Awaitable[CheckReport | ParityReport]]
LABELS = {
    "jobs_complete": "jobs complete",
    "events_emitted": "events emitted",
    "events_stored": "events stored",
    "events_dropped": "dropped for age",
    "dead_lettered": "dead-lettered",
    "outbox_pending": "in the outbox",
    "queued": "in queues",
    "in_flight": "of these leased",
    "missing": "MISSING",
    "doubled": "DOUBLED",
}


def main(arguments: argparse.Namespace) -> int:
    try:
        report: dict[str, Any] = find(arguments).ask("POST", f"/api/check{'-parity' * arguments.parity}")["data"]
    except NotRunning:
        report = _alone(settings_as_run(arguments), _compared if arguments.parity else _checked).as_dict()
    if arguments.json:
        print(json.dumps(report))
    elif arguments.parity:
        _show_parity(report)
    else:
        for name, label in LABELS.items():
            print(f"{label:<16}{report[name]:>12,}")
        if not report["settled"]:
            print("not settled, so MISSING is a lower bound: events were moving during the check")
        for what in report["waits_for"]:
            print(f"  it waits for {what}")
    if arguments.parity:
        return 0 if report["well"] else 1
    return 0 if report["missing"] == report["doubled"] == 0 and not report["waits_for"] else 1


def _show_parity(report: Mapping[str, Any]) -> None:
    since, until = (report[key][:19].replace("T", " ") for key in ("since", "until"))
    print(f"audited since {since} UTC; not compared yet: what was emitted after {until}")
    print(f"{'table':<12} {'days':>6} {'audited':>12} {'stored':>12}")
    for table in sorted({day["table"] for day in report["days"]}):
        days = [day for day in report["days"] if day["table"] == table]
        audited, stored = (sum(day[side] for day in days) for side in ("audited", "stored"))
        print(f"{table:<12} {len(days):>6,} {audited:>12,} {stored:>12,}")
    print(f"events looked up: {report['spots']:,}, of which the same: {report['spots_equal']:,}")
    for ranks in report["ranks"]:
        by = f"{ranks['month'][:7]} {ranks['platform']} by {ranks['metric']}"
        print(f"ranks of {by}: {ranks['compared']:,}, of which equal: {ranks['equal']:,}")
    for what in report["troubles"]:
        print(f"DIFFERS  {what}")
    for what in report["waits_for"]:
        print(f"  it waits for {what}")


def _alone(settings: Settings, asked: Check) -> CheckReport | ParityReport:
    """Without a platform. Raises the first of what was lost or refused, out of its groups."""
    lost: list[BaseException] = []
    try:
        return trio.run(_check_folder, settings, asked)
    except* GccError as group:
        lost += leaves(group)
    raise lost[0]


async def _checked(settings: Settings, pool: Pool, clickhouse: ClickHouse, broker: Broker | None) -> CheckReport:
    return await check(pool, clickhouse, broker)


async def _compared(settings: Settings, pool: Pool, clickhouse: ClickHouse, broker: Broker | None) -> ParityReport:
    return await parity(pool, clickhouse, broker, SystemClock(), settings.reports.timezone)


async def _check_folder(settings: Settings, asked: Check) -> CheckReport | ParityReport:
    """Open the stores of a stopped platform, read, close. ConfigError: somebody else has them."""
    if settings.postgres.url == "embedded" and not (settings.data_dir / "postgres").is_dir():
        raise ConfigError(f"data_dir {settings.data_dir} holds no platform; name its folder with --data")
    opens_files = settings.postgres.url == "embedded" or settings.clickhouse.url == "chdb"
    folder = data_folder.owned(settings.data_dir) if opens_files else nullcontext()
    async with folder, trio.open_nursery() as nursery:
        conninfo = settings.postgres.url
        if conninfo == "embedded":
            embedded = EmbeddedPostgres(settings.data_dir, fsync=settings.postgres.fsync)
            await nursery.start(embedded.serve)
            conninfo = embedded.conninfo
        pool = Pool(conninfo, 2, name="check")
        clickhouse = open_clickhouse(settings)
        await clickhouse.open()
        try:
            report = await asked(settings, pool, clickhouse, await _broker(settings, pool, nursery))
        finally:
            await clickhouse.aclose()
            await pool.aclose()
        nursery.cancel_scope.cancel()
    return report


async def _broker(settings: Settings, pool: Pool, nursery: trio.Nursery) -> RabbitMQExchange | None:
    """The exchange, where its queues are not in the database; connected as long as the nursery lives."""
    if settings.exchange.url == "postgres":
        return None
    clock = SystemClock()
    letters = StoredDeadLetters(pool, open_objects(settings), clock)
    exchange = open_rabbitmq(settings, PostgresOutbox(pool, RELAY_LEADER), letters, clock, Signal())

    async def live(*, task_status: trio.TaskStatus[None]) -> None:
        await exchange.connected(task_status.started)

    await nursery.start(live)
    await exchange.declare(BINDINGS)
    return exchange

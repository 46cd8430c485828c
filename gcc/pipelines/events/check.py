"""`check`: is every event that was committed stored exactly once, dead-lettered, or still on its way?

Emission is counted in PostgreSQL where it is committed; storage is counted in ClickHouse by event_id.
An event that was stored but not yet acknowledged stands in both: those are found by id, so that nothing is counted
twice; so are frames that are buried, and not yet out of the outbox. What was dropped for its age was counted before
that (retention.py). A dead letter that was replayed is none any more: its events are on their way again. On a running
platform the two stores are read one after the other; while events move the answer is repeated (at most TRIES times),
and `settled` tells whether the platform held still.

A broker does not tell which events are in its queues, so with one `settled` means, too, that those are empty
(stillness.py). Then `missing` is exact; until then it is a lower bound, `queued` is what may be there, and `waits_for`
says why. The outbox need not be empty: of its frames, too, those are found that are stored already.
"""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import msgspec
import trio

from gcc import statements
from gcc.channels.message import Route
from gcc.pipelines.events.schemas import EMITTED_BY
from gcc.pipelines.events.stillness import Broker, Stillness
from gcc.pipelines.events.types import EVENT_TYPES, EventType, timestamp
from gcc.stores.postgres import Pool, named_rows

SQL = statements.load("check")
_CLICKHOUSE = statements.load("check", statements.SQL / "clickhouse" / "queries")
TRIES = 5
AGAIN_S = 1.0  # before the next try, where a broker has to settle
COUNTED: tuple[EventType, ...] = tuple(event_type for event_type in EVENT_TYPES if event_type.counted)
QUEUES = frozenset(event_type.queue for event_type in COUNTED)
_TABLES = {event_type.queue: event_type.table for event_type in COUNTED}
_ROUTES = [
    (route, event_type.queue)
    for event_type in COUNTED
    for route in (event_type.route, Route("", event_type.queue))  # replayed letters come by exchange ''
]
_PLACES = {
    "queues": list(_TABLES),
    "exchanges": [route.exchange for route, _ in _ROUTES],
    "keys": [route.key for route, _ in _ROUTES],
    "queue_of_each": [queue for _, queue in _ROUTES],
}
ASIDE = "__aside"
"""What retention sets aside of a table, to count and to drop it, stands in a table with this at the end of its name."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of `table`: those for which `words` are true, with `values` for what stands in braces there."""

    table: str
    words: str
    values: Mapping[str, Any]

    def settled(self, before: dt.datetime) -> "Rows":
        """Those of them that were inserted before."""
        words = f"({self.words}) and insert_timestamp < {{settled:DateTime64(6, 'UTC')}}"
        return Rows(self.table, words, {**self.values, "settled": timestamp(before)})


class Reading(Protocol):
    """The part of ClickHouse that is used here. Transient: it is away."""

    async def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Counts of events, traces apart; `missing` and `doubled` are 0 on a platform that is well."""

    jobs_complete: int
    events_emitted: int
    events_stored: int
    events_dropped: int
    dead_lettered: int
    missing: int
    doubled: int
    outbox_pending: int
    queued: int
    in_flight: int
    settled: bool
    waits_for: Sequence[str] = ()
    """What hides events, where a broker has them: as long as there is any, `missing` is a lower bound."""

    @property
    def well(self) -> bool:
        return self.missing == 0 and self.doubled == 0 and not self.waits_for

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


async def check(pool: Pool, clickhouse: Reading, broker: Broker | None = None) -> CheckReport:
    """Read the stores, and the `broker` where the queues are not in the database. Transient: one of them is gone."""
    for left in reversed(range(TRIES)):
        report = await _try(pool, clickhouse, broker)
        if report.settled:
            break
        if broker and left:
            await trio.sleep(AGAIN_S)
    return report


async def _try(pool: Pool, clickhouse: Reading, broker: Broker | None) -> CheckReport:
    before = ledger, aside = await _ledger(pool), await set_aside(clickhouse)
    stillness = Stillness(pool, broker, sorted(QUEUES)) if broker else None
    if stillness:
        await stillness.begin()
    overlap = await _stored_while_queued(pool, clickhouse, "outbox_bodies" if broker else "queue_bodies")
    uncounted = {table for table, _, _ in aside} - set(ledger["dropping"])
    stored, doubled = await _stored(clickhouse, uncounted, {rows.table: rows for rows in await open_removals(pool)})
    if stillness:
        await stillness.end()
    settled = before == (await _ledger(pool), await set_aside(clickhouse))
    if stillness and not settled:
        stillness.waits_for.append("events that are being emitted, relayed, buried or dropped")
    return _report(ledger, stored, doubled, overlap, stillness, settled=settled)


def _report(
    ledger: dict[str, Any], stored: int, doubled: int, overlap: int, stillness: Stillness | None, *, settled: bool
) -> CheckReport:
    accounted = (
        stored + ledger["events_dropped"] + ledger["dead_lettered"] + ledger["outbox_pending"] + ledger["queued"]
    ) - (overlap + ledger["buried_and_pending"])
    # Storage was read last: what moved on meanwhile can only be counted twice, so this is exact on a
    # platform that stands still and a lower bound on one that runs; it never cries wolf.
    unaccounted = max(0, ledger["events_emitted"] - accounted)
    waits_for = stillness.waits_for if stillness else []
    at_broker = min(unaccounted, stillness.events_max) if stillness and waits_for else 0
    return CheckReport(
        jobs_complete=ledger["jobs_complete"],
        events_emitted=ledger["events_emitted"],
        events_stored=stored,
        events_dropped=ledger["events_dropped"],
        dead_lettered=ledger["dead_lettered"],
        missing=unaccounted - at_broker,
        doubled=doubled,
        outbox_pending=ledger["outbox_pending"],
        queued=ledger["queued"] + at_broker,
        in_flight=ledger["in_flight"] + (stillness.in_flight if stillness else 0),
        settled=settled and not waits_for,
        waits_for=waits_for,
    )


async def set_aside(clickhouse: Reading) -> list[tuple[str, str, int]]:
    """(event table, partition, parts) of all that is set aside, counted or not."""
    rows = await clickhouse.rows(_CLICKHOUSE["aside"], {"suffix": ASIDE})
    return [(row["aside"].removesuffix(ASIDE), row["partition_id"], row["parts"]) for row in rows]


async def _ledger(pool: Pool) -> dict[str, Any]:
    """Counts, and `dropping`: the tables of which what is set aside is counted already."""
    arguments = {"tables": [event_type.table for event_type in COUNTED]} | _PLACES
    async with pool.connection() as conn:
        (row,) = await named_rows(conn, SQL["ledger"], arguments)
    return row


async def open_removals(pool: Pool) -> list[Rows]:
    """What was counted to be removed and may still be there, one of a table at most; see removal.py."""
    async with pool.connection() as conn:
        return [Rows(*row) for row in await (await conn.execute(SQL["open_removals"])).fetchall()]


async def _stored(clickhouse: Reading, uncounted: Collection[str], removing: Mapping[str, Rows]) -> tuple[int, int]:
    """(distinct events of ours stored, rows too many after FINAL), over the counted tables.

    `uncounted`: tables of which something is set aside and not counted. A move that was cut short may have left the
    same rows in both. `removing`, by table: rows that are counted already.
    """
    stored = doubled = 0
    for table in (event_type.table for event_type in COUNTED):
        leaving = removing.get(table)
        every = f"select event_id, origin, true as here from {table} final"  # noqa: S608 - declared name
        every += f" where not ({leaving.words})" if leaving else ""
        if table in uncounted:
            every += f" union all select event_id, origin, false from {table}{ASIDE}"  # noqa: S608
        (row,) = await clickhouse.rows(
            "select countIf(here) as rows, uniqExactIf(event_id, here) as ids,"  # noqa: S608
            f" uniqExactIf(event_id, origin in {{by:Array(String)}}) as ours from ({every})",
            {"by": list(EMITTED_BY), **(leaving.values if leaving else {})},
        )
        stored += int(row["ours"])
        doubled += int(row["rows"]) - int(row["ids"])
    return stored, doubled


async def _stored_while_queued(pool: Pool, clickhouse: Reading, bodies: str) -> int:
    """How many events stand in a queue, or in a broker's outbox, although they are stored (they are to leave it)."""
    overlap = 0
    after = 0
    while True:
        async with pool.connection() as conn:
            page = await (await conn.execute(SQL[bodies], _PLACES | {"after": after}, binary=True)).fetchall()
        if not page:
            return overlap
        ids: dict[str, set[str]] = defaultdict(set)
        for after, queue, body in page:  # noqa: B007 - the last id is where the next page begins
            ids[_TABLES[queue]].update(_event_ids(bytes(body)))
        for table, some in ids.items():
            (row,) = await clickhouse.rows(
                f"select uniqExact(event_id) as ids from {table}"  # noqa: S608 - declared name
                " where toString(event_id) in {ids:Array(String)} and origin in {by:Array(String)}",
                {"ids": sorted(some), "by": list(EMITTED_BY)},
            )
            overlap += int(row["ids"])


class _Id(msgspec.Struct):
    event_id: str = ""


_UUID = re.compile(r"[0-9a-f-]{36}")


def _event_ids(body: bytes) -> Iterable[str]:
    for line in body.split(b"\n"):
        try:
            event_id = msgspec.json.decode(line, type=_Id).event_id
        except msgspec.MsgspecError:
            continue
        if _UUID.fullmatch(event_id):
            yield event_id

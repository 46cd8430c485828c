"""The audit: what is emitted as profile_log and post_log events stands in tables of these names of PostgreSQL, too.

In: the frames of a transaction. Out: rows for the same transaction, so that both commit or neither. Pure. Who moves to
events compares the two for a while (gcc/pipelines/analytics/parity.py), and then ends it: docs/migration.md.

Lists of other people's handles stay out: erasure would have to find them here, too. NUL characters, which PostgreSQL
keeps none of, are replaced: no crawl fails for its audit.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from gcc.channels.message import Frame
from gcc.pipelines.events.types import POST_LOG, PROFILE_LOG, EventType
from gcc.sources.snapshot import OTHERS
from gcc.tables import Row, Table, Types, Upsert

Audit = Callable[[Sequence[Frame]], list[Upsert]]
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_TIMES = ("event_timestamp", "publish_time")
_OF_BOTH: Types = {
    "origin": "text",
    "platform": "text",
    "profile_id": "text",
    "handle": "text",
    "metrics": "jsonb",
    "dimensions": "jsonb",
    "source": "text",
    "event_timestamp": "timestamptz",
}
TABLES: Mapping[EventType, Table] = {
    PROFILE_LOG: Table("profile_log", key={"event_id": "uuid"}, first=_OF_BOTH),
    POST_LOG: Table(
        "post_log",
        key={"event_id": "uuid"},
        first={**_OF_BOTH, "shortcode": "text", "post_id": "text", "publish_time": "timestamptz"},
    ),
}


def audited(frames: Sequence[Frame]) -> list[Upsert]:
    """A row for each event of ours that has a table."""
    writes = []
    for event_type, table in TABLES.items():
        ours = [frame for frame in frames if frame.route == event_type.route and frame.counted != 0]
        if rows := [_row(table, line) for frame in ours for line in frame.body.split(b"\n")]:
            writes.append(Upsert(table, rows))
    return writes


def unaudited(_frames: Sequence[Frame]) -> list[Upsert]:
    """Where there is no audit."""
    return []


def plain(line: bytes) -> dict[str, Any]:
    """An object of JSON as PostgreSQL can keep it."""
    return msgspec.json.decode(_NUL.sub(rb"\1\\ufffd", line), type=dict[str, Any])


def kept(dimensions: Mapping[str, Any]) -> dict[str, Any]:
    """Those that the audit has."""
    return {name: value for name, value in dimensions.items() if name not in OTHERS}


def _row(table: Table, line: bytes) -> Row:
    event = plain(line)
    times = {name: f"{event[name]}+00" for name in _TIMES if event.get(name)}
    row = {**event, **times, "dimensions": kept(event["dimensions"])}
    return {name: row.get(name) for name in table.columns}

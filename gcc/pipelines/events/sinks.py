"""The sinker's handler: lines of one event type into its table, refused ones into the dead letters.

In: deliveries of one queue. Each line is checked against the type's schema; the bytes themselves are
passed through. A line with fields that the schema does not know is written again with them in `extra`.
The insert's token is the hash of its bytes: the same batch resent is dropped by the store, and rows are
idempotent by event_id when redelivery has regrouped them.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
import trio

from gcc.channels.deadletters import DeadLetters
from gcc.channels.message import Delivery
from gcc.errors import Permanent
from gcc.metrics import Metrics
from gcc.pipelines.events.types import EventType


class EventStore(Protocol):
    async def insert_ndjson(self, table: str, body: bytes, *, token: str) -> None:
        """Append rows; the same token with the same bytes is stored once. Transient | Permanent."""


@dataclass(slots=True)
class _Refused:
    """Lines of one delivery that cannot be stored, with the first reason."""

    lines: list[bytes] = field(default_factory=list)
    reason: str = ""


class Sink:
    """Stores one event type; see `gcc.actors.consumer.Handler`."""

    def __init__(self, event_type: EventType, store: EventStore, dead_letters: DeadLetters, metrics: Metrics) -> None:
        self._type = event_type
        self._store = store
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._decode = msgspec.json.Decoder(event_type.schema).decode
        self._known = frozenset(event_type.schema.__struct_fields__)

    async def handle(self, batch: Sequence[Delivery]) -> int:
        good: dict[int, list[bytes]] = {}
        for delivery in batch:
            lines, refused = self._sift(delivery.frame.body)
            good[delivery.id] = lines
            await self._bury(delivery, refused)
        try:
            return await self._insert([line for lines in good.values() for line in lines])
        except Permanent:
            # Some frame is at fault: each alone, so that the others get in.
            return sum([await self._insert_alone(delivery, good[delivery.id]) for delivery in batch])

    async def _insert_alone(self, delivery: Delivery, lines: list[bytes]) -> int:
        try:
            return await self._insert(lines)
        except Permanent as error:
            await self._bury(delivery, _Refused(lines, str(error)))
            return 0

    async def _insert(self, lines: list[bytes]) -> int:
        if not lines:
            return 0
        body = b"\n".join(lines)
        began = trio.current_time()
        await self._store.insert_ndjson(self._type.table, body, token=hashlib.sha256(body).hexdigest())
        self._metrics.flush_seconds.labels(self._type.table).observe(trio.current_time() - began)
        self._metrics.stored_events.labels(self._type.table).inc(len(lines))
        return len(lines)

    async def _bury(self, delivery: Delivery, refused: _Refused) -> None:
        if refused.lines:
            body = b"\n".join(refused.lines)
            await self._dead_letters.bury(
                delivery.queue, delivery.frame, body=body, events=len(refused.lines), reason=refused.reason
            )
            self._metrics.dead_letters.labels(delivery.queue).inc(len(refused.lines))

    def _sift(self, body: bytes) -> tuple[list[bytes], _Refused]:
        """The storable lines of a frame, and the others."""
        lines: list[bytes] = []
        refused = _Refused()
        for line in body.split(b"\n"):
            if not line.strip():
                continue
            try:
                self._decode(line)
                lines.append(line)
            except msgspec.MsgspecError:
                try:
                    lines.append(self._with_extra(line))
                except msgspec.MsgspecError as error:
                    refused.lines.append(line)
                    refused.reason = refused.reason or f"not a {self._type.name} event: {error}"
        return lines, refused

    def _with_extra(self, line: bytes) -> bytes:
        """The line with its unknown fields moved into `extra` (JSON text). MsgspecError: not this type at all."""
        values: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
        unknown = {name: values.pop(name) for name in list(values) if name not in self._known}
        clean = msgspec.json.encode(values)
        self._decode(clean)
        values["extra"] = msgspec.json.encode(unknown).decode()
        return msgspec.json.encode(values)

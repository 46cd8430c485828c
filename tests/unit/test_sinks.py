"""The sinker's handler: good lines in, unknown fields kept, poison buried, whatever shares the batch."""

import uuid

import msgspec
import pytest

from gcc.channels.message import Delivery, Frame
from gcc.clock import SystemClock
from gcc.errors import Permanent, Transient
from gcc.metrics import Metrics
from gcc.pipelines.events.sinks import Sink
from gcc.pipelines.events.types import PROFILE_LOG, ProfileLog, encode
from tests.fakes.database import Connection, Database
from tests.fakes.event_store import FakeDeadLetters, FakeEventStore

TABLE = PROFILE_LOG.table


def line(**changes: object) -> bytes:
    event = ProfileLog(
        event_id=str(uuid.uuid4()), event_timestamp="2026-01-01 00:00:00.000000", source="s", platform="INSTAGRAM",
        profile_id="1", handle="h", metrics={"followers": 1}, dimensions={},
    )  # fmt: skip
    return msgspec.json.encode({**msgspec.to_builtins(event), **changes}) if changes else encode(event)


def delivery(number: int, *lines: bytes) -> Delivery:
    frame = Frame(uuid.uuid4(), PROFILE_LOG.route, len(lines), b"\n".join(lines))
    return Delivery(PROFILE_LOG.queue, number, frame, 1)


class Bench:
    def __init__(self, store: FakeEventStore | None = None) -> None:
        self.database = Database(SystemClock())
        self.store = store or FakeEventStore({TABLE})
        self.sink = Sink(PROFILE_LOG, self.store, FakeDeadLetters(Connection(self.database)), Metrics())

    @property
    def letters(self) -> list[tuple[int, str]]:
        return [(letter.events, letter.reason) for letter in self.database.dead_letters.values()]


async def test_all_lines_of_a_batch_are_stored() -> None:
    bench = Bench()
    assert await bench.sink.handle([delivery(1, line(), line()), delivery(2, line())]) == 3
    assert len(bench.store.tables[TABLE]) == 3
    assert bench.letters == []


async def test_poison_lines_are_buried_and_the_others_stored() -> None:
    bench = Bench()
    poison = (b"not json", line(metrics="many"), b"[1]", line(platform=None))
    assert await bench.sink.handle([delivery(1, line(), *poison), delivery(2, line())]) == 2
    ((events, reason),) = bench.letters
    assert events == 4
    assert "profile_log" in reason


async def test_handling_the_same_batch_again_buries_and_stores_nothing_twice() -> None:
    bench = Bench()
    batch = [delivery(1, line(), b"poison")]
    for _ in range(3):
        await bench.sink.handle(batch)
    assert (len(bench.store.tables[TABLE]), bench.store.rows_inserted, len(bench.letters)) == (1, 1, 1)


async def test_unknown_fields_are_kept_in_extra() -> None:
    bench = Bench()
    await bench.sink.handle([delivery(1, line(colour="red", deep={"a": 1}))])
    (stored,) = bench.store.tables[TABLE].values()
    decoded = msgspec.json.decode(stored)
    assert msgspec.json.decode(decoded["extra"]) == {"colour": "red", "deep": {"a": 1}}
    assert "colour" not in decoded


async def test_a_frame_that_the_store_refuses_does_not_hold_up_the_others() -> None:
    class Picky(FakeEventStore):
        async def insert_ndjson(self, table: str, body: bytes, *, token: str) -> None:
            if b"cursed" in body:
                raise Permanent("the store does not take it")
            await super().insert_ndjson(table, body, token=token)

    bench = Bench(Picky({TABLE}))
    batch = [delivery(1, line()), delivery(2, line(handle="cursed"), line()), delivery(3, line())]
    assert await bench.sink.handle(batch) == 2
    assert bench.letters == [(2, "the store does not take it")]


async def test_a_lost_store_acknowledges_nothing() -> None:
    async def away() -> None:
        raise Transient("away")

    bench = Bench(FakeEventStore({TABLE}, before=away))
    with pytest.raises(Transient):
        await bench.sink.handle([delivery(1, line())])
    assert bench.letters == []

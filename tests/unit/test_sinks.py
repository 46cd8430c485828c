"""The sinker's handler: good lines in, unknown fields kept, poison halved out and buried, whatever shares the batch."""

import uuid
from contextlib import suppress

import msgspec
import pytest

from gcc.channels.message import Delivery, Frame
from gcc.clock import SystemClock
from gcc.errors import Permanent, Transient
from gcc.metrics import Metrics
from gcc.pipelines.events.schemas import ProfileLog
from gcc.pipelines.events.sinks import REFUSALS_MAX, Sink
from gcc.pipelines.events.types import PROFILE_LOG, encode
from tests.fakes.database import Connection, Database, steady
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
    assert sum(events for events, _ in bench.letters) == len(poison)
    assert all(reason.startswith("not of type profile_log: ") for _, reason in bench.letters)
    assert len({reason for _, reason in bench.letters}) == len(bench.letters) > 1  # a letter for each reason


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


class Picky(FakeEventStore):
    """Refuses any insert with a cursed row in it, as ClickHouse refuses a whole block; counts inserts."""

    inserts = 0

    async def insert_ndjson(self, table: str, body: bytes, *, token: str) -> None:
        self.inserts += 1
        if b"cursed" in body:
            raise Permanent("the store does not take it")
        await super().insert_ndjson(table, body, token=token)


async def test_poison_is_halved_out_and_the_rest_is_stored() -> None:
    store = Picky({TABLE})
    bench = Bench(store)
    cursed = {17, 500, 999}
    lines = [line(handle="cursed") if number in cursed else line() for number in range(1000)]
    batch = [delivery(number, *lines[number * 100 : number * 100 + 100]) for number in range(10)]
    assert await bench.sink.handle(batch) == 997
    assert len(store.tables[TABLE]) == 997
    assert bench.letters == [(1, "the store does not take it")] * 3
    assert store.inserts <= 2 * 3 * 10 + 1  # two for each poison row and level
    buried = {letter.body for letter in bench.database.dead_letters.values()}
    assert buried == {lines[number] for number in cursed}


async def test_halving_again_stores_and_buries_nothing_twice() -> None:
    store = Picky({TABLE})
    bench = Bench(store)
    batch = [delivery(1, line(), line(handle="cursed"), line(), line()), delivery(2, line(handle="cursed"))]
    for _ in range(3):
        assert await bench.sink.handle(batch) == 3
    assert (store.rows_inserted, len(bench.letters)) == (3, 2)


async def test_halving_cut_short_at_any_step_is_done_again_without_loss() -> None:
    for steps in range(8):
        failures = iter([False] * steps)

        async def breaks(failures: object = failures) -> None:
            if next(failures, True):  # type: ignore[call-overload]
                raise Transient("away")

        store = Picky({TABLE}, before=breaks)
        bench = Bench(store)
        batch = [delivery(1, *[line(handle="cursed" if number in (3, 9) else "h") for number in range(12)])]
        with suppress(Transient):
            await bench.sink.handle(batch)
        store._before = steady
        assert await bench.sink.handle(batch) == 10
        assert (len(store.tables[TABLE]), store.rows_inserted) == (10, 10)
        assert sum(events for events, _ in bench.letters) == 2


async def test_a_table_that_takes_nothing_costs_a_bounded_number_of_inserts() -> None:
    store = Picky({TABLE})
    bench = Bench(store)
    batch = [delivery(number, *[line(handle="cursed") for _ in range(100)]) for number in range(50)]
    assert await bench.sink.handle(batch) == 0
    assert store.inserts <= REFUSALS_MAX + 13  # and each part that is left once more
    assert sum(events for events, _ in bench.letters) == 5000


async def test_a_lost_store_acknowledges_nothing() -> None:
    async def away() -> None:
        raise Transient("away")

    bench = Bench(FakeEventStore({TABLE}, before=away))
    with pytest.raises(Transient):
        await bench.sink.handle([delivery(1, line())])
    assert bench.letters == []

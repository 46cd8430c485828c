"""The sinker's handler: good lines in, unknown fields kept, poison halved out and buried, whatever shares the batch."""

import json
import random
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import msgspec
import pytest
import trio

from gcc.channels.message import EVENT_BYTES_MAX, Delivery, Frame, Route
from gcc.clock import SystemClock
from gcc.errors import Permanent, TooMuch, Transient
from gcc.metrics import Metrics
from gcc.pipelines.events.schemas import ProfileLog
from gcc.pipelines.events.sinks import YIELD_BYTES, Also, Sink
from gcc.pipelines.events.types import APP_EVENT, ERROR_TABLE, PROFILE_LOG, EventType, encode
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
    def __init__(
        self, store: FakeEventStore | None = None, event_type: EventType = PROFILE_LOG, also: Also | None = None
    ) -> None:
        self.database = Database(SystemClock())
        self.store = store or FakeEventStore({TABLE})
        letters = FakeDeadLetters(Connection(self.database))
        self.sink = Sink(event_type, self.store, letters, Metrics(), also=also)

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


async def test_a_delivery_that_came_twice_into_a_batch_is_handled_once() -> None:
    """Its lease had ended while it waited here. Its poison was buried twice over, in one letter of two events."""
    bench = Bench()
    once = delivery(1, line(), b"poison")
    again = replace(once, deliveries=2)
    assert await bench.sink.handle([once, delivery(2, b"other"), again]) == 1
    assert [events for events, _ in bench.letters] == [1, 1]
    await bench.sink.handle([again])
    assert [events for events, _ in bench.letters] == [1, 1]


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


class Closed(FakeEventStore):
    """A table that takes nothing: a column lacks, or has another type. ClickHouse says it in codes of the data, too."""

    inserts = 0

    async def insert_ndjson(self, table: str, body: bytes, *, token: str) -> None:
        self.inserts += 1
        raise Permanent("Unknown field found while parsing JSONEachRow format: handle: (at row 1)")


@pytest.mark.parametrize("rows", [1, 2, 1000])
@pytest.mark.parametrize("kind", [Closed, FakeEventStore])
async def test_a_table_that_takes_nothing_is_a_store_that_is_away(kind: type[FakeEventStore], rows: int) -> None:
    store = kind(set())
    bench = Bench(store)
    with pytest.raises(Transient, match=r"takes nothing, not even a blank event|does not exist"):
        await bench.sink.handle([delivery(1, *[line() for _ in range(rows)])])
    assert bench.letters == []
    if isinstance(store, Closed):
        assert store.inserts <= 2


async def test_poison_alone_is_buried_however_much_of_it() -> None:
    store = Picky({TABLE})
    bench = Bench(store)
    for count in (1, 3, 5000):
        batch = [delivery(number, line(handle="cursed")) for number in range(count)]
        assert await bench.sink.handle(batch) == 0
    assert sum(events for events, _ in bench.letters) == 5004
    assert store.inserts <= 2 * 5004 + 3 * 3


async def test_no_neighbour_is_buried_with_however_much_poison() -> None:
    store = Picky({TABLE})
    bench = Bench(store)
    batch = [delivery(number, line(), line(handle="cursed")) for number in range(1000)]
    assert await bench.sink.handle(batch) == len(store.tables[TABLE]) == 1000
    assert sum(events for events, _ in bench.letters) == 1000


async def test_what_is_cut_short_again_and_again_goes_on_where_it_was() -> None:
    """A slow store is asked 8 times before the batch has been held for too long."""
    left = 0

    async def hangs() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Transient("cut short")

    store = Picky({TABLE}, before=hangs)
    bench = Bench(store)
    batch = [delivery(number, line(), line(handle="cursed" if number % 100 == 7 else "h")) for number in range(500)]
    rounds, stored = 0, None
    while stored is None:
        left = 8
        rounds += 1
        assert rounds < 30
        with suppress(Transient):
            stored = await bench.sink.handle(batch)
    assert stored == 995 and rounds > 3
    assert (len(store.tables[TABLE]), store.rows_inserted) == (995, 995)
    assert bench.letters == [(1, "the store does not take it")] * 5


async def test_a_table_that_changes_while_poison_is_looked_for_buries_nothing() -> None:
    store = Picky({TABLE})
    bench = Bench(store)
    insert, left = store.insert_ndjson, 6

    async def changed(table: str, body: bytes, *, token: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Permanent("Unknown field found while parsing JSONEachRow format: handle: (at row 1)")
        await insert(table, body, token=token)

    store.insert_ndjson = changed  # type: ignore[method-assign]
    batch = [delivery(1, *[line(handle="cursed" if number == 9 else "h") for number in range(12)])]
    for _ in range(2):
        with pytest.raises(Transient, match="not even a blank event"):
            await bench.sink.handle(batch)
    assert bench.letters == []
    store.insert_ndjson = insert  # type: ignore[method-assign]
    assert await bench.sink.handle(batch) == 11
    assert bench.letters == [(1, "the store does not take it")]


class Monthly(FakeEventStore):
    """Writes into so many months at once, as ClickHouse does."""

    inserts = 0

    async def insert_ndjson(self, table: str, body: bytes, *, token: str) -> None:
        self.inserts += 1
        if len({json.loads(row)["event_timestamp"][:7] for row in body.split(b"\n")}) > 100:
            raise TooMuch("Too many partitions for single INSERT block (more than 100)")
        await super().insert_ndjson(table, body, token=token)


async def test_rows_of_all_months_are_stored_in_order_of_time() -> None:
    store = Monthly({TABLE})
    bench = Bench(store)
    times = [f"{1970 + number % 1600 // 12}-{number % 12 + 1:02d}-01 00:00:00.000000" for number in range(3200)]
    random.Random(1).shuffle(times)
    batch = [delivery(number, line(event_timestamp=time)) for number, time in enumerate(times)]
    batch.append(delivery(9999, b"poison"))
    assert await bench.sink.handle(batch) == len(store.tables[TABLE]) == 3200
    assert store.inserts <= 1 + 2 * 1600 // 50, "few parts of a month"
    assert [events for events, _ in bench.letters] == [1]


class Strict(FakeEventStore):
    """Refuses a name that comes twice in a row, as ClickHouse does; counts inserts."""

    inserts = 0

    async def insert_ndjson(self, table: str, body: bytes, *, token: str) -> None:
        self.inserts += 1
        for row in body.split(b"\n"):
            names = [name for name, _ in json.loads(row, object_pairs_hook=list)]
            if len(names) != len(set(names)):
                raise Permanent("Duplicate field found while parsing JSONEachRow format: handle")
        await super().insert_ndjson(table, body, token=token)


async def test_forms_that_the_table_does_not_read_are_written_in_our_words() -> None:
    """As many as a producer likes to send: they cost two inserts, and no neighbour its place."""
    store = Strict({TABLE})
    bench = Bench(store)
    twice = [b'{"handle":"was",' + line(handle="is")[1:] for _ in range(900)]
    for _ in range(2):
        assert await bench.sink.handle([delivery(1, *twice, *[line() for _ in range(100)])]) == 1000
    assert (bench.letters, store.inserts) == ([], 2 * 3)  # refused, asked whether it takes any, stored
    handles = [msgspec.json.decode(row)["handle"] for row in store.tables[TABLE].values()]
    assert handles.count("is") == 900


@pytest.mark.parametrize(
    "body", [b"", b" ", b"   \t\r", b"\n", b"\n \n\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n", b"\0", b"null"]
)
async def test_what_holds_no_event_is_refused_visibly(body: bytes) -> None:
    bench = Bench()
    frame = Frame(uuid.uuid4(), PROFILE_LOG.route, 1, body)
    for _ in range(2):
        batch = [Delivery(PROFILE_LOG.queue, 1, frame, 1), delivery(2, line(), b"", line(), b" ")]
        assert await bench.sink.handle(batch) == 2
    ((events, reason),) = bench.letters
    assert events == 1 and reason.startswith("not of type profile_log: ")
    (letter,) = bench.database.dead_letters.values()
    assert letter.body.strip(b"\n") == body.strip(b"\n")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"likes":\n1e400}', "Number out of range"),
        (b'{"handle":\n"tea \\ud83d"}', "it holds half a character"),
        (b"\x1f\x8b\n\n\x00\n\xff\n", "JSON is malformed: invalid character (byte 0)"),
        (b'{"a":' * 100_000 + b"\n1", "it is nested too deeply"),
        (b'{"a":1}\n{"a":2}', "JSON is malformed: trailing characters"),
    ],
)
async def test_a_message_of_many_lines_that_is_no_event_is_told_what_is_wrong_with_it(body: bytes, told: str) -> None:
    bench = Bench()
    assert (
        await bench.sink.handle([Delivery(PROFILE_LOG.queue, 1, Frame(uuid.uuid4(), PROFILE_LOG.route, 1, body), 1)])
        == 0
    )
    ((_, reason),) = bench.letters
    assert "it has more lines than events (1); as one: " + told in reason


@pytest.mark.parametrize("body", [b"", b"  ", b"\n\n", b"\xef\xbb\xbf", b'{"event_name":"AEvent","x":"\xff"}'])
async def test_app_events_that_are_none_become_rows_of_errors(body: bytes) -> None:
    store = FakeEventStore({APP_EVENT.table, ERROR_TABLE})
    bench = Bench(store, APP_EVENT)
    good = msgspec.json.encode({"event_timestamp": 1767262830, "event_name": "PageOpenedEvent"})
    frames = [Frame(uuid.uuid4(), Route("grpc_event.tx", "AEvent"), 1, each) for each in (body, good)]
    batch = [Delivery(APP_EVENT.queue, number, frame, 1) for number, frame in enumerate(frames)]
    assert await bench.sink.handle(batch) == 1
    (row,) = store.tables[ERROR_TABLE].values()
    error = msgspec.json.decode(row)
    assert (error["event_name"], error["error"][:19]) in {("AEvent", "not of type event: ")}
    assert error["event_params"] == {"raw": body.decode(errors="replace")}
    assert (bench.letters, len(store.tables[APP_EVENT.table])) == ([], 1)


async def test_an_error_that_its_table_refuses_is_buried_and_its_neighbours_are_kept() -> None:
    store = Picky({APP_EVENT.table, ERROR_TABLE})
    bench = Bench(store, APP_EVENT)
    lines = [b"no json %d" % number for number in range(20)] + [b"cursed 1", b"cursed 2"]
    assert await bench.sink.handle([delivery(1, *lines)]) == 0
    assert len(store.tables[ERROR_TABLE]) == 20
    assert bench.letters == [(2, "not of type event: JSON is malformed: invalid character (byte 0)")]


async def test_what_is_done_beside_storing_may_fail_for_one_line() -> None:
    async def also(lines: Sequence[bytes]) -> dict[int, str]:
        return {at: "no referral" for at, row in enumerate(lines) if b"odd" in row}

    bench = Bench(also=also)
    odd = line(handle="odd")
    batch = [delivery(1, line(), odd, line())]
    for _ in range(2):
        assert await bench.sink.handle(batch) == 3
    assert bench.letters == [(1, "no referral")]
    assert [letter.body for letter in bench.database.dead_letters.values()] == [odd]


async def test_a_lost_store_acknowledges_nothing() -> None:
    async def away() -> None:
        raise Transient("away")

    bench = Bench(FakeEventStore({TABLE}, before=away))
    with pytest.raises(Transient):
        await bench.sink.handle([delivery(1, line())])
    assert bench.letters == []


@pytest.mark.parametrize("blank", [b"\n", b"\n\n", b"\n \t\r\n", b"\n" * 100_000], ids=len)
async def test_blank_lines_are_no_events(blank: bytes) -> None:
    bench = Bench()
    frame = Frame(uuid.uuid4(), PROFILE_LOG.route, 2, blank + line() + blank + line() + blank)
    assert await bench.sink.handle([Delivery(PROFILE_LOG.queue, 1, frame, 1)]) == 2
    assert bench.letters == []


@pytest.mark.parametrize("events", [1, 3])
async def test_a_frame_of_more_lines_than_events_is_refused_whole(events: int) -> None:
    """A row, and a letter, for each of a million lines would hold up everybody."""
    bench = Bench()
    body = b"\n".join([b"1"] * 500_000)
    frame = Frame(uuid.uuid4(), PROFILE_LOG.route, events, body)
    assert await bench.sink.handle([Delivery(PROFILE_LOG.queue, 1, frame, 1), delivery(2, line())]) == 1
    ((letter_events, why),) = bench.letters
    assert (letter_events, "more lines than events" in why) == (1, True)
    (letter,) = bench.database.dead_letters.values()
    assert letter.body == body


async def test_what_is_long_is_stored_in_parts_and_what_is_too_long_is_refused_unread() -> None:
    inserts = 0

    async def before() -> None:
        nonlocal inserts
        inserts += 1

    bench = Bench(FakeEventStore({TABLE}, before=before))
    longest = line(dimensions={"x": "x" * (EVENT_BYTES_MAX - 400)})
    batch = [delivery(number, longest) for number in range(20)] + [delivery(20, b"[" * (EVENT_BYTES_MAX + 1), line())]
    assert await bench.sink.handle(batch) == 21
    assert inserts == 2, "of 16 MiB at most"
    why = "not of type profile_log: it has 1,048,577 bytes, and an event at most 1,048,576"
    assert bench.letters == [(1, why)]


async def test_an_app_event_that_is_too_long_is_a_letter_and_no_error_event() -> None:
    bench = Bench(FakeEventStore({APP_EVENT.table, ERROR_TABLE}), APP_EVENT)
    assert await bench.sink.handle([delivery(1, b'{"x":"' + b"x" * EVENT_BYTES_MAX + b'"}')]) == 0
    assert [events for events, _ in bench.letters] == [1]
    assert bench.store.tables[ERROR_TABLE] == {}


async def test_a_table_of_errors_that_takes_nothing_is_a_store_that_is_away() -> None:
    store = Closed({APP_EVENT.table, ERROR_TABLE})
    bench = Bench(store, APP_EVENT)
    with pytest.raises(Transient, match="takes nothing"):
        await bench.sink.handle([delivery(number, b"poison") for number in range(100)])
    assert (store.inserts, bench.letters) == (2, [])


async def test_others_run_while_a_large_batch_is_read() -> None:
    bench = Bench()
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await bench.sink.handle([delivery(number, line(dimensions={"x": "x" * 100_000})) for number in range(90)])
        nursery.cancel_scope.cancel()
    assert turns >= 9_000_000 // (YIELD_BYTES + 100_000)

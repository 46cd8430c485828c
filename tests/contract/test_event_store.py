"""What a sinker needs of its stores, on the real ones and on the simulation's fakes."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from gcc.channels.deadletters import Burial, DeadLetters, decoded
from gcc.channels.message import Frame, Route
from gcc.clock import SystemClock
from gcc.errors import Permanent, Transient
from gcc.pipelines.events.schemas import ProfileLog
from gcc.pipelines.events.sinks import NO_FIELD, EventStore
from gcc.pipelines.events.types import EVENT_TYPES, PROFILE_LOG, encode
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.postgres import Pool
from tests.fakes.database import Connection, Database
from tests.fakes.event_store import REFUSED, FakeDeadLetters, FakeEventStore
from tests.fakes.objects import MemoryObjects

TABLE = PROFILE_LOG.table


@dataclass
class Store:
    store: EventStore
    ids: Callable[[], Awaitable[list[str]]]


@pytest.fixture(params=["fake", "clickhouse"])
async def store(request: pytest.FixtureRequest, clickhouse: ClickHouse) -> Store:
    if request.param == "fake":
        fake = FakeEventStore({event_type.table for event_type in EVENT_TYPES})

        async def fake_ids() -> list[str]:
            return sorted(fake.tables[TABLE])

        return Store(fake, fake_ids)

    async def ids() -> list[str]:
        return sorted(
            str(row["event_id"]) for row in await clickhouse.rows("select event_id from _e.profile_log_events final")
        )

    return Store(clickhouse, ids)


def line(event_id: str) -> bytes:
    return encode(
        ProfileLog(
            event_id=event_id, event_timestamp="2026-01-01 10:00:00.000001", source="s", platform="INSTAGRAM",
            profile_id="1", handle="h", metrics={"followers": 1}, dimensions={"a": [1, {"b": None}]},
        )
    )  # fmt: skip


def ids(count: int) -> list[str]:
    return sorted(str(uuid.uuid4()) for _ in range(count))


async def test_a_batch_sent_again_is_stored_once(store: Store) -> None:
    some = ids(3)
    body = b"\n".join(line(event_id) for event_id in some)
    for _ in range(3):
        await store.store.insert_ndjson(TABLE, body, token="t1")
    assert await store.ids() == some


async def test_rows_regrouped_by_redelivery_are_stored_once(store: Store) -> None:
    some = ids(4)
    for token, part in (("t1", some[:3]), ("t2", some[1:]), ("t3", some)):
        await store.store.insert_ndjson(TABLE, b"\n".join(line(event_id) for event_id in part), token=token)
    assert await store.ids() == some


async def test_a_token_names_frozen_content_so_other_content_under_it_is_dropped(store: Store) -> None:
    first, other = ids(2)
    await store.store.insert_ndjson(TABLE, line(first), token="t1")
    await store.store.insert_ndjson(TABLE, line(other), token="t1")
    assert await store.ids() == [first]


async def test_a_row_that_cannot_be_stored_is_permanent_a_table_that_is_missing_is_not(store: Store) -> None:
    with pytest.raises(Transient):
        await store.store.insert_ndjson("_e.no_such_table", line(ids(1)[0]), token="t")
    with pytest.raises(Permanent):
        await store.store.insert_ndjson(TABLE, line(ids(1)[0]) + b"\n{broken", token="t")
    assert await store.ids() == []


async def test_a_row_that_no_table_takes_is_permanent_alone_and_among_others(store: Store) -> None:
    good, bad = ids(2)
    refused = line(bad).replace(b'"s"', b'"%s"' % REFUSED).replace(b"2026-01-01 10:00:00.000001", b"never")
    for body in (refused, b"\n".join((line(good), refused)), b"\n".join((refused, line(good)))):
        with pytest.raises(Permanent):
            await store.store.insert_ndjson(TABLE, body, token=str(len(body)))
    assert await store.ids() == []
    await store.store.insert_ndjson(TABLE, line(good), token="t")
    assert await store.ids() == [good]


async def test_a_field_that_the_table_has_not_is_named_and_a_row_before_it_is_not_stored(store: Store) -> None:
    body = line(ids(1)[0]) + b'\n{"%s":0}' % NO_FIELD.encode()
    for _ in range(2):
        with pytest.raises(Permanent, match=NO_FIELD):
            await store.store.insert_ndjson(TABLE, body, token="t")
    assert await store.ids() == []


@pytest.fixture(params=["fake", "stored"])
async def letters(
    request: pytest.FixtureRequest, pool: Pool
) -> tuple[DeadLetters, Callable[[], Awaitable[list[tuple[str, int, str]]]]]:
    if request.param == "fake":
        database = Database(SystemClock())

        async def kept() -> list[tuple[str, int, str]]:
            return [(letter.queue, letter.events, letter.reason) for letter in database.dead_letters.values()]

        return FakeDeadLetters(Connection(database)), kept
    objects = MemoryObjects()

    async def rows() -> list[tuple[str, int, str]]:
        async with pool.connection() as conn:
            found = await (await conn.execute("select queue, events, reason, object_key from dead_letter")).fetchall()
        for _, _, _, key in found:
            assert decoded(await objects.read(key)).content == b"refused"
        return [(queue, events, reason) for queue, events, reason, _ in found]

    return StoredDeadLetters(pool, objects, SystemClock()), rows


async def test_a_burial_done_again_is_one_letter(
    letters: tuple[DeadLetters, Callable[[], Awaitable[list[tuple[str, int, str]]]]],
) -> None:
    dead, kept = letters
    frame = Frame(uuid.uuid4(), Route("beat.dx", "x"), 5, b"five lines")
    for _ in range(2):
        await dead.bury([Burial("q", frame, b"refused", 2, "no such type")])
    assert await kept() == [("q", 2, "no such type")]

"""Burials by the batch, on a real PostgreSQL: few objects, few rows' statements, and nothing twice or half when cut."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
import pytest
import trio

from gcc.channels.deadletters import LETTERS_MAX, Burial, Packed, document
from gcc.channels.letters import LetterFilter
from gcc.channels.memory import Signal
from gcc.channels.message import Frame, Route
from gcc.channels.objects import checked
from gcc.clock import SystemClock
from gcc.errors import Permanent, Transient
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.letters import PostgresLetters
from gcc.stores.postgres import Pool
from tests.fakes.objects import MemoryObjects

ROUTE = Route("beat.dx", "x")
ALL = LetterFilter()


class Store(MemoryObjects):
    """Counts what is put and read; `before_put` may raise, or wait."""

    def __init__(self, before_put: Callable[[int], None] = lambda puts: None) -> None:
        super().__init__()
        self.puts: list[str] = []
        self.read_bytes: list[int] = []
        self._before_put = before_put

    async def put(self, key: str, data: object) -> int:
        checked(key)
        self.puts.append(key)
        self._before_put(len(self.puts))
        return await super().put(key, data)  # type: ignore[arg-type]

    async def read(self, key: str, start: int = 0, size: int | None = None) -> bytes:
        data = await super().read(key, start, size)
        self.read_bytes.append(len(data))
        return data


def burials(count: int, queue: str = "q") -> list[Burial]:
    frames = [Frame(uuid.uuid4(), ROUTE, 1, b'{"n": %d}' % number) for number in range(count)]
    return [Burial(queue, frame, frame.body, 1, f"refused for reason {frame.body!r}") for frame in frames]


async def kept(pool: Pool, objects: MemoryObjects) -> list[bytes]:
    """The body of each row's letter, read alone."""
    letters = PostgresLetters(pool, objects, Signal())
    bodies = []
    for letter in await letters.find(ALL):
        _, found, trouble = await letters.read(letter.id)
        assert found is not None, trouble
        assert (found.reason, found.frame_id) == (letter.reason, letter.frame_id)
        bodies.append(found.content)
    return sorted(bodies)


async def objects_of_rows(pool: Pool) -> list[str]:
    async with pool.connection() as conn:
        rows = await (await conn.execute("select distinct object_key from dead_letter order by 1")).fetchall()
    return [key for (key,) in rows]


async def test_thousands_cost_a_few_puts_and_each_letter_is_read_alone(pool: Pool) -> None:
    store = Store()
    dead = StoredDeadLetters(pool, store, SystemClock())
    refused = burials(5 * LETTERS_MAX - 1)
    await dead.bury(refused)
    assert len(store.puts) == 5
    letters = PostgresLetters(pool, store, Signal())
    assert (await letters.waiting(ALL)).letters == len(refused)
    (newest,) = await letters.find(LetterFilter(limit=1))
    _, found, _ = await letters.read(newest.id)
    assert found is not None and found.id == newest.id
    assert store.read_bytes == [newest.object_bytes]
    await dead.bury(refused)
    assert len(store.puts) == 5, "what is kept is not kept again"
    assert await kept(pool, store) == sorted(burial.body for burial in refused)


async def test_the_same_letter_twice_in_one_call_is_one(pool: Pool) -> None:
    store = Store()
    refused = burials(3)
    await StoredDeadLetters(pool, store, SystemClock()).bury([*refused, *refused])
    assert await kept(pool, store) == sorted(burial.body for burial in refused)


async def test_nothing_to_bury_asks_nobody(pool: Pool) -> None:
    await pool.aclose()
    await StoredDeadLetters(pool, Store(), SystemClock()).bury([])


async def test_a_burial_that_is_cut_short_is_done_again_without_a_second_row_or_a_lost_object(pool: Pool) -> None:
    def away(puts: int) -> None:
        if puts == 3:
            raise Transient("the objects are away")

    store = Store(away)
    dead = StoredDeadLetters(pool, store, SystemClock())
    refused = burials(4 * LETTERS_MAX)
    with pytest.raises(Transient, match="the objects are away"):
        await dead.bury(refused)
    assert (await PostgresLetters(pool, store, Signal()).waiting(ALL)).letters == 2 * LETTERS_MAX
    await dead.bury(refused[::-1])
    assert await kept(pool, store) == sorted(burial.body for burial in refused)
    assert len(store.puts) == 5
    assert await store.keys("") == await objects_of_rows(pool)


@pytest.mark.parametrize("lost", ["before", "after"])
async def test_rows_that_cannot_be_written_leave_no_objects_that_pile_up(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    put_rows = StoredDeadLetters._put_rows

    async def fails(self: StoredDeadLetters, statement: str, key: str, pack: Packed) -> None:
        if lost == "after":
            await put_rows(self, statement, key, pack)
        raise Transient("the database is away")

    store = Store()
    dead = StoredDeadLetters(pool, store, SystemClock())
    refused = burials(20)
    monkeypatch.setattr(StoredDeadLetters, "_put_rows", fails)
    for _ in range(3):
        try:
            await dead.bury(refused)
        except Transient:
            continue
    monkeypatch.undo()
    await dead.bury(refused)
    assert await store.keys("") == await objects_of_rows(pool)
    assert len(await store.keys("")) == 1
    assert await kept(pool, store) == sorted(burial.body for burial in refused)


async def test_two_who_bury_the_same_letters_at_once_keep_each_once(pool: Pool) -> None:
    store = Store()
    refused = burials(50)
    halves = [refused[:30], refused[20:], refused[::-1], refused]

    async def bury(some: Sequence[Burial]) -> None:
        await StoredDeadLetters(pool, store, SystemClock()).bury(some)

    async with trio.open_nursery() as nursery:
        for half in halves:
            nursery.start_soon(bury, half)
    assert await kept(pool, store) == sorted(burial.body for burial in refused)


async def test_a_store_that_refuses_our_object_says_nothing_about_the_letters(pool: Pool) -> None:
    def refuse(puts: int) -> None:
        if puts == 1:
            raise Permanent("object dlq: a part of the key is a file where a folder is due")

    store = Store(refuse)
    dead = StoredDeadLetters(pool, store, SystemClock())
    refused = burials(2)
    with pytest.raises(Transient, match="dead letters cannot be kept: object dlq"):
        await dead.bury(refused)
    await dead.bury(refused)
    assert len(await kept(pool, store)) == 2


async def test_a_replay_reads_together_what_stands_together(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    store, refused = Store(), burials(250)
    await StoredDeadLetters(pool, store, SystemClock()).bury(refused)
    letters = PostgresLetters(pool, store, Signal())
    some = [letter.id for letter in (await letters.find(ALL))[::3]]
    assert (await letters.replay(LetterFilter(ids=some), "ann")).letters == len(some)
    assert len(store.read_bytes) == 1, "a page of letters"
    monkeypatch.setattr("gcc.stores.letters.BATCH_BYTES", 10_000)
    done = await letters.replay(ALL, "ann")
    assert (done.letters, done.unreadable) == (250 - len(some), 0)
    assert 3 < len(store.read_bytes) < 20 and max(store.read_bytes[1:]) <= 10_000
    assert sorted(await in_the_outbox(pool)) == sorted(burial.body for burial in refused)


async def test_a_letter_that_is_larger_than_a_read_or_damaged_harms_no_neighbour(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gcc.stores.letters.BATCH_BYTES", 2000)
    store = Store()
    large = Frame(uuid.uuid4(), ROUTE, 1, b"x" * 5000)
    refused = [*burials(40), Burial("q", large, large.body, 1, "too large")]
    await StoredDeadLetters(pool, store, SystemClock()).bury(refused)
    letters = PostgresLetters(pool, store, Signal())
    spoilt, cut = (await letters.find(ALL))[20], (await letters.find(ALL))[0]
    data = bytearray(await store.read(spoilt.object_key))
    data[spoilt.object_start] = ord("?")
    await MemoryObjects.put(store, spoilt.object_key, bytes(data[: cut.object_start + 5]))
    done = await letters.replay(ALL, "ann")
    assert (done.letters, {trouble.id for trouble in done.errors}) == (39, {spoilt.id, cut.id})
    await store.delete(spoilt.object_key)
    done = await letters.replay(ALL, "ann")
    assert (done.letters, done.unreadable) == (0, 2)
    assert all("does not exist" in trouble.reason for trouble in done.errors)


async def in_the_outbox(pool: Pool) -> list[bytes]:
    async with pool.connection() as conn:
        rows = await (await conn.execute("select body from outbox", binary=True)).fetchall()
    return [bytes(body) for (body,) in rows]


@pytest.mark.parametrize("queue", ["", "..", "a/../b", ".hidden", "q\0", "\udcff", "x" * 5000, "a\nb"])
async def test_any_name_reason_and_header_can_be_kept_and_replayed(pool: Pool, queue: str) -> None:
    frame = Frame(uuid.uuid4(), Route(queue, queue), 1, b"\xff\0\n", {queue: queue})
    store = Store()
    await StoredDeadLetters(pool, store, SystemClock()).bury([Burial(queue, frame, frame.body, 1, queue), *burials(1)])
    assert b"\xff\0\n" in await kept(pool, store)
    assert (await PostgresLetters(pool, store, Signal()).replay(ALL, "ann")).letters == 2


async def test_a_letter_of_before_is_the_whole_object(pool: Pool) -> None:
    (burial,) = burials(1)
    letter, store = document(burial, SystemClock().now()), Store()
    key = f"dlq/2026-03-04/q/{letter.id}.json"
    await store.put(key, msgspec.json.encode(letter))
    async with pool.connection() as conn:
        await conn.execute(
            "insert into dead_letter (id, queue, exchange, routing_key, frame_id, events, reason, object_key)"
            " values (%s, 'q', 'beat.dx', 'x', %s, 1, %s, %s)",
            [letter.id, letter.frame_id, letter.reason, key],
        )
    assert await kept(pool, store) == [burial.body]
    await StoredDeadLetters(pool, store, SystemClock()).bury([burial])
    assert len(store.puts) == 1, "it is kept already"
    assert (await PostgresLetters(pool, store, Signal()).replay(ALL, "ann")).letters == 1


@pytest.mark.parametrize(("counted", "waits"), [(0, True), (1, False)])
async def test_what_another_producer_sends_again_after_its_replay_waits_again(
    pool: Pool, counted: int, waits: bool
) -> None:
    """A message without an id of its own: it passed without a trace. Of ours it is known that it came twice."""
    (burial,) = burials(1)
    burial = replace(burial, counted=counted)
    store = Store()
    letters = PostgresLetters(pool, store, Signal())
    for _ in range(2):
        await StoredDeadLetters(pool, store, SystemClock()).bury([burial])
        await letters.replay(ALL, "ann")
        await StoredDeadLetters(pool, store, SystemClock()).bury([burial])
    waiting = await letters.waiting(ALL)
    assert waiting.letters == int(waits)
    if waits:
        assert await kept(pool, store) == [burial.body]

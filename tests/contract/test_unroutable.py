"""Frames that no queue is bound to, on PostgreSQL: buried once, with no row locked while the object store is asked."""

import uuid

import pytest
import trio

from gcc.channels.deadletters import UNROUTABLE, Burial
from gcc.channels.letters import LetterFilter
from gcc.channels.memory import Signal
from gcc.channels.message import Binding, Frame, Route
from gcc.channels.objects import checked
from gcc.clock import SystemClock
from gcc.errors import LeaseLost, Transient
from gcc.stores import outbox
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.leadership import PostgresLeadership
from gcc.stores.letters import PostgresLetters
from gcc.stores.postgres import Pool
from gcc.stores.postgres_exchange import BURIED_BYTES_MAX, OUTBOX_POLL_S, PostgresExchange
from tests.fakes.objects import MemoryObjects

NOWHERE, SOMEWHERE = Route("beat.dx", "nowhere"), Route("beat.dx", "somewhere")
ALL = LetterFilter()


class SlowStore(MemoryObjects):
    """A put waits until `go`; `asked` counts those that wait or did. `away`: it fails then."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.asked, self.away = trio.Event(), Signal(), False
        self.puts: list[str] = []

    async def put(self, key: str, data: object) -> int:
        self.puts.append(checked(key))
        self.asked.set()
        await self.go.wait()
        if self.away:
            raise Transient("the objects are away")
        return await super().put(key, data)  # type: ignore[arg-type]


class Post:
    def __init__(self, pool: Pool) -> None:
        self.pool, self.store = pool, SlowStore()
        self.dead = dead = StoredDeadLetters(pool, self.store, SystemClock())
        self.written = Signal()
        self.one, self.other = PostgresExchange(pool, dead, self.written), PostgresExchange(pool, dead, Signal())
        self.letters = PostgresLetters(pool, self.store, Signal())

    async def emit(self, route: Route, count: int) -> list[Frame]:
        sent = [Frame(uuid.uuid4(), route, 1, b'{"n": %d}' % number) for number in range(count)]
        async with self.pool.transaction() as conn:
            await outbox.put(conn, sent)
        self.written.set()
        return sent

    async def moved(self, count: int) -> list[Frame]:
        """So many, by the other relay or by the one that buries."""
        taken: list[Frame] = []
        with trio.fail_after(30):
            while len(taken) < count:
                await self.other._move()
                taken += [delivery.frame for delivery in await self.other.take("q", frames_max=9)]
        return taken

    async def buried(self) -> list[bytes]:
        bodies = []
        for letter in await self.letters.find(ALL):
            _, found, trouble = await self.letters.read(letter.id)
            assert found is not None, trouble
            assert (found.queue, letter.reason) == (UNROUTABLE, found.reason)
            bodies.append(found.content)
        return sorted(bodies)

    async def left(self) -> int:
        async with self.pool.connection() as conn:
            ((count,),) = await (await conn.execute("select count(*) from outbox")).fetchall()
        return int(count)


async def test_no_row_is_locked_while_the_object_store_is_asked(pool: Pool) -> None:
    post = Post(pool)
    await post.one.declare([Binding(SOMEWHERE, "q")])
    lost = await post.emit(NOWHERE, 3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post.one.relay)
        assert await post.store.asked.wait(10)
        async with pool.transaction() as conn:
            rows = await (await conn.execute("select id from outbox for update nowait")).fetchall()
        assert len(rows) == 3
        assert pool.used == 0, "and no connection is held"
        sent = await post.emit(SOMEWHERE, 2)
        assert await post.moved(2) == sent
        post.store.go.set()
    assert await post.buried() == [frame.body for frame in lost]
    assert await post.left() == 0


async def test_what_has_a_queue_goes_on_while_the_object_store_is_slow(pool: Pool) -> None:
    post = Post(pool)
    await post.one.declare([Binding(SOMEWHERE, "q")])
    lost = await post.emit(NOWHERE, 3)
    relayed: list[int] = []
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:

            async def relay() -> None:
                relayed.append(await post.one.relay())

            nursery.start_soon(relay)
            assert await post.store.asked.wait(10)
            for _ in range(3):
                sent = await post.emit(SOMEWHERE, 2)
                while not (taken := await post.one.take("q", frames_max=9)):
                    await post.one.wait("q")
                assert [delivery.frame for delivery in taken] == sent
            assert relayed == []
            post.store.go.set()
    assert relayed == [3 + 6]
    assert await post.buried() == [frame.body for frame in lost]


async def test_what_has_a_queue_goes_on_while_the_object_store_is_away(pool: Pool) -> None:
    post = Post(pool)
    post.store.away = True
    post.store.go.set()
    await post.one.declare([Binding(SOMEWHERE, "q")])
    lost = await post.emit(NOWHERE, 3)
    for _ in range(5):
        await post.emit(SOMEWHERE, 2)
        assert await post.one.relay() == 2
        with pytest.raises(Transient, match="3 frames without a queue could not be buried: the objects") as caught:
            await post.one.relay()
        assert caught.value.retry_after_s == OUTBOX_POLL_S, "so soon is looked for others again"
    assert len(post.store.puts) == 1, "burials rest meanwhile"
    assert len(await post.one.take("q", frames_max=99)) == 10
    post.store.away = False
    post.one._burials_rest_until = 0.0
    assert await post.one.relay() == 3
    assert await post.buried() == [frame.body for frame in lost]
    assert await post.one.relay() == 0


async def test_two_relays_bury_each_frame_once(pool: Pool) -> None:
    post = Post(pool)
    lost = await post.emit(NOWHERE, 30)
    async with trio.open_nursery() as nursery:
        for relay in (post.one.relay, post.other.relay):
            nursery.start_soon(relay)
            assert await post.store.asked.wait(10)
        post.store.go.set()
    assert len(post.store.puts) == 2 and len(set(post.store.puts)) == 1
    assert await post.buried() == sorted(frame.body for frame in lost)
    assert await post.left() == 0


async def test_what_is_bound_meanwhile_and_relayed_is_no_letter(pool: Pool) -> None:
    post = Post(pool)
    early = await post.emit(NOWHERE, 2)
    await post.emit(SOMEWHERE, 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post.one.relay)
        assert await post.store.asked.wait(10)
        await post.one.declare([Binding(NOWHERE, "q")])
        assert await post.moved(2) == early
        post.store.go.set()
    assert len(await post.buried()) == 1
    assert await post.left() == 0


async def test_a_leader_buries_only_within_its_term(pool: Pool) -> None:
    post, leadership = Post(pool), PostgresLeadership(pool)
    post.store.go.set()
    lost = await post.emit(NOWHERE, 2)
    rows = [(row, "refused") for row in await outbox.PostgresOutbox(pool, "relay").oldest(9, 1 << 20, without=())]
    term = await leadership.campaign("relay", "one", ttl_s=600)
    assert term is not None
    await leadership.resign("relay", "one", term)
    later = await leadership.campaign("relay", "other", ttl_s=600)
    assert later is not None
    with pytest.raises(LeaseLost, match=f"term {term} of leader 'relay' is over"):
        await post.dead.bury_outbox(rows, ("relay", term))
    assert (await post.left(), await post.buried()) == (2, [])
    await post.dead.bury_outbox(rows, ("relay", later))
    assert (await post.left(), await post.buried()) == (0, sorted(frame.body for frame in lost))


@pytest.mark.parametrize("how", ["away", "cancelled"])
async def test_what_could_not_be_buried_stays_and_is_buried_later(pool: Pool, how: str) -> None:
    post = Post(pool)
    lost = await post.emit(NOWHERE, 5)
    post.store.away = how == "away"
    if how == "away":
        post.store.go.set()
        with pytest.raises(Transient, match="the objects are away"):
            await post.one.relay()
        post.store.away = False
    else:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post.one.relay)
            assert await post.store.asked.wait(10)
            nursery.cancel_scope.cancel()
        post.store.go.set()
    assert (await post.left(), await post.letters.find(ALL)) == (5, [])
    assert await post.other.relay() == 5
    assert await post.buried() == [frame.body for frame in lost]
    assert len(await post.store.keys("")) == 1


async def refused_and_replayed(post: Post, body: bytes) -> None:
    """A message of another producer, without an id: the same letter each time, and its replay the same frame."""
    message = Frame(uuid.uuid5(uuid.NAMESPACE_OID, "message"), SOMEWHERE, 1, body, counted=0)
    await post.dead.bury([Burial("q", message, body, 1, "refused", counted=0)])
    assert (await post.letters.replay(ALL, "ann")).letters == 1


async def test_a_replay_that_is_unroutable_again_after_its_letter_was_replayed_waits_again(pool: Pool) -> None:
    post = Post(pool)
    post.store.go.set()
    for _ in range(2):
        await refused_and_replayed(post, b"{}")
        assert await post.one.relay() == 1
        assert (await post.buried(), await post.left()) == ([b"{}"], 0)
        assert (await post.letters.replay(ALL, "ann")).letters == 1
        async with pool.connection() as conn:
            await conn.execute("delete from outbox")  # this time a queue took it


async def test_a_replay_that_is_twice_in_the_outbox_becomes_one_letter(pool: Pool) -> None:
    post = Post(pool)
    post.store.go.set()
    for _ in range(2):
        await refused_and_replayed(post, b"{}")
    assert await post.one.relay() == 2
    assert (await post.buried(), await post.left()) == ([b"{}"], 0)


async def test_more_than_one_object_holds_are_buried_each_with_its_own_body(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gcc.channels.deadletters.LETTERS_MAX", 7)
    post = Post(pool)
    post.store.go.set()
    lost = await post.emit(NOWHERE, 20)
    assert await post.one.relay() == 20
    assert len(post.store.puts) == 3
    assert await post.buried() == sorted(frame.body for frame in lost)


async def test_what_is_buried_at_once_is_bound_by_its_bytes(pool: Pool) -> None:
    post = Post(pool)
    post.store.go.set()
    async with pool.transaction() as conn:
        await outbox.put(conn, [Frame(uuid.uuid4(), NOWHERE, 1, bytes(BURIED_BYTES_MAX // 2)) for _ in range(3)])
    assert [await post.one.relay() for _ in range(3)] == [2, 1, 0]

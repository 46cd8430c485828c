"""Dead letters as people meet them: one suite for PostgreSQL with objects in a folder, and for the fake."""

import datetime as dt
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trio

from gcc.channels.deadletters import UNROUTABLE, Burial, DeadLetters
from gcc.channels.exchange import Exchange
from gcc.channels.letters import Letter, LetterFilter, Letters
from gcc.channels.memory import Signal
from gcc.channels.message import Binding, Frame, Route
from gcc.clock import SystemClock
from gcc.errors import Permanent
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.folder_objects import FolderObjects
from gcc.stores.letters import PostgresLetters
from gcc.stores.postgres import Pool
from gcc.stores.postgres_exchange import PostgresExchange
from tests.fakes.database import Connection, Database
from tests.fakes.event_store import FakeDeadLetters
from tests.fakes.exchange import FakeExchange
from tests.fakes.letters import FakeLetters

A = Route("beat.dx", "a")
ALL = LetterFilter()


@dataclass
class Office:
    letters: Letters
    dead: DeadLetters
    exchange: Exchange
    written: Signal
    lose: Callable[[Letter], Awaitable[None]]
    """Its object is gone."""

    async def bury(
        self, queue: str, body: bytes, reason: str = "refused", *, events: int = 1, route: Route = A
    ) -> Frame:
        frame = Frame(uuid.uuid4(), route, events, body, {"x-from": "elsewhere"})
        await self.dead.bury([Burial(queue, frame, body, events, reason)])
        return frame

    async def arrived(self, queue: str) -> list[Frame]:
        while await self.exchange.relay():
            pass
        taken = await self.exchange.take(queue, frames_max=1000)
        await self.exchange.acknowledge(taken)
        return [delivery.frame for delivery in taken]


@pytest.fixture(params=["fake", "stored"])
async def office(request: pytest.FixtureRequest, pool: Pool, tmp_path: Path) -> Office:
    written = Signal()
    if request.param == "fake":
        connection = Connection(Database(SystemClock()))
        fake = FakeLetters(connection, written)

        async def forget(letter: Letter) -> None:
            fake.lost.add(letter.id)

        office = Office(fake, FakeDeadLetters(connection), FakeExchange(connection, written), written, forget)
    else:
        objects = FolderObjects(tmp_path)
        dead = StoredDeadLetters(pool, objects, SystemClock())

        async def delete(letter: Letter) -> None:
            await objects.delete(letter.object_key)

        real = PostgresLetters(pool, objects, written)
        office = Office(real, dead, PostgresExchange(pool, dead, written), written, delete)
    await office.exchange.declare([Binding(A, "one"), Binding(A, "two")])
    return office


async def test_what_waits_is_counted_by_queue_and_reason_the_newest_first(office: Office) -> None:
    await office.bury("one", b"1", "too long", events=2)
    await office.bury("two", b"2", "no type")
    await office.bury("one", b"3", "too long", events=3)
    waiting = await office.letters.waiting(ALL)
    assert (waiting.letters, waiting.events) == (3, 6)
    assert [(group.queue, group.reason, group.letters, group.events) for group in waiting.groups] == [
        ("one", "too long", 2, 5),
        ("two", "no type", 1, 1),
    ]
    assert waiting == await office.letters.recent()
    assert (await office.letters.find(LetterFilter(limit=1)))[0].at == waiting.groups[0].newest
    assert (await office.letters.waiting(LetterFilter(queue="three"))).groups == ()


async def test_a_filter_means_a_queue_a_part_of_the_reason_a_time_and_ids(office: Office) -> None:
    for number, reason in enumerate(("Code 27: bad number", "Code 6: 100 % bad_date", "not a post_log event")):
        await office.bury("one" if number else "two", b"%d" % number, reason)
    newest, middle, oldest = await office.letters.find(ALL)

    async def found(**wanted: object) -> list[Letter]:
        letters = await office.letters.find(LetterFilter(**wanted))  # type: ignore[arg-type]
        assert (await office.letters.waiting(LetterFilter(**wanted))).letters == len(letters)  # type: ignore[arg-type]
        return letters

    assert await found(queue="two") == [oldest]
    assert await found(reason="code") == [middle, oldest]
    assert await found(reason="% bad_") == [middle], "no character is a wildcard"
    assert await found(since=middle.at) == [newest, middle]
    assert await found(ids=[oldest.id, newest.id]) == [newest, oldest]
    assert await found(ids=[]) == []
    assert await found(limit=2) == [newest, middle]
    assert await found(queue="one", reason="code") == [middle]
    assert await office.letters.waiting(LetterFilter(limit=1)) == await office.letters.waiting(
        LetterFilter(queue="two")
    )


async def test_a_letter_is_read_whole(office: Office) -> None:
    frame = await office.bury("one", '{"name": "é\0"}\n{}'.encode(), "no type", events=2)
    (letter,) = await office.letters.find(ALL)
    assert (letter.queue, letter.exchange, letter.routing_key, letter.frame_id) == ("one", *_of(A), frame.id)
    found, document, trouble = await office.letters.read(letter.id)
    assert (found, trouble) == (letter, "")
    assert document is not None and document.content == frame.body
    assert (document.headers, document.events, document.reason) == ({"x-from": "elsewhere"}, 2, "no type")
    assert document.dead_lettered_at.tzinfo is not None
    assert abs(document.dead_lettered_at - letter.at) < dt.timedelta(seconds=10)
    with pytest.raises(Permanent, match="there is no dead letter"):
        await office.letters.read(uuid.uuid4())


@pytest.mark.parametrize("body", [b'{"a": 1}\n{"a": 2}', b"\xff\xfe\x00 not text", b""])
async def test_a_replay_brings_the_same_bytes_to_the_same_queue_alone(office: Office, body: bytes) -> None:
    frame = await office.bury("one", body, events=2)
    done = await office.letters.replay(ALL, "ann@desk")
    assert (done.letters, done.events, done.unreadable) == (1, 2, 0)
    (again,) = await office.arrived("one")
    assert (again.route, again.events, again.body) == (Route("", "one"), 2, body)
    assert again.id != frame.id
    assert await office.arrived("two") == []


async def test_a_letter_is_replayed_once_and_tells_by_whom(office: Office) -> None:
    await office.bury("one", b"{}")
    (letter,) = await office.letters.find(ALL)
    await office.letters.replay(LetterFilter(ids=[letter.id]), "ann@desk")
    assert (await office.letters.replay(LetterFilter(ids=[letter.id]), "bob@desk")).letters == 0
    assert (await office.letters.find(ALL), (await office.letters.waiting(ALL)).letters) == ([], 0)
    replayed, document, _ = await office.letters.read(letter.id)
    assert document is not None and replayed.replayed_at is not None
    assert replayed == replace(letter, replayed_at=replayed.replayed_at, replayed_by="ann@desk")
    assert len(await office.arrived("one")) == 1


async def test_two_people_at_once_replay_each_letter_once(office: Office) -> None:
    for number in range(250):
        await office.bury("one", b"%d" % number)
    counts: list[int] = []

    async def replay(who: str) -> None:
        counts.append((await office.letters.replay(ALL, who)).letters)

    async with trio.open_nursery() as nursery:
        for who in ("ann", "bob", "eve"):
            nursery.start_soon(replay, who)
    assert sum(counts) == 250
    assert sorted(int(frame.body) for frame in await office.arrived("one")) == list(range(250))


async def test_a_limit_takes_the_oldest(office: Office) -> None:
    for number in range(5):
        await office.bury("one", b"%d" % number)
    assert (await office.letters.replay(LetterFilter(limit=2), "ann")).letters == 2
    assert [frame.body for frame in await office.arrived("one")] == [b"0", b"1"]
    assert (await office.letters.replay(LetterFilter(queue="one"), "ann")).letters == 3
    assert [frame.body for frame in await office.arrived("one")] == [b"2", b"3", b"4"]


async def test_what_is_refused_again_is_a_new_letter_which_this_replay_leaves_alone(office: Office) -> None:
    await office.bury("one", b"poison")
    (first,) = await office.letters.find(ALL)
    await office.letters.replay(ALL, "ann")
    (again,) = await office.arrived("one")
    for _ in range(2):  # cut short and done again
        await office.dead.bury([Burial("one", again, again.body, 1, "refused again")])
    (second,) = await office.letters.find(ALL)
    assert second.id != first.id
    assert (second.queue, second.routing_key, second.reason) == ("one", "one", "refused again")
    await office.letters.replay(ALL, "ann")
    (third,) = await office.arrived("one")
    assert len({first.frame_id, again.id, third.id}) == 3


async def test_an_unroutable_letter_goes_the_way_it_was_meant_to_go(office: Office) -> None:
    late = Route("beat.dx", "late")
    await office.bury(UNROUTABLE, b"{}", route=late)
    await office.letters.replay(ALL, "ann")
    assert await office.arrived("late") == []
    assert [letter.queue for letter in await office.letters.find(ALL)] == [UNROUTABLE], "still nobody is bound"
    await office.exchange.declare([Binding(late, "late"), Binding(late, "later")])
    await office.letters.replay(ALL, "ann")
    for queue in ("late", "later"):
        assert [frame.route for frame in await office.arrived(queue)] == [late]


async def test_a_letter_whose_queue_is_gone_is_unroutable_and_comes_back_with_it(office: Office) -> None:
    await office.bury("gone", b"{}")
    await office.letters.replay(ALL, "ann")
    assert await office.arrived("gone") == []
    (letter,) = await office.letters.find(ALL)
    assert (letter.queue, letter.exchange, letter.routing_key) == (UNROUTABLE, "", "gone")
    await office.exchange.declare([Binding(A, "gone")])
    await office.letters.replay(ALL, "ann")
    assert [frame.body for frame in await office.arrived("gone")] == [b"{}"]
    assert await office.arrived("one") == []


async def test_a_letter_that_cannot_be_read_is_told_of_and_the_others_go_on(office: Office) -> None:
    for number in range(3):
        await office.bury("one", b"%d" % number)
    _, middle, _ = await office.letters.find(ALL)
    await office.lose(middle)
    done = await office.letters.replay(ALL, "ann")
    assert (done.letters, done.unreadable, [trouble.id for trouble in done.errors]) == (2, 1, [middle.id])
    assert "does not exist" in done.errors[0].reason
    assert [frame.body for frame in await office.arrived("one")] == [b"0", b"2"]
    letter, document, trouble = await office.letters.read(middle.id)
    assert (letter, document) == (middle, None) and "does not exist" in trouble
    assert await office.letters.find(ALL) == [middle], "it waits on"


async def test_a_replay_wakes_the_relay(office: Office) -> None:
    await office.bury("one", b"{}")
    await office.letters.replay(ALL, "ann")
    assert await office.written.wait(5)


class CountedObjects(FolderObjects):
    """Calls `at_last` when so many objects were read."""

    def __init__(self, root: Path, reads: int, at_last: Callable[[], None]) -> None:
        super().__init__(root)
        self._left, self._at_last = reads, at_last

    async def read(self, key: str, start: int = 0, size: int | None = None) -> bytes:
        self._left -= 1
        if self._left == 0:
            self._at_last()
        return await super().read(key, start, size)


async def test_a_replay_that_was_cut_off_is_finished_by_the_next(pool: Pool, tmp_path: Path) -> None:
    dead = StoredDeadLetters(pool, FolderObjects(tmp_path), SystemClock())
    exchange = PostgresExchange(pool, dead, Signal())
    await exchange.declare([Binding(A, "one")])
    for number in range(250):
        frame = Frame(uuid.uuid4(), A, 1, b"%d" % number)
        await dead.bury([Burial("one", frame, frame.body, 1, "refused")])
    with trio.CancelScope() as scope:
        await PostgresLetters(pool, CountedObjects(tmp_path, 150, scope.cancel), Signal()).replay(ALL, "ann")
    assert scope.cancelled_caught
    letters = PostgresLetters(pool, FolderObjects(tmp_path), Signal())
    assert (await letters.waiting(ALL)).letters == 150, "what was begun is done or not, letter by letter"
    assert (await letters.replay(ALL, "ann")).letters == 150
    while await exchange.relay():
        pass
    taken = await exchange.take("one", frames_max=1000)
    assert [int(delivery.frame.body) for delivery in taken] == list(range(250))


async def test_letters_that_come_while_a_replay_runs_are_left_for_the_next(pool: Pool, tmp_path: Path) -> None:
    """Else what is refused again at once would be replayed for ever."""

    async def bury() -> None:
        frame = Frame(uuid.uuid4(), A, 1, b"poison")
        await dead.bury([Burial("one", frame, frame.body, 1, "refused")])

    class Refused(FolderObjects):
        async def read(self, key: str, start: int = 0, size: int | None = None) -> bytes:
            await bury()
            return await super().read(key, start, size)

    dead = StoredDeadLetters(pool, FolderObjects(tmp_path), SystemClock())
    for _ in range(3):
        await bury()
    letters = PostgresLetters(pool, Refused(tmp_path), Signal())
    with trio.fail_after(20):
        assert (await letters.replay(ALL, "ann")).letters == 3
    assert (await letters.waiting(ALL)).letters == 3


async def test_an_object_that_is_another_letters_or_none_is_not_replayed(pool: Pool, tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    dead = StoredDeadLetters(pool, objects, SystemClock())
    letters = PostgresLetters(pool, objects, Signal())
    for body in (b"a", b"b", b"c"):
        await dead.bury([Burial("one", Frame(uuid.uuid4(), A, 1, body), body, 1, "refused")])
    c, b, a = await letters.find(ALL)
    await objects.put(a.object_key, await objects.read(b.object_key))
    await objects.put(b.object_key, (await objects.read(b.object_key)).replace(b'"body":"b"', b'"body":"x"'))
    await objects.put(c.object_key, b"not even JSON")
    done = await letters.replay(ALL, "ann")
    assert (done.letters, done.unreadable) == (0, 3)
    reasons = [trouble.reason for trouble in done.errors]
    for reason, told in zip(reasons, ("holds dead letter", "was changed", "not a dead letter"), strict=True):
        assert told in reason
    assert (await letters.waiting(ALL)).letters == 3


def _of(route: Route) -> tuple[str, str]:
    return route.exchange, route.key

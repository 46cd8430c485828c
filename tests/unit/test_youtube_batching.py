"""Ids that jobs ask for at the same time go out in one call: what each gets, who asks, and what a cancellation does."""

from collections.abc import Sequence

import pytest
import trio
import trio.testing

from gcc.sources.chain import Visit
from gcc.sources.fields import Fields
from gcc.sources.verdicts import SourceFailed
from gcc.sources.youtube.batching import GATHER_S, IDS_MAX, Answered, Batch, Batching

URGENT = Visit(priority=9)


class Outside:
    """Answers each id with itself after `takes_s`, of which `limited_s` pass before the request is built."""

    def __init__(self, takes_s: float = 1.0, limited_s: float = 0.0) -> None:
        self.takes_s, self.limited_s = takes_s, limited_s
        self.calls: list[Sequence[str]] = []
        self.visits: list[Visit] = []
        self.fails: Exception | None = None

    async def ask(self, batch: Batch, visit: Visit) -> Answered:
        await trio.sleep(self.limited_s)
        ids = batch.close()
        self.calls.append(ids)
        self.visits.append(visit)
        await trio.sleep(self.takes_s)
        if self.fails:
            raise self.fails
        return Answered({each: Fields({"id": each}, "src") for each in ids if each != "absent"})


async def fetch(batching: Batching, ids: Sequence[str], visit: Visit, into: dict[str, list[str]]) -> None:
    answered = await batching.fetch(ids, visit)
    into[ids[0]] = sorted(answered.items)


async def test_each_gets_its_own_of_one_call(autojump_clock: trio.testing.MockClock) -> None:
    outside, got = Outside(), dict[str, list[str]]()
    batching, visits = Batching(outside.ask), [Visit() for _ in range(3)]
    async with trio.open_nursery() as nursery:
        for ids, visit in zip((["a", "b"], ["b", "c"], ["absent"]), visits, strict=True):
            nursery.start_soon(fetch, batching, ids, visit, got)
    assert [sorted(call) for call in outside.calls] == [["a", "absent", "b", "c"]]
    assert got == {"a": ["a", "b"], "b": ["b", "c"], "absent": []}
    assert len(outside.visits) == 1  # whose trace it is
    assert trio.current_time() == pytest.approx(1.0 + GATHER_S)


async def test_others_join_until_the_limit_lets_it_through(autojump_clock: trio.testing.MockClock) -> None:
    outside, got = Outside(limited_s=10), dict[str, list[str]]()
    batching = Batching(outside.ask)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fetch, batching, ["a"], Visit(), got)
        await trio.sleep(9)
        nursery.start_soon(fetch, batching, ["b"], Visit(), got)
        await trio.sleep(1.5)  # the request is out
        nursery.start_soon(fetch, batching, ["c"], Visit(), got)
    assert outside.calls == [["a", "b"], ["c"]]


async def test_a_full_one_waits_for_nobody(autojump_clock: trio.testing.MockClock) -> None:
    outside = Outside(takes_s=0)
    answered = await Batching(outside.ask).fetch([str(number) for number in range(IDS_MAX)], Visit())
    assert (len(answered.items), trio.current_time()) == (IDS_MAX, 0)


async def test_what_does_not_fit_begins_another_call(autojump_clock: trio.testing.MockClock) -> None:
    outside, got = Outside(), dict[str, list[str]]()
    batching = Batching(outside.ask)
    async with trio.open_nursery() as nursery:
        for job in "abcd":
            nursery.start_soon(fetch, batching, [f"{job}{number}" for number in range(15)], Visit(), got)
    assert sorted(len(call) for call in outside.calls) == [15, 45]
    assert {len(ids) for ids in got.values()} == {15}
    assert len((await batching.fetch([str(number) for number in range(120)], Visit())).items) == 120
    assert sorted(len(call) for call in outside.calls[2:]) == [20, 50, 50]


async def test_nobody_waits_in_a_line_of_lower_priority(autojump_clock: trio.testing.MockClock) -> None:
    outside, got = Outside(), dict[str, list[str]]()
    batching = Batching(outside.ask)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fetch, batching, ["a"], Visit(), got)
        nursery.start_soon(fetch, batching, ["b"], URGENT, got)
    assert sorted(outside.calls) == [["a"], ["b"]]


@pytest.mark.parametrize("at_s", [0.0, GATHER_S / 2, 0.5, 5.5])
async def test_who_is_cancelled_takes_nobody_with_him(autojump_clock: trio.testing.MockClock, at_s: float) -> None:
    """While it gathers, while it waits for the limit, and while it is out: the next in line asks."""
    outside, got = Outside(limited_s=5), dict[str, list[str]]()
    batching = Batching(outside.ask)
    async with trio.open_nursery() as nursery:
        leaving = trio.CancelScope()

        async def first() -> None:
            with leaving:
                await fetch(batching, ["a"], Visit(), got)

        nursery.start_soon(first)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(fetch, batching, ["b"], Visit(), got)
        nursery.start_soon(fetch, batching, ["c"], Visit(), got)
        await trio.sleep(at_s)
        leaving.cancel()
    assert got == {"b": ["b"], "c": ["c"]}
    assert len(outside.calls) == (2 if at_s > 5 else 1)


async def test_a_follower_may_leave(autojump_clock: trio.testing.MockClock) -> None:
    outside, got = Outside(), dict[str, list[str]]()
    batching = Batching(outside.ask)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fetch, batching, ["a"], Visit(), got)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.5):
            await fetch(batching, ["b"], Visit(), got)
    assert (got, outside.calls) == ({"a": ["a"]}, [["a", "b"]])


async def test_a_failure_is_told_to_each_and_held_against_nobody_after(autojump_clock: trio.testing.MockClock) -> None:
    outside = Outside()
    batching, failed = Batching(outside.ask), list[str]()
    outside.fails = SourceFailed("HTTP 500")

    async def failing(each: str) -> None:
        try:
            await batching.fetch([each], Visit())
        except SourceFailed as error:
            failed.append(str(error))

    async with trio.open_nursery() as nursery:
        for each in "abc":
            nursery.start_soon(failing, each)
    assert (failed, len(outside.calls)) == (["HTTP 500"] * 3, 1)
    outside.fails = None
    assert list((await batching.fetch(["a"], Visit())).items) == ["a"]


async def test_a_bug_is_no_answer(autojump_clock: trio.testing.MockClock) -> None:
    outside = Outside()
    outside.fails = ZeroDivisionError("bug")
    with pytest.raises(ZeroDivisionError):
        await Batching(outside.ask).fetch(["a"], Visit())

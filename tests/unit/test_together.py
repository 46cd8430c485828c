"""What is committed together: who shares a transaction, whose error is whose, and what a cancellation leaves."""

from collections import Counter
from collections.abc import Sequence

import pytest
import trio

from gcc.errors import Transient
from gcc.stores import together
from gcc.stores.together import Together


class Store:
    """Commits what it is given once `may` is set; a transaction that holds a `bad` item fails."""

    def __init__(self, *bad: str, error: type[Exception] = ValueError, weight_max: int = 10) -> None:
        self.bad, self.error = bad, error
        self.begun: list[list[str]] = []
        self.committed: list[str] = []
        self.may = trio.Event()
        self.together = Together(self._commit_all, weight=len, weight_max=weight_max)

    async def _commit_all(self, items: Sequence[str]) -> list[Exception | None]:
        self.begun.append(list(items))
        await self.may.wait()
        if bad := [item for item in items if item in self.bad]:
            raise self.error(bad[0])
        self.committed += items
        return [LookupError(item) if item == "over" else None for item in items]


class Steps(trio.abc.Instrument):
    """How often each commit ran."""

    def __init__(self) -> None:
        self.of: Counter[trio.lowlevel.Task] = Counter()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task.name.endswith("commit"):
            self.of[task] += 1


async def told(store: Store, *items: str) -> dict[str, str]:
    """What each is told, where all come while the first one's transaction is under way."""
    answers: dict[str, str] = {}

    async def commit(item: str) -> None:
        try:
            await store.together.commit(item)
            answers[item] = "done"
        except Exception as error:
            answers[item] = f"{type(error).__name__} {error}"

    async with trio.open_nursery() as nursery:
        for item in items:
            nursery.start_soon(commit, item)
            await trio.testing.wait_all_tasks_blocked()
        store.may.set()
    return answers


async def test_who_comes_meanwhile_shares_the_next_transaction() -> None:
    store = Store()
    assert await told(store, *"abcd") == dict.fromkeys("abcd", "done")
    assert store.begun == [["a"], ["b", "c", "d"]]
    await store.together.commit("e")
    assert store.begun[2:] == [["e"]], "nobody is waited for"


async def test_only_he_is_told_who_was_left_out() -> None:
    answers = await told(Store(), "a", "over", "b")
    assert answers == {"a": "done", "over": "LookupError over", "b": "done"}


async def test_what_cannot_be_committed_takes_nobody_with_it() -> None:
    store = Store("x", "z")
    answers = await told(store, *"abxcdez")
    assert answers == {**dict.fromkeys("abcde", "done"), "x": "ValueError x", "z": "ValueError z"}
    assert sorted(store.committed) == list("abcde"), "each once"


async def test_a_store_that_is_away_is_asked_once_for_all() -> None:
    store = Store("b", error=Transient)
    assert await told(store, *"abc") == {"a": "done", "b": "Transient b", "c": "Transient b"}
    assert store.begun == [["a"], ["b", "c"]]


async def test_a_transaction_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "ITEMS_MAX", 3)
    store = Store(weight_max=4)
    items = ["first", "1", "22", "333", "a", "b", "c", "d", "much too long", "e"]
    assert await told(store, *items) == dict.fromkeys(items, "done")
    assert store.begun == [["first"], ["1", "22"], ["333", "a"], ["b", "c", "d"], ["much too long"], ["e"]]


async def test_who_is_cancelled_takes_nobody_with_him() -> None:
    store = Store()
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as cancelled:
            cancelled.start_soon(store.together.commit, "first")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(store.together.commit, "b")
            cancelled.start_soon(store.together.commit, "waits")
            nursery.start_soon(store.together.commit, "c")
            await trio.testing.wait_all_tasks_blocked()
            cancelled.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        store.may.set()
    assert store.begun[0] == ["first"]
    assert sorted(store.committed) == ["b", "c"]


async def test_who_is_cancelled_when_his_turn_comes_hands_it_on() -> None:
    for may_first in (True, False):
        store = Store()
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery, trio.open_nursery() as cancelled:
                nursery.start_soon(store.together.commit, "first")
                await trio.testing.wait_all_tasks_blocked()
                cancelled.start_soon(store.together.commit, "next")
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(store.together.commit, "last")
                await trio.testing.wait_all_tasks_blocked()
                for act in (store.may.set, cancelled.cancel_scope.cancel)[:: 1 if may_first else -1]:
                    act()
        assert store.committed == ["first", "last"]


async def test_only_those_are_woken_whom_it_concerns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "ITEMS_MAX", 2)
    store, steps = Store(weight_max=100), Steps()
    trio.lowlevel.add_instrument(steps)
    try:
        await told(store, *map(str, range(40)))
    finally:
        trio.lowlevel.remove_instrument(steps)
    assert len(store.begun) == 21 and max(steps.of.values()) < 10, "not once a transaction"

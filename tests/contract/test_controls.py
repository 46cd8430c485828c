"""Overrides and the action log: one suite for PostgreSQL and for the fake that simulations use."""

import datetime as dt
from dataclasses import replace
from functools import partial

import pytest
import trio

from gcc.actors.controls import Action, Controls
from gcc.clock import SystemClock
from gcc.stores.controls import CONTROLS_CHANNEL, PostgresControls
from gcc.stores.notifications import Notifications
from gcc.stores.postgres import Pool
from tests.contract.test_notifications import kept
from tests.fakes.controls import FakeControls

CLOCK = SystemClock()
BEGAN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(params=["fake", "postgres"])
async def controls(request: pytest.FixtureRequest, pool: Pool) -> Controls:
    return FakeControls() if request.param == "fake" else PostgresControls(pool)


def action(number: int, **changes: object) -> Action:
    made = Action(
        CLOCK.new_id(), BEGAN + dt.timedelta(seconds=number), "me@here", "because", "pause", f"actor {number}"
    )
    return replace(made, **changes)  # type: ignore[arg-type]


async def test_an_override_holds_until_it_is_removed(controls: Controls) -> None:
    assert await controls.read() == {}
    await controls.write("pause:events/relay", True, action(1))
    await controls.write("concurrency:flow", 4, action(2))
    await controls.write("concurrency:flow", 7, action(3))
    assert await controls.read() == {"pause:events/relay": True, "concurrency:flow": 7}
    await controls.write("pause:events/relay", None, action(4))
    await controls.write("pause:never was", None, action(5))
    assert await controls.read() == {"concurrency:flow": 7}


async def test_every_action_is_kept_newest_first(controls: Controls) -> None:
    first = action(1, detail={"filter": {"flow": "a"}}, verb="retry", things=12)
    second, third = action(2), action(3, why="")
    await controls.record(first)
    await controls.write("pause:x", True, third)
    await controls.record(second)
    assert await controls.actions(10) == [third, second, first]
    assert await controls.actions(2) == [third, second]


async def test_an_action_that_ended_tells_to_how_many_things(controls: Controls) -> None:
    begun = action(1, verb="cancel", detail={"filter": {}})
    await controls.record(begun)
    ended = replace(begun, things=3, detail={"filter": {}, "seconds": 1})
    await controls.record(ended)
    assert await controls.actions(10) == [ended]


async def test_an_action_reads_as_json(controls: Controls) -> None:
    await controls.record(action(1))
    (found,) = await controls.actions(1)
    assert found.as_dict() == {
        "id": str(found.id), "at": "2026-01-01T00:00:01.000Z", "who": "me@here", "why": "because", "verb": "pause",
        "target": "actor 1", "things": None, "detail": None,
    }  # fmt: skip


async def test_an_override_whose_action_cannot_be_kept_is_not_written(pool: Pool) -> None:
    controls = PostgresControls(pool)
    with pytest.raises(Exception, match="null value"):
        await controls.write("pause:x", True, action(1, verb=None))
    assert await controls.read() == {}


@pytest.mark.parametrize("change", ["write", "record"])
async def test_every_process_is_told_of_a_change(pool: Pool, database: str, change: str) -> None:
    controls = PostgresControls(pool)
    notifications, told = Notifications(database, [CONTROLS_CHANNEL]), trio.Event()
    notifications.on(CONTROLS_CHANNEL, lambda _: told.set())
    async with trio.open_nursery() as nursery:
        await nursery.start(kept(notifications))
        changes = {"write": partial(controls.write, "pause:x", True), "record": controls.record}
        await changes[change](action(1))
        with trio.fail_after(10):
            await told.wait()
        nursery.cancel_scope.cancel()

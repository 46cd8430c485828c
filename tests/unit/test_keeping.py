"""Children of a role end with its drain, and begin again when it is resumed, at whatever moment that is."""

import datetime as dt
import random

import pytest
import trio
from trio.testing import MockClock

from gcc.keeping import Keeping, Rules
from gcc.pipelines.declared import Pipeline
from gcc.pipelines.roles import Roles
from gcc.supervisor.lifecycle import Board
from gcc.supervisor.policy import Restart
from gcc.supervisor.supervisor import Child

GRACE_S = 2.0


@pytest.mark.parametrize("restart", [Restart.PERMANENT, Restart.TRANSIENT])
@pytest.mark.parametrize("stops_s", [0.0, 2 * GRACE_S], ids=["in time", "outstays"])
async def test_a_child_that_is_still_being_stopped_when_its_role_is_resumed_begins_again(
    autojump_clock: MockClock, restart: Restart, stops_s: float
) -> None:
    roles = Roles([Pipeline("work", "role", ["intake"], lambda _: work)], None, GRACE_S)
    role = roles.here["role"]
    board = Board(lambda: dt.datetime.now(dt.UTC))
    lives = 0

    async def work(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        nonlocal lives
        lives += 1
        task_status.started()
        with role.stage("intake").member("work"):
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):  # it says goodbye to somebody
                    await trio.sleep(stops_s)

    keeping = Keeping(
        [(Child("work", work, restart), "role")],
        Rules({}), roles=roles, board=board, rng=random.Random(1),
    )  # fmt: skip
    async with trio.open_nursery() as nursery:
        await nursery.start(keeping.run, ["work"])
        for turn in (1, 2):
            role.request("test")
            await role.over.begun.wait()
            roles.resume("role")
            await trio.sleep(60)
            assert lives == turn + 1
        assert sum(actor.restarts for actor in board.actors()) == 0
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("rows", [["intake"], ["ports", "intake"], ["intake", "ports"]], ids=str)
def test_ports_close_last_whoever_declares_that_stage_or_nobody_does(rows: list[str]) -> None:
    roles = Roles([Pipeline(stage, stage, [stage], lambda _: trio.sleep_forever) for stage in rows], None, GRACE_S)
    assert [stage["name"] for stage in roles.whole.snapshot()] == ["intake", "ports"]

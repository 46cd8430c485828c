"""Restarts under a virtual clock: who is restarted, when, how often, and how a supervisor gives up.

A child's lives are written as words (see Scene.child); the trace holds "+b2" where the second life of b
began and "-b2" where it ended.
"""

import datetime as dt
import random

import pytest
import trio

from gcc.supervisor.backoff import Backoff
from gcc.supervisor.lifecycle import Board, State
from gcc.supervisor.policy import Intensity, Restart, Strategy
from gcc.supervisor.supervisor import Child, RestartsExceeded, Supervisor


class FullDelay(random.Random):
    """Chance that never shortens a delay: times can be compared exactly."""

    def random(self):
        return 0.0


class Scene:
    """Children with scripted lives, and what was seen of them."""

    def __init__(self):
        self.trace = []
        self.times = {}  # "+b2" -> seconds
        self.board = Board(lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        self.stopping = False
        self.drained = trio.Event()

    def note(self, entry):
        self.trace.append(entry)
        self.times[entry] = trio.current_time()

    def child(self, name, *lives, cleanup_s=0.0, **options):
        """Lives: run | fail (1 s after its start) | refuse (fail before) | return | slow (starts after 10 s).

        "crash@5" fails 5 s after its start; "drain" returns when told. The last word goes for all further lives.
        """
        count = 0

        async def run(*, task_status):
            nonlocal count
            count += 1
            word, life = lives[min(count, len(lives)) - 1], f"{name}{count}"
            self.note(f"+{life}")
            try:
                await self.live(word, life, task_status)
            finally:
                with trio.move_on_after(60, shield=True):
                    await trio.sleep(cleanup_s)
                self.note(f"-{life}")

        return Child(name, run, **options)

    async def live(self, word, life, task_status):
        if word == "refuse":
            await trio.sleep(1)
            raise OSError(f"{life} cannot start")
        if word == "slow":
            await trio.sleep(10)
        if word == "silent":
            return
        task_status.started()
        if word == "drain":
            await self.drained.wait()
        elif word in ("run", "slow"):
            await trio.sleep_forever()
        else:
            await trio.sleep(float(word.partition("@")[2] or 1))
            if word.startswith(("fail", "crash")):
                raise ValueError(f"{life} broke")

    def supervisor(self, *children, name="root", **options):
        options = {
            "intensity": Intensity(3, 60.0),
            "backoff": Backoff(1.0, 8.0),
            "rng": FullDelay(),
            "board": self.board,
            "stopping": lambda: self.stopping,
        } | options
        return Supervisor(name, children, **options)

    async def watch(self, *children, seconds=100, **options):
        """Run until `seconds` have passed; True if the supervisor was still there."""
        with trio.move_on_after(seconds) as scope:
            await self.supervisor(*children, **options).run()
        return scope.cancelled_caught

    @property
    def seen(self):
        return " ".join(self.trace)

    def line(self, name):
        actor = self.board.actor(name)
        return actor.state, actor.restarts, actor.last_error


@pytest.fixture
def scene():
    return Scene()


@pytest.mark.parametrize(
    ("strategy", "seen"),
    [
        (Strategy.ONE_FOR_ONE, "+a1 +b1 +c1 -b1 +b2"),
        (Strategy.REST_FOR_ONE, "+a1 +b1 +c1 -b1 -c1 +b2 +c2"),
        (Strategy.ONE_FOR_ALL, "+a1 +b1 +c1 -b1 -c1 -a1 +a2 +b2 +c2"),
    ],
)
async def test_strategies(autojump_clock, scene, strategy, seen):
    with trio.move_on_after(50):
        children = scene.child("a", "run"), scene.child("b", "fail", "run"), scene.child("c", "run")
        await scene.supervisor(*children, strategy=strategy).run()
    assert scene.seen.startswith(seen)
    assert len(scene.trace) == len(seen.split()) + 3  # and the three ends at the cancellation


@pytest.mark.parametrize(
    ("strategy", "seen"),
    [
        (Strategy.ONE_FOR_ALL, {"a2", "b2", "c2"}),
        (Strategy.REST_FOR_ONE, {"a1", "b2", "c2"}),
        (Strategy.ONE_FOR_ONE, {"a1", "b2", "c2"}),
    ],
)
@pytest.mark.parametrize("round_", range(5))  # the order of the two exits is the scheduler's
async def test_exits_of_the_same_tick_restart_once(autojump_clock, scene, strategy, seen, round_):
    children = scene.child("a", "run"), scene.child("b", "fail", "run"), scene.child("c", "fail", "run")
    assert await scene.watch(*children, strategy=strategy)
    assert {entry[1:] for entry in scene.trace[-3:]} == seen
    assert len(scene.board.errors) == 2  # both are seen, whoever was judged


@pytest.mark.parametrize(
    ("restart", "life", "lives", "state"),
    [
        (Restart.TRANSIENT, "return", 1, State.FINISHED),
        (Restart.TEMPORARY, "return", 1, State.FINISHED),
        (Restart.TEMPORARY, "fail", 1, State.FAILED),
    ],
)
async def test_children_that_are_not_restarted_end_the_supervisor_when_none_is_left(
    autojump_clock, scene, restart, life, lives, state
):
    assert not await scene.watch(scene.child("x", life, restart=restart))
    assert scene.trace.count("-x1") == len(scene.trace) - 1 == lives
    assert scene.line("x")[0] is state


async def test_transient_comes_back_after_an_error_and_ends_with_a_return(autojump_clock, scene):
    assert not await scene.watch(scene.child("x", "fail", "fail", "return", restart=Restart.TRANSIENT))
    assert scene.seen == "+x1 -x1 +x2 -x2 +x3 -x3"
    assert scene.line("x") == (State.FINISHED, 2, "ValueError: x2 broke")


async def test_permanent_comes_back_after_a_return(autojump_clock, scene):
    assert await scene.watch(scene.child("x", "return", "run"))
    assert scene.seen == "+x1 -x1 +x2 -x2"


async def test_a_group_restart_stops_a_temporary_sibling_for_good_and_leaves_the_finished_alone(autojump_clock, scene):
    children = (
        scene.child("helper", "run", restart=Restart.TEMPORARY),
        scene.child("setup", "return", restart=Restart.TRANSIENT),
        scene.child("worker", "crash@5", "run"),
    )
    assert await scene.watch(*children, strategy=Strategy.ONE_FOR_ALL)
    assert scene.seen == "+helper1 +setup1 +worker1 -setup1 -worker1 -helper1 +worker2 -worker2"
    assert scene.line("helper") == (State.FINISHED, 0, None)


async def test_no_children_is_a_supervisor_that_ends_at_once(autojump_clock, scene):
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.supervisor().run)


async def test_names_must_differ(autojump_clock, scene):
    with pytest.raises(ValueError, match="different names: a, a"):
        scene.supervisor(scene.child("a", "run"), scene.child("a", "run"))


# Starting


async def test_each_child_starts_when_the_one_before_can_work(autojump_clock, scene):
    async with trio.open_nursery() as nursery:
        children = scene.child("a", "slow"), scene.child("b", "slow"), scene.child("c", "run")
        await nursery.start(scene.supervisor(*children).run)
        assert scene.times == {"+a1": 0.0, "+b1": 10.0, "+c1": 20.0}
        assert [actor.state for actor in scene.board.actors()] == [State.RUNNING] * 3
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("restart", list(Restart))
async def test_a_failing_first_start_is_raised_as_itself_and_stops_the_others(autojump_clock, scene, restart):
    children = scene.child("a", "run"), scene.child("b", "refuse", restart=restart), scene.child("c", "run")
    with pytest.raises(OSError, match="b1 cannot start") as caught:
        await scene.watch(*children)
    assert type(caught.value) is OSError
    assert scene.seen == "+a1 +b1 -b1 -a1"
    assert [scene.line(name)[0] for name in "abc"] == [State.FINISHED, State.FAILED, State.FINISHED]


async def test_a_failing_first_start_leaves_nested_supervisors_as_itself(autojump_clock, scene):
    innermost = scene.supervisor(scene.child("c", "run", cleanup_s=1), scene.child("d", "refuse"), name="innermost")
    inner = scene.supervisor(scene.child("b", "run", cleanup_s=1), Child("innermost", innermost.run), name="inner")
    with pytest.raises(OSError, match="d1 cannot start") as caught:
        await scene.watch(scene.child("a", "run"), Child("inner", inner.run), scene.child("e", "run"))
    assert type(caught.value) is OSError  # in no group
    assert scene.seen == "+a1 +b1 +c1 +d1 -d1 -c1 -b1 -a1"
    for name in ("d", "innermost", "inner"):
        assert scene.line(name) == (State.FAILED, 0, "OSError: d1 cannot start")


async def test_a_child_that_returns_before_started_has_failed_to_start(autojump_clock, scene):
    with pytest.raises(RuntimeError, match=r"b ended before it called started\(\)"):
        await scene.watch(scene.child("b", "silent"))


async def test_started_twice_is_a_bug_of_the_child(autojump_clock, scene):
    async def eager(*, task_status):
        task_status.started()
        task_status.started()

    with pytest.raises(RestartsExceeded, match="eager called started"):
        await scene.watch(Child("eager", eager))


async def test_a_child_that_fails_while_a_later_one_starts_is_restarted_meanwhile(autojump_clock, scene):
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.supervisor(scene.child("a", "fail", "run"), scene.child("b", "slow")).run)
        assert scene.seen == "+a1 +b1 -a1 +a2"
        assert trio.current_time() == 10.0
        nursery.cancel_scope.cancel()


async def test_a_group_that_restarts_during_the_first_start_begins_again_in_order(autojump_clock, scene):
    children = scene.child("a", "fail", "run"), scene.child("b", "slow"), scene.child("c", "run")
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.supervisor(*children, strategy=Strategy.REST_FOR_ONE).run)
        assert scene.seen == "+a1 +b1 -a1 -b1 +a2 +b2 +c1"
        nursery.cancel_scope.cancel()


# Backoff


async def test_delays_grow_and_a_good_life_resets_them(autojump_clock, scene):
    lives = ["fail"] * 3 + ["crash@60", "fail", "run"]
    assert await scene.watch(scene.child("x", *lives), intensity=Intensity(4, 60.0), seconds=200)
    gaps = [scene.times[f"+x{life + 1}"] - scene.times[f"-x{life}"] for life in range(1, 6)]
    assert gaps == [1.0, 2.0, 4.0, 1.0, 2.0]


async def test_siblings_go_on_and_are_restarted_while_one_backs_off(autojump_clock, scene):
    children = scene.child("a", "fail", "fail", "fail", "run"), scene.child("b", "crash@7", "run")
    assert await scene.watch(*children, intensity=Intensity(4, 60.0))
    assert scene.times["-a3"] == 6.0
    assert scene.times["+b2"] == 8.0  # a backs off from 6 to 10
    assert scene.times["+a4"] == 10.0


async def test_an_exit_during_the_backoff_of_a_later_sibling_takes_it_over(autojump_clock, scene):
    children = scene.child("a", "crash@5", "run"), scene.child("b", "fail", "run"), scene.child("c", "run")
    assert await scene.watch(*children, strategy=Strategy.REST_FOR_ONE, backoff=Backoff(20.0, 20.0))
    assert scene.seen == "+a1 +b1 +c1 -b1 -c1 -a1 +a2 +b2 +c2 -c2 -b2 -a2"
    assert scene.times["+a2"] == scene.times["+c2"] == 25.0


async def test_the_next_life_waits_for_the_end_of_the_one_before(autojump_clock, scene):
    children = scene.child("a", "fail", "run"), scene.child("b", "run", cleanup_s=30)
    assert await scene.watch(*children, strategy=Strategy.ONE_FOR_ALL)
    assert scene.times["-b1"] == 31.0
    assert scene.times["+a2"] == scene.times["+b2"] == 32.0  # and the delay comes after


async def test_a_temporary_child_that_is_slow_to_end_holds_up_a_second_restart_too(autojump_clock, scene):
    children = (
        scene.child("a", "crash@5", "run"),
        scene.child("b", "fail", "run"),
        scene.child("helper", "run", restart=Restart.TEMPORARY, cleanup_s=20),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.supervisor(*children, strategy=Strategy.REST_FOR_ONE).run)
        await trio.sleep(10)
        assert scene.line("helper")[0] is State.RUNNING  # it is told to stop, but it is there
        await trio.sleep(40)
        assert scene.seen == "+a1 +b1 +helper1 -b1 -a1 -helper1 +a2 +b2"
        assert scene.times["+a2"] == scene.times["-helper1"] + 1.0
        assert scene.line("helper")[0] is State.FINISHED
        nursery.cancel_scope.cancel()


async def test_the_board_shows_backoff_error_and_traceback(autojump_clock, scene):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.supervisor(scene.child("x", "fail", "run"), backoff=Backoff(9, 9)).run)
        await trio.sleep(5)
        assert scene.line("x") == (State.BACKOFF, 0, "ValueError: x1 broke")
        assert scene.board.actor("x").last_stack.endswith("ValueError: x1 broke\n")
        await trio.sleep(10)
        assert scene.line("x") == (State.RUNNING, 1, "ValueError: x1 broke")
        nursery.cancel_scope.cancel()


async def test_a_late_started_of_a_dismissed_life_is_no_news(autojump_clock, scene):
    async def stubborn(*, task_status):
        try:
            await trio.sleep_forever()
        finally:
            task_status.started()

    async with trio.open_nursery() as nursery:
        children = scene.child("a", "crash@5", "run"), Child("b", stubborn)
        nursery.start_soon(scene.supervisor(*children, strategy=Strategy.ONE_FOR_ALL).run)
        await trio.sleep(5.5)
        assert [scene.line(name)[0] for name in "ab"] == [State.BACKOFF] * 2
        nursery.cancel_scope.cancel()


async def test_no_task_lingers_after_a_restart(autojump_clock, scene):
    async with trio.open_nursery() as nursery:
        children = scene.child("a", "fail", "refuse", "refuse", "run"), scene.child("b", "run")
        nursery.start_soon(scene.supervisor(*children, strategy=Strategy.ONE_FOR_ALL).run)
        await trio.sleep(50)
        (task,) = nursery.child_tasks
        assert sorted(life.name for life in task.child_nurseries[0].child_tasks) == ["a", "b"]
        nursery.cancel_scope.cancel()


async def test_a_storm_of_restarts_shows_until_the_window_has_passed(autojump_clock, scene):
    children = scene.child("x", "fail", "fail", "fail", "run"), scene.child("y", "fail", "fail", "run")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.supervisor(*children, intensity=Intensity(5, 60.0)).run)
        x, y = scene.board.actor("x"), scene.board.actor("y")
        await trio.sleep(5.5)
        assert (x.restarts, x.storm) == (2, False)
        await trio.sleep_until(59.5)
        assert (x.restarts, x.storm) == (3, True)
        assert (y.restarts, y.storm) == (2, False)
        await trio.sleep_until(scene.times["+x2"] + 60.5)
        assert not x.storm
        nursery.cancel_scope.cancel()


# Escalation


async def test_too_many_restarts_escalate_from_the_last_error(autojump_clock, scene):
    with pytest.raises(RestartsExceeded) as caught:
        await scene.watch(scene.child("a", "run"), scene.child("x", "fail"))
    assert caught.value.name == "x"
    assert str(caught.value) == "root: x needs more than 3 restarts in 60 s; last: ValueError: x4 broke"
    assert isinstance(caught.value.__cause__, ValueError)
    assert scene.trace[-3:] == ["+x4", "-x4", "-a1"]
    assert scene.line("x") == (State.FAILED, 3, "ValueError: x4 broke")


@pytest.mark.parametrize("delay_s", [6.0, 600.0])
async def test_what_backs_off_at_an_escalation_is_neither_begun_nor_waited_for(autojump_clock, scene, delay_s):
    children = scene.child("a", "fail"), scene.child("b", "crash@5"), scene.child("c", "run", cleanup_s=9)
    with pytest.raises(RestartsExceeded, match="b1 broke"):
        await scene.watch(*children, intensity=Intensity(1, 60.0), backoff=Backoff(delay_s, delay_s))
    assert scene.seen == "+a1 +b1 +c1 -a1 -b1 -c1"
    assert trio.current_time() == 14.0  # the end of c


async def test_a_permanent_child_that_keeps_returning_escalates_too(autojump_clock, scene):
    with pytest.raises(RestartsExceeded, match="last: it returned, though permanent"):
        await scene.watch(scene.child("x", "return"))
    assert scene.line("x")[0] is State.FAILED


@pytest.mark.parametrize("strategy", list(Strategy))
async def test_failing_starts_of_a_restart_count_like_other_failures(autojump_clock, scene, strategy):
    children = scene.child("a", "run"), scene.child("x", "fail", "refuse"), scene.child("c", "run")
    with pytest.raises(RestartsExceeded, match="OSError: x4 cannot start"):
        await scene.watch(*children, strategy=strategy)
    assert "+c2" not in scene.trace  # c comes after x and x never started again
    gaps = [scene.times[f"+x{life + 1}"] - scene.times[f"-x{life}"] for life in (1, 2, 3)]
    assert gaps == [1.0, 2.0, 4.0]


async def test_a_parent_restarts_a_nested_supervisor_that_gave_up(autojump_clock, scene):
    inner = scene.supervisor(
        scene.child("b", "run"), scene.child("x", "fail", "fail", "run"), name="inner", intensity=Intensity(1, 60.0)
    )
    assert await scene.watch(scene.child("a", "run"), Child("inner", inner.run))
    assert scene.seen == "+a1 +b1 +x1 -x1 +x2 -x2 -b1 +b2 +x3 -x3 -b2 -a1"
    assert scene.line("inner")[1:] == (
        1,
        "RestartsExceeded: inner: x needs more than 1 restarts in 60 s; last: ValueError: x2 broke",
    )


async def test_a_nested_supervisor_that_cannot_start_again_is_a_failure_like_others(autojump_clock, scene):
    inner = scene.supervisor(scene.child("x", "fail", "refuse", "run"), name="inner", intensity=Intensity(0, 60.0))
    assert await scene.watch(scene.child("a", "run"), Child("inner", inner.run))
    assert scene.seen == "+a1 +x1 -x1 +x2 -x2 +x3 -x3 -a1"  # once, x failed to start in the inner's new life
    assert scene.line("inner") == (State.FINISHED, 2, "OSError: x2 cannot start")


async def test_a_nested_supervisor_that_gives_up_takes_its_group_along(autojump_clock, scene):
    inner = scene.supervisor(scene.child("x", "fail", "run"), name="inner", intensity=Intensity(0, 60.0))
    children = scene.child("a", "run"), Child("inner", inner.run), scene.child("c", "run", cleanup_s=1)
    assert await scene.watch(*children, strategy=Strategy.REST_FOR_ONE)
    assert scene.seen == "+a1 +x1 +c1 -x1 -c1 +x2 +c2 -c2 -x2 -a1"
    assert [scene.line(name)[1] for name in ("a", "inner", "c")] == [0, 1, 1]


async def test_the_cause_is_visible_at_the_top_of_nested_supervisors(autojump_clock, scene):
    inner = scene.supervisor(scene.child("x", "fail"), name="inner", intensity=Intensity(0, 60.0))
    with pytest.raises(RestartsExceeded, match=r"root: inner needs .* ValueError: x2 broke") as caught:
        await scene.watch(Child("inner", inner.run), intensity=Intensity(1, 60.0))
    assert isinstance(caught.value.__cause__, RestartsExceeded)
    assert isinstance(caught.value.__cause__.__cause__, ValueError)

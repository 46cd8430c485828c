"""Stuck actors under a virtual clock: who counts as stuck, when, and what is then seen and done."""

import datetime as dt
import random

import pytest
import trio

from gcc.supervisor.backoff import Backoff
from gcc.supervisor.lifecycle import STACK_CHARS_MAX, Board, State, Stuck
from gcc.supervisor.supervisor import Child, Supervisor
from gcc.supervisor.watchdog import FRAMES_MAX, Watchdog, stack_of

EVERY_S = 5.0
STUCK_AFTER_S = 60.0


@pytest.fixture
def board():
    return Board(lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC))


@pytest.fixture
async def watchdog(board, nursery):
    await nursery.start(Watchdog(board, EVERY_S).run)


def always():
    return True


async def wait_for_an_answer_that_never_comes():
    await trio.sleep_forever()


@pytest.mark.parametrize("asleep_s", [0.0, 1.0, 4.9, 17.0])
async def test_a_block_whose_work_waits_too_long_ends_with_stuck(autojump_clock, board, watchdog, asleep_s):
    actor = board.actor("sinker")
    await trio.sleep(asleep_s)  # the watchdog's rounds do not begin with the block
    began_at = trio.current_time()
    with pytest.raises(Stuck, match="sinker: work has waited 60 s without any progress"):
        with actor.watched(always, STUCK_AFTER_S):
            await wait_for_an_answer_that_never_comes()
    assert STUCK_AFTER_S <= trio.current_time() - began_at <= STUCK_AFTER_S + 2 * EVERY_S
    assert actor.last_error == "Stuck: sinker: work has waited 60 s without any progress"
    assert "wait_for_an_answer_that_never_comes" in actor.last_stack
    assert board.errors[-1]["actor"] == "sinker"
    assert not actor.stuck  # its block has ended


async def test_progress_begins_the_wait_anew(autojump_clock, board, watchdog):
    actor = board.actor("sinker")
    signs = [actor.beat, actor.processed, lambda: actor.erred("a page was bad")] * 3
    with pytest.raises(Stuck):
        with actor.watched(always, STUCK_AFTER_S):
            for sign in signs:
                await trio.sleep(STUCK_AFTER_S - EVERY_S)
                sign()
            last_sign_at = trio.current_time()
            await trio.sleep_forever()
    assert trio.current_time() - last_sign_at >= STUCK_AFTER_S


async def test_work_that_was_gone_for_a_moment_begins_the_wait_anew(autojump_clock, board, watchdog):
    def waits():
        return not 49 < trio.current_time() < 51

    with pytest.raises(Stuck):
        with board.actor("sinker").watched(waits, STUCK_AFTER_S):
            await trio.sleep_forever()
    assert trio.current_time() >= 50 + STUCK_AFTER_S


def paused(actor):
    actor.state = State.PAUSED


def broken(actor):
    actor.breaker = "open"


@pytest.mark.parametrize(
    ("work_waits", "prepare"),
    [(lambda: False, None), (always, paused), (always, broken)],
    ids=["no work", "paused", "breaker open"],
)
async def test_who_has_nothing_to_do_is_not_stuck(autojump_clock, board, watchdog, work_waits, prepare):
    actor = board.actor("sinker")
    if prepare:
        prepare(actor)
    with actor.watched(work_waits, STUCK_AFTER_S):
        await trio.sleep(100 * STUCK_AFTER_S)
    assert (actor.stuck, actor.last_error, actor.last_stack) == (False, None, None)


@pytest.mark.parametrize("breaker", ["closed", "half-open", None])
async def test_other_breakers_excuse_nobody(autojump_clock, board, watchdog, breaker):
    actor = board.actor("sinker")
    actor.breaker = breaker
    with pytest.raises(Stuck), actor.watched(always, STUCK_AFTER_S):
        await trio.sleep_forever()


async def test_time_in_which_the_process_stood_still_finds_nobody_stuck(mock_clock, board, nursery):
    actor = board.actor("sinker")
    await nursery.start(Watchdog(board, EVERY_S).run)
    with actor.watched(always, STUCK_AFTER_S):
        for _ in range(5):
            mock_clock.jump(1000.0)  # as after SIGSTOP and SIGCONT
            await trio.testing.wait_all_tasks_blocked()
    assert actor.last_error is None


async def test_cancelled_from_outside_passes(autojump_clock, board, watchdog):
    actor = board.actor("sinker")
    with trio.move_on_after(STUCK_AFTER_S / 2) as outside:
        with actor.watched(always, STUCK_AFTER_S):
            await trio.sleep_forever()
    assert outside.cancelled_caught
    assert not actor.watches


async def test_cancelled_from_outside_passes_also_when_found_stuck(autojump_clock, board, watchdog):
    actor = board.actor("sinker")
    with trio.CancelScope() as outside:
        with actor.watched(always, STUCK_AFTER_S):
            try:
                await trio.sleep_forever()
            finally:
                assert actor.stuck
                outside.cancel()
                await trio.lowlevel.checkpoint()
    assert outside.cancelled_caught


async def test_a_block_that_does_not_react_stays_visible(autojump_clock, board, watchdog):
    actor = board.actor("sinker")

    async def deaf():
        with trio.move_on_after(1000, shield=True):
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:

        async def look():
            await trio.sleep(500)
            assert actor.stuck
            assert "deaf" in actor.last_stack

        nursery.start_soon(look)
        with actor.watched(always, STUCK_AFTER_S):  # ended without an error after all: it is left at that
            await deaf()
    assert trio.current_time() == 1000
    assert not actor.stuck
    assert actor.failed == 1  # told once, not at every round


async def test_an_error_while_it_is_cancelled_leaves_as_itself(autojump_clock, board, watchdog):
    with pytest.raises(ValueError, match="cannot close"):
        with board.actor("sinker").watched(always, STUCK_AFTER_S):
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("cannot close")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
async def test_errors_of_the_block_leave_as_themselves(autojump_clock, board, watchdog, error):
    with pytest.raises(error), board.actor("sinker").watched(always, STUCK_AFTER_S):
        raise error
    assert not board.actor("sinker").watches


async def test_only_the_stuck_block_of_an_actor_ends(autojump_clock, board, watchdog):
    actor = board.actor("sinker")
    with actor.watched(always, 10 * STUCK_AFTER_S):
        with pytest.raises(Stuck), actor.watched(always, STUCK_AFTER_S):
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        assert not actor.stuck


async def test_the_stack_shows_the_whole_family_alike_tasks_once(autojump_clock, board, watchdog):
    async def scrape():
        await wait_for_an_answer_that_never_comes()

    async def lead():
        async with trio.open_nursery() as nursery:
            for _ in range(300):
                nursery.start_soon(scrape, name="scraper")

    with pytest.raises(Stuck) as caught, board.actor("sinker").watched(always, STUCK_AFTER_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lead, name="lead")
    stack = caught.value.stack
    assert "scraper and 299 more:" in stack
    assert stack.index("lead:") < stack.index("scraper and")
    assert stack.count("in wait_for_an_answer_that_never_comes") == 1


async def test_a_stack_is_bounded(autojump_clock, nursery):
    async def ping(depth):
        if depth:
            await pong(depth - 1)
        await trio.sleep_forever()

    async def pong(depth):
        if depth:
            await ping(depth - 1)
        await trio.sleep_forever()

    for depth in range(20):
        nursery.start_soon(ping, depth, name=f"depth {depth}" + "." * 1000)
    await trio.testing.wait_all_tasks_blocked()
    assert len(stack_of(trio.lowlevel.current_task())) == STACK_CHARS_MAX
    (deepest,) = (task for task in nursery.child_tasks if task.name.startswith("depth 19"))
    assert stack_of(deepest).count('File "') == FRAMES_MAX
    assert "in sleep_forever" in stack_of(deepest)  # the innermost
    nursery.cancel_scope.cancel()


async def test_a_stuck_child_is_restarted_and_its_line_says_where_it_stood(autojump_clock, board):
    lives = 0

    async def sinker(*, task_status):
        nonlocal lives
        lives += 1
        actor = board.actor("events/sinker")
        async with trio.open_nursery() as nursery:
            with actor.watched(lambda: lives == 1, STUCK_AFTER_S):
                task_status.started()
                await nursery.start(wait)

    async def wait(*, task_status):
        await wait_for_an_answer_that_never_comes()

    children = Child("watchdog", Watchdog(board, EVERY_S).run), Child("events", sinker)
    supervisor = Supervisor("root", children, board=board, rng=random.Random(1), backoff=Backoff(1.0, 1.0))
    with trio.move_on_after(1000):
        await supervisor.run()
    line = board.actor("events")
    assert (lives, line.restarts) == (2, 1)
    assert "events/sinker: work has waited 60 s" in line.last_error
    for actor in (line, board.actor("events/sinker")):
        assert "wait_for_an_answer_that_never_comes" in actor.last_stack
    assert board.actor("watchdog").restarts == 0

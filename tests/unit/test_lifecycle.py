"""The board: one line an actor, rates on virtual time, bounded texts."""

import datetime as dt

import pytest
import trio

from gcc.supervisor.lifecycle import ERROR_CHARS_MAX, STACK_CHARS_MAX, Board, State, one_line

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def new_board():
    return Board(lambda: NOON)


def test_the_same_name_is_the_same_line_in_order_of_creation():
    board = new_board()
    relay, sinker = board.actor("relay"), board.actor("sinker")
    relay.restarts = 3
    assert board.actor("relay") is relay
    assert board.actors() == [relay, sinker]
    assert (relay.name, relay.state, sinker.restarts, sinker.last_error, sinker.lag_s) == (
        "relay",
        State.STARTING,
        0,
        None,
        None,
    )


def test_states_are_lower_case_words():
    assert [str(state) for state in State] == [
        "starting",
        "running",
        "waiting",
        "standby",
        "paused",
        "backoff",
        "draining",
        "finished",
        "failed",
    ]


async def test_rate_is_the_mean_of_the_last_ten_seconds(mock_clock):
    actor = new_board().actor("sinker")
    assert actor.rate_per_s == 0.0
    for _ in range(20):
        actor.processed(3)
        actor.processed()
        mock_clock.jump(0.5)
    assert actor.done == 80
    assert actor.rate_per_s == pytest.approx(8.0)  # 10 s, 8 a second
    mock_clock.jump(5.0)
    assert actor.rate_per_s == pytest.approx(4.0)
    mock_clock.jump(60.0)
    assert actor.rate_per_s == 0.0
    assert actor.done == 80


async def test_rate_holds_no_more_than_its_window(mock_clock):
    actor = new_board().actor("sinker")
    for _ in range(1000):
        actor.processed()
        mock_clock.jump(1.0)
    assert actor.rate_per_s == pytest.approx(1.0)
    assert len(actor._done_by_second) <= 11


def test_erred_counts_and_is_noted_with_the_time_of_day():
    board = new_board()
    actor = board.actor("scraper")
    actor.erred(ValueError("bad\n  page"))
    actor.erred("429 of instagram")
    assert (actor.failed, actor.last_error, actor.last_stack) == (2, "429 of instagram", None)
    assert list(board.errors) == [
        {"at": "2026-01-01T12:00:00.000+00:00", "actor": "scraper", "error": "ValueError: bad page"},
        {"at": "2026-01-01T12:00:00.000+00:00", "actor": "scraper", "error": "429 of instagram"},
    ]


def test_only_the_last_twenty_errors_are_kept():
    board = new_board()
    for number in range(25):
        board.actor("a").erred(str(number))
    assert [error["error"] for error in board.errors] == [str(number) for number in range(5, 25)]


def test_crashed_keeps_the_end_of_the_traceback():
    actor = new_board().actor("a")
    try:
        raise KeyError("x" * 20_000)
    except KeyError as error:
        error.add_note("the very end")
        actor.crashed(error)
    assert len(actor.last_stack) == STACK_CHARS_MAX
    assert actor.last_stack.endswith("the very end\n")
    assert len(actor.last_error) == ERROR_CHARS_MAX
    assert actor.failed == 1


async def test_many_restarts_within_the_window_are_a_storm_until_it_has_passed(mock_clock):
    actor = new_board().actor("a")
    seen = []
    for wait_s in (0, 20, 41, 10, 9, 41, 1, 60):
        mock_clock.jump(wait_s)
        if wait_s not in (1, 60):  # then the window only goes on
            actor.restarted(window_s=60.0)
        seen.append((trio.current_time(), actor.restarts_lately(trio.current_time()), actor.storm))
    assert seen == [
        (0, 1, False),
        (20, 2, False),
        (61, 2, False),  # the first has left the window
        (71, 3, True),
        (80, 4, True),  # the window includes its end
        (121, 4, True),
        (122, 3, True),
        (182, 0, False),
    ]
    assert actor.restarts == 6


def test_every_count_is_a_sign_of_life():
    actor = new_board().actor("a")
    actor.beat()
    actor.erred("no")
    assert actor.beats == 2


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no"), "ValueError: no"),
        (ValueError(), "ValueError"),
        ("two\nlines", "two lines"),
        (ExceptionGroup("g", [ValueError("a"), ExceptionGroup("h", [KeyError("b")])]), "ValueError: a; KeyError: 'b'"),
        (trio.EndOfChannel(), "EndOfChannel"),
    ],
)
def test_one_line(error, text):
    assert one_line(error) == text

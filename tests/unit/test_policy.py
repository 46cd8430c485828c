"""The restart rules as tables."""

import pytest

from gcc.supervisor.policy import Intensity, Policy, Restart, Strategy


def policy(strategy=Strategy.ONE_FOR_ONE, *, max_restarts=2, window_s=10.0):
    return Policy(strategy, Intensity(max_restarts, window_s))


@pytest.mark.parametrize(
    ("restart", "failed", "verdict"),
    [
        (Restart.PERMANENT, True, "restart"),
        (Restart.PERMANENT, False, "restart"),
        (Restart.TRANSIENT, True, "restart"),
        (Restart.TRANSIENT, False, "forget"),
        (Restart.TEMPORARY, True, "forget"),
        (Restart.TEMPORARY, False, "forget"),
    ],
)
def test_who_comes_back(restart, failed, verdict):
    assert policy().judge(restart, failed=failed, now=0.0) == verdict


@pytest.mark.parametrize(
    ("times", "verdicts"),
    [
        ([0, 1, 2], "restart restart escalate"),
        ([0, 0, 0], "restart restart escalate"),
        ([0, 5, 10], "restart restart escalate"),  # the window includes its end
        ([0, 5, 10.1], "restart restart restart"),
        ([0, 5, 10.1, 15.0], "restart restart restart escalate"),
        ([0, 5, 10.1, 15.2], "restart restart restart restart"),
    ],
)
def test_more_than_max_restarts_in_the_window_escalates(times, verdicts):
    judged = policy()
    assert " ".join(judged.judge(Restart.PERMANENT, failed=True, now=t) for t in times) == verdicts


def test_no_restart_allowed_escalates_at_once():
    assert policy(max_restarts=0).judge(Restart.TRANSIENT, failed=True, now=0.0) == "escalate"


def test_what_is_forgotten_costs_no_restart():
    judged = policy(max_restarts=1)
    for _ in range(5):
        assert judged.judge(Restart.TEMPORARY, failed=True, now=0.0) == "forget"
    assert judged.judge(Restart.PERMANENT, failed=True, now=0.0) == "restart"


@pytest.mark.parametrize(
    ("strategy", "exited", "affected"),
    [
        (Strategy.ONE_FOR_ONE, "b", "b"),
        (Strategy.REST_FOR_ONE, "a", "a b c"),
        (Strategy.REST_FOR_ONE, "b", "b c"),
        (Strategy.REST_FOR_ONE, "c", "c"),
        (Strategy.ONE_FOR_ALL, "a", "a b c"),
        (Strategy.ONE_FOR_ALL, "c", "a b c"),
    ],
)
def test_affected_in_start_order(strategy, exited, affected):
    assert " ".join(policy(strategy).affected(("a", "b", "c"), exited)) == affected


def test_failures_in_a_row_grow_by_child_and_end_with_a_life_of_the_window():
    judged = policy(window_s=10.0)
    assert [judged.failures_in_a_row("a", ran_s=ran_s) for ran_s in (0, 9.9, 0, 10.0, 0)] == [1, 2, 3, 1, 2]
    assert judged.failures_in_a_row("b", ran_s=0) == 1

"""The restart rules, as tables.

Every supervisor of these tables allows two restarts within ten seconds.
"""

from typing import NamedTuple

import pytest

from gcc.supervisor.policy import Intensity, Policy, Restart, Strategy, Verdict

PERMANENT, TRANSIENT, TEMPORARY = Restart
ONE_FOR_ONE, REST_FOR_ONE, ONE_FOR_ALL = Strategy
RETURNED, FAILED = False, True


def new_policy(strategy: Strategy = ONE_FOR_ONE, max_restarts: int = 2) -> Policy:
    return Policy(strategy, Intensity(max_restarts, window_s=10.0))


class Case(NamedTuple):
    """A child of this kind ends so at `now`, after its siblings or itself were restarted at `restarts`."""

    kind: Restart
    exit: bool
    restarts: tuple[float, ...]
    now: float
    verdict: Verdict
    why: str


CASES = [
    #     kind     exit      restarts   now    verdict
    Case(PERMANENT, FAILED, (), 0.0, "restart", "a permanent child comes back after an error"),
    Case(PERMANENT, RETURNED, (), 0.0, "restart", "and after a return"),
    Case(TRANSIENT, FAILED, (), 0.0, "restart", "a transient child comes back after an error"),
    Case(TRANSIENT, RETURNED, (), 0.0, "forget", "but has done its work when it returns"),
    Case(TEMPORARY, FAILED, (), 0.0, "forget", "a temporary child never comes back"),
    Case(TEMPORARY, RETURNED, (), 0.0, "forget", "however it ended"),
    #
    Case(PERMANENT, FAILED, (0.0,), 1.0, "restart", "one restart leaves another"),
    Case(PERMANENT, FAILED, (0.0, 1.0), 2.0, "escalate", "the third within ten seconds is the parent's affair"),
    Case(PERMANENT, RETURNED, (0.0, 1.0), 2.0, "escalate", "returns count like errors"),
    Case(TRANSIENT, FAILED, (0.0, 1.0), 2.0, "escalate", "and so for the transient"),
    Case(PERMANENT, FAILED, (0.0, 0.0), 0.0, "escalate", "also all in one moment"),
    Case(TRANSIENT, RETURNED, (0.0, 1.0), 2.0, "forget", "what is not restarted is nobody's affair"),
    Case(TEMPORARY, FAILED, (0.0, 1.0), 2.0, "forget", "at any time"),
    #
    Case(PERMANENT, FAILED, (0.0, 5.0), 10.0, "escalate", "the window includes its end"),
    Case(PERMANENT, FAILED, (0.0, 5.0), 10.1, "restart", "what has left the window is forgiven"),
    Case(PERMANENT, FAILED, (0.0, 5.0, 10.1), 15.0, "escalate", "but the window slides: one leaves at a time"),
    Case(PERMANENT, FAILED, (0.0, 5.0, 10.1), 15.2, "restart", "and then another"),
    Case(PERMANENT, FAILED, (0.0, 1.0), 1000.0, "restart", "long ago is as if never"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_verdicts(case: Case) -> None:
    policy = new_policy()
    for at in case.restarts:
        assert policy.judge(PERMANENT, failed=True, now=at) == "restart"
    assert policy.judge(case.kind, failed=case.exit, now=case.now) == case.verdict


def test_with_no_restart_allowed_the_first_escalates() -> None:
    assert new_policy(max_restarts=0).judge(TRANSIENT, failed=True, now=0.0) == "escalate"


def test_what_is_forgotten_costs_no_restart() -> None:
    policy = new_policy()
    for _ in range(5):
        assert policy.judge(TEMPORARY, failed=True, now=0.0) == "forget"
        assert policy.judge(TRANSIENT, failed=False, now=0.0) == "forget"
    assert [policy.judge(PERMANENT, failed=True, now=0.0) for _ in range(3)] == ["restart", "restart", "escalate"]


def test_an_escalation_costs_none_either() -> None:
    policy = new_policy()
    times = [0.0, 5.0, 9.0, 9.0, 10.1]
    verdicts = "restart restart escalate escalate restart"
    assert " ".join(policy.judge(PERMANENT, failed=True, now=at) for at in times) == verdicts


@pytest.mark.parametrize(
    ("strategy", "exited", "affected"),
    [
        (ONE_FOR_ONE, "a", "a"),
        (ONE_FOR_ONE, "b", "b"),
        (ONE_FOR_ONE, "c", "c"),
        (REST_FOR_ONE, "a", "a b c"),
        (REST_FOR_ONE, "b", "b c"),
        (REST_FOR_ONE, "c", "c"),
        (ONE_FOR_ALL, "a", "a b c"),
        (ONE_FOR_ALL, "b", "a b c"),
        (ONE_FOR_ALL, "c", "a b c"),
    ],
)
def test_who_is_restarted_with_whom_in_start_order(strategy: Strategy, exited: str, affected: str) -> None:
    assert " ".join(new_policy(strategy).affected(("a", "b", "c"), exited)) == affected


@pytest.mark.parametrize(
    ("lives", "rows"),
    [  # each life: child and how long it ran
        ("a0 a0 a0", [1, 2, 3]),
        ("a0 a9.9 a0", [1, 2, 3]),  # almost as long as the window is no good life
        ("a0 a0 a10 a0", [1, 2, 1, 2]),  # a good life begins a new row
        ("a0 b0 a0 b0", [1, 1, 2, 2]),  # each child has its own
    ],
)
def test_failures_in_a_row(lives: str, rows: list[int]) -> None:
    policy = new_policy()
    assert [policy.failures_in_a_row(life[0], ran_s=float(life[1:])) for life in lives.split()] == rows

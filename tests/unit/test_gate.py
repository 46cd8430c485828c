"""What a plan sees, and what it may sort and filter by: the table and the rules of its reading."""

import datetime as dt

import pytest

from gcc.stores import gate
from gcc.stores.gate import GATED, PlanTooSmall
from gcc.stores.plans import RANKS
from gcc.stores.tenant import Plan

PLANS: tuple[Plan, ...] = ("FREE", "SAAS", "PAID")
UNDER = ("audience_share", "audience_gender", "audience.country", "fake_share", "fake.sample_size", "email_verified")
"""What rows for the first words of its name are for."""


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("field", [*GATED, *UNDER])
def test_who_does_not_see_a_field_may_not_order_or_choose_by_it(field: str, plan: Plan) -> None:
    """FREE that sorts by audience_share, or filters by has_email, would read it off the order."""
    row = {"id": 1, field: "x"}
    if RANKS[plan] >= RANKS[gate.least_plan(field)]:
        gate.admit(plan, "followers", field)
        assert gate.seen(plan, [row]) == [row]
    else:
        needs = gate.least_plan(field)
        with pytest.raises(PlanTooSmall, match=f"^your plan is {plan}; {field} needs {needs}$") as refused:
            gate.admit(plan, "followers", field)
        assert refused.value.field == field
        assert gate.seen(plan, [row, row]) == [{"id": 1, field: None}] * 2
    assert row[field] == "x", "what is cached stays whole"


def test_the_longest_name_counts_and_only_whole_words_do() -> None:
    assert {field: gate.least_plan(field) for field in UNDER} == dict.fromkeys(UNDER, "SAAS")
    assert (gate.least_plan("fake_rows"), gate.least_plan("fake_rows_sampled")) == ("PAID", "PAID")
    for open_to_all in ("followers", "emails", "faked", "audiences", "share", "grade", ""):
        assert gate.least_plan(open_to_all) == "FREE"


def test_no_rows_are_no_rows() -> None:
    assert gate.seen("FREE", []) == []


def test_series_of_free_begin_ninety_days_ago() -> None:
    today = dt.date(2026, 3, 31)
    assert gate.first_day("FREE", today) == dt.date(2026, 1, 1)
    assert [gate.first_day(plan, today) for plan in ("SAAS", "PAID")] == [None, None]

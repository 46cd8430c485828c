"""Months of contracts: they follow each other without a gap, whatever day a contract begins on, and end with it."""

import datetime as dt
import random

import pytest

from gcc.stores.plans import MODULES, MONTHLY, Period, contract_of, limit_of, period_of
from gcc.stores.postgres_identity import Partner
from gcc.stores.tenant import Contract, Plan, free

NEW_YEAR = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
MONTHS = [  # of a contract that begins on that day, at that moment
    ("2026-01-31T18:30", "2026-01-31T18:30", "2026-01-31T18:30", "2026-02-28T18:30"),
    ("2026-01-31T18:30", "2026-02-28T18:29", "2026-01-31T18:30", "2026-02-28T18:30"),
    ("2026-01-31T18:30", "2026-02-28T18:30", "2026-02-28T18:30", "2026-03-31T18:30"),
    ("2026-01-31T18:30", "2026-12-31T18:29", "2026-11-30T18:30", "2026-12-31T18:30"),
    ("2028-02-29T00:00", "2029-02-28T00:00", "2029-02-28T00:00", "2029-03-29T00:00"),
    ("2026-01-15T00:00", "2027-01-14T23:59", "2026-12-15T00:00", "2027-01-15T00:00"),
]


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(("starts", "now", "begins", "ends"), MONTHS)
def test_months_begin_on_the_day_of_the_contract_or_on_the_last_there_is(
    starts: str, now: str, begins: str, ends: str
) -> None:
    contract = Contract("SAAS", at(starts), at("2100-01-01T00:00"), {})
    assert period_of(contract, at(now)) == Period(at(begins), at(ends))


def test_the_last_month_ends_with_the_contract() -> None:
    contract = Contract("SAAS", NEW_YEAR, at("2026-02-10T18:30"), {})
    assert period_of(contract, at("2026-02-10T18:29")) == Period(at("2026-02-01T00:00"), contract.ends_at)


def test_without_a_contract_months_are_the_calendar_s() -> None:
    assert period_of(free({}), at("2026-12-31T23:59")) == Period(at("2026-12-01T00:00"), at("2027-01-01T00:00"))


@pytest.mark.parametrize("seed", range(50))
def test_every_moment_is_in_one_month_and_the_next_begins_where_it_ends(seed: int) -> None:
    rng = random.Random(seed)
    contract = Contract(
        "PAID", NEW_YEAR + dt.timedelta(seconds=rng.randrange(4 * 365 * 86_400)), at("2199-01-01T00:00"), {}
    )
    now = contract.starts_at
    for _ in range(60):
        period = period_of(contract, now)
        assert period.begins <= now < period.ends
        assert dt.timedelta(28) <= period.ends - period.begins <= dt.timedelta(31)
        assert (
            period_of(contract, period.begins) == period == period_of(contract, period.ends - dt.timedelta.resolution)
        )
        following = period_of(contract, period.ends)
        assert following.begins == period.ends
        now = period.ends + (following.ends - following.begins) * rng.random() * 0.99


def test_the_best_contract_holds_also_where_a_poorer_one_begins_later() -> None:
    def contract(plan: Plan, first: int, last: int) -> Contract:
        day = dt.timedelta(days=1)
        return Contract(plan, NEW_YEAR + first * day, NEW_YEAR + last * day, {})

    contracts = (contract("PAID", 0, 20), contract("SAAS", 10, 40), contract("FREE", 15, 60))
    partner = Partner("Brand", False, contracts, free({"EXPORT": 9}))
    held = {day: contract_of(partner, NEW_YEAR + dt.timedelta(days=day)) for day in (0, 19, 20, 40, 60)}
    assert [held[day].plan for day in held] == ["PAID", "PAID", "SAAS", "FREE", "FREE"]
    assert (held[40], held[60]) == (contracts[2], partner.free)
    assert limit_of(held[60], "EXPORT") == 9


def test_a_contract_s_limits_are_over_those_of_its_plan() -> None:
    contract = Contract("SAAS", NEW_YEAR, at("2100-01-01T00:00"), {"REPORT": 0, "REFRESH": 10**9})
    limits = {module: limit_of(contract, module) for module in MODULES}
    assert limits == {**MONTHLY["SAAS"], "REPORT": 0, "REFRESH": 10**9}

"""Which contract holds, what its plan includes a month, and when such a month begins and ends. Pure."""

import calendar
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from gcc.stores.postgres_identity import Partner
from gcc.stores.tenant import Contract, Plan

Module = Literal["PROFILE_VIEW", "REFRESH", "EXPORT", "REPORT"]
VIEWS: tuple[Module, ...] = ("PROFILE_VIEW",)
"""What only looking uses: who has it already uses none."""
MODULES: tuple[Module, ...] = get_args(Module)
Uses = Mapping[Module, str]
"""What is used, each with its subject; '' where that is not known yet."""

RANKS: Mapping[Plan, int] = {"FREE": 0, "SAAS": 1, "PAID": 2}
"""From the least to the most."""

MONTHLY: Mapping[Plan, Mapping[Module, int]] = {
    "FREE": {"PROFILE_VIEW": 50, "REFRESH": 5, "EXPORT": 0, "REPORT": 0},
    "SAAS": {"PROFILE_VIEW": 5_000, "REFRESH": 500, "EXPORT": 10_000, "REPORT": 10},
    "PAID": {"PROFILE_VIEW": 25_000, "REFRESH": 5_000, "EXPORT": 100_000, "REPORT": 100},
}
"""Profiles looked at, forced refreshes, rows exported, reports."""


@dataclass(frozen=True, slots=True)
class Period:
    """A month of a contract: what is used in it counts together. `ends` is no more of it."""

    begins: dt.datetime
    ends: dt.datetime


def contract_of(partner: Partner, now: dt.datetime) -> Contract:
    """The best of those that hold at that moment; without one it is FREE."""
    held = [each for each in partner.contracts if each.starts_at <= now < each.ends_at]
    return max(held, key=lambda each: (RANKS[each.plan], each.ends_at), default=partner.free)


def limit_of(contract: Contract, module: Module) -> int:
    return contract.limits.get(module, MONTHLY[contract.plan][module])


def period_of(contract: Contract, now: dt.datetime) -> Period:
    """The month in which `now` is, counted from the contract's first day; the last one ends with the contract. What
    begins on a 31st begins in shorter months on their last day."""
    start = contract.starts_at
    months = (now.year - start.year) * 12 + now.month - start.month
    begins = _later(start, months)
    if begins > now:
        months -= 1
        begins = _later(start, months)
    return Period(begins, min(_later(start, months + 1), contract.ends_at))


def _later(start: dt.datetime, months: int) -> dt.datetime:
    years, month = divmod(start.month - 1 + months, 12)
    year, month = start.year + years, month + 1
    return start.replace(year=year, month=month, day=min(start.day, calendar.monthrange(year, month)[1]))

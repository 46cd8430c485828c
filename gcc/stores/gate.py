"""What a plan sees, in one table: of rows that leave the stores, and of what may order or choose them. Pure.

In: rows as they are kept, whole. Out: rows in which what the plan does not include is null, and the names of that.
Caches keep whole rows; what is shared with the world is answered as to FREE. Who may not see a field may not sort,
filter or count by it either: the order would tell.
"""

import datetime as dt
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from gcc.stores.plans import RANKS
from gcc.stores.tenant import Plan

GATED: Mapping[str, Plan] = {
    "email": "SAAS",
    "phone": "SAAS",
    "has_email": "SAAS",
    "has_phone": "SAAS",
    "audience": "SAAS",
    "fake": "SAAS",
    "fake_rows": "PAID",
}
"""Field -> the least plan that sees it. A row is also for the fields whose names begin with its words (audience_age,
fake_share); what no row is for, everybody sees."""
CONTACTS = ("email", "phone")
"""Which nobody sees of creators who do not want it, whatever the plan (curated_account.hides_contacts)."""
SERIES_DAYS: Mapping[Plan, int | None] = {"FREE": 90, "SAAS": None, "PAID": None}
"""How far back a series goes, today included; None: as far as there is any."""

Row = dict[str, Any]


class PlanTooSmall(Exception):
    def __init__(self, field: str, plan: Plan, needs: Plan) -> None:
        super().__init__(f"your plan is {plan}; {field} needs {needs}")
        self.field = field


@lru_cache(maxsize=4096)
def least_plan(field: str) -> Plan:
    """That sees it."""
    words = re.split("[._]", field)
    names = ("_".join(words[:count]) for count in range(len(words), 0, -1))
    return next((GATED[name] for name in names if name in GATED), "FREE")


@lru_cache(maxsize=4096)
def hidden(plan: Plan, fields: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `fields` that the plan does not see."""
    return tuple(field for field in fields if RANKS[plan] < RANKS[least_plan(field)])


def seen(plan: Plan, rows: list[Row]) -> list[Row]:
    """Rows of one kind as the plan sees them."""
    if not rows or not (nulls := dict.fromkeys(hidden(plan, tuple(rows[0])))):
        return rows
    return [{**row, **nulls} for row in rows]


def first_day(plan: Plan, today: dt.date) -> dt.date | None:
    """Where a series begins at the earliest; None: wherever it does."""
    days = SERIES_DAYS[plan]
    return None if days is None else today - dt.timedelta(days=days - 1)


def admit(plan: Plan, *fields: str) -> None:
    """Raises PlanTooSmall where one of them, by which is sorted, filtered or counted, is not in the plan."""
    for field in hidden(plan, fields):
        raise PlanTooSmall(field, plan, least_plan(field))

"""Who asks: the first argument of every query whose answer depends on it."""

from dataclasses import dataclass
from typing import Literal

Plan = Literal["FREE", "SAAS", "PAID"]


@dataclass(frozen=True, slots=True)
class Tenant:
    """An authenticated caller: the partner whose data it may see, that partner's plan, the person if known."""

    partner_id: int
    plan: Plan
    user_id: str | None = None

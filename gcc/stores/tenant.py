"""Who asks: the first argument of every query whose answer depends on it."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

Plan = Literal["FREE", "SAAS", "PAID"]
Role = Literal["VIEWER", "EDITOR", "OWNER", "OPERATOR", "SERVICE"]
FOR_EVER = dt.datetime.max.replace(tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Contract:
    """What was agreed with a partner, in UTC. `limits`: so many a month of a module, where it is not what the plan
    includes.
    """

    plan: Plan
    starts_at: dt.datetime
    ends_at: dt.datetime
    limits: Mapping[str, int]

    @property
    def until(self) -> dt.datetime | None:
        return None if self.ends_at == FOR_EVER else self.ends_at


def free(limits: Mapping[str, int]) -> Contract:
    """What holds where nothing was agreed: months are the calendar's."""
    return Contract("FREE", dt.datetime(1970, 1, 1, tzinfo=dt.UTC), FOR_EVER, limits)


@dataclass(frozen=True, slots=True)
class Tenant:
    """An authenticated caller: the partner whose data it may see, that partner's plan, what it may do, the person if
    known.
    """

    partner_id: int
    plan: Plan
    role: Role = "OWNER"
    account_id: UUID | None = None
    user_id: UUID | None = None  # None: an API key, a service, the development token
    session_id: UUID | None = None
    key_id: UUID | None = None
    service: str = ""  # which one asks, where the role is SERVICE
    contract: Contract | None = None  # which holds; None: what it uses is not counted (services, development token)
    until: float | None = field(default=None, compare=False)  # Unix time at which its token ends; None: it does not
    assumed: bool = False  # its plan is FREE, as nobody could be asked which it is

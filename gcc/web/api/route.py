"""One endpoint, declared once: the gateway routes by it and holds its layers to it, OpenAPI describes it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import pydantic
from quart import Response

from gcc.config import RateClass
from gcc.stores.plans import RANKS
from gcc.stores.tenant import Plan, Role, Tenant
from gcc.web.api.deprecation import Deprecated
from gcc.web.api.envelope import Answer
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.fields import Fields
from gcc.web.api.kept import Kept

Who = Literal["OPEN", "PERSON", "VIEWER", "EDITOR", "OWNER", "OPERATOR", "SERVICE"]
MAY: Mapping[Who, tuple[Role, ...]] = {
    "OPEN": (),  # everybody, without a token
    "PERSON": ("VIEWER", "EDITOR", "OWNER", "OPERATOR"),  # what is everybody's own
    "VIEWER": ("VIEWER", "EDITOR", "OWNER"),
    "EDITOR": ("EDITOR", "OWNER"),
    "OWNER": ("OWNER",),
    "OPERATOR": ("OPERATOR",),  # staff: no data of any tenant
    "SERVICE": ("SERVICE",),
}
KEY_HEADER, KEY_CHARS_MAX = "Idempotency-Key", 255
KEY_PATTERN = rf"""^([!#-\[\]-~]{{1,{KEY_CHARS_MAX}}}|"([!#-\[\]-~]|\\["\\]){{1,{KEY_CHARS_MAX}}}")$"""
"""Visible ASCII, bare, or as a string of structured fields."""

DEADLINES_S: Mapping[RateClass, float] = {"search": 5.0}
"""Where it is not that of the settings."""


@dataclass(frozen=True)
class Route:
    """`path` is written as in OpenAPI: /things/{name}. The handler gets the tenant (None where everybody may ask),
    the request, and the path's parts by name; it returns an Answer, what is Kept where `data` is None, or a Response.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    name: str  # unique; the operationId
    summary: str
    handler: Callable[..., Awaitable[Answer | Kept | Response]]
    data: Any = None  # the type of the envelope's data
    query: type[pydantic.BaseModel] | None = None
    body: type[pydantic.BaseModel] | None = None
    parts: dict[str, str] = field(default_factory=dict)  # path parameter -> what it is
    # Where they, or what a query has of them, are not as everywhere: shapes.PART_SCHEMAS
    part_schemas: dict[str, Any] = field(default_factory=dict)
    errors: tuple[Code, ...] = ()  # beside those of every route
    description: str = ""
    who: Who = "VIEWER"  # the least role
    plan: Plan = "FREE"  # the least plan
    rate: RateClass = "read"  # what a call counts as
    forced_rate: RateClass | None = None  # the same where force_refresh or full_refresh is asked for
    deadline_s: float | None = None  # shorter than that of the settings
    creates: bool = False  # answers 201 and where the new thing is
    begins: bool = False  # answers 202 and where the job is
    links: bool = False  # answers 200, or 303 and where it is
    reads: bool = False  # only asks, though by POST: answered while draining
    at_once: bool = False  # hot: its handler awaits the request's pause itself, where it must wait
    picks: bool = False  # its rows have what ?fields= names
    deprecated: Deprecated | None = None  # from when on another one is to be asked
    local: bool = False  # open to what asks from this machine itself
    secret: bool = False  # answers secrets beside what was sent: never compressed
    repeats: bool = False  # who asks the same within a second may get the same: those of its answers that say so
    conditional: bool = False  # a GET that answers an ETag, and 304 to who has it
    key_required: bool = False  # an Idempotency-Key; other POSTs that write take one
    shown_once: tuple[str, ...] = ()  # of the data: null where the call is answered again
    activity: str = ""  # what a call is noted as; all that an EDITOR or OWNER writes is
    noted: tuple[str, ...] = ()  # of what was sent, or else of the data: words beside it, and no secrets
    media_type: str = "application/json"  # or several, with commas
    redirects: bool = False  # answers 303 and where to go on
    is_proxied: bool = False  # another host answers: nothing of the request is read here

    @cached_property
    def fields(self) -> Fields:
        """That may be asked for where it picks."""
        return Fields(self.data)

    @cached_property
    def writes(self) -> bool:
        return self.method != "GET" and not self.reads

    @cached_property
    def unit(self) -> bool:
        """Whether all that it writes is one transaction, which a refusal rolls back. What counts as a login commits as
        it goes: failures are counted, and no connection is held while a password is hashed."""
        return self.writes and self.rate != "login" and not self.is_proxied

    @cached_property
    def takes_key(self) -> bool:
        """Whether an Idempotency-Key is honoured: other methods may be repeated as they are."""
        return self.unit and self.method == "POST"

    @cached_property
    def deadline(self) -> float | None:
        return self.deadline_s or DEADLINES_S.get(self.rate)

    def counts_as(self, forced: bool) -> RateClass:
        return self.forced_rate if forced and self.forced_rate is not None else self.rate

    def admit_role(self, tenant: Tenant | None) -> None:
        """ApiError FORBIDDEN unless `tenant`'s role may ask this."""
        if tenant is None or tenant.role in MAY[self.who]:
            return
        raise ApiError(Code.FORBIDDEN, f"your role is {tenant.role}; this needs {' or '.join(MAY[self.who])}")

    def admit_plan(self, tenant: Tenant | None) -> None:
        """ApiError PLAN_REQUIRED unless `tenant`'s plan includes this."""
        if tenant is not None and RANKS[tenant.plan] < RANKS[self.plan]:
            raise ApiError(Code.PLAN_REQUIRED, f"your plan is {tenant.plan}; this needs {self.plan}")

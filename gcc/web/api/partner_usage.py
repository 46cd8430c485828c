"""The partner usage service: what a partner has used of what it may, and which pages its people looked at.

In: who asks; of services, what a partner used of theirs; of operators, other limits. Out: figures of the period that
runs.
"""

import datetime as dt
from dataclasses import replace
from functools import partial
from typing import Annotated

from pydantic import Field
from quart import Request

from gcc.clock import Clock
from gcc.stores import profiles_read
from gcc.stores.plans import MODULES, Module, limit_of, period_of
from gcc.stores.postgres import Pool
from gcc.stores.postgres_identity_partners import PostgresPartners
from gcc.stores.tenant import Contract, Plan, Tenant, free
from gcc.web.api import parse
from gcc.web.api.envelope import Answer
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.metering import Meter
from gcc.web.api.naming import Naming
from gcc.web.api.route import Route
from gcc.web.api.shapes import Row
from gcc.web.gateway.auth import Authenticator
from gcc.web.identity.bus import Bus
from gcc.web.identity.pages import PageQuery, page, refusals
from gcc.web.identity.partners import NUMBER, number
from gcc.web.identity.shapes import Limits, Strict

PREFIX = "/partner-usage-service/api"
CONSUMED_MAX = 1_000_000


class UsageRow(Row):
    module: Module
    used: int
    limit: int
    plan: Plan
    valid_from: dt.datetime = Field(description="A month of the contract, without one of the calendar (UTC).")
    valid_to: dt.datetime = Field(description="From then on nothing is used.")


class Consume(Strict):
    partner_id: Annotated[int, Field(ge=1, le=2**53)]
    module: Module
    subject: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="What is used: the same once more in the period counts nothing."
    )
    n: Annotated[int, Field(ge=1, le=CONSUMED_MAX)] = Field(1, description="So much of it, if it is new.")


class Remaining(Row):
    module: Module
    remaining: int
    limit: int
    valid_to: dt.datetime


class Looked(Strict):
    platform: Annotated[str, Field(max_length=40, examples=["INSTAGRAM"])]
    profile_id: Annotated[str, Field(max_length=200)]


class PageRow(Row):
    platform: str
    profile_id: str
    day: dt.date = Field(description="Of UTC.")
    access_count: int


class PartnerUsage:
    def __init__(
        self,
        meter: Meter,
        authenticator: Authenticator,
        partners: PostgresPartners,
        bus: Bus,
        naming: Naming,
        pool: Pool,
        clock: Clock,
    ) -> None:
        self._meter = meter
        self._authenticator = authenticator
        self._partners = partners
        self._bus = bus
        self._naming = naming
        self._pool = pool
        self._clock = clock

    def routes(self) -> list[Route]:
        return [
            *(
                Route("GET", f"{PREFIX}/{path}", name, summary, self.usage, data=list[UsageRow])
                for path, name, summary in (
                    ("usage", "getUsage", "What is used of each module in this period"),
                    ("limits", "getLimits", "The same: what may be used, and what is"),
                )
            ),
            Route("PUT", PREFIX + "/limits/{partner_id}", "setLimits", "A partner's own limits, whatever its contract",
                  self.set_limits, body=Limits, data=Limits, parts={"partner_id": "Of the partner."},
                  part_schemas={"partner_id": NUMBER["id"]}, who="OPERATOR", rate="write", errors=(Code.NOT_FOUND,),
                  activity="LIMITS_SET", noted=MODULES,
                  description="Those that are not given are the contract's again."),
            Route("POST", PREFIX + "/consume", "consume", "Count what a partner used", self.consume, body=Consume,
                  data=Remaining, who="SERVICE", rate="write", key_required=True,
                  errors=(Code.NOT_FOUND, Code.QUOTA_SPENT),
                  description="All of it or nothing; a subject counts once in a period."),
            Route("POST", PREFIX + "/profile-page", "trackProfilePage", "Somebody looks at a profile's page",
                  self.track, body=Looked, data=PageRow, rate="write",
                  errors=(Code.PROFILE_NOT_FOUND,),
                  description="Profiles that people look at are crawled before others."),
            Route("GET", PREFIX + "/profile-page", "listProfilePages", "The pages looked at, by day, the newest first",
                  self.pages, query=PageQuery, data=list[PageRow], errors=(Code.INVALID_CURSOR,)),
        ]  # fmt: skip

    async def usage(self, tenant: Tenant, request: Request) -> Answer:
        now = self._clock.now()
        contract = tenant.contract or replace(free({}), plan=tenant.plan)  # the development token's: nothing is counted
        period = period_of(contract, now)
        used = await self._meter.usage.used(tenant.partner_id, period)
        rows = [
            {
                "module": module,
                "used": used.get(module, 0),
                "limit": limit_of(contract, module),
                "plan": tenant.plan,
                "valid_from": period.begins,
                "valid_to": period.ends,
            }
            for module in MODULES
        ]
        return Answer(rows, "postgres", as_of=now, total=len(rows))

    async def set_limits(self, tenant: Tenant, request: Request, partner_id: str) -> Answer:
        body = await parse.body(Limits, request)
        with refusals():
            limits, told = await self._partners.set_limits(number(partner_id), body.model_dump(exclude_none=True))
        await self._bus.said(told)
        return Answer(dict.fromkeys(MODULES) | limits, "postgres")

    async def consume(self, tenant: Tenant, request: Request) -> Answer:
        body = await parse.body(Consume, request)
        if await self._authenticator.partner(body.partner_id) is None:
            raise ApiError(Code.NOT_FOUND, "there is no such partner")
        contract = await self._authenticator.contract(body.partner_id)
        await self._meter.count_of(body.partner_id, contract, {body.module: body.subject}, body.n)
        return Answer(await self._left(body.partner_id, contract, body.module), "postgres", as_of=self._clock.now())

    async def _left(self, partner_id: int, contract: Contract, module: Module) -> dict[str, object]:
        period, limit = period_of(contract, self._clock.now()), limit_of(contract, module)
        used = await self._meter.usage.used(partner_id, period)
        left = max(0, limit - used.get(module, 0))
        return {"module": module, "remaining": left, "limit": limit, "valid_to": period.ends}

    async def track(self, tenant: Tenant, request: Request) -> Answer:
        body = await parse.body(Looked, request)
        platform, profile_id, now = body.platform.upper(), body.profile_id, self._clock.now()
        if platform not in await profiles_read.identify_id(self._pool, self._naming.platforms, profile_id):
            raise ApiError(Code.PROFILE_NOT_FOUND, f"no profile {profile_id!r} of {platform!r} is known here")
        row = await self._meter.usage.track_page(tenant.partner_id, platform, profile_id, now.date())
        return Answer(row, "postgres", as_of=now)

    async def pages(self, tenant: Tenant, request: Request) -> Answer:
        read = partial(self._meter.usage.pages, tenant.partner_id)
        answer = await page(tenant, request, read, "profile-pages")
        names = PageRow.model_fields
        return replace(answer, data=[{name: row[name] for name in names} for row in answer.data])

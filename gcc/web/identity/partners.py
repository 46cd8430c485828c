"""Partners and their contracts: what operators keep. A change of a contract is told to every process."""

from functools import partial
from typing import Annotated, Any

import msgspec
from quart import Request

from gcc.stores.postgres_identity_partners import PostgresPartners
from gcc.stores.tenant import Tenant
from gcc.web.api import cursor, parse
from gcc.web.api.envelope import Answer
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.route import Route
from gcc.web.identity import shapes
from gcc.web.identity.bus import Bus
from gcc.web.identity.pages import PageQuery, link, new_link_token, page, refusals, some_id
from gcc.web.identity.sessions import PREFIX

PATH = f"{PREFIX}/partners"
NUMBER: dict[str, Any] = {"id": {"type": "string", "pattern": "^[0-9]{1,18}$", "maxLength": 18}}
_PARTNER: dict[str, Any] = {
    "parts": {"id": "Of the partner."},
    "part_schemas": NUMBER,
    "who": "OPERATOR",
}


class _Key(msgspec.Struct, frozen=True, array_like=True):
    id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Partners:
    def __init__(self, store: PostgresPartners, bus: Bus, public_url: str) -> None:
        self._store = store
        self._bus = bus
        self._public_url = public_url

    def routes(self) -> list[Route]:
        return [
            Route("GET", PATH, "listPartners", "Partners by id", self.partners, query=PageQuery,
                  data=list[shapes.PartnerRow], who="OPERATOR", errors=(Code.INVALID_CURSOR,)),
            Route("POST", PATH, "addPartner", "A partner, and an invitation for its owner", self.add,
                  body=shapes.NewPartner, data=shapes.Partner, who="OPERATOR", rate="write",
                  activity="PARTNER_CREATED", creates=True,
                  shown_once=("link",)),
            Route("GET", PATH + "/{id}", "getPartner", "A partner", self.partner, data=shapes.PartnerRow, **_PARTNER,
                  errors=(Code.NOT_FOUND,)),
            Route("PATCH", PATH + "/{id}", "changePartner", "Another name, or suspended", self.change,
                  body=shapes.ChangePartner, data=shapes.PartnerRow, **_PARTNER, rate="write",
                  activity="PARTNER_CHANGED", noted=("disabled",), errors=(Code.NOT_FOUND,)),
            Route("GET", PATH + "/{id}/contracts", "listContracts", "A partner's contracts, the newest first",
                  self.contracts, query=PageQuery, data=list[shapes.ContractRow], **_PARTNER,
                  errors=(Code.NOT_FOUND, Code.INVALID_CURSOR)),
            Route("POST", PATH + "/{id}/contracts", "addContract", "A further contract", self.add_contract,
                  body=shapes.NewContract, data=shapes.ContractRow, **_PARTNER, rate="write",
                  activity="CONTRACT_CREATED", noted=("plan",), creates=True,
                  errors=(Code.NOT_FOUND,), description="Of those of the type SAAS that hold the best plan counts."),
            Route("PATCH", f"{PREFIX}/contracts/{{id}}", "changeContract", "Another plan, other dates or limits",
                  self.change_contract, body=shapes.ChangeContract, data=shapes.ContractRow,
                  parts={"id": "Of the contract."}, part_schemas={"id": parse.UUID_SCHEMA}, who="OPERATOR",
                  activity="CONTRACT_CHANGED", noted=("plan",), rate="write", errors=(Code.NOT_FOUND,)),
        ]  # fmt: skip

    async def partners(self, tenant: Tenant, request: Request) -> Answer:
        query, scope, after = parse.query(PageQuery, request), cursor.scope(tenant, "partners"), -1
        if query.cursor is not None:
            after = cursor.decode(query.cursor, scope, _Key)[1].id
        rows = await self._store.partners(after, query.limit + 1)
        more = None
        if len(rows) > query.limit:
            more = cursor.encode(cursor.LIVE, scope, _Key(rows[query.limit - 1]["id"]))
        return Answer(rows[: query.limit], "postgres", cursor=more)

    async def add(self, tenant: Tenant, request: Request) -> Answer:
        body = await parse.body(shapes.NewPartner, request)
        token, hashed = new_link_token()
        row = await self._store.add(body.name, body.owner_email, hashed)
        told = link(request, self._public_url, "invitation", token)
        return Answer(row | {"link": told}, "postgres", location=f"{PATH}/{row['id']}")

    async def partner(self, tenant: Tenant, request: Request, id: str) -> Answer:
        with refusals():
            return Answer(await self._store.partner(number(id)), "postgres")

    async def change(self, tenant: Tenant, request: Request, id: str) -> Answer:
        body = await parse.body(shapes.ChangePartner, request)
        with refusals():
            row, told = await self._store.change(number(id), body.name, body.disabled)
        await self._bus.said(told)
        return Answer(row, "postgres")

    async def contracts(self, tenant: Tenant, request: Request, id: str) -> Answer:
        partner_id = number(id)
        with refusals():
            return await page(tenant, request, partial(self._store.contracts, partner_id), "contracts", partner_id)

    async def add_contract(self, tenant: Tenant, request: Request, id: str) -> Answer:
        body = await parse.body(shapes.NewContract, request)
        with refusals():
            row, told = await self._store.add_contract(number(id), _contract(body))
        await self._bus.said(told)
        return Answer(row, "postgres", location=f"{PREFIX}/contracts/{row['id']}")

    async def change_contract(self, tenant: Tenant, request: Request, id: str) -> Answer:
        body = await parse.body(shapes.ChangeContract, request)
        with refusals():
            row, told = await self._store.change_contract(some_id(id, "contract"), _contract(body))
        await self._bus.said(told)
        return Answer(row, "postgres")


def _contract(body: shapes.NewContract | shapes.ChangeContract) -> dict[str, Any]:
    limits = None if body.limits is None else body.limits.model_dump(exclude_none=True)
    return body.model_dump(exclude={"limits"}) | {"limits": limits}


def number(text: str) -> int:
    """ApiError NOT_FOUND: no partner has such an id."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ApiError(Code.NOT_FOUND, "there is no such partner")
    return int(text)

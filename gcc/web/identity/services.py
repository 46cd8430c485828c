"""What other services ask of identity, each with a token of its own: whom a token is of, and what a partner has signed.

The paths stand at the root, too, where the services of the original ask for them.
"""

import datetime as dt
from typing import TYPE_CHECKING

from quart import Request

from gcc.clock import Clock
from gcc.stores.plans import contract_of
from gcc.stores.tenant import Tenant
from gcc.web.api import parse
from gcc.web.api.envelope import Answer
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.route import Route
from gcc.web.identity import shapes
from gcc.web.identity.partners import NUMBER, number
from gcc.web.identity.sessions import PREFIX

if TYPE_CHECKING:
    from gcc.web.gateway.auth import Authenticator


class Services:
    def __init__(self, authenticator: "Authenticator", clock: Clock) -> None:
        self._authenticator = authenticator
        self._clock = clock

    def routes(self) -> list[Route]:
        return [*self._routes(PREFIX, ""), *self._routes("", "AtRoot")]

    def _routes(self, prefix: str, where: str) -> list[Route]:
        return [
            Route("POST", prefix + "/auth/verify/token", "verifyToken" + where, "Whom a token is of, and what they may",
                  self.verify, body=shapes.Verify, data=shapes.Verified, who="SERVICE", reads=True,
                  errors=(Code.TOKEN_INVALID,),
                  description="Of a session or an API key; never of a service, nor the development token."),
            Route("GET", prefix + "/partner/{id}", "getSignedPartner" + where, "A partner's plan and contracts",
                  self.partner, data=shapes.SignedPartner, who="SERVICE", parts={"id": "Of the partner."},
                  part_schemas=NUMBER, errors=(Code.NOT_FOUND,)),
        ]  # fmt: skip

    async def verify(self, tenant: Tenant, request: Request) -> Answer:
        body = await parse.body(shapes.Verify, request)
        try:
            found = await self._authenticator.tenant([f"Bearer {body.token}"], body.ip)
        except ApiError as refusal:
            if refusal.code is not Code.UNAUTHORIZED:
                raise
            found = None
        if found is None or (found.user_id is None and found.key_id is None):
            raise ApiError(Code.TOKEN_INVALID, "the token is unknown, or has ended")
        names = shapes.Verified.model_fields.keys() - {"expires_at"}
        until = None if found.until is None else dt.datetime.fromtimestamp(found.until, dt.UTC)
        data = {"expires_at": until} | {name: getattr(found, name) for name in names}
        return Answer(data, "postgres", as_of=self._clock.now())

    async def partner(self, tenant: Tenant, request: Request, id: str) -> Answer:
        partner_id = number(id)
        partner = await self._authenticator.partner(partner_id)
        if partner is None:
            raise ApiError(Code.NOT_FOUND, "there is no such partner")
        now = self._clock.now()
        contract = contract_of(partner, now)
        data = {
            "id": partner_id,
            "name": partner.name,
            "suspended": partner.suspended,
            "plan": contract.plan,
            "plan_until": contract.until,
            "contracts": partner.contracts,
            "limits": partner.free.limits,
        }
        return Answer(data, "postgres", as_of=now)

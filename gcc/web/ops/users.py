"""The first people: whoever runs the platform makes links by which operators, and owners of partners, become users.

Further ones are invited by those (gcc/web/identity/people.py). A link is shown once, to who asked for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field
from quart import Response
from quart_trio import QuartTrio

from gcc.actors.controls import Action, Controls
from gcc.clock import Clock
from gcc.stores.postgres_identity_people import PostgresPeople
from gcc.stores.tenant import Tenant
from gcc.web.identity.pages import link_at, new_link_token
from gcc.web.identity.shapes import Email, InvitedRole
from gcc.web.ops.access import Access
from gcc.web.ops.actions import STORABLE, Body, MaybeWhy, by, done, read_action
from gcc.web.ops.operations import By

STAFF = 0
"""The partner that operators are of."""


class AddBody(Body):
    email: Annotated[Email, STORABLE]
    role: InvitedRole
    partner_id: Annotated[int, Field(strict=True, ge=1, lt=2**63)] = 1
    why: MaybeWhy = ""


@dataclass(frozen=True, slots=True)
class UserActions:
    """`url()`: where the gateway answers, or is said to; empty: unknown here."""

    people: PostgresPeople
    controls: Controls
    clock: Clock
    url: Callable[[], str]

    async def add(self, given: AddBody, by: By) -> dict[str, Any]:
        """Permanent: there is such a user, or no such partner."""
        partner_id = STAFF if given.role == "OPERATOR" else given.partner_id
        target = f"{given.role} {given.email} of partner {partner_id}"
        await self.controls.record(Action(self.clock.new_id(), self.clock.now(), by.who, by.why, "users add", target))
        token, digest = new_link_token()
        row = await self.people.invite(Tenant(partner_id, "FREE"), given.email, given.role, None, digest, anew=True)
        return {
            "email": row["email"],
            "role": row["role"],
            "partner_id": partner_id,
            "expires_at": row["expires_at"].isoformat(),
            "link": link_at(self.url(), "invitation", token),
        }


def add_users(app: QuartTrio, access: Access, actions: UserActions) -> None:
    """Give `app` the route of the users."""

    @app.post("/api/users/add")
    async def add_user() -> Response:
        given = await read_action(access, AddBody, "add")
        return done(await actions.add(given, by(access, given.why)))

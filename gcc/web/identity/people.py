"""Users, accounts, invitations and links for a new password: an owner's side, and that of whoever opens a link.

Links are shown once to the owner who made them, who hands them over: the platform sends no mail, so nobody learns here
which e-mails there are.
"""

from functools import partial
from typing import Any

from quart import Request, Response

from gcc.stores.postgres_identity import NewSession, PostgresIdentity
from gcc.stores.postgres_identity_people import PostgresPeople
from gcc.stores.tenant import Tenant
from gcc.web.api import parse
from gcc.web.api.envelope import Answer
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.route import Route
from gcc.web.identity import shapes
from gcc.web.identity.bus import Bus
from gcc.web.identity.pages import PageQuery, digest, link, new_link_token, own_id, page, refusals, some_id
from gcc.web.identity.passwords import Passwords
from gcc.web.identity.sessions import PREFIX, Sessions, refuse_weak

_ID: dict[str, Any] = {"part_schemas": {"id": parse.UUID_SCHEMA}}
_OPENING = (Code.TOKEN_INVALID, Code.WEAK_PASSWORD, Code.BUSY, Code.PARTNER_SUSPENDED, Code.LOGIN_FAILED)


class People:
    def __init__(
        self,
        people: PostgresPeople,
        identity: PostgresIdentity,
        sessions: Sessions,
        *,
        bus: Bus,
        passwords: Passwords,
        public_url: str,
    ) -> None:
        self._people = people
        self._identity = identity
        self._sessions = sessions
        self._bus = bus
        self._passwords = passwords
        self._public_url = public_url

    def routes(self) -> list[Route]:
        users, accounts, invitations = f"{PREFIX}/users", f"{PREFIX}/accounts", f"{PREFIX}/invitations"
        return [
            Route("POST", f"{PREFIX}/auth/reset", "resetPassword", "A new password by a link, and a login", self.reset,
                  body=shapes.Reset, data=shapes.LoggedIn, who="OPEN", rate="login", errors=_OPENING),
            Route("POST", f"{invitations}/accept", "acceptInvitation", "Become a user by a link, and log in",
                  self.accept, body=shapes.Accept, data=shapes.LoggedIn, who="OPEN", rate="login",
                  errors=(*_OPENING, Code.CONFLICT)),
            Route("GET", invitations, "listInvitations", "Invitations that wait, the newest first", self.invitations,
                  query=PageQuery, data=list[shapes.InvitationRow], who="OWNER", errors=(Code.INVALID_CURSOR,)),
            Route("POST", invitations, "invite", "A link by which somebody becomes a user", self.invite,
                  body=shapes.Invite, data=shapes.Invitation, who="OWNER", rate="write",
                  activity="USER_INVITED", noted=("role",), creates=True,
                  shown_once=("link",), errors=(Code.CONFLICT, Code.NOT_FOUND),
                  description="It is shown once, and good once within a week."),
            Route("DELETE", f"{invitations}/{{id}}", "deleteInvitation", "Take an invitation back", self.uninvite,
                  data=shapes.Deleted, parts={"id": "Of the invitation."}, **_ID, who="OWNER", rate="write",
                  activity="INVITATION_DELETED", errors=(Code.NOT_FOUND,)),
            Route("GET", users, "listUsers", "The partner's users, the newest first", self.users, query=PageQuery,
                  data=list[shapes.UserRow], who="OWNER", errors=(Code.INVALID_CURSOR,)),
            Route("PATCH", f"{users}/{{id}}", "changeUser", "Another role or name, or disabled", self.change,
                  body=shapes.ChangeUser, data=shapes.UserRow, parts={"id": "Of the user."}, **_ID, who="OWNER",
                  rate="write", activity="USER_CHANGED", noted=("role", "disabled"),
                  errors=(Code.NOT_FOUND, Code.LAST_OWNER),
                  description="With another role, or disabled, the user's sessions end."),
            Route("DELETE", f"{users}/{{id}}", "deleteUser", "Delete a user", self.delete, data=shapes.Deleted,
                  parts={"id": "Of the user."}, **_ID, who="OWNER", activity="USER_DELETED", rate="write",
                  errors=(Code.NOT_FOUND, Code.LAST_OWNER)),
            Route("POST", f"{users}/{{id}}/reset-link", "makeResetLink", "A link by which a user sets a new password",
                  self.reset_link, data=shapes.ResetLink, parts={"id": "Of the user."}, **_ID, who="OWNER",
                  activity="RESET_LINK_MADE", rate="write", shown_once=("link",), errors=(Code.NOT_FOUND,),
                  description="Good once within a day; those before it end."),
            Route("GET", accounts, "listAccounts", "The partner's accounts, the newest first", self.accounts,
                  query=PageQuery, data=list[shapes.AccountRow], who="OWNER", errors=(Code.INVALID_CURSOR,)),
            Route("POST", accounts, "addAccount", "A further account", self.add_account, body=shapes.NewName,
                  data=shapes.AccountRow, who="OWNER", rate="write",
                  activity="ACCOUNT_CREATED", creates=True, errors=(Code.CONFLICT,)),
            Route("PATCH", f"{accounts}/{{id}}", "renameAccount", "Another name for an account", self.rename,
                  body=shapes.NewName, data=shapes.AccountRow, parts={"id": "Of the account."}, **_ID, who="OWNER",
                  activity="ACCOUNT_CHANGED", rate="write", errors=(Code.CONFLICT, Code.NOT_FOUND)),
        ]  # fmt: skip

    async def reset(self, tenant: None, request: Request) -> Response:
        body = await parse.body(shapes.Reset, request)
        refuse_weak(body.password)
        whose = await self._people.resetting(digest(body.token))
        user = None if whose is None else await self._identity.user(*whose)
        if whose is None or user is None:
            raise _invalid()
        refuse_weak(body.password, user.email, user.name)
        hashed, (new, refresh) = await self._passwords.hashed(body.password), self._sessions.new(request)
        told = await self._people.reset(digest(body.token), whose[0], hashed, new)
        if told is None:
            raise _invalid()
        await self._bus.said(told)
        return await self._logged_in(*whose, new, refresh, request)

    async def accept(self, tenant: None, request: Request) -> Response:
        body = await parse.body(shapes.Accept, request)
        refuse_weak(body.password)
        invited = await self._people.invited(digest(body.token))
        if invited is None:
            raise _invalid()
        refuse_weak(body.password, invited.email, body.name)
        hashed, (new, refresh) = await self._passwords.hashed(body.password), self._sessions.new(request)
        with refusals():
            user_id = await self._people.accept(digest(body.token), invited, body.name, hashed, new)
        if user_id is None:
            raise _invalid()
        return await self._logged_in(invited.partner_id, user_id, new, refresh, request)

    async def _logged_in(
        self, partner_id: int, user_id: Any, new: NewSession, refresh: str, request: Request
    ) -> Response:
        user = await self._identity.user(partner_id, user_id)
        if user is None:
            raise _invalid()
        return await self._sessions.answer(user, new.id, refresh, request, cookie=False)

    async def invitations(self, tenant: Tenant, request: Request) -> Answer:
        return await page(tenant, request, partial(self._people.invitations, tenant), "invitations")

    async def invite(self, tenant: Tenant, request: Request) -> Answer:
        body = await parse.body(shapes.Invite, request)
        token, hashed = new_link_token()
        with refusals():
            row = await self._people.invite(tenant, body.email, body.role, own_id(body.account_id), hashed)
        told = link(request, self._public_url, "invitation", token)
        return Answer(row | {"link": told}, "postgres", location=f"{PREFIX}/invitations/{row['id']}")

    async def uninvite(self, tenant: Tenant, request: Request, id: str) -> Answer:
        with refusals():
            await self._people.delete_invitation(tenant, some_id(id, "invitation"))
        return Answer({"deleted": 1}, "postgres")

    async def users(self, tenant: Tenant, request: Request) -> Answer:
        return await page(tenant, request, partial(self._people.users, tenant), "users")

    async def change(self, tenant: Tenant, request: Request, id: str) -> Answer:
        body = await parse.body(shapes.ChangeUser, request)
        with refusals():
            row, told = await self._people.change_user(
                tenant, some_id(id, "user"), role=body.role, name=body.name, disabled=body.disabled
            )
        await self._bus.said(told)
        return Answer(row, "postgres")

    async def delete(self, tenant: Tenant, request: Request, id: str) -> Answer:
        with refusals():
            await self._bus.said(await self._people.delete_user(tenant, some_id(id, "user")))
        return Answer({"deleted": 1}, "postgres")

    async def reset_link(self, tenant: Tenant, request: Request, id: str) -> Answer:
        token, hashed = new_link_token()
        with refusals():
            row = await self._people.reset_link(tenant, some_id(id, "user"), hashed)
        return Answer(row | {"link": link(request, self._public_url, "reset", token)}, "postgres")

    async def accounts(self, tenant: Tenant, request: Request) -> Answer:
        return await page(tenant, request, partial(self._people.accounts, tenant), "accounts")

    async def add_account(self, tenant: Tenant, request: Request) -> Answer:
        body = await parse.body(shapes.NewName, request)
        with refusals():
            row = await self._people.add_account(tenant, body.name)
        return Answer(row, "postgres", location=f"{PREFIX}/accounts/{row['id']}")

    async def rename(self, tenant: Tenant, request: Request, id: str) -> Answer:
        body = await parse.body(shapes.NewName, request)
        with refusals():
            return Answer(await self._people.rename_account(tenant, some_id(id, "account"), body.name), "postgres")


def _invalid() -> ApiError:
    return ApiError(Code.TOKEN_INVALID, "this link is unknown, was used, or has ended; ask for another")

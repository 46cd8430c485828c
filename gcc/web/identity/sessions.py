"""Logging in and out: passwords and refresh tokens into sessions, and the ends of these.

In: HTTP. Out: access tokens for fifteen minutes, and refresh tokens, each good once: to a script as text, to a page as
a cookie that it cannot read. Of secrets the database has digests. Where an e-mail is unknown, disabled, or the
password wrong, the answer is one, and takes as long.
"""

import base64
import secrets
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from quart import Request, Response

from gcc.clock import Clock
from gcc.config import is_loopback
from gcc.errors import Transient
from gcc.stores.plans import MODULES, MONTHLY, limit_of
from gcc.stores.postgres_identity import (
    REFRESH_S,
    Attempt,
    NewSession,
    PostgresIdentity,
    Refreshed,
    Reused,
    Told,
    User,
)
from gcc.stores.tenant import Tenant
from gcc.web import access
from gcc.web.api import envelope, parse
from gcc.web.api.envelope import Answer
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.route import Route
from gcc.web.identity import shapes
from gcc.web.identity.bus import Bus
from gcc.web.identity.pages import digest
from gcc.web.identity.passwords import Busy, Passwords, weakness
from gcc.web.identity.tokens import LIFE_S, AccessTokens, Secret

if TYPE_CHECKING:
    from gcc.web.gateway.auth import Authenticator

PREFIX = "/identity-service/api"
AGENT_CHARS_MAX = 300
HOST_COOKIE, LOOPBACK_COOKIE = "__Host-gcc_refresh", "gcc_refresh"
_LOGGING_IN = (Code.LOGIN_FAILED, Code.LOGIN_THROTTLED, Code.BUSY, Code.PARTNER_SUSPENDED)
_SESSION_ID = {"id": "Of the session."}


class Sessions:
    def __init__(
        self,
        store: PostgresIdentity,
        authenticator: "Authenticator",
        *,
        keys: Sequence[Secret],
        bus: Bus,
        clock: Clock,
        passwords: Passwords,
        origins: Collection[str],
    ) -> None:
        """`origins`: pages that may keep a refresh cookie, beside our own."""
        self._store = store
        self._authenticator = authenticator
        self._keys = keys
        self._tokens = AccessTokens(keys)
        self._bus = bus
        self._clock = clock
        self._passwords = passwords
        self._origins = origins

    def routes(self) -> list[Route]:
        auth = PREFIX + "/auth"
        return [
            Route("POST", PREFIX + "/device/init", "initDevice", "An id for a device, to log in with", self.device,
                  body=shapes.Device, data=shapes.DeviceId, who="OPEN", rate="login"),
            Route("POST", auth + "/login", "logIn", "An access token for a password", self.log_in,
                  body=shapes.Login, data=shapes.LoggedIn, who="OPEN", rate="login", errors=_LOGGING_IN,
                  description="After five failures within fifteen minutes an e-mail waits, whoever asks."),
            Route("POST", auth + "/refresh", "refresh", "A new access token, and a new refresh token", self.refresh,
                  body=shapes.Refresh, data=shapes.LoggedIn, who="OPEN", rate="login",
                  errors=(Code.UNAUTHORIZED, Code.REFRESH_REUSED, Code.PARTNER_SUSPENDED),
                  description="A refresh token is good once, and for ten seconds more, in which it gives the same"
                  " successor. Used later it ends the session: somebody else may have it."),
            Route("POST", auth + "/logout", "logOut", "End this session", self.log_out, data=shapes.Revoked,
                  who="PERSON", rate="write"),
            Route("POST", auth + "/logout-all", "logOutEverywhere", "End all of your sessions", self.log_out_all,
                  data=shapes.Revoked, who="PERSON", rate="write"),
            Route("GET", auth + "/me", "getMe", "Who you are, and what you may", self.me, data=shapes.Me, who="PERSON"),
            Route("GET", auth + "/sessions", "listSessions", "Your sessions, the newest first", self.sessions,
                  data=list[shapes.Session], who="PERSON"),
            Route("DELETE", auth + "/sessions/{id}", "endSession", "End a session", self.end, data=shapes.Revoked,
                  parts=_SESSION_ID, part_schemas={"id": parse.UUID_SCHEMA}, who="PERSON", rate="write",
                  errors=(Code.NOT_FOUND,), description="Your own; an owner any of the partner's."),
            Route("POST", auth + "/password", "changePassword", "Another password; your other sessions end",
                  self.change_password, body=shapes.NewPasswords, data=shapes.Revoked, who="PERSON", rate="login",
                  errors=(*_LOGGING_IN, Code.WEAK_PASSWORD)),
        ]  # fmt: skip

    async def device(self, tenant: None, request: Request) -> Answer:
        body = await parse.body(shapes.Device, request)
        device_id = self._clock.new_id()
        await self._store.add_device(device_id, body.client_id)
        return Answer({"device_id": device_id}, "postgres")

    async def log_in(self, tenant: None, request: Request) -> Response:
        body = await parse.body(shapes.Login, request)
        if body.mode == "cookie":
            self._refuse_foreign_page(request)
        attempt = await self._attempt(body.email, request)
        try:
            user = await self._store.user_by_email(body.email)
            right = await self._passwords.verified(body.password, None if user is None else user.password_hash)
        except Transient:
            await self._store.take_back(attempt)
            raise
        if user is None or not right or user.disabled:
            raise _failed()
        await self._store.take_back(attempt, body.email)
        if user.suspended:
            raise ApiError(Code.PARTNER_SUSPENDED, "the partner is suspended; ask those who run the platform")
        if self._passwords.outgrown(user.password_hash):
            user = await self._rehashed(user, body.password)
        device_id = None if body.device_id is None else UUID(body.device_id)
        return await self.begin(user, request, mode=body.mode, device_id=device_id)

    async def _rehashed(self, user: User, password: str) -> User:
        """The same, hashed as passwords are today, also where another login of theirs was the first to do so."""
        with suppress(Busy):  # the next login will
            new = await self._passwords.hashed(password)
            if await self._store.rehash(user, new):
                return replace(user, password_hash=new)
            changed = await self._store.user(user.partner_id, user.id)
            if changed is not None and await self._passwords.verified(password, changed.password_hash):
                return changed
        return user

    async def begin(
        self, user: User, request: Request, *, mode: str = "token", device_id: UUID | None = None
    ) -> Response:
        """Log somebody in whose password was right, or has just been set. ApiError LOGIN_FAILED: it was changed, or
        they were disabled."""
        new, token = self.new(request, device_id)
        if not await self._store.begin(user, new):
            raise _failed()
        return await self.answer(user, new.id, token, request, cookie=mode == "cookie")

    def new(self, request: Request, device_id: UUID | None = None) -> tuple[NewSession, str]:
        """A session to begin, and its first refresh token."""
        token = secrets.token_urlsafe(32)
        agent = request.headers.get("user-agent", "")[:AGENT_CHARS_MAX]
        return NewSession(self._clock.new_id(), digest(token), device_id, request.remote_addr, agent), token

    async def refresh(self, tenant: None, request: Request) -> Response:
        body = await parse.body(shapes.Refresh, request)
        token, cookie = body.refresh_token, body.refresh_token is None
        if token is None:
            token = request.cookies.get(_cookie_name(request))
            if token:
                self._refuse_foreign_page(request)
        if not token:
            raise ApiError(Code.UNAUTHORIZED, "send refresh_token, or the cookie of a login")
        successors = [_successor(key, token) for key in self._keys]
        match await self._store.refresh(digest(token), [digest(each) for each in successors]):
            case Refreshed(user, session_id, place):
                if user.suspended:
                    raise ApiError(Code.PARTNER_SUSPENDED, "the partner is suspended; ask those who run the platform")
                return await self.answer(user, session_id, successors[place], request, cookie=cookie)
            case Reused(session_id):
                await self._bus.said([("session", session_id)])
                raise ApiError(Code.REFRESH_REUSED, "it was used before, so the session has ended; log in again")
            case _:
                raise ApiError(Code.UNAUTHORIZED, "the session has ended; log in again")

    async def log_out(self, tenant: Tenant, request: Request) -> Response:
        told = [] if tenant.session_id is None else await self._store.revoke(tenant.partner_id, tenant.session_id)
        return await self._ended(told, request)

    async def log_out_all(self, tenant: Tenant, request: Request) -> Response:
        told = [] if tenant.user_id is None else await self._store.revoke_all(tenant.partner_id, tenant.user_id)
        return await self._ended(told, request)

    async def _ended(self, told: list[Told], request: Request) -> Response:
        await self._bus.said(told)
        response = _response({"revoked": len(told)})
        if _cookie_name(request) in request.cookies:
            _set_cookie(response, request, "", 0)
        return response

    async def me(self, tenant: Tenant, request: Request) -> Answer:
        partner = await self._authenticator.partner(tenant.partner_id)
        user = None if tenant.user_id is None else await self._store.user(tenant.partner_id, tenant.user_id)
        contract = tenant.contract
        limits = MONTHLY[tenant.plan] if contract is None else {each: limit_of(contract, each) for each in MODULES}
        data = {
            "user": None if user is None else {"id": user.id, "name": user.name, "email": user.email},
            "account": None if user is None else {"id": user.account_id, "name": user.account},
            "partner": {"id": tenant.partner_id, "name": "" if partner is None else partner.name},
            "role": tenant.role,
            "plan": tenant.plan,
            "plan_until": None if contract is None else contract.until,
            "limits": limits,
        }
        return Answer(data, "postgres", as_of=self._clock.now())

    async def sessions(self, tenant: Tenant, request: Request) -> Answer:
        if tenant.user_id is None:
            return Answer([], "postgres", total=0)
        rows = await self._store.sessions(tenant.partner_id, tenant.user_id)
        return Answer([row | {"current": row["id"] == tenant.session_id} for row in rows], "postgres", total=len(rows))

    async def end(self, tenant: Tenant, request: Request, id: str) -> Answer:
        session_id, told = parse.whole_uuid(id), list[Told]()
        if session_id is not None and tenant.role == "OWNER":
            told = await self._store.revoke(tenant.partner_id, session_id)
        elif session_id is not None and tenant.user_id is not None:
            told = await self._store.revoke(tenant.partner_id, session_id, tenant.user_id)
        if not told:
            raise ApiError(Code.NOT_FOUND, "there is no such session that lives")
        await self._bus.said(told)
        return Answer({"revoked": len(told)}, "postgres")

    async def change_password(self, tenant: Tenant, request: Request) -> Answer:
        body = await parse.body(shapes.NewPasswords, request)
        user = None if tenant.user_id is None else await self._store.user(tenant.partner_id, tenant.user_id)
        if user is None:
            raise ApiError(Code.FORBIDDEN, "only people have passwords")
        refuse_weak(body.new, user.email, user.name)
        attempt = await self._attempt(user.email, request)
        try:
            right = await self._passwords.verified(body.old, user.password_hash)
            new = await self._passwords.hashed(body.new) if right else ""
        except Transient:
            await self._store.take_back(attempt)
            raise
        told = await self._store.set_password(user, new, tenant.session_id) if right else None
        if told is None:
            raise _failed()
        await self._store.take_back(attempt, user.email)
        await self._bus.said(told)
        return Answer({"revoked": len(told)}, "postgres")

    async def _attempt(self, email: str, request: Request) -> Attempt:
        attempt = await self._store.attempt(email, request.remote_addr or "unknown")
        if attempt.wait_s:
            raise ApiError(Code.LOGIN_THROTTLED, "wait, then try again", retry_after_s=attempt.wait_s)
        return attempt

    async def answer(self, user: User, session_id: UUID, refresh: str, request: Request, *, cookie: bool) -> Response:
        contract = await self._authenticator.contract(user.partner_id)
        now = self._clock.now().timestamp()
        token = self._tokens.signed(
            now, user=user.id, session=session_id, partner_id=user.partner_id, account=user.account_id, role=user.role
        )
        response = _response(
            {
                "access_token": token,
                "expires_in": LIFE_S,
                "refresh_token": None if cookie else refresh,
                "user": {"id": user.id, "name": user.name, "email": user.email},
                "account": {"id": user.account_id, "name": user.account},
                "partner": {"id": user.partner_id, "name": user.partner},
                "plan": contract.plan,
                "role": user.role,
            }
        )
        if cookie:
            _set_cookie(response, request, refresh, REFRESH_S)
        return response

    def _refuse_foreign_page(self, request: Request) -> None:
        """A cookie goes with every request of a browser, so the page that asks must be one that may."""
        if request.headers.get("origin") not in self._origins and not access.same_origin(request.scope):
            raise ApiError(Code.ORIGIN_REFUSED, "send an Origin that gateway.cors_origins allows, or no cookie")


def refuse_weak(password: str, *own: str) -> None:
    """ApiError WEAK_PASSWORD: nobody may choose it, or not who has these e-mails and names of their `own`."""
    if (why := weakness(password, *own)) is not None:
        raise ApiError(Code.WEAK_PASSWORD, why, errors=[{"path": "password", "reason": why}])


def _failed() -> ApiError:
    return ApiError(Code.LOGIN_FAILED, "the e-mail or the password is wrong, or the user is disabled")


def _successor(key: Secret, token: str) -> str:
    """The next refresh token: whoever refreshes with the same one gets the same."""
    return base64.urlsafe_b64encode(key.derived(b"refresh", token.encode())).decode().rstrip("=")


def _response(data: Any) -> Response:
    return Response(envelope.success(Answer(data, "postgres")), content_type=envelope.JSON)


def _on_loopback(request: Request) -> bool:
    """Whether a browser on this machine asks over http, which has no Secure cookies everywhere."""
    name = (access.header(request.scope, b"host") or "").rpartition(":")[0].strip("[]")
    return request.scope.get("scheme") == "http" and is_loopback(name)


def _cookie_name(request: Request) -> str:
    return LOOPBACK_COOKIE if _on_loopback(request) else HOST_COOKIE


def _set_cookie(response: Response, request: Request, value: str, age_s: int) -> None:
    response.set_cookie(
        _cookie_name(request), value, max_age=age_s, path="/", httponly=True, samesite="Strict",
        secure=not _on_loopback(request),
    )  # fmt: skip

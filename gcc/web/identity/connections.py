"""Creators connect their accounts: an editor starts, the creator's browser goes to the platform and comes back here.

In: who starts, for which of its accounts, and which page the browser shall return to; then the code of the platform.
Out: the platform's page; a connection whose token is on its way to the credentials, sealed; the browser back on that
page, with connected=ID or error=WHY. Who comes back is known by the state alone, which is good once: whatever else the
browser sends says nothing of who it is. No transaction is open while the platform is asked; who is cut off in between
has done nothing, and starts anew.
"""

import datetime as dt
import re
import secrets
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import msgspec
import pydantic
import structlog
import trio
from pydantic import AfterValidator, Field
from quart import Request, Response

from gcc.channels.message import Frame
from gcc.clock import Clock
from gcc.config import Settings, is_loopback
from gcc.errors import Permanent, Transient
from gcc.pipelines.events.routes import NEW_ACCESS_TOKEN
from gcc.sources.consents import PLATFORMS, Consent, ConsentApi, NotGranted
from gcc.stores.activities import Activity
from gcc.stores.connections import PostgresConnections, Started
from gcc.stores.sealing import Keys
from gcc.stores.tenant import Tenant
from gcc.web.api import activity, parse
from gcc.web.api.envelope import Answer
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.route import Route
from gcc.web.api.shapes import Row
from gcc.web.identity.pages import PageQuery, digest, page, refusals, some_id
from gcc.web.identity.sessions import PREFIX
from gcc.web.identity.shapes import URL_PATTERN, URL_WAY, Deleted, Id, Strict, spelled

EXCHANGE_S = 15.0
CHARS_MAX = 4000
OVER = "this login is unknown, was used, or has ended; start it again"
_URL = re.compile(r"(https?://[!-~]+?)(?:[/?][!-~]*)?")
_ODD = re.compile(r"[\\#@\"<>`{}|^]")

log = structlog.get_logger()


class Start(Strict):
    account_id: Id = Field(description="For which of the partner's accounts.")
    return_to: Annotated[
        str,
        Field(max_length=2000, json_schema_extra={"pattern": URL_PATTERN}),
        AfterValidator(spelled(URL_PATTERN, URL_WAY)),
    ] = Field(description="A page of an allowed origin; it gets connected=ID or error=WHY.")


class StartedRow(Row):
    authorize_url: str | None = Field(
        description="Where the creator's browser goes. Shown once; null where the call is answered again."
    )
    expires_at: dt.datetime


class Back(pydantic.BaseModel):
    """What a platform's page sends the browser back with; each adds words of its own."""

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore")

    state: Annotated[str, Field(max_length=CHARS_MAX)] = ""
    code: Annotated[str, Field(max_length=CHARS_MAX)] = ""
    error: Annotated[str, Field(max_length=CHARS_MAX)] = ""


class ConnectionRow(Row):
    id: UUID
    account_id: UUID
    platform: str
    profile_id: str
    handle: str = Field(description="As it was when it was connected.")
    scopes: list[str]
    state: str = Field(description="ACTIVE, EXPIRED or REVOKED.")
    created_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Connecting:
    """`api` asks the platforms; `keys` seal what comes of it."""

    api: ConsentApi
    keys: Keys


class Connections:
    def __init__(self, settings: Settings, store: PostgresConnections, api: ConsentApi, clock: Clock) -> None:
        self._store = store
        self._api = api
        self._clock = clock
        self._public_url = settings.auth.public_url.rstrip("/")
        self._origins = settings.gateway.cors_origins

    def routes(self) -> list[Route]:
        platform: dict[str, Any] = {
            "parts": {"platform": f"{' or '.join(PLATFORMS)}, in any case."},
            "part_schemas": {"platform": {"type": "string", "enum": list(PLATFORMS)}},
        }
        return [
            Route("POST", PREFIX + "/connect/{platform}/start", "startConnecting",
                  "A page on which a creator lets you see what is theirs", self.start, body=Start, data=StartedRow,
                  **platform, who="EDITOR", rate="write", activity="CREATOR_ASKED",
                  shown_once=("authorize_url",),
                  errors=(Code.INVALID_PLATFORM, Code.INVALID_URL, Code.NOT_FOUND, Code.NOT_IMPLEMENTED),
                  description="Good once, for ten minutes."),
            Route("GET", PREFIX + "/connect/{platform}/callback", "finishConnecting",
                  "Where that page sends the creator's browser back to", self.back, query=Back, **platform, who="OPEN",
                  rate="login", redirects=True, media_type="text/html",
                  errors=(Code.INVALID_PLATFORM, Code.TOKEN_INVALID),
                  description="It goes on to return_to, with connected=ID, or with error=WHY: ACCESS_DENIED (by the"
                  " creator), TOKEN_INVALID (by the platform), SOURCE_UNAVAILABLE."),
            Route("GET", PREFIX + "/connections", "listConnections", "Creators who are connected, the newest first",
                  self.all, query=PageQuery, data=list[ConnectionRow], who="EDITOR", errors=(Code.INVALID_CURSOR,)),
            Route("DELETE", PREFIX + "/connections/{id}", "endConnection",
                  "Ask in a creator's name no more", self.end, data=Deleted, parts={"id": "Of the connection."},
                  part_schemas={"id": parse.UUID_SCHEMA}, who="EDITOR", rate="write",
                  activity="CREATOR_DISCONNECTED", errors=(Code.NOT_FOUND,)),
        ]  # fmt: skip

    async def start(self, tenant: Tenant, request: Request, platform: str) -> Answer:
        name, body = _platform(platform), await parse.body(Start, request)
        if name not in self._api.apps:
            told = f"connect.{name.lower()}.client_id and GCC_CONNECT__{name}__CLIENT_SECRET"
            raise ApiError(Code.NOT_IMPLEMENTED, f"nobody has registered this platform with {name}: set {told}")
        self._refuse_foreign_page(body.return_to, request)
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        redirect_uri = f"{self._public_url or request.host_url.rstrip('/')}{PREFIX}/connect/{name.lower()}/callback"
        about = {
            "account_id": UUID(body.account_id),
            "platform": name,
            "verifier": verifier,
            "redirect_uri": redirect_uri,
            "return_to": body.return_to,
        }
        with refusals():
            until = await self._store.ask(tenant, digest(state), about)
        url = self._api.page(name, state=state, redirect_uri=redirect_uri, verifier=verifier)
        return Answer({"authorize_url": url, "expires_at": until}, "postgres")

    async def back(self, tenant: None, request: Request, platform: str) -> Response:
        name, told = _platform(platform), parse.query(Back, request)
        started = None
        if told.state and request.method == "GET":  # HEAD is asked by who looks at links, and would use it up
            started = await self._store.answered(digest(told.state), name)
        if started is None:
            raise ApiError(Code.TOKEN_INVALID, OVER)
        if told.error or not told.code:
            return _returned(started, error="ACCESS_DENIED")
        try:
            with trio.fail_after(EXCHANGE_S):
                consent = await self._api.exchange(
                    name, told.code, redirect_uri=started.redirect_uri, verifier=started.verifier
                )
        except NotGranted as error:
            log.info("a creator was not connected", platform=name, why=str(error))
            return _returned(started, error="TOKEN_INVALID")
        except (Transient, Permanent, trio.TooSlowError) as error:
            log.warning("a creator could not be connected", platform=name, why=str(error) or "no answer in time")
            return _returned(started, error="SOURCE_UNAVAILABLE")
        connection_id = await self._connect(started, consent)
        if connection_id is None:
            raise ApiError(Code.TOKEN_INVALID, OVER)
        return _returned(started, connected=str(connection_id))

    async def _connect(self, started: Started, consent: Consent) -> UUID | None:
        grant_id = self._clock.new_id()
        about = {
            "profile_id": consent.facts.account,
            "handle": consent.handle,
            "source": consent.source,
            "scopes": list(consent.facts.scopes),
        }
        told = self._told(started.platform, consent, grant_id)
        return await self._store.connect(
            started, about, grant_id, consent.secret, told, lambda id: self._noted(started, id)
        )

    def _noted(self, started: Started, connection_id: UUID) -> tuple[Activity, list[Frame]]:
        """Of who asked: the creator, who has come back, is nobody here."""
        about = {"platform": started.platform}
        done = Activity(self._clock.new_id(), "CREATOR_CONNECTED", str(connection_id), None, about)
        return done, activity.frames(self._clock, started.tenant, done)

    def _told(self, platform: str, consent: Consent, grant_id: UUID) -> Frame:
        """What the listener of new tokens hears: all but the token."""
        facts, now = consent.facts, self._clock.now()
        event = {
            "event_id": self._clock.new_id(),
            "event_timestamp": now,
            "platform": platform,
            "source": consent.source,
            "kind": facts.kind,
            "handle": consent.handle,
            "account": facts.account,
            "app": facts.app,
            "scopes": facts.scopes,
            "expires_at": facts.expires_at,
            "issued_at": now,
            "token_ref": grant_id,
        }
        return Frame(self._clock.new_id(), NEW_ACCESS_TOKEN, 1, msgspec.json.encode(event), counted=0)

    async def all(self, tenant: Tenant, request: Request) -> Answer:
        return await page(tenant, request, partial(self._store.connections, tenant), "connections")

    async def end(self, tenant: Tenant, request: Request, id: str) -> Answer:
        with refusals():
            await self._store.end(tenant, some_id(id, "connection"))
        return Answer({"deleted": 1}, "postgres")

    def _refuse_foreign_page(self, url: str, request: Request) -> None:
        """ApiError INVALID_URL, unless it begins with an allowed origin, letter by letter, that ends there."""
        own = self._public_url
        if not own and is_loopback((request.headers.get("host") or "").rpartition(":")[0].strip("[]")):
            own = request.host_url.rstrip("/")
        allowed = {*self._origins, *filter(None, ["{0.scheme}://{0.netloc}".format(urlsplit(own))] if own else [])}
        matched = None if _ODD.search(url) else _URL.fullmatch(url)
        if matched is None or matched[1] not in allowed:
            why = "return_to: it is no page of an origin in gateway.cors_origins"
            raise ApiError(Code.INVALID_URL, why, errors=[{"path": "return_to", "reason": why}])


def _platform(text: str) -> str:
    """ApiError INVALID_PLATFORM."""
    name = text.upper()
    if name not in PLATFORMS:
        raise ApiError(Code.INVALID_PLATFORM, f"platform: {text[:40]!r} is none of {', '.join(PLATFORMS)}")
    return name


def _returned(started: Started, **told: str) -> Response:
    mark = "&" if "?" in started.return_to else "?"
    where = f"{started.return_to}{mark}{urlencode(told)}"
    return Response(b"", status=303, headers={"location": where, "referrer-policy": "no-referrer"})

"""API keys of a partner: what its owners make, rotate and revoke."""

from functools import partial
from typing import Any

from quart import Request

from gcc.clock import Clock
from gcc.stores.postgres_identity_keys import PostgresKeys
from gcc.stores.tenant import Tenant
from gcc.web.api import parse
from gcc.web.api.envelope import Answer
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.route import Route
from gcc.web.identity import keys, shapes
from gcc.web.identity.bus import Bus
from gcc.web.identity.pages import PageQuery, page, refusals, some_id
from gcc.web.identity.sessions import PREFIX

PATH = f"{PREFIX}/api-keys"
_PART: dict[str, Any] = {"parts": {"id": "Of the key."}, "part_schemas": {"id": parse.UUID_SCHEMA}}


class ApiKeys:
    def __init__(self, store: PostgresKeys, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock

    def routes(self) -> list[Route]:
        return [
            Route("GET", PATH, "listApiKeys", "Keys that open, the newest first", self.keys, query=PageQuery,
                  data=list[shapes.ApiKeyRow], who="OWNER", plan="SAAS", errors=(Code.INVALID_CURSOR,)),
            Route("POST", PATH, "addApiKey", "A key for a program", self.add, body=shapes.NewApiKey,
                  data=shapes.ApiKey, who="OWNER", plan="SAAS", rate="write",
                  activity="API_KEY_CREATED", noted=("prefix", "role"), creates=True,
                  shown_once=("key",), errors=(Code.LIMIT_REACHED,), description="It is shown once."),
            Route("POST", PATH + "/{id}/rotate", "rotateApiKey", "A new key with the same rights", self.rotate,
                  data=shapes.ApiKey, **_PART, who="OWNER", plan="SAAS", rate="write",
                  activity="API_KEY_ROTATED", noted=("prefix",), creates=True,
                  shown_once=("key",), errors=(Code.NOT_FOUND, Code.CONFLICT, Code.LIMIT_REACHED),
                  description="Once: the old one opens for a day more."),
            Route("DELETE", PATH + "/{id}", "revokeApiKey", "End a key at once", self.revoke, data=shapes.Deleted,
                  **_PART, who="OWNER", plan="SAAS", rate="write",
                  activity="API_KEY_REVOKED", errors=(Code.NOT_FOUND,)),
        ]  # fmt: skip

    async def keys(self, tenant: Tenant, request: Request) -> Answer:
        return await page(tenant, request, partial(self._store.keys, tenant), "api-keys")

    async def add(self, tenant: Tenant, request: Request) -> Answer:
        body = await parse.body(shapes.NewApiKey, request)
        if body.expires_at is not None and body.expires_at <= (now := self._clock.now()):
            reason = f"{body.expires_at:%Y-%m-%dT%H:%M:%SZ} is past: it is {now:%Y-%m-%dT%H:%M:%SZ} here"
            raise ApiError(
                Code.INVALID_BODY, f"expires_at: {reason}", errors=[{"path": "expires_at", "reason": reason}]
            )
        key = keys.made()
        with refusals():
            row = await self._store.add(tenant, keys.known(key), body.model_dump())
        return Answer(row | {"key": key}, "postgres", location=f"{PATH}/{row['id']}")

    async def rotate(self, tenant: Tenant, request: Request, id: str) -> Answer:
        key = keys.made()
        with refusals():
            row, told = await self._store.rotate(tenant, some_id(id, "key"), keys.known(key))
        await self._bus.said(told)
        return Answer(row | {"key": key}, "postgres", location=f"{PATH}/{row['id']}")

    async def revoke(self, tenant: Tenant, request: Request, id: str) -> Answer:
        with refusals():
            await self._bus.said(await self._store.revoke(tenant, some_id(id, "key")))
        return Answer({"deleted": 1}, "postgres")

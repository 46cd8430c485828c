"""Webhooks of a partner: where its owners want to be told of events. See docs/webhooks.md.

In: URLs, which are a stranger's words. Out: endpoints, their secrets (shown once, stored nowhere), what became of each
delivery, and replays.
"""

import datetime as dt
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field
from quart import Request

from gcc.clock import Clock
from gcc.config import Settings
from gcc.pipelines.webhooks import events
from gcc.pipelines.webhooks.pipeline import MISSING, master, outbound
from gcc.pipelines.webhooks.signing import Secrets
from gcc.sources.outbound import NotAllowed
from gcc.sources.outbound.target import URL_CHARS_MAX
from gcc.stores.tenant import Tenant
from gcc.stores.webhook_endpoints import REPLAY_MAX, WebhookEndpoints
from gcc.web.api import parse
from gcc.web.api.envelope import Answer
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.route import Route
from gcc.web.api.shapes import Row
from gcc.web.identity.pages import PageQuery, page, refusals, some_id
from gcc.web.identity.sessions import PREFIX
from gcc.web.identity.shapes import URL_PATTERN, URL_WAY, Deleted, Id, Strict, Time, spelled

PATH = f"{PREFIX}/webhooks"
REPLAY_DAYS = 7
IDS_MAX = 100


def _known(name: str) -> str:
    if name not in events.EVENTS:
        raise ValueError(f"there is no such event; there are {', '.join(events.EVENTS)}")
    return name


Url = Annotated[
    str,
    Field(max_length=URL_CHARS_MAX, json_schema_extra={"pattern": URL_PATTERN},
          examples=["https://hooks.brand.example/gcc"], description="https, port 443, a public host."),
    AfterValidator(spelled(URL_PATTERN, URL_WAY)),
]  # fmt: skip
EventName = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(events.EVENTS)})]
Events = Annotated[
    list[EventName],
    Field(min_length=1, max_length=20, description="What it is told of; a test comes whether it is among them or not."),
]


class NewWebhook(Strict):
    url: Url
    events: Events


class ChangeWebhook(Strict):
    url: Url | None = None
    events: Events | None = None
    disabled: bool | None = Field(None, description="false enables it again: what waits for it is sent.")


class Replay(Strict):
    deliveries: list[Id] = Field([], max_length=IDS_MAX, description="These.")
    since: Time | None = Field(
        None, description=f"And all that came since then; what is more than {REPLAY_DAYS} days ago is not."
    )


class WebhookRow(Row):
    id: UUID
    url: str
    events: list[str]
    rotated_at: dt.datetime | None = Field(description="For a day from then on the secret before signs, too.")
    failing_since: dt.datetime | None = Field(description="Nothing was taken since then.")
    disabled_at: dt.datetime | None
    disabled_because: str | None
    created_at: dt.datetime
    updated_at: dt.datetime


class Webhook(WebhookRow):
    secret: str | None = Field(
        description="whsec_ and Base64, of Standard Webhooks. Shown once; null where the call is answered again."
    )


class Tested(Row):
    event_id: UUID


class DeliveryRow(Row):
    id: UUID
    event_id: UUID = Field(description="webhook-id of the post.")
    type: str
    status: str = Field(description="PENDING, DELIVERED or FAILED.")
    attempts: int
    failures: int = Field(description="Since it came, or was replayed.")
    answered: int | None = Field(description="The status that the last try was answered.")
    error: str | None
    next_at: dt.datetime | None
    ended_at: dt.datetime | None
    created_at: dt.datetime


class Replayed(Row):
    replayed: int = Field(description=f"{REPLAY_MAX} at most: then ask again, since `until`.")
    until: dt.datetime | None = Field(description="When the last of them came.")


_PART: dict[str, Any] = {"parts": {"id": "Of the webhook."}, "part_schemas": {"id": parse.UUID_SCHEMA}}


class Webhooks:
    def __init__(self, settings: Settings, store: WebhookEndpoints, clock: Clock) -> None:
        self._settings = settings
        self._outbound = outbound(settings)
        self._store = store
        self._clock = clock

    def routes(self) -> list[Route]:
        of: dict[str, Any] = {**_PART, "who": "OWNER", "plan": "SAAS"}
        one = {**of, "rate": "write", "errors": (Code.NOT_FOUND,)}
        return [
            Route("GET", PATH, "listWebhooks", "Where you are told of events, the newest first", self.all,
                  data=list[WebhookRow], who="OWNER", plan="SAAS"),
            Route("POST", PATH, "addWebhook", "Be told of events", self.add, body=NewWebhook, data=Webhook, who="OWNER",
                  plan="SAAS", rate="write", creates=True, shown_once=("secret",), activity="WEBHOOK_CREATED",
                  errors=(Code.LIMIT_REACHED, Code.INVALID_URL)),
            Route("GET", PATH + "/{id}", "getWebhook", "One of them", self.one, data=WebhookRow, **of,
                  errors=(Code.NOT_FOUND,)),
            Route("PATCH", PATH + "/{id}", "changeWebhook", "Another URL, other events; disable or enable it",
                  self.change, body=ChangeWebhook, data=WebhookRow, **of, rate="write",
                  activity="WEBHOOK_CHANGED", errors=(Code.NOT_FOUND, Code.INVALID_URL)),
            Route("DELETE", PATH + "/{id}", "deleteWebhook", "Send nothing more there", self.delete, data=Deleted,
                  **one, activity="WEBHOOK_DELETED"),
            Route("POST", PATH + "/{id}/rotate", "rotateWebhook", "Another secret", self.rotate, data=Webhook, **one,
                  shown_once=("secret",), activity="WEBHOOK_ROTATED",
                  description="For a day the one before signs, too."),
            Route("POST", PATH + "/{id}/test", "testWebhook", "Send webhook.test there", self.test, data=Tested, **of,
                  rate="write", activity="WEBHOOK_TESTED", errors=(Code.NOT_FOUND, Code.CONFLICT)),
            Route("GET", PATH + "/{id}/deliveries", "listDeliveries", "What became of each event, the newest first",
                  self.deliveries, query=PageQuery, data=list[DeliveryRow], **of,
                  errors=(Code.NOT_FOUND, Code.INVALID_CURSOR), description="Kept for 30 days."),
            Route("POST", PATH + "/{id}/replay", "replayDeliveries", "Send events again, with the same ids",
                  self.replay, body=Replay, data=Replayed, **of, rate="write",
                  activity="WEBHOOK_REPLAYED", errors=(Code.NOT_FOUND,)),
        ]  # fmt: skip

    async def all(self, tenant: Tenant, request: Request) -> Answer:
        rows = await self._store.all(tenant)
        return Answer([_shown(row) for row in rows], "postgres", total=len(rows))

    async def add(self, tenant: Tenant, request: Request) -> Answer:
        body = await parse.body(NewWebhook, request)
        self._refuse(body.url)
        self._secrets()
        with refusals():
            row = await self._store.add(tenant, body.url, _once(body.events))
        return Answer(self._with_secret(row), "postgres", location=f"{PATH}/{row['id']}")

    async def one(self, tenant: Tenant, request: Request, id: str) -> Answer:
        with refusals():
            return Answer(_shown(await self._store.one(tenant, some_id(id, "webhook"))), "postgres")

    async def change(self, tenant: Tenant, request: Request, id: str) -> Answer:
        body = await parse.body(ChangeWebhook, request)
        if body.url is not None:
            self._refuse(body.url)
        told = None if body.events is None else _once(body.events)
        with refusals():
            row = await self._store.change(
                tenant, some_id(id, "webhook"), url=body.url, events=told, disabled=body.disabled
            )
        return Answer(_shown(row), "postgres")

    async def delete(self, tenant: Tenant, request: Request, id: str) -> Answer:
        with refusals():
            await self._store.delete(tenant, some_id(id, "webhook"))
        return Answer({"deleted": 1}, "postgres")

    async def rotate(self, tenant: Tenant, request: Request, id: str) -> Answer:
        self._secrets()
        with refusals():
            row = await self._store.rotate(tenant, some_id(id, "webhook"))
        return Answer(self._with_secret(row), "postgres")

    async def test(self, tenant: Tenant, request: Request, id: str) -> Answer:
        webhook_id = some_id(id, "webhook")
        event_id, frame = events.framed(
            self._clock, events.TEST, tenant.partner_id, {"endpoint_id": str(webhook_id)}, endpoint_id=webhook_id
        )
        with refusals():
            await self._store.test(tenant, webhook_id, frame)
        return Answer({"event_id": event_id}, "postgres")

    async def deliveries(self, tenant: Tenant, request: Request, id: str) -> Answer:
        webhook_id = some_id(id, "webhook")
        with refusals():
            read = partial(self._store.deliveries, tenant, webhook_id)
            return await page(tenant, request, read, "webhook deliveries", str(webhook_id))

    async def replay(self, tenant: Tenant, request: Request, id: str) -> Answer:
        body = await parse.body(Replay, request)
        since = body.since and max(body.since, self._clock.now() - dt.timedelta(days=REPLAY_DAYS))
        ids = [UUID(each) for each in body.deliveries]
        with refusals():
            replayed = await self._store.replay(tenant, some_id(id, "webhook"), ids=ids, since=since)
        return Answer(replayed, "postgres")

    def _refuse(self, url: str) -> None:
        """ApiError INVALID_URL. Where its name leads is looked at when something is sent."""
        try:
            self._outbound.allowed(url)
        except NotAllowed as error:
            raise ApiError(Code.INVALID_URL, str(error), errors=[{"path": "url", "reason": str(error)}]) from None

    def _secrets(self) -> Secrets:
        """ApiError NOT_IMPLEMENTED: there is nothing to derive them from."""
        if (key := master(self._settings)) is None:
            raise ApiError(Code.NOT_IMPLEMENTED, MISSING)
        return Secrets(key)

    def _with_secret(self, row: dict[str, Any]) -> dict[str, Any]:
        return _shown(row) | {"secret": self._secrets().shown(row["id"], row["generation"])}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "generation"}


def _once(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))

"""Nothing of another partner's is there: every route, with every kind of id of a twin's, behind each wall alone.

Two partners have the same things. One asks with the other's ids, in paths and bodies, with its cursors, and gets the
answer for what is not there; the other's rows stay as they are, and no event tells of them. Which routes take an id is
read from the route table: one without a case here fails.
"""

import os
import re
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from psycopg.conninfo import make_conninfo

from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.web.api.route import Route
from tests.fixtures_postgres import URL
from tests.integration.api_serving import Api, insert, serving_api
from tests.integration.identity_people import PAGE, As, Someone, acting, add_partner, add_person, execute

OURS, THEIRS = 7, 8
PUBLIC = frozenset({"platform", "handle", "profile_id", "category", "language", "country", "file"})
"""Parts of paths that name what everybody may see, and fields of queries and bodies."""
AN_ID = re.compile(r"\w+_ids?|ids?|deliveries")
TENANTS = ("PERSON", "VIEWER", "EDITOR", "OWNER")
KINDS = ("user", "account", "invitation", "key", "webhook", "delivery", "connection", "job", "page")


@dataclass(frozen=True)
class Case:
    """`id` is that of the path, `{kind}` in the body the twin's. `answer` None: as if it were not there (404)."""

    id: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    own: bool = False  # the path's id is ours, what is foreign is in the body
    answer: Mapping[str, Any] | None = None


CASES: dict[str, list[Case]] = {
    "endSession": [Case("session")],
    "invite": [Case(body={"email": "x@y.example", "role": "VIEWER", "account_id": "{account}"})],
    "deleteInvitation": [Case("invitation")],
    "changeUser": [Case("user", {"name": "x"})],
    "makeResetLink": [Case("user")],
    "deleteUser": [Case("user")],
    "renameAccount": [Case("account", {"name": "x"})],
    "rotateApiKey": [Case("key")],
    "revokeApiKey": [Case("key")],
    "startConnecting": [Case(body={"account_id": "{account}", "return_to": PAGE})],
    "endConnection": [Case("connection")],
    "getWebhook": [Case("webhook")],
    "changeWebhook": [Case("webhook", {"disabled": True})],
    "rotateWebhook": [Case("webhook")],
    "testWebhook": [Case("webhook")],
    "listDeliveries": [Case("webhook")],
    "replayDeliveries": [
        Case("webhook", {"since": "2026-01-01T00:00:00Z"}),
        Case("webhook", {"deliveries": ["{delivery}"]}, own=True, answer={"replayed": 0, "until": None}),
    ],
    "deleteWebhook": [Case("webhook")],
    "getJob": [Case("job")],
    "cancelJob": [Case("job")],
    "downloadJob": [Case("job")],
    "reportJob": [Case("job")],
}


def named(kind: str, partner_id: int, nth: int = 0) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{kind} {partner_id} {nth}")


async def add_things(pool: Pool, partner_id: int) -> Someone:
    """Two of each kind for a partner, and its owner."""
    await add_partner(pool, partner_id, "PAID")
    owner = await add_person(pool, f"me@p{partner_id}.example", partner_id=partner_id)
    account = owner.account_id
    for nth in range(2):
        ids = {kind: named(kind, partner_id, nth) for kind in KINDS}
        email, digest, of = f"u{nth}@p{partner_id}.example", ids["key"].bytes, {"account_id": account}
        rows: dict[str, tuple[str, dict[str, Any]]] = {
            "account": ("account", {"name": email}),
            "user": ("app_user", {**of, "email": email, "name": email, "role": "EDITOR", "password_hash": ""}),
            "invitation": ("invitation", {**of, "email": f"i{email}", "role": "VIEWER", "hash": digest,
                                          "expires_at": "2199-01-01"}),
            "key": ("api_key", {"prefix": f"{partner_id}{nth}", "hash": digest, "name": email, "role": "VIEWER"}),
            "webhook": ("webhook_endpoint", {"url": f"https://p{partner_id}.example/", "events": ["webhook.test"]}),
            "delivery": ("webhook_delivery", {"endpoint_id": named("webhook", partner_id), "event_id": ids["delivery"],
                                              "event_type": "webhook.test", "body": b"{}"}),
            "connection": ("connection", {**of, "platform": "INSTAGRAM", "profile_id": email, "handle": email,
                                          "source": "graphapi", "scopes": []}),
            "job": ("api_job", {**of, "role": "OWNER", "plan": "PAID", "kind": "x", "params": "{}"}),
            "page": ("partner_profile_page_track", {"platform": "INSTAGRAM", "profile_id": email, "day": "2026-10-15"}),
        }  # fmt: skip
        for kind, (table, row) in rows.items():
            await insert(pool, table, [{"partner_id": partner_id, "id": ids[kind]} | row])
    return owner


def takes_ids(route: Route) -> bool:
    fields = [*(route.query.model_fields if route.query else ()), *(route.body.model_fields if route.body else ())]
    parts = set(re.findall(r"{(\w+)}", route.path)) - PUBLIC
    return bool(parts) or any(AN_ID.fullmatch(name) for name in fields if name not in PUBLIC)


def of_tenants(api: Api) -> Iterator[Route]:
    return (route for route in api.app.routed.values() if route.who in TENANTS)


@dataclass
class Twins:
    api: Api
    pool: Pool
    ours: As
    theirs: As
    sessions: dict[int, uuid.UUID]

    def id(self, kind: str, partner_id: int) -> uuid.UUID:
        return self.sessions[partner_id] if kind == "session" else named(kind, partner_id)

    def path(self, route: Route, id: object) -> str:
        return route.path.replace("{id}", str(id)).replace("{platform}", "instagram")

    async def ask(self, name: str, case: Case, partner_id: int | None) -> httpx.Response:
        """As ours, with ids of that partner, or of nobody's."""
        route = self.api.app.routed[name]

        def id(kind: str) -> uuid.UUID:
            return uuid.uuid4() if partner_id is None else self.id(kind, partner_id)

        def filled(value: Any) -> Any:
            if isinstance(value, list):
                return [filled(each) for each in value]
            return str(id(value[1:-1])) if str(value).startswith("{") else value

        path = self.path(route, self.id(case.id, OURS) if case.own else id(case.id))
        body = {key: filled(value) for key, value in case.body.items()}
        return await self.api.call(route.method, path, headers=self.ours.headers, **({"json": body} if body else {}))

    async def leaks(self, *, watched: bool = True) -> dict[str, Any]:
        """What was answered or written otherwise than for what is not there. `watched`: also what it changed."""
        found: dict[str, Any] = {}
        for name, cases in CASES.items():
            for nth, case in enumerate(cases):
                before = await self.state() if watched else None
                told = [_told(await self.ask(name, case, whose)) for whose in (None, THEIRS)]
                expected = (404, "NOT_FOUND") if case.answer is None else (200, case.answer)
                if told[0] != told[1] or told[1][:2] != expected:
                    found[f"{name} {nth}"] = told
                elif watched and await self.state() != before:
                    found[f"{name} {nth}"] = "something of theirs was changed, or told"
        return found

    async def state(self) -> list[Any]:
        """All rows of theirs, and what events tell of them."""
        query = """
            select relname::text from pg_class join pg_attribute on attrelid = pg_class.oid and attname = 'partner_id'
            where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1
        """
        rows = [
            await execute(self.pool, f"select t::text from {table} t where partner_id = {THEIRS} order by 1")  # noqa: S608
            for (table,) in await execute(self.pool, query)
        ]
        ids = "|".join(str(self.id(kind, THEIRS)) for kind in (*KINDS, "session"))
        told = "select count(*) from outbox where convert_from(body, 'UTF8') ~ %s or convert_from(body, 'UTF8') like %s"
        return [rows, await execute(self.pool, told, ids, f'%"partner_id":{THEIRS}%')]


def _told(response: httpx.Response) -> tuple[int, Any, Any]:
    content = response.json()
    if response.is_success:
        return response.status_code, content["data"], None
    return response.status_code, content["error"]["code"], content["error"]["detail"]


@pytest.fixture
def requests() -> str | None:
    """conninfo of the gateway's pool; None: of the role that row-level security holds."""
    return None


@pytest.fixture
async def twins(pool: Pool, clickhouse: ClickHouse, requests: str | None) -> Any:
    people = [await add_things(pool, partner_id) for partner_id in (OURS, THEIRS)]
    async with serving_api(pool, clickhouse, cors_origins=(PAGE,), requests=requests) as api:
        del api.client.headers["authorization"]
        ours, theirs = [await acting(api, each) for each in people]
        sessions = dict(await execute(pool, "select partner_id, id from api_session"))
        yield Twins(api, pool, ours, theirs, sessions)


async def test_each_route_that_takes_an_id_has_a_case(twins: Twins) -> None:
    assert {route.name for route in of_tenants(twins.api) if takes_ids(route)} == set(CASES)


async def test_behind_both_walls_nothing_of_a_twin_is_there(twins: Twins) -> None:
    assert await twins.leaks() == {}


async def test_no_list_shows_what_is_a_twin_s(twins: Twins) -> None:
    """Nor does its cursor lead there: it is of who asked."""
    lists = [route for route in of_tenants(twins.api) if route.method == "GET" and not set(_parts(route)) & PUBLIC]
    paged = 0
    for route in lists:
        if "id" in _parts(route) and route.name != "listDeliveries":
            continue
        paths = {each: twins.path(route, twins.id("webhook", each)) for each in (OURS, THEIRS)}
        response = await twins.api.get(paths[OURS], headers=twins.ours.headers)
        assert response.status_code == 200, route.name
        assert "p8.example" not in response.text and f'"id":{THEIRS},' not in response.text, route.name
        assert not any(str(named(kind, THEIRS, nth)) in response.text for kind in KINDS for nth in range(2)), route.name
        assert "etag" not in response.headers and response.headers["cache-control"] == "no-store", route.name
        if route.query is None or "cursor" not in route.query.model_fields:
            continue
        paged += 1
        page = await twins.api.get(f"{paths[THEIRS]}?limit=1", headers=twins.theirs.headers)
        cursor = page.json()["meta"]["cursor"]
        assert cursor is not None, route.name
        response = await twins.api.get(f"{paths[OURS]}?limit=1&cursor={cursor}", headers=twins.ours.headers)
        assert (response.status_code, response.json()["error"]["code"]) == (422, "INVALID_CURSOR"), route.name
    assert paged >= 7 and len(lists) > paged


async def test_memory_answers_each_of_itself(twins: Twins) -> None:
    for _ in range(3):
        for who, partner_id in ((twins.ours, OURS), (twins.theirs, THEIRS)):
            assert (await who.data("GET", "/auth/me"))["partner"]["id"] == partner_id


# -- each wall alone

FILTER = re.compile(r"(?:\b\w+\.)?\bpartner_id = %\(partner_id\)s")


def without_filters(monkeypatch: pytest.MonkeyPatch) -> int:
    """Strip the partner from the statements as they were loaded; how many had it."""
    stripped = 0
    for module in [each for name, each in sys.modules.items() if name.startswith("gcc.")]:
        for name, value in list(vars(module).items()):
            if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value.values()):
                continue
            if with_it := sum(bool(FILTER.search(each)) for each in value.values()):
                stripped += with_it
                changed = {key: FILTER.sub("%(partner_id)s::bigint is not null", each) for key, each in value.items()}
                monkeypatch.setattr(module, name, changed)
    return stripped


async def test_without_filters_policies_hide_it(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    assert without_filters(monkeypatch) > 60
    assert await twins.leaks() == {}
    for path in ("users", "accounts", "invitations", "api-keys", "webhooks", "connections", "auth/sessions"):
        assert "p8.example" not in str(await twins.ours.data("GET", f"/{path}"))


seeing_all = pytest.mark.skipif(URL in os.environ, reason="the tests' server has a superuser, another one may not")


@seeing_all
class TestOfTheSuperuser:
    """Whom no policy holds."""

    @pytest.fixture
    def requests(self, database: str) -> str:
        return make_conninfo(database, user="postgres")

    async def test_without_policies_filters_hide_it(self, twins: Twins) -> None:
        assert await twins.leaks() == {}

    async def test_without_either_it_is_there(self, twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
        """So these tests can fail."""
        without_filters(monkeypatch)
        assert len(await twins.leaks(watched=False)) > len(CASES) / 2


def _parts(route: Route) -> list[str]:
    return re.findall(r"{(\w+)}", route.path)

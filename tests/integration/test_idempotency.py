"""Calls with an Idempotency-Key, sent again: one effect, one answer, whoever was cut off where."""

import itertools
import os
import re
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import httpx
import pytest
import trio
from quart import Request

from gcc.config import load
from gcc.stores import postgres
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Connection, Pool
from gcc.stores.postgres_identity_people import PostgresPeople
from gcc.stores.tenant import Tenant
from gcc.web.api.envelope import Answer
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.route import Route
from gcc.web.gateway.document import document
from tests.integration.api_serving import Api, serving_api
from tests.integration.identity_people import (
    AUTH,
    IDENTITY,
    PAGE,
    As,
    Someone,
    acting,
    add_partner,
    add_person,
    code,
    execute,
)

KEYS = f"{IDENTITY}/api-keys"
ACCOUNTS = f"{IDENTITY}/accounts"
CALLERS = 50
PATIENCE_S = 60.0


async def send(who: As, path: str, key: str, method: str = "POST", **body: Any) -> httpx.Response:
    headers = who.headers | {"idempotency-key": key}
    return await who.api.call(method, path, headers=headers, **({"json": body} if body else {}))


async def names(pool: Pool, table: str = "account") -> list[str]:
    return [name for (name,) in await execute(pool, f"select name from {table} order by created_at")]  # noqa: S608


async def test_a_call_that_is_sent_again_is_answered_as_it_was(owner: As, pool: Pool) -> None:
    first = await send(owner, ACCOUNTS, "k-1", name="Second")
    again = await send(owner, ACCOUNTS, "k-1", name="Second")
    assert (first.status_code, "idempotency-replayed" in first.headers) == (201, False)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["content-type"] == "application/json"
    assert again.headers["x-bb-requestid"] != first.headers["x-bb-requestid"]
    assert await names(pool) == ["Operators", "Main", "Second"]
    assert (await send(owner, ACCOUNTS, "k-2", name="Third")).headers["location"] != first.headers["location"]


async def test_what_was_answered_of_who_is_erased_is_not_answered_again(owner: As, pool: Pool) -> None:
    await send(owner, ACCOUNTS, "k-1", name="Second")
    await execute(pool, "update idempotency_key set body = '', location = null")
    assert code(await send(owner, ACCOUNTS, "k-1", name="Second")) == (410, "GONE")
    assert code(await send(owner, ACCOUNTS, "k-1", name="Other")) == (422, "IDEMPOTENCY_MISMATCH")
    assert await names(pool) == ["Operators", "Main", "Second"], "and nothing is done twice"


async def test_bare_and_quoted_it_is_one_key(owner: As) -> None:
    first = await send(owner, ACCOUNTS, "a-b", name="Second")
    assert (await send(owner, ACCOUNTS, '"a-b"', name="Second")).content == first.content
    third = await send(owner, ACCOUNTS, r'"a\\\"b"', name="Third")
    assert (await send(owner, ACCOUNTS, r'"a\\\"b"', name="Third")).content == third.content


@pytest.mark.parametrize("key", ["", '""', "a b", "a" * 256, '"a', 'a"', 'a"b', '"a b"', r'"a\b"', "é", '"a";p=1'])
async def test_what_is_no_key_is_refused(owner: As, pool: Pool, key: str) -> None:
    headers = [*owner.headers.items(), ("content-type", "application/json"), ("idempotency-key", key.encode("latin-1"))]
    response = await owner.api.client.post(ACCOUNTS, headers=headers, json={"name": "Second"})
    assert code(response) == (422, "INVALID_PARAMETER")
    assert response.json()["error"]["errors"][0]["path"] == "Idempotency-Key"
    assert await names(pool) == ["Operators", "Main"]


async def test_two_keys_are_none(owner: As) -> None:
    headers = [*owner.headers.items(), ("idempotency-key", "a"), ("idempotency-key", "a")]
    assert code(await owner.api.call("POST", ACCOUNTS, headers=headers, json={"name": "x"})) == (
        422,
        "INVALID_PARAMETER",
    )


async def test_the_longest_key_is_one(owner: As) -> None:
    for name, key in (("bare", "~" * 255), ("quoted", '"' + "!" * 255 + '"')):
        assert (await send(owner, ACCOUNTS, key, name=name)).status_code == 201


async def test_a_key_belongs_to_one_call(owner: As, pool: Pool) -> None:
    """With another body or target it would be answered what it did not ask. At another route it is another key."""
    made = (await send(owner, KEYS, "k", name="CI")).json()["data"]
    other = (await send(owner, KEYS, "k2", name="CI")).json()["data"]
    assert code(await send(owner, KEYS, "k", name="CI ")) == (422, "IDEMPOTENCY_MISMATCH")
    assert (await send(owner, f"{KEYS}/{made['id']}/rotate", "k")).status_code == 201
    assert code(await send(owner, f"{KEYS}/{other['id']}/rotate", "k")) == (422, "IDEMPOTENCY_MISMATCH")
    assert (await send(owner, ACCOUNTS, "k", name="CI")).status_code == 201
    assert await names(pool, "api_key") == ["CI", "CI", "CI"]


async def test_the_same_key_of_others_is_another(api: Api, owner: As, pool: Pool) -> None:
    """Of another user, of another partner."""
    await add_partner(pool, 8)
    others = [
        await acting(api, await add_person(pool, "ravi@brand.example", partner_id=7)),
        await acting(api, await add_person(pool, "mina@other.example", partner_id=8)),
    ]
    ids = set()
    for who in (owner, *others):
        response = await send(who, KEYS, "k", name="CI")
        assert (response.status_code, "idempotency-replayed" in response.headers) == (201, False)
        ids.add(response.json()["data"]["id"])
    assert len(ids) == 3


async def test_so_is_that_of_an_api_key(api: Api, owner: As) -> None:
    made = [await owner.data("POST", "/api-keys", name="CI", role="EDITOR") for _ in range(2)]
    for each in made:
        program = As(api, each["key"])
        path = f"{AUTH}/logout"  # what a key may write today; it ends nothing, as keys have no sessions
        answers = [await send(program, path, "k") for _ in range(2)]
        assert ["idempotency-replayed" in each.headers for each in answers] == [False, True]
        assert answers[0].content == answers[1].content


async def test_what_was_refused_may_run_again(owner: As, pool: Pool) -> None:
    await send(owner, ACCOUNTS, "k-1", name="Second")
    assert code(await send(owner, ACCOUNTS, "k-2", name="second")) == (409, "CONFLICT")
    await execute(pool, "delete from account where name = 'Second'")
    response = await send(owner, ACCOUNTS, "k-2", name="second")
    assert (response.status_code, "idempotency-replayed" in response.headers) == (201, False)


async def test_a_login_takes_none(api: Api, asha: Someone, pool: Pool) -> None:
    body = {"email": asha.email, "password": asha.password}
    tokens = set()
    for _ in range(2):
        response = await api.call("POST", f"{AUTH}/login", headers={"idempotency-key": "k"}, json=body)
        tokens.add(response.json()["data"]["refresh_token"])
    assert len(tokens) == 2
    assert await execute(pool, "select from idempotency_key") == []


async def test_what_may_be_repeated_as_it_is_takes_none(owner: As, pool: Pool) -> None:
    made = (await send(owner, ACCOUNTS, "k", name="Second")).json()["data"]
    for name in ("Third", "Fourth"):
        response = await send(owner, f"{ACCOUNTS}/{made['id']}", "not a key", "PATCH", name=name)
        assert response.json()["data"]["name"] == name


async def test_after_a_day_it_is_forgotten(owner: As, pool: Pool) -> None:
    first = await send(owner, KEYS, "k", name="CI")
    await execute(pool, "update idempotency_key set expires_at = expires_at - interval '23:59:00'")
    assert "idempotency-replayed" in (await send(owner, KEYS, "k", name="CI")).headers
    await execute(pool, "update idempotency_key set expires_at = expires_at - interval '1 minute'")
    second = await send(owner, KEYS, "k", name="other")
    assert (second.status_code, "idempotency-replayed" in second.headers) == (201, False)
    again = await send(owner, KEYS, "k", name="other")
    assert again.json()["data"]["id"] == second.json()["data"]["id"] != first.json()["data"]["id"]


# Secrets that are shown once.


def secrets_of(data: Any) -> set[str]:
    return {name for name in data.model_fields if re.search("key$|link|secret|token|password|_url$", name)}


async def test_each_route_declares_what_it_shows_once(api: Api) -> None:
    """All that looks like a secret in an answer that may be kept. What only looks like one would be excepted here."""
    keyed = [route for route in api.app.routed.values() if route.takes_key]
    found = {route.name: secrets_of(route.data) for route in keyed if secrets_of(route.data)}
    assert found == {route.name: set(route.shown_once) for route in keyed if route.shown_once}
    assert len(found) >= 7


async def shown_once(owner: As, operator: As) -> list[tuple[As, str, dict[str, Any]]]:
    """A call of each route that shows something once, but of the one that needs creators: test_connecting.py."""
    key, webhook, user = (
        (await owner.data("POST", "/api-keys", name="first"))["id"],
        (await owner.data("POST", "/webhooks", url="https://hooks.brand.example/", events=["webhook.test"]))["id"],
        (await owner.data("GET", "/users"))[0]["id"],
    )
    return [
        (owner, "/api-keys", {"name": "CI"}),
        (owner, f"/api-keys/{key}/rotate", {}),
        (owner, "/invitations", {"email": "ravi@brand.example", "role": "VIEWER"}),
        (owner, f"/users/{user}/reset-link", {}),
        (owner, "/webhooks", {"url": "https://hooks.brand.example/2", "events": ["webhook.test"]}),
        (owner, f"/webhooks/{webhook}/rotate", {}),
        (operator, "/partners", {"name": "Brand", "owner_email": "mina@other.example"}),
    ]


async def test_what_is_shown_once_is_null_when_it_is_answered_again(api: Api, owner: As, pool: Pool) -> None:
    operator = await acting(api, await add_person(pool, "ops@gcc.example", role="OPERATOR"))
    calls = await shown_once(owner, operator)
    declared = {name for name, route in api.app.routed.items() if route.shown_once}
    assert len(calls) == len(declared - {"startConnecting"})
    for who, path, body in calls:
        first, again = [await send(who, IDENTITY + path, "k", **body) for _ in range(2)]
        assert again.status_code == first.status_code and "idempotency-replayed" in again.headers, path
        shown, told = first.json(), again.json()
        ((secret, name),) = [
            (value, name) for name, value in shown["data"].items() if name in secrets_of_row(shown["data"])
        ]
        assert len(secret) > 20 and told["data"].pop(name) is None
        del shown["data"][name]
        assert told == shown
        kept = await execute(pool, "select convert_from(body, 'UTF8') || coalesce(location, '') from idempotency_key")
        assert secret.rpartition("#")[2] not in str(kept)


def secrets_of_row(row: dict[str, Any]) -> set[str]:
    return row.keys() & {"key", "link", "secret"}


# Routes of the test.


def add_route(api: Api, handler: Callable[..., Awaitable[Answer]], **declared: Any) -> None:
    options: dict[str, Any] = {"data": dict[str, str], "who": "EDITOR", "rate": "write", **declared}
    api.app.add(Route("POST", "/test", "test", "Of a test", handler, **options))


async def test_where_a_key_is_required_a_call_without_is_refused(api: Api, owner: As) -> None:
    async def handler(tenant: Tenant, request: Request) -> Answer:
        return Answer({"state": "done"}, "process")

    add_route(api, handler, key_required=True)
    assert code(await owner.api.call("POST", "/test", headers=owner.headers)) == (400, "IDEMPOTENCY_REQUIRED")
    assert (await send(owner, "/test", "k")).status_code == 200


@pytest.mark.parametrize(
    ("answer", "declared", "told"),
    [
        ({"location": "/things/1"}, {"creates": True}, (201, "/things/1")),
        ({"job": uuid.UUID(int=1)}, {"begins": True}, (202, f"/jobs/{uuid.UUID(int=1)}")),
        ({}, {}, (200, None)),
    ],
    ids=["made", "begun", "done"],
)
async def test_status_and_place_are_answered_again(
    api: Api, owner: As, answer: dict[str, Any], declared: dict[str, Any], told: tuple[int, str | None]
) -> None:
    async def handler(tenant: Tenant, request: Request) -> Answer:
        return Answer({"state": "done"}, "process", **answer)

    add_route(api, handler, **declared)
    for _ in range(2):
        response = await send(owner, "/test", "k")
        assert (response.status_code, response.headers.get("location")) == told
    assert "idempotency-replayed" in response.headers


async def test_a_missing_key_is_told_after_the_role_and_before_the_shape(api: Api, owner: As, pool: Pool) -> None:
    viewer = await acting(api, await add_person(pool, "ravi@brand.example", partner_id=7, role="VIEWER"))
    path = "/leaderboard-service/api/leaderboard/platform/INSTAGRAM/export"
    for who, headers, told in (
        (viewer, {}, (403, "FORBIDDEN")),
        (owner, {}, (400, "IDEMPOTENCY_REQUIRED")),
        (owner, {"idempotency-key": "a b"}, (422, "INVALID_PARAMETER")),
        (owner, {"idempotency-key": "a"}, (422, "INVALID_BODY")),
    ):
        assert code(await api.call("POST", path, headers=who.headers | headers, json={"nothing": 1})) == told


def test_the_document_tells_of_keys_where_they_are_taken() -> None:
    told = document(load(None, environ={}))
    keyed = {}
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            named = {each["name"]: each for each in operation["parameters"]}
            answers = operation["responses"]
            refusals = str([answers[status]["$ref"] for status in answers if status > "400"])
            successes = [answers[status] for status in answers if status < "300"]
            taken = {
                "Idempotency-Key" in named,
                any("Idempotency-Replayed" in each["headers"] for each in successes),
                "IDEMPOTENCY_IN_PROGRESS" in refusals,
                "IDEMPOTENCY_MISMATCH" in refusals,
            }
            assert len(taken) == 1, path
            if taken == {True}:
                keyed[method, path.rpartition("/")[2]] = named["Idempotency-Key"].get("required", False)
    assert {method for method, _ in keyed} == {"post"} and len(keyed) >= 12
    assert ("post", "login") not in keyed and not keyed["post", "api-keys"] and keyed["post", "export"]


async def test_while_it_runs_nobody_else_does_and_rolled_back_it_runs_again(api: Api, owner: As, pool: Pool) -> None:
    """Case 7: of two gateways' callers, too, as the database tells."""
    people, runs = PostgresPeople(api.app.pool, api.app.clock), 0
    began, go_on, ends = trio.Event(), trio.Event(), iter([ApiError(Code.CONFLICT, "not so"), None])

    async def handler(tenant: Tenant, request: Request) -> Answer:
        nonlocal runs
        runs += 1
        await people.add_account(tenant, "Second")
        began.set()
        await go_on.wait()
        if refusal := next(ends):
            raise refusal
        return Answer({"state": "done"}, "process", location="/there")

    add_route(api, handler, errors=(Code.CONFLICT,), creates=True)
    answers = []

    async def first() -> None:
        answers.append(await send(owner, "/test", "k"))

    for _ in range(2):
        began, go_on = trio.Event(), trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            with trio.fail_after(PATIENCE_S):
                await began.wait()
            meanwhile = await send(owner, "/test", "k")
            assert (code(meanwhile), meanwhile.headers["retry-after"]) == ((409, "IDEMPOTENCY_IN_PROGRESS"), "1")
            assert (await send(owner, ACCOUNTS, "k", name="Third")).status_code == 201  # at another route
            go_on.set()
    assert (runs, [each.status_code for each in answers]) == (2, [409, 201])
    again = await send(owner, "/test", "k")
    assert (again.content, again.headers["location"], runs) == (answers[1].content, "/there", 2)
    assert (await names(pool)).count("Second") == 1


async def test_an_answer_that_cannot_be_kept_undoes_what_it_tells_of(api: Api, owner: As, pool: Pool) -> None:
    people = PostgresPeople(api.app.pool, api.app.clock)

    async def handler(tenant: Tenant, request: Request) -> Answer:
        await people.add_account(tenant, "Second")
        return Answer({"state": "x" * (1 << 20)}, "process")

    add_route(api, handler)
    assert code(await send(owner, "/test", "k")) == (500, "INTERNAL")
    assert "Second" not in await names(pool)


# Many at once, and cut off anywhere.


@pytest.fixture
async def gateways(database: str, pool: Pool, clickhouse: ClickHouse, owner: As, api: Api) -> AsyncIterator[list[As]]:
    """The owner at two gateways."""
    async with aclosing(Pool(database, 4, name="second")) as second:
        async with serving_api(second, clickhouse, cors_origins=(PAGE,)) as other:
            yield [owner, As(other, owner.headers["authorization"].partition(" ")[2])]


async def effects(pool: Pool) -> list[int]:
    """How many keys were made, answers kept, activities noted and events told."""
    ((*counts,),) = await execute(
        pool,
        "select (select count(*) from api_key), (select count(*) from idempotency_key),"
        " (select count(*) from activity_tracker), (select count(*) from outbox)",
    )
    return counts


ONE = [1, 1, 1, 1]


async def test_of_many_at_once_at_two_gateways_one_makes_it(gateways: list[As], pool: Pool) -> None:
    answers: list[httpx.Response] = []

    async def ask(who: As) -> None:
        answers.append(await send(who, KEYS, "k", name="CI"))

    async with trio.open_nursery() as nursery:
        for _, who in zip(range(CALLERS), itertools.cycle(gateways), strict=False):
            nursery.start_soon(ask, who)
    made = [each for each in answers if each.status_code == 201]
    assert len(answers) == CALLERS and len({each.json()["data"]["id"] for each in made}) == 1
    assert len([each for each in made if "idempotency-replayed" not in each.headers]) == 1
    assert len({each.content for each in made if "idempotency-replayed" in each.headers}) <= 1
    for each in answers:
        assert each.status_code == 201 or code(each) == (409, "IDEMPOTENCY_IN_PROGRESS")
    assert await effects(pool) == ONE


class Strike:
    """Does `what` (with the number of its socket) at the `at`-th moment of a connection: when the server has been told
    something and is waited for, and when it has answered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, what: Callable[[int], Awaitable[object]], at: int) -> None:
        self._what, self._at = what, at
        self._seen, self._striking = 0, False
        ready, wait = postgres._ready, Connection.wait

        async def told(fd: int, wanted: Any) -> Any:
            await self._moment(fd)
            return await ready(fd, wanted)

        async def answered(connection: Connection, gen: Any, *arguments: Any, **more: Any) -> Any:
            result = await wait(connection, gen, *arguments, **more)
            await self._moment(connection.pgconn.socket)
            return result

        monkeypatch.setattr(postgres, "_ready", told)
        monkeypatch.setattr(Connection, "wait", answered)

    @property
    def came(self) -> bool:
        return self._seen >= self._at

    async def _moment(self, number: int) -> None:
        if self._striking:
            return
        self._seen += 1
        if self._seen == self._at:
            self._striking = True
            await self._what(number)


TERMINATE = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'gcc web test'"


async def die(number: int) -> None:
    """What the server sees of a process that is killed."""
    with socket.socket(fileno=os.dup(number)) as connection:
        connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("how", ["the caller hangs up", "the connection is killed", "the gateway dies"])
async def test_cut_off_at_any_moment_it_is_done_once(
    how: str, owner: As, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aclosing(Pool(database, 2, name="other")) as other:

        async def kill(number: int) -> None:
            await execute(other, TERMINATE)

        for at in itertools.count(1):
            name = f"CI-{at}"
            with trio.CancelScope() as call, monkeypatch.context() as patch:

                async def hang_up(number: int, call: trio.CancelScope = call) -> None:
                    call.cancel()
                    await trio.sleep_forever()

                strikes = {"the caller hangs up": hang_up, "the connection is killed": kill, "the gateway dies": die}
                strike = Strike(patch, strikes[how], at)
                response = await send(owner, KEYS, name, name=name)
                assert response.status_code == 201 or code(response) == (503, "STORE_UNAVAILABLE")
            if not strike.came:
                break
            with trio.fail_after(PATIENCE_S):
                while (again := await send(owner, KEYS, name, name=name)).status_code == 409:
                    pass  # the server has not noticed yet
            assert again.status_code == 201
            assert await effects(other) == ONE, at
            for table in ("api_key", "idempotency_key", "activity_tracker", "outbox"):
                await execute(other, f"delete from {table}")  # noqa: S608
    assert at > 20

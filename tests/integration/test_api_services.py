"""Services with tokens of the settings: what they may ask, that nobody else may, and that they may nothing else."""

import datetime as dt
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest

from gcc.config.sections import Service
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from tests.integration.api_serving import TOKEN, Api, serving_api
from tests.integration.identity_people import (
    IDENTITY,
    Someone,
    acting,
    add_contract,
    add_partner,
    add_person,
    bearer,
    code,
    execute,
    log_in,
)

COFFEE, BEAT = "c" * 32, "b" * 31 + "="
PLACES = pytest.mark.parametrize("place", [IDENTITY, ""])


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    services = {"coffee": Service(token=COFFEE), "beat": Service(token=BEAT), "none": Service()}
    async with serving_api(pool, clickhouse, services=services) as api:
        yield api


async def verify(api: Api, place: str, token: str, **more: Any) -> httpx.Response:
    body = {"token": token, **more}
    return await api.call("POST", f"{place}/auth/verify/token", json=body, headers=bearer(COFFEE))


@PLACES
async def test_a_service_learns_whom_a_token_is_of(api: Api, asha: Someone, place: str) -> None:
    token = (await log_in(api, asha))["access_token"]
    found = (await verify(api, place, token)).json()["data"]
    assert found["session_id"] is not None
    assert found == {
        "partner_id": 7,
        "plan": "SAAS",
        "role": "OWNER",
        "account_id": str(asha.account_id),
        "user_id": str(asha.user_id),
        "session_id": found["session_id"],
        "key_id": None,
        "expires_at": found["expires_at"],
    }
    claims = jwt.decode(token, options={"verify_signature": False})
    assert dt.datetime.fromisoformat(found["expires_at"]).timestamp() == claims["exp"]
    await api.call("POST", f"{IDENTITY}/auth/logout", headers=bearer(token))
    assert code(await verify(api, place, token)) == (422, "TOKEN_INVALID")


async def test_a_key_is_good_where_its_owner_says(api: Api, asha: Someone) -> None:
    owner = await acting(api, asha)
    key = (await owner.data("POST", "/api-keys", name="x", role="EDITOR", cidrs=["192.0.2.0/24"]))["key"]
    found = (await verify(api, "", key, ip="192.0.2.7")).json()["data"]
    assert (found["role"], found["user_id"], found["key_id"] is None) == ("EDITOR", None, False)
    assert found["expires_at"] is None
    for elsewhere in ({}, {"ip": "198.51.100.1"}, {"ip": "192.0.2"}):
        assert code(await verify(api, "", key, **elsewhere)) == (422, "TOKEN_INVALID")


@pytest.mark.parametrize("token", ["", "x", COFFEE, BEAT, TOKEN, "a.b.c", "gcc_live_x", "\u0142", "a b"])
async def test_what_is_no_persons_token_is_nobodys(api: Api, token: str) -> None:
    assert code(await verify(api, "", token)) == (422, "TOKEN_INVALID")


@PLACES
async def test_a_service_learns_what_a_partner_has_signed(api: Api, asha: Someone, pool: Pool, place: str) -> None:
    await add_contract(pool, 7, "PRO")

    async def partner(number: object) -> httpx.Response:
        return await api.get(f"{place}/partner/{number}", headers=bearer(BEAT))

    found = (await partner(7)).json()["data"]
    assert (found["id"], found["name"], found["plan"], found["suspended"]) == (7, "Partner 7", "PAID", False)
    assert sorted(each["plan"] for each in found["contracts"]) == ["PAID", "SAAS"]
    await add_partner(pool, 8, None)
    await execute(pool, "update partner set disabled_at = now() where id = 8")
    found = (await partner(8)).json()["data"]
    assert (found["plan"], found["plan_until"], found["suspended"], found["contracts"]) == ("FREE", None, True, [])
    for absent in (9, "x", "007a"):
        assert code(await partner(absent)) == (404, "NOT_FOUND")


async def test_a_service_may_ask_nothing_else_and_nobody_else_asks_that(api: Api, asha: Someone, pool: Pool) -> None:
    mine = [route for route in api.app.routed.values() if route.who == "SERVICE"]
    assert len(mine) == 5
    people = [await log_in(api, asha), await log_in(api, await add_person(pool, "x@y.example", role="OPERATOR"))]
    for route in api.app.routed.values():
        path = re.sub(r"{(partner_)?id}", "7", route.path.replace("{platform}", "INSTAGRAM"))
        if route.who not in ("OPEN", "SERVICE") and not route.local:
            response = await api.client.request(route.method, path, headers=bearer(COFFEE), content=b"{}")
            assert code(response) == (403, "FORBIDDEN"), route.name
        elif route.who == "SERVICE":
            for person in people:
                response = await api.client.request(route.method, path, headers=bearer(person["access_token"]))
                assert code(response) == (403, "FORBIDDEN"), route.name


@pytest.mark.parametrize("token", [COFFEE[:-1], COFFEE + "c", BEAT[:-1] + "-", COFFEE.upper()])
async def test_a_token_that_is_nearly_one_opens_nothing(api: Api, token: str) -> None:
    response = await api.get("/partner/1", headers=bearer(token))
    assert code(response) == (401, "UNAUTHORIZED")


async def test_each_service_has_calls_of_its_own(pool: Pool, clickhouse: ClickHouse) -> None:
    services = {"coffee": Service(token=COFFEE), "beat": Service(token=BEAT)}
    async with serving_api(pool, clickhouse, services=services, rates={}) as api:
        response = await api.get("/partner/1", headers=bearer(COFFEE))
        assert response.headers["ratelimit-policy"] == '"staff";q=600;w=60'
        assert response.headers["ratelimit"].startswith('"staff";r=599;')
        assert (await api.get("/partner/1", headers=bearer(BEAT))).headers["ratelimit"].startswith('"staff";r=599;')
        assert (await api.get("/partner/1", headers=bearer(COFFEE))).headers["ratelimit"].startswith('"staff";r=598;')

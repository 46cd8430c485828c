"""A gateway behind a balancer: whoever asks through it is told apart, wherever an address counts."""

from collections.abc import AsyncIterator

import pytest

from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from tests.integration.api_serving import MANY, Api, serving_api
from tests.integration.identity_people import AUTH, PASSWORD, As, Someone, acting, code, execute, log_in

HERE, THERE = {"x-forwarded-for": "1.1.1.1, 203.0.113.9"}, {"x-forwarded-for": "203.0.113.9, 2001:db8::8"}


@pytest.fixture
async def balanced(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    proxies = ("127.0.0.1/32",)
    async with serving_api(pool, clickhouse, rates={**MANY, "open": 2}, trusted_proxies=proxies) as api:
        del api.client.headers["authorization"]
        yield api


async def test_rates_are_of_who_asks_and_not_of_the_balancer(balanced: Api) -> None:
    for caller in (HERE, THERE):
        for _ in range(2):
            assert (await balanced.get("/heartbeat", headers=caller)).status_code == 200
        assert code(await balanced.get("/heartbeat", headers=caller)) == (429, "RATE_LIMITED")
    spoofed = {"x-forwarded-for": "9.9.9.9, 203.0.113.9"}
    assert code(await balanced.get("/heartbeat", headers=spoofed)) == (429, "RATE_LIMITED")
    network = {"x-forwarded-for": "2001:db8::ffff:8"}
    assert code(await balanced.get("/heartbeat", headers=network)) == (429, "RATE_LIMITED")
    assert (await balanced.get("/heartbeat")).status_code == 200, "the balancer itself"


async def test_logins_are_throttled_by_who_asks(balanced: Api, asha: Someone, pool: Pool) -> None:
    for number in range(21):
        body = {"email": f"nobody{number}@brand.example", "password": "a wrong password"}
        response = await balanced.call("POST", f"{AUTH}/login", json=body, headers=HERE)
    assert code(response) == (429, "LOGIN_THROTTLED")
    body = {"email": asha.email, "password": PASSWORD}
    assert (await balanced.call("POST", f"{AUTH}/login", json=body, headers=THERE)).status_code == 200
    assert await execute(pool, "select ip from api_session") == [("2001:db8::8",)]


async def test_a_key_opens_to_the_network_behind_the_balancer(balanced: Api, asha: Someone) -> None:
    owner = As(balanced, (await log_in(balanced, asha))["access_token"])
    key = (await owner.data("POST", "/api-keys", name="CI", cidrs=["203.0.113.0/24"]))["key"]
    headers = {"authorization": f"Bearer {key}"}
    board = "/leaderboard-service/api/leaderboard/platform/INSTAGRAM"
    assert (await balanced.call("POST", board, headers=headers | HERE)).status_code == 200
    for other in ({}, THERE, {"x-forwarded-for": "203.0.113.9, junk"}, {"forwarded": "for=203.0.113.9"}):
        assert code(await balanced.call("POST", board, headers=headers | other)) == (401, "UNAUTHORIZED")


async def test_without_the_setting_nobody_is_believed(api: Api, asha: Someone, pool: Pool) -> None:
    owner = await acting(api, asha)
    key = (await owner.data("POST", "/api-keys", name="CI", cidrs=["203.0.113.0/24"]))["key"]
    for claim in (HERE, {"forwarded": "for=203.0.113.9"}, {"x-real-ip": "203.0.113.9"}):
        headers = {"authorization": f"Bearer {key}", **claim}
        response = await api.call("GET", f"{AUTH}/me", headers=headers)
        assert code(response) == (401, "UNAUTHORIZED")
    assert await execute(pool, "select ip from api_session") == [("127.0.0.1",)]

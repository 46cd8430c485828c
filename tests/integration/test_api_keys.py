"""API keys over HTTP: what one opens, from where, until when."""

import datetime as dt
from collections import Counter

import trio

from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.web.gateway.auth import within
from gcc.web.identity import keys
from tests.integration.api_serving import NOW, Api, serving_api
from tests.integration.identity_people import PASSWORD, As, Someone, code, execute, me

BOARD = "/leaderboard-service/api/leaderboard/platform/INSTAGRAM"


async def opens(api: Api, key: str) -> tuple[int, str | None]:
    response = await api.call("POST", BOARD, headers={"authorization": f"Bearer {key}"})
    return response.status_code, None if response.is_success else response.json()["error"]["code"]


REFUSED = (401, "UNAUTHORIZED")


def test_a_key_tells_whether_it_is_whole() -> None:
    key = keys.made()
    assert key.startswith("gcc_live_") and len(key) == 9 + 8 + 32 + 6 and keys.is_whole(key)
    for place in range(9, len(key)):
        torn = key[:place] + ("a" if key[place] != "a" else "b") + key[place + 1 :]
        assert not keys.is_whole(torn), place
    assert not any(keys.is_whole(each) for each in ("", key[:-1], key + "0", key.lower(), "gcc_live_" + "é" * 46))
    assert keys.known(key).prefix == key[:17]


async def test_a_key_opens_with_its_role_and_is_shown_once(api: Api, owner: As, pool: Pool) -> None:
    made = await owner.data("POST", "/api-keys", name="CI")
    key = made["key"]
    assert (made["role"], made["cidrs"], made["expires_at"]) == ("VIEWER", [], None)
    assert await opens(api, key) == (200, None)
    assert code(await As(api, key).call("GET", "/users")) == (403, "FORBIDDEN")
    (listed,) = await owner.data("GET", "/api-keys")
    assert listed["prefix"] == key[:17] and key not in str(listed)
    stored = await execute(pool, "select k::text from api_key k")
    assert key[17:] not in str(stored)
    told = await execute(pool, "select t::text from activity_tracker t")
    assert key[:17] in str(told) and key not in str(told)


async def test_a_key_ends_when_it_is_revoked_or_its_time_is_over(api: Api, owner: As, pool: Pool) -> None:
    first = await owner.data("POST", "/api-keys", name="CI")
    await owner.data("DELETE", f"/api-keys/{first['id']}")
    assert await opens(api, first["key"]) == REFUSED
    assert code(await owner.call("DELETE", f"/api-keys/{first['id']}")) == (404, "NOT_FOUND")
    soon = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()
    second = await owner.data("POST", "/api-keys", name="CI", expires_at=soon)
    assert await opens(api, second["key"]) == (200, None)
    await execute(pool, "update api_key set expires_at = now()")
    assert await opens(api, second["key"]) == REFUSED
    assert await owner.data("GET", "/api-keys") == []
    for wrong in (keys.made(), second["key"][:-1], second["key"] + "0"):
        assert await opens(api, wrong) == REFUSED


async def test_a_key_that_would_never_open_is_not_made(owner: As) -> None:
    for past in (NOW, NOW - dt.timedelta(days=400)):
        response = await owner.call("POST", "/api-keys", name="CI", expires_at=past.isoformat())
        assert code(response) == (422, "INVALID_BODY")
        assert response.json()["error"]["errors"][0]["path"] == "expires_at"
        assert "it is 2026-10-15T20:00:00Z here" in response.text
    assert await owner.data("GET", "/api-keys") == []


async def test_who_makes_keys_up_is_told_to_wait(pool: Pool, clickhouse: ClickHouse) -> None:
    async with serving_api(pool, clickhouse, rates={}) as api:
        answers = [await opens(api, keys.made()) for _ in range(21)]
        assert answers == [REFUSED] * 20 + [(429, "RATE_LIMITED")]
        response = await api.call("POST", BOARD, headers={"authorization": f"Bearer {keys.made()}"})
        assert 0 < int(response.headers["retry-after"]) <= 60 and '"unknown";r=0' in response.headers["ratelimit"]


async def test_a_rotated_key_opens_for_a_day_beside_the_new_one(api: Api, owner: As, pool: Pool) -> None:
    old = await owner.data("POST", "/api-keys", name="CI", role="EDITOR", cidrs=["127.0.0.0/8"])
    response = await owner.call("POST", f"/api-keys/{old['id']}/rotate")
    new = response.json()["data"]
    assert response.status_code == 201 and new["id"] != old["id"]
    assert (new["name"], new["role"], new["cidrs"]) == ("CI", "EDITOR", ["127.0.0.0/8"])
    assert [await opens(api, each["key"]) for each in (old, new)] == [(200, None)] * 2
    await execute(pool, "update api_key set expires_at = expires_at - interval '1 day'")
    assert [await opens(api, each["key"]) for each in (old, new)] == [REFUSED, (200, None)]
    assert code(await owner.call("POST", f"/api-keys/{old['id']}/rotate")) == (404, "NOT_FOUND")


async def test_a_key_opens_from_its_networks_alone(api: Api, owner: As) -> None:
    here = await owner.data("POST", "/api-keys", name="here", cidrs=["203.0.113.0/24", "127.0.0.1/32"])
    there = await owner.data("POST", "/api-keys", name="there", cidrs=["203.0.113.0/24", "2001:db8::/32"])
    assert [await opens(api, each["key"]) for each in (here, there)] == [(200, None), REFUSED]
    for cidrs in (["203.0.113.1/24"], ["300.0.0.0/8"], ["a"], ["10.0.0.0/33"], ["10.0.0.0/8"] * 21):
        assert code(await owner.call("POST", "/api-keys", name="x", cidrs=cidrs)) == (422, "INVALID_BODY")


def test_where_an_address_is() -> None:
    from ipaddress import ip_network

    four, six = [ip_network("203.0.113.0/24")], [ip_network("2001:db8::/32")]
    assert within("203.0.113.9", four) and within("::ffff:203.0.113.9", four) and within("2001:db8::1", six)
    for ip in (None, "", "unknown", "203.0.114.1", "2001:db9::1", "203.0.113.9, 10.0.0.1"):
        assert not within(ip, four + six), ip


async def test_a_key_has_no_sessions_and_ends_nobody_s(api: Api, owner: As, asha: Someone) -> None:
    """It is nobody's, and nobody is not everybody."""
    program = As(api, (await owner.data("POST", "/api-keys", name="CI", role="EDITOR"))["key"])
    (session,) = await owner.data("GET", "/auth/sessions")
    assert code(await program.call("DELETE", f"/auth/sessions/{session['id']}")) == (404, "NOT_FOUND")
    assert await program.data("GET", "/auth/sessions") == []
    for path in ("/auth/logout", "/auth/logout-all"):
        assert await program.data("POST", path) == {"revoked": 0}
    words = {"old": PASSWORD, "new": "a battery of horses, correct"}
    assert code(await program.call("POST", "/auth/password", **words)) == (403, "FORBIDDEN")
    told = await program.data("GET", "/auth/me")
    assert (told["user"], told["role"], told["partner"]["id"]) == (None, "EDITOR", 7)
    assert (await owner.data("GET", "/auth/me"))["role"] == "OWNER"


async def test_there_are_fifty_at_most(owner: As, asha: Someone, pool: Pool) -> None:
    await execute(
        pool,
        "insert into api_key (id, partner_id, prefix, hash, name, role)"
        " select gen_random_uuid(), 7, 'p' || n, '', 'x', 'VIEWER' from generate_series(1, 49) n",
    )
    await owner.data("POST", "/api-keys", name="the fiftieth")
    assert code(await owner.call("POST", "/api-keys", name="one more")) == (409, "LIMIT_REACHED")
    (some, *_) = await owner.data("GET", "/api-keys")
    assert code(await owner.call("POST", f"/api-keys/{some['id']}/rotate")) == (409, "LIMIT_REACHED")


async def test_many_who_rotate_at_once_make_one_key_each_and_fifty_at_most(
    owner: As, asha: Someone, pool: Pool
) -> None:
    await execute(
        pool,
        "insert into api_key (id, partner_id, prefix, hash, name, role)"
        " select gen_random_uuid(), 7, 'p' || n, '', 'x', 'VIEWER' from generate_series(1, 48) n",
    )
    answers = Counter[tuple[int, str]]()

    async def rotate(key: str) -> None:
        response = await owner.call("POST", f"/api-keys/{key}/rotate")
        answers[(201, "") if response.is_success else code(response)] += 1

    (first, second, third, *_) = await owner.data("GET", "/api-keys")
    async with trio.open_nursery() as nursery:
        for key in (first, first, first, second, third):
            nursery.start_soon(rotate, key["id"])
    assert answers[201, ""] == 2 and sum(answers.values()) == 5
    assert set(answers) <= {(201, ""), (409, "CONFLICT"), (409, "LIMIT_REACHED")}
    assert await execute(pool, "select count(*) from api_key") == [(50,)]


async def test_a_key_has_one_successor_which_lives_as_long(owner: As, pool: Pool) -> None:
    """A second would die with the old one, and the first would live on, perhaps known to nobody."""
    old = await owner.data("POST", "/api-keys", name="CI")
    new = await owner.data("POST", f"/api-keys/{old['id']}/rotate")
    assert new["expires_at"] is None
    assert code(await owner.call("POST", f"/api-keys/{old['id']}/rotate")) == (409, "CONFLICT")
    assert (await owner.data("POST", f"/api-keys/{new['id']}/rotate"))["expires_at"] is None


async def test_free_has_no_keys(api: Api, owner: As, pool: Pool) -> None:
    key = (await owner.data("POST", "/api-keys", name="CI"))["key"]
    await execute(pool, "delete from partner_contract")
    assert code(await owner.call("POST", "/api-keys", name="CI")) == (403, "PLAN_REQUIRED")
    assert await opens(api, key) == (403, "PLAN_REQUIRED")
    assert code(await me(api, key)) == (403, "PLAN_REQUIRED")

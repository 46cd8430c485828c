"""Logging in and out over HTTP: who gets a token, what it opens, and when it opens nothing any more."""

import base64
import datetime as dt
import hashlib
import json
import uuid
from typing import Any

import httpx
import jwt
import pytest
import trio
from structlog.testing import capture_logs

from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.web.identity.tokens import SKEW_S
from tests.integration.api_serving import KEY, NOW, Api, StillClock, serving_api
from tests.integration.identity_people import (
    AUTH,
    HASH,
    PAGE,
    PASSWORD,
    Someone,
    add_contract,
    add_partner,
    add_person,
    bearer,
    code,
    execute,
    log_in,
    me,
    refresh,
)


async def test_a_login_gives_a_token_that_tells_who_asks(api: Api, asha: Someone) -> None:
    found = await log_in(api, asha)
    assert (found["plan"], found["role"], found["expires_in"]) == ("SAAS", "OWNER", 900)
    assert found["user"] == {"id": str(asha.user_id), "name": "Asha", "email": asha.email}
    told = (await me(api, found["access_token"])).json()["data"]
    assert told["user"] == found["user"] and told["partner"] == {"id": 7, "name": "Partner 7"}
    assert (told["role"], told["plan"], told["plan_until"]) == ("OWNER", "SAAS", "2199-01-01T00:00:00Z")
    assert told["limits"]["PROFILE_VIEW"] == 5000


async def test_the_e_mail_has_no_case(api: Api, asha: Someone) -> None:
    assert (await log_in(api, Someone(7, asha.account_id, asha.user_id, "Asha@BRAND.example")))["plan"] == "SAAS"


async def test_who_does_not_fit_gets_one_answer(api: Api, asha: Someone, pool: Pool) -> None:
    disabled = await add_person(pool, "gone@brand.example", partner_id=7)
    await execute(pool, "update app_user set disabled_at = now() where id = %s", disabled.user_id)
    answers = set()
    for email, password in (
        (asha.email, "wrong horse battery"),
        ("nobody@brand.example", PASSWORD),
        (disabled.email, PASSWORD),
    ):
        response = await api.call("POST", f"{AUTH}/login", json={"email": email, "password": password})
        error = response.json()["error"]
        answers.add((response.status_code, error["code"], error["title"], error["detail"]))
        assert email not in response.text and password not in response.text
    assert len(answers) == 1 and next(iter(answers))[:2] == (401, "LOGIN_FAILED")


async def test_an_old_hash_is_made_anew_by_a_login(api: Api, asha: Someone, pool: Pool) -> None:
    await log_in(api, asha)
    ((new,),) = await execute(pool, "select password_hash from app_user where id = %s", asha.user_id)
    assert new != HASH and "m=19456,t=2,p=1" in new
    await log_in(api, asha)
    assert await execute(pool, "select password_hash from app_user where id = %s", asha.user_id) == [(new,)]


async def test_who_logs_in_while_an_old_hash_is_made_anew_is_let_in(api: Api, asha: Someone) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(log_in, api, asha)


async def test_after_five_failures_an_e_mail_waits_whoever_asks(api: Api, asha: Someone, pool: Pool) -> None:
    """Counted before the password is looked at: of ten at once no more than five are let through."""
    answers = []

    async def guess() -> None:
        body = {"email": asha.email, "password": "wrong horse battery"}
        answers.append(await api.call("POST", f"{AUTH}/login", json=body))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(guess)
    assert sorted(code(each) for each in answers) == [(401, "LOGIN_FAILED")] * 5 + [(429, "LOGIN_THROTTLED")] * 5
    late = next(each for each in answers if each.status_code == 429)
    assert 890 <= int(late.headers["retry-after"]) <= 900
    response = await api.call("POST", f"{AUTH}/login", json={"email": asha.email, "password": PASSWORD})
    assert code(response) == (429, "LOGIN_THROTTLED")
    await execute(pool, "update login_failure set at = at - interval '15 minutes'")
    await log_in(api, asha)
    assert await execute(pool, "select key from login_failure where key like 'email%%'") == []


async def test_an_address_fails_twenty_times_a_minute_at_most(api: Api, asha: Someone) -> None:
    for number in range(20):
        body = {"email": f"nobody{number}@brand.example", "password": "x"}
        assert code(await api.call("POST", f"{AUTH}/login", json=body)) == (401, "LOGIN_FAILED")
    body = {"email": asha.email, "password": PASSWORD}
    assert code(await api.call("POST", f"{AUTH}/login", json=body)) == (429, "LOGIN_THROTTLED")


async def test_a_right_password_is_no_failure(api: Api, asha: Someone, pool: Pool) -> None:
    for _ in range(8):
        await log_in(api, asha)
    assert await execute(pool, "select * from login_failure") == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "asha", "password": "x"},
        {"email": "a@b.example", "password": "x" * 129},
        {"email": "a" * 250 + "@b.example", "password": "x"},
        {"email": "a@b.example", "password": 1},
        {"email": "a@b.example", "password": "x", "role": "OWNER"},
        {"email": "a@b.example", "password": "x", "mode": "query"},
    ],
)
async def test_what_is_no_login_is_refused(api: Api, body: dict[str, Any]) -> None:
    assert code(await api.call("POST", f"{AUTH}/login", json=body)) == (422, "INVALID_BODY")


# Tokens


def forged(claims: dict[str, Any], *, key: bytes = KEY.raw, algorithm: str = "HS256", **header: Any) -> str:
    return jwt.encode(claims, key, algorithm, headers={"kid": KEY.kid, **header})


def part(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def signed(header: str, body: str) -> str:
    import hmac

    made = f"{part(header)}.{part(body)}"
    mark = hmac.digest(KEY.raw, made.encode(), "sha256")
    return f"{made}.{base64.urlsafe_b64encode(mark).decode().rstrip('=')}"


@pytest.fixture
async def claims(api: Api, asha: Someone) -> dict[str, Any]:
    token = (await log_in(api, asha))["access_token"]
    return dict(jwt.decode(token, options={"verify_signature": False}))


async def test_a_token_is_what_the_specification_says(api: Api, asha: Someone) -> None:
    token = (await log_in(api, asha))["access_token"]
    claims = jwt.decode(
        token, KEY.raw, ["HS256"], audience="gcc-api", issuer="gcc", options={"verify_exp": False, "verify_iat": False}
    )
    assert set(claims) == {"iss", "aud", "sub", "sid", "pid", "aid", "role", "iat", "exp"}
    assert claims["exp"] - claims["iat"] == 900 and claims["iat"] == int(NOW.timestamp())
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT", "kid": KEY.kid}


async def test_only_tokens_of_ours_open(api: Api, claims: dict[str, Any]) -> None:
    """What the forger changes; each alone."""
    assert (await me(api, forged(claims))).status_code == 200, "unchanged it opens"
    at = int(NOW.timestamp())
    whole, header = json.dumps(claims), json.dumps({"alg": "HS256", "typ": "JWT", "kid": KEY.kid})
    assert (await me(api, signed(header, whole))).status_code == 200, "so does the same by hand"
    other = jwt.encode(claims, b"x" * 32, "HS256", headers={"kid": "deadbeef"})
    public = jwt.encode(claims, None, "none", headers={"kid": KEY.kid})
    tokens = {
        "alg none": public,
        "alg None": f"{part({'alg': 'None', 'kid': KEY.kid})}.{part(claims)}.",
        "HS384": forged(claims, key=KEY.raw * 2, algorithm="HS384"),
        "HS512": forged(claims, key=KEY.raw * 2, algorithm="HS512"),
        "RS256": signed(json.dumps({"alg": "RS256", "kid": KEY.kid}), whole),
        "wrong key": forged(claims, key=b"x" * 32),
        "foreign kid": other,
        "no kid": signed(json.dumps({"alg": "HS256"}), whole),
        "kid is a path": signed(json.dumps({"alg": "HS256", "kid": "../../dev/null"}), whole),
        "kid is a list": signed(json.dumps({"alg": "HS256", "kid": [KEY.kid]}), whole),
        "kid is SQL": signed(json.dumps({"alg": "HS256", "kid": "' or 1=1 --"}), whole),
        "jwk": forged(claims, jwk={"kty": "oct", "k": part("x" * 32)}),
        "jku": forged(claims, jku="https://evil.example/keys"),
        "crit": forged(claims, crit=["exp"], exp=1),
        "b64": forged(claims, b64=False, crit=["b64"]),
        "typ": forged(claims, typ="at+jwt"),
        "expired": forged(claims | {"iat": at - 931, "exp": at - 31}),
        "future": forged(claims | {"iat": at + 31, "exp": at + 900}),
        "too long a life": forged(claims | {"exp": at + 901}),
        "ends before it began": forged(claims | {"iat": at, "exp": at - 1}),
        "exp is text": forged(claims | {"exp": "soon"}),
        "exp is infinite": signed(header, whole.replace(str(claims["exp"]), "Infinity")),
        "no exp": forged({name: value for name, value in claims.items() if name != "exp"}),
        "no iat": forged({name: value for name, value in claims.items() if name != "iat"}),
        "no sid": forged({name: value for name, value in claims.items() if name != "sid"}),
        "foreign sid": forged(claims | {"sid": str(uuid.uuid4())}),
        "sid is none": forged(claims | {"sid": "x"}),
        "another user": forged(claims | {"sub": str(uuid.uuid4())}),
        "another partner": forged(claims | {"pid": 1}),
        "iss": forged(claims | {"iss": "evil"}),
        "aud": forged(claims | {"aud": "other"}),
        "no aud": forged({name: value for name, value in claims.items() if name != "aud"}),
        "a name twice": signed(header, whole[:-1] + f', "pid": {claims["pid"]}}}'),
        "a header twice": signed(header[:-1] + ', "alg": "HS256"}', whole),
        "more than 4 KiB": forged(claims | {"x": "x" * 4096}),
        "too deep": signed(header, "[" * 800 + "]" * 800),
        "no JSON": signed(header, "x"),
        "two parts": ".".join(forged(claims).split(".")[:2]),
        "four parts": forged(claims) + ".x",
        "signature cut": forged(claims)[:-2],
        "letters of elsewhere": forged(claims) + "é",
    }  # fmt: skip
    for what, token in tokens.items():
        response = await api.get(f"{AUTH}/me", headers={"authorization": f"Bearer {token}".encode()})
        assert code(response) == (401, "UNAUTHORIZED"), what
        assert token not in response.text


@pytest.mark.parametrize("asks", [1, 2], ids=["first", "remembered"])
async def test_who_comes_with_an_old_token_is_told_to_refresh(
    api: Api, claims: dict[str, Any], asks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = int(NOW.timestamp())
    old = forged(claims | {"iat": at - 600, "exp": at - SKEW_S + 1})
    if asks == 2:
        assert (await me(api, old)).status_code == 200
    monkeypatch.setattr(StillClock, "now", lambda clock: NOW + dt.timedelta(seconds=1))
    told = (await me(api, old)).json()["error"]["detail"]
    assert told == "the token has ended; refresh it (POST /auth/refresh), or log in"
    quoted = (await me(api, f'"{forged(claims)}"')).json()["error"]["detail"]
    assert "without quotes" in quoted


async def test_within_the_skew_a_token_opens(api: Api, claims: dict[str, Any]) -> None:
    at = int(NOW.timestamp())
    for change in ({"iat": at - 929, "exp": at - 29}, {"iat": at + 30, "exp": at + 900}):
        assert (await me(api, forged(claims | change))).status_code == 200


async def test_a_token_says_nothing_of_role_and_plan(api: Api, claims: dict[str, Any], pool: Pool) -> None:
    await execute(pool, "update app_user set role = 'VIEWER'")
    told = (await me(api, forged(claims | {"role": "OPERATOR", "plan": "PAID"}))).json()["data"]
    assert (told["role"], told["plan"]) == ("VIEWER", "SAAS")


async def test_two_authorization_headers_open_nothing(api: Api, claims: dict[str, Any]) -> None:
    good = f"Bearer {forged(claims)}"
    for headers in ([good, good], [good, "Bearer x"], ["Bearer x", good], [f"{good}, {good}"]):
        response = await api.get(f"{AUTH}/me", headers=[("authorization", each) for each in headers])
        assert code(response) == (401, "UNAUTHORIZED")


async def test_the_development_token_is_partner_1_and_nobody(api: Api) -> None:
    told = (await me(api, "gcc-dev")).json()["data"]
    assert (told["user"], told["partner"]["id"], told["plan"], told["role"]) == (None, 1, "PAID", "OWNER")
    for path in ("/logout", "/logout-all"):
        response = await api.call("POST", AUTH + path, headers=bearer("gcc-dev"))
        assert response.json()["data"] == {"revoked": 0}


# Refresh


async def used_ago(pool: Pool, seconds: int) -> None:
    await execute(pool, "update refresh_token set used_at = used_at - %s * interval '1 second'", seconds)


async def test_a_refresh_token_is_good_once(api: Api, asha: Someone, pool: Pool) -> None:
    first = await log_in(api, asha)
    second = (await refresh(api, first["refresh_token"])).json()["data"]
    assert second["refresh_token"] != first["refresh_token"]
    assert (await me(api, second["access_token"])).status_code == 200
    stored = await execute(pool, "select hash from refresh_token")
    for token in (first, second):
        assert (hashlib.sha256(token["refresh_token"].encode()).digest(),) in stored


@pytest.mark.parametrize(("seconds", "again"), [(0, True), (9, True), (11, False)])
async def test_used_again_it_gives_the_same_successor_or_ends_the_session(
    api: Api, asha: Someone, pool: Pool, seconds: int, again: bool
) -> None:
    first = await log_in(api, asha)
    second = (await refresh(api, first["refresh_token"])).json()["data"]
    await used_ago(pool, seconds)
    response = await refresh(api, first["refresh_token"])
    if again:
        assert response.json()["data"]["refresh_token"] == second["refresh_token"]
        assert (await me(api, second["access_token"])).status_code == 200
        return
    assert code(response) == (401, "REFRESH_REUSED")
    assert code(await me(api, second["access_token"])) == (401, "UNAUTHORIZED")
    assert code(await refresh(api, second["refresh_token"])) == (401, "UNAUTHORIZED")


async def test_two_generations_old_it_ends_the_session_at_any_age(api: Api, asha: Someone) -> None:
    first = await log_in(api, asha)
    second = (await refresh(api, first["refresh_token"])).json()["data"]
    third = (await refresh(api, second["refresh_token"])).json()["data"]
    assert code(await refresh(api, first["refresh_token"])) == (401, "REFRESH_REUSED")
    assert code(await me(api, third["access_token"])) == (401, "UNAUTHORIZED")


async def test_fifty_at_once_leave_one_family_alive(api: Api, asha: Someone, pool: Pool) -> None:
    first = await log_in(api, asha)
    tokens = []

    async def ask() -> None:
        tokens.append((await refresh(api, first["refresh_token"])).json()["data"]["refresh_token"])

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(ask)
    assert len(tokens) == 50 and len(set(tokens)) == 1
    assert await execute(pool, "select count(*), count(used_at) from refresh_token") == [(2, 1)]
    assert (await refresh(api, tokens[0])).status_code == 200


async def test_refresh_tokens_end_with_their_time_and_their_session(api: Api, asha: Someone, pool: Pool) -> None:
    first = await log_in(api, asha)
    await execute(pool, "update refresh_token set expires_at = now()")
    assert code(await refresh(api, first["refresh_token"])) == (401, "UNAUTHORIZED")
    second = await log_in(api, asha)
    await api.call("POST", f"{AUTH}/logout", headers=bearer(second["access_token"]))
    assert code(await refresh(api, second["refresh_token"])) == (401, "UNAUTHORIZED")
    third = await log_in(api, asha)
    await execute(pool, "update app_user set disabled_at = now()")
    assert code(await refresh(api, third["refresh_token"])) == (401, "UNAUTHORIZED")
    assert code(await refresh(api, "x" * 43)) == (401, "UNAUTHORIZED")


async def test_a_session_ends_after_ninety_days_whatever_is_refreshed(api: Api, asha: Someone, pool: Pool) -> None:
    first = await log_in(api, asha)
    await execute(pool, "update api_session set expires_at = now() + interval '1 day'")
    await refresh(api, first["refresh_token"])
    query = "select max(t.expires_at) <= max(s.expires_at) from refresh_token t, api_session s where t.used_at is null"
    assert await execute(pool, query) == [(True,)]


async def test_a_page_gets_its_refresh_token_as_a_cookie(api: Api, asha: Someone) -> None:
    body = {"email": asha.email, "password": PASSWORD, "mode": "cookie"}
    response = await api.call("POST", f"{AUTH}/login", json=body, headers={"origin": PAGE})
    assert response.json()["data"]["refresh_token"] is None
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("gcc_refresh=") and {"HttpOnly", "SameSite=Strict", "Path=/"} <= {*cookie.split("; ")}
    first = api.client.cookies["gcc_refresh"]
    response = await api.call("POST", f"{AUTH}/refresh", headers={"origin": PAGE})
    assert response.status_code == 200 and response.json()["data"]["refresh_token"] is None
    assert api.client.cookies["gcc_refresh"] != first
    token = response.json()["data"]["access_token"]
    await api.call("POST", f"{AUTH}/logout", headers={**bearer(token), "origin": PAGE})
    assert "gcc_refresh" not in api.client.cookies


async def test_a_cookie_opens_to_pages_alone_that_may_ask(pool: Pool, clickhouse: ClickHouse, asha: Someone) -> None:
    """Without the development token the gateway answers to other names than loopback."""
    async with serving_api(pool, clickhouse, dev_token="", cors_origins=(PAGE,)) as api:
        host = {"host": "api.example.org"}
        body = {"email": asha.email, "password": PASSWORD, "mode": "cookie"}
        response = await api.call("POST", f"{AUTH}/login", json=body, headers={**host, "origin": PAGE})
        cookie = response.headers["set-cookie"]
        assert cookie.startswith("__Host-gcc_refresh=") and "Secure" in cookie and "Domain" not in cookie
        kept = cookie.partition(";")[0]
        for origin in (
            {},
            {"origin": "null"},
            {"origin": "https://evil.example"},
            {"origin": "https://app.example.org.evil.example"},
        ):
            response = await api.call("POST", f"{AUTH}/refresh", headers={**host, **origin, "cookie": kept})
            assert code(response) == (403, "ORIGIN_REFUSED")
            response = await api.call("POST", f"{AUTH}/login", json=body, headers={**host, **origin})
            assert code(response) == (403, "ORIGIN_REFUSED")
        own = {**host, "origin": "https://api.example.org", "cookie": kept}
        assert (await api.call("POST", f"{AUTH}/refresh", headers=own)).status_code == 200


async def test_who_sends_no_refresh_token_at_all_is_told_so(api: Api) -> None:
    for headers in ({}, {"origin": PAGE}):
        response = await api.call("POST", f"{AUTH}/refresh", json={}, headers=headers)
        assert code(response) == (401, "UNAUTHORIZED")
        assert response.json()["error"]["detail"] == "send refresh_token, or the cookie of a login"


# Ends


async def test_a_logout_ends_the_session_at_once_and_no_other(api: Api, asha: Someone) -> None:
    first, second = await log_in(api, asha), await log_in(api, asha)
    assert first["access_token"] != second["access_token"], "a login always begins a session"
    response = await api.call("POST", f"{AUTH}/logout", headers=bearer(first["access_token"]))
    assert response.json()["data"] == {"revoked": 1}
    assert code(await me(api, first["access_token"])) == (401, "UNAUTHORIZED")
    assert (await me(api, second["access_token"])).status_code == 200


async def test_sessions_are_listed_and_ended(api: Api, asha: Someone, pool: Pool) -> None:
    device = (await api.call("POST", "/identity-service/api/device/init", json={"client_id": "web"})).json()["data"]
    first = await log_in(api, asha, device_id=device["device_id"])
    second = await log_in(api, asha)
    listed = (await api.get(f"{AUTH}/sessions", headers=bearer(first["access_token"]))).json()["data"]
    assert [each["current"] for each in listed] == [False, True]
    assert all(each["ip"] == "127.0.0.1" and each["agent"].startswith("python-httpx") for each in listed)
    response = await api.call("DELETE", f"{AUTH}/sessions/{listed[0]['id']}", headers=bearer(first["access_token"]))
    assert response.json()["data"] == {"revoked": 1}
    assert code(await me(api, second["access_token"])) == (401, "UNAUTHORIZED")
    for absent in (listed[0]["id"], str(uuid.uuid4()), "x"):
        response = await api.call("DELETE", f"{AUTH}/sessions/{absent}", headers=bearer(first["access_token"]))
        assert code(response) == (404, "NOT_FOUND")
    third = await log_in(api, asha)
    response = await api.call("POST", f"{AUTH}/logout-all", headers=bearer(first["access_token"]))
    assert response.json()["data"] == {"revoked": 2}
    assert code(await me(api, third["access_token"])) == (401, "UNAUTHORIZED")


async def test_whose_sessions_somebody_may_end(api: Api, asha: Someone, pool: Pool) -> None:
    """A viewer's own; an owner's the whole partner's; nobody's another partner's, which are not there to them."""
    await add_partner(pool, 8)
    viewer = await add_person(pool, "v@brand.example", partner_id=7, role="VIEWER")
    twin = await add_person(pool, "twin@other.example", partner_id=8)
    tokens = {each.email: (await log_in(api, each))["access_token"] for each in (asha, viewer, twin)}
    ids = dict(await execute(pool, "select u.email, s.id::text from api_session s join app_user u on u.id = s.user_id"))

    async def end(who: Someone, whose: Someone) -> int:
        path = f"{AUTH}/sessions/{ids[whose.email]}"
        return (await api.call("DELETE", path, headers=bearer(tokens[who.email]))).status_code

    assert [await end(viewer, asha), await end(asha, twin), await end(twin, viewer)] == [404] * 3
    assert [await end(asha, viewer), await end(twin, twin)] == [200] * 2


async def test_a_new_password_ends_the_other_sessions(api: Api, asha: Someone) -> None:
    first, second = await log_in(api, asha), await log_in(api, asha)
    new = "a battery of horses, correct"

    async def change(old: str, new: str) -> httpx.Response:
        body = {"old": old, "new": new}
        return await api.call("POST", f"{AUTH}/password", json=body, headers=bearer(first["access_token"]))

    assert code(await change("wrong horse battery", new)) == (401, "LOGIN_FAILED")
    for weak in ("short", "password2026!!", "x" * 129, "abcabcabcabc", asha.email.upper()):
        assert code(await change(PASSWORD, weak)) == (422, "WEAK_PASSWORD")
    assert (await change(PASSWORD, new)).json()["data"] == {"revoked": 1}
    assert (await me(api, first["access_token"])).status_code == 200
    assert code(await me(api, second["access_token"])) == (401, "UNAUTHORIZED")
    body = {"email": asha.email, "password": PASSWORD}
    assert code(await api.call("POST", f"{AUTH}/login", json=body)) == (401, "LOGIN_FAILED")
    await log_in(api, Someone(7, asha.account_id, asha.user_id, asha.email, new))


async def test_headers_of_a_client_say_nothing_of_who_asks(api: Api, asha: Someone, pool: Pool) -> None:
    token = (await log_in(api, asha))["access_token"]
    expected = (await me(api, token)).json()["data"]
    for name, value in (
        ("x-bb-partner-id", "1"), ("X-BB-Plan-Type", "PAID"), ("x_bb_partner_id", "1"), ("X_BB_Role", "OPERATOR"),
        ("x-bb-user-id", str(uuid.uuid4())), ("x-bb-role", "OPERATOR"), ("x-bb-account-id", str(uuid.uuid4())),
    ):  # fmt: skip
        for given in ([(name, value)], [(name, value), (name.lower(), value)]):
            response = await api.get(f"{AUTH}/me", headers=[("authorization", f"Bearer {token}"), *given])
            assert response.json()["data"] == expected, name


async def test_another_case_of_an_e_mail_gives_no_more_tries(api: Api, asha: Someone) -> None:
    for number in range(5):
        body = {"email": asha.email.upper() if number % 2 else asha.email, "password": "wrong horse battery"}
        assert code(await api.call("POST", f"{AUTH}/login", json=body)) == (401, "LOGIN_FAILED")
    body = {"email": "Asha@Brand.Example", "password": PASSWORD}
    assert code(await api.call("POST", f"{AUTH}/login", json=body)) == (429, "LOGIN_THROTTLED")


async def test_a_refresh_while_suspended_spends_no_token(api: Api, asha: Someone, pool: Pool) -> None:
    first = await log_in(api, asha)
    await execute(pool, "update partner set disabled_at = now() where id = 7")
    assert code(await refresh(api, first["refresh_token"])) == (403, "PARTNER_SUSPENDED")
    await execute(pool, "update partner set disabled_at = null where id = 7")
    await execute(pool, "update refresh_token set used_at = used_at - interval '1 hour'")
    assert (await refresh(api, first["refresh_token"])).status_code == 200


async def test_a_suspended_partner_is_let_nowhere(api: Api, asha: Someone, pool: Pool) -> None:
    first = await log_in(api, asha)
    await execute(pool, "update partner set disabled_at = now() where id = 7")
    assert code(await me(api, first["access_token"])) == (403, "PARTNER_SUSPENDED")
    assert code(await refresh(api, first["refresh_token"])) == (403, "PARTNER_SUSPENDED")
    body = {"email": asha.email, "password": PASSWORD}
    assert code(await api.call("POST", f"{AUTH}/login", json=body)) == (403, "PARTNER_SUSPENDED")


async def test_of_overlapping_contracts_the_best_holds(api: Api, asha: Someone, pool: Pool) -> None:
    token = (await log_in(api, asha))["access_token"]
    soon = NOW + dt.timedelta(minutes=1)
    await add_contract(pool, 7, "PRO", ends_at=soon)
    await add_contract(pool, 7, "FREE", starts_at=NOW)
    await add_contract(pool, 7, "PAID", starts_at=soon)
    told = (await me(api, token)).json()["data"]
    assert (told["plan"], told["plan_until"], told["limits"]["PROFILE_VIEW"]) == ("PAID", "2026-10-15T20:01:00Z", 25000)


async def test_an_operator_has_no_data_of_any_tenant(api: Api, pool: Pool) -> None:
    token = (await log_in(api, await add_person(pool, "staff@gcc.example", role="OPERATOR")))["access_token"]
    told = (await me(api, token)).json()["data"]
    assert (told["role"], told["partner"]["id"]) == ("OPERATOR", 0)
    response = await api.get("/discovery-service/api/profile/INSTAGRAM/known", headers=bearer(token))
    assert code(response) == (403, "FORBIDDEN")


async def test_nothing_secret_is_in_the_log(api: Api, asha: Someone) -> None:
    with capture_logs() as lines:
        first = await log_in(api, asha)
        second = (await refresh(api, first["refresh_token"])).json()["data"]
        await me(api, second["access_token"])
        body = {"email": asha.email, "password": "marked wrong password"}
        await api.call("POST", f"{AUTH}/login", json=body)
        await me(api, "marked.wrong.token")
    assert lines
    told = repr(lines)
    for secret in (PASSWORD, "marked", first["access_token"], first["refresh_token"], second["refresh_token"]):
        assert secret not in told

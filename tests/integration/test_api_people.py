"""Owners and their people over HTTP: invitations, roles, links for a new password; nothing of another partner's."""

import uuid

import httpx
import pytest
import trio

from gcc.stores.postgres import Pool
from tests.integration.api_serving import Api
from tests.integration.identity_people import (
    AUTH,
    NEW,
    As,
    Someone,
    accept,
    acting,
    add_partner,
    add_person,
    code,
    execute,
    log_in,
    me,
    refresh,
)


async def invited(owner: As, email: str, role: str = "EDITOR", **more: str) -> str:
    """The token of an invitation's link."""
    made = await owner.data("POST", "/invitations", email=email, role=role, **more)
    base, _, token = made["link"].partition("#")
    assert base.endswith("/app/invitation") and len(token) == 43
    return str(token)


async def test_an_invitation_makes_a_user_once(api: Api, owner: As, asha: Someone, pool: Pool) -> None:
    token = await invited(owner, "ravi@brand.example")
    (waiting,) = await owner.data("GET", "/invitations")
    assert (waiting["email"], waiting["role"], waiting["account_id"]) == (
        "ravi@brand.example",
        "EDITOR",
        str(asha.account_id),
    )
    for weak in ("password2026!!", "ravi@brand.example"):
        assert code(await accept(api, token, weak)) == (422, "WEAK_PASSWORD")
    response = await accept(api, token)
    found = response.json()["data"]
    assert (found["user"]["name"], found["role"], found["partner"]["id"]) == ("Ravi", "EDITOR", 7)
    assert (await me(api, found["access_token"])).status_code == 200
    assert (await refresh(api, found["refresh_token"])).status_code == 200
    assert code(await accept(api, token)) == (422, "TOKEN_INVALID")
    assert await owner.data("GET", "/invitations") == []
    await log_in(api, Someone(7, asha.account_id, asha.user_id, "ravi@brand.example", NEW))
    assert token not in str(await execute(pool, "select i::text from invitation i"))


async def test_of_a_link_opened_ten_times_at_once_one_user_comes(api: Api, owner: As, pool: Pool) -> None:
    token = await invited(owner, "ravi@brand.example")
    answers = list[int]()

    async def open_it() -> None:
        answers.append((await accept(api, token)).status_code)

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(open_it)
    assert sorted(answers) == [200] + [422] * 9
    assert await execute(pool, "select count(*) from app_user where partner_id = 7") == [(2,)]


async def test_what_an_invitation_may_not(api: Api, owner: As, asha: Someone, pool: Pool) -> None:
    await invited(owner, "ravi@brand.example")
    for email in ("RAVI@brand.example", asha.email):
        assert code(await owner.call("POST", "/invitations", email=email, role="VIEWER")) == (409, "CONFLICT")
    assert code(await owner.call("POST", "/invitations", email="x@y.example", role="OPERATOR")) == (422, "INVALID_BODY")
    absent = str(uuid.uuid4())
    response = await owner.call("POST", "/invitations", email="x@y.example", role="VIEWER", account_id=absent)
    assert code(response) == (404, "NOT_FOUND")
    await execute(pool, "update invitation set expires_at = now()")
    again = await invited(owner, "ravi@brand.example")
    await execute(pool, "update invitation set expires_at = now()")
    assert code(await accept(api, again)) == (422, "TOKEN_INVALID")
    third = await invited(owner, "ravi@brand.example")
    (waiting,) = await owner.data("GET", "/invitations")
    await owner.data("DELETE", f"/invitations/{waiting['id']}")
    assert code(await accept(api, third)) == (422, "TOKEN_INVALID")
    assert code(await owner.call("DELETE", f"/invitations/{waiting['id']}")) == (404, "NOT_FOUND")


async def test_who_has_an_e_mail_elsewhere_is_told_to_who_opens_the_link_alone(api: Api, owner: As, pool: Pool) -> None:
    """An owner must not learn here who is a user of another partner."""
    await add_partner(pool, 8)
    twin = await add_person(pool, "twin@other.example", partner_id=8)
    token = await invited(owner, twin.email)
    assert code(await accept(api, token)) == (409, "CONFLICT")


async def test_a_changed_role_holds_at_once(api: Api, owner: As, pool: Pool) -> None:
    ravi = await add_person(pool, "ravi@brand.example", partner_id=7, role="OWNER")
    before = await acting(api, ravi)
    changed = await owner.data("PATCH", f"/users/{ravi.user_id}", role="VIEWER", name="R.")
    assert (changed["role"], changed["name"], changed["disabled"]) == ("VIEWER", "R.", False)
    assert code(await before.call("GET", "/users")) == (401, "UNAUTHORIZED")
    after = await acting(api, ravi)
    assert code(await after.call("GET", "/users")) == (403, "FORBIDDEN")
    await owner.data("PATCH", f"/users/{ravi.user_id}", disabled=True)
    assert code(await after.call("GET", "/auth/me")) == (401, "UNAUTHORIZED")
    await owner.data("PATCH", f"/users/{ravi.user_id}", disabled=False)
    last = await acting(api, ravi)
    await owner.data("PATCH", f"/users/{ravi.user_id}", name="Ravi")
    assert (await last.data("GET", "/auth/me"))["user"]["name"] == "Ravi", "a name ends nothing"
    await owner.data("DELETE", f"/users/{ravi.user_id}")
    assert code(await last.call("GET", "/auth/me")) == (401, "UNAUTHORIZED")
    assert code(await owner.call("DELETE", f"/users/{ravi.user_id}")) == (404, "NOT_FOUND")
    kinds = await execute(pool, "select activity_type from activity_tracker where user_id is not null order by 1")
    assert [kind for (kind,) in kinds] == ["USER_CHANGED"] * 4 + ["USER_DELETED"]


async def test_a_partner_keeps_an_owner(api: Api, owner: As, asha: Someone) -> None:
    for change in ({"role": "VIEWER"}, {"disabled": True}):
        assert code(await owner.call("PATCH", f"/users/{asha.user_id}", **change)) == (409, "LAST_OWNER")
    assert code(await owner.call("DELETE", f"/users/{asha.user_id}")) == (409, "LAST_OWNER")
    assert (await owner.data("GET", "/auth/me"))["role"] == "OWNER", "nothing has changed, and no session ended"


async def test_two_last_owners_who_lower_each_other_leave_one(api: Api, owner: As, asha: Someone, pool: Pool) -> None:
    ravi = await add_person(pool, "ravi@brand.example", partner_id=7)
    other = await acting(api, ravi)
    answers = []

    async def lower(who: As, whom: Someone) -> None:
        answers.append(await who.call("PATCH", f"/users/{whom.user_id}", role="VIEWER"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lower, owner, ravi)
        nursery.start_soon(lower, other, asha)
    assert sorted(each.status_code for each in answers) in ([200, 401], [200, 409])
    assert await execute(pool, "select count(*) from app_user where partner_id = 7 and role = 'OWNER'") == [(1,)]


async def test_a_reset_link_is_good_once_and_ends_the_sessions(api: Api, owner: As, asha: Someone, pool: Pool) -> None:
    ravi = await add_person(pool, "ravi@brand.example", partner_id=7, role="VIEWER")
    before = await acting(api, ravi)
    links = [(await owner.data("POST", f"/users/{ravi.user_id}/reset-link"))["link"] for _ in range(2)]
    old, new = (each.partition("#")[2] for each in links)

    async def reset(token: str, password: str = NEW) -> httpx.Response:
        return await api.call("POST", f"{AUTH}/reset", json={"token": token, "password": password})

    assert code(await reset(old)) == (422, "TOKEN_INVALID"), "a newer link ends those before it"
    for weak in ("short", "Ravi@brand.example"):
        assert code(await reset(new, weak)) == (422, "WEAK_PASSWORD")
    found = (await reset(new)).json()["data"]
    assert (await me(api, found["access_token"])).status_code == 200
    assert code(await before.call("GET", "/auth/me")) == (401, "UNAUTHORIZED")
    assert code(await reset(new)) == (422, "TOKEN_INVALID")
    await log_in(api, Someone(7, ravi.account_id, ravi.user_id, ravi.email, NEW))
    third = (await owner.data("POST", f"/users/{ravi.user_id}/reset-link"))["link"].partition("#")[2]
    await execute(pool, "update app_user set disabled_at = now() where id = %s", ravi.user_id)
    assert code(await reset(third)) == (422, "TOKEN_INVALID"), "who is disabled stays so"
    assert code(await owner.call("POST", f"/users/{ravi.user_id}/reset-link")) == (404, "NOT_FOUND")


async def test_a_reset_link_ends_where_the_password_is_changed(api: Api, owner: As, asha: Someone) -> None:
    """Somebody else may have it, and that is why it is changed."""
    link = (await owner.data("POST", f"/users/{asha.user_id}/reset-link"))["link"].partition("#")[2]
    body = {"token": link, "password": "another battery of horses"}
    assert code(await owner.call("POST", "/auth/password", old="wrong horse battery", new=NEW)) == (401, "LOGIN_FAILED")
    await owner.data("POST", "/auth/password", old=asha.password, new=NEW)
    assert code(await api.call("POST", f"{AUTH}/reset", json=body)) == (422, "TOKEN_INVALID")


async def test_accounts(owner: As, asha: Someone) -> None:
    added = await owner.call("POST", "/accounts", name="Beauty")
    assert added.status_code == 201 and added.headers["location"].endswith(added.json()["data"]["id"])
    assert code(await owner.call("POST", "/accounts", name="BEAUTY")) == (409, "CONFLICT")
    assert code(await owner.call("PATCH", f"/accounts/{asha.account_id}", name="beauty")) == (409, "CONFLICT")
    assert (await owner.data("PATCH", f"/accounts/{asha.account_id}", name="Food"))["name"] == "Food"
    assert {each["name"] for each in await owner.data("GET", "/accounts")} == {"Beauty", "Food"}
    for name in ("", "   ", "x" * 121, "a\0b"):
        assert code(await owner.call("POST", "/accounts", name=name)) == (422, "INVALID_BODY")


async def test_users_come_in_pages(owner: As, asha: Someone, pool: Pool) -> None:
    for number in range(7):
        await add_person(pool, f"user{number}@brand.example", partner_id=7, role="VIEWER")
    await execute(pool, "update app_user set created_at = '2026-01-01Z' where email like 'user%%'")  # the id decides
    seen, place = list[str](), ""
    for _ in range(4):
        response = await owner.call("GET", f"/users?limit=2{place}")
        seen += [each["email"] for each in response.json()["data"]]
        place = f"&cursor={response.json()['meta']['cursor']}"
    assert len(seen) == len(set(seen)) == 8 and seen[0] == asha.email
    assert response.json()["meta"]["cursor"] is None
    for path in (f"/accounts?{place}", "/users?cursor=x"):
        assert code(await owner.call("GET", path)) == (422, "INVALID_CURSOR")


@pytest.mark.parametrize("role", ["VIEWER", "EDITOR", "OPERATOR"])
async def test_only_owners_see_the_people(api: Api, asha: Someone, pool: Pool, role: str) -> None:
    other = await acting(api, await add_person(pool, "other@brand.example", partner_id=7, role=role))
    for method, path, body in (
        ("GET", "/users", {}), ("GET", "/accounts", {}), ("GET", "/invitations", {}), ("GET", "/api-keys", {}),
        ("PATCH", f"/users/{asha.user_id}", {"role": "VIEWER"}), ("DELETE", f"/users/{asha.user_id}", {}),
        ("POST", f"/users/{asha.user_id}/reset-link", {}), ("POST", "/api-keys", {"name": "x"}),
        ("POST", "/invitations", {"email": "x@y.example", "role": "OWNER"}), ("POST", "/accounts", {"name": "x"}),
    ):  # fmt: skip
        assert code(await other.call(method, path, **body)) == (403, "FORBIDDEN"), path

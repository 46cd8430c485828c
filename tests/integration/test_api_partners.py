"""Operators over HTTP: partners, their owners' invitations, contracts that count at once."""

import pytest

from gcc.stores.postgres import Pool
from tests.integration.api_serving import Api
from tests.integration.identity_people import As, accept, acting, add_partner, add_person, code, execute


@pytest.fixture
async def operator(api: Api, pool: Pool) -> As:
    return await acting(api, await add_person(pool, "staff@gcc.example", role="OPERATOR"))


YEAR = {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2027-01-01T05:30:00+05:30"}


async def test_a_partner_begins_with_an_invitation_of_its_owner(api: Api, operator: As) -> None:
    response = await operator.call("POST", "/partners", name="Brand", owner_email="asha@brand.example")
    made = response.json()["data"]
    assert response.status_code == 201 and made["id"] >= 1000
    found = (await accept(api, made["link"].partition("#")[2])).json()["data"]
    assert (found["role"], found["plan"], found["partner"]) == ("OWNER", "FREE", {"id": made["id"], "name": "Brand"})
    owner = As(api, found["access_token"])
    contract = await operator.data(
        "POST", f"/partners/{made['id']}/contracts", plan="SAAS", **YEAR, limits={"EXPORT": 7}
    )
    assert contract["ends_at"] == "2027-01-01T00:00:00Z"
    told = await owner.data("GET", "/auth/me")
    assert (told["plan"], told["plan_until"], told["limits"]["EXPORT"]) == ("SAAS", "2027-01-01T00:00:00Z", 7)
    await operator.data("PATCH", f"/contracts/{contract['id']}", plan="PRO")
    assert (await owner.data("GET", "/auth/me"))["plan"] == "PAID"
    await operator.data("PATCH", f"/contracts/{contract['id']}", ends_at="2026-10-15T20:00:00Z")  # now
    assert (await owner.data("GET", "/auth/me"))["plan"] == "FREE"
    (listed,) = await operator.data("GET", f"/partners/{made['id']}/contracts")
    assert (listed["plan"], listed["limits"]) == ("PRO", {"EXPORT": 7})
    await operator.data("PATCH", f"/partners/{made['id']}", disabled=True)
    assert code(await owner.call("GET", "/auth/me")) == (403, "PARTNER_SUSPENDED")
    await operator.data("PATCH", f"/partners/{made['id']}", disabled=False, name="Brands")
    assert (await owner.data("GET", "/auth/me"))["partner"]["name"] == "Brands"


async def test_partners_come_in_pages_by_id(operator: As, pool: Pool) -> None:
    for number in range(20, 26):
        await add_partner(pool, number)
    seen, place = list[int](), ""
    for _ in range(4):
        response = await operator.call("GET", f"/partners?limit=2{place}")
        seen += [each["id"] for each in response.json()["data"]]
        place = f"&cursor={response.json()['meta']['cursor']}"
    assert seen == [0, 1, 20, 21, 22, 23, 24, 25]


async def test_what_there_is_not_and_what_makes_no_sense(operator: As) -> None:
    for path in ("/partners/999", "/partners/x", "/partners/999/contracts"):
        assert code(await operator.call("GET", path)) == (404, "NOT_FOUND")
    assert code(await operator.call("PATCH", "/partners/0", disabled=True)) == (404, "NOT_FOUND"), "the staff's own"
    absent = "01a14126-6e00-7ccb-8000-000000000000"
    assert code(await operator.call("PATCH", f"/contracts/{absent}", plan="SAAS")) == (404, "NOT_FOUND")
    assert code(await operator.call("POST", "/partners/999/contracts", plan="SAAS", **YEAR)) == (404, "NOT_FOUND")
    for odd in (
        {"ends_at": YEAR["starts_at"]}, {"ends_at": "2026-02-31T00:00:00Z"}, {"ends_at": "2027-01-01"},
        {"plan": "GOLD"},
        {"limits": {"EXPORT": -1}}, {"limits": {"EVERYTHING": 1}}, {"limits": {"EXPORT": 1.5}},
    ):  # fmt: skip
        response = await operator.call("POST", "/partners/1/contracts", **{"plan": "SAAS", **YEAR, **odd})
        assert code(response) == (422, "INVALID_BODY"), odd
        [fault] = response.json()["error"]["errors"]
        assert fault["path"].startswith(next(iter(odd)))


@pytest.mark.parametrize("role", ["VIEWER", "EDITOR", "OWNER"])
async def test_only_operators_see_partners(api: Api, pool: Pool, role: str) -> None:
    other = await acting(api, await add_person(pool, "other@brand.example", role=role))
    for method, path, body in (
        ("GET", "/partners", {}), ("GET", "/partners/1", {}), ("GET", "/partners/1/contracts", {}),
        ("POST", "/partners", {"name": "x", "owner_email": "a@b.example"}), ("PATCH", "/partners/1", {"name": "x"}),
        ("POST", "/partners/1/contracts", {"plan": "PAID", **YEAR}),
    ):  # fmt: skip
        assert code(await other.call(method, path, **body)) == (403, "FORBIDDEN"), path
    assert await execute(pool, "select count(*) from partner_contract") == [(0,)]

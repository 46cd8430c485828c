"""Partners and people in the database, and what they ask of the API, for tests of who may what."""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

import httpx
from argon2 import PasswordHasher

from gcc.stores.postgres import Pool
from tests.integration.api_serving import Api

NEW = "a battery of horses, correct"
IDENTITY = "/identity-service/api"
AUTH = f"{IDENTITY}/auth"
PAGE = "https://app.example.org"
"""Whose pages may ask."""
PASSWORD = "correct horse battery"
HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
"""Made with small parameters: quick, and hashed anew at the first login."""


@dataclass(frozen=True)
class Someone:
    partner_id: int
    account_id: uuid.UUID
    user_id: uuid.UUID
    email: str
    password: str = PASSWORD


async def execute(pool: Pool, statement: str, *arguments: Any) -> list[Any]:
    async with pool.connection() as conn:
        cursor = await conn.execute(statement.encode(), arguments)
        return await cursor.fetchall() if cursor.description is not None else []  # [] of a `select from`


async def add_partner(pool: Pool, partner_id: int, plan: str | None = "SAAS", **contract: dt.datetime) -> None:
    await execute(pool, "insert into partner (id, name) values (%s, %s)", partner_id, f"Partner {partner_id}")
    if plan is not None:
        await add_contract(pool, partner_id, plan, **contract)


async def add_contract(
    pool: Pool,
    partner_id: int,
    plan: str,
    starts_at: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    ends_at: dt.datetime = dt.datetime(2199, 1, 1, tzinfo=dt.UTC),
) -> None:
    await execute(
        pool,
        "insert into partner_contract (id, partner_id, type, plan, starts_at, ends_at)"
        " values (gen_random_uuid(), %s, 'SAAS', %s, %s, %s)",
        partner_id, plan, starts_at, ends_at,
    )  # fmt: skip


async def add_person(
    pool: Pool, email: str = "asha@brand.example", *, partner_id: int = 1, role: str = "OWNER"
) -> Someone:
    account_id, user_id = uuid.uuid5(uuid.NAMESPACE_OID, f"account {partner_id}"), uuid.uuid5(uuid.NAMESPACE_OID, email)
    if role == "OPERATOR":
        ((account_id,),) = await execute(pool, "select id from account where partner_id = 0")
        partner_id = 0
    await execute(
        pool, "insert into account (id, partner_id, name) values (%s, %s, 'Main') on conflict do nothing",
        account_id, partner_id,
    )  # fmt: skip
    await execute(
        pool,
        "insert into app_user (id, partner_id, account_id, email, name, role, password_hash)"
        " values (%s, %s, %s, %s, 'Asha', %s, %s)",
        user_id, partner_id, account_id, email, role, HASH,
    )  # fmt: skip
    return Someone(partner_id, account_id, user_id, email)


async def log_in(api: Api, someone: Someone, **more: Any) -> dict[str, Any]:
    body = {"email": someone.email, "password": someone.password, **more}
    response = await api.call("POST", f"{AUTH}/login", json=body)
    assert response.status_code == 200, response.text
    return dict(response.json()["data"])


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def me(api: Api, token: str) -> httpx.Response:
    return await api.get(f"{AUTH}/me", headers=bearer(token))


async def refresh(api: Api, token: str) -> httpx.Response:
    return await api.call("POST", f"{AUTH}/refresh", json={"refresh_token": token})


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


class As:
    """Somebody who has logged in."""

    def __init__(self, api: Api, token: str) -> None:
        self.api, self.headers = api, bearer(token)

    async def call(self, method: str, path: str, **body: Any) -> httpx.Response:
        options = {"json": body} if body else {}
        return await self.api.call(method, IDENTITY + path, headers=self.headers, **options)

    async def data(self, method: str, path: str, **body: Any) -> Any:
        response = await self.call(method, path, **body)
        assert response.is_success, response.text
        return response.json()["data"]


async def acting(api: Api, someone: Someone) -> As:
    return As(api, (await log_in(api, someone))["access_token"])


async def accept(api: Api, token: str, password: str = NEW, name: str = "Ravi") -> httpx.Response:
    body = {"token": token, "password": password, "name": name}
    return await api.call("POST", f"{IDENTITY}/invitations/accept", json=body)

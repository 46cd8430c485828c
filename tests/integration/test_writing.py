"""What a request writes: all of it or nothing, told to others once it is committed."""

import pytest
import trio
from quart import Request

from gcc.stores.postgres import Pool
from gcc.stores.postgres_identity import PostgresIdentity
from gcc.stores.postgres_identity_people import PostgresPeople
from gcc.stores.tenant import Tenant
from gcc.web.api.envelope import Answer
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.route import Route
from gcc.web.api.shapes import State
from tests.integration.api_serving import Api
from tests.integration.identity_people import As, Someone, bearer, execute, log_in, me


@pytest.mark.parametrize("end", ["refused", "broken", "late"])
async def test_what_is_not_answered_well_has_written_nothing(
    api: Api, owner: As, asha: Someone, pool: Pool, end: str
) -> None:
    """Nor told anybody: the other session, which it ended, still opens."""
    other = (await log_in(api, asha))["access_token"]
    store, people = PostgresIdentity(api.app.pool, pool), PostgresPeople(api.app.pool, api.app.clock)
    bus = api.app.authenticator._bus

    async def handler(tenant: Tenant, request: Request) -> Answer:
        await people.add_account(tenant, "Second")
        await bus.said(await store.revoke_all(tenant.partner_id, asha.user_id, tenant.session_id))
        if end == "refused":
            raise ApiError(Code.CONFLICT, "not so")
        if end == "broken":
            raise RuntimeError
        await trio.sleep_forever()
        raise AssertionError

    api.app.add(
        Route("POST", "/two", "two", "Two stores", handler, data=State, errors=(Code.CONFLICT,), deadline_s=0.5)
    )
    heard = bus.count
    response = await api.call("POST", "/two", headers=owner.headers)
    assert response.status_code == {"refused": 409, "broken": 500, "late": 504}[end]
    assert bus.count == heard
    assert (await me(api, other)).status_code == 200
    assert await execute(pool, "select from account where partner_id = 7 and name = 'Second'") == []
    assert await execute(pool, "select from api_session where revoked_at is not null") == []
    assert api.app.pool.used == 0


async def test_what_is_answered_well_has_been_written_and_told(api: Api, owner: As, asha: Someone) -> None:
    other = (await log_in(api, asha))["access_token"]
    assert await owner.data("POST", "/auth/logout-all") == {"revoked": 2}
    assert (await api.call("GET", "/identity-service/api/auth/me", headers=bearer(other))).status_code == 401

"""An API that people ask: nothing is sent with a call but what the test says; asha owns partner 7."""

from collections.abc import AsyncIterator

import pytest

from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from tests.integration.api_serving import Api, serving_api
from tests.integration.identity_people import PAGE, As, Someone, acting, add_partner, add_person


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    async with serving_api(pool, clickhouse, cors_origins=(PAGE,)) as api:
        del api.client.headers["authorization"]
        yield api


@pytest.fixture
async def asha(pool: Pool) -> Someone:
    await add_partner(pool, 7)
    return await add_person(pool, partner_id=7)


@pytest.fixture
async def owner(api: Api, asha: Someone) -> As:
    return await acting(api, asha)

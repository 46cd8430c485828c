"""The page of the document, in a browser: each error has its anchor, on any screen and in either colour scheme."""

from collections.abc import AsyncIterator

import pytest

from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.web.api.errors import Code
from tests.chromium import Page
from tests.integration.api_serving import Api, serving_api

BOX = "document.querySelector('tr.meant').getBoundingClientRect()"


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    async with serving_api(pool, clickhouse) as api:
        yield api


async def test_every_code_has_its_anchor(api: Api, page: Page) -> None:
    problem = await api.client.get("/none", headers={"accept": "application/problem+json"})
    url = str(api.client.base_url).rstrip("/")
    await page.go(url + problem.json()["type"])
    await page.until("!!document.querySelector('tr.meant')", within_s=30)
    assert await page.js("document.activeElement.id") == "NOT_FOUND"
    await page.until(f"{BOX}.top >= 0 && {BOX}.bottom <= innerHeight")
    missing = f"{[code.name for code in Code]}.filter(name => document.getElementById(name)?.tagName !== 'TR')"
    assert await page.js(missing) == []
    await page.js("location.hash = 'RATE_LIMITED'")
    await page.until("document.querySelector('tr.meant').id === 'RATE_LIMITED'")
    assert await page.js("document.querySelectorAll('tr.meant').length") == 1
    await page.js("location.hash = '/leaderboard-service'")
    await page.until("!document.querySelector('tr.meant')")
    assert [said for said in page.complaints if not said.startswith("Deprecated:")] == []  # Swagger UI's of itself
    assert all(asked.startswith((url, "data:")) for asked in page.requests)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_it_fits_the_screen(api: Api, page: Page, width: int, scheme: str) -> None:
    await page.look(width=width, height=800, scheme=scheme)
    await page.go(str(api.client.base_url).rstrip("/") + "/docs#CONFLICT")
    await page.until("!!document.querySelector('tr.meant')", within_s=30)
    assert await page.js("document.documentElement.scrollWidth <= innerWidth")
    assert await page.js("document.documentElement.classList.contains('dark-mode')") is (scheme == "dark")

"""A browser for tests of pages; they are skipped where there is none."""

from collections.abc import AsyncIterator

import pytest

from tests.chromium import Page, chromium, skip_without_chromium


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    skip_without_chromium()
    async with chromium() as page:
        await page.look(width=1280, height=800)
        yield page

"""The dashboard in a real browser: it is live, honest when the server is gone, and works small, dark and by keyboard.

With SHOTS_DIR=DIR the screens are kept there for people to look at.
"""

import os
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import trio

from gcc.supervisor.lifecycle import State
from tests.chromium import Page, chromium, skip_without_chromium
from tests.integration.ops_platform import TOKEN, World, ops_port

ACTIVE = "document.activeElement"


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    skip_without_chromium()
    async with chromium() as page:
        await page.look(width=1280, height=800)
        yield page


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    world.close()


async def shoot(page: Page, name: str, *, whole_page: bool = False) -> None:
    if folder := os.environ.get("SHOTS_DIR"):
        await trio.Path(folder).mkdir(parents=True, exist_ok=True)
        await trio.Path(folder, f"{name}.png").write_bytes(await page.screenshot(whole_page=whole_page))


async def opened(page: Page, url: str, token: str = TOKEN) -> None:
    await page.go(f"{url}/?token={token}")
    await page.until("location.search === '' && !!document.querySelector('#state')")


def text(selector: str) -> str:
    """JavaScript for what stands there; '' where nothing is."""
    return f"(document.querySelector({selector!r})?.innerText ?? '').replace(/\\s+/g, ' ')"


async def test_it_shows_what_is_and_what_changes_without_asking_anybody_else(page: Page, world: World) -> None:
    async with ops_port(world, past_s=800) as port:
        await opened(page, port.url)
        await page.until(f"{text('#first-crawl')} === 'First crawl 1,324 of 2,000 66 %'")
        assert await page.js(text("#state")) == "Ready"
        assert await page.js(text("#verdict")) == "events/sinker post_log is in backoff"
        tiles = await page.js("[...document.querySelectorAll('.tile')].map((t) => t.innerText.replace(/\\s+/g, ' '))")
        assert tiles[1:] == ["Stored lag 2.4 s", "Waiting 652 jobs", "Failures / h 3 see errors", "In flight 24 jobs"]
        assert await page.js(text("#actor-events-sinker-post_log")) == "sinker post_log ! backoff 0 /s 2,000 41 s 2"
        flow = "[...document.querySelectorAll('.jobs tbody tr')].map((r) => r.innerText.replace(/\\s+/g, ' '))"
        assert await page.js(flow) == ["refresh_profile_by_handle 412 16 571 1 0", "refresh_yt_profiles 240 8 752 0 0"]
        assert await page.js("document.querySelectorAll('.plot canvas').length") == 2
        assert await page.js("document.documentElement.scrollHeight <= innerHeight"), "one screen at 1280 x 800"
        await shoot(page, "dashboard-light")

        world.set_counts(first_crawl=None, failures_last_hour=0, stored_lag_s=0.0)
        world.board.actor("events/sinker post_log").state = State.RUNNING
        await page.until(f"{text('#verdict')} === 'All {len(world.board.actors())} actors are well'")
        await page.until(f"{text('.tile:nth-child(2)')} === 'Stored lag 0 s'")
        assert await page.js("document.querySelector('#first-crawl')") is None
        assert page.complaints == []
        assert {urlsplit(url).netloc for url in page.requests} == {f"127.0.0.1:{port.number}"}


async def test_it_fits_a_phone_and_follows_the_colour_scheme(page: Page, world: World) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    drawing = "document.querySelector('.plot canvas').toDataURL()"
    async with ops_port(world, past_s=800) as port:
        await opened(page, port.url)
        await page.until("document.querySelectorAll('.jobs tbody tr').length === 2")
        light = await page.js(ground), await page.js(drawing)
        await page.look(width=1280, height=800, scheme="dark")
        await page.until(f"{ground} !== {light[0]!r} && {drawing} !== {light[1]!r}")
        await shoot(page, "dashboard-dark")
        for width in (900, 360):
            await page.look(width=width, height=800)
            await page.until(f"innerWidth === {width} && {ground} === {light[0]!r}")
            assert await page.js("document.documentElement.scrollWidth") == width
            await shoot(page, f"dashboard-{width}", whole_page=True)
        assert page.complaints == []


async def test_what_is_not_known_is_a_dash_and_not_a_zero(page: Page, world: World) -> None:
    world.counts_down = True
    async with ops_port(world) as port:
        await opened(page, port.url)
        await page.until(f"{text('#verdict')}.includes('PostgreSQL does not answer')")
        values = await page.js("[...document.querySelectorAll('.tile .big')].map((big) => big.innerText)")
        assert values[1:] == ["–", "–", "–", "–"]
        assert "Not counted yet" in await page.js(text(".jobs"))
        world.counts_down = False
        await page.until("document.querySelectorAll('.tile .big')[2].innerText === '652'")


async def test_it_survives_a_restart_of_the_server(page: Page, world: World) -> None:
    async with ops_port(world) as port:
        await opened(page, port.url)
        await page.js("window.same_page = true")
    await page.until(f"{text('#banner')}.startsWith('The connection is lost. The data is ')")
    assert await page.js(text("#state")) == "No connection"
    await shoot(page, "dashboard-lost")
    world.state = "starting"
    async with ops_port(world, port=port.number):
        await page.until(f"{text('#state')} === 'Starting' && !document.querySelector('#banner')", within_s=20)
        assert await page.js("window.same_page")


async def test_a_token_that_changed_is_told_with_the_way_out(page: Page, world: World) -> None:
    async with ops_port(world) as port:
        await opened(page, port.url)
    async with ops_port(world, port=port.number, token="the-next-token"):
        await page.until(f"{text('#banner')}.includes('token of this page is not valid any more')", within_s=20)
        assert "python -m gcc.supervisor status" in await page.js(text("#banner"))
        await page.js("fetch('/?token=the-next-token')")  # what opening the new URL in another tab does
        await page.js("document.querySelector('#banner button').click()")
        await page.until(f"{text('#state')} === 'Ready' && !document.querySelector('#banner')")


async def test_the_drain_says_what_it_will_do_and_then_how_far_it_is(page: Page, world: World) -> None:
    async with ops_port(world) as port:
        await opened(page, port.url)
        await page.until(f"{text('#first-crawl')} !== ''")
        await page.js("document.querySelector('button.drain').click()")
        await page.until(f"{text('dialog')}.includes('in flight')")  # it is rendered after the click, not in it
        told = await page.js(text("dialog"))
        assert (
            "24 jobs in flight are finished" in told and "50,294 queued events" in told and "652 waiting jobs" in told
        )
        assert "python -m gcc.supervisor drain" in told
        await shoot(page, "dashboard-drain")
        await page.press("Escape")
        await page.until("!document.querySelector('dialog').open")
        assert world.asked == []

        await page.js("document.querySelector('button.drain').click()")
        await page.until("document.querySelector('dialog').open && document.querySelector('#drain-now') !== null")
        with world.drain.stage("scrapers").member("scraper refresh_yt_profiles"):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(world.drain.run)
                await page.js("document.querySelector('#drain-now').click()")
                await page.until(f"{text('dialog')}.includes('waits for scraper refresh_yt_profiles')")
                assert world.asked == [(None, "asked for on the dashboard")]
                await page.until(f"{text('#state')} === 'Draining'")
                await page.js("document.querySelector('dialog button').click()")
                await shoot(page, "dashboard-draining")
                nursery.cancel_scope.cancel()
        await port.stop()
        await page.until(f"{text('#banner')}.startsWith('The process has drained and stopped')")


async def test_it_works_by_keyboard(page: Page, world: World) -> None:
    async with ops_port(world) as port:
        await opened(page, port.url)
        await page.js("document.querySelector('button.drain').focus()")
        for _ in range(40):
            await page.press("Tab")
            if await page.js(f"{ACTIVE}.closest('tr')?.id === 'actor-events-sinker-post_log'"):
                break
        else:
            raise AssertionError("the line of an actor is not reached by Tab")
        assert await page.js(f"{ACTIVE}.getAttribute('aria-expanded')") == "false"
        await page.press("Enter")
        await page.until(f"{text('#actor-events-sinker-post_log-more')}.includes('Code 241, memory limit')")
        assert await page.js(f"{ACTIVE}.getAttribute('aria-expanded')") == "true"


async def test_without_the_token_the_page_tells_the_way_in(page: Page, world: World) -> None:
    async with ops_port(world) as port:
        await page.go(port.url)
        await page.until(f"{text('h1')} === 'This page needs its token'")
        await shoot(page, "dashboard-locked")

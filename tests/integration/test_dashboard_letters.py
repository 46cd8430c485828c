"""Dead letters on the dashboard, in a real browser: seen, filtered, looked at, replayed; by keyboard, small and dark.

With SHOTS_DIR=DIR the screens are kept there for people to look at.
"""

import json
from collections.abc import AsyncIterator

import pytest

from gcc.channels.letters import LetterFilter
from tests.chromium import Page
from tests.integration.ops_platform import World, ops_port
from tests.integration.test_dashboard import ACTIVE, opened, shoot, text

POSTS, TRACES = "post_log_events_q", "trace_log"
MISSING = "not a post_log event: Object missing required field `source`"
SECRET = "s3cr3t-of-a-source"
POST = {"event_id": "0199", "platform": "INSTAGRAM", "metrics": {"likes": 12}, "access_token": SECRET}
OPENER = "document.querySelector('.letters .head button')"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    world.close()


async def some_letters(world: World) -> None:
    """Twelve of POSTS for one reason, three for another, one of TRACES, the newest."""
    for number in range(12):
        await world.bury(POSTS, json.dumps({**POST, "n": number}).encode() + b"\n{}", MISSING)
    for number in range(3):
        await world.bury(POSTS, b'{"n": %d}' % number, "ClickHouse: Code 27, cannot parse input: expected a number")
    await world.bury(TRACES, b'{"uri": "https://x?token=abc"}', "not a trace_log event: got 'token=abc'")


def line_of(queue: str) -> str:
    """JavaScript: the panel's first line of this queue."""
    lines = "[...document.querySelectorAll('.letters li button')]"
    return f"{lines}.find((line) => line.title.startsWith({queue!r}))"


async def test_without_letters_it_is_one_calm_line_and_with_some_the_newest_come_first(
    page: Page, world: World
) -> None:
    async with ops_port(world, past_s=800) as port:
        await opened(page, port.url)
        await page.until(f"{text('.letters')} === 'Dead letters None waits.'")
        assert await page.js("document.querySelector('.letters').offsetHeight < 50")
        bottom = "Math.max(...['.summary', '.actors', '.side'].map((s) => {}.getBoundingClientRect().bottom))"
        assert await page.js(f"{bottom.format('document.querySelector(s)')} <= innerHeight"), "one screen at 1280 x 800"
        await shoot(page, "letters-none")
        await some_letters(world)
        await page.until(f"{text('.letters .sum')} === '16 letters with 28 events'")
        lines = await page.js("[...document.querySelectorAll('.letters .who')].map((who) => who.innerText)")
        assert lines == [TRACES, POSTS, POSTS]
        await shoot(page, "letters-panel")
        assert page.complaints == []


async def test_letters_are_filtered_looked_at_and_replayed_by_keyboard(page: Page, world: World) -> None:
    await some_letters(world)
    async with ops_port(world, past_s=800) as port:
        await opened(page, port.url)
        await page.until(f"!!{OPENER}")
        await page.js(f"{OPENER}.focus()")
        await page.press("Enter")
        await page.until(f"{text('#effect')}.startsWith('16 letters with 28 events wait. To replay, choose a queue')")
        assert await page.js("document.querySelector('#confirm').disabled"), "not everything by mistake"
        await shoot(page, "letters-all")
        await page.js("document.querySelector('#l-reason').focus()")
        await page.write("missing required")
        await page.until(f"{text('#effect')}.startsWith('This sends 12 letters with 24 events to {POSTS} again.')")
        assert await page.js(text("#confirm")) == "Replay 12 letters"
        assert await page.js("document.querySelectorAll('#letters button').length") == 12

        await page.press("Tab")  # the time
        await page.press("Tab")
        assert await page.js(f"{ACTIVE}.closest('#letters li') === document.querySelector('#letters li')")
        await page.press("Enter")
        await page.until(f"{text('#body')}.includes('INSTAGRAM')")
        assert await page.js(f"{ACTIVE}.innerText") == "All letters"
        body = await page.js("document.querySelector('#body').innerText")
        assert '"likes": 12' in body and '"access_token": "•••"' in body and SECRET not in body
        assert MISSING in await page.js(text("dialog .facts"))
        (newest,) = await world.letters.find(LetterFilter(reason="missing", limit=1))
        assert await page.js(f"{text('dialog code')}.includes('replay --id {newest.id} --why')")
        await shoot(page, "letters-one")
        await page.press("Enter")
        await page.until(f"{ACTIVE}.closest('#letters li') === document.querySelector('#letters li')")

        await page.js("document.querySelector('#why').focus()")
        await page.write("the field is there now")
        command = "python -m gcc.supervisor replay --reason 'missing required' --why 'the field is there now'"
        await page.until(f"{text('dialog code')} === {json.dumps(command)}")
        await shoot(page, "letters-replay")
        assert (world.controls.log, len(world.connection.database.outbox)) == ({}, 0)
        await page.press("Enter")
        await page.until(f"{text('#told')}.includes('12 letters replayed.')")
        assert len(world.connection.database.outbox) == 12
        row = "replay dead letters reason=missing required 12 the field is there now"
        await page.until(f"{text('.log tbody')}.includes({json.dumps(row)})")
        await page.until(f"{text('.letters .sum')} === '4 letters with 4 events'")
        assert page.complaints == []


async def test_a_line_of_the_panel_opens_its_letters_and_one_is_replayed_alone(page: Page, world: World) -> None:
    await some_letters(world)
    async with ops_port(world) as port:
        await opened(page, port.url)
        await page.until(f"!!{line_of(TRACES)}")
        await page.js(f"{line_of(TRACES)}.click()")
        await page.until(f"{text('#effect')}.startsWith('This sends 1 letter with 1 event to {TRACES} again.')")
        await page.js("document.querySelector('#letters button').click()")
        await page.until(f"{text('#body')}.includes('token=•••')")
        await page.js("document.querySelector('#why').focus()")
        await page.write("x")
        await page.press("Enter")
        await page.until(f"{text('#told')}.includes('1 letter replayed.')")
        assert [row.frame.route.key for row in world.connection.database.outbox] == [TRACES]


async def test_a_letter_that_cannot_be_read_says_so(page: Page, world: World) -> None:
    letter = await world.bury(POSTS, b"{}", MISSING)
    world.letters.lost.add(letter.id)
    async with ops_port(world) as port:
        await opened(page, port.url)
        await page.until(f"!!{OPENER}")
        await page.js(f"{OPENER}.click()")
        await page.until("!!document.querySelector('#letters button')")
        await page.js("document.querySelector('#letters button').click()")
        await page.until(f"{text('dialog .refusal')}.includes('cannot be read')")
        assert await page.js("document.querySelector('#confirm').disabled")
        await page.js("document.querySelector('.back').click()")
        await page.until("!!document.querySelector('#l-reason')")
        await page.js("document.querySelector('#l-reason').focus()")
        await page.write("source")
        await page.until(f"{text('#confirm')} === 'Replay 1 letter'")
        await page.js("document.querySelector('#why').focus()")
        await page.write("x")
        await page.press("Enter")
        await page.until(f"{text('#told')}.includes('0 letters replayed. 1 could not be read and wait on.')")


async def test_it_fits_a_phone_and_the_dark(page: Page, world: World) -> None:
    await some_letters(world)
    await world.bury(
        POSTS, b'{"caption": "' + b"x" * 300 + b'"}', "a reason " * 30, **{"x-a-header-of-some-length": "v" * 90}
    )
    async with ops_port(world, past_s=800) as port:
        for width, scheme in ((1280, "dark"), (360, "light")):
            await page.look(width=width, height=800, scheme=scheme)
            await opened(page, port.url)
            await page.until(f"!!{OPENER}")
            await shoot(page, f"letters-page-{width}", whole_page=True)
            await page.js(f"{OPENER}.click()")
            await page.until("document.querySelectorAll('#letters button').length === 17")
            dialog = "document.querySelector('dialog')"
            box = f"{dialog}.getBoundingClientRect()"
            fits = (
                f"{box}.left >= 0 && {box}.right <= {width} && {dialog}.scrollWidth <= {dialog}.clientWidth "
                f"&& document.documentElement.scrollWidth === {width}"
            )
            assert await page.js(fits)
            await shoot(page, f"letters-dialog-{width}")
            await page.js("document.querySelector('#letters button').click()")
            await page.until(f"{text('#body')}.includes('caption')")
            assert await page.js(fits)
            await shoot(page, f"letters-one-{width}")
            await page.press("Escape")
            await page.until(f"!{dialog}.open")
        assert page.complaints == []

"""The dashboard in a real browser: it is live, honest when the server is gone, and works small, dark and by keyboard.

With SHOTS_DIR=DIR the screens are kept there for people to look at.
"""

import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import trio

from gcc.actors.controls import PAUSE, Action
from gcc.channels.exchange import QueueDepth
from gcc.channels.jobs import Failure, JobStatus, NewJob, Room
from gcc.clock import SystemClock
from gcc.errors import Transient
from gcc.pipelines.events.types import EVENT_TYPES
from gcc.supervisor.lifecycle import State
from gcc.supervisor.watchdog import Watchdog
from tests.chromium import Page
from tests.integration.ops_platform import IDLE_FLOWS, IDLE_QUEUES, TOKEN, WORKING, YOUTUBE, World, ops_port

ACTIVE = "document.activeElement"
SCRAPER = f"scraping/scraper {YOUTUBE}"


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


def done(verb: str, target: str, why: str, things: int | None = None) -> Action:
    clock = SystemClock()
    return Action(clock.new_id(), clock.now(), "ann@desk", why, verb, target, things)


def text(selector: str) -> str:
    """JavaScript for what stands there; '' where nothing is."""
    return f"(document.querySelector({selector!r})?.innerText ?? '').replace(/\\s+/g, ' ').trim()"


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
        assert await page.js(flow) == [
            "refresh_profile_by_handle 16 412 16 571 1 0 0",
            "refresh_yt_profiles 8 240 8 752 0 0 0",
        ]
        assert await page.js("document.querySelectorAll('.plot canvas').length") == 2
        bottom = "Math.max(...['.summary', '.actors', '.side'].map((s) => {}.getBoundingClientRect().bottom))"
        assert await page.js(f"{bottom.format('document.querySelector(s)')} <= innerHeight"), "one screen at 1280 x 800"
        assert "Nobody has done anything yet" in await page.js(text(".log"))
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
        await world.controls.record(done("pause", "scraping/scraper refresh_profile_by_handle", "the API wants a rest"))
        await world.controls.record(
            done("retry", "jobs flow=refresh_yt_profiles status=FAILED", "keys renewed", 12_345)
        )
        await page.until(f"{text('.log tbody')}.includes('12,345')")
        for width in (900, 360):
            await page.look(width=width, height=800)
            await page.until(f"innerWidth === {width} && {ground} === {light[0]!r}")
            assert await page.js("document.documentElement.scrollWidth") == width
            await shoot(page, f"dashboard-{width}", whole_page=True)
        await page.js("document.querySelector('#actor-events-relay button').click()")
        await page.until("!!document.querySelector('.buttons button')")
        for opener in (".jobs .head .small", ".buttons button", ".level button", ".chip", "button.drain"):
            await page.js(f"document.querySelector('{opener}').click()")
            await page.until(f"{ACTIVE}.matches('dialog input')")
            dialog = "document.querySelector('dialog')"
            box = f"{dialog}.getBoundingClientRect()"
            fits = f"{box}.left >= 0 && {box}.right <= 360 && {dialog}.scrollWidth <= {dialog}.clientWidth"
            assert await page.js(f"{fits} && document.documentElement.scrollWidth === 360"), opener
            await shoot(page, f"dialog-360-{opener.strip('.').replace(' ', '').replace('.', '-')}")
            await page.press("Escape")
            await page.until("!document.querySelector('dialog').open")
        assert page.complaints == []


async def test_what_is_not_known_is_a_dash_and_not_a_zero(page: Page, world: World) -> None:
    world.counts_down = True
    async with ops_port(world) as port:
        await opened(page, port.url)
        await page.until(f"{text('#verdict')}.includes('PostgreSQL does not answer')")
        values = await page.js("[...document.querySelectorAll('.tile .big')].map((big) => big.innerText)")
        assert values[1:] == ["–", "–", "–", "–"]
        assert "Not counted yet" in await page.js(text(".jobs"))
        await page.js("document.querySelector('#fold-flows').click()")
        await page.until("!!document.querySelector('#idle-flows')")
        flows = "[...document.querySelectorAll('#idle-flows tr')].map((tr) => tr.innerText.replace(/\\s+/g, ' '))"
        assert "refresh_profile_by_handle 16 – – – – – –" in await page.js(flows)
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
        await page.until(f"{ACTIVE}.id === 'why'")
        with world.drain.stage("scrapers").member("scraper refresh_yt_profiles"):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(world.drain.run)
                await page.write("moving house")
                await page.js("document.querySelector('#confirm').click()")
                await page.until(f"{text('dialog')}.includes('waits for scraper refresh_yt_profiles')")
                assert world.asked == [(None, "asked for by dashboard: moving house")]
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


async def test_what_is_idle_and_well_is_one_line_that_opens_by_keyboard(page: Page, world: World) -> None:
    lines = "[...document.querySelectorAll('.actors tbody tr')].map((r) => r.innerText.split('\\t')[0].trim())"
    names = "[...document.querySelectorAll('.uses.{} .name')].map((name) => name.innerText)"
    idle, flows = len(EVENT_TYPES) - len(WORKING), len(IDLE_FLOWS)
    async with ops_port(world, past_s=800) as port:
        await opened(page, port.url)
        await page.until(f"{text('#fold-queue')} === '{len(IDLE_QUEUES)} idle queues'")
        assert await page.js(text("#fold-sinkers")) == f"{idle} idle sinkers"
        assert await page.js(text("#fold-scrapers")) == f"{flows} idle scrapers"
        assert await page.js(text("#fold-channel")) == f"{idle + flows} idle channels"
        assert await page.js(text("#fold-flows")) == f"{flows} flows without jobs"
        assert await page.js(names.format("queue")) == [queue.queue for queue in world.counts.queues[:4]]

        rows = "document.querySelectorAll('.actors tbody tr, .jobs tbody tr, .uses li').length"
        for fold, many in (
            ("#fold-sinkers button", idle), ("#fold-scrapers button", flows), ("#fold-flows", flows),
            ("#fold-queue", len(IDLE_QUEUES)), ("#fold-channel", idle + flows),
        ):  # fmt: skip
            before = await page.js(rows)
            await page.js(f"document.querySelector('{fold}').focus()")
            await page.press("Enter")
            await page.until(f"{rows} === {before + many}")
            assert await page.js(f"{ACTIVE}.getAttribute('aria-expanded')") == "true"
        await shoot(page, "dashboard-unfolded", whole_page=True)
        assert "sinker order_log" in await page.js(lines)
        await page.js("document.querySelector('#fold-sinkers button').click()")
        await page.until(f"!{lines}.includes('sinker order_log')")

        world.board.actor("events/sinker order_log").processed(1)  # it works: it has a line of its own from now on
        await page.until(f"{lines}.includes('sinker order_log')")
        assert await page.js(text("#fold-sinkers")) == f"{idle - 1} idle sinkers"
        await page.js("document.querySelector('#fold-scrapers button').click()")
        world.board.actor("scraping/scraper fetch_post_likes").processed(1)
        await page.until(f"{text('#fold-scrapers')} === '{flows - 1} idle scrapers'")
        await page.until(f"{lines}.includes('fetch_post_likes') && !{lines}.includes('fetch_post_comments')")
        world.board.actor("events/sinker asset_log").erred(Transient("away"))  # so has one with an error
        await world.controls.write(PAUSE + "events/sinker event", True, done("pause", "events/sinker event", "x"))
        await page.until(f"{text('#fold-sinkers')} === '{idle - 3} idle sinkers'")
        await page.until(f"{text('#actor-events-sinker-event .state')} === 'paused'")
        shown = await page.js(lines)
        assert shown.index("sinker order_log") < shown.index(f"{idle - 3} idle sinkers") < shown.index("analytics")


async def test_a_queue_that_nobody_takes_from_yet_is_kept_and_not_late(page: Page, world: World) -> None:
    queues = [queue for queue in world.counts.queues if queue.queue != "keyword_collection_q"]
    world.set_counts(queues=[*queues, QueueDepth("keyword_collection_q", 3, 0, 86_400.0)])
    world.board.actor("events/sinker post_log").state = State.RUNNING
    async with ops_port(world) as port:
        await opened(page, port.url)
        await page.until(f"{text('.uses.queue')}.includes('keyword_collection_q kept 1 d 0 h 3')")
        assert await page.js(text("#verdict")) == f"All {len(world.board.actors())} actors are well"


async def test_a_scraper_is_paused_and_resumed_by_keyboard_with_a_reason(page: Page, world: World) -> None:
    row = "#actor-scraping-scraper-refresh_yt_profiles"
    async with ops_port(world) as port:
        await opened(page, port.url)
        await page.until(f"{text('.jobs')}.includes('240')")
        await page.js(f"document.querySelector('{row} .turn button').focus()")
        await page.press("Enter")
        await page.until(f"{ACTIVE}.id === 'why'")
        told = await page.js(text("dialog"))
        assert "The 8 it holds are finished. 240 waiting jobs stay PENDING" in told and "in every process" in told
        await page.press("Enter")  # without a reason
        assert await page.js(f"{ACTIVE}.id === 'why' && {ACTIVE}.validity.valueMissing")
        assert world.controls.log == {}
        await page.write("keys are being renewed, isn't it")
        command = (
            "python -m gcc.supervisor pause 'scraping/scraper refresh_yt_profiles' "
            "--why 'keys are being renewed, isn'\\''t it'"
        )
        await page.until(f"{text('dialog code')} === {json.dumps(command)}")
        await shoot(page, "dialog-pause")
        await page.press("Enter")
        await page.until(f"{text(row + ' .state')} === 'paused'")
        await page.until(f"{text('#told')}.includes('refresh_yt_profiles is paused.')")
        assert world.board.actor(SCRAPER).state is State.PAUSED
        assert f"{SCRAPER} is paused" in await page.js("document.querySelector('#verdict').title")
        words = f"dashboard pause {SCRAPER} – keys are being renewed, isn't it"
        assert words in await page.js(text(".log tbody tr"))
        assert await page.js(f"{ACTIVE}.ariaLabel") == f"Resume {SCRAPER}…", "the focus is back where it was"

        await page.press("Enter")
        await page.until(f"{ACTIVE}.id === 'why'")
        assert "Paused by dashboard: keys are being renewed" in await page.js(text("dialog"))
        await page.write("they are renewed")
        await page.press("Enter")
        await page.until(f"{text(row + ' .state')} === 'running'")
        await page.until("document.querySelectorAll('.log tbody tr').length === 2")
        assert (world.controls.overrides, world.board.actor(SCRAPER).state) == ({}, State.RUNNING)


async def test_failed_jobs_are_counted_before_they_are_retried(page: Page, world: World) -> None:
    for number in range(15):
        await world.jobs.enqueue([NewJob(YOUTUBE, "YOUTUBE", {"handle": f"f{number}"})])
        (job,) = await world.jobs.claim({YOUTUBE: Room(1)})
        await world.jobs.fail(job, Failure("SOURCE_FAILED" if number < 12 else "NOT_FOUND", "it answered 500", None))
    world.set_counts(jobs_by_flow={YOUTUBE: {"PENDING": 240, "FAILED": 15}})
    async with ops_port(world) as port:
        await opened(page, port.url)
        await page.until(f"{text('.jobs tbody')}.includes('15')")
        await page.js("document.querySelector('[data-word=Failed] button').click()")
        sentence = f"{text('#effect')}.includes('This puts {{}} back to PENDING')"
        await page.until(sentence.format("15 FAILED jobs of refresh_yt_profiles"))
        await page.js("document.querySelector('#f-code').focus()")
        await page.write("SOURCE_FAILED")
        await page.until(sentence.format("12 FAILED jobs of refresh_yt_profiles with the failure SOURCE_FAILED"))
        assert await page.js(text("#confirm")) == "Retry 12 jobs"
        await page.js("document.querySelector('#why').focus()")
        await page.write("it is back")
        command = "jobs retry --flow refresh_yt_profiles --status FAILED --code SOURCE_FAILED --why 'it is back'"
        await page.until(f"{text('dialog code')}.endsWith({json.dumps(command)})")
        await shoot(page, "dialog-retry")
        assert world.controls.log == {}, "counting is no action"
        await page.press("Enter")
        await page.until(f"{text('#told')}.includes('12 jobs wait again.')")
        row = "retry jobs flow=refresh_yt_profiles status=FAILED code=SOURCE_FAILED 12 it is back"
        await page.until(f"{text('.log tbody')}.includes({row!r})")
        statuses = Counter(row.job.status for row in world.connection.database.jobs.values())
        assert statuses == {JobStatus.PENDING: 12, JobStatus.FAILED: 3}

        await page.js("document.querySelector('[data-word=Waiting] button').click()")
        await page.until(f"{text('#effect')}.includes('This ends 12 PENDING jobs of refresh_yt_profiles as CANCELLED')")
        await shoot(page, "dialog-cancel")
        await page.js("document.querySelector('#f-flow').value = ''")
        await page.js("document.querySelector('#f-flow').dispatchEvent(new Event('change'))")
        await page.js("document.querySelector('#f-state').value = ''")
        await page.js("document.querySelector('#f-state').dispatchEvent(new Event('change'))")
        await page.until(f"{text('#effect')}.includes('cancel of all jobs is not meant')")
        assert await page.js("document.querySelector('#confirm').disabled")


async def test_an_actor_that_is_stuck_shows_where_it_stands(page: Page, world: World) -> None:
    actor, storm = world.board.actor("analytics/transformer"), world.board.actor("analytics/sync")
    source = world.board.actor("sources/ytapi")
    source.state, source.breaker = State.BACKOFF, "open"
    for _ in range(4):
        storm.restarted(window_s=60)
    storm.crashed(ValueError("month must be in 1..12, not " + "1" * 10_000))

    answer = trio.Event()

    async def wait_for_an_answer() -> None:
        with actor.watched(lambda: True, stuck_after_s=0.02), trio.CancelScope(shield=True):
            await answer.wait()

    async with ops_port(world, past_s=800) as port, trio.open_nursery() as nursery:
        nursery.start_soon(Watchdog(world.board, every_s=0.02).run)
        nursery.start_soon(wait_for_an_answer)
        try:
            await opened(page, port.url)
            stuck = "#actor-analytics-transformer .state button"
            await page.until(f"{text(stuck)} === 'stuck'")
            assert await page.js(text("#actor-analytics-sync .state")) == "restart storm"
            assert await page.js(text("#actor-sources-ytapi .state")) == "breaker open"
            verdict = await page.js("document.querySelector('#verdict').title")
            assert verdict.splitlines()[:3] == [
                "analytics/transformer is stuck",
                "analytics/sync is restarted again and again",
                "sources/ytapi waits: its breaker is open",
            ]
            assert {len(line["stack"] or "") for line in port.composer.status()["actors"] if line["storm"]} == {4096}
            await shoot(page, "dashboard-troubles")
            await page.js(f"document.querySelector({stuck!r}).click()")
            await page.until(f"{text('dialog h2')} === 'Where analytics/transformer stands'")
            assert "in wait_for_an_answer" in await page.js(text("dialog pre"))
            assert "work has waited" in await page.js(text("dialog .error-text"))
            await shoot(page, "dialog-stack")
            await page.press("Escape")
            await page.until("!document.querySelector('dialog').open")
        finally:
            answer.set()
            nursery.cancel_scope.cancel()


async def test_concurrency_is_changed_and_a_role_drained_and_resumed(page: Page, world: World) -> None:
    level = world.gates.concurrency(YOUTUBE, 8)
    async with ops_port(world) as port:
        await opened(page, port.url)
        await page.until("document.querySelectorAll('.level button').length > 1")
        await page.js("document.querySelectorAll('.level button')[1].click()")
        await page.until(f"{ACTIVE}.id === 'at-once' && document.querySelector('#confirm').disabled")
        await page.js(f"{ACTIVE}.select()")
        await page.write("24")
        await page.until(f"{text('dialog')}.includes('From 8 up to 24 jobs at once in each process.')")
        await shoot(page, "dialog-concurrency")
        await page.js("document.querySelector('#why').focus()")
        await page.write("more keys")
        await page.press("Enter")
        await page.until("document.querySelectorAll('.level')[1].innerText.startsWith('24 (8)')")
        await page.until(f"{text('.log tbody')}.includes('concurrency refresh_yt_profiles 24 – more keys')")
        assert level.value == 24

        with world.roles.here["scraper"].stage("scrapers").member("scraper refresh_yt_profiles"):
            await page.js("document.querySelector('#role-scraper').click()")
            await page.until(f"{ACTIVE}.id === 'why'")
            assert "In flight now: 24" in await page.js(text("dialog"))
            assert "drain --role scraper --why" in await page.js(text("dialog code"))
            await page.write("deploy")
            await page.press("Enter")
            await page.until(f"{text('#role-scraper')} === 'scraper draining'")
            await page.js("document.querySelector('#role-scraper').click()")
            await page.until(f"{text('dialog')}.includes('waits for scraper refresh_yt_profiles')")
            await page.press("Escape")
        await page.until(f"{text('#role-scraper')} === 'scraper drained'")
        assert "role scraper is drained" in await page.js("document.querySelector('#verdict').title")
        await page.js("document.querySelector('#role-scraper').click()")
        await page.until(f"{text('#confirm')} === 'Resume' && {ACTIVE}.id === 'why'")
        await page.write("deployed")
        await page.press("Enter")
        await page.until("document.querySelector('#role-scraper').title.startsWith('Role scraper: running')")
        verbs = "[...document.querySelectorAll('.log .what b')].map((b) => b.innerText)"
        await page.until("document.querySelectorAll('.log tbody tr').length === 3")
        assert await page.js(verbs) == ["resume", "drain", "concurrency"]


async def test_without_the_token_the_page_tells_the_way_in(page: Page, world: World) -> None:
    async with ops_port(world) as port:
        await page.go(port.url)
        await page.until(f"{text('h1')} === 'This page needs its token'")
        await shoot(page, "dashboard-locked")

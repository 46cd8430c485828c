"""The pages beside the overview, in a real browser: each at its address, live, in words when something is away, small,
dark and by keyboard. What is shown is text, whatever it holds.

With SHOTS_DIR=DIR the screens are kept there for people to look at.
"""

import datetime as dt
import math
import uuid
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import trio

from gcc.channels.jobs import Failure, JobStatus, NewJob, Room
from gcc.clock import SystemClock
from gcc.sources.limits import Take
from gcc.stores.job_history import History
from gcc.stores.vault import Listed
from gcc.supervisor.lifecycle import State
from tests.chromium import Page
from tests.integration.ops_platform import INSTAGRAM, TOKEN, YOUTUBE, Modelled, World, ops_port, process
from tests.integration.test_dashboard import ACTIVE, shoot, text

NASTY = "<img src=x onerror=alert(1)>"
NOW = SystemClock().now()
PATHS = (
    "/jobs", "/sources", "/events", "/scorer", "/models", "/quality", "/schedules", "/syncs", "/replicas", "/processes",
)  # fmt: skip
NAMES = "[...document.querySelectorAll('.found tbody th')].map((th) => th.innerText.trim())"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    world.close()


async def opened(page: Page, url: str, path: str) -> None:
    await page.go(f"{url}{path}{'&' if '?' in path else '?'}token={TOKEN}")
    await page.until("!location.search.includes('token') && !!document.querySelector('main .panel')")


async def fill(page: Page, selector: str, words: str) -> None:
    await page.until(f"!!document.querySelector({selector!r})")
    await page.js(f"document.querySelector({selector!r}).focus()")
    await page.write(words)


async def choose(page: Page, selector: str, value: str) -> None:
    """As a person does: not before it can be chosen, as what is listed and what there is to choose may come apart."""
    field = f"document.querySelector({selector!r})"
    await page.until(f"[...{field}.options].some((option) => option.value === {value!r})")
    await page.js(f"{field}.value = {value!r}; {field}.dispatchEvent(new Event('change', {{bubbles: true}}))")


async def some_jobs(world: World) -> str:
    """Five that wait and two that failed, one of them by a bug: that one's id."""
    await world.jobs.enqueue([NewJob(YOUTUBE, "YOUTUBE", {"handle": NASTY})])
    await world.jobs.enqueue([NewJob(YOUTUBE, "YOUTUBE", {"handle": "renamed"})])
    lost, bug = sorted(await world.jobs.claim({YOUTUBE: Room(2)}), key=lambda job: job.params["handle"] == NASTY)
    await world.jobs.fail(lost, Failure("PROFILE_NOT_FOUND", "there is no such channel", None))
    await world.jobs.fail(bug, Failure("BUG", f"KeyError: {NASTY}", None, traceback=f"in work\nKeyError: {NASTY}"))
    await world.jobs.enqueue([NewJob(INSTAGRAM, "INSTAGRAM", {"handle": f"asha_{n}"}) for n in range(5)])
    return str(bug.id)


async def test_every_page_has_an_address_and_the_way_back_works_without_loading(page: Page, world: World) -> None:
    await some_jobs(world)
    world.models = [Modelled([])]
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/processes")
        await page.js("window.same_page = true")
        for path in (*PATHS, "/"):
            await page.js(f"document.querySelector('.pages a[href=\"{path}\"]').click()")
            await page.until(
                f"location.pathname === {path!r} && !!document.querySelector('.pages a[href=\"{path}\"][aria-current]')"
            )
            await page.until("!!document.querySelector('main .panel h2')")
        await page.js("history.back()")
        await page.until("location.pathname === '/processes' && document.title.startsWith('Processes · ')")
        assert await page.js("window.same_page")
        for path in PATHS:  # as a bookmark: without the token, whose cookie is there
            await page.go(port.url + path)
            await page.until("!!document.querySelector('main .panel h2')")
            for width, scheme in ((1280, "dark"), (360, "light")):
                await page.look(width=width, height=800, scheme=scheme)
                await page.until(f"innerWidth === {width}")
                assert await page.js("document.documentElement.scrollWidth") == width, path
                await shoot(page, f"page-{path[1:]}-{width}-{scheme}", whole_page=True)
            await page.look(width=1280, height=800)
        assert page.complaints == []
        assert {urlsplit(url).netloc for url in page.requests} == {f"127.0.0.1:{port.number}"}


async def test_jobs_are_searched_filtered_and_one_is_looked_at_and_retried(page: Page, world: World) -> None:
    bug = await some_jobs(world)
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/jobs")
        await page.until(f"{text('#found')} === '7 of 7, newest first.'")
        await fill(page, "#q-text", "RENAMED")
        await page.until(f"{NAMES}.join() === 'renamed' && location.search === '?text=RENAMED'")
        assert await page.js(text("#found")) == "1 with “RENAMED” among all of them."
        await page.go(f"{port.url}/jobs?status=FAILED&code=BUG")
        await page.until(f"{NAMES}.length === 1")
        assert await page.js(NAMES) == [NASTY], "text, whatever it holds"
        await page.js("document.querySelector('.found tbody th a').click()")
        await page.until(f"location.pathname === '/jobs/{bug}' && !!document.querySelector('#traceback')")
        assert await page.js("document.querySelector('#traceback').innerText") == f"in work\nKeyError: {NASTY}"
        assert await page.js(text("#h-job")) == NASTY
        assert "no role of this process opens ClickHouse" in await page.js("document.querySelector('main').innerText")

        asked = {
            "source": "ytapi",
            "method": "GET",
            "uri": "/channels?key=AIza1&id=" + NASTY,
            "status": 503,
            "bytes": 9,
        }
        world.history.told = History(
            [{"seq": n, "status": status, "reason": reason, "retry_count": 0, "at": NOW + dt.timedelta(seconds=n)}
             for n, (status, reason) in enumerate([("PENDING", None), ("PROCESSING", None), ("FAILED", NASTY)], 1)],
            [{**asked, "took_s": 0.2, "host": "h", "at": NOW}],
        )  # fmt: skip
        await page.go(f"{port.url}/jobs/{bug}")
        rows = "[...document.querySelectorAll('main tbody tr')].map((tr) => tr.innerText.replace(/\\s+/g, ' ').trim())"
        await page.until(f"{rows}.length === 4")
        shown = await page.js(rows)
        assert shown[2].endswith(f"2 s failed 1 {NASTY}")
        assert f"GET /channels?key=•••&id={NASTY}" in shown[3] and "503" in shown[3]
        await shoot(page, "page-job", whole_page=True)

        await page.js("document.querySelector('#move').click()")
        await page.until(f"{ACTIVE}.id === 'why'")
        assert f"jobs retry --id {bug} --why" in await page.js(text("dialog code"))
        await page.write("the field is back")
        await page.press("Enter")
        await page.until(f"{text('.head .state')} === 'waiting'")
        assert world.connection.database.jobs[uuid.UUID(bug)].job.status is JobStatus.PENDING
        (action,) = world.controls.log.values()
        assert (action.verb, action.why, action.things) == ("retry", "the field is back", 1)
        assert page.complaints == []


async def test_a_word_and_a_flow_that_are_chosen_in_one_breath_both_count(page: Page, world: World) -> None:
    await some_jobs(world)
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/jobs")
        await page.until(f"{text('#found')} === '7 of 7, newest first.'")
        await fill(page, "#q-text", "renamed ")
        await choose(page, "#q-flow", YOUTUBE)
        await page.until(f"location.search === '?flow={YOUTUBE}&text=renamed'")
        await page.until(f"{NAMES}.join() === 'renamed'")
        assert await page.js("document.querySelector('#q-text').value") == "renamed ", "more may follow"
        assert await page.js("document.querySelector('.found .head button').disabled"), "it would move others too"


async def test_an_address_that_is_nearly_right_shows_the_page(page: Page, world: World) -> None:
    await some_jobs(world)
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/jobs")
        await page.go(f"{port.url}/jobs/")
        await page.until(f"{text('#found')} === '7 of 7, newest first.'")
        await page.go(f"{port.url}/job")
        await page.until(f"{text('main h2')} === 'There is no such page'")


async def test_a_job_that_is_over_is_looked_at_seldom(page: Page, world: World) -> None:
    bug = await some_jobs(world)
    world.history.told = History([{"seq": 1, "status": "FAILED", "reason": "", "retry_count": 0, "at": NOW}], [])
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/sources")
        await page.js(
            "window.pauses = []; const real = setTimeout;"
            " window.setTimeout = (then, ms) => (pauses.push(ms), real(then, Math.min(ms, 50)))"
        )
        await page.js(f"history.pushState(null, '', '/jobs/{bug}'); dispatchEvent(new PopStateEvent('popstate'))")
        await page.until(f"{text('.head .state')} === 'failed' && pauses.includes(30000)")


async def test_more_jobs_than_a_page_holds_are_read_on(page: Page, world: World) -> None:
    await world.jobs.enqueue([NewJob(YOUTUBE, "YOUTUBE", {"handle": f"c{n}"}) for n in range(70)])
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/jobs")
        await page.until(f"{text('#found')} === '50 of 70, newest first.'")
        first = await page.js(NAMES)
        await page.js("document.querySelector('.pager a').click()")
        await page.until(f"{NAMES}.length === 20")
        assert not set(first) & set(await page.js(NAMES))
        await page.js("document.querySelector('.pager a').click()")
        await page.until(f"{NAMES}.length === 50")


async def test_sources_tell_rests_and_credentials_and_the_database_that_is_away(page: Page, world: World) -> None:
    world.credentials = [
        Listed("ytapi", "ytapi-2", math.inf, "API key not valid", NOW, 2, 1),
        Listed("ytapi", "ytapi-1", 0.0, None, NOW, 2, 1),
    ]
    line = world.board.actor("sources/ytapi")
    line.breaker, line.state = "open", State.BACKOFF
    async with ops_port(world, past_s=60) as port:
        line.retry_at = trio.current_time() + 50
        await opened(page, port.url, "/sources")
        await page.until("document.querySelectorAll('.source').length === 2")
        await page.until(f"{text('#source-ytapi .head')}.startsWith('ytapi rests, asked again in 4')")
        shown = await page.js(text("#source-ytapi"))
        assert "50 calls in any 1 s" in shown and "1 of 2 ready" in shown
        assert "ytapi-2 token waits for a new token – – – API key not valid" in shown
        without = await page.js(text("#source-graphapi"))
        assert without.startswith("graphapi cannot be asked")
        assert not await page.js("document.querySelectorAll('svg.icon > path:not([d])').length")
        assert "credentials add graphapi HANDLE --account IG_USER_ID --why WHY" in without
        assert (await page.js(text("#off"))).startswith("Off until sources.NAME.enabled = true")
        assert "None is known" in without and "GCC_SOURCES__GRAPHAPI__TOKENS" in without
        world.counts_down = True
        await page.until(
            f"{text('#source-graphapi')}.includes('The credentials cannot be told now: PostgreSQL does not answer')"
        )
        assert "50 calls in any 1 s" in await page.js(text("#source-graphapi")), "the rest stays"


async def test_credentials_tell_whose_they_are_what_rests_and_when_they_end(page: Page, world: World) -> None:
    rest = {"bucket": "search", "back_in_s": 7200.0, "reason": "HTTP 429: 'Search Queries per day'"}
    throttled = "HTTP 400, code 4: Application request limit reached"
    world.credentials = [
        Listed(
            "graphapi", "asha", 900.0, throttled, NOW, 3, 1, kind="facebook", app="1029384756", rest_scope="app",
            account="17841400000000001", expires_at=NOW, data_access_expires_at=NOW, uses=48_210, used_at=NOW,
        ),
        Listed("graphapi", "lent", math.inf, "by hand: lent out", NOW, 3, 1, kind="instagram", enabled=False),
        Listed("graphapi", "spare", 0.0, None, NOW, 3, 1),
        Listed("ytapi", "main", 0.0, None, NOW, 1, 1, kind="key", buckets=[rest], uses=9, used_at=NOW),
    ]  # fmt: skip
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/sources")
        await page.until("document.querySelectorAll('.source tbody tr').length === 4")
        shown = await page.js(text("#source-graphapi"))
        assert "asha facebook app 1029384756, account 17841400000000001 rests with all of its app 15 min" in shown
        assert f"{NOW:%Y-%m-%d} data {NOW:%Y-%m-%d} 48,210 {throttled}" in shown
        assert "lent instagram disabled – – – by hand: lent out" in shown
        assert "Calls of search rest for 2 h 00 min: HTTP 429" in await page.js(text("#source-ytapi"))
        for width in (1280, 390):
            for scheme in ("dark", "light"):
                await page.look(width=width, height=800, scheme=scheme)
                await page.until(f"innerWidth === {width}")
                assert await page.js("document.documentElement.scrollWidth") == width
                await shoot(page, f"credentials-{width}-{scheme}", whole_page=True)
        assert page.complaints == []


async def test_limits_are_shown_with_what_narrows_them_and_changed_with_a_why(page: Page, world: World) -> None:
    await world.limiter.narrow(Take("graphapi"), 0.4, 600.0, f"x-app-usage tells 90% {NASTY}")
    await world.limiter.narrow(Take("ytapi.search@ytapi-1", rule="ytapi.search@*"), 0.0, 600.0, "spent")
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/sources")
        await page.until(f"{text('#limits')}.includes('ytapi.search@ytapi-1')")
        shown = await page.js(text("#limits"))
        assert "40 % of it – x-app-usage tells 90% <img" in shown and "closed – spent" in shown
        assert "as configured" in shown
        assert "ytapi.search@ytapi-1 bucket search of ytapi, with credential ytapi-1" in shown
        assert "60 in any 1 min" in shown and "1 min 00 s" not in shown
        for width in (1280, 390):
            for scheme in ("light", "dark"):
                await page.look(width=width, height=900, scheme=scheme)
                assert await page.js("document.documentElement.scrollWidth <= innerWidth"), "nothing is beside the page"
                await shoot(page, f"limits-{width}-{scheme}", whole_page=True)
        await page.js("document.querySelector('[aria-label=\"Change graphapi…\"]').click()")
        await page.until(f"{ACTIVE}.id === 'limit-calls'")
        await page.js(f"{ACTIVE}.select()")
        await page.write("7")
        await fill(page, "#why", "calm")
        await shoot(page, "limits-dialog")
        await page.press("Enter")
        await page.until(f"{text('#told')}.startsWith('graphapi: 7 in any 1 s.')")
        await world.gates_read()
        await page.until(f"{text('#limits')}.includes('7 in any')")
    assert world.controls.overrides["limit:graphapi"]["calls"] == 7
    assert world.controls.overrides["limit:graphapi"]["who"] == "dashboard"


async def test_events_show_queues_and_letters_and_pause_a_queue(page: Page, world: World) -> None:
    await world.bury("trace_log", b"{}", f"not a trace_log event: {NASTY}")
    await world.bury("post_log_events_q", b"{}", "not a post_log event")
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/events")
        await page.until("document.querySelectorAll('#letters li').length === 2")
        await choose(page, "#l-queue", "trace_log")
        await page.until(
            "document.querySelectorAll('#letters li').length === 1 && location.search === '?queue=trace_log'"
        )
        assert await page.js(text("#letters .what")) == f"not a trace_log event: {NASTY}"
        await page.js("document.querySelector('#letters button').click()")
        await page.until(f"{text('dialog h2')} === 'A dead letter'")
        await page.press("Escape")
        await page.until("!document.querySelector('dialog').open")
        await page.js("document.querySelector('.waiting .head button').click()")
        await page.until(f"{text('#confirm')} === 'Replay 1 letter'")
        await page.press("Escape")
        await page.until("!document.querySelector('dialog').open")

        queues = (
            "[...document.querySelectorAll('.queues tbody tr')].map((tr) => tr.innerText.replace(/\\s+/g, ' ').trim())"
        )
        assert (await page.js(queues))[0] == "post_log_events_q 48,210 2,000 41 s backoff Pause…"
        before = await page.js(f"{queues}.length")
        await page.js("document.querySelector('#idle-queues').click()")
        await page.until(f"{queues}.length > {before}")
        await page.js("document.querySelector('.queues tbody button').click()")
        await page.until(f"{ACTIVE}.id === 'why'")
        await page.write("ClickHouse is moved")
        await page.press("Enter")
        await page.until(f"{queues}[0].endsWith('paused Resume…')")
        await page.look(width=1280, height=300)
        await page.js("document.querySelector('#told a').click()")
        await page.until("document.querySelector('#h-log')?.getBoundingClientRect().top < innerHeight")


async def test_replicas_tell_how_far_behind_they_are(page: Page, world: World) -> None:
    told = {"lag_s": 2.0, "rows": 1204, "refused": 0, "error": None}
    world.replicas = [
        {"name": "beat_replica.credential", **told},
        {"name": "beat_replica.asset_log", **told, "lag_s": 75.0},
        {"name": "coffee_replica.partner", **told, "lag_s": None, "error": NASTY},
    ]
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/replicas")
        rows = "[...document.querySelectorAll('main tbody tr')].map((tr) => tr.innerText.replace(/\\s+/g, ' ').trim())"
        await page.until(f"{rows}.length === 3")
        assert await page.js(rows) == [
            "beat_replica.credential follows 2 s 1,204 0",
            "beat_replica.asset_log behind 1 min 15 s 1,204 0",
            f"coffee_replica.partner held up {NASTY} – 1,204 0",
        ]


async def test_processes_are_told_with_their_drained_roles_and_differing_limits(page: Page, world: World) -> None:
    world.processes += [
        process("beta", 7, calls=20, drained=["sinker"]),
        process("gamma", 8, roles=["web"], seen_s=75.0, limits={"graphapi": {"calls": 9, "per_s": 0.1}}),
    ]
    async with ops_port(world, past_s=60) as port:
        await opened(page, port.url, "/processes")
        rows = "[...document.querySelectorAll('main tbody tr')].map((tr) => tr.innerText.replace(/\\s+/g, ' ').trim())"
        await page.until(f"{rows}.length === 3")
        alpha, beta, gamma = await page.js(rows)
        assert alpha.startswith(
            "alpha:4211 this one ready scraper scorer relay sinker analytics web 0.2.0 graphapi 50/s ytapi 50/s"
        )
        assert "limits differ: ytapi" in await page.js("document.querySelector('#verdict').title")
        assert "sinker drained" in beta and gamma.startswith("gamma:8 silent web 0.2.0 graphapi 9 per 0.1 s")
        assert "ytapi: 50 calls per 1 s in alpha:4211, but 20 calls per 1 s in beta:7" in await page.js(text("main"))

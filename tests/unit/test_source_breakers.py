"""A source that does not answer is left alone, fails no job however long it is away, and is taken up again."""

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing

from gcc.actors.scraper import Deferred, Retries
from gcc.channels.jobs import Crawl, Failure, Job, JobStatus
from gcc.clock import VirtualClock
from gcc.config import Scraper
from gcc.errors import Transient
from gcc.metrics import Metrics
from gcc.pipelines.scraping.table import FLOWS, Apis
from gcc.pipelines.scraping.work import FlowWork
from gcc.sources.breakers import FAILURES_MAX, NO_CREDENTIAL_S, Breakers, SourceClosed
from gcc.sources.chain import Outside, Question, Visit, first_of
from gcc.sources.credentials import NoCredential
from gcc.sources.doubts import ODD_MAX
from gcc.sources.http import Answer, Request
from gcc.sources.instagram.graph_client import GraphApi
from gcc.sources.limits import InProcessLimiter, Limit, LimitRefused
from gcc.sources.verdicts import AWAY_S_MAX, CredentialRefused, NotFound, QuestionFailed
from gcc.sources.youtube.data_client import DataApi
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.lifecycle import Actor, Board, State
from tests.fakes.credentials import FakeCredentials
from tests.fakes.erasures import NobodyErased
from tests.fakes.fetcher import FakeFetcher, Reply
from tests.fakes.objects import MemoryObjects
from tests.unit.test_chain import SRC, answers, build, fails, youtube

GOOD, DOWN = Reply(200, b'{"a": 1}'), Reply(503)
FOUND = Reply(200, b'{"business_discovery": {"id": "1", "username": "made.up"}}')


def found(asked: Request) -> Reply:
    """As FOUND, whoever is asked for."""
    _, handle = asked.params["fields"].split("business_discovery.username(")
    return Reply(200, FOUND.body.replace(b"made.up", handle.partition(")")[0].encode()))


class Bench:
    """An Outside whose source answers as `answers` does, with `reply`, and its breaker's line on the board."""

    def __init__(self, reply: Reply = DOWN) -> None:
        self.reply = reply
        self.answers: Callable[[Request], Reply] = lambda _: self.reply
        self.clock = VirtualClock(seed=1)
        self.fetcher = FakeFetcher(lambda asked: self.answers(asked))
        self.credentials = FakeCredentials(self.clock)
        self.limiter = InProcessLimiter({name: Limit(1000, 1.0) for name in ("src", "graphapi", "ytapi")})
        self.board = Board(self.clock.now)
        self.breakers = Breakers(self.board, self.clock.rng, renewals=self.credentials.renewals)
        self.outside = Outside(
            self.fetcher, self.limiter, self.credentials, self.clock, Metrics(), {}, self.breakers
        )  # fmt: skip
        self.visit = Visit()

    @property
    def line(self) -> Actor:
        return self.board.actor("sources/src")

    @property
    def asked(self) -> int:
        return len(self.fetcher.requests)

    @property
    def spent(self) -> int:
        return {use.name: use.used for use in self.limiter.usage()}["src"]

    async def ready(self) -> "Bench":
        await self.credentials.put("src", "a", {"token": "tokenA"})
        await self.credentials.put("graphapi", "a", {"token": "tokenG", "ig_user_id": "1"})
        return self

    async def ask(self) -> object:
        return await self.outside.ask(SRC, Question("thing", build), self.visit)

    async def opened(self) -> "Bench":
        for _ in range(FAILURES_MAX):
            with pytest.raises(Transient):
                await self.ask()
        assert self.line.breaker == "open"
        return self


@pytest.mark.parametrize("reply", [Reply(503), Reply(200, b"<html>"), Reply(lost=True), Reply(delay_s=60)])
async def test_failures_in_a_row_open_it_and_nothing_is_asked_or_spent(
    autojump_clock: trio.testing.MockClock, reply: Reply
) -> None:
    bench = await Bench(reply).ready()
    assert bench.line.breaker is None, "no line before the first question"
    for _ in range(FAILURES_MAX - 1):
        with pytest.raises(Transient) as caught:
            await bench.ask()
        assert not isinstance(caught.value, SourceClosed), "this costs the job an attempt"
        assert (bench.line.breaker, bench.line.state) == ("closed", State.RUNNING)
    with pytest.raises(SourceClosed):
        await bench.ask()
    assert (bench.line.breaker, bench.line.state, bench.line.failed) == ("open", State.BACKOFF, FAILURES_MAX)
    spent = bench.spent
    with pytest.raises(SourceClosed) as caught:
        await bench.ask()
    assert 0 < (caught.value.retry_after_s or 0) <= 1.0
    assert (bench.asked, bench.spent) == (FAILURES_MAX, spent)


@pytest.mark.parametrize(
    "reply", [GOOD, Reply(404), Reply(429, headers={"Retry-After": "1"}), Reply(401)], ids=["200", "404", "429", "401"]
)
async def test_any_answer_ends_the_row_of_failures(autojump_clock: trio.testing.MockClock, reply: Reply) -> None:
    bench = Bench()
    for number in range(3):
        await bench.credentials.put("src", f"c{number}", {"token": f"token{number}"})
    for bench.reply in (DOWN, DOWN, DOWN, DOWN, reply, DOWN, DOWN, DOWN, DOWN):
        try:
            await bench.ask()
        except (NotFound, Transient):
            await trio.sleep(1.1)  # until the rate limit is over
            if bench.reply.status == 401:
                await bench.credentials.put("src", "c0", {"token": "new"})
    assert (bench.line.breaker, bench.line.failed) == ("closed", 8)


async def test_what_is_refused_before_it_is_asked_says_nothing_about_the_source(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench()  # no credential
    for _ in range(2 * FAILURES_MAX):
        with pytest.raises(NoCredential):
            await bench.ask()
    assert (bench.line.breaker, bench.line.failed) == ("closed", 0)


async def test_half_open_lets_one_through_at_a_time(autojump_clock: trio.testing.MockClock) -> None:
    bench = await (await Bench().ready()).opened()
    asked = bench.asked
    await trio.sleep(1.0)
    bench.reply = Reply(200, b'{"a": 1}', delay_s=3.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.ask)
        await trio.sleep(0.1)
        assert (bench.line.breaker, bench.line.state, bench.line.in_flight) == ("half-open", State.RUNNING, 1)
        with pytest.raises(SourceClosed) as caught:
            await bench.ask()
        assert caught.value.retry_after_s == 1.0
        assert bench.asked == asked + 1
    assert bench.line.breaker == "closed"
    await bench.ask()


async def test_a_question_that_is_given_up_leaves_the_place_to_the_next(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = await (await Bench().ready()).opened()
    await trio.sleep(1.0)
    bench.reply = Reply(200, b'{"a": 1}', delay_s=3.0)
    with trio.move_on_after(1.0):
        await bench.ask()
    assert (bench.line.breaker, bench.line.in_flight) == ("half-open", 0)
    bench.reply = GOOD
    await bench.ask()
    assert bench.line.breaker == "closed"


async def test_it_stays_open_longer_each_time_and_a_failed_try_costs_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = await (await Bench().ready()).opened()
    waits_s: list[float] = []
    for _ in range(12):
        with pytest.raises(SourceClosed) as caught:
            await bench.ask()
        waits_s.append(caught.value.retry_after_s or 0)
        await trio.sleep(waits_s[-1])
        with pytest.raises(SourceClosed):  # this one was asked
            await bench.ask()
    assert bench.asked == FAILURES_MAX + 12
    assert all(0.5 * 2**n <= wait_s <= 2**n for n, wait_s in enumerate(waits_s[:6]))
    assert all(30 <= wait_s <= 60 for wait_s in waits_s[6:])


async def test_a_closed_source_falls_to_the_next_and_the_shortest_wait_is_told() -> None:
    closed = fails(SourceClosed("away", retry_after_s=5))
    assert await first_of([("a", closed), ("b", answers)]) == "answer"
    with pytest.raises(LimitRefused):
        await first_of([("a", closed), ("b", fails(LimitRefused("full", retry_after_s=4)))])
    with pytest.raises(SourceClosed):
        await first_of([("a", closed), ("b", fails(NoCredential("none", retry_after_s=None)))])


async def test_a_closed_source_is_out_until_it_may_be_asked(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench().ready()
    assert bench.breakers.out(["src"]) is None
    await bench.opened()
    assert bench.breakers.out(["src", "other"]) is None, "the other one may be asked"
    out = bench.breakers.out(["src"])
    assert out is not None and (out.code, "503" in out.reason) == ("SOURCE_CLOSED", True)
    await trio.sleep_until(out.until)
    assert bench.breakers.out(["src"]) is None
    bench.reply = Reply(200, b'{"a": 1}', delay_s=0.3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.ask)
        await trio.testing.wait_all_tasks_blocked()
        assert bench.breakers.out(["src"]) is not None, "the one question of a half-open breaker is out"
        await bench.breakers.changed()
        assert bench.breakers.out(["src"]) is None, "told by the answer, before a second is over"
    assert trio.current_time() == pytest.approx(out.until + 0.3)


async def test_a_source_whose_limit_is_spent_is_out_until_there_is_room(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(GOOD)
    bench.limiter = InProcessLimiter({"src": Limit(2, 3600.0)})
    bench.outside = Outside(
        bench.fetcher, bench.limiter, bench.credentials, bench.clock, Metrics(), {}, bench.breakers
    )  # fmt: skip
    await bench.ready()
    for _ in range(2):
        await bench.ask()
    assert bench.breakers.out(["src"]) is None, "nobody was refused"
    with pytest.raises(LimitRefused):
        await bench.ask()
    out = bench.breakers.out(["src"])
    assert out is not None and (out.code, out.until) == ("LIMITED", pytest.approx(3600))
    await trio.sleep(3600)
    assert bench.breakers.out(["src"]) is None
    await bench.ask()


async def test_a_source_without_a_credential_is_out_until_one_is_ready_or_a_new_one_comes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = await Bench(Reply(429, headers={"Retry-After": "600"})).ready()

    async def refused() -> float:
        with pytest.raises(NoCredential):
            await bench.ask()
        out = bench.breakers.out(["src"])
        assert out is not None and out.code == "NO_CREDENTIAL"
        return out.until - trio.current_time()

    assert await refused() == pytest.approx(600)
    await trio.sleep(600)
    assert bench.breakers.out(["src"]) is None
    await refused()
    await bench.credentials.put("src", "new", {"token": "another one"})
    assert bench.breakers.out(["src"]) is None, "nobody waits for the old one"
    for credential in [await bench.credentials.pick("src")]:
        await bench.credentials.disable(credential, rest_s=None, reason="dead")
    bench.credentials._rows.clear()
    assert await refused() == NO_CREDENTIAL_S, "nobody knows when there will be one"


async def test_a_question_that_no_ready_credential_may_ask_says_nothing_of_others(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = await Bench(Reply(403)).ready()
    await bench.credentials.put("src", "resting", {"token": "another one"})
    while (credential := await bench.credentials.pick("src")).handle != "resting":
        pass
    await bench.credentials.disable(credential, rest_s=600, reason="429")

    def judge(answer: Answer, now: dt.datetime) -> Any:
        raise CredentialRefused("it may not ask this")

    with pytest.raises(NoCredential):
        await bench.outside.ask(replace(SRC, judge=judge), Question("this", build), bench.visit)
    assert bench.breakers.out(["src"]) is None


def job(retry_count: int, handle: str = "made.up") -> Job:
    clock = VirtualClock(seed=2)
    return Job(
        uuid.UUID(int=1), "refresh_profile_by_handle", "INSTAGRAM", {"handle": handle}, 0, 1, retry_count, 1,
        JobStatus.PROCESSING, clock.now(), clock.now(), clock.now(),
    )  # fmt: skip


def work_of(bench: Bench) -> FlowWork:
    clients = {"graphapi": GraphApi(bench.outside, "http://x"), "ytapi": DataApi(bench.outside, "http://x")}
    apis = Apis(clients, bench.breakers, bench.limiter)
    settings = Scraper()
    retries = Retries(settings.attempts_max, Backoff(settings.backoff_s, settings.backoff_s_max))
    return FlowWork(
        FLOWS["refresh_profile_by_handle"], apis, MemoryObjects(), NobodyErased(), bench.clock, retries, bench.clock.rng
    )


async def test_a_limited_source_gives_slots_back_and_holds_no_other_flow_s(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = await Bench(FOUND).ready()
    await bench.credentials.put("ytapi", "y", {"token": "tokenY"})
    bench.limiter = InProcessLimiter({"graphapi": Limit(1, 3600.0), "ytapi": Limit(1000, 1.0)})
    bench.outside = Outside(
        bench.fetcher, bench.limiter, bench.credentials, bench.clock, Metrics(), {}, bench.breakers
    )  # fmt: skip
    work, begun = work_of(bench), trio.current_time()
    assert isinstance(await work(job(0)), Crawl)

    async def limited() -> None:
        deferred = await work(job(0))
        assert isinstance(deferred, Deferred)
        assert deferred.code == "LIMITED" and deferred.after_s >= 3590
        assert trio.current_time() - begun <= Visit().wait_s_max, "it holds its slot no longer"

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(limited)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(QuestionFailed):  # the answer is of the other API; it was asked at once
            await DataApi(bench.outside, "http://x").profile("made.up", Visit())
        assert trio.current_time() == begun
    assert bench.breakers.out(["ytapi"]) is None
    out = bench.breakers.out(["graphapi"])
    assert out is not None and out.code == "LIMITED", "its jobs are not claimed before there is room"


@pytest.mark.parametrize(
    ("body", "retry_after", "wait_s"),
    [(b'{"error": {"code": 2, "message": "no"}}', "120", 120), (b"<html>", "120", 120), (b"", "86400", AWAY_S_MAX)],
)
async def test_the_wait_that_a_source_names_is_kept_by_jobs_and_breaker(
    autojump_clock: trio.testing.MockClock, body: bytes, retry_after: str, wait_s: float
) -> None:
    bench = await Bench(Reply(503, body, {"Retry-After": retry_after})).ready()
    work = work_of(bench)
    for retries in range(FAILURES_MAX - 1):
        failure = await work(job(retries))
        assert isinstance(failure, Failure)
        assert failure.retry_after_s == wait_s
    result = await work(job(FAILURES_MAX - 1))
    assert isinstance(result, Deferred)
    assert wait_s <= result.after_s <= wait_s + 1
    bench.reply = FOUND
    await trio.sleep(wait_s - 1)
    assert isinstance(await work(job(0)), Deferred)
    await trio.sleep(1)
    assert isinstance(await work(job(0)), Crawl)


@pytest.mark.parametrize(
    "reply", [Reply(500), Reply(delay_s=1e6), Reply(200, b"<html>")], ids=["500", "silence", "html"]
)
async def test_a_lone_job_outlives_an_hour_without_its_source(
    autojump_clock: trio.testing.MockClock, reply: Reply
) -> None:
    bench = await Bench(reply).ready()
    work = work_of(bench)
    retries = deferrals = 0
    while True:
        match result := await work(job(retries)):
            case Crawl():
                break
            case Failure():
                assert result.retry_after_s is not None, f"FAILED at {trio.current_time()} s: {result.reason}"
                retries += 1
                await trio.sleep(result.retry_after_s)
            case Deferred():
                deferrals += 1
                assert len(result.frames) == 1, "the trace of what was tried"
                await trio.sleep(result.after_s)
        if trio.current_time() > 3600:
            bench.reply = FOUND
    assert retries == FAILURES_MAX - 1 < Scraper().attempts_max
    assert trio.current_time() < 3600 + 120
    assert deferrals > 60


@pytest.mark.parametrize("body", [b"{}", b'{"business_discovery": null}', b"[]"])
async def test_jobs_outlive_an_hour_of_answers_without_what_was_asked_for(
    autojump_clock: trio.testing.MockClock, body: bytes
) -> None:
    """One such answer is its question's failure: so many jobs as there are doubts can tell it from an odd profile."""
    bench = await Bench(Reply(200, body)).ready()
    work, retries = work_of(bench), [0] * ODD_MAX

    async def outlive(number: int) -> None:
        while not isinstance(result := await work(job(retries[number], f"made.up{number}")), Crawl):
            if isinstance(result, Failure):
                assert result.retry_after_s is not None, f"FAILED at {trio.current_time()} s: {result.reason}"
                retries[number] += 1
                await trio.sleep(result.retry_after_s)
            else:
                await trio.sleep(result.after_s)

    async with trio.open_nursery() as nursery:
        for number in range(ODD_MAX):
            nursery.start_soon(outlive, number)
        await trio.sleep(3600)
        bench.answers = found
    assert sum(retries) == ODD_MAX - 1 + FAILURES_MAX - 1
    assert trio.current_time() < 3600 + 120


async def test_a_store_of_ours_that_is_away_costs_no_attempt(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench(Reply(429, headers={"Retry-After": "7"})).ready()

    async def lost(*_: object, **__: object) -> None:
        raise Transient("postgres is away")

    bench.credentials.disable = lost  # type: ignore[method-assign]
    with pytest.raises(NoCredential, match="postgres is away"):
        await bench.ask()
    bench.credentials.pick = lost  # type: ignore[method-assign,assignment]
    with pytest.raises(NoCredential, match="postgres is away"):
        await bench.ask()
    assert bench.line.breaker == "closed"


@pytest.mark.parametrize("failing", ["channels", "playlistItems", "videos"])
async def test_what_is_no_list_is_no_answer(autojump_clock: trio.testing.MockClock, failing: str) -> None:
    bench = Bench()
    bench.fetcher = FakeFetcher(lambda asked: Reply(200, b"{}") if asked.url.endswith(failing) else youtube(asked))
    bench.outside = Outside(
        bench.fetcher, bench.limiter, bench.credentials, bench.clock, Metrics(), {}, bench.breakers
    )  # fmt: skip
    await bench.credentials.put("ytapi", "a", {"token": "tokenY"})
    with pytest.raises(QuestionFailed, match=r"\$\.items should be a list, got None"):
        await DataApi(bench.outside, "http://x").profile("madeup", bench.visit)
    assert bench.board.actor("sources/ytapi").failed == 0


async def test_an_odd_shape_is_the_question_s_own_failure(autojump_clock: trio.testing.MockClock) -> None:
    """Valid JSON was an answer: one profile that cannot be read does not stop all others."""
    bench = await Bench(Reply(200, b'{"business_discovery": {"id": 7}}')).ready()
    for _ in range(2 * FAILURES_MAX):
        with pytest.raises(QuestionFailed, match="should be"):
            await GraphApi(bench.outside, "http://x").profile("made.up", bench.visit)
    assert bench.board.actor("sources/graphapi").breaker == "closed"


async def test_an_odd_field_is_told_with_the_job_and_once_in_the_log(autojump_clock: trio.testing.MockClock) -> None:
    found = b'"id": "1", "biography": "tea \\ud83d", "followers_count": -1, "media": {"data": [7, 8]}'
    odd = b'{"business_discovery": {%s}}' % found
    bench = await Bench(Reply(200, odd)).ready()
    work = work_of(bench)
    with structlog.testing.capture_logs() as logs:
        crawls = [await work(job(0)) for _ in range(3)]
    notes = [
        "$.business_discovery.media.data[0] should be an object, got 7",
        "$.business_discovery.media.data[1] should be an object, got 8",
        "$.business_discovery.followers_count should be a count, got -1",
    ]
    for crawl in crawls:
        assert isinstance(crawl, Crawl)
        assert crawl.data["odd"] == notes
        (row,) = crawl.writes[0].rows
        assert row["followers"] is None
        assert row["bio"] == "tea \ufffd"
    assert [entry["odd"] for entry in logs] == [notes]

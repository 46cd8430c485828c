"""What the API counts of partners, and what it tells of it: profiles looked at, refreshes, limits, pages."""

import datetime as dt
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import trio

from gcc.channels.memory import Signal
from gcc.clock import SystemClock
from gcc.config.sections import Service
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.scraping.producers import OnDemand
from gcc.pipelines.scraping.refresh import Refreshed
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.plans import MONTHLY
from gcc.stores.postgres import Pool
from gcc.stores.postgres_jobs import PostgresJobs
from gcc.supervisor.drain import Stage
from tests.integration.api_serving import NOW, TOKEN, Api, add_instagram, add_youtube, serving_api
from tests.integration.identity_people import (
    IDENTITY,
    As,
    Someone,
    acting,
    add_partner,
    add_person,
    bearer,
    code,
    execute,
)

USAGE = "/partner-usage-service/api"
PROFILE = "/discovery-service/api/profile/INSTAGRAM"
DAY = dt.timedelta(days=1)
COFFEE = "c" * 32
COUNTED = "select partner_id, module, usage_count from partner_usage order by 1, 2"


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    async with serving_api(pool, clickhouse, services={"coffee": Service(token=COFFEE)}) as api:
        del api.client.headers["authorization"]
        yield api


@pytest.fixture
async def operator(api: Api, pool: Pool) -> As:
    return await acting(api, await add_person(pool, "op@platform.example", role="OPERATOR"))


@pytest.fixture
async def other(api: Api, pool: Pool) -> As:
    """Of another partner, whose plan is FREE."""
    await add_partner(pool, 8, None)
    return await acting(api, await add_person(pool, "ravi@other.example", partner_id=8))


async def look(who: As, handle: str, **options: Any) -> httpx.Response:
    return await who.api.get(f"{PROFILE}/{handle}", headers=who.headers | options.pop("headers", {}), **options)


async def usage(who: As) -> dict[str, tuple[int, int]]:
    rows = (await who.api.get(f"{USAGE}/usage", headers=who.headers)).json()["data"]
    return {row["module"]: (row["used"], row["limit"]) for row in rows}


async def limit(operator: As, partner_id: int, **limits: int) -> httpx.Response:
    return await operator.api.call("PUT", f"{USAGE}/limits/{partner_id}", headers=operator.headers, json=limits)


async def test_a_profile_is_counted_once_whoever_of_the_partner_looks(
    api: Api, pool: Pool, owner: As, asha: Someone
) -> None:
    viewer = await acting(api, await add_person(pool, "viewer@brand.example", partner_id=7, role="VIEWER"))
    made = await owner.data("POST", "/api-keys", name="ours")
    key = As(api, made["key"])
    await add_instagram(pool, "Seen")
    await add_youtube(pool, "UCabcdefghijklmnopqrstuv", "seen")
    for who in (owner, owner, viewer, key):
        for name in ("seen", "@SEEN"):
            assert (await look(who, name)).status_code == 200
    assert (await api.get("/discovery/INSTAGRAM/byhandle/seen", headers=owner.headers)).status_code == 200
    assert await usage(owner) == await usage(viewer) == await usage(key)
    assert (await usage(owner))["PROFILE_VIEW"] == (1, MONTHLY["SAAS"]["PROFILE_VIEW"])
    await api.get("/discovery-service/api/profile/YOUTUBE/seen", headers=owner.headers)
    for tail in ("/posts", "/timeseries"):
        await look(owner, f"seen{tail}")
    assert await execute(pool, COUNTED) == [(7, "PROFILE_VIEW", 2)]


async def test_what_is_not_answered_is_not_counted(api: Api, pool: Pool, owner: As) -> None:
    await add_instagram(pool, "stale", scraped_at=NOW - 2 * DAY)
    api.refresher.refreshed = Refreshed("NOT_FOUND", "no such user")
    for name, status in (
        ("nobody", 404),
        ("a b", 422),
        ("stale?colour=red", 422),
        ("stale?force_refresh", 404),
    ):
        assert (await look(owner, name)).status_code == status
    assert (await api.get(f"{PROFILE}/stale")).status_code == 401
    assert await execute(pool, COUNTED) == []


async def test_what_is_known_already_spends_nothing(api: Api, pool: Pool, owner: As, operator: As) -> None:
    """A 304 spends the rate, not the quota; and an ETag of another plan is none."""
    await add_instagram(pool, "known")
    first = await look(owner, "known")
    await execute(pool, "delete from partner_usage_event")
    await execute(pool, "delete from partner_usage")
    again = await look(owner, "known", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304 and again.headers["ratelimit"]
    assert await execute(pool, COUNTED) == []
    await execute(pool, "update partner_contract set ends_at = %s where partner_id = 7", NOW)
    await execute(pool, "select pg_notify('gcc_invalidate', 'contract 7')")
    await limit(operator, 7, REPORT=0)  # which makes this process read the contracts anew
    free = await look(owner, "known", headers={"if-none-match": first.headers["etag"]})
    assert free.status_code == 200 and free.json()["data"]["email"] is None


async def test_a_stale_profile_whose_source_is_limited_is_one_view(api: Api, pool: Pool, owner: As) -> None:
    """Case 12: 200 with the old as_of; forced, 429; no second view counted."""
    await add_instagram(pool, "stale", scraped_at=NOW - 2 * DAY)
    api.refresher.refreshed = Refreshed("LIMITED", "call budget spent", 12.0)
    for _ in range(2):
        response = await look(owner, "stale")
        assert response.status_code == 200 and response.json()["meta"]["as_of"] == "2026-10-13T20:00:00Z"
        assert code(await look(owner, "stale?force_refresh")) == (429, "SOURCE_LIMITED")
    assert await execute(pool, COUNTED) == [(7, "PROFILE_VIEW", 1)]


async def test_fifty_ask_for_one_unknown_profile(api: Api, pool: Pool, owner: As, other: As) -> None:
    """Case 13: one scrape, fifty answers, one count a partner."""
    clock = SystemClock()
    jobs = PostgresJobs(pool, clock, StatusEvents(clock), lease_s=60, lost_max=3, outbox_written=Signal())
    discovery: Any = api.app.routed["getProfile"].handler.__self__  # type: ignore[attr-defined]
    discovery.refresher = on_demand = OnDemand(pool, jobs, Stage("ports"))
    discovery.wait_s = 15.0
    statuses: Counter[int] = Counter()

    async def ask(who: As) -> None:
        statuses[(await look(who, "wanted")).status_code] += 1

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(ask, (owner, other)[number % 2])
            while sum(map(len, on_demand._waiting.values())) < 50:  # noqa: ASYNC110
                await trio.sleep(0.01)
            await add_instagram(pool, "wanted", scraped_at=NOW)
            ended = await execute(
                pool, "update scrape_request_log set status = 'COMPLETE', scraped_at = now() returning id"
            )
            on_demand.job_done(str(ended[0][0]))
    assert statuses == {200: 50} and len(ended) == 1
    assert await execute(pool, COUNTED) == [(7, "PROFILE_VIEW", 1), (8, "PROFILE_VIEW", 1)]


async def test_one_left_and_ten_at_once(api: Api, pool: Pool, owner: As, operator: As) -> None:
    """Case 14: one 200, nine 402, and as many are counted as may be."""
    await limit(operator, 7, PROFILE_VIEW=2)
    for number in range(11):
        await add_instagram(pool, f"one{number}")
    await look(owner, "one10")
    came: Counter[int] = Counter()

    async def ask(number: int) -> None:
        came[(await look(owner, f"one{number}")).status_code] += 1

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(ask, number)
    assert came == {200: 1, 402: 9}
    assert (await usage(owner))["PROFILE_VIEW"] == (2, 2)
    assert (await look(owner, "one10")).status_code == 200, "what was counted stays open"
    seen = {f"one{number}" for number in range(11) if (await look(owner, f"one{number}")).status_code == 200}
    assert len(seen) == 2


async def test_one_left_and_ten_at_once_make_one_scrape(api: Api, pool: Pool, owner: As, operator: As) -> None:
    """Nine wait for what the one does with the last: count it, or give it up."""
    await limit(operator, 7, PROFILE_VIEW=1)
    for number in range(10):
        await add_instagram(pool, f"stale{number}", scraped_at=NOW - 2 * DAY)
    came: Counter[int] = Counter()
    scraping, may_end = trio.Event(), trio.Event()

    async def scrape() -> None:
        scraping.set()
        await may_end.wait()

    async def ask(number: int) -> None:
        came[(await look(owner, f"stale{number}")).status_code] += 1

    api.refresher.scrape = scrape
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(ask, number)
            await scraping.wait()
            while api.app.meter._held[7].freed.statistics().tasks_waiting < 9:  # noqa: ASYNC110
                await trio.sleep(0.01)
            assert len(api.refresher.asked) == 1
            api.refresher.refreshed = Refreshed("COMPLETE", "")
            may_end.set()
    assert came == {200: 1, 402: 9} and len(api.refresher.asked) == 1
    assert (await usage(owner))["PROFILE_VIEW"] == (1, 1)


async def test_a_refusal_says_when_there_is_more(api: Api, pool: Pool, owner: As, operator: As) -> None:
    await limit(operator, 7, PROFILE_VIEW=0)
    await add_instagram(pool, "seen")
    for _ in range(3):  # also where it would be answered from memory
        refused = await look(owner, "seen")
        assert code(refused) == (402, "QUOTA_SPENT")
    assert refused.json()["error"]["errors"] == [{"path": "PROFILE_VIEW", "reason": "renews at 2026-11-01T00:00:00Z"}]
    assert refused.headers["retry-after"] == str(int((NOW.replace(month=11, day=1, hour=0) - NOW).total_seconds()))


async def test_nothing_is_scraped_for_who_may_not_see_it(api: Api, pool: Pool, owner: As, operator: As) -> None:
    await limit(operator, 7, PROFILE_VIEW=0)
    await add_instagram(pool, "stale", scraped_at=NOW - 2 * DAY)
    api.refresher.refreshed = Refreshed("COMPLETE", "")
    for name in ("unknown", "stale", "stale?force_refresh"):
        assert code(await look(owner, name)) == (402, "QUOTA_SPENT")
    await limit(operator, 7, REFRESH=0)
    assert code(await look(owner, "stale?full_refresh")) == (402, "QUOTA_SPENT")
    assert api.refresher.asked == []
    assert (await look(owner, "stale")).status_code == 200


async def test_refreshes_count_where_they_are_forced_and_a_scrape_is_one(api: Api, pool: Pool, owner: As) -> None:
    await add_instagram(pool, "fresh", scraped_at=NOW - 2 * DAY)
    api.refresher.refreshed = Refreshed("COMPLETE", "")

    async def scraped(minutes: int) -> None:
        at = NOW + dt.timedelta(minutes=minutes)
        await execute(pool, "update instagram_account set scraped_at = %s", at)

    api.refresher.scrape = lambda: scraped(0)
    assert (await look(owner, "fresh")).json()["meta"]["source"] == "scrape"
    assert (await usage(owner))["REFRESH"] == (0, 500), "nobody forced it"
    known, one = {"if-none-match": "*"}, uuid.uuid4()
    for shares, forced, headers, status in ((one, 1, {}, 200), (one, 1, {}, 200), (None, 2, {}, 200),
                                            (None, 3, known, 304)):  # fmt: skip
        api.refresher.shares = shares
        api.refresher.scrape = lambda forced=forced: scraped(forced)  # type: ignore[misc]
        assert (await look(owner, "fresh?force_refresh", headers=headers)).status_code == status
        assert (await usage(owner))["REFRESH"] == (forced, 500)
    assert (await usage(owner))["PROFILE_VIEW"] == (1, 5000)


@pytest.mark.parametrize("way", ["hangs up", "asks little time"])
async def test_who_does_not_wait_for_a_forced_refresh_has_it_counted(api: Api, pool: Pool, owner: As, way: str) -> None:
    """It goes on without them. They have seen nothing."""
    await add_instagram(pool, "fresh")
    scraping = trio.Event()

    async def scrape() -> None:
        scraping.set()
        await trio.sleep_forever()

    api.refresher.scrape = scrape
    if way == "asks little time":
        response = await look(owner, "fresh?force_refresh", headers={"x-bb-timeout-ms": "200"})
        assert code(response) == (504, "TIMEOUT")
    else:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look, owner, "fresh?force_refresh")
            await scraping.wait()
            nursery.cancel_scope.cancel()
    with trio.fail_after(10):
        while not (counted := await execute(pool, COUNTED)):  # noqa: ASYNC110
            await trio.sleep(0.01)
    assert counted == [(7, "REFRESH", 1)]


async def test_the_development_token_is_not_counted(api: Api, pool: Pool) -> None:
    developer = As(api, TOKEN)
    await add_instagram(pool, "seen")
    assert (await look(developer, "seen")).status_code == 200
    assert await execute(pool, COUNTED) == []
    assert (await usage(developer))["PROFILE_VIEW"] == (0, MONTHLY["PAID"]["PROFILE_VIEW"])


async def test_usage_and_limits_tell_the_period(api: Api, pool: Pool, owner: As, other: As) -> None:
    await add_instagram(pool, "seen")
    await look(owner, "seen")
    for path in ("usage", "limits"):
        response = await api.get(f"{USAGE}/{path}", headers=owner.headers)
        rows = {row["module"]: row for row in response.json()["data"]}
        assert rows.keys() == MONTHLY["SAAS"].keys()
        assert rows["PROFILE_VIEW"] == {
            "module": "PROFILE_VIEW",
            "used": 1,
            "limit": 5000,
            "plan": "SAAS",
            "valid_from": "2026-10-01T00:00:00Z",
            "valid_to": "2026-11-01T00:00:00Z",
        }
    assert await usage(other) == {module: (0, most) for module, most in MONTHLY["FREE"].items()}


async def test_operators_limits_are_over_contracts_and_contracts_over_plans(
    api: Api, pool: Pool, owner: As, operator: As
) -> None:
    ((contract,),) = await execute(pool, "select id from partner_contract where partner_id = 7")
    await operator.data("PATCH", f"/contracts/{contract}", limits={"EXPORT": 1, "REPORT": 2})
    assert {each: most for each, (_, most) in (await usage(owner)).items()} == {
        **MONTHLY["SAAS"], "EXPORT": 1, "REPORT": 2,
    }  # fmt: skip
    put = await limit(operator, 7, EXPORT=7, REFRESH=0)
    assert put.json()["data"] == {"PROFILE_VIEW": None, "REFRESH": 0, "EXPORT": 7, "REPORT": None}
    assert {each: most for each, (_, most) in (await usage(owner)).items()} == {
        **MONTHLY["SAAS"], "EXPORT": 7, "REPORT": 2, "REFRESH": 0,
    }  # fmt: skip
    me = (await api.get(f"{IDENTITY}/auth/me", headers=owner.headers)).json()["data"]
    assert me["limits"] == {**MONTHLY["SAAS"], "EXPORT": 7, "REPORT": 2, "REFRESH": 0}
    await limit(operator, 7)
    assert (await usage(owner))["EXPORT"] == (0, 1), "what is not given is the contract's again"
    for partner_id in ("0", "999999", "x", "9" * 19):
        refused = await api.call("PUT", f"{USAGE}/limits/{partner_id}", headers=operator.headers, json={})
        assert code(refused) == (404, "NOT_FOUND")
    for wrong in ({"EXPORT": -1}, {"EVERYTHING": 1}, {"EXPORT": 1.5}, {"EXPORT": "1"}):
        refused = await api.call("PUT", f"{USAGE}/limits/7", headers=operator.headers, json=wrong)
        assert code(refused) == (422, "INVALID_BODY")


async def consume(api: Api, **body: Any) -> httpx.Response:
    whole = {"partner_id": 7, "module": "EXPORT", "subject": "job 1", **body}
    headers = bearer(COFFEE) | {"idempotency-key": str(uuid.uuid4())}
    return await api.call("POST", f"{USAGE}/consume", headers=headers, json=whole)


async def test_services_count_what_partners_use_of_theirs(api: Api, pool: Pool, owner: As, operator: As) -> None:
    first = await consume(api, n=9_000)
    assert first.json()["data"] == {
        "module": "EXPORT",
        "remaining": 1_000,
        "limit": 10_000,
        "valid_to": "2026-11-01T00:00:00Z",
    }
    assert (await consume(api, n=9_000)).json()["data"]["remaining"] == 1_000, "the same is counted once"
    assert code(await consume(api, subject="job 2", n=1_001)) == (402, "QUOTA_SPENT")
    assert (await consume(api, subject="job 2", n=1_000)).json()["data"]["remaining"] == 0
    assert (await usage(owner))["EXPORT"] == (10_000, 10_000)
    assert code(await consume(api, partner_id=999)) == (404, "NOT_FOUND")
    await operator.data("PATCH", "/partners/7", disabled=True)
    assert code(await consume(api)) == (403, "PARTNER_SUSPENDED")


async def test_a_service_that_asks_fifty_times_at_once_counts_once(api: Api, pool: Pool, owner: As) -> None:
    remaining: Counter[int] = Counter()

    async def ask() -> None:
        remaining[(await consume(api, n=10)).json()["data"]["remaining"]] += 1

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(ask)
    assert remaining == {9_990: 50}
    assert await execute(pool, COUNTED) == [(7, "EXPORT", 10)]


async def test_who_may_what(api: Api, pool: Pool, owner: As, operator: As) -> None:
    service = As(api, COFFEE)
    for who, method, path, body in (
        (owner, "PUT", "/limits/7", {}),
        (service, "PUT", "/limits/7", {}),
        (owner, "POST", "/consume", {"partner_id": 7, "module": "EXPORT", "subject": "x"}),
        (operator, "POST", "/consume", {"partner_id": 7, "module": "EXPORT", "subject": "x"}),
        (operator, "GET", "/usage", None),
        (service, "GET", "/limits", None),
        (operator, "GET", "/profile-page", None),
        (service, "POST", "/profile-page", {"platform": "INSTAGRAM", "profile_id": "x"}),
    ):
        headers = who.headers | {"idempotency-key": "k"}
        options = {} if body is None else {"json": body}
        assert code(await api.call(method, USAGE + path, headers=headers, **options)) == (403, "FORBIDDEN")


async def test_pages_that_people_look_at_are_counted_by_day(api: Api, pool: Pool, owner: As, other: As) -> None:
    await add_instagram(pool, "seen")
    await add_youtube(pool, "UCabcdefghijklmnopqrstuv", "tube")
    followed = "insert into tracked_profile (platform, profile_id, handle) values ('INSTAGRAM', 'f', 'followed')"
    await execute(pool, followed)

    async def track(who: As, platform: str, profile_id: str) -> httpx.Response:
        body = {"platform": platform, "profile_id": profile_id}
        return await api.call("POST", f"{USAGE}/profile-page", headers=who.headers, json=body)

    for number in (1, 2):
        row = (await track(owner, "Instagram", "ig-seen")).json()["data"]
        assert row == {"platform": "INSTAGRAM", "profile_id": "ig-seen", "day": "2026-10-15", "access_count": number}
    await track(owner, "YOUTUBE", "UCabcdefghijklmnopqrstuv")
    await track(owner, "INSTAGRAM", "f")
    for platform, profile_id in (("INSTAGRAM", "seen"), ("YOUTUBE", "ig-seen"), ("TIKTOK", "ig-seen"), ("", "")):
        assert code(await track(owner, platform, profile_id)) == (404, "PROFILE_NOT_FOUND")
    first = (await api.get(f"{USAGE}/profile-page?limit=2", headers=owner.headers)).json()
    rest = await api.get(f"{USAGE}/profile-page", params={"cursor": first["meta"]["cursor"]}, headers=owner.headers)
    pages = [row["profile_id"] for row in first["data"] + rest.json()["data"]]
    assert sorted(pages) == ["UCabcdefghijklmnopqrstuv", "f", "ig-seen"]
    assert (await api.get(f"{USAGE}/profile-page", headers=other.headers)).json()["data"] == []
    stolen = await api.get(f"{USAGE}/profile-page", params={"cursor": first["meta"]["cursor"]}, headers=other.headers)
    assert code(stolen) == (422, "INVALID_CURSOR")

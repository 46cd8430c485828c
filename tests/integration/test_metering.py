"""What is counted of whom: once a period, never beyond the limit, never lost, whoever asks at once."""

import datetime as dt
import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import trio

from gcc.clock import SystemClock
from gcc.stores.plans import MONTHLY, Module, Uses
from gcc.stores.postgres import Pool
from gcc.stores.tenant import Contract, Tenant, free
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.metering import Meter
from gcc.web.at_once import OVER
from tests.integration.identity_people import add_partner, execute

NEW_YEAR = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
USAGE = (
    "select module, usage_count, limit_count, plan_type, valid_from, valid_to from partner_usage order by 1, valid_from"
)


class SetClock(SystemClock):
    at = NEW_YEAR + dt.timedelta(days=9)

    def now(self) -> dt.datetime:
        return self.at


def tenant(partner_id: int = 7, **limits: int) -> Tenant:
    contract = Contract("SAAS", NEW_YEAR, NEW_YEAR.replace(year=2027), limits)
    return Tenant(partner_id, "SAAS", contract=contract)


async def count(meter: Meter, whose: Tenant, subject: str = "a", module: Module = "PROFILE_VIEW") -> str:
    """What came of it."""
    try:
        await meter.count(whose, {module: subject}, OVER)
    except ApiError as refused:
        return refused.code.name
    return "counted"


async def told(pool: Pool) -> list[dict[str, Any]]:
    rows = await execute(pool, "select body from outbox order by id")
    return [json.loads(body) for (body,) in rows]


@pytest.fixture
async def clock(pool: Pool) -> SetClock:
    await add_partner(pool, 7)
    await add_partner(pool, 8)
    return SetClock()


@pytest.fixture
async def meter(pool: Pool, web_pool: Pool, clock: SetClock) -> Meter:
    return Meter(web_pool, clock)


async def test_a_subject_counts_once_a_period_whichever_process_is_asked(
    pool: Pool, web_pool: Pool, clock: SetClock, meter: Meter
) -> None:
    other = Meter(web_pool, clock)
    for each in (meter, meter, other, other):
        assert await count(each, tenant()) == "counted"
    end = NEW_YEAR.replace(month=2)
    assert await execute(pool, USAGE) == [("PROFILE_VIEW", 1, 5000, "SAAS", NEW_YEAR, end)]
    clock.at = end - dt.timedelta.resolution
    await count(meter, tenant())
    assert len(await execute(pool, USAGE)) == 1
    clock.at = end
    await count(meter, tenant())
    assert [(row[1], row[4]) for row in await execute(pool, USAGE)] == [(1, NEW_YEAR), (1, end)]


async def test_what_a_process_has_counted_it_answers_without_the_database(
    pool: Pool, web_pool: Pool, clock: SetClock
) -> None:
    alone = Pool("postgresql://127.0.0.1:1/gcc", 1, name="away")
    meter = Meter(web_pool, clock)
    await count(meter, tenant(), "seen")
    meter.usage._pool = alone
    for _ in range(3):
        assert await count(meter, tenant(), "seen") == "counted"
    with pytest.raises(Exception, match="postgres at 127"):
        await count(meter, tenant(), "new")


async def test_what_it_remembers_is_bounded_and_what_is_forgotten_counts_no_second_time(
    pool: Pool, web_pool: Pool, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gcc.web.api.metering.REMEMBERED_MAX", 3)
    meter = Meter(web_pool, clock)
    for number in (*range(10), *range(10)):
        await count(meter, tenant(), f"{number}")
        assert len(meter._counted) <= 3
    assert [row[1] for row in await execute(pool, USAGE)] == [10]


async def test_partners_modules_and_subjects_count_apart(pool: Pool, meter: Meter) -> None:
    for whose in (tenant(7), tenant(8)):
        await meter.count(whose, {"PROFILE_VIEW": "a", "REFRESH": "a 1"}, OVER)
        await meter.count(whose, {"PROFILE_VIEW": "a", "REFRESH": "a 2"}, OVER)
    rows = await execute(pool, "select partner_id, module, usage_count from partner_usage order by 1, 2")
    assert rows == [(7, "PROFILE_VIEW", 1), (7, "REFRESH", 2), (8, "PROFILE_VIEW", 1), (8, "REFRESH", 2)]


async def test_beyond_the_limit_nothing_is_counted_and_it_is_said_when_there_is_more(pool: Pool, meter: Meter) -> None:
    whose = tenant(PROFILE_VIEW=2, REFRESH=1)
    for subject in ("a", "b"):
        await count(meter, whose, subject)
    with pytest.raises(ApiError) as refused:
        await meter.count(whose, {"REFRESH": "r", "PROFILE_VIEW": "c"}, OVER)
    error = refused.value
    assert (error.code, error.retry_after_s) == (Code.QUOTA_SPENT, 22 * 86_400.0)
    assert error.detail == (
        "not as many PROFILE_VIEW are left of the 2 of this period, which ends at 2026-02-01T00:00:00Z"
    )
    assert error.errors == ({"path": "PROFILE_VIEW", "reason": "renews at 2026-02-01T00:00:00Z"},)
    assert await count(meter, whose, "a") == "counted", "what was counted stays free"
    assert await execute(pool, "select module, usage_count from partner_usage") == [("PROFILE_VIEW", 2)]
    assert await execute(pool, "select count(*) from partner_usage_event") == [(2,)], "and nothing of the refusal"
    assert await count(meter, tenant(PROFILE_VIEW=3), "c") == "counted", "a raised limit counts at once"
    assert await count(meter, tenant(PROFILE_VIEW=1), "d") == "QUOTA_SPENT", "as a lowered one does"


async def test_a_plan_that_includes_none_of_it_has_none(pool: Pool, meter: Meter) -> None:
    nobody = Tenant(7, "FREE", contract=free({}))
    assert await count(meter, nobody, "rows", "EXPORT") == "QUOTA_SPENT"
    assert await execute(pool, USAGE) == []


async def test_of_the_development_token_nothing_is_counted(pool: Pool, meter: Meter) -> None:
    for number in range(60):
        assert await count(meter, Tenant(1, "FREE"), str(number)) == "counted"
    await meter.admit(Tenant(1, "FREE"), {"PROFILE_VIEW": "", "REFRESH": ""})
    assert await execute(pool, USAGE) == []


async def test_one_left_and_ten_at_once_from_several_processes(pool: Pool, web_pool: Pool, clock: SetClock) -> None:
    """The last of them is given to one, and the nine others are refused."""
    meters = [Meter(web_pool, clock) for _ in range(4)]
    whose = tenant(PROFILE_VIEW=5)
    for number in range(4):
        await count(meters[0], whose, f"before {number}")
    came: Counter[str] = Counter()

    async def ask(number: int) -> None:
        came[await count(meters[number % 4], whose, f"at once {number}")] += 1

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(ask, number)
    assert came == {"counted": 1, "QUOTA_SPENT": 9}
    assert [row[1:3] for row in await execute(pool, USAGE)] == [(5, 5)]


@pytest.mark.parametrize("seed", range(12))
async def test_races_lose_nothing_and_exceed_nothing(pool: Pool, web_pool: Pool, clock: SetClock, seed: int) -> None:
    """Many ask at once, of few subjects, some of several modules: what is granted is what is counted, to the limit."""
    rng = random.Random(seed)
    meters = [Meter(web_pool, clock) for _ in range(3)]
    limits = {"PROFILE_VIEW": rng.randrange(1, 25), "REFRESH": rng.randrange(1, 12)}
    granted: dict[str, set[str]] = {module: set() for module in limits}
    refused: dict[str, set[str]] = {module: set() for module in limits}

    async def ask(meter: Meter, uses: Uses) -> None:
        try:
            await meter.count(tenant(**limits), uses, OVER)
        except ApiError as refusal:
            refused[refusal.errors[0]["path"]].add(uses[refusal.errors[0]["path"]])  # type: ignore[index]
        else:
            for module, subject in uses.items():
                granted[module].add(subject)

    async with trio.open_nursery() as nursery:
        for _ in range(120):
            uses: dict[Module, str] = {"PROFILE_VIEW": f"p{rng.randrange(30)}"}
            if rng.random() < 0.4:
                uses["REFRESH"] = f"r{rng.randrange(20)}"
            if rng.random() < 0.1:
                del uses["PROFILE_VIEW"]
                uses["REFRESH"] = f"r{rng.randrange(20)}"
            nursery.start_soon(ask, rng.choice(meters), uses)
    rows = dict(await execute(pool, "select module, usage_count from partner_usage"))
    events: dict[str, int] = dict(await execute(pool, "select module, count(*) from partner_usage_event group by 1"))
    for module, limit in limits.items():
        assert rows.get(module, 0) == events.get(module, 0) == len(granted[module]) <= limit, module
        if refused[module]:
            assert rows[module] == limit, "nobody is refused while there is some left"
        assert not refused[module] & granted[module]


async def test_who_waits_in_vain_counts_nothing(pool: Pool, meter: Meter) -> None:
    """Cancelled amid its transaction: the next one finds all of it as it was."""
    whose = tenant(PROFILE_VIEW=1)
    async with pool.connection() as holder, holder.transaction():
        await holder.execute("lock table partner_usage")
        with trio.move_on_after(0.1) as gave_up:
            await count(meter, whose, "a")
        assert gave_up.cancelled_caught
    assert await count(meter, whose, "b") == "counted"
    assert await count(meter, whose, "a") == "QUOTA_SPENT"


async def test_what_could_not_be_counted_is_refused_before_it_costs_us(pool: Pool, meter: Meter) -> None:
    whose = tenant(PROFILE_VIEW=1, REFRESH=0)
    await meter.admit(whose, {"PROFILE_VIEW": ""})
    await count(meter, whose, "a")
    await meter.admit(whose, {"PROFILE_VIEW": "a"})
    for uses in ({"PROFILE_VIEW": ""}, {"PROFILE_VIEW": "b"}, {"PROFILE_VIEW": "a", "REFRESH": ""}):
        with pytest.raises(ApiError) as refused:
            await meter.admit(whose, uses)  # type: ignore[arg-type]
        assert refused.value.code is Code.QUOTA_SPENT
    assert await execute(pool, "select count(*) from partner_usage_event") == [(1,)]


async def test_what_is_held_waits_for_nobody_of_its_name_and_is_given_back(pool: Pool, meter: Meter) -> None:
    whose, view, admitted = tenant(PROFILE_VIEW=1), {"PROFILE_VIEW": ""}, trio.Event()
    releases = [await meter.admit(whose, view, "a") for _ in range(2)]  # type: ignore[arg-type]

    async def other() -> None:
        await meter.admit(whose, view, "b")  # type: ignore[arg-type]
        admitted.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            for release in releases:
                while not meter._held[7].freed.statistics().tasks_waiting:  # noqa: ASYNC110
                    await trio.sleep(0.01)
                assert not admitted.is_set()
                await release()


async def thresholds(pool: Pool) -> Sequence[tuple[int, str, int, int, int]]:
    return [
        (
            event["partner_id"],
            event["data"]["module"],
            event["data"]["percent"],
            event["data"]["used"],
            event["data"]["limit"],
        )
        for event in await told(pool)
        if event["type"] == "usage.threshold"
    ]


async def test_a_partner_is_told_at_eighty_and_at_a_hundred_percent_once_a_period(
    pool: Pool, web_pool: Pool, clock: SetClock
) -> None:
    whose, meters = tenant(PROFILE_VIEW=10, REFRESH=1), [Meter(web_pool, clock) for _ in range(2)]
    for number in range(7):
        await count(meters[0], whose, str(number))
    assert await thresholds(pool) == []
    async with trio.open_nursery() as nursery:
        for number in range(7, 14):
            nursery.start_soon(count, meters[number % 2], whose, str(number))
    await count(meters[0], tenant(PROFILE_VIEW=12), "raised")
    await count(meters[0], tenant(PROFILE_VIEW=12), "and full")
    assert await thresholds(pool) == [(7, "PROFILE_VIEW", 80, 8, 10), (7, "PROFILE_VIEW", 100, 10, 10)]
    await count(meters[0], whose, "r", "REFRESH")
    assert (await thresholds(pool))[2:] == [(7, "REFRESH", 80, 1, 1), (7, "REFRESH", 100, 1, 1)]
    clock.at = NEW_YEAR.replace(month=2)
    for number in range(8):
        await count(meters[0], whose, str(number))
    assert (await thresholds(pool))[4:] == [(7, "PROFILE_VIEW", 80, 8, 10)]
    ((event, *_), ids) = await told(pool), {event["event_id"] for event in await told(pool)}
    assert event["data"]["valid_to"] == "2026-02-01T00:00:00+00:00" and len(ids) == 5


async def test_a_contract_that_begins_begins_its_own_period(pool: Pool, clock: SetClock, meter: Meter) -> None:
    """And one that ends gives back what FREE had left, no more."""
    before, contract = Tenant(7, "FREE", contract=free({})), Contract("SAAS", clock.at, NEW_YEAR.replace(year=2027), {})
    for number in range(MONTHLY["FREE"]["PROFILE_VIEW"]):
        await count(meter, before, str(number))
    assert await count(meter, before, "one more") == "QUOTA_SPENT"
    assert await count(meter, Tenant(7, "SAAS", contract=contract), "one more") == "counted"
    assert await count(meter, before, "and one") == "QUOTA_SPENT"
    assert [(row[3], row[4]) for row in await execute(pool, USAGE)] == [("FREE", NEW_YEAR), ("SAAS", clock.at)]

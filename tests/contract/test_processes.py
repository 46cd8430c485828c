"""Processes tell each other that they live, and on which limits they do not agree."""

import uuid
from collections.abc import Sequence

import msgspec
import pytest
import trio
import trio.testing

from gcc.clock import SystemClock
from gcc.sources.limits import Limit
from gcc.stores.postgres import Pool
from gcc.stores.processes import FORGET_S, SILENT_S, Process, Processes, differing
from gcc.supervisor.drain import Drain

CLOCK = SystemClock()


def started(pool: Pool, *roles: str, calls: int = 50) -> tuple[Processes, dict[str, Drain]]:
    whole = Drain(("intake", "ports"), 5)
    drains = {role: Drain(("intake",), 5, within=whole) for role in roles}
    limits = {"graphapi": Limit(calls, 1.0), "ytapi": Limit(50, 1.0)}
    return Processes(
        pool, CLOCK, state=lambda: "ready", away=lambda: ["stores/redis"], roles=drains, limits=limits,
        settings="a file",
    ), drains  # fmt: skip


def seen(processes: Processes) -> list[tuple[list[str], list[str], bool]]:
    return [(process.roles, process.drained, process.is_silent) for process in processes.known()]


async def later(pool: Pool, of: Processes, seconds: float) -> None:
    """As if it had told of itself so long ago."""
    async with pool.connection() as conn:
        await conn.execute(
            "update process set seen_at = now() - make_interval(secs => %s) where id = %s",
            [seconds, of.known()[0].id],
        )


async def test_a_process_learns_of_the_others_and_of_their_drained_roles(pool: Pool) -> None:
    (one, _), (two, roles) = started(pool, "scraper"), started(pool, "sinker", "web")
    assert seen(one) == [(["scraper"], [], False)], "itself, before anything was told"
    await one.beat()
    await two.beat()
    assert seen(two) == [(["sinker", "web"], [], False), (["scraper"], [], False)]
    with trio.fail_after(5):
        roles["sinker"].request("test")
        await roles["sinker"].run()
    await two.beat()
    await one.beat()
    assert seen(one) == [(["scraper"], [], False), (["sinker", "web"], ["sinker"], False)]
    own, other = one.known()
    assert (own.host, own.version, own.settings) == (other.host, other.version, other.settings)
    assert other.as_dict()["limits"] == {
        "graphapi": {"calls": 50, "per_s": 1.0},
        "ytapi": {"calls": 50, "per_s": 1.0},
    }


async def test_who_drains_tells_the_others_before_its_ports_close(pool: Pool) -> None:
    whole = Drain(("intake", "ports"), 5)
    one, _ = started(pool, "scraper")
    two = Processes(pool, CLOCK, state=lambda: whole.state, away=list, roles={"web": whole}, limits={}, settings="")
    await two.beat()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(two.leave, whole)
        await trio.testing.wait_all_tasks_blocked()
        whole.request("test")
        with trio.fail_after(5):
            await whole.run()
        await one.beat()
    assert [process.state for process in one.known()] == ["ready", "draining"]
    assert not one.anybody("web")


async def test_who_is_silent_is_told_and_then_forgotten(pool: Pool) -> None:
    (one, _), (two, _) = started(pool, "scraper"), started(pool, "web")
    await two.beat()
    await later(pool, two, SILENT_S + 1)
    await one.beat()
    assert seen(one)[1:] == [(["web"], [], True)]
    await later(pool, two, FORGET_S + 1)
    await one.beat()
    assert seen(one)[1:] == []
    async with pool.connection() as conn:
        ((left,),) = await (await conn.execute("select count(*) from process")).fetchall()
    assert left == 1


ODD = "'{}', 'h[red]\x1b[2J', -1, '', 'odd', '{{null,scraper}}', '{{null}}', '{}', '', '{}', now()"


ODD_LIMITS = [
    "null", "[]", "1" * 5000, '{"ytapi": null}', '{"ytapi": {"calls": 1e400, "per_s": 1}}',
    '{"ytapi": {"calls": 9, "per_s": 1, "x": %s}}' % ("1" * 40), '{"ytapi": {"calls": 9, "per_s": %s}}' % ("1" * 400),
    '{"ytapi": {"calls": %s, "per_s": 1}}' % ("1" * 40),
]  # fmt: skip


@pytest.mark.parametrize("limits", ODD_LIMITS, ids=lambda limits: limits[:40])
@pytest.mark.parametrize("at", ["infinity", "-infinity", "0001-01-01"])
async def test_a_row_that_nobody_should_write_is_told_as_far_as_it_goes(pool: Pool, limits: str, at: str) -> None:
    async with pool.connection() as conn:
        row = ODD.format(CLOCK.new_id(), limits, at)
        await conn.execute(f"insert into process values ({row})".encode())  # noqa: S608
    one, _ = started(pool, "scraper")
    await one.beat()
    odd = one.known()[1]
    assert (odd.roles, odd.drained, odd.is_silent) == (["scraper"], [], False)
    differing(one.known())
    msgspec.json.encode([process.as_dict() for process in one.known()])


def process(pid: int, roles: Sequence[str], limits: object, seen_s: float = 0.0) -> Process:
    return Process(uuid.UUID(int=pid), "host", pid, "1", "ready", list(roles), [], [], limits, "", CLOCK.now(), seen_s)


def test_limits_that_differ_are_told_of_those_that_scrape_and_live() -> None:
    ten, fifty = ({"ytapi": {"calls": calls, "per_s": 1.0}} for calls in (10, 50))
    agreed = [process(1, ["scraper"], fifty), process(2, ["scraper", "web"], fifty)]
    assert differing(agreed) == []
    assert differing([*agreed, process(3, ["web"], ten), process(4, ["scraper"], ten, SILENT_S + 1)]) == []
    assert differing([*agreed, process(5, ["scraper"], ten), process(6, ["scraper"], ["odd"])]) == [
        "ytapi: 50 calls per 1 s in host:1, host:2, but 10 calls per 1 s in host:5"
    ]


async def test_the_others_are_told_what_a_process_misses(pool: Pool) -> None:
    (one, _), (two, _) = started(pool, "web"), started(pool, "scraper")
    await two.beat()
    await one.beat()
    assert [process.away for process in one.known()] == [["stores/redis"], ["stores/redis"]]


async def test_whether_anybody_takes_work_of_a_role_is_known_once_the_others_have_told(pool: Pool) -> None:
    (one, _), (two, roles) = started(pool, "web"), started(pool, "scraper")
    assert one.anybody("scraper"), "nobody knows yet"
    await one.beat()
    assert (one.anybody("web"), one.anybody("scraper")) == (True, False)
    await two.beat()
    await one.beat()
    assert one.anybody("scraper")
    with trio.fail_after(5):
        roles["scraper"].request("test")
        await roles["scraper"].run()
    await two.beat()
    await one.beat()
    assert not one.anybody("scraper"), "it has drained"
    await later(pool, two, SILENT_S + 1)
    await one.beat()
    assert not one.anybody("scraper")

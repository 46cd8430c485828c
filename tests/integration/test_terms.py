"""Terms and leases on the real tree's stores, while everything else waits for a connection."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from gcc.actors.leader import Leader
from gcc.actors.leases import Leases
from gcc.channels.jobs import Crawl, NewJob, Room
from gcc.clock import SystemClock
from gcc.config import load
from gcc.pipelines.analytics.pipeline import LEADER
from gcc.stores.leadership import PostgresLeadership
from gcc.stores.postgres import Pool
from gcc.supervisor.lifecycle import Actor
from gcc.tree import Tree

TERM_S, LEASE_S = 3.0, 3.0
FLOW = "refresh_profile_by_handle"


@pytest.fixture
async def tree(database: str, tmp_path: Path) -> AsyncIterator[Tree]:
    overrides = [f"postgres.url={database}", "postgres.actor_pool=2", f"data_dir={tmp_path}", "world.enabled=false"]
    tree = Tree(load(None, overrides=overrides, environ={}), SystemClock())
    tree.real.jobs._lease_s = LEASE_S
    yield tree
    for pool in (tree.real.pool, tree.real.web_pool, tree.real.terms_pool):
        await pool.aclose()


async def exhaust(pool: Pool, stack: AsyncExitStack) -> None:
    """As long as the stack lives nobody else gets a connection of it."""
    for _ in range(pool.size):
        await stack.enter_async_context(pool.connection())


async def beats(actor: Actor, count: int) -> None:
    """So many more successes of it."""
    aim = actor.done + count
    with trio.fail_after(60):
        while actor.done < aim:  # noqa: ASYNC110
            await trio.sleep(0.02)


async def test_a_leader_and_its_leases_outlast_an_actors_pool_that_is_exhausted_for_longer_than_they_last(
    tree: Tree,
) -> None:
    """Both are renewed every third of their time: five renewals are longer than that."""
    context, real, jobs = tree.context, tree.real, tree.real.jobs
    leading, heartbeat = context.board.actor("analytics/leader"), context.board.actor("leases")
    leader = Leader(LEADER, PostgresLeadership(real.terms_pool), leading, context.clock, ttl_s=TERM_S, margin_s=0.5)
    leases = Leases(jobs, heartbeat, lease_s=LEASE_S)
    await jobs.enqueue([NewJob(FLOW, "INSTAGRAM", {"handle": "asha"})])
    (job,) = await jobs.claim({FLOW: Room(1)})
    async with trio.open_nursery() as nursery:
        await nursery.start(leader.run)
        term = await leader.elected()
        await nursery.start(leases.run)
        with leases.hold(job) as attempt:
            async with AsyncExitStack() as stack:
                for pool in (real.pool, real.web_pool):
                    await exhaust(pool, stack)
                async with trio.open_nursery() as renewing:
                    renewing.start_soon(beats, leading, 5)
                    renewing.start_soon(beats, heartbeat, 5)
                assert leader.term == term
            assert await jobs.rescue() == 0
            await jobs.complete(job, Crawl("graphapi"))
        assert not attempt.cancel_called
        assert (heartbeat.failed, leading.failed) == (0, 0)
        nursery.cancel_scope.cancel()

"""The tree's own promises, on fakes that fail nowhere: what one seed found, told as a story."""

import random

import trio
import trio.testing

from gcc.clock import VirtualClock
from gcc.config import Settings
from gcc.pipelines.scraping.table import Catalogue, limits
from tests.fakes.controls import FakeControls
from tests.fakes.database import Database
from tests.fakes.days import FakeDays
from tests.fakes.event_store import FakeEventStore
from tests.fakes.exchange import Faults as Deliveries
from tests.fakes.leadership import FakeLeadership
from tests.fakes.objects import MemoryObjects
from tests.simulation.counts import Counts
from tests.simulation.faults import Faults
from tests.simulation.ledger import Ledger
from tests.simulation.life import Ground, Life
from tests.simulation.mix import Mix
from tests.simulation.rests import Rests
from tests.simulation.world import World


def ground() -> Ground:
    rng = random.Random(1)
    clock = VirtualClock(1)
    database = Database(clock)
    faults = Faults(Mix.draw(rng), rng, World(clock))
    faults.heal()
    objects = MemoryObjects()
    settings = Settings.model_validate(
        {
            "roles": ["scraper", "relay", "sinker"],
            "sources": {name: {"base_url": "http://world"} for name in ("graphapi", "ytapi")},
        }
    )
    rates = limits(settings, Catalogue())
    ledger = Ledger(database, objects)
    return Ground(
        settings, clock, faults, Deliveries(rng), ledger, database, FakeEventStore(set()),
        objects, Rests(clock, {}, ledger.complain), FakeControls(), FakeLeadership(), FakeDays(clock),
        Counts(clock, rates, ledger.complain, shared=False), None, None,
    )  # fmt: skip


async def test_a_role_that_is_drained_as_it_starts_keeps_nobody_waiting_and_may_be_resumed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The process stayed "starting" for ever: those after the role waited for it, and it told nobody when it came."""
    life = Life(1, ground(), random.Random(1))
    relaying = life.tree.context.board.actor("events/relay")
    async with trio.open_nursery() as nursery:

        async def slow_start() -> None:
            life.tree.roles.request_drain("relay", "test")
            await trio.sleep(1)

        life.connection.before = slow_start
        nursery.start_soon(life.run)
        with trio.fail_after(600):
            await life.tree.ready.wait()
            await life.tree.roles.here["relay"].over.begun.wait()
        life.connection.before = trio.lowlevel.checkpoint
        done = relaying.beats
        life.tree.roles.resume("relay")
        await trio.sleep(60)
        assert relaying.beats > done, "it relays again"
        assert life.tree.state() == "ready"
        await life.drain()
        nursery.cancel_scope.cancel()

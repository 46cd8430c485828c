"""Poison through a real broker into real stores: each message is refused with its reason, and nobody else notices."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import structlog.testing
import trio

from gcc.channels.memory import Signal
from gcc.clock import SystemClock
from gcc.config import Settings
from gcc.pipelines.declared import Parts
from gcc.pipelines.events.pipeline import SinkPipeline
from gcc.pipelines.events.routes import EXCHANGES
from gcc.pipelines.events.types import APP_EVENT, ERROR_EVENT, POST_LOG, PROFILE_LOG, EventType
from gcc.stores import rabbitmq as amqp
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.outbox import PostgresOutbox
from gcc.stores.postgres import Pool
from gcc.stores.rabbitmq_exchange import RabbitMQExchange
from gcc.stores.rabbitmq_topology import Topology
from gcc.stores.referrals import PostgresReferrals
from gcc.supervisor.drain import Drain
from gcc.supervisor.lifecycle import State
from tests.contexts import context, partly
from tests.fakes.objects import MemoryObjects
from tests.integration.test_routes import CASES

POISON = {
    "an invalid byte": b'{"event_name":"AEvent","x":"\xff"}',
    "an invalid byte over lines": b'{"event_name":"AEvent",\n"x":"\xff"}',
    "nothing": b"",
    "blanks": b"   ",
    "line ends": b"\n\n",
    "a byte order mark": b"\xef\xbb\xbf",
    "NUL": b"\0",
    "NUL in text": b'{"event_name":"A\\u0000","event_timestamp":"\\u0000"}',
    "half a character": b'{"event_timestamp":"tea \\ud83d"}',
    "deep": b'{"event_params":' + b"[" * 100_000,
    "deep and whole": b'{"event_timestamp":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "a number beyond floats": b'{"event_timestamp":1e400}',
    "a number of 400 digits": b'{"event_timestamp":1767262830,"v":' + b"9" * 400 + b"}",
    "no JSON": b"<event/>",
    "long": b'{"x":"' + b"x" * 300_000,
}
TIMES = 21
ODD_HEADERS: dict[str, Any] = {"x-long": "y" * 40_000, "x-nested": [[[{"a": [None]}]]], "\u0928": "a\0b"}


class World:
    def __init__(self, pool: Pool, clickhouse: ClickHouse, url: str) -> None:
        self.pool, self.clickhouse, self.url, self.clock = pool, clickhouse, url, SystemClock()
        self.drain = Drain(("sinkers",), 20.0)
        letters = StoredDeadLetters(pool, MemoryObjects(), self.clock)
        self.exchange = RabbitMQExchange(
            url, PostgresOutbox(pool, "relay"), letters, self.clock, Signal(), Topology(EXCHANGES),
            held_bytes_max=256 << 20,
        )  # fmt: skip
        parts = partly(
            Parts, exchange=self.exchange, broker=self.exchange.connected, events=clickhouse, dead_letters=letters,
            referrals=PostgresReferrals(pool),
        )  # fmt: skip
        given = context(Settings.model_validate({"sinker": {"batch_age_s": 0.2}}), self.drain, parts)
        self.board, self.pipeline = given.board, SinkPipeline(given)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What leaves the pipeline fails the test."""
        connected = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.exchange.connected, connected.set)
            await connected.wait()
            await nursery.start(self.pipeline.run)
            yield
            nursery.cancel_scope.cancel()

    async def publish(self, event_type: EventType, key: str, bodies: list[bytes]) -> None:
        """Each message has an id of its own, and every other one odd headers."""
        messages = [
            amqp.Message(
                event_type.route.exchange, key, body, amqp.Properties(message_id=f"m-{number}", headers=headers)
            )
            for number, body in enumerate(bodies)
            for headers in (ODD_HEADERS if number % 2 else None,)
        ]
        async with amqp.connect(self.url, name="another producer") as connection:
            channel = await connection.open_channel()
            await channel.select_confirms()
            outcome = await channel.publish(messages, mandatory=True)
        assert not outcome.returned and not outcome.nacked

    async def rows(self, event_type: EventType) -> int:
        (row,) = await self.clickhouse.rows(f"select count() as n from {event_type.table} final")  # noqa: S608
        return int(row["n"])

    async def letters(self) -> list[tuple[str, int, str]]:
        async with self.pool.connection() as conn:
            found = await (await conn.execute("select queue, events, reason from dead_letter")).fetchall()
        return [(queue, events, reason) for queue, events, reason in found]


@pytest.fixture
def world(pool: Pool, clickhouse: ClickHouse, rabbitmq: str) -> World:
    return World(pool, clickhouse, rabbitmq)


def good(event_type: EventType) -> bytes:
    payload = next(case.payload for case in CASES if case.event_type == event_type.name)
    return msgspec.json.encode({name: value for name, value in payload.items() if name != "event_id"})


@pytest.mark.parametrize("event_type", [PROFILE_LOG, POST_LOG, APP_EVENT], ids=lambda each: each.name)
async def test_poison_of_every_kind_is_refused_and_its_neighbours_are_stored(
    world: World, event_type: EventType
) -> None:
    key = "PageOpenedEvent" if event_type is APP_EVENT else event_type.route.key
    bodies = [body for poison in POISON.values() for body in (poison, good(event_type))]
    bodies += [poison for _ in range(TIMES - 1) for poison in POISON.values()]
    with structlog.testing.capture_logs() as logs:
        async with world.running():
            await world.publish(event_type, key, bodies)
            with trio.fail_after(60):
                while {depth.events for depth in await world.exchange.depths()} != {0}:  # noqa: ASYNC110
                    await trio.sleep(0.05)
            world.drain.request("test")
            await world.drain.run()
    letters = await world.letters()
    refused = await world.rows(ERROR_EVENT) if event_type is APP_EVENT else sum(events for _, events, _ in letters)
    assert await world.rows(event_type) == len(POISON)
    assert refused == TIMES * len(POISON), "also of two lines it is one: so many events the message has"
    assert event_type is not APP_EVENT or letters == []
    assert all(reason.startswith(f"not of type {event_type.name}: ") for _, _, reason in letters)
    actor = world.board.actor(f"events/sinker {event_type.name}")
    assert (actor.failed, actor.bugs, actor.state) == (0, 0, State.FINISHED)
    assert [log for log in logs if log["event"] == "bug"] == []

"""What other programs have given up: taken from their error queues on a real broker, buried, replayed to its queue."""

from collections.abc import AsyncIterator

import pytest
import trio

from gcc.actors.consumer import Consumer
from gcc.channels.batch import BatchLimits
from gcc.channels.letters import LetterFilter
from gcc.channels.memory import Channels, Signal
from gcc.channels.message import Delivery
from gcc.clock import SystemClock
from gcc.errors import Transient
from gcc.metrics import Metrics
from gcc.pipelines.events.error_queues import Burials, ManyQueues
from gcc.pipelines.events.pipeline import bindings
from gcc.pipelines.events.routes import ERROR, EXCHANGES
from gcc.pipelines.events.types import BINDINGS, ERROR_BINDINGS
from gcc.stores import rabbitmq as amqp
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.letters import PostgresLetters
from gcc.stores.outbox import PostgresOutbox
from gcc.stores.postgres import Pool
from gcc.stores.rabbitmq_exchange import RabbitMQExchange
from gcc.stores.rabbitmq_topology import Topology
from gcc.supervisor.drain import Stage
from gcc.supervisor.lifecycle import Board
from tests.fakes.objects import MemoryObjects

QUEUES = sorted({binding.queue for binding in ERROR_BINDINGS})


class Office:
    def __init__(self, pool: Pool, url: str) -> None:
        self.clock = SystemClock()
        objects = MemoryObjects()
        self.dead = StoredDeadLetters(pool, objects, self.clock)
        self.letters = PostgresLetters(pool, objects, Signal())
        self.metrics = Metrics()
        self.exchange = RabbitMQExchange(
            url, PostgresOutbox(pool, "relay"), self.dead, self.clock, Signal(), Topology(EXCHANGES),
            held_bytes_max=256 << 20,
        )  # fmt: skip

    def consumer(self) -> Consumer:
        return Consumer(
            "error queues", ManyQueues(QUEUES, self.exchange), Burials(self.dead, self.metrics), self.dead,
            limits=BatchLimits(rows=100, age_s=0.1, rows_max=500), channels=Channels(),
            actor=Board(self.clock.now).actor("undertaker"), stage=Stage("sinkers"), metrics=self.metrics,
            rng=self.clock.rng,
        )  # fmt: skip


@pytest.fixture
async def office(pool: Pool, rabbitmq: str) -> AsyncIterator[Office]:
    office = Office(pool, rabbitmq)
    connected = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(office.exchange.connected, connected.set)
        await connected.wait()
        await office.exchange.declare(bindings(foreign=True))
        await nursery.start(office.consumer().run)
        yield office
        nursery.cancel_scope.cancel()


async def given_up(url: str, exchange: str, key: str, body: bytes, **headers: object) -> None:
    message = amqp.Message(exchange, key, body, amqp.Properties(headers=headers, delivery_mode=2))
    async with amqp.connect(url, name="another consumer") as connection:
        channel = await connection.open_channel()
        await channel.select_confirms()
        outcome = await channel.publish([message], mandatory=True)
    assert not outcome.returned and not outcome.nacked


async def test_what_others_gave_up_is_buried_with_the_reason_and_replayed_to_its_queue(
    office: Office, rabbitmq: str
) -> None:
    await given_up(rabbitmq, "beat.dx", "error.post_log_events_q", b'{"a":1}', **{"x-retry-count": 2})
    await given_up(rabbitmq, "", "error.identity_token_q", b"<token/>", reason="no JSON")
    await given_up(rabbitmq, "", "error.grpc_clickhouse_event_q", b"{}")
    with trio.fail_after(20):
        while len(found := await office.letters.find(LetterFilter())) < 3:  # noqa: ASYNC110 (nobody tells)
            await trio.sleep(0.05)
    told = {letter.queue: (letter.exchange, letter.routing_key, letter.reason) for letter in found}
    assert told == {
        "post_log_events_q": ("beat.dx", "error.post_log_events_q", "given up by another consumer after 2 retries"),
        "identity_token_q": ("", "error.identity_token_q", "given up by another consumer: no JSON"),
        "grpc_clickhouse_event_q": ("", "error.grpc_clickhouse_event_q", "given up by another consumer"),
    }
    (letter,) = (letter for letter in found if letter.queue == "post_log_events_q")
    _, document, _ = await office.letters.read(letter.id)
    assert document is not None and (document.content, document.headers) == (b'{"a":1}', {"x-retry-count": "2"})
    again = letter.again(document.content)
    assert (again.route.exchange, again.route.key, again.body) == ("", "post_log_events_q", b'{"a":1}')
    assert office.metrics.registry.get_sample_value(
        "gcc_sinker_dead_letters_total", {"queue": "identity_token_q"}
    ) == 1  # fmt: skip
    with trio.fail_after(20):
        while {depth.events for depth in await office.exchange.depths()} != {0}:  # noqa: ASYNC110 (nobody tells)
            await trio.sleep(0.05)


def test_every_queue_has_an_error_queue_reached_by_name_and_by_its_exchange() -> None:
    assert sorted(ERROR + queue for queue in {binding.queue for binding in BINDINGS}) == QUEUES
    routes = {(each.route.exchange, each.route.key) for each in ERROR_BINDINGS}
    assert {("", queue) for queue in QUEUES} < routes
    assert ("beat.dx", "error.post_log_events_q") in routes
    assert all(each.route.key == each.queue for each in ERROR_BINDINGS)


def test_no_error_comes_through_an_exchange_where_one_queue_gets_everything() -> None:
    """It would be stored there as an event, and buried as well."""
    takes_all = {each.route.exchange for each in BINDINGS if each.route.key == "#"}
    assert takes_all == {"grpc_event.tx", "branch_event.tx"}
    assert not takes_all & {each.route.exchange for each in ERROR_BINDINGS}


class Broken:
    """Two frames in each queue but "b", which cannot be read."""

    def __init__(self) -> None:
        self.waiting = {"a": 2, "c": 2}
        self.resting: list[str] = []

    async def take(self, queue: str, *, frames_max: int) -> list[Delivery]:
        if queue == "b":
            raise Transient("b is gone")
        some = min(self.waiting[queue], frames_max)
        self.waiting[queue] -= some
        return [Delivery(queue, number, None, 1) for number in range(some)]  # type: ignore[arg-type]

    async def rest(self, queue: str) -> None:
        if queue == "b":
            raise Transient("b is gone")
        self.resting.append(queue)


async def test_all_others_rest_when_one_cannot() -> None:
    broken = Broken()
    with pytest.raises(Transient, match="b is gone"):
        await ManyQueues(["a", "b", "c"], broken).rest("")  # type: ignore[arg-type]
    assert broken.resting == ["a", "c"]


async def test_a_queue_that_fails_hides_nothing_of_the_others_and_is_told_of() -> None:
    many = ManyQueues(["a", "b", "c"], Broken())  # type: ignore[arg-type]

    async def take(frames_max: int) -> str:
        return "".join(delivery.queue for delivery in await many.take("", frames_max=frames_max))

    assert await take(1) == "a"
    with pytest.raises(Transient, match="b is gone"):
        await take(10)
    assert await take(10) == "cca"
    with pytest.raises(Transient, match="b is gone"):
        await take(10)

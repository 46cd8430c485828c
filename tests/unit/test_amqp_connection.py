"""The connection against a scripted broker over memory streams and a virtual clock: order, silence, lateness."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
import trio
import trio.testing
from pamqp import base, body, commands, frame, header, heartbeat
from trio.testing import MockClock

from gcc.stores.rabbitmq import (
    Channel,
    ChannelClosed,
    Connection,
    ConnectionClosed,
    Consumer,
    ConsumerCancelled,
    Message,
    ProtocolError,
    connect,
)
from gcc.stores.rabbitmq.channel import RPC_S
from gcc.stores.rabbitmq.connection import FAREWELL_S
from gcc.stores.rabbitmq.message import DELIVERY_BYTES

Method = TypeVar("Method", bound=base.Frame)
TUNE = commands.Connection.Tune(2047, 131072, 60)


class Broker:
    """The other end: says what a test tells it to."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._data = b""

    async def next(self) -> tuple[int, Any]:
        """The next frame, heartbeats included."""
        while True:
            if self._data.startswith(b"AMQP") or (
                len(self._data) >= 8 and len(self._data) >= 8 + int.from_bytes(self._data[3:7], "big")
            ):
                used, channel, decoded = frame.unmarshal(self._data)
                self._data = self._data[used:]
                return channel, decoded
            data = bytes(await self.stream.receive_some())
            assert data, "the client closed the stream"
            self._data += data

    async def expect(self, kind: type[Method], channel: int | None = None) -> Method:
        """The next frame that is no heartbeat must be a `kind`."""
        while True:
            number, decoded = await self.next()
            if not isinstance(decoded, heartbeat.Heartbeat):
                assert isinstance(decoded, kind), decoded
                assert channel is None or number == channel
                return decoded

    async def say(self, channel: int, *methods: Any) -> None:
        await self.stream.send_all(b"".join(frame.marshal(method, channel) for method in methods))

    async def shake_hands(self, tune: commands.Connection.Tune = TUNE) -> commands.Connection.TuneOk:
        await self.expect(header.ProtocolHeader)  # type: ignore[type-var]
        await self.say(0, commands.Connection.Start(server_properties={}, mechanisms="AMQPLAIN PLAIN"))
        assert (await self.expect(commands.Connection.StartOk)).response == "\0u\0p"
        await self.say(0, tune)
        tuned = await self.expect(commands.Connection.TuneOk)
        assert (await self.expect(commands.Connection.Open)).virtual_host == "v"
        await self.say(0, commands.Connection.OpenOk())
        return tuned

    async def open_channel(self) -> None:
        await self.expect(commands.Channel.Open)
        await self.say(1, commands.Channel.OpenOk())

    async def select_confirms(self) -> None:
        await self.expect(commands.Confirm.Select)
        await self.say(1, commands.Confirm.SelectOk())

    async def receive_messages(self, count: int) -> None:
        for _ in range(count):
            await self.expect(commands.Basic.Publish)
            size = (await self.expect(header.ContentHeader)).body_size  # type: ignore[type-var]
            while size:
                size -= len((await self.expect(body.ContentBody)).value)  # type: ignore[type-var]


def delivery(tag: int, consumer: str = "1.1", **properties: Any) -> list[Any]:
    head = header.ContentHeader(0, 1, commands.Basic.Properties(**properties))
    return [commands.Basic.Deliver(consumer, tag, False, "x", "k"), head, body.ContentBody(b"d")]


DELIVERY = DELIVERY_BYTES + len("xk") + len(b"..") + len(b"d")  # of memory; its properties are two octets of flags


def some(*bodies: bytes) -> list[Message]:
    return [Message("x", "k", body) for body in bodies]


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """What `connect` finds at the other end of TCP."""
    near, far = trio.testing.memory_stream_pair()

    async def open_tcp_stream(host: str, port: int) -> trio.abc.Stream:
        assert (host, port) == ("host", 5672)
        return near

    monkeypatch.setattr(trio, "open_tcp_stream", open_tcp_stream)
    return Broker(far)


@asynccontextmanager
async def connected(broker: Broker, **options: Any) -> AsyncIterator[Connection]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broker.shake_hands)
        async with connect("amqp://u:p@host/v", **options) as connection:
            yield connection


@asynccontextmanager
async def channel_open(broker: Broker) -> AsyncIterator[tuple[Connection, Channel]]:
    """A connection with channel 1 open and confirms on."""
    async with connected(broker, heartbeat_s=60) as connection:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(broker.open_channel)
            channel = await connection.open_channel()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(broker.select_confirms)
            await channel.select_confirms()
        yield connection, channel


# -- the handshake


async def test_both_sides_agree_on_the_lesser(far: Broker, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:

        async def agree() -> None:
            tuned = await far.shake_hands(commands.Connection.Tune(7, 8192, 0))
            assert (tuned.channel_max, tuned.frame_max, tuned.heartbeat) == (7, 8192, 10)

        nursery.start_soon(agree)
        async with connect("amqp://u:p@host/v", heartbeat_s=10) as connection:
            assert connection.frame_max == 8192


async def test_a_peer_that_says_nothing_is_given_up(far: Broker, autojump_clock: MockClock) -> None:
    began = trio.current_time()
    with pytest.raises(ConnectionClosed, match="no connection within 7 s"):
        async with connect("amqp://u:p@host/v", connect_s=7):
            pass
    assert trio.current_time() - began == 7


@pytest.mark.parametrize("data", [b"AMQP\x00\x01\x00\x00", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_a_peer_that_speaks_something_else_is_refused(
    far: Broker, autojump_clock: MockClock, data: bytes
) -> None:
    await far.stream.send_all(data)
    with pytest.raises(ProtocolError):
        async with connect("amqp://u:p@host/v"):
            pass


async def test_a_cancelled_handshake_leaves_nothing_open(far: Broker, autojump_clock: MockClock) -> None:
    with trio.move_on_after(1) as scope:
        async with connect("amqp://u:hush@host/v"):
            pass
    assert scope.cancelled_caught
    await far.expect(header.ProtocolHeader)  # type: ignore[type-var]
    assert await far.stream.receive_some() == b""


async def test_a_host_that_no_resolver_can_be_asked_for_is_a_closed_connection() -> None:
    with pytest.raises(ConnectionClosed, match="its host is no name"):
        async with connect("amqp://h\u0663x.invalid"):  # its signs may not stand beside each other
            pass


@pytest.mark.parametrize("cut_after", ["header", "start", "tune", "open"])
async def test_a_broker_that_hangs_up_in_the_handshake_is_a_closed_connection(
    far: Broker, autojump_clock: MockClock, cut_after: str
) -> None:
    async def hang_up() -> None:
        await far.expect(header.ProtocolHeader)  # type: ignore[type-var]
        if cut_after != "header":
            await far.say(0, commands.Connection.Start(server_properties={}, mechanisms="PLAIN"))
            await far.expect(commands.Connection.StartOk)
        if cut_after in ("tune", "open"):
            await far.say(0, TUNE)
        if cut_after == "open":
            await far.expect(commands.Connection.TuneOk)
            await far.expect(commands.Connection.Open)
        await far.stream.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hang_up)
        with pytest.raises(ConnectionClosed, match="host:5672") as caught:
            async with connect("amqp://u:hush@host/v"):
                pass
    assert "hush" not in repr(caught.value)


# -- heartbeats


async def test_an_idle_connection_sends_a_heartbeat_every_half_interval(far: Broker, autojump_clock: MockClock) -> None:
    async with connected(far, heartbeat_s=10) as connection:
        began = trio.current_time()
        for number in range(1, 6):
            assert isinstance((await far.next())[1], heartbeat.Heartbeat)
            assert trio.current_time() - began == 5 * number
            await far.say(0, heartbeat.Heartbeat())
        assert connection.closed is None


async def test_a_silent_broker_is_noticed_after_two_intervals(far: Broker, autojump_clock: MockClock) -> None:
    async with connected(far, heartbeat_s=10) as connection:
        began = trio.current_time()
        await connection.wait_closed()
        assert trio.current_time() - began == 20
        assert "nothing was heard from the broker for 20 s" in str(connection.closed)


# -- one method at a time


async def test_a_method_that_is_not_answered_costs_its_channel_only(far: Broker, autojump_clock: MockClock) -> None:
    async with channel_open(far) as (connection, channel):

        async def keep_alive() -> None:
            while True:
                await trio.sleep(10)
                await far.say(0, heartbeat.Heartbeat())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_alive)
            began = trio.current_time()
            with pytest.raises(ChannelClosed, match=f"no answer to Queue.Purge within {RPC_S:g} s"):
                await channel.purge_queue("q")
            assert trio.current_time() - began == RPC_S
            nursery.cancel_scope.cancel()
        await far.expect(commands.Queue.Purge)
        await far.expect(commands.Channel.Close)
        await far.say(1, commands.Queue.PurgeOk(3), *delivery(1), commands.Basic.Ack(1), commands.Channel.CloseOk())
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(far.open_channel)
            assert (await connection.open_channel()).number == 1  # the late frames were ignored, the number is free


async def test_the_answer_of_a_cancelled_method_is_awaited_and_dropped(far: Broker, autojump_clock: MockClock) -> None:
    async with channel_open(far) as (_, channel):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.declare_queue, "first")
            await far.expect(commands.Queue.Declare)
            nursery.cancel_scope.cancel()
        async with trio.open_nursery() as nursery:

            async def second() -> None:
                assert (await channel.declare_queue("second")).name == "second"

            nursery.start_soon(second)
            await trio.testing.wait_all_tasks_blocked()
            await far.say(1, commands.Queue.DeclareOk("first", 0, 0))
            assert (await far.expect(commands.Queue.Declare)).queue == "second"  # not before the first was answered
            await far.say(1, commands.Queue.DeclareOk("second", 0, 0))


@asynccontextmanager
async def consuming(
    broker: Broker, held_bytes_max: int | None = None
) -> AsyncIterator[tuple[Connection, Channel, Consumer]]:
    """A connection with a consumer on its channel 1, to which nothing was delivered yet."""
    async with connected(broker, heartbeat_s=60, held_bytes_max=held_bytes_max) as connection:
        async with trio.open_nursery() as nursery:

            async def answer() -> None:
                await broker.open_channel()
                await broker.expect(commands.Basic.Qos)
                await broker.say(1, commands.Basic.QosOk())
                await broker.expect(commands.Basic.Consume)
                await broker.say(1, commands.Basic.ConsumeOk("1.1"))

            nursery.start_soon(answer)
            channel = await connection.open_channel()
            consumer = await channel.consume("q", prefetch=9)
        yield connection, channel, consumer


@pytest.mark.parametrize("answered", [False, True])
async def test_a_cancelled_consume_is_undone_but_never_before_its_answer(
    far: Broker, autojump_clock: MockClock, answered: bool
) -> None:
    async with channel_open(far) as (_, channel):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: channel.consume("q", prefetch=5))
                await far.expect(commands.Basic.Qos)
                await far.say(1, commands.Basic.QosOk())
                await far.expect(commands.Basic.Consume)
                if answered:  # both at once: the caller is cancelled, and then the reader finds the answer
                    await far.say(1, commands.Basic.ConsumeOk("1.1"), *delivery(1))
                scope.cancel()
        if not answered:
            await far.say(1, commands.Basic.ConsumeOk("1.1"), *delivery(1))
        assert (await far.expect(commands.Basic.Cancel)).consumer_tag == "1.1"
        assert (await far.expect(commands.Basic.Nack)).requeue
        await far.say(1, *delivery(2))
        assert (await far.expect(commands.Basic.Nack)).delivery_tag == 2


async def test_arguments_that_cannot_be_sent_leave_the_channel_as_it_was(
    far: Broker, autojump_clock: MockClock
) -> None:
    async with channel_open(far) as (_, channel):
        with pytest.raises((ValueError, TypeError)):
            await channel.declare_queue("q", arguments={"x-what": object()})
        with pytest.raises(ValueError):
            await channel.consume("q" * 300, prefetch=1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.purge_queue, "q")
            await far.expect(commands.Queue.Purge)
            await far.say(1, commands.Queue.PurgeOk(0))


async def test_an_answer_that_nobody_asked_for_is_a_protocol_error(far: Broker, autojump_clock: MockClock) -> None:
    async with channel_open(far) as (connection, channel):
        await far.say(1, commands.Queue.PurgeOk(1))
        await connection.wait_closed()
        assert isinstance(connection.closed, ProtocolError)
        with pytest.raises(ProtocolError, match="nobody asked for"):
            channel.ack(1)
        assert await far.stream.receive_some() == b""  # the stream is closed, not left to idle


# -- publishing


async def test_a_batch_is_one_write_and_multiple_confirms_settle_it(far: Broker, autojump_clock: MockClock) -> None:
    async with channel_open(far) as (connection, channel):
        writes: list[bytes] = []
        send_all = connection._stream.send_all

        async def recorded(data: bytes) -> None:
            writes.append(data)
            await send_all(data)

        connection._stream.send_all = recorded  # type: ignore[method-assign]
        async with trio.open_nursery() as nursery:

            async def publish() -> None:
                outcome = await channel.publish(some(*[b"m"] * 10))
                assert outcome.nacked == {4, 5, 6}
                assert not outcome.returned

            nursery.start_soon(publish)
            await far.receive_messages(10)
            assert len(writes) == 1
            await far.say(1, commands.Basic.Ack(4, True), commands.Basic.Nack(7, True, False))
            await far.say(1, commands.Basic.Ack(9), commands.Basic.Ack(8), commands.Basic.Ack(10))


async def test_what_the_broker_does_not_settle_in_time_is_told_and_keeps_its_room(
    far: Broker, autojump_clock: MockClock
) -> None:
    async with channel_open(far) as (_, channel), trio.open_nursery() as nursery:

        async def publish() -> None:
            outcome = await channel.publish(some(*[b"m"] * 4000), settle_s=20)
            assert outcome.nacked == {1} and outcome.unsettled == {2, 4}

        nursery.start_soon(publish)
        await far.receive_messages(4000)
        await far.say(1, commands.Basic.Ack(1), commands.Basic.Nack(2, False, False), commands.Basic.Ack(4))
        for tag in range(6, 4001):
            await far.say(1, commands.Basic.Ack(tag))
        began = trio.current_time()
        await trio.sleep(25)
        assert not channel.closed and trio.current_time() - began == 25
        with trio.move_on_after(1) as scope:
            await channel.publish(some(*[b"m"] * 3999))  # two are still on their way
        assert scope.cancelled_caught
        await far.say(1, commands.Basic.Ack(5, True))  # late, and of a batch that nobody waits for


async def test_publishers_wait_while_the_window_is_full(far: Broker, autojump_clock: MockClock) -> None:
    async with channel_open(far) as (_, channel), trio.open_nursery() as nursery:
        nursery.start_soon(channel.publish, some(*[b"m"] * 4000))
        await far.receive_messages(4000)
        nursery.start_soon(channel.publish, some(b"one more"))
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:  # nothing more was sent
            scope.cancel()
            await far.next()
        assert scope.cancelled_caught
        await far.say(1, commands.Basic.Ack(1))
        await far.receive_messages(1)
        await far.say(1, commands.Basic.Ack(4001, True))


async def test_publishers_wait_while_the_broker_blocks_them(far: Broker, autojump_clock: MockClock) -> None:
    async with channel_open(far) as (connection, channel), trio.open_nursery() as nursery:
        await far.say(0, commands.Connection.Blocked("low on memory"))
        await trio.testing.wait_all_tasks_blocked()
        assert connection.blocked == "low on memory"
        nursery.start_soon(channel.publish, some(b"m"))
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await far.next()
        assert scope.cancelled_caught
        channel.ack(1)  # acknowledging goes on
        await far.expect(commands.Basic.Ack)
        await far.say(0, commands.Connection.Unblocked())
        await far.receive_messages(1)
        assert connection.blocked is None
        await far.say(1, commands.Basic.Ack(1))


async def test_publishers_wait_while_the_peer_does_not_read(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    near, other = trio.testing.lockstep_stream_pair()  # sends only what is received

    async def open_tcp_stream(host: str, port: int) -> trio.abc.Stream:
        return near

    monkeypatch.setattr(trio, "open_tcp_stream", open_tcp_stream)
    broker = Broker(other)
    async with channel_open(broker) as (_, channel), trio.open_nursery() as nursery:
        settled: list[int] = []

        async def publish(number: int) -> None:
            await channel.publish(some(b"m" * 700_000))
            settled.append(number)

        for number in range(4):
            nursery.start_soon(publish, number)
        await trio.testing.wait_all_tasks_blocked()
        assert channel._connection._out_bytes < 2_000_000  # two of the four wait
        for number in range(4):
            await broker.receive_messages(1)
            await broker.say(1, commands.Basic.Ack(number + 1))
    assert sorted(settled) == [0, 1, 2, 3]


async def test_a_confirm_of_what_was_never_sent_is_a_protocol_error(far: Broker, autojump_clock: MockClock) -> None:
    async with channel_open(far) as (connection, channel):
        async with trio.open_nursery() as nursery:

            async def publish() -> None:
                with pytest.raises(ProtocolError, match="message 2 of a channel that sent 1"):
                    await channel.publish(some(b"m"))

            nursery.start_soon(publish)
            await far.receive_messages(1)
            await far.say(1, commands.Basic.Ack(2, True))
        assert isinstance(connection.closed, ProtocolError)


# -- closing


async def test_the_brokers_close_is_answered_and_its_reason_reaches_everyone(
    far: Broker, autojump_clock: MockClock
) -> None:
    async with channel_open(far) as (connection, channel):
        async with trio.open_nursery() as nursery:

            async def publish() -> None:
                with pytest.raises(ConnectionClosed, match="320 going down"):
                    await channel.publish(some(b"m"))

            nursery.start_soon(publish)
            nursery.start_soon(connection.wait_closed)
            await far.receive_messages(1)
            await far.say(0, commands.Connection.Close(320, "going down", 0, 0))
            await far.expect(commands.Connection.CloseOk)
        assert isinstance(connection.closed, ConnectionClosed) and connection.closed.code == 320
        with pytest.raises(ConnectionClosed, match="320"):
            await connection.open_channel()


async def test_a_cancelled_block_sends_what_was_appended_and_says_goodbye(
    far: Broker, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:

        async def answer() -> None:
            await far.expect(commands.Basic.Ack)
            await far.expect(commands.Connection.Close)
            await far.say(0, commands.Connection.CloseOk())

        with trio.CancelScope() as scope:
            async with channel_open(far) as (_, channel):
                nursery.start_soon(answer)
                await trio.testing.wait_all_tasks_blocked()
                began = trio.current_time()
                channel.ack(1)
                scope.cancel()
                await trio.sleep_forever()
        assert trio.current_time() == began  # by the broker's answer, not by the deadline


async def test_a_broker_that_does_not_say_goodbye_is_left_in_time(far: Broker, autojump_clock: MockClock) -> None:
    with trio.CancelScope() as scope:
        async with connected(far, heartbeat_s=60):
            began = trio.current_time()
            scope.cancel()
    assert trio.current_time() - began == FAREWELL_S


async def test_closes_of_both_sides_that_cross_free_the_number_once(far: Broker, autojump_clock: MockClock) -> None:
    async with channel_open(far) as (connection, channel):
        channel.close()
        await far.expect(commands.Channel.Close)
        await far.say(1, commands.Channel.Close(404, "too late", 0, 0))
        await far.expect(commands.Channel.CloseOk)
        with pytest.raises(ChannelClosed, match="closed by this side"):
            channel.ack(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.open_channel)
            await far.expect(commands.Channel.Open, 2)  # number 1 still waits for its close-ok
            await far.say(2, commands.Channel.OpenOk())
        await far.say(1, commands.Channel.CloseOk())
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.open_channel)
            await far.expect(commands.Channel.Open, 1)
            await far.say(1, commands.Channel.OpenOk())


async def test_what_a_cancelled_consumer_holds_can_still_be_taken_then_it_raises(
    far: Broker, autojump_clock: MockClock
) -> None:
    async with channel_open(far) as (_, channel), trio.open_nursery() as nursery:

        async def broker() -> None:
            await far.expect(commands.Basic.Qos)
            await far.say(1, commands.Basic.QosOk())
            await far.expect(commands.Basic.Consume)
            # Deliveries right behind consume-ok, and the end of it all, in one receive.
            await far.say(
                1, commands.Basic.ConsumeOk("1.1"), *delivery(1), *delivery(2), commands.Basic.Cancel("1.1", True)
            )

        nursery.start_soon(broker)
        consumer = await channel.consume("q", prefetch=5)
        await consumer.wait()
        assert [taken.tag for taken in consumer.take_nowait(1)] == [1]
        await consumer.wait()
        assert [taken.tag for taken in consumer.take_nowait(10)] == [2]
        with pytest.raises(ConsumerCancelled):
            await consumer.wait()
        channel.ack(2, multiple=True)
        assert (await far.expect(commands.Basic.Ack)).multiple


async def test_a_consumer_that_stops_lets_go_of_all_that_keeps_the_connection_from_reading(
    far: Broker, autojump_clock: MockClock
) -> None:
    async with consuming(far, 2 * DELIVERY) as (connection, channel, consumer):
        for tag in (1, 2, 3):
            await far.say(1, *delivery(tag))
            await trio.testing.wait_all_tasks_blocked()
        await far.say(1, *delivery(4))  # on its way: nobody reads it
        consumer.stop()
        assert (consumer.waiting, connection.held_bytes) == (0, 0)
        assert (await far.expect(commands.Basic.Cancel)).nowait, "first, or all comes again"
        assert [(await far.expect(commands.Basic.Nack)).delivery_tag for _ in range(4)] == [1, 2, 3, 4]
        assert (channel.received, channel.given_back, connection.held_bytes) == (4, 4, 0)
        consumer.stop()
        with pytest.raises(ConsumerCancelled):
            await consumer.wait()


async def test_a_consumer_stops_while_an_answer_is_outstanding(far: Broker, autojump_clock: MockClock) -> None:
    async with consuming(far) as (_, channel, consumer):
        await far.say(1, *delivery(1))
        await consumer.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.purge_queue, "q")
            await far.expect(commands.Queue.Purge)
            consumer.stop()
            assert (await far.expect(commands.Basic.Cancel)).consumer_tag == "1.1"
            assert (await far.expect(commands.Basic.Nack)).requeue
            await far.say(1, commands.Queue.PurgeOk(0))


async def test_nothing_is_read_while_too_much_is_unsettled(far: Broker, autojump_clock: MockClock) -> None:
    async with consuming(far, 2 * DELIVERY) as (connection, channel, consumer):
        for tag in range(1, 7):
            await far.say(1, *delivery(tag))
            await trio.testing.wait_all_tasks_blocked()
        assert (consumer.waiting, connection.held_bytes) == (3, 3 * DELIVERY), "the third went over the bound"
        await trio.sleep(600)
        assert connection.closed is None, "a broker that nobody listens to is not silent"
        channel.ack(1)
        await trio.testing.wait_all_tasks_blocked()
        assert consumer.waiting == 6, "what had come meanwhile is read in one go"
        channel.nack(2)
        channel.ack(5, multiple=True)
        assert connection.held_bytes == DELIVERY
        channel.close()
        assert connection.held_bytes == 0


async def test_what_is_held_counts_with_its_properties(far: Broker, autojump_clock: MockClock) -> None:
    async with consuming(far, 100_000) as (connection, channel, consumer):
        for tag in (1, 2, 3):
            await far.say(1, *delivery(tag, headers={"x-stack": "y" * 60_000}))
            await trio.testing.wait_all_tasks_blocked()
        assert consumer.waiting == 2 and connection.held_bytes > 120_000
        channel.ack(2, multiple=True)
        assert connection.held_bytes == 0


async def test_what_has_come_of_a_message_counts_as_held_unless_nothing_else_is(
    far: Broker, autojump_clock: MockClock
) -> None:
    async with consuming(far, 2 * DELIVERY) as (connection, channel, consumer):
        large = [commands.Basic.Deliver("1.1", 2, False, "x", "k"), header.ContentHeader(0, 9_001)]
        await far.say(1, *delivery(1), *large, body.ContentBody(b"d" * 9_000))
        await trio.testing.wait_all_tasks_blocked()
        await far.say(1, body.ContentBody(b"d"))
        await trio.testing.wait_all_tasks_blocked()
        assert (consumer.waiting, connection.held_bytes) == (1, DELIVERY)
        channel.ack(1)
        await trio.testing.wait_all_tasks_blocked()
        assert (consumer.waiting, connection.held_bytes) == (2, DELIVERY + 9_000)

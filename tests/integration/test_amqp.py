"""The AMQP client against a real broker: what is stored, returned, refused, cancelled and lost."""

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from gcc.stores.rabbitmq import (
    Channel,
    ChannelClosed,
    Connection,
    ConnectionClosed,
    ConsumerCancelled,
    Delivery,
    Message,
    Properties,
    connect,
    parse_url,
)

PERSISTENT = Properties(delivery_mode=2)
WAIT_S = 20.0


@pytest.fixture
async def connection(rabbitmq: str) -> AsyncIterator[Connection]:
    async with connect(rabbitmq, name="test") as connection:
        yield connection


@pytest.fixture
async def channel(connection: Connection) -> Channel:
    """With confirms, and a queue `q`."""
    channel = await connection.open_channel()
    await channel.select_confirms()
    await channel.declare_queue("q")
    return channel


def to_q(*bodies: bytes) -> list[Message]:
    return [Message("", "q", body, PERSISTENT) for body in bodies]


async def take(consumer_channel: Channel, count: int, queue: str = "q", prefetch: int = 1000) -> list[Delivery]:
    """`count` deliveries of a new consumer; not acknowledged."""
    consumer = await consumer_channel.consume(queue, prefetch=prefetch)
    taken: list[Delivery] = []
    with trio.fail_after(WAIT_S):
        while len(taken) < count:
            await consumer.wait()
            taken += consumer.take_nowait(count - len(taken))
    return taken


async def ready(connection: Connection, queue: str, count: int) -> None:
    """Wait until `queue` has `count` ready messages."""
    with trio.fail_after(WAIT_S):
        async with connection.channel() as channel:
            while (await channel.declare_queue(queue, passive=True)).messages != count:  # noqa: ASYNC110
                await trio.sleep(0.01)


# -- publishing


async def test_what_is_published_is_delivered_in_order_with_its_properties(channel: Channel) -> None:
    properties = Properties(
        content_type="application/json",
        headers={"events": 3, "frame": "f1", "nested": {"a": [1, "b", None, True]}},
        delivery_mode=2,
        message_id="m-1",
        type="profile",
        app_id="gcc",
    )
    outcome = await channel.publish([Message("", "q", b"first", properties), Message("", "q", b"second", PERSISTENT)])
    assert (outcome.nacked, outcome.returned) == (frozenset(), {})
    first, second = await take(channel, 2)
    assert (first.body, first.properties, first.exchange, first.key, first.redelivered) == (
        b"first",
        properties,
        "",
        "q",
        False,
    )
    assert (second.body, second.properties, second.tag) == (b"second", PERSISTENT, first.tag + 1)


async def test_bodies_of_every_size_around_the_frame_limit_arrive_whole(rabbitmq: str) -> None:
    frame_max = 4096
    bodies = [bytes([i]) * size for i, size in enumerate((0, 1, 4087, 4088, 4089, 8176, 8177, 1_000_000))]
    async with connect(rabbitmq, frame_max=frame_max) as connection, connection.channel() as channel:
        await channel.declare_queue("q")
        await channel.select_confirms()
        await channel.publish(to_q(*bodies))
        assert [delivery.body for delivery in await take(channel, len(bodies))] == bodies


async def test_a_batch_larger_than_the_confirm_window_is_stored_whole(channel: Channel) -> None:
    bodies = [b"%d" % i for i in range(9_000)]
    with trio.fail_after(WAIT_S):
        outcome = await channel.publish(to_q(*bodies))
    assert not outcome.nacked and not outcome.returned
    assert (await channel.declare_queue("q", passive=True)).messages == 9_000


async def test_unroutable_messages_are_told_apart_inside_a_batch(channel: Channel) -> None:
    def lost(body: bytes, message_id: str) -> Message:
        return Message("", "no such queue", body, Properties(message_id=message_id))

    batch = [*to_q(b"a"), lost(b"x", "1"), lost(b"x", "2"), *to_q(b"b"), lost(b"x", "1"), *to_q(b"c")]
    outcome = await channel.publish(batch)
    assert sorted(outcome.returned) == [1, 2, 4]
    assert {returned.code for returned in outcome.returned.values()} == {312}
    assert outcome.returned[1].text == "NO_ROUTE"
    assert outcome.nacked == frozenset()
    assert (await channel.declare_queue("q", passive=True)).messages == 3
    assert not (await channel.publish(batch, mandatory=False)).returned


async def test_messages_that_the_broker_refuses_to_store_are_named(channel: Channel) -> None:
    await channel.delete_queue("q")
    await channel.declare_queue("q", arguments={"x-max-length": 2, "x-overflow": "reject-publish"})
    outcome = await channel.publish(to_q(b"a", b"b"))
    assert not outcome.nacked
    outcome = await channel.publish([*to_q(b"c"), Message("", "no such queue", b"d"), *to_q(b"e")])
    assert outcome.nacked == {0, 2}
    assert set(outcome.returned) == {1}


async def test_publishers_of_one_channel_get_each_their_own_outcome(channel: Channel) -> None:
    returned: dict[int, list[int]] = {}

    async def publish(number: int) -> None:
        batch = to_q(*[b"%d" % number] * 50)
        batch[number] = Message("", "no such queue", b"?")
        returned[number] = list((await channel.publish(batch)).returned)

    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(publish, number)
    assert returned == {number: [number] for number in range(10)}


async def test_publish_without_confirms_is_refused(connection: Connection) -> None:
    channel = await connection.open_channel()
    with pytest.raises(RuntimeError, match="select_confirms"):
        await channel.publish(to_q(b"a"))


async def test_what_amqp_cannot_carry_is_refused_before_anything_is_sent(channel: Channel) -> None:
    with pytest.raises(ValueError, match="255"):
        await channel.publish([*to_q(b"a"), Message("", "k" * 300, b"b")])
    with pytest.raises(ValueError, match="headers"):
        await channel.publish([*to_q(b"a"), Message("", "q", b"b", Properties(headers={"x": object()}))])
    await channel.publish(to_q(b"c"))
    assert (await channel.declare_queue("q", passive=True)).messages == 1


# -- consuming


async def test_one_ack_settles_all_before_it_and_nack_gives_back(connection: Connection, channel: Channel) -> None:
    await channel.publish(to_q(b"0", b"1", b"2", b"3", b"4"))
    deliveries = await take(channel, 5)
    channel.ack(deliveries[2].tag, multiple=True)
    channel.nack(deliveries[3].tag)
    channel.close()
    async with connection.channel() as again:
        assert [(d.body, d.redelivered) for d in await take(again, 2)] == [(b"3", True), (b"4", True)]
        assert (await again.declare_queue("q", passive=True)).messages == 0


async def test_a_rejected_message_goes_to_the_dead_letter_exchange(channel: Channel) -> None:
    await channel.declare_exchange("dlx", "fanout")
    await channel.declare_queue("dead")
    await channel.bind_queue("dead", "dlx", "")
    await channel.delete_queue("q")
    await channel.declare_queue("q", arguments={"x-dead-letter-exchange": "dlx"})
    await channel.publish(to_q(b"poison"))
    (poison,) = await take(channel, 1)
    channel.reject(poison.tag)
    (dead,) = await take(channel, 1, "dead")
    assert dead.body == b"poison"
    headers = dead.properties.headers
    assert headers is not None and headers["x-death"][0]["reason"] == "rejected"


async def test_prefetch_bounds_what_waits(connection: Connection, channel: Channel) -> None:
    await channel.publish(to_q(*[b"x"] * 50))
    consumer = await channel.consume("q", prefetch=7)
    await ready(connection, "q", 43)
    with trio.fail_after(WAIT_S):
        while consumer.waiting < 7:  # noqa: ASYNC110
            await trio.sleep(0.01)
    first = consumer.take_nowait(3)
    assert (len(first), consumer.waiting) == (3, 4)
    channel.ack(first[-1].tag, multiple=True)
    await ready(connection, "q", 40)
    with pytest.raises(ValueError, match="without bound"):
        await channel.consume("q", prefetch=0)


async def test_cancelling_a_consumer_returns_what_nobody_took(connection: Connection, channel: Channel) -> None:
    await channel.publish(to_q(*[b"%d" % i for i in range(20)]))
    consumer = await channel.consume("q", prefetch=10)
    await consumer.wait()
    consumer.stop()
    assert consumer.waiting == 0
    await ready(connection, "q", 20)
    with pytest.raises(ConsumerCancelled):
        await consumer.wait()
    consumer.stop()


async def test_a_consumer_learns_that_its_queue_was_deleted(connection: Connection, channel: Channel) -> None:
    await channel.publish(to_q(b"a"))
    consumer = await channel.consume("q", prefetch=10)
    await consumer.wait()
    async with connection.channel() as other:
        await other.delete_queue("q")
    (delivery,) = consumer.take_nowait(10)
    with pytest.raises(ConsumerCancelled), trio.fail_after(WAIT_S):
        await consumer.wait()
    channel.ack(delivery.tag)
    await channel.declare_queue("q")  # the channel is as good as before


# -- cancellation


async def test_cancelled_callers_leave_the_connection_in_step(connection: Connection, channel: Channel) -> None:
    whole = [bytes([65 + i]) * 3_000 for i in range(20)]
    for step in range(60):
        with trio.move_on_after(0.0004 * (step % 8)):
            await channel.publish(to_q(*whole))
            await channel.declare_queue("q")
            await connection.open_channel()
    with trio.fail_after(WAIT_S):
        await channel.publish(to_q(b"last"))
        count = (await channel.declare_queue("q", passive=True)).messages
        assert {d.body for d in await take(channel, count, prefetch=2000)} == {*whole, b"last"}
    assert connection.closed is None


class CancelAt(trio.abc.Instrument):
    """Cancels `scope` before the given step of the task that makes it."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self._task = trio.lowlevel.current_task()
        self._scope = scope
        self._left = step

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._left -= 1
            if not self._left:
                self._scope.cancel()


async def test_a_caller_may_be_cancelled_at_every_single_step(connection: Connection, channel: Channel) -> None:
    async def everything() -> None:
        async with connection.channel() as own:
            await own.select_confirms()
            await own.declare_queue("dead")
            await own.publish(to_q(b"a" * 10_000, b"b"))
            await own.publish([*to_q(b"c"), Message("", "no such queue", b"d")])
            consumer = await own.consume("q", prefetch=2)
            await consumer.wait()
            own.ack(consumer.take_nowait(1)[0].tag)
            consumer.stop()
            await own.purge_queue("dead")

    await channel.declare_queue("dead")
    steps = 0
    finished = False
    while not finished:
        steps += 1
        with trio.CancelScope() as scope:
            instrument = CancelAt(scope, steps)
            trio.lowlevel.add_instrument(instrument)
            try:
                await everything()
                finished = not scope.cancel_called
            finally:
                trio.lowlevel.remove_instrument(instrument)
        with trio.fail_after(WAIT_S):
            assert not (await channel.publish(to_q(b"proof"))).nacked
            assert (await channel.declare_queue("dead", passive=True)).messages == 0
            async with connection.channel() as other:
                assert other.number < 5
    assert steps > 15
    assert connection.closed is None
    with trio.fail_after(WAIT_S):
        while (info := await channel.declare_queue("q", passive=True)).consumers:  # noqa: ASYNC110
            await trio.sleep(0.01)
        await ready(connection, "q", info.messages)
        bodies = {d.body for d in await take(channel, info.messages)}
    assert bodies <= {b"a" * 10_000, b"b", b"c", b"proof"}


async def test_the_late_answer_of_a_cancelled_method_is_taken_for_no_other(channel: Channel) -> None:
    await channel.publish(to_q(b"a"))
    with trio.CancelScope() as scope:
        scope.cancel()
        await channel.declare_queue("dead")
    for _ in range(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.declare_queue, "dead")
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        info = await channel.declare_queue("q", passive=True)
        assert (info.name, info.messages) == ("q", 1)


async def test_a_cancelled_consume_holds_no_message(connection: Connection, channel: Channel) -> None:
    await channel.publish(to_q(*[b"x"] * 100))
    for step in range(20):
        with trio.move_on_after(0.0005 * (step % 6)) as scope:
            consumer = await channel.consume("q", prefetch=10)
        if not scope.cancelled_caught:
            consumer.stop()
    await ready(connection, "q", 100)
    assert (await channel.declare_queue("q", passive=True)).consumers == 0


async def test_what_was_acknowledged_before_the_block_was_cancelled_stays_acknowledged(rabbitmq: str) -> None:
    with trio.CancelScope() as scope:
        async with connect(rabbitmq) as connection, connection.channel() as channel:
            await channel.select_confirms()
            await channel.declare_queue("q")
            await channel.publish(to_q(b"a", b"b", b"c"))
            channel.ack((await take(channel, 3))[1].tag, multiple=True)
            scope.cancel()
            await trio.sleep_forever()
    async with connect(rabbitmq) as connection, connection.channel() as channel:
        await ready(connection, "q", 1)
        assert [d.body for d in await take(channel, 1)] == [b"c"]


async def test_an_error_in_the_block_leaves_it_as_it_was(rabbitmq: str) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with connect(rabbitmq):
            raise KeyError("mine")


# -- channel errors


async def test_a_channel_error_ends_the_channel_and_nothing_else(connection: Connection, channel: Channel) -> None:
    other = await connection.open_channel()
    await channel.publish(to_q(b"a"))
    (delivery,) = await take(channel, 1)
    with pytest.raises(ChannelClosed) as caught:
        await channel.declare_queue("q", arguments={"x-max-length": 5})
    assert caught.value.code == 406
    for call in (channel.ack, channel.nack, channel.reject):
        with pytest.raises(ChannelClosed, match="406"):
            call(delivery.tag)
    with pytest.raises(ChannelClosed, match="406"):
        await channel.publish(to_q(b"b"))
    with pytest.raises(ChannelClosed, match="404"):
        await (await connection.open_channel()).declare_queue("no such queue", passive=True)
    assert (await other.declare_queue("q", passive=True)).name == "q"
    assert [d.redelivered for d in await take(other, 1)] == [True]
    assert connection.closed is None


async def test_a_consumer_and_a_publisher_learn_that_their_channel_closed(channel: Channel) -> None:
    consumer = await channel.consume("q", prefetch=10)
    with pytest.raises(ChannelClosed, match="404"), trio.fail_after(WAIT_S):
        await channel.publish([*to_q(b"a"), Message("no such exchange", "k", b"b")])
    with pytest.raises(ChannelClosed, match="404"):
        await consumer.wait()
    assert consumer.waiting == 0
    consumer.stop()
    with pytest.raises(ChannelClosed, match="404"):
        await consumer.wait()


async def test_channels_can_be_opened_and_closed_for_ever(connection: Connection) -> None:
    with trio.fail_after(WAIT_S):
        for _ in range(100):
            async with connection.channel() as channel:
                await channel.declare_queue("q")
    async with connection.channel() as channel:
        assert channel.number < 10  # numbers are used again


# -- connecting, and losing the connection


async def test_refusals_name_the_broker_and_never_the_password(rabbitmq: str) -> None:
    target = parse_url(rabbitmq)
    place = f"{target.host}:{target.port}"
    for url, code in (
        (f"amqp://{target.user}:hush-hush@{place}/", 403),
        (f"amqp://{target.user}:{target.password}@{place}/no%20such", 530),
        (f"amqp://{target.user}:{target.password}@{place}/", 530),
    ):
        with pytest.raises(ConnectionClosed) as caught:
            async with connect(url):
                pass
        assert caught.value.code == code
        assert place in str(caught.value) and "hush" not in str(caught.value)
    assert "%2F" in str(caught.value)  # an empty vhost is nearly always a mistake


async def test_a_port_where_nobody_listens_is_a_closed_connection() -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(ConnectionClosed, match=f"127.0.0.1:{port}"):
        async with connect(f"amqp://127.0.0.1:{port}"):
            pass


class Proxy:
    """Bytes to and from the broker, until they are cut or held."""

    def __init__(self) -> None:
        self.held = trio.Event()
        self._streams: list[trio.SocketStream] = []

    async def cut(self) -> None:
        for stream in self._streams:
            await trio.aclose_forcefully(stream)

    async def serve(self, near: trio.abc.Stream, host: str, port: int) -> None:
        far = await trio.open_tcp_stream(host, port)
        self._streams.append(far)
        async with near, far, trio.open_nursery() as nursery:

            async def pump(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
                try:
                    async for data in source:
                        if self.held.is_set():
                            await trio.sleep_forever()
                        await sink.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    pass
                nursery.cancel_scope.cancel()

            nursery.start_soon(pump, near, far)
            nursery.start_soon(pump, far, near)


@asynccontextmanager
async def through_a_proxy(rabbitmq: str, server: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy and the URL that leads through it."""
    target = parse_url(rabbitmq)
    proxy = Proxy()

    async def handler(stream: trio.SocketStream) -> None:
        near = stream if server is None else trio.SSLStream(stream, server, server_side=True, https_compatible=True)
        await proxy.serve(near, target.host, target.port)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        yield proxy, rabbitmq.replace(f"{target.host}:{target.port}", f"127.0.0.1:{port}")
        nursery.cancel_scope.cancel()


async def test_everyone_learns_that_the_connection_is_lost(rabbitmq: str) -> None:
    lost: list[str] = []

    async with through_a_proxy(rabbitmq) as (proxy, url), connect(url) as connection:
        channel = await connection.open_channel()
        await channel.select_confirms()
        await channel.declare_queue("q")
        consumer = await channel.consume("q", prefetch=10)
        await channel.publish(to_q(b"a"))
        await consumer.wait()
        (delivery,) = consumer.take_nowait(1)
        proxy.held.set()

        async def publish() -> None:
            with pytest.raises(ConnectionClosed):
                await channel.publish(to_q(b"b"))
            lost.append("publisher")

        async def consume() -> None:
            with pytest.raises(ConnectionClosed):
                await consumer.wait()
            lost.append("consumer")

        async def declare() -> None:
            with pytest.raises(ConnectionClosed):
                await channel.declare_queue("q")
            lost.append("caller")

        with trio.fail_after(WAIT_S):
            async with trio.open_nursery() as nursery:
                for waiter in (publish, consume, declare, connection.wait_closed):
                    nursery.start_soon(waiter)
                await trio.testing.wait_all_tasks_blocked(0.05)
                await proxy.cut()
        assert sorted(lost) == ["caller", "consumer", "publisher"]
        assert isinstance(connection.closed, ConnectionClosed)
        with pytest.raises(ConnectionClosed):
            channel.ack(delivery.tag)
        with pytest.raises(ConnectionClosed):
            await connection.open_channel()
    async with connect(rabbitmq) as connection, connection.channel() as again:
        assert [d.body for d in await take(again, 1)] == [b"a"]  # it was never acknowledged


async def test_a_broker_that_falls_silent_is_noticed_within_two_heartbeats(rabbitmq: str) -> None:
    async with through_a_proxy(rabbitmq) as (proxy, url), connect(url, heartbeat_s=1) as connection:
        began = trio.current_time()
        proxy.held.set()
        with trio.fail_after(WAIT_S):
            await connection.wait_closed()
        assert trio.current_time() - began < 2 + 2  # two intervals, and a busy machine
        assert "nothing was heard" in str(connection.closed)


async def test_an_idle_connection_is_kept_by_heartbeats(rabbitmq: str) -> None:
    async with connect(rabbitmq, heartbeat_s=2) as connection:
        with trio.move_on_after(7):  # the broker gives up on a silent client after four or five
            await connection.wait_closed()
        async with connection.channel() as channel:
            await channel.declare_queue("q")
        assert connection.closed is None


async def test_publishers_wait_out_a_memory_alarm(rabbitmq: str, rabbitmq_node: Any) -> None:
    async with connect(rabbitmq) as connection, connect(rabbitmq) as consuming:
        async with connection.channel() as channel, consuming.channel() as other, trio.open_nursery() as nursery:
            await channel.select_confirms()
            await channel.declare_queue("q")
            await channel.publish(to_q(b"before"))
            (before,) = await take(other, 1)
            await rabbitmq_node.set_memory_alarm(True)
            settled = trio.Event()

            async def publish() -> None:
                await channel.publish(to_q(b"first"))  # what tells the broker that this connection publishes
                await channel.publish(to_q(b"second"))
                settled.set()

            nursery.start_soon(publish)
            with trio.fail_after(WAIT_S):
                while connection.blocked is None:  # noqa: ASYNC110
                    await trio.sleep(0.01)
            assert "memory" in connection.blocked and not settled.is_set()
            other.ack(before.tag)  # a connection that only consumes goes on
            await ready(consuming, "q", 0)
            await rabbitmq_node.set_memory_alarm(False)
            with trio.fail_after(WAIT_S):
                await settled.wait()
            assert connection.blocked is None


async def test_a_killed_broker_and_its_return(rabbitmq: str, rabbitmq_node: Any) -> None:
    async with connect(rabbitmq) as connection, connection.channel() as channel:
        await channel.select_confirms()
        await channel.declare_queue("q")
        await channel.publish(to_q(b"kept"))
        await rabbitmq_node.settle()
        rabbitmq_node.kill()
        with trio.fail_after(WAIT_S):
            await connection.wait_closed()
    with pytest.raises(ConnectionClosed):
        async with connect(rabbitmq):
            pass
    await rabbitmq_node.start()
    async with connect(rabbitmq) as connection, connection.channel() as channel:
        assert [d.body for d in await take(channel, 1)] == [b"kept"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost with its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    command = ["openssl", *request.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert]
    subprocess.run(command, check=True, capture_output=True)
    cert.write_bytes(cert.read_bytes() + key.read_bytes())
    return cert


async def test_amqps_checks_the_certificate_and_then_works_alike(rabbitmq: str, certificate: Path) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    async with through_a_proxy(rabbitmq, server) as (_, plain):
        url = plain.replace("amqp://", "amqps://", 1).replace("127.0.0.1", "localhost")
        async with connect(f"{url}?cacertfile={certificate}") as connection, connection.channel() as channel:
            await channel.select_confirms()
            await channel.declare_queue("q")
            await channel.publish(to_q(b"s" * 500_000))
            assert [len(d.body) for d in await take(channel, 1)] == [500_000]
        for refused in (url, f"{url}?cacertfile={certificate}".replace("localhost", "127.0.0.1")):
            with pytest.raises(ConnectionClosed, match="certificate verify failed"):
                async with connect(refused):
                    pass
        async with connect(f"{url}?verify=verify_none") as connection:
            assert connection.closed is None

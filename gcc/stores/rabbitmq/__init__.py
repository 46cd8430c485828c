"""An AMQP 0-9-1 client for Trio, made for RabbitMQ: publishing with confirms, consuming in bulk.

    async with connect("amqp://user:password@host/vhost", name="example") as connection:
        channel = await connection.open_channel()
        await channel.declare_queue("events", arguments={"x-queue-type": "quorum"})
        await channel.select_confirms()
        outcome = await channel.publish([Message("", "events", b"hello", Properties(delivery_mode=2))])
        assert not outcome.nacked and not outcome.returned

        consumer = await channel.consume("events", prefetch=1000)
        await consumer.wait()
        deliveries = consumer.take_nowait(1000)
        channel.ack(deliveries[-1].tag, multiple=True)

What to know:

- A call may be cancelled at any await: no frame is torn, no answer taken for another's. A cancelled publish() may
  or may not have stored its messages.
- A connection that is lost stays lost, and so does a channel after an error (ChannelClosed): open new ones. Their
  delivery tags are void; what was not acknowledged is delivered again.
- Publish and consume on connections of their own. While the broker blocks publishers (`Connection.blocked`) it
  reads nothing from a connection that published, acknowledgements included.
- Everything is bounded: the confirm window, the bytes on their way out, consumers' buffers (by prefetch), frames,
  messages, the handshake and every method's answer. A silent broker is noticed after two heartbeat intervals.

It imports trio, pamqp and the standard library, and nothing of the platform around it.
`codec` and `confirms` are the protocol without I/O, `channel` and `connection` move the bytes.
"""

from .channel import Channel, Consumer, QueueInfo
from .connection import Connection, connect
from .errors import AmqpError, ChannelClosed, ConnectionClosed, ConsumerCancelled, ProtocolError, UrlError
from .message import Delivery, Message, Outcome, Properties, Returned
from .url import Url, parse_url

__all__ = [
    "AmqpError",
    "Channel",
    "ChannelClosed",
    "Connection",
    "ConnectionClosed",
    "Consumer",
    "ConsumerCancelled",
    "Delivery",
    "Message",
    "Outcome",
    "Properties",
    "ProtocolError",
    "QueueInfo",
    "Returned",
    "Url",
    "UrlError",
    "connect",
    "parse_url",
]

"""The peers of the exchange's bench, written as their users write them, with the window and bulk that ours has.

aio-pika publishes many messages at once and gathers their confirms; pika waits for each confirm, so it has threads.
Both acknowledge a thousand messages at a time. A bound in seconds ends each case, in messages a consumer's.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from bench.load import PUBLISHED_AT_ONCE, Events
from bench.rounds import give_up
from gcc.stores.rabbitmq import Message

try:
    import aio_pika
    import pika
    from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
except ImportError as missing:
    give_up(f"{missing.name} is not installed; pip install -c constraints.txt -e '.[bench]'")

PREFETCH = 4000
ACKED_AT_ONCE = 1000
PUBLISHERS = 8  # threads, each with a connection
Rate = float
"""Messages a second."""


class AioPika:
    """On asyncio, one connection for publishing and one for consuming."""

    def __init__(self, url: str) -> None:
        self._url = url

    def publish(self, kind: str, seconds: float, *queues: str) -> Rate:
        return asyncio.run(self._publish(kind, seconds, *queues))

    def consume(self, queue: str, count: float, seconds: float) -> Rate:
        return asyncio.run(self._consume(queue, count, seconds))

    def both(self, kind: str, queue: str, seconds: float) -> Rate:
        async def run() -> Rate:
            _, consumed = await asyncio.gather(
                self._publish(kind, seconds, queue), self._consume(queue, float("inf"), seconds)
            )
            return consumed

        return asyncio.run(run())

    async def _publish(self, kind: str, seconds: float, *queues: str) -> Rate:
        messages = Events().messages(kind, PUBLISHED_AT_ONCE, *queues)
        batch = [(_aio_pika_message(message), message.key) for message in messages]
        published = 0
        async with await aio_pika.connect_robust(self._url) as connection:
            channel = await connection.channel(publisher_confirms=True)
            began = time.perf_counter()

            async def publisher() -> None:
                nonlocal published
                while time.perf_counter() - began < seconds:
                    await asyncio.gather(*(channel.default_exchange.publish(each, key) for each, key in batch))
                    published += len(batch)

            await asyncio.gather(publisher(), publisher())
            return published / (time.perf_counter() - began)

    async def _consume(self, queue: str, count: float, seconds: float) -> Rate:
        async with await aio_pika.connect_robust(self._url) as connection:
            channel = await connection.channel()
            return await _aio_pika_consume(channel, queue, count, seconds)


def _aio_pika_message(message: Message) -> aio_pika.Message:
    properties = message.properties
    return aio_pika.Message(
        message.body,
        delivery_mode=properties.delivery_mode,
        content_type=properties.content_type,
        message_id=properties.message_id,
        app_id=properties.app_id,
        headers=dict(properties.headers or {}),
    )


async def _aio_pika_consume(channel: AbstractChannel, queue: str, count: float, seconds: float) -> Rate:
    await channel.set_qos(prefetch_count=PREFETCH)
    consumed = held = 0
    last: AbstractIncomingMessage | None = None
    end = asyncio.Event()

    async def one(message: AbstractIncomingMessage) -> None:
        nonlocal consumed, held, last
        last = message
        held += 1
        if held == ACKED_AT_ONCE:
            await message.ack(multiple=True)
            consumed += held
            held = 0
        if consumed + held >= count:
            end.set()

    began = time.perf_counter()
    tag = await (await channel.get_queue(queue)).consume(one)
    with suppress(TimeoutError):
        await asyncio.wait_for(end.wait(), seconds)
    if last is not None and held:
        await last.ack(multiple=True)
        consumed += held
    rate = consumed / (time.perf_counter() - began)
    await (await channel.get_queue(queue)).cancel(tag)
    return rate


class Pika:
    """Blocking, in threads, each with a connection of its own."""

    def __init__(self, url: str) -> None:
        self._parameters = pika.URLParameters(url)

    def publish(self, kind: str, seconds: float, *queues: str) -> Rate:
        return self._in_threads(PUBLISHERS, lambda: self._publish(kind, seconds, *queues))

    def consume(self, queue: str, count: float, seconds: float) -> Rate:
        return self._in_threads(1, lambda: self._consume(queue, count, seconds))

    def both(self, kind: str, queue: str, seconds: float) -> Rate:
        publishing = threading.Thread(target=self.publish, args=(kind, seconds, queue))
        publishing.start()
        consumed = self.consume(queue, float("inf"), seconds)
        publishing.join()
        return consumed

    def _in_threads(self, threads: int, work: Callable[[], Rate]) -> Rate:
        rates: list[Rate] = []
        running = [threading.Thread(target=lambda: rates.append(work())) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        return sum(rates)

    def _publish(self, kind: str, seconds: float, *queues: str) -> Rate:
        batch = Events().messages(kind, PUBLISHED_AT_ONCE, *queues)
        properties = [_pika_properties(message) for message in batch]
        with pika.BlockingConnection(self._parameters) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            published = 0
            began = time.perf_counter()
            while time.perf_counter() - began < seconds:
                index = published % len(batch)
                channel.basic_publish("", batch[index].key, batch[index].body, properties[index], mandatory=True)
                published += 1
            return published / (time.perf_counter() - began)

    def _consume(self, queue: str, count: float, seconds: float) -> Rate:
        with pika.BlockingConnection(self._parameters) as connection:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=PREFETCH)
            consumed = held = tag = 0
            began = time.perf_counter()
            for method, _, _ in channel.consume(queue, inactivity_timeout=0.1):
                if method is not None:
                    held += 1
                    tag = method.delivery_tag
                if held == ACKED_AT_ONCE:
                    channel.basic_ack(tag, multiple=True)
                    consumed += held
                    held = 0
                if consumed + held >= count or time.perf_counter() - began >= seconds:
                    break
            if held:
                channel.basic_ack(tag, multiple=True)
                consumed += held
            return consumed / (time.perf_counter() - began)


def _pika_properties(message: Message) -> Any:
    properties = message.properties
    return pika.BasicProperties(
        delivery_mode=properties.delivery_mode,
        content_type=properties.content_type,
        message_id=properties.message_id,
        app_id=properties.app_id,
        headers=dict(properties.headers or {}),
    )


PEERS: dict[str, Callable[[str], AioPika | Pika]] = {"aio-pika": AioPika, "pika": Pika}

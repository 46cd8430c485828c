"""What is declared on RabbitMQ: exchanges, queues and bindings, made where they are missing.

In: bindings. Out: they are there, as far as the broker lets us. What it refuses (a limit of the vhost, a permission, a
queue that another connection has for itself) costs what it refuses and nothing else: it is logged, answered, and tried
again by whoever misses it. What exists with other arguments is used as it is (`doctor` tells of it), never made anew.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
import trio

from gcc.channels.message import Binding
from gcc.stores import rabbitmq

NOT_FOUND, PRECONDITION_FAILED = 404, 406
QUORUM: Mapping[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000_000}
"""Of replicated queues. RabbitMQ 4 throws away what it has handed out 20 times if nothing else is said, and each
connection that ends while a message is in work counts. (-1 would mean unlimited, which RabbitMQ 3 refuses.)"""

log = structlog.get_logger()
_Step = Callable[[rabbitmq.Channel], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Topology:
    """What is declared: the kind of each exchange ("direct", "topic"), and the arguments of every queue."""

    kinds: Mapping[str, str]
    queue_arguments: Mapping[str, Any] = field(default_factory=dict)


class Declarer:
    """For one life of `connection`, on which nothing is published or consumed: so it is neither blocked nor held up."""

    def __init__(self, connection: rabbitmq.Connection, topology: Topology, place: str) -> None:
        self._connection = connection
        self._topology = topology
        self._place = place
        self._known: set[str] = set()  # exchanges that are there
        self._channel: rabbitmq.Channel | None = None  # opened again when the broker has closed it
        self._turn = trio.Lock()  # one talks on it

    async def declare(self, bindings: Iterable[Binding]) -> dict[str, str]:
        """Answers what could not be declared, and why. Raises ConnectionClosed."""
        ordered = sorted(bindings, key=lambda binding: (binding.route.exchange, binding.queue, binding.route.key))
        failed: dict[str, str] = {}
        for exchange in sorted({binding.route.exchange for binding in ordered} - {""}):
            if await self._made(_exchange(exchange), failed, *self._exchange(exchange)):
                self._known.add(exchange)
        for queue in sorted({binding.queue for binding in ordered}):
            await self._made(_queue(queue), failed, *self._queue(queue))
        for binding in (binding for binding in ordered if binding.route.exchange):  # '' knows every queue
            if _exchange(binding.route.exchange) not in failed and _queue(binding.queue) not in failed:
                await self._made(_name(binding), failed, _bind(binding))
        return failed

    def _exchange(self, name: str) -> tuple[_Step, _Step]:
        kind = self._topology.kinds.get(name, "direct")
        return (
            lambda channel: channel.declare_exchange(name, kind),
            lambda channel: channel.declare_exchange(name, kind, passive=True),
        )

    def _queue(self, name: str) -> tuple[_Step, _Step]:
        return (
            lambda channel: channel.declare_queue(name, arguments=self._topology.queue_arguments),
            lambda channel: channel.declare_queue(name, passive=True),
        )

    async def _made(self, what: str, failed: dict[str, str], make: _Step, look: _Step | None = None) -> bool:
        """Whether it is there; else `failed` has it. `look`: whether it is there with other arguments."""
        try:
            await self._ask(make)
            return True
        except rabbitmq.ChannelClosed as error:
            why = str(error)
            differs = error.code == PRECONDITION_FAILED and look is not None
        if differs and look is not None and await self._answers(look):
            log.warning("declared otherwise", broker=self._place, error=why)
            return True
        log.warning("not declared", broker=self._place, what=what, error=why)
        failed[what] = why
        return False

    async def _answers(self, look: _Step) -> bool:
        try:
            await self._ask(look)
        except rabbitmq.ChannelClosed:
            return False
        return True

    async def exists(self, exchange: str) -> bool:
        """Publishing to an exchange that does not exist costs the channel. Raises ChannelClosed: nobody may ask."""
        if exchange and exchange not in self._known:
            try:
                await self._ask(lambda channel: channel.declare_exchange(exchange, "direct", passive=True))
            except rabbitmq.ChannelClosed as error:
                if error.code != NOT_FOUND:
                    raise
                return False
            self._known.add(exchange)
        return True

    def forget(self, exchange: str) -> None:
        """It is there no longer."""
        self._known.discard(exchange)

    async def look(self, queue: str) -> rabbitmq.QueueInfo:
        """Raises ChannelClosed: it is not there, or nobody may look at it."""
        info: rabbitmq.QueueInfo = await self._ask(lambda channel: channel.declare_queue(queue, passive=True))
        return info

    async def _ask(self, step: Callable[[rabbitmq.Channel], Awaitable[Any]]) -> Any:
        async with self._turn:
            if self._channel is None or self._channel.closed:
                self._channel = await self._connection.open_channel()
            return await step(self._channel)


def _bind(binding: Binding) -> _Step:
    return lambda channel: channel.bind_queue(binding.queue, binding.route.exchange, binding.route.key)


def _exchange(name: str) -> str:
    return f"exchange {name!r}"


def _queue(name: str) -> str:
    return f"queue {name!r}"


def _name(binding: Binding) -> str:
    return f"binding of {_queue(binding.queue)} to {_exchange(binding.route.exchange)} by {binding.route.key!r}"

"""The error routes of other programs, as spec/events.md names them: what arrives there is buried, and can be replayed.

A consumer of another team that has given a message up publishes it to `error.<queue>`. In: those queues. Out: dead
letters of `<queue>`, to which a replay takes them back. Only where others can publish, on RabbitMQ.
"""

from collections import deque
from collections.abc import Sequence

from gcc.channels.deadletters import Burial, DeadLetters
from gcc.channels.exchange import Queues
from gcc.channels.message import Delivery
from gcc.errors import Transient
from gcc.metrics import Metrics
from gcc.pipelines.events.reading import counted
from gcc.pipelines.events.routes import ERROR

RETRIES = "x-retry-count"
REASONS = ("x-exception", "x-error", "error", "reason")
"""Headers in which the one who gave up may say why."""


class ManyQueues:
    """Many queues as one, for one consumer: see `gcc.channels.exchange.Queues`, whatever queue it names."""

    def __init__(self, queues: Sequence[str], exchange: Queues) -> None:
        self._turns = deque(queues)
        self._exchange = exchange

    async def take(self, queue: str, *, frames_max: int) -> list[Delivery]:
        """Of each queue in turn. Transient only with empty hands: what was taken before is handed out."""
        taken: list[Delivery] = []
        for _ in range(len(self._turns)):
            if len(taken) >= frames_max:
                break
            self._turns.rotate(-1)
            try:
                taken += await self._exchange.take(self._turns[-1], frames_max=frames_max - len(taken))
            except Transient:
                if not taken:
                    raise
                break
        return taken

    async def wait(self, queue: str) -> None:
        """A poll interval of one of them; who has given up is not in a hurry."""
        await self._exchange.wait(self._turns[0])

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        await self._exchange.acknowledge(deliveries)

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        await self._exchange.give_back(deliveries)

    async def rest(self, queue: str) -> None:
        """Each of them, whatever becomes of the others."""
        failure: Transient | None = None
        for each in list(self._turns):
            try:
                await self._exchange.rest(each)
            except Transient as error:
                failure = error
        if failure:
            raise failure


class Burials:
    """Buries whatever comes; see `gcc.actors.consumer.Handler`."""

    def __init__(self, dead_letters: DeadLetters, metrics: Metrics) -> None:
        self._dead_letters = dead_letters
        self._metrics = metrics

    async def handle(self, batch: Sequence[Delivery]) -> int:
        burials = [_burial(delivery) for delivery in batch]
        await self._dead_letters.bury(burials)
        for burial in burials:
            self._metrics.dead_letters.labels(burial.queue).inc(burial.events)
        return sum(burial.events for burial in burials)


def _burial(delivery: Delivery) -> Burial:
    frame = delivery.frame
    ours = counted(frame, frame.body)
    return Burial(delivery.queue.removeprefix(ERROR), frame, frame.body, frame.events, _reason(delivery), ours)


def _reason(delivery: Delivery) -> str:
    headers = delivery.frame.headers
    tries = f" after {headers[RETRIES]} retries" if RETRIES in headers else ""
    why = next((f": {headers[name]}" for name in REASONS if headers.get(name)), "")
    return f"given up by another consumer{tries}{why}"

"""What the benches of the backbone send: profile_log events of about 500 bytes, alone or in frames of 100.

The same bytes go to ours and to every peer: a single event as a program of another team would publish it (plain JSON),
a frame as our relay does. All of it is persistent, into a durable queue.
"""

import datetime as dt
import random
import uuid

import trio

from gcc.channels.message import FRAME_EVENTS_MAX, Frame, Route
from gcc.pipelines.events.schemas import ProfileLog
from gcc.pipelines.events.types import encode, timestamp
from gcc.stores import rabbitmq
from gcc.stores.rabbitmq import Message
from gcc.stores.rabbitmq_messages import PERSISTENT, packed

SINGLE, FRAMED = "single", "framed"
KINDS = {SINGLE: 1, FRAMED: FRAME_EVENTS_MAX}
"""Events in a message of each kind."""
PROFILES = 2000
PUBLISHED_AT_ONCE = 500
TICK_S = 0.01
_ID, _AT = str(uuid.UUID(int=0)).encode(), b"2026-01-01 00:00:00.000000"


class Events:
    """Encoded events without end, each with an id of its own; the same profiles come again and again."""

    def __init__(self, seed: int = 1) -> None:
        rng = random.Random(seed)
        self._profiles = [_profile(rng) for _ in range(PROFILES)]
        self._next = rng.getrandbits(40)

    def lines(self, count: int) -> list[bytes]:
        at = timestamp(dt.datetime.now(dt.UTC)).encode()
        first, self._next = self._next, self._next + count
        return [
            at.join(self._profiles[number % PROFILES]).replace(_ID, _event_id(number))
            for number in range(first, first + count)
        ]

    def frame(self, route: Route) -> Frame:
        lines = self.lines(FRAME_EVENTS_MAX)
        return Frame(uuid.UUID(_event_id(self._next).decode()), route, len(lines), b"\n".join(lines))

    def messages(self, kind: str, count: int, *queues: str) -> list[Message]:
        """For each of `queues` in turn, by the default exchange."""
        turns = [queues[number % len(queues)] for number in range(count)]
        if kind == FRAMED:
            return [packed(self.frame(Route("", queue)), dt.datetime.now(dt.UTC)) for queue in turns]
        return [Message("", queue, line, PLAIN) for queue, line in zip(turns, self.lines(count), strict=True)]


PLAIN = rabbitmq.Properties(content_type="application/json", delivery_mode=PERSISTENT)


def _event_id(number: int) -> bytes:
    """As incompressible as a real one, and much cheaper."""
    return b"01990000-0000-7000-8000-%012x" % (number * 0x9E3779B97F4B % 2**48)


def _profile(rng: random.Random) -> list[bytes]:
    """A profile_log, what stands before its time and what behind."""
    followers = int(10 ** rng.uniform(3, 7))
    number = rng.randrange(10**9, 10**10)
    event = ProfileLog(
        event_id=_ID.decode(),
        event_timestamp=_AT.decode(),
        origin="etl",  # another team's: one that says it is ours, and came by no frame of ours, is written anew
        source="graphapi",
        platform="INSTAGRAM",
        profile_id=f"1784140{number}",
        handle=f"creator.{number}",
        metrics={
            "followers": followers,
            "following": rng.randrange(5000),
            "media_count": rng.randrange(5000),
            "avg_likes": round(followers * rng.uniform(0.005, 0.08), 2),
            "avg_comments": round(followers * rng.uniform(0.0001, 0.002), 2),
            "engagement_rate": round(rng.uniform(0.5, 8), 4),
        },
        dimensions={
            "full_name": f"Creator {number}",
            "category": rng.choice(["beauty", "gaming", "food", "travel"]),
            "language": rng.choice(["hi", "en", "ta"]),
            "country": "IN",
            "is_verified": rng.random() < 0.1,
        },
    )
    return encode(event).split(_AT)


async def fill(url: str, kind: str, queue: str, count: int) -> None:
    """`count` messages wait in `queue`."""
    events = Events()
    async with rabbitmq.connect(url, name="bench fill") as connection:
        channel = await connection.open_channel()
        await channel.declare_queue(queue)
        await channel.select_confirms()
        async with trio.open_nursery() as nursery:
            turn = trio.Semaphore(2)  # one is made while the other is confirmed
            while count > 0:
                batch = events.messages(kind, min(count, PUBLISHED_AT_ONCE), queue)
                count -= len(batch)
                await turn.acquire()
                nursery.start_soon(_confirmed, channel, batch, turn)


async def _confirmed(channel: rabbitmq.Channel, batch: list[Message], turn: trio.Semaphore) -> None:
    outcome = await channel.publish(batch)
    assert not outcome.nacked and not outcome.returned
    turn.release()


async def publish_steadily(url: str, queue: str, count: int, per_s: int) -> None:
    """`count` single events as evenly as can be, as soon as somebody consumes."""
    events = Events()
    async with rabbitmq.connect(url, name="bench producer") as connection:
        channel = await connection.open_channel()
        while not (await channel.declare_queue(queue, passive=True)).consumers:  # noqa: ASYNC110 (nobody tells)
            await trio.sleep(0.05)
        await channel.select_confirms()
        began = trio.current_time()
        published = 0
        while published < count:
            due = int((trio.current_time() - began) * per_s)
            if due > published:
                await channel.publish(events.messages(SINGLE, min(due, count) - published, queue))
                published = min(due, count)
            await trio.sleep(TICK_S)

"""`python -m tests.torture.fuzz --cases N [--seed S] [--processes P] [--json]`: all kinds of what a producer can send,
through the real parser, consumer and sinks of every event type.

In: messages that mutations.py bends, among good ones. Each goes as bytes of AMQP through the parser and `unpacked`,
then through a Consumer with the type's Sink, into tables, dead letters and referrals that take what the real ones
take and nothing else (tests/integration/test_fuzzed_stores.py holds them to those). Must hold: no exception leaves, or
is met, anywhere; every good neighbour is stored; every line of every message is stored, or refused with a reason; no
table refuses what was read; everything is acknowledged once.
The last line is JSON. Exit 1 with the messages that break a promise, and the command that sends them again.
"""

import argparse
import json
import random
import sys
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
import trio

from gcc.actors.consumer import Consumer
from gcc.channels.batch import BatchLimits
from gcc.channels.deadletters import Burial, DeadLetters, document
from gcc.channels.memory import Channels
from gcc.channels.message import Delivery, Frame
from gcc.channels.referrals import Referral, Referrals
from gcc.clock import SystemClock
from gcc.metrics import Metrics
from gcc.pipelines.events.referrals import also_referrals
from gcc.pipelines.events.sinks import EventStore, Sink
from gcc.pipelines.events.types import ERROR_TABLE, EVENT_TYPES, LAUNCH_REFER_EVENT, EventType
from gcc.stores.rabbitmq import codec
from gcc.stores.rabbitmq_messages import unpacked
from gcc.supervisor.drain import Stage
from gcc.supervisor.lifecycle import Board, State
from tests.fakes.strict_tables import StrictTables
from tests.integration.test_routes import CASES
from tests.simulation.runs import FRESH, cores
from tests.torture.mutations import Mutations, dumped

FRAME_MAX = 131_072
ROUND = 100  # bent messages of one type in one consumer's life
CHUNK = ROUND * len(EVENT_TYPES)
NEIGHBOUR_EVERY = 8
ROUND_S = 120.0
INDEX_BYTES_MAX = 2700  # of one value in an index of PostgreSQL
SHOWN_BYTES_MAX = 400
SHOWN_MESSAGES_MAX = 5
PAYLOADS = {
    event_type.name: [(case.payload, case.key) for case in CASES if case.event_type == event_type.name]
    for event_type in EVENT_TYPES
}
REASONS = ("not of type ", "stored, but no referral: ")


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as a broker delivers it; `neighbour` is the event_id of a good one."""

    exchange: str
    key: bytes
    properties: bytes
    body: bytes
    neighbour: str | None = None

    def __str__(self) -> str:
        body = self.body if len(self.body) <= SHOWN_BYTES_MAX else self.body[:SHOWN_BYTES_MAX] + b"..."
        return f"key {self.key!r} properties {self.properties!r:.300} body of {len(self.body):,}: {body!r}"

    def wire(self, tag: int) -> bytes:
        """Frames of basic.deliver, its content header and its body, on channel 1."""
        consumer, *where = (bytes((len(name),)) + name for name in (b"c", self.exchange.encode(), self.key))
        deliver = b"\x00\x3c\x00\x3c" + consumer + tag.to_bytes(8, "big") + b"\x00" + b"".join(where)
        header = b"\x00\x3c\x00\x00" + len(self.body).to_bytes(8, "big") + self.properties
        step = FRAME_MAX - codec.FRAME_OVERHEAD
        parts = [(1, deliver), (2, header)]
        parts += [(3, self.body[start : start + step]) for start in range(0, len(self.body), step)]
        return b"".join(
            bytes((kind, 0, 1)) + len(payload).to_bytes(4, "big") + payload + b"\xce" for kind, payload in parts
        )


@dataclass(slots=True)
class Tally:
    """`events`: lines of all messages. Each is among the stored, the errors or the buried."""

    cases: int = 0
    neighbours: int = 0
    events: int = 0
    stored: int = 0
    errors: int = 0
    buried: int = 0
    bytes: int = 0
    complaints: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Pile:
    """A queue in memory; see `gcc.channels.exchange.Queues`."""

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        self._waiting = deque(deliveries)
        self.acknowledged: Counter[int] = Counter()
        self.given_back = 0
        self.empty = trio.Event()

    async def take(self, queue: str, *, frames_max: int) -> list[Delivery]:
        await trio.lowlevel.checkpoint()
        return [self._waiting.popleft() for _ in range(min(frames_max, len(self._waiting)))]

    async def wait(self, queue: str) -> None:
        self.empty.set()
        await trio.sleep_forever()

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        self.acknowledged.update(delivery.id for delivery in deliveries)
        await trio.lowlevel.checkpoint()

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        self.given_back += len(deliveries)
        await trio.lowlevel.checkpoint()

    async def rest(self, queue: str) -> None:
        await trio.lowlevel.checkpoint()


class StrictLetters:
    """Dead letters as object store and PostgreSQL take them."""

    def __init__(self) -> None:
        self.kept: list[Burial] = []

    async def bury(self, burials: Sequence[Burial]) -> None:
        for burial in burials:
            letter = document(burial, SystemClock().now())
            texts = (letter.queue, letter.exchange, letter.routing_key, letter.reason)
            if b"\n" in msgspec.json.encode(letter) or any("\0" in text for text in texts):
                raise ValueError("a letter that its stores refuse")
            if letter.content != burial.body:
                raise ValueError("a letter that is not what was buried")
        self.kept += burials


class StrictReferrals:
    """Referrals as PostgreSQL takes them, after NUL is taken out."""

    async def add(self, referrals: Sequence[Referral]) -> None:
        for referral in referrals:
            uuid.UUID(referral.event_id)
            texts = (referral.referral_code, referral.referrer_user_id, referral.user_id, referral.device_id)
            if max(len(text.encode()) for text in texts) > INDEX_BYTES_MAX or referral.referred_at.tzinfo is None:
                raise ValueError("a referral that PostgreSQL refuses")


class Desk:
    """A consumer and the sink of one type on given stores, and the look at what became of what was sent."""

    def __init__(
        self, event_type: EventType, store: EventStore, letters: DeadLetters, referrals: Referrals, rows_max: int
    ) -> None:
        metrics, clock = Metrics(), SystemClock()
        also = also_referrals(referrals) if event_type is LAUNCH_REFER_EVENT else None
        self.type = event_type
        self.clock = clock
        self.actor = Board(clock.now).actor("sinker")
        self.stage = Stage("sinkers")
        self._sink = Sink(event_type, store, letters, metrics, also=also)
        self._more: dict[str, Any] = {
            "limits": BatchLimits(rows=min(50, rows_max), age_s=60.0, rows_max=rows_max), "channels": Channels(),
            "actor": self.actor, "stage": self.stage, "metrics": metrics, "rng": clock.rng,
        }  # fmt: skip
        self._letters = letters

    def unpacked(self, sent: Sequence[Sent]) -> list[Delivery]:
        """As the exchange hands them out."""
        parser = codec.Parser(FRAME_MAX)
        parser.channels_opened = 1
        events = parser.feed(b"".join(message.wire(number) for number, message in enumerate(sent, 1)))
        now = self.clock.now()
        return [unpacked(self.type.queue, message.tag, message, now) for _, message in events]  # type: ignore[arg-type,union-attr]

    async def handle(self, deliveries: Sequence[Delivery]) -> Pile:
        """Until all are acknowledged, or given back."""
        pile = Pile(deliveries)
        consumer = Consumer(self.type.queue, pile, self._sink, self._letters, **self._more)
        with trio.fail_after(ROUND_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(consumer.run)
                await pile.empty.wait()
                self.stage.begin()
        return pile


def drawn(event_type: EventType, rng: random.Random, cases: int) -> Iterator[Sent]:
    """`cases` bent messages of a type, and good ones among them."""
    mutations = Mutations(rng)
    for number in range(cases):
        payload, key = rng.choice(PAYLOADS[event_type.name])
        route = rng.choice([route for route in event_type.routes if not key or route.key in (key, "#")])
        key = key or route.key
        if number % NEIGHBOUR_EVERY == 0:
            event_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
            body = dumped({**payload, "event_id": event_id})
            yield Sent(route.exchange, key.encode(), b"\0\0", body, event_id)
        body = mutations.body(payload)
        yield Sent(route.exchange, mutations.key(key), mutations.properties(lines(body)), body)


async def one_round(event_type: EventType, sent: Sequence[Sent], rows_max: int) -> Tally:
    """Send `sent`, on stores of their own."""
    errors: list[str] = []

    def note(table: str, rows: list[dict[str, Any]]) -> None:
        if table == ERROR_TABLE and event_type.table != ERROR_TABLE:
            errors.extend(row["error"] for row in rows)

    store, letters = StrictTables(note), StrictLetters()
    desk = Desk(event_type, store, letters, StrictReferrals(), rows_max)
    tally = Tally(cases=sum(message.neighbour is None for message in sent), neighbours=0)
    try:
        deliveries = desk.unpacked(sent)
        pile = await desk.handle(deliveries)
    except Exception as error:
        tally.complaints.append(f"an exception left: {error!r:.500}")
        return tally
    reasons = errors + [burial.reason for burial in letters.kept]
    beside = sum(reason.startswith(REASONS[1]) for reason in reasons)
    tally.neighbours = sum(message.neighbour is not None for message in sent)
    tally.bytes = sum(len(message.body) for message in sent)
    tally.events = sum(events_of(delivery.frame) for delivery in deliveries)
    tally.stored = store.inserted[event_type.table]
    tally.errors = len(errors)
    tally.buried = sum(burial.events for burial in letters.kept)
    odd = [reason for reason in reasons if not reason.startswith(REASONS)]
    lost = {message.neighbour for message in sent if message.neighbour} - store.ids[event_type.table]
    told = f"{tally.stored} stored, {tally.errors} errors, {tally.buried} buried, {beside} of these twice"
    promises = {
        f"{len(sent)} were sent, {len(deliveries)} unpacked": len(sent) == len(deliveries),
        f"{len(lost)} good neighbours are not stored": not lost,
        "not each is acknowledged once": pile.acknowledged == Counter(delivery.id for delivery in deliveries),
        f"{pile.given_back} were given back": not pile.given_back,
        f"{desk.actor.failed} troubles, {desk.actor.bugs} bugs: {desk.actor.last_error}": not desk.actor.failed,
        f"the consumer is {desk.actor.state}": desk.actor.state is State.FINISHED,
        f"{tally.events} events: {told}": tally.stored + tally.errors + tally.buried - beside == tally.events,
        f"reasons that are none of ours: {odd[:3]}": not odd,
    }
    tally.complaints = [complaint for complaint, holds in promises.items() if not holds]
    return tally


def lines(body: bytes) -> int:
    return sum(bool(line.strip()) for line in body.split(b"\n"))


def events_of(frame: Frame) -> int:
    """As many as it has lines; one, if it has none, or more than it says: then it is refused as it is."""
    found = lines(frame.body)
    return found if 0 < found <= frame.events else 1


async def chunk(seed: int, number: int, cases: int) -> Tally:
    """`cases` of all types in turn; what breaks a promise is sent again alone, so that it can be named."""
    rng, tally = random.Random(f"{seed}/{number}"), Tally()
    for event_type in EVENT_TYPES:
        share = min(ROUND, max(1, cases // len(EVENT_TYPES)))
        sent, rows_max = list(drawn(event_type, rng, share)), rng.choice((60, 200, 2000))
        found = await one_round(event_type, sent, rows_max)
        if found.complaints:
            alone = [(message, (await one_round(event_type, [message], rows_max)).complaints) for message in sent]
            guilty = [f"    {why}\n      {message}" for message, why in alone if why][:SHOWN_MESSAGES_MAX]
            found.complaints = [f"chunk {number}, {event_type.name}: {'; '.join(found.complaints)}", *guilty]
        tally.add(found)
    return tally


def run_chunk(seed: int, number: int, cases: int) -> Tally:
    """In a process of its own."""
    return trio.run(chunk, seed, number, cases)


def fuzz(cases: int, seed: int, processes: int, first: int = 0) -> Iterator[Tally]:
    """Chunk by chunk, on so many processes."""
    numbers = range(first, first + max(1, -(-cases // CHUNK)))
    sizes = [min(CHUNK, cases)] * len(numbers)
    if processes == 1:
        yield from map(run_chunk, [seed] * len(numbers), numbers, sizes)
        return
    with ProcessPoolExecutor(processes, mp_context=FRESH) as pool:
        yield from pool.map(run_chunk, [seed] * len(numbers), numbers, sizes)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, help="of all that is drawn")
    parser.add_argument("--chunk", type=int, default=0, help="the first one: what a failure names")
    parser.add_argument("--processes", type=int, default=cores())
    parser.add_argument("--json", action="store_true", help="on stdout nothing but the last line")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(2**31) if arguments.seed is None else arguments.seed
    out = sys.stderr if arguments.json else sys.stdout
    total, began, told = Tally(), time.monotonic(), 0.0
    found = fuzz(arguments.cases, seed, arguments.processes, arguments.chunk)
    for number, tally in enumerate(found, arguments.chunk):
        total.add(tally)
        took = time.monotonic() - began
        if tally.complaints or took - told > 10:
            told = took
            print(f"seed {seed}: {total.cases:,} cases in {took:.0f} s, {len(total.complaints)} complaints", file=out)
            print(*tally.complaints, sep="\n", end="\n" if tally.complaints else "", file=out, flush=True)
        if tally.complaints:
            few = min(arguments.cases, CHUNK)
            print(f"again: python -m tests.torture.fuzz --seed {seed} --chunk {number} --cases {few}", file=out)
    took = round(time.monotonic() - began, 1)
    report = {"seed": seed, "seconds": took, "cases_per_s": round(total.cases / took), **asdict(total)}
    print(json.dumps(report))
    return 1 if total.complaints else 0


if __name__ == "__main__":
    sys.exit(main())

"""Bugs, planted one at a time: what the simulation must catch, or its checkers check nothing.

Each is a mistake that somebody makes in earnest (most are known from other systems). `plant(name)` makes
it for the length of a block; `first_catch` tells how many seeds it took. The table is in docs/simulation.md.
"""

import datetime as dt
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import count
from typing import Any

import trio

from gcc.actors import bugs
from gcc.actors.claimer import Claimer
from gcc.actors.consumer import Consumer
from gcc.actors.leases import Leases
from gcc.actors.patience import Patience
from gcc.actors.relay import Relay
from gcc.actors.scraper import Scraper
from gcc.channels.deadletters import Burial, document, packed
from gcc.channels.jobs import Crawl, Job, JobStatus
from gcc.channels.memory import Signal
from gcc.channels.message import Delivery, Frame
from gcc.errors import GccError, Permanent, Transient
from gcc.pipelines.events.sinks import Sink
from gcc.sources.window import Window
from gcc.stores import clickhouse_errors, postgres, rabbitmq, rabbitmq_relay
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.rabbitmq_exchange import RabbitMQExchange
from gcc.stores.rabbitmq_relay import Publisher, Relaying, Sent
from gcc.supervisor.breaker import Breaker
from gcc.supervisor.drain import intake_open
from tests.fakes import database
from tests.fakes.event_store import FakeDeadLetters
from tests.fakes.exchange import FakeExchange
from tests.fakes.jobs import FakeJobs
from tests.simulation import planted_limits as planted_limits  # they are planted as these are
from tests.simulation import planted_scoring as planted_scoring
from tests.simulation.planting import BUGS, Patch, bug


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The bug of this name, for the length of the block; none for ""."""
    with Patch.context() as patch:
        if name:
            BUGS[name](patch)
        yield


@bug
def acknowledge_before_store(patch: Patch) -> None:
    """The sinker acknowledges its batch, then stores it."""
    flush = Consumer._flush

    async def early(self: Consumer, batch: Sequence[Delivery]) -> Sequence[Delivery]:
        await self._exchange.acknowledge(batch)
        return await flush(self, batch)

    patch.setattr(Consumer, "_flush", early)


@bug
def no_fence_on_completion(patch: Patch) -> None:
    """A completion does not ask whether its attempt still has the job."""
    patch.setattr(FakeJobs, "_held", lambda self, job: self._database.jobs[job.id])


@bug
def queue_row_deleted_before_its_handler_finished(patch: Patch) -> None:
    """Taking a frame removes it: at most once."""
    take = FakeExchange._take

    def remove(self: FakeExchange, queue: str, frames_max: int) -> list[Delivery]:
        taken = take(self, queue, frames_max)
        for delivery in taken:
            self._database.lines[queue].remove(self._database.queues.pop(delivery.id))
        return taken

    patch.setattr(FakeExchange, "_take", remove)


@bug
def token_reused_for_other_content(patch: Patch) -> None:
    """The insert's token counts the rows instead of hashing them."""

    async def insert(self: Sink, table: str, lines: list[bytes]) -> None:
        await self._store.insert_ndjson(table, b"\n".join(lines), token=f"batch of {len(lines)}")

    patch.setattr(Sink, "_insert", insert)


@bug
def limiter_off_by_one(patch: Patch) -> None:
    """One call more than the limit in each window."""
    room_at = Window.room_at
    patch.setattr(
        Window,
        "room_at",
        lambda self, now, units, per_s, most, ahead: room_at(self, now, units, per_s, most + 1, ahead),
    )


@bug
def lease_not_renewed(patch: Patch) -> None:
    """The heartbeat beats, and extends nothing."""

    async def beat(self: Leases) -> None:
        await trio.lowlevel.checkpoint()

    patch.setattr(Leases, "beat", beat)


@bug
def rescue_by_age(patch: Patch) -> None:
    """Attempts older than two leases are rescued, whatever their lease says."""
    rescue = FakeJobs.rescue

    async def by_age(self: FakeJobs) -> int:
        old = self._clock.now() - dt.timedelta(seconds=2 * self._lease_s)
        for row in list(self._database.unfinished.values()):
            if row.job.status is JobStatus.PROCESSING and row.job.picked_at and row.job.picked_at < old:
                self._database.lease(row, old)
        return await rescue(self)

    patch.setattr(FakeJobs, "rescue", by_age)


@bug
def drain_cancels_work_in_hand(patch: Patch) -> None:
    """The end of intake cancels the whole scraper, not only its waiting for more."""
    run = Scraper.run

    async def hasty(self: Scraper, **more: Any) -> None:
        with intake_open(self._intake):
            await run(self, **more)

    patch.setattr(Scraper, "run", hasty)


@bug
def drain_forgets_unbegun_jobs(patch: Patch) -> None:
    """Jobs claimed but not begun are dropped instead of given back: somebody waits for their leases."""

    async def forget(self: Claimer, jobs: Sequence[Job]) -> None:
        self._leases.drop(jobs)

    patch.setattr(Claimer, "_give_back", forget)


@bug
def empty_flow_stays_empty(patch: Patch) -> None:
    """A flow of which a claim found nothing is not asked for again."""
    patch.setattr(Claimer, "_had_nothing", lambda self, flow, room: flow in self._empty)


@bug
def slot_of_a_lost_lease_is_lost(patch: Patch) -> None:
    """An attempt that ends by its cancellation leaves its slot taken."""

    async def begun(self: Scraper, job: Job) -> None:
        with bugs.contained(self._actor, flow=self.flow, job=str(job.id)), self._leases.hold(job):
            await self._attempt(job)
            self._actor.in_flight -= 1
            self._claimer.room_made()

    patch.setattr(Scraper, "_begun", begun)


@bug
def relay_leaves_at_drain(patch: Patch) -> None:
    """The relay ends when its stage begins, whatever the outbox holds."""
    run = Relay.run

    async def hasty(self: Relay, **more: Any) -> None:
        with self._stage.member("relay"):
            with intake_open(self._stage):
                await run(self, **more)

    patch.setattr(Relay, "run", hasty)


@bug
def relay_in_two_transactions(patch: Patch) -> None:
    """Outbox rows are deleted in one transaction and queued in the next."""

    async def relay(self: FakeExchange, term: int = 0) -> int:
        rows = await self._connection.commit(
            lambda: [self._database.outbox.popleft() for _ in self._database.outbox.copy()]
        )
        await self._connection.commit(lambda: [self._deliver(row) for row in rows])
        for signal in self._wakeups.values():
            signal.set()
        return len(rows)

    patch.setattr(FakeExchange, "relay", relay)


@bug
def events_in_a_second_transaction(patch: Patch) -> None:
    """A job is completed first; its events follow in a transaction of their own."""
    complete = FakeJobs.complete

    async def twice(self: FakeJobs, job: Job, crawl: Crawl) -> None:
        await complete(self, job, Crawl(crawl.source, crawl.writes, (), crawl.events, crawl.data))
        await self._connection.commit(lambda: self._database.emit(crawl.frames))

    patch.setattr(FakeJobs, "complete", twice)


@bug
def flush_at_drain_drops_rows(patch: Patch) -> None:
    """In a hurry to end, the sinker settles its last batch without storing it."""
    flush = Consumer._flush

    async def drop(self: Consumer, batch: Sequence[Delivery]) -> Sequence[Delivery]:
        if self._stage.begun.is_set():
            await self._exchange.acknowledge(batch)
            return ()
        return await flush(self, batch)

    patch.setattr(Consumer, "_flush", drop)


@bug
def backoff_gives_up(patch: Patch) -> None:
    """After eight tries a lost dependency is taken for lost for ever."""
    wait_after = Patience.wait_after

    async def give_up(self: Patience, error: Transient) -> None:
        await wait_after(self, error)
        if self.failures > 8:
            raise Permanent("gave up") from error

    patch.setattr(Patience, "wait_after", give_up)


@bug
def breaker_never_closes(patch: Patch) -> None:
    """A success is not told to the breaker."""
    patch.setattr(Breaker, "succeeded", lambda self: None)


@bug
def no_poll_behind_the_wake_up(patch: Patch) -> None:
    """Who waits for a wake-up waits for ever."""
    wait = Signal.wait

    async def deaf(self: Signal, timeout_s: float | None = None) -> bool:
        return await wait(self)

    patch.setattr(Signal, "wait", deaf)


@bug
def poison_for_a_store_that_is_away(patch: Patch) -> None:
    """A store that does not answer is taken for one that refuses: its rows are dead-lettered."""
    handle = Sink.handle

    async def bury(self: Sink, batch: Sequence[Delivery]) -> int:
        try:
            return await handle(self, batch)
        except Transient as error:
            frames = [(delivery.queue, delivery.frame) for delivery in batch]
            burials = [Burial(queue, frame, frame.body, frame.events, str(error)) for queue, frame in frames]
            await self._dead_letters.bury(burials)
            return 0

    patch.setattr(Sink, "handle", bury)


@bug
def outbox_removed_before_confirm(patch: Patch) -> None:
    """A frame leaves the outbox when it is published, not when the broker has confirmed it."""
    start = Relaying._start

    def early(self: Relaying, publisher: Any, rows: Any) -> None:
        database, gone = self._outbox._connection.database, {row.id for row in rows}  # type: ignore[attr-defined]
        database.outbox = deque(row for row in database.outbox if row.frame.id.int not in gone)
        start(self, publisher, rows)

    patch.setattr(Relaying, "_start", early)


@bug
def refused_messages_forgotten(patch: Patch) -> None:
    """What the broker did not take (a nack) counts as taken."""
    publish = Publisher._publish

    async def trusting(self: Publisher, route: Any, rows: Any) -> rabbitmq.Outcome:
        return rabbitmq.Outcome(returned=(await publish(self, route, rows)).returned)

    patch.setattr(Publisher, "_publish", trusting)


@bug
def unconfirmed_messages_forgotten(patch: Patch) -> None:
    """What the broker has not confirmed in time counts as taken."""
    publish = Publisher._publish

    async def trusting(self: Publisher, route: Any, rows: Any) -> rabbitmq.Outcome:
        outcome = await publish(self, route, rows)
        return rabbitmq.Outcome(outcome.nacked, outcome.returned)

    patch.setattr(Publisher, "_publish", trusting)


@bug
def tags_outlive_their_channel(patch: Patch) -> None:
    """After a reconnect deliveries of the lost channel are acknowledged on the new one, by their numbers."""

    def held(self: RabbitMQExchange, deliveries: Sequence[Delivery]) -> list[tuple[Any, set[int]]]:
        intakes = self._connection().intakes
        by_queue: dict[str, set[int]] = {}
        for delivery in deliveries:
            tag = delivery.id % (1 << 40)
            if delivery.queue in intakes and tag in intakes[delivery.queue].held:
                by_queue.setdefault(delivery.queue, set()).add(tag)
        return [(intakes[queue], tags) for queue, tags in by_queue.items()]

    patch.setattr(RabbitMQExchange, "_held", held)


# Bugs that were there, and that this project has mended.


@bug
def job_that_raises_ends_its_flow(patch: Patch) -> None:
    """What one job raises ends the scraper, with all jobs that it has in hand."""

    async def attempt(self: Scraper, job: Job) -> None:
        await self._settle(job, await self._work(job))

    patch.setattr(Scraper, "_attempt", attempt)
    patch.setattr(bugs, "contained", lambda actor, **of: nullcontext())


@bug
def message_that_raises_ends_its_consumer(patch: Patch) -> None:
    """What the handling of one message raises ends the sinkers; it comes again, and ends the next ones."""

    async def handle(self: Consumer, hand: Any) -> None:
        hand.stored = await self._handler.handle(hand.parts[-1])
        hand.done = hand.parts.pop()
        self._breaker.succeeded()

    patch.setattr(Consumer, "_handle", handle)


@bug
def empty_messages_are_nothing(patch: Patch) -> None:
    """A message without a line in it is acknowledged, and nobody is told."""
    sift = Sink._sift

    async def silent(self: Sink, delivery: Delivery, rows: Any, refused: Any) -> None:
        if delivery.frame.body.strip():
            await sift(self, delivery, rows, refused)

    patch.setattr(Sink, "_sift", silent)


@bug
def buried_before_removed(patch: Patch) -> None:
    """What the broker has confirmed leaves the outbox after what it refused is buried: else it is published again."""
    settle = Relaying._settle

    async def late(self: Relaying, publisher: Publisher, done: Sequence[Sent], term: int) -> int:
        for sent in done:
            await self._dead_letters.bury_outbox(sent.refused, (self._outbox.leader, term))
        return await settle(self, publisher, done, term)

    patch.setattr(Relaying, "_settle", late)


@bug
def deleted_exchange_stays_away(patch: Patch) -> None:
    """That an exchange is not found is like any other answer: nobody declares it again."""
    patch.setattr(rabbitmq_relay, "NOT_FOUND", -1)


@bug
def standby_taken_for_a_bug(patch: Patch) -> None:
    """That the database has become read-only is for nobody to wait for."""
    patch.setattr(postgres, "PASSING", postgres.PASSING - {postgres.READ_ONLY})


@bug
def unlisted_codes_refuse_rows(patch: Patch) -> None:
    """An error of the event store that is on no list is taken for the rows'."""
    judged = clickhouse_errors.judged
    listed = {159, 202, 210, 241, 242, 252, 425}

    def strict(error: Exception, what: str, **more: bool) -> GccError:
        found = judged(error, what, **more)
        code = getattr(error, "code", None)
        return Permanent(str(found)) if code and code not in listed else found

    patch.setattr(clickhouse_errors, "judged", strict)


@bug
def all_rows_refused_one_by_one(patch: Patch) -> None:
    """A table that takes nothing is not asked about: its backlog is dead-lettered, row by row."""

    async def takes_blank(self: Sink, table: str) -> bool:
        return True

    patch.setattr(Sink, "_takes_blank", takes_blank)


@bug
def letters_get_new_ids(patch: Patch) -> None:
    """A burial that is done again writes its letters again."""
    numbers = count()

    async def kept(self: FakeDeadLetters, ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
        return set()

    patch.setattr(FakeDeadLetters, "_kept", kept)
    patch.setattr(database, "letter_id", lambda queue, frame_id, body: uuid.uuid5(frame_id, str(next(numbers))))


@bug
def letters_written_one_by_one(patch: Patch) -> None:
    """Each letter is an object and a row of its own, also when it is there: a slow object store holds up the batch."""

    async def bury(self: StoredDeadLetters, burials: Sequence[Burial]) -> None:
        at = self._clock.now().replace(microsecond=0)
        for burial in burials:
            for pack in packed([document(burial, at)]):
                await self._put_rows("bury", await self._put(pack, at), pack)

    patch.setattr(StoredDeadLetters, "bury", bury)


@bug
def lost_answer_done_twice(patch: Patch) -> None:
    """A job is given back; the answer is lost; given back again, it tells of its attempt again."""

    async def release(
        self: FakeJobs, jobs: Sequence[Job], *, after_s: float = 0, frames: Sequence[Frame] = (), why: object = None
    ) -> None:
        def change() -> None:
            rows = [self._database.jobs[job.id] for job in jobs if self._is_ours(job)]
            released = [self._move(row, JobStatus.PENDING, due_in_s=after_s) for row in rows]
            for job in released:
                self._database.tell("released", job)
            self._emit(released, "given back", also=frames)

        if jobs:
            await self._connection.commit(change)
            self._wake()

    patch.setattr(FakeJobs, "release", release)


@bug
def unreadable_property_costs_all(patch: Patch) -> None:
    """Of a message with a property that cannot be read none is read: two messages of the same words are one."""
    unpack = rabbitmq.Properties.unpack

    def strict(data: bytes) -> rabbitmq.Properties:
        properties = unpack(data)
        read = sum(getattr(properties, name) is not None for name in rabbitmq.Properties.__slots__)
        return properties if read == int.from_bytes(data[:2], "big").bit_count() else rabbitmq.Properties()

    patch.setattr(rabbitmq.Properties, "unpack", strict)

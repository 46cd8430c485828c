"""Webhooks out: signatures as Standard Webhooks has them, when what failed is tried again, and the deliverer's ways."""

import base64
import datetime as dt
import random
import uuid
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from gcc.actors.gates import Gate
from gcc.channels.memory import Signal
from gcc.clock import VirtualClock
from gcc.config import load
from gcc.errors import ConfigError, Transient
from gcc.pipelines.webhooks import events
from gcc.pipelines.webhooks.deliverer import ANSWER_S, POLL_S, Deliverer
from gcc.pipelines.webhooks.pipeline import master
from gcc.pipelines.webhooks.retries import RETRIES_S, retry_s
from gcc.pipelines.webhooks.signing import BOTH_SIGN, Secrets, signed
from gcc.sources.outbound import NotAllowed
from gcc.stores.webhooks import CLAIMED_MAX, Due
from gcc.supervisor.drain import Stage
from gcc.supervisor.lifecycle import Board, State
from tests.fakes.fetcher import FakeFetcher, Reply

ENDPOINT = uuid.UUID("0191b2c3-0000-7000-8000-00000000000a")
KEY = base64.b64encode(b"k" * 32).decode()


def test_a_signature_is_that_of_the_standard() -> None:
    """The example of standardwebhooks.com's libraries."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [secret])
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_secrets_differ_by_master_endpoint_and_generation_and_are_the_same_again() -> None:
    secrets = Secrets(b"m" * 32)
    others = [
        Secrets(b"n" * 32).of(ENDPOINT, 1),
        secrets.of(uuid.UUID(int=1), 1),
        secrets.of(ENDPOINT, 2),
        secrets.of(ENDPOINT, 11),
    ]
    own = secrets.of(ENDPOINT, 1)
    assert own == Secrets(b"m" * 32).of(ENDPOINT, 1)
    assert len({own, *others}) == 5
    shown = secrets.shown(ENDPOINT, 1)
    assert base64.b64decode(shown.removeprefix("whsec_"), validate=True) == own
    assert len(own) == 32


def test_for_a_day_two_generations_sign_the_new_one_first() -> None:
    secrets, now = Secrets(b"m" * 32), dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    new, old = secrets.of(ENDPOINT, 3), secrets.of(ENDPOINT, 2)
    assert secrets.valid(ENDPOINT, 3, now - BOTH_SIGN + dt.timedelta(seconds=1), now) == [new, old]
    assert secrets.valid(ENDPOINT, 3, now - BOTH_SIGN, now) == [new]
    assert secrets.valid(ENDPOINT, 1, None, now) == [secrets.of(ENDPOINT, 1)]
    assert len(signed(ENDPOINT, 1, b"", [new, old])["webhook-signature"].split(" ")) == 2


def test_waits_grow_spread_by_a_fifth_and_end() -> None:
    rng = random.Random(1)
    for failures, wait_s in enumerate(RETRIES_S, start=1):
        waits = [retry_s(failures, rng) or 0.0 for _ in range(500)]
        assert 0.8 * wait_s <= min(waits) < 0.82 * wait_s
        assert 1.18 * wait_s < max(waits) <= 1.2 * wait_s
    assert retry_s(len(RETRIES_S) + 1, rng) is None
    assert all(later > 1.5 * sooner for sooner, later in pairwise(RETRIES_S))


async def test_an_event_is_thin_and_carries_its_id() -> None:
    clock = VirtualClock(seed=1)
    event_id, frame = events.framed(clock, events.TEST, 7, {"endpoint_id": str(ENDPOINT)}, endpoint_id=ENDPOINT)
    told = msgspec.json.decode(frame.body)
    assert (frame.events, frame.counted) == (1, 0)
    assert told["partner_id"] == 7
    assert uuid.UUID(told["event_id"]) == event_id
    assert event_id.version == 7


@pytest.mark.parametrize("secret", ["short", base64.b64encode(b"x" * 31).decode(), "ä" * 50])
def test_a_master_that_is_none_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ConfigError, match="openssl rand") as refused:
        load(None, environ={"GCC_WEBHOOKS__SECRET": secret})
    assert secret not in str(refused.value)


def test_the_master_is_the_settings_or_a_file_beside_the_embedded_database(tmp_path: Any) -> None:
    (tmp_path / "a").mkdir(mode=0o700)
    embedded = load(None, data_dir=tmp_path / "a", environ={})
    made = master(embedded)
    assert made is not None
    assert made == master(embedded)
    assert len(made) == 32
    assert (tmp_path / "a" / "webhooks.key").stat().st_mode & 0o777 == 0o600
    servers = ["postgres.url=postgresql://db.example.org/gcc"]
    assert master(load(None, overrides=servers, environ={})) is None
    assert master(load(None, overrides=servers, environ={"GCC_WEBHOOKS__SECRET": KEY})) == b"k" * 32


@pytest.mark.parametrize(
    "also",
    ["gateway.host=0.0.0.0", "ops.host=192.168.1.2", "ingest.host=::", "postgres.url=postgresql://db.example.org/gcc"],
)
def test_private_receivers_are_for_one_machine_alone(also: str) -> None:
    load(None, overrides=["webhooks.allow_private=true"], environ={})
    with pytest.raises(ConfigError, match=r"webhooks\.allow_private is for one machine alone"):
        load(None, overrides=["webhooks.allow_private=true", also], environ={})


class Store:
    """Deliveries in memory: `waiting` are due, `ended` is what became of them."""

    def __init__(self) -> None:
        self.waiting: list[Due] = []
        self.ended: list[tuple[Any, ...]] = []
        self.away = 0
        """So many calls fail."""

    def add(self, count: int, failures: int = 0) -> None:
        self.waiting += [
            Due(uuid.UUID(int=n), ENDPOINT, uuid.UUID(int=n), b"{}", 1, failures, f"https://h{n}.example.org/", 1, None)
            for n in range(len(self.waiting), len(self.waiting) + count)
        ]

    def _called(self) -> None:
        if self.away:
            self.away -= 1
            raise Transient("the database is away")

    async def claim(self, room: int) -> list[Due]:
        await trio.lowlevel.checkpoint()
        self._called()
        claimed, self.waiting = self.waiting[:room], self.waiting[room:]
        return claimed

    async def delivered(self, due: Due, answered: int) -> None:
        await trio.lowlevel.checkpoint()
        self._called()
        self.ended.append((due.id.int, answered))

    async def failed(
        self, due: Due, error: str, *, answered: int | None, retry_s: float | None, gone: bool = False
    ) -> None:
        await trio.lowlevel.checkpoint()
        self._called()
        self.ended.append((due.id.int, answered, error, retry_s is not None, gone))


class Bench:
    def __init__(self, reply: Any = Reply) -> None:
        self.clock = VirtualClock(seed=1)
        self.store, self.arrived, self.stage, self.gate = Store(), Signal(), Stage("intake"), Gate()
        self.fetcher = FakeFetcher(lambda request: reply())
        self.actor = Board(self.clock.now).actor("webhooks/deliverer")
        self.deliverer = Deliverer(
            self.store, self.fetcher, Secrets(b"m" * 32), self.clock,
            arrived=self.arrived, actor=self.actor, stage=self.stage, gate=self.gate,
        )  # fmt: skip


async def test_what_is_due_is_posted_and_its_end_told(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    bench = Bench()
    bench.store.add(1)
    await nursery.start(bench.deliverer.run)
    await trio.testing.wait_all_tasks_blocked()
    assert bench.store.ended == [(0, 200)]
    (request,) = bench.fetcher.requests
    assert (request.method, request.url, request.body, request.head_only) == (
        "POST", "https://h0.example.org/", b"{}", True,
    )  # fmt: skip
    at = int(request.headers["webhook-timestamp"])
    expected = signed(uuid.UUID(int=0), at, b"{}", [Secrets(b"m" * 32).of(ENDPOINT, 1)])
    assert dict(request.headers) == {"content-type": "application/json", **expected}
    bench.store.add(1)  # another process let it arrive: found by looking
    before = trio.current_time()
    await trio.sleep(POLL_S)
    await trio.testing.wait_all_tasks_blocked()
    assert len(bench.store.ended) == 2
    assert trio.current_time() - before <= POLL_S
    bench.stage.begin()


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(204), (0, 204)),
        (Reply(302), (0, 302, "it answered 302", True, False)),
        (Reply(404), (0, 404, "it answered 404", True, False)),
        (Reply(410), (0, 410, "it answered 410", False, True)),
        (Reply(503), (0, 503, "it answered 503", True, False)),
        (Reply(lost=True), (0, None, "webhooks: connection lost", True, False)),
        (Reply(delay_s=60), (0, None, "webhooks: no answer within 10 s", True, False)),
    ],
)
async def test_each_answer_has_its_end(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery, reply: Reply, told: tuple[Any, ...]
) -> None:
    bench = Bench(lambda: reply)
    bench.store.add(1)
    await nursery.start(bench.deliverer.run)
    await trio.sleep(ANSWER_S + 1)
    assert bench.store.ended == [told]
    bench.stage.begin()


@pytest.mark.parametrize("error", [NotAllowed("it leads inside"), ZeroDivisionError("a bug")])
async def test_what_cannot_be_posted_ends_that_delivery_alone(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery, error: Exception
) -> None:
    answers = [error, None]

    def reply() -> Reply:
        if (wrong := answers.pop(0)) is not None:
            raise wrong
        return Reply(200)

    bench = Bench(reply)
    bench.store.add(2)
    await nursery.start(bench.deliverer.run)
    await trio.testing.wait_all_tasks_blocked()
    (number, status, text, again, gone), (_, other) = sorted(bench.store.ended, key=len, reverse=True)
    assert (number, status, again, gone, other) in ((0, None, True, False, 200), (1, None, True, False, 200))
    assert str(error) in text
    assert bench.actor.bugs == isinstance(error, ZeroDivisionError)
    bench.stage.begin()


async def test_after_the_last_wait_it_is_given_up(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    bench = Bench(lambda: Reply(500))
    bench.store.add(1, failures=len(RETRIES_S))
    await nursery.start(bench.deliverer.run)
    await trio.testing.wait_all_tasks_blocked()
    assert bench.store.ended == [(0, 500, "it answered 500", False, False)]
    bench.stage.begin()


async def test_a_store_that_is_away_is_waited_for(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    bench = Bench()
    bench.store.add(3)
    bench.store.away = 2
    await nursery.start(bench.deliverer.run)
    await trio.sleep(20)
    assert (len(bench.store.ended), bench.actor.state) == (3, State.RUNNING)
    bench.stage.begin()


async def test_an_end_that_cannot_be_told_is_told_later_and_nothing_is_posted_twice(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    def reply() -> Reply:
        bench.store.away = 3
        return Reply(200)

    bench = Bench(reply)
    bench.store.add(1)
    await nursery.start(bench.deliverer.run)
    await trio.sleep(20)
    assert (bench.store.ended, len(bench.fetcher.requests), bench.actor.in_flight) == ([(0, 200)], 1, 0)
    assert bench.actor.state is State.RUNNING
    bench.stage.begin()


async def test_many_are_under_way_at_once_and_no_more(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    bench = Bench(lambda: Reply(delay_s=5))
    bench.store.add(CLAIMED_MAX + 10)
    await nursery.start(bench.deliverer.run)
    await trio.testing.wait_all_tasks_blocked()
    assert (bench.actor.in_flight, len(bench.fetcher.requests)) == (CLAIMED_MAX, CLAIMED_MAX)
    await trio.sleep(5.5)
    assert len(bench.fetcher.requests) == CLAIMED_MAX + 10
    bench.stage.begin()


async def test_a_drain_finishes_what_is_under_way_and_takes_nothing_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench(lambda: Reply(delay_s=5))
    bench.store.add(2)
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.deliverer.run)
        await trio.testing.wait_all_tasks_blocked()
        bench.store.add(1)
        bench.stage.begin()
    assert trio.current_time() == pytest.approx(5.0)
    assert sorted(bench.store.ended) == [(0, 200), (1, 200)]
    assert len(bench.store.waiting) == 1
    assert bench.actor.state is State.FINISHED
    assert bench.stage.members() == []


async def test_paused_it_takes_nothing(autojump_clock: trio.testing.MockClock, nursery: trio.Nursery) -> None:
    bench = Bench()
    bench.gate.turn(is_open=False)
    bench.store.add(1)
    await nursery.start(bench.deliverer.run)
    await trio.sleep(10)
    assert (bench.fetcher.requests, bench.actor.state) == ([], State.PAUSED)
    bench.gate.turn(is_open=True)
    await trio.sleep(POLL_S)
    assert len(bench.store.ended) == 1
    bench.stage.begin()

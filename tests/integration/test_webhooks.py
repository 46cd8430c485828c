"""Webhooks out on real parts: outbox, exchange, PostgreSQL, HTTP. Nothing is lost, two are under way to an endpoint."""

import base64
import hmac
import json
import re
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel
import trio.testing

from gcc.channels.memory import Signal
from gcc.channels.message import Delivery, Frame, Route
from gcc.clock import SystemClock
from gcc.config import load
from gcc.pipelines.analytics.pruning import BATCH
from gcc.pipelines.declared import Parts, Real
from gcc.pipelines.events.pipeline import RelayPipeline
from gcc.pipelines.events.routes import WEBHOOK_OUT
from gcc.pipelines.webhooks.events import TEST, Arrivals, framed
from gcc.pipelines.webhooks.pipeline import MISSING, WebhookPipeline
from gcc.pipelines.webhooks.signing import Secrets
from gcc.stores import outbox
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.postgres import Pool
from gcc.stores.postgres_exchange import PostgresExchange
from gcc.stores.webhooks import EACH, Arrived, PostgresWebhooks
from gcc.supervisor.drain import Drain
from tests.contexts import context, partly
from tests.fakes.objects import MemoryObjects
from tests.integration.test_pruning import round_of
from tests.integration.webhook_child import MASTER

LATER = "update webhook_delivery set next_at = now(), lease_until = now() where status = 'PENDING'"


class Bench:
    def __init__(self, pool: Pool) -> None:
        self.pool, self.clock = pool, SystemClock()
        self.webhooks = PostgresWebhooks(pool, self.clock)

    async def execute(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(sql.encode(), arguments)
            return await cursor.fetchall() if cursor.description else []

    async def partner(self, number: int) -> None:
        await self.execute("insert into partner (id, name) values (%s, 'Other')", number)

    async def endpoint(
        self, url: str = "http://127.0.0.1:1/", partner: int = 1, events: Sequence[str] = (TEST,)
    ) -> uuid.UUID:
        id = self.clock.new_id()
        await self.execute(
            "insert into webhook_endpoint (id, partner_id, url, events) values (%s, %s, %s, %s)",
            id, partner, url, list(events),
        )  # fmt: skip
        return id

    def event(self, partner: int = 1, type: str = TEST, endpoint: uuid.UUID | None = None) -> Arrived:
        return Arrived(self.clock.new_id(), partner, type, b'{"type":"webhook.test"}', endpoint)

    async def arrive(self, count: int, **of: Any) -> list[Arrived]:
        events = [self.event(**of) for _ in range(count)]
        await self.webhooks.arrive(events)
        return events

    async def deliveries(self) -> list[tuple[Any, ...]]:
        return await self.execute(
            "select endpoint_id, status, failures, answered, error, lease_until is null from webhook_delivery"
            " order by id"
        )

    async def state(self, endpoint: uuid.UUID) -> tuple[Any, ...]:
        """Whether it is failing, whether it is disabled, and why."""
        (row,) = await self.execute(
            "select failing_since is not null, disabled_at is not null, disabled_because from webhook_endpoint"
            " where id = %s",
            endpoint,
        )
        return row


@pytest.fixture
def bench(pool: Pool) -> Bench:
    return Bench(pool)


# Who is told


async def test_an_event_is_for_those_of_its_partner_who_want_it_and_are_well(bench: Bench) -> None:
    await bench.partner(2)
    first, second = await bench.endpoint(), await bench.endpoint(events=("job.completed", TEST))
    other = await bench.endpoint(events=("job.completed",))
    strangers = await bench.endpoint(partner=2)
    for wrong in ("disabled_at = now(), disabled_because = 'x'", "deleted_at = now()"):
        await bench.execute(f"update webhook_endpoint set {wrong} where id = %s", await bench.endpoint())  # noqa: S608
    assert await bench.webhooks.arrive([bench.event()]) == 2
    assert {row[0] for row in await bench.deliveries()} == {first, second}
    assert await bench.webhooks.arrive([bench.event(endpoint=other), bench.event(endpoint=strangers)]) == 1
    assert [row[0] for row in await bench.deliveries()][2:] == [other]
    assert await bench.webhooks.arrive([bench.event(partner=2), bench.event(partner=3), bench.event()]) == 3
    await bench.execute("update partner set disabled_at = now() where id = 2")
    assert await bench.webhooks.arrive([bench.event(partner=2)]) == 0
    assert await bench.webhooks.arrive([]) == 0


async def test_an_event_that_comes_again_adds_nothing(bench: Bench) -> None:
    await bench.endpoint()
    event = bench.event()
    assert [await bench.webhooks.arrive([event, event]), await bench.webhooks.arrive([event])] == [1, 0]


# What is claimed


async def test_two_are_under_way_to_an_endpoint_whoever_claims(bench: Bench) -> None:
    endpoints = [await bench.endpoint() for _ in range(3)]
    await bench.arrive(10)
    claimed: list[uuid.UUID] = []

    async def claim() -> None:
        claimed.extend(due.endpoint_id for due in await bench.webhooks.claim(64))

    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(claim)
    assert sorted(claimed) == sorted(endpoints * EACH)


async def test_claims_race_ends_and_arrivals_and_no_endpoint_has_a_third(bench: Bench) -> None:
    await bench.endpoint()
    under_way, most, done = 0, 0, set()

    async def work() -> None:
        nonlocal under_way, most
        while len(done) < 60:
            for due in await bench.webhooks.claim(3):
                under_way += 1
                most = max(most, under_way)
                await trio.lowlevel.checkpoint()
                under_way -= 1
                done.add(due.id)
                await bench.webhooks.delivered(due, 200)

    async def arrive() -> None:
        for _ in range(20):
            await bench.arrive(3)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(arrive)
            for _ in range(3):
                nursery.start_soon(work)
    assert (len(done), under_way) == (60, 0)
    assert 1 <= most <= EACH
    assert {row[1] for row in await bench.deliveries()} == {"DELIVERED"}


async def test_the_room_is_shared_and_who_is_well_goes_first(bench: Bench) -> None:
    failing = [await bench.endpoint() for _ in range(3)]
    await bench.arrive(2)
    await bench.execute("update webhook_endpoint set failing_since = now()")
    well = await bench.endpoint()
    await bench.arrive(2, endpoint=well)
    assert [due.endpoint_id for due in await bench.webhooks.claim(1)] == [well]
    rest = [due.endpoint_id for due in await bench.webhooks.claim(4)]
    assert len(rest) == 4
    assert set(rest) == {well, *failing}, "one each, before anybody has a second"


async def test_who_dies_loses_the_lease_and_may_say_nothing_more(bench: Bench) -> None:
    endpoint = await bench.endpoint()
    await bench.arrive(1)
    (lost,) = await bench.webhooks.claim(9)
    assert await bench.webhooks.claim(9) == []
    await bench.execute(LATER)
    (again,) = await bench.webhooks.claim(9)
    assert (again.id, again.event_id, again.attempt) == (lost.id, lost.event_id, lost.attempt + 1)
    await bench.webhooks.failed(lost, "late", answered=410, retry_s=None, gone=True)
    await bench.webhooks.delivered(lost, 200)
    assert await bench.deliveries() == [(endpoint, "PENDING", 0, None, None, False)]
    assert await bench.state(endpoint) == (False, False, None)
    await bench.webhooks.delivered(again, 204)
    await bench.webhooks.delivered(again, 200)
    assert await bench.deliveries() == [(endpoint, "DELIVERED", 0, 204, None, True)]


# What becomes of an endpoint


async def test_a_failure_waits_and_a_success_makes_well(bench: Bench) -> None:
    endpoint = await bench.endpoint()
    await bench.arrive(1)
    (due,) = await bench.webhooks.claim(9)
    await bench.webhooks.failed(due, "it answered 500", answered=500, retry_s=5.0)
    assert await bench.deliveries() == [(endpoint, "PENDING", 1, 500, "it answered 500", True)]
    assert await bench.state(endpoint) == (True, False, None)
    ((wait_s,),) = await bench.execute("select extract(epoch from next_at - now())::float8 from webhook_delivery")
    assert 0 < wait_s <= 5
    assert await bench.webhooks.claim(9) == [], "not before its time"
    await bench.execute(LATER)
    (due,) = await bench.webhooks.claim(9)
    assert due.failures == 1
    await bench.webhooks.delivered(due, 200)
    assert await bench.state(endpoint) == (False, False, None)


async def test_the_last_failure_ends_it_and_the_endpoint_stays(bench: Bench) -> None:
    endpoint = await bench.endpoint()
    await bench.arrive(1)
    (due,) = await bench.webhooks.claim(9)
    await bench.webhooks.failed(due, "no answer", answered=None, retry_s=None)
    assert await bench.deliveries() == [(endpoint, "FAILED", 1, None, "no answer", True)]
    assert await bench.state(endpoint) == (True, False, None)


@pytest.mark.parametrize(("days", "gone", "disabled"), [("4.99", False, False), ("5", False, True), ("0", True, True)])
async def test_who_is_gone_or_takes_nothing_for_five_days_is_sent_nothing_more_and_is_told(
    bench: Bench, days: str, gone: bool, disabled: bool
) -> None:
    endpoint, other = await bench.endpoint(), await bench.endpoint()
    await bench.arrive(3)
    await bench.execute(f"update webhook_endpoint set failing_since = now() - interval '{days} days'")  # noqa: S608
    due = next(due for due in await bench.webhooks.claim(9) if due.endpoint_id == endpoint)
    await bench.webhooks.failed(due, "it answered 410", answered=410, retry_s=None if gone else 5.0, gone=gone)
    assert await bench.state(endpoint) == (True, disabled, "it answered 410" if disabled else None)
    assert await bench.state(other) == (True, False, None)
    told = await bench.execute("select partner_id, activity_type, metadata from activity_tracker")
    reason = {"endpoint_id": str(endpoint), "reason": "it answered 410"}
    assert told == ([(1, "WEBHOOK_DISABLED", reason)] if disabled else [])
    await bench.execute(LATER)
    claimed = {due.endpoint_id for due in await bench.webhooks.claim(9)}
    assert claimed == ({other} if disabled else {endpoint, other})


async def test_old_deliveries_are_pruned_but_for_those_under_way(bench: Bench) -> None:
    await bench.endpoint()
    await bench.arrive(3)
    await bench.execute("update webhook_delivery set created_at = now() - interval '31 days'")
    await bench.webhooks.claim(1)
    young = await bench.arrive(1)
    assert (await round_of(bench.pool))["webhook_deliveries"] == 2 < BATCH
    left = await bench.execute("select event_id, lease_until is null from webhook_delivery order by id")
    assert [leased for _, leased in left] == [False, True]
    assert left[1][0] == young[0].event_id


# From the queue


async def test_what_is_no_event_is_buried_with_its_reason_and_the_rest_arrives(bench: Bench) -> None:
    await bench.endpoint()
    letters = StoredDeadLetters(bench.pool, MemoryObjects(), bench.clock)
    arrived = Signal()
    arrivals = Arrivals(bench.webhooks, letters, arrived)
    good = json.loads(framed(bench.clock, TEST, 1, {"a": 1})[1].body)
    odd: list[Any] = [
        {}, [], "x", 1, None, {**good, "event_id": "no uuid"}, {**good, "type": "job.unheard"},
        {**good, "partner_id": 0},
        {**good, "partner_id": 2**63}, {**good, "partner_id": "1"}, {**good, "at": "2026-01-01T00:00:00"},
        {**good, "data": {"deep": {"a": 1}}}, {**good, "data": {"long": "x" * 20_000}}, {**good, "data": []},
        {**good, "endpoint_id": 7}, {name: good[name] for name in good if name != "data"},
    ]  # fmt: skip
    lines = [*(json.dumps(each).encode() for each in odd), b"{", b"\xff", b"[" * 50_000]
    body = b"\n".join([*lines, json.dumps(good).encode()])
    delivery = Delivery("webhook_out_q", 1, Frame(bench.clock.new_id(), WEBHOOK_OUT, len(lines) + 1, body), 1)
    assert await arrivals.handle([delivery]) == 1
    assert await arrived.wait(1.0)
    assert await arrivals.handle([delivery]) == 1, "again, as a broker may"
    ((buried,),) = await bench.execute("select count(*) from dead_letter where reason like 'it is no event: %%'")
    assert buried == len(lines)
    assert len(await bench.deliveries()) == 1
    ((stored,),) = await bench.execute("select body from webhook_delivery")
    assert json.loads(bytes(stored)) == {"type": TEST, "timestamp": good["at"], "data": {"a": 1}}


# All of it


class Receiver:
    """Takes posts; `answers` are the statuses of the next ones, then 200. A status of 0: it never answers."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.came = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            received += await stream.receive_some() or b"\r\n\r\n"
        head, _, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        while length and len(body) < int(length[1]):
            body += await stream.receive_some()
        headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
        headers["webhook-signature"] = re.findall(r"(?i)webhook-signature: (.*)", head.decode())[0].strip()
        self.posts.append((headers, body))
        status = self.answers.pop(0) if self.answers else 200
        self.came.set()
        self.came = trio.Event()
        if not status:
            await stream.receive_some()
            return
        await stream.send_all(f"HTTP/1.1 {status} Well\r\nContent-Length: 0\r\n\r\n".encode())

    async def wait_for(self, posts: int) -> None:
        with trio.fail_after(30):
            while len(self.posts) < posts:
                await self.came.wait()


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, receiver.serve, 0, host="127.0.0.1"))
        yield receiver, f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/in?token=t"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def running(
    bench: Bench, folder: Path, *settings: str, environ: dict[str, str] | None = None
) -> AsyncIterator[Drain]:
    """The relay and the pipeline, until the block ends; then they drain."""
    letters = StoredDeadLetters(bench.pool, MemoryObjects(), bench.clock)
    exchange = PostgresExchange(bench.pool, letters, Signal())
    parts = partly(Parts, exchange=exchange, dead_letters=letters, real=partly(Real, pool=bench.pool))
    drain = Drain(["intake", "relay"], 30.0)
    chosen = load(None, overrides=settings or ["webhooks.allow_private=true"], data_dir=folder, environ=environ or {})
    told = context(chosen, drain, parts)
    async with trio.open_nursery() as nursery:
        await nursery.start(WebhookPipeline(told).run)
        await nursery.start(RelayPipeline(told).run)
        bench.board = told.board  # type: ignore[attr-defined]
        yield drain
        drain.request("the test is over")
        with trio.fail_after(30):
            await drain.run()


async def emit(bench: Bench, *, endpoint: uuid.UUID | None = None) -> str:
    """What somebody's transaction tells; the event's id."""
    event_id, told = framed(bench.clock, TEST, 1, {"n": 1}, endpoint_id=endpoint)
    async with bench.pool.transaction() as connection:
        await outbox.put(connection, [told])
    return str(event_id)


async def ended(bench: Bench, status: str) -> None:
    """Wait until all deliveries are so."""
    with trio.fail_after(30):
        while {row[1] for row in await bench.deliveries()} != {status}:  # noqa: ASYNC110 - the database tells nobody
            await trio.sleep(0.02)


async def test_an_event_goes_from_the_outbox_to_its_receiver_signed(bench: Bench, tmp_path: Path) -> None:
    async with receiving() as (receiver, url), running(bench, tmp_path):
        endpoint = await bench.endpoint(url)
        event_id = await emit(bench)
        await receiver.wait_for(1)
        await ended(bench, "DELIVERED")
    ((headers, body),) = receiver.posts
    master = base64.b64decode((tmp_path / "webhooks.key").read_text())
    secret = Secrets(master).of(endpoint, 1)
    signature = hmac.digest(secret, f"{event_id}.{headers['webhook-timestamp']}.".encode() + body, "sha256")
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(signature).decode()}"
    assert headers["webhook-id"] == event_id
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["data"] == {"n": 1}
    assert await bench.execute("select count(*) from dead_letter") == [(0,)]
    assert await bench.execute("select count(*) from queue_message") == [(0,)]


async def test_a_receiver_that_refuses_gets_it_again_with_the_same_id_and_bytes(bench: Bench, tmp_path: Path) -> None:
    async with receiving() as (receiver, url), running(bench, tmp_path):
        receiver.answers = [503, 302, 200]
        await bench.endpoint(url)
        await emit(bench)
        for tries in (1, 2):
            await receiver.wait_for(tries)
            with trio.fail_after(30):
                while (await bench.deliveries())[0][2] < tries:  # noqa: ASYNC110 - likewise
                    await trio.sleep(0.02)
            await bench.execute(LATER)
        await ended(bench, "DELIVERED")
    assert len(receiver.posts) == 3
    assert len({headers["webhook-id"] for headers, _ in receiver.posts}) == 1
    assert len({body for _, body in receiver.posts}) == 1


async def test_one_that_hangs_holds_up_no_other(bench: Bench, tmp_path: Path) -> None:
    async with receiving() as (slow, slow_url), receiving() as (quick, quick_url), running(bench, tmp_path):
        slow.answers = [0] * 50
        hanging, well = await bench.endpoint(slow_url), await bench.endpoint(quick_url)
        for _ in range(20):
            await emit(bench)
        await quick.wait_for(20)
        assert len(slow.posts) == EACH
        await bench.execute("update webhook_delivery set status = 'FAILED', ended_at = now(), lease_until = null"
                            " where endpoint_id = %s", hanging)  # fmt: skip
        assert well != hanging


async def test_strangers_are_kept_out_of_this_machine(bench: Bench, tmp_path: Path) -> None:
    async with receiving() as (receiver, url), running(bench, tmp_path, "webhooks.allow_private=false"):
        for each in (url, "https://127.0.0.1/", "https://localhost.localdomain/", "https://0x7f.1/"):
            await bench.endpoint(each)
        await emit(bench)
        with trio.fail_after(30):
            while {row[2] for row in await bench.deliveries()} != {1}:  # noqa: ASYNC110 - likewise
                await trio.sleep(0.02)
    assert receiver.posts == []
    assert {row[4] for row in await bench.deliveries()} >= {
        "the URL is not https://",
        "127.0.0.1 leads to an address that is not public: it is loopback",
        "0x7f.1 is no IPv4 address of four decimal numbers",
    }


async def test_without_a_master_events_wait_in_view(bench: Bench, tmp_path: Path) -> None:
    servers = "postgres.url=postgresql://db.example.org/gcc"
    async with running(bench, tmp_path, servers):
        await bench.endpoint()
        await emit(bench)
        with trio.fail_after(30):
            while not await bench.deliveries():  # noqa: ASYNC110 - likewise
                await trio.sleep(0.02)
        assert bench.board.actor("webhooks/deliverer").last_error == MISSING  # type: ignore[attr-defined]
    assert [row[1] for row in await bench.deliveries()] == ["PENDING"]


async def test_a_drain_in_the_middle_finishes_what_is_posted(bench: Bench, tmp_path: Path) -> None:
    async with receiving() as (receiver, url):
        async with running(bench, tmp_path):
            await bench.endpoint(url)
            await emit(bench)
            await receiver.wait_for(1)
        assert [row[1] for row in await bench.deliveries()] == ["DELIVERED"]


async def test_a_process_killed_in_the_middle_loses_nothing(bench: Bench, database: str) -> None:
    """Killed while posts wait for their answers; another sends these again, with the same ids, and the rest."""
    child = [sys.executable, "-m", "tests.integration.webhook_child", database]
    root = Path(__file__).parents[2]
    async with receiving() as (receiver, url), trio.open_nursery() as nursery:
        receiver.answers = [0] * EACH
        endpoint = await bench.endpoint(url)
        events = await bench.arrive(5)
        process = await nursery.start(partial(trio.run_process, child, cwd=root, check=False))
        await receiver.wait_for(EACH)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        assert [row[1] for row in await bench.deliveries()] == ["PENDING"] * 5
        await bench.execute("update webhook_delivery set lease_until = now()")  # a minute later
        process = await nursery.start(partial(trio.run_process, child, cwd=root, check=False))
        await receiver.wait_for(5 + EACH)
        await ended(bench, "DELIVERED")
        process.kill()
    ids = [headers["webhook-id"] for headers, _ in receiver.posts]
    assert set(ids) == {str(event.event_id) for event in events}
    assert sorted(ids[:EACH]) == sorted(id for id in set(ids) if ids.count(id) == 2)
    for headers, body in receiver.posts:
        text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.digest(Secrets(MASTER).of(endpoint, 1), text, "sha256")).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"


def test_the_route_is_the_one_of_the_specification() -> None:
    assert Route("coffee.dx", "webhook_out_rk") == WEBHOOK_OUT

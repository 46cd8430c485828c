"""`doctor` of a RabbitMQ: what is missing, what differs, what nobody reads, who is refused; and it changes nothing."""

from pathlib import Path

import psycopg
import pytest

from gcc.channels.message import Binding, Route
from gcc.cli import checkup_rabbitmq
from gcc.pipelines.events.pipeline import bindings
from gcc.stores import rabbitmq as amqp
from gcc.stores.rabbitmq import Connection, Message
from gcc.stores.rabbitmq_topology import Topology
from tests.integration.test_doctor import Findings, by_name, examined, unwell
from tests.services.rabbitmq import RabbitMQNode

BINDINGS = (Binding(Route("one.dx", "key"), "one_q"), Binding(Route("two.tx", "#"), "two_q"))
TOPOLOGY = Topology({"one.dx": "direct", "two.tx": "topic"})


async def asked(url: str, *, running: bool = False, management: str | None = None) -> Findings:
    found = await checkup_rabbitmq.examine(
        url, BINDINGS, TOPOLOGY, running=running, deadline_s=20, management=management or "http://127.0.0.1:9"
    )
    return by_name(found)


async def declare(connection: Connection, *, kind: str = "topic", queue_type: str = "classic") -> None:
    async with connection.channel() as channel:
        for name, its in (("one.dx", "direct"), ("two.tx", kind)):
            await channel.declare_exchange(name, its)
        await channel.declare_queue("one_q", arguments={"x-queue-type": queue_type})
        await channel.declare_queue("two_q")


async def test_a_broker_without_our_topology_and_then_without_a_binding(
    rabbitmq: str, rabbitmq_node: RabbitMQNode
) -> None:
    for _ in range(2):  # to ask makes nothing
        found = await asked(rabbitmq)
        assert unwell(found) == {"rabbitmq topology": "warn"}
        for name in ("exchange one.dx", "exchange two.tx", "queue one_q", "queue two_q"):
            assert name in found["rabbitmq topology"].found
    assert unwell(await asked(rabbitmq, running=True)) == {"rabbitmq topology": "fail"}
    async with amqp.connect(rabbitmq) as connection:
        await declare(connection)
        async with connection.channel() as channel:
            await channel.bind_queue("one_q", "one.dx", "key")
            found = await asked(rabbitmq, running=True)
            assert unwell(found) == {} and "no management plugin" in found["rabbitmq bindings"].found
            found = await asked(rabbitmq, running=True, management=rabbitmq_node.http_url.replace("gcc:gcc@", ""))
            assert unwell(found) == {"rabbitmq bindings": "fail"}
            assert found["rabbitmq bindings"].found == "missing: two.tx # -> two_q"
            await channel.bind_queue("two_q", "two.tx", "#")
            found = await asked(rabbitmq, management=rabbitmq_node.http_url.replace("gcc:gcc@", ""))
            assert unwell(found) == {} and found["rabbitmq bindings"].found == "all 2 are there"


async def test_what_differs_is_told_with_both_values_and_left_as_it_is(rabbitmq: str) -> None:
    async with amqp.connect(rabbitmq) as connection:
        await declare(connection, kind="fanout", queue_type="quorum")
        for _ in range(2):
            found = await asked(rabbitmq)
            assert unwell(found) == {"rabbitmq differences": "warn"}
            told = found["rabbitmq differences"].found
            assert "exchange two.tx: type is 'fanout', declared is 'topic'" in told
            assert "queue one_q: x-queue-type is " in told and "quorum" in told and ", declared is " in told


async def test_messages_that_nobody_reads(rabbitmq: str) -> None:
    async with amqp.connect(rabbitmq) as connection:
        await declare(connection)
        async with connection.channel() as channel:
            await channel.select_confirms()
            await channel.publish([Message("", "two_q", b"x")] * 3)
            found = await asked(rabbitmq)
            assert unwell(found) == {"rabbitmq queues": "warn"}
            assert found["rabbitmq queues"].found == "messages and no consumer: two_q (3)"
            await channel.consume("two_q", prefetch=1)
            assert unwell(await asked(rabbitmq)) == {}


async def test_a_broker_that_blocks_publishers(rabbitmq: str, rabbitmq_node: RabbitMQNode) -> None:
    async with amqp.connect(rabbitmq) as connection:
        await declare(connection)
    await rabbitmq_node.set_memory_alarm(True)
    found = await asked(rabbitmq)
    assert unwell(found) == {"rabbitmq alarms": "fail"}
    assert "low on memory" in found["rabbitmq alarms"].found


async def test_a_broker_that_refuses_us_or_is_not_there(rabbitmq: str) -> None:
    authority, _, vhost = rabbitmq.removeprefix("amqp://").partition("/")
    login, _, place = authority.partition("@")
    for url, why, mend in (
        (f"amqp://nobody:hush-hush@{place}/{vhost}", "403", "password"),
        (f"amqp://{login}@{place}/nowhere", "530", "vhost"),
        ("amqp://nobody:hush-hush@127.0.0.1:9/", "Connection refused", "start the broker"),
        ("amqp://nobody:hush-hush@host:port/", "port is no number", "exchange.url"),
    ):
        found = await asked(url)
        assert unwell(found) == {"rabbitmq": "fail"}
        assert why in found["rabbitmq"].found and mend in str(found["rabbitmq"].mend)
        assert "hush" not in str(found)


async def test_the_whole_doctor_with_a_broker_asks_it_instead_of_the_database_s_bindings(
    rabbitmq: str, database: str, tmp_path: Path
) -> None:
    settings = {"postgres": {"url": database}, "exchange": {"url": rabbitmq}}
    found = await examined(tmp_path, settings=settings, deadline_s=20)
    assert found["rabbitmq"].state == "ok" and "queue bindings" not in found
    missing, _, more = found["rabbitmq topology"].found.partition("; and ")
    declared = bindings(foreign=True)
    expected = {each.route.exchange for each in declared} - {""} | {each.queue for each in declared}
    assert missing.count(";") + 1 + int(more.removesuffix(" more")) == len(expected)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "insert into queue_message (queue, frame_id, exchange, routing_key, events, body, created_at)"
            " values ('old_q', gen_random_uuid(), 'x', 'y', 1, '', now())"
        )
    found = await examined(tmp_path, settings=settings, deadline_s=20)
    assert found["exchange"].state == "warn" and "left in PostgreSQL's queues old_q" in found["exchange"].found


@pytest.mark.parametrize(("text", "told"), [("406 PRECONDITION_FAILED - something new", "something new")])
def test_a_difference_that_is_told_in_other_words_is_passed_on(text: str, told: str) -> None:
    assert told in checkup_rabbitmq._difference(amqp.ChannelClosed(406, text))

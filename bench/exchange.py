"""How fast messages go into RabbitMQ and out of it: `python -m bench.exchange`. Our client beside aio-pika and pika.

Persistent messages into durable queues of a private broker: single events (some 500 bytes) and frames of 100.
`publish` counts what the broker has confirmed: into four queues, since the relay publishes into many, and into one,
which is one process of the broker and has one core at most. `consume` counts what was acknowledged after it was
received (a thousand at a time), `both` what came out while as much as possible went in. `relayed` is the whole
exchange, ours alone: frames are committed to an outbox in PostgreSQL, relayed, taken and acknowledged, through RabbitMQ
and through PostgreSQL queues. All figures are events a second. Each party is a process; `--seconds` bounds its
measurements.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import trio

from bench.backbone import backbone
from bench.load import FRAMED, KINDS, PUBLISHED_AT_ONCE, SINGLE, Events, fill
from bench.peers import PEERS, AioPika, Pika
from bench.rounds import OURS, Figures, broker, medians, party, rounded, rounds_for, table
from gcc.pipelines.events.types import PROFILE_LOG
from gcc.stores import rabbitmq
from tests.services.rabbitmq import RabbitMQNode

PREFETCH = 4000
ACKED_AT_ONCE = 1000
TAKEN_AT_ONCE = 200  # frames
CASES = 6
SPREAD = [f"spread single {number}" for number in range(4)]
WARMING = 10_000  # messages
SETTLE_S = 1.0  # for what the broker still does after it has confirmed
CLIENTS = (OURS, *PEERS)
EXCHANGES = ("rabbitmq", "postgres")
FILLED_PER_S = {SINGLE: 40_000, FRAMED: 5_000}
"""Messages that wait for a consumer, for each second that it has: more than any of them takes."""
MEASURED = [
    "publish single", "publish single into one queue", "publish framed", "consume single", "consume framed",
    "both single",
]  # fmt: skip


class Ours:
    """gcc.stores.rabbitmq; one connection for publishing and one for consuming."""

    def __init__(self, url: str) -> None:
        self._url = url

    def publish(self, kind: str, seconds: float, *queues: str) -> float:
        return trio.run(self._publish, kind, seconds, *queues)

    def consume(self, queue: str, count: float, seconds: float) -> float:
        return trio.run(self._consume, queue, count, seconds)

    def both(self, kind: str, queue: str, seconds: float) -> float:
        async def run() -> float:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._publish, kind, seconds, queue)
                return await self._consume(queue, float("inf"), seconds)

        return trio.run(run)

    async def _publish(self, kind: str, seconds: float, *queues: str) -> float:
        batch = Events().messages(kind, PUBLISHED_AT_ONCE, *queues)
        published = 0
        async with rabbitmq.connect(self._url, name="bench publish") as connection:
            channel = await connection.open_channel()
            await channel.select_confirms()
            began = time.perf_counter()

            async def publisher() -> None:
                nonlocal published
                while time.perf_counter() - began < seconds:
                    outcome = await channel.publish(batch)
                    assert not outcome.nacked and not outcome.returned
                    published += len(batch)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(publisher)
                nursery.start_soon(publisher)
            return published / (time.perf_counter() - began)

    async def _consume(self, queue: str, count: float, seconds: float) -> float:
        async with rabbitmq.connect(self._url, name="bench consume") as connection:
            channel = await connection.open_channel()
            consumed = held = tag = 0
            began = time.perf_counter()
            consumer = await channel.consume(queue, prefetch=PREFETCH)
            with trio.move_on_after(seconds):
                while consumed + held < count:
                    await consumer.wait()
                    deliveries = consumer.take_nowait(ACKED_AT_ONCE - held)
                    held += len(deliveries)
                    tag = deliveries[-1].tag
                    if held == ACKED_AT_ONCE:
                        channel.ack(tag, multiple=True)
                        consumed += held
                        held = 0
            if held:
                channel.ack(tag, multiple=True)
                consumed += held
            return consumed / (time.perf_counter() - began)


async def relayed(amqp_url: str | None, seconds: float) -> Figures:
    """Frames from the outbox to their acknowledgement, in frames a second."""
    (binding,) = PROFILE_LOG.bindings
    acknowledged = 0
    with tempfile.TemporaryDirectory(prefix="gcc-bench-") as folder:
        async with backbone(Path(folder), amqp_url) as ours, trio.open_nursery() as nursery:
            exchange = ours.exchange
            await exchange.declare([binding])

            async def consume() -> None:
                nonlocal acknowledged
                while True:
                    if deliveries := await exchange.take(binding.queue, frames_max=TAKEN_AT_ONCE):
                        await exchange.acknowledge(deliveries)
                        acknowledged += len(deliveries)
                    else:
                        await exchange.wait(binding.queue)

            began = time.perf_counter()
            nursery.start_soon(ours.relay)
            nursery.start_soon(consume)
            nursery.start_soon(ours.produce, binding.route, sys.maxsize, lambda: acknowledged)
            await trio.sleep(seconds)
            nursery.cancel_scope.cancel()
            rate = acknowledged / (time.perf_counter() - began)
    return {"relayed framed": rate}


def publishing(client: Ours | AioPika | Pika, seconds: float) -> Figures:
    """In messages a second; what is heavy for the broker comes last."""
    each_s = seconds / CASES
    return {
        "publish single": client.publish(SINGLE, each_s, *SPREAD),
        "publish single into one queue": client.publish(SINGLE, each_s, "publish single"),
        "both single": client.both(SINGLE, "both single", each_s),
        "publish framed": client.publish(FRAMED, each_s, "publish framed"),
    }


def consuming(client: Ours | AioPika | Pika, seconds: float) -> Figures:
    each_s = seconds / CASES
    return {
        f"consume {kind}": client.consume(f"consume {kind}", int(FILLED_PER_S[kind] * each_s), each_s) for kind in KINDS
    }


PHASES = {"publishing": publishing, "consuming": consuming}
QUEUES = {
    "publishing": [*SPREAD, "publish single", "both single", "publish framed"],
    "consuming": ["consume single", "consume framed"],
    "relaying": [],
}


async def prepare(url: str, phase: str, seconds: float) -> None:
    """The queues of a phase, filled where they are to be consumed; a broker just started is slow for a while."""
    await fill(url, SINGLE, "warm", WARMING)
    for queue in QUEUES[phase]:
        kind = queue.split()[1]
        waiting = FILLED_PER_S[kind] * seconds / CASES if phase == "consuming" else 0
        await fill(url, kind, queue, int(waiting))
    await trio.sleep(SETTLE_S)


async def bench(seconds: float, rounds: int) -> dict[str, Figures]:
    """The medians of each party, in events a second."""
    measured: dict[str, list[Figures]] = defaultdict(list)

    async def measure(node: RabbitMQNode, name: str, phase: str) -> Figures:
        url = node.vhosts.add()
        await prepare(url, phase, seconds)
        figures = await party("bench.exchange", name, phase, url, str(seconds), within_s=seconds)
        return {case: rate * KINDS[case.split()[1]] for case, rate in figures.items()}

    for number in range(rounds):
        for name in (*CLIENTS, *EXCHANGES):
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr)
            async with broker() as node:
                figures = [await measure(node, name, phase) for phase in (PHASES if name in CLIENTS else ["relaying"])]
            measured[name].append({case: rate for part in figures for case, rate in part.items()})
    return {name: medians(figures) for name, figures in measured.items()}


def summary(result: dict[str, Figures]) -> dict[str, Any]:
    """The object of the last line; what is framed stands beside the figures of single events."""

    def short(figures: Figures) -> dict[str, float]:
        return {f"{name.replace(' ', '_').removesuffix('_single')}_per_s": rate for name, rate in figures.items()}

    clients = {name: short(result[name]) for name in CLIENTS}
    return {
        **clients.pop(OURS),
        "peers": clients,
        "relayed_per_s": {name: result[name]["relayed framed"] for name in EXCHANGES},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="of each party in each round")
    parser.add_argument("--rounds", type=int, help="5, or 1 when a party has less than 10 seconds")
    parser.add_argument("--party", nargs=4, metavar=("NAME", "PHASE", "URL", "SECONDS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.party:
        name, phase, url, bound = arguments.party
        if phase == "relaying":
            figures = trio.run(relayed, url if name == "rabbitmq" else None, float(bound) / CASES)
        else:
            figures = PHASES[phase]((Ours if name == OURS else PEERS[name])(url), float(bound))
        print(json.dumps(figures))
        return
    result = trio.run(bench, arguments.seconds, arguments.rounds or rounds_for(arguments.seconds))
    print(table({name: result[name] for name in CLIENTS}, MEASURED))
    print(table({f"through {name}": result[name] for name in EXCHANGES}, ["relayed framed"]))
    print(json.dumps(rounded(summary(result))))


if __name__ == "__main__":
    main()

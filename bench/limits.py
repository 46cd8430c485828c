"""How fast limits are asked: `python -m bench.limits --seconds 5`. Grants per second, and the time of one with what its
call tells of its arrival.

In the process, and in a private Redis. A wide limit is never full; at a narrow one callers wait, the rate is its own. A
stack is three limits at once, as a question takes them: of source, app and credential. The last line is JSON.
"""

import argparse
import json
import os
import statistics
from collections.abc import Mapping, Sequence

import trio

from gcc.sources.limits import InProcessLimiter, Limit, Limiter, Take
from gcc.stores.limits import RedisLimiter
from gcc.stores.redis import Redis
from tests.services.redis import RedisNode

WIDE, NARROW = Limit(10**6, 0.5), Limit(50, 0.1)
ONE, STACK = [Take("x")], [Take("x"), Take("x@@app", rule="x@@*"), Take("x@key", rule="x@*")]
CASES: Mapping[str, tuple[Limit, Sequence[Take]]] = {
    "wide": (WIDE, ONE),
    "narrow": (NARROW, ONE),
    "wide stack": (WIDE, STACK),
    "narrow stack": (NARROW, STACK),
}
YOUNG_S = 2.0  # a Redis that has just started grants nothing for a window


async def measure(limiter: Limiter, takes: Sequence[Take], callers: int, seconds: float) -> dict[str, float]:
    times_s: list[float] = []

    async def call() -> None:
        while True:
            began = trio.current_time()
            async with await limiter.take(takes, wait_s_max=60):
                pass
            times_s.append(trio.current_time() - began)

    cpu_s = os.times().user + os.times().system
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for _ in range(callers):
                nursery.start_soon(call)
    cpu_s = os.times().user + os.times().system - cpu_s
    return {
        "grants_per_s": round(len(times_s) / seconds),
        "p50_ms": round(statistics.median(times_s) * 1000, 2),
        "p99_ms": round(statistics.quantiles(times_s, n=100)[98] * 1000, 2),
        "cpu_us": round(cpu_s / len(times_s) * 1e6),
    }


async def bench(callers: int, seconds: float) -> dict[str, dict[str, float]]:
    node = RedisNode()
    try:
        await node.start()
        await trio.sleep(YOUNG_S)
        store = Redis(node.url)
        result = {}
        for name, (limit, takes) in CASES.items():
            limits = {take.rule or take.name: limit for take in takes}
            result[f"redis {name}"] = await measure(RedisLimiter(store, limits), takes, callers, seconds)
            result[f"in process {name}"] = await measure(InProcessLimiter(limits), takes, callers, seconds)
        store.close()
        return result
    finally:
        node.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each case")
    arguments = parser.parse_args()
    result = trio.run(bench, arguments.callers, arguments.seconds)
    for case, figures in result.items():
        print(f"{case:<24}" + "".join(f"{name} {figure:<12,}" for name, figure in figures.items()))
    print(json.dumps(result))


if __name__ == "__main__":
    main()

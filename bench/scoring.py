"""What scoring costs: `python -m bench.scoring`; how well it tells fakes: `python -m bench.scoring --quality FOLDER`.

Speed: `--records` followers, none twice (bench/scoring_stream.py), as JSON in batches of 2,000 to one worker process
and to two, answers back as JSON. Cold is a worker's first sight of them, its index included; warm are the same ones
again. Beside it, on fewer records: each name searched in the whole list, and the shape of the original, which does so
in a loop, one record at a time. The machine may have other work, so there are records a second by the clock and by the
processor time that they cost, each the best of three. The last line is JSON: `per_s_1` and `per_s_2` are cold ones.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import trio
import trio_parallel

from bench.proc import rss_mb
from bench.scoring_peers import PEERS, whole_list_match
from bench.scoring_stream import followers
from gcc.pipelines.scoring.account import score_account
from gcc.pipelines.scoring.features import features, name_match, similarity
from gcc.pipelines.scoring.latin import latin
from gcc.pipelines.scoring.names import ENOUGH, near
from gcc.pipelines.scoring.record import Follower
from gcc.pipelines.scoring.scorer import reasons, score, score_batch

BATCH, TAKES, SHORT_RUNS = 2_000, 3, 40


class Answered(NamedTuple):
    answers: bytes
    cpu_s: float
    pid: int
    rss_mb: float


def answered(batch: bytes) -> Answered:
    """Runs in a worker."""
    began = time.process_time()
    answers = msgspec.json.encode(score_batch(msgspec.json.decode(batch, type=list[Follower])))
    return Answered(answers, time.process_time() - began, os.getpid(), rss_mb(os.getpid()))


class Taken(NamedTuple):
    per_s: float
    per_cpu_s: float
    rss_mb: float
    passed_us: float  # processor time of the parent a record, for what it passes on


async def take(batches: list[bytes], records: int, workers: int) -> tuple[Taken, Taken]:
    """Cold and warm, by workers that have started, and have seen nothing."""
    limiter = trio.CapacityLimiter(workers)
    async with trio_parallel.open_worker_context() as context:

        async def work(rest: Iterable[bytes], done: list[Answered]) -> None:
            for batch in rest:
                done.append(await context.run_sync(answered, batch, limiter=limiter))

        async def all_of_them(given: list[bytes]) -> list[Answered]:
            done: list[Answered] = []
            rest = iter(given)
            async with trio.open_nursery() as nursery:
                for _ in range(workers):
                    nursery.start_soon(work, rest, done)
            return done

        await all_of_them([b"[]"] * 4 * workers)
        both = []
        for _ in ("cold", "warm"):
            began, cpu_began = time.perf_counter(), time.process_time()
            done = await all_of_them(batches)
            per_s = records / (time.perf_counter() - began)
            per_cpu_s = records / sum(each.cpu_s for each in done)
            passed_us = (time.process_time() - cpu_began) / records * 1e6
            both.append(Taken(per_s, per_cpu_s, max(each.rss_mb for each in done), passed_us))
            assert len({each.pid for each in done}) == workers, "a worker had nothing to do"
        return both[0], both[1]


def us_per_record(stream: list[Follower]) -> dict[str, float]:
    """Of each part, in this process, names cold."""
    seen = [features(follower.handle, follower.full_name) for follower in stream]
    texts = [("".join(one.handle_words.split()), one.name_words.split()) for one in seen]
    near.cache_clear()
    return {
        "latin": cost_us(lambda follower: latin(follower.full_name), stream),
        "digits": cost_us(lambda follower: sum(map(str.isdigit, follower.handle)), stream),
        "fuzzy_similarity": cost_us(lambda text: similarity(*text), texts),
        "indian_name_match": cost_us(lambda text: name_match(text[1]), texts),
        "account": cost_us(lambda follower: score_account(follower.account), stream),
        "reasons": cost_us(lambda one: reasons(one, "fuzzy_similarity"), seen),
    }


def cost_us(part: Callable[[Any], object], items: Sequence[Any]) -> float:
    began = time.process_time()
    for item in items:
        part(item)
    return round((time.process_time() - began) / len(items) * 1e6, 2)


def least_us(stream: list[Follower]) -> dict[str, float]:
    """A record, the least of many short runs: what it costs where nothing else has the core."""
    least = {}
    for state in ("cold", "warm"):
        costs = []
        for _ in range(SHORT_RUNS):
            if state == "cold":
                near.cache_clear()
            costs.append(cost_us(score, stream))
        least[state] = min(costs)
    return least


def peers(stream: list[Follower]) -> dict[str, float]:
    """Records a second of processor time."""
    rates = {}
    for name, (score_one, records) in PEERS.items():
        began = time.process_time()
        for follower in stream[:records]:
            score_one(follower)
        rates[name] = round(records / (time.process_time() - began), 1)
    return rates


async def speed(records: int) -> dict[str, Any]:
    stream = list(followers(records))
    rows = iter(stream)
    batches = [msgspec.json.encode(batch) for batch in iter(lambda: list(islice(rows, BATCH)), [])]
    figures: dict[str, Any] = {"records": records, "load": round(os.getloadavg()[0], 1)}
    takes: dict[int, list[tuple[Taken, Taken]]] = {1: [], 2: []}
    for _ in range(TAKES):
        for workers, taken in takes.items():
            taken.append(await take(batches, records, workers))
    for workers, taken in takes.items():
        for at, state in enumerate(("", "_warm")):
            figures[f"per_s_{workers}{state}"] = round(max(both[at].per_s for both in taken))
            figures[f"per_cpu_s_{workers}{state}"] = round(max(both[at].per_cpu_s for both in taken))
    figures["times_on_two"] = round(figures["per_s_2"] / figures["per_s_1"], 2)
    figures["us_passed_on"] = round(min(two[0].passed_us for two in takes[2]), 2)
    figures["rss_mb_a_worker"] = round(max(one.rss_mb for taken in takes.values() for both in taken for one in both))
    figures["us"] = us_per_record(stream[:50_000])
    figures["least_us"] = least_us(stream[:BATCH])
    figures["peers"] = peers(stream)
    matches = [features(follower.handle, follower.full_name) for follower in stream[:1_000]]
    alike = [(one.indian_name_match > ENOUGH) == (whole_list_match(one.name_words.split()) > ENOUGH) for one in matches]
    figures["names_as_the_whole_list_says"] = sum(alike) / len(alike)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--quality", type=Path, metavar="FOLDER", help="with fake_accounts, names_in and translit")
    arguments = parser.parse_args()
    if arguments.quality:
        from bench.scoring_quality import quality  # scikit-learn, which only this needs

        print(json.dumps(quality(arguments.quality)))
        return
    figures = trio.run(speed, arguments.records)
    for name, figure in figures.items():
        print(f"{name:>20} {figure}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

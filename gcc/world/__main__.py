"""`python -m gcc.world`: the world alone, for benches and for a look around. Ends on SIGINT or SIGTERM."""

import argparse
import signal
import sys
from pathlib import Path

import pydantic
import structlog
import trio

from gcc.clock import SystemClock
from gcc.config import World as Settings
from gcc.errors import ConfigError
from gcc.world.server import serve_world


def _settings(argv: list[str]) -> Settings:
    parser = argparse.ArgumentParser(prog="python -m gcc.world", description=__doc__)
    parser.add_argument("--port", type=int, default=8090, help="0 = any free one")
    parser.add_argument("--creators", type=int, default=1000, help="per platform")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--recorded", type=Path, help="a folder of recorded creators instead of generated ones")
    parser.add_argument("--calls-per-s", type=float, default=100.0, help="per source; more gets 429")
    parser.add_argument("--latency-s", type=float, default=0.0, help="before each answer of an outside API")
    parser.add_argument("--quota-times", type=float, default=1000.0, help="daily quotas, times the real ones")
    parser.add_argument("--odd", type=int, default=0, help="creators beside them: private, renamed, gone, ...")
    parser.add_argument("--owners", type=int, default=0, help="creators whose own Graph tokens it knows")
    try:
        return Settings(enabled=True, **vars(parser.parse_args(argv)))
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        parser.error(f"--{str(first['loc'][0]).replace('_', '-')}: {first['msg']}")


async def _run(settings: Settings) -> None:
    draining = trio.Event()

    async def watch() -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                if draining.is_set():
                    nursery.cancel_scope.cancel()  # a second signal does not wait
                draining.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        async with trio.open_nursery() as serving:
            url = await serving.start(lambda task_status: serve_world(
                settings, SystemClock(), draining=draining, task_status=task_status))  # fmt: skip
            print(url, flush=True)
        nursery.cancel_scope.cancel()


def main(argv: list[str]) -> int:
    """0 after a signal; 2 and one sentence where it cannot start."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout holds the URL alone
    refusals: list[BaseException] = []
    try:
        trio.run(_run, _settings(argv))
    except* ConfigError as refused:
        refusals = _leaves(refused)
    for refusal in refusals:
        print(refusal, file=sys.stderr)
    return 2 if refusals else 0


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

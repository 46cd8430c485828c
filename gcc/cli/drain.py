"""`drain [--wait]`: asks the platform to finish what it holds and exit; with --wait follows it to the end."""

import argparse
import json
from typing import Any

import trio

from gcc.cli.client import NotRunning, Running, find
from gcc.cli.live import messages

LOOK_S = 0.1


def main(arguments: argparse.Namespace) -> int:
    running = find(arguments)
    body = json.dumps({"role": arguments.role}).encode()
    if not arguments.wait:
        answer = running.ask("POST", "/api/drain", content=body)
        print(json.dumps(answer["data"]) if arguments.json else "drain requested")
        return 0
    stages = trio.run(_follow, running, body)
    if arguments.json:
        print(json.dumps({"stages": stages}))
    else:
        for stage in stages:
            waited_for = ", ".join(stage["waited_for"]) or "nobody"
            print(f"{stage['name']:<10}{stage['waited_s']:>7.2f} s  waited for {waited_for}")
    return 0


async def _follow(running: Running, body: bytes) -> list[dict[str, Any]]:
    """Ask, then watch the stages until the process is gone."""
    stages: list[dict[str, Any]] = []
    async with messages(running) as live:
        await trio.to_thread.run_sync(lambda: running.ask("POST", "/api/drain", content=body))
        async for message in live:
            stages = message["drain"] or stages
    while True:  # the port closes before the stores do
        try:
            await trio.to_thread.run_sync(lambda: running.ask("GET", "/live"))
        except NotRunning:
            return stages
        await trio.sleep(LOOK_S)

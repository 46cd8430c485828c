"""`drain [--role ROLE] [--wait]`: asks the platform to finish what it holds and exit, or one role of it to finish.

With --wait it returns when that is done, and tells what each stage waited for.
"""

import argparse
import json
from typing import Any

import trio

from gcc.cli.client import HungUp, NotRunning, Running, find
from gcc.cli.live import messages

LOOK_S = 0.1
NAMED_MAX = 4  # of those that a stage waited for; --json has all


def main(arguments: argparse.Namespace) -> int:
    running = find(arguments)
    body = {"role": arguments.role, "why": arguments.why}
    if not arguments.wait:
        done = running.act("/api/drain", body)
        print(json.dumps(done) if arguments.json else "drain requested")
        return 0
    stages = trio.run(_follow, running, body)
    if arguments.json:
        print(json.dumps({"stages": stages}))
    else:
        for stage in stages:
            named, more = stage["waited_for"][:NAMED_MAX], len(stage["waited_for"]) - NAMED_MAX
            waited_for = ", ".join(named) + (f" and {more} more" if more > 0 else "") or "nobody"
            print(f"{stage['name']:<10}{stage['waited_s']:>7.2f} s  waited for {waited_for}")
    return 0


async def _follow(running: Running, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask, then watch the stages until the process is gone, or the role has drained."""
    stages: list[dict[str, Any]] = []
    async with messages(running) as live:
        await trio.to_thread.run_sync(lambda: running.act("/api/drain", body))
        async for message in live:
            if body["role"] is None:
                stages = message["drain"] or stages
                continue
            (role,) = [line for line in message["roles"] if line["name"] == body["role"]]
            stages = role["drain"] or stages
            if role["state"] == "drained":
                return stages
    while True:  # the port closes before the stores do
        try:
            await trio.to_thread.run_sync(lambda: running.answer("GET", "/live"))
        except NotRunning:
            return stages
        except HungUp:
            pass
        await trio.sleep(LOOK_S)

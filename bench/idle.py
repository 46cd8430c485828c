"""How many connections one port holds that say nothing, and what each takes: `python -m bench.idle`.

A server of its own process; every connection is answered once, then waits. Then one more client is answered among them,
and at the end each of them is asked again: none was let go of. The last line: {connections, kb_each, rss_mb, p99_ms}.
"""

import argparse
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from bench.proc import rss_mb
from gcc.config import Bind
from gcc.web import connection, serving

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SPARE = 100  # descriptors beside those of the connections
IDLE_S = 3600.0  # nobody is let go of meanwhile
STARTS_S = 60.0


@dataclass(frozen=True, slots=True)
class Held:
    connections: int
    kb_each: float
    rss_mb: float
    p99_ms: float  # of an answer to one of them


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """The app."""
    if scope["type"] == "lifespan":
        while (phase := (await receive())["type"]) != "lifespan.shutdown":
            await send({"type": f"{phase}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def serve(most: int) -> None:
    """Until killed."""
    connection.IDLE_S = IDLE_S

    class Told(trio.TaskStatus[str]):
        def started(self, value: str | None = None) -> None:
            print(value, flush=True)

    bind = Bind(port=0, connections_max=most)
    await serving.serve(hello, bind, key="bench", draining=trio.Event(), grace_s=1, task_status=Told())


@asynccontextmanager
async def server(most: int) -> AsyncIterator[tuple[int, int]]:
    """Its process and port."""
    command = [sys.executable, "-m", "bench.idle", "--serve", str(most)]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        with trio.fail_after(STARTS_S):
            url = (await process.stdout.receive_some()).decode().strip()
        yield process.pid, int(url.rpartition(":")[2])
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


def asked(sock: socket.socket) -> float:
    """Seconds until it is answered."""
    began = time.perf_counter()
    sock.sendall(GET)
    answer = b""
    while not answer.endswith(b"hello"):
        more = sock.recv(4096)
        if not more:
            raise SystemExit(f"let go of, after {answer!r}")
        answer += more
    return time.perf_counter() - began


async def hold(connections: int) -> Held:
    """Raises SystemExit where one of them is let go of."""
    raise_limit(connections + SPARE)
    async with server(connections + 1) as (pid, port):
        first = socket.create_connection(("127.0.0.1", port))
        asked(first)
        before_mb = rss_mb(pid)
        held = [first]
        for _ in range(connections - 1):
            held.append(socket.create_connection(("127.0.0.1", port)))
            asked(held[-1])
        after_mb = rss_mb(pid)
        took_s = sorted(asked(sock) for sock in held)
        for sock in held:
            sock.close()
    kb_each = (after_mb - before_mb) * 1024 / max(1, connections - 1)
    return Held(connections, round(kb_each, 1), round(after_mb), round(took_s[int(len(took_s) * 0.99)] * 1000, 2))


def raise_limit(descriptors: int) -> None:
    """Of this process, and so of the server, which is its child."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < descriptors:
        if hard != resource.RLIM_INFINITY and hard < descriptors:
            raise SystemExit(f"{descriptors} descriptors are needed, ulimit -Hn allows {hard}; ask for fewer")
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--serve", type=int, metavar="MOST", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        trio.run(serve, given.serve)
        return
    held = trio.run(hold, given.connections)
    print(json.dumps({name: getattr(held, name) for name in Held.__dataclass_fields__}))


if __name__ == "__main__":
    main()

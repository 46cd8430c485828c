"""The clients that nobody wishes for, all kinds at once on every port: what they do, and what they cost.

Short visits, half-open and silent ones, heads and bodies that come drop by drop, readers that do not read, HTTP/2,
deep bodies, foreign Hosts and Origins, garbage, websockets that talk nonsense, callers that hang up on work they asked
for; for half of the times with hardly a descriptor left. Meanwhile the API answers; afterwards descriptors and memory
come back, and nothing has failed with a traceback.
"""

import os
import random
import resource
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import trio

from tests.process import PlatformProcess

PROFILE = "/discovery-service/api/profile"
CLIENTS = 6  # of each kind on each port
SECONDS = (4.0, 15.0)
LIMIT_SPARE = (20, 60)  # descriptors beyond those in use
ANSWER_S = 60.0  # generous: the machine may be busy, and all the abuse comes from it, too
BACK_S = 60.0
LOOK_S = 0.5
SPARE_DESCRIPTORS = 40  # of the load that goes on
SPARE_BYTES = 200 << 20
TOKEN = "Authorization: Bearer gcc-dev"

Client = Callable[["Target"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Target:
    """One port. `bearer`: the header that opens it."""

    name: str
    port: int
    bearer: str
    handles: tuple[str, ...]
    rng: random.Random

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    def head(self, method: str = "GET", path: str = "/", *more: str, host: str = "") -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{self.port}'}", self.bearer, *more, "", ""]
        return "\r\n".join(lines).encode()

    def path(self) -> str:
        """One that answers, large or small."""
        paths = {
            "gateway": ("/heartbeat", "/openapi.json", "/docs", f"{PROFILE}/INSTAGRAM/{self.rng.choice(self.handles)}"),
            "ops": ("/live", "/metrics", "/api/status", "/static/app.js", "/api/jobs?limit=1000"),
            "world": ("/stats", "/truth/instagram?limit=200", "/history/youtube?days=30"),
        }
        return self.rng.choice(paths[self.name])


async def _said(stream: trio.SocketStream, most: int = 1 << 20) -> None:
    """Read until the other side has said all it will, or so much."""
    while most > 0 and (piece := await stream.receive_some()):
        most -= len(piece)


async def visit(target: Target) -> None:
    """One question, and gone before the answer, during it, or after it."""
    async with await target.connect() as stream:
        await stream.send_all(target.head("GET", target.path()))
        with trio.move_on_after(target.rng.choice((0, 0, 0.01, 1))):
            await stream.receive_some()


async def knock(target: Target) -> None:
    await (await target.connect()).aclose()


async def stay(target: Target) -> None:
    """Say nothing, or half a head."""
    async with await target.connect() as stream:
        await stream.send_all(target.rng.choice((b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n")))
        await _said(stream)


async def drip(target: Target) -> None:
    """A head or a body that never ends."""
    head = target.head("POST", "/api/drain", f"Content-Length: {target.rng.choice((5000, 10**9))}")
    endless = b"GET / HTTP/1.1\r\nHost: x\r\nx: "
    async with await target.connect() as stream:
        await stream.send_all(target.rng.choice((head, endless)))
        while True:
            await stream.send_all(b"x" * target.rng.randint(1, 50))
            await trio.sleep(target.rng.uniform(0.01, 0.5))


async def look_away(target: Target) -> None:
    """Ask again and again, and read nothing."""
    async with await target.connect() as stream:
        stream.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
        for _ in range(200):
            await stream.send_all(target.head("GET", target.path()))
        await trio.sleep_forever()


async def speak_http2(target: Target) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    h2c = target.head("GET", target.path(), *upgrade)
    async with await target.connect() as stream:
        await stream.send_all(target.rng.choice((preface, h2c)))
        await _said(stream)


async def go_deep(target: Target) -> None:
    """Nested bodies, long ones, and those that nobody reads."""
    size = target.rng.choice((100, 16_000, 60_000, 1_000_000))
    body = target.rng.choice((b"[", b'{"filter":', b"x", b"\xff", b"\0")) * size
    path = target.rng.choice(
        ("/api/pause", "/api/jobs/retry", "/faults", "/leaderboard-service/api/leaderboard/platform/INSTAGRAM", "/")
    )
    async with await target.connect() as stream:
        await stream.send_all(target.head("POST", path, f"Content-Length: {len(body)}"))
        await stream.send_all(body)
        await _said(stream)


async def come_from_elsewhere(target: Target) -> None:
    odd = target.rng.choice(("http://[", "null", "http://evil.example", "[", "evil.example", "é", "\x7f"))
    path = target.path()
    with_origin, with_host = target.head("GET", path, f"Origin: {odd}"), target.head("GET", path, host=odd)
    async with await target.connect() as stream:
        await stream.send_all(target.rng.choice((with_origin, with_host)))
        with trio.move_on_after(2):
            await stream.receive_some()


async def talk_nonsense(target: Target) -> None:
    noise = target.rng.randbytes(target.rng.choice((1, 30, 5000)))
    async with await target.connect() as stream:
        await stream.send_all(target.rng.choice((b"", b"GET / HTTP/1.1\r\n", target.head())) + noise)
        await _said(stream)


async def open_websocket(target: Target) -> None:
    """And send frames that are none, or none that mean anything."""
    key = "AAAAAAAAAAAAAAAAAAAAAA=="
    async with await target.connect() as stream:
        await stream.send_all(
            target.head(
                "GET", "/ws", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}",
                "Sec-WebSocket-Version: 13", *target.rng.choice(((), ("Sec-WebSocket-Protocol: é",))),
            )
        )  # fmt: skip
        await stream.receive_some()
        frames = (
            b"\x81\x85\0\0\0\0hello",
            b"\x89\x80\0\0\0\0",
            b"\xff" * 20,
            b"\x82\xff" + b"\x7f" * 8 + b"x" * 90_000,
        )
        await stream.send_all(target.rng.choice(frames) * target.rng.choice((1, 500)))
        await _said(stream, 10 << 20)


async def walk_out(target: Target) -> None:
    """Ask for work that takes a while, and hang up."""
    handle = target.rng.choice(target.handles)
    path = {
        "gateway": f"{PROFILE}/YOUTUBE/{handle}?force_refresh=true",
        "ops": "/api/check",
        "world": "/history/instagram?days=3000",
    }[target.name]
    async with await target.connect() as stream:
        await stream.send_all(target.head("POST" if target.name == "ops" else "GET", path))
        with trio.move_on_after(target.rng.uniform(0, 0.3)):
            await stream.receive_some()


KINDS: dict[str, Client] = {
    kind.__name__: kind
    for kind in (
        visit, knock, stay, drip, look_away, speak_http2, go_deep, come_from_elsewhere, talk_nonsense, open_websocket,
        walk_out,
    )
}  # fmt: skip


async def abuse_all(running: PlatformProcess, handles: tuple[str, ...], rng: random.Random) -> tuple[str, list[str]]:
    """What was done, and what was not well."""
    seconds, spare = rng.uniform(*SECONDS), rng.choice((None, rng.randint(*LIMIT_SPARE)))
    pid, log_from = running.process.pid, running.log.stat().st_size
    before = costs(pid)
    targets = await _targets(running, handles, rng)
    counts = dict.fromkeys(KINDS, 0)
    slowest_s = 0.0
    with few_descriptors(pid, spare):
        async with trio.open_nursery() as nursery:
            for target in targets:
                for kind in KINDS:
                    for _ in range(CLIENTS):
                        nursery.start_soon(_again_and_again, kind, target, counts)
            until_s = trio.current_time() + seconds
            while trio.current_time() < until_s:
                slowest_s = max(slowest_s, await _answer_s(targets[0]))
                await trio.sleep(LOOK_S)
            nursery.cancel_scope.cancel()
    if spare is not None:  # whom a free descriptor goes to is chance; afterwards there are enough
        slowest_s = await _answer_s(targets[0])
    troubles = [f"no answer to GET /heartbeat within {ANSWER_S:g} s"] if slowest_s >= ANSWER_S else []
    troubles += await _not_given_back(pid, before)
    told = running.log.read_bytes()[log_from:].decode(errors="replace")
    if "Traceback" in told:
        at = told.index("Traceback")
        troubles.append(f"a traceback in the log: {told[max(0, at - 500) : at + 2000]}")
    narrow = f", {spare} descriptors spare" if spare else ""
    return f"{sum(counts.values())} clients in {seconds:.1f} s{narrow}; answers in {slowest_s:.2f} s", troubles


async def _targets(running: PlatformProcess, handles: tuple[str, ...], rng: random.Random) -> list[Target]:
    urls = (await running.status())["urls"]
    bearers = {"ops": f"Authorization: {running.running.headers['Authorization']}"}
    targets = []
    for name in ("gateway", "ops", "world"):
        url = urlsplit(urls[name])
        assert url.hostname == "127.0.0.1" and url.port, "nobody but this machine"
        targets.append(Target(name, url.port, bearers.get(name, TOKEN), handles, rng))
    return targets


async def _again_and_again(kind: str, target: Target, counts: dict[str, int]) -> None:
    """A client of one kind after the other. That it is thrown out is what is meant."""
    while True:
        counts[kind] += 1
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            await KINDS[kind](target)
        await trio.sleep(target.rng.uniform(0, 0.1))


async def _answer_s(target: Target) -> float:
    """How long a decent client waits for an answer, which may be that there is no room; ANSWER_S at most."""
    began_s = trio.current_time()
    with trio.move_on_after(ANSWER_S):
        while True:
            with suppress(OSError, trio.BrokenResourceError):
                async with await target.connect() as stream:
                    await stream.send_all(target.head("GET", "/heartbeat"))
                    if (await stream.receive_some()).startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 503 ")):
                        break
            await trio.sleep(0.05)  # it was idle for too long, on a port without room
    return trio.current_time() - began_s


def costs(pid: int) -> tuple[int, int]:
    """Open descriptors and resident bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return len(os.listdir(f"/proc/{pid}/fd")), pages * resource.getpagesize()


async def _not_given_back(pid: int, before: tuple[int, int]) -> list[str]:
    """What it holds too much of after BACK_S."""
    descriptors, held_bytes = before
    most = descriptors + SPARE_DESCRIPTORS, held_bytes + SPARE_BYTES
    with trio.move_on_after(BACK_S):
        while any(now > bound for now, bound in zip(costs(pid), most, strict=True)):  # noqa: ASYNC110 (nobody tells)
            await trio.sleep(LOOK_S)
        return []
    return [f"{costs(pid)} descriptors and bytes are held, before it were {before}"]


@contextmanager
def few_descriptors(pid: int, spare: int | None) -> Iterator[None]:
    """While the block runs, the process may open only so many more; None: as many as ever."""
    if spare is None:
        yield
        return
    _, hard = limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (costs(pid)[0] + spare, hard))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)

"""Asks an HTTP server on this machine as fast as it answers, for the bench of the API: a process of its own.

In: a file of cases, each a list of requests [method, path, body], asked in turn over connections with one request at a
time, kept as long as the server keeps them. Out, on the last line: requests a second, milliseconds from a request's
first byte to its answer's last, microseconds of CPU for each request, the server's and its own. Raw sockets in one
loop, no HTTP library: it costs some 50 us a request, a fifth of what the cheapest server does, so that it holds none
up. An answer but of 200 and 304 ends it. A request is [method, path, body], or has further headers behind; "{n}" in
these is another word each time.
"""

import argparse
import itertools
import json
import re
import secrets
import select
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.proc import cpu_s
from gcc.stores.tenant import Tenant

ASKS = Tenant(7, "PAID")
"""Whose token it is."""
RECEIVE_BYTES = 256 * 1024
ANSWER_S_MAX = 30.0
Figures = dict[str, float]
_LAST = b"\r\nconnection: close\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Line:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked_at_s = 0.0
        self.is_last = False  # the server takes no further request here
        self._answer = b""
        self._length = 0  # of the whole answer; 0 until its head is there

    def ask(self, request: bytes) -> None:
        self._answer, self._length = b"", 0
        self.asked_at_s = time.perf_counter()
        self.socket.sendall(request)

    def is_answered(self) -> bool:
        """Take what has come; whether that is all."""
        more = self.socket.recv(RECEIVE_BYTES)
        self._answer += more
        if not self._length and (head_bytes := self._answer.find(b"\r\n\r\n") + 4) > 4:
            head = self._answer[:head_bytes]
            found = _LENGTH.search(head)
            bodiless = head.startswith(b"HTTP/1.1 304 ")
            if not bodiless and (found is None or not head.startswith(b"HTTP/1.1 20")):
                raise SystemExit(f"no answer of 200 with its length: {self._answer!r}")
            self._length = head_bytes + (0 if bodiless or found is None else int(found[1]))
            self.is_last = _LAST in head.lower()
        if not more:
            raise SystemExit(f"hung up after {self._answer!r}")
        return 0 < self._length <= len(self._answer)


def raw(token: str, method: str, path: str, body: str, headers: str = "") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\naccept: */*\r\n{headers}"
    if body:
        head += f"content-type: application/json\r\ncontent-length: {len(body.encode())}\r\n"
    return f"{head}\r\n{body}".encode()


def _turns(requests: Sequence[bytes]) -> Iterator[bytes]:
    if b"{n}" not in requests[0]:
        return itertools.cycle(requests)
    word = secrets.token_hex(8).encode()
    return (each.replace(b"{n}", b"%s-%d" % (word, number)) for number, each in enumerate(itertools.cycle(requests)))


def ask(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Iterator[float]:
    """Seconds that each answer took."""
    turns = _turns(requests)
    lines = {line.socket.fileno(): line for line in (Line(port) for _ in range(connections))}
    until = time.perf_counter() + seconds
    with select.epoll() as arrived:
        for number, line in lines.items():
            arrived.register(number, select.EPOLLIN)
            line.ask(next(turns))
        while time.perf_counter() < until:
            events = arrived.poll(ANSWER_S_MAX)
            if not events:
                raise SystemExit(f"no answer within {ANSWER_S_MAX:g} s")
            for number, _ in events:
                line = lines[number]
                if not line.is_answered():
                    continue
                yield time.perf_counter() - line.asked_at_s
                if line.is_last:
                    line.socket.close()
                    line = Line(port)
                    lines[line.socket.fileno()] = line
                    arrived.register(line.socket, select.EPOLLIN)
                line.ask(next(turns))


def measured(pid: int, port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Figures:
    began, server_s, own_s = time.perf_counter(), cpu_s(pid), time.process_time()
    took_ms = sorted(took * 1000 for took in ask(port, requests, connections, seconds))
    return {
        "requests_per_s": len(took_ms) / (time.perf_counter() - began),
        "p50_ms": statistics.median(took_ms),
        "p99_ms": took_ms[int(len(took_ms) * 0.99)],
        "cpu_us": (cpu_s(pid) - server_s) / len(took_ms) * 1e6,
        "asking_cpu_us": (time.process_time() - own_s) / len(took_ms) * 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--party", metavar="CASE")
    for name, kind in (
        ("file", Path),
        ("token", str),
        ("pid", int),
        ("port", int),
        ("connections", int),
        ("seconds", float),
    ):
        parser.add_argument(name, type=kind)
    given = parser.parse_args()
    asked = json.loads(given.file.read_text())[given.party]
    requests = [raw(given.token, *each) for each in asked]
    print(json.dumps(measured(given.pid, given.port, requests, given.connections, given.seconds)))


if __name__ == "__main__":
    main()

"""An outside that lives in this process: a function from request to reply. Passes tests/contract/test_fetcher.py."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import trio

from gcc.errors import Transient
from gcc.sources.http import BODY_BYTES_MAX, Answer, Request
from gcc.sources.verdicts import Unsendable


@dataclass(frozen=True, slots=True)
class Reply:
    """What the outside does with a request: answer after `delay_s`, or drop the connection (`lost`).

    `unsendable`: it never comes there, as no request can hold it.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    lost: bool = False
    unsendable: bool = False


class FakeFetcher:
    """Answers by `outside`, where a request arrives `way_s()` after it was sent; keeps what was asked in `requests`, in
    order."""

    def __init__(self, outside: Callable[[Request], Reply], way_s: Callable[[], float] = lambda: 0.0) -> None:
        self._outside = outside
        self._way_s = way_s
        self.requests: list[Request] = []

    async def fetch(self, request: Request) -> Answer:
        self.requests.append(request)
        if request.passage:
            await request.passage.sending()
        if (way_s := self._way_s()) > 0:
            await trio.sleep(way_s)
        reply = self._outside(request)
        if reply.unsendable:
            raise Unsendable(
                f"{request.source}: no request can hold its host, parameters or headers: LocalProtocolError"
            )
        await trio.sleep(min(reply.delay_s, request.timeout_s))
        if reply.delay_s >= request.timeout_s:
            raise Transient(f"{request.source}: no answer within {request.timeout_s:g} s")
        if reply.lost:
            raise Transient(f"{request.source}: connection lost")
        if request.passage:
            request.passage.answered()
        if len(reply.body) > BODY_BYTES_MAX:
            raise Transient(f"{request.source}: answer too large")
        headers = {name.lower(): value for name, value in reply.headers.items()}
        return Answer(reply.status, headers, reply.body, reply.delay_s, request.shown_url)

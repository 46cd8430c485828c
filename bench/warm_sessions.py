"""What it costs to know who asks, where the session has asked before: a party of the gateway's bench.

Ours looks its claims, its session and its contracts up in memory, and asks the bus whether they still hold; the peer
verifies the token, and knows nothing of sessions that end. On the last line: microseconds of CPU, milliseconds of one.
"""

import argparse
import datetime as dt
import json
import statistics
import time
import uuid
from collections.abc import Callable
from typing import Any

import jwt
import trio

from bench.asking import ASKS
from bench.rounds import OURS
from gcc.clock import SystemClock
from gcc.config.sections import Auth
from gcc.stores.postgres_identity import Caller, Partner
from gcc.stores.tenant import Contract, free
from gcc.web.at_once import Pause, begin
from gcc.web.gateway.auth import Authenticator
from gcc.web.gateway.strangers import Strangers
from gcc.web.identity.bus import Bus
from gcc.web.identity.tokens import AUDIENCE, ISSUER, AccessTokens
from tests.integration.api_serving import KEY

TIMES, EACH = 50_000, 10_000
USER, SESSION, ACCOUNT = (uuid.UUID(int=number) for number in (1, 2, 3))


class Known:
    """A database that has one session."""

    async def session(self, partner_id: int, session_id: uuid.UUID) -> Caller:
        return Caller(SESSION, partner_id, USER, ACCOUNT, "OWNER", dt.datetime(2199, 1, 1, tzinfo=dt.UTC))

    async def partner(self, partner_id: int) -> Partner:
        begins, ends = (dt.datetime(year, 1, 1, tzinfo=dt.UTC) for year in (2020, 2199))
        return Partner("Brand", False, (Contract(ASKS.plan, begins, ends, {}),), free({}))


async def asked_before(token: str) -> Authenticator:
    nothing: Any = None
    database: Any = Known()
    bus = Bus(nothing, time=lambda: 0.0)
    bus._sure_at = 0.0
    found = Authenticator(
        database, nothing, AccessTokens([KEY]), bus, SystemClock(), Auth(known_s=1e6), "", {}, Strangers(20)
    )
    await found.tenant([f"Bearer {token}"], "127.0.0.1")
    return found


def measured(once: Callable[[], object]) -> dict[str, float]:
    began = time.process_time()
    for _ in range(TIMES):
        once()
    cpu_us = (time.process_time() - began) / TIMES * 1e6
    took_ms = []
    for _ in range(EACH):
        at = time.perf_counter()
        once()
        took_ms.append((time.perf_counter() - at) * 1000)
    took_ms.sort()
    return {
        "auth_cpu_us": cpu_us,
        "auth_p50_ms": statistics.median(took_ms),
        "auth_p99_ms": took_ms[int(EACH * 0.99)],
    }


async def main(party: str) -> None:
    token = AccessTokens([KEY]).signed(
        time.time(), user=USER, session=SESSION, partner_id=ASKS.partner_id, account=ACCOUNT, role="OWNER"
    )
    if party == OURS:
        authenticator, header = await asked_before(token), [f"Bearer {token}"]

        def once() -> object:
            is_known, tenant = begin(authenticator.tenant(header, "127.0.0.1", Pause()))
            assert is_known
            return tenant
    else:

        def once() -> object:
            return jwt.decode(token, KEY.raw, algorithms=["HS256"], audience=AUDIENCE, issuer=ISSUER)

    print(json.dumps(measured(once)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--party", required=True)
    trio.run(main, parser.parse_args().party)

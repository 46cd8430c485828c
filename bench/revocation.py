"""How soon a session that has ended opens nothing in any gateway: `python -m bench.revocation --sessions 200`.

Three gateways, each a process of the platform as users start it, on one PostgreSQL. A session is known to all of them,
one of them is told to end it, the others are asked each PAUSE_S until they refuse. The figures are the times of the
last refusal: from when the end was asked for, with the request that commits it, and from its answer. Then the same with
the bus cut, so that nobody would notice it: the database's backends that notify the gateways are stopped, their
connections stay. At last fifty ask all three with one refresh token at once. The last line is JSON: {sessions, p50_ms,
p99_ms, after_p50_ms, after_p99_ms, cut_max_s, refreshes, sessions_alive}.
"""

import argparse
import base64
import json
import os
import signal
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import httpx
import trio

from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.stores.postgres import Pool
from gcc.stores.postgres_identity import NewSession, PostgresIdentity
from gcc.web.identity.tokens import AccessTokens, Secret
from tests.integration.identity_people import AUTH, Someone, add_partner, add_person, bearer, execute
from tests.process import launched

GATEWAYS = 3
SECRET = b"k" * 32
TOKENS = AccessTokens([Secret(SECRET)])
ALONE = (
    'roles=["web"]', "world.enabled=false", "demo=false", "web.dev_token=",
    *(f"limits.classes.{name}=10000000" for name in ("open", "login", "read", "write")),
)  # fmt: skip
ASKED = "/none"  # answered from memory: who asks is looked at before the path
PATIENCE_S = 10.0
PAUSE_S = 0.005  # without one the asking alone would take the machine
HEARD_AGAIN_S = 2.0
FIFTY = 50


class Ended(NamedTuple):
    """When the last one refused."""

    asked_s: float  # after the end was asked for
    after_s: float  # after that was answered


@dataclass(frozen=True)
class Gateways:
    urls: list[str]
    pool: Pool
    someone: Someone
    client: httpx.AsyncClient

    async def session(self) -> str:
        """A token for a new one, which all of them know."""
        session_id, store = uuid.uuid4(), PostgresIdentity(self.pool, self.pool)
        user = await store.user_by_email(self.someone.email)
        assert user is not None and await store.begin(user, NewSession(session_id, session_id.bytes))
        token = TOKENS.signed(
            time.time(), user=user.id, session=session_id, partner_id=user.partner_id,
            account=user.account_id, role=user.role,
        )  # fmt: skip
        for url in self.urls * 2:
            assert await self.opens(url, token)
        return token

    async def opens(self, url: str, token: str) -> bool:
        status = (await self.client.get(url + ASKED, headers=bearer(token))).status_code
        assert status in (401, 404), status
        return status == 404

    async def ended(self, token: str, ender: str) -> Ended:
        began = trio.current_time()

        async def ask(url: str) -> None:
            while await self.opens(url, token):  # noqa: ASYNC110 - of another process
                await trio.sleep(PAUSE_S)

        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                for url in self.urls:
                    if url != ender:
                        nursery.start_soon(ask, url)
                answer = await self.client.post(f"{ender}{AUTH}/logout", headers=bearer(token))
                answered = trio.current_time()
                assert answer.json()["data"] == {"revoked": 1}, answer.text
        last = trio.current_time()
        return Ended(last - began, max(0.0, last - answered))

    @contextmanager
    def deaf(self, backends: list[int]) -> Iterator[None]:
        """Nobody hears of anything, and nobody is told so."""
        try:
            for pid in backends:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in backends:
                os.kill(pid, signal.SIGCONT)

    async def ended_unheard(self) -> Ended:
        token = await self.session()
        query = "select pid from pg_stat_activity where application_name = 'gcc notifications'"
        backends = [pid for (pid,) in await execute(self.pool, query)]
        assert len(backends) == len(self.urls)
        with self.deaf(backends):
            return await self.ended(token, self.urls[0])

    async def refreshed_at_once(self, callers: int) -> int:
        """How many sessions live after so many refreshed with one token; all got the same one, which is good."""
        body = {"email": self.someone.email, "password": self.someone.password}
        first = (await self.client.post(f"{self.urls[0]}{AUTH}/login", json=body)).json()["data"]["refresh_token"]
        before = await self._alive()
        got: set[str] = set()

        async def refresh(url: str, token: str) -> None:
            answer = await self.client.post(f"{url}{AUTH}/refresh", json={"refresh_token": token})
            assert answer.status_code == 200, answer.text
            got.add(answer.json()["data"]["refresh_token"])

        async with trio.open_nursery() as nursery:
            for _, url in zip(range(callers), cycle(self.urls), strict=False):
                nursery.start_soon(refresh, url, first)
        (successor,) = got
        await refresh(self.urls[-1], successor)
        assert len(got) == 2
        return await self._alive() - before + 1

    async def _alive(self) -> int:
        query = "select count(*) from api_session where user_id = %s and revoked_at is null"
        ((alive,),) = await execute(self.pool, query, self.someone.user_id)
        return int(alive)


@asynccontextmanager
async def gateways(folder: Path, conninfo: str, *settings: str) -> AsyncIterator[Gateways]:
    """Three processes on one migrated database, and somebody who may ask them."""
    environ = {"GCC_AUTH__JWT_SECRET": base64.b64encode(SECRET).decode(), "GCC_POSTGRES__URL": conninfo}
    async with AsyncExitStack() as opened:
        launches = [
            await opened.enter_async_context(launched(folder / f"gateway {number}", *ALONE, *settings, environ=environ))
            for number in range(GATEWAYS)
        ]
        processes = [await launch.ready() for launch in launches]
        urls = [(await each.status())["urls"]["gateway"] for each in processes]
        pool = Pool(conninfo, 2, name="bench")
        opened.push_async_callback(pool.aclose)
        await add_partner(pool, 7)
        someone = await add_person(pool, partner_id=7)
        client = await opened.enter_async_context(httpx.AsyncClient(timeout=30, trust_env=False))
        yield Gateways(urls, pool, someone, client)


async def bench(sessions: int, cuts: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder) / "server", fsync=True)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            async with gateways(Path(folder), server.conninfo) as three:
                enders = cycle(three.urls)
                took = [await three.ended(await three.session(), next(enders)) for _ in range(sessions)]
                cut = []
                for _ in range(cuts):
                    cut.append(await three.ended_unheard())
                    await trio.sleep(HEARD_AGAIN_S)
                alive = await three.refreshed_at_once(FIFTY)
            nursery.cancel_scope.cancel()
    return {
        "sessions": sessions,
        **spread("", [each.asked_s for each in took]),
        **spread("after_", [each.after_s for each in took]),
        "cut_max_s": round(max(each.after_s for each in cut), 2),
        "refreshes": FIFTY,
        "sessions_alive": alive,
    }


def spread(name: str, took_s: list[float]) -> dict[str, float]:
    return {
        f"{name}p50_ms": round(statistics.median(took_s) * 1000, 1),
        f"{name}p99_ms": round(statistics.quantiles(took_s, n=100, method="inclusive")[98] * 1000, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=200, help="that end while the bus is well; 2 at least")
    parser.add_argument("--cuts", type=int, default=10, help="how often the bus is cut")
    arguments = parser.parse_args()
    print(json.dumps(trio.run(bench, arguments.sessions, arguments.cuts)))


if __name__ == "__main__":
    main()

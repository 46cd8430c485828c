"""What is killed: PostgreSQL, Redis and two gateways, each started again on what it left."""

import base64
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from gcc.errors import Transient
from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.web.identity.tokens import AccessTokens, Secret
from tests.process import NO_RECEIVERS_HERE, PlatformProcess, launched
from tests.services.redis import RedisNode
from tests.torture.acts import NotWell
from tests.torture.run import refuse_restarts
from tests.torture.victim import postmaster, tell

SECRET = b"k" * 32
FORGED = AccessTokens([Secret(b"x" * 32)])
UNLIMITED = 10_000_000
FREE_READS, FREE_HEAVY = 60, 6
SETTINGS = (
    'roles=["web"]', "world.enabled=false", "demo=false", "web.dev_token=", NO_RECEIVERS_HERE,
    'gateway.trusted_proxies=["127.0.0.1/32"]',
    *(f"limits.classes.{name}={UNLIMITED}" for name in ("open", "login", "write")),
    f'limits.classes.read={{"FREE":{FREE_READS},"SAAS":{UNLIMITED}}}',
    f'limits.classes.heavy={{"FREE":{FREE_HEAVY},"SAAS":{UNLIMITED}}}',
)  # fmt: skip
MEMORY_MB_MAX = 900
LOOK_S = 0.1


class PostgresVictim:
    """Somebody who starts it again stands beside it, as on a server."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._server = EmbeddedPostgres(data, fsync=False)
        self.conninfo, self.web_conninfo = self._server.conninfo, self._server.web_conninfo
        self._up, self._may_run = trio.Event(), trio.Event()
        self._may_run.set()

    async def run(self) -> None:
        while True:
            await self._may_run.wait()
            try:
                await self._server.run(task_status=self)
            except Transient as ended:
                if self._up.is_set():
                    raise NotWell(f"PostgreSQL ended, and nobody killed it: {ended}") from ended

    def started(self, value: None = None) -> None:
        self._up.set()

    async def kill(self) -> None:
        self._up, self._may_run = trio.Event(), trio.Event()
        pid = postmaster(self._data)
        if pid is None or not tell(pid, signal.SIGKILL):
            raise NotWell("there was no postmaster to kill")

    async def start(self) -> None:
        self._may_run.set()
        await self._up.wait()


class RedisVictim:
    def __init__(self) -> None:
        self.node = RedisNode()
        self.lost: list[tuple[float, float]] = []  # from when, until when it had forgotten calls

    async def kill(self) -> None:
        self.lost.append((trio.current_time(), trio.current_time()))
        self.node.kill()

    async def start(self) -> None:
        """The first start, too: then it has forgotten what never was."""
        await self.node.start()
        began = self.lost.pop()[0] if self.lost else trio.current_time()
        self.lost.append((began, trio.current_time()))


@dataclass
class GatewayVictim:
    """One gateway, life after life on its folder."""

    folder: Path
    environ: dict[str, str]
    settings: tuple[str, ...]
    url: str = ""  # while it is there
    life: int = 0
    died: list[float] = field(default_factory=list)
    memory_mb: int = 0
    _process: PlatformProcess | None = None
    _up: trio.Event = field(default_factory=trio.Event)
    _may_run: trio.Event = field(default_factory=trio.Event)

    @property
    def log(self) -> Path:
        return self.folder / "test.log"

    async def run(self) -> None:
        while True:
            await self._may_run.wait()
            async with launched(self.folder, *self.settings, environ=self.environ) as launch:
                self._process = await launch.ready()
                self.url = (await self._process.status())["urls"]["gateway"]
                self.life += 1
                self._up.set()
                await launch.process.wait()
            if self.url:
                raise NotWell(f"{self.folder.name} ended by itself with code {launch.process.returncode}")

    async def look(self) -> None:
        """NotWell: a part of it was restarted, or it takes too much memory."""
        if self._process is None or not self.url:
            return
        refuse_restarts(await self._process.status())
        told = Path(f"/proc/{self._process.process.pid}/status").read_text()  # noqa: ASYNC240 - no disk
        self.memory_mb = max(self.memory_mb, int(told.partition("VmHWM:")[2].split()[0]) >> 10)
        if self.memory_mb > MEMORY_MB_MAX:
            raise NotWell(f"{self.folder.name} takes {self.memory_mb} MB")

    async def kill(self) -> None:
        await self.look()
        assert self._process is not None
        self.url, self._up, self._may_run = "", trio.Event(), trio.Event()
        self.died.append(trio.current_time())
        self._process.process.kill()

    async def start(self) -> None:
        self._may_run.set()
        await self._up.wait()


@dataclass
class Victims:
    postgres: PostgresVictim
    redis: RedisVictim
    gateways: list[GatewayVictim]


@asynccontextmanager
async def victims(folder: Path) -> AsyncIterator[Victims]:
    """All of them up; ended with the block."""
    redis, postgres = RedisVictim(), PostgresVictim(folder / "server")
    os.mkdir(folder / "server")
    environ = {
        "GCC_AUTH__JWT_SECRET": base64.b64encode(SECRET).decode(),
        "GCC_WEBHOOKS__SECRET": base64.b64encode(SECRET).decode(),
        "GCC_POSTGRES__URL": postgres.conninfo,
        "GCC_POSTGRES__WEB_URL": postgres.web_conninfo,
        "GCC_REDIS__URL": redis.node.url,
    }
    two = [GatewayVictim(folder / f"gateway {number}", environ, SETTINGS) for number in (1, 2)]
    async with AsyncExitStack() as ends:
        ends.callback(redis.node.close)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(postgres.run)
            await redis.start()
            await postgres.start()
            for gateway in two:
                nursery.start_soon(gateway.run)
                await gateway.start()
            yield Victims(postgres, redis, two)
            nursery.cancel_scope.cancel()

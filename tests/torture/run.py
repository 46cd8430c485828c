"""One torture: lives of the platform on one folder, acts drawn from a seed, and the question whether all is well.

After each act the platform must become well again by itself: ready, every actor at work, no count failing,
nothing stored late, a forced refresh of each platform answered, and no part restarted: to lose a dependency
is no reason for that. After every CHECK_EVERY acts it is drained and `check` counts; at the end once more,
when everything that was asked for is done and stored. The first thing that is not well ends the acts.
"""

import math
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import trio

from tests.process import UNRATED, Status, platform, verb
from tests.services.rabbitmq import RabbitMQNode
from tests.torture.acts import ACTS, NEED_DISK, Act, NotWell, Scene, terminate
from tests.torture.load import PLATFORMS, put_under_load, served
from tests.torture.victim import Disk, disk_at, end_servers

SETTINGS = (
    "world.creators=200", "world.history_days=30", "world.calls_per_s=400", "sinker.batch_age_s=1",
    "sources.graphapi.calls=20", "sources.ytapi.calls=20",
    *UNRATED, "scraper.lease_s=8", "scraper.backoff_s=0.5", "scraper.backoff_s_max=5",
)  # fmt: skip
URL = "GCC_EXCHANGE__URL"
WELL_S = 180.0
DONE_S = 300.0
LOOK_S = 0.25
LAG_S_MAX = 20.0
COUNTS_AGE_S_MAX = 5.0
QUIET_S = (0.2, 4.0)  # between acts, under load
CHECK_EVERY = 6
LOG_LINES = 40
REPAIRED = frozenset({"stores/postgres"})  # killed itself: to be restarted is its remedy
AT_WORK = frozenset({"running", "finished"})
AT_REST = "waiting"  # of what runs on a schedule; of all else it means: for something that is gone


@dataclass(slots=True)
class Report:
    """`acts` counts by name; `missing`, `doubled` and `dead_lettered` are the worst that any check saw."""

    seconds: float
    seed: int
    acts: Counter[str] = field(default_factory=Counter)
    checks: int = 0
    missing: int = 0
    doubled: int = 0
    dead_lettered: int = 0
    failures: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        seconds = self.seconds if math.isfinite(self.seconds) else None
        return asdict(self) | {"seconds": seconds, "acts": dict(self.acts)}


class Torture:
    def __init__(
        self,
        data: Path,
        disk: Disk | None,
        broker: RabbitMQNode | None,
        seconds: float,
        seed: int,
        names: Sequence[str],
    ) -> None:
        """`seconds` inf: each of `names` once, in this order."""
        self.report = Report(seconds, seed)
        self._data = data
        self._disk = disk
        self._broker = broker
        self._rng = random.Random(seed)
        self._names = list(names)
        self._once = seconds == math.inf
        self._deck = self._names[::-1] if self._once else []
        self._began_at = trio.current_time()
        self._over_at = self._began_at + seconds
        self._last_status: Status = {}

    async def run(self) -> None:
        """Lives until the time is over, then the end. What is not well stands in the report."""
        try:
            while not self._over():
                await self._life()
            await self._finish()
        except (NotWell, AssertionError) as error:  # of tests.process: not ready, no answer
            self._fail(str(error))

    def _over(self) -> bool:
        return trio.current_time() >= self._over_at or (self._once and not self._deck)

    async def _life(self) -> None:
        """One process, from ready to its end: by an act, by a check, or because the time is over."""
        async with platform(self._data, *SETTINGS) as running:
            scene = Scene(running, self._data, self._disk, self._broker, SETTINGS, self._rng)
            creators = {name: (await running.world(f"/truth/{name}?limit=100"))["data"] for name in PLATFORMS}
            handles = {name: creators[name][0]["handle"] for name in PLATFORMS}
            self._say("", "started", await self._well(scene, handles))
            failure: NotWell | None = None
            async with trio.open_nursery() as nursery:
                nursery.start_soon(put_under_load, running, creators)
                try:
                    while not scene.ended and not self._over():
                        await trio.sleep(self._rng.uniform(*QUIET_S))
                        await self._act(scene, handles)
                except NotWell as error:  # raised out here, the nursery does not wrap it
                    failure = error
                nursery.cancel_scope.cancel()
            if failure:
                raise failure

    async def _act(self, scene: Scene, handles: dict[str, str]) -> None:
        if self.report.acts.total() % CHECK_EVERY == CHECK_EVERY - 1:
            if self._once and self._deck[-1:] == ["terminate"]:  # it is its turn anyway
                self._deck.pop()
            await self._do(scene, "terminate", terminate)
        else:
            if not self._deck:
                self._deck = self._rng.sample(self._names, len(self._names))
            name = self._deck.pop()
            await self._do(scene, name, ACTS[name])
        if not scene.ended:
            self._say("", "well", await self._well(scene, handles))
        elif self.report.acts.total() % CHECK_EVERY == 0:
            await self._check()

    async def _do(self, scene: Scene, name: str, act: Act) -> None:
        self.report.acts[name] += 1
        self._say(name, "...")
        self._say(name, await act(scene))

    async def _well(self, scene: Scene, handles: dict[str, str]) -> str:
        """Wait until it is; how long that took."""
        began_at = trio.current_time()
        ailing = ["it was not asked"]
        with trio.move_on_after(WELL_S):
            while ailing:
                if scene.ended:
                    raise NotWell(f"the process ended by itself with code {scene.running.process.returncode}")
                try:
                    self._last_status = status = await scene.running.status()
                except httpx.TransportError as error:
                    ailing = [f"/api/status: {error!r}"]
                    continue
                refuse_restarts(status)
                if not (ailing := ailments(status)):
                    ailing = [f"no refresh of {handles}"]
                    if all([await served(scene.running, name, handle) for name, handle in handles.items()]):
                        ailing = []
                await trio.sleep(LOOK_S if ailing else 0)
            return f"after {trio.current_time() - began_at:.1f} s"
        raise NotWell(f"not well {WELL_S:g} s after: {'; '.join(ailing)}")

    async def _finish(self) -> None:
        """Let it do all that was asked for, drain it, and count."""
        async with platform(self._data, *SETTINGS) as running:
            scene = Scene(running, self._data, self._disk, self._broker, SETTINGS, self._rng)
            began_at = trio.current_time()
            status: Status = {}
            with trio.move_on_after(DONE_S):
                while not idle(status):
                    self._last_status = status = await running.status()
                    await trio.sleep(LOOK_S)
            if not idle(status):
                raise NotWell(f"not done after {DONE_S:g} s: jobs {status['jobs']}, lag {status['stored_lag_s']} s")
            refuse_restarts(status)
            self._say("", f"all done after {trio.current_time() - began_at:.1f} s, jobs {status['jobs']}")
            await self._do(scene, "terminate", terminate)
        report = await self._check()
        if report["waits_for"] or report["events_stored"] != report["events_emitted"]:
            raise NotWell(f"not all is stored: {report}")

    async def _check(self) -> dict[str, Any]:
        code, found, stderr = await verb("check", self._data, settings=SETTINGS)
        if found is None:
            raise NotWell(f"check: exit {code}: {stderr[-500:]}")
        self.report.checks += 1
        for name in ("missing", "doubled", "dead_lettered"):
            setattr(self.report, name, max(getattr(self.report, name), found[name]))
        self._say("check", str(found))
        wrong = found["missing"] or found["doubled"] or found["dead_lettered"]
        if wrong or (code != 0 and not found["waits_for"]):  # a broker's queues keep what a drain left there
            raise NotWell(f"check: exit {code}: {found}")
        return dict(found)

    def _fail(self, text: str) -> None:
        self.report.failures.append(text.partition("\n")[0])
        log, words = (end_of(self._data / name) for name in ("test.log", "postgres.log"))
        for line in [*words, "", *log, "", *shown(self._last_status), "", text]:
            print(line)

    def _say(self, what: str, *words: str) -> None:
        print(f"{trio.current_time() - self._began_at:7.1f} s  {what:<18}  {' '.join(words)}", flush=True)


def ailments(status: Status) -> list[str]:
    """What is not well, for people; empty when all is."""
    found = [
        f"{actor['name']} is {actor['state']}: {actor['last_error']}"
        for actor in status["actors"]
        if actor["state"] not in AT_WORK and not (actor["state"] == AT_REST and actor["name"].startswith("analytics/"))
    ]
    if status["state"] != "ready":
        found.append(f"it is {status['state']}")
    if status["counts_error"]:
        found.append(f"counts: {status['counts_error']}")
    if status["counts_age_s"] is None or status["counts_age_s"] > COUNTS_AGE_S_MAX:
        found.append(f"counts are {status['counts_age_s']} s old")
    elif (status["stored_lag_s"] or 0) > LAG_S_MAX:  # None: without the queues, which is said already
        found.append(f"events wait for {status['stored_lag_s']} s")
    return found


def refuse_restarts(status: Status) -> None:
    """NotWell when a part was restarted in this life: only a bug does that."""
    for actor in status["actors"]:
        if actor["restarts"] and actor["name"] not in REPAIRED:
            raise NotWell(f"{actor['name']} was restarted {actor['restarts']} times: {actor['last_error']}")


def end_of(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.exists() else []


def shown(status: Status) -> list[str]:
    """The status as last seen, for people."""
    lines = [f"{name}: {value}" for name, value in status.items() if name not in ("actors", "channels", "urls")]
    for actor in status.get("actors", []):
        lines.append("  " + " ".join(f"{name}={value}" for name, value in actor.items() if value not in (None, 0, 0.0)))
    for channel in status.get("channels", []):
        lines.append("  " + " ".join(f"{name}={value}" for name, value in channel.items()))
    return lines


def idle(status: Status) -> bool:
    unfinished = {"PENDING", "PROCESSING"} & set(status.get("jobs", {}))
    return bool(status) and not unfinished and status["stored_lag_s"] == 0 and not ailments(status)


@asynccontextmanager
async def broker() -> AsyncIterator[RabbitMQNode]:
    """A private one, for the platforms that are started in the block. Raises Missing without RabbitMQ."""
    node = RabbitMQNode()
    try:
        await node.start()
        os.environ[URL] = node.vhosts.add()
        yield node
    finally:
        os.environ.pop(URL, None)
        node.close()


async def torture(seconds: float, seed: int, names: Sequence[str], node: RabbitMQNode | None = None) -> Report:
    """On a folder of its own, and on the `broker()` given. Whatever happens, no server and no mount is left."""
    root = Path(tempfile.mkdtemp(prefix="gcc-torture-"))
    os.chmod(root, 0o755)  # the server's user passes through
    data = root / "data"
    os.mkdir(data)
    try:
        with disk_at(data) as disk:
            if isinstance(disk, str):
                print(f"no full disk: {disk}", flush=True)
                names = [name for name in names if name not in NEED_DISK]
            run = Torture(data, disk if isinstance(disk, Disk) else None, node, seconds, seed, names)
            try:
                await run.run()
            finally:
                run.report.failures += [f"left behind: {title}" for title in await end_servers(data)]
                keep_logs(data, root, run.report)
    finally:
        shutil.rmtree(data, ignore_errors=True)
        if not os.listdir(root):
            os.rmdir(root)
    return run.report


def keep_logs(data: Path, root: Path, report: Report) -> None:
    """Of a torture that failed."""
    if report.failures:
        for log in data.glob("*.log"):
            shutil.copy(log, root)
        print(f"logs are kept in {root}")

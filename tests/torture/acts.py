"""What is done to the platform. Each act draws its own details from the seed and says what it did.

An act that ends the process returns when the process has ended; every other one leaves it alive, and
itself heals what it broke: stopped processes go on, the disk has room again.
"""

import random
import signal
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import trio

from gcc.cli.client import REGISTRY
from gcc.stores.embedded_postgres import EmbeddedPostgres
from tests.process import PlatformProcess, command
from tests.services.rabbitmq import RabbitMQNode
from tests.torture.abuse import abuse_all
from tests.torture.victim import Disk, ask, backends, postmaster, tell, workers_of

GRACE_S = 20.0
EXIT_S = 60.0  # a bound, generous: the machine may be busy; how long it took is told
STOP_S_MAX = 20.0
FULL_S_MAX = 15.0
FAULT_S_MAX = 10.0
ASKED, KILLS, SCORED_S = 20_000, 4, 120.0  # followers; fewer kills than refuse one
BROKER_S_MAX = 30.0  # longer than two heartbeats
SOURCES = ("graphapi", "ytapi")
KINDS = ("429", "500", "timeout", "garbage")  # not "token": a dead token retires for good


class NotWell(Exception):
    """The platform did not do what it promises; the text says what was seen."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One life of the platform."""

    running: PlatformProcess
    data: Path
    disk: Disk | None
    broker: RabbitMQNode | None
    settings: tuple[str, ...]
    rng: random.Random

    @property
    def ended(self) -> bool:
        return self.running.process.returncode is not None

    async def exit_code(self) -> int:
        with trio.move_on_after(EXIT_S):
            return await self.running.process.wait()
        raise NotWell(f"it did not exit within {EXIT_S:g} s")


Act = Callable[[Scene], Awaitable[str]]


async def kill(scene: Scene) -> str:
    """SIGKILL of the supervisor."""
    scene.running.process.kill()
    await scene.exit_code()
    return ""


async def kill_starting(scene: Scene) -> str:
    """The same, and once more while the next one starts."""
    await kill(scene)
    after_s = scene.rng.uniform(0.5, 4)
    await _start_and_send(scene, after_s, signal.SIGKILL)
    return f"again {after_s:.1f} s after the start"


async def terminate_starting(scene: Scene) -> str:
    """SIGTERM while it starts: it stops in order, or has not yet begun to listen."""
    await kill(scene)
    after_s = scene.rng.uniform(0.5, 4)
    code = await _start_and_send(scene, after_s, signal.SIGTERM)
    if code not in (0, -signal.SIGTERM):
        raise NotWell(f"SIGTERM {after_s:.1f} s after the start: exit {code}")
    return f"{after_s:.1f} s after the start: exit {code}"


async def terminate(scene: Scene) -> str:
    """SIGTERM under load: exit 0 within grace."""
    began = trio.current_time()
    code = await _end(scene, signal.SIGTERM)
    took_s = trio.current_time() - began
    if code != 0:
        raise NotWell(f"SIGTERM: exit {code} after {took_s:.1f} s")
    if took_s > GRACE_S:
        raise NotWell(f"SIGTERM: exit 0, but after {took_s:.1f} s, grace is {GRACE_S:g} s")
    return f"exit 0 after {took_s:.1f} s"


async def terminate_twice(scene: Scene) -> str:
    """A second signal during the drain cancels at once."""
    scene.running.process.send_signal(signal.SIGTERM)
    after_s = scene.rng.uniform(0.05, 0.5)
    with trio.move_on_after(after_s):
        await scene.running.process.wait()
    if scene.ended:
        return f"drained within {after_s:.2f} s"
    began = trio.current_time()
    code = await _end(scene, signal.SIGTERM)
    took_s = trio.current_time() - began
    if code not in (130, 0):  # 0: by then it had just finished
        raise NotWell(f"second SIGTERM after {after_s:.2f} s: exit {code} after {took_s:.1f} s")
    return f"second after {after_s:.2f} s, exit {code} after {took_s:.1f} s"


async def stop(scene: Scene) -> str:
    """SIGSTOP of the supervisor; leases run out meanwhile, all timers fire after."""
    return await _stopped(scene, [scene.running.process.pid])


async def stop_postmaster(scene: Scene) -> str:
    """Connections that are open go on, no new one is accepted."""
    return await _stopped(scene, [pid for pid in [postmaster(scene.data)] if pid])


async def stop_backends(scene: Scene) -> str:
    """Every query hangs; new connections work."""
    return await _stopped(scene, backends(scene.data))


async def kill_postmaster(scene: Scene) -> str:
    pid = postmaster(scene.data)
    return "SIGKILL" if pid and tell(pid, signal.SIGKILL) else "there was none"


async def shut_postmaster(scene: Scene) -> str:
    """Somebody shuts the server down in order: smart, fast or immediate."""
    number = scene.rng.choice((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT))
    pid = postmaster(scene.data)
    return number.name if pid and tell(pid, number) else "there was none"


async def kill_backend(scene: Scene) -> str:
    """The postmaster ends all the others and recovers."""
    return _one_backend(scene, signal.SIGKILL)


async def end_backend(scene: Scene) -> str:
    """One connection is lost."""
    return _one_backend(scene, signal.SIGTERM)


async def fault(scene: Scene) -> str:
    """An outside API fails for a while."""
    wish = {
        "source": scene.rng.choice(SOURCES),
        "kind": scene.rng.choice(KINDS),
        "rate": round(scene.rng.uniform(0.2, 1), 2),
        "seconds": round(scene.rng.uniform(1, FAULT_S_MAX), 1),
    }
    with suppress(httpx.TransportError):
        await scene.running.world("/faults", json=wish)
    await trio.sleep(wish["seconds"])
    return "{source} {kind} rate {rate} for {seconds} s".format(**wish)


async def abuse(scene: Scene) -> str:
    """Every kind of client that nobody wishes for, on every port at once."""
    chance = random.Random(scene.rng.random())  # its clients draw in no order that a seed could give
    known = (await scene.running.world("/truth/INSTAGRAM?limit=100"))["data"]
    said, troubles = await abuse_all(scene.running, tuple(creator["handle"] for creator in known), chance)
    if troubles:
        raise NotWell(f"{'; '.join(troubles)} ({said})")
    return said


async def full_disk(scene: Scene) -> str:
    assert scene.disk
    seconds = scene.rng.uniform(0, FULL_S_MAX)
    async with scene.disk.full():
        await trio.sleep(seconds)
    return f"for {seconds:.1f} s"


async def full_disk_postmaster(scene: Scene) -> str:
    """On a full disk the server cannot recover: it is tried until it can."""
    assert scene.disk
    seconds = scene.rng.uniform(0, 2 * FULL_S_MAX)
    async with scene.disk.full():
        said = await kill_postmaster(scene)
        await trio.sleep(seconds)
    return f"for {seconds:.1f} s, {said}"


async def full_disk_kill(scene: Scene) -> str:
    assert scene.disk
    async with scene.disk.full():
        await trio.sleep(scene.rng.uniform(0, 2))
        return await kill(scene)


async def full_disk_terminate(scene: Scene) -> str:
    """What cannot be moved on stays where it is: exit 0, at the latest a little after grace."""
    assert scene.disk
    async with scene.disk.full():
        await trio.sleep(scene.rng.uniform(0, 2))
        began = trio.current_time()
        code = await _end(scene, signal.SIGTERM)
    took_s = trio.current_time() - began
    if code != 0:
        raise NotWell(f"SIGTERM on a full disk: exit {code} after {took_s:.1f} s")
    return f"exit 0 after {took_s:.1f} s"


async def kill_broker(scene: Scene) -> str:
    """SIGKILL of RabbitMQ, and its restart."""
    assert scene.broker
    seconds = scene.rng.uniform(0, BROKER_S_MAX / 2)
    await scene.broker.settle()
    scene.broker.kill()
    await trio.sleep(seconds)
    await scene.broker.start()
    return f"for {seconds:.1f} s and its start"


async def pause_broker(scene: Scene) -> str:
    """SIGSTOP of RabbitMQ: connections stay open, nothing is answered."""
    assert scene.broker
    seconds = scene.rng.uniform(1, BROKER_S_MAX)
    scene.broker.pause()
    try:
        await trio.sleep(seconds)
    finally:
        scene.broker.resume()
    return f"for {seconds:.1f} s"


async def starve_broker(scene: Scene) -> str:
    """A memory alarm: RabbitMQ blocks those who publish."""
    assert scene.broker
    seconds = scene.rng.uniform(1, BROKER_S_MAX)
    await scene.broker.set_memory_alarm(True)
    await trio.sleep(seconds)
    await scene.broker.set_memory_alarm(False)
    return f"for {seconds:.1f} s"


async def kill_workers(scene: Scene) -> str:
    """SIGKILL of processes that score, while they do: every follower that was asked about is scored all the same."""
    creator, before = f"tortured {scene.rng.getrandbits(64):x}", await _scored(scene)
    conninfo = EmbeddedPostgres(scene.data, fsync=False).conninfo
    await trio.to_thread.run_sync(ask, conninfo, creator, ASKED)
    killed = 0
    with trio.move_on_after(SCORED_S):
        while await _scored(scene) < before + ASKED:
            if killed < KILLS and (pids := workers_of(scene.running.process.pid)):
                killed += tell(scene.rng.choice(pids), signal.SIGKILL)
            await trio.sleep(scene.rng.uniform(0.05, 0.5))
        return f"{killed} of those that scored {ASKED}"
    raise NotWell(f"{await _scored(scene) - before} of {ASKED} followers were scored within {SCORED_S:g} s")


async def _scored(scene: Scene) -> int:
    """Followers with a score, as the dashboard tells."""
    running = scene.running.running
    answer = await scene.running.client.get(running.url + "/api/scorer", headers=running.headers)
    told = answer.json()["data"]
    if told is None or told["stored"] is None:
        return 0  # the store is on its way back from another act
    return sum(version["followers"] - version["refused"] for version in told["stored"]["versions"])


NEED_BROKER = frozenset({"kill_broker", "pause_broker", "starve_broker"})
NEED_DISK = frozenset({"full_disk", "full_disk_postmaster", "full_disk_kill", "full_disk_terminate"})
ACTS: dict[str, Act] = {
    act.__name__: act
    for act in (
        kill, kill_starting, terminate, terminate_twice, terminate_starting, stop, stop_postmaster, stop_backends,
        kill_postmaster, shut_postmaster, kill_backend, end_backend, fault, abuse, kill_workers,
        full_disk, full_disk_postmaster, full_disk_kill, full_disk_terminate,
        kill_broker, pause_broker, starve_broker,
    )
}  # fmt: skip


async def _end(scene: Scene, number: signal.Signals) -> int:
    scene.running.process.send_signal(number)
    return await scene.exit_code()


async def _stopped(scene: Scene, pids: list[int]) -> str:
    seconds = scene.rng.uniform(1, STOP_S_MAX)
    try:
        for pid in pids:
            tell(pid, signal.SIGSTOP)
        await trio.sleep(seconds)
    finally:
        for pid in pids:
            tell(pid, signal.SIGCONT)
    return f"{len(pids)} for {seconds:.1f} s" if len(pids) != 1 else f"for {seconds:.1f} s"


def _one_backend(scene: Scene, number: signal.Signals) -> str:
    pids = backends(scene.data)
    chosen = scene.rng.choice(pids or [-1])
    return f"one of {len(pids)}" if pids and tell(chosen, number) else "there was none"


async def _start_and_send(scene: Scene, after_s: float, number: signal.Signals) -> int:
    """A process of its own, not waited to be ready; its exit code."""
    (scene.data / REGISTRY).unlink(missing_ok=True)
    with scene.running.log.open("ab") as log:
        process = await trio.lowlevel.open_process(
            command("run", scene.data, settings=scene.settings), stdout=subprocess.DEVNULL, stderr=log
        )
    try:
        await trio.sleep(after_s)
        process.send_signal(number)
        with trio.move_on_after(EXIT_S):
            return await process.wait()
        raise NotWell(f"{number.name} {after_s:.1f} s after the start: it did not exit within {EXIT_S:g} s")
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()

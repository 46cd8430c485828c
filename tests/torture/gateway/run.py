"""One torture of the gateway: two of them under load, kills drawn from a seed, and the ledger's judgement.

Each round kills Redis, PostgreSQL and a gateway, in any order, and two of them at once. After each kill all must become
well again by itself. At the end every caller's last call is answered, what was written is asked for again, and the
database is counted against the ledger.
"""

import datetime as dt
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import trio

from gcc.stores.postgres import Pool
from tests.integration.api_serving import add_instagram, insert, mark_synced
from tests.integration.identity_people import AUTH, IDENTITY, add_partner, add_person, execute
from tests.torture.acts import NotWell
from tests.torture.gateway.callers import Callers
from tests.torture.gateway.crew import TIMEOUT_S, Person
from tests.torture.gateway.ledger import WINDOW_S, Ledger
from tests.torture.gateway.victims import FREE_HEAVY, FREE_READS, Victims, victims

PARTNERS, FREE = (7, 8, 9), 10
OTHERS = 3  # a partner, one for each kind of end
CREATORS = 40
QUIET_S = (1.0, 5.0)
DOWN_S_MAX = 5.0
WELL_S = 120.0
OVER_S = 180.0
CALM_EVERY, CALM_S = 4, 130.0  # rounds; so long that a window of calls is Redis's alone
LOOK_S = 0.25
ASKED_AGAIN = 300
KINDS = ("redis", "postgres", "gateway")
BOTH = (("redis", "postgres"), ("postgres", "gateway"), ("gateway", "redis"), KINDS)

_OF_ACTIVITY = "select partner_id, thing_id, count(*) from activity_tracker where activity_type = '{}' group by 1, 2"
EFFECTS = {
    "account": "select partner_id, name, count(*) from account where starts_with(name, 'Account ') group by 1, 2",
    "invitation": "select partner_id, email, count(*) from invitation group by 1, 2",
    "api key": "select key.partner_id, name, count(*) - count(rotation.id) from api_key as key"
    " left join activity_tracker as rotation"
    " on rotation.activity_type = 'API_KEY_ROTATED' and rotation.thing_id = key.id::text group by 1, 2",
    "rotation": _OF_ACTIVITY.format("API_KEY_ROTATED"),
    "webhook": "select partner_id, url, count(*) from webhook_endpoint group by 1, 2",
    "webhook test": _OF_ACTIVITY.format("WEBHOOK_TESTED"),
    "job": "select partner_id, params->>'limit', count(*) from api_job group by 1, 2",
}
"""(partner, mark, how often) of every effect of a kind."""
ACTIVITIES = {
    "account": "ACCOUNT_CREATED", "invitation": "USER_INVITED", "api key": "API_KEY_CREATED",
    "webhook": "WEBHOOK_CREATED", "job": "JOB_CREATED",
}  # fmt: skip
"""What is noted of an effect, in its transaction, by its id."""
NOTED = "select id::text from activity_tracker"
TOLD = "select convert_from(body, 'UTF8')::jsonb ->> 'event_id' from outbox where routing_key = 'activity_tracker_rk'"
"""The event of each note, which nobody relays here: it has its id."""

VIEWS = "select partner_id, usage_count from partner_usage where module = 'PROFILE_VIEW'"


@dataclass
class Report:
    seconds: float
    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    counts: dict[str, int] = field(default_factory=dict)
    longest_well_s: float = 0.0
    memory_mb: int = 0
    failures: list[str] = field(default_factory=list)


class Torture:
    def __init__(self, folder: Path, seconds: float, seed: int) -> None:
        """Rounds until `seconds` are over; one at least."""
        self.report = Report(seconds, seed)
        self.ledger = Ledger()
        self._folder = folder
        self._rng = random.Random(seed)
        self._began_at = trio.current_time()

    async def run(self) -> None:
        try:
            async with victims(self._folder) as up:
                pool = Pool(up.postgres.conninfo, 2, name="torture")
                limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)  # no connection is shared
                async with httpx.AsyncClient(timeout=TIMEOUT_S, limits=limits, trust_env=False) as client:
                    crew = Callers(up.gateways, self.ledger, client)
                    await furnish(crew, pool)
                    await self._under_load(crew, up)
                    self._say("asked again")
                    await self._asked_again(crew)
                await self._count(pool)
                await pool.aclose()
                for gateway in up.gateways:
                    await gateway.look()
                    self.report.memory_mb = max(self.report.memory_mb, gateway.memory_mb)
                self._hold_rates(up)
                self._read_logs(up)
        except* (NotWell, AssertionError) as group:
            self.report.failures += [str(error)[-2000:] for error in leaves(group)]
        self.report.failures += self.ledger.complaints
        self.report.counts = dict(sorted(self.ledger.counts.items()))

    async def _under_load(self, crew: Callers, up: Victims) -> None:
        async with trio.open_nursery() as nursery:
            for act in crew.loops():
                nursery.start_soon(crew.looped, act)
            await self._well(crew, up)
            rounds = 0
            while rounds == 0 or trio.current_time() < self._began_at + self.report.seconds:
                await self._round(crew, up)
                rounds += 1
                if rounds % CALM_EVERY == 0 and trio.current_time() + CALM_S < self._began_at + self.report.seconds:
                    await trio.sleep(CALM_S)
            crew.over.set()
            nursery.cancel_scope.deadline = trio.current_time() + OVER_S
        if nursery.cancel_scope.cancelled_caught:
            raise NotWell(f"{OVER_S:g} s after the last kill some calls have no answer")

    async def _round(self, crew: Callers, up: Victims) -> None:
        acts = [(kind,) for kind in self._rng.sample(KINDS, len(KINDS))]
        acts.insert(self._rng.randrange(len(acts) + 1), self._rng.choice(BOTH))
        for act in acts:
            await trio.sleep(self._rng.uniform(*QUIET_S))
            await self._act(act, crew, up)
            if self.ledger.complaints:
                raise NotWell(f"after {' and '.join(act)}")

    async def _act(self, kinds: tuple[str, ...], crew: Callers, up: Victims) -> None:
        killed: list[Any] = []
        for kind in kinds:
            each: Any = {"redis": up.redis, "postgres": up.postgres, "gateway": self._rng.choice(up.gateways)}[kind]
            await each.kill()
            killed.append(each)
            self.report.kills[kind] += 1
            await trio.sleep(self._rng.uniform(0, 0.3))
        down_s = self._rng.uniform(0.2, DOWN_S_MAX)
        await trio.sleep(down_s)
        async with trio.open_nursery() as nursery:
            for each in killed:
                nursery.start_soon(each.start)
        took_s = await self._well(crew, up)
        self._say(f"{' and '.join(kinds)} for {down_s:.1f} s, well {took_s:.1f} s after its start")

    async def _well(self, crew: Callers, up: Victims) -> float:
        """Until each gateway reads and writes."""
        began_at = trio.current_time()
        person = crew.owners[0]
        with trio.move_on_after(WELL_S):
            for gateway in up.gateways:
                for ask in (
                    partial(crew.as_person, person, "GET", f"{AUTH}/me", gateway=gateway),
                    partial(crew.ask, "POST", f"{IDENTITY}/device/init", body={"client_id": "1"}, gateway=gateway),
                ):  # fmt: skip
                    await crew.settled(ask)
                await gateway.look()
            took_s = trio.current_time() - began_at
            self.report.longest_well_s = round(max(self.report.longest_well_s, took_s), 1)
            return took_s
        raise NotWell(f"a gateway answers nobody {WELL_S:g} s after what it needs is there")

    async def _asked_again(self, crew: Callers) -> None:
        """Everything is up: of what was written, and of who ended or did not, the last and some others."""
        done = [write for write in self.ledger.writes if write.first is not None]
        for write in some(self._rng, done):
            await crew.settled(write.call)
        now = trio.current_time()
        for who in some(self._rng, [each for each in self.ledger.credentials if each.token and now < each.until]):
            for gateway in crew.gateways:
                await crew.as_one(who, "GET", f"{AUTH}/me", gateway=gateway, fine=("FORBIDDEN", "RATE_LIMITED"))

    async def _count(self, pool: Pool) -> None:
        """The database has each effect once, tells of it once, and each end."""
        for kind, query in EFFECTS.items():
            self.ledger.found(kind, {(partner, mark): count for partner, mark, count in await execute(pool, query)})
        for kind, activity in ACTIVITIES.items():
            noted = {(partner, id): n for partner, id, n in await execute(pool, _OF_ACTIVITY.format(activity))}
            for write in self.ledger.writes:
                if write.kind == kind and write.first is not None:
                    self.ledger.noted(write, noted.get((write.partner_id, write.id), 0))
        if sorted(await execute(pool, NOTED)) != sorted(await execute(pool, TOLD)):
            self.ledger.complain("the outbox does not have one event of each activity")
        self.ledger.used(dict(await execute(pool, VIEWS)))
        query = "select id::text from {} where revoked_at is null"
        alive = {id for table in ("api_session", "api_key") for (id,) in await execute(pool, query.format(table))}
        for who in self.ledger.credentials:
            self.ledger.lives(who, who.id in alive)

    def _hold_rates(self, up: Victims) -> None:
        def reads(began: float, ended: float) -> int:
            """Twice as many within the minute in which Redis is lost or comes back; each new life of a gateway that
            stands alone grants its quarter."""
            forgot = any(lost <= ended and began <= back + WINDOW_S + 2 for lost, back in up.redis.lost)
            if not forgot:
                return FREE_READS
            lives = sum(began - WINDOW_S <= died <= ended for gateway in up.gateways for died in gateway.died)
            return 2 * FREE_READS + lives * FREE_READS // 4

        limits: dict[str, Callable[[float, float], int]] = {"read": reads, "heavy": lambda began, ended: FREE_HEAVY}
        for window, calls in limits.items():
            self.ledger.hold_rate(window, calls)
            self.ledger.counts[f"granted {window}"] = len(self.ledger.granted.get(window, []))

    def _read_logs(self, up: Victims) -> None:
        for gateway in up.gateways:
            lines = gateway.log.read_text(errors="replace").splitlines()
            for number, line in enumerate(lines):
                if "Traceback" in line:
                    self.ledger.complain(
                        f"{gateway.folder.name} logged: {' | '.join(lines[number : number + 30])[:3000]}"
                    )
                    break

    def _say(self, text: str) -> None:
        print(f"{trio.current_time() - self._began_at:7.1f} s  {text}", flush=True)


async def furnish(crew: Callers, pool: Pool) -> None:
    """The partners and their people, and something to read."""
    crew.owners, crew.others, crew.handles = [], [], [f"creator_{number}" for number in range(CREATORS)]
    for partner_id in (*PARTNERS, FREE):
        await add_partner(pool, partner_id, None if partner_id == FREE else "SAAS")
        owner = Person(await add_person(pool, f"owner@partner{partner_id}.example", partner_id=partner_id), "OWNER")
        if partner_id == FREE:
            crew.free = owner
            continue
        crew.owners.append(owner)
        for number in range(OTHERS):
            email = f"other{number}@partner{partner_id}.example"
            crew.others.append(Person(await add_person(pool, email, partner_id=partner_id, role="EDITOR"), "EDITOR"))
    now = dt.datetime.now(dt.UTC)
    for handle in crew.handles:
        await add_instagram(pool, handle, scraped_at=now)
    rows = [
        {"platform": "INSTAGRAM", "profile_id": f"ig-{handle}", "month": now.date().replace(day=1), "handle": handle,
         "followers": 10_000 - number, "followers_rank": number + 1}
        for number, handle in enumerate(crew.handles)
    ]  # fmt: skip
    await insert(pool, "leaderboard", rows)
    await mark_synced(pool, "leaderboard", as_of=now)


def some(rng: random.Random, things: list[Any]) -> list[Any]:
    """The last ones, and as many of all."""
    half = ASKED_AGAIN // 2
    return [*things[-half:], *rng.sample(things, min(half, len(things)))]


def leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


async def torture(seconds: float, seed: int) -> Report:
    """In a folder of its own; the logs of one that failed are kept."""
    folder = Path(tempfile.mkdtemp(prefix="gcc-torture-gateway-"))
    os.chmod(folder, 0o755)  # the server's user passes through
    run = Torture(folder, seconds, seed)
    try:
        await run.run()
    finally:
        if run.report.failures:
            print(f"logs are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return run.report

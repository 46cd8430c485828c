"""What schedules do beside models, syncs and producers, by the names of the timetable.

A chore is a call without arguments, which answers what it did. Raises Transient where a store is away, LeaseLost where
another process leads.
"""

import datetime as dt
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from gcc import statements
from gcc.actors.leader import Leader
from gcc.channels.jobs import Jobs
from gcc.channels.letters import LetterFilter, Letters
from gcc.channels.message import Frame, frames
from gcc.channels.objects import Objects
from gcc.clock import Clock
from gcc.pipelines.events.routes import CREDENTIALS_VALIDATE
from gcc.pipelines.scraping.upkeep import PROBED
from gcc.stores import outbox
from gcc.stores.leadership import as_leader
from gcc.stores.postgres import Pool

STAGED = "data-pipeline/tmp/"
STAGED_KEPT = dt.timedelta(days=1)
DELETED_MAX = 10_000

_CREDENTIALS = statements.load("credentials")

Detail = Mapping[str, Any]


class Chores:
    def __init__(
        self, pool: Pool, jobs: Jobs, letters: Letters, objects: Objects, leader: Leader, clock: Clock
    ) -> None:
        self._pool = pool
        self._jobs = jobs
        self._letters = letters
        self._objects = objects
        self._leader = leader
        self._clock = clock

    def by_name(self) -> Mapping[str, Callable[[], Awaitable[Detail]]]:
        return {
            "rescue_stuck_tasks": self.rescue,
            "expire_tasks": self.expire,
            "credential_check": self.check_credentials,
            "dlq_report": self.report_letters,
            "object_cleanup": self.clean_objects,
        }

    async def rescue(self) -> Detail:
        """Also where no scraper runs that would do it each half minute."""
        return {"rescued": await self._jobs.rescue()}

    async def expire(self) -> Detail:
        return {"expired": await self._jobs.expire()}

    async def check_credentials(self) -> Detail:
        """Ask for a probe of each credential that nobody has probed for long, the longest first."""
        async with as_leader(self._pool, self._leader) as connection:
            cursor = await connection.execute(_CREDENTIALS["unprobed"], {"sources": list(PROBED)})
            asked = await cursor.fetchall()
            told = (msgspec.json.encode({"source": source, "handle": handle}) for source, handle in asked)
            packed = frames(CREDENTIALS_VALIDATE, told, self._clock.new_id)
            await outbox.put(connection, [Frame(f.id, f.route, f.events, f.body, counted=0) for f in packed])
        return {"asked": len(asked)}

    async def report_letters(self) -> Detail:
        """Dead letters that wait, and those of the last day, by queue and reason."""
        day = await self._letters.waiting(LetterFilter(since=self._clock.now() - dt.timedelta(days=1)))
        waiting = await self._letters.waiting(LetterFilter())
        groups = [
            {"queue": group.queue, "reason": group.reason, "letters": group.letters, "events": group.events}
            for group in day.groups[:50]
        ]
        return {"waiting": waiting.letters, "of_the_last_day": day.letters, "groups": groups}

    async def clean_objects(self) -> Detail:
        """What a sync staged and could not remove, a day later: the key tells when it was made."""
        deleted, until = 0, self._clock.now() - STAGED_KEPT
        for key in await self._objects.keys(STAGED):
            if deleted < DELETED_MAX and (at := _made_at(key)) is not None and at < until:
                await self._objects.delete(key)
                deleted += 1
        return {"deleted": deleted}


def _made_at(key: str) -> dt.datetime | None:
    """Of TABLE-RUN.ndjson, whose run is a UUIDv7; None: it is another's."""
    try:
        run = uuid.UUID(key.removesuffix(".ndjson")[-36:])
    except ValueError:
        return None
    return dt.datetime.fromtimestamp((run.int >> 80) / 1000, dt.UTC) if run.version == 7 else None

"""One attempt of a flow: retrieve through the chain, parse, and turn it all into a value.

In: a claimed job. Out: a Crawl (state and events to commit), a Failure (with what was tried), or a
Deferred (a source that is away, a limit or the want of a credential stood in the way; it costs the job nothing).
A flow that nobody may serve fails with a code of its own: SOURCE_NOT_ENABLED, NOT_VISIBLE or NEEDS_OWNER.
"""

import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import pydantic
import structlog

from gcc.actors.scraper import Deferred, Retries
from gcc.channels.jobs import URGENT, Crawl, Failure, Job, NewJob
from gcc.channels.message import Frame
from gcc.channels.objects import Objects
from gcc.clock import Clock
from gcc.errors import Permanent, Transient
from gcc.pipelines.events.audit import Audit, unaudited
from gcc.pipelines.events.emit import trace_frames
from gcc.pipelines.scraping.erased import spared
from gcc.pipelines.scraping.flow import Flow, Retrieve, wrong
from gcc.pipelines.scraping.table import Apis
from gcc.pipelines.scraping.yields import EXPORT, Yield, csv_of
from gcc.sources.breakers import SourceClosed, wait_s
from gcc.sources.chain import Visit, first_of
from gcc.sources.credentials import NoCredential
from gcc.sources.limits import LimitRefused
from gcc.sources.snapshot import ProfileSnapshot, Sheet, derive
from gcc.sources.verdicts import NeedsOwner, NotVisible, RateLimited
from gcc.sources.verdicts import Refused as RefusedOutside
from gcc.stores.erasures import Leaving
from gcc.supervisor.lifecycle import one_line

NO_COST = (SourceClosed, LimitRefused, NoCredential, RateLimited)
UNSERVED = frozenset({"SOURCE_NOT_ENABLED", NotVisible.code, NeedsOwner.code})
OURS_AWAY_S = 5.0
PATIENCE_S = 60.0  # nobody waits for the job: our limit of a better source is worth waiting for
FORGOTTEN = Failure("ERASED", "the profile was erased: nothing of it is stored", None)

log = structlog.get_logger()


class Erasures(Protocol):
    async def of(self, platform: str) -> Leaving:
        """Whose profiles are not to be stored. Transient: nobody knows."""


class FlowWork:
    """Scrapes jobs of one flow; see `gcc.actors.scraper.Work`."""

    def __init__(
        self,
        flow: Flow,
        apis: Apis,
        objects: Objects,
        erasures: Erasures,
        clock: Clock,
        retries: Retries,
        rng: random.Random,
        audit: Audit = unaudited,
    ) -> None:
        self._flow = flow
        self._apis = apis
        self._objects = objects
        self._erasures = erasures
        self._clock = clock
        self._retries = retries
        self._rng = rng
        self._audit = audit
        self._told: set[str] = set()  # what was odd, by path without indices: as many as the parsers have fields

    async def __call__(self, job: Job) -> Crawl | Failure | Deferred:
        visit = Visit(flow=self._flow.name, priority=job.priority)
        try:
            params = self._flow.params.model_validate(job.params)
        except pydantic.ValidationError as error:
            return Failure("INVALID_PARAMS", one_line(f"params of flow {self._flow.name}: {refused(error)}"), None)
        try:
            erased = await self._erasures.of(self._flow.platform)
        except Transient as error:
            return Deferred(OURS_AWAY_S, "STORE_AWAY", one_line(str(error)))
        if not erased.ids.isdisjoint(each for each in job.params.values() if isinstance(each, str)):
            return FORGOTTEN
        chain = self._chain(params, visit)
        if not chain:
            off = ", ".join(f"sources.{source}.enabled" for source in self._flow.chain)
            reason = f"no source of flow {self._flow.name} is switched on; set one of these to true: {off}"
            return await self._unserved(job, Failure("SOURCE_NOT_ENABLED", reason, None))
        try:
            source, retrieved = await first_of(chain, patience_s=0.0 if job.priority >= URGENT else PATIENCE_S)
        except NO_COST as error:
            # Those refused together are told the same time: spread out when they come back.
            after_s = wait_s(error) + self._rng.uniform(0.0, 1.0)
            return Deferred(after_s, error.code, one_line(str(error)), self._traces(job, visit))
        except RefusedOutside as error:
            return await self._unserved(job, self._failure(job, error.code, error, None, visit))
        except Permanent as error:
            return self._failure(job, "REFUSED", error, None, visit)
        except Transient as error:
            return self._failure(job, "SOURCE_FAILED", error, self._retry_after_s(job, error), visit)
        if (retrieved := spared(retrieved, erased)) is None:
            return FORGOTTEN
        if isinstance(retrieved, ProfileSnapshot) and source not in self._apis.underived:
            retrieved = derive(retrieved)
        found = self._flow.yields(retrieved, self._clock.new_id)
        if found.notes:
            self._tell(source, job, found.notes)
        try:
            await self._store(job, found.objects)
        except Transient as error:
            return Deferred(OURS_AWAY_S, "OBJECTS_AWAY", one_line(str(error)), self._traces(job, visit))
        return self._crawl(job, source, found, visit)

    def _crawl(self, job: Job, source: str, found: Yield, visit: Visit) -> Crawl:
        data = dict(found.data)
        if found.notes:
            data["odd"] = list(found.notes)
        if found.objects:
            data["objects"] = [key.format(job=job.id) for key in found.objects]
        return Crawl(
            source=source,
            writes=[*found.writes, *self._audit(found.frames)],
            frames=[*found.frames, *self._traces(job, visit)],
            events=sum(frame.events for frame in found.frames if frame.counted != 0),
            data=data,
            then=[] if found.rest is None else [self._rest(job, found.rest)],
        )

    def _rest(self, job: Job, rest: Mapping[str, Any]) -> NewJob:
        return NewJob(self._flow.name, self._flow.platform, {**job.params, **rest}, priority=job.priority)

    async def _store(self, job: Job, objects: Mapping[str, bytes]) -> None:
        """Before anything tells of them; what an attempt left that then failed is written over by the next."""
        for key, body in objects.items():
            await self._objects.put(key.format(job=job.id), body)

    async def _unserved(self, job: Job, failure: Failure) -> Failure | Deferred:
        """A sheet that nobody may show is stored with its header alone: whoever waits for it finds it."""
        if not self._flow.header or failure.code not in UNSERVED:
            return failure
        try:
            await self._store(job, {EXPORT: csv_of(Sheet(self._flow.header, ()))})
        except Transient as error:
            return Deferred(OURS_AWAY_S, "OBJECTS_AWAY", one_line(str(error)), failure.frames)
        return replace(failure, data={"objects": [EXPORT.format(job=job.id)]})

    def _tell(self, source: str, job: Job, notes: Sequence[str]) -> None:
        """Log what was odd in an answer: each kind once, as an API that changes is odd in all of them."""
        kinds = {re.sub(r"\[\d+\]", "[]", note.partition(", got ")[0]) for note in notes}
        if new := kinds - self._told:
            self._told |= new
            log.warning("odd answer", source=source, flow=self._flow.name, params=job.params, odd=list(notes))

    def _chain(
        self, params: pydantic.BaseModel, visit: Visit
    ) -> list[tuple[str, Callable[[], Awaitable[tuple[str, Any]]]]]:
        async def asked(source: str, retrieve: Retrieve) -> tuple[str, Any]:
            try:
                return source, await retrieve(self._apis.clients[source], params, visit)
            except Transient as error:
                visit.passed.append(error)
                raise

        return [
            (source, partial(asked, source, retrieve))
            for source, retrieve in self._flow.chain.items()
            if source in self._apis.clients
        ]

    def _retry_after_s(self, job: Job, error: Transient) -> float | None:
        """As the flow's failures are tried again, and not before the source wants to be asked."""
        after_s = self._retries.after_s(job, self._rng)
        return None if after_s is None else max(after_s, error.retry_after_s or 0.0)

    def _failure(self, job: Job, code: str, error: Exception, retry_after_s: float | None, visit: Visit) -> Failure:
        return Failure(code, one_line(str(error)), retry_after_s, self._traces(job, visit))

    def _traces(self, job: Job, visit: Visit) -> list[Frame]:
        return trace_frames(visit.traces, self._clock.new_id, job=job.id)


def refused(error: pydantic.ValidationError) -> str:
    """Which param, and why: the first that is wrong."""
    where, told = wrong(error)
    return f"{where}: {told}" if where else told

"""One attempt of a flow: retrieve through the chain, parse, and turn it all into a value.

In: a claimed job. Out: a Crawl (state and events to commit), a Failure (with what was tried), or a
Deferred (a source that is away, a limit or the want of a credential stood in the way; it costs the job nothing).
"""

import random
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pydantic
import structlog

from gcc.actors.scraper import Deferred, Retries
from gcc.channels.jobs import Crawl, Failure, Job
from gcc.channels.message import Frame
from gcc.clock import Clock
from gcc.errors import Permanent, Transient
from gcc.pipelines.events.emit import trace_frames
from gcc.pipelines.scraping.table import Apis, Flow, Retrieve
from gcc.sources.breakers import SourceClosed, wait_s
from gcc.sources.chain import Visit, first_of
from gcc.sources.credentials import NoCredential
from gcc.sources.limits import LimitRefused
from gcc.sources.verdicts import RateLimited
from gcc.sources.verdicts import Refused as RefusedOutside
from gcc.supervisor.lifecycle import one_line

NO_COST = (SourceClosed, LimitRefused, NoCredential, RateLimited)

log = structlog.get_logger()


class FlowWork:
    """Scrapes jobs of one flow; see `gcc.actors.scraper.Work`."""

    def __init__(self, flow: Flow, apis: Apis, clock: Clock, retries: Retries, rng: random.Random) -> None:
        self._flow = flow
        self._apis = apis
        self._clock = clock
        self._retries = retries
        self._rng = rng
        self._told: set[str] = set()  # what was odd, by path without indices: as many as the parsers have fields

    async def __call__(self, job: Job) -> Crawl | Failure | Deferred:
        visit = Visit(priority=job.priority)
        try:
            params = self._flow.params.model_validate(job.params)
        except pydantic.ValidationError as error:
            reason = f"params of flow {self._flow.name}: {error.errors()[0]['msg']}"
            return Failure("INVALID_PARAMS", one_line(reason), None)
        try:
            source, retrieved = await first_of(self._chain(params, visit))
        except NO_COST as error:
            # Those refused together are told the same time: spread out when they come back.
            after_s = wait_s(error) + self._rng.uniform(0.0, 1.0)
            return Deferred(after_s, error.code, one_line(str(error)), self._traces(job, visit))
        except RefusedOutside as error:
            return self._failure(job, error.code, error, None, visit)
        except Permanent as error:
            return self._failure(job, "REFUSED", error, None, visit)
        except Transient as error:
            return self._failure(job, "SOURCE_FAILED", error, self._retry_after_s(job, error), visit)
        found = self._flow.yields(retrieved, self._clock.new_id)
        data = dict(found.data)
        if found.notes:
            data["odd"] = list(found.notes)
            self._tell(source, job, found.notes)
        return Crawl(
            source=source,
            writes=found.writes,
            frames=[*found.frames, *self._traces(job, visit)],
            events=sum(frame.events for frame in found.frames),
            data=data,
        )

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
            return source, await retrieve(self._apis.clients[source], params, visit)

        return [(source, partial(asked, source, retrieve)) for source, retrieve in self._flow.chain.items()]

    def _retry_after_s(self, job: Job, error: Transient) -> float | None:
        """As the flow's failures are tried again, and not before the source wants to be asked."""
        after_s = self._retries.after_s(job, self._rng)
        return None if after_s is None else max(after_s, error.retry_after_s or 0.0)

    def _failure(self, job: Job, code: str, error: Exception, retry_after_s: float | None, visit: Visit) -> Failure:
        return Failure(code, one_line(str(error)), retry_after_s, self._traces(job, visit))

    def _traces(self, job: Job, visit: Visit) -> list[Frame]:
        return trace_frames(visit.traces, self._clock.new_id, job=job.id)

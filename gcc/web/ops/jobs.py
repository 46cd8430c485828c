"""Jobs over HTTP: found, looked at one by one, retried, cancelled.

The rules of the actions (actions.py) hold: GETs need the token, the POSTs also a reason, unless it is a dry run. What
only ClickHouse knows of a job may be missing from its page, which says why then.
"""

import json
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from pydantic import BeforeValidator, Field
from quart import Response, request
from quart_trio import QuartTrio

from gcc.channels.jobs import FoundJob, JobDetail, JobFilter, JobStatus
from gcc.config import Kept
from gcc.errors import GccError, Permanent
from gcc.masking import masked_body, masked_text, masked_value
from gcc.stores.job_history import JobHistory
from gcc.web.ops.access import Access, Refused
from gcc.web.ops.actions import (
    FOUND_MAX,
    Body,
    DryRun,
    Limit,
    MaybeWhy,
    Since,
    Word,
    by,
    done,
    id_of,
    read_action,
    read_query,
    why_is_needed,
)  # fmt: skip
from gcc.web.ops.operations import COUNTED_MAX, Operations

DATA_CHARS_MAX = 20_000  # of a job's result, as it is shown


class FilterBody(Body):
    """See `JobFilter`."""

    flow: Word | None = None
    status: JobStatus | None = None
    code: Word | None = None
    since: Since | None = None
    key: Word | None = None
    ids: list[UUID] | None = None
    limit: Limit | None = None

    def as_filter(self) -> JobFilter:
        return JobFilter(**{name: getattr(self, name) for name in FilterBody.model_fields})


class JobsBody(Body):
    filter: FilterBody
    why: MaybeWhy = ""
    dry_run: DryRun = False


class FindQuery(FilterBody):
    """`text`: a part of params or key; `before`: an id to read on below."""

    ids: Annotated[list[UUID] | None, BeforeValidator(lambda given: given.split(","))] = None
    limit: Annotated[int, Field(ge=1, le=FOUND_MAX)] = 50
    text: Word | None = None
    before: UUID | None = None


def add_jobs(app: QuartTrio, access: Access, operations: Operations, history: JobHistory, kept: Kept) -> None:
    """Give `app` the routes of the jobs."""

    @app.post("/api/jobs/retry")
    async def retry() -> Response:
        return await move("retry")

    @app.post("/api/jobs/cancel")
    async def cancel() -> Response:
        return await move("cancel")

    async def move(verb: Literal["retry", "cancel"]) -> Response:
        wanted = await read_action(access, JobsBody, verb)
        jobs = wanted.filter.as_filter()
        if wanted.dry_run:
            return done({"things": await operations.would_move(verb, jobs)})
        if not wanted.why:
            raise why_is_needed()
        return done({"things": await operations.move(verb, jobs, by(access, wanted.why))})

    @app.get("/api/jobs")
    async def jobs() -> Response:
        access.check_reader(request)
        wanted = read_query(FindQuery)
        found, beside = await operations.find(wanted.as_filter(), text=wanted.text, before=wanted.before)
        return done([_line(job) for job in found], counted_max=COUNTED_MAX, kept_days=kept.days, **beside)

    @app.get("/api/jobs/<job_id>")
    async def job(job_id: str) -> Response:
        access.check_reader(request)
        wanted = id_of(job_id, "job")
        try:
            found = await operations.look(wanted)
        except Permanent as error:
            raise Refused(404, "JOB_NOT_FOUND", "No such job", f"{error}; {kept.jobs_in_words}") from None
        return done({**_shown(found), **await _told(history, found)})


def _line(job: FoundJob) -> dict[str, Any]:
    """As people see it: whoever enqueues writes its params, and whatever failed its reason."""
    shown: dict[str, Any] = msgspec.to_builtins(job)
    reason = None if job.reason is None else masked_text(job.reason)
    return shown | {"params": masked_value(shown["params"]), "reason": reason}


def _shown(job: JobDetail) -> dict[str, Any]:
    """What its row tells, a traceback apart from the rest of its data."""
    data = job.data
    trace = data.get("traceback") if isinstance(data, dict) else None
    if isinstance(data, dict):
        data = {name: value for name, value in data.items() if name not in ("code", "reason", "traceback")}
    shown = _line(job)
    shown["traceback"] = None if trace is None else masked_text(str(trace))
    shown["data"] = masked_body(json.dumps(data).encode(), DATA_CHARS_MAX)[0] if data else None
    return shown


async def _told(history: JobHistory, job: JobDetail) -> dict[str, Any]:
    """What its events tell; or why they are not known, which leaves the rest as it is."""
    try:
        told = await history.of(job)
    except GccError as error:
        return {"statuses": None, "requests": None, "history_error": str(error)}
    requests = [{**asked, "uri": masked_text(asked["uri"])} for asked in told.requests]
    statuses = [{**each, "reason": each["reason"] and masked_text(each["reason"])} for each in told.statuses]
    return {"statuses": statuses, "requests": requests, "history_error": None}

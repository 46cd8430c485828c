"""Jobs of the API: what callers asked for and a request could not wait for. See docs/api-jobs.md.

A route that begins one answers `begun(row)`: 202, and in Location where the job tells how far it is.
"""

import datetime as dt
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import Field
from quart import Request, Response

from gcc.channels.api_jobs import ENDED, State
from gcc.channels.objects import Objects
from gcc.errors import Permanent
from gcc.pipelines.api_jobs.sheet import sheet
from gcc.pipelines.api_jobs.table import KINDS
from gcc.stores.api_jobs import PostgresApiJobs, object_key
from gcc.stores.api_jobs_asked import TenantsApiJobs
from gcc.stores.tenant import Tenant
from gcc.web.api import parse
from gcc.web.api.envelope import Answer
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.route import Route
from gcc.web.api.shapes import Row
from gcc.web.identity.pages import REFUSALS, PageQuery, page, refusals, some_id

PATH = "/jobs"
LINK_GOOD_S = 300
CSV = "text/csv; charset=utf-8"
MEDIA_TYPES = {"csv": CSV, "parquet": "application/vnd.apache.parquet"}
REPORT_COLUMNS = ("line", "status", "code", "reason", "input")
_PART: dict[str, Any] = {"parts": {"id": "Of the job."}, "part_schemas": {"id": parse.UUID_SCHEMA}}


class JobsQuery(PageQuery):
    state: State | None = None
    kind: str | None = Field(None, max_length=100)


class JobRow(Row):
    id: UUID
    kind: str
    state: State
    done: int = Field(description="Rows or lines.")
    total: int | None = Field(description="null: not known yet.")
    failed: int
    result: dict[str, Any] | None = Field(description="What came of it; of a FAILED one {code, reason}.")
    created_at: dt.datetime
    started_at: dt.datetime | None
    ended_at: dt.datetime | None


def job_path(id: UUID) -> str:
    return f"{PATH}/{id}"


def begun(row: Mapping[str, Any]) -> Answer:
    return Answer(_shown(row), "postgres", job=row["id"])


class Jobs:
    def __init__(self, asked: TenantsApiJobs, jobs: PostgresApiJobs, objects: Objects) -> None:
        self._asked = asked
        self._jobs = jobs
        self._objects = objects

    def routes(self) -> list[Route]:
        return [
            Route("GET", PATH, "listJobs", "Jobs of your account (an owner: of all), the newest first", self.all,
                  query=JobsQuery, data=list[JobRow], errors=(Code.INVALID_CURSOR,)),
            Route("GET", PATH + "/{id}", "getJob", "How far one is", self.one, data=JobRow, **_PART,
                  errors=(Code.NOT_FOUND,)),
            Route("POST", PATH + "/{id}/cancel", "cancelJob", "Stop it; what its batches have done stands", self.cancel,
                  data=JobRow, **_PART, who="EDITOR", rate="write", activity="JOB_CANCELLED",
                  errors=(Code.NOT_FOUND, Code.JOB_ENDED)),
            Route("GET", PATH + "/{id}/download", "downloadJob", "Its file", self.download, **_PART, rate="heavy",
                  media_type="text/csv", links=True,
                  errors=(Code.NOT_FOUND, Code.JOB_NOT_READY, Code.GONE),
                  description="CSV or Parquet, as it was asked for. Kept for 7 days."),
            Route("GET", PATH + "/{id}/report", "reportJob", "What became of each line that was sent", self.report,
                  **_PART, rate="heavy", media_type="text/csv",
                  errors=(Code.NOT_FOUND, Code.JOB_NOT_READY, Code.GONE),
                  description=f"CSV of {', '.join(REPORT_COLUMNS)}: each line once. Kept for 7 days."),
        ]  # fmt: skip

    async def all(self, tenant: Tenant, request: Request) -> Answer:
        query = parse.query(JobsQuery, request)
        read = partial(self._asked.all, tenant, state=query.state, kind=query.kind)
        whose = "whole" if tenant.role == "OWNER" else str(tenant.account_id)
        answer = await page(tenant, request, read, "jobs", whose, query.state, query.kind)
        return replace(answer, data=[_shown(row) for row in answer.data])

    async def one(self, tenant: Tenant, request: Request, id: str) -> Answer:
        return Answer(_shown(await self._found(tenant, id)), "postgres")

    async def cancel(self, tenant: Tenant, request: Request, id: str) -> Answer:
        with refusals(REFUSALS | {"TAKEN": Code.JOB_ENDED}):
            return Answer(_shown(await self._asked.cancel(tenant, some_id(id, "job"))), "postgres")

    async def download(self, tenant: Tenant, request: Request, id: str) -> Response:
        row = await self._ended(tenant, id)
        if row["state"] not in ("COMPLETE", "EXPIRED"):
            raise ApiError(Code.NOT_FOUND, f"job {id} is {row['state']}: it left no file")
        if not row["has_file"]:
            raise ApiError(Code.NOT_FOUND, f"jobs of the kind {row['kind']} make no file")
        form = row["result"]["format"]
        key, name, media_type = (
            object_key(tenant.partner_id, row["id"]),
            f"{row['kind']}-{id}.{form}",
            MEDIA_TYPES[form],
        )
        url = await self._objects.link(key, good_s=LINK_GOOD_S, name=name, media_type=media_type)
        if url is not None:
            return Response(b"", status=303, headers={"location": url})
        pieces = self._objects.get(key)
        try:
            first = await anext(pieces, b"")
        except Permanent:
            raise _gone(id) from None
        headers = _file(name) | {"content-length": str(row["result"]["bytes"])}
        return Response(_rest(first, pieces), content_type=media_type, headers=headers)

    async def report(self, tenant: Tenant, request: Request, id: str) -> Response:
        row = await self._ended(tenant, id)
        kind = KINDS.get(row["kind"])
        if kind is None or not kind.reports:
            raise ApiError(Code.NOT_FOUND, f"jobs of the kind {row['kind']} have no report")
        lines = self._jobs.lines(tenant.partner_id, row["id"], "report")
        name = f"{row['kind']}-{row['id']}-report.csv"
        return Response(sheet(REPORT_COLUMNS, lines), content_type=CSV, headers=_file(name))

    async def _found(self, tenant: Tenant, id: str) -> dict[str, Any]:
        with refusals():
            return await self._asked.one(tenant, some_id(id, "job"))

    async def _ended(self, tenant: Tenant, id: str) -> dict[str, Any]:
        """The job, ended and with all that it left."""
        row = await self._found(tenant, id)
        if row["state"] not in ENDED:
            raise ApiError(Code.JOB_NOT_READY, f"job {id} is {row['state']}", retry_after_s=1.0)
        if row["freed"]:
            raise _gone(id)
        return row


def _gone(id: str) -> ApiError:
    return ApiError(Code.GONE, f"what job {id} left was kept for 7 days; ask for it anew")


def _file(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"'}


async def _rest(first: bytes, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(pieces):
        yield first
        async for piece in pieces:
            yield piece


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("has_file", "freed")}

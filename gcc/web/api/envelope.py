"""The shape of every answer: {"status", "data", "meta"} or {"status", "data": null, "error"}.

In: what a handler found, or what went wrong. Out: the JSON bytes. Times are RFC 3339 in UTC.
"""

import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import msgspec

from gcc.platforms.steps import Step
from gcc.stores.plans import Uses
from gcc.web.api.errors import ApiError

JSON = "application/json"
PROBLEM = "application/problem+json"
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)  # to freeze it would take as long as all else that a small answer is
class Answer:
    """What a handler returns. `as_of` is the time the data is true of, `source` the store it came from.

    `note`: why there is nothing in it, or less than was asked for. `gated`: fields that are null in this plan.
    `steps`: where figures in it began to mean something else, so that those before do not compare with those after.
    `uses`: what is counted of who is answered so.
    """

    data: Any
    source: Literal["postgres", "clickhouse", "scrape", "process"]
    as_of: dt.datetime | None = None
    cursor: str | None = None
    total: int | None = None
    note: str | None = None
    gated: Collection[str] = ()
    steps: Collection[Step] = ()
    uses: Uses | None = None
    location: str | None = None  # where what was created answers: 201
    repeats: bool = False  # who asks the same within a second gets it, too, where its Route repeats
    version: Any = None  # changes whenever `data` does: what the ETag is made of, where its Route is conditional
    job: UUID | None = None  # that has been begun, and answers at its own path: 202


Due = Callable[[str], str | None]
"""When a schedule runs next (RFC 3339); None where this process does not know."""


def not_yet(what: str, next_run: str | None) -> str:
    """Why nobody has ever made it."""
    due = "" if next_run is None else f"; the next is due at {next_run}"
    return f"no {what} has been made yet: the first one follows when the first crawl is stored{due}"


def success(answer: Answer) -> bytes:
    meta: dict[str, Any] = {
        "cursor": answer.cursor,
        "total": answer.total,
        "as_of": None if answer.as_of is None else answer.as_of.astimezone(dt.UTC),
        "source": answer.source,
    }
    if answer.note is not None:
        meta["note"] = answer.note
    if answer.gated:
        meta["gated"] = answer.gated
    if answer.steps:
        meta["steps"] = [{"since": step.since, "settled": step.settled, "what": step.what} for step in answer.steps]
    return _encode({"status": "SUCCESS", "data": answer.data, "meta": meta})


def whole_failure(error: ApiError, request_id: str, **more: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body, for who answers without a framework; `more` headers have _ for -."""
    body = failure(error, request_id)
    headers = {
        "content-type": JSON,
        "content-length": str(len(body)),
        "x-bb-requestid": request_id,
        "cache-control": "no-store",
        "vary": "Origin",
        "x-content-type-options": "nosniff",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    return error.code.status, [(name.encode(), value.encode()) for name, value in headers.items()], body


def failure(error: ApiError, request_id: str) -> bytes:
    shown = {
        "code": error.code.name,
        "title": error.code.title,
        "detail": error.detail,
        "errors": error.errors,
        "request_id": request_id,
    }
    return _encode({"status": "ERROR", "data": None, "error": shown})


def problem(error: ApiError, request_id: str) -> bytes:
    """The same facts as RFC 9457 has them."""
    shown = {
        "type": f"/docs#{error.code.name}",
        "title": error.code.title,
        "status": error.code.status,
        "detail": error.detail,
        "instance": f"urn:uuid:{request_id}",
        "code": error.code.name,
        "errors": error.errors,
    }
    return _encode(shown)

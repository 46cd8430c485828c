"""The ops port's actions over HTTP: pause, resume, concurrency, the action log, and the drain.

Jobs, dead letters and schedules have files of their own, jobs.py, letters.py and schedules.py.

A thin skin: access and bodies are checked here, what is meant is decided in operations.py. POSTs need the token
and, from a page, its own header naming the action (the last part of the path). Every action has a `why`, of 1 to
500 characters; only a drain (which may be urgent) and a dry run may leave it out.
"""

import datetime as dt
import json
import math
from dataclasses import asdict
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from quart import Response, request
from quart_trio import QuartTrio

from gcc.actors.controls import CONCURRENCY_MAX
from gcc.web.ops.access import Access, Refused
from gcc.web.ops.operations import By, Operations
from gcc.web.ops.snapshot import Platform

WHO_HEADER = "x-gcc-who"
WHO_CHARS_MAX = 100
WHY_CHARS_MAX = 500
FOUND_MAX = 1000
THINGS_MAX = 10**9  # of a limit


def _storable(text: str) -> str:
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("a NUL or half a character cannot be stored")
    return text


def _in_our_times(moment: dt.datetime) -> dt.datetime:
    if not 1970 <= moment.year < 9999:
        raise ValueError("a time lies between the years 1970 and 9998")
    return moment


STORABLE = AfterValidator(_storable)
Why = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=WHY_CHARS_MAX), STORABLE]
MaybeWhy = Annotated[str, StringConstraints(strip_whitespace=True, max_length=WHY_CHARS_MAX), STORABLE]
Word = Annotated[str, StringConstraints(min_length=1, max_length=300), STORABLE]
Since = Annotated[AwareDatetime, AfterValidator(_in_our_times)]
Limit = Annotated[int, Field(strict=True, ge=1, le=THINGS_MAX)]
DryRun = Annotated[bool, Field(strict=True)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WhatBody(Body):
    what: Word
    why: Why


class ConcurrencyBody(Body):
    flow: Word
    value: Annotated[int, Field(strict=True, ge=1, le=CONCURRENCY_MAX)] | None
    why: Why


class EraseBody(Body):
    platform: Word
    profile: Word
    why: Why


class DrainBody(Body):
    role: Any = None
    why: MaybeWhy = ""


class LimitQuery(Body):
    limit: Annotated[int, Field(ge=1, le=FOUND_MAX)] = 20


B = TypeVar("B", bound=Body)


def wrong(detail: str) -> Refused:
    return Refused(422, "REQUEST_INVALID", "Cannot be understood", detail)


def id_of(text: str, what: str) -> UUID:
    """The id in an address. Refused: it is none."""
    try:
        return UUID(text)
    except ValueError:
        raise wrong(f"id: {text!r} is no id of a {what}") from None


def why_is_needed() -> Refused:
    return wrong("why: say why; it is kept in the action log")


def add_actions(app: QuartTrio, access: Access, operations: Operations, platform: Platform) -> None:
    """Give `app` the actions' routes."""

    @app.post("/api/drain")
    async def drain() -> Response:
        wanted = await read_action(access, DrainBody, "drain")
        if wanted.role is not None and wanted.role not in (known := operations.roles.known):
            raise Refused(422, "ROLE_UNKNOWN", "Unknown role", f"role must be null or one of {', '.join(known)}")
        await operations.drain(wanted.role, by(access, wanted.why))
        return done({"role": wanted.role, "state": platform.state()}, 202)

    @app.post("/api/pause")
    async def pause() -> Response:
        wanted = await read_action(access, WhatBody, "pause")
        return done({"paused": await operations.pause(wanted.what, by(access, wanted.why))})

    @app.post("/api/resume")
    async def resume() -> Response:
        wanted = await read_action(access, WhatBody, "resume")
        return done({"resumed": await operations.resume(wanted.what, by(access, wanted.why))})

    @app.post("/api/concurrency")
    async def concurrency() -> Response:
        wanted = await read_action(access, ConcurrencyBody, "concurrency")
        await operations.concurrency(wanted.flow, wanted.value, by(access, wanted.why))
        return done({"flow": wanted.flow, "value": wanted.value})

    @app.get("/api/flows")
    async def flows() -> Response:
        access.check_reader(request)
        levels = platform.gates.levels() if platform.gates else {}
        now = {name: {"concurrency": level["now"]} for name, level in levels.items()}
        return done([flow | now.get(flow["name"], {}) for flow in platform.flows()], settings=platform.told_by)

    @app.post("/api/erase")
    async def erase() -> Response:
        wanted = await read_action(access, EraseBody, "erase")
        profile_id = await operations.erase(wanted.platform, wanted.profile, by(access, wanted.why))
        return done({"platform": wanted.platform.upper(), "profile_id": profile_id})

    @app.get("/api/erasures")
    async def erasures() -> Response:
        access.check_reader(request)
        return done([asdict(each) for each in await operations.erasures()])

    @app.get("/api/actions")
    async def actions() -> Response:
        access.check_reader(request)
        return done([action.as_dict() for action in await operations.actions(read_query(LimitQuery).limit)])


async def read_action(access: Access, body: type[B], action: str) -> B:
    """The body of a POST, from who may act. Refused."""
    access.check_action(request, action)
    return _read(body, await request.get_data(cache=False, as_text=False, parse_form_data=False))


def by(access: Access, why: str) -> By:
    """Who asks, and why."""
    return By(_who(access), why)


def _who(access: Access) -> str:
    """As the command line says; a page has no name of its own. Nothing here is proof: the token is shared."""
    if access.has_cookie(request):
        return "dashboard"
    return named(request.headers.get(WHO_HEADER, ""))


def named(who: str) -> str:
    """Whoever calls itself so."""
    given = "".join(letter for letter in who if letter.isprintable()).strip()
    return given[:WHO_CHARS_MAX] or "API"


def _read(body: type[B], sent: bytes) -> B:
    try:
        decoded = json.loads(sent.decode() or "{}")
    except (ValueError, RecursionError):
        raise Refused(
            400, "BODY_INVALID", "Not JSON", "Send a JSON object, not nested deeper than it must be"
        ) from None
    return _valid(body, decoded)


def read_query(query: type[B]) -> B:
    """The query of a GET. Refused."""
    for name, given in request.args.lists():
        if len(given) > 1:
            raise wrong(f"{name[:40]}: given {len(given)} times")
    return _valid(query, dict(request.args))


def _valid(body: type[B], value: Any) -> B:
    try:
        return TypeAdapter(body).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise wrong(f"{place}: {first['msg']}" if place else first["msg"]) from None


def done(data: Any, status: int = 200, **meta: Any) -> Response:
    told = {"status": "SUCCESS", "data": data, "meta": meta}
    try:
        body = json.dumps(told, default=_plain, allow_nan=False)
    except ValueError:  # somebody's row has a number like 1e400, for which JSON has no word
        body = json.dumps(_finite(told), default=_plain)
    answer = Response(body, status, mimetype="application/json")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _finite(value: Any) -> Any:
    match value:
        case dict():
            return {name: _finite(part) for name, part in value.items()}
        case list() | tuple():
            return [_finite(part) for part in value]
        case float() if not math.isfinite(value):
            return None
    return value


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, dt.datetime) else str(value)

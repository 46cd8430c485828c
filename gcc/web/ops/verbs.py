"""What the command line asks a running platform beyond status and drain: checks, `import-history` and `jobs add`.

A thin ASGI layer before the page's app, since a file's body may be gigabytes: it is read as it comes,
and only as fast as it is stored. Only the token as a Bearer header opens it; browsers have no business here.
"""

import hmac
import re
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Any, Protocol
from urllib.parse import parse_qs

import msgspec
import structlog
import trio

from gcc.clock import SystemClock
from gcc.errors import GccError, Permanent
from gcc.pipelines.events.history import ImportReport
from gcc.pipelines.events.history_form import Form
from gcc.pipelines.scraping.adding import TTL_S, AddReport, Terms
from gcc.supervisor.lifecycle import one_line
from gcc.web import access
from gcc.web.api.errors import ApiError
from gcc.web.ops.actions import WHO_HEADER, WHY_CHARS_MAX, named
from gcc.web.ops.operations import By

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


NAME_CHARS_MAX = 200
DISK_FULL = "53100"  # SQLSTATE

log = structlog.get_logger()
_ids = SystemClock()


class Report(Protocol):
    def as_dict(self) -> dict[str, Any]: ...


Check = Callable[[], Awaitable[Report]]
ImportHistory = Callable[[str, AsyncIterable[bytes], Form, bool, By], Awaitable[ImportReport]]
AddJobs = Callable[[str, str, AsyncIterable[bytes], Terms, bool, By], Awaitable[AddReport]]
CHECK, PARITY, IMPORT, ADD = "/api/check", "/api/check-parity", "/api/import-history", "/api/jobs/add"
IMPORT_PARAMETERS = ("name", "encoding", "date_format", "thousands", "dry_run", "why")
ADD_PARAMETERS = ("flow", "name", "priority", "ttl_s", "key", "dry_run", "why")
BOOLEANS = {"false": False, "true": True}


class Left(Exception):
    """The caller hung up."""


class Verbs:
    """POST to a check, to IMPORT?name=FILE (and the other IMPORT_PARAMETERS) and to ADD?flow=FLOW (and the other
    ADD_PARAMETERS); all else goes to `app`.

    `host`: where we listen. `checks` by path, CHECK and PARITY. `import_history`, `add_jobs`: see `Operations`.
    """

    def __init__(
        self,
        app: Any,  # ASGI
        *,
        token: str,
        host: str,
        checks: Mapping[str, Check],
        check_s: float,
        import_history: ImportHistory,
        add_jobs: AddJobs,
    ) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = (host,)
        self._checks = checks
        self._check_s = check_s
        self._import_history = import_history
        self._add_jobs = add_jobs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        verb = scope.get("path", "") if scope["type"] == "http" and scope["method"] == "POST" else ""
        if verb not in (*self._checks, IMPORT, ADD):
            await self._app(scope, receive, send)
            return
        try:
            access.check(scope, names=self._hosts)
        except ApiError as refusal:
            await _answer(send, refusal.code.status, _error(refusal.code.name, refusal.detail))
            return
        if not self._may(scope):
            await _answer(send, 401, _error("TOKEN_REQUIRED", "send 'Authorization: Bearer TOKEN'"))
            return
        try:
            match verb:
                case "/api/import-history":
                    report: dict[str, Any] = asdict(await self._import(scope, receive))
                case "/api/jobs/add":
                    report = asdict(await self._add(scope, receive))
                case _:
                    report = await self._checked(self._checks[verb], receive)
        except Left:
            return
        except trio.TooSlowError:
            told = f"the stores were not counted within {self._check_s:g} s (ops.check_s); try again"
            await _answer(send, 504, _error("TIMEOUT", told))
            return
        except Exception as error:
            await _answer(send, *_failed(verb, error))
            return
        await _answer(send, 200, {"status": "SUCCESS", "data": report, "meta": {}})

    async def _import(self, scope: Scope, receive: Receive) -> ImportReport:
        asked = _Asked(scope, IMPORT_PARAMETERS)
        form = Form(*(asked.get(name) for name in ("encoding", "date_format", "thousands")))
        async with aclosing(_body(receive)) as chunks:
            return await self._import_history(asked.name, chunks, form, asked.dry_run, asked.by)

    async def _add(self, scope: Scope, receive: Receive) -> AddReport:
        asked = _Asked(scope, ADD_PARAMETERS)
        key = asked.get("key")
        terms = Terms(asked.number("priority", 0), asked.number("ttl_s", TTL_S), key and _storable(key))
        async with aclosing(_body(receive)) as chunks:
            return await self._add_jobs(asked.get("flow") or "", asked.name, chunks, terms, asked.dry_run, asked.by)

    async def _checked(self, check: Check, receive: Receive) -> dict[str, Any]:
        """TooSlowError after check_s; Left when the caller hangs up, who needs no answer then."""
        result: dict[str, Any] | Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
            try:
                with trio.fail_after(self._check_s):
                    result = (await check()).as_dict()
            except Exception as error:  # raised out there, the nursery does not wrap it
                result = error
            nursery.cancel_scope.cancel()
        if isinstance(result, dict):
            return result
        raise result or Left

    def _may(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, token = given.partition(b" ")
        return bool(scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token))


class _Asked:
    """A file's parameters, of `takes`, and who sends it. Permanent: they are not understood."""

    def __init__(self, scope: Scope, takes: Sequence[str]) -> None:
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        for key, given in query.items():
            if key not in takes or len(given) > 1:
                raise Permanent(f"{key[:40]!r} is one too many: it takes {', '.join(takes)}, each once")
        self._given = {key: given[0] for key, given in query.items()}
        dry_run = BOOLEANS.get(self._given.get("dry_run", "false"))
        if dry_run is None:
            raise Permanent(f"dry_run is true or false, not {self._given['dry_run'][:40]!r}")
        self.dry_run = dry_run
        who = dict(scope["headers"]).get(WHO_HEADER.encode(), b"").decode("latin-1")
        self.by = By(named(who), _storable(self._given.get("why", ""))[:WHY_CHARS_MAX])
        self.name = _storable(self._given.get("name") or "upload")[:NAME_CHARS_MAX]

    def get(self, name: str) -> str | None:
        return self._given.get(name) or None

    def number(self, name: str, default: int) -> int:
        """A whole number."""
        text = self.get(name)
        if text is None:
            return default
        if not re.fullmatch("-?[0-9]{1,15}", text):
            raise Permanent(f"{name} is a whole number, not {text[:40]!r}")
        return int(text)


def _storable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _body(receive: Receive) -> AsyncGenerator[bytes, None]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Left
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def _failed(verb: str, error: Exception) -> tuple[int, dict[str, Any]]:
    """The status and the body that tell of it."""
    if isinstance(error, Permanent):
        return 422, _error("INVALID_PARAMETER", str(error))
    if isinstance(error, GccError):
        causes = [error, error.__cause__, error.__cause__ and error.__cause__.__cause__]
        is_full = any(getattr(cause, "sqlstate", None) == DISK_FULL for cause in causes)
        return (507, _error("STORE_FULL", str(error))) if is_full else (503, _error("STORE_UNAVAILABLE", str(error)))
    log.exception("verb", path=verb)
    return 500, _error("INTERNAL", f"{one_line(error)}; the log tells more")


def _error(code: str, detail: str) -> dict[str, Any]:
    error = {"code": code, "title": code.replace("_", " ").capitalize(), "detail": detail, "errors": []}
    return {"status": "ERROR", "data": None, "error": error | {"request_id": str(_ids.new_id())}}


async def _answer(send: Send, status: int, value: dict[str, Any]) -> None:
    body = msgspec.json.encode(value)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if value["status"] == "ERROR":
        headers.append((b"x-bb-requestid", value["error"]["request_id"].encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""What the command line asks a running platform beyond status and drain: `check` and `import-history`.

A thin ASGI layer before the page's app, since an import's body may be gigabytes: it is read as it comes,
and only as fast as it is stored. Only the token as a Bearer header opens it; browsers have no business here.
"""

import hmac
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qs

import msgspec
import trio

from gcc.errors import GccError
from gcc.pipelines.events.check import CheckReport
from gcc.pipelines.events.history import ImportReport
from gcc.web import access
from gcc.web.api.errors import ApiError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Left(Exception):
    """The caller hung up in the middle of its body."""


class Verbs:
    """POST /api/check and POST /api/import-history?name=FILE; all else goes to `app`. `host`: where we listen."""

    def __init__(
        self,
        app: Any,  # ASGI
        *,
        token: str,
        host: str,
        check: Callable[[], Awaitable[CheckReport]],
        check_s: float,
        import_history: Callable[[str, AsyncIterable[bytes]], Awaitable[ImportReport]],
    ) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = (host,)
        self._check = check
        self._check_s = check_s
        self._import_history = import_history

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        verb = scope.get("path", "") if scope["type"] == "http" and scope["method"] == "POST" else ""
        if verb not in ("/api/check", "/api/import-history"):
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
            if verb == "/api/check":
                with trio.fail_after(self._check_s):
                    report: dict[str, Any] = (await self._check()).as_dict()
            else:
                name = parse_qs(scope["query_string"].decode("latin-1")).get("name", ["upload"])[0]
                report = asdict(await self._import_history(name[:200], _body(receive)))
        except Left:
            return
        except trio.TooSlowError:
            told = f"the stores were not counted within {self._check_s:g} s (ops.check_s); try again"
            await _answer(send, 504, _error("TIMEOUT", told))
            return
        except GccError as error:
            await _answer(send, 503, _error("STORE_UNAVAILABLE", str(error)))
            return
        await _answer(send, 200, {"status": "SUCCESS", "data": report, "meta": {}})

    def _may(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, token = given.partition(b" ")
        return bool(scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token))


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Left
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def _error(code: str, detail: str) -> dict[str, Any]:
    error = {"code": code, "title": code.replace("_", " ").capitalize(), "detail": detail, "errors": []}
    return {"status": "ERROR", "data": None, "error": error}


async def _answer(send: Send, status: int, value: dict[str, Any]) -> None:
    body = msgspec.json.encode(value)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

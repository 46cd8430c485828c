"""The ops port with its token, and what no page and no command line sends: every endpoint against every nasty value.

A refusal is 4xx, in the envelope, and names the field; nothing is done, nothing is logged as a failure.
"""

import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
import trio
import trio.testing
from trio_websocket import open_websocket_url
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, TextMessage

from tests.integration.ops_platform import TOKEN, YOUTUBE, Port, World, client, ops_port

pytest_plugins = ["tests.fixtures_ops"]

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def no_bug(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Callable[[], bool]:
    """No handler failed; an unexpected exception is logged with its traceback."""

    def quiet() -> bool:
        told = "".join(capsys.readouterr()) + caplog.text
        return "Traceback" not in told and not [record for record in caplog.records if record.levelname == "ERROR"]

    return quiet


def untouched(world: World) -> bool:
    return not (world.controls.overrides or world.controls.log or world.asked or world.resumed or world.imported)


# Bodies

WHY = {"why": "x"}
BODIES: dict[str, dict[str, Any]] = {
    "pause": {"what": YOUTUBE, **WHY},
    "resume": {"what": YOUTUBE, **WHY},
    "concurrency": {"flow": YOUTUBE, "value": 4, **WHY},
    "jobs/retry": {"filter": {"flow": YOUTUBE}, **WHY},
    "jobs/cancel": {"filter": {"flow": YOUTUBE}, **WHY},
    "replay": {"filter": {"queue": "post_log_events_q"}, **WHY},
    "drain": {"role": "scraper", **WHY},
}
NO_TEXT: dict[str, Any] = {
    "a NUL": "a\0b", "half a character": "a\ud800", "half a character first": "\udfff", "a number": 7, "a list": ["x"],
    "an object": {"a": "x"}, "true": True, "a huge text": "x" * 9000,
}  # fmt: skip
NO_FILTER_TEXT = NO_TEXT | {"nothing": ""}
NO_COUNT: dict[str, Any] = {
    "2^63": 2**63, "-2^63": -(2**63), "10^40": 10**40, "zero": 0, "negative": -1, "a fraction": 1.5,
    "a whole float": 2.0, "a text": "5", "true": True, "infinity": float("inf"), "NaN": float("nan"),
    "a list": [1], "a NUL": "\0",
}  # fmt: skip
NO_TIME: dict[str, Any] = {
    "the year 1": "0001-01-01T00:00:00+14:00", "the year 9999": "9999-12-31T23:59:59-14:00",
    "1969": "1969-12-31T00:00:00Z",
    "no zone": "2026-01-01T00:00:00", "10^300": 10**300, "infinity": float("inf"),
    "-10^18": -(10**18), "words": "soon", "a NUL": "2026-01-01T00:00:00Z\0", "half a character": "\ud800",
    "a list": [1],
}  # fmt: skip
NO_IDS: dict[str, Any] = {
    "a text": "x", "no ids": ["7"], "a NUL": ["\0"], "half a character": ["\ud800"], "numbers": [2**63],
    "deep": [[[[]]]], "an object": {},
}  # fmt: skip
NO_STATUS: dict[str, Any] = NO_TEXT | {"unknown": "LOST", "in another case": "failed"}
NO_FILTER: dict[str, Any] = NO_TEXT | {"nothing": None, "more": {"limit": 1, "more": 1}}
NO_FLAG: dict[str, Any] = {"a word": "false", "a number": 0, "nothing": None, "a list": []}
FIELDS: list[tuple[str, str, dict[str, Any]]] = [
    *((path, "why", NO_TEXT) for path in BODIES),
    ("pause", "what", NO_FILTER_TEXT),
    ("resume", "what", NO_FILTER_TEXT),
    ("concurrency", "flow", NO_FILTER_TEXT),
    ("concurrency", "value", NO_COUNT),
    ("drain", "role", NO_FILTER_TEXT),
    *(
        (path, f"filter.{name}", values)
        for path in ("jobs/retry", "jobs/cancel")
        for name, values in (
            ("flow", NO_FILTER_TEXT), ("code", NO_FILTER_TEXT), ("key", NO_FILTER_TEXT), ("status", NO_STATUS),
            ("since", NO_TIME), ("ids", NO_IDS), ("limit", NO_COUNT),
        )
    ),
    *(
        ("replay", f"filter.{name}", values)
        for name, values in (
            ("queue", NO_FILTER_TEXT), ("reason", NO_FILTER_TEXT), ("since", NO_TIME), ("ids", NO_IDS),
            ("limit", NO_COUNT),
        )
    ),
    *((path, "dry_run", NO_FLAG) for path in ("jobs/retry", "jobs/cancel", "replay")),
    *((path, "filter", NO_FILTER) for path in ("jobs/retry", "jobs/cancel", "replay")),
    *((path, "no such field", {"text": "x"}) for path in BODIES),
]  # fmt: skip


def with_value(body: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    outer, _, inner = field.partition(".")
    return {**body, outer: {**body["filter"], inner: value} if inner else value}


@pytest.mark.parametrize(("path", "field", "values"), FIELDS, ids=[f"{path} {field}" for path, field, _ in FIELDS])
async def test_a_nasty_field_is_refused_by_its_name(
    port: Port, world: World, no_bug: Callable[[], bool], path: str, field: str, values: dict[str, Any]
) -> None:
    async with client(port) as http:
        for name, value in values.items():
            body = json.dumps(with_value(BODIES[path], field, value))
            answer = await http.post(f"/api/{path}", content=body.encode())
            error = answer.json()["error"]
            told = (path, field, name, error)
            assert answer.status_code == 422 and error["request_id"] == answer.headers["x-bb-requestid"], told
            assert error["detail"].startswith(field), told
    assert untouched(world) and no_bug()


NO_BODIES = {
    "no JSON": b"{", "nested": b"[" * 16_000, "nested objects": b'{"filter":' * 1_600, "no UTF-8": b'{"why": "\xff"}',
    "UTF-16": '{"why": "x"}'.encode("utf-16"), "a list": b"[]", "a text": b'"x"', "null": b"null", "a number": b"1",
    "a long number": b'{"why": ' + b"1" * 9_000 + b"}", "NULs": b"\0" * 100, "many fields": json.dumps(
        {f"f{number}": 1 for number in range(1000)}
    ).encode(), "too large": b" " * 20_000,
}  # fmt: skip


@pytest.mark.parametrize("path", BODIES)
async def test_a_body_that_is_none_is_refused(port: Port, world: World, no_bug: Callable[[], bool], path: str) -> None:
    async with client(port) as http:
        for name, body in NO_BODIES.items():
            answer = await http.post(f"/api/{path}", content=body)
            assert answer.status_code in (400, 413, 422) and answer.json()["error"]["detail"], (name, answer.text)
    assert untouched(world) and no_bug()


# Queries and paths

SURROGATE = "%ED%A0%80"
TIMES = [quote(value, errors="replace") for value in NO_TIME.values() if isinstance(value, str)]
TIMES += ["", "%00", "1e400", "-1", "9" * 5000, SURROGATE]
QUERIES: list[tuple[str, str, list[str]]] = [
    *(("jobs", name, ["%00", "a%00b", "x" * 400, ""]) for name in ("flow", "code", "key")),
    *(("dead-letters", name, ["%00", "a%00b", "x" * 400, ""]) for name in ("queue", "reason")),
    ("jobs", "status", ["%00", "LOST", "", "x" * 400, SURROGATE, "%ff"]),
    *(
        (path, "limit", ["0", "-1", "1001", str(2**63), str(-(2**63)), "9" * 5000, "x", "", "%00", "1.5", "1e3", "inf"])
        for path in ("jobs", "dead-letters", "actions")
    ),
    *((path, "since", TIMES) for path in ("jobs", "dead-letters")),
    *((path, "ids", ["x", "%00"]) for path in ("jobs", "dead-letters")),
    *((path, "other", ["x"]) for path in ("jobs", "dead-letters", "actions")),
    *((path, "limit", ["1&limit=2"]) for path in ("jobs", "dead-letters", "actions")),
]  # fmt: skip


@pytest.mark.parametrize(("path", "field", "values"), QUERIES, ids=[f"{path} {field}" for path, field, _ in QUERIES])
async def test_a_nasty_query_is_refused_by_the_fields_name(
    port: Port, no_bug: Callable[[], bool], path: str, field: str, values: list[str]
) -> None:
    async with client(port) as http:
        for value in values:
            answer = await http.get(f"/api/{path}?{field}={value}")
            error = answer.json()["error"]
            assert (answer.status_code, error["detail"].startswith(field)) == (422, True), (value[:50], error)
    assert no_bug()


@pytest.mark.parametrize("path", ["jobs", "dead-letters", "actions", "status"])
@pytest.mark.parametrize("query", ["%", "=&&=", "%ff=%fe", "%00=%00", "a" * 5000, "&" * 5000, SURROGATE])
async def test_a_query_that_is_none_is_refused_or_means_nothing(
    port: Port, no_bug: Callable[[], bool], path: str, query: str
) -> None:
    async with client(port) as http:
        answer = await http.get(f"/api/{path}?{query}")
    assert answer.status_code in (200, 422) and isinstance(answer.json(), dict)
    assert no_bug()


IDS = [
    "7",
    "%00",
    "%ff",
    SURROGATE,
    "x" * 5000,
    "a%2fb",
    "..",
    "%2e%2e",
    "{}",
    "00000000-0000-0000-0000-00000000000%00",
]


@pytest.mark.parametrize("id_", IDS)
async def test_an_id_that_is_none_is_refused(port: Port, no_bug: Callable[[], bool], id_: str) -> None:
    async with client(port) as http:
        for path in (f"/api/dead-letters/{id_}", f"/static/{id_}", f"/api/{id_}", f"/{id_}"):
            answer = await http.get(path)
            assert answer.status_code in (200, 400, 401, 404, 422), path  # by way of ".." the status and the page
    assert no_bug()


# Headers

ODD_HEADERS: list[dict[str, str | bytes]] = [
    *({"Host": host} for host in ("evil.example", "127.0.0.1.evil.example", "")),
    *({"Origin": origin} for origin in ("http://[", "null", "", "http://evil.example", "x" * 9000, b"http://\xff")),
    {"Authorization": "Bearer"}, {"Authorization": b"Bearer \xff"}, {"Authorization": "Bearer " + "x" * 9000},
    {"Authorization": "Basic " + TOKEN}, {"Authorization": b"\xff"},
]  # fmt: skip
POSTS = [f"/api/{path}" for path in BODIES] + ["/api/check", "/api/import-history?name=x"]
GETS = [
    "/api/status",
    "/api/jobs",
    "/api/actions",
    "/api/dead-letters",
    "/api/dead-letters/7",
    "/api/jobs/7",
    "/api/sources",
]


@pytest.mark.parametrize(("method", "path"), [*itertools.product(["POST"], POSTS), *itertools.product(["GET"], GETS)])
async def test_the_same_access_rule_stands_before_everything(
    port: Port, world: World, no_bug: Callable[[], bool], method: str, path: str
) -> None:
    async with client(port) as http:
        for headers in ODD_HEADERS:
            answer = await http.request(method, path, headers=headers, content=b"{}" if method == "POST" else None)
            code = 421 if "Host" in headers else 403 if "Origin" in headers else 401
            assert answer.status_code == code and answer.json()["error"]["code"], headers
            assert answer.json()["error"]["request_id"] == answer.headers["x-bb-requestid"]
    assert untouched(world) and not world.checked and no_bug()


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": b"gcc_ops_1=\xff; =; ;;;"}, {"Cookie": "x" * 9000}, {"X-Gcc-Who": b"\xff\xfe"},
        {"Range": "bytes=9-1"},
        {"If-None-Match": b"\xff,,,"}, {"If-Modified-Since": "Thu, 99 Foo 0000"}, {"Content-Length": "0"},
        {"Content-Type": "application/json; charset=;"}, {"Accept": "," * 5000}, {"Accept-Encoding": "br;q=nan"},
        {"X-Bb-Requestid": "x" * 36}, {"X-Forwarded-Host": "evil.example"}, {"Forwarded": "host=["},
    ],
)  # fmt: skip
async def test_other_odd_headers_change_nothing(
    port: Port, no_bug: Callable[[], bool], headers: dict[str, str | bytes]
) -> None:
    async with client(port) as http:
        for path in ("/api/status", "/", "/static/app.js", "/metrics", "/ready"):
            answer = await http.get(path, headers=headers)
            assert answer.status_code in (200, 304, 401, 416), path
    assert no_bug()


# What lasts


async def test_a_check_that_lasts_is_answered(port: Port, world: World) -> None:
    world.stuck = True
    async with client(port) as http:
        answer = await http.post("/api/check")
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "TIMEOUT")
    assert "ops.check_s" in answer.json()["error"]["detail"]


async def test_a_check_ends_when_its_caller_hangs_up(world: World, no_bug: Callable[[], bool]) -> None:
    world.stuck = True
    async with ops_port(world, check_s=60) as port:
        async with await trio.open_tcp_stream("127.0.0.1", port.number) as stream:
            request = f"POST /api/check HTTP/1.1\r\nHost: {port.url[7:]}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
            await stream.send_all(request.encode())
            with trio.fail_after(5):
                while not world.checked:
                    await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(5):
            while world.checked != ["check", "ended"]:
                await trio.testing.wait_all_tasks_blocked()
    assert no_bug()


# The websocket


async def closed_with(port: Port, messages: list[str | bytes]) -> int:
    """The code with which the feed ends when it is told so much at once."""
    connection = Connection(ConnectionType.CLIENT)
    async with await trio.open_tcp_stream("127.0.0.1", port.number) as stream:
        key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13"
        await stream.send_all(
            f"GET /ws HTTP/1.1\r\nHost: {port.url[7:]}\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n\r\n".encode()
        )
        received = await stream.receive_some()
        assert b" 101 " in received
        events = [BytesMessage(sent) if isinstance(sent, bytes) else TextMessage(sent) for sent in messages]
        with suppress(trio.BrokenResourceError):
            await stream.send_all(b"".join(connection.send(event) for event in events))
        connection.receive_data(received.partition(b"\r\n\r\n")[2])
        with trio.fail_after(5):
            while True:
                for event in connection.events():
                    if isinstance(event, CloseConnection):
                        return event.code
                connection.receive_data(await stream.receive_some() or None)


@pytest.mark.parametrize(
    ("sent", "code"),
    [("status", 1008), ('{"command": "drain"}', 1008), (b"\0\xff", 1008), ("", 1008), ("x" * 100_000, 1009)],
)
async def test_the_feed_takes_no_messages(
    port: Port, world: World, no_bug: Callable[[], bool], sent: str | bytes, code: int
) -> None:
    url = port.url.replace("http", "ws") + "/ws"
    async with open_websocket_url(url, extra_headers=[*BEARER.items()]) as ws:
        await ws.get_message()
        assert await closed_with(port, [sent] * 50) == code
        with trio.fail_after(5):
            assert json.loads(await ws.get_message())["state"] == "ready"
    assert untouched(world) and no_bug()

"""The ops port over real HTTP and websockets: what it tells, whom it answers, what it refuses."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import trio
import trio.testing
from prometheus_client.parser import text_string_to_metric_families
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url, wrap_client_stream

from gcc.channels.exchange import QueueDepth
from gcc.stores.postgres import transient
from gcc.web.ops import app as ops
from gcc.web.ops.registry import command
from gcc.web.ops.snapshot import Counts
from tests.integration.ops_platform import ACTORS, TOKEN, Port, World, client, ops_port

pytest_plugins = ["tests.fixtures_ops"]

BEARER = [("Authorization", f"Bearer {TOKEN}")]
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Version": "13",
}


def ws_url(port: Port) -> str:
    return port.url.replace("http", "ws") + "/ws"


async def message(ws: WebSocketConnection) -> dict:
    with trio.fail_after(5):
        return json.loads(await ws.get_message())


def refusal(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body["status"] == "ERROR" and body["data"] is None
    assert body["error"]["request_id"] == answer.headers["x-bb-requestid"]
    assert body["error"]["title"] and body["error"]["detail"] and body["error"]["errors"] == []
    return answer.status_code, body["error"]["code"]


# What it tells


async def test_the_status_object_has_all_that_the_interface_names(port: Port, world: World) -> None:
    async with client(port) as http:
        status = (await http.get("/api/status")).json()
    assert status["state"] == "ready" and status["uptime_s"] >= 0
    assert [actor["name"] for actor in status["actors"]] == list(ACTORS)
    sinker = next(actor for actor in status["actors"] if actor["name"] == "events/sinker post_log")
    assert (sinker["state"], sinker["restarts"], sinker["in_flight"], sinker["lag_s"]) == ("backoff", 2, 2000, 41.0)
    assert sinker["last_error"].startswith("Transient: ClickHouse: Code 241")
    assert status["in_flight"] == 24
    assert status["jobs"] == {"PENDING": 652, "PROCESSING": 24, "COMPLETE": 1323, "FAILED": 1}
    assert status["jobs_by_flow"] == world.counts.jobs_by_flow
    assert status["first_crawl"] == {"done": 1324, "total": 2000}
    assert (status["failures_per_hour"], status["stored_lag_s"], status["drain"]) == (3, 2.4, None)
    kinds = {use["name"]: (use["kind"], use["used"], use["size"]) for use in status["channels"]}
    assert kinds["jobs refresh_profile_by_handle"] == ("channel", 27, 32)
    assert kinds["pool actors"] == ("pool", 9, 12)
    assert kinds["post_log_events_q"] == ("queue", 48_210, None)
    assert status["urls"]["ops"] == port.url


async def test_websocket_messages_are_the_status_with_series_and_errors(port: Port) -> None:
    async with open_websocket_url(ws_url(port), extra_headers=BEARER) as ws:
        first, second = await message(ws), await message(ws)
    assert first["at"] < second["at"]
    assert set(first["series"]) == {"events_per_s", "flush_ms"}
    assert [error["actor"] for error in first["errors"]] == ["events/sinker post_log", "scraping/producer"]


async def test_before_the_first_count_numbers_are_unknown_and_not_zero(world: World) -> None:
    world.counts_down = True
    async with ops_port(world) as port, client(port) as http:
        status = (await http.get("/api/status")).json()
    assert status["counts_age_s"] is None and status["counts_error"].startswith("PostgreSQL does not answer")
    assert status["failures_per_hour"] is None and status["stored_lag_s"] is None
    assert status["jobs"] == {} and status["first_crawl"] is None


async def test_a_dead_database_makes_the_counts_older_and_stops_nothing_else(port: Port, world: World) -> None:
    async with open_websocket_url(ws_url(port), extra_headers=BEARER) as ws:
        fresh = await message(ws)
        while fresh["counts_age_s"] is None:
            fresh = await message(ws)
        world.counts_down = True
        world.board.actor("late").in_flight = 7
        while (old := await message(ws))["counts_error"] is None or old["counts_age_s"] < 1.2:
            pass
    assert old["jobs"] == fresh["jobs"]
    assert (old["actors"][-1]["name"], old["actors"][-1]["in_flight"]) == ("late", 7)


async def test_the_state_is_unready_while_the_database_cannot_be_reached(world: World) -> None:
    """It said ready beside counts that stood still."""

    known, is_away = world.count, True

    async def count() -> Counts:
        with transient("actors"):
            if is_away:
                raise psycopg.OperationalError("connection refused")
        return await known()

    world.count = count  # type: ignore[method-assign]
    async with ops_port(world) as port, open_websocket_url(ws_url(port), extra_headers=BEARER) as ws:
        while (await message(ws))["state"] != "unready":
            pass
        is_away = False
        while (await message(ws))["state"] != "ready":
            pass


async def test_requests_are_counted_by_the_pattern_of_their_route(port: Port) -> None:
    async with client(port) as http:
        for path in ("/api/flows", "/static/app.js", "/static/no-such-file", "/no/such/path"):
            await http.get(path)
        lines = (await http.get("/metrics")).text.splitlines()
    counted = {line for line in lines if line.startswith("gcc_web_requests_total")}
    assert counted == {
        'gcc_web_requests_total{method="GET",route="/api/flows",status="200"} 1.0',
        'gcc_web_requests_total{method="GET",route="/static/<path:name>",status="200"} 1.0',
        'gcc_web_requests_total{method="GET",route="/static/<path:name>",status="404"} 1.0',
        'gcc_web_requests_total{method="GET",route="unmatched",status="404"} 1.0',
    }
    assert 'gcc_web_request_seconds_count{route="/api/flows"} 1.0' in lines


async def test_a_count_that_raises_something_unexpected_is_told_and_takes_no_page_away(world: World) -> None:
    """What it says is no text for a websocket as it is: half a character in the error, and in its traceback."""

    async def broken() -> Counts:
        raise ValueError("a row that nobody can read: \ud83d\0")

    world.count = broken  # type: ignore[method-assign]
    async with ops_port(world) as port, open_websocket_url(ws_url(port), extra_headers=BEARER) as ws:
        while (status := await message(ws))["counts_error"] is None:
            pass
        assert status["counts_error"] == "ValueError: a row that nobody can read: ?\ufffd"
        (line,) = [actor for actor in (await message(ws))["actors"] if actor["name"] == "web/ops"]
    assert line["bugs"] >= 1 and "nobody can read" in line["stack"]


async def test_a_bug_that_every_count_meets_is_told_once_and_the_other_counts_go_on(world: World) -> None:
    counted = 0

    async def partly() -> Counts:
        nonlocal counted
        counted += 1
        return replace(world.counts, dead_letters=None, bug=ValueError("a letter that nobody can read"))

    world.count = partly  # type: ignore[method-assign]
    async with ops_port(world) as port, open_websocket_url(ws_url(port), extra_headers=BEARER) as ws:
        while (status := await message(ws))["counts_age_s"] is None or counted < 3:
            pass
    assert status["jobs_by_flow"] == world.counts.jobs_by_flow
    assert (status["dead_letters"], status["counts_error"]) == (None, "ValueError: a letter that nobody can read")
    (line,) = [actor for actor in status["actors"] if actor["name"] == "web/ops"]
    assert line["bugs"] == 1


async def test_a_lost_exchange_leaves_the_queues_and_the_lag_unknown_and_the_rest_counted(world: World) -> None:
    world.set_counts(queues=[], stored_lag_s=None, queues_error="the broker is away")
    async with ops_port(world) as port, open_websocket_url(ws_url(port), extra_headers=BEARER) as ws:
        while (status := await message(ws))["counts_age_s"] is None:
            pass
    assert (status["counts_error"], status["stored_lag_s"]) == ("the broker is away", None)
    assert status["jobs"]["COMPLETE"] == 1323 and status["counts_age_s"] < 5
    assert not [channel for channel in status["channels"] if channel["kind"] == "queue"]


async def test_metrics_are_prometheus_text(port: Port, world: World) -> None:
    world.store(1000, 0.02)
    async with client(port, token=None) as http:
        answer = await http.get("/metrics")
    assert 'gcc_sinker_events_total{table="profile_log_events"} 1000.0' in answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    names = {line.split("{")[0].split()[0] for line in answer.text.splitlines() if not line.startswith("#")}
    assert {"gcc_build_info", "process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"} <= names
    assert not [name for name in names if name.endswith("_created")]


async def test_metrics_have_every_actor_and_queue_of_the_snapshot(port: Port, world: World) -> None:
    """The same as the dashboard shows; what is not known is left out, and all error queues are one."""
    world.counts.queues.extend([QueueDepth("error.a_q", 1, 1, 2.0), QueueDepth("error.b_q", 2, 0, 7.0)])
    async with client(port, token=None) as http, open_websocket_url(ws_url(port), extra_headers=BEARER) as ws:
        while (status := await message(ws))["counts_age_s"] is None:
            pass
        text = (await http.get("/metrics")).text
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    for actor in status["actors"]:
        assert samples["gcc_actors_state", actor["name"], actor["state"]] == 1
        assert samples["gcc_actors_restarts_total", actor["name"]] == actor["restarts"]
        assert samples.get(("gcc_actors_lag_seconds", actor["name"])) == actor["lag_s"]
    queues = [channel for channel in status["channels"] if channel["kind"] == "queue"]
    assert queues[-1] == {
        "name": "error queues", "consumer": "events/sinker error_queues", "used": 3, "size": None, "kind": "queue",
        "in_flight": 1, "oldest_s": 7.0,
    }  # fmt: skip
    assert all(samples["gcc_queues_events", queue["name"]] == queue["used"] for queue in queues)
    assert samples["gcc_platform_jobs", "COMPLETE"] == status["jobs"]["COMPLETE"]
    assert samples[("gcc_platform_stored_lag_seconds",)] == status["stored_lag_s"]
    assert status["api_jobs"] == [{"kind": "leaderboard_export", "state": "PENDING", "jobs": 3, "oldest_s": 12.0}]
    assert samples["gcc_api_jobs_unfinished", "leaderboard_export", "PENDING"] == 3
    assert samples["gcc_api_jobs_oldest_seconds", "leaderboard_export", "PENDING"] == 12.0


async def test_ready_tells_the_state_and_live_only_that_it_lives(port: Port, world: World) -> None:
    async with client(port, token=None) as http:
        answers = []
        for world.state in ("starting", "ready", "draining"):
            ready = await http.get("/ready")
            answers.append((ready.status_code, ready.json()))
            assert (await http.get("/live")).status_code == 200
    assert answers == [(503, {"state": "starting"}), (200, {"state": "ready"}), (503, {"state": "draining"})]


# Whom it answers


@pytest.mark.parametrize("token", ["x", "a-token", TOKEN + "x", TOKEN.upper()])
async def test_without_the_token_there_is_no_status(port: Port, token: str) -> None:
    async with client(port, token=token) as http:
        assert refusal(await http.get("/api/status")) == (401, "TOKEN_REQUIRED")
        assert refusal(await http.post("/api/drain")) == (401, "TOKEN_REQUIRED")
        assert refusal(await http.get("/ws", headers=UPGRADE)) == (401, "TOKEN_REQUIRED")


async def test_a_look_at_a_store_that_hangs_ends(port: Port, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(*_: Any, **__: Any) -> Any:
        await trio.sleep_forever()

    monkeypatch.setattr(ops, "LOOK_S", 0.1)
    monkeypatch.setattr(world.letters, "find", hangs)
    monkeypatch.setattr(world.jobs, "find", hangs)
    async with client(port) as http:
        for path in ("/api/dead-letters", "/api/jobs"):
            with trio.fail_after(5):
                answer = await http.get(path)
            assert refusal(answer) == (503, "STORE_UNAVAILABLE")
            assert "does not answer within 0.1 s" in answer.json()["error"]["detail"]


async def test_the_printed_url_sets_a_cookie_and_hides_the_token(port: Port) -> None:
    async with client(port, token=None) as http:
        opened = await http.get("/", params={"token": TOKEN})
        assert opened.status_code == 303 and opened.headers["location"] == "/"
        cookie = opened.headers["set-cookie"]
        assert cookie.startswith(f"gcc_ops_{port.number}={TOKEN};")
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        page = await http.get("/")
        assert page.status_code == 200 and page.headers["cache-control"] == "no-store"
        assert (await http.get("/api/status")).status_code == 200


@pytest.mark.parametrize("path", ["/", "/?token=wrong", "/?token=t%C3%B6k%C3%A9n"])
async def test_the_page_without_the_token_tells_the_way_in(port: Port, path: str) -> None:
    async with client(port, token=None) as http:
        answer = await http.get(path)
    assert answer.status_code == 401 and "set-cookie" not in answer.headers
    assert "python -m gcc.supervisor status" in answer.text


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("gcc-platform --data '/srv/my data'", "gcc-platform --data '/srv/my data'"),
        ("gcc-platform --data '/srv/<b>`${x}'", "python -m gcc.supervisor"),  # which a page cannot show as text
    ],
)
async def test_verbs_are_shown_as_they_reach_this_process(world: World, given: str, shown: str) -> None:
    async with ops_port(world, command=given) as port, client(port) as http:
        assert f"<pre>{shown} status</pre>" in (await http.get("/?token=wrong")).text
        assert f"text=${{`{shown} jobs show ${{job.id}}`}}" in (await http.get("/static/pages/jobs.js")).text


def test_a_verb_begins_as_the_process_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    var, prefix = tmp_path / "var", str(tmp_path / ".venv")
    for given, shown in (
        (command(var, started_as="/x/gcc/supervisor/__main__.py", prefix="/usr"), "python -m gcc.supervisor"),
        (command(var, started_as="__main__.py", prefix=prefix), ".venv/bin/python -m gcc.supervisor"),
        (command(var, started_as="/x/bin/gcc-platform", prefix=prefix), "gcc-platform"),
        (command(Path("/my data"), started_as="gcc-platform", prefix="/usr"), "gcc-platform --data '/my data'"),
    ):
        assert given == shown


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8010", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", "a_b"]
)
async def test_a_foreign_host_name_is_refused(port: Port, host: str) -> None:
    async with client(port) as http:
        answer = await http.get("/api/status", headers={"Host": host})
        assert refusal(answer) == (421, "HOST_NOT_ALLOWED")
        assert (await http.get("/", headers={"Host": host})).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1", "127.0.0.2:80", "[::1]:8010"])
async def test_loopback_names_are_allowed(port: Port, host: str) -> None:
    async with client(port) as http:
        assert (await http.get("/api/status", headers={"Host": host})).status_code == 200


async def test_a_page_of_another_site_gets_no_websocket_even_with_the_cookie(port: Port) -> None:
    cookie = {"Cookie": f"gcc_ops_{port.number}={TOKEN}"}
    async with client(port, token=None) as http:
        foreign = await http.get("/ws", headers=UPGRADE | cookie | {"Origin": "http://127.0.0.1:1"})
    assert refusal(foreign) == (403, "ORIGIN_REFUSED")
    async with open_websocket_url(ws_url(port), extra_headers=[*cookie.items(), ("Origin", port.url)]) as ws:
        assert (await message(ws))["state"] == "ready"


async def test_answers_forbid_framing_sniffing_and_foreign_code(port: Port) -> None:
    async with client(port) as http:
        for path in ("/", "/api/status", "/static/app.js", "/nothing"):
            headers = (await http.get(path)).headers
            policy = headers["content-security-policy"]
            assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"


# The drain


async def test_drain_with_the_token_asks_for_it(port: Port, world: World) -> None:
    async with client(port) as http:
        one = await http.post("/api/drain", json={"role": "scraper"})
        every = await http.post("/api/drain", json={"role": None})
        again = await http.post("/api/drain")
        status = (await http.get("/api/status")).json()
    assert [answer.status_code for answer in (one, every, again)] == [202, 202, 202]
    assert one.json()["data"] == {"role": "scraper", "state": "ready"}
    assert every.json()["data"] == {"role": None, "state": "draining"}
    assert [role for role, _ in world.asked] == ["scraper", None, None]
    assert [stage["name"] for stage in status["drain"]] == ["intake", "scrapers", "relay", "sinkers", "ports"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "BODY_INVALID"),
        (b'{"role": "cook"}', 422, "ROLE_UNKNOWN"),
        (b'{"role": ["web"]}', 422, "ROLE_UNKNOWN"),
        (b"[]", 422, "REQUEST_INVALID"),
        (b'{"roles": null}', 422, "REQUEST_INVALID"),
        (b" " * (ops.BODY_BYTES_MAX + 1), 413, "REQUEST_ENTITY_TOO_LARGE"),
    ],
)
async def test_a_drain_that_makes_no_sense_is_refused(
    port: Port, world: World, body: bytes, status: int, code: str
) -> None:
    async with client(port) as http:
        assert refusal(await http.post("/api/drain", content=body)) == (status, code)
    assert world.asked == []


@pytest.mark.parametrize("missing", ["origin", "action", "nothing"])
async def test_a_cookie_drains_only_from_the_page_itself(port: Port, world: World, missing: str) -> None:
    headers = {"Cookie": f"gcc_ops_{port.number}={TOKEN}", "Origin": port.url, "x-gcc-action": "drain"}
    headers.pop({"origin": "Origin", "action": "x-gcc-action"}.get(missing, ""), None)
    async with client(port, token=None) as http:
        answer = await http.post("/api/drain", headers=headers, json={"role": None})
        foreign = await http.post("/api/drain", headers=headers | {"Origin": "http://evil.example"})
    assert refusal(foreign)[0] == 403
    if missing == "nothing":
        assert answer.status_code == 202 and world.asked == [(None, "asked for by dashboard")]
    else:
        assert refusal(answer) == (403, "ACTION_NOT_CONFIRMED") and world.asked == []


# Clients


async def test_viewers_are_limited(port: Port) -> None:
    port.composer.hub.clients_max = 1
    async with open_websocket_url(ws_url(port), extra_headers=BEARER) as ws:
        await message(ws)
        async with client(port) as http:
            assert refusal(await http.get("/ws", headers=UPGRADE)) == (503, "TOO_MANY_VIEWERS")
    with trio.fail_after(5):
        while port.composer.hub.clients:
            await trio.testing.wait_all_tasks_blocked()
    async with open_websocket_url(ws_url(port), extra_headers=BEARER) as ws:
        await message(ws)


async def test_a_viewer_that_does_not_read_is_dropped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "SEND_S", 0.3)
    async with ops_port(world) as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port.number)
        key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13"
        await stream.send_all(
            f"GET /ws HTTP/1.1\r\nHost: {port.url[7:]}\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n\r\n".encode()
        )
        with trio.fail_after(10):
            while not port.composer.hub.clients:
                await trio.testing.wait_all_tasks_blocked()
            big = "x" * 4_000_000
            while port.composer.hub.clients:
                port.composer.hub.publish(big)
                await trio.testing.wait_all_tasks_blocked(0.01)
        await stream.aclose()


async def test_websockets_close_cleanly_when_the_process_drains(port: Port) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port.number) as stream, trio.open_nursery() as nursery:
        ws = await wrap_client_stream(nursery, stream, port.url[7:], "/ws", extra_headers=BEARER)
        await message(ws)
        port.draining.set()
        with pytest.raises(ConnectionClosed) as closed, trio.fail_after(5):
            while True:
                await ws.get_message()
    assert closed.value.reason.code == 1001
    with trio.fail_after(5):
        await port.returned.wait()


async def test_each_page_has_an_address_that_needs_the_token(port: Port) -> None:
    async with client(port, token=None) as http:
        for path in ("/jobs", "/jobs/019a", "/sources", "/events", "/schedules", "/processes"):
            assert (await http.get(path)).status_code == 401
            given = await http.get(f"{path}?token={TOKEN}")
            assert (given.status_code, given.headers["location"]) == (303, path)
            answer = await http.get(path, headers={"cookie": given.headers["set-cookie"].partition(";")[0]})
            assert answer.status_code == 200 and b'href="/static/pages/jobs.js"' in answer.content
            http.cookies.clear()
        for path, kept in (
            ("/jobs?status=FAILED&token={}&text=a%26b%00", "/jobs?status=FAILED&text=a%26b%00"),
            ("/jobs/a%01b?token={}", "/jobs/a%01b"),
        ):
            given = await http.get(path.format(TOKEN))
            assert (given.status_code, given.headers["location"]) == (303, kept)
            http.cookies.clear()
        for path in ("/overview", "/job", "/jobs2", "/pages/jobs"):
            assert refusal(await http.get(path)) == (404, "NOT_FOUND")


def test_each_module_of_a_page_has_its_row() -> None:
    rows = (ops.STATIC / "pages.js").read_text()
    modules = {path.stem for path in (ops.STATIC / "pages").glob("*.js")}
    paths = set(re.findall(r'path: "/(\w*)"', rows))
    assert paths == modules - {ops.OVERVIEW} | {""}
    assert set(re.findall(r'from "\./pages/(\w+)\.js"', rows)) == modules


async def test_static_files_are_asked_for_again_and_not_sent_again(port: Port) -> None:
    async with client(port, token=None) as http:
        first = await http.get("/static/vendor/uPlot.min.css")
        assert first.status_code == 200 and first.headers["content-type"].startswith("text/css")
        again = await http.get("/static/vendor/uPlot.min.css", headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304 and again.content == b""
        assert refusal(await http.get("/static/nothing.js")) == (404, "NOT_FOUND")
        for path in ("/static/../app.py", "/static/%2e%2e/app.py"):
            assert refusal(await http.get(path))[0] in (400, 404)  # httpx itself resolves the first
        assert refusal(await http.get("/api/drain")) == (405, "METHOD_NOT_ALLOWED")

"""The layers every request passes: ids, auth, CORS, limits, deadlines, drain, recovery, counting, the document."""

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from quart import Request

from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.stores.tenant import Tenant
from gcc.web.api.envelope import Answer
from gcc.web.api.errors import Code
from gcc.web.api.route import Route
from tests.integration.api_serving import Api, add_instagram, serving_api

KNOWN = "/discovery-service/api/profile/INSTAGRAM/known"
BOARD = "/leaderboard-service/api/leaderboard/platform/INSTAGRAM"
PAGE = "https://app.example.org"


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    async with serving_api(pool, clickhouse, cors_origins=(PAGE,), body_bytes_max=2048) as api:
        yield api


@pytest.fixture
async def impatient(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    """A busy machine may take longer for any answer, so only what waits for the deadline asks here."""
    async with serving_api(pool, clickhouse, deadline_s=0.4) as api:
        yield api


@pytest.mark.parametrize(
    "value", [None, "", "gcc-dev", "Bearer", "Bearer wrong", "Bearer gcc-dev2", "Basic gcc-dev", "Bearer é"]
)
async def test_without_the_token_there_is_no_answer(api: Api, value: str | None) -> None:
    del api.client.headers["authorization"]
    headers = {} if value is None else {"authorization": value.encode()}
    for path in (KNOWN, "/no/such/path"):
        response = await api.get(path, headers=headers)
        assert (response.status_code, response.json()["error"]["code"]) == (401, "UNAUTHORIZED")
        assert response.headers["www-authenticate"].startswith("Bearer ")
        assert "gcc-dev" not in response.text


async def test_the_scheme_has_no_case(api: Api) -> None:
    response = await api.call("POST", BOARD, headers={"authorization": "bearer gcc-dev"})
    assert response.status_code == 200


async def test_an_empty_token_opens_nothing(pool: Pool, clickhouse: ClickHouse) -> None:
    async with serving_api(pool, clickhouse, dev_token="") as api:
        for value in ("Bearer", "bearer", "Bearer  x"):
            response = await api.get(KNOWN, headers={"authorization": value})
            assert response.status_code == 401
        assert (await api.get("/heartbeat")).status_code == 200


async def test_a_request_id_is_kept_if_it_is_a_uuid_else_minted(api: Api) -> None:
    mine = str(uuid.uuid4())
    assert (await api.get(KNOWN, headers={"x-bb-requestid": mine})).headers["x-bb-requestid"] == mine
    for other in ("7", "x" * 36, "{" + mine[1:-1] + "}", mine * 2, "urn:uuid:" + mine):
        minted = (await api.get(KNOWN, headers={"x-bb-requestid": other})).headers["x-bb-requestid"]
        assert minted != other and uuid.UUID(minted).version == 7


async def test_unknown_paths_and_methods_are_answered_in_the_envelope(api: Api) -> None:
    for path in ("/", "/favicon.ico", KNOWN + "/", "//heartbeat", "/docs/", "/discovery-service/api/profile/X"):
        assert (await api.refused("GET", path))[:2] == (404, "NOT_FOUND")
    for method, path, allow in (
        ("POST", KNOWN, "GET, HEAD"),
        ("GET", BOARD, "POST"),
        ("DELETE", BOARD, "POST"),
        ("BREW", BOARD, "POST"),
        ("PUT", "/heartbeat", "GET, HEAD"),
    ):
        response = await api.call(method, path)
        assert (response.status_code, response.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")
        assert response.headers["allow"] == allow


async def test_head_has_the_headers_and_no_body(api: Api, pool: Pool) -> None:
    await add_instagram(pool, "known")
    response = await api.client.head(KNOWN)
    assert response.status_code == 200 and response.content == b"" and int(response.headers["content-length"]) > 100


async def test_heartbeat_is_open_and_follows_the_state(api: Api) -> None:
    del api.client.headers["authorization"]
    assert (await api.get("/heartbeat")).json()["data"] == {"state": "ready"}
    for state, code in (("starting", "STARTING"), ("draining", "DRAINING")):
        api.state = state
        assert (await api.refused("GET", "/heartbeat"))[:2] == (503, code)


async def test_a_heartbeat_is_refused_while_the_database_is_away(api: Api) -> None:
    """It said ready, and load balancers sent requests that nobody could answer."""
    api.app.pool = Pool("postgresql://127.0.0.1:1/gcc", 1, name="away")
    assert (await api.refused("GET", "/heartbeat"))[:2] == (503, "STORE_UNAVAILABLE")


async def test_while_draining_writes_are_refused_and_reads_answered(api: Api, pool: Pool) -> None:
    await add_instagram(pool, "known")

    async def write(tenant: Tenant, request: Request) -> Answer:
        return Answer({"state": "ready"}, "process")

    api.app.add(Route("POST", "/written", "write", "", write, data=Any, errors=(Code.DRAINING,), reads=False))
    assert (await api.call("POST", "/written")).status_code == 200
    api.state = "draining"
    assert (await api.refused("POST", "/written"))[:2] == (503, "DRAINING")
    assert (await api.get(KNOWN)).status_code == 200
    assert (await api.call("POST", BOARD)).status_code == 200  # asks by POST, writes nothing


async def test_pages_of_allowed_origins_may_call(api: Api) -> None:
    preflight = {"origin": PAGE, "access-control-request-method": "POST"}
    del api.client.headers["authorization"]
    response = await api.client.options(BOARD, headers=preflight)
    assert response.status_code == 204 and response.content == b""
    assert response.headers["access-control-allow-origin"] == PAGE
    assert "authorization" in response.headers["access-control-allow-headers"]
    assert "POST" in response.headers["access-control-allow-methods"]
    refusal = await api.get(KNOWN, headers={"origin": PAGE})  # errors can be read by the page too
    assert refusal.headers["access-control-allow-origin"] == PAGE and refusal.headers["vary"] == "Origin"
    assert "x-bb-requestid" in refusal.headers["access-control-expose-headers"]


@pytest.mark.parametrize("path", [KNOWN, "/docs", "/openapi.json", "/heartbeat", "/no/such/path"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:8009", "127.0.0.1.evil.example", "0.0.0.0", "["])
async def test_while_there_is_a_dev_token_only_this_machine_may_ask(api: Api, path: str, host: str) -> None:
    """A page of evil.example whose name leads to 127.0.0.1 would be of the same origin, and knows the token."""
    for headers in ({"host": host}, {"host": host, "origin": f"http://{host}"}):
        assert (await api.refused_raw(path, headers))[:2] == (421, "HOST_NOT_ALLOWED")


@pytest.mark.parametrize("origin", ["http://evil.example", "http://[", "null", "https://127.0.0.1"])
async def test_and_no_page_of_another_site_may_let_it(api: Api, pool: Pool, origin: str) -> None:
    await add_instagram(pool, "known")
    assert (await api.refused_raw(KNOWN, {"origin": origin}))[:2] == (403, "ORIGIN_NOT_ALLOWED")
    for ours in (PAGE, str(api.client.base_url)):
        assert (await api.get(KNOWN, headers={"origin": ours})).status_code == 200


async def test_without_a_dev_token_names_are_the_operators_affair(pool: Pool, clickhouse: ClickHouse) -> None:
    async with serving_api(pool, clickhouse, dev_token="") as api:
        headers = {"host": "data.example.org", "origin": "https://data.example.org"}
        assert (await api.get("/heartbeat", headers=headers)).status_code == 200


@pytest.mark.parametrize("path", [KNOWN, "/heartbeat", "/ws", "/"])
async def test_a_websocket_is_refused_in_the_envelope(api: Api, path: str) -> None:
    upgrade = {
        "connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }  # fmt: skip
    assert (await api.refused_raw(path, upgrade))[:2] == (403, "NO_WEBSOCKET")


ODD_TARGETS = [
    b"/%00", b"/%ff%fe", b"/%ed%a0%80", b"/\\..\\..", b"//[", b"//evil.example/docs", b"/docs/static/%2e%2e/index.html",
    b"/discovery-service/api/profile/INSTAGRAM/%00", b"/discovery-service/api/profile/INSTAGRAM/%ff",
    b"/discovery-service/api/profile/INSTAGRAM/a%2fb", b"/discovery-service/api/profile/%00/known",
    b"/discovery-service/api/profile/INSTAGRAM/known/posts?limit=%00", b"/heartbeat;x=1", b"/" + b"/" * 4000,
    b"/discovery-service/api/profile/INSTAGRAM/known/posts?" + b"limit=1&" * 900, b"/?%", b"/%", b"/?=&&=;",
    b"/discovery-service/api/profile/INSTAGRAM/known/posts?limit=9" + b"9" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("target", ODD_TARGETS)
async def test_odd_paths_and_queries_are_refused_in_the_envelope(api: Api, target: bytes) -> None:
    request = b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer gcc-dev\r\n\r\n" % target
    url = api.client.base_url
    async with await trio.open_tcp_stream(url.host, url.port or 0) as stream:
        await stream.send_all(request.replace(b"Host: x", f"Host: {url.netloc.decode()}".encode()))
        answer = b"".join([piece async for piece in stream])
    head, _, body = answer.partition(b"\r\n\r\n")
    error = json.loads(body)["error"]
    assert 400 <= int(head.split()[1]) < 500 and error["detail"] and error["request_id"].encode() in head


@pytest.mark.parametrize("origin", ["https://evil.example", PAGE + ".evil.example", PAGE.upper(), "null", PAGE + "/"])
async def test_other_origins_get_no_permission(api: Api, origin: str) -> None:
    preflight = await api.client.options(BOARD, headers={"origin": origin, "access-control-request-method": "POST"})
    asked = await api.get("/heartbeat", headers={"origin": origin})
    assert not preflight.is_success
    for response in (preflight, asked):
        assert not [name for name in response.headers if name.startswith("access-control")]
        assert response.headers["vary"] == "Origin"


async def test_no_origin_is_allowed_by_default(pool: Pool, clickhouse: ClickHouse) -> None:
    async with serving_api(pool, clickhouse) as api:
        response = await api.get("/heartbeat", headers={"origin": PAGE})
        assert not [name for name in response.headers if name.startswith("access-control")]


async def test_a_body_beyond_the_limit_is_refused(api: Api) -> None:
    async def pieces() -> AsyncIterator[bytes]:  # without a content-length
        for _ in range(10):
            yield b" " * 1000

    assert (await api.call("POST", BOARD, content=b" " * 2040 + b"{}")).status_code == 200
    for content in (b" " * 2049, pieces()):
        response = await api.call("POST", BOARD, content=content)
        assert (response.status_code, response.json()["error"]["code"]) == (413, "BODY_TOO_LARGE")


async def waiting_queries(pool: Pool) -> int:
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        row = await cursor.fetchone()
    assert row
    return int(row[0])


async def test_the_deadline_cancels_the_query_and_answers_504(impatient: Api, api: Api, pool: Pool) -> None:
    async with pool.transaction() as holder:
        await holder.execute("lock table instagram_account")
        assert (await impatient.refused("GET", KNOWN))[:2] == (504, "TIMEOUT")
        assert await waiting_queries(pool) == 0
    assert (await api.get(KNOWN)).status_code == 503  # nothing was scripted to be scraped; the query runs again


async def test_a_client_that_hangs_up_cancels_its_query(pool: Pool, clickhouse: ClickHouse) -> None:
    async with serving_api(pool, clickhouse, deadline_s=60) as api:
        async with pool.transaction() as holder:
            await holder.execute("lock table instagram_account")
            with trio.fail_after(10):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(api.client.get, KNOWN)
                    while not await waiting_queries(pool):
                        await trio.lowlevel.checkpoint()
                    nursery.cancel_scope.cancel()
                while await waiting_queries(pool):
                    await trio.lowlevel.checkpoint()


async def test_a_body_that_never_ends_is_timed_out(impatient: Api) -> None:
    host, port = impatient.client.base_url.host, impatient.client.base_url.port
    with trio.fail_after(5):
        async with await trio.open_tcp_stream(host, port or 0) as stream:
            head = (
                f"POST {BOARD} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer gcc-dev\r\nContent-Length: 9\r\n\r\n{{"
            )
            await stream.send_all(head.encode())
            assert b" 504 " in await stream.receive_some(16)


async def test_a_bug_is_an_answer_without_its_text(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    async def broken(tenant: Tenant, request: Request) -> Answer:
        raise RuntimeError("the secret is open sesame")

    api.app.add(Route("GET", "/broken", "broken", "", broken, data=Any))
    for _ in range(3):
        response = await api.get("/broken")
        assert (response.status_code, response.json()["error"]["code"]) == (500, "INTERNAL")
        assert "sesame" not in response.text and "Traceback" not in response.text
    logged = capsys.readouterr()
    assert response.headers["x-bb-requestid"] in logged.out + logged.err
    assert (await api.get("/heartbeat")).status_code == 200


async def test_a_bug_beside_a_cancellation_ends_its_request_alone(pool: Pool, clickhouse: ClickHouse) -> None:
    """The deadline, or a client that hangs up, cancels a handler, and one of its tasks raises on its way out."""
    ended = 0

    async def raises_when_cancelled() -> None:
        nonlocal ended
        try:
            await trio.sleep_forever()
        finally:
            ended += 1
            raise RuntimeError("while cancelled")

    async def broken(tenant: Tenant, request: Request) -> Answer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raises_when_cancelled)
            nursery.start_soon(trio.sleep_forever)
        raise AssertionError

    async def impatient() -> None:
        with trio.move_on_after(0.3):
            await api.client.get("/broken")

    async with serving_api(pool, clickhouse, deadline_s=1.0) as api:
        api.app.add(Route("GET", "/broken", "broken", "", broken, data=Any))
        response = await api.get("/broken")
        assert (response.status_code, response.json()["error"]["code"]) == (500, "INTERNAL")
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(impatient)
        with trio.fail_after(5):
            while ended < 6:
                await trio.lowlevel.checkpoint()
        assert (await api.get("/heartbeat")).status_code == 200


async def test_a_store_that_is_away_is_said_without_its_address(clickhouse: ClickHouse) -> None:
    pool = Pool("postgresql://nobody@127.0.0.1:1/nothing", 2, name="web")
    async with serving_api(pool, clickhouse) as api:
        for method, path in (
            ("GET", KNOWN),
            ("GET", KNOWN + "/posts"),
            ("GET", KNOWN + "/timeseries"),
            ("POST", BOARD),
        ):
            response = await api.call(method, path)
            assert (response.status_code, response.json()["error"]["code"]) == (503, "STORE_UNAVAILABLE")
            assert "127.0.0.1" not in response.text


async def test_requests_are_counted_by_route(api: Api) -> None:
    await api.get("/heartbeat")
    await api.call("POST", BOARD)
    for path in ("/one", "/two"):
        await api.client.request("BREW", path)

    def count(method: str, route: str, status: str) -> float | None:
        labels = {"method": method, "route": route, "status": status}
        return api.metrics.registry.get_sample_value("gcc_web_requests_total", labels)

    template = "/leaderboard-service/api/leaderboard/platform/{platform}"
    assert count("GET", "/heartbeat", "200") == 1 and count("POST", template, "200") == 1
    assert count("other", "unmatched", "404") == 2
    assert api.metrics.registry.get_sample_value("gcc_web_request_seconds_count", {"route": template}) == 1


async def test_the_document_describes_every_route_and_every_error(api: Api) -> None:
    del api.client.headers["authorization"]
    response = await api.client.get("/openapi.json")
    document = response.json()
    described = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    routed = {
        (rule.rule.replace("<", "{").replace(">", "}"), method)
        for rule in api.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
    }
    assert described == routed and len(described) >= 10
    assert document["openapi"] == "3.1.0"
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    in_answers = json.dumps([operation["responses"] for operation in operations])
    for code in Code:
        assert f"`{code.name}` | {code.status}" in document["info"]["description"]
        if code not in (Code.METHOD_NOT_ALLOWED, Code.NOT_JSON):  # of paths and of the world, not of operations
            assert f'"{code.name}"' in in_answers, f"no operation answers {code.name}"


async def test_the_document_is_whole(api: Api) -> None:
    document = (await api.client.get("/openapi.json")).json()
    text = json.dumps(document)
    for schema in document["components"]["schemas"]:
        assert f'"#/components/schemas/{schema}"' in text
    for reference in text.split('"$ref": "')[1:]:
        path = reference.partition('"')[0]
        assert path.startswith("#/components/schemas/") and path.rpartition("/")[2] in document["components"]["schemas"]
    series = document["paths"]["/discovery-service/api/profile/{platform}/{handle}/timeseries"]["get"]
    assert {"platform", "handle", "metric", "from", "to", "granularity"} == {p["name"] for p in series["parameters"]}
    board = document["paths"]["/leaderboard-service/api/leaderboard/platform/{platform}"]["post"]
    assert board["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/LeaderboardBody")


async def test_the_docs_page_needs_no_other_host(api: Api) -> None:
    del api.client.headers["authorization"]
    page = await api.client.get("/docs")
    assert page.status_code == 200 and "default-src 'none'" in page.headers["content-security-policy"]
    linked = [part.partition('"')[0] for mark in ('href="', 'src="') for part in page.text.split(mark)[1:]]
    files = [link for link in linked if not link.startswith("data:")]
    assert len(files) == 3 and all(link.startswith("/docs/static/") for link in files)
    for link in files:
        response = await api.client.get(link)
        assert response.status_code == 200 and len(response.content) > 100
    for name in ("index.html", "LICENSE", "swagger-ui.css%00"):
        missing = await api.client.get(f"/docs/static/{name}")
        assert missing.json()["error"]["code"] == "NOT_FOUND"

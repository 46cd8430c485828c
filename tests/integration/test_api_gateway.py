"""The layers every request passes: ids, auth, CORS, limits, deadlines, drain, recovery, counting, the document."""

import json
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pydantic
import pytest
import trio
from quart import Request

from gcc.config import Gateway as GatewaySettings
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.stores.tenant import Plan, Role, Tenant
from gcc.web.api import etags, shapes
from gcc.web.api.envelope import Answer
from gcc.web.api.errors import Code
from gcc.web.api.route import MAY, Route
from tests.integration.api_serving import Api, add_instagram, serving_api

KNOWN = "/discovery-service/api/profile/INSTAGRAM/known"
BOARD = "/leaderboard-service/api/leaderboard/platform/INSTAGRAM"
PAGE = "https://app.example.org"

# Of paths and of the world, not of operations; then those of services that are not here yet.
AWAITED = {
    Code.METHOD_NOT_ALLOWED,
    Code.IDEMPOTENCY_REQUIRED, Code.IDEMPOTENCY_IN_PROGRESS, Code.IDEMPOTENCY_MISMATCH, Code.LOGIN_FAILED,
    Code.REFRESH_REUSED, Code.QUOTA_SPENT, Code.PLAN_REQUIRED, Code.PARTNER_SUSPENDED, Code.POST_NOT_FOUND,
    Code.NO_DATA, Code.CONFLICT, Code.JOB_NOT_READY, Code.JOB_ENDED, Code.LAST_OWNER,
    Code.LIMIT_REACHED, Code.GONE, Code.PRECONDITION_FAILED, Code.INVALID_CSV, Code.INVALID_URL, Code.WEAK_PASSWORD,
    Code.TOKEN_INVALID, Code.LOGIN_THROTTLED, Code.UPSTREAM_FAILED,
}  # fmt: skip


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
    for path in ("/", "/favicon.ico", KNOWN + "/", "/docs/", "/discovery-service/api/profile/X"):
        assert (await api.refused("GET", path))[:2] == (404, "NOT_FOUND")
    for method, path, allow in (
        ("POST", KNOWN, "GET, HEAD"),
        ("GET", BOARD + "/category/x", "POST"),
        ("DELETE", BOARD, "GET, HEAD, POST"),
        ("PURGE", BOARD, "GET, HEAD, POST"),
        ("DELETE", "/heartbeat", "GET, HEAD, PUT"),
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


async def test_heartbeats_without_number_ask_the_database_once_a_second(api: Api) -> None:
    assert (await api.get("/heartbeat")).status_code == 200
    api.app.pool = Pool("postgresql://127.0.0.1:1/gcc", 1, name="away")
    assert (await api.get("/heartbeat")).status_code == 200
    api.app.answered_at_s -= 1.0
    assert (await api.refused("GET", "/heartbeat"))[:2] == (503, "STORE_UNAVAILABLE")


async def test_an_operator_takes_it_out_of_the_balance_and_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await api.refused("PUT", "/heartbeat?beat=false"))[:2] == (403, "FORBIDDEN")
    monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(1, "FREE", "OPERATOR"))
    for wrong in ("", "?beat=", "?beat=maybe", "?beat=false&x=1"):
        assert (await api.refused("PUT", f"/heartbeat{wrong}"))[:2] == (422, "INVALID_PARAMETER")
    assert (await api.call("PUT", "/heartbeat?beat=false")).json()["data"] == {"state": "ready"}
    assert (await api.refused("GET", "/heartbeat"))[:2] == (503, "DRAINING")
    monkeypatch.undo()
    assert (await api.call("POST", BOARD)).status_code == 200, "which goes on"
    monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(1, "FREE", "OPERATOR"))
    await api.call("PUT", "/heartbeat?beat=true")
    assert (await api.get("/heartbeat")).status_code == 200


async def test_while_draining_writes_are_refused_and_reads_answered(api: Api, pool: Pool) -> None:
    await add_instagram(pool, "known")

    async def write(tenant: Tenant, request: Request) -> Answer:
        return Answer({"state": "ready"}, "process")

    api.app.add(Route("POST", "/written", "write", "", write, data=Any))
    assert (await api.call("POST", "/written")).status_code == 200
    api.state = "draining"
    assert (await api.refused("POST", "/written"))[:2] == (503, "DRAINING")
    assert (await api.get(KNOWN)).status_code == 200
    assert (await api.call("POST", BOARD)).status_code == 200  # asks by POST, writes nothing


ROLES: tuple[Role, ...] = ("VIEWER", "EDITOR", "OWNER", "OPERATOR", "SERVICE")
ADMITTED = {
    "VIEWER": {"VIEWER", "EDITOR", "OWNER"},
    "EDITOR": {"EDITOR", "OWNER"},
    "OWNER": {"OWNER"},
    "OPERATOR": {"OPERATOR"},
    "SERVICE": {"SERVICE"},
}


async def test_a_role_is_let_in_where_the_route_says_so_and_a_plan_too(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def told(tenant: Tenant, request: Request) -> Answer:
        return Answer([tenant.role, tenant.plan], "process")

    def asks(role: Role, plan: Plan) -> None:
        monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(1, plan, role))

    for who in MAY:
        if who != "OPEN":
            api.app.add(Route("GET", f"/for/{who}", who, "", told, data=Any, who=who))
    for who, admitted in ADMITTED.items():
        for role in ROLES:
            asks(role, "PAID")
            response = await api.get(f"/for/{who}")
            assert (response.status_code == 200) is (role in admitted), (who, role)
            if role not in admitted:
                assert response.json()["error"]["code"] == "FORBIDDEN"
                assert response.json()["error"]["detail"].startswith(f"your role is {role}; this needs ")
    plans: tuple[Plan, ...] = ("FREE", "SAAS", "PAID")
    for least in plans:
        api.app.add(Route("GET", f"/plan/{least}", f"plan{least}", "", told, data=Any, who="EDITOR", plan=least))
        for plan in plans:
            asks("OWNER", plan)
            response = await api.get(f"/plan/{least}")
            if plans.index(plan) >= plans.index(least):
                assert response.json()["data"] == ["OWNER", plan]
            else:
                assert (response.status_code, response.json()["error"]["code"]) == (403, "PLAN_REQUIRED")
            asks("VIEWER", plan)
            assert (await api.refused("GET", f"/plan/{least}"))[1] == "FORBIDDEN", "the role is looked at first"


def limits_told(response: httpx.Response) -> tuple[str, str]:
    return response.headers["ratelimit-policy"], re.sub(r"t=\d+", "t=", response.headers["ratelimit"])


async def test_every_answer_tells_what_is_left_and_the_last_one_when_to_come_back(
    pool: Pool, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving_api(pool, clickhouse, rates={"read": 3, "scrape": 2, "open": 2}) as api:
        for left, (method, path) in enumerate([("GET", "/none"), ("PUT", BOARD), ("POST", BOARD)][::-1]):
            told = limits_told(await api.call(method, path))
            assert told == ('"read";q=3;w=60', f'"read";r={2 - left};t=')
        refusal = await api.call("POST", BOARD, json={"no_such_field": 1})
        assert (refusal.status_code, refusal.json()["error"]["code"]) == (429, "RATE_LIMITED")
        assert limits_told(refusal)[1] == '"read";r=0;t=' and 1 <= int(refusal.headers["retry-after"]) <= 60
        assert refusal.headers["ratelimit"].endswith(f";t={refusal.headers['retry-after']}")
        for query in ("force_refresh", "full_refresh=true", "force_refresh=maybe", "force_refresh=1"):
            forced = await api.client.get(f"{KNOWN}?{query}")
            assert '"scrape";q=2;w=60' in forced.headers["ratelimit-policy"], query
        assert forced.status_code == 429
        assert (
            (await api.client.get(f"{KNOWN}?force_refresh=false")).json()["error"]["detail"].startswith("3 read calls")
        )
        monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(1, "PAID", "VIEWER"))
        assert (await api.refused("POST", BOARD))[1] == "RATE_LIMITED", "a partner's calls count together"
        monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(2, "FREE", "SERVICE"))
        assert (await api.refused("POST", BOARD))[1] == "FORBIDDEN", "which comes after the rate"
        del api.client.headers["authorization"]
        for _ in range(5):
            unknown = await api.get(KNOWN)
            assert unknown.status_code == 401 and limits_told(unknown) == ('"open";q=2;w=60', '"open";r=2;t=')
        for left in (1, 0):
            assert limits_told(await api.get("/heartbeat"))[1] == f'"open";r={left};t='
        assert (await api.refused("GET", "/heartbeat"))[1] == "RATE_LIMITED"


async def test_a_call_lasts_as_long_as_its_route_says_or_its_class(api: Api) -> None:
    async def slow(tenant: Tenant, request: Request) -> Answer:
        await trio.sleep_forever()
        raise AssertionError

    api.app.add(Route("GET", "/slow", "slow", "", slow, data=Any, deadline_s=0.2))
    assert (await api.refused("GET", "/slow"))[:2] == (504, "TIMEOUT")
    deadlines = {name: route.deadline for name, route in api.app.routed.items() if route.deadline is not None}
    assert deadlines == {"getProfileTimeSeries": 10.0, "getTimeSeriesById": 10.0, "slow": 0.2}
    assert Route("POST", "/found", "find", "", slow, rate="search").deadline == 5.0


async def test_pages_of_allowed_origins_may_call(api: Api) -> None:
    preflight = {"origin": PAGE, "access-control-request-method": "POST"}
    del api.client.headers["authorization"]
    response = await api.client.options(BOARD, headers=preflight)
    assert response.status_code == 204 and response.content == b""
    assert response.headers["access-control-allow-origin"] == PAGE
    assert "authorization" in response.headers["access-control-allow-headers"]
    assert "POST" in response.headers["access-control-allow-methods"]
    refusal = await api.get(KNOWN, headers={"origin": PAGE})  # errors can be read by the page too
    assert refusal.headers["access-control-allow-origin"] == PAGE and refusal.headers["vary"] == "Accept, Origin"
    assert "x-bb-requestid" in refusal.headers["access-control-expose-headers"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_exactly_the_origins_of_the_settings_may_call(pool: Pool, clickhouse: ClickHouse, method: str) -> None:
    origins = (*(f"https://app{number}.example.org" for number in range(40)), "http://localhost:3000")
    near = [
        "*", "null", "https://example.org", "https://app41.example.org", "http://app1.example.org",
        "https://app1.example.org:8443", "https://app1.example.org.evil.example", "https://evil-app1.example.org",
        "https://APP1.example.org", "https://app1.example.org/", "https://app1.example.org, https://evil.example",
    ]  # fmt: skip
    asks = {
        "access-control-request-method": method,
        "access-control-request-headers": "authorization,idempotency-key,if-match,if-none-match,x-bb-timeout-ms",
    }
    async with serving_api(pool, clickhouse, dev_token="", cors_origins=origins) as api:
        for origin in (*origins, *near):
            preflight = await api.client.options(BOARD, headers={"origin": origin, **asks})
            answers = [preflight, await api.client.request(method, BOARD, headers={"origin": origin})]
            if method == "GET":
                answers.append(await api.client.get("/openapi.json", headers={"origin": origin, "if-none-match": "*"}))
            assert (preflight.status_code == 204) is (origin in origins)
            for answer in answers:
                told = answer.headers.get("access-control-allow-origin")
                assert told == (origin if origin in origins else None)
                assert "Origin" in answer.headers["vary"] and "access-control-allow-credentials" not in answer.headers
            if origin in origins:
                assert method in preflight.headers["access-control-allow-methods"].split(", ")
                allowed = preflight.headers["access-control-allow-headers"].split(", ")
                assert set(asks["access-control-request-headers"].split(",")) <= set(allowed)
                exposed = answers[-1].headers["access-control-expose-headers"].split(", ")
                assert {"etag", "ratelimit", "retry-after", "deprecation", "sunset", "link", "location"} <= set(exposed)
        assert "Origin" in (await api.client.get("/" + "x" * 9000)).headers["vary"]


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "", "example.org", "https://*.example.org", "https://example.org/", "https://Example.org", "ftp://x",
     "https://example.org:443", "http://example.org:80", "https://a@example.org", "https://example.org:0", "https://"],
)  # fmt: skip
def test_no_other_origin_can_be_set(origin: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="is no origin"):
        GatewaySettings(cors_origins=("https://app.example.org", origin))
    for good in (
        "https://example.org",
        "http://localhost:3000",
        "https://[::1]:8443",
        "http://10.0.0.1",
        "https://x:80",
    ):
        GatewaySettings(cors_origins=(good,))


@pytest.mark.parametrize("path", [KNOWN, "/docs", "/openapi.json", "/heartbeat", "/no/such/path"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:8009", "127.0.0.1.evil.example", "0.0.0.0", "[::2]"])
async def test_while_there_is_a_dev_token_only_this_machine_may_ask(api: Api, path: str, host: str) -> None:
    """A page of evil.example whose name leads to 127.0.0.1 would be of the same origin, and knows the token."""
    for headers in ({"host": host}, {"host": host, "origin": f"http://{host}"}):
        assert (await api.refused_raw(path, headers))[:2] == (421, "HOST_NOT_ALLOWED")


@pytest.mark.parametrize("origin", ["http://evil.example", "http://[", "null", "https://127.0.0.1"])
async def test_and_no_page_of_another_site_may_let_it(api: Api, pool: Pool, origin: str) -> None:
    await add_instagram(pool, "known")
    refused = await api.refused_raw(KNOWN, {"origin": origin})
    assert refused[:2] == (403, "ORIGIN_REFUSED") and "gateway.cors_origins" in refused[2]
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
    if b"%ff" in target:
        assert error["detail"] == "the path is not UTF-8 before it is %-encoded"


@pytest.mark.parametrize("origin", ["https://evil.example", PAGE + ".evil.example", PAGE.upper(), "null", PAGE + "/"])
async def test_other_origins_get_no_permission(api: Api, origin: str) -> None:
    preflight = await api.client.options(BOARD, headers={"origin": origin, "access-control-request-method": "POST"})
    asked = await api.get("/heartbeat", headers={"origin": origin})
    assert not preflight.is_success
    for response in (preflight, asked):
        assert not [name for name in response.headers if name.startswith("access-control")]
        assert response.headers["vary"].endswith("Origin")


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


PROBLEM = "application/problem+json"


@pytest.mark.parametrize(
    ("accept", "is_problem"),
    [
        (PROBLEM, True),
        ("Application/Problem+JSON", True),
        (f"{PROBLEM}, application/json", True),
        (f"application/json;q=0.9, {PROBLEM}", True),
        (f"application/json, {PROBLEM};q=0.9", False),
        (f"{PROBLEM};q=0", False),
        ("application/json", False),
        ("*/*", False),
        ("", False),
        (f"x{PROBLEM}", False),
        (";;,q=" + PROBLEM, False),
    ],
)
async def test_who_prefers_problem_details_gets_the_same_facts_so(api: Api, accept: str, is_problem: bool) -> None:
    """As RFC 9457 has them."""
    headers = {"accept": accept, "x-bb-requestid": "01900000-0000-7000-8000-000000000000"}
    refusal = await api.client.post(BOARD, json={"limit": 0, "more": 1}, headers=headers)
    content = refusal.json()
    assert (refusal.status_code, refusal.headers["vary"]) == (422, "Accept, Origin")
    plain = (await api.client.post(BOARD, json={"limit": 0, "more": 1})).json()["error"]
    if not is_problem:
        assert refusal.headers["content-type"] == "application/json" and content["error"]["code"] == "INVALID_BODY"
        return
    assert refusal.headers["content-type"] == PROBLEM
    assert content == {
        "type": "/docs#INVALID_BODY",
        "title": plain["title"],
        "status": 422,
        "detail": plain["detail"],
        "instance": f"urn:uuid:{headers['x-bb-requestid']}",
        "code": "INVALID_BODY",
        "errors": plain["errors"],
    }
    assert [each["path"] for each in content["errors"]] == ["limit", "more"]
    assert (await api.client.post(BOARD, headers=headers)).headers["content-type"] == "application/json", "no problem"


BAD_BODIES = {
    "a name twice": ('{"limit": 1, "limit": 2}', "limit: given twice"),
    "a name twice, once escaped": ('{"limit": 1, "l\\u0069mit": 2}', "limit: given twice"),
    "a name twice inside": ('{"month": {"a": 1, "b": 2, "a": 1}}', "a: given twice"),
    "a NUL": ('{"metric": "a\\u0000"}', "a text has a NUL"),
    "a NUL in a name": ('{"a\\u0000": 1}', "a text has a NUL"),
    "half a pair": ('{"metric": ["\\ud83d"]}', "half of a surrogate pair"),
    "half a pair in bytes": (b'{"month": "\xed\xa0\x80"}', "it is not UTF-8"),
    "Latin 1": ('{"month": "é"}'.encode("latin-1"), "it is not UTF-8"),
    "UTF-16": ('{"month": "x"}'.encode("utf-16"), "it is not UTF-8"),
    "an integer that is not exact": (f'{{"limit": {2**53 + 1}}}', "integers lie between"),
    "one below": (f'{{"limit": -{2**53 + 1}}}', "integers lie between"),
    "a very long one": ('{"limit": ' + "9" * 1900 + "}", "integers lie between"),
    "not a number": ('{"limit": NaN}', "NaN is no number"),
    "infinity": ('{"limit": -Infinity}', "-Infinity is no number"),
    "33 deep": ('{"month": ' + "[" * 32 + "]" * 32 + "}", "it is nested more than 32 deep"),
    "very deep": ("[" * 2000, ""),
    "deep and whole": ("[" * 1000 + "]" * 1000, "it is nested more than 32 deep"),
}


@pytest.mark.parametrize("what", BAD_BODIES)
async def test_a_body_that_readers_do_not_agree_about_is_refused(api: Api, what: str) -> None:
    content, told = BAD_BODIES[what]
    status, code, detail = await api.refused("POST", BOARD, content=content)
    assert (status, code) == (422, "INVALID_BODY") and told in detail


@pytest.mark.parametrize(
    "content", ["", "{}", '{"limit": 1}', '{"month": "2026-\\u0031\\u0030"}', ' {"metric":\n"views"} ']
)
async def test_and_one_that_they_do_is_taken(api: Api, content: str) -> None:
    assert (await api.call("POST", BOARD, content=content)).status_code == 200


async def test_32_deep_is_not_too_deep(api: Api) -> None:
    content = '{"month": ' + "[" * 31 + '"\\u0041"' + "]" * 31 + "}"
    assert "month: Input should be a valid string" in (await api.refused("POST", BOARD, content=content))[2]


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({"content-type": "application/json"}, True),
        ({"content-type": "Application/JSON; charset=UTF-8"}, True),
        ({"content-type": 'application/json;charset="utf-8"'}, True),
        ({"content-type": "application/json", "content-encoding": "identity"}, True),
        ({"content-type": "text/plain"}, False),
        ({"content-type": ""}, False),
        ({"content-type": "application/x-www-form-urlencoded"}, False),
        ({"content-type": "application/json; charset=latin-1"}, False),
        ({"content-type": "application/problem+json"}, False),
        ({"content-type": "application/json", "content-encoding": "gzip"}, False),
    ],
)
async def test_a_body_is_json_as_it_is_or_415(api: Api, headers: dict[str, str], taken: bool) -> None:
    """text/plain passed: a page of another site may send that without asking."""
    response = await api.call("POST", BOARD, content=b'{"limit": 1}', headers=headers)
    assert response.status_code == (200 if taken else 415)
    if not taken:
        assert response.json()["error"]["code"] == "UNSUPPORTED_MEDIA_TYPE"
    assert (await api.call("POST", BOARD, headers={"content-type": "text/plain"})).status_code == 200, "it has no body"


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("POST", BOARD, "limit=3"),
        ("GET", "/heartbeat", "x"),
        ("GET", KNOWN, "force=1"),
        ("GET", KNOWN + "/posts", "cursor=a%00b"),
        *(("GET", KNOWN + "/posts", f"limit={number}") for number in ("1_0", "1.0", "%2B1", "%201", "１", "1e1", "")),
        ("GET", "/jobs", "limit=1_0"),
    ],
)
async def test_what_a_query_does_not_have_or_no_number_is_refused(api: Api, method: str, path: str, query: str) -> None:
    status, code, _ = await api.refused(method, f"{path}?{query}")
    assert (status, code) in ((422, "INVALID_PARAMETER"), (422, "INVALID_CURSOR"))
    assert (await api.client.get("/docs?from=a-link")).status_code == 200, "a page takes any"


async def test_what_is_wrong_is_told_in_order(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Size, then who asks, then whether it may, then what is asked, then the plan."""

    async def told(tenant: Tenant, request: Request) -> Answer:
        return Answer(None, "process")

    route = Route("POST", "/told", "told", "", told, data=Any, body=shapes.LeaderboardBody, who="EDITOR", plan="SAAS")
    api.app.add(route)
    wrong: dict[str, Any] = {"content": b"x" * 3000, "headers": {"authorization": "", "content-type": "text/plain"}}
    codes = [(await api.refused("POST", "/told", **wrong))[1]]
    wrong["content"] = b'{"limit": "x"}'
    codes.append((await api.refused("POST", "/told", **wrong))[1])
    del wrong["headers"]["authorization"]
    for role, right in (("VIEWER", None), ("OWNER", None), ("OWNER", "type"), ("OWNER", "body")):
        monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(1, "FREE", cast(Role, role)))
        if right == "type":
            del wrong["headers"]["content-type"]
        elif right == "body":
            del wrong["content"]
        codes.append((await api.refused("POST", "/told", **wrong))[1])
    assert codes == [
        "BODY_TOO_LARGE", "UNAUTHORIZED", "FORBIDDEN", "UNSUPPORTED_MEDIA_TYPE", "INVALID_BODY", "PLAN_REQUIRED",
    ]  # fmt: skip


async def test_a_client_may_have_less_patience(api: Api, pool: Pool) -> None:
    async with pool.transaction() as holder:
        await holder.execute("lock table instagram_account")
        for patience in ("1", "-7", "0", "60"):
            refusal = await api.call("GET", KNOWN, headers={"x-bb-timeout-ms": patience})
            assert (refusal.status_code, refusal.json()["error"]["code"]) == (504, "TIMEOUT")
        assert await waiting_queries(pool) == 0
    for wrong in ("", "1.5", "1e3", "soon", "٥", "1" * 30):
        refusal = await api.call("GET", KNOWN, headers={"x-bb-timeout-ms": wrong.encode()})
        assert (refusal.status_code, refusal.json()["error"]["errors"][0]["path"]) == (422, "x-bb-timeout-ms")
    for more in ("20000", "999999999999"):
        assert (await api.call("POST", BOARD, headers={"x-bb-timeout-ms": more})).status_code == 200


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
                f"POST {BOARD} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer gcc-dev\r\n"
                "Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
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
        await api.client.request("PURGE", path)

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
    in_answers = json.dumps(document["components"]["responses"])
    for code in Code:
        assert f"`{code.name}` | {code.status}" in document["info"]["description"]
        if code not in AWAITED:
            assert f'"{code.name}"' in in_answers, f"no operation answers {code.name}"


async def test_the_document_is_whole(api: Api) -> None:
    document = (await api.client.get("/openapi.json")).json()
    text = json.dumps(document)
    for schema in document["components"]["schemas"]:
        assert f'"#/components/schemas/{schema}"' in text
    for reference in text.split('"$ref": "')[1:]:
        _, components, kind, name = reference.partition('"')[0].split("/")
        assert components == "components" and name in document["components"][kind]
    series = document["paths"]["/discovery-service/api/profile/{platform}/{handle}/timeseries"]["get"]
    assert {"platform", "handle", "metric", "from", "to", "granularity"} == {p["name"] for p in series["parameters"]}
    board = document["paths"]["/leaderboard-service/api/leaderboard/platform/{platform}"]["post"]
    assert board["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/LeaderboardBody")


async def test_who_has_the_document_is_told_so(api: Api) -> None:
    first = await api.client.get("/openapi.json")
    etag = first.headers["etag"]
    assert re.fullmatch('W/"[0-9a-f]{24}"', etag) and first.headers["cache-control"] == "private, no-cache"
    for known in (etag, etag.removeprefix("W/"), f'"x", {etag}', "*"):
        again = await api.client.get("/openapi.json", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert "Origin" in again.headers["vary"] and '"open";q=' in again.headers["ratelimit-policy"]
        assert "content-type" not in again.headers and "content-length" not in again.headers
    for other in ("", '""', 'W/"x"', etag[:-2] + '"', etag.strip('"')):
        assert (await api.client.get("/openapi.json", headers={"if-none-match": other})).status_code == 200
    assert etags.tag(b"a", b"bc") != etags.tag(b"ab", b"c")


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
    for name in ("index.html", "LICENSE", "swagger-ui.css%01"):
        missing = await api.client.get(f"/docs/static/{name}")
        assert missing.json()["error"]["code"] == "NOT_FOUND"

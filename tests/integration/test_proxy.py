"""Services on other hosts, scripted on real sockets: what arrives, what comes back, and what becomes of what breaks."""

import base64
import os
import resource
from collections.abc import AsyncIterator
from urllib.parse import unquote, urlsplit

import httpx
import pytest
import trio
import trio.testing

from gcc.config.sections import Service as Elsewhere
from gcc.sources import passing
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.web import connection
from gcc.web.gateway.spared import FAILURES_MAX, OPEN_S
from tests.certificates import PLAIN
from tests.integration.api_serving import TOKEN, Api, serving_api
from tests.integration.identity_people import acting, add_partner, add_person, bearer, code, execute, log_in
from tests.integration.upstreams import OK, Sent, Service, body_of, elsewhere, says

MANY_MB = int(os.environ.get("GCC_TEST_PROXIED_MB", "96"))
ROOM_MB = 48
"""What a stream of any length may take: both ends of it are in this process, too."""
PATH = "/content-service/api/anything"
PASSWORD = "between us"


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with elsewhere() as found:
        yield found


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse, service: Service) -> AsyncIterator[Api]:
    services = {
        "content": Elsewhere(url=service.url, password=PASSWORD),
        "leaderboard": Elsewhere(url=service.url + "/below/"),
        "activity": Elsewhere(),
    }
    async with serving_api(pool, clickhouse, services=services, cors_origins=("https://app.example.org",)) as found:
        yield found


async def raw(api: Api, sent: bytes, *, until: int | None = None) -> bytes:
    """What a socket gets for these bytes, up to its end or so many bytes."""
    url = urlsplit(str(api.client.base_url))
    async with await trio.open_tcp_stream(url.hostname or "", url.port or 0) as stream:
        await stream.send_all(sent)
        got = b""
        async for data in stream:
            got += data
            if until is not None and len(got) >= until:
                break
        return got


def ask(path: str = PATH, *headers: str, method: str = "GET", token: str = TOKEN) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}", *headers]
    return ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode("latin-1")


async def test_it_arrives_as_it_was_sent(api: Api, service: Service) -> None:
    target = "/content-service/api/a%20b/%C3%A9;x='~!$&()*+,:@?q=%2F..//&a=b|c&%zz"
    answer = await raw(api, ask(target.replace("|", "%7c"), "X-Own: a", "X-Own: b", "Accept-Encoding: br"))
    assert answer.endswith(b"\r\n\r\nhi")
    (sent,) = service.sent
    assert sent.line == f"GET {target.replace('|', '%7c')} HTTP/1.1"
    assert sent.all("x-own") == ["a", "b"] and sent.all("accept-encoding") == ["br"]
    assert sent.all("host") == [service.url.removeprefix("http://")]
    assert not sent.names() & {"user-agent", "accept", "transfer-encoding", "content-length"}, "nothing of our own"


async def test_a_body_arrives_whole_with_a_length_or_in_chunks(api: Api, service: Service) -> None:
    bodies = []

    async def keep(stream: trio.SocketStream, sent: Sent) -> None:
        bodies.append((sent.all("content-length"), sent.all("transfer-encoding"), await body_of(stream, sent)))
        await OK(stream, sent)

    service.scripts = [keep]
    for options in ({"content": b"a" * 3_000_000}, {"content": _pieces(b"bc", b"", b"d")}, {"content": b""}):
        response = await api.client.put(PATH, **options)
        assert (response.status_code, response.text) == (200, "hi")
    assert bodies[0] == (["3000000"], [], b"a" * 3_000_000), "longer than a body of ours may be"
    *framed, chunks = bodies[1]
    assert framed == [[], ["chunked"]] and b"".join(chunks.split(b"\r\n")[1::2]) == b"bcd"
    assert bodies[2] == (["0"], [], b"")


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_who_asks_is_told_by_us_alone(api: Api, service: Service, pool: Pool) -> None:
    """Case 19."""
    await add_partner(pool, 7)
    someone = await add_person(pool, partner_id=7, role="EDITOR")
    await execute(pool, "update app_user set name = %s", "a~b:c%7E é")
    token = (await log_in(api, someone))["access_token"]
    forged = (
        "X_BB_Partner_Id: 1", "x-bb-partner_id: 1", "X-Bb-Partner-Id: 1", "x-bb-plan-type: PAID", "X-BB-Role: OWNER",
        "x-bb-user-id: 1", "x-bb-account-id: 1", "x-bb-anything: 1", "X-Forwarded-For: 6.6.6.6",
        "Forwarded: for=6.6.6.6",
        "X-Real-IP: 6.6.6.6", "Cookie: gcc_refresh=secret", "x-bb-device-id: d1", "x-bb-clientid: web",
        "x-bb-requestid: 01a14126-6e00-7ccb-8000-000000000000", "x-bb-timeout-ms: 5000",
    )  # fmt: skip
    assert b" 200 " in await raw(api, ask(PATH, *forged, token=token))
    (sent,) = service.sent
    assert "6.6.6.6" not in str(sent.headers) and "cookie" not in sent.names()
    told = {name: sent.all(name) for name in sent.names() if name.startswith("x-") or "_" in name}
    (timeout_ms,) = told.pop("x-bb-timeout-ms")
    assert 3000 < int(timeout_ms) <= 5000
    assert told == {
        "x-bb-partner-id": ["7"],
        "x-bb-plan-type": ["SAAS"],
        "x-bb-role": ["EDITOR"],
        "x-bb-user-id": [str(someone.user_id)],
        "x-bb-account-id": [str(someone.account_id)],
        "x-bb-device-id": ["d1"],
        "x-bb-clientid": ["web"],
        "x-bb-requestid": ["01a14126-6e00-7ccb-8000-000000000000"],
        "x-forwarded-for": ["127.0.0.1"],
    }
    (authorization,) = sent.all("authorization")
    who, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().rpartition(":")
    user_id, name, logged_in, account_id = who.split("~")
    assert (unquote(name), logged_in, password) == ("a~b:c%7E é", "true", PASSWORD)
    assert (user_id, account_id) == (str(someone.user_id), str(someone.account_id))


async def test_two_tokens_are_none(api: Api, service: Service) -> None:
    answer = await raw(api, ask(PATH, f"authorization: Bearer {TOKEN}"))
    assert b" 401 " in answer and service.sent == []


async def test_what_is_of_one_connection_stays_on_it(api: Api, service: Service) -> None:
    service.scripts = [
        says(
            b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Named\r\nKeep-Alive: timeout=9\r\n"
            b"X-Named: a\r\nX-Kept: b\r\n"
            b"Transfer-Encoding: chunked\r\nTrailer: X-T\r\nUpgrade: h2c\r\nProxy-Authenticate: Basic\r\n\r\n"
            b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"
        )
    ]
    hop = (
        "Connection: X-Hop, te", "X-Hop: 1", "TE: trailers", "Keep-Alive: 1", "Proxy-Authorization: Basic x",
        "Proxy-Connection: keep-alive", "Upgrade: h2c", "Trailer: X", "Expect: 100-continue", "X-Kept: 1",
    )  # fmt: skip
    answer = await raw(api, ask(PATH, *hop))
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"x-kept: b" in head
    for gone in (b"x-named", b"keep-alive", b"trailer", b"upgrade", b"proxy-"):
        assert gone not in head.replace(b"connection: close", b""), gone
    (sent,) = service.sent
    assert sent.all("x-kept") == ["1"]
    assert not sent.names() & {"x-hop", "te", "keep-alive", "proxy-authorization", "proxy-connection", "upgrade",
                               "trailer", "expect"}  # fmt: skip


async def test_what_a_service_says_to_browsers_is_ours_to_say(api: Api, service: Service) -> None:
    service.scripts = [
        says(
            b"HTTP/1.1 302 Found\r\nLocation: /elsewhere?x=1\r\nSet-Cookie: a=b\r\nServer: old/1.0\r\nDate: x\r\n"
            b"Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\nx-bb-requestid: theirs\r\n"
            b'RateLimit: "theirs";r=0;t=9\r\nLink: <a>\r\nLink: <b>\r\nVary: Cookie\r\nContent-Length: 0\r\n\r\n'
        )
    ]
    response = await api.client.get(PATH, headers={"origin": "https://app.example.org"})
    assert (response.status_code, response.headers["location"]) == (302, "/elsewhere?x=1")
    assert len(service.sent) == 1, "a redirect is an answer"
    assert response.headers["access-control-allow-origin"] == "https://app.example.org"
    assert "access-control-allow-credentials" not in response.headers
    assert not {"set-cookie", "server"} & set(response.headers) and len(response.headers.get_list("date")) == 1
    assert response.headers["x-bb-requestid"] != "theirs" and "theirs" not in response.headers["ratelimit"]
    assert response.headers["link"] == "<a>, <b>" and response.headers["vary"] == "Cookie, Origin"


async def test_the_layers_stand_before_it(api: Api, service: Service, pool: Pool) -> None:
    await add_partner(pool, 7)
    operator = await acting(api, await add_person(pool, "o@gcc.example", role="OPERATOR"))
    assert code(await api.client.get(PATH, headers={"authorization": "Bearer x"})) == (401, "UNAUTHORIZED")
    assert code(await api.client.get(PATH, headers=operator.headers)) == (403, "FORBIDDEN")
    assert code(await api.client.get(PATH, headers={"x-bb-timeout-ms": "soon"})) == (422, "INVALID_PARAMETER")
    assert code(await api.client.get("/activity-service/api/x")) == (404, "NOT_FOUND"), "it is not elsewhere"
    assert code(await api.client.get("/content-service/x")) == (404, "NOT_FOUND")
    for odd in ("/..", "/%2e%2E/x", "/..;/x", "/%2e%2e%3B/x", "/.;", "/a%2fb", "/a\\b", "/a%5Cb", "//x", "/%00"):
        assert b" 400 " in await raw(api, ask(f"/content-service/api{odd}")), odd
    api.state = "draining"
    assert code(await api.client.post(PATH)) == (503, "DRAINING")
    assert service.sent == []
    assert (await api.client.get(PATH)).text == "hi", "who only asks is answered"


async def test_our_own_table_says_what_a_path_of_it_counts_as(api: Api, service: Service) -> None:
    own = "/leaderboard-service/api/leaderboard/platform/INSTAGRAM"
    response = await api.client.post(own, content=b"not even JSON")
    assert (response.text, response.headers["ratelimit-policy"].split(";")[0]) == ("hi", '"read"')
    assert service.sent[0].line == f"POST /below{own} HTTP/1.1"
    response = await api.client.post("/leaderboard-service/api/new")
    assert response.headers["ratelimit-policy"].startswith('"write"')
    assert (await api.client.options("/leaderboard-service/api/new")).text == "hi"
    service.scripts = [says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")]
    assert (await api.client.head("/leaderboard-service/api/new")).headers["content-length"] == "2"


@pytest.mark.parametrize("spelling", ["/", "/;x=1/", "INSTAGRAM"])
async def test_another_spelling_of_a_path_of_ours_is_no_way_round_its_role(
    api: Api, service: Service, spelling: str
) -> None:
    """Some services take them for the same."""
    path = "/leaderboard-service/api/leaderboard/platform/instagram"
    other = path.replace("leaderboard/", "Leaderboard/") if spelling == "INSTAGRAM" else path + spelling
    assert b" 404 " in await raw(api, ask(other, method="POST"))
    assert service.sent == []


async def test_bytes_come_as_they_are_made(api: Api, service: Service) -> None:
    """Both ways: each piece is there before the next one is made."""
    came, told, seen = trio.Event(), trio.Event(), trio.Event()

    async def in_turns(stream: trio.SocketStream, sent: Sent) -> None:
        held = sent.rest
        while b"first" not in held:
            held += await stream.receive_some()
        came.set()
        while not held.endswith(b"0\r\n\r\n"):
            held += await stream.receive_some()
        await stream.send_all(CHUNKS)
        await told.wait()
        await stream.send_all(b"3\r\none\r\n")
        await seen.wait()
        await stream.send_all(b"3\r\ntwo\r\n0\r\n\r\n")

    async def upload() -> AsyncIterator[bytes]:
        yield b"first"
        await came.wait()
        yield b"second"

    service.scripts = [in_turns]
    got = b""
    async with api.client.stream("POST", PATH, content=upload()) as response:
        assert response.status_code == 200, "the head does not wait for the body"
        told.set()
        async for piece in response.aiter_raw():
            got += piece
            if got == b"one":
                seen.set()
    assert got == b"onetwo"


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BROKEN = {
    "at once": b"",
    "within the first line": b"HTTP/1.",
    "within the head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "no HTTP": b"hello\r\n\r\n",
    "a length twice": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
}
TORN = {
    "after the head": HEAD,
    "within the body": HEAD + b"hello",
    "before a chunk": CHUNKS,
    "within a chunk": CHUNKS + b"5\r\nhe",
    "before the last chunk": CHUNKS + b"5\r\nhello\r\n",
    "no chunk": CHUNKS + b"5\r\nhello\r\nzz\r\n",
}


@pytest.mark.parametrize("said", BROKEN.values(), ids=BROKEN)
async def test_an_answer_that_does_not_begin_is_asked_for_once_more_or_told(
    api: Api, service: Service, said: bytes
) -> None:
    service.scripts = [says(said, closes=True), OK]
    assert (await api.client.get(PATH)).text == "hi" and len(service.sent) == 2
    service.scripts, service.sent = [says(said, closes=True)], []
    assert code(await api.client.get(PATH)) == (502, "UPSTREAM_FAILED") and len(service.sent) == 2
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        service.scripts, service.sent = [says(said, closes=True), OK], []
        assert code(await api.client.request(method, PATH)) == (502, "UPSTREAM_FAILED")
        assert len(service.sent) == 1, "it may have been done"
        await api.client.get(PATH)  # well again
    service.scripts, service.sent = [says(said, closes=True), OK], []
    assert code(await api.client.request("GET", PATH, content=b"x")) == (502, "UPSTREAM_FAILED"), "its body is spent"


@pytest.mark.parametrize("said", TORN.values(), ids=TORN)
async def test_an_answer_that_is_torn_has_no_forged_end(api: Api, service: Service, said: bytes) -> None:
    service.scripts = [says(said, closes=True)]
    with pytest.raises(httpx.RemoteProtocolError):
        await api.client.get(PATH)
    assert len(service.sent) == 1
    got = await raw(api, ask())
    assert b" 200 " in got and not got.endswith(b"0\r\n\r\n") and len(got.partition(b"\r\n\r\n")[2]) < 20
    service.scripts = [OK]
    assert (await api.client.get(PATH)).text == "hi", "the next one has a connection of its own"


async def test_nobody_there(pool: Pool, clickhouse: ClickHouse) -> None:
    services = {"content": Elsewhere(url="http://127.0.0.1:1")}
    async with serving_api(pool, clickhouse, services=services) as api:
        refused = await api.client.get(PATH)
        assert code(refused) == (502, "UPSTREAM_FAILED") and "127.0.0.1" not in refused.text


async def test_a_service_that_does_not_answer_in_time_is_let_go_of(api: Api, service: Service) -> None:
    service.scripts = [says()]
    assert code(await api.client.get(PATH, headers={"x-bb-timeout-ms": "150"})) == (504, "TIMEOUT")
    await service.ended.wait()
    assert int(service.sent[0].all("x-bb-timeout-ms")[0]) <= 150


@pytest.mark.parametrize("at", ["the head", "the body"])
async def test_a_client_that_hangs_up_takes_the_question_along(api: Api, service: Service, at: str) -> None:
    came = trio.Event()

    async def without_end(stream: trio.SocketStream, sent: Sent) -> None:
        came.set()
        if at == "the body":
            await stream.send_all(CHUNKS)
            while True:
                await stream.send_all(b"5\r\nhello\r\n")
        assert await stream.receive_some() == b"", "nothing more is asked"

    service.scripts = [without_end]
    url = urlsplit(str(api.client.base_url))
    async with await trio.open_tcp_stream(url.hostname or "", url.port or 0) as stream:
        await stream.send_all(ask())
        await came.wait()
        if at == "the body":
            await stream.receive_some()
    with trio.fail_after(5):
        await service.ended.wait()


async def test_many_at_once(api: Api, service: Service) -> None:
    here, all_here = 0, trio.Event()

    async def together(stream: trio.SocketStream, sent: Sent) -> None:
        nonlocal here
        here += 1
        if here == passing.SHARE_MAX:
            all_here.set()
        await all_here.wait()
        await OK(stream, sent)

    service.scripts = [together]
    answers = []

    async def one() -> None:
        answers.append((await client.get(PATH)).text)

    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(
        base_url=api.client.base_url, headers=bearer(TOKEN), limits=limits, timeout=20, trust_env=False, verify=PLAIN
    ) as client:
        async with trio.open_nursery() as nursery:
            for _ in range(passing.SHARE_MAX):
                nursery.start_soon(one)
    assert answers == ["hi"] * passing.SHARE_MAX


async def test_one_partner_leaves_room_for_others(
    api: Api, service: Service, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing, "ROOM_S", 0.2)
    await add_partner(pool, 7)
    greedy = (await log_in(api, await add_person(pool, partner_id=7)))["access_token"]
    many, full, go_on = passing.CONNECTIONS_MAX, trio.Event(), trio.Event()
    statuses: list[int] = []

    async def slowly(stream: trio.SocketStream, sent: Sent) -> None:
        if sent.all("x-bb-partner-id") == ["7"]:
            await go_on.wait()
        await OK(stream, sent)

    async def one() -> None:
        statuses.append((await client.get(PATH)).status_code)
        if len(statuses) == many - passing.SHARE_MAX:
            full.set()

    service.scripts = [slowly]
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(
        base_url=api.client.base_url, headers=bearer(greedy), limits=limits, timeout=20, trust_env=False, verify=PLAIN
    ) as client:
        async with trio.open_nursery() as nursery:
            for _ in range(many):
                nursery.start_soon(one)
            with trio.fail_after(10):
                await full.wait()
            assert statuses == [503] * (many - passing.SHARE_MAX)
            assert (await api.client.get(PATH)).text == "hi", "another partner's"
            go_on.set()
        assert statuses.count(200) == passing.SHARE_MAX
        for _ in range(2):
            assert (await client.get(PATH)).text == "hi", "what has ended holds nothing"


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def test_a_body_of_any_length_takes_no_room(api: Api, service: Service) -> None:
    piece = b"x" * (1 << 20)

    async def both(stream: trio.SocketStream, sent: Sent) -> None:
        took = len(sent.rest)
        while took < MANY_MB << 20:
            took += len(await stream.receive_some())
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MANY_MB << 20))
        for _ in range(MANY_MB):
            await stream.send_all(piece)

    service.scripts = [both]
    before, got = _peak_mb(), 0
    headers = {"content-length": str(MANY_MB << 20)}
    async with api.client.stream("POST", PATH, content=_pieces(*[piece] * MANY_MB), headers=headers) as response:
        async for part in response.aiter_raw():
            got += len(part)
    assert got == MANY_MB << 20
    assert _peak_mb() - before < ROOM_MB


async def test_who_takes_slowly_is_waited_for_and_who_takes_nothing_is_not(
    api: Api, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SEND_S", 0.5)
    made = 0

    async def without_end(stream: trio.SocketStream, sent: Sent) -> None:
        nonlocal made
        await stream.send_all(CHUNKS)
        while True:
            await stream.send_all(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            made += 65_536

    service.scripts = [without_end]
    url = urlsplit(str(api.client.base_url))
    async with await trio.open_tcp_stream(url.hostname or "", url.port or 0) as stream:
        await stream.send_all(ask())
        with trio.fail_after(10):
            await service.ended.wait()
        assert made < 32 << 20, "what nobody takes is not made: the kernel's buffers are full, and ours are none"


async def test_what_a_client_does_opens_no_breaker(api: Api, service: Service) -> None:
    """Little time, a body that does not come, what cannot be written again."""
    stalled = ask(PATH, "Content-Length: 5", "x-bb-timeout-ms: 150", method="POST") + b"a"
    odd = ask(PATH, "Content-Length: 00000000000000000000005", method="POST") + b"hello"
    for sent, status in ((ask(PATH, "x-bb-timeout-ms: 100"), b" 504 "), (stalled, b" 504 "), (odd, b" 400 ")):
        service.scripts = [says()] if status == b" 504 " else [OK]
        for _ in range(FAILURES_MAX):
            assert status in (await raw(api, sent)).partition(b"\r\n")[0]
    assert b" 504 " in await raw(api, ask(PATH, "x-bb-timeout-ms: 1")), "no time at all"
    service.scripts = [OK]
    assert (await api.client.get(PATH)).text == "hi"


async def test_a_breaker_spares_who_does_not_answer(
    pool: Pool, clickhouse: ClickHouse, service: Service, mock_clock: trio.testing.MockClock
) -> None:
    async with serving_api(pool, clickhouse, services={"content": Elsewhere(url=service.url)}) as api:
        service.scripts = [says(closes=True)]
        for _ in range(FAILURES_MAX):
            assert code(await api.client.post(PATH)) == (502, "UPSTREAM_FAILED")
        refused = await api.client.post(PATH)
        assert code(refused) == (502, "UPSTREAM_FAILED") and int(refused.headers["retry-after"]) == OPEN_S
        assert len(service.sent) == FAILURES_MAX, "nobody asked"
        mock_clock.jump(OPEN_S)
        asked, go_on = trio.Event(), trio.Event()

        async def slowly(stream: trio.SocketStream, sent: Sent) -> None:
            asked.set()
            await go_on.wait()
            await OK(stream, sent)

        service.scripts = [slowly]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(api.client.get, PATH)
            await asked.wait()
            assert code(await api.client.get(PATH)) == (502, "UPSTREAM_FAILED"), "one at a time"
            go_on.set()
        assert (await api.client.get(PATH)).text == "hi"
        service.scripts = [says(closes=True), OK]
        assert (await api.client.get(PATH)).text == "hi", "what was asked again well is no failure"

"""Compression: who gets gzip, who never does, and who can be answered in no form at all."""

import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import trio

from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.web.api import encoding
from gcc.web.api.envelope import Answer
from gcc.web.api.kept import Kept
from gcc.web.api.route import Route
from tests.certificates import PLAIN
from tests.integration.api_serving import Api, serving_api

FAR = "203.0.113.9"
"""An address in documentation: nobody's."""
LEAST = encoding.GZIP_BYTES_MIN


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    async def told(tenant: Any, request: Any, size: str) -> Answer:
        return Answer("x" * int(size), "process")

    async with serving_api(pool, clickhouse) as api:
        part = {"size": {"type": "string"}}
        for path, secret in (("/told/{size}", False), ("/secret/{size}", True)):
            api.app.add(
                Route("GET", path, path, "", told, data=str, parts={"size": ""}, part_schemas=part, secret=secret)
            )
        yield api


async def asked(api: Api, path: str, accepts: str | None, address: str = FAR, method: str = "GET") -> httpx.Response:
    """As from `address`, past the socket: who asks over one here is on this machine."""
    transport = httpx.ASGITransport(api.app.asgi_app, client=(address, 1))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1", headers=api.client.headers, verify=PLAIN
    ) as client:
        del client.headers["accept-encoding"]
        headers = {} if accepts is None else {"accept-encoding": accepts}
        response = await client.send(client.build_request(method, path, headers=headers), stream=True)
        raw = b"".join([piece async for piece in response.aiter_raw()])
        response.read = lambda: raw  # type: ignore[method-assign]
        return response


def plain(response: httpx.Response) -> bool:
    return "content-encoding" not in response.headers


TAKES = [
    (None, False), ("", False), ("gzip", True), ("GZIP", True), ("x-gzip", True), ("*", True), ("*;q=0.5", True),
    ("gzip;q=0", False), ("gzip;q=0.000", False), ("gzip;q=0, *", False), ("br, zstd, deflate", False),
    ("br, gzip;q=0.1", True),
    ("gzip;q=0.5, identity", False), ("gzip;q=0.5, identity;q=0.5", True), ("identity;q=0, gzip;q=0.1", True),
    ("*;q=0, gzip", True), ("gzip ; q=1", True), ("gzip;q=2", False), ("gzip;q=x", False), ("gzip;level=9", False),
    (",,gzip,,", True), ("gzip;q=nan", False), ("gzip;q=0, gzip", False), ("gzipped", False),
]  # fmt: skip


@pytest.mark.parametrize(("accepts", "gzipped"), TAKES)
async def test_who_takes_gzip_gets_it(api: Api, accepts: str | None, gzipped: bool) -> None:
    response = await asked(api, "/told/5000", accepts)
    assert response.status_code == 200 and plain(response) is not gzipped
    raw = response.read()
    assert response.headers["content-length"] == str(len(raw)) and "Accept-Encoding" in response.headers["vary"]
    assert (gzip.decompress(raw) if gzipped else raw).count(b"x") == 5000


async def test_small_answers_and_those_of_this_machine_stay_as_they_are(api: Api) -> None:
    frame = len((await asked(api, "/told/0", None)).read())
    for size in (0, LEAST - frame - 1, LEAST - frame):
        response = await asked(api, f"/told/{size}", "gzip")
        assert plain(response) is (size + frame < LEAST), size
    for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        assert plain(await asked(api, "/told/5000", "gzip", address))
    assert not plain(await asked(api, "/told/5000", "gzip, identity;q=0", "127.0.0.1")), "it takes nothing else"
    assert not plain(await asked(api, "/told/1", "gzip, *;q=0"))
    served = await api.client.get("/told/5000", headers={"accept-encoding": "gzip"})
    assert plain(served) and "Accept-Encoding" in served.headers["vary"]


async def test_answers_with_secrets_are_never_compressed(api: Api) -> None:
    assert plain(await asked(api, "/secret/5000", "gzip"))
    secret = {route.path.split("/")[1] for route in api.app.routed.values() if route.secret}
    assert "identity-service" in secret
    assert all(route.secret for route in api.app.routed.values() if route.path.startswith("/identity-service/"))


@pytest.mark.parametrize(
    ("path", "accepts"),
    [("/told/1", "identity;q=0"), ("/told/5000", "*;q=0"), ("/told/1", "br, identity;q=0"),
     ("/told/1", "gzip;q=0, *;q=0"), ("/secret/1", "gzip, identity;q=0")],
)  # fmt: skip
async def test_where_no_form_is_left_nothing_is_done(api: Api, path: str, accepts: str) -> None:
    response = await asked(api, path, accepts)
    assert response.status_code == 406 and b"NOT_ACCEPTABLE" in response.read()


async def test_head_tells_what_get_would(api: Api) -> None:
    got, told = [await asked(api, "/told/5000", "gzip", method=method) for method in ("GET", "HEAD")]
    assert got.headers["content-length"] == told.headers["content-length"] and not plain(told)


async def test_pages_and_their_files_are_kept_in_that_form(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("/openapi.json", "/docs/static/swagger-ui-bundle.js", "/docs/static/swagger-ui.css"):
        whole, small = [await asked(api, path, accepts) for accepts in (None, "gzip")]
        assert gzip.decompress(small.read()) == whole.read() and len(small.read()) * 2 < len(whole.read())

    def never(*_: Any) -> bytes:
        raise AssertionError("compressed again")

    monkeypatch.setattr(encoding, "zipped", never)
    monkeypatch.setattr("gcc.web.gateway.hot.zipped", never)
    assert not plain(await asked(api, "/openapi.json", "gzip"))
    etag = (await asked(api, "/openapi.json", "gzip")).headers["etag"]
    known = await api.client.get("/openapi.json", headers={"if-none-match": etag})
    assert known.status_code == 304 and "Accept-Encoding" in known.headers["vary"], "the tag is of all forms"


async def test_what_is_kept_is_compressed_once() -> None:
    kept = Kept(b"x" * 9000, "text/plain")
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(kept.zipped)
    assert gzip.decompress((await kept.zipped()).gzip) == kept.body


def test_what_is_remembered_of_headers_is_bounded() -> None:
    for number in range(10_000):
        encoding.accepted(f"gzip, x{number}")
    assert encoding.accepted.cache_info().currsize <= 128

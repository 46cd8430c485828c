"""GET /metrics of the gateway: what is counted, and who may see it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from gcc.metrics import Metrics
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.stores.tenant import Role, Tenant
from tests.integration.api_serving import Api, add_instagram, serving_api

FAR = "203.0.113.9"
PROFILE = "/discovery-service/api/profile/INSTAGRAM/known"


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    await add_instagram(pool, "known")
    async with serving_api(pool, clickhouse) as api:
        yield api


async def asked(api: Api, address: str = "127.0.0.1", **headers: str) -> httpx.Response:
    """As from `address`: past the socket."""
    transport = httpx.ASGITransport(api.app.asgi_app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.get("/metrics", headers={name.replace("_", "-"): value for name, value in headers.items()})


async def test_answers_are_counted_by_method_route_and_status(api: Api) -> None:
    for path in (PROFILE, PROFILE, f"{PROFILE}?x=1", "/none"):
        await api.client.get(path)
    response = await api.client.get("/metrics", headers={"authorization": ""})
    assert response.status_code == 200 and response.headers["content-type"].startswith("text/plain; version=")
    route = "/discovery-service/api/profile/{platform}/{handle}"
    for method, path, status, count in (("GET", route, 200, 2), ("GET", route, 422, 1), ("GET", "unmatched", 404, 1)):
        told = f'gcc_web_requests_total{{method="{method}",route="{path}",status="{status}"}} {count}.0'
        assert told in response.text
    for le in ("0.001", "30.0", "+Inf"):
        assert f'gcc_web_request_seconds_bucket{{le="{le}",route="{route}"}}' in response.text
    assert "known" not in response.text, "no label holds a handle"


async def test_this_machine_and_operators_may_ask(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert (await asked(api, address)).status_code == 200
    for proxied in ({"x_forwarded_for": FAR}, {"forwarded": f"for={FAR}"}, {"via": "1.1 proxy"}, {"x_real_ip": FAR}):
        assert (await asked(api, **proxied)).status_code == 401, "a proxy on this machine asks for anybody"
    assert (await asked(api, FAR)).status_code == 401
    roles: dict[Role, int] = {"OWNER": 403, "SERVICE": 403, "OPERATOR": 200}
    for role, status in roles.items():
        monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(1, "FREE", role))
        assert (await asked(api, FAR, authorization="Bearer gcc-dev")).status_code == status
    assert (await asked(api, FAR, authorization="Bearer gcc-dev")).headers["ratelimit"].startswith('"open"')


def test_any_number_of_methods_is_one_label() -> None:
    metrics = Metrics()
    for number in range(100):
        metrics.request(f"METHOD{number}", "unmatched", 405, 0.1)
    assert metrics.exposed().count(b"gcc_web_requests_total{") == 1

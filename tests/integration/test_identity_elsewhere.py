"""A gateway whose identities another host knows: a second gateway on its own port, and hosts that answer anything."""

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from gcc.config.sections import Auth
from gcc.config.sections import Service as Elsewhere
from gcc.errors import Transient
from gcc.sources.http import HttpFetcher
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.stores.tenant import Tenant
from gcc.web.api.errors import ApiError, Code
from gcc.web.gateway import elsewhere as remote
from gcc.web.gateway.elsewhere import RemoteAuthenticator, RemoteIdentity
from gcc.web.gateway.spared import FAILURES_MAX
from gcc.web.gateway.strangers import Strangers
from gcc.web.identity.bus import SETTLED_S, Bus
from tests.integration.api_serving import NOW, Api, StillClock, serving_api
from tests.integration.identity_people import (
    AUTH,
    Someone,
    acting,
    add_contract,
    add_person,
    bearer,
    code,
    execute,
    log_in,
)
from tests.integration.upstreams import Sent, Service, elsewhere

OURS = "u" * 32
USAGE = "/partner-usage-service/api/usage"
SESSION, USER, KEY = (str(uuid.UUID(int=number)) for number in (1, 2, 3))


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    """The one that knows."""
    async with serving_api(pool, clickhouse, services={"gateway": Elsewhere(token=OURS)}) as found:
        yield found


@pytest.fixture
async def front(api: Api, pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    """The one that asks it."""
    services = {"identity": Elsewhere(url=str(api.client.base_url), password=OURS)}
    async with serving_api(pool, clickhouse, dev_token="", services=services) as found:
        yield found


async def test_who_is_in_there_is_in_here(api: Api, front: Api, asha: Someone, pool: Pool) -> None:
    token = (await log_in(api, asha))["access_token"]
    rows = (await front.get(USAGE, headers=bearer(token))).json()["data"]
    assert {row["plan"] for row in rows} == {"SAAS"}
    viewer = await add_person(pool, "v@brand.example", partner_id=7, role="VIEWER")
    low = (await log_in(api, viewer))["access_token"]
    refused = await front.client.put(f"{USAGE[:-5]}limits/7", headers=bearer(low), json={})
    assert code(refused) == (403, "FORBIDDEN")
    assert code(await front.client.post(f"{AUTH}/login", json={})) == (401, "UNAUTHORIZED"), "nobody logs in here"
    assert code(await front.client.post(f"{AUTH}/login", json={}, headers=bearer(token))) == (404, "NOT_FOUND")
    await api.call("POST", f"{AUTH}/logout", headers=bearer(token))
    assert code(await front.get(USAGE, headers=bearer(token))) == (401, "UNAUTHORIZED")


async def test_a_key_is_good_from_its_addresses_here_too(api: Api, front: Api, asha: Someone) -> None:
    owner = await acting(api, asha)
    here = (await owner.data("POST", "/api-keys", name="x", role="EDITOR", cidrs=["127.0.0.0/8"]))["key"]
    there = (await owner.data("POST", "/api-keys", name="x", role="EDITOR", cidrs=["192.0.2.0/24"]))["key"]
    assert (await front.get(USAGE, headers=bearer(here))).status_code == 200
    assert code(await front.get(USAGE, headers=bearer(there))) == (401, "UNAUTHORIZED")


async def test_a_plan_is_of_now_and_a_suspended_partner_is_out(api: Api, front: Api, asha: Someone, pool: Pool) -> None:
    token = (await log_in(api, asha))["access_token"]
    key = (await (await acting(api, asha)).data("POST", "/api-keys", name="x"))["key"]
    await add_contract(pool, 7, "PRO")
    rows = (await front.get(USAGE, headers=bearer(token))).json()["data"]
    assert {row["plan"] for row in rows} == {"PAID"}
    await execute(pool, "delete from partner_contract")
    assert code(await front.get(USAGE, headers=bearer(key))) == (403, "PLAN_REQUIRED")
    await execute(pool, "update partner set disabled_at = now() where id = 7")
    assert code(await front.get(USAGE, headers=bearer(token))) == (403, "PARTNER_SUSPENDED")


async def test_another_token_of_ours_than_it_knows_lets_nobody_in(
    api: Api, pool: Pool, clickhouse: ClickHouse, asha: Someone
) -> None:
    token = (await log_in(api, asha))["access_token"]
    services = {"identity": Elsewhere(url=str(api.client.base_url), password="other")}
    async with serving_api(pool, clickhouse, services=services) as front:
        assert code(await front.get(USAGE, headers=bearer(token))) == (503, "STORE_UNAVAILABLE")


# A host that answers anything.


def told(**changes: Any) -> dict[str, Any]:
    return {
        "partner_id": 7, "plan": "SAAS", "role": "OWNER", "account_id": None, "user_id": USER, "session_id": SESSION,
        "key_id": None, "expires_at": "2026-10-15T20:10:00Z", **changes,
    }  # fmt: skip


def signed(**changes: Any) -> dict[str, Any]:
    contract = {"plan": "SAAS", "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2027-01-01T00:00:00Z", "limits": {}}
    return {"id": 7, "name": "Brand", "suspended": False, "plan": "SAAS", "contracts": [contract], **changes}


def whole(body: bytes, status: int = 200, *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def good(data: Any) -> bytes:
    return whole(json.dumps({"status": "SUCCESS", "data": data}).encode())


class HeardBus(Bus):
    """All is heard at once."""

    now = 100.0

    def trusted(self) -> bool:
        return True


class Host:
    """`verify` and `partner` are what it says, byte by byte; None: nothing, ever."""

    def __init__(self, service: Service, pool: Pool, fetcher: HttpFetcher) -> None:
        self.service = service
        self.verify: bytes | None = good(told())
        self.partner: bytes | None = good(signed())
        service.scripts = [self._says]
        self.bus = HeardBus(pool, time=lambda: self.bus.now)
        self.clock = StillClock()
        self.authenticator = RemoteAuthenticator(
            RemoteIdentity(service.url, OURS, fetcher, self.clock),
            _Nothing(), _Nothing(), _Nothing(), self.bus, self.clock, Auth(), "", {}, Strangers(20),
        )  # fmt: skip

    async def _says(self, stream: trio.SocketStream, sent: Sent) -> None:
        said = self.verify if "verify" in sent.line else self.partner
        if said is None:
            await trio.sleep_forever()
        else:
            await stream.send_all(said)

    async def tenant(self, token: str = "some.token", ip: str = "192.0.2.1") -> Tenant:
        return await self.authenticator.tenant([f"Bearer {token}"], ip)

    async def refusal(self, **asked: Any) -> Code:
        with pytest.raises(ApiError) as refused:
            await self.tenant(**asked)
        return refused.value.code

    def asked(self) -> tuple[int, int]:
        """How often of tokens, and of partners."""
        lines = [sent.line for sent in self.service.sent]
        return sum("verify" in line for line in lines), sum("/partner/" in line for line in lines)


class _Nothing:
    """Nothing of ours is asked."""

    partner = None


@pytest.fixture
async def host(pool: Pool) -> AsyncIterator[Host]:
    async with elsewhere() as service, HttpFetcher() as fetcher:
        yield Host(service, pool, fetcher)


async def test_it_is_asked_as_a_service_and_once_while_the_answer_holds(host: Host) -> None:
    tenant = await host.tenant()
    assert (tenant.partner_id, tenant.plan, tenant.role, str(tenant.session_id)) == (7, "SAAS", "OWNER", SESSION)
    assert tenant.contract is not None and tenant.contract.plan == "SAAS" and not tenant.assumed
    assert host.service.sent[0].all("authorization") == [f"Bearer {OURS}"]
    for _ in range(3):
        assert await host.tenant() == tenant
    assert host.asked() == (1, 1)
    await host.tenant(ip="192.0.2.2")
    assert host.asked() == (2, 1), "keys are good from some addresses alone"
    host.verify = good(told(expires_at=NOW.isoformat()))
    assert await host.refusal(token="another") is Code.UNAUTHORIZED, "it has ended, whatever is said of it"


@pytest.mark.parametrize("what", [f"session {SESSION}", f"user {USER}", "contract 7", ""])
async def test_what_the_bus_tells_of_is_asked_for_anew(host: Host, what: str) -> None:
    """And not believed before that host must have heard of it, too."""
    await host.tenant()
    host.bus.heard(what)
    for _ in range(2):
        await host.tenant()
    assert host.asked()[0] == 3
    host.bus.now += SETTLED_S
    for _ in range(2):
        await host.tenant()
    assert host.asked()[0] == 4


async def test_what_opens_nothing_is_asked_for_once_and_an_address_has_twenty(host: Host) -> None:
    host.verify = whole(b"{}", 422)
    for _ in range(3):
        assert await host.refusal() is Code.UNAUTHORIZED
    for odd in ("", "a" * 4097, "\u00e9", "a\tb"):
        assert await host.refusal(token=odd) is Code.UNAUTHORIZED
    assert host.asked() == (1, 0)
    codes = [await host.refusal(token=f"made up {number}") for number in range(30)]
    assert codes == [Code.UNAUTHORIZED] * 19 + [Code.RATE_LIMITED] * 11 and host.asked() == (20, 0)
    host.verify = good(told())
    await host.tenant(token="good", ip="198.51.100.7")


ODD = {
    "no JSON": whole(b"hello"),
    "not UTF-8": whole(b'{"data": "\xff"}'),
    "no envelope": whole(json.dumps(told()).encode()),
    "null": good(None),
    "a list": good([told()]),
    "a negative partner": good(told(partner_id=-1)),
    "a partner in words": good(told(partner_id="7")),
    "a partner beyond 63 bits": good(told(partner_id=2**63)),
    "no role of people": good(told(role="SERVICE")),
    "a role unknown": good(told(role="owner")),
    "a plan unknown": good(told(plan="GOLD")),
    "no id": good(told(user_id="x")),
    "a time without a zone": good(told(expires_at="2026-10-15T20:10:00")),
    "nested without end": whole(b'{"data": ' + b"[" * 100_000),
    "not for us": whole(b"{}", 401),
    "broken": whole(b"{}", 500),
    "led elsewhere": whole(b"", 302, "Location: http://127.0.0.1:1/"),
    "no HTTP": b"hello\r\n\r\n",
    "longer than it may be": whole(b" " * (9 << 20)),
}


@pytest.mark.parametrize("said", ODD.values(), ids=ODD)
async def test_an_odd_answer_lets_nobody_in_and_is_not_remembered(host: Host, said: bytes) -> None:
    host.verify = said
    with pytest.raises(Transient):
        await host.tenant()
    host.verify = good(told())
    assert (await host.tenant()).partner_id == 7


ODD_PARTNERS = {
    "of another": good(signed(id=8)),
    "a plan that nobody signs": good(signed(contracts=[signed()["contracts"][0] | {"plan": "FREE"}])),
    "limits below nothing": good(signed(limits={"EXPORT": -1})),
    "too many": good(signed(contracts=signed()["contracts"] * 1001)),
    "broken": whole(b"{}", 503),
    "silent": None,
}


@pytest.mark.parametrize("said", ODD_PARTNERS.values(), ids=ODD_PARTNERS)
async def test_of_whom_nothing_is_known_is_free_and_who_was_known_keeps_the_plan(
    host: Host, said: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "ASK_S", 0.3)
    host.partner = said
    tenant = await host.tenant()
    assert (tenant.plan, tenant.assumed) == ("FREE", True)
    host.partner = good(signed())
    assert (await host.tenant()).plan == "SAAS"
    host.partner = said
    tenant = await host.tenant(token="another")
    assert (tenant.plan, tenant.assumed) == ("SAAS", False)


async def test_contracts_that_are_not_those_of_now_are_asked_for_anew(host: Host) -> None:
    """Where that host has another bus."""
    await host.tenant()
    host.verify = good(told(plan="PRO"))
    host.partner = good(signed(contracts=[signed()["contracts"][0] | {"plan": "PRO"}]))
    assert (await host.tenant(token="another")).plan == "PAID"
    assert host.asked() == (2, 2)


async def test_who_does_not_answer_is_spared(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "ASK_S", 0.1)
    host.verify = None
    for _ in range(FAILURES_MAX + 3):
        with pytest.raises(Transient):
            await host.tenant()
    assert host.asked() == (FAILURES_MAX, 0)


async def test_no_calls_left_is_no_failure_and_says_when(host: Host) -> None:
    host.verify = whole(b"{}", 429, "Retry-After: 7")
    for _ in range(FAILURES_MAX + 3):
        with pytest.raises(Transient) as refused:
            await host.tenant()
        assert refused.value.retry_after_s == 7.0
    assert host.asked() == (FAILURES_MAX + 3, 0)


async def test_an_answer_by_an_assumed_plan_says_so(pool: Pool, clickhouse: ClickHouse, asha: Someone) -> None:
    async with elsewhere() as service:

        async def script(stream: trio.SocketStream, sent: Sent) -> None:
            await stream.send_all(good(told()) if "verify" in sent.line else whole(b"{}", 500))

        service.scripts = [script]
        services = {"identity": Elsewhere(url=service.url, password=OURS)}
        async with serving_api(pool, clickhouse, services=services) as front:
            answer = (await front.get(USAGE, headers=bearer("a.b.c"))).json()
    assert {row["plan"] for row in answer["data"]} == {"FREE"}
    assert answer["meta"]["note"] == remote.ASSUMED

"""Webhooks over HTTP: owners of a plan that has them make, change, rotate, test and replay their own."""

import base64
import datetime as dt
import json
import uuid
from typing import Any

import pytest
import trio

from gcc.channels.memory import Signal
from gcc.channels.message import Delivery, Frame
from gcc.clock import SystemClock
from gcc.pipelines.events.routes import WEBHOOK_OUT
from gcc.pipelines.webhooks.events import TEST, Arrivals
from gcc.pipelines.webhooks.signing import Secrets
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.postgres import Pool
from gcc.stores.webhook_endpoints import ENDPOINTS_MAX
from gcc.stores.webhooks import Arrived, PostgresWebhooks
from tests.fakes.objects import MemoryObjects
from tests.integration.api_serving import NOW, WEBHOOKS_MASTER, Api
from tests.integration.identity_people import As, Someone, acting, add_partner, add_person, code, execute

URL = "https://hooks.brand.example/gcc?token=t"


async def made(owner: As, url: str = URL) -> dict[str, Any]:
    return dict(await owner.data("POST", "/webhooks", url=url, events=[TEST]))


async def arrive(pool: Pool, webhook: str, count: int, partner_id: int = 7) -> None:
    """So many events for a webhook."""
    clock = SystemClock()
    events = [Arrived(clock.new_id(), partner_id, TEST, b"{}", uuid.UUID(webhook)) for _ in range(count)]
    assert await PostgresWebhooks(pool, clock).arrive(events) == count


def secret_of(webhook: dict[str, Any], generation: int) -> str:
    return Secrets(WEBHOOKS_MASTER).shown(uuid.UUID(webhook["id"]), generation)


async def test_its_secret_is_shown_once_and_stored_nowhere(owner: As, pool: Pool) -> None:
    response = await owner.call("POST", "/webhooks", url=URL, events=[TEST, TEST])
    webhook = response.json()["data"]
    assert response.status_code == 201
    assert response.headers["location"] == f"/identity-service/api/webhooks/{webhook['id']}"
    assert webhook.pop("secret") == secret_of(webhook, 1)
    assert (webhook["url"], webhook["events"], webhook["disabled_at"]) == (URL, [TEST], None)
    assert "generation" not in webhook
    assert await owner.data("GET", "/webhooks") == [webhook]
    assert await owner.data("GET", f"/webhooks/{webhook['id']}") == webhook
    for table in ("webhook_endpoint", "activity_tracker", "outbox"):
        stored = str(await execute(pool, f"select row::text from {table} row"))  # noqa: S608
        key = secret_of(webhook, 1).removeprefix("whsec_")
        assert key not in stored
        assert base64.b64decode(key).hex() not in stored


async def test_a_rotation_shows_the_next_secret(owner: As, pool: Pool) -> None:
    first = await made(owner)
    second = await owner.data("POST", f"/webhooks/{first['id']}/rotate")
    assert second["secret"] == secret_of(first, 2) != first["secret"]
    assert second["rotated_at"] is not None
    assert await execute(pool, "select generation from webhook_endpoint") == [(2,)]


HOSTILE = [
    "http://hooks.brand.example/", "https://127.0.0.1/", "https://2130706433/", "https://[::1]/", "https://localhost/",
    "https://user:hunter2@hooks.brand.example/", "https://hooks.brand.example:8443/", "https://hooks.brand.example./",
    "https://169.254.169.254/latest", "https://hooks.brand.example/#x", "https://xn--a.example/",
]  # fmt: skip


@pytest.mark.parametrize("url", HOSTILE)
async def test_a_url_that_leads_inside_is_refused(owner: As, url: str) -> None:
    assert code(await owner.call("POST", "/webhooks", url=url, events=[TEST])) == (422, "INVALID_URL")
    webhook = await made(owner)
    response = await owner.call("PATCH", f"/webhooks/{webhook['id']}", url=url)
    assert code(response) == (422, "INVALID_URL")
    assert "hunter2" not in response.text
    assert (await owner.data("GET", f"/webhooks/{webhook['id']}"))["url"] == URL


@pytest.mark.parametrize(
    "body",
    [
        {"url": "ftp://hooks.brand.example/", "events": [TEST]}, {"url": URL, "events": []}, {"url": URL},
        {"url": URL, "events": ["job.unheard"]}, {"url": URL, "events": [TEST] * 21}, {"url": URL, "events": TEST},
        {"url": "https://" + "a" * 3000, "events": [TEST]}, {"url": URL, "events": [TEST], "partner_id": 1},
    ],
)  # fmt: skip
async def test_odd_bodies_are_refused(owner: As, body: dict[str, Any]) -> None:
    assert code(await owner.call("POST", "/webhooks", **body)) == (422, "INVALID_BODY")


async def test_ten_at_most_also_at_once(owner: As, pool: Pool) -> None:
    codes: list[int] = []

    async def add() -> None:
        codes.append((await owner.call("POST", "/webhooks", url=URL, events=[TEST])).status_code)

    async with trio.open_nursery() as nursery:
        for _ in range(ENDPOINTS_MAX + 4):
            nursery.start_soon(add)
    assert sorted(codes) == [201] * ENDPOINTS_MAX + [409] * 4
    assert code(await owner.call("POST", "/webhooks", url=URL, events=[TEST])) == (409, "LIMIT_REACHED")
    (first, *_) = await owner.data("GET", "/webhooks")
    await owner.data("DELETE", f"/webhooks/{first['id']}")
    assert code(await owner.call("DELETE", f"/webhooks/{first['id']}")) == (404, "NOT_FOUND")
    await made(owner)


async def test_it_is_changed_disabled_and_enabled_again(owner: As, pool: Pool) -> None:
    webhook = await made(owner)
    path = f"/webhooks/{webhook['id']}"
    other = "https://other.brand.example/"
    assert (await owner.data("PATCH", path, url=other))["url"] == other
    off = await owner.data("PATCH", path, disabled=True)
    assert (off["disabled_at"] is not None, off["disabled_because"]) == (True, "its owner disabled it")
    assert code(await owner.call("POST", f"{path}/test")) == (409, "CONFLICT")
    await execute(pool, "update webhook_endpoint set disabled_because = 'it answered 410', failing_since = now()")
    again = await owner.data("PATCH", path, disabled=True)
    assert (again["disabled_at"], again["disabled_because"]) == (off["disabled_at"], "it answered 410")
    on = await owner.data("PATCH", path, disabled=False)
    assert (on["disabled_at"], on["disabled_because"], on["failing_since"], on["url"]) == (None, None, None, other)
    assert (await owner.data("PATCH", path, events=[TEST]))["events"] == [TEST]


async def test_a_test_is_on_its_way_to_that_one_alone(owner: As, pool: Pool) -> None:
    webhook, _ = await made(owner), await made(owner)
    event_id = (await owner.data("POST", f"/webhooks/{webhook['id']}/test"))["event_id"]
    assert (WEBHOOK_OUT.exchange, WEBHOOK_OUT.key) == ("coffee.dx", "webhook_out_rk")
    ((body,),) = await execute(pool, "select body from outbox where routing_key = %s", WEBHOOK_OUT.key)
    clock = SystemClock()
    letters = StoredDeadLetters(pool, MemoryObjects(), clock)
    frame = Frame(clock.new_id(), WEBHOOK_OUT, 1, bytes(body), counted=0)
    arrivals = Arrivals(PostgresWebhooks(pool, clock), letters, Signal())
    assert await arrivals.handle([Delivery("webhook_out_q", 1, frame, 1)]) == 1
    ((endpoint, stored),) = await execute(pool, "select endpoint_id, body from webhook_delivery")
    assert str(endpoint) == webhook["id"]
    assert json.loads(bytes(stored))["data"] == {"endpoint_id": webhook["id"]}
    (listed,) = await owner.data("GET", f"/webhooks/{webhook['id']}/deliveries")
    assert (listed["event_id"], listed["type"], listed["status"], listed["attempts"]) == (event_id, TEST, "PENDING", 0)


async def test_deliveries_come_by_pages_the_newest_first(api: Api, owner: As, pool: Pool) -> None:
    webhook = await made(owner)
    await arrive(pool, webhook["id"], 5)
    path = f"/identity-service/api/webhooks/{webhook['id']}/deliveries"
    pages, cursor = [], None
    for _ in range(3):
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        answer = (await api.call("GET", path, headers=owner.headers, params=params)).json()
        pages.append([row["id"] for row in answer["data"]])
        cursor = answer["meta"]["cursor"]
    assert [len(each) for each in pages] == [2, 2, 1]
    assert cursor is None
    everything = [
        str(id) for (id,) in await execute(pool, "select id from webhook_delivery order by created_at desc, id desc")
    ]
    assert [id for each in pages for id in each] == everything


async def test_a_replay_keeps_the_id_and_spares_what_is_under_way(owner: As, pool: Pool) -> None:
    webhook, other = await made(owner), await made(owner)
    await arrive(pool, webhook["id"], 2)
    await arrive(pool, other["id"], 1)
    store = PostgresWebhooks(pool, SystemClock())
    claimed = await store.claim(9)
    mine = [due for due in claimed if str(due.endpoint_id) == webhook["id"]]
    first, second = mine
    await store.delivered(first, 200)
    path = f"/webhooks/{webhook['id']}/replay"
    foreign = next(str(due.id) for due in claimed if due not in mine)
    named = await owner.data("POST", path, deliveries=[str(first.id), str(second.id), foreign, str(uuid.uuid4())])
    assert named["replayed"] == 1, "the second is under way, the third another's"
    (again,) = [due for due in await store.claim(9) if due.id == first.id]
    assert (again.event_id, again.body, again.failures) == (first.event_id, first.body, 0)
    await store.failed(again, "it answered 500", answered=500, retry_s=None)
    await arrive(pool, webhook["id"], 3)
    everything = await owner.data("POST", path, since=(NOW - dt.timedelta(days=1)).isoformat())
    assert everything["replayed"] == 4, "all but the one under way"
    assert everything["until"] is not None
    assert (await owner.data("POST", path))["replayed"] == 0
    states = await execute(
        pool, "select status, failures, error from webhook_delivery where endpoint_id = %s", webhook["id"]
    )
    assert states == [("PENDING", 0, None)] * 5


async def test_a_replay_goes_a_week_back_at_most(owner: As, pool: Pool) -> None:
    webhook = await made(owner)
    await arrive(pool, webhook["id"], 2)
    for number, days in enumerate((6, 8)):
        await execute(pool, "update webhook_delivery set created_at = %s where id = (select id from webhook_delivery"
                            " order by id offset %s limit 1)", NOW - dt.timedelta(days=days), number)  # fmt: skip
    long_ago = (NOW - dt.timedelta(days=300)).isoformat()
    assert (await owner.data("POST", f"/webhooks/{webhook['id']}/replay", since=long_ago))["replayed"] == 1


def every(id: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Each call on a webhook."""
    return [
        ("GET", f"/webhooks/{id}", {}), ("PATCH", f"/webhooks/{id}", {"disabled": True}),
        ("POST", f"/webhooks/{id}/rotate", {}), ("POST", f"/webhooks/{id}/test", {}),
        ("GET", f"/webhooks/{id}/deliveries", {}), ("POST", f"/webhooks/{id}/replay", {"since": NOW.isoformat()}),
        ("DELETE", f"/webhooks/{id}", {}),
    ]  # fmt: skip


@pytest.mark.parametrize("role", ["VIEWER", "EDITOR"])
async def test_only_owners_may(api: Api, owner: As, pool: Pool, role: str) -> None:
    webhook = await made(owner)
    other = await acting(api, await add_person(pool, "ravi@brand.example", partner_id=7, role=role))
    calls = [("GET", "/webhooks", {}), ("POST", "/webhooks", {"url": URL, "events": [TEST]}), *every(webhook["id"])]
    for method, path, body in calls:
        assert code(await other.call(method, path, **body)) == (403, "FORBIDDEN"), path


async def test_without_a_plan_there_are_none(api: Api, pool: Pool) -> None:
    await add_partner(pool, 9, None)
    free = await acting(api, await add_person(pool, "free@brand.example", partner_id=9))
    calls = [("GET", "/webhooks", {}), ("POST", "/webhooks", {"url": URL, "events": [TEST]}), *every(str(uuid.uuid4()))]
    for method, path, body in calls:
        assert code(await free.call(method, path, **body)) == (403, "PLAN_REQUIRED"), path


async def test_each_change_is_an_activity_of_who_made_it(owner: As, asha: Someone, pool: Pool) -> None:
    webhook = await made(owner)
    await arrive(pool, webhook["id"], 1)
    for method, path, body in every(webhook["id"]):
        if method != "GET" and not path.endswith("/test"):
            await owner.data(method, path, **body)
    told = await execute(pool, "select partner_id, user_id, activity_type, thing_id from activity_tracker"
                               " where activity_type like 'WEBHOOK%%' order by created_at, id")  # fmt: skip
    assert [kind for _, _, kind, _ in told] == [
        "WEBHOOK_CREATED", "WEBHOOK_CHANGED", "WEBHOOK_ROTATED", "WEBHOOK_REPLAYED", "WEBHOOK_DELETED",
    ]  # fmt: skip
    assert {(partner, user, thing) for partner, user, _, thing in told} == {(7, str(asha.user_id), webhook["id"])}

"""Who did what: each write of a partner's people and programs is noted as it is committed, and told as an event."""

from typing import Any

import msgspec
import pytest
from quart import Request

from gcc.pipelines.events.app_schemas import PartnerActivityLog
from gcc.pipelines.events.types import PARTNER_ACTIVITY_LOG
from gcc.stores.postgres import Pool, named_rows
from gcc.stores.tenant import Tenant
from gcc.web.api import activity
from gcc.web.api.envelope import Answer
from gcc.web.api.route import Route
from tests.integration.api_serving import Api
from tests.integration.identity_people import IDENTITY, As, Someone, acting, add_person, code, execute

PROCESS_ALONE = {"setHeartbeat"}
"""What operators write that is no row."""


async def noted(pool: Pool) -> list[dict[str, Any]]:
    """The rows, each with its event."""
    async with pool.connection() as conn:
        rows = await named_rows(conn, "select * from activity_tracker order by created_at, id", {})
    told = await execute(pool, "select exchange, routing_key, events, counted, body from outbox order by id")
    events = {}
    for exchange, key, number, counted, body in told:
        (route,) = PARTNER_ACTIVITY_LOG.routes
        assert (exchange, key, number, counted) == (route.exchange, route.key, 1, 0)
        event = msgspec.json.decode(body, type=PartnerActivityLog)
        events[event.event_id] = event
    assert events.keys() == {str(row["id"]) for row in rows}
    return [row | {"event": events[str(row["id"])]} for row in rows]


async def test_every_write_of_a_partner_is_declared_to_be_an_activity(api: Api) -> None:
    written = [
        route for route in api.app.routed.values() if route.unit and route.who in ("EDITOR", "OWNER", "OPERATOR")
    ]
    assert {route.name for route in written if not route.activity} == PROCESS_ALONE
    declared = [route for route in api.app.routed.values() if route.activity]
    assert len(declared) >= 20
    for route in declared:
        assert route.unit and not set(route.noted) & set(route.shown_once), route.name


async def test_a_user_s_write_is_noted_with_its_event(owner: As, asha: Someone, pool: Pool) -> None:
    made = await owner.call("POST", "/api-keys", name="CI", role="EDITOR")
    key = made.json()["data"]
    await owner.data("DELETE", f"/api-keys/{key['id']}")
    first, second = await noted(pool)
    assert (first["partner_id"], first["account_id"], first["user_id"]) == (7, asha.account_id, str(asha.user_id))
    assert (first["activity_type"], first["thing_id"], first["key_id"]) == ("API_KEY_CREATED", key["id"], None)
    assert str(first["request_id"]) == made.headers["x-bb-requestid"]
    assert first["metadata"] == {"prefix": key["prefix"], "role": "EDITOR"}
    event = first["event"]
    assert (event.partner_id, event.user_id, event.activity_type) == (7, str(asha.user_id), "API_KEY_CREATED")
    assert event.metadata == first["metadata"] | {"thing_id": key["id"], "request_id": str(first["request_id"])}
    assert (second["activity_type"], second["thing_id"], second["metadata"]) == ("API_KEY_REVOKED", key["id"], {})


async def test_what_staff_writes_is_noted_of_staff(api: Api, pool: Pool) -> None:
    operator = await acting(api, await add_person(pool, "ops@gcc.example", role="OPERATOR"))
    partner = await operator.data("POST", "/partners", name="Brand", owner_email="mina@other.example")
    await operator.data("PATCH", f"/partners/{partner['id']}", disabled=True)
    assert [
        (row["partner_id"], row["activity_type"], row["thing_id"], row["metadata"]) for row in await noted(pool)
    ] == [
        (0, "PARTNER_CREATED", str(partner["id"]), {}),
        (0, "PARTNER_CHANGED", str(partner["id"]), {"disabled": True}),
    ]


async def test_what_was_refused_or_only_asked_is_not_noted(owner: As, asha: Someone, pool: Pool) -> None:
    assert code(await owner.call("PATCH", f"/users/{asha.user_id}", role="VIEWER")) == (409, "LAST_OWNER")
    assert code(await owner.call("POST", "/accounts", name="main")) == (409, "CONFLICT")
    await owner.data("GET", "/users")
    assert await noted(pool) == []


async def test_what_is_noted_is_short_and_a_key_is_named(api: Api, owner: As, pool: Pool) -> None:
    program = As(api, (made := await owner.data("POST", "/api-keys", name="CI", role="EDITOR"))["key"])

    async def handler(tenant: Tenant, request: Request, id: str, other: str) -> Answer:
        return Answer(
            {"word": "w" * 10_000, "number": 2**40, "nothing": None, "yes": True, "list": ["x"] * 1000}, "process"
        )

    names = ("word", "number", "nothing", "yes", "list", "absent")
    api.app.add(
        Route("POST", "/things/{id}/{other}", "test", "Of a test", handler, data=dict[str, Any], who="EDITOR",
              activity="TEST", noted=names)
    )  # fmt: skip
    response = await api.call("POST", f"/things/{'i' * 1000}/{'o' * 1000}", headers=program.headers)
    assert response.status_code == 200, response.text
    row = (await noted(pool))[-1]
    assert (row["user_id"], str(row["key_id"]), row["event"].user_id) == (None, made["id"], "")
    assert row["event"].metadata["key_id"] == made["id"]
    size = activity.CHARS_MAX
    assert row["thing_id"] == "i" * size
    assert row["metadata"].pop("list").startswith("['x', 'x'") and row["metadata"] == {
        "other": "o" * size, "word": "w" * size, "number": 2**40, "yes": True,
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/auth/logout", "/auth/logout-all"])
async def test_what_is_somebody_s_own_is_not_noted(owner: As, pool: Pool, path: str) -> None:
    assert (await owner.api.call("POST", IDENTITY + path, headers=owner.headers)).status_code == 200
    assert await noted(pool) == []

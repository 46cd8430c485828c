"""Who did what: of each call whose route is declared to be an activity, a row of activity_tracker and its event.

In: the call and what it was answered, before it is committed. Out: ids, and words that the route declares; no bodies.
Both are written in the transaction of what was done: nothing is done unseen, and nothing is told that was not done.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from quart import Response

from gcc.channels.message import Frame
from gcc.clock import Clock
from gcc.pipelines.events import emit
from gcc.stores import activities
from gcc.stores.activities import Activity
from gcc.stores.postgres import Pool
from gcc.stores.tenant import Tenant
from gcc.web.api.envelope import Answer
from gcc.web.api.route import Route

CHARS_MAX = 200
"""So much of a word is noted."""


async def note(pool: Pool, clock: Clock, route: Route, tenant: Tenant, request: Any, answer: Answer | Response) -> None:
    """In the unit of work of the call."""
    done = _done(clock, route, request, answer)
    async with pool.connection() as conn:
        await activities.add(conn, tenant, done, frames(clock, tenant, done))


def _done(clock: Clock, route: Route, request: Any, answer: Answer | Response) -> Activity:
    told: Mapping[str, Any] = answer.data if isinstance(answer, Answer) and isinstance(answer.data, dict) else {}
    details: dict[str, Any] = dict(request.view_args or {})
    thing = details.pop("id", told.get("id"))
    for name in route.noted:
        details[name] = getattr(request.sent, name, told.get(name))
    return Activity(
        clock.new_id(),
        route.activity,
        None if thing is None else str(thing)[:CHARS_MAX],
        UUID(request.id),
        {name: _short(value) for name, value in details.items() if value is not None},
    )


def _short(value: Any) -> str | int:
    return value if isinstance(value, bool | int) else str(value)[:CHARS_MAX]


def frames(clock: Clock, tenant: Tenant, done: Activity) -> list[Frame]:
    """The event of an activity: it has its id."""
    ids = {"thing_id": done.thing_id, "key_id": tenant.key_id, "request_id": done.request_id}
    return emit.partner_activity_frames(
        done.id,
        clock,
        partner_id=tenant.partner_id,
        user_id="" if tenant.user_id is None else str(tenant.user_id),
        activity_type=done.type,
        metadata={**done.details, **{name: str(id) for name, id in ids.items() if id is not None}},
    )

"""What people and programs of a partner do, in PostgreSQL: a row, and an event for who follows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg.types.json import Jsonb

from gcc import statements
from gcc.channels.message import Frame
from gcc.stores import outbox
from gcc.stores.postgres import Connection
from gcc.stores.tenant import Tenant

ADD = statements.load("activities")["add"].replace("{put_outbox}", outbox.SQL["put_outbox"])


@dataclass(frozen=True, slots=True)
class Activity:
    """`request_id` None: it came of no call of who did it. `details`: a few words about it."""

    id: UUID
    type: str
    thing_id: str | None
    request_id: UUID | None
    details: Mapping[str, str | int]


async def add(conn: Connection, tenant: Tenant, done: Activity, frames: Sequence[Frame]) -> None:
    """In the transaction of what was done."""
    row = {
        "id": done.id,
        "partner_id": tenant.partner_id,
        "account_id": tenant.account_id,
        "user_id": None if tenant.user_id is None else str(tenant.user_id),
        "key_id": tenant.key_id,
        "type": done.type,
        "thing_id": done.thing_id,
        "request_id": done.request_id,
        "metadata": Jsonb(dict(done.details)),
    }
    await conn.execute(ADD, row | outbox.columns(frames))

"""Pages of what a tenant keeps, the newest first, and links and refusals as everybody here tells them."""

import datetime as dt
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any
from uuid import UUID

import msgspec
from pydantic import Field
from quart import Request

from gcc.stores.postgres_identity_people import Place, Reason, Refused
from gcc.stores.tenant import Tenant
from gcc.web.api import cursor, parse
from gcc.web.api.envelope import Answer
from gcc.web.api.errors import ApiError, Code, Fault
from gcc.web.api.shapes import IN_DIGITS, Cursor, Given

REFUSALS: dict[Reason, Code] = {
    "ABSENT": Code.NOT_FOUND,
    "TAKEN": Code.CONFLICT,
    "LAST_OWNER": Code.LAST_OWNER,
    "FULL": Code.LIMIT_REACHED,
    "ODD": Code.INVALID_BODY,
}


class PageQuery(Given):
    limit: Annotated[int, Field(ge=1, le=100), IN_DIGITS] = 25
    cursor: Cursor | None = Field(None, description="meta.cursor of the page before.")


class PageKey(msgspec.Struct, frozen=True, array_like=True):
    created_at: dt.datetime
    id: UUID


async def page(
    tenant: Tenant,
    request: Request,
    read: Callable[[Place, int], Awaitable[list[dict[str, Any]]]],
    *scope: str | int | None,
) -> Answer:
    """A page of rows that have created_at and id; `scope`: of what, beside whose they are."""
    query = parse.query(PageQuery, request)
    whose, place = cursor.scope(tenant, *scope), Place()
    if query.cursor is not None:
        _, key = cursor.decode(query.cursor, whose, PageKey)
        if key.created_at.tzinfo is None:
            raise ApiError(
                Code.INVALID_CURSOR, "cursor: it is malformed; pass meta.cursor of the page before unchanged"
            )
        place = Place(key.created_at, key.id)
    rows = await read(place, query.limit + 1)
    more = None
    if len(rows) > query.limit:
        last = rows[query.limit - 1]
        more = cursor.encode(cursor.LIVE, whose, PageKey(last["created_at"], last["id"]))
    return Answer(rows[: query.limit], "postgres", cursor=more)


@contextmanager
def refusals(codes: Mapping[Reason, Code] = REFUSALS) -> Iterator[None]:
    """What the database refuses in the block leaves it as ApiError."""
    try:
        yield
    except Refused as refused:
        errors = [Fault(path=refused.path, reason=str(refused))] if refused.path else []
        raise ApiError(codes[refused.reason], str(refused), errors=errors) from None


def some_id(text: str, what: str) -> UUID:
    """ApiError NOT_FOUND: nothing has such an id."""
    if (found := parse.whole_uuid(text)) is None:
        raise ApiError(Code.NOT_FOUND, f"there is no such {what}")
    return found


def own_id(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)


def new_link_token() -> tuple[str, bytes]:
    """A token for a link, and its digest."""
    token = secrets.token_urlsafe(32)
    return token, digest(token)


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def link(request: Request, public_url: str, page: str, token: str) -> str:
    """Where a person goes with it: behind the #, so that no server and no log is told of it."""
    return link_at(public_url or request.host_url, page, token)


def link_at(url: str, page: str, token: str) -> str:
    return f"{url.rstrip('/')}/app/{page}#{token}"

"""The peer of the API's bench: FastAPI and asyncpg, as most would write it, run by uvicorn on uvloop and httptools.

The same paths, statements, token check and bytes of the body as the gateway's, from the same PostgreSQL, which the
environment names (PGHOST, ...), with as many connections. It is given what costs least: the answer is a stock
`Response` around bytes of msgspec (a model or `JSONResponse` would cost more), and asyncpg's pool does not send its
statement that resets a session after each request, since the gateway's does not either. What it has not: requests' ids,
deadlines, metrics, limits of any kind, queries that end when their client hangs up, refreshes, notes in empty answers.
"""

import datetime as dt
import hmac
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import asyncpg
import msgspec
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Response
from pydantic import BaseModel, Field

from gcc import statements
from gcc.config import Settings
from gcc.platforms import PLATFORMS
from gcc.stores import profiles_read
from gcc.stores.profiles_read import SYNCED_METRICS
from gcc.web.api import cursor, envelope
from gcc.web.api.envelope import Answer
from gcc.web.api.naming import SHOWN

LEADERBOARD = statements.load("leaderboard")
TOKEN = os.environ.get("TOKEN", "")
CONNECTIONS = Settings().postgres.web_pool
PROFILE = "/discovery-service/api/profile/{platform}/{handle}"
Platform = Literal["INSTAGRAM", "YOUTUBE"]
pool: asyncpg.Pool


def numbered(statement: str, *names: str) -> str:
    """Its parameters as PostgreSQL has them, in the order of `names`."""
    for number, name in enumerate(names, start=1):
        statement = statement.replace(f"%({name})s", f"${number}")
    return statement


def of_platforms(name: str, argument: str, columns: str = "") -> dict[str, str]:
    """A statement that names a platform's tables, for each."""
    return {
        each.platform.name: numbered(
            profiles_read.statement(name, each.platform, getattr(each.columns, columns) if columns else ()).decode(),
            argument,
        )
        for each in SHOWN
    }


FIND = of_platforms("find", "handle", "profile")
RECENT = of_platforms("recent", "profile_id", "figures")
IDENTIFY = of_platforms("identify", "handle")
SERIES = {
    metric: numbered(
        profiles_read.SQL["series"].format(column=column), "platform", "profile_id", "first", "last", "granularity"
    )
    for metric, column in SYNCED_METRICS.items()
}


async def _session(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", encoder=msgspec.json.encode, decoder=msgspec.json.decode, schema="pg_catalog"
    )


async def _keep(connection: asyncpg.Connection) -> None:
    """In place of the statement that resets a session."""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    global pool
    async with asyncpg.create_pool(min_size=CONNECTIONS, max_size=CONNECTIONS, init=_session, reset=_keep) as pool:
        yield


async def authenticate(authorization: Annotated[str, Header()] = "") -> None:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.encode(), TOKEN.encode()):
        raise HTTPException(401, "the token is not valid")


app = FastAPI(lifespan=lifespan, dependencies=[Depends(authenticate)])


def success(answer: Answer) -> Response:
    return Response(envelope.success(answer), media_type=envelope.JSON)


@app.get(PROFILE)
async def profile(platform: Platform, handle: str) -> Response:
    async with pool.acquire() as connection:
        row = await connection.fetchrow(FIND[platform], handle)
        if row is None:
            raise HTTPException(404, f"no {platform} profile called {handle!r} is known here")
        posts = await connection.fetch(RECENT[platform], row[PLATFORMS[platform].profile_id])
    data = {"platform": platform, **row, "recent_posts": [dict(post) for post in posts]}
    return success(Answer(data, "postgres", as_of=row["scraped_at"]))


@app.get(PROFILE + "/timeseries")
async def series(
    platform: Platform,
    handle: str,
    first: Annotated[dt.date, Query(alias="from")],
    last: Annotated[dt.date, Query(alias="to")],
    metric: Literal["followers", "following", "media_count", "views", "engagement_rate"] = "followers",
    granularity: Literal["day", "week", "month"] = "day",
) -> Response:
    async with pool.acquire() as connection:
        known = await connection.fetchrow(IDENTIFY[platform], handle)
        if known is None:
            raise HTTPException(404, f"no {platform} profile called {handle!r} is known here")
        rows = await connection.fetch(SERIES[metric], platform, known["profile_id"], first, last, granularity)
    points = [{"date": row["bucket"], "value": row["value"]} for row in rows if row["bucket"] is not None]
    return success(Answer(points, "postgres", as_of=rows[0]["as_of"] if rows else None))


class Asked(BaseModel):
    month: str | None = None
    metric: Literal["followers", "engagement_rate", "views"] = "followers"
    limit: int = Field(50, ge=1, le=200)


@app.post("/leaderboard-service/api/leaderboard/platform/{platform}")
async def leaderboard(platform: Platform, asked: Asked) -> Response:
    columns = {"rank": f"{asked.metric}_rank", "previous_rank": f"{asked.metric}_rank_prev", "scope": "platform"}
    statement = numbered(
        LEADERBOARD["page"].format(**columns, limit=asked.limit + 1),
        "platform", "scope", "month", "after_rank", "after_profile_id",
    )  # fmt: skip
    month = None if asked.month is None else dt.date.fromisoformat(f"{asked.month}-01")
    async with pool.acquire() as connection:
        found = await connection.fetch(statement, platform, platform, month, 0, "")
    if not found:
        return success(Answer([], "postgres", total=0))
    rows: list[dict[str, Any]] = [
        {name: value for name, value in row.items() if name not in ("snapshot_id", "as_of", "total")}
        for row in found
        if row["rank"] is not None
    ]
    snapshot, as_of, total = found[0]["snapshot_id"], found[0]["as_of"], found[0]["total"]
    more = None
    if len(rows) > asked.limit:
        del rows[asked.limit :]
        query = cursor.scope("leaderboard", platform, "platform", platform.lower(), asked.metric, asked.month)
        more = cursor.encode(str(snapshot), query, (rows[-1]["rank"], rows[-1]["profile_id"]))
    return success(Answer(rows, "postgres", as_of=as_of, cursor=more, total=total))

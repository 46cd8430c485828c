"""The peer of the API's bench: FastAPI and asyncpg, as most would write it, run by uvicorn on uvloop and httptools.

The same paths, statements, token check and bytes of the body as the gateway's, from the same PostgreSQL, which the
environment names (PGHOST, ...), with as many connections. It is given what costs least: the answer is a stock
`Response` around bytes of msgspec (a model or `JSONResponse` would cost more), and asyncpg's pool does not send its
statement that resets a session after each request, since the gateway's does not either. What it has not: requests' ids,
deadlines, metrics, limits of any kind, sessions that end, meters, queries that end when their client hangs up,
refreshes, notes in empty answers.
"""

import datetime as dt
import hashlib
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import asyncpg
import jwt
import msgspec
from cachetools import TTLCache
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field

from bench.asking import ASKS
from gcc import statements
from gcc.config import Settings
from gcc.pipelines.analytics.dictionary import called
from gcc.platforms import PLATFORMS
from gcc.stores import profiles_read
from gcc.stores.profiles_read import SYNCED_METRICS
from gcc.web.api import cursor, envelope
from gcc.web.api.envelope import Answer
from gcc.web.api.naming import SHOWN
from gcc.web.identity.tokens import AUDIENCE, ISSUER

LEADERBOARD = statements.load("leaderboard")
REPEATED_S = float(os.environ.get("REPEATED_S", "0"))
"""For so long it answers the same from memory, as bytes."""
SECRET = bytes.fromhex(os.environ.get("SECRET", ""))
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


async def authenticate(authorization: Annotated[str, Header()] = "") -> dict[str, Any]:
    scheme, _, token = authorization.partition(" ")
    try:
        claims: dict[str, Any] = jwt.decode(token, SECRET, algorithms=["HS256"], audience=AUDIENCE, issuer=ISSUER)
    except jwt.PyJWTError as error:
        raise HTTPException(401, "the token is not valid") from error
    if scheme.lower() != "bearer":
        raise HTTPException(401, "send a bearer token")
    return claims


app = FastAPI(lifespan=lifespan)
ours = APIRouter(dependencies=[Depends(authenticate)])


answered: TTLCache[tuple[Any, ...], tuple[bytes, str]] = TTLCache(10_000, REPEATED_S)


def success(answer: Answer, *key: Any) -> Response:
    body = envelope.success(answer)
    if not key or not REPEATED_S:
        return Response(body, media_type=envelope.JSON)
    etag = answered[key] = body, f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    return again(etag)


def again(known: tuple[bytes, str], if_none_match: str = "") -> Response:
    body, etag = known
    if if_none_match == etag:
        return Response(status_code=304, headers={"etag": etag})
    return Response(body, media_type=envelope.JSON, headers={"etag": etag})


@app.get("/heartbeat")
async def heartbeat() -> Response:
    async with pool.acquire() as connection:
        await connection.execute("select")
    return success(Answer({"state": "ready"}, "process", as_of=dt.datetime.now(dt.UTC)))


@ours.get(PROFILE)
async def profile(platform: Platform, handle: str, if_none_match: Annotated[str, Header()] = "") -> Response:
    if (known := answered.get(("profile", platform, handle))) is not None:
        return again(known, if_none_match)
    async with pool.acquire() as connection:
        row = await connection.fetchrow(FIND[platform], handle)
        if row is None:
            raise HTTPException(404, f"no {platform} profile called {handle!r} is known here")
        posts = await connection.fetch(RECENT[platform], row[PLATFORMS[platform].profile_id])
    data = {"platform": platform, **row, "recent_posts": [dict(post) for post in posts]}
    return success(Answer(data, "postgres", as_of=row["scraped_at"]), "profile", platform, handle)


@ours.get(PROFILE + "/timeseries")
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
        row = await connection.fetchrow(SERIES[metric], platform, known["profile_id"], first, last, granularity)
    if row is None:
        return success(Answer([], "postgres"))
    return success(Answer(msgspec.Raw(row["points"].encode()), "postgres", as_of=row["as_of"]))


class Asked(BaseModel):
    month: str | None = None
    metric: Literal["followers", "engagement_rate", "views"] = "followers"
    limit: int = Field(50, ge=1, le=200)


@ours.post("/leaderboard-service/api/leaderboard/platform/{platform}")
async def leaderboard(platform: Platform, asked: Asked) -> Response:
    key = "leaderboard", platform, asked.month, asked.metric, asked.limit
    if (known := answered.get(key)) is not None:
        return again(known)
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
        {name: value for name, value in row.items() if name not in ("snapshot_id", "as_of", "total", "place")}
        for row in found
        if row["rank"] is not None
    ]
    snapshot, as_of, total = found[0]["snapshot_id"], found[0]["as_of"], found[0]["total"]
    more = None
    if len(rows) > asked.limit:
        del rows[asked.limit :]
        query = "leaderboard", platform, "platform", platform.lower(), asked.metric, asked.month
        more = cursor.encode(str(snapshot), cursor.scope(ASKS, *query), (rows[-1]["rank"], rows[-1]["profile_id"]))
    shown = [row | called(row) for row in rows]
    return success(Answer(shown, "postgres", as_of=as_of, cursor=more, total=total), *key)


KEYS, USAGE = statements.load("idempotency"), statements.load("usage")
LOCK = numbered(KEYS["lock"], "lock")
KEPT = numbered(KEYS["kept"], "partner_id", "scope")
KEEP = numbered(KEYS["keep"], "scope", "partner_id", "fingerprint", "status", "location", "body", "life_s")
KNOWN_BY_ID = numbered(
    " union all ".join(profiles_read.statement("known_by_id", each.platform).decode() for each in SHOWN), "profile_id"
)
TRACK = numbered(USAGE["track_page"], "id", "partner_id", "platform", "profile_id", "day")
PAGES = numbered(USAGE["pages"], "partner_id", "before", "before_id", "limit")
BEGIN = f"begin; set local gcc.partner_id = '{ASKS.partner_id}'"
PAGE = "/partner-usage-service/api/profile-page"


@asynccontextmanager
async def tenant() -> AsyncIterator[asyncpg.Connection]:
    """A transaction of the partner's; its beginning, and its end, are a message each."""
    async with pool.acquire() as connection:
        await connection.execute(BEGIN)
        try:
            yield connection
        except BaseException:
            await connection.execute("rollback")
            raise
        await connection.execute("commit")


class Looked(BaseModel):
    platform: Platform
    profile_id: str = Field(max_length=200)


@ours.post(PAGE)
async def track(
    looked: Looked,
    request: Request,
    claims: Annotated[dict[str, Any], Depends(authenticate)],
    idempotency_key: Annotated[str, Header()],
) -> Response:
    scope = hashlib.sha256(msgspec.json.encode([claims["pid"], claims["sub"], "track", idempotency_key])).digest()
    asked = msgspec.json.encode([request.method, request.url.path, request.url.query])
    fingerprint = hashlib.sha256(asked + await request.body()).digest()
    async with tenant() as connection:
        if not await connection.fetchval(LOCK, int.from_bytes(scope[:8], signed=True)):
            raise HTTPException(409, "the first call with this key has not ended")
        if (kept := await connection.fetchrow(KEPT, ASKS.partner_id, scope)) is not None:
            if kept["fingerprint"] != fingerprint:
                raise HTTPException(422, "another call was made with this key")
            return Response(kept["body"], kept["status"], {"idempotency-replayed": "true"}, envelope.JSON)
        known = {row["platform"] for row in await connection.fetch(KNOWN_BY_ID, looked.profile_id)}
        if looked.platform not in known:
            raise HTTPException(404, "no such profile is known here")
        now = dt.datetime.now(dt.UTC)
        row = await connection.fetchrow(
            TRACK, uuid.uuid4(), ASKS.partner_id, looked.platform, looked.profile_id, now.date()
        )
        answer = success(Answer(dict(row), "postgres", as_of=now))
        await connection.execute(KEEP, scope, ASKS.partner_id, fingerprint, 200, None, bytes(answer.body), 86_400.0)
        return answer


@ours.get(PAGE)
async def pages(limit: Annotated[int, Query(ge=1, le=100)] = 25) -> Response:
    async with tenant() as connection:
        rows = await connection.fetch(PAGES, ASKS.partner_id, None, None, limit + 1)
    more = None
    if len(rows) > limit:
        last = rows[limit - 1]
        more = cursor.encode(cursor.LIVE, cursor.scope(ASKS, "profile-pages"), (last["created_at"], last["id"]))
    names = ("platform", "profile_id", "day", "access_count")
    return success(Answer([{name: row[name] for name in names} for row in rows[:limit]], "postgres", cursor=more))


app.include_router(ours)

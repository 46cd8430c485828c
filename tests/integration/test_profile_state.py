"""What became of a profile, as its rows tell: its state, and the handles that it had."""

import datetime as dt
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gcc.stores.postgres import Pool

AT = dt.datetime(2026, 10, 30, 12, tzinfo=dt.UTC)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = Pool(database, 2, name="test")
    yield pool
    await pool.aclose()


async def rows(pool: Pool, sql: str, **arguments: Any) -> list[tuple[Any, ...]]:
    async with pool.connection() as conn:
        cursor = await conn.execute(sql.encode(), arguments)
        return await cursor.fetchall() if cursor.description else []


async def found(pool: Pool, profile_id: str, handle: str, day: int, state: str = "active") -> None:
    """A crawl found it, so many days later."""
    sql = """
        insert into instagram_account (id, profile_id, handle, state, source, scraped_at)
        values (%(id)s, %(profile_id)s, %(handle)s, %(state)s, 's', %(at)s)
        on conflict (profile_id) do update
        set handle = excluded.handle, state = excluded.state, scraped_at = excluded.scraped_at
    """
    at = AT + dt.timedelta(days=day)
    await rows(pool, sql, id=uuid.uuid4(), profile_id=profile_id, handle=handle, state=state, at=at)


async def ended(
    pool: Pool, code: str, flow: str = "refresh_profile_by_handle", status: str = "FAILED", **params: str
) -> None:
    """A job ended so."""
    id, platform = uuid.uuid4(), "YOUTUBE" if flow == "refresh_yt_profiles" else "INSTAGRAM"
    await rows(
        pool,
        """insert into scrape_request_log (id, idempotency_key, platform, flow, params, status, expires_at)
           values (%(id)s, %(key)s, %(platform)s, %(flow)s, %(params)s::jsonb, 'PENDING', now())""",
        id=id, key=str(id), platform=platform, flow=flow, params=json.dumps(params),
    )  # fmt: skip
    sql = """update scrape_request_log
             set status = %(status)s, scraped_at = case when %(status)s = 'FAILED' then now() end,
                 data = jsonb_build_object('code', %(code)s::text)
             where id = %(id)s"""
    await rows(pool, sql, id=id, status=status, code=code)


async def state_of(pool: Pool, profile_id: str) -> str:
    ((state,),) = await rows(pool, "select state from instagram_account where profile_id = %(id)s", id=profile_id)
    return str(state)


async def handles_of(pool: Pool, profile_id: str) -> list[tuple[str, int, int | None]]:
    """(handle, day of its first crawl, day by which it was left)."""
    sql = """select handle, first_seen_at, left_at from profile_handle
             where platform = 'INSTAGRAM' and profile_id = %(id)s order by first_seen_at, handle"""
    told = await rows(pool, sql, id=profile_id)
    return [(handle, (first - AT).days, (left - AT).days if left else None) for handle, first, left in told]


async def test_a_rename_keeps_the_handles_that_were(pool: Pool) -> None:
    await found(pool, "1", "old.name", 0)
    await found(pool, "1", "old.name", 1)
    assert await handles_of(pool, "1") == [("old.name", 0, None)]
    await found(pool, "1", "new.name", 2)
    assert await handles_of(pool, "1") == [("old.name", 0, 2), ("new.name", 2, None)]
    await found(pool, "1", "old.name", 3)
    assert await handles_of(pool, "1") == [("old.name", 0, None), ("new.name", 2, 3)]
    assert await state_of(pool, "1") == "active"


async def test_whoever_had_a_handle_that_is_another_s_now_was_renamed(pool: Pool) -> None:
    await found(pool, "1", "a.name", 0)
    await found(pool, "2", "another", 0)
    await found(pool, "3", "A.Name", 1)
    assert [await state_of(pool, id) for id in "123"] == ["renamed", "active", "active"]
    await ended(pool, "PROFILE_NOT_FOUND", handle="a.name")
    assert [await state_of(pool, id) for id in "123"] == ["renamed", "active", "gone"]
    await found(pool, "1", "found.again", 2)
    assert await state_of(pool, "1") == "active"
    await found(pool, "2", "found.again", 3)
    assert [await state_of(pool, id) for id in "12"] == ["renamed", "active"]


@pytest.mark.parametrize(
    ("code", "flow", "params", "state"),
    [
        ("PROFILE_NOT_FOUND", "refresh_profile_by_handle", {"handle": "A.name"}, "gone"),
        ("PROFILE_NOT_FOUND", "refresh_profile_by_profile_id", {"profile_id": "1"}, "gone"),
        ("NOT_VISIBLE", "refresh_profile_basic", {"handle": "a.name"}, "unknown"),
        ("NOT_VISIBLE", "refresh_profile_custom", {"handle": "a.name"}, "unknown"),
        ("SOURCE_FAILED", "refresh_profile_by_handle", {"handle": "a.name"}, "private"),
        ("NOT_VISIBLE", "refresh_post_by_shortcode", {"handle": "a.name"}, "private"),
        ("PROFILE_NOT_FOUND", "refresh_profile_by_handle", {"handle": "some.one"}, "private"),
        ("PROFILE_NOT_FOUND", "refresh_profile_by_handle", {}, "private"),
        ("PROFILE_NOT_FOUND", "refresh_yt_profiles", {"handle": "a.name"}, "private"),
    ],
)
async def test_a_refresh_in_vain_tells_the_state(
    pool: Pool, code: str, flow: str, params: dict[str, str], state: str
) -> None:
    await found(pool, "1", "a.name", 0, state="private")
    await ended(pool, code, flow, **params)
    assert await state_of(pool, "1") == state
    await found(pool, "1", "a.name", 1)
    assert await state_of(pool, "1") == "active"


async def test_a_refresh_that_is_tried_again_tells_nothing_yet(pool: Pool) -> None:
    await found(pool, "1", "a.name", 0)
    await ended(pool, "PROFILE_NOT_FOUND", status="PENDING", handle="a.name")
    assert await state_of(pool, "1") == "active"


async def test_a_channel_is_known_by_its_id(pool: Pool) -> None:
    sql = """insert into youtube_account (id, channel_id, handle, source, scraped_at)
             values (%(id)s, %(channel)s, %(handle)s, 's', now())"""
    for channel, handle in (("UC1", "@one"), ("UC2", None)):
        await rows(pool, sql, id=uuid.uuid4(), channel=channel, handle=handle)
    await ended(pool, "PROFILE_NOT_FOUND", "refresh_yt_profiles", handle="UC2")
    await ended(pool, "PROFILE_NOT_FOUND", "refresh_yt_profiles", handle="@One")
    assert await rows(pool, "select state from youtube_account") == [("gone",), ("gone",)]
    assert await rows(pool, "select profile_id, handle from profile_handle") == [("UC1", "@one")]

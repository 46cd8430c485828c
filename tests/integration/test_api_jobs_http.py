"""Jobs over HTTP: begun, watched, cancelled, downloaded; by whom, and by whom not."""

import csv
import datetime as dt
import io
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
import trio

from gcc.channels.api_jobs import ApiJob
from gcc.channels.objects import Objects
from gcc.clock import SystemClock
from gcc.pipelines.api_jobs.kind import File, Kind
from gcc.pipelines.api_jobs.leaderboard import COLUMNS, LEADERBOARD_EXPORT, step
from gcc.pipelines.api_jobs.told import told_of
from gcc.stores.api_jobs import Begun, PostgresApiJobs, object_key
from gcc.stores.api_jobs_asked import UNFINISHED_MAX
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.folder_objects import FolderObjects
from gcc.stores.postgres import Pool
from gcc.stores.s3_objects import S3Objects
from gcc.supervisor.drain import Stage
from gcc.web.api import jobs as routes
from tests.integration.api_job_child import counting, runner
from tests.integration.api_serving import Api, insert, mark_synced, serving_api
from tests.integration.identity_people import As, Someone, acting, add_partner, add_person, code, execute

BOARD = "/leaderboard-service/api/leaderboard/platform/INSTAGRAM"
EXPORT = f"{BOARD}/export"
MONTH = dt.date(2026, 10, 1)


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return FolderObjects(tmp_path)


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse, objects: Objects) -> AsyncIterator[Api]:
    async with serving_api(pool, clickhouse, objects=objects) as api:
        del api.client.headers["authorization"]
        yield api


async def add_creators(pool: Pool, count: int, **columns: Any) -> None:
    rows = [
        {
            "platform": "INSTAGRAM", "profile_id": f"p{number:05}", "handle": f"h{number}", "month": MONTH,
            "full_name": "=cmd|' /C calc'!A0" if number == 1 else f"Name, {number}", "followers": 10_000 - number,
            "followers_rank": number, "category": "beauty" if number % 2 else "food", **columns,
        }
        for number in range(1, count + 1)
    ]  # fmt: skip
    await insert(pool, "leaderboard", rows)
    await mark_synced(pool, "leaderboard")


class Ask:
    """Somebody, anywhere in the API."""

    def __init__(self, api: Api, who: As) -> None:
        self.api, self.headers = api, who.headers

    async def call(self, method: str, path: str, **body: Any) -> httpx.Response:
        options = {"json": body} if body else {}
        key = {"idempotency-key": str(uuid.uuid4())} if path == EXPORT else {}
        return await self.api.call(method, path, headers=self.headers | key, **options)

    async def file(self, path: str) -> httpx.Response:
        return await self.api.client.get(path, headers=self.headers)

    async def begun(self, **body: Any) -> str:
        response = await self.call("POST", EXPORT, **body)
        assert response.status_code == 202, response.text
        job = response.json()["data"]
        assert response.headers["location"] == f"/jobs/{job['id']}"
        assert (job["kind"], job["state"], job["done"], job["total"]) == ("leaderboard_export", "PENDING", 0, None)
        return str(job["id"])

    async def job(self, id: str) -> dict[str, Any]:
        return dict((await self.call("GET", f"/jobs/{id}")).json()["data"])


async def asking(api: Api, pool: Pool, email: str, role: str, partner_id: int = 7, account: str = "") -> Ask:
    someone = await add_person(pool, email, partner_id=partner_id, role=role)
    if account:
        id = uuid.uuid5(uuid.NAMESPACE_OID, account)
        await execute(
            pool, "insert into account (id, partner_id, name) values (%s, %s, %s) on conflict do nothing",
            id, partner_id, account,
        )  # fmt: skip
        await execute(pool, "update app_user set account_id = %s where id = %s", id, someone.user_id)
    return Ask(api, await acting(api, someone))


@pytest.fixture
async def asha(pool: Pool) -> Someone:
    await add_partner(pool, 7)
    return await add_person(pool, partner_id=7)


@pytest.fixture
async def ask(api: Api, asha: Someone) -> Ask:
    return Ask(api, await acting(api, asha))


async def run(pool: Pool, objects: Objects, kind: Kind = LEADERBOARD_EXPORT) -> None:
    """Whatever waits, to its end."""
    clock, stage = SystemClock(), Stage("intake")
    jobs = PostgresApiJobs(pool, objects, told_of(clock))
    async with trio.open_nursery() as nursery:
        await nursery.start(runner(jobs, objects, clock, stage, kind).run)
        with trio.fail_after(30):
            while await execute(pool, "select 1 from api_job where ended_at is null"):  # noqa: ASYNC110
                await trio.sleep(0.01)  # a commit of another task tells nobody
        stage.begin()


def rows_of(response: httpx.Response) -> list[dict[str, str]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


# The export of a leaderboard


async def test_a_leaderboard_goes_out_as_its_pages_have_it(ask: Ask, pool: Pool, objects: Objects) -> None:
    await add_creators(pool, 1203)
    id = await ask.begun()
    assert code(await ask.call("GET", f"/jobs/{id}/download")) == (409, "JOB_NOT_READY")
    await run(pool, objects)
    job = await ask.job(id)
    assert (job["state"], job["done"], job["total"], job["failed"]) == ("COMPLETE", 1203, 1203, 0)
    response = await ask.file(f"/jobs/{id}/download")
    rows = rows_of(response)
    assert response.headers["content-disposition"] == f'attachment; filename="leaderboard_export-{id}.csv"'
    assert int(response.headers["content-length"]) == job["result"]["bytes"] == len(response.content)
    assert list(rows[0]) == list(COLUMNS)
    assert [row["rank"] for row in rows] == [str(number) for number in range(1, 1204)]
    assert [row["full_name"] for row in rows[:2]] == ["'=cmd|' /C calc'!A0", "Name, 2"]
    page = (await ask.call("POST", BOARD, limit=200)).json()["data"]
    assert [row["handle"] for row in page] == [row["handle"] for row in rows[:200]]


@pytest.mark.parametrize("format", ["csv", "parquet"])
async def test_a_file_calls_each_group_as_the_pages_do(ask: Ask, pool: Pool, objects: Objects, format: str) -> None:
    await add_creators(pool, 3, category="beauty", language="hi")
    id = await ask.begun(format=format)
    await run(pool, objects)
    response = await ask.file(f"/jobs/{id}/download")
    rows = rows_of(response) if format == "csv" else pq.read_table(io.BytesIO(response.content)).to_pylist()
    page = (await ask.call("POST", BOARD)).json()["data"]
    assert [(row["category"], row["language"]) for row in page] == [("Beauty", "Hindi")] * 3
    assert [(row["category"], row["language"]) for row in rows] == [("Beauty", "Hindi")] * 3


async def test_parquet_has_the_types_and_no_apostrophe(ask: Ask, pool: Pool, objects: Objects) -> None:
    await add_creators(pool, 1203, engagement_rate=0.25)
    id = await ask.begun(format="parquet")
    await run(pool, objects)
    response = await ask.file(f"/jobs/{id}/download")
    assert response.headers["content-type"] == "application/vnd.apache.parquet"
    assert response.headers["content-disposition"] == f'attachment; filename="leaderboard_export-{id}.parquet"'
    table = pq.read_table(io.BytesIO(response.content))
    assert table.column_names == list(COLUMNS)
    assert table["rank"].to_pylist() == list(range(1, 1204))
    first = table.slice(0, 1).to_pylist()[0]
    assert (first["full_name"], first["followers"], first["engagement_rate"]) == ("=cmd|' /C calc'!A0", 9999, 0.25)
    assert (first["views"], first["month"]) == (None, "2026-10")


@pytest.mark.parametrize(
    ("body", "ranks"),
    [
        ({"limit": 3}, [1, 2, 3]), ({"limit": 500}, range(1, 501)), ({"limit": 501}, range(1, 502)),
        ({"category": "Beauty", "metric": "followers"}, []), ({"month": "2026-09"}, []), ({"category": "unheard"}, []),
    ],
)  # fmt: skip
async def test_what_is_asked_for_is_what_comes(
    ask: Ask, pool: Pool, objects: Objects, body: dict[str, Any], ranks: Any
) -> None:
    await add_creators(pool, 700)
    id = await ask.begun(**body)
    await run(pool, objects)
    rows = rows_of(await ask.file(f"/jobs/{id}/download"))
    assert [int(row["rank"]) for row in rows] == list(ranks)


async def test_a_table_swapped_meanwhile_begins_the_file_anew(ask: Ask, pool: Pool, objects: Objects) -> None:
    await add_creators(pool, 600)
    id = await ask.begun()

    async def swapped(job: ApiJob, params: Any, begun: Begun) -> None:
        await step(job, params, begun)
        if job.batches == 0:
            await execute(pool, "update leaderboard set handle = 'new' || followers_rank")
            await mark_synced(pool, "leaderboard")

    await run(pool, objects, Kind("leaderboard_export", LEADERBOARD_EXPORT.params, swapped, lambda _: File(COLUMNS)))
    rows = rows_of(await ask.file(f"/jobs/{id}/download"))
    assert [row["handle"] for row in rows] == [f"new{number}" for number in range(1, 601)]
    job = await ask.job(id)
    assert (job["state"], job["done"], job["total"]) == ("COMPLETE", 600, 600)


async def test_where_none_was_ever_made_the_job_fails(ask: Ask, pool: Pool, objects: Objects) -> None:
    id = await ask.begun()
    await run(pool, objects)
    job = await ask.job(id)
    reason = {"code": "NO_DATA", "reason": "no leaderboard has been made yet"}
    assert (job["state"], job["result"]) == ("FAILED", reason)
    assert code(await ask.call("GET", f"/jobs/{id}/download")) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"limit": 10_001}, "INVALID_BODY"), ({"limit": 0}, "INVALID_BODY"), ({"month": "2026-13"}, "INVALID_DATE"),
        ({"category": "a", "language": "b"}, "INVALID_BODY"), ({"metric": "likes"}, "INVALID_BODY"),
        ({"category": ""}, "INVALID_BODY"), ({"format": "xlsx"}, "INVALID_BODY"), ({"top": 1}, "INVALID_BODY"),
    ],
)  # fmt: skip
async def test_what_cannot_be_asked_for(ask: Ask, pool: Pool, body: dict[str, Any], refusal: str) -> None:
    assert code(await ask.call("POST", EXPORT, **body)) == (422, refusal)
    assert await execute(pool, "select 1 from api_job") == []


async def test_rows_are_counted_when_they_are_asked_for(ask: Ask, pool: Pool) -> None:
    await add_creators(pool, 30)
    for body in ({"limit": 20}, {"category": "unheard"}):
        await ask.begun(**body)
    used = "select usage_count from partner_usage where partner_id = 7 and module = 'EXPORT'"
    assert await execute(pool, used) == [(20,)]
    await execute(pool, "update partner_usage set usage_count = limit_count - 10 where module = 'EXPORT'")
    assert code(await ask.call("POST", EXPORT)) == (402, "QUOTA_SPENT")
    assert await execute(pool, "select count(*) from api_job") == [(2,)], "what is refused is no job"
    await ask.begun(limit=10)
    assert code(await ask.call("POST", EXPORT, limit=1)) == (402, "QUOTA_SPENT")


async def test_asked_for_again_with_its_key_it_is_one_job(ask: Ask, pool: Pool) -> None:
    headers = ask.headers | {"idempotency-key": "once"}
    first, again = [await ask.api.call("POST", EXPORT, headers=headers, json={"limit": 5}) for _ in range(2)]
    assert (first.status_code, again.status_code, again.content) == (202, 202, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert await execute(pool, "select count(*) from api_job") == [(1,)]
    assert code(await ask.api.call("POST", EXPORT, headers=ask.headers, json={})) == (400, "IDEMPOTENCY_REQUIRED")


# Who sees which


async def test_an_account_sees_its_own_jobs_an_owner_all_of_the_partner_s(ask: Ask, api: Api, pool: Pool) -> None:
    mine = await asking(api, pool, "ravi@brand.example", "EDITOR")
    reader = await asking(api, pool, "lata@brand.example", "VIEWER")
    other = await asking(api, pool, "vik@brand.example", "EDITOR", account="Other")
    await add_partner(pool, 8)
    stranger = await asking(api, pool, "twin@other.example", "OWNER", partner_id=8)
    ids = {name: await who.begun(limit=1) for name, who in (("owner", ask), ("mine", mine), ("other", other))}

    async def seen(who: Ask) -> set[str]:
        listed = {job["id"] for job in (await who.call("GET", "/jobs")).json()["data"]}
        for id in ids.values():
            for path in ("", "/download", "/report"):
                refused = (await who.call("GET", f"/jobs/{id}{path}")).status_code == 404
                assert refused == (id not in listed or (path == "/report" and False)), (id, path)
        return listed

    for who, names in (
        (ask, {"owner", "mine", "other"}),
        (mine, {"owner", "mine"}),
        (other, {"other"}),
        (stranger, set()),
    ):
        assert await seen(who) == {ids[name] for name in names}
    assert await seen(reader) == {ids["owner"], ids["mine"]}
    assert code(await reader.call("POST", f"/jobs/{ids['mine']}/cancel")) == (403, "FORBIDDEN")
    assert code(await reader.call("POST", EXPORT, limit=1)) == (403, "FORBIDDEN")
    for who in (other, stranger):
        assert code(await who.call("POST", f"/jobs/{ids['mine']}/cancel")) == (404, "NOT_FOUND")
    assert {job["state"] for job in (await ask.call("GET", "/jobs")).json()["data"]} == {"PENDING"}
    staff = await asking(api, pool, "staff@gcc.example", "OPERATOR")
    for path in ("/jobs", f"/jobs/{ids['mine']}"):
        assert code(await staff.call("GET", path)) == (403, "FORBIDDEN")


async def test_exports_are_of_a_plan(api: Api, pool: Pool) -> None:
    await add_partner(pool, 9, None)
    free = await asking(api, pool, "free@brand.example", "OWNER", partner_id=9)
    assert code(await free.call("POST", EXPORT, limit=1)) == (403, "PLAN_REQUIRED")


async def test_jobs_come_in_pages_and_by_state_and_kind(ask: Ask) -> None:
    ids = [await ask.begun(limit=1) for _ in range(5)]
    await ask.call("POST", f"/jobs/{ids[0]}/cancel")
    first = await ask.call("GET", "/jobs?limit=3")
    cursor = first.json()["meta"]["cursor"]
    rest = await ask.call("GET", f"/jobs?limit=3&cursor={cursor}")
    assert [job["id"] for page in (first, rest) for job in page.json()["data"]] == ids[::-1]
    assert rest.json()["meta"]["cursor"] is None
    assert code(await ask.call("GET", f"/jobs?state=PENDING&cursor={cursor}")) == (422, "INVALID_CURSOR")
    assert len((await ask.call("GET", "/jobs?state=CANCELLED&kind=leaderboard_export")).json()["data"]) == 1
    assert (await ask.call("GET", "/jobs?kind=unheard")).json()["data"] == []
    assert code(await ask.call("GET", "/jobs?state=ended")) == (422, "INVALID_PARAMETER")


async def test_a_partner_s_jobs_are_bounded(ask: Ask, pool: Pool) -> None:
    row = f"gen_random_uuid(), 7, 'OWNER', 'PAID', 'count', '{{}}' from generate_series(1, {UNFINISHED_MAX})"
    await execute(pool, f"insert into api_job (id, partner_id, role, plan, kind, params) select {row}")
    assert code(await ask.call("POST", EXPORT, limit=1)) == (409, "LIMIT_REACHED")


# Ends


async def test_a_cancel_is_one_end_and_there_is_no_second(ask: Ask, pool: Pool) -> None:
    id = await ask.begun()
    cancelled = (await ask.call("POST", f"/jobs/{id}/cancel")).json()["data"]
    assert (cancelled["state"], cancelled["ended_at"] is None) == ("CANCELLED", False)
    response = await ask.call("POST", f"/jobs/{id}/cancel")
    assert code(response) == (409, "JOB_ENDED") and "CANCELLED" in response.text
    assert code(await ask.call("GET", f"/jobs/{id}/download")) == (404, "NOT_FOUND")
    kinds = await execute(pool, "select activity_type from activity_tracker order by created_at")
    assert [kind for (kind,) in kinds] == ["JOB_CREATED", "JOB_CANCELLED"]


async def test_a_file_of_last_week_is_gone(ask: Ask, pool: Pool, objects: Objects) -> None:
    await add_creators(pool, 3)
    id = await ask.begun()
    await run(pool, objects)
    await execute(pool, "update api_job set ended_at = now() - interval '8 days'")
    assert (await ask.file(f"/jobs/{id}/download")).status_code == 200, "until it is removed"
    await PostgresApiJobs(pool, objects, told_of(SystemClock())).free()
    assert code(await ask.call("GET", f"/jobs/{id}/download")) == (410, "GONE")
    assert code(await ask.call("GET", f"/jobs/{id}/report")) == (410, "GONE")
    assert (await ask.job(id))["state"] == "EXPIRED"


async def test_a_file_that_somebody_removed_is_gone(ask: Ask, pool: Pool, objects: Objects) -> None:
    await add_creators(pool, 3)
    id = await ask.begun()
    await run(pool, objects)
    await objects.delete(object_key(7, uuid.UUID(id)))
    assert code(await ask.call("GET", f"/jobs/{id}/download")) == (410, "GONE")


async def test_a_report_tells_of_each_line(
    ask: Ask, pool: Pool, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(job: ApiJob) -> None:
        pass

    kind = counting(nothing)
    monkeypatch.setitem(routes.KINDS, kind.name, kind)
    id = await ask.begun()
    await execute(pool, "create table effect (job_id uuid, number integer)")
    await execute(pool, """update api_job set kind = 'count', params = '{"to": 1200, "each": 500}'""")
    assert code(await ask.call("GET", f"/jobs/{id}/report")) == (409, "JOB_NOT_READY")
    await run(pool, objects, kind)
    rows = rows_of(await ask.file(f"/jobs/{id}/report"))
    assert [row["line"] for row in rows] == [str(number) for number in range(1, 1201)]
    assert rows[5] == {"line": "6", "status": "ADDED", "code": "", "reason": "", "input": "'@5"}


async def test_from_a_bucket_it_comes_by_a_link(
    pool: Pool, clickhouse: ClickHouse, s3_objects: S3Objects, asha: Someone
) -> None:
    await add_creators(pool, 3)
    async with serving_api(pool, clickhouse, objects=s3_objects) as api:
        ask = Ask(api, await acting(api, asha))
        id = await ask.begun()
        await run(pool, s3_objects)
        response = await ask.file(f"/jobs/{id}/download")
        assert (response.status_code, response.content) == (303, b"")
        async with httpx.AsyncClient(trust_env=False) as anybody:
            file = await anybody.get(response.headers["location"])
        assert len(rows_of(file)) == 3
        assert file.headers["content-disposition"] == f'attachment; filename="leaderboard_export-{id}.csv"'
        assert "X-Amz-Expires=300" in response.headers["location"] or "Expires=" in response.headers["location"]

"""Imports into a real database: what is stored, what is not, and how others fare meanwhile."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
import trio

from gcc.channels.jobs import Room
from gcc.channels.memory import Signal
from gcc.clock import SystemClock
from gcc.errors import Permanent, Transient
from gcc.pipelines.events import history
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.events.history import Handles, HistoryImport, ImportReport
from gcc.pipelines.events.history_form import AS_IT_TELLS, Form
from gcc.pipelines.scraping.producers import enqueue_by_handle
from gcc.sources.snapshot import ProfileSnapshot
from gcc.stores import upserts
from gcc.stores.postgres import Pool
from gcc.stores.postgres_jobs import PostgresJobs
from tests.crawls import crawl_of

HEADER = "platform,profile_id,handle,timestamp,followers,dimensions.bio\n"


@pytest.fixture
def imports(pool: Pool) -> HistoryImport:
    return HistoryImport(pool, SystemClock(), Signal())


def row(number: int, bio: str = "x") -> str:
    return f"INSTAGRAM,{number},bug{number},2026-11-01,10,{bio}\n"


async def chunks(*parts: str | bytes) -> AsyncGenerator[bytes, None]:
    for part in parts:
        yield part.encode() if isinstance(part, str) else part


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    return report.rows, report.imported, report.duplicates, report.rejected_total


async def stored(pool: Pool) -> tuple[int, int, int]:
    """Snapshots, events in the outbox, events in the ledger."""
    async with pool.connection() as conn:
        cursor = await conn.execute(
            b"select (select count(*) from imported_snapshot), (select coalesce(sum(events), 0) from outbox),"
            b" (select coalesce(sum(events), 0) from import_ledger)"
        )
        found = await cursor.fetchone()
    assert found is not None
    return tuple(map(int, found))  # type: ignore[return-value]


async def followed(pool: Pool) -> list[tuple[str, str, str]]:
    async with pool.connection() as conn:
        cursor = await conn.execute(b"select platform, profile_id, handle from tracked_profile order by 2")
        return await cursor.fetchall()  # type: ignore[return-value]


async def test_rows_are_imported_once_and_bad_ones_reported(imports: HistoryImport, pool: Pool) -> None:
    channel = "UCq-Fj5jknLsUf-MWSy4_brA"
    content = (
        HEADER, row(1), row(2, "5'10\" tall"), row(1), "INSTAGRAM,1.78E+16,excel_a,2026-11-20,100,x\n", row(3, "\x00"),
        f"YOUTUBE,{channel},https://www.youtube.com/@tseries/videos,2026-11-01,10,x\n", row(4),
    )  # fmt: skip
    assert counts(await imports.run("a.csv", chunks(*content))) == (7, 4, 1, 2)
    assert await stored(pool) == (4, 4, 4)
    assert (await followed(pool))[-1] == ("YOUTUBE", channel, "tseries")
    assert counts(await imports.run("a.csv", chunks("".join(content)))) == (7, 0, 5, 2)
    assert await stored(pool) == (4, 4, 4)


async def test_of_rows_that_contradict_each_other_the_first_is_kept(imports: HistoryImport, pool: Pool) -> None:
    other = row(1).replace(",10,", ",11,").replace("bug1", "bug_1")
    report = await imports.run("a.csv", chunks(HEADER, row(1), other))
    assert counts(report) == (2, 1, 1, 0)
    assert len(report.warnings) == 1
    assert await followed(pool) == [("INSTAGRAM", "1", "bug1")]
    async with pool.connection() as conn:
        cursor = await conn.execute(b"select convert_from(body, 'utf8') from outbox")
        ((body,),) = await cursor.fetchall()
    assert '"followers":10' in body


async def test_an_encoding_is_taken_or_refused(imports: HistoryImport, pool: Pool) -> None:
    content = (HEADER + row(1, "Zürich")).encode("cp1252")
    assert counts(await imports.run("a", chunks(content))) == (1, 0, 0, 1)
    assert counts(await imports.run("a", chunks(content), Form("cp1252"))) == (1, 1, 0, 0)
    with pytest.raises(Permanent, match="base64"):
        await imports.run("a", chunks(content), Form("base64"))


async def test_a_full_disk_keeps_what_is_in_and_tells_how_much(
    imports: HistoryImport, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "BATCH_ROWS", 100)
    async with pool.connection() as conn:
        await conn.execute(
            b"create function full_disk() returns trigger language plpgsql as $$ begin"
            b" if (select count(*) from import_ledger) >= 2 then"
            b" raise exception 'could not extend file: No space left on device' using errcode = '53100';"
            b" end if; return new; end $$"
        )
        await conn.execute(
            b"create trigger full_disk before insert on outbox for each row execute function full_disk()"
        )
    content = HEADER + "".join(map(row, range(1, 1001)))
    async with aclosing(chunks(content)) as begun:
        with pytest.raises(Transient, match=r"No space left on device; 200 snapshots are in, run it again to go on"):
            await imports.run("a", begun)
    assert await stored(pool) == (200, 200, 200)
    async with pool.connection() as conn:
        await conn.execute(b"drop trigger full_disk on outbox")
    assert counts(await imports.run("a", chunks(content))) == (1000, 800, 200, 0)
    assert await stored(pool) == (1000, 1000, 1000)


async def test_a_commit_that_hangs_is_given_up(
    imports: HistoryImport, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "COMMIT_S", 0.2)
    async with pool.transaction() as conn:
        await conn.execute(b"lock table outbox in access exclusive mode")
        with pytest.raises(Transient, match="not committed within"):
            await imports.run("a", chunks(HEADER, row(1)))
    assert await stored(pool) == (0, 0, 0)


@pytest.mark.parametrize(
    "content",
    [
        HEADER + "".join(row(number % 50) for number in range(20_000)),
        HEADER + row(1, '"open') + row(2) * 20_000,
        HEADER + row(1, '"open') + "word\n" * 100_000,
        HEADER + "\n" * 1_000_000,
        "{}\n" * 200_000,
        "{" + "x" * 5_000_000,
        HEADER + ("b" * 200_000 + "\n") * 20,
        b"\xff\xfe".decode("latin-1") * 500_000,
    ],
    ids=["rows", "open quote, rows", "open quote, words", "blank", "empty objects", "one line", "long lines", "noise"],
)
async def test_others_run_every_few_milliseconds(imports: HistoryImport, content: str) -> None:
    """One chunk of some megabytes: the longest step of the import's task, in the processor's time."""
    steps: list[float] = []

    class Steps(trio.abc.Instrument):
        began = time.thread_time()

        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            self.began = time.thread_time()

        def after_task_step(self, task: trio.lowlevel.Task) -> None:
            steps.append(time.thread_time() - self.began)

    trio.lowlevel.add_instrument(watch := Steps())
    report = await imports.run("a", chunks(content))
    trio.lowlevel.remove_instrument(watch)
    assert report.rows == report.imported + report.duplicates + report.rejected_total
    assert len(report.rejected) <= history.REJECTED_SHOWN_MAX
    assert sorted(steps)[-3] < 0.05, sorted(steps)[-5:]  # but for a collection of garbage or two


async def crawled(pool: Pool, platform: str, profile_id: str, handle: str) -> None:
    snapshot = ProfileSnapshot(platform, "api", SystemClock().now(), profile_id, handle, {"followers": 1}, {}, [])
    async with pool.transaction() as conn:
        await upserts.write(conn, crawl_of(snapshot).writes)


async def test_a_row_without_an_id_is_followed_until_a_crawl_has_found_it(imports: HistoryImport, pool: Pool) -> None:
    clock = SystemClock()
    jobs = PostgresJobs(pool, clock, StatusEvents(clock), lease_s=60, lost_max=9, outbox_written=Signal())
    asked: list[Handles] = []

    async def follow(handles: Handles) -> None:
        asked.append(handles)
        await enqueue_by_handle(jobs, handles)

    content = (
        "platform,handle,timestamp,followers\n", "INSTAGRAM,Known,2026-11-01,10\n", "INSTAGRAM,new,2026-11-01,11\n",
        "INSTAGRAM,new,2026-11-02,12\n", "YOUTUBE,listed,,\n",
    )  # fmt: skip
    await crawled(pool, "INSTAGRAM", "7", "known")
    report = await imports.run("a.csv", chunks(*content), follow=follow)
    assert (counts(report), report.followed) == ((4, 1, 0, 0), 3)
    assert report.warnings == [
        "2 rows have figures, and a handle of which no id is known yet: they are not imported before their"
        " profiles are crawled; import the file again then"
    ]
    assert asked == [[("INSTAGRAM", "new"), ("YOUTUBE", "listed")]]
    assert [job.params for job in await jobs.claim({"refresh_profile_by_handle": Room(9)})] == [{"handle": "new"}]
    assert [job.params for job in await jobs.claim({"refresh_yt_profiles": Room(9)})] == [{"handle": "listed"}]
    assert await stored(pool) == (1, 1 + 4, 1), "and the events of jobs that were made and picked"

    await crawled(pool, "INSTAGRAM", "8", "new")
    report = await imports.run("a.csv", chunks(*content), follow=follow)
    assert (counts(report), report.followed, report.warnings) == ((4, 2, 1, 0), 1, [])


@pytest.mark.parametrize("form", [AS_IT_TELLS, Form(thousands=",")])
async def test_a_dry_run_tells_what_would_be_done_and_does_nothing(
    imports: HistoryImport, pool: Pool, form: Form
) -> None:
    async def follow(handles: Handles) -> None:
        raise AssertionError("nobody is followed")

    await imports.run("a.csv", chunks(HEADER, row(1)))
    content = (HEADER, row(1), row(2), row(2), row(3).replace(",10,", ',"1,000",'), row(4).replace(",4,", ",,"))
    before = await stored(pool), await followed(pool)
    report = await imports.run("a.csv", chunks(*content), form, follow=follow, dry_run=True)
    assert (await stored(pool), await followed(pool)) == before
    done = await imports.run("a.csv", chunks(*content), form)
    assert counts(report) == counts(done) == ((5, 1, 2, 1) if form is AS_IT_TELLS else (5, 2, 2, 0))
    assert report.followed == done.followed == 1

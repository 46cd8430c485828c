"""`check` and `import-history` at the ops port: every end of an import is an answer that tells how it ended."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import psycopg
import pytest
import trio

from gcc.config import Bind
from gcc.errors import Permanent, Transient
from gcc.pipelines.events.check import CheckReport
from gcc.pipelines.events.history import ImportReport
from gcc.pipelines.events.history_form import Form
from gcc.pipelines.scraping.adding import AddReport
from gcc.stores.postgres import transient
from gcc.web import serving
from gcc.web.ops.operations import By
from gcc.web.ops.verbs import CHECK, Verbs

TOKEN = "a-token-of-the-tests"
Import = Callable[[str, AsyncIterator[bytes], str | None], Awaitable[ImportReport]]


async def no_page(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("not the page's")


async def no_check() -> CheckReport:
    raise Transient("ClickHouse does not answer")


async def no_jobs(*_asked: object) -> AddReport:
    raise AssertionError("not asked for")


@asynccontextmanager
async def port(run: Import, asked: list[tuple[Form, bool, By]] | None = None) -> AsyncIterator[httpx.AsyncClient]:
    asked = [] if asked is None else asked

    async def import_history(name: str, chunks: Any, form: Form, dry_run: bool, by: By) -> ImportReport:
        asked.append((form, dry_run, by))
        return await run(name, chunks, form.encoding)

    app = Verbs(
        no_page, token=TOKEN, host="127.0.0.1", checks={CHECK: no_check}, check_s=5, import_history=import_history,
        add_jobs=no_jobs,
    )  # fmt: skip
    async with trio.open_nursery() as nursery:
        draining = trio.Event()

        serve = partial(serving.serve, app, Bind(port=0), key="ops.port", draining=draining, grace_s=5)
        url = await nursery.start(serve)
        async with httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20, trust_env=False
        ) as client:
            yield client
        draining.set()


async def whole(name: str, chunks: AsyncIterator[bytes], encoding: str | None) -> ImportReport:
    report = ImportReport()
    async for chunk in chunks:
        report.rows += len(chunk)
    return report


async def large() -> AsyncIterator[bytes]:
    for _ in range(400):
        yield b"x" * 65536


async def test_a_whole_body_is_read() -> None:
    async with port(whole) as client:
        answer = await client.post("/api/import-history", params={"name": "a.csv"}, content=large())
    assert (answer.status_code, answer.json()["data"]["rows"]) == (200, 400 * 65536)


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (Transient("postgres is away; 200 snapshots are in"), 503, "postgres is away; 200 snapshots are in"),
        (psycopg.errors.DiskFull("could not extend file: No space left on device"), 507, "No space left on device"),
        (Permanent("encoding 'x' cannot be read"), 422, "encoding 'x' cannot be read"),
        (KeyError("a bug\x00"), 500, "KeyError"),
    ],
)
async def test_an_import_that_fails_in_the_middle_is_answered_while_its_body_still_comes(
    error: Exception, status: int, told: str
) -> None:
    async def fail(name: str, chunks: AsyncIterator[bytes], encoding: str | None) -> ImportReport:
        async for _ in chunks:
            break
        try:
            with transient("postgres"):
                raise error
        except Transient as cause:
            raise Transient(f"{cause}; 0 snapshots are in") from cause

    with trio.fail_after(30):
        async with port(fail) as client:
            answer = await client.post("/api/import-history", content=large())
    assert answer.status_code == status
    found = answer.json()
    assert (found["status"], found["data"]) == ("ERROR", None)
    assert told in found["error"]["detail"]


@pytest.mark.parametrize(
    "query",
    ["encoding=cp1252&encoding=x", "name=a&name=b", "encodng=cp1252", "dry_run=true&dry_run=false", "dry-run", "&&=&%"],
)
async def test_a_parameter_that_would_be_passed_over_is_refused(query: str) -> None:
    async with port(whole) as client:
        answer = await client.post(f"/api/import-history?{query}", content=b"x")
    assert answer.status_code == 422
    assert (
        "it takes name, encoding, date_format, thousands, dry_run, why, each once" in answer.json()["error"]["detail"]
    )


async def test_how_a_file_is_written_and_who_imports_it_are_told() -> None:
    asked: list[tuple[Form, bool, By]] = []
    query = {"date_format": "%d/%m/%Y", "thousands": ",", "dry_run": "true", "why": "a list\0 of theirs"}
    async with port(whole, asked) as client:
        assert (await client.post("/api/import-history", content=b"x")).status_code == 200
        answer = await client.post("/api/import-history", params=query, content=b"x", headers={"x-gcc-who": "ann@host"})
        assert answer.status_code == 200
        odd = await client.post("/api/import-history", params={"dry_run": "perhaps"}, content=b"x")
        for bare in ("dry_run", "dry_run="):  # whoever says so wants nothing to be done
            assert (await client.post(f"/api/import-history?{bare}", content=b"x")).status_code == 422
    assert asked == [
        (Form(), False, By("API", "")),
        (Form(date_format="%d/%m/%Y", thousands=","), True, By("ann@host", "a list\ufffd of theirs")),
    ]
    assert (odd.status_code, odd.json()["error"]["detail"]) == (422, "dry_run is true or false, not 'perhaps'")


async def test_an_import_that_ends_early_is_answered() -> None:
    async def early(name: str, chunks: AsyncIterator[bytes], encoding: str | None) -> ImportReport:
        report = ImportReport(rows=1)
        report.reject(1, "(file)", "is a spreadsheet")
        return report

    async with port(early) as client:
        answer = await client.post("/api/import-history", content=large())
    assert answer.json()["data"]["rejected"] == [{"line": 1, "field": "(file)", "reason": "is a spreadsheet"}]


@pytest.mark.parametrize(
    ("query", "name", "encoding"),
    [
        ("", "upload", None),
        ("name=a.csv", "a.csv", None),
        ("name=a%00b%0a%1b[2J", "a\ufffdb\ufffd\ufffd[2J", None),
        ("name=%E0%A4%B9%ff", "ह\ufffd", None),
        ("name=%ed%a0%80", "\ufffd\ufffd\ufffd", None),
        ("name=" + "x" * 5000, "x" * 200, None),
        ("name=a;b&encoding=cp1252", "a;b", "cp1252"),
        ("name=a&encoding=", "a", None),
        ("&&", "upload", None),
    ],
)
async def test_names_are_stored_safely(query: str, name: str, encoding: str | None) -> None:
    told: list[tuple[str, str | None]] = []

    async def note(name: str, chunks: AsyncIterator[bytes], encoding: str | None) -> ImportReport:
        told.append((name, encoding))
        return await whole(name, chunks, encoding)

    async with port(note) as client:
        answer = await client.post(f"/api/import-history?{query}", content=b"x")
    assert (answer.status_code, told) == (200, [(name, encoding)])


async def test_a_check_that_cannot_be_made_is_told() -> None:
    async with port(whole) as client:
        answer = await client.post("/api/check")
    assert (answer.status_code, answer.json()["error"]["detail"]) == (503, "ClickHouse does not answer")

"""The verbs' own layer before the page: whatever a verb raises is an answer that the command line can read."""

from collections.abc import AsyncIterable
from typing import Any

import httpx
import pytest

from gcc.errors import Transient
from gcc.pipelines.events.check import CheckReport
from gcc.pipelines.events.history import ImportReport
from gcc.pipelines.events.history_form import Form
from gcc.pipelines.scraping.adding import AddReport, Terms
from gcc.web.ops.operations import By
from gcc.web.ops.verbs import CHECK, PARITY, Verbs

TOKEN = {"authorization": "Bearer t"}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Transient("PostgreSQL is away"), 503, "STORE_UNAVAILABLE"),
        (RuntimeError("half \ud83d \0"), 500, "INTERNAL"),
        (ExceptionGroup("several", [KeyError("x")]), 500, "INTERNAL"),
    ],
)
@pytest.mark.parametrize("verb", ["check", "check-parity", "import-history", "jobs/add"])
async def test_whatever_a_verb_raises_is_an_answer(verb: str, error: Exception, status: int, code: str) -> None:
    async def check() -> CheckReport:
        raise error

    async def import_history(
        name: str, chunks: AsyncIterable[bytes], form: Form, dry_run: bool, by: By
    ) -> ImportReport:
        raise error

    async def add_jobs(
        flow: str, name: str, chunks: AsyncIterable[bytes], terms: Terms, dry_run: bool, by: By
    ) -> AddReport:
        raise error

    async def page(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("these are no pages")

    app = Verbs(
        page, token="t", host="127.0.0.1", checks={CHECK: check, PARITY: check}, check_s=5,
        import_history=import_history, add_jobs=add_jobs,
    )  # fmt: skip
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:  # type: ignore[arg-type]
        answer = await client.post(f"/api/{verb}?name=a%00b", headers=TOKEN, content=b"x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["detail"]

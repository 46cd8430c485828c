"""The first start: what its import rejects is told, since nobody reads its report, and why a step is not done yet."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import replace
from typing import Any

import trio.testing
from structlog.testing import capture_logs

from gcc.config import Settings
from gcc.errors import Transient
from gcc.pipelines.declared import Parts, Real
from gcc.pipelines.events.history import ImportReport
from gcc.pipelines.scraping.start import FirstStart
from gcc.supervisor.drain import Drain
from tests.contexts import context, partly


class History:
    async def run(self, name: str, chunks: AsyncIterable[bytes]) -> ImportReport:
        report = ImportReport(rows=3, imported=3)
        if name == "odd":
            report = ImportReport(rows=3, imported=1, warnings=["ids look rounded"])
            report.reject(2, "followers", "is no count")
            report.reject(3, "handle", "is missing")
        return report


async def test_rejected_rows_of_the_past_are_told_in_one_line() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b""

    past = {"well": chunks(), "odd": chunks()}
    real = partly(Real, history=History())
    given = context(Settings(), Drain(["intake"], 1.0), partly(Parts, real=real))
    start = FirstStart(replace(given, past=lambda: past))
    with capture_logs() as logs:
        assert await start._import_past() == {"imported": 4}
    (line,) = logs
    assert (line["event"], line["log_level"], line["name"]) == ("history import", "warning", "odd")
    assert (line["rejected"], line["first"]["reason"], line["warnings"]) == (2, "is no count", ["ids look rounded"])


class Remembering(FirstStart):
    """Keeps milestones without a database."""

    reached = False

    async def _rows(self, statement: str, **arguments: Any) -> list[tuple[Any, ...]]:
        await trio.lowlevel.checkpoint()
        return [()] if self.reached else []

    async def _reach(self, milestone: str, detail: dict[str, Any]) -> None:
        self.reached = True


async def test_why_the_first_page_is_not_there_is_told_once(autojump_clock: trio.testing.MockClock) -> None:
    start = Remembering(context(Settings(), Drain(["intake"], 1.0), partly(Parts)))
    failures = [Transient("first_page ended FAILED: mart_x"), Transient("first_page ended FAILED: mart_x")]

    async def build() -> dict[str, Any]:
        if failures:
            raise failures.pop()
        return {"seconds": 1.5}

    with capture_logs() as logs:
        await start._until_done("first_models", build)
    assert [(line["log_level"], line["event"], line.get("error")) for line in logs] == [
        ("warning", "milestone is not reached", "Transient: first_page ended FAILED: mart_x"),
        ("info", "milestone", None),
    ]

"""The scorer over HTTP: what it has done here, and what stands in the event store, whoever scored it: answers by
version, the shares of those creators that were scored last, and whom nobody could score.

The event store away, or not open in this process, leaves its part unknown, with the reason; the rest is as it is.
"""

from collections.abc import Sequence
from typing import Any

import trio
from quart import Response, request
from quart_trio import QuartTrio

from gcc import statements
from gcc.actors.warehouse import Queries
from gcc.errors import GccError
from gcc.pipelines.scoring.scorer import SCORER_VERSION
from gcc.pipelines.scoring.tally import Tally
from gcc.supervisor.lifecycle import one_line
from gcc.web.ops.access import Access
from gcc.web.ops.actions import done

KEPT_S = 10.0  # however many look: it reads a row of every follower
_SQL = statements.load("scoring", statements.SQL / "clickhouse" / "queries")


class Scores:
    """`tallies`: empty in a process without the role scorer. `queries`: None where the event store is not open."""

    def __init__(self, tallies: Sequence[Tally], queries: Queries | None) -> None:
        self._tallies = tallies
        self._queries = queries
        self._reading = trio.Lock()
        self._stored: dict[str, Any] | None = None
        self._read_s = float("-inf")

    async def overview(self) -> dict[str, Any]:
        """`here` None: another process scores. `stored` None: see `stored_error`; `shares` None: no mart is built."""
        stored, trouble = await self._what_stands()
        here = self._tallies[-1].overview() if self._tallies else None
        return {"version": SCORER_VERSION, "here": here, "stored": stored, "stored_error": trouble}

    async def _what_stands(self) -> tuple[dict[str, Any] | None, str | None]:
        if self._queries is None:
            return None, "this process has not opened the event store: ask one with the role sinker, analytics or web"
        async with self._reading:
            if trio.current_time() - self._read_s > KEPT_S:
                try:
                    versions = await self._queries.rows(_SQL["answers"])
                    refusals = await self._queries.rows(_SQL["refusals"])
                    (built,) = await self._queries.rows(_SQL["are_shares_built"])
                    shares = await self._queries.rows(_SQL["shares"]) if built["built"] else None
                except GccError as error:
                    return None, one_line(error)
                self._stored = {
                    "versions": _plain(versions),
                    "refusals": _plain(refusals),
                    "shares": None if shares is None else _plain(shares),
                }
                self._read_s = trio.current_time()
        return self._stored, None


def _plain(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Times as text."""
    return [
        {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
        for row in rows
    ]


def add_scorer(app: QuartTrio, access: Access, scores: Scores) -> None:
    """Give `app` the route of the scorer."""

    @app.get("/api/scorer")
    async def scorer() -> Response:
        access.check_reader(request)
        return done(await scores.overview())

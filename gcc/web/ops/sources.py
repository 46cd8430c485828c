"""The outside APIs over HTTP: their limits and how full they are, who asks them, and their credentials without secrets.

What each source's breaker does is on the board, and so in the status object. A database that is away leaves the
credentials unknown, with the reason, and the rest as it is.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

import trio
from quart import Response, request
from quart_trio import QuartTrio

from gcc.errors import Transient
from gcc.pipelines.scraping.table import Catalogue
from gcc.sources.limits import Limiter
from gcc.stores.vault import Listed
from gcc.web.ops.access import Access
from gcc.web.ops.actions import done
from gcc.web.ops.shown_credentials import shown

LISTED_S = 3.0  # the rest is known without the database, and does not wait longer for it


class Sources:
    """`asked` are the sources that may be asked; `listed()`: see `Vault.listed`."""

    def __init__(
        self,
        catalogue: Catalogue,
        asked: Sequence[str],
        limiter: Limiter,
        listed: Callable[[], Awaitable[Sequence[Listed]]],
    ) -> None:
        self._catalogue = catalogue
        self._asked = asked
        self._limiter = limiter
        self._listed = listed

    @property
    def off(self) -> list[str]:
        """Those that nobody has switched on."""
        return [name for name in self._catalogue.sources if name not in self._asked]

    async def overview(self) -> tuple[list[dict[str, Any]], str | None]:
        """A line a source, in their order, and why the credentials are not known."""
        uses = {use.name: use for use in self._limiter.usage()}
        trouble: str | None = None
        by_source: dict[str, dict[str, Any]] = {}
        try:
            with trio.fail_after(LISTED_S):
                listed = await self._listed()
        except Transient as error:
            trouble = str(error)
        except trio.TooSlowError:
            trouble = f"the database does not answer within {LISTED_S:g} s"
        else:
            by_source = {source: _credentials(list(held)) for source, held in groupby(listed, lambda each: each.source)}
        none: dict[str, Any] | None = None if trouble else {"total": 0, "ready": 0, "listed": []}
        lines = [
            {
                "name": name,
                "account": row.account,  # whose its credentials must name
                "flows": [flow.name for flow in self._catalogue.flows.values() if name in flow.chain],
                "limit": asdict(uses[name]),
                "credentials": None if row.keyless else by_source.get(row.shares or name, none),
            }
            for name, row in ((name, self._catalogue.sources[name]) for name in self._asked)
        ]
        return lines, trouble


def _credentials(listed: list[Listed]) -> dict[str, Any]:
    lines = [shown(each) for each in listed]
    return {"total": listed[0].total, "ready": listed[0].ready, "listed": lines}


def add_sources(app: QuartTrio, access: Access, sources: Sources) -> None:
    """Give `app` the route of the sources."""

    @app.get("/api/sources")
    async def overview() -> Response:
        access.check_reader(request)
        lines, trouble = await sources.overview()
        return done(lines, credentials_error=trouble, off=sources.off)

"""The limits over HTTP: how full each is, what narrows it, who changed it and why; and changing one."""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from quart import Response, request
from quart_trio import QuartTrio

from gcc.actors.gates import Gates
from gcc.clock import Clock
from gcc.masking import masked_text
from gcc.pipelines.scraping.limiting import meaning, set_limits
from gcc.sources.limits import AnyLimit, Limiter, LimitUse
from gcc.web.ops.access import Access
from gcc.web.ops.actions import Body, Why, Word, by, done, read_action
from gcc.web.ops.operations import Operations

LISTED_MAX = 500  # of limits of single credentials and handles those that are the fullest


class LimitBody(Body):
    name: Word
    calls: Annotated[int, Field(strict=True)] | None
    per_s: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None
    why: Why


class Limits:
    """`limits` as configured."""

    def __init__(self, limits: Mapping[str, AnyLimit], limiter: Limiter, gates: Gates, clock: Clock) -> None:
        self._limits = limits
        self._limiter = limiter
        self._gates = gates
        self._clock = clock

    def rows(self) -> list[dict[str, Any]]:
        """A row a limit, ordered by name, as this process knows it."""
        chosen = set_limits(self._gates.overrides, self._limits)
        uses = self._limiter.usage()
        if len(uses) > LISTED_MAX:
            fullest = sorted(uses, key=lambda use: (use.name in self._limits, use.waiting, use.used / use.calls))
            uses = sorted(fullest[-LISTED_MAX:], key=lambda use: use.name)
        rows = []
        for use in uses:
            by_hand = chosen.get(use.name)
            rows.append(
                {
                    "name": use.name,
                    "of": meaning(use.name),
                    "calls": use.calls,
                    "per_s": use.per_s,
                    "used": use.used,
                    "waiting": use.waiting,
                    "share": round(use.share, 3),
                    "why": masked_text(use.why or (by_hand.why if by_hand else "")),
                    "until": self._until(use),
                    "set_by": by_hand and by_hand.who,
                    "set_at": by_hand and by_hand.at,
                }
            )
        return rows

    def _until(self, use: LimitUse) -> str | None:
        if use.share >= 1:
            return None
        return (self._clock.now() + dt.timedelta(seconds=use.narrowed_s)).isoformat(timespec="seconds")


def add_limits(app: QuartTrio, access: Access, operations: Operations, limits: Limits) -> None:
    """Give `app` the routes of the limits."""

    @app.get("/api/limits")
    async def listed() -> Response:
        access.check_reader(request)
        return done(limits.rows())

    @app.post("/api/limits")
    async def change() -> Response:
        wanted = await read_action(access, LimitBody, "limits")
        await operations.limit(wanted.name, wanted.calls, wanted.per_s, by(access, wanted.why))
        return done({"name": wanted.name, "calls": wanted.calls, "per_s": wanted.per_s})

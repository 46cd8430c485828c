"""What the transformer and the sync ask of the store of events and models, in its own SQL.

Statements may take minutes; cancelled, they are killed there. Transient: it is away. Permanent: it refuses what it is
asked.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Protocol

Parameters = Mapping[str, Any]


class Queries(Protocol):
    """What the transformer asks, on clients of its own."""

    async def rows(self, sql: str, params: Parameters | None = None) -> list[dict[str, Any]]:
        """The result of a SELECT, held in memory whole; times are aware UTC. `{name:Type}` is bound by the server."""

    async def command(self, sql: str, params: Parameters | None = None) -> None:
        """A statement without a result: DDL, INSERT ... SELECT. What outer joins do not find is null there."""


class Warehouse(Protocol):
    """What the sync asks."""

    async def rows(self, sql: str, params: Parameters | None = None) -> list[dict[str, Any]]:
        """As above."""

    def stream(self, sql: str, params: Parameters | None = None) -> AsyncGenerator[bytes, None]:
        """A SELECT's result as chunks of whole lines: a line a row, fields between tabs, escaped as PostgreSQL's COPY
        takes them, times as RFC 3339 in UTC.

        Use it within `contextlib.aclosing`. An error after the first chunk is raised from the next step: what came
        before is incomplete.
        """

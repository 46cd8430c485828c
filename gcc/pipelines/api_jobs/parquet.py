"""Parquet, for programs: what a sheet says in text, with the types that it has; no reader runs any of it.

pyarrow comes with chdb; it is loaded, and works, in a thread, when the first such file is asked for.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Literal, TypeVar, TypeVarTuple

import trio

from gcc import threads
from gcc.pipelines.api_jobs.sheet import Rows

T = TypeVar("T")
Given = TypeVarTuple("Given")
Type = Literal["text", "integer", "number"]


class _Pieces:
    """A file that is taken away as it is written."""

    closed = False

    def __init__(self) -> None:
        self._held = bytearray()
        self._taken = 0

    def write(self, data: Any) -> int:
        self._held += data
        return len(data)

    def tell(self) -> int:
        return self._taken + len(self._held)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        taken = bytes(self._held)
        self._taken += len(taken)
        self._held.clear()
        return taken


class _Writer:
    def __init__(self, columns: Mapping[str, Type]) -> None:
        import pyarrow as pa
        from pyarrow import parquet as pq

        types = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64()}
        self._table = pa.table
        self._pieces = _Pieces()
        self._schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
        self._writer = pq.ParquetWriter(self._pieces, self._schema)

    def rows(self, rows: Rows) -> bytes:
        values = [list(column) for column in zip(*rows, strict=True)]
        self._writer.write_table(self._table(values, schema=self._schema))
        return self._pieces.take()

    def end(self) -> bytes:
        self._writer.close()
        return self._pieces.take()


async def parquet(columns: Mapping[str, Type], batches: AsyncGenerator[Rows, None]) -> AsyncGenerator[bytes, None]:
    """A whole file, in pieces: a row group a batch. Closes `batches`. Raises Transient without a thread."""
    async with aclosing(batches):
        writer = await _in_thread(_Writer, columns)
        async for rows in batches:
            yield await _in_thread(writer.rows, rows)
        yield await _in_thread(writer.end)


async def _in_thread(work: Callable[[*Given], T], *given: *Given) -> T:
    with threads.needed("parquet"):
        return await trio.to_thread.run_sync(work, *given)

"""Parquet of followers, read some rows at a time: the columns that say something, and those of the file's own that are
flat. Whatever a file packs into little, the memory that it takes is that of one piece.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from gcc.errors import ConfigError
from gcc.pipelines.scoring import pieces as bounds
from gcc.pipelines.scoring.pieces import PIECE_BYTES, READ_BYTES, ROW_BYTES_MAX, TOO_LONG, Own, Piece, Position, own_of
from gcc.pipelines.scoring.rows import ACCOUNT, Row, known_as, refuse_columns

BATCH_BYTES = 16 << 20  # decoded, by what the file tells of itself
Flat = Literal["text", "int", "float", "bool"]


class Parquet:
    """Texts are read as places in a dictionary: one of a megabyte may stand in many rows. Of what is nested only the
    numbers and flags of `account` are read."""

    def __init__(self, file: Path) -> None:
        import pyarrow
        from pyarrow import parquet  # 60 MB that other files do not need

        try:
            schema = parquet.read_schema(file)
            refuse_columns(file, schema.names)
            twice = {name for name in schema.names if schema.names.count(name) > 1}
            fields = {field.name: field.type for field in schema if field.name not in twice}
            kinds = {name: kind for name, type_ in fields.items() if (kind := _kind(type_))}
            own = own_of(iter(kinds))
            self._own: Own = {name: kinds[name] for name in own}
            flat = [name for name in kinds if name in own or known_as(name)]
            paths = [f"{name}.{child}" for name, type_ in fields.items() for child in _of_account(name, type_)]
            self._columns = [*flat, *paths]
            self._names = frozenset([*flat, *(path.rpartition(".")[0] for path in paths)])
            self._opened = parquet.ParquetFile(
                file,
                read_dictionary=[name for name in flat if _is_text(fields[name])],
                buffer_size=READ_BYTES,
                pre_buffer=False,  # not a row group at once
            )
        except pyarrow.ArrowInvalid as error:
            raise ConfigError(f"{file} is no Parquet: {error}") from None
        metadata = self._opened.metadata
        self.total = metadata.num_rows
        groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
        fit = [BATCH_BYTES * each.num_rows // max(each.total_byte_size, 1) for each in groups if each.num_rows]
        self._rows_at_once = max(1, min([*fit, bounds.PIECE_ROWS]))

    def own(self) -> Own:
        return self._own

    def pieces(self, at: Position) -> Iterator[Piece]:
        for first, batch in self._batches(at):
            sizes = _sizes(batch)
            begin = size = 0
            for end, more in enumerate(sizes, 1):
                size += more
                if size >= PIECE_BYTES or end == len(sizes):
                    rows = _rows_of(
                        batch.slice(begin, end - begin), first + begin + 1, is_last_long=more > ROW_BYTES_MAX
                    )
                    yield Piece(rows, Position(first + end, first + end + 1))
                    begin, size = end, 0

    def _batches(self, at: Position) -> Iterator[tuple[int, Any]]:
        """From there on, each with how many rows are before it."""
        skipped, first = 0, 0
        metadata = self._opened.metadata
        while first < metadata.num_row_groups and skipped + metadata.row_group(first).num_rows <= at.offset:
            skipped += metadata.row_group(first).num_rows
            first += 1
        groups = list(range(first, metadata.num_row_groups))
        if not groups:
            return
        for batch in self._opened.iter_batches(
            self._rows_at_once, row_groups=groups, columns=self._columns, use_threads=False
        ):
            passed = min(max(0, at.offset - skipped), len(batch))
            wanted = batch.select([name for name in batch.schema.names if name in self._names])
            yield skipped + passed, wanted.slice(passed)
            skipped += len(batch)


def _kind(type_: Any) -> Flat | None:
    """What a column is to us; None: nested, or of a kind that nobody joins by."""
    from pyarrow import types

    type_ = _value_type(type_)
    if types.is_boolean(type_):
        return "bool"
    if types.is_integer(type_) and not types.is_uint64(type_):
        return "int"
    if types.is_floating(type_):
        return "float"
    return "text" if _is_text(type_) or _is_told_as_text(type_) else None


def _value_type(type_: Any) -> Any:
    return getattr(type_, "value_type", type_) if str(type_).startswith("dictionary") else type_


def _is_text(type_: Any) -> bool:
    """Some writers mark no text as one: then it is bytes."""
    return str(_value_type(type_)) in TEXTS


TEXTS = frozenset({"string", "large_string", "string_view", "binary", "large_binary", "binary_view"})


def _is_told_as_text(type_: Any) -> bool:
    from pyarrow import types

    tests = types.is_timestamp, types.is_date, types.is_time, types.is_decimal, types.is_null, types.is_uint64
    return any(test(type_) for test in tests)


def _of_account(name: str, type_: Any) -> list[str]:
    """The numbers and flags within it that say something."""
    from pyarrow import types

    if known_as(name) != "account" or not types.is_struct(type_):
        return []
    return [child.name for child in type_ if known_as(child.name) in ACCOUNT and _kind(child.type) in SMALL]


SMALL = frozenset({"int", "float", "bool"})


def _sizes(batch: Any) -> list[int]:
    """How many bytes the texts of each row have."""
    from pyarrow import compute

    lengths = [
        compute.binary_length(column.dictionary).take(column.indices).fill_null(0).to_pylist()
        for column in batch.columns
        if _is_dictionary_of_texts(column)
    ]
    return [sum(each) for each in zip(*lengths, strict=True)] if lengths else [0] * len(batch)


def _is_dictionary_of_texts(column: Any) -> bool:
    return hasattr(column, "dictionary") and _is_text(column.type)


def _rows_of(batch: Any, line: int, *, is_last_long: bool) -> list[Row]:
    """Rows of a batch, of which the first stands in `line`."""
    given = batch.slice(0, len(batch) - is_last_long)
    columns = [_values(column) for column in given.columns]
    rows: list[Any] = [dict(zip(given.schema.names, values, strict=True)) for values in zip(*columns, strict=True)]
    return [Row(number, row) for number, row in enumerate([*rows, *[TOO_LONG] * is_last_long], line)]


def _values(column: Any) -> list[Any]:
    """What JSON has, too: bytes and times are texts, in UTC where they are of a zone."""
    import pyarrow
    from pyarrow import types

    plain = column.dictionary_decode() if hasattr(column, "dictionary") else column
    if _is_text(plain.type):
        return [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in plain.to_pylist()]
    if not _is_told_as_text(plain.type):
        return plain.to_pylist()  # type: ignore[no-any-return]
    zone = "Z" if types.is_timestamp(plain.type) and plain.type.tz else ""
    if zone:
        plain = plain.cast(pyarrow.timestamp(plain.type.unit))
    return [value and value + zone for value in plain.cast(pyarrow.string()).to_pylist()]

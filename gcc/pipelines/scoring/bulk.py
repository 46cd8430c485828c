"""A file of followers scored into another file: `score_file`. It needs no platform.

Rows are read some thousands at a time, scored in worker processes, and written in the order of the file. Beside the
result stands what is written so far (OUT.part) and where reading goes on (OUT.part.json). After any end, kill -9 too,
the same command goes on there, and its result is that of a run that was never interrupted: what was written after the
last checkpoint is cut off and scored again. OUT appears when it is whole.

Parquet has its rows in groups behind which nothing can be appended, so it is made of a part in NDJSON at the end.
"""

import fcntl
import json
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import trio

from gcc.errors import ConfigError, Transient
from gcc.pipelines.scoring.files import Kind, kind_of_result, open_source
from gcc.pipelines.scoring.pieces import Own, Piece, Position, Source
from gcc.pipelines.scoring.rows import COLUMNS, VERDICTS, Answer, Form, header, score_rows, to_json
from gcc.pipelines.scoring.scorer import SCORER_VERSION
from gcc.pipelines.scoring.workers import WorkerDied, open_workers

CHECKPOINT_S = 1.0
IDLE_S = 10.0  # then a worker ends
SLOW_S = 300.0  # for a piece, which takes a fraction of one
TRIES = 3
"""Of a piece whose worker died, of want of memory or by a kill: the piece may be innocent."""
BAD_KEPT = 100  # lines that are told of
GROUP_BYTES = 8 << 20  # of Parquet, as JSON: rows have up to some megabytes
LAYOUT = 2
"""Of the file that tells where to go on."""


@dataclass(frozen=True, slots=True)
class Job:
    """`file` into `out`; in `workers` processes, or in this one if it is 1."""

    file: Path
    out: Path
    workers: int


@dataclass(slots=True)
class Report:
    """What became of the rows: `counts` by verdict (real, weak, fake, unscored), and lines that are none."""

    out: str
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VERDICTS, 0))
    bad: list[tuple[int, str]] = field(default_factory=list)  # the first BAD_KEPT of
    bad_total: int = 0
    resumed_rows: int = 0
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        return sum(self.counts.values())

    @property
    def rows_per_s(self) -> float:
        """Of this run."""
        return round((self.rows - self.resumed_rows) / self.seconds) if self.seconds else 0.0

    def add(self, answer: Answer) -> None:
        for verdict, number in answer.counts.items():
            self.counts[verdict] += number
        self.bad_total += len(answer.bad)
        self.bad += answer.bad[: BAD_KEPT - len(self.bad)]


Show = Callable[[int, int, int], None]
"""Told of progress: (done, of, rows), the first two in the units of the source."""
Run = Callable[[Form, Piece], Awaitable[Answer]]


def out_of(file: Path) -> Path:
    """Where the result stands if nobody says: beside the file."""
    return file.with_name(f"{file.stem}_final_fake_analysis{file.suffix}")


async def score_file(job: Job, show: Show) -> Report:
    """Raises ConfigError (the file, or the place of the result), Transient (a worker that dies at the same rows again
    and again; what is scored stays), OSError. Cancelled: as after a kill, the next run goes on."""
    if job.out.is_dir():
        raise ConfigError(f"{job.out} is a folder; name a file in it: --out {job.out / out_of(job.file).name}")
    if job.out.exists() and job.out.samefile(job.file):
        raise ConfigError(f"the result would take the place of {job.file}; name another --out")
    source = open_source(job.file)
    kind = kind_of_result(job.file, job.out)
    own: Own = source.own() if kind in ("csv", "tsv", "parquet") else {}  # JSON repeats each row's
    began = trio.current_time()
    with _part_of(job) as part:
        journal = _Journal(job, kind, part, own)
        report = journal.go_on()
        report.resumed_rows = report.rows
        show(min(journal.at.offset, source.total), source.total, report.rows)
        async with _running(job.workers, tuple(own)) as run:
            await _score(source, journal, run, show, ahead=2 * job.workers)
        _finish(job, kind, part, own)
    report.seconds = trio.current_time() - began
    return report


def _beside(out: Path, ending: str) -> Path:
    return out.with_name(out.name + ending)


@contextmanager
def _part_of(job: Job) -> Iterator[BinaryIO]:
    """The part, for us alone. ConfigError: it cannot be made, or another process writes it."""
    name = _beside(job.out, ".part")
    try:
        part = open(os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b")  # noqa: SIM115 - closed below
    except OSError as error:
        raise ConfigError(f"{name} cannot be written: {error.strerror}") from None
    with part:
        try:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"another process is writing {name}") from None
        # Who had the lock before may have finished since we opened it: then it is that one's result, not our part.
        if not (name.exists() and os.path.samestat(name.stat(), os.fstat(part.fileno()))):
            raise ConfigError(f"another process has just written {job.out}")
        yield part


class _Journal:
    """The part and where it stands. `at`: what is read next."""

    def __init__(self, job: Job, kind: Kind, part: BinaryIO, own: Own) -> None:
        self._own = own
        self.form: Form = "ndjson" if kind == "parquet" else kind
        self.at = Position()
        self._part = part
        self._state = _beside(job.out, ".part.json")
        self._file = job.file
        self._of = {**_state_of(job.file), "layout": LAYOUT, "form": self.form, "scorer_version": SCORER_VERSION}
        self._report = Report(str(job.out))
        self._saved = trio.current_time()

    def go_on(self) -> Report:
        """What an earlier run has done of the same; else nothing, and the part is emptied."""
        try:
            state = json.loads(self._state.read_bytes())
            if state["of"] == self._of and os.fstat(self._part.fileno()).st_size >= state["written"]:
                self._report.counts.update(state["counts"])
                self._report.bad = [(line, why) for line, why in state["bad"]]
                self._report.bad_total = state["bad_total"]
                self.at = Position(*state["at"])
                self._part.truncate(state["written"])
                self._part.seek(0, os.SEEK_END)
                return self._report
        except (OSError, ValueError, LookupError, TypeError):
            pass  # there is none, or none of ours: begin
        self._part.truncate(0)
        if self.form != "ndjson":
            self._part.write(b"[\n" if self.form == "array" else header(self.form, self._own))
        return self._report

    def add(self, answer: Answer, after: Position) -> None:
        if self.form == "array" and self._report.rows and answer.body:
            self._part.write(b",\n")
        self._part.write(answer.body)
        self._report.add(answer)
        self.at = after
        if trio.current_time() - self._saved >= CHECKPOINT_S:
            self.save()

    def close(self) -> None:
        """All is written."""
        self.save()
        if self.form == "array":
            self._part.write(b"\n]\n")
        self._sync()

    def save(self) -> None:
        """A checkpoint: what is written first, then that it is. ConfigError: what is read is no longer one file."""
        if not self._of.items() >= _state_of(self._file).items():
            raise ConfigError(f"{self._file} changed while it was read; run this again when it is whole")
        self._sync()
        state = {
            "of": self._of, "at": self.at, "written": self._part.tell(), "counts": self._report.counts,
            "bad": self._report.bad, "bad_total": self._report.bad_total,
        }  # fmt: skip
        new = self._state.with_name(self._state.name + ".new")
        with new.open("w") as opened:
            json.dump(state, opened)
            opened.flush()
            os.fsync(opened.fileno())
        new.replace(self._state)
        self._saved = trio.current_time()

    def _sync(self) -> None:
        self._part.flush()
        os.fdatasync(self._part.fileno())

    @property
    def rows(self) -> int:
        return self._report.rows


def _state_of(file: Path) -> dict[str, Any]:
    told = file.stat()
    return {"file": str(file.resolve()), "bytes": told.st_size, "mtime_ns": told.st_mtime_ns}


async def _score(source: Source, journal: _Journal, run: Run, show: Show, ahead: int) -> None:
    """From where the journal stands to the end of the source; at most `ahead` pieces at once."""
    waiting: deque[tuple[Piece, trio.Event, list[Answer]]] = deque()

    async def fill(piece: Piece, done: trio.Event, answers: list[Answer]) -> None:
        answers.append(await run(journal.form, piece))
        done.set()

    async def write_oldest() -> None:
        piece, done, answers = waiting.popleft()
        await done.wait()
        journal.add(answers[0], piece.after)
        show(min(journal.at.offset, source.total), source.total, journal.rows)

    async with trio.open_nursery() as nursery:
        for piece in source.pieces(journal.at):
            waiting.append((piece, trio.Event(), []))
            nursery.start_soon(fill, *waiting[-1])
            if len(waiting) >= ahead:
                await write_oldest()
        while waiting:
            await write_oldest()
    journal.close()


@asynccontextmanager
async def _running(workers: int, own: tuple[str, ...]) -> AsyncIterator[Run]:
    """Pieces scored in so many processes, which are started when they are needed and end when they are idle."""
    if workers == 1:

        async def here(form: Form, piece: Piece) -> Answer:
            await trio.lowlevel.checkpoint()
            return score_rows(form, piece.rows, own)

        yield here
        return
    async with open_workers(workers, idle_s=IDLE_S, slow_s=SLOW_S) as processes:

        async def away(form: Form, piece: Piece) -> Answer:
            for _ in range(TRIES):
                with suppress(WorkerDied):
                    return await processes.run(score_rows, form, piece.rows, own)
            first, last = piece.rows[0].line, piece.rows[-1].line
            raise Transient(
                f"the process that scored lines {first:,} to {last:,} ended {TRIES} times; is memory short?"
                " what is scored stays: the same command goes on from there"
            )

        yield away


def _finish(job: Job, kind: Kind, part: BinaryIO, own: Own) -> None:
    """The part becomes the result."""
    name, whole = _beside(job.out, ".part"), _beside(job.out, ".part")
    if kind == "parquet":
        whole = _beside(job.out, ".part.parquet")
        part.seek(0)
        _as_parquet(part, whole, own)
    whole.replace(job.out)
    if whole != name:  # else it is gone, and one of this name is another run's
        name.unlink(missing_ok=True)
    _beside(job.out, ".part.json").unlink(missing_ok=True)


def _as_parquet(part: BinaryIO, whole: Path, own: Own) -> None:
    import pyarrow
    from pyarrow import parquet

    arrow = {"int": pyarrow.int64(), "float": pyarrow.float64(), "bool": pyarrow.bool_(), "text": pyarrow.string()}
    kinds = {name: arrow[kind] for name, kind in own.items()} | dict.fromkeys(COLUMNS, pyarrow.string())
    kinds |= dict.fromkeys(("score", "fuzzy_similarity", "indian_name_match", "account_score"), pyarrow.float64())
    kinds |= dict.fromkeys(("non_indic", "more_than_4_digits", "handle_name_correlation"), pyarrow.int8())
    schema = pyarrow.schema(list(kinds.items()))
    texts = [name for name, kind in kinds.items() if kind == pyarrow.string()]
    with parquet.ParquetWriter(whole, schema, compression="zstd") as writer:
        while lines := part.readlines(GROUP_BYTES):
            rows = [json.loads(line) for line in lines]
            for row in rows:
                row |= {name: _text(row.get(name)) for name in texts}
            writer.write_batch(pyarrow.RecordBatch.from_pylist(rows, schema))


def _text(value: Any) -> str | None:
    """Anything but text as its JSON, and of half a character a question mark."""
    if value is None:
        return None
    return (value if isinstance(value, str) else to_json(value).decode()).encode(errors="replace").decode()

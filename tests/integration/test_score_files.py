"""Files of followers scored into files: alike from and into each kind, in worker processes or without, and whatever
interrupts it, the result of a run that nothing interrupted."""

import csv
import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow
import pytest
import trio
from pyarrow import parquet

from gcc import cli
from gcc.errors import ConfigError, Transient
from gcc.pipelines.scoring import bulk, pieces
from gcc.pipelines.scoring.bulk import Job, Report, score_file
from gcc.pipelines.scoring.rows import COLUMNS, VERDICTS, Answer, Form, Row, score_rows

ROWS = 500
NAMES = ("Ravi Kumar", "रवि कुमार", 'Ravi "R", Kumar', "Алекс", "", "\ud83d", "Priya\nSharma", "𝓡𝓪𝓿𝓲", "Venkatesh Modi")
RUN_S = 60.0


def follower(number: int) -> dict[str, Any]:
    known = {"followers": number, "following": 7 * number, "posts": 0} if number % 3 else {}
    name = NAMES[number % len(NAMES)]
    return {"handle": "asha", "follower_handle": f"ravi_{number**3}", "follower_full_name": name, "account": known}


def lines_in(folder: Path, rows: int = ROWS, *bad: str) -> Path:
    file = folder / "2026-11-30_creator_followers.ndjson"
    file.write_text("".join(json.dumps(follower(number)) + "\n" for number in range(rows)) + "".join(bad))
    return file


def quiet(done: int, of: int, rows: int) -> None:
    assert 0 <= done <= of


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many, with a checkpoint behind each."""
    monkeypatch.setattr(pieces, "PIECE_ROWS", 20)
    monkeypatch.setattr(bulk, "CHECKPOINT_S", 0.0)


def read(file: Path) -> list[dict[str, Any]]:
    """The rows of a result, as JSON has them."""
    if file.suffix == ".ndjson":
        return [json.loads(line) for line in file.read_bytes().splitlines()]
    if file.suffix == ".json":
        return json.loads(file.read_bytes())  # type: ignore[no-any-return]
    if file.suffix == ".parquet":
        rows = parquet.read_table(file).to_pylist()
    else:
        with file.open(newline="") as opened:
            rows = list(csv.DictReader(opened, delimiter="\t" if file.suffix == ".tsv" else ","))
    return [{name: as_json(name, value) for name, value in row.items()} for row in rows]


def as_json(name: str, value: Any) -> Any:
    if value in ("", None):
        return "" if name in ("follower_handle", "follower_full_name") else None
    if name.endswith("reasons") or name == "account":
        return json.loads(value)
    is_number = name in COLUMNS[COLUMNS.index("score") : COLUMNS.index("reasons")] or name == "account_score"
    return float(value) if is_number else value


def without_halves(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return json.loads(json.dumps(rows).replace("\\ud83d", "?"))  # type: ignore[no-any-return]


@pytest.mark.parametrize("workers", [1, 2])
async def test_each_kind_of_file_becomes_each_other(workers: int, small_pieces: None, tmp_path: Path) -> None:
    file = lines_in(tmp_path)
    first = tmp_path / "first.ndjson"
    report = await score_file(Job(file, first, workers), quiet)
    assert (report.rows, report.bad_total, report.resumed_rows) == (ROWS, 0, 0)
    assert all(report.counts[verdict] for verdict in VERDICTS)
    wanted = [
        {key: as_json(key, value) if key == "score" else value for key, value in json.loads(line).items()}
        for line in score_rows("ndjson", [Row(0, line) for line in file.read_bytes().splitlines()]).body.splitlines()
    ]
    assert read(first) == wanted
    assert [row["follower_handle"] for row in wanted] == [follower(number)["follower_handle"] for number in range(ROWS)]
    for kind in (".json", ".csv", ".parquet") if workers == 1 else ():
        out = tmp_path / f"out{kind}"
        await score_file(Job(file, out, workers), quiet)
        assert read(out) == (wanted if kind == ".json" else without_halves(wanted))
        out.unlink()
    assert set(os.listdir(tmp_path)) == {file.name, "first.ndjson"}


@pytest.mark.parametrize("kind", ["ndjson", "json", "csv", "parquet"])
async def test_a_run_that_was_interrupted_anywhere_goes_on_to_the_same_result(
    kind: str, small_pieces: None, tmp_path: Path
) -> None:
    file = lines_in(tmp_path, ROWS, "no row\n", json.dumps(follower(1)))
    whole, out = tmp_path / f"whole.{kind}", tmp_path / f"out.{kind}"
    uninterrupted = await score_file(Job(file, whole, 1), quiet)
    shown = 0

    def interrupt(done: int, of: int, rows: int) -> None:
        nonlocal shown
        shown += 1
        if shown % 7 == 0:
            raise KeyboardInterrupt

    reports: list[Report] = []
    interrupted = 0
    while not reports:
        try:
            reports.append(await score_file(Job(file, out, 1), interrupt))
        except BaseExceptionGroup:
            interrupted += 1
            part = out.with_name(out.name + ".part")
            with part.open("ab") as opened:
                opened.write(b"what was written after the last checkpoint")
            assert not out.exists()
    assert interrupted > 2 and reports[0].resumed_rows > 0
    assert out.read_bytes() == whole.read_bytes()
    assert (reports[0].counts, reports[0].bad) == (uninterrupted.counts, uninterrupted.bad)
    assert [line for line, why in uninterrupted.bad if why.startswith("it is no JSON")] == [ROWS + 1]


async def test_another_file_or_a_damaged_journal_begins_anew(small_pieces: None, tmp_path: Path) -> None:
    file, out = lines_in(tmp_path), tmp_path / "out.ndjson"

    def interrupt(done: int, of: int, rows: int) -> None:
        if rows > 100:
            raise KeyboardInterrupt

    for damage in ("another file", "no JSON", "less than was written"):
        with pytest.raises(BaseExceptionGroup):
            await score_file(Job(file, out, 1), interrupt)
        if damage == "another file":
            lines_in(tmp_path, ROWS - 1)
        elif damage == "no JSON":
            (tmp_path / "out.ndjson.part.json").write_text("{")
        else:
            (tmp_path / "out.ndjson.part").write_bytes(b"short")
        report = await score_file(Job(file, out, 1), quiet)
        assert (report.resumed_rows, report.rows, len(read(out))) == (0, ROWS - 1, ROWS - 1)


def die_once(form: Form, rows: Sequence[Row], own: Sequence[str]) -> Answer:
    """In a worker: the first one that comes here is killed."""
    try:
        os.close(os.open(os.environ["DIED"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return score_rows(form, rows, own)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def die(form: Form, rows: Sequence[Row], own: Sequence[str]) -> Answer:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


async def test_a_killed_worker_loses_and_doubles_nothing(
    small_pieces: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = lines_in(tmp_path), tmp_path / "out.ndjson"
    await score_file(Job(file, whole := tmp_path / "whole.ndjson", 1), quiet)
    monkeypatch.setenv("DIED", str(tmp_path / "died"))
    monkeypatch.setattr(bulk, "score_rows", die_once)
    with trio.fail_after(RUN_S):
        await score_file(Job(file, out, 2), quiet)
    assert (tmp_path / "died").exists()
    assert out.read_bytes() == whole.read_bytes()


async def test_rows_that_kill_each_worker_end_the_run_in_a_sentence(
    small_pieces: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "score_rows", die)
    with pytest.RaisesGroup(pytest.RaisesExc(Transient, match="lines 1 to 20 ended 3 times"), flatten_subgroups=True):
        with trio.fail_after(RUN_S):
            await score_file(Job(lines_in(tmp_path, 20), tmp_path / "out.ndjson", 2), quiet)


async def test_one_result_is_written_by_one_run(small_pieces: None, tmp_path: Path) -> None:
    file, out = lines_in(tmp_path), tmp_path / "out.ndjson"
    other: list[str] = []

    async def second() -> None:
        with pytest.raises(ConfigError) as refused:
            await score_file(Job(file, out, 1), quiet)
        other.append(str(refused.value))

    async with trio.open_nursery() as nursery:

        def show(done: int, of: int, rows: int) -> None:
            if rows == 20:
                nursery.start_soon(second)

        await score_file(Job(file, out, 1), show)
    assert "another process is writing" in other[0]
    assert len(read(out)) == ROWS


async def test_a_part_that_became_a_result_is_nobody_elses(
    small_pieces: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened as the part, locked when the other run had finished: to go on would empty its result."""
    file, out = lines_in(tmp_path), tmp_path / "out.ndjson"
    lock = bulk.fcntl.flock

    def late(part: BinaryIO, how: int) -> None:
        monkeypatch.setattr(bulk.fcntl, "flock", lock)
        with ThreadPoolExecutor(1) as other:
            other.submit(trio.run, score_file, Job(file, out, 1), quiet).result()
        lock(part, how)

    monkeypatch.setattr(bulk.fcntl, "flock", late)
    with pytest.raises(ConfigError, match="has just written"):
        await score_file(Job(file, out, 1), quiet)
    assert len(read(out)) == ROWS


async def test_a_file_that_changes_while_it_is_read_is_no_result(small_pieces: None, tmp_path: Path) -> None:
    file, out = lines_in(tmp_path), tmp_path / "out.ndjson"

    def show(done: int, of: int, rows: int) -> None:
        if rows == 20:
            file.write_bytes(file.read_bytes().replace(b"asha", b"rita"))

    changed = pytest.RaisesExc(ConfigError, match="changed while it was read")
    with pytest.RaisesGroup(changed, flatten_subgroups=True):
        await score_file(Job(file, out, 1), show)
    assert not out.exists()
    report = await score_file(Job(file, out, 1), quiet)
    assert (report.resumed_rows, {row["handle"] for row in read(out)}) == (0, {"rita"})


async def test_trouble_of_ours_with_a_killed_idle_worker_publishes_nothing(small_pieces: None, tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"

    def show(done: int, of: int, rows: int) -> None:
        if done == of:
            for worker in multiprocessing.active_children():
                worker.kill()
                worker.join()
            raise OSError(errno.ENOSPC, "no space")

    with pytest.RaisesGroup(OSError, flatten_subgroups=True), trio.fail_after(RUN_S):
        await score_file(Job(lines_in(tmp_path), out, 2), show)
    assert not out.exists()


async def test_groups_of_parquet_are_bounded_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may have a megabyte: of rows alone they would have gigabytes."""
    monkeypatch.setattr(bulk, "GROUP_BYTES", 10_000)
    out = tmp_path / "out.parquet"
    await score_file(Job(lines_in(tmp_path), out, 1), quiet)
    assert parquet.ParquetFile(out).metadata.num_row_groups > 10 and len(read(out)) == ROWS


@pytest.mark.parametrize("kind", ["ndjson", "json", "csv", "tsv", "parquet"])
async def test_what_else_a_file_has_comes_out_again_beside_the_answers(
    kind: str, small_pieces: None, tmp_path: Path
) -> None:
    first = tmp_path / f"first.{kind}"
    await score_file(Job(lines_in(tmp_path), first, 1), quiet)
    own = [{"id": number, "my note": "x, =1"} for number in range(ROWS)]
    if kind == "parquet":
        table = parquet.read_table(first).select(["follower_handle", "follower_full_name"])
        parquet.write_table(
            pyarrow.Table.from_pylist(own)
            .append_column("follower_handle", table[0])
            .append_column("Full Name", table[1]),
            tmp_path / "a.parquet",
        )
        await score_file(Job(tmp_path / "a.parquet", out := tmp_path / "out.parquet", 1), quiet)
        assert parquet.read_schema(out).names == ["id", "my note", "Full Name", *COLUMNS]
        assert str(parquet.read_schema(out).field("id").type) == "int64"
    else:
        (tmp_path / "a.ndjson").write_text("".join(json.dumps(follower(at) | own[at]) + "\n" for at in range(ROWS)))
        await score_file(Job(tmp_path / "a.ndjson", out := tmp_path / f"out.{kind}", 1), quiet)
    rows = read(out)
    assert [int(row["id"]) for row in rows] == list(range(ROWS))
    assert {row["my note"] for row in rows} == {"x, =1"}
    assert [row["score"] for row in rows] == [row["score"] for row in read(first)]
    again = tmp_path / f"again.{kind}"
    await score_file(Job(out, again, 1), quiet)
    assert again.read_bytes() == out.read_bytes() or kind == "parquet", "scored twice, it has nothing twice"


async def test_what_a_spreadsheet_would_run_gets_an_apostrophe_and_comes_in_without(tmp_path: Path) -> None:
    name = '=HYPERLINK("http://x","Ravi")'
    (file := tmp_path / "a.ndjson").write_text(json.dumps({"follower_handle": "-ravi", "follower_full_name": name}))
    await score_file(Job(file, tmp_path / "out.csv", 1), quiet)
    (row,) = read(tmp_path / "out.csv")
    assert (row["follower_handle"], row["follower_full_name"]) == ("'-ravi", f"'{name}")
    await score_file(Job(tmp_path / "out.csv", tmp_path / "again.ndjson", 1), quiet)
    (row,) = read(tmp_path / "again.ndjson")
    assert (row["follower_handle"], row["follower_full_name"]) == ("-ravi", name)


async def test_a_result_never_takes_the_place_of_its_file(tmp_path: Path) -> None:
    file = lines_in(tmp_path)
    (tmp_path / "link.ndjson").symlink_to(file)
    for out in (file, tmp_path / "link.ndjson"):
        with pytest.raises(ConfigError, match="take the place"):
            await score_file(Job(file, out, 1), quiet)
    with pytest.raises(ConfigError, match="is a folder; name a file in it"):
        await score_file(Job(file, tmp_path, 1), quiet)
    with pytest.raises(ConfigError, match="cannot be written"):
        await score_file(Job(file, tmp_path / "none" / "out.ndjson", 1), quiet)


async def test_no_rows_are_a_result_too(tmp_path: Path) -> None:
    for content in ("", "[]"):
        (tmp_path / "a.json").write_text(content)
        for suffix in ("json", "csv", "parquet"):
            out = tmp_path / f"out.{suffix}"
            report = await score_file(Job(tmp_path / "a.json", out, 1), quiet)
            assert report.rows == 0
            assert not out.read_bytes() if not content and suffix == "json" else read(out) == []


OFTEN = "import sys; from gcc import cli; from gcc.pipelines.scoring import bulk; bulk.CHECKPOINT_S = 0.0; "
RUN = "sys.exit(cli.main(sys.argv[1:]))"


def test_the_same_command_goes_on_after_kill_9(tmp_path: Path) -> None:
    rows = 12_000
    file = lines_in(tmp_path, rows)
    command = [sys.executable, "-c", OFTEN + RUN, "score", str(file)]
    first = subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.PIPE)
    assert first.stderr is not None
    while b"%" not in first.stderr.readline():  # a tenth is written
        assert first.poll() is None
    first.kill()
    first.wait()
    first.stderr.close()
    second = subprocess.run([*command, "--workers", "1", "--json"], capture_output=True, timeout=RUN_S)
    report = json.loads(second.stdout.splitlines()[-1])
    assert (second.returncode, report["rows"], report["bad_total"]) == (0, rows, 0)
    assert 0 < report["resumed_rows"] < rows
    assert b"rows were scored before; going on from there" in second.stderr
    whole = tmp_path / "whole.ndjson"
    trio.run(score_file, Job(file, whole, 1), quiet)
    assert Path(report["out"]).read_bytes() == whole.read_bytes()
    assert set(os.listdir(tmp_path)) == {file.name, whole.name, Path(report["out"]).name}


def test_a_full_disk_is_told_and_the_same_command_goes_on(tmp_path: Path) -> None:
    file = lines_in(tmp_path, 8_000)
    command = [sys.executable, "-c", OFTEN + RUN, "score", str(file), "--workers", "2"]
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({1 << 22}, resource.RLIM_INFINITY)); "
    full = subprocess.run([*command[:2], limit + command[2], *command[3:]], capture_output=True, timeout=RUN_S)
    assert (full.returncode, full.stdout) == (1, b"")
    assert b"File too large; what is scored stays: the same command goes on from there" in full.stderr
    assert b"Traceback" not in full.stderr
    report = json.loads(subprocess.run([*command, "--json"], capture_output=True, timeout=RUN_S).stdout)
    assert report["rows"] == 8_000 and report["resumed_rows"] > 0
    assert len(read(Path(report["out"]))) == 8_000


def test_ctrl_c_is_told_and_the_same_command_goes_on(tmp_path: Path) -> None:
    file = lines_in(tmp_path, 12_000)
    command = [sys.executable, "-c", OFTEN + RUN, "score", str(file), "--workers", "2"]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    assert first.stderr is not None
    while b"%" not in first.stderr.readline():
        assert first.poll() is None
    os.killpg(first.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    told = first.stderr.read()
    first.stderr.close()
    assert first.wait() == 130
    assert b"interrupted; what is scored stays" in told and b"Traceback" not in told
    report = json.loads(subprocess.run([*command, "--json"], capture_output=True, timeout=RUN_S).stdout)
    assert report["rows"] == 12_000 and report["resumed_rows"] > 0


def verb(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.main(["score", *words])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_verb_tells_counts_and_bad_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = lines_in(tmp_path, 10, "no row\n" * 30)
    code, out, err = verb(capsys, str(file), "--workers", "1")
    assert (code, out.startswith("10 rows into ")) == (1, True)
    assert (
        "line 11: it is no JSON: invalid character (byte 4)" in err
        and "... 30 lines are no rows; --json lists more" in err
    )
    assert "too few for shares: under 100" in out
    code, out, _ = verb(capsys, str(file), "--workers", "1", "--json")
    report = json.loads(out)
    assert report["shares"] is None
    assert (code, report["rows"], len(report["bad"])) == (1, 10, 30)
    code, _, err = verb(capsys, str(tmp_path / "none.csv"))
    assert (code, err.startswith("gcc: there is no ")) == (2, True)


def test_the_verb_tells_shares_with_their_bounds_from_a_hundred_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.csv"
    names = ["ravi,Ravi Kumar"] * 150 + ["cool_boy,Rohit Kumar"] * 30 + ["ravi12345,Ravi Kumar"] * 20 + ["ravi,"] * 9
    file.write_text("\n".join(["handle,full_name", *names]))
    code, out, err = verb(capsys, str(file))
    assert "of 200 with a score by names: fake 10.0% (6.6% to 14.9%), weak 15.0%, real 75.0%" in out
    code, out, _ = verb(capsys, str(file), "--json")
    shares = json.loads(out)["shares"]
    assert (code, shares["n"], shares["fake"], round(shares["fake_low"], 3)) == (0, 200, 0.1, 0.066)
    file.write_text("handle,full_name\n@ravi,\n")
    code, _, err = verb(capsys, str(file))
    assert code == 0 and "nobody has a score, and `refused` says why" in err


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("a.csv", "--handle", "x"),
        ("a.csv", "--workers", "0"),
        ("a.csv", "--workers", "x"),
        ("a.txt",),
        ("--name=x", "--picture=z"),
    ],
)
def test_wrong_use_is_told(words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").touch()
    code, out, err = verb(capsys, *(str(tmp_path / word) if word.startswith("a.") else word for word in words))
    assert (code, out) == (2, "")
    assert err.startswith("gcc: ") and err.count("\n") == 1


def test_one_follower_is_scored_for_people_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    one = ("--handle", "ravi_12345", "--name", "रवि कुमार", "--followers", "3", "--picture", "no")
    code, out, _ = verb(capsys, *one)
    assert code == 0
    assert "by names     1     fake" in out and "more_than_4_digits" in out and "scripts of the name: devanagari" in out
    code, out, _ = verb(capsys, *one, "--json")
    told = json.loads(out)
    assert (code, told["score"], told["non_indic"], told["reasons"][0]["feature"]) == (0, 1.0, 0, "more_than_4_digits")
    assert told["account_score"] is not None
    code, out, _ = verb(capsys, "--name", "\udcff\x1b[2J")
    assert code == 0 and "\x1b" not in out and "by names     -     the follower has no handle" in out

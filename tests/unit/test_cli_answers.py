"""Every verb against a platform that answers badly: one sentence on stderr and an exit code, never a traceback."""

import datetime as dt
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import pytest

from gcc import cli
from gcc.cli import client, jobs, live, parse, schedules
from gcc.cli.client import Running
from gcc.clock import SystemClock
from gcc.errors import ConfigError
from gcc.web.ops.registry import REGISTRY

ROOT = Path(__file__).parents[2]
ID = "019a0000-0000-7000-8000-000000000000"
WHY = ["--why", "a test"]
VERBS = [
    ["status"],
    ["status", "--watch"],
    ["drain"],
    ["drain", "--wait"],
    ["drain", "--role", "scraper", "--wait"],
    ["pause", "a flow", *WHY],
    ["resume", "a flow", *WHY],
    ["concurrency", "a flow", "3", *WHY],
    ["jobs", "list"],
    ["jobs", "show", ID],
    ["jobs", "add", "refresh_profile_by_handle", "handle=asha"],
    ["jobs", "retry", *WHY],
    ["jobs", "cancel", "--dry-run"],
    ["dead-letters"],
    ["dead-letters", "--show", ID],
    ["replay", *WHY],
    ["replay", "--dry-run"],
    ["actions"],
    ["schedules"],
    ["schedules", "show", "core_models"],
    ["models"],
    ["models", "show", "mart_leaderboard"],
    ["models", "lineage", "mart_leaderboard.followers"],
    ["models", "run", "tag:core", *WHY],
    ["models", "test", "mart_leaderboard"],
    ["models", "backfill", "--from", "2026-01-01", "--to", "2026-02-28", *WHY],
    ["sources"],
    ["users", "add", "asha@brand.example", "--role", "operator"],
    ["schedules", "run", "core_models", *WHY],
    ["schedules", "pause", *WHY],
    ["sync"],
    ["sync", "run", "leaderboard", *WHY],
    ["sync", "accept", "leaderboard", *WHY],
    ["check"],
    ["import-history", "FILE"],
    ["import-history", "FILE", "--encoding", "cp1252"],
    ["import-history", "FILE", "--date-format", "%d/%m/%Y", "--thousands", ",", "--dry-run", *WHY],
]


def answer(status: str, body: bytes, *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def error(status: str, body: object) -> bytes:
    return answer(status, json.dumps(body).encode())


ENVELOPE = {"status": "ERROR", "data": None, "error": {"code": "X", "detail": "two\nlines \x1b[2J"}}
BAD = {
    "500 of HTML": answer("500 Internal Server Error", b"<html><h1>Internal\nServer Error</h1></html>"),
    "500 of nothing": answer("500 Internal Server Error", b""),
    "502": answer("502 Bad Gateway", b"<html>nginx</html>"),
    "503 of the envelope": error("503 Service Unavailable", ENVELOPE),
    "404 of the envelope": error("404 Not Found", ENVELOPE),
    "422 without a detail": error("422 Unprocessable", {"error": {"code": "X"}}),
    "500 with a text": error("500 Error", {"error": "text"}),
    "500 of a list": error("500 Error", [1]),
    "200 of nothing": answer("200 OK", b""),
    "204": b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    "200 of HTML": answer("200 OK", b"<html>a captive portal</html>"),
    "200 of null": answer("200 OK", b"null"),
    "200 of a list": answer("200 OK", b"[]"),
    "200 of an empty object": answer("200 OK", b"{}"),
    "200 without data": answer("200 OK", b'{"status": "SUCCESS", "data": null, "meta": {}}'),
    "200 with empty data": answer("200 OK", b'{"status": "SUCCESS", "data": {}, "meta": {}}'),
    "200 cut off": answer("200 OK", b'{"data": 1}')[:-4],
    "200 nested": answer("200 OK", b"[" * 100_000),
    "200 of odd bytes": answer("200 OK", b'{"data": "\xff"}'),
    "redirect": answer("302 Found", b"", "Location: http://127.0.0.1:1/login"),
    "hung up": b"",
    "hung up in the head": b"HTTP/1.1 200 OK\r\nContent-",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "garbage": answer("200 OK", b"\x00\xff" * (8 << 20)),
    "false gzip": answer("200 OK", b"no gzip", "Content-Encoding: gzip"),
    "websocket of another kind": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x00\xff\x00\xff",
}


@contextmanager
def stub(respond: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that reads requests and lets `respond` have the connection; its URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    def one(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.settimeout(5)
            received = b""
            while b"\r\n\r\n" not in received:
                if not (more := connection.recv(65536)):
                    return
                received += more
            while b"chunked" in received and not received.endswith(b"0\r\n\r\n"):
                received += connection.recv(65536)
            respond(connection)
            connection.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def run(verb: list[str], url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    (folder / REGISTRY).write_text(json.dumps({"url": url, "token": "a-token"}))
    file = folder / "past.csv"
    file.write_text("platform,profile_id,handle,timestamp\n")
    words = [str(file) if word == "FILE" else word for word in verb]
    code = cli.main([*words, "--data", str(folder), "--set", "postgres.url=embedded"])
    told = capsys.readouterr()
    return code, told.out, told.err


def is_one_sentence(text: str) -> bool:
    line = text.removesuffix("\n")
    return line.startswith("gcc: ") and line.isprintable() and 15 < len(line) < 400


@pytest.mark.parametrize("name", ["", ".", "..", "a/b"])
@pytest.mark.parametrize("verb", [["models", "show"], ["models", "lineage"], ["jobs", "show"]], ids=" ".join)
def test_what_is_no_name_is_asked_of_nobody(
    verb: list[str], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with stub(lambda connection: connection.sendall(BAD["404 of the envelope"])) as url:
        code, _, told = run([*verb, name], url, tmp_path, capsys)
    assert (code, is_one_sentence(told), "is no name" in told) == (2, True, True), told


def test_a_run_tells_nothing_of_what_is_empty() -> None:
    detail = {"waits_for": [], "syncs": {}, "why": None, "models": [1, 2], "rows": 0}
    assert schedules.did_what(detail) == "2 models, rows 0"


CASES = [(verb, bad) for verb in VERBS for bad in BAD]
CASES.remove((["drain"], "200 with empty data"))  # which wants to know nothing


@pytest.mark.parametrize(("verb", "bad"), CASES, ids=lambda word: word if isinstance(word, str) else " ".join(word))
def test_a_bad_answer_is_one_sentence(
    verb: list[str], bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "CONNECT_S", 1.0)
    with stub(lambda connection: connection.sendall(BAD[bad])) as url:
        code, _, told = run(verb, url, tmp_path, capsys)
    assert code in (1, 2)
    assert is_one_sentence(told), told
    assert code == (2 if bad.startswith("404") and "--wait" not in verb and "--watch" not in verb else 1), told


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_a_platform_that_hangs_is_given_up(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ANSWER_S", 0.1)
    monkeypatch.setattr(client, "LONG_ANSWER_S", 0.1)
    monkeypatch.setattr(live, "CONNECT_S", 0.1)
    over = threading.Event()
    with stub(lambda connection: over.wait(10) and None) as url:
        code, _, told = run(verb, url, tmp_path, capsys)
        over.set()
    assert (code, is_one_sentence(told)) == (1, True), told
    assert "within" in told


def test_a_platform_that_drips_is_given_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ANSWER_S", 0.5)
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not over.wait(0.01):
            connection.sendall(b" ")

    with stub(drip) as url:
        code, _, told = run(["actions"], url, tmp_path, capsys)
        over.set()
    assert (code, is_one_sentence(told)) == (1, True), told


def test_an_empty_action_log_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nothing = answer("200 OK", b'{"status": "SUCCESS", "data": [], "meta": {}}')
    with stub(lambda connection: connection.sendall(nothing)) as url:
        code, told, _ = run(["actions"], url, tmp_path, capsys)
    assert (code, told.startswith("nobody has done anything yet")) == (0, True), told


def test_an_endless_answer_is_not_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ANSWER_BYTES_MAX", 1 << 20)

    def pour(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b" " * 65536)

    with stub(pour) as url:
        code, _, told = run(["actions"], url, tmp_path, capsys)
    assert (code, is_one_sentence(told)) == (1, True), told


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "{}", '{"url": 1, "token": "x"}', '{"url": "http://127.0.0.1:1", "token": "ü\\n"}',
     "[" * 100_000, '{"url": "no url", "token": "x"}', '{"url": "http://[::1", "token": "x"}',
     '{"url": "http://127.0.0.1:99999999", "token": "x"}'],
    ids=lambda text: text[:24],
)  # fmt: skip
def test_a_registry_that_is_none_is_one_sentence(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / REGISTRY).write_text(content)
    assert cli.main(["status", "--data", str(tmp_path)]) in (1, 2)
    assert is_one_sentence(capsys.readouterr().err)


def test_a_platform_that_is_gone_is_not_running(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with stub(lambda connection: None) as url:
        pass
    code, _, told = run(["status"], url, tmp_path, capsys)
    assert code == 2
    assert "start it with: run" in told
    assert is_one_sentence(told)


def test_what_the_platform_tells_is_told_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The detail of an error comes in one line, without what would steer the terminal."""
    with stub(lambda connection: connection.sendall(error("507 Insufficient Storage", ENVELOPE))) as url:
        code, _, told = run(["import-history", "FILE"], url, tmp_path, capsys)
    assert (code, told) == (1, "gcc: two lines \ufffd[2J\n")


def test_reports_of_imports_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    also = [{"field": "b", "reason": "too"}]
    rejected = [{"line": 3, "field": "a\x1b", "reason": "is odd", "also": also}]
    report = {"rows": 3, "imported": 1, "duplicates": 1, "rejected": rejected, "rejected_total": 1}
    report["warnings"] = ["ids look rounded"]
    with stub(lambda connection: connection.sendall(error("200 OK", {"data": report}))) as url:
        code, out, told = run(["import-history", "FILE"], url, tmp_path, capsys)
    assert (code, out) == (1, "3 rows: 1 imported, 1 were there already, 1 rejected\n")
    shown, *told_else = told.splitlines()
    assert shown.startswith("they show in series and leaderboards after the next models and syncs")
    assert told_else == ["warning: ids look rounded", "line 3: a\ufffd: is odd", "line 3: b: too"]
    report |= {"followed": 1, "rejected": [], "rejected_total": 0}
    with stub(lambda connection: connection.sendall(error("200 OK", {"data": report}))) as url:
        code, out, _ = run(["import-history", "FILE", "--dry-run"], url, tmp_path, capsys)
    told = "3 rows: 1 would be imported, 1 are there already, 1 would only be followed, by handle\n"
    assert (code, out) == (0, told)
    report = {"rows": 0, "imported": 0, "duplicates": 0, "rejected": [], "rejected_total": 0}
    with stub(lambda connection: connection.sendall(error("200 OK", {"data": report}))) as url:
        code, out, told = run(["import-history", "FILE"], url, tmp_path, capsys)
    assert code == 0
    assert told.startswith("warning: there is no row in ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full disk to write to")
@pytest.mark.parametrize("verb", [["flows"], ["flows", "--json"]])
def test_a_full_disk_behind_stdout_is_one_sentence(verb: list[str]) -> None:
    command = [sys.executable, "-m", "gcc.supervisor", *verb]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    told = "gcc: the output cannot be written: No space left on device"
    assert (done.returncode, done.stderr) == (1, told + "\n")


def test_flows_tell_what_each_is_given_who_may_ask_and_what_is_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["flows", "--data", str(tmp_path), "--set", "sources.rocketapi.enabled=true"]
    assert cli.main(words) == 0
    told = capsys.readouterr().out
    assert "fetch_post_likes  INSTAGRAM  unofficial  5 at once  off: none of its sources is switched on\n" in told
    followers = told.partition("fetch_profile_followers  INSTAGRAM  unofficial  15 at once\n")[2].splitlines()
    assert followers[:3] == [
        "    params   [profile_id], [handle], [pages_max=20]",
        "    sources  rocketapi (100 per 30 s)",
        "    off      instagram-scraper2, lama",
    ]
    report = told.partition("fetch_channel_daily_stats_csv  YOUTUBE  owner  5 at once\n")[2].splitlines()
    assert report[:4] == [
        "    params   channel_id, [start], [end]",
        "    sources  ytanalytics (50 per 1 s), snapshots",
        "    events   scrape_request_log, trace_log",
        "    object   exports/JOB.csv",
    ]


def test_a_bug_is_not_hidden_by_a_reader_that_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(arguments: object) -> int:
        raise BaseExceptionGroup("both", [BrokenPipeError(32, "Broken pipe"), KeyError("a bug")])

    monkeypatch.setattr("gcc.cli.flows.main", both)
    with pytest.raises(BaseExceptionGroup, match="both"):
        cli.main(["flows"])


def test_a_job_on_a_screen_of_80_columns_is_whole() -> None:
    job_id, flow = "019a0000-0000-7000-8000-000000000000", "refresh_profile_by_handle"
    reason = "PROFILE_NOT_FOUND: there is none"
    parts = [job_id, "PROCESSING", "2026-11-29T07:38:11", flow, "handle=somebody", "3 retries", reason]
    screen = jobs._on_screen(parts)
    assert max(map(len, screen.splitlines())) <= 80
    assert all(part in screen for part in parts)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["run", "--password", "S3CR3T"], "unrecognized arguments: --password and 1 word, not"),
        (["run", "--password=S3CR3T", "-pS3CR3T"], "unrecognized arguments: --password -p;"),
        (["--password", "S3CR3T"], "unrecognized arguments: --password and 1 word, not"),
        (["status", "S3CR3T", "\nS3CR3T"], "unrecognized arguments: 2 words, not repeated here"),
        (["S3CR3T"], "invalid choice: '...' (choose from "),
        (["S3CR3T's (choose from here)"], "invalid choice: '...' (choose from "),
        (["postgresql://u:S3CR3T@h/x"], "invalid choice: '...' (choose from "),
        (["jobs", "S3CR3T"], "invalid choice: '...' (choose from "),
        (["status", "--json=S3CR3T"], "ignored explicit argument '...'"),
        (["stauts"], "invalid choice: 'stauts' (choose from "),
    ],
)
def test_a_word_that_nobody_knows_is_not_repeated(words: list[str], named: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(words)
    assert named in str(refused.value)
    assert "S3CR3T" not in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("since", "kept", "told"),
    [
        (29, {"jobs": 30, "failed_jobs": 0}, ""),
        (31, {"jobs": 30, "failed_jobs": 0}, "jobs that have ended are kept 30 days, failed ones for ever\n"),
        (9999, {"jobs": 0, "failed_jobs": 90}, ""),
    ],
)
def test_who_asks_for_jobs_of_long_ago_is_told_how_long_they_are_kept(
    since: int, kept: dict[str, int], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    job = {
        "id": "i",
        "status": "COMPLETE",
        "created_at": "t",
        "flow": "f",
        "params": {},
        "retry_count": 0,
        "code": None,
    }

    class Answering:
        def ask(self, *_: object, **__: object) -> dict[str, object]:
            return {"data": [job], "meta": {"total": 1, "counted_max": 9, "kept_days": kept}}

    at = (SystemClock().now() - dt.timedelta(days=since)).isoformat()
    jobs._list(cast(Running, Answering()), {"since": at}, as_json=False)
    assert capsys.readouterr().err.partition("1 of 1 job\n")[2] == told


@pytest.mark.parametrize("verb", cli.VERBS)
def test_the_help_of_a_verb_tells_what_every_verb_takes(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.parse([verb, "--help"])
    told = capsys.readouterr().out
    assert all(option in told for option in ("--json", "--data DIR", "--config FILE", "--set KEY.SUB=VALUE"))


def test_what_every_verb_takes_may_stand_before_and_after_it() -> None:
    for words in (["--json", "--set", "a=1", "flows"], ["flows", "--json", "--set", "a=1"]):
        arguments = cli.parse(words)
        assert (arguments.verb, arguments.json, arguments.set) == ("flows", True, ["a=1"])
    assert cli.parse(["flows"]).set == []

"""`doctor` beside a running platform, on its stopped folder, before the first start, and on what can be wrong.

Two whole runs are real processes; everything else is asked in this one, of real stores or of what stands in for
a platform that is not well.
"""

import argparse
import datetime as dt
import fcntl
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio
from psycopg.conninfo import make_conninfo

from gcc.cli import checkup, doctor, main
from gcc.cli.finding import Finding
from gcc.clock import SystemClock
from gcc.config import Settings
from gcc.errors import Transient
from gcc.sources.credentials import Facts
from gcc.statements import SQL
from gcc.stores import data_folder, migrations
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.credentials import PostgresCredentials
from gcc.stores.postgres import Pool
from tests.fakes.credentials import KEY, KEYS
from tests.fakes.objects import MemoryObjects
from tests.fixtures_postgres import of_requests
from tests.process import CONFIG, command, platform
from tests.services.s3 import S3Node
from tests.unit.test_sealing import given

SMALL = ("world.creators=3", "world.history_days=0")
DEADLINE_S = 0.5
ANY_PORTS = {"world": {"enabled": True, "port": 0}, "ops": {"port": 0}, "gateway": {"port": 0}}
NOW = dt.datetime(2026, 3, 4, 5, 6, 7, tzinfo=dt.UTC)
# The verb, also while it is in no list of verbs.
MAIN = "import sys; from gcc.cli import VERBS, main; VERBS.setdefault('doctor', ''); sys.exit(main(sys.argv[1:]))"
LOOKS = (
    "status", "jobs list", "dead-letters", "sources", "limits", "credentials list", "schedules", "erase", "actions",
    "flows",
)  # fmt: skip
Findings = dict[str, Finding]


def by_name(findings: list[Finding]) -> Findings:
    """By their names, which differ; and what is not well says how to mend it."""
    named = {finding.name: finding for finding in findings}
    assert len(named) == len(findings)
    for finding in findings:
        assert (finding.mend is None) == (finding.state == "ok"), finding
    return named


def unwell(findings: Findings) -> dict[str, str]:
    return {name: finding.state for name, finding in findings.items() if finding.state != "ok"}


async def verb(data: Path) -> tuple[int, Findings]:
    """Exit code and findings of the real verb."""
    words = command("doctor", data, "--json", settings=SMALL)
    words[1:3] = ["-c", MAIN]
    with trio.fail_after(60):
        done = await trio.run_process(words, capture_stdout=True, capture_stderr=True, check=False)
    assert done.stdout, done.stderr.decode()
    report = json.loads(done.stdout.decode().splitlines()[-1])
    findings = [Finding(**check) for check in report["checks"]]
    assert report["well"] == all(finding.state != "fail" for finding in findings)
    return done.returncode, by_name(findings)


async def examined(data: Path, *, settings: dict[str, Any] | None = None, **more: Any) -> Findings:
    """In this process, on any ports; DEADLINE_S for each question."""
    told = Settings.model_validate({**ANY_PORTS, "data_dir": data, **(settings or {})})
    return by_name(await doctor.examine(told, **{"clock": SystemClock(), "deadline_s": DEADLINE_S, **more}))


def on(database: str) -> dict[str, str]:
    return {"url": database, "web_url": of_requests(database)}


async def database_findings(database: str, *, running: bool = False, sql: Path | None = None) -> Findings:
    settings = Settings.model_validate({"credentials": {"keys": [KEY]}})
    found = await checkup.postgres(
        database, settings, SystemClock(), running=running, sql=sql or SQL / "postgres", deadline_s=10
    )
    return by_name(found)


@contextmanager
def busy_port(*, answers: bool) -> Iterator[int]:
    """A port of this process that nobody else gets; `answers`: it takes connections, and says nothing."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        if answers:
            held.listen()
        yield held.getsockname()[1]


async def test_a_running_platform_and_then_its_stopped_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with platform(tmp_path, *SMALL) as running:
        ops = int(running.running.url.rpartition(":")[2])
        found = await examined(tmp_path, settings={"ops": {"port": ops}}, deadline_s=20)
        assert unwell(found) == {}, found["actors"]
        assert f"process {running.process.pid} at" in found["platform"].found
        assert "held by the running platform" in found["ops.port"].found
        assert "held open" in found["clickhouse"].found
        assert "18." in found["postgres"].found

        for words in LOOKS:  # every verb that only looks is answered by a platform on which nothing was done yet
            code = await trio.to_thread.run_sync(main, [*words.split(), "--data", str(tmp_path)])
            told = capsys.readouterr()
            assert code == 0 and told.out + told.err and "gcc:" not in told.err, (words, told)

        running.process.send_signal(signal.SIGSTOP)
        found = await examined(tmp_path)
        assert unwell(found) == {"platform": "fail", "clickhouse": "warn"}
        assert "no answer within" in found["platform"].found  # and PostgreSQL was asked nevertheless
        running.process.send_signal(signal.SIGCONT)
        assert await running.stop() == 0

    code, found = await verb(tmp_path)
    assert (code, unwell(found)) == (0, {})
    assert "none runs" in found["platform"].found
    assert "embedded" in found["clickhouse"].found
    assert "all" in found["clickhouse migrations"].found and "all" in found["postgres migrations"].found


async def test_before_the_first_start_it_checks_what_that_needs_and_makes_nothing(tmp_path: Path) -> None:
    data = tmp_path / "not" / "yet"
    found = await examined(data, deadline_s=20)
    assert unwell(found) == {}
    assert "first start" in found["data folder"].found
    assert "PostgreSQL" in found["postgres"].found and "chdb" in found["clickhouse"].found
    assert "objects" not in found
    assert os.listdir(tmp_path) == []


async def test_a_first_start_lacks_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = await examined(tmp_path / "new", deadline_s=20)
    assert unwell(found) == {"postgres": "fail"}
    assert "setpriv" in found["postgres"].found
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "chdb", None)
    found = await examined(tmp_path / "new", deadline_s=20)
    assert unwell(found) == {"clickhouse": "fail"}


async def test_a_folder_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = await examined(tmp_path / "file" / "data")
    assert unwell(found) == {"data folder": "fail"}
    assert "postgres" not in found


async def test_a_folder_that_is_open_or_of_another_user(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o755)
    found = checkup.folder(data)
    assert (found.state, found.mend) == ("warn", f"chmod 700 {data}; a start does it, where all in it is its own")
    data.chmod(0o700)
    assert checkup.folder(data).state == "ok"
    if os.geteuid() == 0:
        os.chown(data, 4711, 4711)
        found = checkup.folder(data)
        assert (found.state, found.found) == ("fail", f"{data} belongs to user 4711")
        assert "postgres" not in await examined(data)


async def test_a_folder_in_use_by_a_platform_that_does_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_folder, "LOCK_S", 0.0)
    (tmp_path / "postgres").mkdir()
    with (tmp_path / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = await examined(tmp_path)
    assert unwell(found) == {"postgres": "fail"}
    assert "in use by process" in found["postgres"].found
    assert "clickhouse" not in found  # its starter shall find it closed


async def test_a_busy_port_names_its_holder(tmp_path: Path) -> None:
    with busy_port(answers=True) as port:
        found = await examined(tmp_path, settings={"gateway": {"port": port}})
    assert unwell(found) == {"gateway.port": "fail"}
    assert f"(process {os.getpid()})" in found["gateway.port"].found
    found = await examined(tmp_path, settings={"ops": {"host": "192.0.2.1", "port": 8010}})
    assert unwell(found) == {"ops.port": "fail"}


@pytest.mark.parametrize(("free_bytes", "state"), [(100 << 20, "fail"), (1 << 30, "warn"), (10 << 30, "ok")])
def test_a_low_disk(tmp_path: Path, free_bytes: int, state: str) -> None:
    assert checkup.disk(tmp_path / "not yet", free_bytes).state == state


async def test_a_database_without_a_schema_is_before_its_first_start(
    postgres_admin: "psycopg.Connection[tuple[object, ...]]", database: str, tmp_path: Path
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("drop table schema_migration")
    found = await examined(tmp_path, settings={"postgres": on(database)}, deadline_s=20)
    assert unwell(found) == {"postgres migrations": "warn"}
    assert "stored at the first start" in found["credentials"].found
    assert "queue bindings" not in found


async def declared(pool: Pool) -> None:
    """As a running platform leaves its database."""
    async with pool.connection() as connection:
        for each in checkup.BINDINGS:
            binding = (each.route.exchange, each.route.key, each.queue)
            await connection.execute("insert into binding values (%s, %s, %s)", binding)
        for source in ("graphapi", "ytapi"):
            await connection.execute(
                "insert into credential (id, source, handle, account, credentials) values (%s, %s, 'a', '17', '{}')",
                (SystemClock().new_id(), source),
            )


async def test_a_database_that_is_well(pool: Pool, database: str) -> None:
    await declared(pool)
    assert unwell(await database_findings(database, running=True)) == {}


async def test_pending_and_unknown_migrations(pool: Pool, database: str, tmp_path: Path) -> None:
    await declared(pool)
    shutil.copytree(SQL / "postgres", tmp_path, dirs_exist_ok=True)
    last = len(migrations.read(tmp_path))
    (tmp_path / f"{last + 1:04d}_tomorrow.sql").write_text("select 1;")
    for running, state in ((False, "warn"), (True, "fail")):
        found = await database_findings(database, running=running, sql=tmp_path)
        assert unwell(found) == {"postgres migrations": state}
        assert f"1 of {last + 1} pending: {last + 1:04d}_tomorrow" in found["postgres migrations"].found
    async with pool.connection() as connection:
        await connection.execute("delete from schema_migration where number = %s", (last,))
        assert unwell(await database_findings(database)) == {"postgres migrations": "warn"}
        await connection.execute(
            "insert into schema_migration select n, 'x', 'x' from generate_series(%s, 99) n", (last,)
        )
    assert "newer release" in (await database_findings(database))["postgres migrations"].found


async def test_a_missing_binding_fails_and_an_unknown_one_warns(pool: Pool, database: str) -> None:
    await declared(pool)
    async with pool.connection() as connection:
        await connection.execute("insert into binding values ('other.dx', 'key', 'other_q')")
        found = await database_findings(database)
        assert unwell(found) == {"queue bindings": "warn"}
        assert "other.dx key -> other_q" in found["queue bindings"].found
        await connection.execute("delete from binding where queue = 'post_log_events_q'")
    found = await database_findings(database)
    assert unwell(found) == {"queue bindings": "fail"}
    assert "beat.dx post_log_events -> post_log_events_q" in found["queue bindings"].found


async def test_sources_without_a_credential(pool: Pool, database: str) -> None:
    await declared(pool)
    async with pool.connection() as connection:
        await connection.execute("update credential set enabled = false where source = 'ytapi'")
    found = await database_findings(database)
    assert unwell(found) == {"credentials": "warn"}
    assert "GCC_SOURCES__YTAPI__TOKENS" in str(found["credentials"].mend)
    assert "graphapi" not in str(found["credentials"].mend).lower()


async def test_secrets_whose_key_is_away_and_consents_that_end_are_told(database: str) -> None:
    pool = Pool(database, 2, name="test")
    soon = SystemClock().now() + dt.timedelta(days=3)
    for source, handle, keys, facts in (
        ("graphapi", "asha", KEYS, Facts(kind="facebook", data_access_expires_at=soon)),
        ("graphapi", "renewed", KEYS, Facts(kind="instagram", expires_at=soon)),
        ("ytapi", "main", given(9), Facts()),
    ):
        await PostgresCredentials(pool, SystemClock(), keys).put(source, handle, {"token": "x"}, facts)
    found = await database_findings(database)
    key = found["credential keys"]
    assert (key.state, given(9).newest in key.found) == ("fail", True) and "GCC_CREDENTIALS__KEYS" in (key.mend or "")
    assert found["expiring credentials"].found == f"asha of graphapi (facebook) on {soon:%Y-%m-%d}"
    await pool.aclose()


async def test_credentials_that_are_out_are_told_with_their_reasons(pool: Pool, database: str) -> None:
    await declared(pool)
    credentials = PostgresCredentials(pool, SystemClock(), KEYS)
    await credentials.put("ytapi", "spare", {"token": "hush hush"})
    while (spare := await credentials.pick("ytapi")).handle != "spare":
        pass
    await credentials.disable(spare, rest_s=90, reason="ytapi: HTTP 403, accessNotConfigured: not enabled")
    found = await database_findings(database)
    assert unwell(found) == {}, "another one is ready"
    assert "; ytapi 2 enabled, 1 resting; out: spare rests " in found["credentials"].found
    assert "(ytapi: HTTP 403, accessNotConfigured: not enabled)" in found["credentials"].found
    await credentials.disable(await credentials.pick("ytapi"), rest_s=None, reason="ytapi: HTTP 400, keyInvalid: no")
    found = await database_findings(database)
    assert unwell(found) == {"credentials": "warn"}
    assert "out: a waits for a new token (ytapi: HTTP 400, keyInvalid: no); spare rests" in found["credentials"].found
    assert "hush" not in str(found)


async def test_a_token_that_names_no_account_is_told_before_the_first_start_and_after(
    pool: Pool, database: str, tmp_path: Path
) -> None:
    tokens = {"graphapi": {"tokens": ["17841400000000001:EAAB1", "EAAB2"]}, "ytapi": {"tokens": ["AIza1"]}}
    found = await examined(tmp_path / "new", settings={"world": {"enabled": False}, "sources": tokens})
    told = found["credential accounts"]
    assert told.state == "warn" and told.found.startswith("graphapi-2 of graphapi: ")
    assert """GCC_SOURCES__GRAPHAPI__TOKENS='["IG_USER_ID:TOKEN"]'""" in str(told.mend)
    assert "credentials add graphapi HANDLE --account IG_USER_ID" in str(told.mend)

    await declared(pool)
    assert "credential accounts" not in await database_findings(database)
    credentials = PostgresCredentials(pool, SystemClock(), KEYS)
    await credentials.put("graphapi", "late", {"token": "EAAB3"}, Facts())
    await credentials.put("shopify", "shop", {"token": "x"}, Facts(account="shop.myshopify.com"))
    told = (await database_findings(database))["credential accounts"]
    assert told.state == "warn" and told.found.startswith("late of graphapi: ")
    assert "EAAB" not in str(told)


async def test_frames_that_wait_too_long(pool: Pool, database: str) -> None:
    await declared(pool)
    row = "(frame_id, exchange, routing_key, events, body, created_at) values (gen_random_uuid(), 'x', 'y', 1, '', "
    async with pool.connection() as connection:
        await connection.execute(f"insert into outbox {row} now() - interval '2 minutes')")
        assert unwell(await database_findings(database)) == {}  # it stands still, so they must
        found = await database_findings(database, running=True)
        assert unwell(found) == {"exchange": "warn"} and "in outbox" in found["exchange"].found
        row = row.replace("(frame_id", "(queue, frame_id").replace("values (", "values ('some_q', ")
        await connection.execute(f"insert into queue_message {row} now() - interval '1 hour')")
    found = await database_findings(database, running=True)
    assert unwell(found) == {"exchange": "fail"}
    assert "2 frames wait" in found["exchange"].found and "in some_q" in found["exchange"].found


async def test_what_queues_keep_for_later_parts_is_not_late(pool: Pool, database: str) -> None:
    await declared(pool)
    async with pool.connection() as connection:
        await connection.execute(
            "insert into queue_message (queue, frame_id, exchange, routing_key, events, body, created_at)"
            " values ('keyword_collection_q', gen_random_uuid(), 'x', 'y', 1, '', now() - interval '9 days')"
        )
    found = await database_findings(database, running=True)
    assert unwell(found) == {}
    assert "1 frames are kept for parts that are not here yet" in found["exchange"].found


async def test_the_role_of_requests(database: str, tmp_path: Path) -> None:
    """One that row-level security would not hold is a fault at the next start; none at all is known to be the owner."""
    nobody = make_conninfo(database, user="nobody_at_all")
    for web_url, state, told in (
        (of_requests(database), "ok", "gcc_web, whom"),
        ("", "warn", "the owner"),
        (database, "fail", "the owner of the tables"),
        (nobody, "fail", "GCC_POSTGRES__WEB_URL"),
    ):
        settings = {"postgres": {"url": database, "web_url": web_url}}
        found = (await examined(tmp_path, settings=settings, deadline_s=20))["role of requests"]
        assert found.state == state and told in found.found, found
        assert state == "ok" or "docs/servers.md" in (found.mend or "") or web_url == nobody
    elsewhere = {"postgres": {"url": database}, "roles": ["scraper"]}
    assert "role of requests" not in await examined(tmp_path, settings=elsewhere, deadline_s=20)


async def test_pools_larger_than_the_server(database: str, tmp_path: Path) -> None:
    for size, state in ((80, "warn"), (500, "fail")):
        url = {"url": database, "actor_pool": size, "web_pool": 16}
        found = await examined(tmp_path, settings={"postgres": url}, deadline_s=20)
        assert found["connections"].state == state


class Slow(SystemClock):
    """An hour behind the database."""

    def now(self) -> dt.datetime:
        return super().now() - dt.timedelta(hours=1)


async def test_a_clock_that_is_behind_the_database(pool: Pool, database: str, tmp_path: Path) -> None:
    await declared(pool)
    found = await examined(tmp_path, settings={"postgres": on(database)}, clock=Slow(), deadline_s=20)
    assert unwell(found) == {"postgres clock": "fail", "clock": "fail"}
    assert "ahead of this machine's" in found["postgres clock"].found


@pytest.mark.parametrize(
    ("off_s", "state"),
    [(0.0, "ok"), (-0.9, "ok"), (3.0, "ok"), (3.9, "ok"), (4.1, "warn"), (-2.0, "warn"), (-31, "fail")],
)
def test_skew_is_what_lies_outside_of_the_question(off_s: float, state: str) -> None:
    theirs, after = NOW + dt.timedelta(seconds=off_s), NOW + dt.timedelta(seconds=3)
    assert checkup.skew("x", NOW, theirs, after).state == state


def test_a_clock_before_its_time() -> None:
    assert checkup.sane(NOW, None).state == checkup.sane(NOW, NOW + dt.timedelta(seconds=30)).state == "ok"
    assert checkup.sane(NOW.replace(year=1970), None).state == "fail"


async def test_a_database_that_refuses_and_one_that_hangs(tmp_path: Path) -> None:
    for answers, why in ((False, "refused"), (True, "no answer within")):
        with busy_port(answers=answers) as port:
            url = f"postgresql://somebody:hunter22@127.0.0.1:{port}/gcc"
            found = await examined(tmp_path, settings={"postgres": {"url": url}})
        assert found["postgres"].state == "fail"
        assert why in found["postgres"].found and f"127.0.0.1:{port}" in found["postgres"].found
        assert "hunter22" not in str(found)


async def test_a_clickhouse_that_refuses_and_one_that_hangs(database: str, tmp_path: Path) -> None:
    for answers in (False, True):
        with busy_port(answers=answers) as port:
            urls = {
                "clickhouse": {"url": f"http://somebody:hunter22@127.0.0.1:{port}/x"},
                "postgres": {"url": database},
            }
            found = await examined(tmp_path, settings=urls)
        assert found["clickhouse"].state == "fail"
        assert "hunter22" not in str(found)


async def test_clickhouse_migrations(clickhouse: ClickHouse, clickhouse_folder: Path) -> None:
    async def ask() -> Findings:
        clock = SystemClock()
        sql = SQL / "clickhouse"
        return by_name(await checkup.clickhouse(clickhouse_folder, clock, running=False, sql=sql, deadline_s=10))

    assert unwell(await ask()) == {}
    await clickhouse.command("drop table gcc_schema_migration sync")
    assert unwell(await ask()) == {"clickhouse migrations": "warn"}


async def test_what_an_error_repeats_is_masked(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "postgres": {"url": "postgresql://u:hunter%2322@127.0.0.1/x"},
            "clickhouse": {"url": "http://u:other33@127.0.0.1/"},
            "sources": {"graphapi": {"tokens": ["123:EAAB44"]}},
        }
    )
    secrets = doctor._secrets(settings)
    told = Finding("x", "fail", "hunter%2322 hunter#22 other33 123:EAAB44 EAAB44 stays")
    assert doctor._without(secrets, told).found == "*** *** *** *** *** stays"


async def test_objects_that_cannot_be_put(tmp_path: Path) -> None:
    store = MemoryObjects()
    assert [found.state for found in await checkup.objects(store, "probe")] == ["ok"]
    assert await store.keys("") == []
    (tmp_path / "objects").touch()  # a file where the folder is due
    found = await examined(tmp_path, deadline_s=20)
    assert unwell(found) == {"objects": "fail"}


async def test_objects_in_a_bucket(tmp_path: Path, s3_server: S3Node, s3_bucket: str) -> None:
    keys = {"access_key": "AKIAHUNTER2", "secret_key": "hunter33"}
    reached = {"endpoint_url": s3_server.url, "region": "us-east-1", **keys}
    found = await examined(tmp_path, settings={"objects": {"url": f"s3://{s3_bucket}", **reached}}, deadline_s=20)
    assert found["objects"].state == "ok"
    found = await examined(tmp_path, settings={"objects": {"url": "s3://no-such-bucket", **reached}}, deadline_s=20)
    assert unwell(found) == {"objects": "fail"}
    assert "bucket no-such-bucket does not exist; create it, or mend objects.url" in found["objects"].found
    secrets = doctor._secrets(Settings.model_validate({"objects": keys}))
    assert doctor._without(secrets, Finding("x", "fail", "AKIAHUNTER2 hunter33")).found == "*** ***"


async def test_a_question_has_a_deadline(autojump_clock: trio.testing.MockClock) -> None:
    async def never() -> list[Finding]:
        await trio.sleep_forever()
        return []

    async def lost() -> list[Finding]:
        raise Transient("gone\nin detail")

    (late,) = await checkup.within(10, "x", never)
    assert (late.state, late.found, trio.current_time()) == ("fail", "no answer within 10 s", 10.0)
    assert (await checkup.within(10, "x", lost))[0].found == "gone"


@asynccontextmanager
async def stand_in(data: Path, status: int, body: Any) -> AsyncIterator[None]:
    """Something that answers at the address in the folder's registry."""
    answer = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(answer)}\r\nconnection: close\r\n\r\n".encode()

    async def handle(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(head + answer)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, handle, 0)
        register(data, listeners[0].socket.getsockname()[1])
        yield
        nursery.cancel_scope.cancel()


def register(data: Path, port: int) -> None:
    told = {"pid": os.getpid(), "url": f"http://127.0.0.1:{port}", "token": "secret55"}
    (data / "supervisor.json").write_text(json.dumps(told))


def actor(name: str, state: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "last_error": None, **more}


async def test_actors_in_trouble(tmp_path: Path, database: str) -> None:
    actors = [
        actor("stores/clickhouse", "backoff", last_error="Transient: away", breaker="closed"),
        actor("events/relay", "paused"),
        actor("sources/ytapi", "running", breaker="open"),
        actor("scraping", "running", stuck=True, storm=True),
        actor("world", "running"),
    ]
    status = {"state": "draining", "uptime_s": 12, "actors": actors, "counts_error": "no answer", "urls": {}}
    status["settings"] = "my.toml, --set ops.port, GCC_POSTGRES__URL, GCC_REDIS__URL"
    status["differing_limits"] = ["ytapi: 50 calls in a, but 20 calls in b"]
    status["roles"] = [{"name": "scraper", "state": "drained"}, {"name": "web", "state": "running"}]
    async with stand_in(tmp_path, 200, status):
        found = await examined(tmp_path, settings={"postgres": on(database)}, deadline_s=20)
    bad = {name: unwell(found)[name] for name in ("platform", "actors", "paused", "roles", "clickhouse")}
    assert bad == {"platform": "warn", "actors": "fail", "paused": "warn", "roles": "warn", "clickhouse": "fail"}
    assert found["roles"].found == "scraper is drained"
    assert found["environment"].state == "warn"
    assert "lacks GCC_POSTGRES__URL, GCC_REDIS__URL, which the running platform was given" in found["environment"].found
    assert (found["limits"].state, found["limits"].found) == ("warn", "ytapi: 50 calls in a, but 20 calls in b")
    assert found["paused"].found == "events/relay"
    assert "world" not in found["actors"].found
    for words in ("is backoff (Transient: away)", "breaker open", "is stuck, restarting again", "counting: no answer"):
        assert words in found["actors"].found
    assert "secret55" not in str(found)


async def test_what_a_killed_platform_left(tmp_path: Path) -> None:
    with busy_port(answers=False) as port:
        register(tmp_path, port)
        found = await examined(tmp_path, deadline_s=20)
    assert unwell(found) == {"platform": "warn"}
    async with stand_in(tmp_path, 401, {}):  # somebody else has its port by now
        found = await examined(tmp_path, deadline_s=20)
    assert unwell(found) == {"platform": "warn"}


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "5",
        "",
        '{"pid": "x", "url": 5, "token": null}',
        '{"pid": Infinity, "url": "http://127.0.0.1:1", "token": "t"}',
        '{"pid": 1, "url": "http://[", "token": "t"}',
        '{"pid": 1, "url": "http://127.0.0.1:1", "token": "\\ud83d"}',
        '{"pid": %s}' % ("9" * 5000),
        "[" * 5000,
    ],
)
async def test_an_odd_registry_is_a_finding(tmp_path: Path, text: str) -> None:
    (tmp_path / "supervisor.json").write_text(text)
    found = await examined(tmp_path)
    assert found["platform"].state != "ok"


@pytest.mark.parametrize("body", [[], {}, {"state": "ready", "uptime_s": "long"}, {"state": "ready", "uptime_s": 1}])
async def test_what_answers_as_no_platform_does_is_a_finding(tmp_path: Path, database: str, body: Any) -> None:
    async with stand_in(tmp_path, 200, body):
        found = await examined(tmp_path, settings={"postgres": on(database)}, deadline_s=20)
    assert found["platform"].state == "fail"
    assert "no platform of this version" in found["platform"].found


WRONG = ("trio", "nobody-installs-this")


def test_libraries_against_what_is_required_and_tested(tmp_path: Path) -> None:
    assert checkup.libraries(SQL.parent).state == "ok"
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("# tested\nTrio==0.0.1\nnobody-installs-this==1\nsetuptools==0.1\n")
    project = tmp_path / "pyproject.toml"
    for dependencies, state, words in (
        ('"trio"', "warn", "tested: 0.0.1"),
        ('"trio==0.0.1"', "fail", "private names of 0.0.1"),
        ('"nobody-installs-this"', "fail", "nobody-installs-this is missing"),
    ):
        project.write_text(f"[project]\ndependencies = [{dependencies}]")
        found = checkup.libraries(tmp_path)
        assert (found.state, words in found.found, "setuptools" in found.found) == (state, True, False), found
        assert found.mend in [f"run: {sys.executable} -m pip install -c {constraints} {name}" for name in WRONG], found


def arguments(data: Path, *, config: Path = CONFIG, as_json: bool = True, **more: Any) -> argparse.Namespace:
    overrides = ["ops.port=0", "gateway.port=0", "world.port=0"]
    return argparse.Namespace(config=config, data=data, set=overrides, json=as_json, **more)


def test_a_broken_configuration_is_a_finding_and_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "broken.toml"
    for text, words in (("[postgress]\n", "postgress"), ("[sources.tiktok]\ncalls = 1\n", "sources.tiktok")):
        config.write_text(text)
        assert doctor.main(arguments(tmp_path, config=config)) == 2
        report = json.loads(capsys.readouterr().out)
        assert (report["well"], report["checks"][0]["state"]) == (False, "fail")
        assert words in report["checks"][0]["found"]


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("analytics.schedules.nosuch=* * * * *", "nosuch"),
        ("analytics.schedules.core_models=61 * * * *", "61 * * * *"),
        ("retention.trace_logs_days=3", "trace_logs_days"),
        ("sources.nosuch.calls=1", "nosuch"),
        ("scraper.concurrency.nosuch=1", "nosuch"),
        ("objects.url=file:///dev/null/nosuch", "nosuch"),
        ("sources.graphapi.version=nosuch", "sources.graphapi.version is no version"),
        ("sources.shopify.version=nosuch", "sources.shopify.version is no version"),
    ],
)
def test_what_a_start_refuses_is_a_finding(
    override: str, found: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = arguments(tmp_path)
    asked.set.append(override)
    assert doctor.main(asked) == 2
    (wrong, *_) = json.loads(capsys.readouterr().out)["checks"]
    assert (wrong["name"], wrong["state"]) == ("config", "fail")
    assert found in wrong["found"]


def test_the_page_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "objects").touch()
    assert doctor.main(arguments(tmp_path, as_json=False)) == 1
    shown = capsys.readouterr().out
    assert "✗ fail" in shown and "✓ ok" in shown
    assert "→ mend what it names" in shown
    assert shown.splitlines()[-1].startswith("NOT well: ")

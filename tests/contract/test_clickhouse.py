"""The ClickHouse store on the embedded engine: what is stored, what is refused, what cancelling does."""

import datetime as dt
import json
import sys
import uuid
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from clickhouse_connect.driver.exceptions import DatabaseError
from trio.testing import wait_all_tasks_blocked

from gcc.errors import ConfigError, Permanent, TooMuch, Transient
from gcc.pipelines.events.types import EVENT_TYPES
from gcc.statements import SQL
from gcc.stores import clickhouse_room
from gcc.stores.clickhouse import PARTITIONS_MAX, ClickHouse
from gcc.stores.clickhouse_clients import Builds
from gcc.stores.clickhouse_errors import OF_ROWS, OF_STATEMENTS, REFUSED, judged

PROFILES = "_e.profile_log_events"
ENDLESS = "select count() from system.numbers where sin(number) > 2"


def profile_event(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "event_id": str(uuid.UUID(int=number)),
        "v": 1,
        "origin": "gcc",
        "origin_id": "job-1",
        "source": "graphapi",
        "platform": "INSTAGRAM",
        "profile_id": str(number % 100),
        "handle": "creator",
        "event_timestamp": "2026-03-04 05:06:07.123456",
        "metrics": {"followers": 1000 + number, "avg_likes": 12.5, "views": None},
        "dimensions": {"category": "fashion", "language": "", "full_name": "A Creator"},
        **changes,
    }


def ndjson(*events: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(event).encode() for event in events)


async def insert(store: ClickHouse, *events: dict[str, Any], token: str = "t") -> None:
    await store.insert_ndjson(PROFILES, ndjson(*events), token=token)


async def count(store: ClickHouse, source: str = PROFILES) -> int:
    [row] = await store.rows(f"select count() as n from {source}")  # noqa: S608
    return int(row["n"])


async def running(store: ClickHouse, text: str) -> bool:
    sql = "select 1 from system.processes where position(query, {text:String}) > 0 and position(query, 'processes') = 0"
    return bool(await store.rows(sql, {"text": text}))


async def until_running(store: ClickHouse, text: str) -> None:
    with trio.fail_after(10):
        while not await running(store, text):
            pass


async def timed_out(store: ClickHouse) -> int:
    """How many queries ran until the engine's own limit. What is endless ends so, or because it was killed."""
    [row] = await store.rows("select sum(value) as n from system.errors where name = 'TIMEOUT_EXCEEDED'")
    return int(row["n"])


async def test_an_event_reads_back_as_it_was(clickhouse: ClickHouse) -> None:
    event = profile_event(
        metrics={"followers": 2**53 + 1, "following": 3.0, "avg_likes": 1, "engagement_rate": 0.25, "views": None},
        dimensions={"category": "fashion", "language": None, "country": "", "links": [{"url": "x"}], "n": 1.5},
    )
    await insert(clickhouse, event)

    [row] = await clickhouse.rows(
        "select *, followers, following, avg_likes, engagement_rate, views, category, language, country"
        " from _e.profile_log_events"
    )
    assert row["event_id"] == uuid.UUID(int=1)
    assert row["event_timestamp"] == dt.datetime(2026, 3, 4, 5, 6, 7, 123456, tzinfo=dt.UTC)
    assert row["event_timestamp"].tzinfo is dt.UTC
    assert json.loads(row["metrics"]) == event["metrics"]
    assert json.loads(row["dimensions"]) == event["dimensions"]
    assert (row["followers"], row["following"]) == (2**53 + 1, 3)
    assert (row["avg_likes"], row["engagement_rate"], row["views"]) == (1.0, 0.25, None)
    assert (row["category"], row["language"], row["country"]) == ("fashion", None, None)
    assert (row["extra"], row["origin_id"], row["v"]) == ("", "job-1", 1)
    assert row["insert_timestamp"].tzinfo is not None


@pytest.mark.parametrize(
    ("dimensions", "said"),
    [
        ({}, (None, None, None, None, [])),
        ({"duration_s": 59.5, "upright": False}, (59.5, False, None, None, [])),
        ({"duration_s": "long", "upright": "no", "tagged": "x", "is_paid": "?"}, (None, None, None, None, [])),
        ({"paid_partnership": True, "is_paid": False}, (None, None, True, None, [])),
        ({"paid_promotion": False}, (None, None, False, None, [])),
        ({"location": {"name": "Pune", "id": 1}, "location_name": "x"}, (None, None, None, "Pune", [])),
        ({"location": "Mumbai"}, (None, None, None, "Mumbai", [])),
        ({"location": {"name": ""}, "location_name": "Goa"}, (None, None, None, "Goa", [])),
        ({"tagged": ["x", "y"], "collaborators": ["y", "z"]}, (None, None, None, None, ["y", "z", "x"])),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else "",
)
async def test_what_models_read_of_a_post_is_typed(
    clickhouse: ClickHouse, dimensions: dict[str, Any], said: tuple[Any, ...]
) -> None:
    event = profile_event(shortcode="s", post_id="p", publish_time=None, metrics={}, dimensions=dimensions)
    await clickhouse.insert_ndjson("_e.post_log_events", ndjson(event), token="t")
    [row] = await clickhouse.rows("select duration_s, upright, is_paid, location, tagged from _e.post_log_events")
    assert tuple(row.values()) == said


async def test_events_of_every_table_are_taken(clickhouse: ClickHouse) -> None:
    at, ids = "2026-03-04 05:06:07.000001", iter(range(10))

    def common() -> dict[str, Any]:
        return {
            "event_id": str(uuid.UUID(int=next(ids))),
            "v": 1,
            "origin": "gcc",
            "origin_id": "",
            "event_timestamp": at,
        }

    post = profile_event(shortcode="abc", post_id="17", publish_time=None, metrics={"likes": 5, "reach": 9})
    published = profile_event(2, shortcode="abd", post_id="18", publish_time=at, dimensions={"post_type": "video"})
    await clickhouse.insert_ndjson("_e.post_log_events", ndjson(post, published), token="p")
    job = {
        **common(),
        "scl_id": "job",
        "seq": 2,
        "flow": "refresh",
        "platform": "YOUTUBE",
        "params": {"handle": "x"},
        "status": "PENDING",
        "priority": -1,
        "retry_count": 0,
        "reason": None,
        "picked_at": None,
        "expires_at": at,
    }
    await clickhouse.insert_ndjson("_e.scrape_request_log_events", ndjson(job), token="j")
    trace = {
        **common(),
        "id": "i",
        "host_name": "h",
        "service_name": "graphapi",
        "method": "GET",
        "uri": "/x",
        "request": "",
        "headers": {"Retry-After": "3"},
        "response_status": 429,
        "response_size": 12,
        "time_taken": 0.25,
    }
    await clickhouse.insert_ndjson("_e.trace_log_events", ndjson(trace), token="x")

    time = dt.datetime(2026, 3, 4, 5, 6, 7, 1, tzinfo=dt.UTC)
    posts = "select shortcode, publish_time, likes, reach, post_type from _e.post_log_events order by shortcode"
    assert [tuple(row.values()) for row in await clickhouse.rows(posts)] == [
        ("abc", None, 5, 9, None),
        ("abd", time, None, None, "video"),
    ]
    jobs = "select scl_id, seq, params, priority, reason, picked_at, expires_at from _e.scrape_request_log_events"
    assert [tuple(row.values()) for row in await clickhouse.rows(jobs)] == [
        ("job", 2, '{"handle": "x"}', -1, None, None, time)
    ]
    traces = "select headers, response_status, time_taken from _e.trace_log_events"
    assert [tuple(row.values()) for row in await clickhouse.rows(traces)] == [('{"Retry-After": "3"}', 429, 0.25)]


async def test_no_insert_is_of_more_partitions_than_memory_is_for(clickhouse: ClickHouse) -> None:
    """1,600 months took more than the engine may have, at each try: the queue stood still."""
    with pytest.raises(TooMuch, match="Too many partitions"):
        await clickhouse.insert_ndjson(PROFILES, ndjson(*_monthly(PARTITIONS_MAX + 1)), token="1")
    assert await count(clickhouse) == 0
    await clickhouse.insert_ndjson(PROFILES, ndjson(*_monthly(PARTITIONS_MAX)), token="2")
    assert await count(clickhouse) == PARTITIONS_MAX


async def test_no_insert_takes_more_memory_than_a_query_may_have(clickhouse: ClickHouse) -> None:
    long = [profile_event(number, dimensions={"x": "x" * (8 << 20)}) for number in range(12)]
    with pytest.raises(TooMuch, match="Query memory limit exceeded"):
        await clickhouse.insert_ndjson(PROFILES, ndjson(*long), token="1")
    await clickhouse.insert_ndjson(PROFILES, ndjson(*long[:2]), token="2")
    assert await count(clickhouse) == 2


def _monthly(months: int) -> list[dict[str, Any]]:
    times = (f"{1970 + month // 12}-{month % 12 + 1:02d}-01 00:00:00.000000" for month in range(months))
    return [profile_event(number, event_timestamp=time) for number, time in enumerate(times)]


@pytest.mark.parametrize("words", ["(total) memory limit exceeded", "User memory limit exceeded"])
def test_memory_that_others_have_taken_passes(words: str) -> None:
    assert type(judged(DatabaseError(f"DB::Exception: {words}", code=241), "asked", inserting=True)) is Transient


async def test_one_batch_may_span_years(clickhouse: ClickHouse) -> None:
    days = [dt.date(2015, 1, 1) + dt.timedelta(days=31 * n) for n in range(130)]
    await insert(
        clickhouse, *(profile_event(n, event_timestamp=f"{day} 00:00:00.000000") for n, day in enumerate(days))
    )
    assert await count(clickhouse) == 130


async def test_resent_bytes_under_their_token_are_dropped(clickhouse: ClickHouse) -> None:
    body = [profile_event(1), profile_event(2)]
    await insert(clickhouse, *body, token="batch-1")
    await insert(clickhouse, *body, token="batch-1")
    assert await count(clickhouse) == 2
    await insert(clickhouse, *body, token="batch-2")
    assert await count(clickhouse) == 4


async def test_rows_that_came_in_two_batches_count_once(clickhouse: ClickHouse) -> None:
    await insert(clickhouse, profile_event(1), profile_event(2), token="a")
    await insert(clickhouse, profile_event(2), profile_event(3), token="b")
    assert await count(clickhouse, f"{PROFILES} final") == 3
    [row] = await clickhouse.rows(f"select uniqExact(event_id) as n from {PROFILES}")  # noqa: S608
    assert row == {"n": 3}


@pytest.mark.parametrize(
    ("table", "body", "says"),
    [
        (PROFILES, ndjson(profile_event(), profile_event(2, surprise=1)), "surprise"),
        (PROFILES, ndjson(profile_event(event_timestamp="yesterday")), "event_timestamp"),
        (PROFILES, ndjson(profile_event(event_id="17")), "event_id"),
        (PROFILES, ndjson(profile_event(v="x")), "key v"),
        (PROFILES, ndjson(profile_event())[:-5], "brackets"),
        (PROFILES, b"<html>", "expected '{'"),
    ],
)
async def test_what_trying_again_cannot_mend_is_permanent(
    clickhouse: ClickHouse, table: str, body: bytes, says: str
) -> None:
    with pytest.raises(Permanent) as refusal:
        await clickhouse.insert_ndjson(table, body, token="t")
    message = str(refusal.value)
    assert message.startswith(f"ClickHouse, insert into {table}: code ")
    assert says in message
    assert "\n" not in message and len(message) <= 500
    assert await count(clickhouse) == 0  # nothing of the batch, not its good rows either


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("Int8", "[1]"),
        ("Int8", '"x"'),
        ("Int8", "1e5"),
        ("Decimal(9, 2)", "123456789012"),
        ("DateTime64(6)", '"2026-99-99"'),
        ("Date", '"soon"'),
        ("UUID", '"17"'),
        ("IPv4", '"1.2.3"'),
        ("IPv6", '"x"'),
        ("Bool", '"perhaps"'),
        ("Enum('a' = 1)", '"b"'),
        ("FixedString(2)", '"abc"'),
        ("Array(Int8)", '{"a": 1}'),
        ("Map(String, Int8)", "[1]"),
        ("Tuple(x Int8, y Int8)", "[1, 2, 3]"),
        ("String, n Int8 materialized toInt8(x)", '"many"'),
        ("String, n UUID materialized toUUID(x)", '"many"'),
        ("String, n Date materialized toDate(x)", '"many"'),
        ("String, n String materialized base64Decode(x)", '"?"'),
        ("Int8, n Int8 materialized intDiv(1, x)", "0"),
        ("Int8, n Int8 materialized throwIf(x > 3)", "4"),
        ("Int8, constraint small check x < 3", "4"),
        ("JSON", "3"),
        ("JSON", '{"a": 1, "a": 2}'),
        ("JSON", '{"a":' * 5_000 + "1" + "}" * 5_000),
        ("String", '"\\ud800"'),
        ("String", "1 2"),
    ],
)
async def test_a_row_that_its_table_cannot_hold_is_refused_for_itself(
    clickhouse: ClickHouse, kind: str, value: str
) -> None:
    await clickhouse.command(f"create table dbt.t (k Int8, x {kind}) engine = MergeTree order by k")
    with pytest.raises(Permanent, match=r"insert into dbt\.t: code "):
        await clickhouse.insert_ndjson("dbt.t", b'{"k": 1}\n{"k": 2, "x": %s}' % value.encode(), token="t")
    assert await count(clickhouse, "dbt.t") == 0


async def test_what_says_nothing_against_the_rows_of_an_insert_is_transient(clickhouse: ClickHouse) -> None:
    row = ndjson(profile_event())
    for table in ("_e.no_such_events", "no_such_database.t"):
        with pytest.raises(Transient, match=r"code (60|81): "):
            await clickhouse.insert_ndjson(table, row, token="t")


async def test_every_listed_code_is_the_engines_own(clickhouse: ClickHouse) -> None:
    listed = {**OF_ROWS, **OF_STATEMENTS, **REFUSED}
    sql = "select number as code, errorCodeToName(number) as name from numbers(2000) where code in {codes:Array(Int64)}"
    names = await clickhouse.rows(sql, {"codes": list(listed)})
    assert {row["code"]: row["name"] for row in names} == listed
    assert not {*OF_ROWS} & {*OF_STATEMENTS}


@pytest.mark.parametrize(
    "code",
    [
        *(
            3,
            24,
            49,
            74,
            76,
            95,
            159,
            164,
            173,
            192,
            193,
            202,
            209,
            210,
            225,
            236,
            241,
            242,
            243,
            246,
            252,
            279,
            286,
            290,
        ),
        *(
            319,
            341,
            394,
            425,
            439,
            473,
            497,
            499,
            516,
            517,
            574,
            667,
            692,
            711,
            733,
            745,
            774,
            776,
            999,
            1000,
            1001,
            1002,
        ),
        *(1016, 1020, 1500, 65_000),
    ],
)
def test_a_code_that_is_not_listed_is_transient(code: int) -> None:
    error = DatabaseError(f"Code: {code}. DB::Exception: whatever it is", code=code)
    for inserting in (True, False):
        assert type(judged(error, "asked", inserting=inserting)) is Transient


@pytest.mark.parametrize("code", [*OF_STATEMENTS])
def test_a_statements_code_refuses_a_query_but_no_row(code: int) -> None:
    error = DatabaseError(f"Code: {code}. DB::Exception: whatever it is", code=code)
    assert type(judged(error, "query")) is Permanent
    assert type(judged(error, "insert", inserting=True)) is Transient


@pytest.mark.parametrize(
    "sql", ["select nope", "select 1 from _e.nope", "selec 1", "select toInt8('x')", "select {p:Int8}"]
)
async def test_wrong_sql_is_permanent(clickhouse: ClickHouse, sql: str) -> None:
    with pytest.raises(Permanent, match="code "):
        await clickhouse.rows(sql)
    with pytest.raises(Permanent, match="code "):
        await clickhouse.command(f"create table dbt.x engine = Memory as {sql}")
    with pytest.raises(Permanent, match="code "):
        async with aclosing(clickhouse.stream(sql)) as chunks:
            async for _ in chunks:
                pass


async def test_memory_and_time_are_transient(clickhouse: ClickHouse) -> None:
    with pytest.raises(Transient, match="code 241"):
        await clickhouse.rows("select length(groupArray(number)) from numbers(1000000000)")
    before = await timed_out(clickhouse)
    with pytest.raises(Transient, match="code 159"):
        await clickhouse.rows(f"{ENDLESS} settings max_execution_time = 0.1")
    assert await timed_out(clickhouse) == before + 1


async def test_parameters_are_bound_by_the_server(clickhouse: ClickHouse) -> None:
    values = {
        "text": "it's \\ {x:Int8} /* no */",
        "number": 2**62 + 1,
        "time": dt.datetime(2026, 3, 4, 5, 6, 7, 123456, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30))),
        "names": ["a", "b'"],
        "nothing": None,
    }
    [row] = await clickhouse.rows(
        "select {text:String} as text, {number:Int64} as number, {time:DateTime64(6, 'UTC')} as time,"
        " {names:Array(String)} as names, {nothing:Nullable(Int8)} as nothing",
        values,
    )
    assert row == values
    await clickhouse.command("create table dbt.t engine = Memory as select {text:String} as text", values)
    assert await clickhouse.rows("select text from dbt.t") == [{"text": values["text"]}]


async def test_times_come_back_aware_whatever_their_column(clickhouse: ClickHouse) -> None:
    [row] = await clickhouse.rows(
        "select toDateTime('2026-01-02 03:04:05') as plain, toDateTime('2026-01-02 03:04:05', 'UTC') as utc,"
        " toDateTime64('2026-01-02 08:34:05.5', 3, 'Asia/Kolkata') as there"
    )
    assert row["plain"] == row["utc"] == dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    assert row["there"] == dt.datetime(2026, 1, 2, 3, 4, 5, 500_000, tzinfo=dt.UTC)


async def test_inserts_and_a_long_select_do_not_wait_for_each_other(clickhouse: ClickHouse) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clickhouse.rows, ENDLESS)
        await until_running(clickhouse, "sin(number)")
        with trio.fail_after(10):
            async with trio.open_nursery() as inserts:
                for number in range(3):
                    inserts.start_soon(
                        lambda n: clickhouse.insert_ndjson(PROFILES, ndjson(profile_event(n)), token=str(n)), number
                    )
        assert await count(clickhouse) == 3
        assert await running(clickhouse, "sin(number)")
        nursery.cancel_scope.cancel()


async def test_a_cancelled_query_is_killed_and_the_store_goes_on(clickhouse: ClickHouse) -> None:
    before = await timed_out(clickhouse)
    for _ in range(4):  # more often than there are readers
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clickhouse.rows, ENDLESS)
            await until_running(clickhouse, "sin(number)")
            nursery.cancel_scope.cancel()
    assert await timed_out(clickhouse) == before
    assert not await running(clickhouse, "sin(number)")
    assert [lane.used for lane in clickhouse.lanes] == [0, 0, 0]


async def test_cancelling_at_once_kills_what_the_engine_has_not_heard_of_yet(clickhouse: ClickHouse) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clickhouse.rows, ENDLESS)
        await wait_all_tasks_blocked()  # its thread has just begun
        nursery.cancel_scope.cancel()
    assert not await running(clickhouse, "sin(number)")
    assert [lane.used for lane in clickhouse.lanes] == [0, 0, 0]


async def test_a_cancelled_command_and_a_cancelled_insert_leave_the_store_usable(clickhouse: ClickHouse) -> None:
    await clickhouse.command("create table dbt.t (n UInt64) engine = MergeTree order by n")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            clickhouse.command, "insert into dbt.t select number from system.numbers where sin(number) > 2"
        )
        await until_running(clickhouse, "sin(number)")
        nursery.cancel_scope.cancel()
    body = ndjson(*(profile_event(n) for n in range(20_000)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: clickhouse.insert_ndjson(PROFILES, body, token="big"))
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    await clickhouse.insert_ndjson(PROFILES, body, token="big")  # whether the first was stored or not
    assert await count(clickhouse) == 20_000


async def test_more_callers_than_clients_take_turns(clickhouse: ClickHouse) -> None:
    answers: list[int] = []

    async def ask(number: int) -> None:
        [row] = await clickhouse.rows("select {n:Int64} as n", {"n": number})
        answers.append(row["n"])

    async with trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(ask, number)
    assert sorted(answers) == list(range(40))


async def test_a_caller_gives_up_when_every_reader_stays_busy(clickhouse_folder: Path) -> None:
    store = ClickHouse(clickhouse_folder, writers=1, readers=1, query_s_max=0.2, fsync=False)
    await store.open()
    lane = store.lanes[1]
    client = await lane.take(1)
    with pytest.raises(Transient, match="all 1 readers were busy"):
        await store.rows("select 1")
    await lane.start(client, lambda _: None).done.wait()
    assert await store.rows("select 1 as n") == [{"n": 1}]
    await store.aclose()


async def test_a_stream_is_whole_lines_and_complete(clickhouse: ClickHouse) -> None:
    sql = (
        "select number as n, toDateTime64('2026-01-02 03:04:05.5', 6, 'UTC') as at, null as nothing,"
        " toInt64(9007199254740993) as big, concat(repeat('é', 200), '\\t\\n\\\\') as text from numbers({rows:UInt64})"
    )
    numbers: list[int] = []
    async with aclosing(clickhouse.stream(sql, {"rows": 100_000})) as chunks:
        async for chunk in chunks:
            assert chunk.endswith(b"\n")
            assert len(chunk) < 1_000_000
            lines = chunk.splitlines()
            numbers += (int(line.partition(b"\t")[0]) for line in lines)
    assert numbers == list(range(100_000))
    _, *last = lines[-1].decode().split("\t")
    assert last == ["2026-01-02T03:04:05.500000Z", "\\N", "9007199254740993", "é" * 200 + "\\t\\n\\\\"]


async def test_a_stream_of_nothing_ends_at_once(clickhouse: ClickHouse) -> None:
    async with aclosing(clickhouse.stream(f"select * from {PROFILES}")) as chunks:  # noqa: S608
        assert [chunk async for chunk in chunks] == []


async def test_a_stream_waits_for_its_consumer(clickhouse: ClickHouse) -> None:
    """An endless result: if the engine ran ahead of a consumer that reads three chunks, memory would fill."""
    before = rss_mb()
    async with aclosing(clickhouse.stream("select number, repeat('x', 1000) from system.numbers")) as chunks:
        for _ in range(3):
            await anext(chunks)
        assert await running(clickhouse, "system.numbers")
        for _ in range(50):  # time for it to run ahead
            await clickhouse.rows("select count() from numbers(1000000)")
        assert rss_mb() - before < 100
    assert not await running(clickhouse, "system.numbers")
    assert [lane.used for lane in clickhouse.lanes] == [0, 0, 0]


@pytest.mark.parametrize("sql", ["select number from system.numbers", f"{ENDLESS} /* no chunk ever comes */"])
async def test_a_cancelled_stream_frees_its_reader(clickhouse: ClickHouse, sql: str) -> None:
    async def consume() -> None:
        async with aclosing(clickhouse.stream(sql)) as chunks:
            async for _ in chunks:
                pass

    before = await timed_out(clickhouse)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        await until_running(clickhouse, sql)
        nursery.cancel_scope.cancel()
    assert await timed_out(clickhouse) == before
    assert not await running(clickhouse, sql)
    assert [lane.used for lane in clickhouse.lanes] == [0, 0, 0]
    assert await clickhouse.rows("select 1 as n") == [{"n": 1}]


async def test_a_stream_that_fails_midway_says_so(clickhouse: ClickHouse) -> None:
    read = 0
    with pytest.raises(Permanent, match="code 395"):
        sql = "select number, throwIf(number = 50000), repeat('x', 50) from numbers(100000)"
        async with aclosing(clickhouse.stream(sql)) as chunks:
            async for chunk in chunks:
                read += len(chunk)
    assert read > 0
    assert [lane.used for lane in clickhouse.lanes] == [0, 0, 0]


async def test_short_of_room_nothing_is_written_and_merges_stand_still(
    clickhouse: ClickHouse, clickhouse_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_with(free_bytes: int) -> None:
        monkeypatch.setattr(clickhouse_room.os, "statvfs", lambda _: SimpleNamespace(f_bavail=free_bytes, f_frsize=1))

    async def merges_are(stopped: bool) -> None:
        with trio.fail_after(10):
            while True:
                try:
                    await clickhouse.command("optimize table _e.profile_log_events final")
                except Transient as error:
                    assert "code 236" in str(error)  # ABORTED
                    now_stopped = True
                else:
                    now_stopped = False
                if now_stopped == stopped:
                    return

    await insert(clickhouse, profile_event(1), token="1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clickhouse.keep_room)
        disk_with(clickhouse_room.ROOM_BYTES - 1)
        with pytest.raises(Transient, match="255 MiB are free on its disk, 256 MiB must be"):
            await insert(clickhouse, profile_event(2), token="2")
        with pytest.raises(Transient, match="MiB"):
            await clickhouse.command(f"insert into {PROFILES} select * from {PROFILES}")  # noqa: S608
        await merges_are(stopped=True)
        assert await count(clickhouse) == 1
        await clickhouse.command("drop table if exists dbt.nothing")  # makes room
        with pytest.raises(ConfigError, match="MiB"):
            await ClickHouse(clickhouse_folder, writers=1, readers=1, query_s_max=20, fsync=False).open()

        disk_with(clickhouse_room.ROOM_BYTES)
        await merges_are(stopped=False)
        await insert(clickhouse, profile_event(2), token="2")
        assert await count(clickhouse) == 2
        nursery.cancel_scope.cancel()


async def test_migrating_twice_does_nothing(clickhouse: ClickHouse) -> None:
    assert await clickhouse.migrate(SQL / "clickhouse") == 0
    ledger = await clickhouse.rows("select * from gcc_schema_migration final order by number")
    assert [row["number"] for row in ledger] == list(range(1, len(ledger) + 1))


async def test_a_migration_cut_short_runs_again(clickhouse: ClickHouse, tmp_path: Path) -> None:
    await clickhouse.command("drop table gcc_schema_migration sync")
    file = tmp_path / "0001_two_tables.sql"
    first = "create table if not exists dbt.a {on_cluster} (n Int8) engine = {engine} order by n;"
    file.write_text(f"-- two; of them\n{first}\n\ncreate nonsense;\n")
    with pytest.raises(Permanent):
        await clickhouse.migrate(tmp_path)
    file.write_text(f"{first}\ncreate table if not exists dbt.b\n(n Int8, -- a number\nm Int8) engine = Memory;\n")
    assert await clickhouse.migrate(tmp_path) == 1
    tables = await clickhouse.rows("select name, engine from system.tables where database = 'dbt' order by name")
    assert [tuple(row.values()) for row in tables] == [("a", "ReplacingMergeTree"), ("b", "Memory")]


async def test_a_migration_that_changed_is_refused(clickhouse: ClickHouse, tmp_path: Path) -> None:
    await clickhouse.command("drop table gcc_schema_migration sync")
    file = tmp_path / "0001_one.sql"
    file.write_text("create table if not exists dbt.a (n Int8) engine = Memory;\n")
    await clickhouse.migrate(tmp_path)
    file.write_text("create table if not exists dbt.a (n Int16) engine = Memory;\n")
    with pytest.raises(ConfigError, match="0001_one changed"):
        await clickhouse.migrate(tmp_path)


async def test_fsync_is_what_the_settings_say(clickhouse: ClickHouse, clickhouse_folder: Path) -> None:
    sql = (
        "select count() as tables, countIf(engine_full like '%fsync_after_insert = 1%') as synced"
        " from system.tables where database = '_e'"
    )
    [found] = await clickhouse.rows(sql)
    assert found["tables"] >= len(EVENT_TYPES) and found["synced"] == 0
    for fsync in (True, False):
        store = ClickHouse(clickhouse_folder, writers=1, readers=1, query_s_max=20, fsync=fsync)
        await store.open()
        await store.migrate(SQL / "clickhouse")
        assert await store.rows(sql) == [{**found, "synced": found["tables"] if fsync else 0}]
        await store.aclose()


async def test_a_closed_store_says_so_and_opens_again(clickhouse: ClickHouse) -> None:
    await insert(clickhouse, profile_event())
    await clickhouse.aclose()
    with pytest.raises(Transient, match="closed"):
        await clickhouse.rows("select 1")
    await clickhouse.open()
    assert await count(clickhouse) == 1


async def test_a_folder_that_another_process_has_open_is_refused(
    clickhouse_folder: Path, clickhouse: ClickHouse
) -> None:
    program = f"""
import trio
from gcc.errors import ConfigError
from gcc.stores import clickhouse_room
from gcc.stores.clickhouse import PARTITIONS_MAX, ClickHouse
from gcc.stores.clickhouse_errors import judged

async def main():
    try:
        await ClickHouse({str(clickhouse_folder)!r}, writers=1, readers=1, query_s_max=20, fsync=False).open()
    except ConfigError as error:
        print(error)

trio.run(main)
"""
    run = await trio.run_process([sys.executable, "-c", program], capture_stdout=True, capture_stderr=True)
    assert run.stdout.decode().strip() == (
        f"ClickHouse folder {clickhouse_folder} is in use by another process; stop that one first"
    )


async def test_folders_that_cannot_be_opened_are_named(clickhouse: ClickHouse, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder, says in [
        (tmp_path / "file", "cannot be made"),
        (tmp_path / "a?b", "'\\?' in its name"),
        (tmp_path / "other", "another folder open"),
    ]:
        store = ClickHouse(folder, writers=1, readers=1, query_s_max=20, fsync=False)
        with pytest.raises(ConfigError, match=says) as refusal:
            await store.open()
        assert str(folder) in str(refusal.value)


def rss_mb() -> int:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) // 1024


async def test_what_builds_models_is_bounded_and_holds_up_no_reader(clickhouse_folder: Path) -> None:
    bounds = Builds(at_once=1, threads=1, memory_mb=100, spill_mb=50, query_s_max=30)
    store = ClickHouse(clickhouse_folder, writers=1, readers=1, query_s_max=20, fsync=False, builds=bounds)
    await store.open()
    settings = (
        "select getSetting('max_threads') as n, getSetting('max_memory_usage') as m, getSetting('join_use_nulls') as j"
    )
    assert await store.builders.rows(settings) == [{"n": 1, "m": 100 << 20, "j": 1}]
    assert (await store.rows(settings))[0]["j"] == 0
    lanes = {lane.name: lane for lane in store.lanes}
    async with trio.open_nursery() as nursery:
        for _ in range(lanes["builders"].size):
            nursery.start_soon(
                store.builders.command, "select sleepEachRow(1) from numbers(30) settings max_block_size = 1"
            )
        while lanes["builders"].used < lanes["builders"].size:
            await trio.lowlevel.checkpoint()
        assert await store.rows("select 1 as one") == [{"one": 1}]
        assert (lanes["builders"].used, lanes["readers"].used) == (lanes["builders"].size, 0)
        nursery.cancel_scope.cancel()
    assert [lane.used for lane in store.lanes] == [0, 0, 0], "the queries were killed"
    with pytest.raises(Transient, match="memory"):
        await store.builders.rows("select length(groupArray(repeat('x', 1000))) as n from numbers(1000000)")
    await store.aclose()

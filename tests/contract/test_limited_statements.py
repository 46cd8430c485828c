"""Statements that move at most so many rows keep to it, whatever plan the server chooses for them; and none that reads
the outbox walks what it is not to have.

A subquery with LIMIT .. FOR UPDATE SKIP LOCKED may be run again for each row of a nested loop, and lock the next
rows every time. The planner is steered there: where the limit is a CTE of its own, that changes nothing.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from gcc import statements
from gcc.channels.jobs import CLAIM_MAX
from gcc.stores.postgres import Pool
from gcc.stores.postgres_jobs import DUE

STEERED = ("enable_hashjoin", "enable_mergejoin", "enable_hashagg", "enable_sort", "enable_material")
JOBS = """
insert into scrape_request_log
    (id, platform, flow, params, due_at, expires_at, seq, events, status, attempt, lease_until, picked_at)
select gen_random_uuid(), 'INSTAGRAM', 'f', '{}', now(), now() + %(left_s)s * interval '1 second', 1, 1, %(status)s, 1,
       case %(status)s when 'PROCESSING' then now() - interval '1 second' end, now()
from generate_series(1, 1200)
"""
FRAMES = """
insert into outbox (frame_id, exchange, routing_key, events, body)
select gen_random_uuid(), 'x', 'k', 1, '{}' from generate_series(1, 1200)
"""
QUEUED = """
insert into queue_message (queue, frame_id, exchange, routing_key, events, body, created_at)
select 'q', gen_random_uuid(), 'x', 'k', 1, '{}', now() from generate_series(1, 1200)
"""
OVERDUE, LAPSED, WAITING = (
    {"status": "PENDING", "left_s": -1},
    {"status": "PROCESSING", "left_s": 60},
    {"status": "PENDING", "left_s": 60},
)
JOBS_SQL = statements.load("jobs")
PICKED_BY = {"claim": DUE, "rescue": JOBS_SQL["lapsed"], "expire": JOBS_SQL["overdue"]}
MOVED = [
    # file, statement, its arguments, what fills the table, how many it moves
    ("jobs", "rescue", {"lost_max": 9}, (JOBS, LAPSED), "select count(*) from scrape_request_log where lost > 0", 500),
    ("jobs", "expire", {}, (JOBS, OVERDUE), "select count(*) from scrape_request_log where status = 'EXPIRED'", 500),
    ("jobs", "claim", {"flows": ["f", "nobody's"], "rooms": [70, 5], "shares": [7, 1], "priorities_min": [0, 0],
     "lease_s": 9.0},
     (JOBS, WAITING),
     "select count(*) from scrape_request_log where status = 'PROCESSING'", 70),
    ("exchange", "relay", {}, (FRAMES, {}), "select count(*) from queue_message", 500),
    ("exchange", "take", {"queue": "q", "lease_s": 9.0}, (QUEUED, {}),
     "select count(*) from queue_message where lease_until is not null", 70),
]  # fmt: skip


@pytest.fixture
async def steered(database: str) -> AsyncIterator[Pool]:
    pool = Pool(make_conninfo(database, options=" ".join(f"-c {name}=off" for name in STEERED)), 2, name="test")
    yield pool
    await pool.aclose()


@pytest.mark.parametrize(
    ("file", "name", "arguments", "filled", "moved", "limit"), MOVED, ids=[name for _, name, *_ in MOVED]
)
async def test_no_plan_moves_more_than_the_limit(
    steered: Pool,
    file: str,
    name: str,
    arguments: dict[str, object],
    filled: tuple[str, dict[str, object]],
    moved: str,
    limit: int,
) -> None:
    known = statements.load(file)
    statement = known[name].replace("{picked}", PICKED_BY.get(name, "")).replace("{only}", "true")
    statement = statement.replace("{limit}", str(limit)).replace("{bytes_max}", "99999")
    async with steered.connection() as one, steered.connection() as other:
        await one.execute("insert into binding (exchange, routing_key, queue) values ('x', 'k', 'q')")
        await one.execute(filled[0], filled[1])
        async with one.transaction(), other.transaction():  # at once, each passing over what the other has
            for conn in (one, other):
                before = await _count(conn, moved)
                await conn.execute(statement, arguments)
                assert await _count(conn, moved) - before == limit
        assert await _count(one, moved) == 2 * limit


OUTBOX_READS = [
    ("relay", {}),
    ("unroutable", {}),
    ("oldest", {"exchanges": ["x"], "keys": ["resting"]}),
]  # fmt: skip
BACKLOG, BEHIND_IT = 20_000, 700
ROWS_READ_MAX = 5_000


@pytest.mark.parametrize("analyzed", ["empty", "backlog", "all"])
@pytest.mark.parametrize(("name", "arguments"), OUTBOX_READS, ids=[name for name, _ in OUTBOX_READS])
async def test_what_a_relay_reads_walks_no_backlog(
    pool: Pool, name: str, arguments: dict[str, object], analyzed: str
) -> None:
    """Of a route that rests (or has no queue, or has one), with the statistics of any moment."""
    statement = statements.load("exchange")[name].replace("{frames_max}", "250").replace("{bytes_max}", "99999")
    fill = (
        "insert into outbox (frame_id, exchange, routing_key, events, body) select gen_random_uuid(), 'x', %s, 1, '{}'"
    )
    behind = "unbound" if name == "unroutable" else "k"
    backlog = {"relay": "unbound", "unroutable": "k", "oldest": "resting"}[name]
    async with pool.connection() as conn:
        await conn.execute("insert into binding (exchange, routing_key, queue) values ('x', 'k', 'q')")
        for when, key, rows in (("empty", "", 0), ("backlog", backlog, BACKLOG), ("all", behind, BEHIND_IT)):
            await conn.execute(f"{fill} from generate_series(1, %s)", (key, rows))
            if when == analyzed:
                await conn.execute("analyze outbox")
        ((plans,),) = await (await conn.execute(f"explain (analyze, format json) {statement}", arguments)).fetchall()
    nodes = list(_nodes(plans[0]["Plan"]))
    read = [
        (node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)), node["Node Type"])
        for node in nodes
    ]
    assert max(read)[0] < ROWS_READ_MAX, max(read)
    assert any(node.get("Actual Rows", 0) >= 250 for node in nodes), "it has found what there is to find"


WAITING_JOBS = """
insert into scrape_request_log (id, platform, flow, params, priority, due_at, expires_at, status, scraped_at)
select gen_random_uuid(), 'INSTAGRAM', %(flow)s, '{}', n %% 3,
       now() + %(due_s)s * interval '1 second' + n * interval '1 us', 'infinity', %(status)s,
       case when %(status)s <> 'PENDING' then now() end
from generate_series(1, %(rows)s) as n
"""
JOBS_THERE = [
    {"flow": "a", "rows": 30_000, "status": "COMPLETE", "due_s": 0},
    {"flow": "a", "rows": 900, "status": "PENDING", "due_s": -60},
    {"flow": "a", "rows": 30_000, "status": "PENDING", "due_s": -60},
    {"flow": "deferred", "rows": 30_000, "status": "PENDING", "due_s": 3600},
    {"flow": "few", "rows": 3, "status": "PENDING", "due_s": -60},
]


@pytest.mark.parametrize("planned", range(len(JOBS_THERE) + 1))
async def test_a_claim_reads_what_it_takes_and_no_more(pool: Pool, planned: int) -> None:
    """Neither finished jobs nor those that wait for their time, by a plan made for the table of any moment before.

    But for one that was known to be empty: the first fifty rows have it analyzed, and planned for again.
    """
    claim = JOBS_SQL["claim"].replace("{picked}", DUE).replace("{limit}", str(CLAIM_MAX))
    claim = claim.replace("{only}", "true")
    for number, name in enumerate(("flows", "rooms", "shares", "priorities_min", "lease_s"), start=1):
        claim = claim.replace(f"%({name})s", f"${number}")
    run = "execute claim('{a,deferred,few,none}', '{7,50,50,50}', '{1,5,5,5}', '{0,0,0,0}', 60)"
    async with pool.connection() as conn:
        await conn.execute("alter table scrape_request_log set (autovacuum_enabled = false)")
        await conn.execute("set plan_cache_mode = force_generic_plan")
        for moment in range(len(JOBS_THERE) + 1):
            if moment == planned:
                if moment:
                    await conn.execute("analyze scrape_request_log")
                await conn.execute(f"prepare claim (text[], integer[], integer[], smallint[], float8) as {claim}")
                await conn.execute(f"explain {run}")  # planned here, and kept
            if moment < len(JOBS_THERE):
                await conn.execute(WAITING_JOBS, JOBS_THERE[moment])
        ((plans,),) = await (await conn.execute(f"explain (analyze, buffers, format json) {run}")).fetchall()
    nodes = list(_nodes(plans[0]["Plan"]))
    assert nodes[0]["Actual Rows"] == 7 + 3
    read = [node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) for node in nodes]
    assert max(read) < 20
    pages = nodes[0]["Shared Hit Blocks"] + nodes[0]["Shared Read Blocks"]
    assert pages < 300, "an index that is walked from end to end shows no rows"


ENDED = """
insert into scrape_request_log
    (id, platform, flow, params, idempotency_key, status, created_at, scraped_at, expires_at, attempt)
select gen_random_uuid(), 'INSTAGRAM', 'f', '{}', 'first:INSTAGRAM:' || number,
       case number % 2 when 0 then 'COMPLETE' else 'FAILED' end, at, at, at, 1
from (select number, now() - number * interval '1 minute' as at from generate_series(100, 20000) as number) as each
"""
READ = "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_xact_user_tables"  # in this transaction
EACH_SECOND = [
    ("counts", "tally", {}),
    ("counts", "trouble", {}),
    ("exchange", "depths", {}),
    ("history", "first_crawl", {}),  # each half second, until the first crawl is stored
    ("history", "never_crawled", {"platforms": ["INSTAGRAM"]}),  # these and the rest by a start
    ("jobs", "end_leases", {}),
    ("jobs", "lapsed", {}),
    ("jobs", "overdue", {}),
]


@pytest.mark.parametrize("analyzed", [False, True], ids=["unknown", "analyzed"])
async def test_what_is_read_each_second_or_at_a_start_walks_nothing_that_has_ended_or_waits(
    pool: Pool, analyzed: bool
) -> None:
    known = {file: statements.load(file) for file, *_ in EACH_SECOND}
    async with pool.connection() as conn:
        await conn.execute("insert into binding (exchange, routing_key, queue) values ('x', 'k', 'q')")
        await conn.execute(ENDED)
        for rows in (FRAMES, QUEUED, JOBS):
            await conn.execute(rows.replace("1200", str(BACKLOG)), WAITING)
        if analyzed:
            await conn.execute("analyze")
        for file, name, arguments in EACH_SECOND:
            statement = known[file][name].replace("{ours}", known["history"]["ours"]).replace("{only}", "true")
            async with conn.transaction():
                await conn.execute(statement.replace("{limit}", "500"), arguments)
                ((read,),) = await (await conn.execute(READ)).fetchall()
            assert read < ROWS_READ_MAX + 100, (name, read)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from _nodes(each)


async def _count(conn: object, statement: str) -> int:
    ((count,),) = await (await conn.execute(statement)).fetchall()  # type: ignore[attr-defined]
    return int(count)

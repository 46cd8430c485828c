"""What became of a job is read from its events, once each, and from no other job's."""

import datetime as dt
import uuid

import msgspec
import pytest

from gcc.channels.jobs import Job, JobDetail, JobStatus
from gcc.clock import SystemClock
from gcc.errors import Permanent
from gcc.pipelines.events.emit import StatusEvents, trace_frames
from gcc.sources.chain import Trace
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.job_history import JobHistory

CLOCK = SystemClock()
FLOW, PLATFORM = "refresh_yt_profiles", "YOUTUBE"


def detail(job_id: uuid.UUID, ended_at: dt.datetime | None = None) -> JobDetail:
    now = CLOCK.now()
    return JobDetail(
        job_id, FLOW, PLATFORM, {}, None, JobStatus.PENDING, 0, 1, 0, now, now, ended_at, now, None, None, None, None,
        None, 1, 0, 1, False, None,
    )  # fmt: skip


async def happened(clickhouse: ClickHouse, job_id: uuid.UUID) -> None:
    """It was picked and given back, with one request; each of its events is stored twice."""
    encode, now = StatusEvents(CLOCK), CLOCK.now()
    job = Job(job_id, FLOW, PLATFORM, {}, 0, 1, 0, 2, JobStatus.PROCESSING, now, now, now)
    back = Job(job_id, FLOW, PLATFORM, {}, 0, 1, 0, 3, JobStatus.PENDING, now, now, now)
    statuses = b"\n".join(frame.body for frame in encode([back], "given back") + encode([job], None))
    trace = Trace(CLOCK.new_id(), "ytapi", "GET", "/channels?id=1", {}, "", None, 0, 0.25, CLOCK.now())
    (frame,) = trace_frames([trace], CLOCK.new_id, job=job_id)
    for table, body in (("_e.scrape_request_log_events", statuses), ("_e.trace_log_events", frame.body)):
        for _ in range(2):
            await clickhouse.insert_ndjson(table, body, token=str(uuid.uuid4()))


async def test_statuses_and_requests_of_one_job(clickhouse: ClickHouse) -> None:
    one, other = CLOCK.new_id(), uuid.uuid4()  # an id that does not tell when the job came is looked for everywhere
    for job_id in (one, other):
        await happened(clickhouse, job_id)
    history = JobHistory(clickhouse)
    for job in (
        detail(one),
        detail(other),
        detail(one, CLOCK.now()),
        detail(one, dt.datetime.max.replace(tzinfo=dt.UTC)),
    ):
        told = await history.of(job)
        assert [(row["seq"], row["status"], row["reason"]) for row in told.statuses] == [
            (2, "PROCESSING", None), (3, "PENDING", "given back"),
        ]  # fmt: skip
        (asked,) = told.requests
        assert (asked["source"], asked["uri"], asked["status"], asked["took_s"]) == ("ytapi", "/channels?id=1", 0, 0.25)
        msgspec.json.encode([told.statuses, told.requests])
    strangers = [CLOCK.new_id(), uuid.UUID("ffffffff-ffff-7fff-bfff-ffffffffffff")]
    for job_id in strangers:
        told = await history.of(detail(job_id))
        assert (told.statuses, told.requests) == ([], [])


async def test_without_clickhouse_it_says_whom_to_ask() -> None:
    with pytest.raises(Permanent, match="ask one with the role sinker"):
        await JobHistory(None).of(detail(CLOCK.new_id()))

"""Jobs added from a file: each row is a job, a known one, or told of with its line, field and reason."""

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcc.channels.jobs import JobFilter, NewJob
from gcc.channels.memory import Signal
from gcc.clock import SystemClock
from gcc.errors import Permanent, Transient
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.scraping import adding
from gcc.pipelines.scraping.adding import AddReport, Malformed, Terms, add
from gcc.pipelines.scraping.flow import Flow, Params
from gcc.pipelines.scraping.table import FLOWS
from tests.fakes.database import Connection, Database
from tests.fakes.jobs import FakeJobs

REFRESH = FLOWS["refresh_profile_by_handle"]


class OddParams(Params):
    """Every kind of value that a flow has."""

    channel_id: str
    pages_max: int = 10
    since: dt.datetime | None = None
    ids: tuple[str, ...] = ()
    deep: bool = False


PLAIN = Terms()
ODD = Flow("odd", "YOUTUBE", OddParams, {}, lambda found, new_id: found, workers=1, events=(), tables=())


def fake() -> FakeJobs:
    clock = SystemClock()
    return FakeJobs(Connection(Database(clock)), StatusEvents(clock), lease_s=60, lost_max=3, outbox_written=Signal())


async def pieces(body: bytes, size: int = 7) -> AsyncIterator[bytes]:
    for begin in range(0, len(body), size):
        yield body[begin : begin + size]


async def added(
    jobs: FakeJobs, flow: Flow, text: str | bytes, terms: Terms = PLAIN, *, dry_run: bool = False
) -> AddReport:
    body = text if isinstance(text, bytes) else text.encode()
    report = await add(jobs, flow, pieces(body), terms, dry_run=dry_run)
    assert report.rows == report.added + report.known + report.rejected_total
    return report


async def found(jobs: FakeJobs) -> list[Any]:
    return sorted((job.params for job in await jobs.find(JobFilter())), key=str)


async def test_each_row_is_a_job_of_its_key_once() -> None:
    jobs, terms = fake(), Terms(priority=7, ttl_s=600)
    text = "handle\nasha\n\n  ravi \nASHA\n"
    told = {"rows": 3, "added": 2, "known": 1, "rejected": [], "rejected_total": 0, "job": None}
    assert asdict(await added(jobs, REFRESH, text, terms, dry_run=True)) == told
    assert await found(jobs) == [], "only told"
    report = await added(jobs, REFRESH, text, terms)
    asha = next(job for job in await jobs.find(JobFilter()) if job.params == {"handle": "asha"})
    assert asdict(report) == told | {"job": str(asha.id)}, "that of the last row"
    assert asdict(await added(jobs, REFRESH, text, terms)) == told | {"added": 0, "known": 3, "job": str(asha.id)}
    assert asdict(await added(jobs, REFRESH, text, terms, dry_run=True)) == told | {"added": 0, "known": 3}
    asha, ravi = sorted(await jobs.find(JobFilter()), key=lambda job: str(job.key))
    assert (asha.params, ravi.params) == ({"handle": "asha"}, {"handle": "ravi"})
    assert (ravi.platform, ravi.key, ravi.priority) == ("INSTAGRAM", "refresh:INSTAGRAM:ravi", 7)
    assert round((ravi.expires_at - ravi.created_at).total_seconds()) == 600


async def test_cells_become_what_the_flow_wants_and_empty_ones_are_not_given() -> None:
    jobs = fake()
    text = 'channel_id,pages_max,since,ids,deep\n007,3,2026-11-01T00:00:00Z,"[""a"",""b""]",true\n008,,,,\n'
    assert (await added(jobs, ODD, text)).added == 2
    assert await found(jobs) == [
        {"channel_id": "007", "pages_max": 3, "since": "2026-11-01T00:00:00Z", "ids": ["a", "b"], "deep": True},
        {"channel_id": "008"},
    ]
    assert await jobs.unfinished(['odd:{"channel_id":"008"}'])


@pytest.mark.parametrize(
    ("text", "rejected"),
    [
        ("channel_id,pages_max\na,many\nb,2\n", [(2, "pages_max", "valid integer")]),
        ("channel_id,colour\na,red\nb,\n", [(2, "colour", "the flow has no such param")]),
        ("pages_max\n1\n", [(2, "channel_id", "required")]),
        ("channel_id,ids\na,b\n", [(2, "ids", 'a list is written ["A", "B"]')]),
        ("channel_id,ids\na,[1\n", [(2, "ids", "begins as JSON")]),
        ("channel_id,ids\na,[1]\n", [(2, "ids.0", "valid string")]),
        ('channel_id,ids\na,"[""\\u0000""]"\n', [(2, "(row)", "NUL")]),
        ('channel_id,ids\na,"[""\\ud800""]"\n', [(2, "", "")]),
        ("channel_id\na,b\n", [(2, "(row)", "2 cells where the header has 1")]),
        ('channel_id\n"open\nb\n', [(2, "(row)", "no CSV row")]),
        (b"channel_id\n\xff\nb\n", [(2, "(row)", "no UTF-8")]),
        ("channel_id\n" + "x" * 200_000 + "\nb\n", [(2, "(row)", "longer than")]),
        ("channel_id,channel_id\na,b\n", [(1, "(header)", "a name twice; nothing is added")]),
        ("channel_id,\na,b\n", [(1, "(header)", "without a name")]),
    ],
)
async def test_a_row_that_is_no_job_is_told_of_and_costs_no_other(
    text: str | bytes, rejected: list[tuple[int, str, str]]
) -> None:
    jobs = fake()
    report = await added(jobs, ODD, text)
    assert [(each["line"], each["field"]) for each in report.rejected] == [
        (line, name or report.rejected[0]["field"]) for line, name, _ in rejected
    ]
    for each, (_, _, reason) in zip(report.rejected, rejected, strict=True):
        assert reason in each["reason"]
    good = [b"b" in line.split(b",")[:1] for line in (text if isinstance(text, bytes) else text.encode()).split(b"\n")]
    assert len(await found(jobs)) == report.added == sum(good)


@pytest.mark.parametrize(
    "terms", [Terms(priority=100), Terms(priority=-100), Terms(ttl_s=0), Terms(key=""), Terms(key="k" * 501)]
)
async def test_terms_that_no_job_can_have_add_nothing(terms: Terms) -> None:
    jobs = fake()
    with pytest.raises(Permanent):
        await added(jobs, REFRESH, "handle\nasha\n", terms)
    assert await found(jobs) == []


async def test_one_key_is_for_one_job() -> None:
    jobs = fake()
    report = await added(jobs, ODD, "channel_id\na\nb\n", Terms(key="mine"))
    assert (report.added, [(each["line"], each["reason"]) for each in report.rejected]) == (
        1, [(3, "one key is for one job")],
    )  # fmt: skip


async def test_many_rows_are_added_in_batches_and_what_was_added_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, calls = fake(), []
    enqueue = jobs.enqueue

    async def twice(new: Sequence[NewJob]) -> Any:
        calls.append(len(new))
        if len(calls) == 3:
            raise Transient("postgres is away")
        return await enqueue(new)

    monkeypatch.setattr(jobs, "enqueue", twice)
    monkeypatch.setattr(adding, "BATCH_ROWS", 10)
    text = "channel_id\n" + "\n".join(f"c{number}" for number in range(25))
    with pytest.raises(Transient, match="postgres is away; 20 jobs are added"):
        await added(jobs, ODD, text)
    report = await added(jobs, ODD, text)
    assert (calls[:3], report.added, report.known) == ([10, 10, 5], 5, 20)


async def test_of_very_many_rejected_rows_some_are_listed() -> None:
    report = await added(fake(), ODD, "pages_max\n" + "1\n" * 1500)
    assert (report.rejected_total, len(report.rejected)) == (1500, adding.REJECTED_SHOWN_MAX)


CELLS = st.text(max_size=40) | st.sampled_from(['["a"]', "{", "[" * 5000, "1e999", "true", "NaN", "[NaN]", '"\\ud83d"'])


@given(cells=st.dictionaries(st.sampled_from([*OddParams.model_fields, "x"]), CELLS))
def test_whatever_stands_in_a_row_it_is_a_job_or_malformed(cells: dict[str, str]) -> None:
    try:
        job = adding.new_job(ODD, cells, Terms())
    except Malformed as error:
        assert error.field and error.reason
    else:
        assert OddParams.model_validate(job.params)
        assert len(job.key or "") <= adding.KEY_CHARS_MAX

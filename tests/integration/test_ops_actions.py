"""What people do to a running platform, over real HTTP and by the command line; each action leaves its row."""

import datetime as dt
import itertools
import json
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from gcc.channels.jobs import Failure, JobStatus, NewJob, Room
from gcc.cli import main, parse
from gcc.cli.jobs import filter_of
from gcc.clock import VirtualClock
from gcc.errors import Transient
from gcc.pipelines.analytics.model_tests import Finding
from gcc.pipelines.timetable import ROWS, SYNCS
from gcc.sources.limits import Take
from gcc.stores.job_history import History
from gcc.stores.vault import Listed
from gcc.tree import ALL
from gcc.web.ops import sources
from gcc.web.ops.port import pausable
from gcc.web.ops.registry import REGISTRY, write_registry
from tests.integration.ops_platform import (
    CATALOGUE,
    INSTAGRAM,
    TOKEN,
    YOUTUBE,
    Modelled,
    Port,
    Swapped,
    World,
    client,
    ops_port,
)

pytest_plugins = ["tests.fixtures_ops"]

NOW = dt.datetime(2026, 10, 30, 12, tzinfo=dt.UTC)
SCRAPER = f"scraping/scraper {YOUTUBE}"


async def post(port: Port, path: str, body: dict[str, Any], **headers: str) -> tuple[int, Any]:
    """(status, data) of what was done, or (status, error)."""
    async with client(port) as http:
        answer = await http.post(f"/api/{path}", json=body, headers=headers)
    decoded = answer.json()
    assert decoded["status"] == ("SUCCESS" if answer.status_code < 300 else "ERROR")
    return answer.status_code, decoded["data"] or decoded["error"]


async def get(port: Port, path: str, **query: str) -> tuple[Any, dict[str, Any]]:
    async with client(port) as http:
        answer = (await http.get(f"/api/{path}", params=query)).json()
    return answer["data"], answer["meta"]


def actions(world: World) -> list[tuple[str, str, str, str, int | None]]:
    """Who, why, what, to what, how many: in the order of the doing."""
    return [(done.who, done.why, done.verb, done.target, done.things) for done in world.controls.log.values()]


async def some_jobs(world: World) -> None:
    """Three PENDING and two FAILED ones of YOUTUBE, one PENDING of INSTAGRAM."""
    for number in range(2):
        await world.jobs.enqueue([NewJob(YOUTUBE, "YOUTUBE", {"handle": f"f{number}"})])
        (job,) = await world.jobs.claim({YOUTUBE: Room(1)})
        await world.jobs.fail(job, Failure("SOURCE_FAILED", "it answered 500", None))
    await world.jobs.enqueue([NewJob(YOUTUBE, "YOUTUBE", {"handle": f"w{number}"}) for number in range(3)])
    await world.jobs.enqueue([NewJob(INSTAGRAM, "INSTAGRAM", {"handle": "i"})])


def statuses(world: World) -> list[JobStatus]:
    return sorted(row.job.status for row in world.connection.database.jobs.values())


# Pauses and concurrency


@pytest.mark.parametrize(
    ("what", "actor"),
    [
        (YOUTUBE, SCRAPER),
        ("post_log_events_q", "events/sinker post_log"),
        ("events/relay", "events/relay"),
        (SCRAPER, SCRAPER),
    ],
)
async def test_a_flow_a_queue_and_an_actor_can_be_paused_and_resumed(
    port: Port, world: World, what: str, actor: str
) -> None:
    gate = world.gates.gate(actor)
    assert await post(port, "pause", {"what": what, "why": "the source asked"}) == (200, {"paused": actor})
    await trio.testing.wait_all_tasks_blocked()
    assert (gate.is_open, world.gates.paused()) == (False, [actor])
    answer = await post(port, "resume", {"what": what, "why": " they said sorry "}, **{"X-Gcc-Who": "ann@desk"})
    await trio.testing.wait_all_tasks_blocked()
    assert answer == (200, {"resumed": actor}) and gate.is_open
    assert actions(world) == [
        ("API", "the source asked", "pause", actor, None),
        ("ann@desk", "they said sorry", "resume", actor, None),
    ]


async def test_every_actor_with_a_gate_can_be_named(port: Port) -> None:
    known = pausable(ALL, CATALOGUE)
    assert set(known.values()) <= set(known)
    for wanted in (YOUTUBE, "post_log_events_q", "analytics/scheduler", "scraping/maintenance"):
        code, error = await post(port, "pause", {"what": wanted[:-1], "why": "x"})
        assert (code, error["code"]) == (409, "CANNOT")
        assert f"no {wanted[:-1]!r} to pause; like it, of {len(known)}: {wanted}" in error["detail"]


async def test_a_role_and_a_pause_of_an_older_release_can_be_resumed(port: Port, world: World) -> None:
    world.controls.overrides["pause:scraping/scraper gone"] = True
    world.gates.woken()
    await trio.testing.wait_all_tasks_blocked()
    code, error = await post(port, "resume", {"what": "nobody", "why": "x"})
    assert code == 409 and "scraping/scraper gone" in error["detail"] and "analytics" in error["detail"]
    assert (await post(port, "resume", {"what": "scraping/scraper gone", "why": "x"}))[0] == 200
    assert world.controls.overrides == {}
    assert await post(port, "resume", {"what": "scraper", "why": "mended"}) == (200, {"resumed": "scraper"})
    assert world.resumed == ["scraper"] and actions(world)[-1][2:4] == ("resume", "role scraper")


async def test_concurrency_is_changed_and_given_back(port: Port, world: World) -> None:
    level = world.gates.concurrency(YOUTUBE, 8)
    for value in (40, None):
        body = {"flow": YOUTUBE, "value": value, "why": "x"}
        assert await post(port, "concurrency", body) == (200, {"flow": YOUTUBE, "value": value})
        await trio.testing.wait_all_tasks_blocked()
        assert level.value == (value or 8)
    assert [done.detail for done in world.controls.log.values()] == [{"value": 40}, {"value": None}]


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("pause", {"what": YOUTUBE}, "why"),
        ("pause", {"what": YOUTUBE, "why": "  "}, "why"),
        ("pause", {"what": YOUTUBE, "why": "x" * 501}, "why"),
        ("resume", {"what": 7, "why": "x"}, "what"),
        ("pause", {"what": YOUTUBE, "why": "x", "until": "noon"}, "until"),
        ("concurrency", {"flow": YOUTUBE, "value": 0, "why": "x"}, "value"),
        ("concurrency", {"flow": YOUTUBE, "value": 1001, "why": "x"}, "value"),
        ("concurrency", {"flow": YOUTUBE, "value": "8", "why": "x"}, "value"),
        ("concurrency", {"flow": YOUTUBE, "value": True, "why": "x"}, "value"),
        ("concurrency", {"flow": YOUTUBE, "why": "x"}, "value"),
        ("jobs/retry", {"filter": {"flow": YOUTUBE}}, "why"),
        ("jobs/retry", {"filter": {"flow": YOUTUBE, "status": "LOST"}, "why": "x"}, "filter.status"),
        ("jobs/cancel", {"filter": {"since": "2026-01-01T00:00:00"}, "why": "x"}, "filter.since"),
        ("jobs/cancel", {"filter": {"ids": ["7"]}, "why": "x"}, "filter.ids"),
        ("jobs/cancel", {"filter": {"flow": YOUTUBE, "limit": 0}, "why": "x"}, "filter.limit"),
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused_and_not_done(
    port: Port, world: World, path: str, body: dict[str, Any], told: str
) -> None:
    code, error = await post(port, path, body)
    assert (code, error["code"], error["detail"].startswith(told)) == (422, "REQUEST_INVALID", True), error
    assert (world.controls.overrides, world.controls.log) == ({}, {})


async def test_who_is_printable_and_bounded(port: Port, world: World) -> None:
    await post(port, "pause", {"what": YOUTUBE, "why": "x"}, **{"X-Gcc-Who": "a\tb" + "c" * 200})
    assert actions(world)[0][0] == ("ab" + "c" * 200)[:100]


# Jobs


async def test_jobs_are_listed(port: Port, world: World) -> None:
    await some_jobs(world)
    found, meta = await get(port, "jobs", flow=YOUTUBE, limit="2")
    kept = {
        "jobs": 30,
        "failed_jobs": 90,
        "letters": 90,
        "actions": 365,
        "schedule_runs": 90,
        "webhook_deliveries": 30,
        "api_jobs": 90,
    }
    assert (len(found), meta) == (
        2,
        {"total": 5, "counted_max": 10_000, "kept_days": kept, "older": found[-1]["id"]},
    )
    older, meta = await get(port, "jobs", flow=YOUTUBE, limit="9", before=found[-1]["id"])
    assert (len(older), meta["older"]) == (3, None)
    assert {job["id"] for job in older}.isdisjoint(job["id"] for job in found)
    named, meta = await get(port, "jobs", text='"F1"')
    assert ([job["params"] for job in named], meta["total"]) == ([{"handle": "f1"}], None)
    (job,), _ = await get(port, "jobs", status="FAILED", limit="1")
    assert (job["status"], job["code"], job["reason"]) == ("FAILED", "SOURCE_FAILED", "it answered 500")
    assert {"id", "flow", "params", "created_at", "expires_at", "retry_count"} <= set(job)


async def test_one_job_is_shown_with_its_traceback_and_its_history(port: Port, world: World) -> None:
    await world.jobs.enqueue([NewJob(YOUTUBE, "YOUTUBE", {"handle": "asha"}, key="k")])
    (job,) = await world.jobs.claim({YOUTUBE: Room(1)})
    trace = "in work\n    ask(access_token='EAAB123')\nKeyError: 'x'"
    await world.jobs.fail(job, Failure("BUG", "KeyError: 'x'", None, traceback=trace))
    shown, _ = await get(port, f"jobs/{job.id}")
    assert (shown["status"], shown["params"], shown["key"]) == ("FAILED", {"handle": "asha"}, "k")
    assert (shown["code"], shown["reason"], shown["data"]) == ("BUG", "KeyError: 'x'", None)
    assert "in work" in shown["traceback"] and "EAAB123" not in shown["traceback"]
    assert (shown["statuses"], shown["requests"]) == (None, None)
    assert shown["history_error"].startswith("no role of this process opens ClickHouse")

    world.history.told = History(
        [{"seq": 2, "status": "PROCESSING", "reason": None, "retry_count": 0, "at": NOW}],
        [{"source": "ytapi", "method": "GET", "uri": "/channels?key=AIza123&id=1", "status": 200, "bytes": 9,
          "took_s": 0.2, "host": "h", "at": NOW}],
    )  # fmt: skip
    shown, _ = await get(port, f"jobs/{job.id}")
    assert shown["history_error"] is None
    assert [told["status"] for told in shown["statuses"]] == ["PROCESSING"]
    assert shown["requests"][0]["uri"] == "/channels?key=•••&id=1"


async def test_a_job_with_a_number_that_json_does_not_know_hides_no_other(port: Port, world: World) -> None:
    """Its list was no JSON to a browser, and the page told of a server that does not answer."""
    await world.jobs.enqueue([NewJob(YOUTUBE, "YOUTUBE", {"handle": "asha", "odd": [1e400, {"x": -1e400}]})])
    await world.jobs.enqueue([NewJob(YOUTUBE, "YOUTUBE", {"handle": "good"})])

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    async with client(port) as http:
        found = json.loads((await http.get("/api/jobs")).text, parse_constant=refuse)["data"]
        (odd,) = [job for job in found if job["params"]["handle"] == "asha"]
        shown = json.loads((await http.get(f"/api/jobs/{odd['id']}")).text, parse_constant=refuse)["data"]
    assert len(found) == 2
    assert shown["params"] == odd["params"] == {"handle": "asha", "odd": [None, {"x": None}]}


async def test_what_others_wrote_into_a_job_is_shown_without_secrets(port: Port, world: World) -> None:
    """Anybody may enqueue, with params of any shape."""
    params = {"handle": "a", "access_token": "EAAB123", "page": "https://x/y?access_token=EAAB123&n=1"}
    await world.jobs.enqueue([NewJob(YOUTUBE, "YOUTUBE", params)])
    (job,) = await world.jobs.claim({YOUTUBE: Room(1)})
    reason = "GET https://x/y?key=EAAB123 was refused"
    await world.jobs.fail(job, Failure("SOURCE_FAILED", reason, None))
    told = {"seq": 3, "status": "FAILED", "reason": reason, "retry_count": 0, "at": NOW}
    world.history.told = History([told, told | {"reason": None}], [])
    (line,), _ = await get(port, "jobs")
    shown, _ = await get(port, f"jobs/{job.id}")
    for each in (line, shown):
        assert each["params"] == {
            "handle": "a", "access_token": "•••", "page": "https://x/y?access_token=•••&n=1",
        }  # fmt: skip
        assert each["reason"] == "GET https://x/y?key=••• was refused"
    assert [told["reason"] for told in shown["statuses"]] == [line["reason"], None]


async def test_a_job_that_is_not_there_and_an_id_that_is_none(port: Port) -> None:
    async with client(port) as http:
        answers = [await http.get(f"/api/jobs/{word}") for word in ("019a0000-0000-7000-8000-000000000000", "7", "%01")]
    told = [(answer.status_code, answer.json()["error"]["code"]) for answer in answers]
    assert told == [(404, "JOB_NOT_FOUND"), (422, "REQUEST_INVALID"), (422, "REQUEST_INVALID")]


async def test_sources_tell_limits_and_credentials_without_secrets(port: Port, world: World) -> None:
    await world.limiter.take([Take("ytapi")], wait_s_max=0)
    world.credentials = [
        Listed("ytapi", "ytapi-1", math.inf, "refused with access_token=AIza123", NOW, 2, 1),
        Listed("ytapi", "ytapi-2", 0.0, None, NOW, 2, 1),
    ]
    (graph, youtube), meta = await get(port, "sources")
    assert (graph["name"], graph["credentials"]["total"]) == ("graphapi", 0)
    assert {INSTAGRAM, "probe_credential"} <= set(graph["flows"]) and YOUTUBE not in graph["flows"]
    whole = {"share": 1.0, "narrowed_s": 0.0, "why": ""}
    assert youtube["limit"] == {"name": "ytapi", "used": 1, "calls": 50, "per_s": 1.0, "waiting": 0, **whole}
    assert (youtube["credentials"]["total"], youtube["credentials"]["ready"]) == (2, 1)
    first, second = youtube["credentials"]["listed"]
    assert (first["state"], first["back_in_s"]) == ("waits for a new token", None)
    assert first["reason"] == "refused with access_token=•••"
    assert (second["state"], second["back_in_s"]) == ("ready", 0.0)
    world.counts_down = True
    (graph, _), meta = await get(port, "sources")
    assert graph["credentials"] is None and meta["credentials_error"].startswith("PostgreSQL does not answer")


async def test_limits_are_told_beside_a_database_that_hangs(
    port: Port, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LISTED_S", 0.1)
    world.database_hangs = True
    (graph, _), meta = await get(port, "sources")
    assert (graph["limit"]["calls"], graph["credentials"]) == (50, None)
    assert meta["credentials_error"] == "the database does not answer within 0.1 s"


async def test_why_a_schedule_failed_is_told_without_secrets(port: Port, world: World) -> None:
    run = {"status": "FAILED", "detail": {"error": "sync: refused password=hunter2"}, "started_at": "", "ended_at": ""}
    world.schedules = [{"name": "a", "cron": None, "running": False, "next_run": None, "last_run": run}]
    async with ops_port(world) as port:
        (line,), _ = await get(port, "schedules")
    assert line["last_run"]["detail"]["error"] == "sync: refused password=•••"


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "status=LOST", "ids=7", "colour=red"])
async def test_a_question_that_makes_no_sense_is_refused(port: Port, query: str) -> None:
    async with client(port) as http:
        assert (await http.get(f"/api/jobs?{query}")).status_code == 422


async def test_jobs_are_retried_and_cancelled_after_a_look(port: Port, world: World) -> None:
    await some_jobs(world)
    failed = {"filter": {"flow": YOUTUBE, "code": "SOURCE_FAILED"}}
    assert await post(port, "jobs/retry", {**failed, "dry_run": True}) == (200, {"things": 2})
    assert (statuses(world).count(JobStatus.FAILED), actions(world)) == (2, [])
    assert await post(port, "jobs/retry", {**failed, "why": "it is back"}) == (200, {"things": 2})
    assert await post(port, "jobs/cancel", {"filter": {"flow": YOUTUBE, "limit": 4}, "why": "x"}) == (
        200,
        {"things": 4},
    )
    assert statuses(world) == [JobStatus.CANCELLED] * 4 + [JobStatus.PENDING] * 2
    assert actions(world) == [
        ("API", "it is back", "retry", f"jobs flow={YOUTUBE} code=SOURCE_FAILED", 2),
        ("API", "x", "cancel", f"jobs flow={YOUTUBE} limit=4", 4),
    ]
    ids = [str(job_id) for job_id in world.connection.database.jobs]
    assert await post(port, "jobs/cancel", {"filter": {"ids": ids}, "why": "x"}) == (200, {"things": 2})
    (done, *_), _ = await get(port, "actions", limit="1")
    assert (done["target"], done["things"], done["detail"]["filter"]["ids"]) == (f"jobs {len(ids)} ids", 2, ids)


@pytest.mark.parametrize(
    ("path", "wanted", "told"),
    [
        ("retry", {}, "name a flow"),
        ("cancel", {"limit": 5}, "name a flow"),
        ("retry", {"status": "PENDING"}, "FAILED"),
        ("cancel", {"status": "COMPLETE"}, "PROCESSING"),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
async def test_not_everything_is_moved_by_mistake(
    port: Port, world: World, path: str, wanted: dict[str, Any], told: str, dry_run: bool
) -> None:
    await some_jobs(world)
    before = statuses(world)
    code, error = await post(port, f"jobs/{path}", {"filter": wanted, "why": "x", "dry_run": dry_run})
    assert code == 409 and told in error["detail"]
    assert (statuses(world), actions(world)) == (before, [])


async def test_a_change_that_was_cut_off_has_its_row_all_the_same(port: Port, world: World) -> None:
    await some_jobs(world)

    async def away() -> None:
        raise Transient("PostgreSQL is away")

    world.connection.before = away
    code, error = await post(port, "jobs/cancel", {"filter": {"flow": YOUTUBE}, "why": "x"})
    assert (code, error["code"]) == (503, "STORE_UNAVAILABLE")
    assert actions(world) == [("API", "x", "cancel", f"jobs flow={YOUTUBE}", None)]


# The drain, and whom it answers


async def test_a_drain_is_recorded(port: Port, world: World) -> None:
    await post(port, "drain", {"role": "scraper", "why": "deploy"}, **{"X-Gcc-Who": "ann@desk"})
    await post(port, "drain", {})
    assert world.asked == [("scraper", "asked for by ann@desk: deploy"), (None, "asked for by API")]
    assert [line[2:4] for line in actions(world)] == [("drain", "role scraper"), ("drain", "process")]


@pytest.mark.parametrize("how", ["refuses", "does not answer"])
async def test_without_the_database_it_drains_at_once_and_the_rest_is_refused(
    port: Port, world: World, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gcc.web.ops.operations.RECORD_S", 0.2)
    asked = trio.Event()

    async def away() -> None:
        asked.set()
        if how == "does not answer":
            await trio.sleep_forever()
        raise Transient("PostgreSQL is away")

    world.controls.before = away
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post, port, "drain", {"why": "now"})
        with trio.fail_after(5):
            await asked.wait()
        assert world.asked == [(None, "asked for by API: now")], "before the database was asked"
    if how == "refuses":
        code, error = await post(port, "pause", {"what": YOUTUBE, "why": "x"})
        assert (code, error["code"]) == (503, "STORE_UNAVAILABLE")


PATHS = ("pause", "resume", "concurrency", "jobs/retry", "jobs/cancel", "drain")


@pytest.mark.parametrize("path", PATHS)
async def test_an_action_needs_the_token_or_the_page(port: Port, world: World, path: str) -> None:
    body = {"what": YOUTUBE, "why": "x"}
    cookie = {"Cookie": f"gcc_ops_{port.number}={TOKEN}"}
    page = cookie | {"Origin": port.url, "x-gcc-action": path.rpartition("/")[2]}
    async with client(port, token=None) as http:
        answers = [
            (await http.post(f"/api/{path}", json=body, headers=headers)).status_code
            for headers in (
                {}, cookie, page | {"x-gcc-action": "other"}, page | {"Origin": "http://evil.example"},
                {"Authorization": "Bearer wrong"},
            )
        ]  # fmt: skip
    assert answers == [401, 403, 403, 403, 401]
    assert (world.controls.log, world.asked) == ({}, [])


@pytest.mark.parametrize("path", ["jobs", "actions"])
async def test_lists_need_the_token(port: Port, path: str) -> None:
    async with client(port, token=None) as http:
        assert (await http.get(f"/api/{path}")).status_code == 401


async def test_the_page_acts_as_the_dashboard(port: Port, world: World) -> None:
    page = {"Cookie": f"gcc_ops_{port.number}={TOKEN}", "Origin": port.url, "x-gcc-action": "pause"}
    async with client(port, token=None) as http:
        answer = await http.post(
            "/api/pause", json={"what": YOUTUBE, "why": "x"}, headers=page | {"X-Gcc-Who": "root@elsewhere"}
        )
    assert answer.status_code == 200 and actions(world)[0][0] == "dashboard"


# The command line

Verb = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
async def verb(port: Port, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verb:
    return asked_of(port, tmp_path, capsys)


def asked_of(port: Port, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verb:
    """(exit code, stdout, stderr) of one verb, asked of the port."""
    write_registry(tmp_path / REGISTRY, url=port.url, token=TOKEN)

    async def run(*words: str) -> tuple[int, str, str]:
        code = await trio.to_thread.run_sync(main, [*words, "--data", str(tmp_path)])
        told = capsys.readouterr()
        return code, told.out.strip(" \n"), told.err.strip()

    return run


async def test_pauses_and_concurrency_by_the_command_line(verb: Verb, world: World) -> None:
    assert await verb("pause", YOUTUBE, "--why", "x") == (0, f"paused {SCRAPER}; it finishes what it holds", "")
    assert await verb("--json", "resume", YOUTUBE, "--why", "y") == (0, json.dumps({"resumed": SCRAPER}), "")
    assert (await verb("concurrency", YOUTUBE, "12", "--why", "z"))[:2] == (0, f"{YOUTUBE}: 12 at once")
    assert world.controls.overrides == {f"concurrency:{YOUTUBE}": 12}
    assert (await verb("concurrency", YOUTUBE, "default", "--why", "z"))[:2] == (0, f"{YOUTUBE}: as many as configured")
    assert world.controls.overrides == {}
    assert all("@" in who for who, *_ in actions(world)) and len(world.controls.log) == 4
    code, told, _ = await verb("actions", "--limit", "2")
    assert code == 0 and told.count("\n") == 1 and told.endswith(f"concurrency {YOUTUBE} 12: z")
    code, told, _ = await verb("actions", "--json")
    assert [done["verb"] for done in json.loads(told)["actions"]] == ["concurrency", "concurrency", "resume", "pause"]


async def test_limits_by_the_command_line(verb: Verb, world: World) -> None:
    set_one = ("limits", "set", "ytapi.search@ytapi-1", "50", "86400", "--why", "half a project")
    assert await verb(*set_one) == (0, "ytapi.search@ytapi-1: 50 calls a day", "")
    assert (await verb("limits", "set", "graphapi", "7", "0.5", "--why", "calm"))[0] == 0
    await world.gates_read()
    await world.limiter.narrow(Take("ytapi"), 0.0, 60.0, "told by a header")
    code, told, _ = await verb("limits", "--json")
    rows = {row["name"]: row for row in json.loads(told)["limits"]}
    assert (code, rows["graphapi"]["calls"], rows["graphapi"]["per_s"], rows["graphapi"]["why"]) == (0, 7, 0.5, "calm")
    assert "@" in rows["graphapi"]["set_by"] and rows["graphapi"]["set_at"]
    assert (rows["ytapi"]["share"], rows["ytapi"]["why"], rows["ytapi"]["set_by"]) == (0.0, "told by a header", None)
    assert rows["ytapi"]["until"] is not None
    assert (rows["ytapi.search@ytapi-1"]["calls"], rows["ytapi.search@*"]["calls"]) == (50, 100)
    assert set(rows["graphapi"]) == {
        "name", "of", "calls", "per_s", "used", "waiting", "share", "why", "until", "set_by", "set_at",
    }  # fmt: skip
    lines = (await verb("limits"))[1].splitlines()
    shown = {line.split()[0]: (" ".join(line.split()[1:]), below) for line, below in itertools.pairwise([*lines, ""])}
    assert shown["graphapi"][0] == "0 of 7 calls per 0.5 s all calls of graphapi, whoever asks"
    assert shown["graphapi"][1].startswith("    set by ")
    assert shown["ytapi"][1].startswith("    0% of it until ")
    assert shown["lama"][0].startswith("0 of 1 call per 1 s ")
    assert shown["ytapi.search@ytapi-1"][0].endswith("bucket search of ytapi, with credential ytapi-1")
    assert await verb("limits", "set", "graphapi", "default", "--why", "z") == (0, "graphapi: as configured", "")
    await world.gates_read()
    assert {use.name: use.calls for use in world.limiter.usage()}["graphapi"] == 50
    assert [done.verb for done in world.controls.log.values()] == ["limit"] * 3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("set", "nothing", "5", "1", "--why", "x"), "there is no limit 'nothing'; there are "),
        (("set", "nothing", "default", "--why", "x"), "there is no limit 'nothing'; there are "),
        (("set", "ytapi", "0", "1", "--why", "x"), "calls is a number of 1 to"),
        (("set", "ytapi", "5", "0", "--why", "x"), "per_s is a number of seconds"),
        (("set", "ytapi.search@*", "5", "60", "--why", "x"), "whole days of America/Los_Angeles: write 86400"),
        (("set", "ytapi", "many", "1", "--why", "x"), "'many' is no number"),
        (("set", "ytapi", "5", "--why", "x"), "limits set NAME CALLS PER_S"),
        (("set", "ytapi", "5", "1"), "needs --why"),
    ],
)
async def test_limits_that_make_no_sense_are_refused(verb: Verb, words: tuple[str, ...], told: str) -> None:
    code, _, error = await verb("limits", *words)
    assert code != 0
    assert told in error


async def test_jobs_are_added_by_the_command_line(verb: Verb, world: World, tmp_path: Path) -> None:
    one = ("jobs", "add", YOUTUBE, "handle=asha=1, bad", "--priority", "5", "--key", "mine", "--why", "she asked")
    code, told, _ = await verb(*one)
    (row,) = world.connection.database.jobs.values()
    assert (code, told) == (0, f"{row.job.id}  added")
    assert await verb("jobs", "add", YOUTUBE, "handles=a", "--why", "x") == (1, "", "handle: Field required")
    assert (row.job.params, row.job.priority, row.key) == ({"handle": "asha=1, bad"}, 5, "mine")
    file = tmp_path / "handles.csv"
    file.write_text("handle,handles\nasha,\nravi,2\nmeera,\n")
    code, told, rejected = await verb("jobs", "add", YOUTUBE, "--file", str(file), "--dry-run")
    assert (code, told) == (1, "3 rows: 2 would be added, 0 are there already, 1 rejected")
    assert rejected == "line 3: handles: the flow has no such param"
    assert len(world.connection.database.jobs) == 1
    code, told, _ = await verb("--json", "jobs", "add", YOUTUBE, "--file", str(file), "--ttl", "60", "--why", "a list")
    assert (code, json.loads(told)["added"]) == (1, 2)
    added = [(why, verb, target, things) for _, why, verb, target, things in actions(world) if things]
    assert added == [("she asked", "add", f"jobs flow={YOUTUBE}", 1), ("a list", "add", f"jobs flow={YOUTUBE}", 2)]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "needs a flow"),
        ((YOUTUBE,), "needs a flow, and what its job is of"),
        ((YOUTUBE, "handle=a", "--file", "x.csv"), "needs a flow, and what its job is of"),
        ((YOUTUBE, "asha"), "given as NAME=VALUE"),
        ((YOUTUBE, "handle=a", "handle=b"), "a name twice"),
        (("nobodys", "handle=a"), "there is no flow 'nobodys'"),
        ((YOUTUBE, "handle=a", "--priority", "200"), "priority is a whole number from -99 to 99"),
        ((YOUTUBE, "--file", "missing.csv"), "cannot be read"),
    ],
)
async def test_what_cannot_be_added_is_told(verb: Verb, world: World, words: tuple[str, ...], told: str) -> None:
    code, _, error = await verb("jobs", "add", *words, "--why", "w")
    assert code > 0 and told in error
    assert not world.connection.database.jobs


async def test_sources_by_the_command_line(verb: Verb, world: World) -> None:
    world.credentials = [
        Listed("graphapi", "graphapi-1", 90.0, "rate limited", NOW, 2, 1),
        Listed("graphapi", "graphapi-2", 0.0, None, NOW, 2, 1),
    ]
    told = (await verb("sources"))[1]
    assert "ytapi     cannot be asked: set GCC_SOURCES__YTAPI__TOKENS and start" in told
    assert "credentials add ytapi HANDLE --why WHY" in told and "off until sources.NAME.enabled = true: " in told
    youtube = world.board.actor("sources/ytapi")
    youtube.breaker, youtube.retry_at, youtube.last_error = "open", trio.current_time() + 1000, "it answered 503"
    code, told, _ = await verb("sources")
    graph, resting, video, _ = told.splitlines()
    assert (code, graph) == (
        0, "graphapi  answers; limit 50 calls per 1 s, 0 used, 0 wait; 1 of 2 credentials ready"
    )  # fmt: skip
    assert resting == "    graphapi-1  rests for 90 s: rate limited"
    assert video.startswith("ytapi     rests, asked again in ") and "(it answered 503)" in video
    world.credentials = [Listed("graphapi", "graphapi-1", 90.0, "rate limited", NOW, 1, 0)]
    assert (await verb("sources"))[1].startswith("graphapi  no credential is ready; limit 50")
    world.counts_down = True
    assert "the credentials are not known: PostgreSQL does not answer" in (await verb("sources"))[1]
    assert [each["credentials"] for each in json.loads((await verb("sources", "--json"))[1])["sources"]] == [None, None]


async def test_jobs_by_the_command_line(verb: Verb, world: World) -> None:
    await some_jobs(world)
    code, told, beside = await verb("jobs", "list", "--status", "failed", "--flow", YOUTUBE)
    assert (code, told.count("SOURCE_FAILED: it answered 500"), beside) == (0, 2, "2 of 2 jobs")
    code, told, _ = await verb("jobs", "list", "--limit", "1", "--json")
    listed = json.loads(told)
    assert (len(listed["jobs"]), listed["total"]) == (1, 6)
    lines = [line.split("\t") for line in (await verb("jobs", "list"))[1].splitlines()]
    assert {len(line) for line in lines} == {7}, "in a pipe a job is a line, whole, and a line is a job"
    assert {tuple(line[1:2] + line[4:5]) for line in lines} >= {("FAILED", "handle=f0"), ("PENDING", "handle=w2")}
    assert {tuple(line[1:6:4]) for line in lines} == {("FAILED", "1 failure"), ("PENDING", "0 failures")}
    code, told, beside = await verb("jobs", "list", "--id", lines[0][0], "--id", lines[1][0])
    assert (code, beside) == (0, "2 of 2 jobs") and lines[1][0] in told
    gone = "019a0000-0000-7000-8000-000000000000"
    kept = "jobs that have ended are kept 30 days, failed ones 90 days"
    assert await verb("jobs", "list", "--id", gone) == (0, "", f"0 of 0 jobs\n{kept}")
    assert kept in (await verb("jobs", "show", gone))[2]
    failed = next(line[0] for line in lines if line[1] == "FAILED")
    code, told, _ = await verb("jobs", "show", failed)
    shown = dict(line.split(maxsplit=1) for line in told.splitlines() if " " in line)
    assert (code, shown["id"], shown["status"], shown["code"]) == (0, failed, "FAILED", "SOURCE_FAILED")
    assert "is not known: no role of this process opens ClickHouse" in told
    request = {"source": "ytapi", "method": "GET", "uri": "/x?id=1", "status": 0, "bytes": 0, "took_s": 0.25, "at": NOW}
    world.history.told = History([{"seq": 1, "status": "PENDING", "reason": "it came", "at": NOW}], [request])
    code, told, _ = await verb("jobs", "show", failed)
    assert "2026-10-30T12:00:00  PENDING     it came" in told and "GET /x?id=1  no answer  250 ms" in told
    assert json.loads((await verb("jobs", "show", failed, "--json"))[1])["id"] == failed
    look = ("jobs", "retry", "--code", "SOURCE_FAILED")
    assert await verb(*look, "--dry-run") == (0, "2 jobs would be retried", "")
    assert await verb(*look, "--why", "back", "--json") == (0, json.dumps({"things": 2}), "")
    ids = [str(job_id) for job_id in list(world.connection.database.jobs)[:2]]
    cancelled = await verb("jobs", "cancel", "--id", ids[0], "--id", ids[1], "--why", "x")
    assert cancelled == (0, "2 jobs cancelled", "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("pause", YOUTUBE), "--why"),
        (("pause", "the moon", "--why", "x"), "there is no 'the moon' to pause; there are"),
        (("concurrency", YOUTUBE, "many", "--why", "x"), "'many' is no number"),
        (("concurrency", YOUTUBE, "0", "--why", "x"), "value:"),
        (("jobs", "show"), "jobs show needs the ID of one"),
        (("jobs", "list", "019a"), "jobs show needs the ID of one"),
        (("jobs", "show", "019a0000-0000-7000-8000-000000000000"), "there is no job 019a0000"),
        (("jobs", "retry", "--flow", YOUTUBE), "jobs retry needs --why"),
        (("jobs", "cancel", "--why", "x"), "cancel of all jobs is not meant"),
        (("jobs", "list", "--since", "soon"), "--since 'soon' is no time"),
        (("jobs", "list", "--status", "lost"), "status:"),
        (("jobs", "list", "--id", "7"), "ids.0: Input should be a valid UUID"),
        (("jobs", "list", "--flow", "nosuch"), f"no flow 'nosuch', nor a job of it; there are {INSTAGRAM}, "),
        (("jobs", "cancel", "--flow", "nosuch", "--why", "x"), "no flow 'nosuch', nor a job of it"),
        (("jobs", "retry", "--flow", "nosuch", "--dry-run"), "no flow 'nosuch', nor a job of it"),
        (("dead-letters", "--queue", "nosuch"), "no dead letter waits for a queue 'nosuch'"),
        (("replay", "--queue", "nosuch", "--why", "x"), "no dead letter waits for a queue 'nosuch'"),
        (("jobs", "eat"), "invalid choice: 'eat'"),
        (("actions", "--watch"), "unrecognized arguments: --watch"),
        (("run", "about"), "unrecognized arguments: 1 word, not repeated here; see --help"),
        (("--why", "x"), "unrecognized arguments: --why"),
        (("sleep",), "invalid choice: 'sleep'"),
    ],
)  # fmt: skip
async def test_a_wrong_call_is_one_sentence(verb: Verb, world: World, words: tuple[str, ...], told: str) -> None:
    code, out, err = await verb(*words)
    assert (code, out, err.count("\n")) == (2, "", 0) and err.startswith("gcc: ") and told in err
    assert (world.controls.overrides, world.controls.log) == ({}, {})


async def test_the_drain_is_asked_for_with_a_reason(verb: Verb, world: World) -> None:
    assert (await verb("drain", "--role", "scraper", "--why", "deploy"))[:2] == (0, "drain requested")
    assert [(role, reason.endswith(": deploy")) for role, reason in world.asked] == [("scraper", True)]


def test_a_time_ago_is_meant_from_now() -> None:
    class Noon(VirtualClock):
        def now(self) -> Any:
            return self.epoch

    def since(word: str) -> str:
        return str(filter_of(parse(["jobs", "list", "--since", word]), Noon(seed=1))["since"])

    assert since("90s") == "2025-12-31T23:58:30+00:00"
    assert since("2h") == "2025-12-31T22:00:00+00:00"
    assert since("1d") == "2025-12-31T00:00:00+00:00"
    assert since("2026-10-31T12:00:00Z") == "2026-10-31T12:00:00+00:00"
    assert since("2026-10-31") == "2026-10-31T00:00:00+00:00"


def test_options_of_every_verb_stand_anywhere() -> None:
    before = parse(["--json", "--set", "a=1", "--data", "d", "status", "--watch"])
    after = parse(["status", "--watch", "--set", "a=1", "--data", "d", "--json"])
    assert before == after and (after.verb, after.set, after.json) == ("status", ["a=1"], True)
    both = parse(["--set", "a=1", "run", "--set", "b=2"])
    assert (both.set, both.verb) == (["a=1", "b=2"], "run")
    assert parse([]).verb == "run" and parse(["--config", "embedded"]).verb == "run"


@pytest.mark.parametrize("words", [["a", "b", "--from", "x", "--to", "y"], ["--from", "x", "--to", "y", "a", "b"]])
def test_models_stand_before_and_after_the_days_of_a_backfill(words: list[str]) -> None:
    found = parse(["models", "backfill", *words, "--json"])
    assert (found.action, found.words, found.first, found.last) == ("backfill", ["a", "b"], "x", "y")
    assert (parse(["models"]).action, parse(["models", "--json"]).words) == ("list", [])


async def test_who_runs_something_is_told_no_secret_either(world: World) -> None:
    class Looks:
        async def test(self, names: list[str]) -> list[Finding]:
            return [Finding(name, "count", "likes", "error", 2, "token=abc") for name in names]

    world.models.append(Looks())
    world.schedules = [{"name": "sync_leaderboard_prod", "last_run": None}]
    world.ends_with = {"error": "no answer: token=abc"}
    world.syncs.append(Swapped([{"table": "leaderboard", "refused": "it shrinks", "accepted_by": None}]))
    table = {"table": "leaderboard", "why": "a test"}
    async with ops_port(world) as port:
        for path, body in (
            ("schedules/run", {"name": "sync_leaderboard_prod", "why": "a test"}),
            ("sync/run", table),
            ("sync/accept", table),
            ("models/test", {"names": ["mart_x"]}),
        ):
            status, told = await post(port, path, body)
            assert status == 200 and "token=•••" in str(told) and "abc" not in str(told), path


async def test_models_are_tested_now_and_shown_with_what_is_wrong(world: World, port: Port) -> None:
    class Looks:
        async def test(self, names: list[str]) -> list[Finding]:
            return [Finding(name, "count", "likes", "error", 2, "-1") for name in names]

    status, error = await post(port, "models/test", {"names": []})
    assert (status, error["code"]) == (409, "CANNOT") and "role analytics" in error["detail"]
    world.models.append(Looks())
    status, found = await post(port, "models/test", {"names": ["mart_x"]})
    assert status == 200
    assert found == [
        {
            "model": "mart_x",
            "test": "count",
            "column": "likes",
            "severity": "error",
            "found": 2,
            "said": "-1",
            "ok": False,
        }
    ]
    assert actions(world) == []


async def test_a_process_without_analytics_has_no_schedules(world: World, port: Port) -> None:
    assert await get(port, "schedules") == ([], {})
    status, error = await post(port, "schedules/run", {"name": "core_models", "why": "a test"})
    assert (status, error["code"]) == (409, "CANNOT")
    assert "role analytics" in error["detail"]
    days = {"first": "2026-01-01", "last": "2026-01-31"}
    for path, body in (("models/run", {}), ("models/backfill", days)):
        status, error = await post(port, path, {**body, "why": "a test"})
        assert (status, error["code"]) == (409, "CANNOT") and "role analytics" in error["detail"]
    assert actions(world) == []


async def test_schedules_are_told_with_their_kind_and_synced_tables_with_their_schedule(
    world: World, port: Port
) -> None:
    assert await get(port, "sync") == ([], {})
    line = {"table": "leaderboard", "mart": "mart_leaderboard", "refused": "token=abc", "accepted_by": None}
    world.syncs.append(Swapped([line, {**line, "table": "of a newer version", "refused": None}]))
    told, _ = await get(port, "sync")
    assert told == [
        {**line, "refused": "token=•••", "schedule": "sync_leaderboard_prod"},
        {**line, "table": "of a newer version", "refused": None, "schedule": None},
    ]
    status, error = await post(port, "sync/accept", {"table": "of a newer version", "why": "a test"})
    assert (status, error["code"]) == (409, "CANNOT") and "nothing to accept" in error["detail"]


async def test_past_runs_of_a_schedule_are_told(world: World) -> None:
    world.schedules = [{"name": "dbt_core", "last_run": None}]
    world.past_runs = [{"status": "FAILED", "detail": {"error": "no answer: token=abc"}}, {"status": "COMPLETE"}]
    async with ops_port(world) as port:
        runs, _ = await get(port, "schedules/dbt_core/runs", limit="1")
        assert runs == [{"status": "FAILED", "detail": {"error": "no answer: token=•••"}}]
        async with client(port) as http:
            assert (await http.get("/api/schedules/x/runs")).status_code == 409
            assert (await http.get("/api/schedules/dbt_core/runs?limit=0")).status_code == 422


async def test_every_schedule_has_a_kind_for_people(world: World) -> None:
    names = [row.name for row in ROWS]
    world.schedules = [{"name": name, "last_run": None} for name in [*names, "of another pipeline"]]
    async with ops_port(world) as port:
        told, _ = await get(port, "schedules")
    assert {line["name"] for line in told if line["kind"] == "Others"} == {"of another pipeline"}
    assert [line["name"] for line in told if line["kind"] == "Syncs"] == [row.name for row in SYNCS]


MODEL = {
    "name": "mart_x", "layer": "marts", "materialized": "incremental", "strategy": "partitions", "tags": ["core"],
    "parents": ["stg_x"], "state": "outdated", "seconds": 0.4015, "rows": 3000, "peak_bytes": 26_000_000,
    "overhead_s": 0.01, "fresh_at": "2026-11-30T03:30:18.050703Z", "error": None, "age_s_max": 1200, "late": True,
    "tests": {"looked": 2, "failed": 1, "warned": 0},
}  # fmt: skip
FOUND = {"model": "mart_x", "test": "count", "column": "likes", "severity": "error", "found": 2, "said": "-1"}
SHOWN = {
    "description": "One row per x.", "unique_key": ["platform", "month"], "partition_by": "month", "synced": ["board"],
    "findings": [{**FOUND, "ok": False}, {**FOUND, "test": "unique", "found": 0, "said": "", "ok": True}],
    "sql": "select 1",
}  # fmt: skip


async def test_models_by_the_command_line_are_told_in_words(verb: Verb, world: World) -> None:
    view = {**MODEL, "name": "stg_x", "materialized": "view", "strategy": None, "state": "good", "parents": []}
    models = Modelled([view, MODEL])
    models.more = SHOWN
    world.models.append(models)
    code, told, _ = await verb("models")
    assert (code, told.splitlines()) == (
        0,
        [
            "as it runs",
            "model, what it reads before it  state     kind         last build          rows  as of, UTC",
            "stg_x   good      view             0.40 s                2026-11-30 03:30",
            "mart_x  outdated  incremental      0.40 s         3,000  2026-11-30 03:30",
            "1 good; 1 outdated (its text, or that of what it reads, has changed since it was built)",
        ],
    )
    code, told, _ = await verb("models", "show", "mart_x")
    assert (code, [line.rstrip() for line in told.splitlines()]) == (
        0,
        [
            "model        mart_x, tag core",
            "kind         incremental by partitions of month",
            "a row a      platform, month",
            "             One row per x.",
            "state        outdated (its text, or that of what it reads, has changed since it was built)",
            "last build   0.40 s, 3,000 rows, 26 MB at the peak",
            "as of        2026-11-30 03:30Z; at most 20 min old, which it is not",
            "tests        2 rules looked at, 1 failed, 0 warned",
            "reads        stg_x",
            "synced as    board",
            "error  mart_x                               count likes: 2 wrong, such as -1",
            "",
            "select 1",
        ],
    )
    assert json.loads((await verb("models", "show", "mart_x", "--json"))[1])["models"] == [
        {**MODEL, "children": [], **SHOWN}
    ]


async def test_schedules_by_the_command_line_tell_what_they_do_and_why_not(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = {"status": "COMPLETE", "started_at": "2026-11-30T03:30:00Z", "ended_at": "2026-11-30T03:30:26Z"}
    line = {
        "name": "dbt_core", "cron": "*/15 * * * *", "running": False, "next_run": "2026-11-30T03:45:00Z",
        "last_run": {**last, "detail": {}}, "skipped": 2, "waits_for": None,
    }  # fmt: skip
    world.schedules = [line, {**line, "name": "backup", "waits_for": "backups"}]
    world.past_runs = [
        {**last, "status": "FAILED", "ended_at": "2026-11-30T03:30:01Z", "detail": {"error": "no disk", "models": []}},
        {**last, "detail": {"models": [{}, {}], "stale": 412, "outcome": "swapped", "seconds": 0.5}},
    ]
    async with ops_port(world) as port:
        verb = asked_of(port, tmp_path, capsys)
        went = "COMPLETE at 2026-11-30 03:30Z; skipped 2 times since: the run before had not ended"
        code, told, _ = await verb("schedules")
        assert (code, told.splitlines()[1:]) == (
            0,
            [
                "schedule                         cron, UTC        next run           last run",
                f"dbt_core                         */15 * * * *     2026-11-30 03:45Z  {went}",
                "backup                           */15 * * * *     2026-11-30 03:45Z  waits for backups",
            ],
        )
        code, told, _ = await verb("schedules", "show", "dbt_core")
        assert (code, told.splitlines()) == (
            0,
            [
                "dbt_core  builds the models of tag core",
                f"*/15 * * * *     2026-11-30 03:45Z  {went}",
                "2026-11-30 03:30Z  FAILED        1.0 s  no disk",
                "2026-11-30 03:30Z  COMPLETE     26.0 s  2 models, stale 412, swapped",
            ],
        )
        assert len(json.loads((await verb("schedules", "show", "dbt_core", "--json"))[1])["runs"]) == 2
        code, _, said = await verb("schedules", "show", "dbt_cor")
        assert code == 2 and "no schedule is called 'dbt_cor'; there are dbt_core, backup" in said
        assert (await verb("schedules", "pause", "--why", "x"))[0] == 0
        paused = "all are paused: due times are skipped until schedules resume --why WHY"
        assert (await verb("schedules"))[1].splitlines()[0] == f"as it runs; {paused}"
        assert (await verb("schedules", "show", "dbt_core"))[1].splitlines()[0].endswith(paused)
        code, _, said = await verb("pause", "dbt_core", "--why", "x")
        assert code != 0 and "schedule 'dbt_core' is paused with all others: schedules pause --why WHY" in said


async def test_syncs_by_the_command_line_tell_what_waits_for_a_person(verb: Verb, world: World) -> None:
    line = {"table": "board", "mart": "mart_x", "rows": 1, "as_of": "2026-11-30T03:34:00Z", "refused": None}
    refused = {**line, "table": "other", "rows": None, "refused": "other would shrink", "accepted_by": None}
    world.syncs.append(Swapped([line, refused, {**refused, "accepted_by": "asha"}]))
    assert (await verb("sync"))[1].splitlines() == [
        "table                            from                                       rows  as of, UTC",
        "board                            mart_x                                        1  2026-11-30 03:34",
        "other                            mart_x                                        -  never",
        "    refused: other would shrink; let it through: sync accept other --why WHY",
        "other                            mart_x                                        -  never",
        "    refused: other would shrink; accepted by asha, the next run lets it through",
    ]

"""Followers in, scores out: what becomes of each line, and of those over whom workers die."""

import errno
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trio

from gcc.channels.message import EVENT_BYTES_MAX, Delivery, Frame, Route
from gcc.clock import VirtualClock
from gcc.errors import Transient
from gcc.metrics import Metrics
from gcc.pipelines.events.reading import LineReader
from gcc.pipelines.events.routes import CREATOR_FOLLOWER_IN, CREATOR_OUT
from gcc.pipelines.events.types import CREATOR_FOLLOWER_SCORE
from gcc.pipelines.scoring import batches
from gcc.pipelines.scoring.asked import NAME_CHARS_MAX
from gcc.pipelines.scoring.batches import MESSAGE_LINES_MAX, SLICES, Batches
from gcc.pipelines.scoring.scorer import SCORER_VERSION
from gcc.pipelines.scoring.tally import Tally
from gcc.pipelines.scoring.workers import WorkerDied, open_workers
from gcc.stores.erasures import Leaving
from gcc.supervisor.lifecycle import Board
from tests.fakes.database import Connection, Database
from tests.fakes.event_store import FakeDeadLetters
from tests.fakes.scorers import KILLS, FakeWorkers

QUEUE = "creator_follower_in"
SCORE = {"profile_id": "c1", "follower_handle": "ravi_9", "follower_full_name": "Ravi"}


@dataclass
class Ground:
    """A consumer with everything in memory; `emitted` has the frames that it committed."""

    workers: FakeWorkers = field(default_factory=FakeWorkers)
    erased: Leaving = field(default_factory=lambda: Leaving("INSTAGRAM", frozenset(), frozenset()))
    emitted: list[Frame] = field(default_factory=list)
    fails: int = 0  # commits that fail from now on

    def __post_init__(self) -> None:
        self.clock = VirtualClock(1)
        self.database = Database(self.clock)
        self.tally = Tally(self.clock, Metrics())
        self.actor = Board(self.clock.now).actor("scoring/scorer")
        letters = FakeDeadLetters(Connection(self.database))
        self.batches = Batches(
            self.workers, self.emit, letters, self, self.clock, self.tally, self.actor, self.creators
        )

    async def of(self, platform: str) -> Leaving:
        return self.erased if platform == self.erased.platform else Leaving(platform, frozenset(), frozenset())

    async def creators(self, asked: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], str]:
        return {("INSTAGRAM", "asha"): "c9"}

    async def emit(self, frames: list[Frame]) -> None:
        await trio.lowlevel.checkpoint()
        if self.fails:
            self.fails -= 1
            raise Transient("the database is away")
        self.emitted += frames

    def delivery(self, *lines: dict[str, Any] | bytes) -> Delivery:
        body = b"\n".join(line if isinstance(line, bytes) else msgspec.json.encode(line) for line in lines)
        return Delivery(QUEUE, 1, Frame(self.clock.new_id(), CREATOR_FOLLOWER_IN, len(lines), body), 1)

    def events(self) -> list[dict[str, Any]]:
        """All that were committed, as the sinker takes them: byte for byte."""
        reader = LineReader(CREATOR_FOLLOWER_SCORE)
        found = []
        for frame in self.emitted:
            assert (frame.route, frame.counted) == (CREATOR_OUT, 0)
            for number, line in enumerate(frame.body.split(b"\n")):
                assert reader.read(line, frame, number) == line
                found.append(msgspec.json.decode(line))
        return found

    def reasons(self) -> list[str]:
        return [letter.reason for letter in self.database.letters.values()]


@pytest.fixture
def ground() -> Ground:
    return Ground()


def many(count: int, **more: Any) -> list[dict[str, Any]]:
    return [SCORE | {"follower_handle": f"f_{number}"} | more for number in range(count)]


async def test_each_follower_is_answered_by_an_event_with_the_reasons(ground: Ground) -> None:
    account = {"followers": 3, "posts": "7", "private": True, "picture": None}
    handled = await ground.batches.handle([ground.delivery(SCORE | {"handle": "asha", "account": account})])
    (event,) = ground.events()
    assert handled == 1
    assert event["score"] == 0.0 and event["account_score"] == 0.25 and event["scorer_version"] == SCORER_VERSION
    assert event["reasons"] == [{"feature": "more_than_4_digits", "value": 1, "against": "more than 4"}]
    named = {name: event[name] for name in ("platform", "profile_id", "handle", "follower_handle")}
    assert named == {"platform": "INSTAGRAM", "profile_id": "c1", "handle": "asha", "follower_handle": "ravi_9"}
    assert ground.tally.overview()["scored"] == {"real": 1}


async def test_who_cannot_be_scored_has_no_score_and_the_reason(ground: Ground) -> None:
    await ground.batches.handle([ground.delivery(SCORE | {"follower_full_name": ""})])
    (event,) = ground.events()
    assert (event["score"], event["refused"]) == (None, "it has no name")
    (refusal,) = ground.tally.overview()["refusals"]
    assert (refusal["follower"], refusal["why"]) == ("ravi_9", "it has no name")


async def test_a_message_that_comes_again_is_answered_by_the_same_event(ground: Ground) -> None:
    with_id = SCORE | {"event_id": str(uuid.UUID(int=7)), "event_timestamp": "2026-01-01 00:00:00"}
    first = ground.delivery(with_id, SCORE | {"follower_handle": "without_id", "event_timestamp": 1767225600})
    await ground.batches.handle([first])
    await ground.batches.handle([first, first])
    events = ground.events()
    assert len(events) == 4
    assert events[:2] == events[2:]
    assert {event["event_timestamp"] for event in events} == {"2026-01-01 00:00:00.000000"}
    assert len({event["event_id"] for event in events}) == 2


async def test_of_two_questions_the_later_one_stands_and_none_is_of_the_future(ground: Ground) -> None:
    await ground.batches.handle([ground.delivery(SCORE | {"event_timestamp": "2199-01-01"}, SCORE)])
    now, at = (event["event_timestamp"] for event in ground.events())
    assert now == at


async def test_a_creator_is_known_by_the_handle_that_was_crawled(ground: Ground) -> None:
    lines = [{"handle": name, "follower_handle": "a", "follower_full_name": "A"} for name in ("@Asha", "nobody")]
    assert await ground.batches.handle([ground.delivery(*lines)]) == 1
    assert [event["profile_id"] for event in ground.events()] == ["c9"]
    assert ground.reasons() == ["creator 'nobody' was never crawled: crawl it and replay this, or tell profile_id"]


BROKEN: dict[str, tuple[dict[str, Any] | bytes, str]] = {
    "no JSON": (b"<html>", "it asks for no follower: JSON is malformed"),
    "a list": (b"[1]", "it asks for no follower: Expected `object`"),
    "no creator": ({"follower_handle": "a"}, "it names no creator"),
    "no follower": ({"profile_id": "c"}, "it names no follower"),
    "another type": ({"profile_id": "c", "follower_handle": ["a"]}, "should be an id, got a list"),
    "an endless name": (
        {"profile_id": "c", "follower_full_name": "x" * (NAME_CHARS_MAX + 1)},
        f"a text of {NAME_CHARS_MAX} characters at most",
    ),
    "another platform": (SCORE | {"platform": "ORKUT"}, "platform 'ORKUT', which is none of INSTAGRAM, YOUTUBE"),
    "nesting": (b'{"follower_handle":' + b"[" * 20_000, "nested"),
    "nothing": (b" ", "it is blank"),
}


ODD: dict[str, tuple[dict[str, Any] | bytes, dict[str, Any]]] = {
    "half a character in a name": (
        b'{"profile_id":"c","follower_handle":"ravi_9","follower_full_name":"Ravi \\ud83d"}',
        {"follower_handle": "ravi_9", "follower_full_name": "Ravi \ufffd", "score": 0.0},
    ),
    "half a character as a handle": (
        b'{"profile_id":"c","follower_handle":"\\ud83d","follower_full_name":"Ravi"}',
        {"follower_handle": "\ufffd", "score": 0.0},
    ),
    "no text but half a character": (
        b'{"profile_id":"c","follower_handle":"\\udc00"}',
        {"follower_handle": "\ufffd", "score": None, "refused": "it has no name"},
    ),
    "bytes of another alphabet": (
        b'{"profile_id":"c","follower_handle":"ravi_9","follower_full_name":"Ren\xe9"}',
        {"follower_full_name": "Ren\ufffd", "score": 0.0},
    ),
    "a tab and a zero in a name": (
        b'{"profile_id":"c","follower_handle":"ra\\u0000vi","follower_full_name":"Ravi\tK"}',
        {"follower_handle": "ravi", "follower_full_name": "Ravi\tK", "score": 0.0},
    ),
    "no number that JSON has": (
        b'{"profile_id":"c","follower_handle":"ravi_9","follower_full_name":"R","account":{"followers":NaN,"posts":3}}',
        {"account": {"posts": 3}, "score": 0.0},
    ),
    "no time": (SCORE | {"event_timestamp": "soon"}, {"score": 0.0}),
    "no id": (SCORE | {"event_id": ["x"]}, {"score": 0.0}),
    "an id with half a character": (
        b'{"profile_id":"c","follower_handle":"ravi_9","follower_full_name":"R","event_id":"\\ud83d"}',
        {"score": 0.0},
    ),
    "known by an id alone": (
        {"profile_id": "c", "follower_profile_id": 5, "follower_handle": "x" * 301},
        {"follower_profile_id": "5", "follower_handle": "", "score": None},
    ),
}


@pytest.mark.parametrize("what", ODD)
async def test_an_odd_follower_is_a_row_and_no_dead_letter(ground: Ground, what: str) -> None:
    line, told = ODD[what]
    delivery = ground.delivery(line, SCORE)
    assert await ground.batches.handle([delivery, delivery]) == 2
    odd, neighbour = ground.events()
    assert told.items() <= odd.items() and ground.reasons() == []
    assert neighbour["score"] == 0.0


async def test_a_row_without_a_score_tells_what_was_odd_of_the_message(ground: Ground) -> None:
    await ground.batches.handle([ground.delivery(SCORE | {"follower_full_name": "", "follower_profile_id": [5]})])
    (event,) = ground.events()
    assert event["refused"] == "it has no name ($.follower_profile_id should be an id, got a list)"


async def test_a_line_too_long_to_be_decoded_is_a_dead_letter_unread(ground: Ground) -> None:
    """To decode a million empty lists takes thirty times their bytes, and a second in which nothing else runs."""
    endless = b'{"profile_id":"c","follower_handle":"a","extra":[' + b"[]," * (EVENT_BYTES_MAX // 3) + b"0]}"
    assert await ground.batches.handle([ground.delivery(endless, SCORE)]) == 1
    (reason,) = ground.reasons()
    assert reason.endswith("bytes, and a follower at most 1,048,576")


@pytest.mark.parametrize("what", BROKEN)
async def test_a_broken_message_is_a_dead_letter_and_its_neighbours_are_scored(ground: Ground, what: str) -> None:
    line, reason = BROKEN[what]
    assert await ground.batches.handle([ground.delivery(line), ground.delivery(SCORE)]) == 1
    (told,) = ground.reasons()
    assert reason in told
    assert len(ground.events()) == 1


async def test_who_is_to_be_forgotten_is_passed_over(ground: Ground) -> None:
    ground.erased = Leaving("INSTAGRAM", frozenset({"gone"}), frozenset({"gone_too"}))
    lines = [
        SCORE | {"profile_id": "gone"},
        SCORE | {"follower_profile_id": "gone"},
        SCORE | {"follower_handle": "Gone_Too"},
        SCORE | {"follower_handle": "gone_too", "follower_profile_id": "another"},
    ]
    assert await ground.batches.handle([ground.delivery(*lines)]) == 1
    assert [event["follower_profile_id"] for event in ground.events()] == ["another"]
    assert ground.reasons() == []


async def test_who_is_to_be_forgotten_while_workers_score_is_not_told_of_either() -> None:
    async def before() -> None:
        ground.erased = Leaving("INSTAGRAM", frozenset(), frozenset({"gone"}))

    ground = Ground(FakeWorkers(before))
    assert await ground.batches.handle([ground.delivery(SCORE, SCORE | {"follower_handle": "gone"})]) == 1
    assert [event["follower_handle"] for event in ground.events()] == ["ravi_9"]
    assert not ground.batches._known


async def test_who_is_to_be_forgotten_is_in_no_dead_letter_either(ground: Ground) -> None:
    """A letter stays for ever; and of the erased no handle leads to an id any more."""
    ground.erased = Leaving("INSTAGRAM", frozenset(), frozenset({"gone"}))
    by_handle = {"follower_handle": "ravi_9", "follower_full_name": "Ravi"}
    lines = [by_handle | {"handle": "Gone"}, {"handle": "never_crawled", "follower_handle": "gone"}]
    assert await ground.batches.handle([ground.delivery(*lines)]) == 0
    assert ground.events() == [] and ground.reasons() == []


async def test_whom_a_newer_version_is_to_score_again_ours_leaves(ground: Ground) -> None:
    """Its answer would be what stands, and the newer one would ask for ever."""
    newer = int(SCORER_VERSION) + 1
    lines = [SCORE | {"follower_handle": f"f_{version}", "again_for": version} for version in (newer - 1, newer)]
    assert await ground.batches.handle([ground.delivery(*lines)]) == 1
    assert [event["follower_handle"] for event in ground.events()] == [f"f_{newer - 1}"]
    assert ground.reasons() == [] and ground.tally.overview()["left"] == 1


async def test_more_than_is_remembered_is_scored_too(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "REMEMBERED_MAX", 10)
    with trio.fail_after(10):
        assert await ground.batches.handle([ground.delivery(*many(1200))]) == 1200
    assert not ground.batches._known


async def test_a_message_of_too_many_is_a_dead_letter_as_a_whole(ground: Ground) -> None:
    huge = ground.delivery(*[b"x"] * (MESSAGE_LINES_MAX + 1))
    assert await ground.batches.handle([huge, ground.delivery(SCORE)]) == 1
    (reason,) = ground.reasons()
    assert "more than 20,000 lines: send them in several messages" in reason


async def test_where_no_process_can_be_started_nobody_is_refused(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_process(*given: Any, **how: Any) -> Any:
        await trio.lowlevel.checkpoint()
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    async with open_workers(1, idle_s=60, slow_s=60) as workers:
        monkeypatch.setattr(workers, "_context", SimpleNamespace(run_sync=no_process))
        monkeypatch.setattr(ground.batches, "_scorers", workers)
        with pytest.raises(Transient, match="no process that scores can be started"):
            await ground.batches.handle([ground.delivery(SCORE)])
    assert ground.events() == []


async def test_the_one_over_whom_workers_die_is_refused_and_all_others_are_scored(ground: Ground) -> None:
    poison = SCORE | {"follower_handle": f"{KILLS}all"}
    lines = [*many(700), poison, *many(300, follower_full_name="B")]
    lines = [line | {"event_id": str(uuid.UUID(int=number + 1))} for number, line in enumerate(lines)]
    assert await ground.batches.handle([ground.delivery(*lines)]) == 1001
    events = {event["follower_handle"]: event for event in ground.events()}
    refused = events.pop(poison["follower_handle"])
    assert refused["score"] is None
    told = f"{len(SLICES)} workers were lost over it, the last 2 over it alone: WorkerDied"
    assert refused["refused"].startswith(told)
    assert all(event["score"] is not None for event in events.values())
    assert ground.tally.overview()["lost"] == {"killed": len(SLICES)}
    assert len(ground.workers.slices) < 60


async def test_a_worker_that_is_killed_costs_nothing_but_its_time(ground: Ground) -> None:
    struck = [True, False, True]

    async def before() -> None:
        if struck and struck.pop():
            raise WorkerDied("the process that scored ended (exit code -9)")

    ground = Ground(FakeWorkers(before))
    assert await ground.batches.handle([ground.delivery(*many(1200))]) == 1200
    assert len({event["event_id"] for event in ground.events()}) == 1200
    assert ground.tally.overview()["lost"] == {"killed": 2}


async def test_what_is_known_is_not_asked_again_after_a_commit_that_failed(ground: Ground) -> None:
    delivery = ground.delivery(*many(900))
    ground.fails = 1
    with pytest.raises(Transient):
        await ground.batches.handle([delivery])
    assert ground.events() == [] and ground.tally.overview()["scored"] == {}
    assert await ground.batches.handle([delivery]) == 900
    assert sorted(ground.workers.slices) == [400, 500]
    assert len(ground.events()) == 900


async def test_a_batch_that_is_cut_short_goes_on_where_it_was(autojump_clock: trio.testing.MockClock) -> None:
    slow: list[float] = [0.0, 60.0]

    async def before() -> None:
        await trio.sleep(slow.pop() if slow else 0.0)

    ground = Ground(FakeWorkers(before))
    delivery = ground.delivery(*many(1000))
    with trio.move_on_after(20):
        await ground.batches.handle([delivery])
    assert ground.events() == []
    assert await ground.batches.handle([delivery]) == 1000
    assert sum(ground.workers.slices) == 1500


async def test_where_workers_end_whomever_they_score_nobody_is_refused(ground: Ground) -> None:
    """As on a machine without memory: a refusal would stand until the next version."""

    async def before() -> None:
        raise WorkerDied("the process that scored ended (exit code -9)")

    ground = Ground(FakeWorkers(before))
    ground.workers.troubled = "the process that scored ended (exit code -9)"
    delivery = ground.delivery(*many(3))
    for _ in range(3 * len(SLICES)):
        with pytest.raises(Transient, match=r"not even a harmless follower is scored: the process .* \(exit code -9\)"):
            await ground.batches.handle([delivery])
    assert ground.events() == []
    well = FakeWorkers()
    ground.batches._scorers = well
    assert await ground.batches.handle([delivery]) == 3
    assert well.slices == [3], "none of them is suspected of anything"


async def test_what_is_cut_short_before_it_is_known_whose_fault_it_was_goes_on_all_the_same(
    ground: Ground, autojump_clock: trio.testing.MockClock
) -> None:
    """Of two that hang the second one may take the rest of a batch's time."""
    delivery = ground.delivery(*many(2), SCORE | {"follower_handle": f"{KILLS}all"})
    known = ground.workers.trouble

    async def never() -> str | None:
        await trio.sleep_forever()

    ground.workers.trouble = never  # type: ignore[method-assign]
    for _ in range(2 * len(SLICES)):
        with trio.move_on_after(20):
            await ground.batches.handle([delivery])
    assert ground.events() == [], "nobody is refused by it"
    assert len([size for size in ground.workers.slices if size == 3]) == 3, "they have got on"
    ground.workers.trouble = known  # type: ignore[method-assign]
    assert await ground.batches.handle([delivery]) == 3
    assert [event["score"] for event in ground.events()] == [0.0, 0.0, None]


async def test_an_id_that_others_have_too_costs_no_follower_its_answer(ground: Ground) -> None:
    """Some send one for all lines of a message."""
    lines = [line | {"event_id": "request-7"} for line in many(3)]
    first = ground.delivery(*lines)
    await ground.batches.handle([first, first])
    events = ground.events()
    assert [event["follower_handle"] for event in events] == ["f_0", "f_1", "f_2"]
    assert len({event["event_id"] for event in events}) == 3
    assert ground.reasons() == []


async def test_of_a_commit_that_failed_no_answer_goes_to_another_who_has_the_same_id(ground: Ground) -> None:
    fake, real = SCORE | {"follower_handle": "f_12345"}, SCORE
    ground.fails = 1
    with pytest.raises(Transient):
        await ground.batches.handle([ground.delivery(fake | {"event_id": "request-7"})])
    await ground.batches.handle([ground.delivery(real | {"event_id": "request-7"})])
    (event,) = ground.events()
    assert (event["follower_handle"], event["score"]) == ("ravi_9", 0.0)


async def test_a_scorer_that_raises_refuses_that_one_alone(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ground.workers.score

    async def score(followers: list[Any]) -> Any:
        if any(each.handle == "f_3" for each in followers):
            raise ZeroDivisionError("nobody expects it")
        return await real(followers)

    monkeypatch.setattr(ground.workers, "score", score)
    assert await ground.batches.handle([ground.delivery(*many(9))]) == 9
    refused = [event for event in ground.events() if event["score"] is None]
    assert [event["follower_handle"] for event in refused] == ["f_3"]
    assert "ZeroDivisionError: nobody expects it" in refused[0]["refused"]
    assert ground.actor.bugs == len(SLICES)


def test_a_route_leads_from_the_scorer_to_its_table() -> None:
    assert CREATOR_FOLLOWER_SCORE.route == Route("beat.dx", "creator_out")

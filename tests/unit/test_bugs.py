"""An unexpected exception stays where it was met, is told once, and can be shown whatever it says."""

import json

import msgspec
import pytest
import structlog.testing
import trio
import trio.testing

from gcc.actors import bugs
from gcc.actors.maintenance import Maintenance
from gcc.cli import logs
from gcc.clock import VirtualClock
from gcc.config import Settings
from gcc.errors import Transient
from gcc.supervisor.lifecycle import Actor, Board, State, one_line


class Bug(Exception):
    """What no contract names."""


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("broken itself")


@pytest.fixture
def actor() -> Actor:
    return Board(VirtualClock(seed=1).now).actor("a")


@pytest.mark.parametrize(
    "error", [Bug("half \ud83d"), Bug("nul \0"), Bug("a\nb\x85c"), Mute(), Bug("x" * 100_000)], ids=type
)
async def test_whatever_it_says_can_be_logged_shown_and_stored(actor: Actor, error: Exception) -> None:
    with structlog.testing.capture_logs() as logged, bugs.contained(actor, job="7"):
        raise error
    assert [(log["event"], log["job"], log["exc_info"]) for log in logged] == [("bug", "7", error)]
    assert (actor.bugs, actor.failed) == (1, 1)
    for text in (one_line(error), actor.last_error, actor.last_stack):
        assert text and "\0" not in text
        assert json.loads(msgspec.json.encode(text)) == text
    assert "\n" not in one_line(error) and len(one_line(error)) <= 500


async def test_no_secret_in_its_text_is_shown_stored_or_logged(
    actor: Actor, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(Settings())
    try:
        try:
            raise Bug("https://graph.example/me?access_token=EAAB0123456789&fields=id")
        except Bug as error:
            told = bugs.told(actor, error, job="7")
    finally:
        structlog.reset_defaults()
    logged = capsys.readouterr().err
    assert "fields=id" in told and "fields=id" in logged and "test_bugs.py" in logged
    for text in (told, actor.last_error, actor.last_stack, logged, actor._board.errors[-1].values()):
        assert text and "EAAB" not in str(text)


async def test_a_cancellation_passes_and_what_came_with_it_is_told(actor: Actor) -> None:
    async def raise_when_cancelled() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise Bug("while cancelled")

    with structlog.testing.capture_logs() as logged, trio.CancelScope() as scope:
        with bugs.contained(actor):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(raise_when_cancelled)
                nursery.start_soon(trio.sleep_forever)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        raise AssertionError("the cancellation did not pass")
    assert (scope.cancelled_caught, len(logged), actor.last_error) == (True, 1, "Bug: while cancelled")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)], ids=repr)
async def test_what_is_no_exception_of_programs_passes(actor: Actor, error: BaseException) -> None:
    with pytest.raises(type(error)), bugs.contained(actor):
        raise error
    with pytest.raises(BaseExceptionGroup) as raised, structlog.testing.capture_logs(), bugs.contained(actor):
        raise BaseExceptionGroup("both", [error, Bug("beside")])
    assert raised.value.exceptions == (error,)
    assert actor.last_error == "Bug: beside"


@pytest.mark.parametrize("error", [Bug("always"), Transient("away")], ids=repr)
async def test_a_chore_that_always_fails_leaves_the_others_their_turns(
    autojump_clock: trio.testing.MockClock, actor: Actor, error: Exception
) -> None:
    rounds = {"before": 0, "after": 0}

    async def before() -> int:
        rounds["before"] += 1
        return 1

    async def fails() -> int:
        raise error

    async def after() -> int:
        rounds["after"] += 1
        return 1

    maintenance = Maintenance([before, fails, after], actor, VirtualClock(seed=1).rng, every_s=30)
    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            await nursery.start(maintenance.run)
            await trio.sleep(301)
            assert actor.state is (State.RUNNING if isinstance(error, Bug) else State.BACKOFF)
            nursery.cancel_scope.cancel()
    assert rounds["before"] == rounds["after"] >= 11
    assert {log.get("chore") for log in logs} == ({"fails"} if isinstance(error, Bug) else set())

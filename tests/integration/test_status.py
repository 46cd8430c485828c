"""What `status` shows in a terminal: what works or is in trouble has a line, what is idle and well shares one."""

from rich.console import Console

from gcc.channels.exchange import QueueDepth
from gcc.cli.status import screen
from gcc.errors import Transient
from gcc.pipelines.events.types import EVENT_TYPES
from gcc.supervisor.lifecycle import State
from gcc.web.ops.snapshot import Composer
from tests.integration.ops_platform import IDLE_QUEUES, WORKING, World


async def shown(world: World) -> list[str]:
    composer = Composer(world.platform())
    composer._counts = await world.count()
    console = Console(width=160)
    with console.capture() as capture:
        console.print(screen(composer.status(), "http://127.0.0.1:8010"))
    return [line.strip() for line in capture.get().splitlines()]


async def test_idle_sinkers_and_what_they_take_from_share_a_line() -> None:
    world = World()
    idle = len(EVENT_TYPES) - len(WORKING)
    lines = await shown(world)
    assert len(lines) < 50
    assert any(line.startswith(f"events/{idle} idle sinkers") for line in lines)
    assert any(
        line.split() == [str(idle + len(IDLE_QUEUES)), *["idle", "channels", "and", "queues", "0"]] for line in lines
    )
    assert any(line.split()[:6] == ["events/sinker", "post_log", "backoff", "2", "0", "2,000"] for line in lines)
    assert not any("order_log" in line for line in lines)

    world.board.actor("events/sinker order_log").processed(1)
    world.board.actor("events/sinker asset_log").erred(Transient("away"))
    world.board.actor("events/sinker event").state = State.PAUSED
    world.set_counts(queues=[*world.counts.queues, QueueDepth("a_queue", 7, 0, 1.0)])
    lines = await shown(world)
    assert any(line.startswith(f"events/{idle - 3} idle sinkers") for line in lines)
    for name in ("sinker order_log", "sinker asset_log", "sinker event", "order_log_events_q", "a_queue"):
        assert any(name in line for line in lines), name
    world.close()

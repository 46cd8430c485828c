"""Dead letters on the real process: buried, listed, mended, replayed by the command line, killed in between."""

import signal
import uuid
from pathlib import Path

from gcc.channels.message import Frame, Route
from gcc.clock import SystemClock
from gcc.pipelines.events.types import POST_LOG, PostLog, encode, timestamp
from gcc.stores import outbox
from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.stores.postgres import Pool
from tests.clusters import started_before
from tests.process import PlatformProcess, Status, platform, verb

SETTINGS = ("world.creators=2", "world.history_days=1", "sinker.batch_age_s=0.3")
LATE = Route("beat.dx", "late")
LETTERS = 40
BIND = "insert into binding (exchange, routing_key, queue) values (%s, %s, %s)"


def post(number: int) -> bytes:
    clock = SystemClock()
    return encode(
        PostLog(
            event_id=str(clock.new_id()), event_timestamp=timestamp(clock.now()), source="s", platform="INSTAGRAM",
            profile_id="1", handle="h", metrics={"likes": number}, dimensions={}, shortcode=f"late{number}",
        )
    )  # fmt: skip


async def waiting(running: PlatformProcess, letters: int) -> None:
    """Until so many letters wait, and nothing is on its way."""

    async def so(status: Status) -> bool:
        queued = sum(use["used"] for use in status["channels"] if use["kind"] == "queue")
        crawled = status["jobs"].get("PENDING", 0) + status["jobs"].get("PROCESSING", 0) == 0
        told = status["dead_letters"]
        return bool(crawled and told and told["letters"] == letters and queued == 0 and status["stored_lag_s"] == 0)

    await running.until(so, f"{letters} dead letters at rest")


async def test_letters_are_replayed_once_through_a_kill_when_their_queue_is_there(tmp_path: Path) -> None:
    data = await started_before(tmp_path / "data")
    pool = Pool(EmbeddedPostgres(data, fsync=False).conninfo, 1, name="test")
    async with platform(data, *SETTINGS) as running:
        await waiting(running, 0)
        async with pool.transaction() as conn:
            await outbox.put(conn, [Frame(uuid.uuid4(), LATE, 1, post(number)) for number in range(LETTERS)])
        await waiting(running, LETTERS)
        code, listed, _ = await verb("dead-letters", data, "--queue", "unroutable", settings=SETTINGS)
        assert (code, listed["total"], len(listed["groups"])) == (0, LETTERS, 1)
        async with pool.connection() as conn:
            await conn.execute(BIND, (LATE.exchange, LATE.key, POST_LOG.queue))
        code, done, _ = await verb(
            "replay", data, "--reason", "late", "--limit", "25", "--why", "bound", settings=SETTINGS
        )
        assert (code, done["letters"]) == (0, 25)
        await running.stop(signal.SIGKILL)
    async with platform(data, *SETTINGS) as running:
        await waiting(running, LETTERS - 25)
        for expected in (LETTERS - 25, 0):
            code, done, _ = await verb("replay", data, "--reason", "late", "--why", "the rest", settings=SETTINGS)
            assert (code, done["letters"]) == (0, expected)
        await waiting(running, 0)
        code, after, stderr = await verb("check", data, settings=SETTINGS)
        assert (code, after["missing"], after["doubled"], after["dead_lettered"]) == (0, 0, 0, 0), stderr
        assert after["events_stored"] == after["events_emitted"] + LETTERS, "no job of ours emitted these"
    await pool.aclose()

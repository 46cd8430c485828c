"""The whole platform runs a job that was asked for before it was killed, and tells a receiver of its end, once."""

import csv
import io
import json
import signal
import uuid
from pathlib import Path

from tests.clusters import started_before
from tests.integration.test_webhooks import receiving
from tests.process import Status, platform

EXPORT = "/leaderboard-service/api/leaderboard/platform/INSTAGRAM/export"
SMALL = ("world.creators=3", "world.history_days=35", "webhooks.allow_private=true")


async def test_a_platform_killed_with_a_job_in_hand_ends_it_in_its_next_life(tmp_path: Path) -> None:
    key = {"idempotency-key": str(uuid.uuid4())}
    async with receiving() as (receiver, url):
        async with platform(await started_before(tmp_path), *SMALL) as first:
            webhook = {"url": url, "events": ["job.completed", "job.failed"]}
            assert (await first.api("POST", "/identity-service/api/webhooks", json=webhook)).status_code == 201
            begun = await first.api("POST", EXPORT, json={}, headers=key)
            assert begun.status_code == 202, begun.text
            assert await first.stop(signal.SIGKILL) == -signal.SIGKILL
        async with platform(tmp_path, *SMALL) as second:
            again = await second.api("POST", EXPORT, json={}, headers=key)
            assert again.content == begun.content, "the same job, though nobody read the first answer"
            path = again.headers["location"]

            async def ended(status: Status) -> str:
                state = str((await second.api("GET", path)).json()["data"]["state"])
                return "" if state in ("PENDING", "RUNNING") else state

            state = await second.until(ended, "the end of the job")
            await receiver.wait_for(1)
            file = await second.api("GET", f"{path}/download")
            assert await second.stop() == 0
    (post,) = receiver.posts
    told = json.loads(post[1])
    kind = {"COMPLETE": "job.completed", "FAILED": "job.failed"}[state]  # without a leaderboard yet it cannot be done
    assert (told["type"], told["data"]) == (kind, {"job_id": path.rpartition("/")[2], "kind": "leaderboard_export"})
    if state == "COMPLETE":
        assert len(list(csv.reader(io.StringIO(file.text)))) == 1 + 3
    else:
        assert file.status_code == 404

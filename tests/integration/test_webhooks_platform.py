"""The whole platform tells a receiver on this machine, as its configuration allows, also after it was killed."""

import base64
import hmac
import signal
from pathlib import Path

import trio

from tests.clusters import started_before
from tests.integration.test_webhooks import receiving
from tests.process import platform

WEBHOOKS = "/identity-service/api/webhooks"
SMALL = ("world.creators=1", "world.history_days=1", "webhooks.allow_private=true")


async def test_a_platform_killed_while_it_posts_posts_again(tmp_path: Path) -> None:
    async with receiving() as (receiver, url):
        receiver.answers = [0]
        async with platform(await started_before(tmp_path), *SMALL) as first:
            made = await first.api("POST", WEBHOOKS, json={"url": url, "events": ["webhook.test"]})
            assert made.status_code == 201, made.text
            webhook = made.json()["data"]
            told = await first.api("POST", f"{WEBHOOKS}/{webhook['id']}/test")
            await receiver.wait_for(1)
            assert await first.stop(signal.SIGKILL) == -signal.SIGKILL
        async with platform(tmp_path, *SMALL) as second:
            await receiver.wait_for(2)
            with trio.fail_after(30):
                while True:
                    listed = await second.api("GET", f"{WEBHOOKS}/{webhook['id']}/deliveries")
                    (delivery,) = listed.json()["data"]
                    if delivery["status"] == "DELIVERED":
                        break
                    await trio.sleep(0.1)
            assert await second.stop() == 0
    key = base64.b64decode(webhook["secret"].removeprefix("whsec_"))
    assert (delivery["event_id"], delivery["attempts"]) == (told.json()["data"]["event_id"], 2)
    for headers, body in receiver.posts:
        assert headers["webhook-id"] == delivery["event_id"]
        text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.digest(key, text, "sha256")).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"

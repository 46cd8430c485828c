"""Alerts: trouble that somebody should know of, sent to a webhook of the settings.

In: `Trouble` of schedules, and of data that is too old. Out: a frame in the outbox each, fenced by the term; its
consumer posts it, signed, to `alerts.url` and nowhere else: no redirect is followed, and what comes back is not read.
What the webhook does not take now is tried again as any frame is; what it refuses, and what could not be sent within a
day, is a dead letter. Without an address there are none: schedules and their log tell the same.

A post is a JSON object of id, kind, subject, at and reason. `X-Gcc-Signature: v1=HEX` is HMAC-SHA256, under
`alerts.secret`, of the timestamp of `X-Gcc-Timestamp`, a dot and the raw body: who checks it refuses old timestamps.
An alert may come twice, with the same id.
"""

import datetime as dt
import hashlib
import hmac
from collections import deque
from collections.abc import Sequence

import msgspec

from gcc.actors.leader import Leader
from gcc.actors.scheduler import Trouble
from gcc.channels.deadletters import Burial, DeadLetters
from gcc.channels.message import Delivery, Frame
from gcc.clock import Clock
from gcc.config import Alerts as AlertSettings
from gcc.errors import Transient
from gcc.pipelines.events.reading import lines
from gcc.pipelines.events.routes import ALERT
from gcc.sources.http import Fetcher, Request
from gcc.sources.outbound import NotAllowed
from gcc.stores import outbox
from gcc.stores.leadership import as_leader
from gcc.stores.postgres import Pool

ANSWER_S = 10.0
TOO_LATE_S = 86_400.0
REASON_CHARS_MAX = 2000
SENT_KEPT = 1000
"""So many ids are remembered, so that a batch of which one was not taken repeats none of the others."""
NOT_NOW = (408, 425, 429)


class Alert(msgspec.Struct):
    id: str
    kind: str
    subject: str
    at: dt.datetime
    reason: str


class Alerts:
    """Puts trouble on its way. See `gcc.actors.scheduler.Tell`. LeaseLost: this process does not lead any more."""

    def __init__(self, pool: Pool, leader: Leader, clock: Clock, settings: AlertSettings) -> None:
        self._pool = pool
        self._leader = leader
        self._clock = clock
        self._on = bool(settings.url)

    async def tell(self, trouble: Trouble) -> None:
        if not self._on:
            return
        alert = Alert(
            str(self._clock.new_id()),
            trouble.kind,
            trouble.schedule,
            trouble.at,
            trouble.reason.replace("\0", "")[:REASON_CHARS_MAX],
        )
        frame = Frame(self._clock.new_id(), ALERT, 1, msgspec.json.encode(alert), counted=0)
        async with as_leader(self._pool, self._leader) as connection:
            await outbox.put(connection, [frame])


class Webhook:
    """The consumer of alert_q. Transient: the webhook does not answer, or not now."""

    def __init__(self, fetcher: Fetcher, dead_letters: DeadLetters, clock: Clock, settings: AlertSettings) -> None:
        self._fetcher = fetcher
        self._dead_letters = dead_letters
        self._clock = clock
        self._settings = settings
        self._sent: deque[str] = deque(maxlen=SENT_KEPT)

    async def handle(self, batch: Sequence[Delivery]) -> int:
        burials, sent = [], 0
        for delivery in batch:
            for _, line in lines(delivery.frame.body):
                if why := await self._post(line):
                    burials.append(Burial(delivery.queue, delivery.frame, line, 1, why, 0))
                else:
                    sent += 1
        await self._dead_letters.bury(burials)
        return sent

    async def _post(self, line: bytes) -> str:
        """Send one; why it will never be taken, or ''."""
        try:
            alert = msgspec.json.decode(line, type=Alert)
        except (msgspec.DecodeError, RecursionError) as error:
            return f"it is no alert: {error}"
        if alert.id in self._sent:
            return ""
        now = self._clock.now()
        if not self._settings.url:
            return "alerts.url is not set any more"
        if alert.at.tzinfo is None or (now - alert.at).total_seconds() > TOO_LATE_S:
            return "it could not be sent within a day"
        try:
            status = (await self._fetcher.fetch(self._request(line, int(now.timestamp())))).status
        except NotAllowed as error:
            return f"alerts.url: {error}"
        if status >= 500 or status in NOT_NOW:
            raise Transient(f"the webhook of alerts.url answers {status}")
        if not 200 <= status < 300:
            return f"the webhook of alerts.url answers {status}"
        self._sent.append(alert.id)
        return ""

    def _request(self, body: bytes, at: int) -> Request:
        headers = {
            "content-type": "application/json",
            "x-gcc-timestamp": str(at),
            "x-gcc-signature": f"v1={signature(self._settings.secret, at, body)}",
        }
        url = self._settings.url
        return Request("alerts", "POST", url, headers=headers, timeout_s=ANSWER_S, body=body, head_only=True)


def signature(secret: str, at: int, body: bytes) -> str:
    """Of a body sent at that second of the epoch, in hexadecimal."""
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()

"""Delivers what is due to the endpoints of tenants.

In: deliveries, leased from PostgreSQL. Out: posts, each signed, and what became of them: taken (2xx), to be tried
again, or given up. At least once, in no order: who dies between a post and its result posts again, with the same id.
Many are under way at once, two to an endpoint (gcc/stores/webhooks.py), so one that hangs holds up no other.
At drain what is under way is finished, which takes no longer than ANSWER_S and a statement.
"""

from typing import Protocol

import trio

from gcc.actors import bugs
from gcc.actors.gates import ALWAYS_OPEN, Gate
from gcc.actors.patience import Patience
from gcc.actors.taking import take_on
from gcc.channels.memory import Signal
from gcc.clock import Clock
from gcc.errors import Permanent, Transient
from gcc.pipelines.webhooks.retries import retry_s
from gcc.pipelines.webhooks.signing import Secrets, signed
from gcc.sources.http import Fetcher, Request
from gcc.stores.webhooks import CLAIMED_MAX, LEASE_S, Due
from gcc.supervisor.drain import Stage
from gcc.supervisor.lifecycle import Actor, one_line

ANSWER_S = 10.0
POLL_S = 1.0
"""What others let arrive, and what is to be tried again, is found so late."""
TELL_S = LEASE_S - ANSWER_S
"""So long a result is tried to be stored: later another posts anyway."""
GONE = 410


class Webhooks(Protocol):
    """See `gcc.stores.webhooks.PostgresWebhooks`."""

    async def claim(self, room: int) -> list[Due]: ...

    async def delivered(self, due: Due, answered: int) -> None: ...

    async def failed(
        self, due: Due, error: str, *, answered: int | None, retry_s: float | None, gone: bool = False
    ) -> None: ...


class Deliverer:
    """`gate` closed is a pause. `arrived`: something new is due."""

    def __init__(
        self,
        webhooks: Webhooks,
        fetcher: Fetcher,
        secrets: Secrets,
        clock: Clock,
        *,
        arrived: Signal,
        actor: Actor,
        stage: Stage,
        gate: Gate = ALWAYS_OPEN,
    ) -> None:
        self._webhooks = webhooks
        self._fetcher = fetcher
        self._secrets = secrets
        self._clock = clock
        self._arrived = arrived
        self._actor = actor
        self._stage = stage
        self._gate = gate

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the stage has begun and what was claimed is posted."""
        await take_on(
            self._webhooks.claim,
            self._deliver,
            at_once=CLAIMED_MAX,
            poll_s=POLL_S,
            news=self._arrived,
            actor=self._actor,
            stage=self._stage,
            gate=self._gate,
            rng=self._clock.rng,
            task_status=task_status,
        )

    async def _deliver(self, due: Due) -> None:
        answered, error = await self._post(due)
        with trio.move_on_after(TELL_S):
            await self._tell(due, answered, error)

    async def _post(self, due: Due) -> tuple[int | None, str]:
        """The status of the answer, if one came, and why the event was not taken, or ''."""
        now = self._clock.now()
        secrets = self._secrets.valid(due.endpoint_id, due.generation, due.rotated_at, now)
        headers = {
            "content-type": "application/json",
            **signed(due.event_id, int(now.timestamp()), due.body, secrets),
        }
        request = Request(
            "webhooks", "POST", due.url, headers=headers, timeout_s=ANSWER_S, body=due.body, head_only=True
        )
        try:
            status = (await self._fetcher.fetch(request)).status
        except (Transient, Permanent) as error:
            return None, one_line(str(error))
        except Exception as error:
            return None, f"{bugs.CODE}: {bugs.told(self._actor, error, delivery=str(due.id))}"
        return status, "" if 200 <= status < 300 else f"it answered {status}"

    async def _tell(self, due: Due, answered: int | None, error: str) -> None:
        patience = Patience(self._actor, self._clock.rng)
        while True:
            try:
                if error:
                    wait_s = None if answered == GONE else retry_s(due.failures + 1, self._clock.rng)
                    gone = answered == GONE
                    await self._webhooks.failed(due, error, answered=answered, retry_s=wait_s, gone=gone)
                else:
                    assert answered is not None, "only an answer takes an event"
                    await self._webhooks.delivered(due, answered)
            except Transient as trouble:
                await patience.wait_after(trouble)
            else:
                patience.reset()
                self._actor.processed()
                return

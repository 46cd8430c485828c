"""What a partner is told of a job of its own that has ended: job.completed, job.failed."""

import uuid
from collections.abc import Sequence

from gcc.channels.api_jobs import State, Told
from gcc.channels.message import Frame
from gcc.clock import Clock
from gcc.pipelines.webhooks.events import JOB_COMPLETED, JOB_FAILED, framed


def told_of(clock: Clock) -> Told:
    def told(partner_id: int, job_id: uuid.UUID, kind: str, state: State) -> Sequence[Frame]:
        type = JOB_COMPLETED if state == "COMPLETE" else JOB_FAILED
        _, frame = framed(clock, type, partner_id, {"job_id": str(job_id), "kind": kind})
        return [frame]

    return told

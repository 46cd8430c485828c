"""The flows that keep credentials alive, and who enqueues them: renewed before they end, probed when somebody asks.

They are ours, beside the flows that scrape. A probe that finds one dead tells the identity service.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import msgspec
import structlog
from pydantic import StringConstraints

from gcc.channels.jobs import Jobs, NewJob
from gcc.channels.message import NewId, frames
from gcc.clock import Clock
from gcc.pipelines.events.routes import ACCESS_TOKEN_EXPIRED
from gcc.pipelines.scraping.flow import OF_EVERY_JOB, Flow, Params, Retrieve
from gcc.pipelines.scraping.yields import Yield
from gcc.pipelines.webhooks.events import connection_expired
from gcc.sources.chain import Probed, Visit
from gcc.sources.tokens.client import Renewed, TokenApi
from gcc.sources.tokens.renewals import RENEWALS, SOURCE
from gcc.sources.verdicts import Unserved
from gcc.stores.connections import PostgresGrants
from gcc.stores.vault import Vault

INTERNAL = "INTERNAL"
REFRESH, PROBE = "refresh_credential", "probe_credential"
PRIORITY = 50  # below those that somebody waits for, above all crawls: without tokens none of them goes on
AGAIN_S = 600.0  # a renewal that failed is asked for again
TOLD_S = 7 * 86_400.0  # what only a person can renew is told so long before its end
PROBED = ("graphapi", "ytapi")

log = structlog.get_logger()

Name = Annotated[str, StringConstraints(min_length=1, max_length=300)]


class CredentialParams(Params):
    """`source` and the name of one of its credentials."""

    source: Name
    credential: Name


async def _renew(api: TokenApi, params: CredentialParams, visit: Visit) -> Renewed:
    return await api.renew(params.source, params.credential, visit)


def _probe_of(source: str) -> Retrieve:
    async def probe(api: Any, params: CredentialParams, visit: Visit) -> Probed:
        if params.source != source:
            raise Unserved(f"it is a credential of {params.source}")
        found: Probed = await api.probe(params.credential, visit)
        return found

    return probe


def of_renewal(renewed: Renewed, new_id: NewId) -> Yield:
    ends = renewed.expires_at and renewed.expires_at.isoformat()
    return Yield([], [], {"renewed": renewed.is_new, "expires_at": ends})


def of_probe(probed: Probed, new_id: NewId) -> Yield:
    """A dead one is told to the identity service; what it was is not in the event."""
    credential, told = probed.credential, {"alive": probed.alive, "reason": probed.reason}
    if probed.alive:
        return Yield([], [], told)
    event = {
        "event_id": str(new_id()),
        "source": credential.source,
        "handle": credential.handle,
        "account": credential.account,
        "reason": probed.reason,
    }
    told_to_others = frames(ACCESS_TOKEN_EXPIRED, [msgspec.json.encode(event)], new_id)
    return Yield([], [replace(frame, counted=0) for frame in told_to_others], told)  # no store of ours gets them


def _flow(name: str, chain: Mapping[str, Retrieve], yields: Any) -> Flow:
    return Flow(
        name, INTERNAL, CredentialParams, chain, yields, workers=1, events=OF_EVERY_JOB, tables=(), capability="owner"
    )  # fmt: skip


FLOWS: Sequence[Flow] = (
    _flow(REFRESH, {SOURCE: _renew}, of_renewal),
    _flow(PROBE, {source: _probe_of(source) for source in PROBED}, of_probe),
)


def renewal_of(source: str, handle: str) -> NewJob:
    params = {"source": source, "credential": handle}
    return NewJob(REFRESH, INTERNAL, params, key=f"renew:{source}:{handle}", priority=PRIORITY)


def probe_of(source: str, handle: str) -> NewJob:
    params = {"source": source, "credential": handle}
    return NewJob(PROBE, INTERNAL, params, key=f"probe:{source}:{handle}", priority=PRIORITY)


class Renewals:
    """The producer: a renewal for each whose end is near; what only people can renew is told. Connections whose token
    was found dead, by a crawl or a renewal, expire."""

    def __init__(self, vault: Vault, jobs: Jobs, grants: PostgresGrants, clock: Clock) -> None:
        self._vault = vault
        self._jobs = jobs
        self._grants = grants
        self._clock = clock

    async def __call__(self) -> dict[str, Any]:
        rules = {kind: (renewal.near_s, renewal.age_s, renewal.revives) for kind, renewal in RENEWALS.items()}
        due = await self._vault.due(rules, AGAIN_S)
        enqueued = await self._jobs.enqueue([renewal_of(source, handle) for source, handle in due])
        ending = await self._vault.ending(list(RENEWALS), TOLD_S)
        for source, handle, kind, ends_at in ending:
            log.warning("credential ends", source=source, credential=handle, kind=kind, ends_at=ends_at.isoformat())
        expired = await self._grants.expire(await self._grants.dead(), partial(connection_expired, self._clock))
        await self._grants.prune()
        return {"enqueued": sum(job.inserted for job in enqueued), "ending": len(ending), "expired": expired}

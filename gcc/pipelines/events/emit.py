"""From what happened to encoded events: a crawl's snapshot, an attempt's traces, a job's new status."""

import socket
import uuid
from collections.abc import Iterable

from gcc.channels.jobs import Job
from gcc.channels.message import Frame, NewId, Route, frames
from gcc.clock import Clock
from gcc.pipelines.events.schemas import PostLog, ProfileLog, ScrapeRequestLog, TraceLog
from gcc.pipelines.events.types import POST_LOG, PROFILE_LOG, SCRAPE_REQUEST_LOG, TRACE_LOG, encode, timestamp
from gcc.platforms import Platform
from gcc.sources.chain import Trace
from gcc.sources.snapshot import ProfileSnapshot

HOST = socket.gethostname()


def crawl_frames(platform: Platform, profile: ProfileSnapshot, new_id: NewId) -> list[Frame]:
    """One profile_log and a post_log for each post."""
    profile_line = encode(
        ProfileLog(
            event_id=str(new_id()),
            event_timestamp=timestamp(profile.at),
            source=profile.source,
            platform=profile.platform,
            profile_id=profile.profile_id,
            handle=profile.profile_id if platform.known_by_id else profile.handle,  # as of the spec of events
            metrics=profile.metrics,
            dimensions={**profile.dimensions, "handle": profile.handle},
        )
    )
    post_lines = [
        encode(
            PostLog(
                event_id=str(new_id()),
                event_timestamp=timestamp(post.at),
                source=post.source,
                platform=post.platform,
                profile_id=post.profile_id,
                handle=post.handle,
                shortcode=post.shortcode,
                post_id=post.post_id,
                publish_time=timestamp(post.publish_time) if post.publish_time else None,
                metrics=post.metrics,
                dimensions=post.dimensions,
            )
        )
        for post in profile.posts
    ]
    return [*frames(PROFILE_LOG.route, [profile_line], new_id), *frames(POST_LOG.route, post_lines, new_id)]


def trace_frames(traces: Iterable[Trace], new_id: NewId, *, job: uuid.UUID) -> list[Frame]:
    """A trace_log for each request of one attempt; the job that they were made for is their origin_id."""
    lines = (
        encode(
            TraceLog(
                event_id=str(trace.id),
                event_timestamp=timestamp(trace.at),
                origin_id=str(job),
                id=str(trace.id),
                host_name=HOST,
                service_name=trace.source,
                method=trace.method,
                uri=trace.uri,
                headers=dict(trace.headers),
                request=trace.request,
                response_status=trace.response_status or 0,  # 0: no answer came
                response_size=trace.response_size,
                time_taken=trace.time_taken,
            )
        )
        for trace in traces
    )
    return list(frames(TRACE_LOG.route, lines, new_id))


class StatusEvents:
    """Encodes a job's new status; see `gcc.channels.jobs.StatusEvent`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, job: Job, reason: str | None) -> tuple[Route, bytes]:
        event_id: uuid.UUID = self._clock.new_id()
        return SCRAPE_REQUEST_LOG.route, encode(
            ScrapeRequestLog(
                event_id=str(event_id),
                event_timestamp=timestamp(self._clock.now()),
                scl_id=str(job.id),
                seq=job.seq,
                flow=job.flow,
                platform=job.platform,
                params=job.params if isinstance(job.params, dict) else {},  # a row's may be any JSON
                status=job.status.value,
                priority=job.priority,
                retry_count=job.retry_count,
                reason=reason,
                picked_at=timestamp(job.picked_at) if job.picked_at else None,
                expires_at=timestamp(job.expires_at),
            )
        )

"""From what happened to encoded events: what a crawl found, an attempt's traces, a job's new status."""

import datetime as dt
import socket
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from gcc.channels.jobs import Job
from gcc.channels.message import Frame, NewId, frames
from gcc.clock import Clock
from gcc.pipelines.events.app_schemas import PartnerActivityLog
from gcc.pipelines.events.schemas import (
    Event,
    OrderLog,
    PostActivityLog,
    PostLog,
    ProfileLog,
    ProfileRelationshipLog,
    ScrapeRequestLog,
    TraceLog,
    YtActivityLog,
)
from gcc.pipelines.events.types import (
    ORDER_LOG,
    PARTNER_ACTIVITY_LOG,
    POST_ACTIVITY_LOG,
    POST_LOG,
    PROFILE_LOG,
    PROFILE_RELATIONSHIP_LOG,
    SCRAPE_REQUEST_LOG,
    TRACE_LOG,
    YT_ACTIVITY_LOG,
    EventType,
    encode,
    timestamp,
)
from gcc.platforms import Platform
from gcc.sources.chain import Trace
from gcc.sources.snapshot import Activity, ChannelActivity, Order, Person, PostSnapshot, ProfileSnapshot, Relation, Seen

HOST = socket.gethostname()


def profile_frames(platform: Platform, profile: ProfileSnapshot, new_id: NewId) -> list[Frame]:
    """One profile_log."""
    event = ProfileLog(
        **_seen(profile, new_id),
        profile_id=profile.profile_id,
        handle=profile.profile_id if platform.known_by_id else profile.handle,  # as of the spec of events
        metrics=profile.metrics,
        dimensions={**profile.dimensions, "handle": profile.handle},
    )
    return _frames(PROFILE_LOG, [event], new_id)


def post_frames(posts: Iterable[PostSnapshot], new_id: NewId) -> list[Frame]:
    """A post_log for each."""
    events = (
        PostLog(
            **_seen(post, new_id),
            profile_id=post.profile_id,
            handle=post.handle,
            shortcode=post.shortcode,
            post_id=post.post_id,
            publish_time=_time(post.publish_time),
            metrics=post.metrics,
            dimensions=post.dimensions,
        )
        for post in posts
    )
    return _frames(POST_LOG, events, new_id)


def relation_frames(relations: Iterable[Relation], new_id: NewId) -> list[Frame]:
    """A profile_relationship_log for each: its source is who follows, its target whom."""
    events = (
        ProfileRelationshipLog(
            **_seen(relation, new_id),
            source_profile_id=relation.person.profile_id,
            target_profile_id=relation.target.profile_id,
            relationship_type=relation.kind,
            source_metrics=relation.person.metrics,
            source_dimensions=_of_person(relation.person),
            target_metrics=relation.target.metrics,
            target_dimensions=_of_person(relation.target),
        )
        for relation in relations
    )
    return _frames(PROFILE_RELATIONSHIP_LOG, events, new_id)


def activity_frames(activities: Iterable[Activity], new_id: NewId) -> list[Frame]:
    """A post_activity_log for each."""
    events = (
        PostActivityLog(
            **_seen(activity, new_id),
            profile_id=activity.profile_id,
            shortcode=activity.shortcode,
            activity_type=activity.kind,
            actor_profile_id=activity.actor.profile_id,
            publish_time=_time(activity.publish_time),
            metrics=activity.metrics,
            dimensions={
                **activity.dimensions,
                "activity_id": activity.activity_id,
                "post_id": activity.post_id,
                **{f"actor_{name}": value for name, value in _of_person(activity.actor).items()},
            },
        )
        for activity in activities
    )
    return _frames(POST_ACTIVITY_LOG, events, new_id)


def channel_activity_frames(activities: Iterable[ChannelActivity], new_id: NewId) -> list[Frame]:
    """A yt_activity_log for each."""
    events = (
        YtActivityLog(
            **_seen(activity, new_id),
            activity_id=activity.activity_id,
            activity_type=activity.kind,
            actor_channel_id=activity.channel_id,
            publish_time=_time(activity.publish_time),
            metrics=activity.metrics,
            dimensions=activity.dimensions,
        )
        for activity in activities
    )
    return _frames(YT_ACTIVITY_LOG, events, new_id)


def order_frames(orders: Iterable[Order], new_id: NewId) -> list[Frame]:
    """An order_log for each."""
    events = (
        OrderLog(
            **_seen(order, new_id),
            platform_order_id=order.order_id,
            store=order.store,
            metrics=order.metrics,
            dimensions={**order.dimensions, "placed_at": _time(order.placed_at)},
        )
        for order in orders
    )
    return _frames(ORDER_LOG, events, new_id)


def trace_frames(traces: Iterable[Trace], new_id: NewId, *, job: uuid.UUID) -> list[Frame]:
    """A trace_log for each request of one attempt; the job that they were made for is their origin_id."""
    events = (
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
        for trace in traces
    )
    return _frames(TRACE_LOG, events, new_id)


def partner_activity_frames(
    event_id: uuid.UUID, clock: Clock, *, partner_id: int, user_id: str, activity_type: str, metadata: Mapping[str, Any]
) -> list[Frame]:
    """One partner_activity_log. `check` counts what crawls emit; nobody counts these."""
    event = PartnerActivityLog(
        event_id=str(event_id),
        event_timestamp=timestamp(clock.now()),
        partner_id=partner_id,
        user_id=user_id,
        activity_type=activity_type,
        metadata=dict(metadata),
    )
    return [replace(frame, counted=0) for frame in _frames(PARTNER_ACTIVITY_LOG, [event], clock.new_id)]


def _seen(shown: Seen, new_id: NewId) -> dict[str, Any]:
    """What all events of a crawl begin with."""
    at = timestamp(shown.at)
    return {"event_id": str(new_id()), "event_timestamp": at, "source": shown.source, "platform": shown.platform}


def _of_person(person: Person) -> dict[str, Any]:
    return {**person.dimensions, **({"handle": person.handle} if person.handle else {})}


def _time(at: dt.datetime | None) -> str | None:
    return timestamp(at) if at else None


def _frames(kind: EventType, events: Iterable[Event], new_id: NewId) -> list[Frame]:
    return list(frames(kind.route, map(encode, events), new_id))


class StatusEvents:
    """Encodes jobs' new status; see `gcc.channels.jobs.StatusFrames`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, jobs: Iterable[Job], reason: str | None) -> list[Frame]:
        at = timestamp(self._clock.now())
        events = (
            ScrapeRequestLog(
                event_id=str(self._clock.new_id()),
                event_timestamp=at,
                scl_id=str(job.id),
                seq=job.seq,
                flow=job.flow,
                platform=job.platform,
                params=job.params if isinstance(job.params, dict) else {},  # a row's may be any JSON
                status=job.status.value,
                priority=job.priority,
                retry_count=job.retry_count,
                reason=reason,
                picked_at=_time(job.picked_at),
                expires_at=timestamp(job.expires_at),
            )
            for job in jobs
        )
        return _frames(SCRAPE_REQUEST_LOG, events, self._clock.new_id)

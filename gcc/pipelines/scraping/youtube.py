"""The flows of YouTube: what each is given, whom it asks in which order, and what it makes of the answer.

Sources: `ytapi` is the Data API, `ytanalytics` what a channel's owner alone is told; `youtube138` and `youtubev31` read
YouTube without its consent, so they are off until they are switched on.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated

import pydantic
from pydantic import StringConstraints

from gcc.channels.message import NewId
from gcc.pipelines.events.types import (
    POST_ACTIVITY_LOG,
    POST_LOG,
    PROFILE_LOG,
    PROFILE_RELATIONSHIP_LOG,
    YT_ACTIVITY_LOG,
)
from gcc.pipelines.scraping import own_snapshots, sheets, yields
from gcc.pipelines.scraping.flow import Flow, HandleParams, Made, Params, Retrieve, flow_of
from gcc.pipelines.scraping.own_snapshots import OwnSnapshots
from gcc.platforms import YOUTUBE
from gcc.sources.chain import Visit
from gcc.sources.snapshot import Activity, ChannelActivity, Found, PostSnapshot, ProfileSnapshot, Relation, Sheet
from gcc.sources.youtube.analytics import REPORTS, AnalyticsApi, Kind
from gcc.sources.youtube.data_client import DataApi

IDS_MAX = 500  # of one job; more are several jobs

Handle = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
ChannelId = Annotated[str, StringConstraints(strip_whitespace=True, pattern=f"^{YOUTUBE.id_pattern.pattern}$")]
VideoId = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z0-9_-]{1,40}$")]
PlaylistId = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z0-9_-]{2,100}$")]
Region = Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True, pattern=r"^[A-Za-z]{2}$")]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Pages = Annotated[int, pydantic.Field(ge=1, le=400)]
Searches = Annotated[int, pydantic.Field(ge=1, le=10)]  # a hundredth of a key's day each


class ChannelsParams(Params):
    """`channels`: handles or ids."""

    channels: Annotated[list[Handle], pydantic.Field(min_length=1, max_length=IDS_MAX)]


class VideosParams(Params):
    video_ids: Annotated[list[VideoId], pydantic.Field(min_length=1, max_length=IDS_MAX)]


class ChannelParams(Params):
    """`pages_max`: of 50 each."""

    channel_id: ChannelId
    pages_max: Pages = 10


class PlaylistParams(Params):
    playlist_id: PlaylistId
    pages_max: Pages = 10


class GenreParams(Params):
    """`category`: the title or the id of one of YouTube's; `region`: two letters."""

    category: Words
    region: Region = "IN"
    pages_max: Searches = 1


class SearchParams(Params):
    query: Words
    pages_max: Searches = 1


class PostTypeParams(Params):
    video_id: VideoId
    channel_id: ChannelId | None = None


class CommentsParams(Params):
    """`pages_max`: of 100 comments each; replies come beside them."""

    video_id: VideoId
    pages_max: Pages = 5


class OwnerParams(Params):
    channel_id: ChannelId


class ReportParams(Params):
    """The days from `start` to `end`, both in it; without them the last 28 that are counted, or the last month."""

    channel_id: ChannelId
    start: dt.date | None = None
    end: dt.date | None = None

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> "ReportParams":
        if self.start and self.end and self.start > self.end:
            raise ValueError(f"start is after end: {self.start}, {self.end}")
        return self


Posts = Found[list[PostSnapshot]]


async def _profile(api: DataApi, params: HandleParams, visit: Visit) -> ProfileSnapshot:
    return await api.profile(params.handle, visit)


async def _channels(api: DataApi, params: ChannelsParams, visit: Visit) -> Found[list[ProfileSnapshot]]:
    return await api.channels(params.channels, visit)


async def _videos(api: DataApi, params: VideosParams, visit: Visit) -> Posts:
    return await api.videos(params.video_ids, visit)


async def _of_channel(api: DataApi, params: ChannelParams, visit: Visit) -> Posts:
    return await api.channel_videos(params.channel_id, params.pages_max, visit)


async def _of_playlist(api: DataApi, params: PlaylistParams, visit: Visit) -> Posts:
    return await api.playlist(params.playlist_id, params.pages_max, visit)


async def _of_genre(api: DataApi, params: GenreParams, visit: Visit) -> Posts:
    return await api.genre(params.category, params.region, params.pages_max, visit)


async def _of_search(api: DataApi, params: SearchParams, visit: Visit) -> Posts:
    return await api.search(params.query, params.pages_max, visit)


async def _post_type(api: DataApi, params: PostTypeParams, visit: Visit) -> Posts:
    return await api.post_type(params.video_id, params.channel_id or "", visit)


async def _activities(api: DataApi, params: ChannelParams, visit: Visit) -> Found[list[ChannelActivity]]:
    return await api.activities(params.channel_id, params.pages_max, visit)


async def _comments(api: DataApi, params: CommentsParams, visit: Visit) -> Found[list[Activity]]:
    return await api.comments(params.video_id, params.pages_max, visit)


async def _subscriptions(api: DataApi, params: ChannelParams, visit: Visit) -> Found[list[Relation]]:
    return await api.subscriptions(params.channel_id, params.pages_max, visit)


async def _insights(api: AnalyticsApi, params: OwnerParams, visit: Visit) -> ProfileSnapshot:
    return await api.profile_insights(params.channel_id, visit)


async def _report(kind: Kind, api: AnalyticsApi | OwnSnapshots, params: ReportParams, visit: Visit) -> Found[Sheet]:
    return await api.report(kind, params.channel_id, params.start, params.end, visit)


def _as_channels(found: Found[list[ProfileSnapshot]], new_id: NewId) -> yields.Yield:
    return yields.of_sheet(sheets.of_channels(found), new_id)


def _as_videos(found: Posts, new_id: NewId) -> yields.Yield:
    return yields.of_sheet(sheets.of_videos(found), new_id)


def _anywhere(retrieve: Retrieve) -> Mapping[str, Retrieve]:
    """The Data API, and where it does not answer those that scrape."""
    return dict.fromkeys(("ytapi", "youtube138", "youtubev31"), retrieve)


def _posts(name: str, params: type[Params], retrieve: Retrieve, workers: int = 1) -> Flow:
    return _flow(name, params, _anywhere(retrieve), _OF_POSTS, workers=workers)


def _videos_csv(name: str, params: type[Params], retrieve: Retrieve) -> Flow:
    return _flow(name, params, _anywhere(retrieve), Made(_as_videos), header=sheets.VIDEO_COLUMNS)


def _report_csv(name: str, kind: Kind) -> Flow:
    chain = {"ytanalytics": partial(_report, kind)}
    if kind in ("daily", "monthly"):  # nothing of ours tells who watches
        chain[own_snapshots.NAME] = partial(_report, kind)
    return _flow(name, ReportParams, chain, Made(yields.of_sheet), "owner", header=REPORTS[kind].columns)


_INSIGHTS = yields.insights_table(YOUTUBE)
_OF_PROFILE = Made(partial(yields.of_profile, YOUTUBE), (PROFILE_LOG, POST_LOG), (YOUTUBE.account, YOUTUBE.post))
_OF_POSTS = Made(partial(yields.of_posts, YOUTUBE), (POST_LOG,), (YOUTUBE.post,))
_OF_INSIGHTS = Made(partial(yields.of_profile_insights, _INSIGHTS, YOUTUBE), (PROFILE_LOG,), (_INSIGHTS,))
_OF_ACTIVITIES = Made(yields.of_channel_activities, (YT_ACTIVITY_LOG,), (yields.YOUTUBE_ACTIVITY,))
_OF_COMMENTS = Made(yields.of_activities, (POST_ACTIVITY_LOG,), (yields.POST_ACTIVITY_LOG,))
_OF_RELATIONS = Made(yields.of_relations, (PROFILE_RELATIONSHIP_LOG,), (yields.PROFILE_RELATIONSHIP,))
_flow = partial(flow_of, YOUTUBE.name)

FLOWS: Sequence[Flow] = (
    _flow("refresh_yt_profiles", HandleParams, _anywhere(_profile), _OF_PROFILE, workers=10, refreshes=YOUTUBE),
    _posts("refresh_yt_posts", VideosParams, _videos),
    _posts("refresh_yt_posts_by_channel_id", ChannelParams, _of_channel, workers=5),
    _posts("refresh_yt_posts_by_playlist_id", PlaylistParams, _of_playlist),
    _posts("refresh_yt_posts_by_genre", GenreParams, _of_genre),
    _posts("refresh_yt_posts_by_search", SearchParams, _of_search),
    _flow("refresh_yt_post_type", PostTypeParams, dict.fromkeys(("ytapi", "youtube138"), _post_type), _OF_POSTS),
    _flow(
        "fetch_channels_csv", ChannelsParams, _anywhere(_channels), Made(_as_channels), header=sheets.CHANNEL_COLUMNS
    ),
    _videos_csv("fetch_channel_videos_csv", ChannelParams, _of_channel),
    _videos_csv("fetch_playlist_videos_csv", PlaylistParams, _of_playlist),
    _videos_csv("fetch_video_details_csv", VideosParams, _videos),
    _videos_csv("fetch_genre_videos_csv", GenreParams, _of_genre),
    _report_csv("fetch_channel_daily_stats_csv", "daily"),
    _report_csv("fetch_channel_monthly_stats_csv", "monthly"),
    _report_csv("fetch_channel_demographic_csv", "demographic"),
    _report_csv("fetch_channel_audience_geography_csv", "geography"),
    _flow("refresh_yt_profile_insights", OwnerParams, {"ytanalytics": _insights}, _OF_INSIGHTS, "owner"),
    _flow("refresh_yt_activities", ChannelParams, {"ytapi": _activities}, _OF_ACTIVITIES),
    _flow("fetch_yt_post_comments", CommentsParams, _anywhere(_comments), _OF_COMMENTS),
    _flow("refresh_yt_profile_relationship", ChannelParams, {"ytapi": _subscriptions}, _OF_RELATIONS),
)  # fmt: skip

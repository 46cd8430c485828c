"""The flows of Instagram: the official API first, then those who scrape it, as far as each can.

What an owner alone is told comes with the owner's own credential, or not at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import pydantic
from pydantic import Field, StringConstraints

from gcc.channels.message import NewId
from gcc.errors import Transient
from gcc.pipelines.events.types import POST_ACTIVITY_LOG as ACTIVITY_EVENTS
from gcc.pipelines.events.types import POST_LOG, PROFILE_LOG, PROFILE_RELATIONSHIP_LOG
from gcc.pipelines.scraping.flow import Flow, HandleParams, Made, Params, Retrieve, flow_of
from gcc.pipelines.scraping.yields import (
    POST_ACTIVITY_LOG,
    PROFILE_RELATIONSHIP,
    Yield,
    insights_table,
    of_activities,
    of_posts,
    of_profile,
    of_profile_insights,
    of_relations,
)
from gcc.platforms import INSTAGRAM
from gcc.sources.chain import STORE_AWAY_S, Visit
from gcc.sources.instagram import identity
from gcc.sources.instagram.graph_client import GraphApi
from gcc.sources.instagram_web.client import WebClient
from gcc.sources.instagram_web.providers import PROVIDERS
from gcc.sources.known import RowsAway
from gcc.sources.snapshot import Activity, Found, PostSnapshot, ProfileSnapshot, Relation

Api = GraphApi | WebClient
Id = Annotated[str, StringConstraints(pattern=f"^({INSTAGRAM.id_pattern.pattern})$")]
Shortcode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Handle = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)]
Pages = Annotated[int, Field(ge=1, le=1000)]
INSIGHTS = insights_table(INSTAGRAM)


class ProfileIdParams(Params):
    profile_id: Id


class CustomParams(HandleParams):
    """`pages_max` pages of posts beside the profile."""

    pages_max: Pages = 4


class OwnerListParams(Params):
    """`handle`: the account's, where it is known; it spares a call."""

    profile_id: Id
    handle: Handle = ""
    pages_max: Pages = 10


class StoriesParams(Params):
    profile_id: Id
    handle: Handle = ""


class RelationsParams(Params):
    """One of `profile_id` and `handle` is needed."""

    profile_id: Id | None = None
    handle: Handle = ""
    pages_max: Pages = 20

    @pydantic.model_validator(mode="after")
    def _one_is_needed(self) -> "RelationsParams":
        if not (self.profile_id or self.handle):
            raise ValueError("profile_id or handle is needed")
        return self


class PostParams(Params):
    """`handle`: the author's. Without it our own rows tell whose the post is, where they do."""

    shortcode: Shortcode
    handle: Handle = ""


class InsightsParams(Params):
    """`profile_id`: the author's; see `PostParams`."""

    post_id: Id
    profile_id: Id | None = None


class ActivityParams(Params):
    """`post_id` where it is known: some are asked by it."""

    shortcode: Shortcode
    post_id: Id | None = None
    pages_max: Pages = 20


class HashtagParams(Params):
    """`hashtag` with or without #."""

    hashtag: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[#＃]?[^\s#＃/?]{1,100}$")]
    pages_max: Pages = 2


async def _profile(api: Api, params: HandleParams, visit: Visit) -> ProfileSnapshot:
    return await api.profile(params.handle, visit)


async def _profile_by_id(api: Api, params: ProfileIdParams, visit: Visit) -> ProfileSnapshot:
    return await api.profile_by_id(params.profile_id, visit)


async def _custom(api: Api, params: CustomParams, visit: Visit) -> ProfileSnapshot:
    profile = await api.profile(params.handle, visit)
    more = await api.posts(profile.handle, profile.profile_id, params.pages_max, visit)
    shown = {post.post_id for post in profile.posts}
    return replace(profile, more=replace(more, items=[post for post in more.items if post.post_id not in shown]))


async def _post(api: Api, params: PostParams, visit: Visit) -> Found[list[PostSnapshot]]:
    return Found([await api.post(params.shortcode, params.handle, visit)])


async def _tagged(api: Api, params: OwnerListParams, visit: Visit) -> Found[list[PostSnapshot]]:
    return await api.tagged(params.handle, params.profile_id, params.pages_max, visit)


async def _stories(api: Api, params: StoriesParams, visit: Visit) -> Found[list[PostSnapshot]]:
    return await api.stories(params.handle, params.profile_id, visit)


async def _post_insights(api: GraphApi, params: InsightsParams, visit: Visit) -> Found[list[PostSnapshot]]:
    return await api.post_insights(params.post_id, params.profile_id or "", visit)


async def _story_insights(api: GraphApi, params: InsightsParams, visit: Visit) -> Found[list[PostSnapshot]]:
    return await api.story_insights(params.post_id, params.profile_id or "", visit)


async def _profile_insights(api: GraphApi, params: ProfileIdParams, visit: Visit) -> ProfileSnapshot:
    return await api.profile_insights(params.profile_id, visit)


async def _followers(api: WebClient, params: RelationsParams, visit: Visit) -> Found[list[Relation]]:
    return await api.followers(params.handle, params.profile_id or "", params.pages_max, visit)


async def _following(api: WebClient, params: RelationsParams, visit: Visit) -> Found[list[Relation]]:
    return await api.following(params.handle, params.profile_id or "", params.pages_max, visit)


async def _hashtag(api: Api, params: HashtagParams, visit: Visit) -> Found[list[PostSnapshot]]:
    return await api.hashtag(params.hashtag.lstrip("#＃"), params.pages_max, visit)


async def _comments(api: Api, params: ActivityParams, visit: Visit) -> Found[list[Activity]]:
    return await api.comments(params.shortcode, params.post_id or "", params.pages_max, visit)


async def _likers(api: WebClient, params: ActivityParams, visit: Visit) -> Found[list[Activity]]:
    return await api.likers(params.shortcode, params.post_id or "", params.pages_max, visit)


def _of_custom(profile: ProfileSnapshot, new_id: NewId) -> Yield:
    """A profile with its averages over the latest posts, as ever, and the posts before them."""
    of_it = of_profile(INSTAGRAM, profile, new_id)
    found = profile.more or Found([])
    more: Found[Sequence[PostSnapshot]] = Found(found.items, found.partial, found.notes)
    of_them = of_posts(INSTAGRAM, more, new_id)
    return Yield(
        [*of_it.writes, *of_them.writes],
        [*of_it.frames, *of_them.frames],
        {**of_them.data, **of_it.data, "posts": len(profile.posts) + len(more.items)},
        [*of_it.notes, *of_them.notes],
    )


def _as_known(retrieve: Retrieve) -> Retrieve:
    """The same answer, with the ids that our rows have for the accounts and posts that it tells of. RowsAway."""

    async def ask(api: Api, params: Params, visit: Visit) -> Any:
        found = await retrieve(api, params, visit)
        try:
            names = await api.known.names_of(identity.told(found))
        except Transient as lost:
            raise RowsAway(f"our rows are away: {lost}", retry_after_s=STORE_AWAY_S) from lost
        return identity.named(found, names)

    return ask


def _chain(retrieve: Retrieve, asked: str, official: bool = True) -> Mapping[str, Retrieve]:
    """The official API, where it tells at all, then those who scrape what is `asked`, in the order of their rows."""
    scrapers = [name for name, provider in PROVIDERS.items() if asked in provider.endpoints]
    return dict.fromkeys([*(["graphapi"] if official else []), *scrapers], _as_known(retrieve))


def _of_owner(retrieve: Retrieve) -> Mapping[str, Retrieve]:
    """What an owner alone is told, which nobody scrapes."""
    return {"graphapi": _as_known(retrieve)}


_OF_PROFILE = Made(partial(of_profile, INSTAGRAM), (PROFILE_LOG, POST_LOG), (INSTAGRAM.account, INSTAGRAM.post))
_OF_POSTS = Made(partial(of_posts, INSTAGRAM), (POST_LOG,), (INSTAGRAM.post,))
_OF_RELATIONS = Made(of_relations, (PROFILE_RELATIONSHIP_LOG,), (PROFILE_RELATIONSHIP,))
_OF_ACTIVITIES = Made(of_activities, (ACTIVITY_EVENTS,), (POST_ACTIVITY_LOG,))
_OF_INSIGHTS = Made(partial(of_profile_insights, INSIGHTS, INSTAGRAM), (PROFILE_LOG,), (INSIGHTS,))
_flow = partial(flow_of, INSTAGRAM.name)

FLOWS: Sequence[Flow] = (
    _flow(
        "refresh_profile_by_handle", HandleParams, _chain(_profile, "user"), _OF_PROFILE,
        workers=10, refreshes=INSTAGRAM,
    ),
    _flow("refresh_profile_basic", HandleParams, _chain(_profile, "user"), _OF_PROFILE, workers=5),
    _flow("refresh_profile_by_profile_id", ProfileIdParams, _chain(_profile_by_id, "user_by_id"), _OF_PROFILE),
    _flow("refresh_profile_custom", CustomParams, _chain(_custom, "posts"), _OF_PROFILE._replace(yields=_of_custom)),
    _flow("refresh_post_by_shortcode", PostParams, _chain(_post, "post"), _OF_POSTS),
    _flow("refresh_tagged_posts", OwnerListParams, _chain(_tagged, "tagged"), _OF_POSTS, "owner"),
    _flow("refresh_stories_posts", StoriesParams, _chain(_stories, "stories"), _OF_POSTS, "owner"),
    _flow("refresh_post_insights", InsightsParams, _of_owner(_post_insights), _OF_POSTS, "owner"),
    _flow("refresh_story_insights", InsightsParams, _of_owner(_story_insights), _OF_POSTS, "owner"),
    _flow("refresh_profile_insights", ProfileIdParams, _of_owner(_profile_insights), _OF_INSIGHTS, "owner"),
    _flow(
        "fetch_profile_followers", RelationsParams, _chain(_followers, "followers", official=False), _OF_RELATIONS,
        "unofficial", workers=3,
    ),
    _flow(
        "fetch_profile_following", RelationsParams, _chain(_following, "following", official=False), _OF_RELATIONS,
        "unofficial",
    ),
    _flow("fetch_hashtag_posts", HashtagParams, _chain(_hashtag, "hashtag"), _OF_POSTS),
    _flow("fetch_post_comments", ActivityParams, _chain(_comments, "comments"), _OF_ACTIVITIES, "owner"),
    _flow(
        "fetch_post_likes", ActivityParams, _chain(_likers, "likers", official=False), _OF_ACTIVITIES, "unofficial"
    ),
)  # fmt: skip

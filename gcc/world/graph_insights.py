"""Insights as the Graph API tells them in 2026: which names fit what, and the refusals where one does not.

One wrong name fails a whole call. What is told of which metric stands in two tables; the figures come from
insights.py. Names that the API once had are refused like those it has for other media.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gcc.world import insights
from gcc.world.chance import key_of, mix
from gcc.world.graph_refusals import before_business, not_crossposted, refused, too_few_viewers
from gcc.world.model import Cast, Creator, Post
from gcc.world.stories import Story

_PERIODS = ("day", "week", "days_28", "lifetime")
_RANGE_MAX = dt.timedelta(days=30)
_STORY_VIEWERS_MIN = 5


class Metric(NamedTuple):
    """How an account's metric may be asked for."""

    periods: tuple[str, ...] = ("day",)
    types: tuple[str, ...] = ("total_value",)
    breakdowns: tuple[str, ...] = ()


_TOTAL = Metric(breakdowns=("media_product_type",))
_WHO = Metric(("lifetime",), ("total_value",), insights.BREAKDOWNS)
ACCOUNT: Mapping[str, Metric] = {
    "reach": Metric(("day", "week", "days_28"), ("time_series", "total_value"), ("media_product_type", "follow_type")),
    "follower_count": Metric(types=("time_series",)),
    "website_clicks": Metric(),
    "profile_views": Metric(),
    "online_followers": Metric(("lifetime",), ("time_series",)),
    "accounts_engaged": Metric(),
    "total_interactions": _TOTAL,
    "likes": _TOTAL,
    "comments": _TOTAL,
    "shares": _TOTAL,
    "saves": _TOTAL,
    "replies": Metric(),
    "engaged_audience_demographics": _WHO,
    "reached_audience_demographics": _WHO,
    "follower_demographics": _WHO,
    "follows_and_unfollows": Metric(breakdowns=("follow_type",)),
    "profile_links_taps": Metric(breakdowns=("contact_button_type",)),
    "views": Metric(breakdowns=("media_product_type", "follow_type")),
}
_FEED = ("views", "reach", "likes", "comments", "saved", "shares", "total_interactions", "follows", "profile_visits")
MEDIA: Mapping[str, tuple[str, ...]] = {
    "FEED": (*_FEED, "facebook_views", "crossposted_views"),
    "REELS": (
        *_FEED[:-2], "ig_reels_avg_watch_time", "ig_reels_video_view_total_time", "reels_skip_rate", "facebook_views",
        "crossposted_views",
    ),
    "STORY": ("views", "reach", "replies", "shares", "navigation", "follows", "profile_visits", "total_interactions"),
}  # fmt: skip
_RETIRED = (
    "impressions", "engagement", "plays", "video_views", "clips_replays_count", "ig_reels_aggregated_all_plays_count",
    "taps_forward", "taps_back", "exits", "carousel_album_engagement", "carousel_album_impressions",
    "carousel_album_reach", "carousel_album_saved", "carousel_album_video_views",
)  # fmt: skip
_OF_MEDIA = tuple(dict.fromkeys(name for names in (*MEDIA.values(), _RETIRED) for name in names))
_SHARED_WITH_FACEBOOK = ("facebook_views", "crossposted_views")


def account(cast: Cast, creator: Creator, args: Mapping[str, str], now: dt.datetime) -> dict[str, Any]:
    """GET /{ig-user-id}/insights. Raises GraphError."""
    names = _names(args, tuple(ACCOUNT))
    period, breakdown = args.get("period", "day"), args.get("breakdown", "")
    if period not in _PERIODS:
        raise refused(f"period must be one of the following values: {', '.join(_PERIODS)}")
    _fit(names, period, args.get("metric_type", ""), breakdown)
    days = _days(args, cast.today)
    total = args.get("metric_type") == "total_value"
    data = []
    for name in names:
        item = _head(f"{creator.profile_id}/insights/{name}/{period}", name, period)
        if name.endswith("_demographics"):
            item |= {"total_value": {"breakdowns": [_who(cast, creator, name, part) for part in breakdown.split(",")]}}
        elif total:
            item |= {"total_value": _total(cast, creator, name, days, breakdown)}
        else:
            item |= {"values": [_of_day(cast, creator, name, period, day) for day in days]}
        data.append(item)
    return {"data": data}


def post(cast: Cast, creator: Creator, post: Post, args: Mapping[str, str]) -> dict[str, Any]:
    """GET /{ig-media-id}/insights of a post. Raises GraphError."""
    names = _names(args, _OF_MEDIA)
    _fit_media(names, "REELS" if post.kind == "reel" else "FEED")
    if post.published < business_since(cast, creator):
        raise before_business()
    figures: dict[str, float] = dict(insights.post(creator, post))
    if any(name in _SHARED_WITH_FACEBOOK for name in names) and not insights.crossposted(post):
        raise not_crossposted()
    figures |= {"facebook_views": figures["views"] // 9, "crossposted_views": figures["views"] * 10 // 9}
    figures["reels_skip_rate"] = round(100 * (mix(key_of(post.post_id), 9) % 6000) / 10_000, 2)
    return _lifetime(post.post_id, names, figures)


def story(cast: Cast, creator: Creator, story: Story, args: Mapping[str, str]) -> dict[str, Any]:
    """GET /{ig-media-id}/insights of a story. Raises GraphError."""
    names = _names(args, _OF_MEDIA)
    _fit_media(names, "STORY")
    figures = story_figures(cast, creator, story)
    if figures is None:
        raise too_few_viewers()
    answer = _lifetime(story.story_id, names, figures)
    if args.get("breakdown") == "story_navigation_action_type":
        results = [{"dimension_values": [step], "value": figures[step]} for step in insights.NAVIGATION]
        for item in answer["data"]:
            if item["name"] == "navigation":
                del item["values"]
                parts = {"dimension_keys": ["story_navigation_action_type"], "results": results}
                item["total_value"] = {"value": figures["navigation"], "breakdowns": [parts]}
    return answer


def story_figures(cast: Cast, creator: Creator, story: Story) -> dict[str, int] | None:
    """What the owner is told of a story; None: too few have seen it."""
    figures = insights.story(cast, creator, story)
    return figures if figures["reach"] >= _STORY_VIEWERS_MIN else None


def business_since(cast: Cast, creator: Creator) -> dt.datetime:
    """When the account became a business one: for some amid the posts that can be listed."""
    posts = cast.posts_of(creator)
    if posts and cast.slot(creator) % 5 == 0:
        return posts[len(posts) // 2].published
    return dt.datetime.combine(creator.joined, dt.time(), dt.UTC)


def _names(args: Mapping[str, str], known: Sequence[str]) -> list[str]:
    asked = [name.strip() for name in args.get("metric", "").split(",")]
    for place, name in enumerate(asked):
        if name not in known:
            raise refused(f"metric[{place}] must be one of the following values: {', '.join(known)}")
    return list(dict.fromkeys(asked))


def _fit(names: Sequence[str], period: str, metric_type: str, breakdown: str) -> None:
    """Refuses what does not go together."""
    wanting = [name for name in names if (metric_type or "time_series") not in ACCOUNT[name].types]
    if wanting:
        other = "total_value" if metric_type != "total_value" else "time_series"
        raise refused(
            f"The following metrics ({', '.join(wanting)}) should be specified with parameter metric_type={other}"
        )
    wanting = [name for name in names if period not in ACCOUNT[name].periods]
    if wanting:
        raise refused(f"The following metrics ({', '.join(wanting)}) are incompatible with the period ({period})")
    for part in filter(None, breakdown.split(",")):
        wanting = [name for name in names if part not in ACCOUNT[name].breakdowns]
        if wanting:
            raise refused(f"The following metrics ({', '.join(wanting)}) are incompatible with breakdown ({part})")


def _fit_media(names: Sequence[str], product: str) -> None:
    unfit = [name for name in names if name not in MEDIA[product]]
    if unfit:
        raise refused(
            f"The Media Insights API does not support the {', '.join(unfit)} metric for this media product type.",
            type="IGApiException",
        )


def _days(args: Mapping[str, str], today: dt.date) -> list[dt.date]:
    """The days from `since` to before `until` (seconds or dates); the last two where neither is given."""
    until, since = _date(args, "until", today), _date(args, "since", None)
    since = until - dt.timedelta(days=2) if since is None else since
    if until - since > _RANGE_MAX:
        raise refused("There cannot be more than 30 days (2592000 s) between since and until")
    if until < since:
        raise refused("since param is not valid. Metrics data is available for the last 2 years")
    return [since + dt.timedelta(days=ahead) for ahead in range((min(until, today) - since).days)]


def _date(args: Mapping[str, str], name: str, default: Any) -> Any:
    text = args.get(name)
    if text is None:
        return default
    try:
        return (
            dt.datetime.fromtimestamp(int(text[:11]), dt.UTC).date() if text.isdigit() else dt.date.fromisoformat(text)
        )
    except (ValueError, OverflowError):
        raise refused(f"{name} must be a valid time") from None


def _of_day(cast: Cast, creator: Creator, name: str, period: str, day: dt.date) -> dict[str, Any]:
    end = f"{(day + dt.timedelta(days=1)).isoformat()}T07:00:00+0000"
    if name == "online_followers":
        awake = cast.today_of(creator).followers // 3
        return {"value": {str(hour): awake * (1 + hour % 12) // 12 for hour in range(24)}, "end_time": end}
    figures = insights.account(cast, creator, day)
    return {"value": figures[name] * {"day": 1, "week": 4, "days_28": 9}[period], "end_time": end}


def _total(cast: Cast, creator: Creator, name: str, days: Sequence[dt.date], breakdown: str) -> dict[str, Any]:
    sums: dict[str, int] = {}
    for day in days:
        for key, value in insights.account(cast, creator, day).items():
            sums[key] = sums.get(key, 0) + value
    if name == "follows_and_unfollows":
        if not breakdown:
            return {}
        return _broken_down(breakdown, {"FOLLOWER": sums.get("follows", 0), "NON_FOLLOWER": sums.get("unfollows", 0)})
    value = sums.get("website_clicks" if name == "profile_links_taps" else name, 0)
    if not breakdown:
        return {"value": value}
    labels = ("FOLLOWER", "NON_FOLLOWER") if breakdown == "follow_type" else ("POST", "REEL", "STORY")
    share = value // len(labels)
    parts = dict.fromkeys(labels, share) | {labels[0]: value - share * (len(labels) - 1)}
    return {"value": value, **_broken_down(breakdown, parts)}


def _broken_down(breakdown: str, parts: Mapping[str, int]) -> dict[str, Any]:
    results = [{"dimension_values": [label], "value": value} for label, value in parts.items()]
    return {"breakdowns": [{"dimension_keys": [breakdown], "results": results}]}


def _who(cast: Cast, creator: Creator, name: str, part: Any) -> dict[str, Any]:
    counts = insights.demographics(cast, creator, part) if part else {}
    divisor = 1 if name == "follower_demographics" else 12
    results = [{"dimension_values": [label], "value": value // divisor} for label, value in counts.items()]
    return {"dimension_keys": [part] if part else [], "results": results}


def _lifetime(media_id: str, names: Sequence[str], figures: Mapping[str, float]) -> dict[str, Any]:
    return {
        "data": [
            _head(f"{media_id}/insights/{name}/lifetime", name, "lifetime") | {"values": [{"value": figures[name]}]}
            for name in names
        ]
    }


def _head(identity: str, name: str, period: str) -> dict[str, Any]:
    title = name.replace("_", " ").capitalize()
    return {"name": name, "period": period, "title": title, "description": f"{title}.", "id": identity}

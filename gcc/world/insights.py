"""Insights that only an account's owner sees: of the account by day, of a post, of a story; who the followers are.

Figures by the API's names of 2026. Pure functions of the creator, the day and the thing; sums hang together: the
followers of one breakdown are as many as the account has.
"""

import datetime as dt
from typing import Literal, get_args

from gcc.world import names
from gcc.world.chance import key_of, mix, unit
from gcc.world.model import Cast, Creator, Post
from gcc.world.stories import Story
from gcc.world.timeline import spread

Breakdown = Literal["age", "gender", "city", "country"]
BREAKDOWNS: tuple[Breakdown, ...] = get_args(Breakdown)
_AGES = ("13-17", "18-24", "25-34", "35-44", "45-54", "55-64", "65+")
_AGE_WEIGHTS = (0.07, 0.35, 0.35, 0.13, 0.06, 0.025, 0.015)
_COUNTRIES = ("IN", "US", "AE", "GB", "BD", "NP", "PK", "CA", "SG", "AU", "SA", "ID", "BR", "DE", "FR")
_BARELY_SEEN_ONE_IN = 7
_TOP = 45
"""The API names no more cities or countries than these."""


def demographics(cast: Cast, creator: Creator, breakdown: Breakdown) -> dict[str, int]:
    """Followers by age, gender (F, M, U), city or country, the most first (ages: the youngest first)."""
    key = key_of(creator.profile_id)
    labels, weights = _shares(creator, key, breakdown)
    drawn = [weight * (0.7 + 0.6 * unit(mix(key, place, len(labels)))) for place, weight in enumerate(weights)]
    whole = cast.today_of(creator).followers
    known = whole if breakdown != "city" else whole * 6 // 10  # most live in smaller places
    counts = dict(zip(labels, spread(known, drawn, len(drawn)), strict=True))
    if breakdown == "age":
        return counts
    return dict(sorted(counts.items(), key=lambda pair: -pair[1])[:_TOP])


def account(cast: Cast, creator: Creator, date: dt.date) -> dict[str, int]:
    """The account's day: reach, views, follower_count (new ones), follows, unfollows, ..."""
    day, before = creator.course.day(date), creator.course.day(date - dt.timedelta(days=1))
    followers = day.followers if day else cast.today_of(creator).followers
    gained = followers - before.followers if before else 0
    bits = mix(key_of(creator.profile_id), date.toordinal())
    reach = int(followers * (0.04 + 0.10 * unit(bits)))
    engaged = int(reach * (0.03 + 0.06 * unit(mix(bits, 1))))
    lost = int(followers * 4e-4 * unit(mix(bits, 2))) + max(-gained, 0)
    likes, comments, shares, saves = engaged * 9 // 10, engaged // 25, engaged // 18, engaged // 12
    return {
        "reach": reach,
        "views": int(reach * (1.6 + unit(mix(bits, 3)))),
        "profile_views": reach // 30,
        "accounts_engaged": engaged,
        "likes": likes,
        "comments": comments,
        "shares": shares,
        "saves": saves,
        "replies": engaged // 60,
        "total_interactions": likes + comments + shares + saves,
        "website_clicks": reach // 900,
        "follower_count": gained + lost,
        "follows": gained + lost,
        "unfollows": lost,
    }


def post(creator: Creator, post: Post) -> dict[str, int]:
    """Of a post's whole life. A reel has no follows and profile_visits, but watch times in ms."""
    bits = mix(key_of(post.post_id), 1)
    reach = int(post.likes * (7 + 9 * unit(bits))) + 1
    saved, shares = int(post.likes * 0.06 * unit(mix(bits, 1))), int(post.likes * 0.04 * unit(mix(bits, 2)))
    figures = {
        "views": int(reach * (1.2 + 0.8 * unit(mix(bits, 3)))),
        "reach": reach,
        "likes": post.likes,
        "comments": post.comments,
        "saved": saved,
        "shares": shares,
        "total_interactions": post.likes + post.comments + saved + shares,
    }
    if post.kind != "reel":
        return {**figures, "follows": reach // 2000, "profile_visits": reach // 80}
    watched_ms = int(post.duration_s * 1000 * (0.25 + 0.5 * unit(mix(bits, 4))))
    return {
        **figures,
        "ig_reels_avg_watch_time": watched_ms,
        "ig_reels_video_view_total_time": watched_ms * figures["views"],
    }


def crossposted(post: Post) -> bool:
    """Whether it is shown on Facebook, too."""
    return mix(key_of(post.post_id), 2) % 3 == 0


NAVIGATION = ("tap_forward", "tap_back", "tap_exit", "swipe_forward")


def story(cast: Cast, creator: Creator, story: Story) -> dict[str, int]:
    """Of a story, `navigation` by action beside its sum."""
    bits = mix(story.bits, 1)
    reach = int(cast.today_of(creator).followers * (0.01 + 0.05 * unit(bits)))
    if story.bits % _BARELY_SEEN_ONE_IN == 0:
        reach = bits % 5
    steps = {
        action: int(reach * weight * (0.5 + unit(mix(bits, place))))
        for place, (action, weight) in enumerate(zip(NAVIGATION, (0.7, 0.08, 0.12, 0.1), strict=True))
    }
    replies, shares = reach // 400, reach // 700
    return {
        "views": reach + reach // 12,
        "reach": reach,
        "replies": replies,
        "shares": shares,
        "total_interactions": replies + shares,
        "follows": reach // 5000,
        "profile_visits": reach // 150,
        "navigation": sum(steps.values()),
        **steps,
    }


def _shares(creator: Creator, key: int, breakdown: Breakdown) -> tuple[tuple[str, ...], list[float]]:
    """The labels and how heavy each is."""
    if breakdown == "age":
        return _AGES, list(_AGE_WEIGHTS)
    if breakdown == "gender":
        women = 0.15 + 0.65 * unit(key)
        return ("F", "M", "U"), [women, 0.93 - women, 0.07]
    if breakdown == "country":
        home = creator.country or "IN"
        countries = tuple(dict.fromkeys((home, *_COUNTRIES)))
        return countries, [0.8, *(0.2 * 0.6**place for place in range(1, len(countries)))]
    cities = tuple(dict.fromkeys((*filter(None, [creator.city]), *names.cities())))
    return cities, [1 / (place + 2) for place in range(len(cities))]

"""Creators made from one seed: Zipf followers, engagement that falls with size, growth with dips.

In: a seed and how many. Out: `Creator`s whose figures are pure functions of (seed, creator, day):
nothing is stored, two processes agree, and yesterday is the same whenever it is asked for. Cannot
fail. About 0.1 ms a creator, and 5 us for the figures of one day.
"""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

from gcc.world import names, planted
from gcc.world.chance import bell, letters, mix, unit
from gcc.world.model import PAGE_POSTS, Anomaly, Creator, Day, Platform, Post, State
from gcc.world.timeline import Timeline, Totals

EPOCH = dt.date(2026, 1, 1)
"""The day on which followers have exactly their Zipf size; growth runs from here, both ways."""
TOP_FOLLOWERS = 40_000_000.0
TAIL_FOLLOWERS = 10_000.0
ODD_STATES: tuple[State, ...] = get_args(State)[1:]  # all but public
_WHO, _COURSE = 1, 2  # streams of chance
_PRIME = 61_803_398_873  # coprime to 10: times an index it visits each id once


@dataclass(frozen=True, slots=True)
class Growth:
    """The course of a generated creator."""

    platform: Platform
    key: int
    followers: float  # on EPOCH
    growth: float  # of followers, as the exponent per year
    like_rate: float  # likes per post and follower
    comments_per_like: float
    view_rate: float | None  # views per post and follower; None where the platform does not tell
    dip_every_days: int
    dip_depth: float  # of followers
    following: int | None  # on EPOCH; None where the platform does not tell
    views: float  # of all posts, on EPOCH
    views_growth: float  # always positive: views are never taken back
    timeline: Timeline

    def day(self, date: dt.date) -> Day:
        """Known for every day."""
        days = (date - EPOCH).days
        followers = self._followers(days)
        totals = self._totals(days, followers)
        page = PAGE_POSTS[self.platform]
        return Day(
            followers=followers,
            following=None if self.following is None else max(self.following + days // 9, 0),
            media_count=self.timeline.count(date),
            total_views=None
            if self.view_rate is None
            else round(self.views * math.exp(self.views_growth * days / 365)),
            avg_likes=totals.likes / page,
            avg_comments=totals.comments / page,
            avg_views=None if totals.views is None else totals.views / page,
            engagement_rate=(totals.likes / page + totals.comments / page) / followers,
        )

    def post_names(self, today: dt.date) -> list[str]:
        return self.timeline.post_names(today)

    def posts(self, today: dt.date) -> list[Post]:
        days = (today - EPOCH).days
        return self.timeline.posts(today, self._totals(days, self._followers(days)))

    def anomalies(self, dates: Sequence[dt.date]) -> list[Anomaly]:
        found = []
        for date in dates:
            days = (date - EPOCH).days
            if self._dip_age(days) == 0:
                found.append(Anomaly(date, "DROP", self.dip_depth))
            if kind := planted.bought_on(self.key, days):
                found.append(Anomaly(date, kind, planted.BOUGHT))
        return found

    def _dip_age(self, days: int) -> int:
        return (days + self.key % 997) % self.dip_every_days

    def _followers(self, days: int) -> int:
        size = self.followers * math.exp(self.growth * days / 365)
        size *= 1 + 0.003 * math.sin(days / 9.7 + self.key % 63)  # weeks that go better than others
        size *= 1 + 4e-4 * (unit(mix(self.key + days)) - 0.5)
        size *= 1 - self.dip_depth * math.exp(-self._dip_age(days) / 10)  # a purge, a scandal; forgotten within weeks
        size *= planted.bought(self.key, days)
        return max(round(size), 1)

    def _totals(self, days: int, followers: int) -> Totals:
        page = PAGE_POSTS[self.platform]
        mood = 1 + 0.12 * math.sin(days / 7.5 + self.key % 61)
        likes = followers * self.like_rate * mood * page
        views = None if self.view_rate is None else round(followers * self.view_rate * mood * page)
        return Totals(round(likes), round(likes * self.comments_per_like), views)


def generate(platform: Platform, seed: int, count: int, odd: int = 0) -> list[Creator]:
    """`count` creators, the biggest first; the same ones for the same seed and count.

    After them, smaller, come `odd` more that are private, renamed, gone, ... in turn.
    """
    taken: set[str] = set()
    exponent = math.log(TOP_FOLLOWERS / TAIL_FOLLOWERS) / math.log(max(count, 2))
    found = [_creator(platform, seed, rank, TOP_FOLLOWERS * rank**-exponent, taken) for rank in range(1, count + 1)]
    for place in range(odd):
        creator = _creator(platform, seed, count + place + 1, TAIL_FOLLOWERS / 4, taken)
        found.append(_odd(creator, ODD_STATES[place % len(ODD_STATES)], taken))
    return found


def _odd(creator: Creator, state: State, taken: set[str]) -> Creator:
    if state != "renamed":
        return replace(creator, state=state)
    handle = _free(f"{creator.handle[:20]}.now", taken)
    return replace(creator, state=state, handle=handle, former_handles=(creator.handle,))


def _creator(platform: Platform, seed: int, rank: int, followers: float, taken: set[str]) -> Creator:
    world = mix(seed, 1 if platform == "INSTAGRAM" else 2)
    key = mix(world, rank)
    bits = [mix(key, _WHO, number) for number in range(8)]
    first, last = names.person(bits[0])
    category = names.pick(names.CATEGORIES, bits[1])
    home = names.home(bits[2])
    city = names.pick(home.cities, bits[2] >> 20)
    handle = _free(names.handle(bits[3], first, last, category, dots=platform == "INSTAGRAM"), taken)
    youtube = platform == "YOUTUBE"
    return Creator(
        platform=platform,
        profile_id="UC" + letters(key, bits[4]) if youtube else instagram_id(world + rank * _PRIME),
        handle=handle,
        full_name=names.channel_title(bits[3], first, last, category) if youtube else f"{first} {last}",
        bio=names.bio(category, city, home.greeting, bits[4]),
        website=f"https://{handle.replace('_', '-')}.example/" if bits[5] % 3 == 0 else None,
        category=category,
        language=home.language,
        country=home.country,
        city=city,
        joined=(joined := dt.date(2012, 1, 1) + dt.timedelta(days=bits[6] % 3000)),
        tells_country=bits[5] % 5 != 0,
        course=growth(
            platform, key, followers * math.exp(0.08 * bell(bits[7])), joined=joined, category=category, handle=handle
        ),
    )


def growth(
    platform: Platform, key: int, followers: float, *, joined: dt.date, category: str | None, handle: str
) -> Growth:
    """The believable course of a creator of this size."""
    bits = [mix(key, _COURSE, number) for number in range(8)]
    youtube = platform == "YOUTUBE"
    size = max(followers, 1.0) / TAIL_FOLLOWERS
    view_rate = min(0.30 * size**-0.18 * math.exp(0.40 * bell(bits[0])), 2.0)
    like_rate = min(0.055 * size**-0.15 * math.exp(0.35 * bell(bits[0])), 0.5)
    interval_days = (1.5 if youtube else 0.8) * math.exp(1.6 * unit(bits[1]))
    return Growth(
        platform=platform,
        key=key,
        followers=followers,
        growth=0.18 + 0.16 * bell(bits[2]),
        like_rate=view_rate * (0.03 + 0.03 * unit(bits[3])) if youtube else like_rate,
        comments_per_like=(0.03 if youtube else 0.008) * math.exp(0.5 * bell(bits[4])),
        view_rate=view_rate if youtube else None,
        dip_every_days=120 + bits[5] % 240,
        dip_depth=0.002 + 0.03 * unit(bits[3]) ** 2,
        following=None if youtube else 40 + int(1500 * unit(bits[5]) ** 2),
        views=followers * (60 + 240 * unit(bits[6])),
        views_growth=0.05 + 0.4 * unit(bits[7]),
        timeline=Timeline(platform, key, joined, interval_days, 20 + key % 21, category, handle),
    )


def instagram_id(number: int) -> str:
    """A 17-digit business account id; distinct numbers below 10**11 give distinct ids."""
    return f"178414{number % 10**11:011d}"


def _free(handle: str, taken: set[str]) -> str:
    """The handle, with a number where somebody was faster."""
    free, number = handle, 1
    while free in taken:
        number += 1
        free = f"{handle}{number}"
    taken.add(free)
    return free

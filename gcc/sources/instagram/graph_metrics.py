"""Which insights are asked for: one row a metric, and what the API said of those that it refuses.

One name that does not fit fails a whole call, so the table tells what fits to which version and kind of object, and
what the API refuses all the same is left out for a day.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import trio

REFUSED_S = 86_400.0
REFUSED_MAX = 1000
ACCOUNT, FEED, REELS, STORY = "ACCOUNT", "FEED", "REELS", "STORY"
_MEDIA = (FEED, REELS, STORY)
_VERSION = re.compile(r"/v(\d{1,3})\.\d$")
_NEWEST = 999


@dataclass(frozen=True, slots=True)
class Row:
    """Metrics, by their names. `of`: the kinds of objects that have them. `since`, `until`: the first API version with
    them, and the first without.

    Those of the same period, metric_type and breakdown are asked for in one call; what is `alone` is not, as it fails
    where the others do not.
    """

    names: str
    of: Collection[str]
    since: int = 0
    until: int = _NEWEST + 1
    period: str = ""
    metric_type: str = ""
    breakdown: str = ""
    alone: bool = False


def _total(names: str, since: int = 0, period: str = "day", breakdown: str = "", alone: bool = False) -> Row:
    return Row(names, (ACCOUNT,), since, period=period, metric_type="total_value", breakdown=breakdown, alone=alone)


METRICS: Sequence[Row] = (
    # of an account
    Row("reach follower_count", (ACCOUNT,), period="day"),  # the latter not below 100 followers
    _total("profile_views accounts_engaged likes comments shares saves total_interactions"),
    _total("views", since=21),
    _total("profile_links_taps", alone=True),
    _total("follows_and_unfollows", breakdown="follow_type"),
    *(
        _total("follower_demographics", since=18, period="lifetime", breakdown=breakdown)
        for breakdown in ("age", "gender", "city", "country")
    ),
    Row("impressions", (ACCOUNT,), until=22, period="day"),
    Row("audience_city audience_country audience_gender_age", (ACCOUNT,), until=18, period="lifetime"),
    # of media
    Row("reach shares", _MEDIA),
    Row("views", _MEDIA, since=21),
    Row("total_interactions", _MEDIA, since=18),
    Row("likes comments saved", (FEED, REELS)),
    Row("follows profile_visits", (FEED, STORY)),
    Row("replies", (STORY,)),
    Row("navigation", (STORY,), since=18, breakdown="story_navigation_action_type"),
    Row("ig_reels_avg_watch_time ig_reels_video_view_total_time", (REELS,)),
    Row("reels_skip_rate", (REELS,), alone=True),
    Row("facebook_views", (FEED, REELS), alone=True),
    Row("crossposted_views", (FEED, REELS), alone=True),
    Row("impressions", (FEED, STORY), until=22),
    Row("plays clips_replays_count ig_reels_aggregated_all_plays_count", (REELS,), until=22),
    Row("video_views", (FEED,), until=21),
    Row("engagement", (FEED,), until=18),
    Row("taps_forward taps_back exits", (STORY,), until=18),
)


@dataclass(frozen=True, slots=True)
class Call:
    """The metrics of one call, and the parameters that they have in common. `alone`: see `Row`."""

    names: Sequence[str]
    params: Mapping[str, str]
    alone: bool


def version_of(address: str) -> int:
    """The API's version at the end of its address; the newest where it names none."""
    found = _VERSION.search(address)
    return int(found[1]) if found else _NEWEST


def calls(kind: str, version: int) -> list[Call]:
    """The calls that ask for all insights of a `kind` of object."""
    found: dict[tuple[str, ...], Call] = {}
    for row in METRICS:
        if kind not in row.of or not row.since <= version < row.until:
            continue
        params = {"period": row.period, "metric_type": row.metric_type, "breakdown": row.breakdown}
        group = (*params.values(), row.names if row.alone else "")
        known = found.get(group)
        names = [*(known.names if known else ()), *row.names.split()]
        found[group] = Call(names, {name: value for name, value in params.items() if value}, row.alone)
    return list(found.values())


class Unfit:
    """Names of fields and metrics that the API refused, by what they were asked of; each for a day."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], float] = {}  # on Trio's clock, oldest first

    def fitting(self, of: str, names: Iterable[str]) -> list[str]:
        now = trio.current_time()
        return [name for name in names if self._until.get((of, name), now) <= now]

    def add(self, of: str, names: Iterable[str]) -> None:
        for name in names:
            self._until.pop((of, name), None)
            self._until[of, name] = trio.current_time() + REFUSED_S
        while len(self._until) > REFUSED_MAX:
            del self._until[next(iter(self._until))]

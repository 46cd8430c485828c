"""What only a channel's owner sees: its figures by day and country, and who watches. Pure functions of channel and day.

Figures come two days late, and a day on which nobody watched has none. Views count from the first frame since August
2026; engaged views are what was counted before.
"""

import datetime as dt
from collections.abc import Iterator

from gcc.world.chance import key_of, mix, unit
from gcc.world.model import Cast, Creator
from gcc.world.timeline import spread

LAG_DAYS = 3
_AGES = ("age13-17", "age18-24", "age25-34", "age35-44", "age45-54", "age55-64", "age65-")
_AGE_WEIGHTS = (0.06, 0.34, 0.33, 0.15, 0.07, 0.03, 0.02)
_COUNTRIES = ("IN", "US", "AE", "BD", "NP", "PK", "GB", "CA", "SA", "AU", "SG", "LK", "MY", "DE", "QA")
_WATCHED_S = 150  # of a view
COUNTS = (
    "views", "engagedViews", "estimatedMinutesWatched", "averageViewDuration", "likes", "comments", "shares",
    "subscribersGained", "subscribersLost",
)  # fmt: skip


def last_day(cast: Cast) -> dt.date:
    """The newest day that has figures."""
    return cast.today - dt.timedelta(days=LAG_DAYS)


def day(creator: Creator, date: dt.date) -> dict[str, int] | None:
    """COUNTS of a day; None: nobody watched, or the channel was not there yet."""
    now, before = creator.course.day(date), creator.course.day(date - dt.timedelta(days=1))
    bits = mix(key_of(creator.profile_id), date.toordinal())
    if now is None or before is None or date <= creator.joined or bits % 29 == 0:
        return None
    views = max((now.total_views or 0) - (before.total_views or 0), 1)
    grown = now.followers - before.followers
    lost = int(views * 2e-4 * unit(bits)) + max(-grown, 0)
    minutes = int(views * _WATCHED_S * (0.8 + 0.4 * unit(mix(bits, 1)))) // 60
    likes = int(views * (0.03 + 0.02 * unit(mix(bits, 2))))
    return {
        "views": views,
        "engagedViews": int(views * (0.6 + 0.2 * unit(mix(bits, 3)))),
        "estimatedMinutesWatched": minutes,
        "averageViewDuration": minutes * 60 // views,
        "likes": likes,
        "comments": likes // 20,
        "shares": likes // 12,
        "subscribersGained": lost + grown,
        "subscribersLost": lost,
    }


def days(cast: Cast, creator: Creator, start: dt.date, end: dt.date) -> Iterator[tuple[dt.date, dict[str, int]]]:
    """Those of `start` to `end`, both included, that have figures."""
    for number in range(start.toordinal(), min(end, last_day(cast)).toordinal() + 1):
        date = dt.date.fromordinal(number)
        figures = day(creator, date)
        if figures is not None:
            yield date, figures


def months(cast: Cast, creator: Creator, start: dt.date, end: dt.date) -> dict[str, dict[str, int]]:
    """By month, as "2026-10": the sums of its days; of a duration the mean of a view's."""
    found: dict[str, dict[str, int]] = {}
    for date, figures in days(cast, creator, start, end):
        sums = found.setdefault(f"{date:%Y-%m}", dict.fromkeys(COUNTS, 0))
        for name in COUNTS:
            sums[name] += figures[name]
    for sums in found.values():
        sums["averageViewDuration"] = sums["estimatedMinutesWatched"] * 60 // sums["views"]
    return found


def total(cast: Cast, creator: Creator, start: dt.date, end: dt.date) -> dict[str, int] | None:
    """Of all the days together; None: there are none."""
    sums = dict.fromkeys(COUNTS, 0)
    for _, figures in days(cast, creator, start, end):
        for name in COUNTS:
            sums[name] += figures[name]
    if not sums["views"]:
        return None
    return sums | {"averageViewDuration": sums["estimatedMinutesWatched"] * 60 // sums["views"]}


def countries(cast: Cast, creator: Creator, start: dt.date, end: dt.date) -> dict[str, dict[str, int]]:
    """The total by the viewer's country, most views first; home is the first."""
    whole = total(cast, creator, start, end)
    if whole is None:
        return {}
    base = key_of(creator.profile_id)
    home = creator.country or "IN"
    names = [home, *(name for name in _COUNTRIES if name != home)]
    weights = [
        (0.6 if not place else 0.4 / place) * (0.8 + 0.4 * unit(mix(base, place))) for place in range(len(names))
    ]
    columns = {name: spread(whole[name], weights, len(names)) for name in COUNTS if name != "averageViewDuration"}
    rows = {name: {count: column[place] for count, column in columns.items()} for place, name in enumerate(names)}
    for row in rows.values():
        row["averageViewDuration"] = row["estimatedMinutesWatched"] * 60 // max(row["views"], 1)
    return dict(sorted(((name, row) for name, row in rows.items() if row["views"]), key=lambda pair: -pair[1]["views"]))


def viewers(creator: Creator) -> dict[tuple[str, str], float]:
    """Percent of the viewers by (age group, gender); all of them are a hundred."""
    base = key_of(creator.profile_id)
    women = 0.2 + 0.5 * unit(mix(base, 1))
    weights = {
        (age, gender): weight * share * (0.8 + 0.4 * unit(mix(base, key_of(age + gender))))
        for age, weight in zip(_AGES, _AGE_WEIGHTS, strict=True)
        for gender, share in (("female", women), ("male", 0.99 - women), ("user_specified", 0.01))
    }
    tenths = spread(1000, list(weights.values()), len(weights))
    return {who: tenth / 10 for who, tenth in zip(weights, tenths, strict=True) if tenth}

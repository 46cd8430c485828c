"""The rules of the models in plain Python, over accounts as /truth tells them. No SQL, and nothing that the models use.

Each function answers a mart: rows by key. Numbers in brackets are those of the rules (docs/models.md).
"""

import datetime as dt
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from tests.integration.test_profile_marts import growth as growth_of
from tests.truth.given import NOW, Account

Row = dict[str, Any]
Key = tuple[Any, ...]
Mart = dict[Key, Row]
ZONE = ZoneInfo("Asia/Kolkata")
TODAY = NOW.astimezone(ZONE).date()
COUNTS = ("followers", "following", "media_count", "views")
METRICS = (*COUNTS, "avg_likes", "avg_comments", "avg_views", "engagement_rate")
RANKED = {"followers": 0, "engagement_rate": 1000, "views": 1000}
SCOPES: Mapping[str, tuple[str, ...]] = {
    "": (), "_by_cat": ("category",), "_by_lang": ("language",), "_by_country": ("country",),
    "_by_cat_lang": ("category", "language"),
}  # fmt: skip
LANGUAGES = {
    "Hindi": "hi", "English": "en", "Tamil": "ta", "Telugu": "te", "Marathi": "mr", "Bengali": "bn", "Kannada": "kn",
    "Malayalam": "ml", "Gujarati": "gu", "Punjabi": "pa", "Arabic": "ar", "Nepali": "ne", "Indonesian": "id",
    "Portuguese": "pt",
}  # fmt: skip
BUCKETS = {1_000_000: "1M", 500_000: "500k", 100_000: "100k", 50_000: "50k", 10_000: "10k", 5_000: "5k", 1_000: "1k"}
KINDS = {"reels": "reel", "image": "image", "carousel": "carousel", "video": "video", "short": "short"}
ADS = {
    "ad", "ads", "advert", "advertisement", "advertising", "sponsored", "sponsoredpost", "sponsor", "paidpartnership",
    "paidpromotion", "promoted", "विज्ञापन", "प्रायोजित",
}  # fmt: skip
HINTS = {"collab", "collaboration", "gifted", "gift", "pr"}
BUSINESSES = {
    "mynykaa": "Nykaa", "boat.nirvana": "boAt", "mamaearth.in": "Mamaearth", "sugarcosmetics": "SUGAR",
    "lenskart": "Lenskart", "zomato": "Zomato", "nike": "Nike",
}  # fmt: skip
"""Of the lists of 2.7 and 2.10 what the world has words for."""


def day_of(at: dt.datetime) -> dt.date:
    return at.astimezone(ZONE).date()


def month_of(day: dt.date) -> dt.date:
    return day.replace(day=1)


def month_before(month: dt.date) -> dt.date:
    return month_of(month - dt.timedelta(days=1))


def quantile(values: Iterable[float], share: float) -> float:
    """Between neighbours, as R's type 7."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    return ordered[low] + (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]) * (place - low)


def mean(values: Iterable[float | None]) -> float | None:
    """Of three known ones or more (2.1)."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) >= 3 else None


def typical(values: Iterable[float | None]) -> float | None:
    """Without outliers, which eight values tell."""
    known = [value for value in values if value is not None]
    if len(known) < 8:
        return mean(known)
    q1, q3 = quantile(known, 0.25), quantile(known, 0.75)
    return mean([value for value in known if value <= q3 + 3 * (q3 - q1)])


def over(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def plus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def places(values: Mapping[Key, float | None]) -> dict[Key, int]:
    """1 more than how many are better; unknown ones take no place (2.4)."""
    known = {key: value for key, value in values.items() if value is not None}
    counts = Counter(known.values())
    before, better = {}, 0
    for value in sorted(counts, reverse=True):
        before[value], better = better + 1, better + counts[value]
    return {key: before[value] for key, value in known.items()}


def bucket_of(followers: float | None) -> str | None:
    return next((name for least, name in BUCKETS.items() if (followers or 0) >= least), None)


def last_known(rows: Iterable[Mapping[str, Any]]) -> Row:
    """Of rows in order of time, metric by metric; a 0 stands only if nothing else came."""
    known: Row = dict.fromkeys(METRICS)
    for row in rows:
        for name in METRICS:
            value = row.get(name)
            if value is not None and (value != 0 or known[name] is None):
                known[name] = value
    return known


def tags_of(text: str) -> list[str]:
    """The world's texts have no odd signs: what 2.8 says of those its own examples test."""
    text = re.sub(r"https?://\S+", " ", unicodedata.normalize("NFKC", text))
    found = re.findall(r"(?<![\w&/])#([^\s#.,?!'\"]+)", text)
    return list(dict.fromkeys(tag for tag in found if any(letter.isalpha() for letter in tag)))


class Truth:
    """Everything that can be said of these accounts."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        self.accounts = accounts
        self.known = [account for account in accounts if account.days]

    # --- profiles by day and month -------------------------------------------------------------------------------

    @cached_property
    def profile_daily(self) -> Mart:
        told: dict[Key, list[Row]] = defaultdict(list)
        for account in self.known:
            for at, metrics in account.days:
                told[account.platform, account.profile_id, day_of(at)].append(metrics)
        return {key: last_known(rows) for key, rows in told.items()}

    @cached_property
    def profile_monthly(self) -> Mart:
        told: dict[Key, list[Row]] = defaultdict(list)
        for (platform, profile_id, day), row in sorted(self.profile_daily.items()):
            told[platform, profile_id, month_of(day)].append(row)
        return {key: last_known(rows) for key, rows in told.items()}

    @cached_property
    def time_series(self) -> Mart:
        return {
            key: {name: row[name] for name in COUNTS} | {"engagement": row["engagement_rate"]}
            for key, row in self.profile_daily.items()
        }

    @cached_property
    def attributes(self) -> Mart:
        return {
            (account.platform, account.profile_id): {
                "handle": account.handle,
                "full_name": account.full_name,
                "bio": account.bio or None,
                "website": account.website,
                "category": account.category and account.category.lower(),
                "language": account.language and LANGUAGES[account.language],
                "country": account.country,
            }
            for account in self.known
        }

    @cached_property
    def attribute_monthly(self) -> Mart:
        """As the platform tells them, in every month with a snapshot."""
        names = ("handle", "full_name", "website", "category", "language", "country")
        return {
            (account.platform, account.profile_id, month_of(day_of(at))): {
                name: getattr(account, name) for name in names
            }
            for account in self.known
            for at, _ in account.days
        }

    @cached_property
    def profile_location(self) -> Mart:
        """No post of the world names a place."""
        return {
            key: {"country": row["country"], "country_basis": "PLATFORM"}
            for key, row in self.attributes.items()
            if row["country"]
        }

    @cached_property
    def search_facet(self) -> Mart:
        """How many profiles have each value; of the kinds that are known of profiles here."""
        kinds = ("category", "language", "country", "grade", "bucket")
        counts = Counter(
            (kind, platform, row[kind])
            for (platform, _), row in self.account.items()
            for kind in kinds
            if row[kind] is not None
        )
        return {key: {"count": count} for key, count in counts.items()}

    @cached_property
    def latest(self) -> Mart:
        """The last known metrics of each profile."""
        told: dict[Key, Row] = {}
        for (platform, profile_id, _), row in sorted(self.profile_monthly.items()):
            known = {name: value for name, value in row.items() if value is not None}
            told[platform, profile_id] = told.get((platform, profile_id), dict.fromkeys(METRICS)) | known
        return told

    @cached_property
    def leaderboard_rank(self) -> Mart:
        rows: Mart = {}
        for (platform, profile_id, month), row in self.profile_monthly.items():
            names = self.attributes[platform, profile_id]
            rows[platform, month, profile_id] = {name: row[name] for name in RANKED} | names
        for metric, followers_min in RANKED.items():
            for suffix, columns in SCOPES.items():
                groups: dict[Key, dict[Key, float | None]] = defaultdict(dict)
                for key, row in rows.items():
                    row[f"{metric}_rank{suffix}"] = None
                    if all(row[column] is not None for column in columns):
                        counts = (row["followers"] or 0) >= followers_min
                        groups[(*key[:2], *(row[column] for column in columns))][key] = row[metric] if counts else None
                for members in groups.values():
                    for key, place in places(members).items():
                        rows[key][f"{metric}_rank{suffix}"] = place
        unasked = ("bio", "website")
        return {key: {name: value for name, value in row.items() if name not in unasked} for key, row in rows.items()}

    @cached_property
    def leaderboard(self) -> Mart:
        """With the ranks of the calendar month before (2.5); nobody of the world changes groups."""
        board: Mart = {}
        for (platform, month, profile_id), row in self.leaderboard_rank.items():
            before = self.leaderboard_rank.get((platform, month_before(month), profile_id), {})
            ranks = [name for name in row if "_rank" in name]
            gained = minus(row["views"], before.get("views")) if platform == "YOUTUBE" else None
            board[platform, profile_id, month] = {
                **row,
                **{f"{name}_prev": before.get(name) for name in ranks},
                "views_gained": gained,
            }
        return board

    @cached_property
    def leaderboard_movers(self) -> Mart:
        """Those within the first 1,000 who rose most since the month before, 50 of each scope."""
        moves: dict[Key, list[tuple[int, int, str, int | None]]] = defaultdict(list)
        months = {(platform, month) for platform, _, month in self.leaderboard}
        scopes = {"all": ("", None), "category": ("_by_cat", "category"), "language": ("_by_lang", "language")}
        scopes["country"] = ("_by_country", "country")
        for (platform, profile_id, month), row in self.leaderboard.items():
            for scope, (suffix, column) in scopes.items():
                place, before = row[f"followers_rank{suffix}"], row[f"followers_rank{suffix}_prev"]
                if place is None or place > 1000 or (platform, month_before(month)) not in months:
                    continue
                start = before if before is not None and before <= 1000 else None
                gained = (start or 1001) - place
                if gained > 0:
                    value = row[column] if column else ""
                    moves[platform, scope, value, month].append((-gained, place, profile_id, start))
        found: Mart = {}
        for key, members in moves.items():
            for number, (lost, place, profile_id, start) in enumerate(
                sorted(members, key=lambda m: m[:3])[:50], start=1
            ):
                row = {"profile_id": profile_id, "place": place, "place_prev": start}
                found[(*key, number)] = row | {"gain": None if start is None else -lost}
        return found

    @cached_property
    def profile_growth(self) -> Mart:
        series: dict[Key, dict[dt.date, int]] = defaultdict(dict)
        for (platform, profile_id, day), row in self.profile_daily.items():
            if row["followers"] is not None:
                series[platform, profile_id][day] = row["followers"]
        return {
            key: {
                f"growth_{span}d": growth_of(dict(days), TODAY, span, age, youtube=key[0] == "YOUTUBE")
                for span, age in ((7, 3), (30, 7), (90, 14))
            }
            for key, days in series.items()
        }

    @cached_property
    def anomalies(self) -> Mart:
        """Days unlike the 28 before them (2.16)."""
        found: Mart = {}
        series: dict[Key, list[tuple[dt.date, int]]] = defaultdict(list)
        for (platform, profile_id, day), row in sorted(self.profile_daily.items()):
            if row["followers"]:
                series[platform, profile_id].append((day, row["followers"]))
        for key, points in series.items():
            gains = [
                (day, value, before, (day - earlier).days, (value - before) / (day - earlier).days)
                for (earlier, before), (day, value) in pairwise(points)
            ]
            for day, value, before, gap, gain in gains:
                if gap > 3 or abs(gain) <= 0.005 * before:
                    continue
                usual = [g[4] for g in gains if day - dt.timedelta(days=28) <= g[0] < day]
                if len(usual) < 10:
                    continue
                centre = median(usual)
                step = 10.0 ** (len(str(before)) - 3) if before >= 1000 else 1.0
                spread = max(
                    median(abs(g - centre) for g in usual), 0.0005 * before, 5.0, step if key[0] == "YOUTUBE" else 0.0
                )
                z = 0.6745 * (gain - centre) / spread
                if abs(z) <= 6:
                    continue
                after = [v for d, v in points if day < d <= day + dt.timedelta(days=14)]
                lost = bool(after) and min(after) <= value - 0.4 * (value - before)
                kind = "DROP" if z < 0 else "SPIKE_LOST" if lost else "SPIKE"
                found[(*key, day)] = {"kind": kind, "z": z, "gain_per_day": gain}
        return found

    # --- posts ---------------------------------------------------------------------------------------------------

    @cached_property
    def posts(self) -> Mart:
        """All posts as they stand, with what their profile's others say of them."""
        found: Mart = {}
        for account in self.accounts:
            own = [self._post(account, post) for post in account.posts]
            engaging = [row["engagement"] for row in own if row["engagement"] is not None]
            fence = None
            if len(engaging) >= 8:
                q1, q3 = quantile(engaging, 0.25), quantile(engaging, 0.75)
                fence = q3 + 3 * (q3 - q1)
            for row in own:
                row["is_outlier"] = None if fence is None or row["engagement"] is None else row["engagement"] > fence
                found[account.platform, account.profile_id, row["shortcode"]] = row
        return found

    def _post(self, account: Account, post: Row) -> Row:
        published = dt.datetime.fromisoformat(post["publish_time"])
        kind = KINDS[post["post_type"]]
        views = None if kind in ("image", "carousel") else post.get("plays") if kind == "reel" else post["views"]
        engagement = plus(post["likes"], post["comments"])
        known = [
            (day, row["followers"])
            for (_, _, day), row in self._days(account)
            if row["followers"] and day <= day_of(published)
        ]
        followers = max(known)[1] if known else None
        return {
            "shortcode": post["shortcode"],
            "post_id": post["post_id"],
            "published": published,
            "kind": kind,
            "likes": post["likes"],
            "comments": post["comments"],
            "views": views,
            **{name: post.get(name) for name in ("reach", "saved", "shares")},
            "engagement": engagement,
            "followers_at_publish": followers,
            "engagement_rate": over(engagement, followers),
            "is_sponsored": self.sponsored[account.platform, post["shortcode"]]["is_sponsored"],
        }

    @cached_property
    def _by_account(self) -> dict[Key, list[tuple[Key, Row]]]:
        found: dict[Key, list[tuple[Key, Row]]] = defaultdict(list)
        for key, row in self.profile_daily.items():
            found[key[:2]].append((key, row))
        return found

    def _days(self, account: Account) -> list[tuple[Key, Row]]:
        return self._by_account[account.platform, account.profile_id]

    def _own(self, account: Account) -> list[Row]:
        """The newest first."""
        rows = [self.posts[account.platform, account.profile_id, post["shortcode"]] for post in account.posts]
        return sorted(rows, key=lambda row: (row["published"], row["post_id"]), reverse=True)

    @cached_property
    def recent_stats(self) -> Mart:
        found: Mart = {}
        for account in self.accounts:
            youtube = account.platform == "YOUTUBE"
            size = 15 if youtube else 12
            eligible = [
                row
                for row in self._own(account)
                if NOW - dt.timedelta(days=180) <= row["published"] <= NOW - dt.timedelta(hours=24)
            ]
            newest, more = eligible[:size], eligible[: 3 * size]
            if not newest:
                continue
            followers = self.latest[account.platform, account.profile_id]["followers"]
            row: Row = {"posts_used": len(newest), "followers": followers}
            row["likes_hidden_share"] = sum(post["likes"] is None for post in newest) / len(newest)
            for name, of in (("avg", mean), ("median", _median), ("typical", typical)):
                means = {metric: of([post[metric] for post in newest]) for metric in ("likes", "comments", "views")}
                row |= {f"{name}_{metric}": value for metric, value in means.items()}
                rate = "engagement_rate" if name == "avg" else f"{name}_engagement_rate"
                row[rate] = over(plus(means["likes"], means["comments"]), followers)
            for kind in ("video", "short") if youtube else ("reel",):
                row[f"avg_{kind}_views"] = mean(post["views"] for post in more if post["kind"] == kind)
            row["er_by_views"] = _ratio(newest, "views", ())
            if not youtube:
                row["er_by_reach"] = _ratio(newest, "reach", ("saved", "shares"))
            found[account.platform, account.profile_id] = row
        return found

    @cached_property
    def account_summary(self) -> Mart:
        return {(account.platform, account.profile_id): self._summary(account) for account in self.known}

    def _summary(self, account: Account) -> Row:
        own = [row for row in self._own(account) if row["published"] <= NOW]
        media_count = self.latest[account.platform, account.profile_id]["media_count"]
        year = [row for row in own if row["published"] >= NOW - dt.timedelta(days=365)]
        kinds = Counter(row["kind"] for row in year)
        judged = [row for row in year if row["is_sponsored"] is not None]
        paid, unpaid = (
            mean(row["engagement"] for row in year if row["is_sponsored"] is sponsored) for sponsored in (True, False)
        )
        return {
            "posts_known": len(own),
            "posts_per_week": _cadence([row["published"] for row in own], media_count),
            "kind_mix": {kind: count / len(year) for kind, count in kinds.items()},
            "best_hour": _best_hour(year),
            "sponsored_share": sum(row["is_sponsored"] for row in judged) / len(judged) if len(judged) >= 3 else None,
            "paid_performance": over(paid, unpaid),
        }

    @cached_property
    def account_monthly(self) -> Mart:
        found: Mart = {}
        for (platform, profile_id, month), row in self.profile_monthly.items():
            before = self.profile_monthly.get((platform, profile_id, month_before(month)), {})
            own = self._posts_of.get((platform, profile_id))
            within = [post for post in own or () if month_of(day_of(post["published"])) == month]
            means = {name: mean(post[name] for post in within) for name in ("likes", "comments", "views")}
            found[platform, profile_id, month] = {
                "followers": row["followers"],
                "follower_gain": minus(row["followers"], before.get("followers")),
                "posts": None if own is None else len(within),
                **{f"avg_{name}": value for name, value in means.items()},
                "engagement_rate": over(plus(means["likes"], means["comments"]), row["followers"]),
                **({"views_gained": minus(row["views"], before.get("views"))} if platform == "YOUTUBE" else {}),
            }
        return found

    @cached_property
    def _posts_of(self) -> dict[Key, list[Row]]:
        found: dict[Key, list[Row]] = defaultdict(list)
        for (platform, profile_id, _), row in self.posts.items():
            found[platform, profile_id].append(row)
        return dict(found)

    @cached_property
    def genre_overview(self) -> Mart:
        members: dict[Key, list[Row]] = defaultdict(list)
        for (platform, profile_id, month), row in self.account_monthly.items():
            if (row["followers"] or 0) < 1000:
                continue
            names = self.attributes[platform, profile_id]
            for category in {"", names["category"] or ""}:
                for language in {"", names["language"] or ""}:
                    members[month, platform, category, language].append(row)
        now = {key: _overview(rows) for key, rows in members.items()}
        return {
            key: row
            | {
                f"{name}_change": minus(value, now.get((month_before(key[0]), *key[1:]), {}).get(name))
                for name, value in row.items()
            }
            for key, row in now.items()
        }

    @cached_property
    def profile_grade(self) -> Mart:
        """percent_rank within platform and bucket (2.6)."""
        values: dict[str, dict[Key, dict[Key, float]]] = defaultdict(lambda: defaultdict(dict))
        found: Mart = {}
        for key, latest in self.latest.items():
            if (bucket := bucket_of(latest["followers"])) is None:
                continue
            stats, growth = self.recent_stats.get(key, {}), self.profile_growth.get(key, {})
            found[key] = {"bucket": bucket}
            told = {
                "er": stats.get("engagement_rate"),
                "avg_views": stats.get("avg_views"),
                "growth_30d": growth.get("growth_30d"),
                "posts_per_week": self.account_summary[key]["posts_per_week"],
            }
            for name, value in told.items():
                found[key][f"{name}_percentile"] = None
                if value is not None:
                    values[name][key[0], bucket][key] = value
        for name, groups in values.items():
            for members in groups.values():
                for key, value in members.items():
                    if len(members) >= 20:
                        less = sum(other < value for other in members.values())
                        found[key][f"{name}_percentile"] = less / (len(members) - 1)
        for row in found.values():
            row["grade"] = _grade(row["er_percentile"])
        return found

    @cached_property
    def fake_analysis(self) -> Mart:
        """Shares of what the newest score of each follower says, with Wilson's bounds of 95 % (2.14)."""
        found: Mart = {}
        for account in self.accounts:
            n = len(account.followers)
            if not n:
                continue
            fake, weak, real = (sum(each["score"] == score for each in account.followers) for score in (1.0, 0.33, 0.0))
            row: Row = dict.fromkeys(("fake_share", "weak_share", "real_share", "credibility"))
            row |= dict.fromkeys(("fake_share_low", "fake_share_high"))
            if n >= 100:
                share, z2 = fake / n, 1.96**2
                middle, width = share + z2 / (2 * n), 1.96 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
                row |= {"fake_share": share, "weak_share": weak / n, "real_share": real / n}
                row |= {"fake_share_low": (middle - width) / (1 + z2 / n)}
                row |= {"fake_share_high": (middle + width) / (1 + z2 / n)}
                row["credibility"] = 1 - share - 0.33 * weak / n
            found[account.platform, account.profile_id] = row | {"n": n}
        return found

    def _variety(self, account: Account) -> float | None:
        """Of the newest 500 comments; of 50 or more."""
        newest = sorted(account.comments, key=lambda each: each["published"], reverse=True)[:500]
        if len(newest) < 50:
            return None
        authors, texts = ({each[name].strip().lower() for each in newest} for name in ("author", "text"))
        return len(authors) / len(newest) * len(texts) / len(newest)

    @cached_property
    def audience_quality(self) -> Mart:
        """The weighted mean of the parts that are known, of two or more (2.13)."""
        recent = Counter(
            (platform, profile_id)
            for platform, profile_id, day in self.anomalies
            if day > TODAY - dt.timedelta(days=90)
        )
        found: Mart = {}
        growing = {key for key, row in self.profile_growth.items() if row["growth_30d"] is not None}
        variety = {(a.platform, a.profile_id): self._variety(a) for a in self.accounts if self._variety(a) is not None}
        for key in self.profile_grade.keys() | growing | variety.keys() | self.fake_analysis.keys():
            parts = {
                "credibility": self.fake_analysis.get(key, {}).get("credibility"),
                "er_percentile": self.profile_grade.get(key, {}).get("er_percentile"),
                "growth_health": max(1 - 0.25 * recent[key], 0) if key in growing else None,
                "comments_variety": variety.get(key),
            }
            weights = zip(parts.values(), (0.4, 0.25, 0.2, 0.15), strict=True)
            known = [(value, weight) for value, weight in weights if value is not None]
            aqs = None
            if len(known) >= 2:
                aqs = round(100 * sum(v * weight for v, weight in known) / sum(weight for _, weight in known))
            found[key] = {**parts, "aqs": aqs, "anomalies_90d": recent[key] if key in growing else None}
        return found

    @cached_property
    def profile_price(self) -> Mart:
        """What a post may cost, in rupees (2.15)."""
        prices = {("INSTAGRAM", "reel"): 200, ("YOUTUBE", "video"): 400, ("YOUTUBE", "short"): 120}
        by_category = {"finance": 1.6, "tech": 1.3, "beauty": 1.2, "fashion": 1.1, "music": 0.8}
        by_country = {"US": 5, "GB": 4, "CA": 4, "AU": 4, "AE": 2.5, "SG": 2.5, "BR": 1.3, "BD": 0.7, "NP": 0.7}
        found: Mart = {}
        for key, stats in self.recent_stats.items():
            names = self.attributes[key]
            percentile = self.profile_grade.get(key, {}).get("er_percentile")
            factor = by_category.get(names["category"] or "", 1) * by_country.get(names["country"] or "", 1)
            factor *= 0.7 + 0.6 * (0.5 if percentile is None else percentile)
            kinds = {
                kind: (stats[f"avg_{kind}_views"], stats[f"avg_{kind}_views"] / 1000 * cpm * factor)
                for (platform, kind), cpm in prices.items()
                if platform == key[0] and stats.get(f"avg_{kind}_views")
            }
            views, likes, comments = (stats[f"avg_{name}"] for name in ("views", "likes", "comments"))
            emv = None
            if (views, likes, comments) != (None, None, None):
                emv = (views or 0) / 1000 * 150 + (likes or 0) * 0.5 + (comments or 0) * 5
            mid = max(kinds.items(), key=lambda each: (each[1][0], each[0]))[1][1] if kinds else None
            if emv is not None or mid is not None:
                found[key] = {"emv_per_post": emv, "price_mid": mid, "price_low": mid and mid * 0.65}
        return found

    @cached_property
    def trending(self) -> Mart:
        groups: dict[Key, list[tuple[Key, float, float]]] = defaultdict(list)
        for (platform, profile_id, shortcode), row in self.posts.items():
            bucket = bucket_of(self.latest.get((platform, profile_id), {}).get("followers"))
            size = row["views"] if row["views"] is not None else row["engagement"]
            if bucket and size is not None and row["published"] >= NOW - dt.timedelta(days=30):
                age_h = (NOW - row["published"]).total_seconds() / 3600
                group = platform, row["kind"], bucket, row["views"] is not None
                groups[group].append(((platform, shortcode), math.log(1 + size), age_h))
        found: Mart = {}
        for members in groups.values():
            sizes = [size for _, size, _ in members]
            centre = sum(sizes) / len(sizes)
            deviation = math.sqrt(sum((size - centre) ** 2 for size in sizes) / len(sizes))
            if len(sizes) >= 20 and deviation > 0:
                for key, size, age_h in members:
                    z = (size - centre) / deviation
                    found[key] = {"z": z, "score": z * 0.5 ** (age_h / 72)}
        return found

    @cached_property
    def genre_trending(self) -> Mart:
        ids = {
            (platform, shortcode): (profile_id, row) for (platform, profile_id, shortcode), row in self.posts.items()
        }
        groups: dict[Key, list[tuple[float, str]]] = defaultdict(list)
        for key, row in self.trending.items():
            profile_id, post = ids[key]
            day = day_of(post["published"])
            names = self.attributes[key[0], profile_id]
            for category in {"", names["category"] or ""}:
                for language in {"", names["language"] or ""}:
                    monday = day - dt.timedelta(days=day.weekday())
                    groups[monday, key[0], category, language].append((-row["score"], key[1]))
        return {
            (*key, number): {"shortcode": shortcode, "score": -score}
            for key, members in groups.items()
            for number, (score, shortcode) in enumerate(sorted(members)[:100], start=1)
        }

    @cached_property
    def genre_creators(self) -> Mart:
        """Of the newest month: the largest, those who grow most, and those whom no month before knows."""
        groups: dict[Key, list[tuple[float, str]]] = defaultdict(list)
        for platform in ("INSTAGRAM", "YOUTUBE"):
            months = {month for p, _, month in self.leaderboard if p == platform}
            known = {i for p, i, month in self.leaderboard if p == platform and month < max(months)}
            for (p, profile_id, month), row in self.leaderboard.items():
                if p != platform or month != max(months) or not row["category"] or (row["followers"] or 0) < 1000:
                    continue
                growth = self.profile_growth.get((p, profile_id), {}).get("growth_30d")
                sizes = {"TOP": row["followers"], "RISING": growth if (growth or 0) > 0 else None}
                sizes["NEW"] = row["followers"] if profile_id not in known and month > min(months) else None
                for kind, size in sizes.items():
                    if size is not None:
                        groups[month, p, row["category"], kind].append((-size, profile_id))
        return {
            (*key, number): {"profile_id": profile_id}
            for key, members in groups.items()
            for number, (_, profile_id) in enumerate(sorted(members)[:50], start=1)
        }

    @cached_property
    def genre_hashtags(self) -> Mart:
        """Tags of five creators or more; lift is their share of posts over that in the four weeks before."""
        ids = {(platform, row["post_id"]): row for (platform, _, _), row in self.posts.items()}
        used: dict[Key, dict[str, str]] = defaultdict(dict)
        genre: dict[Key, set[str]] = defaultdict(set)
        for platform, profile_id, post_id, tag in self.post_hashtags:
            day = day_of(ids[platform, post_id]["published"])
            week = day - dt.timedelta(days=day.weekday())
            for category in {"", self.attributes[platform, profile_id]["category"] or ""}:
                used[week, platform, category, tag][post_id] = profile_id
                genre[week, platform, category].add(post_id)
        found: Mart = {}
        for (week, platform, category, tag), posts in used.items():
            before = [week - dt.timedelta(days=7 * number) for number in range(1, 5)]
            then = sum(len(used.get((each, platform, category, tag), ())) for each in before)
            of = sum(len(genre.get((each, platform, category), ())) for each in before)
            if len(set(posts.values())) >= 5:
                share = len(posts) / len(genre[week, platform, category])
                lift = share / (then / of) if then else None
                row = {"posts": len(posts), "creators": len(set(posts.values())), "lift": lift}
                found[week, platform, category, tag] = row
        return found

    # --- words ---------------------------------------------------------------------------------------------------

    @cached_property
    def post_hashtags(self) -> Mart:
        """By profile, post and tag; videos, too."""
        return {
            (account.platform, account.profile_id, post["post_id"], tag.casefold()): {"label": tag}
            for account in self.accounts
            for post in account.posts
            for tag in tags_of(f"{post['title']}\n{post['description']}")
        }

    @cached_property
    def profile_hashtags(self) -> Mart:
        ids = {(platform, row["post_id"]): row for (platform, _, _), row in self.posts.items()}
        used: dict[Key, list[Row]] = defaultdict(list)
        for platform, profile_id, post_id, tag in self.post_hashtags:
            row = ids[platform, post_id]
            if NOW - dt.timedelta(days=365) <= row["published"] <= NOW:
                used[platform, profile_id, tag].append(row)
        return {
            key: {
                "posts_365d": len(rows),
                "posts_90d": sum(row["published"] >= NOW - dt.timedelta(days=90) for row in rows),
                "avg_engagement": mean(row["engagement"] for row in rows),
            }
            for key, rows in used.items()
        }

    @cached_property
    def social_profile_hashtags(self) -> Mart:
        by_profile: dict[Key, list[tuple[int, int, str]]] = defaultdict(list)
        for (platform, profile_id, tag), row in self.profile_hashtags.items():
            by_profile[platform, profile_id].append((-row["posts_365d"], -row["posts_90d"], tag))
        return {
            (*key, tag): {"rank": number, "posts": -posts}
            for key, tags in by_profile.items()
            for number, (posts, _, tag) in enumerate(sorted(tags)[:100], start=1)
        }

    @cached_property
    def sponsored(self) -> Mart:
        """How sure it is that a post is paid for (2.10): what each kind of evidence leaves open is multiplied."""
        found: Mart = {}
        for account in self.accounts:
            for post in account.posts:
                text = f"{post['title']}\n{post['description']}".lower()
                tags = {tag.casefold() for tag in tags_of(text)}
                names = {name.strip(".") for name in re.findall(r"@([a-z0-9._]+)", text)}
                weights = [
                    0.9 * bool(tags & ADS),
                    0.9 * ("paid partnership with" in text),
                    0.6 * bool(re.search(r"in collaboration with\s+@", text)),
                    0.6 * bool(re.search(r"\bcode\b[^\n]{0,60}\d\s?%|\d\s?%[^\n]{0,60}\bcode\b", text)),
                    0.6 * ("amzn.to/" in text),
                    0.4 * bool(tags & HINTS),
                    0.3 * bool(names & BUSINESSES.keys()),
                ]
                score = 1 - math.prod(1 - weight for weight in weights)
                found[account.platform, post["shortcode"]] = {
                    "score": score,
                    "is_sponsored": score >= 0.7,
                    "brands": sorted({BUSINESSES[name] for name in names if name in BUSINESSES}),
                }
        return found

    # --- persons -------------------------------------------------------------------------------------------------

    @cached_property
    def links(self) -> dict[tuple[str, str], float]:
        """Score of each pair (Instagram, YouTube) of accounts (2.12)."""
        by_name = {("@" * (a.platform == "YOUTUBE") + a.handle): a for a in self.known}
        ways: dict[tuple[str, str], set[str]] = defaultdict(set)
        for account in self.known:
            text = f"{account.bio} {account.website or ''}"
            if account.platform == "INSTAGRAM":
                named = re.findall(r"youtube\.com/(@[^\s/?#]+)", text)
                pairs = [(account, by_name[name]) for name in named if name in by_name]
            else:
                named = re.findall(r"instagram\.com/([A-Za-z0-9_.]*[A-Za-z0-9_])", text)
                pairs = [(by_name[name], account) for name in named if name in by_name]
            for instagram, youtube in pairs:
                ways[instagram.profile_id, youtube.profile_id].add(account.platform)
        self._drop_shops(ways)
        folded = {account.profile_id: (_letters(account.handle), _letters(account.full_name)) for account in self.known}
        alike: dict[Key, list[Account]] = defaultdict(list)
        for account in self.known:
            alike[folded[account.profile_id]].append(account)
        scores = {
            pair: 1.0 if len(sides) == 2 else 0.8 if folded[pair[0]][0] == folded[pair[1]][0] else 0.6
            for pair, sides in ways.items()
            if sides
        }
        for names, members in alike.items():
            if all(names):
                for one in (member for member in members if member.platform == "INSTAGRAM"):
                    for other in (member for member in members if member.platform == "YOUTUBE"):
                        scores.setdefault((one.profile_id, other.profile_id), 0.5)
        return scores

    @staticmethod
    def _drop_shops(ways: Mapping[tuple[str, str], set[str]]) -> None:
        """What more than ten accounts link to is nobody's second one."""
        for platform, target in (("INSTAGRAM", 1), ("YOUTUBE", 0)):
            linked_by = Counter(pair[target] for pair, sides in ways.items() if platform in sides)
            for pair, sides in ways.items():
                if linked_by[pair[target]] > 10:
                    sides.discard(platform)

    @cached_property
    def linked_socials(self) -> Mart:
        """Each way, with the least name of those who are joined."""
        joined: dict[str, set[str]] = {}
        for (instagram, youtube), score in self.links.items():
            if score >= 0.6:
                group = joined.get(f"INSTAGRAM:{instagram}", set()) | joined.get(f"YOUTUBE:{youtube}", set())
                group |= {f"INSTAGRAM:{instagram}", f"YOUTUBE:{youtube}"}
                for name in group:
                    joined[name] = group
        assert all(len(group) <= 6 for group in joined.values()), "the world has no larger ones"
        found: Mart = {}
        for (instagram, youtube), score in self.links.items():
            person = min(joined[f"INSTAGRAM:{instagram}"]) if score >= 0.6 else None
            for key in (("INSTAGRAM", instagram, "YOUTUBE", youtube), ("YOUTUBE", youtube, "INSTAGRAM", instagram)):
                found[key] = {"score": score, "person_id": person}
        return found

    @cached_property
    def cross_platform_time_series(self) -> Mart:
        """Followers of all accounts of a person, each at most seven days old, on days on which one was seen."""
        persons: dict[str, set[Key]] = defaultdict(set)
        for (platform, profile_id, _, _), row in self.linked_socials.items():
            if row["person_id"]:
                persons[row["person_id"]].add((platform, profile_id))
        found: Mart = {}
        for person, members in persons.items():
            series = [
                {day: row["followers"] for (_, _, day), row in self._by_account[member] if row["followers"] is not None}
                for member in members
            ]
            for day in {day for days in series for day in days}:
                week = [day - dt.timedelta(days=ago) for ago in range(8)]
                told = [next((days[each] for each in week if each in days), None) for days in series]
                known = [followers for followers in told if followers is not None]
                row = {"accounts": len(members), "accounts_known": len(known)}
                found[person, day] = row | {"followers": sum(known) if len(known) == len(members) else None}
        return found

    @cached_property
    def account(self) -> Mart:
        """What search and the API show: the marts above, side by side; without posts the averages that were told."""
        found: Mart = {}
        for key, names in self.attributes.items():
            latest, stats = self.latest[key], self.recent_stats.get(key)
            summary, growth = self.account_summary[key], self.profile_growth.get(key, {})
            grade, quality = self.profile_grade.get(key, {}), self.audience_quality.get(key, {})
            price = self.profile_price.get(key, {})
            averages = ("avg_likes", "avg_comments", "avg_views", "engagement_rate")
            counts = {
                "subscribers": latest["followers"],
                "uploads": latest["media_count"],
                "total_views": latest["views"],
            }
            if key[0] == "INSTAGRAM":
                counts = {name: latest[name] for name in ("followers", "following", "media_count")}
            found[key] = {
                **{name: names[name] for name in ("handle", "bio", "website", "category", "language", "country")},
                **counts,
                **{name: (latest if stats is None else stats)[name] for name in averages},
                **{f"growth_{span}d": growth.get(f"growth_{span}d") for span in (7, 30, 90)},
                **{name: summary[name] for name in ("posts_known", "posts_per_week", "best_hour", "sponsored_share")},
                **{name: grade.get(name) for name in ("bucket", "grade", "er_percentile")},
                **{name: quality.get(name) for name in ("aqs", "credibility", "anomalies_90d")},
                **{name: price.get(name) for name in ("emv_per_post", "price_low", "price_mid")},
                "posts_used": (stats or {}).get("posts_used"),
                "er_by_views": (stats or {}).get("er_by_views"),
            }
        return found

    @cached_property
    def post_latest(self) -> Mart:
        return {
            key: {name: row[name] for name in ("post_id", "kind", "comments", "reach", "saved", "shares")}
            for key, row in self.posts.items()
        }

    @cached_property
    def newest_leaderboard(self) -> Mart:
        newest = max(month for platform, _, month in self.leaderboard if platform == "INSTAGRAM")
        return {key[:2]: row for key, row in self.leaderboard.items() if key[2] == newest}

    @cached_property
    def cross_platform_leaderboard(self) -> Mart:
        persons = {(p, i): row["person_id"] for (p, i, _, _), row in self.linked_socials.items() if row["person_id"]}
        sums: dict[Key, Row] = defaultdict(lambda: {"followers": None, "engagement_rate": None, "accounts": 0})
        for (platform, profile_id, month), row in self.leaderboard.items():
            if person := persons.get((platform, profile_id)):
                total = sums[person, month]
                total["accounts"] += 1
                if row["followers"] is not None:
                    total["followers"] = (total["followers"] or 0) + row["followers"]
                    if row["followers"] >= 1000 and row["engagement_rate"] is not None:
                        total["engagement_rate"] = max(total["engagement_rate"] or 0, row["engagement_rate"])
        for month in {key[1] for key in sums}:
            ranks = places({key: row["followers"] for key, row in sums.items() if key[1] == month})
            for key in [key for key in sums if key[1] == month]:
                sums[key]["rank"] = ranks.get(key)
        known = dict(sums)
        return {
            (person, month): row | {"rank_prev": known.get((person, month_before(month)), {}).get("rank")}
            for (person, month), row in known.items()
        }


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if len(known) >= 3 else None


def _ratio(rows: Sequence[Row], name: str, more: Sequence[str]) -> float | None:
    """Of sums, over three posts or more of which both are known."""
    seen = [row for row in rows if row["engagement"] is not None and row[name]]
    engaged = sum(row["engagement"] + sum(row[each] or 0 for each in more) for row in seen)
    return engaged / sum(row[name] for row in seen) if len(seen) >= 3 else None


def _cadence(published: Sequence[dt.datetime], media_count: int | None) -> float | None:
    """Posts a week (2.9)."""
    if not published:
        return 0.0 if media_count == 0 else None
    first, last = min(published), max(published)
    age_days = (NOW - first).total_seconds() / 86_400
    if age_days > 84 or (media_count is not None and media_count <= len(published)):
        recent = sum(at >= NOW - dt.timedelta(days=84) for at in published)
        return recent / max(min(age_days, 84) / 7, 1)
    span_days = (last - first).total_seconds() / 86_400
    return (len(published) - 1) / span_days * 7 if span_days > 0 else None


def _best_hour(rows: Sequence[Row]) -> int | None:
    hours: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        if row["engagement"] is not None:
            hours[row["published"].astimezone(ZONE).hour].append(row["engagement"])
    means = {hour: sum(values) / len(values) for hour, values in hours.items() if len(values) >= 3}
    return min(means, key=lambda hour: (-means[hour], hour)) if means else None


def _overview(rows: Sequence[Row]) -> Row:
    rates = [row["engagement_rate"] for row in rows if row["engagement_rate"] is not None]
    views = [row["avg_views"] for row in rows if row["avg_views"] is not None]
    posts = [row["posts"] for row in rows if row["posts"] is not None]
    return {
        "creators": len(rows),
        "posts": sum(posts) if posts else None,
        "median_engagement_rate": median(rates) if rates else None,
        "avg_views": sum(views) / len(views) if views else None,
        "followers": sum(row["followers"] for row in rows),
    }


def _grade(percentile: float | None) -> str | None:
    if percentile is None:
        return None
    grades = (("A", 0.9), ("B", 0.7), ("C", 0.4), ("D", 0.15), ("E", 0.0))
    return next(grade for grade, least in grades if percentile >= least)


def _letters(text: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKC", text).casefold() if letter.isalnum())

"""What the marts of collections must say, computed from rows and snapshots by plain Python: no SQL of the models.

`World` is a few tenants with lists that share posts, groups that name other tenants' lists, and what crawls told.
"""

import datetime as dt
import random
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

Row = dict[str, Any]
Key = tuple[Any, ...]
FIGURES = ("likes", "comments", "views", "reach", "saves", "shares")
_START = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
FOREIGN = "s0"
"""A post that only another tenant's item names."""
_TOLD = ("likes", "comments", "views", "plays", "reach", "saved", "shares")


@dataclass
class World:
    """Rows as they stand in coffee_replica, and snapshots, each with its time `at` (no two of one thing are equal)."""

    post_collections: list[Row] = field(default_factory=list)
    items: list[Row] = field(default_factory=list)
    groups: list[Row] = field(default_factory=list)
    campaign_profiles: list[Row] = field(default_factory=list)
    posts: list[Row] = field(default_factory=list)
    profiles: list[Row] = field(default_factory=list)


def drawn(seed: int) -> World:
    rng = random.Random(seed)
    world = World()
    published = {
        f"s{n}": (f"p{rng.randrange(5)}", _START + dt.timedelta(hours=rng.randrange(40 * 24))) for n in range(14)
    }
    kinds = {shortcode: rng.choice(["reels", "image", "video"]) for shortcode in published}
    for shortcode, (profile_id, at) in published.items():
        for n in range(rng.randrange(6) if shortcode != FOREIGN else 3):
            seen_at = at + dt.timedelta(hours=rng.randrange(1, 20 * 24), seconds=n + 1)
            told = {name: rng.choice([None, 0, 5, 9, 100, 2000]) for name in _TOLD}
            world.posts.append({
                "platform": "INSTAGRAM", "shortcode": shortcode, "profile_id": profile_id, "publish_time": at,
                "at": seen_at, "post_type": kinds[shortcode], **told,
            })  # fmt: skip
    for profile_id in ("p0", "p1", "p2", "p3"):  # of p4 nothing is known
        for day in sorted(rng.sample(range(60), 9)):
            followers = rng.choice([None, 0, 1000, 2500, 40_000])
            at = _START + dt.timedelta(days=day, hours=rng.randrange(24))
            world.profiles.append({"platform": "INSTAGRAM", "profile_id": profile_id, "at": at, "followers": followers})
    for partner_id in (1, 2, 3):
        for n in range(2):
            collection_id = _id("list", partner_id, n)
            world.post_collections.append({"id": collection_id, "partner_id": partner_id})
            for shortcode in [*rng.sample(sorted({*published} - {FOREIGN}), 6), "never-seen"]:
                world.items.append({
                    "id": _id("item", collection_id, shortcode), "partner_id": partner_id,
                    "collection_id": collection_id, "platform": "INSTAGRAM", "post_shortcode": shortcode,
                })  # fmt: skip
        for profile_id in rng.sample(["p0", "p1", "p2"], 2):
            world.campaign_profiles.append({
                "id": _id("price", partner_id, profile_id), "partner_id": partner_id, "platform": "INSTAGRAM",
                "profile_id": profile_id, "price": float(rng.choice([500, 800])), "currency": "INR",
            })  # fmt: skip
    # An item of one tenant in the list of another, and a list that is not there.
    first, other = world.post_collections[0], world.post_collections[-1]
    for collection_id in (other["id"], _id("gone")):
        world.items.append({
            "id": _id("foreign", collection_id), "partner_id": first["partner_id"], "collection_id": collection_id,
            "platform": "INSTAGRAM", "post_shortcode": FOREIGN,
        })  # fmt: skip
    for partner_id in (1, 2, 3):
        named = [row["id"] for row in world.post_collections]
        world.groups.append({"id": _id("group", partner_id), "partner_id": partner_id, "collection_ids": named})
    return world


def collection_posts(world: World, zone: str, worth: Mapping[str, float]) -> dict[Key, Row]:
    """(collection, shortcode) -> its row."""
    owner = {row["id"]: row["partner_id"] for row in world.post_collections}
    rows: dict[Key, Row] = {}
    for item in world.items:
        if owner.get(item["collection_id"]) != item["partner_id"]:
            continue
        shortcode = item["post_shortcode"]
        snapshots = [post for post in world.posts if post["shortcode"] == shortcode]
        row: Row = {"partner_id": item["partner_id"], "found": bool(snapshots), **_figures(snapshots)}
        row["profile_id"] = snapshots[0]["profile_id"] if snapshots else None
        row["engagement"] = _sum_all(row["likes"], row["comments"])
        row["followers_at_publish"] = _followers(world, snapshots[0], zone) if snapshots else None
        row["engagement_rate"] = _ratio(row["engagement"], row["followers_at_publish"])
        row["er_by_views"] = _ratio(row["engagement"], row["views"])
        _leave_out_unbelievable(row, row["followers_at_publish"])
        told = [row[name] for name in ("views", "likes", "comments")]
        prices = [worth["view"], worth["like"], worth["comment"]]
        known = any(value is not None for value in told)
        row["emv"] = sum((v or 0) * price for v, price in zip(told, prices, strict=True)) if known else None
        rows[item["collection_id"], shortcode] = row
    return rows


def sums(posts: Iterable[Row]) -> Row:
    """Of a collection, or of a group's distinct posts."""
    posts = list(posts)
    engaged = [row for row in posts if row["engagement"] is not None]
    followed = [row for row in engaged if row["followers_at_publish"] is not None]
    seen = [row for row in engaged if row["views"]]
    row = {
        "items": len(posts),
        "posts": sum(row["found"] for row in posts),
        "creators": len({row["profile_id"] for row in posts if row["profile_id"]}),
        **{name: _sum_known(row[name] for row in posts) for name in (*FIGURES, "engagement", "emv")},
        "engagement_rate": _ratio_of_sums(followed, "engagement", "followers_at_publish"),
        "er_by_views": _ratio_of_sums(seen, "engagement", "views"),
    }
    _leave_out_unbelievable(row, sum(each["followers_at_publish"] for each in followed))
    return row


def post_days(world: World, zone: str) -> dict[Key, Row]:
    """(shortcode, local day) -> its figures, and what likes and views gained since the last earlier day of each."""
    days: dict[Key, list[Row]] = defaultdict(list)
    for post in world.posts:
        days[post["shortcode"], _day(post["at"], zone)].append(post)
    rows = {key: _figures(snapshots) for key, snapshots in days.items()}
    for (shortcode, day), row in rows.items():
        for name in ("likes", "views"):
            earlier = [
                (date, other[name])
                for (code, date), other in rows.items()
                if code == shortcode and date < day and other[name] is not None
            ]
            row[f"{name}_gain"] = row[name] - max(earlier)[1] if earlier and row[name] is not None else None
    return rows


def _figures(snapshots: list[Row]) -> Row:
    """The last known values of some snapshots of one post."""
    last: Row = dict.fromkeys(_TOLD)
    for snapshot in sorted(snapshots, key=lambda snapshot: snapshot["at"]):
        last.update({name: snapshot[name] for name in _TOLD if snapshot[name] is not None})
    hidden = last["likes"] == 0 and (last["comments"] or 0) >= 10
    watched = last["plays"] if last["views"] is None else last["views"]
    is_image = bool(snapshots) and snapshots[0]["post_type"] == "image"
    return {
        "likes": None if hidden else last["likes"],
        "comments": last["comments"],
        "views": None if is_image else watched,
        "reach": last["reach"],
        "saves": last["saved"],
        "shares": last["shares"],
    }


def _followers(world: World, post: Row, zone: str) -> int | None:
    """Those last known on the day of publishing; 0 is told by mistake."""
    published = _day(post["publish_time"], zone)
    of_days: dict[dt.date, int] = {}
    for seen in sorted(world.profiles, key=lambda seen: seen["at"]):
        if seen["profile_id"] == post["profile_id"] and seen["followers"] is not None:
            day = _day(seen["at"], zone)
            if seen["followers"] > 0 or day not in of_days:
                of_days[day] = seen["followers"]
    known = {day: followers for day, followers in of_days.items() if day <= published and followers > 0}
    return known[max(known)] if known else None


def _day(at: dt.datetime, zone: str) -> dt.date:
    return at.astimezone(ZoneInfo(zone)).date()


def _sum_all(*values: int | None) -> int | None:
    return None if None in values else sum(value for value in values if value is not None)


def _sum_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _leave_out_unbelievable(row: Row, followers: int | None) -> None:
    """Rates above 5 of a large audience."""
    for name in ("engagement_rate", "er_by_views"):
        if (row[name] or 0) > 5 and (followers or 0) >= 10_000:
            row[name] = None


def _ratio_of_sums(rows: list[Row], part: str, whole: str) -> float | None:
    return sum(row[part] for row in rows) / sum(row[whole] for row in rows) if rows else None


def _id(*parts: object) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, repr(parts)))

"""What the marts must say, computed from events by plain Python: no SQL, no shared code with the models.

`Snapshot` is one profile event; `ndjson` writes it as the sinker does. `leaderboard` and `time_series` are the
rows of the PostgreSQL tables of these names.
"""

import datetime as dt
import json
import uuid
import zoneinfo
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

METRICS = ("followers", "following", "media_count", "views", "engagement_rate")
NAMES = ("handle", "full_name", "profile_pic_url")
CANONICAL = {
    "category": {"Food": "food", "food": "food", "Art": "art"},
    "language": {"hi": "hi", "Tamil": "ta", "ta": "ta"},
    "country": {"IN": "IN", "India": "IN", "US": "US"},
}
RANKED = ("followers", "engagement_rate", "views")
GROUPS = {
    "": (),
    "_by_cat": ("category",),
    "_by_lang": ("language",),
    "_by_country": ("country",),
    "_by_cat_lang": ("category", "language"),
}
Row = dict[str, Any]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Snapshot:
    platform: str
    profile_id: str
    at: str  # "2026-01-31 18:29:59.000000", UTC
    metrics: Row = field(default_factory=dict)
    dimensions: Row = field(default_factory=dict)

    @property
    def event_id(self) -> str:
        """The same snapshot is the same event."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, repr((self.platform, self.profile_id, self.at, self.metrics))))

    def day(self, zone: str) -> dt.date:
        at = dt.datetime.fromisoformat(self.at).replace(tzinfo=dt.UTC)
        return at.astimezone(zoneinfo.ZoneInfo(zone)).date()


def ndjson(snapshots: Iterable[Snapshot]) -> bytes:
    rows = [
        {
            "event_id": snapshot.event_id,
            "v": 1,
            "origin": "job",
            "origin_id": "1",
            "source": "graphapi",
            "platform": snapshot.platform,
            "profile_id": snapshot.profile_id,
            "handle": snapshot.profile_id,
            "event_timestamp": snapshot.at,
            "metrics": snapshot.metrics,
            "dimensions": snapshot.dimensions,
        }
        for snapshot in snapshots
    ]
    return "\n".join(json.dumps(row) for row in rows).encode()


def time_series(snapshots: Iterable[Snapshot], zone: str) -> dict[Key, Row]:
    days: dict[Key, Row] = defaultdict(lambda: dict.fromkeys(METRICS))
    for snapshot in sorted(snapshots, key=lambda snapshot: snapshot.at):
        day = days[snapshot.platform, snapshot.profile_id, snapshot.day(zone)]
        _tell(day, snapshot.metrics)
    return {
        (platform, profile_id, date): {
            "platform": platform,
            "profile_id": profile_id,
            "date": date,
            **{name: day[name] for name in ("followers", "following", "media_count", "views")},
            "engagement": day["engagement_rate"],
        }
        for (platform, profile_id, date), day in days.items()
    }


def _tell(row: Row, metrics: Row) -> None:
    """Metric by metric the last known value; a 0 stands only if nothing else came."""
    for name in row.keys() & set(METRICS):
        if metrics.get(name) is not None and (metrics[name] != 0 or row[name] is None):
            row[name] = metrics[name]


def leaderboard(snapshots: Iterable[Snapshot], zone: str) -> dict[Key, Row]:
    """Names are the last known of all; groups, by their canonical names, the last known at each month's end."""
    rows: dict[Key, Row] = {}
    names: dict[Key, Row] = defaultdict(lambda: dict.fromkeys(NAMES))
    groups: dict[Key, Row] = defaultdict(lambda: dict.fromkeys(CANONICAL))
    for snapshot in sorted(snapshots, key=lambda snapshot: snapshot.at):
        profile = (snapshot.platform, snapshot.profile_id)
        told = {name: value for name, value in snapshot.dimensions.items() if value}
        names[profile].update({"handle": snapshot.profile_id} | {name: told[name] for name in NAMES if name in told})
        groups[profile].update(
            {name: CANONICAL[name][told[name]] for name in CANONICAL if told.get(name) in CANONICAL[name]}
        )
        row = rows.setdefault((*profile, snapshot.day(zone).replace(day=1)), dict.fromkeys(RANKED))
        _tell(row, snapshot.metrics)
        row.update(groups[profile])
    for (platform, profile_id, month), row in rows.items():
        row.update(platform=platform, profile_id=profile_id, month=month, **names[platform, profile_id])
    ranks = {f"{name}_rank{suffix}": (name, by) for name in RANKED for suffix, by in GROUPS.items()}
    for rank, (name, by) in ranks.items():
        for row in rows.values():
            row[rank] = _rank(row, name, by, rows.values())
    for (platform, profile_id, month), row in rows.items():
        before = (month - dt.timedelta(days=1)).replace(day=1)
        previous = rows.get((platform, profile_id, before), {})
        for rank, (_, by) in ranks.items():
            same = all(previous.get(group) == row[group] for group in by)
            row[f"{rank}_prev"] = previous.get(rank) if same else None
        known = platform == "YOUTUBE" and None not in (row["views"], previous.get("views"))
        row["views_gained"] = row["views"] - previous["views"] if known else None
    return rows


def _rank(row: Row, name: str, by: tuple[str, ...], rows: Iterable[Row]) -> int | None:
    """One more than how many are better, in the same platform, month and group."""
    if not _takes_part(row, name) or any(row[group] is None for group in by):
        return None
    same = ("platform", "month", *by)
    better = [
        other
        for other in rows
        if all(other[key] == row[key] for key in same) and _takes_part(other, name) and other[name] > row[name]
    ]
    return 1 + len(better)


def _takes_part(row: Row, name: str) -> bool:
    return row[name] is not None and (name == "followers" or (row["followers"] or 0) >= 1000)

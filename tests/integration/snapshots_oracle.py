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
ATTRIBUTES = ("handle", "full_name", "profile_pic_url", "category", "language", "country")
RANKED = ("followers", "engagement_rate", "views")
GROUPS = {"": None, "_by_cat": "category", "_by_lang": "language", "_by_country": "country"}
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
        day.update({name: value for name, value in snapshot.metrics.items() if value is not None and name in METRICS})
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


def leaderboard(snapshots: Iterable[Snapshot], zone: str) -> dict[Key, Row]:
    snapshots = sorted(snapshots, key=lambda snapshot: snapshot.at)
    attributes: dict[Key, Row] = defaultdict(lambda: dict.fromkeys(ATTRIBUTES))
    rows: dict[Key, Row] = {}
    for snapshot in snapshots:
        known = attributes[snapshot.platform, snapshot.profile_id]
        known.update({"handle": snapshot.profile_id})
        known.update({name: snapshot.dimensions[name] for name in ATTRIBUTES if snapshot.dimensions.get(name)})
        month = snapshot.day(zone).replace(day=1)
        row = rows.setdefault((snapshot.platform, snapshot.profile_id, month), dict.fromkeys(RANKED))
        row.update({name: snapshot.metrics[name] for name in RANKED if snapshot.metrics.get(name) is not None})
    for (platform, profile_id, month), row in rows.items():
        row.update(platform=platform, profile_id=profile_id, month=month, **attributes[platform, profile_id])
    for name in RANKED:
        for suffix, group in GROUPS.items():
            for row in rows.values():
                row[f"{name}_rank{suffix}"] = _rank(row, name, group, rows.values())
    for (platform, profile_id, month), row in rows.items():
        before = (month - dt.timedelta(days=1)).replace(day=1)
        previous = rows.get((platform, profile_id, before), {})
        row.update(
            {f"{name}_rank{suffix}_prev": previous.get(f"{name}_rank{suffix}") for name in RANKED for suffix in GROUPS}
        )
    return rows


def _rank(row: Row, name: str, group: str | None, rows: Iterable[Row]) -> int | None:
    """One more than how many are better, in the same platform, month and group."""
    if row[name] is None or (group and row[group] is None):
        return None
    better = [
        other
        for other in rows
        if (other["platform"], other["month"]) == (row["platform"], row["month"])
        and (group is None or (other[group] or "").lower() == row[group].lower())
        and other[name] is not None
        and other[name] > row[name]
    ]
    return 1 + len(better)

"""Insights of the Graph API as metrics and dimensions, in their old and their new form. Pure.

Old: `values`, one or a series, each a number or an object of numbers. New: `total_value`, with `breakdowns`. A metric
keeps the API's name, and where an answer holds it for several periods, all but the first have the period in theirs.
What the API leaves out is absent, never 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gcc.sources.fields import ID_CHARS_MAX, Fields, parsed
from gcc.sources.snapshot import Metrics

_DEMOGRAPHICS = "_demographics"
_FOLLOWED_OR_LEFT = {"FOLLOWER": "follows", "NON_FOLLOWER": "unfollows"}


@dataclass(frozen=True, slots=True)
class Insights:
    """`metrics` hold one number a name, of a series the latest. `dimensions` hold what is told by parts, each a number.

    METRIC_by_PART ("reach_by_follow_type"), METRIC_by_end_time for series, and audience_age, audience_gender,
    audience_city, audience_country of the followers. `notes`: see `ProfileSnapshot`.
    """

    metrics: Metrics = field(default_factory=dict)
    dimensions: dict[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def with_more(self, other: "Insights") -> "Insights":
        return Insights(
            {**self.metrics, **other.metrics}, {**self.dimensions, **other.dimensions}, [*self.notes, *other.notes]
        )


def insights_of(whole: Fields) -> Insights:
    """What an answer, or the `insights` edge in one, tells; an item without a name is left out, and noted."""
    found = Insights(notes=whole.notes)
    periods: dict[str, str | None] = {}

    def add(item: Fields) -> None:
        name = _name(item)
        period = item.text("period", chars_max=ID_CHARS_MAX)
        key = name if periods.setdefault(name, period) == period else f"{name}_{period}"
        _add_values(found, key, item)
        _add_total(found, name, key, item.object("total_value"))

    parsed(whole.objects("data") if "data" in whole else [whole], add)
    return found


def _name(item: Fields) -> str:
    """Told by itself, or in its id: 17/insights/reach/day."""
    if "name" not in item and "metric" not in item:
        parts = (item.text("id", chars_max=ID_CHARS_MAX) or "").split("/")
        if len(parts) >= 3 and parts[1] == "insights" and parts[2]:
            return parts[2]
    return item.identity("metric" if "name" not in item and "metric" in item else "name")


def _add_values(found: Insights, key: str, item: Fields) -> None:
    if item.kind("value") == "an object":  # as some who hand the answers on write them
        found.dimensions[key] = item.counts("value")
    elif (number := item.number("value")) is not None:
        found.metrics[key] = number
    series: dict[str, int | float] = {}
    for value in item.objects("values"):
        if value.kind("value") == "an object":
            found.dimensions[key] = value.counts("value")
        elif (told := value.number("value")) is not None:
            found.metrics[key] = told
            if end := value.time("end_time"):
                series[end.isoformat()] = told
    if len(series) > 1:
        found.dimensions[f"{key}_by_end_time"] = series


def _add_total(found: Insights, name: str, key: str, total: Fields) -> None:
    if total.kind("value") == "an object":
        found.dimensions[key] = total.counts("value")
    elif (number := total.number("value")) is not None:
        found.metrics[key] = number
    for breakdown in total.objects("breakdowns"):
        parts = dict(filter(None, breakdown.each("results", _part)))
        if not parts:
            continue
        found.dimensions[_named(name, key, breakdown.texts("dimension_keys"))] = parts
        if name == "follows_and_unfollows":
            found.metrics.update({_FOLLOWED_OR_LEFT[by]: parts[by] for by in parts.keys() & _FOLLOWED_OR_LEFT.keys()})


def _part(result: Fields) -> tuple[str, int | float] | None:
    number = result.number("value")
    return None if number is None else (".".join(result.texts("dimension_values"))[:ID_CHARS_MAX], number)


def _named(name: str, key: str, keys: Sequence[str]) -> str:
    """The dimension of a metric by its parts."""
    parts = "_".join(keys)[:ID_CHARS_MAX] or "part"
    if not name.endswith(_DEMOGRAPHICS):
        return f"{key}_by_{parts}"
    whose = "audience" if name == f"follower{_DEMOGRAPHICS}" else name.removesuffix(_DEMOGRAPHICS)
    return f"{whose}_{parts}"

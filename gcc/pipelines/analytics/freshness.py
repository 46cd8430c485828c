"""How old the models are, against what their tag promises: a look for a schedule and for people.

In: the runs of models. Out: an age for each table with such a promise. Views are as old as what they read. The store
away is Transient.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gcc import statements
from gcc.actors.modelled import Model
from gcc.actors.warehouse import Queries

_SQL = statements.load("watching", statements.SQL / "clickhouse" / "queries")

MINUTE_S, HOUR_S = 60, 3600
AGE_S_MAX: Mapping[str, int] = {
    "recent": 10 * MINUTE_S,
    "core": 20 * MINUTE_S,
    "collections": 45 * MINUTE_S,
    "hourly": 90 * MINUTE_S,
    "orders": 90 * MINUTE_S,
    "posts": 4 * HOUR_S,
    "audience": 8 * HOUR_S,
    "daily": 26 * HOUR_S,
    "genre": 30 * HOUR_S,
}
"""Of each tag: how long ago the last good build of a model may have begun."""


@dataclass(frozen=True)
class Age:
    """`age_s`: since its last good build began, None: it was never built, for `waited_s` since the first of any."""

    model: str
    tag: str
    age_s: float | None
    age_s_max: int
    waited_s: float = 0.0

    @property
    def ok(self) -> bool:
        return (self.waited_s if self.age_s is None else self.age_s) <= self.age_s_max

    def __str__(self) -> str:
        age = f"never built in {self.waited_s:,.0f} s" if self.age_s is None else f"{self.age_s:,.0f} s old"
        return f"{age}, of {self.age_s_max:,} s"


async def ages(queries: Queries, models: Sequence[Model]) -> list[Age]:
    """Of every table that a tag makes a promise for, by the strictest of its tags."""
    found = {row["model"]: float(row["age_s"] or 0) for row in await queries.rows(_SQL["ages"])}
    waited_s = found.pop("", 0.0)
    promised = [(model, model.tags & AGE_S_MAX.keys()) for model in models if model.materialized != "view"]
    return [
        Age(model.name, tag := min(tags, key=AGE_S_MAX.__getitem__), found.get(model.name), AGE_S_MAX[tag], waited_s)
        for model, tags in promised
        if tags
    ]


def told(late: Sequence[Age]) -> str:
    """Of those that are late, for an alert: a tag each."""
    by_tag: dict[str, list[Age]] = {}
    for age in late:
        by_tag.setdefault(age.tag, []).append(age)
    names = {tag: ", ".join(age.model for age in members[:5]) for tag, members in by_tag.items()}
    return "; ".join(
        f"{tag}: {len(members)} older than {AGE_S_MAX[tag] // MINUTE_S} min ({names[tag]})"
        for tag, members in by_tag.items()
    )

"""What the models make of a perfect crawl against what the rules make of /truth: one line a mart.

Exact marts: how many rows either side has, and how many of them are equal in every column that is computed here. Of
detectors also how much of what the world has planted they find (recall), and of what they find was planted (precision).
"""

import datetime as dt
import json
import math
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcc.actors.modelled import Model
from gcc.actors.transformer import Transformer
from gcc.clock import SystemClock
from gcc.pipelines.analytics import models
from gcc.stores.clickhouse import ClickHouse
from gcc.supervisor.lifecycle import Board
from tests.truth.given import NOW, Account, accounts, tables
from tests.truth.rules import Key, Mart, Row, Truth

AT_ONCE = 20_000
DIFFERENCES_SHOWN = 3


@dataclass(frozen=True)
class Line:
    """Of one mart. `columns`: how many of its columns are compared, beside the key. `differences`: some, in words."""

    mart: str
    columns: int
    rows: int
    equal: int
    differences: Sequence[str]


@dataclass(frozen=True)
class Found:
    """Of one detector: how many of the planted were found, and of the found were planted."""

    detector: str
    planted: int
    found: int
    right: int

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.planted if self.planted else 1.0


@dataclass(frozen=True)
class Exact:
    """A mart of dbt: what `rules` says, under which key. `platform`: of one alone; then the key has no platform.
    `where`: which of its rows are compared."""

    mart: str
    rule: str
    key: Sequence[str]
    platform: str = ""
    where: str = ""


def _both(short: str, rule: str, *key: str) -> tuple[Exact, Exact]:
    """A mart each for Instagram and YouTube."""
    return (
        Exact(f"mart_insta_{short}", rule, ("profile_id", *key), "INSTAGRAM"),
        Exact(f"mart_youtube_{short}", rule, ("channel_id", *key), "YOUTUBE"),
    )


P = ("platform", "profile_id")
FACETS = ("category", "language", "country", "grade", "bucket")
VERSIONED = ("mart_profile_daily", "mart_profile_monthly", "mart_post_latest", "mart_attribute_monthly")
"""Of whose rows of a key the newest counts."""
EXACT: Sequence[Exact] = (
    Exact("mart_profile_daily", "profile_daily", (*P, "date")),
    Exact("mart_profile_monthly", "profile_monthly", (*P, "month")),
    Exact("mart_time_series", "time_series", (*P, "date")),
    Exact("mart_profile_attributes", "attributes", P),
    Exact("mart_leaderboard_rank", "leaderboard_rank", ("platform", "month", "profile_id")),
    Exact("mart_leaderboard", "leaderboard", (*P, "month")),
    Exact("mart_instagram_leaderboard", "leaderboard", ("profile_id", "month"), "INSTAGRAM"),
    Exact("mart_youtube_leaderboard", "leaderboard", ("channel_id", "month"), "YOUTUBE"),
    Exact("mart_leaderboard_movers", "leaderboard_movers", ("platform", "scope", "value", "month", "rank")),
    Exact("mart_profile_growth", "profile_growth", P),
    Exact("mart_time_series_anomaly", "anomalies", (*P, "date")),
    *_both("all_posts", "posts", "shortcode"),
    *_both("recent_stats", "recent_stats"),
    *_both("account_summary", "account_summary"),
    *_both("account_monthly", "account_monthly", "month"),
    Exact("mart_genre_overview", "genre_overview", ("month", "platform", "category", "language")),
    Exact("mart_profile_grade", "profile_grade", P),
    Exact("mart_audience_quality", "audience_quality", P),
    Exact("mart_profile_price", "profile_price", P),
    Exact("mart_trending_content", "trending", ("platform", "shortcode")),
    Exact("mart_instagram_post_hashtags", "post_hashtags", ("profile_id", "post_id", "tag"), "INSTAGRAM"),
    Exact("mart_instagram_hashtags", "profile_hashtags", ("profile_id", "tag"), "INSTAGRAM"),
    Exact("mart_youtube_hashtags", "profile_hashtags", ("channel_id", "tag"), "YOUTUBE"),
    Exact("mart_social_profile_hashtags", "social_profile_hashtags", (*P, "tag")),
    Exact("mart_post_sponsored", "sponsored", ("platform", "shortcode")),
    Exact("mart_linked_socials", "linked_socials", (*P, "other_platform", "other_profile_id")),
    Exact("mart_post_latest", "post_latest", (*P, "shortcode")),
    Exact("mart_insta_leaderboard", "newest_leaderboard", ("profile_id",), "INSTAGRAM"),
    Exact("mart_instagram_creators_followers_fake_analysis", "fake_analysis", ("profile_id",), "INSTAGRAM"),
    Exact("mart_genre_trending_content", "genre_trending", ("week", "platform", "category", "language", "rank")),
    Exact("mart_genre_creators", "genre_creators", ("month", "platform", "category", "kind", "rank")),
    Exact("mart_genre_hashtags", "genre_hashtags", ("week", "platform", "category", "tag")),
    Exact("mart_instagram_account", "account", ("profile_id",), "INSTAGRAM"),
    Exact("mart_youtube_account", "account", ("channel_id",), "YOUTUBE"),
    Exact("mart_search_profile", "account", P),
    Exact("mart_search_facet", "search_facet", ("kind", "platform", "value"), where=f"kind in {FACETS}"),
    Exact("mart_attribute_monthly", "attribute_monthly", (*P, "month")),
    Exact("mart_profile_location", "profile_location", P),
    Exact("mart_cross_platform_time_series", "cross_platform_time_series", ("person_id", "date")),
    Exact("mart_cross_platform_leaderboard", "cross_platform_leaderboard", ("person_id", "month")),
)


async def fill(clickhouse: ClickHouse, found: Sequence[Account]) -> None:
    for table, rows in tables(found).items():
        for begin in range(0, len(rows), AT_ONCE):
            body = "\n".join(json.dumps(row) for row in rows[begin : begin + AT_ONCE]).encode()
            await clickhouse.insert_ndjson(table, body, token=str(uuid.uuid4()))


async def build(clickhouse: ClickHouse) -> None:
    """All models, as of NOW. AssertionError: one was not built."""
    clock = SystemClock()
    actor = Board(clock.now).actor("truth")
    transformer = Transformer(clickhouse.builders, _graph(), actor, clock, zone="Asia/Kolkata")
    failed = [f"{run.model}: {run.error}" for run in await transformer.run_models(whole=True) if not run.ok]
    assert not failed, failed


def _graph() -> Sequence[Model]:
    """The models, of which var('now') answers NOW."""
    with tempfile.TemporaryDirectory(prefix="gcc-truth-") as folder:
        copied = Path(shutil.copytree(models.MODELS, Path(folder) / "models"))
        stated = (copied / "vars.toml").read_text()
        assert stated.count('now = ""') == 1, "vars.toml has no var now any more"
        (copied / "vars.toml").write_text(stated.replace('now = ""', f'now = "{NOW:%Y-%m-%d %H:%M:%S}"'))
        return models.read(copied, variables={"timezone": "Asia/Kolkata"})


async def compare(clickhouse: ClickHouse, count: int, seed: int = 1) -> tuple[list[Line], list[Found]]:
    """Fill, build and compare; `count` creators of each platform."""
    found = accounts(count, seed)
    await fill(clickhouse, found)
    await build(clickhouse)
    truth = Truth(found)
    lines = [await line_of(clickhouse, exact, getattr(truth, exact.rule)) for exact in EXACT]
    return lines, await detectors(clickhouse, truth)


async def line_of(clickhouse: ClickHouse, exact: Exact, mart: Mart) -> Line:
    if exact.platform:
        mart = {key[1:]: row for key, row in mart.items() if key[0] == exact.platform}
    final = "final" if exact.mart in VERSIONED else ""
    where = f"where {exact.where}" if exact.where else ""
    rows = await clickhouse.rows(f"select * from dbt.{exact.mart} {final} {where}")  # noqa: S608
    computed = {column for row in mart.values() for column in row}
    columns = sorted(computed & rows[0].keys()) if rows else []
    said = {tuple(_plain(row[name]) for name in exact.key): row for row in rows}
    expected = {tuple(_plain(part) for part in key): row for key, row in mart.items()}
    differences, equal = [], 0
    for key in expected.keys() | said.keys():
        wrong = _difference(expected.get(key), said.get(key), columns)
        equal += not wrong
        if wrong:
            differences.append(f"{exact.mart} {key}: {wrong}")
    return Line(
        exact.mart, len(columns), len(expected.keys() | said.keys()), equal, sorted(differences)[:DIFFERENCES_SHOWN]
    )


def _difference(expected: Row | None, said: Mapping[str, Any] | None, columns: Sequence[str]) -> str:
    if expected is None or said is None:
        return "should not be there" if expected is None else "is missing"
    wrong = [name for name in columns if name in expected and not _same(expected[name], said[name])]
    return ", ".join(f"{name} is {said[name]!r}, should be {expected[name]!r}" for name in wrong)


def _same(expected: Any, said: Any) -> bool:
    if isinstance(expected, dict) and isinstance(said, dict):
        return expected.keys() == said.keys() and all(_same(expected[name], said[name]) for name in expected)
    if isinstance(expected, int | float) and isinstance(said, int | float):
        return math.isclose(expected, said, rel_tol=1e-9, abs_tol=1e-9)
    return bool(_plain(expected) == _plain(said))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value


async def detectors(clickhouse: ClickHouse, truth: Truth) -> list[Found]:
    """What was planted in the days, posts and bios, against what the marts say."""
    days, posts = _planted_anomalies(truth), _planted_ads(truth)
    odd = await _keys(clickhouse, "platform, profile_id, toString(date)", "mart_time_series_anomaly")
    ads = await _keys(clickhouse, "platform, shortcode", "mart_post_sponsored where is_sponsored")
    joined = "mart_linked_socials where platform = 'INSTAGRAM' and score >= .6"
    linked = await _keys(clickhouse, "profile_id, other_profile_id", joined)
    return [
        *(
            _found(
                f"{detector}, {platform}", *({key for key in keys if key[0] == platform} for keys in (planted, found))
            )
            for detector, planted, found in (("anomalies", days, odd), ("sponsored posts", posts, ads))
            for platform in ("INSTAGRAM", "YOUTUBE")
        ),
        _found("linked accounts", _planted_persons(truth), linked),
    ]


async def _keys(clickhouse: ClickHouse, columns: str, mart: str) -> set[Key]:
    return {tuple(row.values()) for row in await clickhouse.rows(f"select {columns} from dbt.{mart}")}  # noqa: S608


def _found(detector: str, planted: set[Key], found: set[Key]) -> Found:
    return Found(detector, len(planted), len(found), len(planted & found))


def _planted_anomalies(truth: Truth) -> set[Key]:
    """Those that the rule is about: above half a percent, after ten known gains; on the first day that tells of it."""
    found = set()
    for account in truth.known:
        days = sorted({at.date() for at, _ in account.days})
        for each in account.planted["anomalies"]:
            told = [day for day in days if day.isoformat() >= each["date"]]
            if each["share"] > 0.005 and told and days.index(told[0]) > 10:
                found.add((account.platform, account.profile_id, told[0].isoformat()))
    return found


def _planted_ads(truth: Truth) -> set[Key]:
    return {(account.platform, shortcode) for account in truth.accounts for shortcode in account.planted["sponsored"]}


def _planted_persons(truth: Truth) -> set[Key]:
    return {
        (account.profile_id, account.planted["same_person"])
        for account in truth.accounts
        if account.platform == "INSTAGRAM" and account.planted["same_person"]
    }

"""What runs when: every schedule, a row each, in words of cron and UTC. The day of India ends at 18:30.

A row says what it does by name: `models`, those of these tags; `sync`, these tables; `produce`, jobs of this producer;
`call`, a function that the analytics pipeline has under that name. What is not there yet stands in `waits_for`: such a
row does nothing, and says so. `catch_up`: a due time that was missed while nobody led is made up for, once.

`analytics.schedules` of the settings replaces the cron line of any row, also by a name that the row had before; by
hand: by none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeVar, cast

from gcc.errors import ConfigError, there_are

SCHEDULER = "analytics/scheduler"
"""The actor that runs them."""

BY_HAND = "by hand"
"""Instead of a cron line: never when it is due."""

Kind = Literal["models", "sync", "produce", "call"]


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    cron: str | None  # None: by trigger alone
    kind: Kind
    what: str = ""  # tags, tables or a producer; of a call its name, '' for that of the row
    minutes: int = 10  # how long it may take
    catch_up: bool = True
    was: tuple[str, ...] = ()
    waits_for: str = ""

    @property
    def words(self) -> list[str]:
        return self.what.split() or [self.name]


def _models(name: str, cron: str, what: str, minutes: int = 10, *, catch_up: bool = True, was: str = "") -> Row:
    return Row(name, cron, "models", what, minutes, catch_up, was=(was,) if was else ())


def _sync(name: str, cron: str, table: str, was: str = "") -> Row:
    return Row(name, cron, "sync", table, 30, was=(was,) if was else ())


def _produce(name: str, cron: str, *, was: str = "", waits_for: str = "") -> Row:
    return Row(name, cron, "produce", catch_up=False, was=(was,) if was else (), waits_for=waits_for)


def _call(name: str, cron: str | None, minutes: int = 10, *, catch_up: bool = True, waits_for: str = "") -> Row:
    return Row(name, cron, "call", "", minutes, catch_up, waits_for=waits_for)


GPT = "the flows that ask a language model"
MEDIA = "the flows that copy media"

MODEL_RUNS: Sequence[Row] = (
    _models("dbt_core", "*/15 * * * *", "tag:core", 14, was="core_models"),
    _models("dbt_recent_scores", "*/5 * * * *", "tag:recent", 4, catch_up=False),
    _models("dbt_collections", "7,37 * * * *", "tag:collections", 25),
    _models("dbt_hourly", "22 * * * *", "tag:hourly", 30),
    _models("dbt_posts", "12 */3 * * *", "tag:posts", 30),
    _models("dbt_audience", "52 */6 * * *", "tag:audience", 30),
    _models("dbt_orders", "25 * * * *", "tag:orders"),
    _models("dbt_genre", "40 2 * * *", "tag:genre", 30),
    _models("dbt_daily", "35 19 * * *", "tag:daily", 35),
    _call("dbt_weekly", "0 4 * * 1", 60),
    _call("dbt_monthly", "0 5 3 * *", 60),
)
PRODUCERS_OF_INSTAGRAM: Sequence[Row] = (
    _produce("insta_profiles_tracked", "30 18 * * *", was="stale_profiles"),
    _produce("insta_profiles_basic", "15 */2 * * *"),
    _produce("insta_profiles_by_id", "35 */6 * * *"),
    _produce("insta_profiles_custom", "5 * * * *"),
    _produce("insta_posts_hourly", "2 * * * *"),
    _produce("insta_posts_daily", "45 18 * * *"),
    _produce("insta_tagged_posts", "20 1 * * *"),
    _produce("insta_post_insights", "10 */4 * * *"),
    _produce("insta_profile_insights", "30 0 * * *"),
    _produce("insta_stories", "0,30 * * * *"),
    _produce("insta_story_insights", "15 * * * *"),
    _produce("insta_followers", "0 21 * * *"),
    _produce("insta_following", "0 22 * * *"),
    _produce("insta_hashtag_posts", "40 */6 * * *"),
    _produce("insta_comments", "25 */3 * * *"),
    _produce("insta_likes", "55 */6 * * *"),
    _produce("insta_gpt_enrichment", "50 */2 * * *", waits_for=GPT),
)
PRODUCERS_OF_YOUTUBE: Sequence[Row] = (
    _produce("yt_profiles_tracked", "40 18 * * *", was="stale_profiles"),
    _produce("yt_profiles_basic", "45 */2 * * *"),
    _produce("yt_posts_by_channel", "10 */3 * * *"),
    _produce("yt_posts_collections", "4 * * * *"),
    _produce("yt_posts_by_playlist", "20 5 * * *"),
    _produce("yt_posts_by_genre", "30 5 * * *"),
    _produce("yt_posts_by_search", "0 9 * * *"),
    _produce("yt_post_type", "35 * * * *"),
    _produce("yt_profile_insights", "40 0 * * *"),
    _produce("yt_activities", "50 3 * * *"),
    _produce("yt_comments", "35 */3 * * *"),
    _produce("yt_relationships", "0 23 * * *"),
)
SYNCS: Sequence[Row] = (
    _sync("sync_leaderboard_prod", "15 20 * * *", "leaderboard", was="sync_leaderboard"),
    _sync("sync_time_series", "5 * * * *", "social_profile_time_series"),
    _sync("sync_genre_overview", "20 * * * *", "genre_overview"),
    _sync("sync_trending_content", "50 * * * *", "trending_content"),
    _sync("sync_collection_post_summary", "17,47 * * * *", "collection_post_metrics_summary"),
    _sync("sync_collection_post_ts", "19,49 * * * *", "collection_post_metrics_ts"),
    _sync("sync_group_metrics", "21,51 * * * *", "group_metrics"),
    _sync("sync_collection_hashtags", "23,53 * * * *", "collection_hashtag"),
    _sync("sync_collection_keywords", "25,55 * * * *", "collection_keyword"),
    _sync("sync_profile_hashtags", "40 */3 * * *", "social_profile_hashtags"),
    _sync("sync_search_profile", "40 * * * *", "search_profile"),
    _sync("sync_dictionary", "42 * * * *", "dictionary"),
    _sync("sync_cross_platform_leaderboard", "30 20 * * *", "cross_platform_leaderboard"),
    _sync("sync_linked_socials", "35 20 * * *", "linked_social"),
    _call("sync_account_upserts", "3-58/5 * * * *", 30, catch_up=False),
)
ASSETS: Sequence[Row] = tuple(
    _call(name, cron, catch_up=False, waits_for=MEDIA)
    for name, cron in (
        ("upload_post_asset", "0 */3 * * *"),
        ("upload_post_asset_stories", "30 */3 * * *"),
        ("upload_insta_profile_asset", "10 * * * *"),
        ("upload_yt_profile_asset", "40 */6 * * *"),
        ("upload_yt_post_asset", "20 */3 * * *"),
        ("upload_collection_post_asset", "9 * * * *"),
        ("upload_asset_retry", "15 2 * * *"),
    )
)
OPERATIONAL: Sequence[Row] = (
    _call("rescue_stuck_tasks", "*/5 * * * *"),
    _call("expire_tasks", "*/10 * * * *"),
    _call("credential_check", "8 * * * *"),
    _call("freshness_check", "*/15 * * * *"),
    _call("volume_check", "5 */6 * * *"),
    _call("model_tests", "10 20 * * *", 30),
    _call("parity_check", "30 21 * * *"),
    _call("retention", "45 21 * * *", 60),
    _call("replica_repair", "0 22 * * *", 60),
    _call("dlq_report", "0 3 * * *"),
    _call("erasure", "20 * * * *", 60),
    _call("backup", "0 23 * * *", 120),
    _call("object_cleanup", "30 23 * * *"),
    _call("fake_follower_push", "30 20 * * *", 60),
)
NAMED: Sequence[Row] = (
    *MODEL_RUNS,
    *PRODUCERS_OF_INSTAGRAM,
    *PRODUCERS_OF_YOUTUBE,
    *SYNCS,
    *ASSETS,
    *OPERATIONAL,
)
"""The 76 that the specification names."""
BESIDE: Sequence[Row] = (
    _call("credential_renewals", "*/5 * * * *", catch_up=False),  # the shortest token lives an hour
    _call("sync_time_series_month", "45 20 * * *", 30),
    _call("erasure_of_all", "45 22 * * *", 120),
    _call("source_retention", "5 22 * * *", 120),
    _call("pruning", "35 * * * *", 30),
    _call("score_again", "*/10 * * * *", catch_up=False),
    _call("recount", "25 22 * * *", catch_up=False),
    # by trigger: what a first start shows first, and then; everything in one go
    _call("first_page", None, 30),
    _call("after_first_page", None, 60),
    _call("models_and_syncs", None, 60),
)
ROWS: Sequence[Row] = (*NAMED, *BESIDE)
NOT_YET: Mapping[str, str] = {
    "backup": "backups",
}
"""What a call waits for whose function is not there."""


_DOES: Mapping[str, str] = {
    "dbt_weekly": "builds the models of tag recent whole, and merges what is built by keys",
    "dbt_monthly": "builds and freezes the month before",
    "insta_profiles_tracked": "asks for who is followed and was not crawled for a day",
    "insta_profiles_basic": "asks for accounts that were not crawled for 7 days",
    "insta_profiles_by_id": "asks by their ids for accounts that were not found under their handles",
    "insta_profiles_custom": "asks for accounts of collections that are due",
    "insta_posts_hourly": "asks for posts of collections that are due each hour",
    "insta_posts_daily": "asks for posts of collections that are due each day",
    "insta_tagged_posts": "asks for posts in which profiles of campaigns are tagged",
    "insta_post_insights": "asks for insights of the last 30 days' posts of connected accounts",
    "insta_profile_insights": "asks for insights of connected accounts",
    "insta_stories": "asks for stories of connected accounts",
    "insta_story_insights": "asks for insights of stories that are not a day old",
    "insta_followers": "asks for followers of accounts of which no sample was taken in 90 days",
    "insta_following": "asks for whom accounts follow of which no sample was taken in 90 days",
    "insta_hashtag_posts": "asks for posts of hashtags that keyword collections name",
    "insta_comments": "asks for comments on posts of collections",
    "insta_likes": "asks for who likes posts of collections",
    "insta_gpt_enrichment": "asks a language model about accounts that are new or changed their bio",
    "yt_profiles_tracked": "asks for who is followed and was not crawled for a day",
    "yt_profiles_basic": "asks for channels that were not crawled for 7 days",
    "yt_posts_by_channel": "asks for videos of collected or viewed channels of which none was read within a day",
    "yt_posts_collections": "asks for videos of collections that are due",
    "yt_posts_by_playlist": "asks for uploads of channels of which fewer videos are known than they have",
    "yt_posts_by_genre": "asks for videos of the categories in which most channels are followed",
    "yt_posts_by_search": "searches for words that keyword collections name",
    "yt_post_type": "asks whether videos of up to 3 minutes are shorts",
    "yt_profile_insights": "asks for insights of connected channels",
    "yt_activities": "asks for what channels did",
    "yt_comments": "asks for comments on videos of collections",
    "yt_relationships": "asks for whom channels subscribe to",
    "sync_account_upserts": "announces accounts of which something changed",
    "sync_time_series_month": "has the open months of social_profile_time_series say what the mart says",
    "upload_post_asset": "copies pictures and videos of posts",
    "upload_post_asset_stories": "copies stories",
    "upload_insta_profile_asset": "copies profile pictures of Instagram",
    "upload_yt_profile_asset": "copies profile pictures of YouTube",
    "upload_yt_post_asset": "copies pictures of videos",
    "upload_collection_post_asset": "copies pictures and videos of posts of collections",
    "upload_asset_retry": "copies again what could not be copied",
    "rescue_stuck_tasks": "gives back jobs whose worker died",
    "expire_tasks": "ends jobs that waited too long",
    "credential_check": "has credentials probed that nobody has probed for long",
    "credential_renewals": "renews tokens that end soon",
    "freshness_check": "alerts of models that are older than their tag promises",
    "volume_check": "alerts of events of which unusually few or many came",
    "model_tests": "tests all models, and alerts of what is wrong",
    "parity_check": "compares the audit of PostgreSQL with ClickHouse",
    "retention": "drops events that are older than they are kept",
    "source_retention": "deletes what a source lets us keep for a time only",
    "replica_repair": "compares replicas with PostgreSQL, and mends them",
    "dlq_report": "counts dead letters by queue and reason",
    "erasure": "erases who is to be forgotten",
    "erasure_of_all": "erases again who was forgotten and came back",
    "backup": "backs up",
    "object_cleanup": "deletes files that syncs left",
    "fake_follower_push": "sends followers that have no score to the scorer",
    "score_again": "sends followers that an older scorer has scored to the one of now, some at a time",
    "pruning": "deletes ended jobs, letters, actions and runs that are older than they are kept",
    "recount": "counts jobs and queues anew",
    "first_page": "models and syncs what a first start shows first",
    "after_first_page": "models and syncs all else after a first start",
    "models_and_syncs": "models and syncs everything",
}


def does(row: Row) -> str:
    """What a schedule does, for people."""
    if row.kind == "models":
        return f"builds the models of {', '.join(word.replace(':', ' ') for word in row.words)}"
    if row.kind == "sync":
        return f"syncs {', '.join(row.words)}"
    return _DOES.get(row.name, "")


class Named(Protocol):
    """A row of this table, and a Schedule."""

    @property
    def name(self) -> str: ...
    @property
    def cron(self) -> str | None: ...
    @property
    def was(self) -> tuple[str, ...]: ...


N = TypeVar("N", bound=Named)


def overridden(rows: Sequence[N], crons: Mapping[str, str]) -> list[N]:
    """The rows with the settings' cron lines. ConfigError for a name that no row has or had."""
    names = {name for row in rows for name in (row.name, *row.was)}
    for name in crons:
        if name not in names:
            known = there_are(sorted(row.name for row in rows), name)
            raise ConfigError(f"analytics.schedules.{name}: no such schedule; {known}")
    return [replace(cast(Any, row), cron=_cron(row, crons)) for row in rows]


def _cron(row: Named, crons: Mapping[str, str]) -> str | None:
    given = next((crons[name] for name in (row.name, *row.was) if name in crons), row.cron)
    return None if given == BY_HAND else given

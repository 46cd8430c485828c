"""The tables that are synced from marts, a row each: what of them is kept, and how much of a column may be unknown.

A table's columns, keys and indexes are those of sql/postgres; when it is swapped, that of the timetable says.
"""

from collections.abc import Sequence

from gcc.actors.sync import SyncedTable

SYNCED: Sequence[SyncedTable] = (
    SyncedTable("leaderboard", "mart_leaderboard", 0.95, {"followers": 0.01}),
    SyncedTable(
        "social_profile_time_series",
        "mart_time_series",
        0.98,
        {"followers": 0.05},
        delta_rows=5_000_000,
        day="date",
    ),
    SyncedTable("genre_overview", "mart_genre_overview", 0.8, {"creators": 0.0}),
    SyncedTable("trending_content", "mart_trending_content", 0.3, {"score": 0.0}, select="trending_content"),
    SyncedTable("collection_post_metrics_summary", "mart_collection_post_summary", 0.8, {"likes": 0.5}),
    SyncedTable("collection_post_metrics_ts", "mart_collection_post_ts", 0.9),
    SyncedTable("social_profile_hashtags", "mart_social_profile_hashtags", 0.8, {"posts": 0.0}),
    SyncedTable("collection_hashtag", "mart_collection_hashtags", 0.5, {"posts": 0.0}),
    SyncedTable("collection_keyword", "mart_collection_keywords", 0.5, {"posts": 0.0}),
    SyncedTable("group_metrics", "mart_collection_group_metrics", 0.8, {"posts": 0.0}),
    SyncedTable("search_profile", "mart_search_profile", 0.95),
    SyncedTable("dictionary", "mart_search_facet", 0.95),
    SyncedTable("cross_platform_leaderboard", "mart_cross_platform_leaderboard", 0.95),
    SyncedTable("linked_social", "mart_linked_socials", 0.95, select="linked_social"),
)

"""A tenant to look at: collections, a campaign with prices, a group, links, of the creators that the world has.

In: a platform whose first crawl is stored. Out: rows of the tenant that the development token is of, by which every
mart of collections has something to tell; and events that are made up, of what a first crawl does not bring: comments
that were judged, and a reading of yesterday by which their post has lost likes since. One transaction, and doing it
again adds nothing. Only where setting `demo` is on, and the world answers for the outside.
"""

import datetime as dt
from typing import Any

from gcc import statements
from gcc.channels.jobs import Jobs, NewJob
from gcc.channels.message import Frame
from gcc.clock import Clock
from gcc.pipelines.events.schemas import Event, PostLog, SentimentLog
from gcc.pipelines.events.types import POST_LOG, SENTIMENT_LOG, EventType, encode, timestamp
from gcc.stores import outbox
from gcc.stores.postgres import Connection, Pool

_SQL = statements.load("demo")
_FRAGMENT, _LIKED, _FOLLOWED = "ours", "liked", "followed"
FOLLOWERS_PAGES = 6  # of 50 each, of each of some creators: fewer than a hundred followers say nothing
SOURCE = "demo"
COMMENTS = (
    ("So good, where can I get one?", "POSITIVE", 0.8),
    ("Bahut badhiya!", "POSITIVE", 0.7),
    ("First", "NEUTRAL", 0.0),
    ("Is this an ad?", "NEGATIVE", -0.4),
)


async def seed(pool: Pool, clock: Clock) -> dict[str, Any]:
    """How many rows came to be, by table. Raises Transient."""
    added = {}
    async with pool.transaction() as connection:
        for table, statement in _SQL.items():
            if table not in (_FRAGMENT, _LIKED, _FOLLOWED):
                cursor = await connection.execute(statement.replace("{ours}", _SQL[_FRAGMENT]))
                added[table] = cursor.rowcount
        if added["post_collection_item"]:
            await _make_up(connection, clock)
    return {"rows": sum(added.values()), **{table: rows for table, rows in added.items() if rows}}


async def ask_for_followers(pool: Pool, jobs: Jobs) -> int:
    """Jobs that crawl the newest followers of some creators; how many. Again it adds none. Raises Transient."""
    async with pool.connection() as connection:
        rows = await (await connection.execute(_SQL[_FOLLOWED])).fetchall()
    asked = [
        NewJob(
            "fetch_profile_followers",
            "INSTAGRAM",
            {"profile_id": profile_id, "handle": handle, "pages_max": FOLLOWERS_PAGES},
            key=f"demo followers:{profile_id}",
        )
        for profile_id, handle in rows
    ]
    await jobs.enqueue(asked)
    return len(asked)


async def _make_up(connection: Connection, clock: Clock) -> None:
    """Of the post in the list that is liked most. Nobody counts these events: `check` misses only those that crawls
    and imports emit."""
    rows = await (await connection.execute(_SQL[_LIKED])).fetchall()
    for platform, profile_id, handle, shortcode, likes in rows:
        post = {"platform": platform, "profile_id": profile_id, "shortcode": shortcode, "source": SOURCE}
        yesterday = clock.now() - dt.timedelta(days=1)
        lost = PostLog(
            **_event(clock, yesterday),
            **post,
            handle=handle or "",
            metrics={"likes": likes * 5 // 4 + 10},
            dimensions={},
        )
        judged = [
            SentimentLog(
                **_event(clock, clock.now()), **post, comment_id=f"{SOURCE}-{number}", comment=comment,
                sentiment=sentiment, score=score,
            )
            for number, (comment, sentiment, score) in enumerate(COMMENTS)
        ]  # fmt: skip
        made: list[tuple[EventType, list[Event]]] = [(POST_LOG, [lost]), (SENTIMENT_LOG, [*judged])]
        bodies = [(each.route, len(events), b"\n".join(map(encode, events))) for each, events in made]
        await outbox.put(
            connection, [Frame(clock.new_id(), route, count, body, counted=0) for route, count, body in bodies]
        )


def _event(clock: Clock, at: dt.datetime) -> dict[str, Any]:
    return {"event_id": str(clock.new_id()), "event_timestamp": timestamp(at), "origin": SOURCE}

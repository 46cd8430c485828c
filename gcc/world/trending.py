"""Reads the recorded trending videos of YouTube (India, 2017-2018): videos by the title of their channel. Pure.

A video stands in the table once for every day that it trended: the last one counts. Titles and tags are in other
tables, for a part of the videos; where none has them they stay empty. Ids that a spreadsheet has
destroyed ("#NAME?") name no video: such records are refused.
"""

import csv
import datetime as dt
import io
import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from gcc.errors import Permanent
from gcc.world.chance import key_of
from gcc.world.model import Post
from gcc.world.tables import Reading, TableError

_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_DATE = re.compile(r"(\d\d)\.(\d\d)\.(\d\d)")
_COLUMNS = ("video_id", "trending_date", "channel_title", "category_id", "publish_time", "views", "likes",
            "comment_count")  # fmt: skip


@dataclass
class Videos:
    """What was read: videos by their channel's title (case folded), newest first."""

    by_channel: dict[str, list[Post]]
    readings: list[Reading] = field(default_factory=list)


def category_names(*texts: str) -> dict[str, str]:
    """Category id -> name, of several lists that each lack some."""
    return {item["id"]: item["snippet"]["title"] for text in texts for item in json.loads(text)["items"]}


def read(table: str, text: str, described: dict[str, dict[str, str]]) -> Videos:
    """The videos of `table`, with titles, tags and descriptions from `described` (by video id)."""
    reading = Reading(table)
    last: dict[str, tuple[str, str, Post]] = {}  # video id -> (its last day, its channel, the video)
    for record_number, record in enumerate(_records(table, text, _COLUMNS), 1):
        reading.records += 1
        video_id = record["video_id"]
        try:
            post, day = _post(record, described.get(video_id, {})), _trended(record["trending_date"])
        except Permanent as wrong:
            reading.refused.append((record_number, str(wrong)))
            continue
        reading.doubled += video_id in last
        if video_id not in last or last[video_id][0] < day:
            last[video_id] = day, record["channel_title"].casefold(), post
    by_channel: dict[str, list[Post]] = defaultdict(list)
    for _, channel, post in last.values():
        by_channel[channel].append(post)
    for posts in by_channel.values():
        posts.sort(key=lambda post: (post.published, post.post_id), reverse=True)
    return Videos(dict(by_channel), [reading])


def described(*tables: tuple[str, str]) -> dict[str, dict[str, str]]:
    """Video id -> the columns that describe it, of (table, text)s; the first that has a title wins."""
    found: dict[str, dict[str, str]] = {}
    for table, text in tables:
        for record in _records(table, text, ("video_id", "title")):
            found.setdefault(record["video_id"], record)
    return found


def favourite_category(posts: list[Post], category_names: dict[str, str]) -> str | None:
    """The name of the category that most of the videos have."""
    (category_id, _), *_ = Counter(post.category_id for post in posts).most_common(1)
    return category_names.get(category_id)


def _records(table: str, text: str, wanted: tuple[str, ...]) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in wanted if name not in (reader.fieldnames or ())]
    if missing:
        raise TableError(f"{table}: no column {missing[0]!r}")
    return list(reader)


def _trended(text: str) -> str:
    """YY.DD.MM as YY-MM-DD, which sorts."""
    matched = _DATE.fullmatch(text)
    if matched is None:
        raise Permanent(f"{text[:30]!r} is no YY.DD.MM")
    return f"{matched[1]}-{matched[3]}-{matched[2]}"


def _post(record: dict[str, str], about: dict[str, str]) -> Post:
    video_id = record["video_id"]
    if not _VIDEO_ID.fullmatch(video_id):
        raise Permanent(f"{video_id!r} is no video id")
    tags = about.get("tags", "").replace('"', "").split("|")
    try:
        return Post(
            post_id=video_id,
            shortcode=video_id,
            kind="video",
            published=dt.datetime.fromisoformat(record["publish_time"]).astimezone(dt.UTC),
            title=about.get("title", ""),
            description=about.get("description", ""),
            tags=tuple(tag for tag in tags if tag and tag != "[none]"),
            category_id=record["category_id"],
            likes=int(record["likes"]),
            comments=int(record["comment_count"]),
            views=int(record["views"]),
            duration_s=120 + key_of(video_id) % 1500,  # not recorded
        )
    except (ValueError, TypeError) as wrong:  # TypeError: the record is cut off
        raise Permanent(f"video {video_id}: {wrong}") from wrong

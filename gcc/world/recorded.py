"""The recorded world: the real creators of a folder of tables, served like generated ones.

In: `creators/` (months of top thousands, two tables of another kind) and `youtube_trending/`. Out: a
`Cast` for each platform, and what was read and refused. A month's table is the history of its first
day; each creator's newest figures are today's. What no table tells of today (following, an Instagram post's
likes apart from its comments, videos that were not recorded) is drawn from the seed at a believable size, and
only today's: the history holds what is recorded and nothing else. A missing folder is a ConfigError.
"""

import datetime as dt
import gzip
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gcc.errors import ConfigError
from gcc.platforms.platform import HANDLE_CHARS_MAX
from gcc.world import tables, trending
from gcc.world.chance import key_of, letters, mix
from gcc.world.creators import Growth, growth, instagram_id
from gcc.world.model import PAGE_POSTS, Anomaly, Cast, Creator, Day, Platform, Post
from gcc.world.tables import Reading, Row
from gcc.world.timeline import Timeline, Totals

_MONTH = re.compile(r"(\d{4})-(\d\d)")
_VIDEOS_KEPT = 40  # of a channel's recorded ones, the newest


@dataclass(frozen=True, slots=True)
class Remembered:
    """The course of a recorded creator: known days, and `now` on the one day that the world pins as today."""

    days: dict[dt.date, Day]
    today: dt.date
    now: Day
    timeline: Timeline
    totals: Totals
    videos: tuple[Post, ...]  # recorded ones; none: they are drawn

    def day(self, date: dt.date) -> Day | None:
        return self.now if date == self.today else self.days.get(date)

    def post_names(self, today: dt.date) -> list[str]:
        if self.videos:
            return [post.post_id for post in self.videos]
        return self.timeline.post_names(today)

    def anomalies(self, dates: Sequence[dt.date]) -> list[Anomaly]:
        return []  # what there was nobody has written down

    def posts(self, today: dt.date) -> list[Post]:
        return list(self.videos) or self.timeline.posts(today, self.totals)


@dataclass
class Person:
    """What all tables together tell of one creator, newest first."""

    rows: list[tuple[dt.date | None, Row]] = field(default_factory=list)
    tables: set[str] = field(default_factory=set)

    @property
    def titles(self) -> set[str]:
        return {row.title.casefold() for _, row in self.rows if row.title}


@dataclass(frozen=True)
class Recorded:
    casts: dict[Platform, Cast]
    readings: list[Reading]
    channels_with_videos: int

    def report(self) -> list[str]:
        """One line a table, for people."""
        return [
            f"{each.table}: {each.records} records, {each.doubled} doubled, {len(each.refused)} refused"
            + (f" (record {each.refused[0][0]}: {each.refused[0][1]}, ...)" if each.refused else "")
            for each in self.readings
        ]


def read_casts(folder: Path, seed: int, today: dt.date) -> Recorded:
    """Reads everything; about two seconds. Raises ConfigError naming world.recorded and the file."""
    try:
        months = _months(folder / "creators" / "monthly_top1000")
        creators = folder / "creators"
        top = tables.top_influencers("top_insta_influencers_data", _text(creators / "top_insta_influencers_data.csv"))
        world = tables.statistics_2023("global_youtube_2023", _text(creators / "global_youtube_statistics_2023.csv"))
        videos, category_names = _videos(folder / "youtube_trending")
    except OSError as error:
        raise ConfigError(f"world.recorded: {error.filename} cannot be read: {error.strerror}") from error
    except tables.TableError as error:
        raise ConfigError(f"world.recorded: {error}") from error
    dated = {platform: [each for each in months if each[0] == platform] for platform in PAGE_POSTS}
    people: dict[Platform, dict[str, Person]] = {}
    people["INSTAGRAM"] = _merge_instagram([*((date, reading) for _, date, reading in dated["INSTAGRAM"]), (None, top)])
    people["YOUTUBE"] = _merge_youtube([(None, world), *((date, reading) for _, date, reading in dated["YOUTUBE"])])
    with_videos = 0
    casts: dict[Platform, Cast] = {}
    for platform, persons in people.items():
        found = []
        for handle, person in persons.items():
            own = _own_videos(person, videos.by_channel) if platform == "YOUTUBE" else ()
            category = trending.favourite_category(list(own), category_names) if own else None
            with_videos += bool(own)
            found.append(_creator(platform, seed, today, handle, person, own, category))
        dates = sorted({date for _, date, _ in dated[platform] if date is not None})
        casts[platform] = Cast(platform, found, today, dates)
    return Recorded(casts, [*(reading for *_, reading in months), top, world, *videos.readings], with_videos)


def _months(folder: Path) -> list[tuple[Platform, dt.date | None, Reading]]:
    """Every month of both platforms, newest first; an undated table is older than all."""
    found: list[tuple[Platform, dt.date | None, Reading]] = []
    platforms: tuple[Platform, ...] = ("INSTAGRAM", "YOUTUBE")
    for platform in platforms:
        files = sorted(folder.glob(f"{platform.lower()}_*.csv"))
        if not files:
            raise ConfigError(f"world.recorded: {folder} holds no {platform.lower()}_*.csv")
        for file in files:
            month = _MONTH.search(file.stem)
            date = dt.date(int(month[1]), int(month[2]), 1) if month else None
            found.append((platform, date, tables.monthly(platform, file.stem, _text(file))))
    return sorted(found, key=lambda each: each[1] or dt.date.min, reverse=True)


def _videos(folder: Path) -> tuple[trending.Videos, dict[str, str]]:
    names = trending.category_names(*(_text(file) for file in sorted(folder.glob("IN_category_id*.json"))))
    about = trending.described(
        *((name, _text(folder / name)) for name in (
            "INvideos_full_1000.csv", "INvideos_titles_15000.csv.gz", "USvideos_titles.csv.gz",
        ))
    )  # fmt: skip
    return trending.read("INvideos_stats", _text(folder / "INvideos_stats.csv.gz"), about), names


def _text(file: Path) -> str:
    raw = file.read_bytes()
    return tables.decode(gzip.decompress(raw) if file.suffix == ".gz" else raw)


def _merge_instagram(readings: Iterable[tuple[dt.date | None, Reading]]) -> dict[str, Person]:
    """Creators by handle: names on Instagram are not unique."""
    people: dict[str, Person] = {}
    for date, reading in readings:
        for row in reading.rows:
            people.setdefault(row.handle or "", Person()).rows.append((date, row))
    return people


def _merge_youtube(readings: Iterable[tuple[dt.date | None, Reading]]) -> dict[str, Person]:
    """Channels by handle, else by title (handles change, and one table has none), newest table first."""
    people: list[Person] = []
    by_handle: dict[str, Person] = {}
    by_title: dict[str, Person] = {}
    for date, reading in readings:
        for row in reading.rows:
            person = by_handle.get(row.handle or "") or by_title.get(row.title.casefold())
            if person is None or reading.table in person.tables:  # two channels of one title are two
                person = Person()
                people.append(person)
            person.rows.append((date, row))
            person.tables.add(reading.table)
            by_title.setdefault(row.title.casefold(), person)
            if row.handle:
                by_handle.setdefault(row.handle, person)
    named: dict[str, Person] = {}
    for person in people:
        cell = next((row.handle for _, row in person.rows if row.handle), person.rows[0][1].title)
        stem = _handle(cell) or f"channel{key_of(cell) % 10**6}"
        handle, number = stem, 1
        while handle in named:
            number += 1
            handle = f"{stem}{number}"
        named[handle] = person
    return named


def _handle(text: str) -> str:
    """A cell as a handle: some tables have the channel's title in the place of one. Short enough for a number more."""
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter in "._-")[: HANDLE_CHARS_MAX - 2]


def _own_videos(person: Person, by_channel: dict[str, list[Post]]) -> tuple[Post, ...]:
    own = [post for title in sorted(person.titles) for post in by_channel.get(title, ())]
    own.sort(key=lambda post: (post.published, post.post_id), reverse=True)
    return tuple(own[:_VIDEOS_KEPT])


def _creator(
    platform: Platform,
    seed: int,
    today: dt.date,
    handle: str,
    person: Person,
    videos: tuple[Post, ...],
    category: str | None,
) -> Creator:
    rows = [row for _, row in person.rows]
    key = mix(seed, key_of(f"{platform}:{handle}"))
    category = next((row.category for row in rows if row.category), category)
    joined = next((row.joined for row in rows if row.joined), dt.date(2012, 1, 1) + dt.timedelta(days=key % 3000))
    course = _course(platform, key, today, person, videos, joined, category, handle)
    identity = key_of(f"{platform}:{handle}")
    return Creator(
        platform=platform,
        profile_id="UC" + letters(identity, mix(identity)) if platform == "YOUTUBE" else instagram_id(identity),
        handle=handle,
        full_name=next((row.title for row in rows if row.title), handle),
        bio="",
        website=None,
        category=category,
        language=None,
        country=next((row.country for row in rows if row.country), None),
        city=None,
        joined=joined,
        tells_country=True,
        course=course,
    )


def _course(
    platform: Platform,
    key: int,
    today: dt.date,
    person: Person,
    videos: tuple[Post, ...],
    joined: dt.date,
    category: str | None,
    handle: str,
) -> Remembered:
    rows = [row for _, row in person.rows]
    followers = rows[0].followers
    drawn = growth(platform, key, followers, joined=joined, category=category, handle=handle)
    size = drawn.day(today)
    media_count = next((row.media_count for row in rows if row.media_count is not None), size.media_count) or 0
    timeline = replace(drawn.timeline, kept=min(drawn.timeline.kept, media_count))
    page = PAGE_POSTS[platform]
    totals = sums = _totals(rows, page, followers, drawn)
    listed = videos or (timeline.posts(today, totals) if timeline.kept < page else ())
    if videos or timeline.kept < page:  # otherwise the posts are made to have just these sums
        page = min(page, len(listed))
        sums = _sums(listed[:page])
    now = Day(
        followers=followers,
        following=size.following,
        media_count=media_count,
        total_views=next((row.total_views for row in rows if row.total_views is not None), size.total_views),
        avg_likes=sums.likes / page if page else None,
        avg_comments=sums.comments / page if page else None,
        avg_views=None if sums.views is None or not page else sums.views / page,
        engagement_rate=(sums.likes / page + sums.comments / page) / followers if page else None,
    )
    days = {date: _past(row) for date, row in reversed(person.rows) if date is not None}
    return Remembered(days, today, now, timeline, totals, videos)


def _past(row: Row) -> Day:
    engagement = row.engagement
    if engagement is None and row.avg_likes is not None and row.avg_comments is not None:
        engagement = row.avg_likes + row.avg_comments
    return Day(
        followers=row.followers,
        following=None,
        media_count=None,
        total_views=None,
        avg_likes=row.avg_likes,
        avg_comments=row.avg_comments,
        avg_views=row.avg_views,
        engagement_rate=None if engagement is None else engagement / row.followers,
    )


def _totals(rows: Sequence[Row], page: int, followers: int, drawn: Growth) -> Totals:
    """Sums over a page of posts: as recorded, or drawn where no table tells."""
    likes = next((row.avg_likes for row in rows if row.avg_likes is not None), None)
    comments = next((row.avg_comments for row in rows if row.avg_comments is not None), None)
    if drawn.view_rate is None:  # Instagram
        engagement = next((row.engagement for row in rows if row.engagement is not None), None)
        if engagement is not None:  # the sum is recorded, its parts are not
            likes = engagement / (1 + drawn.comments_per_like)
        elif likes is None:
            likes = followers * drawn.like_rate
        return Totals(round(likes * page), round(likes * drawn.comments_per_like * page), None)
    views = next((row.avg_views for row in rows if row.avg_views is not None), followers * drawn.view_rate)
    if likes is None:
        likes = views * drawn.like_rate / drawn.view_rate
    if comments is None:
        comments = likes * drawn.comments_per_like
    return Totals(round(likes * page), round(comments * page), round(views * page))


def _sums(videos: Sequence[Post]) -> Totals:
    return Totals(
        sum(post.likes for post in videos),
        sum(post.comments for post in videos),
        sum(post.views or 0 for post in videos),
    )

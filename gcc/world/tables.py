"""Reads recorded tables of creators, whose headers drift from month to month. Pure: text in, rows out.

What a column holds is told by its cells, where the headers lie: in one month Instagram's country stands
under "Views avg.", in another YouTube's handles and titles are swapped. Every figure stands there twice, as
a short text ("409.8M") and as a number; both must agree. A record that cannot be understood is
refused with its reason, never guessed; a table that cannot be, raises TableError.
"""

import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from gcc.errors import Permanent
from gcc.world.countries import CODES
from gcc.world.model import Platform

_UNKNOWN = frozenset({"", "-", "n/a", "n/a'", "#valor!", "#value!", "nan", "unknown"})
_NUMBER = re.compile(r"(\d+(?:\.\d+)?(?:e\+?\d+)?)([kmb%]?)", re.IGNORECASE)
_SCALE = {"": 1.0, "%": 0.01, "k": 1e3, "m": 1e6, "b": 1e9}
_HANDLE = re.compile(r"[A-Za-z0-9._-]+")
_BROKEN = re.compile("\ufffd|ï¿|ýý")  # letters that an earlier conversion has lost
_RANKS = frozenset({"rank", "s.no"})
_MOST = 0.9  # of a column's known cells tell what it holds; the rest are bad records


class TableError(Permanent):
    """The table as a whole is none that is known."""


@dataclass(frozen=True)
class Row:
    """One creator as one table has it; None where the table does not tell."""

    handle: str | None
    title: str
    followers: int
    category: str | None = None
    country: str | None = None  # two letters
    engagement: float | None = None  # Instagram: likes and comments per post
    avg_likes: float | None = None
    avg_comments: float | None = None
    avg_views: float | None = None
    media_count: int | None = None
    total_views: int | None = None
    joined: dt.date | None = None


@dataclass
class Reading:
    """What came of a table: every record is in `rows`, in `doubled`, or in `refused`."""

    table: str
    records: int = 0
    rows: list[Row] = field(default_factory=list)
    doubled: int = 0  # records that say what an earlier one says
    refused: list[tuple[int, str]] = field(default_factory=list)  # (record, from 1; reason)


def decode(raw: bytes) -> str:
    """UTF-8 with or without a mark, else the Windows encoding; never fails."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def number(cell: str) -> float | None:
    """409.8M, 3.3k, 1.39%, 2.28E+11 as a number; None for the ways to say nothing. Permanent for anything else."""
    text = cell.strip()
    if text.lower() in _UNKNOWN:
        return None
    matched = _NUMBER.fullmatch(text)
    if matched is None:
        raise Permanent(f"{text[:30]!r} is no number")
    return round(float(matched[1]) * _SCALE[matched[2].lower()], 6)


def country(cell: str) -> str | None:
    """The two letters of a country's English name; None for the ways to say nothing. Permanent for anything else."""
    text = cell.strip()
    if text.lower() in _UNKNOWN:
        return None
    if text not in CODES:
        raise Permanent(f"{text[:30]!r} is no country")
    return CODES[text]


def monthly(platform: Platform, table: str, text: str) -> Reading:
    """A month's top thousand. Raises TableError where its columns are not the known ones."""
    header, *records = csv.reader(io.StringIO(text, newline=""))
    layout = _layout(platform, table, header, records)
    return _read(table, records, layout.row)


def statistics_2023(table: str, text: str) -> Reading:
    """The global table of YouTube channels: total views, uploads, the day of joining."""
    header, *records = csv.reader(io.StringIO(text, newline=""))
    at = _columns(table, header, (
        "Youtuber", "Subscribers", "Video Views", "Category", "Uploads", "Country",
        "Created Year", "Created Month", "Created Date",
    ))  # fmt: skip

    def row(record: list[str]) -> Row:
        title = record[at["Youtuber"]].strip()
        if _BROKEN.search(title):
            raise Permanent(f"the name {title[:30]!r} has lost letters")
        return Row(
            handle=None,
            title=title,
            followers=_followers(record[at["Subscribers"]]),
            category=_known(record[at["Category"]]),
            country=country(record[at["Country"]]),
            media_count=_whole(record[at["Uploads"]]),
            total_views=_whole(record[at["Video Views"]]),
            joined=_date(*(record[at[f"Created {part}"]] for part in ("Year", "Month", "Date"))),
        )

    return _read(table, records, row)


def top_influencers(table: str, text: str) -> Reading:
    """The table of Instagram's top two hundred: posts, likes per post."""
    header, *records = csv.reader(io.StringIO(text, newline=""))
    at = _columns(table, header, ("Influencer Name", "Total Posts", "Followers", "Avg likes", "Country"))

    def row(record: list[str]) -> Row:
        handle = record[at["Influencer Name"]].strip()
        if not _HANDLE.fullmatch(handle):
            raise Permanent(f"{handle[:30]!r} is no handle")
        return Row(
            handle=handle.lower(),
            title="",
            followers=_followers(record[at["Followers"]]),
            country=country(record[at["Country"]]),
            avg_likes=number(record[at["Avg likes"]]),
            media_count=_whole(record[at["Total Posts"]]),
        )

    return _read(table, records, row)


@dataclass(frozen=True)
class _Layout:
    """Which column of a monthly table holds what."""

    platform: Platform
    handle: int
    title: int
    country: int
    categories: tuple[int, ...]
    figures: dict[str, int]  # name -> the column of the short text; the number stands right of it

    def row(self, record: list[str]) -> Row:
        figures = {name: _agreed(name, record[column], record[column + 1]) for name, column in self.figures.items()}
        place = country(record[self.country])
        handle = record[self.handle].strip()
        if not handle:
            raise Permanent("the handle is empty")
        authentic, engagement = figures.get("authentic"), figures.get("engagement")
        if authentic is not None and engagement is not None and authentic > engagement:
            raise Permanent(f"more authentic engagement ({authentic:g}) than engagement ({engagement:g})")
        return Row(
            handle=handle.lower(),
            title=record[self.title].strip(),
            followers=_followers(record[self.figures["followers"]]),
            category=next((known for column in self.categories if (known := _known(record[column]))), None),
            country=place,
            engagement=engagement,
            avg_likes=figures.get("likes"),
            avg_comments=figures.get("comments"),
            avg_views=figures.get("views"),
        )


def _layout(platform: Platform, table: str, header: list[str], records: list[list[str]]) -> _Layout:
    names, numbers, countries, categories = [], [], [], []
    whole = [record for record in records if len(record) == len(header)]
    for column, head in enumerate(head.strip().lower() for head in header):
        cells = [record[column].strip() for record in whole]
        if head in _RANKS:
            continue
        if head.startswith("categor"):
            categories.append(column)
        elif _mostly(number, cells):
            numbers.append(column)
        elif _mostly(country, cells):
            countries.append(column)
        else:
            names.append(column)
    if len(names) != 2 or len(countries) != 1 or len(numbers) % 2:
        raise TableError(
            f"{table}: {len(names)} columns of names, {len(countries)} of countries, {len(numbers)} numbers"
        )
    handle, title = sorted(names, key=lambda column: -sum(bool(_HANDLE.fullmatch(r[column].strip())) for r in whole))
    figures = _figures(platform, table, [(header[column], column) for column in numbers[::2]])
    return _Layout(platform, handle, title, countries[0], tuple(categories), figures)


def _figures(platform: Platform, table: str, pairs: list[tuple[str, int]]) -> dict[str, int]:
    """Instagram's tables have always the same three figures, whatever stands above them; YouTube's are named."""
    if platform == "INSTAGRAM":
        if len(pairs) != 3:
            raise TableError(f"{table}: {len(pairs)} figures, not followers, authentic and average engagement")
        return dict(zip(("followers", "authentic", "engagement"), (column for _, column in pairs), strict=True))
    words = {"subscri": "followers", "follower": "followers", "view": "views", "like": "likes", "comment": "comments"}
    named = {name: column for head, column in pairs for word, name in words.items() if word in head.lower()}
    if "followers" not in named or len(named) != len(pairs):
        raise TableError(f"{table}: figures {[head for head, _ in pairs]} are not all known")
    return named


def _read(table: str, records: list[list[str]], row: Callable[[list[str]], Row]) -> Reading:
    reading = Reading(table)
    first: dict[str, tuple[int, Row]] = {}
    for record_number, record in enumerate(records, 1):
        reading.records += 1
        try:
            found = row(record)
            key = found.handle or found.title.casefold()
            earlier, twin = first.setdefault(key, (record_number, found))
            if earlier == record_number:
                reading.rows.append(found)
            elif replace(twin, category=found.category) == found:
                reading.doubled += 1
            else:
                raise Permanent(f"{key!r} stands with other figures in record {earlier}")
        except IndexError:
            reading.refused.append((record_number, f"only {len(record)} cells"))
        except Permanent as wrong:
            reading.refused.append((record_number, str(wrong)))
    return reading


def _mostly(read: Callable[[str], object], cells: Iterable[str]) -> bool:
    """Whether most of the cells that say something can be read so."""
    known = [cell for cell in cells if cell.lower() not in _UNKNOWN]
    good = 0
    for cell in known:
        try:
            read(cell)
            good += 1
        except Permanent:
            pass
    return bool(known) and good >= _MOST * len(known)


def _columns(table: str, header: list[str], wanted: Iterable[str]) -> dict[str, int]:
    missing = [name for name in wanted if name not in header]
    if missing:
        raise TableError(f"{table}: no column {missing[0]!r}")
    return {name: header.index(name) for name in wanted}


def _agreed(name: str, text: str, figure: str) -> float | None:
    short, exact = number(text), number(figure)
    if short != exact:
        raise Permanent(f"{name}: {text.strip()!r} and {figure.strip()!r} are not the same")
    return exact


def _followers(cell: str) -> int:
    followers = _whole(cell)
    if not followers:
        raise Permanent("no followers are told")
    return followers


def _whole(cell: str) -> int | None:
    value = number(cell)
    return None if value is None else round(value)


def _known(cell: str) -> str | None:
    text = cell.strip()
    return None if text.lower() in _UNKNOWN else text


def _date(year: str, month: str, day: str) -> dt.date | None:
    try:
        return dt.datetime.strptime(f"{year} {month} {day}", "%Y %b %d").replace(tzinfo=dt.UTC).date()
    except ValueError:
        return None

"""What goes over the wire: queries and bodies (checked), rows (described; the SQL makes them).

The integration tests check real answers against the row models, so the document cannot drift.
"""

import datetime as dt
import re
import uuid
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field

from gcc.platforms import INSTAGRAM, YOUTUBE
from gcc.web.api import cursor
from gcc.web.api.errors import ApiError, Code

EXPORTED_MAX = 10_000  # rows of one file
SERIES_DAYS = 30
SERIES_DAYS_MAX = 1100

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_WHOLE = re.compile(r"-?[0-9]+")
# Outside these years the stores' date types end, and no platform had profiles.
_FIRST_DAY, _LAST_DAY = dt.date(1970, 1, 1), dt.date(2199, 12, 31)


def _day(text: Any) -> dt.date:
    if not isinstance(text, str) or not _DAY.fullmatch(text):
        raise ValueError("write a date as YYYY-MM-DD")
    day = dt.date.fromisoformat(text)
    if not _FIRST_DAY <= day <= _LAST_DAY:
        raise ValueError(f"a date lies between {_FIRST_DAY} and {_LAST_DAY}")
    return day


def _month(text: str) -> str:
    if not _MONTH.fullmatch(text):
        raise ValueError("write a month as YYYY-MM")
    _day(f"{text}-01")
    return text


def _flag(text: Any) -> Any:
    """`?force_refresh` alone means yes."""
    return True if text == "" else text


def _whole(number: Any) -> Any:
    """Python also reads 1_0, + 1 and 1.0: whoever sends these means something else, or made a mistake."""
    if isinstance(number, str) and not _WHOLE.fullmatch(number):
        raise ValueError("write a whole number in digits")
    return number


_YEAR = "(19[7-9]|2[01][0-9])[0-9]"  # from _FIRST_DAY to _LAST_DAY
_IN_YEAR = "(0[1-9]|1[0-2])"

_IN_MONTH = "(0[1-9]|[12][0-9]|3[01])"

Day = Annotated[
    dt.date, BeforeValidator(_day), Field(json_schema_extra={"pattern": f"^{_YEAR}-{_IN_YEAR}-{_IN_MONTH}$"})
]
Month = Annotated[
    str, AfterValidator(_month), Field(examples=["2026-10"], json_schema_extra={"pattern": f"^{_YEAR}-{_IN_YEAR}$"})
]
Flag = Annotated[bool, BeforeValidator(_flag)]
IN_DIGITS = BeforeValidator(_whole)
Cursor = Annotated[str, Field(json_schema_extra={"pattern": cursor.PATTERN, "maxLength": cursor.LENGTH_MAX})]

GROUP_LENGTH_MAX = 100
Group = Annotated[str, Field(min_length=1, max_length=GROUP_LENGTH_MAX)]
_GROUP = {"type": "string", "maxLength": GROUP_LENGTH_MAX, "pattern": "^[^\\u0000/\\\\]+$"}
PROFILE_ID = "^[A-Za-z0-9_.-]{1,128}$"
PART_SCHEMAS: dict[str, dict[str, Any]] = {
    "category": _GROUP,
    "language": _GROUP,
    "profile_id": {"type": "string", "maxLength": 128, "pattern": PROFILE_ID},
}
"""What a part of a path looks like, by its name; platforms and handles: see naming.py."""


class Given(pydantic.BaseModel):
    """What a client sends: unknown names are refused."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", populate_by_name=False)


class Beat(Given):
    beat: bool = Field(description="False: requests shall go elsewhere.")


class ProfileQuery(Given):
    force_refresh: Flag = Field(False, description="Scrape now, however fresh the profile is.")
    full_refresh: Flag = Field(
        False, description="As force_refresh; of Instagram under three limits of its own (a day, a minute, a handle)."
    )


class PostsQuery(Given):
    limit: Annotated[int, Field(ge=1, le=100), IN_DIGITS] = 25
    cursor: Cursor | None = Field(None, description="meta.cursor of the page before.")


SeriesMetric = Literal[
    "followers", "following", "media_count", "views", "engagement_rate",
    "likes", "comments", "avg_likes", "avg_comments", "avg_views",
]  # fmt: skip
Granularity = Literal["day", "week", "month"]


class SeriesQuery(Given):
    metric: SeriesMetric = "followers"
    from_: Day | None = Field(None, alias="from", description=f"Included; default {SERIES_DAYS - 1} days before `to`.")
    to: Day | None = Field(None, description="Included; default today, in the reports' time zone.")
    granularity: Granularity = Field("day", description="The last value of each day, week (from Monday) or month.")

    def span(self, today: dt.date) -> tuple[dt.date, dt.date]:
        """First and last day. Raises ApiError INVALID_DATE when they are out of order or too far apart."""
        last = self.to or today
        first = self.from_ or max(_FIRST_DAY, last - dt.timedelta(days=SERIES_DAYS - 1))
        if first > last:
            raise _bad_span(f"from {first} is after to {last}")
        if (last - first).days >= SERIES_DAYS_MAX:
            raise _bad_span(f"from {first} to {last} is more than {SERIES_DAYS_MAX} days")
        return first, last


class SeriesByIdQuery(SeriesQuery):
    platform: str | None = Field(None, description="Needed where two platforms have a profile with this id.")


def _bad_span(reason: str) -> ApiError:
    return ApiError(
        Code.INVALID_DATE, reason, errors=[{"path": "from", "reason": reason}, {"path": "to", "reason": reason}]
    )


LeaderboardMetric = Literal["followers", "engagement_rate", "views"]


class LeaderboardBody(Given):
    model_config = pydantic.ConfigDict(strict=True)

    month: Month | None = Field(None, description="YYYY-MM; default the latest there is.")
    metric: LeaderboardMetric = "followers"
    limit: Annotated[int, Field(ge=1, le=200), IN_DIGITS] = 50
    cursor: Cursor | None = Field(None, description="meta.cursor of the page before.")


class LeaderboardQuery(Given):
    month: Month | None = Field(None, description="YYYY-MM; default the latest there is.")
    metric: LeaderboardMetric = "followers"
    category: Group | None = Field(None, description="Of these creators alone, in any spelling; not with language.")
    language: Group | None = Field(None, description="Of these creators alone: its code or its name.")
    limit: Annotated[int, Field(ge=1, le=200), IN_DIGITS] = 50
    cursor: Cursor | None = Field(None, description="meta.cursor of the page before.")


class LeaderboardExportBody(Given):
    model_config = pydantic.ConfigDict(
        strict=True,
        json_schema_extra={
            "not": {
                "required": ["category", "language"],
                "properties": {"category": {"type": "string"}, "language": {"type": "string"}},
            }
        },
    )

    month: Month | None = Field(None, description="YYYY-MM; default the latest there is when the job begins.")
    metric: LeaderboardMetric = "followers"
    category: Group | None = None
    language: Group | None = None
    limit: Annotated[int, Field(ge=1, le=EXPORTED_MAX, description="Rows, from the first rank on."), IN_DIGITS] = (
        EXPORTED_MAX
    )
    format: Literal["csv", "parquet"] = "csv"

    @pydantic.model_validator(mode="after")
    def _one_group(self) -> "LeaderboardExportBody":
        if self.category is not None and self.language is not None:
            raise ValueError("name a category or a language, not both")
        return self

    @property
    def group(self) -> tuple[Literal["platform", "category", "language"], str | None]:
        if self.category is not None:
            return "category", self.category
        return ("platform", None) if self.language is None else ("language", self.language)


class Row(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")


class State(Row):
    state: Literal["starting", "ready", "draining"]


class SeriesPoint(Row):
    date: dt.date
    value: int | float


class LeaderboardRow(Row):
    rank: int
    previous_rank: int | None = Field(description="The rank a month before; null for a newcomer.")
    platform: str
    profile_id: str
    handle: str
    full_name: str | None
    followers: int | None
    engagement_rate: float | None
    views: int | None
    category: str | None
    language: str | None
    country: str | None
    month: Month


class InstagramFigures(Row):
    post_id: str
    shortcode: str
    post_type: str | None
    likes: int | None
    comments: int | None
    plays: int | None
    reach: int | None
    impressions: int | None
    shares: int | None
    saved: int | None
    publish_time: dt.datetime | None


class InstagramPost(InstagramFigures):
    platform: Literal["INSTAGRAM"]
    profile_id: str
    caption: str | None
    hashtags: list[str] | None
    thumbnail_url: str | None
    source: str
    scraped_at: dt.datetime


class YouTubeFigures(Row):
    video_id: str
    post_type: str | None
    title: str | None
    views: int | None
    likes: int | None
    comments: int | None
    duration_s: int | None
    publish_time: dt.datetime | None


class YouTubePost(YouTubeFigures):
    platform: Literal["YOUTUBE"]
    channel_id: str
    description: str | None
    tags: list[str] | None
    thumbnail_url: str | None
    source: str
    scraped_at: dt.datetime


class Profile(Row):
    id: uuid.UUID = Field(description="Our public id.")
    avg_likes: float | None
    avg_comments: float | None
    avg_views: float | None
    engagement_rate: float | None
    category: str | None
    language: str | None
    country: str | None
    profile_pic_url: str | None
    source: str = Field(description="The source that answered last.")
    scraped_at: dt.datetime
    updated_at: dt.datetime


class InstagramProfile(Profile):
    platform: Literal["INSTAGRAM"]
    profile_id: str
    handle: str
    full_name: str | None
    bio: str | None
    followers: int | None
    following: int | None
    media_count: int | None
    profile_type: str | None
    is_verified: bool | None
    is_business: bool | None
    city: str | None
    email: str | None = Field(description="Null in plan FREE.")
    phone: str | None = Field(description="Null in plan FREE.")
    audience_gender: Any = Field(description="Null in plan FREE.")
    audience_age: Any = Field(description="Null in plan FREE.")
    audience_location: Any = Field(description="Null in plan FREE.")
    keywords: list[str] | None
    recent_posts: list[InstagramFigures] = Field(description=f"The newest posts, at most {INSTAGRAM.recent_posts_max}.")


class YouTubeProfile(Profile):
    platform: Literal["YOUTUBE"]
    channel_id: str
    handle: str | None
    title: str | None
    description: str | None
    subscribers: int | None
    uploads: int | None
    total_views: int | None
    plays: int | None
    shorts_reach: int | None
    recent_posts: list[YouTubeFigures] = Field(description=f"The newest videos, at most {YOUTUBE.recent_posts_max}.")


class StepShown(Row):
    since: dt.date = Field(description="From this day on some figures, and from `settled` on all, count otherwise.")
    settled: dt.date
    what: str = Field(description="What counts otherwise: figures before and after do not compare.")


class Meta(Row):
    cursor: str | None = Field(description="Pass it to get the next page; null on the last one.")
    total: int | None
    as_of: dt.datetime | None = Field(description="The time that the data is true of; null: nothing was synced yet.")
    source: Literal["postgres", "clickhouse", "scrape", "process"]
    note: str = Field("", description="Why there is nothing, or less than was asked for; absent where neither is so.")
    gated: list[str] = Field([], description="Fields that are null in your plan; absent where none is.")
    steps: list[StepShown] = Field([], description="Absent where all figures compare with each other.")


class FaultShown(Row):
    path: str
    reason: str


class ErrorShown(Row):
    code: str
    title: str
    detail: str
    errors: list[FaultShown]
    request_id: str


class Problem(Row):
    type: str = Field(description="Where the code is explained.")
    title: str
    status: int
    detail: str
    instance: str = Field(description="urn:uuid: and the request's id.")
    code: str
    errors: list[FaultShown]


class ErrorEnvelope(Row):
    status: Literal["ERROR"]
    data: None
    error: ErrorShown

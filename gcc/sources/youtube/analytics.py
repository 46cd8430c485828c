"""The YouTube Analytics API: what a channel's owner alone is told, by the owner's own OAuth token.

A report is a table by days, months, countries or ages; days on which nothing happened have no row. Its last days are
not counted yet: it ends before them. A mix of metrics that the API finds unfit is asked for once more with the first
alone, and the answer says so. No estimate stands in where nothing is told. A credential's secret is {"token": access
token}; `account` is its channel's id. Failures: see `Outside.ask`; NeedsOwner where no such credential is known.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard
from urllib.parse import urlencode

from gcc.platforms import YOUTUBE
from gcc.sources.chain import Outside, Question, SourceApi, Visit
from gcc.sources.credentials import Credential
from gcc.sources.fields import NOTES_MAX, Fields, opened
from gcc.sources.http import Answer, Request
from gcc.sources.snapshot import Found, Metrics, ProfileSnapshot, Sheet
from gcc.sources.verdicts import QuestionFailed
from gcc.sources.youtube.data_client import token
from gcc.sources.youtube.data_errors import refusal
from gcc.sources.youtube.data_parse import snake
from gcc.supervisor.lifecycle import one_line

SOURCE = "ytanalytics"
LAG_DAYS = 3  # 48 to 72 hours
INSIGHTS_DAYS = 28
_ROWS_MAX = 200  # of a report by country: there are no more

Kind = Literal["daily", "monthly", "demographic", "geography", "totals"]


@dataclass(frozen=True, slots=True)
class Report:
    """`dimensions` and `metrics` are the columns; the first metric alone is asked for where all are unfit."""

    dimensions: tuple[str, ...]
    metrics: tuple[str, ...]
    sort: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.dimensions, *self.metrics)


_VIEWED = ("views", "engagedViews", "estimatedMinutesWatched", "averageViewDuration", "likes", "comments", "shares",
           "subscribersGained", "subscribersLost")  # fmt: skip
REPORTS: Mapping[Kind, Report] = {
    "daily": Report(("day",), _VIEWED, sort="day"),
    "monthly": Report(("month",), _VIEWED, sort="month"),
    "demographic": Report(("ageGroup", "gender"), ("viewerPercentage",)),
    "geography": Report(("country",), _VIEWED, sort="-views"),
    "totals": Report((), _VIEWED),
}


def judge(answer: Answer, now: dt.datetime) -> Any:
    """The decoded JSON object, or the verdict that its error reasons, else its status, stand for."""
    decoded, error = opened(answer, SOURCE, now)
    if error is not None:
        raise refusal(answer, error, now)
    return decoded


def table(decoded: Any, notes: list[str]) -> Sheet:
    """A result table: its columns, and its rows as they stand. One without `rows` is empty; a row that does not fit
    the columns, or with a value that is no text or number, is left out and noted."""
    root = Fields(decoded, SOURCE, notes=notes)
    header = [column.identity("name") for column in root.objects("columnHeaders", needed=True)]
    rows = []
    for path, row in root.lists("rows"):
        if len(row) == len(header) and all(isinstance(value, str | None) or _is_number(value) for value in row):
            rows.append(row)
        elif len(notes) < NOTES_MAX:
            notes.append(f"{path} should be {len(header)} texts or numbers")
    return Sheet(header, rows)


def _is_number(value: Any) -> TypeGuard[int | float]:
    """One that can be stored."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63


class AnalyticsApi:
    """`base_url` is the API's root with its version, such as https://youtubeanalytics.googleapis.com/v2."""

    api = SourceApi(SOURCE, judge)

    def __init__(self, outside: Outside, base_url: str) -> None:
        self._outside = outside
        self._root = base_url.rstrip("/")

    async def report(
        self, kind: Kind, channel_id: str, start: dt.date | None, end: dt.date | None, visit: Visit
    ) -> Found[Sheet]:
        """One report, with the columns of its row of REPORTS, from `start` to `end`, both in it; by default of the
        last 28 days that are counted. Months are whole: those that have begun and ended in between."""
        known_to = self._outside.clock.now().date() - dt.timedelta(days=LAG_DAYS)
        asked_to = end or known_to
        first, last = _span(kind, start, min(asked_to, known_to))
        report, notes = REPORTS[kind], list[str]()
        partials = [f"days after {known_to} are not counted yet"] if asked_to > known_to else []
        if first > last:
            why = "no whole month lies in between" if kind == "monthly" else "no day of it is counted"
            return Found(Sheet(report.columns, []), "; ".join([*partials, why]))
        try:
            sheet = await self._query(report, report.metrics, channel_id, first, last, notes, visit)
        except QuestionFailed as unfit:
            if len(report.metrics) == 1:
                raise
            sheet = await self._query(report, report.metrics[:1], channel_id, first, last, notes, visit)
            partials.append(f"{report.metrics[0]} alone: {one_line(str(unfit))}")
        return Found(_in_columns(sheet, report.columns), "; ".join(partials) or None, notes)

    async def profile_insights(self, channel_id: str, visit: Visit) -> ProfileSnapshot:
        """The channel's totals of the last 28 days that are counted as metrics, and who watches it, by age, gender and
        country, as dimensions: {name: share of viewers, in percent}, of countries {name: views}."""
        at = self._outside.clock.now()
        totals = await self.report("totals", channel_id, None, None, visit)
        viewers = await self.report("demographic", channel_id, None, None, visit)
        countries = await self.report("geography", channel_id, None, None, visit)
        told = (totals, viewers, countries)
        notes = [note for each in told for note in (*each.notes, *filter(None, [each.partial]))]
        return ProfileSnapshot(
            platform=YOUTUBE.name,
            profile_id=channel_id,
            handle=channel_id,
            source=SOURCE,
            at=at,
            metrics=_totals(totals.items),
            dimensions={
                "days": INSIGHTS_DAYS,
                "audience_age": _shares(viewers.items, "ageGroup", "viewerPercentage"),
                "audience_gender": _shares(viewers.items, "gender", "viewerPercentage"),
                "audience_country": _shares(countries.items, "country", "views"),
            },
            posts=[],
            notes=notes,
        )

    async def _query(
        self,
        report: Report,
        metrics: Sequence[str],
        channel_id: str,
        first: dt.date,
        last: dt.date,
        notes: list[str],
        visit: Visit,
    ) -> Sheet:
        params = {"ids": "channel==MINE", "startDate": f"{first}", "endDate": f"{last}", "metrics": ",".join(metrics)}
        if report.dimensions:
            params["dimensions"] = ",".join(report.dimensions)
        if report.sort:
            params["sort"] = report.sort
        if report.dimensions == ("country",):
            params["maxResults"] = str(_ROWS_MAX)

        def build(credential: Credential) -> Request:
            return Request(
                source=SOURCE,
                method="GET",
                url=f"{self._root}/reports",
                params=params,
                headers={"Authorization": f"Bearer {token(credential)}"},
                timeout_s=self._outside.timeout_s(SOURCE),
            )

        question = Question(f"reports of {channel_id}?{urlencode(params)}", build, owner=channel_id)
        return table(await self._outside.ask(self.api, question, visit), notes)


def _span(kind: Kind, start: dt.date | None, last: dt.date) -> tuple[dt.date, dt.date]:
    """The days that are asked for: of months the first ones, from the first whole month to the last."""
    first = start or last - dt.timedelta(days=INSIGHTS_DAYS - 1)
    if kind != "monthly":
        return first, last
    day_after = last + dt.timedelta(days=1)
    last_month = (day_after.replace(day=1) - dt.timedelta(days=1)).replace(day=1)
    if start is None:
        return last_month, last_month
    whole = first if first.day == 1 else (first.replace(day=28) + dt.timedelta(days=4)).replace(day=1)
    return whole, last_month


def _in_columns(sheet: Sheet, columns: Sequence[str]) -> Sheet:
    """With these columns, in this order; what is not told is empty."""
    places = [sheet.header.index(name) if name in sheet.header else None for name in columns]
    return Sheet(columns, [[None if place is None else row[place] for place in places] for row in sheet.rows])


def _totals(sheet: Sheet) -> Metrics:
    values = sheet.rows[0] if sheet.rows else [None] * len(sheet.header)
    named = zip(sheet.header, values, strict=True)
    return {snake(name): value if _is_number(value) else None for name, value in named}


def _shares(sheet: Sheet, by: str, of: str) -> dict[str, float]:
    """The sum of column `of` for each value of column `by`."""
    shares: dict[str, float] = {}
    for row in sheet.rows:
        told = dict(zip(sheet.header, row, strict=True))
        if isinstance(told[by], str) and _is_number(told[of]):
            shares[told[by]] = round(shares.get(told[by], 0) + told[of], 4)
    return shares

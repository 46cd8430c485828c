"""Stands in for the YouTube Analytics API (reports.query) and for Google's token endpoint, for owners alone.

Below `/ytanalytics`: GET /v2/reports with an owner's Bearer token. Below `/oauth2`: POST /token, a form with
grant_type=refresh_token, or with =authorization_code and what the consent page gave (consents.py). Whose tokens there
are: GET /tokens.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from gcc.world import youtube_figures
from gcc.world.answer import Answer, Query, answer, query_of
from gcc.world.api import Api, Headers
from gcc.world.consents import consents
from gcc.world.model import Cast, Creator
from gcc.world.youtube_errors import REFUSALS, DataError, error
from gcc.world.youtube_figures import COUNTS
from gcc.world.youtube_owners import CLIENT_ID, CLIENT_SECRET, bearer, owners

EXPIRES_S = 3599
_SCOPE = "https://www.googleapis.com/auth/yt-analytics.readonly https://www.googleapis.com/auth/youtube.readonly"
_INTEGERS = frozenset(COUNTS)
_REVENUE = frozenset({"estimatedRevenue", "grossRevenue", "cpm", "playbackBasedCpm", "estimatedAdRevenue"})
_VIEWERS = "viewerPercentage"
_DIMENSIONS = ("", "day", "month", "country", "ageGroup", "gender", "ageGroup,gender")
Rows = list[list[Any]]


class AnalyticsApi(Api):
    """Reports of the channel whose owner's token it is."""

    source = "ytanalytics"
    lists: ClassVar[Sequence[str]] = ("rows",)

    def __init__(self, cast: Cast) -> None:
        self._cast = cast
        self._owners = owners(cast)

    @property
    def tokens(self) -> Sequence[str]:  # type: ignore[override]  # they change as they are renewed
        return self._owners.tokens

    def given_out(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self._owners.given_out()]

    def token(self, query: Query, headers: Headers) -> str | None:
        return bearer(headers) or query.get("access_token")

    def lets_in(self, token: str | None) -> bool:
        return self._owners.channel(token) is not None

    def app(self, token: str) -> str:
        return CLIENT_ID

    def answer(self, method: str, path: str, query: Query, headers: Headers, body: bytes) -> Answer:
        if method != "GET":
            return self.fail(405)
        if path != "/v2/reports":
            return error("notFound", f"The requested URL {path} was not found.")
        channel_id = self._owners.channel(self.token(query, headers))
        try:
            return answer(200, self._report(query, channel_id or ""))
        except DataError as refused:
            return refused.answer

    def refuse_token(self, token: str | None, *, expired: bool = False) -> Answer:
        return error("required" if token is None else "authError")

    def refuse_rate(self, retry_after_s: int, *, of_user: bool) -> Answer:
        return error("userRateLimitExceeded" if of_user else "rateLimitExceeded", retry_after_s=retry_after_s)

    def error(self, code: str, subcode: str | None) -> Answer | None:
        return error(code) if code in REFUSALS and subcode is None else None

    def fail(self, status: int) -> Answer:
        return error("backendError", status=status)

    def _report(self, query: Query, channel_id: str) -> dict[str, Any]:
        """A table; it has no rows where there is nothing to tell."""
        if query.get("ids") not in ("channel==MINE", f"channel=={channel_id}"):
            raise DataError("insufficientPermissions", "Forbidden: the channel is not the token's.")
        start, end = _date(query, "startDate"), _date(query, "endDate")
        dimensions = query.get("dimensions", "").replace(" ", "")
        metrics = query.get("metrics", "").split(",")
        creator = self._cast.by_id(channel_id)
        if creator is None:
            raise DataError("insufficientPermissions", "Forbidden: the channel is terminated.")
        if set(metrics) & _REVENUE:
            raise DataError("insufficientPermissions", "Insufficient permission to access this report.")
        if dimensions not in _DIMENSIONS or start > end:
            raise _unfit()
        names = [name for name in dimensions.split(",") if name]
        rows = self._rows(creator, dimensions, metrics, start, end)
        table: dict[str, Any] = {
            "kind": "youtubeAnalytics#resultTable",
            "columnHeaders": [
                *({"name": name, "columnType": "DIMENSION", "dataType": "STRING"} for name in names),
                *(
                    {"name": name, "columnType": "METRIC", "dataType": "INTEGER" if name in _INTEGERS else "FLOAT"}
                    for name in metrics
                ),
            ],
        }
        rows = _sorted(rows, query.get("sort", ""), [*names, *metrics])
        if query.get("maxResults", "").isdecimal():
            rows = rows[: int(query["maxResults"][:6])]
        return table | ({"rows": rows} if rows else {})

    def _rows(self, creator: Creator, dimensions: str, metrics: list[str], start: dt.date, end: dt.date) -> Rows:
        if dimensions in ("ageGroup", "gender", "ageGroup,gender"):
            if metrics != [_VIEWERS]:
                raise _unfit()
            return _viewers(creator, dimensions)
        if not set(metrics) <= _INTEGERS:
            raise _unfit()
        cast = self._cast
        match dimensions:
            case "day":
                found = {f"{date}": row for date, row in youtube_figures.days(cast, creator, start, end)}
            case "month":
                if start.day != 1 or end.day != 1:
                    raise _unfit()
                whole = (end + dt.timedelta(days=31)).replace(day=1) - dt.timedelta(days=1)
                found = youtube_figures.months(cast, creator, start, whole)
            case "country":
                found = youtube_figures.countries(cast, creator, start, end)
            case _:
                sums = youtube_figures.total(cast, creator, start, end)
                return [] if sums is None else [[sums[name] for name in metrics]]
        return [[key, *(row[name] for name in metrics)] for key, row in found.items()]


class TokenApi(Api):
    """Google's token endpoint: a refresh token in, or a code; an access token out."""

    source = "google-oauth"
    tokens = ()
    open = True

    def __init__(self, cast: Cast, now: Callable[[], dt.datetime]) -> None:
        self._owners = owners(cast)
        self._consents = consents(cast)
        self._now = now

    def token(self, query: Query, headers: Headers) -> str | None:
        return None

    def answer(self, method: str, path: str, query: Query, headers: Headers, body: bytes) -> Answer:
        if method != "POST" or path != "/token":
            return self.fail(404 if path != "/token" else 405)
        form = query_of(body)
        if form.get("grant_type") not in ("refresh_token", "authorization_code"):
            return _oauth("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')[:40]}")
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return _oauth("invalid_client", "The OAuth client was not found.", 401)
        if form["grant_type"] == "authorization_code":
            return self._redeem(form)
        renewed = self._owners.renew(form.get("refresh_token", ""))
        if renewed is None:
            return _oauth("invalid_grant", "Token has been expired or revoked.")
        told = {"access_token": renewed, "expires_in": EXPIRES_S, "scope": _SCOPE, "token_type": "Bearer"}
        return answer(200, told)

    def _redeem(self, form: Query) -> Answer:
        found = self._consents.redeemed(form, self._now())
        if found is None:
            return _oauth("invalid_grant", "Bad Request")
        creator, scopes = found
        access, refresh = self._owners.let_in(creator.profile_id)
        told = {"access_token": access, "expires_in": EXPIRES_S, "refresh_token": refresh, "scope": " ".join(scopes)}
        return answer(200, {**told, "token_type": "Bearer"})

    def refuse_token(self, token: str | None, *, expired: bool = False) -> Answer:
        return _oauth("invalid_client", "Unauthorized", 401)

    def refuse_rate(self, retry_after_s: int, *, of_user: bool) -> Answer:
        return answer(429, {"error": "rate_limit_exceeded", "error_description": "Rate Limit Exceeded"}, retry_after_s)

    def error(self, code: str, subcode: str | None) -> Answer | None:
        known = {"invalid_grant": 400, "invalid_client": 401, "unauthorized_client": 401}
        return _oauth(code, "Token has been expired or revoked.", known[code]) if code in known else None

    def fail(self, status: int) -> Answer:
        return _oauth("internal_failure", "Backend Error", status)


def _oauth(code: str, words: str, status: int = 400) -> Answer:
    return answer(status, {"error": code, "error_description": words})


def _viewers(creator: Creator, dimensions: str) -> Rows:
    shares = youtube_figures.viewers(creator)
    if dimensions == "ageGroup,gender":
        return [[age, gender, share] for (age, gender), share in shares.items()]
    place = 0 if dimensions == "ageGroup" else 1
    sums: dict[str, float] = {}
    for who, share in shares.items():
        sums[who[place]] = round(sums.get(who[place], 0.0) + share, 1)
    return [[name, share] for name, share in sums.items()]


def _sorted(rows: Rows, sort: str, columns: list[str]) -> Rows:
    """By columns, "-" before one for the greatest first."""
    for name in reversed(sort.split(",") if sort else []):
        if name.removeprefix("-") not in columns:
            raise _unfit()
        place = columns.index(name.removeprefix("-"))
        rows = sorted(rows, key=lambda row: row[place], reverse=name.startswith("-"))
    return rows


def _date(query: Query, name: str) -> dt.date:
    try:
        return dt.date.fromisoformat(query.get(name, ""))
    except ValueError:
        raise DataError("invalidParameter", f"Invalid value '{query.get(name, '')[:20]}' for {name}.") from None


def _unfit() -> DataError:
    return DataError("badRequest")

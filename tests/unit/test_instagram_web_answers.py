"""What the scrapers' refusals mean, by their words and statuses, and that none makes a missing profile of a trouble."""

import contextlib
import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcc.errors import GccError
from gcc.sources.http import Answer
from gcc.sources.instagram_web.answers import Judge
from gcc.sources.verdicts import (
    CredentialDead,
    CredentialRefused,
    CredentialRests,
    MaybeAway,
    NotFound,
    NotVisible,
    QuestionFailed,
    RateLimited,
    SourceFailed,
)
from tests.recorded import recorded
from tests.unit.mutated_json import ANYTHING

NOW = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)
JUDGE = Judge("lama", "PROFILE_NOT_FOUND", absent_statuses=(400, 404), private_statuses=(403,))
ROCKET = Judge("rocketapi", "POST_NOT_FOUND")


def answer(status: int, body: Any) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {}, raw, 0.1)


def inside(status: int, body: Any) -> dict[str, Any]:
    return {"status": "done", "response": {"status_code": status, "content_type": "application/json", "body": body}}


@pytest.mark.parametrize(
    ("judge", "status", "body", "verdict"),
    [
        (JUDGE, 404, {"detail": "Target user not found", "exc_type": "UserNotFound"}, NotFound),
        (JUDGE, 400, {"detail": "no"}, NotFound),
        (JUDGE, 403, {"detail": "nobody sees this"}, NotVisible),
        (JUDGE, 403, {"detail": "Private account", "exc_type": "PrivateAccount"}, NotVisible),
        (JUDGE, 402, {"detail": "Top up your balance", "exc_type": "InsufficientFunds"}, CredentialRests),
        (JUDGE, 401, {"detail": "Invalid access key"}, CredentialDead),
        (JUDGE, 401, {"detail": "who are you"}, CredentialRefused),
        (JUDGE, 429, {"detail": "slow down"}, RateLimited),
        (JUDGE, 422, {"detail": [{"loc": ["query"], "msg": "field required"}]}, QuestionFailed),
        (JUDGE, 500, {"detail": "oops"}, SourceFailed),
        (JUDGE, 503, b"<html>", SourceFailed),
        (JUDGE, 404, b"<html>", SourceFailed),  # whoever answers so: it is no scraper
        (JUDGE, 403, b"<html>", MaybeAway),
        (JUDGE, 200, b"<html>", SourceFailed),
        (JUDGE, 404, {"message": "Endpoint '/a1/users' does not exist"}, SourceFailed),
        (JUDGE, 403, {"message": "You are not subscribed to this API."}, CredentialDead),
        (ROCKET, 200, inside(404, ""), NotFound),
        (ROCKET, 200, inside(404, {"message": "Media not found or unavailable", "status": "fail"}), NotFound),
        (ROCKET, 200, inside(429, "Please wait"), RateLimited),
        (ROCKET, 200, inside(500, "<html>"), SourceFailed),
        (ROCKET, 200, inside(200, {"message": "checkpoint_required", "status": "fail"}), SourceFailed),
        (ROCKET, 200, {"status": "error", "message": "Internal server error"}, SourceFailed),
        (ROCKET, 200, {"message": "Not authorized to view user", "status": "fail"}, NotVisible),
        (ROCKET, 400, {"message": "Not authorized to view user", "status": "fail"}, NotVisible),
        (ROCKET, 200, {"message": "login_required", "status": "fail"}, SourceFailed),
        (ROCKET, 400, {"message": "challenge_required", "status": "fail"}, SourceFailed),
        (ROCKET, 401, {"message": "Please wait a few minutes before you try again.", "status": "fail"}, SourceFailed),
        (ROCKET, 200, {"status": False, "errorMessage": "User not found"}, NotFound),
        (ROCKET, 200, {"status": False, "errorMessage": "oops"}, SourceFailed),
        (ROCKET, 200, {"error": {"message": "This account is private"}}, NotVisible),
        (ROCKET, 200, {"errors": [{"message": "execution error"}]}, SourceFailed),
        (ROCKET, 200, {"errors": [{"message": "execution error"}], "data": {"user": None}}, SourceFailed),
        (ROCKET, 400, {"message": "Sorry, this photo has been deleted.", "status": "fail"}, NotFound),
        (ROCKET, 400, {"message": "The page may have been removed.", "status": "fail"}, NotFound),
        (ROCKET, 400, {"message": "Invalid target user.", "status": "fail"}, NotFound),
        (ROCKET, 400, {"message": "restricted_profile", "status": "fail"}, NotVisible),
        (ROCKET, 400, {"message": "This account is for users aged 18 and over", "status": "fail"}, NotVisible),
        (ROCKET, 404, {"status": "fail"}, NotFound),
        (ROCKET, 200, {"message": "Username does not exist", "success": False}, NotFound),
        (ROCKET, 200, {"msg": "try later"}, SourceFailed),
        (ROCKET, 302, b"", SourceFailed),
    ],
)
def test_what_a_refusal_means(judge: Judge, status: int, body: Any, verdict: type[GccError]) -> None:
    with pytest.raises(GccError) as raised:
        judge(answer(status, body), NOW)
    assert type(raised.value) is verdict, raised.value
    if isinstance(raised.value, NotFound):
        assert raised.value.code == judge.absent


@pytest.mark.parametrize("name", ["login-error", "checkpoint/challenge", "checkpoint/challenge-done"])
def test_a_recorded_login_page_is_the_sources_trouble(name: str) -> None:
    page = answer(200, recorded(f"instagram_web/{name}.json"))
    with pytest.raises(SourceFailed):
        JUDGE(page, NOW)


@pytest.mark.parametrize(
    "body",
    [
        {"pk": 5, "username": "tea", "status": True},
        {"user": {"pk": 5}, "status": "ok"},
        {"items": [], "message": "user not found"},  # says nothing against itself
        {"data": {"user": {"pk": 5}}, "errors": [{"message": "part of it"}]},
        {"data": [{"pk": 5}], "errors": [{"message": "part of it"}]},
        inside(200, {"users": []}),
        [[], ""],
        [{"pk": 1}],
    ],
)
def test_a_good_answer_goes_through(body: Any) -> None:
    assert ROCKET(answer(200, body), NOW) == body


@given(st.integers(100, 599), ANYTHING | st.fixed_dictionaries({"status": ANYTHING, "response": ANYTHING}))
def test_anything_is_an_answer_or_a_verdict(status: int, body: Any) -> None:
    raw = json.dumps(body, default=str).encode()
    with contextlib.suppress(GccError):
        ROCKET(answer(status, raw), NOW)

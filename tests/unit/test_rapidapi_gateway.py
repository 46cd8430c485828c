"""What the gateway's refusals mean, message by message; what is no message of its own is the API's matter."""

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcc.errors import GccError
from gcc.sources.http import Answer
from gcc.sources.rapidapi import gateway
from gcc.sources.verdicts import (
    CredentialDead,
    CredentialRests,
    NotFound,
    RateLimited,
    SourceFailed,
)

NOW = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC)
SPENT = {"x-ratelimit-requests-remaining": "0", "x-ratelimit-requests-reset": "4000"}


def answer(status: int, body: Any, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw, 0.1)


@pytest.mark.parametrize(
    ("status", "message", "verdict"),
    [
        (403, "You are not subscribed to this API.", CredentialDead),
        (200, "You are not subscribed to this API.", CredentialDead),  # errors come inside 200, too
        (401, "Invalid API key. Go to https://docs.rapidapi.com for more info.", CredentialDead),
        (403, "Blocked User. Please contact your API provider.", CredentialDead),
        (429, "You have exceeded the DAILY quota for Requests on your current plan, BASIC.", RateLimited),
        (429, "You have exceeded the MONTHLY quota for Requests on your current plan, BASIC.", RateLimited),
        (429, "You have exceeded the rate limit per second for your plan, BASIC, by the API provider", RateLimited),
        (429, "Too many requests", RateLimited),
        (200, "Too many requests", RateLimited),
        (429, "", RateLimited),
        (404, "Endpoint '/ig/nowhere/' does not exist", SourceFailed),
        (404, "API doesn't exists", SourceFailed),
        (400, "The host you've provided is invalid.", SourceFailed),
        (503, "API is unreachable, please contact the API provider", SourceFailed),
        (402, "A payment is overdue", CredentialRests),
    ],
)
@pytest.mark.parametrize("name", ["message", "messages"])
def test_its_messages(status: int, message: str, name: str, verdict: type[GccError]) -> None:
    refusal = gateway.refusal(answer(status, {name: message}), "instagram-scraper2", NOW)
    assert type(refusal) is verdict, refusal
    assert not isinstance(refusal, NotFound)
    assert f"HTTP {status}" in str(refusal)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        (SPENT, 4000.0),
        ({**SPENT, "retry-after": "3"}, 3.0),
        ({"x-ratelimit-requests-remaining": "7", "x-ratelimit-requests-reset": "4000"}, None),  # not what is spent
        ({"x-ratelimit-credits-remaining": "0", "x-ratelimit-credits-reset": "60", **SPENT}, 4000.0),
        ({"x-ratelimit-requests-remaining": "0", "x-ratelimit-requests-reset": "soon"}, None),
        ({"x-ratelimit-requests-remaining": "0", "x-ratelimit-requests-reset": "9999999"}, 86_400.0),
    ],
)
def test_the_wait_is_until_what_is_spent_is_full_again(headers: dict[str, str], wait_s: float | None) -> None:
    refusal = gateway.refusal(Answer(429, headers, b'{"message": "Too many requests"}', 0.1), "lama", NOW)
    assert isinstance(refusal, RateLimited)
    assert refusal.retry_after_s == wait_s


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"pk": 1}),
        (404, {"detail": "Not found"}),
        (403, {"message": "not authorized to view user"}),
        (403, b"<html>"),
        (200, {"items": [], "text": "Too many requests" * 500}),
        (500, b""),
        (200, [1, 2]),
    ],
)
def test_what_the_api_itself_answers_is_not_judged_here(status: int, body: Any) -> None:
    assert gateway.refusal(answer(status, body), "lama", NOW) is None


@given(st.integers(100, 599), st.binary(max_size=200), st.dictionaries(st.text(max_size=30), st.text(max_size=30)))
def test_any_answer_is_a_verdict_or_none(status: int, body: bytes, headers: dict[str, str]) -> None:
    refusal = gateway.refusal(Answer(status, headers, body, 0.1), "lama", NOW)
    assert refusal is None or isinstance(refusal, GccError)


def test_who_asks_what() -> None:
    assert gateway.headers("a.p.rapidapi.com", "k") == {"X-RapidAPI-Host": "a.p.rapidapi.com", "X-RapidAPI-Key": "k"}

"""The pages on which creators of the world let an app in, and what their codes are good for."""

import base64
import datetime as dt
import hashlib
import json
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from gcc.world.answer import Answer
from gcc.world.consents import CLIENTS, CODE_S
from gcc.world.creators import generate
from gcc.world.graph import GraphApi
from gcc.world.graph_tokens import LIFE, SHORT_LIFE, login_of
from gcc.world.logins import GoogleAccounts, InstagramLogin
from gcc.world.model import Cast, Creator, Platform
from gcc.world.youtube import DataApi
from gcc.world.youtube_analytics import TokenApi

TODAY = dt.date(2026, 10, 30)
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


class Bench:
    """A browser and an app at one platform's login, and a clock."""

    def __init__(self, platform: Platform) -> None:
        self.now = dt.datetime.combine(TODAY, dt.time(12), dt.UTC)
        self.cast = Cast(platform, generate(platform, 1, 40, odd=10), TODAY)
        self.client = CLIENTS[platform]
        self.redirect = f"https://api.brand.example/identity-service/api/connect/{platform.lower()}/callback"
        clock = lambda: self.now  # noqa: E731
        self.instagram = platform == "INSTAGRAM"
        self.login = InstagramLogin(self.cast, clock) if self.instagram else GoogleAccounts(self.cast, clock)
        self.exchange = self.login if self.instagram else TokenApi(self.cast, clock)
        self.graph = GraphApi(self.cast, clock, login="instagram") if self.instagram else None

    def creator(self) -> Creator:
        """One who has never let anybody in."""
        return next(
            creator
            for creator, _ in self.cast.ranked
            if creator.state == "public" and self.cast.slot(creator) >= 8 and login_of(self.cast, creator) is None
        )

    def page(self, method: str = "GET", form: dict[str, str] | None = None, **changes: str | None) -> Answer:
        query = {
            "client_id": self.client.id,
            "redirect_uri": self.redirect,
            "response_type": "code",
            "scope": "one,two",
            "state": "s&t",
            **changes,
        }
        sent = {name: value for name, value in query.items() if value is not None}
        return self.login.answer(method, self.login.page, sent, {}, urlencode(form or {}).encode())

    def code(self, creator: Creator | None = None, **changes: str | None) -> str:
        form = {"account": (creator or self.creator()).handle, "decision": "allow"}
        told = back(self.page("POST", form, **changes))
        assert told["state"] == "s&t"
        return told["code"]

    def redeem(self, code: str, **changes: str) -> tuple[int, Any]:
        form = {
            "grant_type": "authorization_code",
            "client_id": self.client.id,
            "client_secret": self.client.secret,
            "redirect_uri": self.redirect,
            "code": code,
            **changes,
        }
        path = "/oauth/access_token" if self.instagram else "/token"
        answer = self.exchange.answer("POST", path, {}, {}, urlencode(form).encode())
        return answer.status, json.loads(answer.body)


def back(answer: Answer) -> dict[str, str]:
    assert answer.status == 302
    return dict(parse_qsl(urlsplit(dict(answer.headers)["location"]).query))


@pytest.fixture(params=["INSTAGRAM", "YOUTUBE"])
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(request.param)


def test_the_page_says_what_is_asked_and_offers_accounts(bench: Bench) -> None:
    page = bench.page(scope="<one>")
    assert page.status == 200 and b"&lt;one&gt;" in page.body and bench.cast.ranked[0][0].handle.encode() in page.body


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "another"},
        {"client_id": None},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": None},
        {"response_type": "token"},
        {"scope": None},
    ],
)
def test_what_no_app_asks_leads_nowhere(bench: Bench, changes: dict[str, str | None]) -> None:
    for method in ("GET", "POST"):
        answer = bench.page(method, {"account": bench.creator().handle, "decision": "allow"}, **changes)
        assert answer.status == 400 and not answer.headers


def test_who_denies_goes_back_without_a_code(bench: Bench) -> None:
    told = back(bench.page("POST", {"account": bench.creator().handle, "decision": "deny"}))
    assert (told["error"], told["state"], "code" in told) == ("access_denied", "s&t", False)
    assert ("error_reason" in told) == bench.instagram


def test_only_an_account_that_is_there_can_let_in(bench: Bench) -> None:
    odd = next(creator for creator, _ in bench.cast.ranked if creator.state == "private")
    for account in ("", "nobody.is.called.so", odd.handle):
        assert bench.page("POST", {"account": account, "decision": "allow"}).status == 400


def test_a_code_is_good_once_in_time_for_its_redirect_and_client(bench: Bench) -> None:
    code = bench.code()
    assert bench.redeem(code)[0] == 200
    assert bench.redeem(code)[0] == 400
    assert bench.redeem(bench.code(), redirect_uri=bench.redirect + "/x")[0] == 400
    assert bench.redeem(bench.code(), client_secret="guessed")[0] in (400, 401)
    assert bench.redeem("never given")[0] == 400
    code = bench.code()
    bench.now += dt.timedelta(seconds=CODE_S)
    assert bench.redeem(code)[0] == 400


def test_a_challenge_asks_for_its_verifier(bench: Bench) -> None:
    asked = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    assert bench.redeem(bench.code(**asked), code_verifier=VERIFIER)[0] == 200
    for wrong in ({}, {"code_verifier": CHALLENGE}, {"code_verifier": VERIFIER + "v"}):
        assert bench.redeem(bench.code(**asked), **wrong)[0] == 400
    assert bench.redeem(bench.code(code_challenge=VERIFIER), code_verifier=VERIFIER)[0] == 200  # plain


def test_instagram_gives_an_hour_and_for_that_sixty_days() -> None:
    bench = Bench("INSTAGRAM")
    assert bench.graph is not None
    graph, creator = bench.graph, bench.creator()

    def ask(path: str, token: str, **query: str) -> tuple[int, Any]:
        answer = graph.answer("GET", path, {"access_token": token, **query}, {}, b"")
        return answer.status, json.loads(answer.body)

    secret = bench.client.secret
    _, told = bench.redeem(bench.code(creator))
    (given,) = told["data"]
    short = given["access_token"]
    assert (given["user_id"], given["permissions"]) == (creator.profile_id, "one,two")
    assert ask("/me", short, fields="user_id,username")[1]["username"] == creator.handle
    lengthen = {"grant_type": "ig_exchange_token", "client_secret": secret}
    assert ask("/access_token", short, **lengthen | {"client_secret": "guessed"})[0] == 400
    assert ask("/access_token", short, **lengthen | {"grant_type": "x"})[0] == 400
    status, long = ask("/access_token", short, **lengthen)
    assert (status, long["expires_in"]) == (200, LIFE.total_seconds())
    token = long["access_token"]
    assert ask("/access_token", token, **lengthen)[0] == 400, "only short ones"
    assert graph.lets_in(token) and ask(f"/{creator.profile_id}/media", token)[0] == 200
    assert not graph.lets_in(token.partition("~")[0]), "no token that was never given"
    bench.now += SHORT_LIFE
    assert not graph.lets_in(short) and graph.lets_in(token)
    bench.now += LIFE - SHORT_LIFE
    assert not graph.lets_in(token)


def test_google_gives_a_token_that_ends_and_one_that_renews_it() -> None:
    bench = Bench("YOUTUBE")
    creator = bench.creator()
    status, told = bench.redeem(bench.code(creator, scope="one two"))
    assert (status, told["scope"], told["expires_in"]) == (200, "one two", 3599)
    data, headers = DataApi(bench.cast), {b"authorization": b"Bearer " + told["access_token"].encode()}
    (channel,) = json.loads(data.answer("GET", "/v3/channels", {"part": "id", "mine": "true"}, headers, b"").body)[
        "items"
    ]
    assert channel["id"] == creator.profile_id
    form = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
    status, renewed = bench.redeem("", **form)
    assert status == 200 and renewed["access_token"] != told["access_token"] and data.lets_in(renewed["access_token"])

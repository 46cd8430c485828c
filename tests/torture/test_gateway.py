"""A short torture of two gateways, and that the ledger which it is held against can complain."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.torture.gateway.ledger import OPENED_S_MAX, REUSE_S, Answered, Credential, Ledger, Write
from tests.torture.test_torture import tortured

SEED = 31
BOUND_S = 500  # generous: the machine may be busy
KEY = {"id": "1", "key": "shown"}


async def test_a_short_torture_of_two_gateways_ends_well() -> None:
    _, report = await tortured("tests.torture.gateway", "--seed", str(SEED), bound_s=BOUND_S)
    assert all(report["kills"][kind] >= 1 for kind in ("postgres", "redis", "gateway"))
    wanted = ("account", "invitation", "api key", "webhook", "webhook test", "replayed", "ended")
    assert all(report["counts"][name] for name in wanted), report["counts"]


def good(at: float = 1.0, data: Any = None, *, replayed: bool = False, sent_at: float | None = None) -> Answered:
    return Answered(at if sent_at is None else sent_at, at, 200, data=data, content={"data": data}, replayed=replayed)


def refusal(code: str, status: int, at: float = 1.0) -> Answered:
    return Answered(at, at, status, code)


def session() -> Credential:
    return Credential("a session", "token", 900.0)


def opened_after_its_end(book: Ledger) -> None:
    who = session()
    book.ended(who, good(at=10.0))
    book.opened(who, good(at=10.0 + OPENED_S_MAX + 0.1))


def opened_after_it_was_refused(book: Ledger) -> None:
    who = session()
    book.ended(who, None)
    book.opened(who, refusal("UNAUTHORIZED", 401, at=10.0))
    book.opened(who, refusal("NOT_FOUND", 404, at=12.0))


def ended_by_nobody(book: Ledger) -> None:
    book.opened(session(), refusal("UNAUTHORIZED", 401))


def write(book: Ledger, kind: str = "api key") -> Write:
    made = Write(kind, 7, "mark", lambda: None, secret="key")
    book.writes.append(made)
    return made


def done_twice(book: Ledger) -> None:
    made = write(book)
    book.wrote(made, good(data=KEY))
    book.wrote(made, good(data=KEY))


def shown_again(book: Ledger) -> None:
    made = write(book)
    book.wrote(made, good(data=KEY))
    book.wrote(made, good(data=KEY, replayed=True))


def answered_otherwise(book: Ledger) -> None:
    made = write(book)
    book.wrote(made, good(data=KEY | {"key": None}, replayed=True))
    book.wrote(made, good(data=KEY | {"id": "2"}))


def lost(book: Ledger) -> None:
    book.wrote(write(book), good(data=KEY))
    book.found("api key", {})


def there_twice(book: Ledger) -> None:
    write(book)
    book.found("api key", {(7, "mark"): 2})


def there_unasked(book: Ledger) -> None:
    book.found("api key", {(8, "mark"): 1})


def noted_twice(book: Ledger) -> None:
    book.noted(write(book), 2)


def counted_twice(book: Ledger) -> None:
    book.viewed(7, "one", good())
    book.used({7: 2})


def not_counted(book: Ledger) -> None:
    book.viewed(7, "one", good())
    book.used({})


def ended_here_alone(book: Ledger) -> None:
    who = session()
    book.ended(who, good())
    book.lives(who, True)


def ended_there_alone(book: Ledger) -> None:
    book.lives(session(), False)


def with_an_unknown_code(book: Ledger) -> None:
    book.answered("GET /", refusal("NOT_FOUND", 500), ("NOT_FOUND",))


def with_a_wrong_code(book: Ledger) -> None:
    book.answered("GET /", refusal("INTERNAL", 500), ())


def two_successors(book: Ledger) -> None:
    book.refreshed("somebody", [good(data={"refresh_token": text}) for text in "ab"])


def refused_too_soon(book: Ledger) -> None:
    book.refreshed("somebody", [refusal("STORE_UNAVAILABLE", 503, 1.0), refusal("REFRESH_REUSED", 401, REUSE_S)])


def too_often(book: Ledger) -> None:
    for at in range(6):
        book.counted("read", good(at=float(at)))
    book.hold_rate("read", lambda began, ended: 5)


@pytest.mark.parametrize(
    "wrong",
    [
        opened_after_its_end, opened_after_it_was_refused, ended_by_nobody, done_twice, shown_again, answered_otherwise,
        lost, there_twice, there_unasked, noted_twice, counted_twice, not_counted, ended_here_alone, ended_there_alone,
        with_an_unknown_code, with_a_wrong_code, two_successors, refused_too_soon, too_often,
    ],
)  # fmt: skip
def test_what_is_wrong_is_complained_of(wrong: Callable[[Ledger], None]) -> None:
    book = Ledger()
    wrong(book)
    assert len(book.complaints) == 1


def test_what_may_be_is_not_complained_of() -> None:
    book, who, made = Ledger(), session(), Write("api key", 7, "mark", lambda: None, secret="key")
    book.opened(who, good())
    book.opened(who, refusal("STORE_UNAVAILABLE", 503))
    book.ended(who, good(at=10.0))
    book.opened(who, good(at=10.0 + OPENED_S_MAX))
    book.opened(who, good(at=30.0, sent_at=11.0))  # it was asked in time
    book.opened(who, refusal("UNAUTHORIZED", 401, at=20.0))
    book.opened(who, refusal("TIMEOUT", 504, at=20.0))
    book.writes += [made, replace(made, mark="nobody knows")]
    book.wrote(made, refusal("IDEMPOTENCY_IN_PROGRESS", 409))
    book.wrote(made, good(data=KEY | {"key": None}, replayed=True))  # of two at once the second is answered first
    book.wrote(made, good(data=KEY))
    book.found("api key", {(7, "mark"): 1})
    book.found("api key", {(7, "mark"): 1, (7, "nobody knows"): 1})
    book.viewed(7, "one", good())
    book.viewed(7, "two", None)
    book.used({7: 1})
    book.used({7: 2})
    book.answered("GET /", refusal("BUSY", 503), ())
    book.answered("GET /", refusal("NOT_FOUND", 404), ("NOT_FOUND",))
    book.refreshed("somebody", [refusal("TIMEOUT", 504, 1.0), refusal("REFRESH_REUSED", 401, 1.0 + REUSE_S)])
    for at in (*range(5), 60.5, 61.5):
        book.counted("read", good(at=float(at)))
    book.counted("read", refusal("RATE_LIMITED", 429))
    book.hold_rate("read", lambda began, ended: 5)
    assert book.complaints == []

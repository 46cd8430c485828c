"""The account model: what it adds for each number, and what it does without."""

import json
from dataclasses import fields, replace
from math import exp

import pytest

from gcc.pipelines.scoring import account as model
from gcc.pipelines.scoring.account import score_account, steps
from gcc.pipelines.scoring.record import Account

USUAL = Account(followers=300, following=350, posts=80, picture=True, private=False)
BOUGHT = Account(followers=12, following=4800, posts=0, picture=False, private=False)


def test_accounts_like_those_it_learned_from() -> None:
    usual, bought = score_account(USUAL)[0], score_account(BOUGHT)[0]
    assert usual is not None and usual < 0.1
    assert bought is not None and bought > 0.95


def test_nothing_known_is_no_score() -> None:
    assert score_account(Account()) == (None, ())


def test_age_alone_is_no_score_and_never_weighs() -> None:
    value, reasons = score_account(Account(age_days=3))
    assert value is None and [reason.feature for reason in reasons] == ["age_days"]
    assert score_account(replace(USUAL, age_days=3))[0] == score_account(USUAL)[0]


@pytest.mark.parametrize("known", [field.name for field in fields(Account) if field.name != "age_days"])
def test_one_number_is_enough_for_a_score_nearer_to_even_than_all(known: str) -> None:
    value, reasons = score_account(Account(**{known: getattr(BOUGHT, known)}))
    whole = score_account(BOUGHT)[0]
    assert value is not None and whole is not None and abs(value - 0.5) < abs(whole - 0.5)
    assert [reason.feature for reason in reasons] == [known]


def test_reasons_add_up_to_the_score() -> None:
    value, reasons = score_account(replace(BOUGHT, private=None))
    told = sum(float(reason.against.split()[0]) for reason in reasons)
    assert value == pytest.approx(1 / (1 + exp(-told)), abs=0.01)


def test_more_followers_more_posts_and_a_picture_never_make_it_likelier_fake() -> None:
    for name in ("followers", "posts", "picture"):
        adds = steps()[name].adds
        assert list(adds) == sorted(adds, reverse=True), name
    adds = steps()["following_per_follower"].adds
    assert list(adds) == sorted(adds)


@pytest.mark.parametrize("count", [-1, -(10**30), 10**12, 10**400])
def test_a_count_that_cannot_be_is_not_known(count: int) -> None:
    assert score_account(Account(followers=count, posts=count)) == (None, ())
    assert score_account(Account(followers=0, following=count)) == score_account(Account(followers=0))


def test_the_shipped_model_says_how_it_was_measured_and_nobody_s_rows() -> None:
    shipped = json.loads(model.MODEL.read_text())
    assert set(shipped) == {"features", "report"}
    for told in shipped["report"].values():
        assert {"rows", "fake", "five_folds", "trained_on_the_other_sets"} == set(told)

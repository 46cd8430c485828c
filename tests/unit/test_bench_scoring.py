"""The benches of the scorer: their measures by hand, their stream, and their peers beside the scorer itself."""

import numpy as np
import pytest

from bench.account_training import train
from bench.labelled import Labelled, read
from bench.measures import average_precision, f1, interval, precision, recall
from bench.scoring_peers import one_at_a_time, whole_list
from bench.scoring_stream import followers
from gcc.pipelines.scoring.account import score_account
from gcc.pipelines.scoring.features import features
from gcc.pipelines.scoring.record import Account
from tests.recorded import FOLDER, needs_recorded

LABELS = np.array([1.0, 0.0, 1.0, 0.0])


def test_measures_of_four_rows() -> None:
    called = np.array([True, True, False, False])
    assert (precision(LABELS, called), recall(LABELS, called), f1(LABELS, called)) == (0.5, 0.5, 0.5)
    assert average_precision(LABELS, np.array([0.9, 0.8, 0.7, 0.1])) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(LABELS, np.zeros(4)) == 0.5  # rows of one score are one step, whatever their order
    low, high = interval(f1, LABELS, called)
    assert 0 <= low < 0.5 < high <= 1


def test_the_stream_is_the_same_each_time_and_holds_nobody_twice() -> None:
    stream = list(followers(3000))
    assert stream == list(followers(3000))
    assert len({(follower.handle, follower.full_name) for follower in stream}) == 3000
    scripts = {script for follower in stream for script in features(follower.handle, follower.full_name).scripts}
    assert {"latin", "devanagari", "malayalam"} <= scripts


def test_peers_look_for_the_same_and_find_no_less() -> None:
    for follower in followers(8):
        ours = features(follower.handle, follower.full_name).indian_name_match
        assert whole_list(follower) == pytest.approx(one_at_a_time(follower))
        assert ours <= whole_list(follower) + 1e-9


def test_training_learns_a_difference_and_nothing_of_what_is_constant() -> None:
    rows = [
        Labelled("", "", Account(followers, 500, 3, True, False), followers < 40)
        for followers in range(5, 100)
        for _ in "ab"
    ]
    model = train({"made up": rows})
    followed = model.adds[0][:-1]
    assert followed[0] > 1 > -1 > followed[-1]
    assert not model.adds[3].any()


@needs_recorded
def test_the_shipped_model_tells_the_sets_it_learned_from() -> None:
    for name, rows in read(FOLDER / "fake_accounts").items():
        scores = np.array([score_account(row.account)[0] for row in rows], dtype=float)
        labels = np.array([row.fake for row in rows], dtype=float)
        assert average_precision(labels, scores) > {"instafake": 0.9, "instagram_2017": 0.55, "twitter": 0.95}[name]

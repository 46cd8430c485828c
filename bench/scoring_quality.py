"""How well scores tell fakes in labelled sets, beside baselines and across sets, and whom they wrong more than others.

Every figure is of rows that the scorer in question did not learn from. Between brackets: between what bounds 95 of 100
draws of as many rows lie. A row that the rules refuse is not called fake, and ranks last.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier  # the plain gradient boosting of the baselines

from bench.account_training import held_out, predict, table, train
from bench.labelled import Labelled, read
from bench.measures import Array, average_precision, f1, interval, precision, recall
from bench.scoring_fairness import fairness
from bench.scoring_peers import whole_list_match
from gcc.pipelines.scoring.features import features
from gcc.pipelines.scoring.names import ENOUGH
from gcc.pipelines.scoring.record import Follower
from gcc.pipelines.scoring.rules import FAKE
from gcc.pipelines.scoring.scorer import score

FOLDS, SEED = 5, 13


class Party(NamedTuple):
    """Scores that rank the rows, and from which on a row is called fake."""

    scores: Array
    from_on: float


def rules(rows: Sequence[Labelled]) -> Array:
    found = [score(Follower(row.handle, row.full_name)).score for row in rows]
    return np.array([-1.0 if each is None else each for each in found])


def of_names(rows: Sequence[Labelled], value: Callable[[Any], float]) -> Array:
    return np.array([value(features(row.handle, row.full_name)) for row in rows], dtype=float)


def all_features(rows: Sequence[Labelled]) -> Array:
    """The five of names and what the account model sees."""
    five = [features(row.handle, row.full_name)[:5] if row.full_name else [np.nan] * 5 for row in rows]
    digits = [[sum(map(str.isdigit, row.handle)) if row.handle else np.nan] for row in rows]
    return np.hstack([np.array(five, dtype=float), np.array(digits, dtype=float), table(rows)[0]])


def labels_of(rows: Sequence[Labelled]) -> Array:
    return np.array([row.fake for row in rows], dtype=float)


def boosted(known: Sequence[Labelled], asked: Sequence[Labelled]) -> Array:
    learned, seen = all_features(known), all_features(asked)
    told = ~np.isnan(learned).all(axis=0)  # it takes no column that is never known
    model = HistGradientBoostingClassifier(random_state=SEED, class_weight="balanced")
    model.fit(learned[:, told], labels_of(known))
    return np.asarray(model.predict_proba(seen[:, told])[:, 1])


def boosted_held_out(rows: Sequence[Labelled]) -> Array:
    fold = np.random.default_rng(SEED).permutation(len(rows)) % FOLDS
    scores = np.empty(len(rows))
    for number in range(FOLDS):
        known = [row for row, own in zip(rows, fold, strict=True) if own != number]
        scores[fold == number] = boosted(known, [row for row, own in zip(rows, fold, strict=True) if own == number])
    return scores


def parties(sets: dict[str, list[Labelled]], name: str) -> dict[str, Party]:
    rows = sets[name]
    others = {other: known for other, known in sets.items() if other != name}
    every_other = [row for known in others.values() for row in known]
    asked = {"always real": Party(np.zeros(len(rows)), 1.0)}
    if rows[0].handle:
        asked["digits alone"] = Party(of_names(rows, lambda seen: seen.digits), 5)
        asked["rules of names"] = Party(rules(rows), FAKE)
    if rows[0].full_name:
        asked["no Indian name"] = Party(of_names(rows, lambda seen: -seen.indian_name_match), -ENOUGH)
        whole = of_names(rows, lambda seen: -whole_list_match(seen.name_words.split()))
        asked["no Indian name, whole list"] = Party(whole, -ENOUGH)
    return asked | {
        "account model": Party(held_out(sets, name), 0.5),
        "account model, of other sets": Party(predict(train(others), rows), 0.5),
        "gradient boosting": Party(boosted_held_out(rows), 0.5),
        "gradient boosting, of other sets": Party(boosted(every_other, rows), 0.5),
    }


def measured(labels: Array, party: Party) -> dict[str, float | list[float]]:
    called = party.scores >= party.from_on
    figures: dict[str, float | list[float]] = {}
    for name, measure, against in (
        ("precision", precision, called),
        ("recall", recall, called),
        ("f1", f1, called),
        ("pr_auc", average_precision, party.scores),
    ):
        figures[name] = round(measure(labels, against), 3)
        figures[f"{name}_95"] = [round(bound, 3) for bound in interval(measure, labels, against)]
    return figures


def across(sets: dict[str, list[Labelled]]) -> dict[str, dict[str, dict[str, float]]]:
    """By the set learned from, by the set asked: of the account model, and of the gradient boosting."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for known in sets:
        for asked in (name for name in sets if name != known):
            labels = labels_of(sets[asked])
            ours = predict(train({known: sets[known]}), sets[asked])
            theirs = boosted(sets[known], sets[asked])
            found.setdefault(known, {})[asked] = {
                "pr_auc": round(average_precision(labels, ours), 3),
                "f1": round(f1(labels, ours >= 0.5), 3),
                "boosting_pr_auc": round(average_precision(labels, theirs), 3),
                "boosting_f1": round(f1(labels, theirs >= 0.5), 3),
            }
    return found


def quality(folder: Path) -> dict[str, Any]:
    """Prints tables as they are found; `folder`: with fake_accounts, translit and names_in."""
    sets = read(folder / "fake_accounts")
    found: dict[str, Any] = {}
    for name, rows in sets.items():
        labels = labels_of(rows)
        print(f"\n{name}: {len(rows)} rows, {int(labels.sum())} fake")
        print(f"{'':34}{'precision':>22}{'recall':>22}{'F1':>22}{'PR-AUC':>22}")
        found[name] = {who: measured(labels, party) for who, party in parties(sets, name).items()}
        for who, figures in found[name].items():
            cells = (
                f"{figures[of]:.3f} [{figures[f'{of}_95'][0]:.3f} {figures[f'{of}_95'][1]:.3f}]" for of in MEASURES
            )
            print(f"{who:34}" + "".join(f"{cell:>22}" for cell in cells))
    found["across"] = across(sets)
    print("\nlearned from -> asked: PR-AUC and F1 of the account model, and of gradient boosting on all features")
    for known, rest in found["across"].items():
        for asked, figures in rest.items():
            print(f"{known:>16} -> {asked:<16}" + "".join(f"{figure:>8.3f}" for figure in figures.values()))
    found["fairness"] = fairness(folder)
    return found


MEASURES = ("precision", "recall", "f1", "pr_auc")

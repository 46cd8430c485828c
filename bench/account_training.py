"""Trains the account model: `python -m bench.account_training FOLDER --out gcc/pipelines/scoring/account.json`.

FOLDER holds the labelled sets (bench/labelled.py). The model is a sum of steps: boosted stumps, each on one number with
a branch of its own for "not known", so that what they add up to is one small table a number. What is known to be true
of fakes anywhere is forced (more followers, more posts, a picture: never more fake; more followed per follower: never
less), which keeps it from learning the habits of one set. Each row is seen whole and six times with numbers hidden at
random, as crawls hide them; each set and class weighs the same. The same rows give the same model, to the last digit.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.labelled import Labelled, read
from bench.measures import average_precision, f1
from gcc.pipelines.scoring.account import amounts

DIRECTION = {
    "followers": -1, "following": 0, "posts": -1, "picture": -1, "private": 0, "following_per_follower": 1,
}  # fmt: skip
NAMES = tuple(DIRECTION)
ROUNDS, RATE, BINS, SHRINK = 200, 0.1, 24, 5.0
HIDDEN_COPIES, HIDDEN_SHARE, SEED = 6, 0.4, 13
SET_WEIGHT = 1000.0

Array = np.ndarray[Any, Any]


class Model(NamedTuple):
    edges: list[Array]
    adds: list[Array]  # one more than the edges, and at the end what "not known" adds


def table(rows: Sequence[Labelled]) -> tuple[Array, Array]:
    """Numbers (NaN: not known) and labels."""
    seen = [[np.nan if (value := amounts(row.account)[name]) is None else value for name in NAMES] for row in rows]
    return np.array(seen, dtype=float), np.array([row.fake for row in rows], dtype=float)


def cuts_of(known: Array) -> Array:
    """Where a number may be cut: at its least value, for rare ones, and at its quantiles."""
    cuts = np.unique(np.append(np.quantile(known, np.linspace(0, 1, BINS + 1), method="lower"), known.min()))
    return np.asarray(cuts[cuts < known.max()])


def steps_of(edges: Array, values: Array) -> Array:
    at = np.searchsorted(edges, values, side="left")
    at[np.isnan(values)] = len(edges) + 1
    return at


def with_hidden(numbers: Array, chance: np.random.Generator) -> Array:
    """The rows, and copies of them with numbers hidden; a ratio goes with either of its parts."""
    copies = [numbers]
    for _ in range(HIDDEN_COPIES):
        copy = numbers.copy()
        hidden = np.asarray(chance.random(copy.shape) < HIDDEN_SHARE)
        hidden[:, -1] = hidden[:, 0] | hidden[:, 1]
        copy[hidden] = np.nan
        copies.append(copy)
    return np.concatenate(copies)


def train(sets: Mapping[str, Sequence[Labelled]]) -> Model:
    read_sets = [table(rows) for rows in sets.values()]
    numbers = np.concatenate([numbers for numbers, _ in read_sets])
    labels = np.concatenate([labels for _, labels in read_sets])
    weights = np.concatenate([
        np.where(labels > 0, SET_WEIGHT / 2 / max(labels.sum(), 1), SET_WEIGHT / 2 / max((1 - labels).sum(), 1))
        for _, labels in read_sets
    ])  # fmt: skip
    edges = [cuts_of(column[~np.isnan(column)]) for column in numbers.T]
    numbers = with_hidden(numbers, np.random.default_rng(SEED))
    labels, weights = np.tile(labels, HIDDEN_COPIES + 1), np.tile(weights, HIDDEN_COPIES + 1) / (HIDDEN_COPIES + 1)
    at = [steps_of(*pair) for pair in zip(edges, numbers.T, strict=True)]
    adds = [np.zeros(len(cuts) + 2) for cuts in edges]
    odds = np.zeros(len(labels))
    for _ in range(ROUNDS):
        chosen, step = best_stump(edges, at, labels, weights, odds)
        adds[chosen] += step
        odds += step[at[chosen]]
    return Model(edges, adds)


def best_stump(edges: list[Array], at: list[Array], labels: Array, weights: Array, odds: Array) -> tuple[int, Array]:
    """Which number, and what each of its steps adds: the stump of the largest gain that keeps its direction."""
    chance = 1 / (1 + np.exp(-odds))
    pull, bend = weights * (labels - chance), weights * chance * (1 - chance)
    best: tuple[float, int, Array] = (-1.0, 0, np.zeros(len(edges[0]) + 2))
    for number, cuts in enumerate(edges):
        pulls = np.bincount(at[number], pull, len(cuts) + 2)
        bends = np.bincount(at[number], bend, len(cuts) + 2)
        below, above = np.cumsum(pulls[:-1])[:-1], pulls[:-1].sum() - np.cumsum(pulls[:-1])[:-1]
        left = below / (np.cumsum(bends[:-1])[:-1] + SHRINK)
        right = above / (bends[:-1].sum() - np.cumsum(bends[:-1])[:-1] + SHRINK)
        unknown = pulls[-1] / (bends[-1] + SHRINK)
        gain = below * left + above * right + pulls[-1] * unknown
        if direction := DIRECTION[NAMES[number]]:
            gain = np.where((right - left) * direction > 0, gain, -1.0)
        if len(gain) and gain.max() > best[0]:
            cut = int(gain.argmax())
            step = np.full(len(cuts) + 2, right[cut])
            step[: cut + 1], step[-1] = left[cut], unknown
            best = (float(gain[cut]), number, RATE * step)
    return best[1], best[2]


def predict(model: Model, rows: Sequence[Labelled]) -> Array:
    numbers, _ = table(rows)
    odds = np.zeros(len(rows))
    for cuts, adds, column in zip(*model, numbers.T, strict=True):
        odds += adds[steps_of(cuts, column)]
    return np.asarray(1 / (1 + np.exp(-odds)))


def written(model: Model) -> dict[str, Any]:
    """Tables by name; neighbours that add the same are one step."""
    tables = {}
    for name, cuts, adds in zip(NAMES, *model, strict=True):
        rounded = [round(float(add), 4) for add in adds]
        kept = [at for at in range(len(cuts)) if rounded[at] != rounded[at + 1]]
        tables[name] = {
            "edges": [float(cuts[at]) for at in kept],
            "adds": [*(rounded[at] for at in kept), rounded[len(cuts)]],
            "unknown": rounded[-1],
        }
    return tables


def held_out(sets: Mapping[str, Sequence[Labelled]], name: str, folds: int = 5) -> Array:
    """Scores of the rows of one set, each by a model that saw the other folds of it, and the other sets."""
    rows = sets[name]
    fold = np.random.default_rng(SEED).permutation(len(rows)) % folds
    scores = np.empty(len(rows))
    for number in range(folds):
        kept = [row for row, own in zip(rows, fold, strict=True) if own != number]
        asked = [row for row, own in zip(rows, fold, strict=True) if own == number]
        scores[fold == number] = predict(train({**sets, name: kept}), asked)
    return scores


def report(sets: Mapping[str, Sequence[Labelled]]) -> dict[str, Any]:
    lines: dict[str, Any] = {}
    for name, rows in sets.items():
        labels = np.array([row.fake for row in rows], dtype=float)
        others = {other: known for other, known in sets.items() if other != name}
        asked = {"five_folds": held_out(sets, name), "trained_on_the_other_sets": predict(train(others), rows)}
        lines[name] = {"rows": len(rows), "fake": int(labels.sum())} | {
            how: {
                "pr_auc": round(average_precision(labels, scores), 3),
                "f1_at_half": round(f1(labels, scores > 0.5), 3),
            }
            for how, scores in asked.items()
        }
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    sets = read(arguments.folder)
    model = {"features": written(train(sets)), "report": report(sets)}
    arguments.out.write_text(json.dumps(model, indent=1) + "\n")
    print(json.dumps(model["report"], indent=1))


if __name__ == "__main__":
    main()

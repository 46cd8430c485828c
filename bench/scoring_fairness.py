"""Whom the rules of names wrong: real people taken for fakes, by the script of their name and by gender.

Nobody labelled audiences by script, so people are put together: a name as it is written, and handles as its bearer
would make them from the Latin spelling that people gave for it (bench/translit.py has the pairs; for eight scripts
they are words, not names). The same handles beside the same name in Latin letters are the measure, so a difference is
of the script alone. For gender, names of the same making come from two lists that are not in ours.
"""

import csv
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.translit import pairs
from gcc.pipelines.scoring.names import ENOUGH
from gcc.pipelines.scoring.record import Follower
from gcc.pipelines.scoring.rules import FAKE, WEAK
from gcc.pipelines.scoring.scorer import score

PER_GROUP, SEED = 3_000, 5
TITLES = re.compile(r"\b(smt|shri|sh|shree|kumari|km|mr|mrs|ms|miss|dr|late|md)\b\.?")


def handle(first: str, chance: random.Random) -> str:
    """Of the ways in which people make one from a first name; some of them break a rule by themselves."""
    number = chance.randrange(100)
    ways = (
        f"{first}_{number:02}", f"{first}{number}", f"{first}.official", f"its_{first}", f"_{first}_", first,
        f"{first[:4]}_{number:02}", f"{first}{1970 + number % 40}", f"{first}{number:02}{1970 + number % 40}",
    )  # fmt: skip
    return chance.choice(ways)


def shares(followers: Iterable[Follower]) -> dict[str, float]:
    """In points of a hundred: called fake, called weak, with an Indian name."""
    scored = [score(follower) for follower in followers]
    told = {
        "fake": [one.score == FAKE for one in scored],
        "weak": [one.score == WEAK for one in scored],
        "indian_name": [one.features.get("indian_name_match", 0) > ENOUGH for one in scored],
    }
    return {name: round(100 * sum(values) / len(values), 1) for name, values in told.items()}


def by_script(folder: Path) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, _, native, latin in pairs(folder):
        if "Wikipedia" not in name and re.fullmatch("[a-z]{3,}", latin.lower()):
            groups[name].append((native, latin.lower()))
    found = {}
    for name, group in groups.items():
        chance = random.Random(SEED)
        people = [
            (handle(latin, chance), native, latin) for native, latin in chance.sample(group, min(PER_GROUP, len(group)))
        ]
        found[name] = {
            "people": len(people),
            "native": shares(Follower(own, native) for own, native, _ in people),
            "latin": shares(Follower(own, latin) for own, _, latin in people),
        }
    return found


def full_names(file: Path) -> Sequence[str]:
    with file.open(encoding="utf-8", errors="replace") as lines:
        names = [" ".join(TITLES.sub(" ", row["name"].lower()).split()) for row in csv.DictReader(lines)]
    return [name for name in names if re.fullmatch("[a-z]{3,}( [a-z]+){0,2}", name)]


def by_name(folder: Path) -> dict[str, dict[str, Any]]:
    """By gender, and by the words of a name, in which the genders differ."""
    women, men = (full_names(folder / f"indian_{gender}_names.csv") for gender in ("female", "male"))
    both = [*women, *men]
    groups = {
        "female": women,
        "male": men,
        "one word": [name for name in both if " " not in name],
        "more words": [name for name in both if " " in name],
    }
    found = {}
    for group, names in groups.items():
        chance = random.Random(SEED)
        asked = chance.sample(names, PER_GROUP)
        found[group] = {"people": PER_GROUP} | shares(Follower(handle(name.split()[0], chance), name) for name in asked)
    return found


def fairness(folder: Path) -> dict[str, Any]:
    """Prints tables; `folder`: with translit and names_in."""
    found = {"script": by_script(folder / "translit"), "name": by_name(folder / "names_in")}
    print("\nreal people called fake (weak), of a hundred: the name as written, and in Latin letters")
    for name, group in found["script"].items():
        native, latin = group["native"], group["latin"]
        differ = native["fake"] - latin["fake"]
        print(
            f"{name:32}{native['fake']:6.1f} ({native['weak']:.1f})  {latin['fake']:6.1f} ({latin['weak']:.1f})"
            f"  differ by {differ:5.1f}; Indian name {native['indian_name']:.0f}, {latin['indian_name']:.0f}"
        )
    for name, group in found["name"].items():
        print(f"{name:32}{group['fake']:6.1f} ({group['weak']:.1f}); Indian name {group['indian_name']:.0f}")
    return found

"""How well names are read, on the words that were held out while the rules were made: floors, a little below what
bench.translit measured."""

from functools import lru_cache

import pytest

from bench.translit import FOLDER, Words, ours, sets, shares, within_one

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the transliterated names (../shared/data) are not here")
EXACT_AND_NEAR = {
    "words, devanagari": (0.42, 0.67),
    "words, bengali": (0.24, 0.55),
    "words, gurmukhi": (0.32, 0.59),
    "words, gujarati": (0.28, 0.55),
    "words, odia": (0.39, 0.63),
    "words, tamil": (0.31, 0.59),
    "words, telugu": (0.45, 0.71),
    "words, kannada": (0.45, 0.75),
    "words, malayalam": (0.37, 0.70),
    "words, arabic": (0.16, 0.47),
    "words, Wikipedia, devanagari": (0.62, 0.82),
    "names, voters, devanagari": (0.70, 0.84),
    "names, first, devanagari": (0.74, 0.90),
    "names, candidates, devanagari": (0.33, 0.62),
    "names, tamil": (0.41, 0.66),
}


@lru_cache
def held_out() -> dict[str, Words]:
    return sets(FOLDER)


@pytest.mark.parametrize("name", EXACT_AND_NEAR)
def test_words_that_no_rule_was_made_with_are_read(name: str) -> None:
    exact, near = shares(held_out()[name], ours)
    assert exact >= EXACT_AND_NEAR[name][0]
    assert near >= EXACT_AND_NEAR[name][1]


def test_within_one_edit() -> None:
    assert all(within_one("ram", other) for other in ("ram", "rama", "aram", "rm", "rim", "raam"))
    assert not any(within_one("ram", other) for other in ("rmaa", "mar", "r", "ramaa", "arm"))

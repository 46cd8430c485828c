"""The name list and how near a word is to it, beside a search of the whole list."""

import random

import pytest
from rapidfuzz import fuzz, process

from gcc.pipelines.scoring.names import ENOUGH, WORDS_KEPT, index, near
from gcc.pipelines.scoring.sounds import consonants, sound


@pytest.fixture(scope="module")
def words() -> list[str]:
    """Names with one or two letters changed, as people write them, and words that are none."""
    chance = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz"
    changed = []
    for name in chance.sample(sorted(index().names), 300):
        at = chance.randrange(len(name))
        changed.append(name[:at] + chance.choice(["", chance.choice(letters), name[at] * 2]) + name[at + 1 :])
    return changed + ["".join(chance.choices(letters, k=chance.randint(3, 10))) for _ in range(100)]


def test_the_list_is_words_of_latin_letters() -> None:
    assert 30_000 < len(index().names) < 40_000
    assert all(len(name) >= 3 and name.isascii() and name.islower() and name.isalpha() for name in index().names)


def test_a_word_is_never_nearer_than_the_whole_list_says_and_mostly_as_near(words: list[str]) -> None:
    names = sorted(index().names)
    whole = [process.extractOne(word, names, scorer=fuzz.ratio)[1] for word in words]
    found = [near(word) for word in words]
    assert all(short.ratio <= full for short, full in zip(found, whole, strict=True))
    assert all(
        fuzz.ratio(word, short.name) == pytest.approx(short.ratio) for word, short in zip(words, found, strict=True)
    )
    agreed = sum((short.ratio > ENOUGH) == (full > ENOUGH) for short, full in zip(found, whole, strict=True))
    assert agreed / len(words) > 0.98


def test_common_spellings_sound_the_same() -> None:
    assert sound("shweta") == sound("sweta") == sound("shvetha")
    assert sound("pooja") == sound("puja") == sound("poojaa")
    assert sound("lakshmi") == sound("laxmi")
    assert consonants("muhammad") == consonants("mohammed")
    assert consonants("razwan") == consonants("rizvaan")


def test_what_is_kept_has_a_bound() -> None:
    assert near.cache_info().maxsize == WORDS_KEPT


@pytest.mark.parametrize("word", ["a", "zz", "q" * 10_000])
def test_odd_words_have_an_answer(word: str) -> None:
    assert 0 <= near(word).ratio <= 100

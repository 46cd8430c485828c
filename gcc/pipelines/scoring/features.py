"""The five features of a handle and a name: what the rules of names look at, and what each was compared with.

Pure: two texts in, one `Features` out, and no text raises. A handle counts up to `HANDLE_MAX` characters, some times
what a platform allows, and a name up to what latin() reads of it, so that the cost of a hostile one is bounded.
"""

import re
from itertools import permutations
from typing import NamedTuple

from rapidfuzz import fuzz

from gcc.pipelines.scoring.latin import latin
from gcc.pipelines.scoring.names import Near, near
from gcc.pipelines.scoring.sounds import consonants, sound

HANDLE_MAX = 200
DIGITS_MAX = 4
SIMILAR_ABOVE = 80  # one word and a handle with a separator: alike from there on
WORDS_IN_ANY_ORDER_MAX = 4  # 24 orders; of more words each is compared by itself
SEPARATORS = "_-."
LATIN = frozenset({"latin"})

LETTERS = str.maketrans(
    {at: " " if chr(at) in SEPARATORS or chr(at).isspace() else chr(at).lower() for at in range(128)}
    | {at: None for at in range(128) if not (chr(at).isalpha() or chr(at).isspace() or chr(at) in SEPARATORS)}
)
NO_LETTER = re.compile(r"[^a-z\s]+")  # of texts that are not ASCII to begin with


class Features(NamedTuple):
    non_indic: int  # 1: the name has a letter of a script that is neither Latin nor Indian
    more_than_4_digits: int  # 1: in the handle
    handle_name_correlation: int  # 0: they agree, 1: they do not, 2: the handle has no separator that would tell
    fuzzy_similarity: float  # 0..100, of the letters of handle and name
    indian_name_match: float  # 0..100, of the first two words of the name
    digits: int
    handle_words: str
    name_words: str
    scripts: frozenset[str]
    nearest: Near


def letters(handle: str) -> str:
    """In lower case, with spaces for separators; what is no Latin letter is left out."""
    plain = handle.translate(LETTERS)
    return plain if plain.isascii() else NO_LETTER.sub("", plain.lower())


def similarity(handle: str, words: list[str]) -> float:
    """0..100, the best over the orders of the words: half by the best part of the longer text, half by the whole.

    The original's (2 * partial_ratio + token_sort_ratio + token_set_ratio) / 4 of texts without spaces, where the
    latter two are the plain ratio.
    """
    if not handle or not words:
        return 0.0
    if len(words) == 1:
        orders = words
    elif len(words) <= WORDS_IN_ANY_ORDER_MAX:
        orders = list(dict.fromkeys(map("".join, permutations(words))))
    else:
        orders = words
    if handle in orders:
        return 100.0
    best = max(fuzz.partial_ratio(handle, order) + fuzz.ratio(handle, order) for order in orders)
    return round(best / 2, 6)  # so that exactly 80 is 80


def by_sound(handle: str, words: list[str], alike: float) -> float:
    """For a name that was not written in Latin letters, of which its bearer has a spelling of their own: as alike as it
    sounds, where that says that both are one name. That few letters differ says nothing, so it is never less alike.
    """
    if alike > SIMILAR_ABOVE:
        return alike
    heard = max(similarity(form(handle), [form(word) for word in words]) for form in (sound, consonants))
    return heard if heard > SIMILAR_ABOVE else alike


def name_match(words: list[str]) -> tuple[float, Near]:
    """The nearer of the first two words; 1 where the name, or its second word, is a single letter: the original's."""
    if not words or (len(words) == 1 and len(words[0]) < 2):
        return 1.0, Near(1.0, "", "a name of less than two letters")
    best = max(map(near, words[:2]))
    if len(words) > 1 and len(words[1]) < 2:
        return 1.0, Near(1.0, best.name, "a second word of one letter, which the original counts as none")
    return best.ratio, best


def features(handle: str, full_name: str) -> Features:
    """`handle`, `full_name`: as the platform gives them."""
    handle, read = handle[:HANDLE_MAX], latin(full_name)
    digits = sum(map(str.isdigit, handle))
    handle_words = letters(handle).split()
    words = read.text.translate(LETTERS).split()
    alike = similarity("".join(handle_words), words)
    if not read.scripts <= LATIN:
        alike = by_sound("".join(handle_words), words, alike)
    if not ("_" in handle or "." in handle or "-" in handle):
        agreement = 2
    else:
        agreement = int(len(words) < 2 and alike <= SIMILAR_ABOVE)
    match, nearest = name_match(words)
    return Features(
        int(read.foreign),
        int(digits > DIGITS_MAX),
        agreement,
        alike,
        match,
        digits,
        " ".join(handle_words),
        " ".join(words),
        read.scripts,
        nearest,
    )

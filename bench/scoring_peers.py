"""What the scorer is measured beside, with its list of names: a search of the whole list, and the original's shape."""

from collections.abc import Callable
from functools import cache
from itertools import permutations

from rapidfuzz import fuzz, process

from gcc.pipelines.scoring.features import features
from gcc.pipelines.scoring.latin import latin
from gcc.pipelines.scoring.names import index
from gcc.pipelines.scoring.record import Follower


@cache
def names() -> list[str]:
    return sorted(index().names)


def single_letter(words: list[str]) -> bool:
    """Which the original counts as no name: of no words, or of a second word, or the only one, of a letter."""
    return not words or len(words[min(1, len(words) - 1)]) < 2


def whole_list_match(words: list[str]) -> float:
    """Of the first two words, as features.name_match says it of a few candidates."""
    if single_letter(words):
        return 1.0
    return max(process.extractOne(word, names(), scorer=fuzz.ratio)[1] for word in words[:2])


def whole_list(follower: Follower) -> float:
    """All features, with each name searched in all of the list by RapidFuzz's own loop."""
    return whole_list_match(features(follower.handle, follower.full_name).name_words.split())


def weighed(part: Callable[[str, str], float], one: str, other: str) -> float:
    return (2 * part(one, other) + fuzz.token_sort_ratio(one, other) + fuzz.token_set_ratio(one, other)) / 4


def one_at_a_time(follower: Follower) -> float:
    """The original's shape: three ratios for every order of the words, and for every name of the list, in a loop."""
    handle = "".join(letter for letter in follower.handle.lower() if letter.isascii() and letter.isalpha())
    words = latin(follower.full_name).text.split()
    max((weighed(fuzz.partial_ratio, handle, "".join(order)) for order in permutations(words[:4])), default=0.0)
    if single_letter(words):
        return 1.0
    return max(weighed(fuzz.ratio, name, word) for word in words[:2] for name in names())


PEERS: dict[str, tuple[Callable[[Follower], float], int]] = {
    "whole_list": (whole_list, 1_000),
    "one_at_a_time": (one_at_a_time, 40),
}
"""With how many records each is asked."""

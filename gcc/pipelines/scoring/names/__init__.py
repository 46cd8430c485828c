"""How near a word is to an Indian name: 0..100, as RapidFuzz's ratio against each of the list would say, but cheaply.

The list (names.txt.xz, LICENCES.txt, build.py) is asked in four steps, each for what the one before did not find: the
very word; names of the same sound; names whose sound is one letter away; names that begin or end in the same sound. The
best ratio among those is the answer, so it is never above that of the whole list; `python -m bench.scoring` says how
often both are on the same side of 80. Answers are kept for `WORDS_KEPT` words, so memory has a bound.
"""

import lzma
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from rapidfuzz import fuzz, process

from gcc.pipelines.scoring.sounds import sound

WORDS_KEPT = 100_000
WORD_LETTERS_MAX = 24  # of the list's longest; a longer word is no name, and costs no more than that
ENOUGH = 80  # above this a word passes for a name; from there on no wider search
NEARLY = 77  # above this the ends, where most of the cost is, find better for one word in six hundred
END_LETTERS = 3


class Near(NamedTuple):
    ratio: float
    name: str  # "" where none of the list came near
    how: str


class Index(NamedTuple):
    """Names by what leads to them; where there are many keys, those of one are a text, which is smaller than a list."""

    names: frozenset[str]
    by_sound: dict[str, str]
    one_away: dict[str, str]  # by a sound, and by that sound without one of its letters
    by_end: dict[str, list[str]]  # by the first three letters of the sound, and by "-" and the last three


def without_one(text: str) -> Iterable[str]:
    return (text[:at] + text[at + 1 :] for at in range(len(text)))


@cache
def index() -> Index:
    """Read and built at the first question, once in a process: about half a second and 50 MB."""
    names = lzma.decompress(Path(__file__).with_name("names.txt.xz").read_bytes()).decode().split()
    by_sound, by_end = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for name in names:
        heard = sound(name)
        by_sound[heard].append(name)
        by_end[heard[:END_LETTERS]].append(name)
        by_end["-" + heard[-END_LETTERS:]].append(name)
    joined = {heard: " ".join(alike) for heard, alike in by_sound.items()}
    one_away = dict(joined)
    for heard, alike in joined.items():
        for key in set(without_one(heard)):
            one_away[key] = f"{one_away[key]} {alike}" if key in one_away else alike
    return Index(frozenset(names), joined, one_away, dict(by_end))


def nearer(best: Near, word: str, candidates: Sequence[str], how: str) -> Near:
    if found := process.extractOne(word, candidates, scorer=fuzz.ratio, score_cutoff=best.ratio):
        return max(best, Near(found[1], found[0], how))
    return best


@lru_cache(WORDS_KEPT)
def near(word: str) -> Near:
    """`word`: lower-case Latin letters."""
    known = index()
    if word in known.names:
        return Near(100.0, word, "the very name")
    word = word[: WORD_LETTERS_MAX + 1]
    heard = sound(word)
    best = Near(0.0, "", "no name")
    if alike := known.by_sound.get(heard):
        best = nearer(best, word, alike.split(), "the same sound")
    if best.ratio <= ENOUGH:
        found = [known.one_away[key] for key in (heard, *without_one(heard)) if key in known.one_away]
        best = nearer(best, word, " ".join(found).split(), "a near sound")
    for end in (heard[:END_LETTERS], "-" + heard[-END_LETTERS:]):
        if best.ratio > NEARLY:
            break
        best = nearer(best, word, known.by_end.get(end, ()), "the same beginning or end")
    return best

"""What a name in Latin letters sounds like, in two grades: spellings of one name that meet in one text."""

import re

SAME_SOUND = (
    ("chh", "c"), ("ch", "c"), ("sh", "s"), ("th", "t"), ("dh", "d"), ("bh", "b"), ("gh", "g"), ("kh", "k"),
    ("jh", "j"), ("ph", "f"), ("w", "v"), ("z", "j"), ("q", "k"), ("x", "ks"), ("ee", "i"), ("oo", "u"), ("ou", "u"),
    ("y", "i"),
)  # fmt: skip
DOUBLED = re.compile(r"(.)\1+")
BARE = str.maketrans("cb", "kv", "aeiou")


def sound(word: str) -> str:
    """One spelling for those that Indian names are commonly written in: Shweta, Sweta, Shvetha."""
    for written, plain in SAME_SOUND:
        if written in word:
            word = word.replace(written, plain)
    word = DOUBLED.sub(r"\1", word)
    return word[:-1] if word[-1:] == "h" and len(word) > 3 else word


def consonants(word: str) -> str:
    """Of its sound, behind the first letter: what is left of a name when its vowels were guessed, or never written."""
    heard = sound(word)
    return DOUBLED.sub(r"\1", heard[:1] + heard[1:].translate(BARE))

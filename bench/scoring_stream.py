"""Followers as an Indian creator's audience might hold them, for measuring speed: none twice, and no real person's.

First names are common in a Zipf-like way, so words repeat as words of names do while pairs do not. Of a hundred: 70 in
Latin letters, 12 in an Indian script, 4 styled, 6 with emoji, 5 of names that no list has, 3 typed at random.
"""

import random
import string
from collections.abc import Iterator

from gcc.pipelines.scoring.names import index
from gcc.pipelines.scoring.record import Account, Follower

SCRIPT_STARTS = (0x900, 0x980, 0xA80, 0xC00, 0xC80, 0xD00)  # blocks of one layout: Devanagari to Malayalam
LETTERS = {
    "k": 0x15, "g": 0x17, "c": 0x1A, "j": 0x1C, "t": 0x24, "d": 0x26, "n": 0x28, "p": 0x2A, "b": 0x2C, "m": 0x2E,
    "y": 0x2F, "r": 0x30, "l": 0x32, "v": 0x35, "s": 0x38, "h": 0x39,
}  # fmt: skip
VOWELS = {"a": (0x05, 0x3E), "i": (0x07, 0x3F), "u": (0x09, 0x41), "e": (0x0F, 0x47), "o": (0x13, 0x4B)}
SYLLABLES = ("bar", "ti", "ro", "sel", "fran", "ce", "gio", "lu", "mar", "chet", "pie", "wil", "son", "ber", "ick")
BOLD = str.maketrans(string.ascii_letters, "".join(chr(0x1D5D4 + at) for at in (*range(26, 52), *range(26))))


def in_script(name: str, start: int) -> str:
    written = ""
    for at, letter in enumerate(name):
        if letter in LETTERS:
            written += chr(start + LETTERS[letter])
        elif letter in VOWELS:
            written += chr(start + VOWELS[letter][at > 0])
    return written


def handle_of(words: list[str], chance: random.Random) -> str:
    parts = words if chance.random() < 0.7 else [words[0], *(word[0] for word in words[1:])]
    handle = chance.choice(("_", ".", "", "__")).join(parts)
    kind = chance.random()
    if kind < 0.35:
        handle += str(chance.randrange(10_000))
    elif kind < 0.45:
        handle = chance.choice(("its_", "iam", "the.", "official_", "mr_")) + handle
    elif kind < 0.5:
        handle = "".join(chance.choices(string.ascii_lowercase + "_.", k=chance.randint(5, 14)))
    return handle[:30]


def one(first: str, last: str, chance: random.Random) -> Follower:
    words, kind = [first, last], chance.random()
    if kind < 0.05:
        words = ["".join(chance.choices(SYLLABLES, k=chance.randint(2, 3))) for _ in range(2)]
    elif kind < 0.08:
        words = ["".join(chance.choices(string.ascii_lowercase, k=chance.randint(4, 10)))]
    elif chance.random() < 0.2:
        words = words[:1]
    elif chance.random() < 0.1:
        words = [first, chance.choice(("kumar", "devi", "singh", "lal", "b")), last]
    handle, shown = handle_of(words, chance), " ".join(word.title() for word in words)
    if 0.08 < kind < 0.2:
        start = chance.choice(SCRIPT_STARTS)
        shown = " ".join(in_script(word, start) for word in words)
    elif 0.2 < kind < 0.24:
        shown = shown.translate(BOLD)
    elif 0.24 < kind < 0.3:
        shown += chance.choice((" 🔥", " ❤️", "🇮🇳", " ✨👑"))
    account = Account(chance.randrange(2000), chance.randrange(5000), chance.randrange(300), True, kind < 0.5)
    return Follower(handle, shown, account)


def followers(count: int, seed: int = 7) -> Iterator[Follower]:
    chance = random.Random(seed)
    names = sorted(index().names)
    chance.shuffle(names)
    firsts = chance.choices(names, [1 / (rank + 10) ** 0.8 for rank in range(len(names))], k=2 * count)
    lasts = chance.choices(names[-1500:], [1 / (rank + 5) for rank in range(1500)], k=2 * count)
    seen: set[tuple[str, str]] = set()
    for first, last in zip(firsts, lasts, strict=True):
        follower = one(first, last, chance)
        if (follower.handle, follower.full_name) not in seen:
            seen.add((follower.handle, follower.full_name))
            yield follower
            if len(seen) == count:
                return

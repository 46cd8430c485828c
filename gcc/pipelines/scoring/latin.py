"""What a name says in plain letters, whatever it is written in: `latin("राहुल 𝓢𝓱𝓪𝓻𝓶𝓪 🌸")` is "rahul sharma".

Symbols are undone first (look_alikes, NFKC). Then each word is of one script, or dressed up with the letters of others;
Indic words are transliterated as people there write them (indic), the rest by anyascii. Emoji and punctuation part
words. Nothing raises; of hostile text only the first LOOKED_AT_MAX characters count, marks and what is invisible apart.
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from anyascii import anyascii

from gcc.pipelines.scoring.indic import BY_NAME, romanised
from gcc.pipelines.scoring.look_alikes import LETTERS, SIGNS, SYMBOLS, without_flags

LOOKED_AT_MAX = 256
"""Characters; names have 64 at most where they come from. The rest of a longer text counts for nothing."""
_WINDOW = 8 * LOOKED_AT_MAX  # within which these are looked for: a name under stacks of marks is still read
_CACHED_WORDS, _CACHED_LETTERS = 16_384, 8_192

NAMES = {"oriya": "odia", "cjk": "han", "ideographic": "han", "ol": "ol chiki", "meetei": "meetei mayek"}
"""Of scripts, where the first word of a letter's Unicode name is another."""
AT_HOME = frozenset(BY_NAME) | {
    "latin",
    "ol chiki",
    "meetei mayek",
    "sinhala",
    "chakma",
    "grantha",
    "sharada",
    "kaithi",
}
"""Scripts that are no sign of anything: those of Indian languages, and Latin."""
_UNWRITTEN = frozenset({"cherokee", "canadian"})
"""Alphabets that are drawn upon for their looks alone, by all but a few thousand people."""
_SCRIPTLESS = frozenset({"modifier", "combining", "turned", "vedic", "variation", "masculine", "feminine"})
DIGIT, SIGN = "digit", "sign"
_OF_NOBODY = AT_HOME | {DIGIT, SIGN}
_SYLLABIC = frozenset({"han", "hangul"})
"""Of which one letter is a name."""

_INVISIBLE = (*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xAD, 0x34F, 0x61C, 0xFEFF)
_MARKS = (*range(0x300, 0x370), *range(0x483, 0x48A), *range(0x1AB0, 0x1B00), *range(0x1DC0, 0x1E00))
_MARKS += (*range(0x20D0, 0x2100), *range(0xFE00, 0xFE10), *range(0xFE20, 0xFE30), *range(0xE0100, 0xE01F0))
_UNDONE = SYMBOLS | dict.fromkeys((*_INVISIBLE, *_MARKS, 0x27, 0x2019, 0x2BC, 0x60))  # and the apostrophes of names
_ASCII = {at: chr(at).lower() if chr(at).isalnum() else None if chr(at) in "'`" else " " for at in range(128)}


@dataclass(frozen=True, slots=True)
class Latin:
    """`text`: lower-case ASCII letters, digits and single spaces. `scripts`: of its letters, look-alikes apart.
    `foreign`: a letter is of a script that no Indian language has."""

    text: str
    scripts: frozenset[str]
    foreign: bool


_LATIN, _NONE = frozenset({"latin"}), frozenset[str]()
Letter = tuple[str, str, str]
"""A character, its script (DIGIT, SIGN, or "" of what parts words) and what it is in ASCII."""


def latin(text: str) -> Latin:
    """A name in plain letters. Takes any str, unpaired surrogates too; time is bounded."""
    if text.isascii():
        plain = " ".join(text[:LOOKED_AT_MAX].translate(_ASCII).split())
        return Latin(plain, _LATIN if any(map(str.isalpha, plain)) else _NONE, False)
    text = without_flags(text[:_WINDOW]).translate(_UNDONE)[:LOOKED_AT_MAX]
    text = unicodedata.normalize("NFKC", text)[:LOOKED_AT_MAX]
    words = [
        _undisguised(list(letters)) for parts, letters in groupby(map(_letter, text), key=_is_separator) if not parts
    ]
    scripts = _scripts(words)
    if not scripts <= AT_HOME and scripts & AT_HOME:
        words = [_without_ornaments(word) for word in words]
        scripts = _scripts(words)
    said = [part for word in words for part in _said(word)]
    return Latin(" ".join(said), scripts, not scripts <= AT_HOME)


def _is_separator(letter: Letter) -> bool:
    return not letter[1]


def _undisguised(letters: list[Letter]) -> list[Letter]:
    """A word, as what its letters are drawn like, if it is of more than one alphabet."""
    found = {script for _, script, _ in letters} - {DIGIT, SIGN}
    signs = {letter for letter, script, _ in letters if script == SIGN}
    is_dressed = (len(found) > 1 and not found <= AT_HOME) or len(signs) > 1 or found & _UNWRITTEN
    return [_undressed(letter) for letter in letters] if is_dressed else letters


def _scripts(words: list[list[Letter]]) -> frozenset[str]:
    return frozenset({script for word in words for _, script, _ in word} - {DIGIT, SIGN})


def _is_foreign(letter: Letter) -> bool:
    return letter[1] not in _OF_NOBODY


def _without_ornaments(letters: list[Letter]) -> list[Letter]:
    """Of a name that is written in a script at home: a foreign letter that stands alone there is drawn, not written."""
    kept: list[Letter] = []
    for is_foreign, run in groupby(letters, key=_is_foreign):
        part = list(run)
        if not is_foreign or len(part) > 1 or part[0][1] in _SYLLABIC:
            kept += part
    return kept


def _said(letters: list[Letter]) -> list[str]:
    """What one word says, in more than one where its script changes."""
    said, before = "", DIGIT
    for kind, run in groupby(letters, key=_kind):
        part = list(run)
        if kind in BY_NAME:
            plain = _romanised("".join(letter for letter, _, _ in part), kind)
        else:
            plain = "".join(plain for _, _, plain in part)
        said += plain if DIGIT in (kind, before) else f" {plain}"
        before = kind
    return said.split()


def _kind(letter: Letter) -> str:
    """Of a run of letters: an Indic script, DIGIT or other."""
    return letter[1] if letter[1] in BY_NAME or letter[1] == DIGIT else ""


def _undressed(letter: Letter) -> Letter:
    plain = LETTERS.get(letter[0])
    return (letter[0], "latin", plain.lower()) if plain else letter


@lru_cache(maxsize=_CACHED_WORDS)
def _romanised(word: str, script: str) -> str:
    return romanised(word, BY_NAME[script])


@lru_cache(maxsize=_CACHED_LETTERS)
def _letter(letter: str) -> Letter:
    category = unicodedata.category(letter)
    if letter in SIGNS:
        return letter, SIGN, " "
    if (digit := unicodedata.digit(letter, None)) is not None:  # of Indian scripts, and those in black circles
        return letter, DIGIT, str(digit)
    if category[0] not in "LM":
        return letter, "", ""
    plain = "".join(filter(str.isalpha, anyascii(letter))).lower()
    script = unicodedata.name(letter, "").partition(" ")[0].lower()
    if script in _SCRIPTLESS:
        script = "latin" if plain else ""
    return letter, NAMES.get(script, script), plain

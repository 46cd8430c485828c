"""Words of ten Indic scripts as people there write them in Latin letters, by rules: `romanised(word, script)`.

A word becomes syllables (consonant, vowel); a consonant without a vowel sign has the script's inherent vowel, unless it
is cut by a virama or, in languages that do not speak it there, deleted: at the end of a word, and between two syllables
that can do without it (Hindi: kamala -> kamal, janakapura -> janakpur). What a script does is its row in indic_tables.
"""

from gcc.pipelines.scoring.indic_tables import SCRIPTS, Kind, Script

DELETED, INHERENT, DOUBLED = "", "@", "+"
Syllable = list[str]
"""[consonants, vowel]: the vowel is INHERENT until it is decided, DELETED where there is none."""
_HOLDS = ("y", "bh", "dh", "gh")
"""Their vowel is spoken where that of others is not."""
_LABIAL = ("p", "P", "b", "m", "f")


def syllables(word: str, script: Script) -> list[Syllable]:
    """A word in the logical order of its letters; what is no letter of the script is left out."""
    found: list[Syllable] = []
    letters = script.letters
    for at, letter in enumerate(word):
        kind, latin = letters.get(letter, (Kind.NOTHING, ""))
        if kind is Kind.EITHER:  # a vowel after a consonant, a consonant before a vowel
            consonant, vowel = latin.split("/")
            after = letters.get(word[at + 1 : at + 2], (Kind.NOTHING, ""))[0]
            spoken = found and found[-1][1] == INHERENT and after not in (Kind.EITHER, Kind.SIGN)
            kind, latin = (Kind.SIGN, vowel) if spoken else (Kind.CONSONANT, consonant)
        if kind is Kind.CONSONANT:
            found.append([latin, INHERENT])
        elif kind is Kind.VOWEL or (kind is Kind.SIGN and not (found and found[-1][1] == INHERENT)):
            found.append(["", latin])
        elif kind is Kind.SIGN:
            found[-1][1] = latin
        elif kind is Kind.NUKTA and found:
            found[-1][0] = script.nukta.get(found[-1][0], found[-1][0])
        elif kind is Kind.ASPIRATE and found:
            found[-1][0] += latin
        elif kind is Kind.FINAL:
            found.append([latin, DELETED])
    return found


def delete_schwas(found: list[Syllable], script: Script) -> None:
    """From the end: the last inherent vowel, and each between (vowel, one consonant) and (consonant, spoken vowel)."""
    last = len(found) - 1
    if not script.deletes_last or last < 1:
        return
    if found[last][1] == INHERENT and (found[last - 1][1] or script.deletes_after_cluster):
        found[last][1] = DELETED
    for at in range(last - 1, 0, -1) if script.deletes_inside else ():
        consonants, vowel = found[at]
        following = found[at + 1]
        if vowel != INHERENT or consonants in _HOLDS or not (found[at - 1][1] and all(following)):
            continue
        ends_word = script.keeps_before_end and at + 1 == last and (at > 1 or following[1] == "i")
        if not (ends_word or _begins_second_part(found, at)):
            found[at][1] = DELETED


def _begins_second_part(found: list[Syllable], at: int) -> bool:
    """Of a compound whose second part is two short syllables: shiv|charan, ram|ratan, har|kamal."""
    ends_short = at + 2 == len(found) - 1 and found[at + 1][1] == INHERENT and not found[at + 2][1]
    return ends_short and at > 1 and found[at - 1][1] == INHERENT and bool(found[at - 2][1])


def spelled(word: str, script: Script) -> str:
    """Before the rewrites: capitals stand for what its place in the word decides."""
    found = syllables(word, script)
    delete_schwas(found, script)
    parts: list[str] = []
    last = len(found) - 1
    for at, (consonants, vowel) in enumerate(found):
        if consonants == "N" and at < last:
            consonants = "m" if found[at + 1][0].startswith(_LABIAL) else "n"
        elif consonants == DOUBLED:
            consonants = found[at + 1][0][:1] if at < last else ""
        parts += (consonants, "a" if vowel == INHERENT else vowel)
    return "".join(parts)


def romanised(word: str, script: Script) -> str:
    """The word in lower-case ASCII. Time is linear in its length."""
    text = spelled(word, script)
    for pattern, replacement in script.rewrites:
        text = pattern.sub(replacement, text)
    return text.lower()


BY_NAME = {script.name: script for script in SCRIPTS}

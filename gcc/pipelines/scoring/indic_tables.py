"""The ten scripts, a row each: where it departs from the plan that nine of them share, which inherent vowels its
languages leave unspoken, and how the rest is written in Latin letters.

Unicode lays out nine blocks alike, so a letter is a place in its block; Urdu has the Arabic letters. Until the rewrites
have run, capitals stand for what a place in the word decides: A I U long vowels, N a nasal, and in Tamil and Malayalam
consonants (K S T H P R) that are voiced between vowels.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto


class Kind(Enum):
    CONSONANT = auto()
    VOWEL = auto()
    SIGN = auto()  # the vowel of the consonant before it
    NUKTA = auto()  # makes another consonant of the one before it
    ASPIRATE = auto()
    FINAL = auto()  # a consonant that has no vowel
    EITHER = auto()  # consonant/vowel
    NOTHING = auto()


Letters = Mapping[str, tuple[Kind, str]]
Rewrites = tuple[tuple[re.Pattern[str], str], ...]


@dataclass(frozen=True)
class Script:
    name: str
    letters: Letters
    deletes_last: bool = False  # the inherent vowel at the end of a word: kamala -> kamal
    deletes_inside: bool = False  # and within: janakapura -> janakpur
    deletes_after_cluster: bool = True  # at the end of a word also after two consonants: dharma -> dharm
    keeps_before_end: bool = False  # but not before the last syllable of a long word: saraswati
    nukta: Mapping[str, str] = field(default_factory=dict)
    rewrites: Rewrites = ()


_CONSONANTS = "k kh g gh ng ch chh j jh ny t th d dh n t th d dh n n p ph b bh m y r r l l zh v sh sh s h"
_VOWELS = {
    0x05: "a", 0x06: "A", 0x07: "i", 0x08: "I", 0x09: "u", 0x0A: "U", 0x0B: "ri", 0x0C: "li", 0x0D: "e", 0x0E: "e",
    0x0F: "e", 0x10: "ai", 0x11: "o", 0x12: "o", 0x13: "o", 0x14: "au", 0x60: "ri", 0x61: "li",
}  # fmt: skip
_SIGNS = {
    0x3E: "A", 0x3F: "i", 0x40: "I", 0x41: "u", 0x42: "U", 0x43: "ri", 0x44: "ri", 0x45: "e", 0x46: "e", 0x47: "e",
    0x48: "ai", 0x49: "o", 0x4A: "o", 0x4B: "o", 0x4C: "au", 0x4D: "", 0x57: "au", 0x62: "li", 0x63: "li",
}  # fmt: skip
_PLAN: Mapping[int, tuple[Kind, str]] = (
    {0x15 + at: (Kind.CONSONANT, latin) for at, latin in enumerate(_CONSONANTS.split())}
    | {at: (Kind.VOWEL, latin) for at, latin in _VOWELS.items()}
    | {at: (Kind.SIGN, latin) for at, latin in _SIGNS.items()}
    | {0x01: (Kind.FINAL, "N"), 0x02: (Kind.FINAL, "N"), 0x03: (Kind.FINAL, "h"), 0x3C: (Kind.NUKTA, "")}
)


def _block(start: int, **departures: str) -> Letters:
    """The letters of a block; `departures`: the places of a kind, in hexadecimal, as "1A=S 1F=T"."""
    plan = dict(_PLAN)
    for kind, places in departures.items():
        for place, _, latin in (word.partition("=") for word in places.split()):
            plan[int(place, 16)] = (Kind[kind.upper()], latin)
    return {chr(start + at): entry for at, entry in plan.items()}


def _rewrites(*lines: str) -> Rewrites:
    """Words "found>put", in their order; in what is found V is a vowel and C is none."""
    words = [word.partition(">") for line in lines for word in line.split()]
    return tuple(
        (re.compile(found.replace("V", "[aeiouAIU]").replace("C", "[^aeiouAIU]")), put) for found, _, put in words
    )


_ARABIC = {
    Kind.CONSONANT: (
        "بb پp تt ٹt ثs جj چch حh خkh دd ڈd ذz رr ڑr زz ژzh سs شsh صs ضz طt ظz غgh فf قq"
        " کk كk گg لl مm نn ہh هh ةh ۃh ۀh"
    ),
    Kind.EITHER: "وw/o یy/i يy/i",
    Kind.SIGN: "اA ىi ےe ۓe َa ِi ُu ٰA",
    Kind.VOWEL: "آA أa إi عa",
    Kind.ASPIRATE: "ھh",
    Kind.FINAL: "ںN ّ+",
}

SCRIPTS = (
    Script(
        "devanagari",
        _block(0x0900),
        deletes_last=True,
        deletes_inside=True,
        keeps_before_end=True,
        nukta={"ph": "f", "j": "z", "k": "q"},
        rewrites=_rewrites(
            "^A>aa ph>f jny>gy chchh>chh (?<=C)I(?=C$)>ee (?<=d)I(?=p)>ee (?<=nd)ar>er",
            "(?<=[tdkgbpsv]r)$>a (?<=[^aeiouAIUry]y)$>a (?<=[sdtj])v(?=V)>w (?<=sh)v>w (?<=C)a(?=pr)>",
        ),
    ),
    Script(
        "bengali",
        _block(0x0980, final="02=ng 4E=t", consonant="2F=j 35=b 70=r 71=v"),
        deletes_last=True,
        deletes_inside=True,
        deletes_after_cluster=False,
        nukta={"j": "y", "d": "r", "dh": "rh"},
        rewrites=_rewrites("ph>f ngg>ng ng(?=k)>n (?<=C)j(?=A)> (?<=C)j>y jny>gg ksh>kkh aAy>ay"),
    ),
    Script(
        "gurmukhi",
        _block(0x0A00, final="70=N 71=+", consonant="5C=r", vowel="72=i 73=u"),
        deletes_last=True,
        deletes_inside=True,
        nukta={"s": "sh", "j": "z", "ph": "f"},
        rewrites=_rewrites("^A>aa ph>f (?<=[Ii]A)(?=N|C)>a (?<=nd)ar>er v(?=Al)>w (?<=pr)I(?=t)>ee (?<=VC)a(?=pr)>"),
    ),
    Script(
        "gujarati",
        _block(0x0A80),
        deletes_last=True,
        deletes_inside=True,
        nukta={"ph": "f", "j": "z"},
        rewrites=_rewrites("^A>aa N$> ph>f jh>z jny>gy (?<=[Ae])n(?=th)>"),
    ),
    Script(
        "odia",
        _block(0x0B00, consonant="2F=j 5F=y 71=w"),
        rewrites=_rewrites("^A>aa ng(?=[kg])>n I(?=C)>ee (?<=C)y(?=C)> sht>st ksh>khy jny>gy"),
    ),
    Script(
        "tamil",
        _block(0x0B80, nukta="03=", consonant="15=K 1A=S 1F=T 24=H 2A=P 31=R 37=sh"),
        rewrites=_rewrites(
            "^A>aa A(?=C)>aa I>ee U>oo SS>ch (?<=y)S>j RR>tr HH>th (?<=n)R>dr (?<=n)T>d (?<=ng)K> (?<=m)P>b",
            "(?<=V)T(?=V)>d (?<=V)K(?=V)>g H>th S(?=V)>s S>ch",
        ),
    ),
    Script("telugu", _block(0x0C00), rewrites=_rewrites("A(?=C)>aa I(?=C)>ee U(?=C)>oo N$>m n(?=[svlryh])>m")),
    Script("kannada", _block(0x0C80), rewrites=_rewrites("A(?=CV)>aa (?<=C)I(?=C)>ee U>oo N>m n(?=[svlryh])>m")),
    Script(
        "malayalam",
        _block(0x0D00, final="7A=n 7B=n 7C=r 7D=l 7E=l 7F=k", sign="4D=-", consonant="1F=T 24=th 25=th 31=R"),
        rewrites=_rewrites(
            "-(?=.)> N>m ph>f thth>tth chch>cch ngng>ng ngk>nk nyny>nj nych>nch yny>j RR>tt nR>nt (?<=V)T(?=V)>d",
            "(?<=n)T>d (?<=nn|th|kk)-$>u -> A(?=C)>aa I>ee U>oo (?<=s)v>w",
        ),
    ),
    Script(
        "arabic",
        {word[0]: (kind, word[1:]) for kind, words in _ARABIC.items() for word in words.split()},
        deletes_last=True,
        deletes_inside=True,
        rewrites=_rewrites("(?<=C)(?=y)>i i(?=C$)>ee"),
    ),
)

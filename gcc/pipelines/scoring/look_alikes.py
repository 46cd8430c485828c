"""Letters that are drawn like others: what "𝓡𝓪𝓱𝓾𝓵", "ⓇⒶⒽⓊⓁ", "🇷🇦🇭🇺🇱", "ʀᴀʜᴜʟ" and "яαнυℓ" say.

NFKC undoes the mathematical alphabets, circled, squared and fullwidth letters, and transliteration the small capitals.
Here is the rest: symbols that NFKC leaves alone or takes apart, and letters of other alphabets, and signs, that stand
for Latin ones inside a word that is not of theirs.
"""

import re
import string

_FIRST_OF_26 = (0x249C, 0x1F110, 0x1F150, 0x1F170)
"""Where a to z stand: parenthesised, small and large; circled and squared, white on black."""
_FIRST_OF_20 = (0x2474, 0x2488)
"""Where 1 to 20 stand: parenthesised, and with a full stop."""
SYMBOLS = {start + at: letter for start in _FIRST_OF_26 for at, letter in enumerate(string.ascii_lowercase)}
SYMBOLS |= {start + at: str(at + 1) for start in _FIRST_OF_20 for at in range(20)}
SYMBOLS |= dict.fromkeys(map(ord, "™℠"), " ")  # which NFKC makes letters of
SYMBOLS[ord("ǫ")] = "q"  # which alphabets of small capitals have for it
_REGIONAL = 0x1F1E6
_REGIONAL_RUN = re.compile("[\U0001f1e6-\U0001f1ff]+")


def _drawn_like(*lines: str) -> dict[str, str]:
    return {pair[0]: pair[1] for line in lines for pair in line.split()}


SIGNS = _drawn_like("∂d ¢c €e £l ¥y ₹r ₳a ฿b ₵c ₫d ₭k ₥m ₦n ₱p ₲g ₴s ₮t ₩w ๏o ×x ℘p")
LETTERS = SIGNS | _drawn_like(
    "αa βb γy δd εe ηn ιi κk λa μu νv οo πn ρp σo ςs τt υu φo χx ωw ϲc ϳj",
    "ΑA ΒB ΔA ΕE ΖZ ΗH ΘO ΙI ΚK ΛA ΜM ΝN ΞE ΟO ΠN ΡP ΣE ΤT ΥY ΧX",
    "аa бb вb гr дd еe ѐe ёe иn йn кk мm нh оo пn рp сc тt уy хx цu шw щw ъb ьb эe юo яr",
    "АA БB ВB ГR ДD ЕE ЁE ИN ЙN КK МM НH ОO ПN РP СC ТT УY ХX ШW ЩW ЬB ЯR",
    "єe ѕs іi їi јj ћh ѵv ґr ԁd һh ԛq ԝw ӏl Ӏl ЄE ЅS ІI ЇI ЈJ ԌG ԚQ ԜW",
    "ᎪA ᏴB ᏟC ᎠD ᎬE ᎰF ᏀG ᎻH ᏆI ᎫJ ᏦK ᏞL ᎷM ᏁN ᏫO ᏢP ᎡR ᏒR ᏚS ᎢT ᏙV ᏔW ᎽY ᏃZ",
    "ᗩA ᗷB ᑕC ᗪD ᗴE ᖴF ᕼH ᒍJ ᒪL ᗰM ᑎN ᑭP ᖇR ᔕS ᑌU ᐯV ᗯW",
    "คa ๒b ๔d ђh เi ןj ๓m ภn קp รs ยu שv ฬw אx ץy",
    "ҍb ժd ҽe ցg հh ҟk ղn օo ոn քp զq էt մu սu աw վy ՀZ ყy ҳx ཞr נj ʍm ɧh ƖL ʝj ƈc",
)
"""Of a word of mixed alphabets: the Latin letter that each is drawn like."""

_FLAGS = (
    "acdefgilmoqrstuwxz babdefghijlmnoqrstvwyz cacdfghiklmnopruvwxyz degjkmoz eaceghrstu fijkmor "
    "gabdefghilmnpqrstuwy hkmnrtu icdelmnoqrst jemop keghimnprwyz labcikrstuvy macdefghklmnopqrstuvwxyz "
    "nacefgilopruz om paefghklmnrstwy qa reosuw sabcdeghijklmnorstvxyz tacdfghjklmnortvwz uagmnsyz vaceginu wfs "
    "xk yet zamw "
)
FLAGS = frozenset(word[0] + second for word in _FLAGS.split() for second in word[1:])
"""What two regional indicators are drawn as a flag, by the first letter: a place's code in ISO 3166."""


def without_flags(text: str) -> str:
    """Regional indicators as letters, where they are not drawn as flags."""
    return _REGIONAL_RUN.sub(_spelled_or_flags, text)


def _spelled_or_flags(run: re.Match[str]) -> str:
    letters = "".join(chr(ord(each) - _REGIONAL + ord("a")) for each in run[0])
    pairs = [letters[at : at + 2] for at in range(0, len(letters), 2)]
    return " " * len(pairs) if all(pair in FLAGS for pair in pairs) else letters

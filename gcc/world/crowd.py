"""The crowd: ten thousand million ordinary accounts, each a function of its number, none of them kept.

They follow, like and comment. Figures are spread as on labelled real accounts: medians of some 340 followers and 400
followed, private ones near a half, a handle that is like the name. One in 25 is planted as a fake, of five kinds:

    bought          sold by the thousand: no posts, many followed, a long number behind the handle
    bot farm        the same, made in rows: a name of somebody else, a longer number
    inactive        was somebody once: neither posts nor a picture nor followers
    foreign script  a name in letters of elsewhere
    mimic           looks like anybody, its name written in letters that only look like these

A number's id and handle can be read back, so a follower that was listed can be asked for.
"""

import math
from dataclasses import dataclass

from gcc.world import names
from gcc.world.chance import bell, mix, unit

SIZE = 10**10
FAKE_EVERY, _FAKE_AT = 25, 7  # numbers that leave this rest are fakes
FAKES, GENUINE = SIZE // FAKE_EVERY, SIZE // FAKE_EVERY * (FAKE_EVERY - 1)
"""How many there are."""
KINDS = ("bought", "bot farm", "inactive", "foreign script", "mimic")
_FIRST_ID = 20_000_000_000
_STIR = 7_368_787_013  # coprime to 10
_UNSTIR = pow(_STIR, -1, SIZE)
_SYLLABLES = tuple(consonant + vowel for consonant in "bcdfghjklmnprstvwyzx" for vowel in "aeiou")
_CODES = {syllable: f"{code:02d}" for code, syllable in enumerate(_SYLLABLES)}
_WORD = 10  # letters of a handle that tell the number
_PRIVATE, _FAKE_PRIVATE, _PICTURE, _FAKE_PICTURE, _BIO = 0.45, 0.29, 0.985, 0.61, 0.6  # shares
_BOLD = {chr(letter): chr(0x1D400 + letter - 65) for letter in range(65, 91)}
_BOLD |= {chr(letter): chr(0x1D41A + letter - 97) for letter in range(97, 123)}
_LIKE_THESE = dict(zip("aeopcxyAEOPCTHKM", "аеорсхуАЕОРСТНКМ", strict=True))  # Cyrillic
_STYLES = (str.maketrans(_BOLD), str.maketrans(_LIKE_THESE))
_ELSEWHERE = (
    ("Дмитрий", "Иванов"), ("Ольга", "Смирнова"), ("Γιώργος", "Παππάς"), ("Ελένη", "Νικολάου"), ("王", "小明"),
    ("李", "娜"), ("김", "민준"), ("박", "서연"), ("Արամ", "Պետրոսյան"), ("გიორგი", "ბერიძე"),
)  # fmt: skip
_AGES = ("13-17", "18-24", "25-34", "35-44", "45-54", "55-64", "65+")
_AGE_UP_TO = (0.07, 0.42, 0.77, 0.90, 0.96, 0.985, 1.0)
_GENDERS = ("F", "M", "U")
_GENDER_UP_TO = (0.44, 0.92, 1.0)


@dataclass(frozen=True, slots=True)
class Person:
    """An account that is no creator of the cast: personal, so the official API never shows it."""

    number: int  # below SIZE
    bits: int  # the chance of all that is its own

    @property
    def profile_id(self) -> str:
        return str(_FIRST_ID + self.number)

    @property
    def handle(self) -> str:
        bits = self.bits
        start = ("", self._first[:3].lower(), self._first[:3].lower() + "_")[(bits >> 20) % 3]
        match self.kind:
            case "bought":
                return f"{start}{self._word}{bits % 90_000 + 10_000}"
            case "bot farm":
                return f"{self._word}{bits % 90_000_000 + 10_000_000}"
        return start + self._word

    @property
    def full_name(self) -> str:
        bits = self._bits(1) >> 50
        if self.kind == "foreign script":
            return " ".join(names.pick(_ELSEWHERE, bits))
        if self.kind == "bot farm":
            return " ".join(names.person(self._bits(13)))
        last = self._word.capitalize()
        told = (f"{self._first} {last}", f"{self._first} {last}", f"{self._first} {last}", self._first)[bits % 4]
        if self.kind == "mimic":
            return told.translate(names.pick(_STYLES, bits >> 2))
        return "" if bits % 16 == 15 else told

    @property
    def _first(self) -> str:
        return names.person(self._bits(1))[0]

    @property
    def _word(self) -> str:
        code = self.number * _STIR % SIZE
        return "".join([_SYLLABLES[code // scale % 100] for scale in (10**8, 10**6, 10**4, 100, 1)])

    @property
    def fake(self) -> bool:
        return self.number % FAKE_EVERY == _FAKE_AT

    @property
    def kind(self) -> str:
        """Of fake, "" of a genuine one."""
        return KINDS[(self.bits >> 40) % len(KINDS)] if self.fake else ""

    @property
    def _shows(self) -> bool:
        """Whether its account looks like what it is: a mimic's does not."""
        return self.fake and self.kind != "mimic"

    @property
    def private(self) -> bool:
        return self._share(1) < (_FAKE_PRIVATE if self._shows else _PRIVATE)

    @property
    def verified(self) -> bool:
        return self._share(2) < 0.002 and not self.fake

    @property
    def picture_url(self) -> str | None:
        has_one = self.kind != "inactive" and self._share(3) < (_FAKE_PICTURE if self._shows else _PICTURE)
        return f"https://images.example/instagram/{self.profile_id}/profile.jpg" if has_one else None

    @property
    def followers(self) -> int:
        if self.kind == "inactive":
            return self._size(6, 8, 0.8)
        return self._size(6, 35, 1.5) if self._shows else self._size(6, 340, 0.8)

    @property
    def following(self) -> int:
        if self.kind == "inactive":
            return self._size(7, 60, 0.8)
        return min(self._size(7, 1580, 1.1) if self._shows else self._size(7, 400, 0.6), 7500)

    @property
    def media_count(self) -> int:
        if self.kind == "inactive":
            return 0
        return self._size(8, 1, 1.2) - 1 if self._shows else self._size(8, 28, 1.6)

    @property
    def home(self) -> names.Home:
        return names.home(self._bits(9))

    @property
    def bio(self) -> str:
        bits = self._bits(10)
        if self.fake or unit(bits) > _BIO:
            return ""
        return f"{names.pick(self.home.cities, bits)} | {names.pick(names.CATEGORIES, bits >> 8)}"

    @property
    def age(self) -> str:
        return next(age for age, up_to in zip(_AGES, _AGE_UP_TO, strict=True) if unit(self._bits(11)) < up_to)

    @property
    def gender(self) -> str:
        return next(sex for sex, up_to in zip(_GENDERS, _GENDER_UP_TO, strict=True) if unit(self._bits(12)) < up_to)

    def _bits(self, stream: int) -> int:
        return mix(self.bits, stream)

    def _share(self, slice_: int) -> float:
        """A number in [0, 1), another for each slice of the bits: cheap enough for every row of a list."""
        return (self.bits >> 13 * slice_ & 0x1FFF) / 0x2000

    def _size(self, stream: int, median: int, deviation: float) -> int:
        """Log-normal, and never below 1."""
        return max(round(median * math.exp(deviation * bell(self._bits(stream)))), 1)


def person(number: int) -> Person:
    return Person(number, mix(number, 1))


def genuine(place: int) -> Person:
    """The one at a place among the genuine ones, below GENUINE."""
    row, rest = divmod(place, FAKE_EVERY - 1)
    return person(row * FAKE_EVERY + rest + (rest >= _FAKE_AT))


def fake(place: int) -> Person:
    """The one at a place among the fakes, below FAKES."""
    return person(place * FAKE_EVERY + _FAKE_AT)


def by_handle(handle: str) -> Person | None:
    """In any case, with "@" or without; None: nobody of the crowd is called so."""
    handle = handle.lower().removeprefix("@")
    word = handle.rstrip("0123456789")[-_WORD:]
    codes = [_CODES.get(word[start : start + 2]) for start in range(0, _WORD, 2)]
    if None in codes:
        return None
    found = person(int("".join(code or "" for code in codes)) * _UNSTIR % SIZE)
    return found if found.handle == handle else None


def by_id(profile_id: str) -> Person | None:
    if not (profile_id.isascii() and profile_id.isdigit() and len(profile_id) == len(str(_FIRST_ID))):
        return None
    number = int(profile_id) - _FIRST_ID
    return person(number) if 0 <= number < SIZE and profile_id == str(_FIRST_ID + number) else None

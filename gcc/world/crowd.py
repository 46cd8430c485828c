"""The crowd: ten thousand million ordinary accounts, each a function of its number, none of them kept.

They follow, like and comment. Figures are spread as on labelled real accounts: medians of some 340 followers and 400
followed, private ones near a half, a few in a hundred bought or automatic (no posts, many followed, digits in the
handle). A number's id and handle can be read back, so a follower that was listed can be asked for.
"""

import math
from dataclasses import dataclass

from gcc.world import names
from gcc.world.chance import bell, mix, unit

SIZE = 10**10
_FIRST_ID = 20_000_000_000
_STIR = 7_368_787_013  # coprime to 10
_UNSTIR = pow(_STIR, -1, SIZE)
_SYLLABLES = tuple(consonant + vowel for consonant in "bcdfghjklmnprstvwyzx" for vowel in "aeiou")
_CODES = {syllable: f"{code:02d}" for code, syllable in enumerate(_SYLLABLES)}
_WORD = 10  # letters of a handle that tell the number
_FAKE, _PRIVATE, _FAKE_PRIVATE, _PICTURE, _FAKE_PICTURE, _BIO = 0.04, 0.45, 0.29, 0.985, 0.61, 0.6  # shares
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
        code = self.number * _STIR % SIZE
        word = "".join([_SYLLABLES[code // scale % 100] for scale in (10**8, 10**6, 10**4, 100, 1)])
        bits = self.bits
        start = ("", names.first_head(bits).lower(), names.first_head(bits).lower() + "_")[(bits >> 20) % 3]
        return f"{start}{word}{bits % 9000 + 1000}" if self.fake else start + word

    @property
    def full_name(self) -> str:
        bits = self._bits(1)
        first, last = names.person(bits)
        return (f"{first} {last}", first, f"{first} {last}", "")[(bits >> 50) % 4]

    @property
    def fake(self) -> bool:
        return self._share(0) < _FAKE

    @property
    def private(self) -> bool:
        return self._share(1) < (_FAKE_PRIVATE if self.fake else _PRIVATE)

    @property
    def verified(self) -> bool:
        return self._share(2) < 0.002 and not self.fake

    @property
    def picture_url(self) -> str | None:
        has_one = self._share(3) < (_FAKE_PICTURE if self.fake else _PICTURE)
        return f"https://images.example/instagram/{self.profile_id}/profile.jpg" if has_one else None

    @property
    def followers(self) -> int:
        return self._size(6, 35, 1.5) if self.fake else self._size(6, 340, 0.8)

    @property
    def following(self) -> int:
        return min(self._size(7, 1580, 1.1) if self.fake else self._size(7, 400, 0.6), 7500)

    @property
    def media_count(self) -> int:
        return self._size(8, 1, 1.2) - 1 if self.fake else self._size(8, 28, 1.6)

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

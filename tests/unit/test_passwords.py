"""Passwords: what nobody may choose, what hashing costs, and what happens when too many ask."""

import unicodedata

import pytest
import trio
from argon2 import PasswordHasher, extract_parameters

from gcc.web.identity import passwords
from gcc.web.identity.passwords import NOBODY, QUEUE, THREADS, Busy, Passwords, weakness


@pytest.mark.parametrize(
    "password",
    [
        "", "short", "x" * 129, "password1234", "PASSWORD1234", "Password2026!!", "1234567890123", "qwertyqwerty",
        "aaaaaaaaaaaa", "abcabcabcabcab", "!!!monkey!!!2026", "motherfucker", "passwordpassword", "Monkey99Monkey99",
        "123456789012", "qwertyuiopas", "Abcdefghijkl!", "zyxwvutsrqpo", "1qaz2wsx3edc", "098765432109",
    ],
)  # fmt: skip
def test_nobody_may_choose(password: str) -> None:
    assert weakness(password) is not None


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "polkas werden deftig",
        "my 1234 reasons why",
        "zK9#vQ2mLp0x",
        "x1" * 5 + "yzQ" * 39,
        "சென்னையில் மழை",
    ],
)
def test_others_may_be_chosen(password: str) -> None:
    assert weakness(password) is None


@pytest.mark.parametrize(
    "password",
    [
        "asha.rao@brand-house.example", "Asha.Rao@Brand-House.example", "ashara0wns it", "asha raosanthanam",
        "2026 AshaRaosanthanam!!", "Brand-House.example", "brandhouseexample1",
    ],
)  # fmt: skip
def test_nobody_may_choose_what_they_are_called(password: str) -> None:
    own = ("asha.rao@brand-house.example", "Asha Raosanthanam")
    assert (weakness(password, *own) is None) is (password == "ashara0wns it")
    assert weakness(password) is None


def test_a_name_without_letters_bars_no_password() -> None:
    assert weakness("9753 1864 20!!", "!!", "") is None


def test_ten_thousand_common_ones_are_known() -> None:
    assert len(passwords._common()) >= 10_000 and {"123456", "dragon"} <= passwords._common()


async def test_parameters_are_those_of_the_specification() -> None:
    for password_hash in (await Passwords().hashed("x"), NOBODY):
        found = extract_parameters(password_hash)
        assert (found.type.name, found.memory_cost, found.time_cost, found.parallelism) == ("ID", 19 * 1024, 2, 1)
        assert not Passwords().outgrown(password_hash)
    assert Passwords().outgrown(PasswordHasher(time_cost=1, memory_cost=19 * 1024, parallelism=1).hash("x"))


async def test_a_letter_in_two_characters_is_the_same_letter() -> None:
    hashed = await Passwords().hashed(unicodedata.normalize("NFD", "déjà vu déjà vu"))
    assert await Passwords().verified(unicodedata.normalize("NFC", "déjà vu déjà vu"), hashed)


async def test_no_password_is_nobody_s() -> None:
    assert not await Passwords().verified("x", None)
    assert not await Passwords().verified("x", "no hash")


async def test_more_than_wait_are_refused_at_once() -> None:
    """Two are looked at, 32 wait; the others are told to come again."""
    looked = Passwords()
    refused = list[Busy]()

    async def ask() -> None:
        try:
            await looked.verified("x", None)
        except Busy as busy:
            refused.append(busy)

    async with trio.open_nursery() as nursery:
        for _ in range(THREADS + QUEUE + 5):
            nursery.start_soon(ask)
    assert len(refused) == 5 and {busy.retry_after_s for busy in refused} == {1.0}
    await looked.hashed("x")

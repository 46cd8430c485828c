"""What names say in plain letters: dressed-up alphabets, scripts, foreign ones, and text that was made to hurt."""

import string
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcc.pipelines.scoring.indic import BY_NAME
from gcc.pipelines.scoring.latin import LOOKED_AT_MAX, latin

NAME = "RahulKumar"


def dressed(upper: int, lower: int, **holes: str) -> str:
    """NAME in the alphabet whose A and a are these."""
    return "".join(
        holes.get(letter, chr((upper if letter.isupper() else lower) + ord(letter.lower()) - ord("a")))
        for letter in NAME
    )


ALPHABETS = {
    "mathematical bold": dressed(0x1D400, 0x1D41A),
    "italic": dressed(0x1D434, 0x1D44E, h="ℎ"),
    "script": dressed(0x1D4D0, 0x1D4EA),
    "fraktur": dressed(0x1D504, 0x1D51E, R="ℜ"),
    "double-struck": dressed(0x1D538, 0x1D552, R="ℝ"),
    "sans": dressed(0x1D5A0, 0x1D5BA),
    "monospace": dressed(0x1D670, 0x1D68A),
    "circled": dressed(0x24B6, 0x24D0),
    "circled in black": dressed(0x1F150, 0x1F150),
    "squared": dressed(0x1F130, 0x1F130),
    "squared in black": dressed(0x1F170, 0x1F170),
    "parenthesised": dressed(0x249C, 0x249C),
    "fullwidth": dressed(0xFF21, 0xFF41),
    "small capitals": "ʀᴀʜᴜʟᴋᴜᴍᴀʀ",
    "regional indicators": dressed(0x1F1E6, 0x1F1E6),
    "raised": "ᴿᵃʰᵘˡᴷᵘᵐᵃʳ",
    "Canadian syllabics": "ᖇᗩᕼᑌᒪKᑌᗰᗩᖇ",
    "Greek and Cyrillic": "яαнυℓкυмαя",
    "Thai and Hebrew": "гคђยlкย๓คг",
    "Armenian": "ɾɑհմӀҟմʍɑɾ",
    "Tibetan and hooks": "ཞąɧųƖƙųɱąཞ",
    "a Cyrillic letter inside": "RаhulKumаr",
    "stacked marks": "".join(letter + "\u0336\u0301" * 9 for letter in NAME),
}


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_dressed_up_letters_are_plain_ones_and_no_foreign_script(alphabet: str) -> None:
    said = latin(ALPHABETS[alphabet])
    assert (said.text, said.scripts, said.foreign) == (NAME.lower(), {"latin"}, False)


@pytest.mark.parametrize(
    ("name", "text", "scripts"),
    [
        ("Ελένη", "eleni", {"greek"}),
        ("Юлия", "yuliya", {"cyrillic"}),
        ("мир Rahul", "mir rahul", {"cyrillic", "latin"}),
        ("Արամ", "aram", {"armenian"}),
        ("ნინო", "nino", {"georgian"}),
        ("王小明", "wangxiaoming", {"han"}),
        ("김민준", "gimminjun", {"hangul"}),
        ("ไทย", "aithy", {"thai"}),
    ],
)
def test_a_word_of_a_foreign_script_is_told(name: str, text: str, scripts: set[str]) -> None:
    said = latin(name)
    assert (said.text, said.scripts, said.foreign) == (text, scripts, True)


@pytest.mark.parametrize(
    ("name", "text", "scripts", "foreign"),
    [
        ("Elena Ψ", "elena", {"latin"}, False),
        ("ϟ Harry ϟ", "harry", {"latin"}, False),
        ("Harryϟ", "harry", {"latin"}, False),
        ("ツ राहुल", "rahul", {"devanagari"}, False),
        ("Rahul 9 Ω 9", "rahul 9 9", {"latin"}, False),
        ("Ψ", "ps", {"greek"}, True),  # beside nothing that is at home
        ("Ψ 9", "ps 9", {"greek"}, True),
        ("Ψ Ω", "ps o", {"greek"}, True),
        ("Rahul ΨΩ", "rahul pso", {"latin", "greek"}, True),
        ("Li 王", "li wang", {"latin", "han"}, True),  # one letter is a name there
        ("Kim 김", "kim gim", {"latin", "hangul"}, True),
        ("Я Юлия R", "ya yuliya r", {"latin", "cyrillic"}, True),
    ],
)
def test_a_foreign_letter_alone_in_a_name_at_home_is_an_ornament(
    name: str, text: str, scripts: set[str], foreign: bool
) -> None:
    said = latin(name)
    assert (said.scripts, said.foreign) == (scripts, foreign)
    assert foreign or said.text == text


@pytest.mark.parametrize(
    ("name", "text", "script"),
    [
        ("राहुल शर्मा", "rahul sharma", "devanagari"),
        ("सौरव चटर्जी", "saurav chatarji", "devanagari"),
        ("जनकपुर", "janakpur", "devanagari"),
        ("शिवचरण", "shivcharan", "devanagari"),
        ("सरस्वती", "saraswati", "devanagari"),
        ("অভিজিৎ", "abhijit", "bengali"),
        ("ਹਰਪ੍ਰੀਤ ਸਿੰਘ", "harpreet singh", "gurmukhi"),
        ("ગૌરવ પટેલ", "gaurav patel", "gujarati"),
        ("ଜଗନ୍ନାଥ", "jagannatha", "odia"),
        ("தமிழ்செல்வன்", "thamizhselvan", "tamil"),
        ("వెంకటేశ్", "venkatesh", "telugu"),
        ("ಮಂಜುನಾಥ", "manjunatha", "kannada"),
        ("സുരേഷ് കുമാർ", "suresh kumaar", "malayalam"),
        ("عمران خان", "amran khan", "arabic"),
    ],
)
def test_each_indic_script_is_read_and_is_not_foreign(name: str, text: str, script: str) -> None:
    said = latin(name)
    assert (said.text, said.scripts, said.foreign) == (text, {script}, False)
    assert script in BY_NAME


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("D'Souza", "dsouza"),
        ("Łukasz  Ñoño", "lukasz nono"),
        ("_rahul.sharma_99", "rahul sharma 99"),
        ("राम१२३ Ⅳ ① ❷❸ ⑴⑿ ⒈", "ram123 iv 1 23 112 1"),
        ("राहुलRahul", "rahul rahul"),
        ("Rahul 🌸🇮🇳", "rahul"),
        ("🇮🇳🇺🇸", ""),
        ("₳₥ł₮", "amlt"),
        ("₹500 off", "500 off"),
        ("Rahul₹", "rahul"),
        ("Rahul™ Foods℠ ©®", "rahul foods"),
        ("\u202eluhaR\u202c\u200b", "luhar"),
        ("\ud800abc\udfff", "abc"),
        ("नमस्ते।", "namaste"),
        ("", ""),
        ("\x00\n\t", ""),
    ],
)
def test_what_parts_words_and_what_says_nothing(name: str, text: str) -> None:
    assert latin(name).text == text


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=()), max_size=80))
def test_any_text_at_all_becomes_plain_letters(name: str) -> None:
    said = latin(name).text
    assert set(said) <= set(string.ascii_lowercase + string.digits + " ")
    assert said == " ".join(said.split())


@pytest.mark.parametrize(
    "unit", ["a", "क", "क्", "ﷺ", "\U0001f1ee", "😀", "я\u0302b", "\ud800", "\u0f73\u0f75", "o\u0316\u0301"]
)
def test_only_the_first_characters_of_a_long_text_count(unit: str) -> None:
    assert latin(unit * 10_000) == latin(unit * 10_000 + "王 zebra")
    assert len(latin(unit * 10_000).text) <= 4 * LOOKED_AT_MAX  # a letter is at most a few


def test_marks_do_not_hide_a_name_from_the_first_characters() -> None:
    under = "".join(letter + "\u0301" * 100 for letter in NAME)
    assert latin(under).text == latin(unicodedata.normalize("NFC", under)).text == NAME.lower()

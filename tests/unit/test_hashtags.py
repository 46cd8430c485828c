"""Hashtags in every script: whole words, and nothing else."""

import sys
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcc.sources.instagram.hashtags import hashtags

KEYCAP_MARKS = "\ufe0e\ufe0f\u20e3"  # after # they make a key of it


@pytest.mark.parametrize(
    ("caption", "tags"),
    [
        ("#One two #Three, #one!", ["one", "three"]),
        ("#กรุงเทพ #น้ำ", ["กรุงเทพ", "น้ำ"]),
        ("#မြန်မာ။", ["မြန်မာ"]),
        ("#ខ្មែរ #កម្ពុជា។", ["ខ្មែរ", "កម្ពុជា"]),
        ("#ລາວ #ປະເທດລາວ", ["ລາວ", "ປະເທດລາວ"]),
        ("#བོད་སྐད་ དང་ #བོད་།", ["བོད་སྐད", "བོད"]),
        ("#مُحَمَّد، #فارسی #می‌خواهم", ["مُحَمَّد", "فارسی", "می‌خواهم"]),
        ("#שָׁלוֹם.", ["שָׁלוֹם"]),
        ("#বাংলা #தமிழ் #తెలుగు #ಕನ್ನಡ #മലയാളം #ଓଡ଼ିଆ #ਪੰਜਾਬੀ #ગુજરાતી #සිංහල",
         ["বাংলা", "தமிழ்", "తెలుగు", "ಕನ್ನಡ", "മലയാളം", "ଓଡ଼ିଆ", "ਪੰਜਾਬੀ", "ગુજરાતી", "සිංහල"]),
        ("दिवाली #हिन्दी। #नमस्ते_दुनिया", ["हिन्दी", "नमस्ते_दुनिया"]),
        ("#தமிழ்#இரண்டு", ["தமிழ்", "இரண்டு"]),
        ("#ᠮᠣᠩᠭᠣᠯ #ᏣᎳᎩ #አማርኛ #ქართული", ["ᠮᠣᠩᠭᠣᠯ", "ꮳꮃꭹ", "አማርኛ", "ქართული"]),
        ("#日本語 #ひらがな #한국어", ["日本語", "ひらがな", "한국어"]),
        ("#cafe\u0301 #Straße #𝒞𝓊𝓉𝑒", ["cafe\u0301", "straße", "𝒞𝓊𝓉𝑒"]),
        ("＃東京 #大阪＃京都", ["東京", "大阪", "京都"]),
        ("#三 #２０２６年 #४२", ["三", "２０２６年"]),
        ("#2026 #2026goals #24x7 #٢٠٢٦ #² #Ⅻ #_ #1_000", ["2026goals", "24x7"]),
        ("#🔥 #love❤️ #👩‍🚀 #👍🏽up #🇮🇳 # nothing ##", ["🔥", "love❤️", "👩‍🚀", "👍🏽up", "🇮🇳"]),
        ("❤️#love 1️⃣#first 🏴󠁧󠁢󠁥󠁮󠁧󠁿#england", ["love", "first", "england"]),
        ("#️⃣ #⃣ #️⃣tag", []),
        ("#️⃣#tag", ["tag"]),
        ("mail me at a#b or ทำ#b &#39; &#x27; &#128293;", []),
        ("https://x.example/#top https://x.example/a?b=#frag www.x.example/-#one#two x.example#y /#z", []),
        ("HTTPS://X.EXAMPLE/=#top https://x.example #after https://x.example、#タグ", ["after", "タグ"]),
        ("Awww...#cute awww.#puppy so cute, ewww.#gross _www.#low", ["cute", "puppy", "gross", "low"]),
        ("www.#bare www...#dots (www.x.example/-#one) WWW.x.example#two", ["bare", "dots"]),
        ("(https://x.example)#a https://x.example,#b https://x.example.#c https://x.example!#d 'www.x.example'#e",
         ["a", "b", "c", "d", "e"]),
        ("https://x.example/a_(b)#one https://x.example/a_(b,c(d)#two (see https://x.example/a_(b)#three)#four",
         ["four"]),
        ("https://x.example/?#one https://x.example/a=#two https://x.example/~#three", []),
        ("(#one) [#two] \"#three\" #four-five 'n #six's @#seven", ["one", "two", "three", "four", "six", "seven"]),
        ("#one#two#one ##three", ["one", "two", "three"]),
        ("#tag│#next|#last", ["tag", "next", "last"]),
        ("", []),
    ],
)  # fmt: skip
def test_hashtags(caption: str, tags: list[str]) -> None:
    assert hashtags(caption) == tags


LETTERS_MARKS_DIGITS = [
    character for character in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(character)[0] in "LMN"
]


def test_no_letter_mark_or_digit_cuts_a_word() -> None:
    cut = [
        each
        for each in LETTERS_MARKS_DIGITS
        if hashtags(f"a #x{each}y#z{each} b") != [f"x{each}y".lower(), f"z{each}".lower()]
    ]
    assert cut == []


def test_a_word_may_begin_with_any_of_them() -> None:
    cut = {each for each in LETTERS_MARKS_DIGITS if hashtags(f"#{each}x") != [f"{each}x".lower()]}
    assert cut == set(KEYCAP_MARKS)


@given(
    st.text(st.sampled_from(LETTERS_MARKS_DIGITS), min_size=1), st.sampled_from(["", "text ", "(", "🔥", "\n", "#a"])
)
def test_any_word_of_them_is_whole(word: str, before: str) -> None:
    found = hashtags(f"{before}#{word} after")
    own = (
        [] if word[0] in KEYCAP_MARKS or all(unicodedata.category(each)[0] == "N" for each in word) else [word.lower()]
    )
    first = ["a"] if before == "#a" else []
    assert found == list(dict.fromkeys(first + own))


@given(st.text(st.sampled_from("#＃ab1_ /&.:🔥\ufe0f\u20e3\u200dก้་é\n") | st.characters()))
def test_any_caption_has_some(caption: str) -> None:
    for tag in hashtags(caption):
        assert tag
        assert tag == tag.lower()
        assert "#" not in tag
        assert not any(map(str.isspace, tag))


LONG = 1 << 17


@pytest.mark.parametrize(
    "piece",
    [
        "#",
        "#a",
        "x#",
        "#1",
        "#\ufe0f",
        "#་",
        "&#",
        "https://",
        "www.",
        "#ก้",
        "a་",
        "#🔥",
        "/#",
        "h",
        "#_",
        "https://(",
        "https://x(y)",
        "https://x)#",
        "w",
    ],
)
def test_a_long_caption_takes_a_moment(piece: str) -> None:
    """Linear work: ten times as much takes about ten times as long, never a hundred."""

    def seconds(length: int) -> float:
        caption = piece * (length // len(piece))
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            hashtags(caption)
            best = min(best, time.process_time() - began)
        return best

    assert seconds(LONG) < 30 * max(seconds(LONG // 10), 0.001)

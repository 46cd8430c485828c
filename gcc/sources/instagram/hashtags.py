"""The hashtags of a caption, in every script, as Instagram links them. Pure, and linear in the caption's length.

A hashtag is # (or the fullwidth ＃) and letters, marks and digits of any script, underscores, joiners and emoji;
numbers alone are none. It begins where no word goes on, or where another one ends: #one#two are two, a#b is none.
Its characters stay as they were typed, since Instagram's own rule is unknown: é as one code or as two makes two tags.
"""

import re
import unicodedata

_PRESENTED = "\ufe0e\ufe0f\u20e3"  # marks that make an emoji of what stands before them: no part of a word


def _marks() -> str:
    """The combining marks as ranges of a character class: `re` has no \\p{M}, and \\w leaves them out.

    Without them Thai, Khmer and pointed Arabic words break.
    """
    ranges: list[list[int]] = []
    for code in (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0)):  # all that there are
        if unicodedata.category(chr(code))[0] != "M" or chr(code) in _PRESENTED:
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


_WORD = rf"\w{_marks()}"
_JOINERS = "\u200c\u200d"
_EMOJI = (  # Extended_Pictographic of Unicode, flags, skin tones and tags
    "©®‼⁉™ℹ↔-↙↩↪⌚⌛⌨⎈⏏⏩-⏳⏸-⏺Ⓜ▪▫▶◀◻-◾☀-★☇-☒☔-⚅⚐-✅✈-✒✔✖✝✡✨✳✴❄❇❌❎❓-❕❗❣-❧➕-➗➡➰➿⤴⤵⬅-⬇⬛⬜⭐⭕〰〽㊗㊙"
    "\U0001f000-\U0001faff\U000e0020-\U000e007f"
)
_TSHEG = "\u0f0b\u0f0c"  # between the syllables of a Tibetan word
_TAG = (
    rf"[#＃](?![{_PRESENTED}])(?:[{_WORD}{_PRESENTED}{_JOINERS}{_EMOJI}]|[{_TSHEG}](?=\w))+"  # #️⃣ is a key, no hashtag
)
_ENDS = r"(?<![!\"',.:;>\]}])"  # a link ends before # where one of these stands there: "see https://x.example,#tag"
_LINK = (
    rf"(?:[Hh][Tt][Tt][Pp][Ss]?://|[Ww](?<![{_WORD}].)[Ww][Ww]\.(?=\w))"  # awww.#cute is none
    rf"(?:[!-\"$-'*-~]|{_ENDS}#|\([!-'*-~]*\)#?|\()*+"  # nor is what closes a bracket before it a part of it
)
_FOUND = re.compile(
    rf"{_LINK}"  # first, so that its fragment is none
    r"|(?=[#＃][^\s!-/:-@\[-^`{-~])"  # what nearly always fails is tried first
    rf"(?<![/&{_WORD}])(?P<tags>(?:{_TAG})+)"
)


def hashtags(caption: str) -> list[str]:
    """Without #, lower-cased, each once, in order."""
    runs = (found["tags"] or "" for found in _FOUND.finditer(caption))
    tags = (tag.lower() for run in runs for tag in run.replace("＃", "#").split("#"))
    return list(dict.fromkeys(tag for tag in tags if any(map(_names, tag))))


def _names(character: str) -> bool:
    """Whether it makes a hashtag of what would be a number: no digit, underscore, joiner or sign between syllables."""
    return unicodedata.category(character)[0] not in "NPC"


def as_asked(tag: str) -> str:
    """A hashtag as a source is asked for it: without # and in small letters."""
    return tag.strip().lstrip("#＃").lower()


def has_emoji(tag: str) -> bool:
    return re.search(f"[{_EMOJI}{_PRESENTED}]", tag) is not None

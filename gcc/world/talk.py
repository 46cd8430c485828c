"""What people say under a post, in the languages of the crowd, often two in one comment.

Lengths are spread as those of real comments: half of them within some 40 characters, one in ten above 100, few of
many hundreds. All sentences are made up.
"""

from gcc.world.chance import mix, unit
from gcc.world.names import pick

_SAYINGS = {
    "English": (
        "Love this", "So good", "Where did you get that?", "First!", "Waiting for part 2", "You never disappoint",
        "This made my day", "Please make more of these", "Can you do a slower version for beginners?", "Underrated",
        "I tried it at home and my whole family liked it", "The ending was unexpected", "Price please", "Goals",
    ),
    "Hindi": (
        "बहुत बढ़िया", "क्या बात है", "दिल जीत लिया", "अगला भाग कब आएगा?", "bahut sahi bhai", "ek number yaar",
        "mast laga dekh ke", "kitne ka hai ye?", "मैंने भी बनाया, घर में सबको पसंद आया", "aapki awaaz bahut achi hai",
    ),
    "Tamil": ("அருமை", "சூப்பர்", "semma", "adutha video eppo?", "romba nalla irukku", "மிகவும் பிடித்திருக்கிறது"),
    "Telugu": ("చాలా బాగుంది", "సూపర్", "chala bagundi anna", "inka videos cheyandi", "మళ్ళీ మళ్ళీ చూశాను"),
    "Marathi": ("खूप छान", "मस्तच", "khup bhari", "पुढचा भाग कधी?"),
    "Bengali": ("দারুণ", "খুব ভালো লাগলো", "khub sundor", "aro chai erokom"),
    "Kannada": ("ತುಂಬಾ ಚೆನ್ನಾಗಿದೆ", "ಸೂಪರ್", "tumba chennagide", "innond video haaki"),
    "Malayalam": ("അടിപൊളി", "വളരെ നന്നായിട്ടുണ്ട്", "adipoli", "next part eppozha?"),
    "Gujarati": ("ખૂબ સરસ", "મજા આવી ગઈ", "khub saras"),
    "Punjabi": ("ਬਹੁਤ ਵਧੀਆ", "sirra", "att karti"),
    "Arabic": ("رائع جدا", "ما شاء الله"),
    "Nepali": ("धेरै राम्रो", "ekdam ramro"),
    "Indonesian": ("keren banget", "mantap"),
    "Portuguese": ("que lindo", "adorei"),
}  # fmt: skip
_EMOJI = ("🔥", "❤️", "😂", "👏👏", "😍", "🙌", "💯", "🤣🤣", "✨", "🥺")
_ADVERTS = (
    "Promote it on our page 📩", "Earn from home, ask me how 💰", "Follow back please", "DM us for 10k real followers",
    "Check my bio for a surprise 🎁",
)  # fmt: skip
_EMOJI_ONLY, _WITH_EMOJI, _IN_ENGLISH = 0.1, 0.45, 0.4  # shares
_SENTENCES_MAX = 12


def comment(language: str | None, bits: int) -> str:
    """What somebody of this language writes."""
    mood = unit(mix(bits, 1))
    if mood < _EMOJI_ONLY:
        return pick(_EMOJI, bits >> 8)
    own = _SAYINGS.get(language or "", _SAYINGS["English"])
    count = min(int(1.4 * (1 - unit(mix(bits, 2))) ** -0.7), _SENTENCES_MAX)
    said = []
    for number in range(count):
        draw = mix(bits, 3, number)
        said.append(pick(_SAYINGS["English"] if unit(draw) < _IN_ENGLISH else own, draw))
    return " ".join([*said, pick(_EMOJI, bits >> 16)] if mood < _EMOJI_ONLY + _WITH_EMOJI else said)


def advert(bits: int) -> str:
    """What a bought account writes."""
    return pick(_ADVERTS, bits >> 8)

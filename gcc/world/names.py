"""The words of the generated world: names, handles, categories, languages, places, headlines.

Names are put together from syllables, so they sound like people without being any.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


def pick(choices: Sequence[T], bits: int) -> T:
    return choices[bits % len(choices)]


_FIRST_HEADS = (
    "Aar", "Anv", "Bhav", "Cha", "Dev", "Dhr", "Esh", "Gau", "Har", "Ish", "Jai", "Kav", "Kir", "Lav", "Man", "Mih",
    "Nav", "Nis", "Oj", "Pal", "Pra", "Raj", "Rit", "Sam", "San", "Shr", "Tan", "Tej", "Uj", "Van", "Vih", "Yash",
    "Zoy", "Ahm", "Far", "Gur", "Jas", "Sim", "Ana", "Bel", "Cel", "Dan", "Eri", "Fel", "Lin", "Mar", "Nor", "Ren",
)  # fmt: skip
_FIRST_TAILS = (
    "av", "ika", "an", "ya", "esh", "ini", "it", "ali", "ish", "ita", "een", "or", "ansh", "vi", "in", "ara",
    "ul", "isha", "deep", "preet", "on", "ella", "ius", "ami",
)  # fmt: skip
_LAST_HEADS = (
    "Ban", "Bha", "Cho", "Das", "Gho", "Gul", "Iy", "Jad", "Kan", "Kul", "Mal", "Meh", "Nai", "Nam", "Pat", "Pill",
    "Ram", "Red", "Sab", "Sax", "Shet", "Sri", "Sub", "Thak", "Trip", "Var", "Ven", "Wad", "Ald", "Cor", "Hal", "Win",
)  # fmt: skip
_LAST_TAILS = (
    "erja", "arve", "dhani", "gare", "harya", "inath", "jani", "karni", "lapur", "mani", "nath", "ora", "palli",
    "rekar", "sal", "tari", "vani", "wale", "ston", "elli", "mark", "ova",
)  # fmt: skip

CATEGORIES = (
    "Fashion", "Comedy", "Cricket", "Food", "Tech", "Beauty", "Travel", "Fitness", "Music", "Gaming", "Education",
    "Dance", "Movies", "News", "Parenting", "Finance",
)  # fmt: skip
YOUTUBE_CATEGORY_IDS = {
    "Fashion": "26", "Comedy": "23", "Cricket": "17", "Food": "26", "Tech": "28", "Beauty": "26", "Travel": "19",
    "Fitness": "17", "Music": "10", "Gaming": "20", "Education": "27", "Dance": "10", "Movies": "1", "News": "25",
    "Parenting": "22", "Finance": "27",
}  # fmt: skip
"""What the Data API calls a video's categoryId; everything else is 24, Entertainment."""

_SUBJECTS = {
    "Fashion": ("festive look", "saree drape", "thrift haul", "street style", "wedding guest outfit"),
    "Comedy": ("when mom calls", "office on Monday", "types of friends", "hostel life", "relatives at Diwali"),
    "Cricket": ("yorker drill", "last over drama", "gully cricket final", "bat review", "fielding masterclass"),
    "Food": ("hyderabadi biryani", "street food walk", "millet dosa", "mango pickle", "ten minute tiffin"),
    "Tech": ("budget phone test", "camera shootout", "laptop for students", "hidden settings", "earbuds compared"),
    "Beauty": ("monsoon skincare", "kajal that stays", "bridal base", "hair oil ritual", "drugstore finds"),
    "Travel": ("spiti on a scooter", "backwaters in rain", "night train diary", "hampi at sunrise", "goa off season"),
    "Fitness": ("home workout", "protein on a budget", "surya namaskar flow", "leg day", "first 10k run"),
    "Music": ("unplugged cover", "studio session", "raga in five minutes", "new single teaser", "flute loop"),
    "Gaming": ("squad wipe", "ranked push", "speedrun attempt", "new map tour", "sensitivity settings"),
    "Education": ("mock test review", "algebra trick", "history in ten minutes", "exam day plan", "reading list"),
    "Dance": ("garba steps", "bhangra basics", "studio choreography", "one take challenge", "kathak footwork"),
    "Movies": ("trailer breakdown", "first day first show", "hidden details", "songs ranked", "weekend watchlist"),
    "News": ("budget explained", "five things today", "ground report", "fact check", "election numbers"),
    "Parenting": ("tiffin for a week", "bedtime stories", "screen time rules", "school morning", "baby food chart"),
    "Finance": ("first salary plan", "index funds", "tax saving", "credit score", "emergency fund"),
}
_ANYWHERE = ("reels", "india", "trending")  # tags of every field
_OTHER_SUBJECTS = ("behind the scenes", "a day with us", "your questions answered", "on set", "weekend special")
_TURNS = (
    "{}: what nobody tells you", "My honest take on {}", "{} in one minute", "We tried {} for 7 days", "{} | part 2",
    "The truth about {}", "{} with a twist", "How I do {}", "{}, finally!", "Live: {}",
)  # fmt: skip


@dataclass(frozen=True)
class Home:
    """Where a creator lives: the language spoken to the audience, the country, its cities."""

    language: str
    country: str
    cities: tuple[str, ...]
    greeting: str


_INDIA = (
    Home("Hindi", "IN", ("Delhi", "Lucknow", "Jaipur", "Indore", "Patna", "Bhopal"), "नमस्ते"),
    Home("Hindi", "IN", ("Mumbai", "Kanpur", "Varanasi", "Gurugram"), "नमस्ते"),
    Home("English", "IN", ("Bengaluru", "Mumbai", "Delhi", "Pune", "Hyderabad"), "Hello"),
    Home("English", "IN", ("Goa", "Shillong", "Chennai", "Kolkata"), "Hello"),
    Home("Tamil", "IN", ("Chennai", "Coimbatore", "Madurai"), "வணக்கம்"),
    Home("Telugu", "IN", ("Hyderabad", "Vijayawada", "Visakhapatnam"), "నమస్కారం"),
    Home("Marathi", "IN", ("Pune", "Nagpur", "Nashik"), "नमस्कार"),
    Home("Bengali", "IN", ("Kolkata", "Siliguri", "Howrah"), "নমস্কার"),
    Home("Kannada", "IN", ("Bengaluru", "Mysuru", "Hubballi"), "ನಮಸ್ಕಾರ"),
    Home("Malayalam", "IN", ("Kochi", "Thiruvananthapuram", "Kozhikode"), "നമസ്കാരം"),
    Home("Gujarati", "IN", ("Ahmedabad", "Surat", "Rajkot"), "નમસ્તે"),
    Home("Punjabi", "IN", ("Ludhiana", "Amritsar", "Chandigarh"), "ਸਤ ਸ੍ਰੀ ਅਕਾਲ"),
)
_ABROAD = (
    Home("English", "US", ("New York", "Austin", "San Jose"), "Hello"),
    Home("English", "GB", ("London", "Leicester"), "Hello"),
    Home("Arabic", "AE", ("Dubai", "Abu Dhabi"), "مرحبا"),
    Home("English", "SG", ("Singapore",), "Hello"),
    Home("Bengali", "BD", ("Dhaka", "Chattogram"), "নমস্কার"),
    Home("Nepali", "NP", ("Kathmandu", "Pokhara"), "नमस्ते"),
    Home("Indonesian", "ID", ("Jakarta", "Bandung"), "Halo"),
    Home("Portuguese", "BR", ("São Paulo", "Recife"), "Olá"),
)
LANGUAGE_CODES = {
    "Hindi": "hi", "English": "en", "Tamil": "ta", "Telugu": "te", "Marathi": "mr", "Bengali": "bn", "Kannada": "kn",
    "Malayalam": "ml", "Gujarati": "gu", "Punjabi": "pa", "Arabic": "ar", "Nepali": "ne", "Indonesian": "id",
    "Portuguese": "pt",
}  # fmt: skip


def first_head(bits: int) -> str:
    """How a first name begins."""
    return pick(_FIRST_HEADS, bits)


def home(bits: int) -> Home:
    """Five of six live in India."""
    return pick(_INDIA, bits >> 8) if bits % 6 else pick(_ABROAD, bits >> 8)


def person(bits: int) -> tuple[str, str]:
    """A first and a last name."""
    first = pick(_FIRST_HEADS, bits) + pick(_FIRST_TAILS, bits >> 12)
    last = pick(_LAST_HEADS, bits >> 24) + pick(_LAST_TAILS, bits >> 36)
    return first, last


def handle(bits: int, first: str, last: str, category: str, *, dots: bool) -> str:
    """A handle as people choose them; `dots` where the platform likes dots better than nothing."""
    first, last, word = first.lower(), last.lower(), category.lower()
    gap = pick((".", "_", ""), bits >> 8) if dots else ""
    forms = (
        f"{first}{gap}{last}", f"{first}{last}", f"the{gap}{first}{gap}{last}", f"{first}{gap}{last}{bits % 90 + 10}",
        f"{first}{gap}{word}", f"{word}with{first}", f"its{gap}{first}{gap}{last}", f"{last}{gap}{first}",
    )  # fmt: skip
    return pick(forms, bits >> 16)


def channel_title(bits: int, first: str, last: str, category: str) -> str:
    forms = (f"{first} {last}", f"{category} with {first}", f"{first} {category}", f"{last} Studios", f"{first} Vlogs")
    return pick(forms, bits)


def bio(category: str, city: str, greeting: str, bits: int) -> str:
    ends = ("Collabs in DM", "New post every week", "Views are my own", "Mail for work", "Love and chai")
    return f"{greeting}! {category} from {city} ✨ {pick(ends, bits)}"


def headline(bits: int, category: str | None) -> tuple[str, tuple[str, ...]]:
    """A title or caption, and its tags."""
    subject = pick(_SUBJECTS.get(category or "", _OTHER_SUBJECTS), bits)
    title = pick(_TURNS, bits >> 8).format(subject)
    return title[0].upper() + title[1:], (field(category), subject.replace(" ", ""), pick(_ANYWHERE, bits))


def field(category: str | None) -> str:
    """The tag of a category."""
    return (category or "creator").lower().split()[0]


def _joined(subject: str) -> str:
    return subject.replace(" ", "").lower()


def may_bear(category: str | None, tag: str) -> bool:
    """Whether a headline of this category can have the tag, which is in lower case."""
    subjects = _SUBJECTS.get(category or "", _OTHER_SUBJECTS)
    return tag in _ANYWHERE or tag == field(category) or any(tag == _joined(subject) for subject in subjects)


def may_say(category: str | None, word: str) -> bool:
    """Whether a headline of this category, or one of its tags, can hold the word."""
    spoken = (*_SUBJECTS.get(category or "", _OTHER_SUBJECTS), (category or "creator").lower(), *_TURNS, *_ANYWHERE)
    return any(word in text.lower() for text in spoken) or may_bear(category, word)


def cities() -> list[str]:
    """Every city, those of India first."""
    return list(dict.fromkeys(city for home in (*_INDIA, *_ABROAD) for city in home.cities))


def tags() -> list[str]:
    """Every hashtag that a headline can have, in lower case."""
    subjects = [_joined(subject) for some in (*_SUBJECTS.values(), _OTHER_SUBJECTS) for subject in some]
    return list(dict.fromkeys((*_ANYWHERE, *map(field, (*CATEGORIES, None)), *subjects)))

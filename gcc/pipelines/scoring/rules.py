"""The rules of names, as the original had them: 0.0 real, 0.33 a weak sign, 1.0 fake, and why.

The first rule that holds decides; nothing of the account is asked. They tell how plausible a name is beside its handle,
which is weak evidence (docs/scoring.md); the account model is the other answer, and neither changes the other.
"""

from gcc.pipelines.scoring.features import DIGITS_MAX, SIMILAR_ABOVE, Features
from gcc.pipelines.scoring.record import Reason

REAL, WEAK, FAKE = 0.0, 0.33, 1.0
UNLIKE_UP_TO = 40  # a similarity of 0 says that there was nothing to compare


def decide(seen: Features) -> tuple[float, str]:
    """The score, and the feature that decided it."""
    if seen.non_indic:
        return FAKE, "non_indic"
    if 0 < seen.fuzzy_similarity <= UNLIKE_UP_TO:
        return WEAK, "fuzzy_similarity"
    if seen.more_than_4_digits:
        return FAKE, "more_than_4_digits"
    if seen.handle_name_correlation == 1:
        return FAKE, "handle_name_correlation"
    return REAL, "fuzzy_similarity"


DOUBTS = {
    "non_indic": Reason(
        "confidence", "low", "real people with names in these scripts are all called fake by this rule"
    ),
    "handle_name_correlation": Reason(
        "confidence", "low", "of real people with a name of one word this rule calls 8 in 100 fake, of others none"
    ),
}
"""Of rules that wrong one group of real people over 5 in 100 more often than others (bench/scoring_fairness.py):
said where such a rule decided."""
DIGITS = tuple(
    Reason("more_than_4_digits", int(digits > DIGITS_MAX), f"{digits} digits in the handle, at most {DIGITS_MAX} pass")
    for digits in range(31)  # handles are no longer than that where it matters; more count as 30
)
CORRELATION = (
    Reason("handle_name_correlation", 0, "a handle with separators: the name has two words, or is like the handle"),
    Reason(
        "handle_name_correlation", 1, f"a handle with separators: the name is one word, and not above {SIMILAR_ABOVE}"
    ),
    Reason("handle_name_correlation", 2, "no separator in the handle"),
)

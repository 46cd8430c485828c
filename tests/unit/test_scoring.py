"""The scorer: the original's features and rules by its documented examples and formulas, and texts nobody expects."""

import json
import re
import time
from itertools import permutations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rapidfuzz import fuzz

from gcc.pipelines.scoring.features import features, similarity
from gcc.pipelines.scoring.record import Account, Follower, Scored
from gcc.pipelines.scoring.rules import FAKE, REAL, WEAK
from gcc.pipelines.scoring.scorer import NO_HANDLE, NO_NAME, SCORER_VERSION, score, score_batch

FEATURES = {
    "non_indic", "more_than_4_digits", "handle_name_correlation", "fuzzy_similarity", "indian_name_match",
}  # fmt: skip


@pytest.mark.parametrize(
    ("handle", "flag"),
    [
        ("rahul_27", 0),
        ("priya_1995", 0),
        ("user_12345", 1),
        ("rahul_12345", 1),
        ("bot_99887766", 1),
        ("user_999999", 1),
    ],
)
def test_more_than_four_digits_in_the_handle_are_a_sign(handle: str, flag: int) -> None:
    assert features(handle, "Rahul").more_than_4_digits == flag


@pytest.mark.parametrize(
    ("handle", "name", "says"),
    [
        ("rahul_kumar", "rahulkumar", 0),  # a separator, one word, alike
        ("rahul_k", "Priya", 1),  # a separator, one word, unlike
        ("xq.zz-", "Priya Sharma", 0),  # a separator, two words
        ("rahul", "Priya", 2),  # no separator
        ("rahul_prasad27", "Rahul Prasad", 0),
    ],
)
def test_what_separators_in_the_handle_say_of_the_name(handle: str, name: str, says: int) -> None:
    assert features(handle, name).handle_name_correlation == says


@pytest.mark.parametrize(
    ("handle", "name", "low", "high"),
    [
        ("john_doe", "John Doe", 95, 100),
        ("rahul_kumar", "Rahul Kumar", 95, 100),
        ("kumar_rahul", "Rahul Kumar", 100, 100),  # in another order
        ("xyz123", "Rahul Kumar", 0, 15),
        ("xyz_abc123", "Priya Sharma", 0, 40),
    ],
)
def test_similarity_of_handle_and_name(handle: str, name: str, low: float, high: float) -> None:
    assert low <= features(handle, name).fuzzy_similarity <= high


def original_similarity(handle: str, words: list[str]) -> float:
    """The formula as it was written down."""
    orders = ["".join(order) for order in permutations(words)] if len(words) <= 4 else words
    return max(
        (
            2 * fuzz.partial_ratio(handle, order)
            + fuzz.token_sort_ratio(handle, order)
            + fuzz.token_set_ratio(handle, order)
        )
        / 4
        for order in orders
    )


WORDS = st.text("abehiklmnrsuvy", min_size=1, max_size=9)


@given(handle=st.text("abehiklmnrsuvy", min_size=1, max_size=30), words=st.lists(WORDS, min_size=1, max_size=6))
def test_the_short_form_of_the_similarity_is_the_original_formula(handle: str, words: list[str]) -> None:
    assert similarity(handle, words) == pytest.approx(original_similarity(handle, words), abs=1e-5)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("Rahul", 100, 100),
        ("Priya Sharma", 100, 100),
        ("Rahulq", 81, 99),  # one letter more
        ("Qxzvw", 0, 60),
        ("R", 1, 1),  # less than two letters
        ("Rahul K", 1, 1),  # the original's: a last name of one letter
        ("", 1, 1),
    ],
)
def test_how_near_a_name_is_to_an_indian_one(name: str, low: float, high: float) -> None:
    assert low <= features("rahul", name).indian_name_match <= high


@pytest.mark.parametrize(
    ("handle", "name", "said", "by"),
    [
        ("rahul_kumar", "Rahul Kumar", REAL, "fuzzy_similarity"),
        ("alpha", "Αλφα Βητα", FAKE, "non_indic"),
        ("xkz", "Rahul Kumar", WEAK, "fuzzy_similarity"),
        ("user_12345", "Rahul Kumar", WEAK, "fuzzy_similarity"),  # unlike is asked before digits
        ("rahul12345", "Rahul Kumar", FAKE, "more_than_4_digits"),
        ("rahim.k", "Rahul", FAKE, "handle_name_correlation"),
        ("zzz", "Rahul Kumar", REAL, "fuzzy_similarity"),  # nothing in common counts as nothing to compare
    ],
)
def test_the_first_rule_that_holds_decides_and_is_the_first_reason(
    handle: str, name: str, said: float, by: str
) -> None:
    scored = score(Follower(handle, name))
    assert (scored.score, scored.reasons[0].feature, scored.refused) == (said, by, None)
    compared = [reason for reason in scored.reasons if reason.feature != "confidence"]
    assert set(scored.features) == FEATURES == {reason.feature for reason in compared}
    assert all(reason.against and reason.value == scored.features[reason.feature] for reason in compared)
    doubted = [reason.value for reason in scored.reasons if reason.feature == "confidence"]
    assert doubted == (["low"] if by in ("non_indic", "handle_name_correlation") else [])


def original_score(handle: str, name: str) -> float:
    """The rules as they were written down, for names in Latin letters."""
    cleaned, words = (re.sub("[^a-z ]", "", re.sub(r"[_\-.]", " ", text).lower()).split() for text in (handle, name))
    alike = round(original_similarity("".join(cleaned), words), 6)
    if 0 < alike <= 40:
        return 0.33
    if sum(letter.isdigit() for letter in handle) > 4:
        return 1.0
    return 1.0 if set(handle) & set("_-.") and len(words) == 1 and alike <= 80 else 0.0


@given(
    handle=st.text("abehiklmnrsuvyAR019_.-", min_size=1, max_size=30),
    name=st.text("abehiklmnrsuvyAR 09_.-", max_size=40).map(lambda text: f"R{text}"),
)
def test_names_in_latin_letters_are_scored_as_they_were_by_the_original(handle: str, name: str) -> None:
    assert score(Follower(handle, name)).score == original_score(handle, name)


@pytest.mark.parametrize(
    ("handle", "name"),
    [
        ("rahul_22", "राहुल"), ("shweta.official", "श्वेता"), ("rizwan_k", "رضوان"), ("mohammed_", "মোহাম্মদ"),
        ("karthik_99", "கார்த்திக்"), ("gurpreet_", "ਗੁਰਪ੍ਰੀਤ"), ("its_lakshmi", "ಲಕ್ಷ್ಮಿ"),
    ],
)  # fmt: skip
def test_a_name_in_an_indian_script_is_its_bearer_s_own_spelling_of_it(handle: str, name: str) -> None:
    assert score(Follower(handle, name)).score == REAL
    assert score(Follower("vijender_q", name)).score != REAL


@pytest.mark.parametrize(
    ("styled", "plain"), [("𝓐𝓵𝓲𝓬𝓮", "alice"), ("𝙹𝚘𝚑𝚗", "john"), ("ＲＡＨＵＬ", "rahul"), ("Ràhul", "rahul")]
)
def test_styled_letters_are_letters(styled: str, plain: str) -> None:
    assert features(plain, styled).name_words == plain


def test_without_a_handle_or_letters_of_a_name_there_is_no_score_but_the_account_has_one() -> None:
    account = Account(followers=3, following=4000, posts=0, picture=False)
    for follower, why in ((Follower(" ", "Rahul", account), NO_HANDLE), (Follower("rahul_k", "😀", account), NO_NAME)):
        scored = score(follower)
        assert (scored.score, scored.refused, scored.scorer_version) == (None, why, SCORER_VERSION)
        assert scored.account_score is not None and scored.account_score > 0.9
    digits = score(Follower("user98765432", ""))
    assert (digits.score, digits.reasons[0].feature) == (FAKE, "more_than_4_digits")


def test_a_batch_keeps_its_order() -> None:
    batch = [Follower("rahul12345", "Rahul Kumar"), Follower("", ""), Follower("priya", "Priya")]
    assert score_batch(batch) == [score(follower) for follower in batch]


ODD = st.one_of(
    st.text(st.characters(codec=None), max_size=60),
    st.text("\u202e\u200b\u200d\ufeff\ud800\udfff😀🇮🇳Ⓐ𝓐é ا्aZ9_.", max_size=60),
)
COUNTS = st.none() | st.integers()


@given(handle=ODD, name=ODD, account=st.builds(Account, COUNTS, COUNTS, COUNTS, age_days=COUNTS))
@example(handle="\ud800", name="\udfff\ud800", account=Account())
def test_any_text_has_an_answer_that_json_takes(handle: str, name: str, account: Account) -> None:
    scored = score(Follower(handle, name, account))
    assert isinstance(scored, Scored) and (scored.score in (REAL, WEAK, FAKE)) != (scored.refused is not None)
    json.dumps([dict(scored.features), [reason.against for reason in scored.reasons]]).encode()
    assert all(reason.against.encode() for reason in scored.reasons)


@pytest.mark.parametrize(
    "piece", ["a", "a ", "ab c d e ", "\u202e", "\u200b", "😀", "\ud800", "क्षि", "Ω", "𝓐", "9", "_", "ﷺ"]
)
def test_ten_thousand_characters_cost_what_two_hundred_do(piece: str) -> None:
    def cost_s(times: int) -> float:
        follower = Follower(piece * times, piece * times)
        began = time.process_time()
        score(follower)
        return time.process_time() - began

    cost_s(10)
    assert min(cost_s(100_000 // len(piece)) for _ in range(3)) < 0.05

"""Scores followers: the rules of names and the account model, each by itself, with the reasons of both.

Pure, and importable in worker processes: no clock, store or event loop. No text raises; the cost is bounded in the
length of the texts (features.HANDLE_MAX, latin). What cannot be scored says why in `refused`.
"""

from collections.abc import Sequence
from functools import lru_cache

from gcc.pipelines.scoring import rules
from gcc.pipelines.scoring.account import score_account
from gcc.pipelines.scoring.features import Features, features
from gcc.pipelines.scoring.record import Follower, Reason, Scored

SCORER_VERSION = "2"  # a whole number; raise it when any answer changes: followers are scored again by it

NO_HANDLE = "the follower has no handle"
NO_NAME = "the full name has no letter to compare with the handle"


def score(follower: Follower) -> Scored:
    account_score, account_reasons = score_account(follower.account)
    if not follower.handle.strip():
        return Scored(None, {}, (), account_score, account_reasons, SCORER_VERSION, NO_HANDLE)
    seen = features(follower.handle, follower.full_name)
    if not (seen.name_words or seen.non_indic or seen.more_than_4_digits):
        known = {"more_than_4_digits": seen.more_than_4_digits}
        return Scored(None, known, (), account_score, account_reasons, SCORER_VERSION, NO_NAME)
    decided, by = rules.decide(seen)
    told = {
        "non_indic": seen.non_indic,
        "more_than_4_digits": seen.more_than_4_digits,
        "handle_name_correlation": seen.handle_name_correlation,
        "fuzzy_similarity": seen.fuzzy_similarity,
        "indian_name_match": seen.indian_name_match,
    }
    return Scored(decided, told, reasons(seen, by), account_score, account_reasons, SCORER_VERSION)


def score_batch(batch: Sequence[Follower]) -> list[Scored]:
    """In the order of the batch."""
    return [score(follower) for follower in batch]


@lru_cache(256)
def scripts_told(foreign: int, scripts: frozenset[str]) -> Reason:
    return Reason("non_indic", foreign, f"scripts of the name: {', '.join(sorted(scripts)) or 'none'}")


def reasons(seen: Features, by: str) -> tuple[Reason, ...]:
    """One a feature, the one that decided first, and at the end how far that one is to be doubted."""
    given = [
        Reason("fuzzy_similarity", seen.fuzzy_similarity, f"{seen.handle_words} beside {seen.name_words}"),
        scripts_told(seen.non_indic, seen.scripts),
        rules.DIGITS[min(seen.digits, len(rules.DIGITS) - 1)],
        rules.CORRELATION[seen.handle_name_correlation],
        Reason("indian_name_match", seen.indian_name_match, f"{seen.nearest.name}: {seen.nearest.how}"),
    ]
    if given[0].feature != by:
        given.sort(key=lambda reason: reason.feature != by)
        if by in rules.DOUBTS:
            given.append(rules.DOUBTS[by])
    return tuple(given)

"""An answer that changes needs a new version, by which followers are scored again."""

import hashlib

from bench.scoring_stream import followers
from gcc.pipelines.scoring.record import Follower
from gcc.pipelines.scoring.scorer import SCORER_VERSION, score

PINNED = {"2": "a61aedbba88d7d3f"}
NAMES = ("राहुल कुमार", "রহিম", "ਗੁਰਪ੍ਰੀਤ", "પટેલ", "ସୁବାସ", "கார்த்திக்", "లక్ష్మి", "ಮಂಜುನಾಥ", "സുരേഷ്", "رضوان", "Ελένη", "𝓡𝓪𝓱𝓾𝓵")


def test_answers_of_a_version_stay_what_they_are() -> None:
    asked = [*followers(2000, seed=13), *(Follower("rahul_kumar22", name) for name in NAMES)]
    answers = hashlib.sha256()
    for follower in asked:
        scored = score(follower)
        answers.update(
            repr((scored.score, sorted(scored.features.items()), round(scored.account_score or 0, 6))).encode()
        )
    told = answers.hexdigest()[:16]
    assert str(int(SCORER_VERSION)) == SCORER_VERSION, "versions are compared as numbers"
    assert PINNED.get(SCORER_VERSION) == told, (
        f"the answers of scorer version {SCORER_VERSION} have changed: raise SCORER_VERSION (gcc/pipelines/scoring/"
        f"scorer.py), or, before a release has it, pin {told} here"
    )

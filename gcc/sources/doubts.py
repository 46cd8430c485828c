"""Whose fault it is that a question got no answer: the credential's, the source's, or the question's own. Pure.

"You may not see this" is said to a credential without permission, and of a thing that nobody may see; an answer without
what was asked for comes of an odd profile, and of a source that is ill. One question does not tell which: until it is
known it is the question's, so that an odd one takes out no credential and closes no source. These tell:

- Against a credential: another one gets an answer to the same question; or it is refused REFUSED_MAX different
  questions with no answer in between.
- Against the question: AGREEING credentials that were answered before say the same. They can also lose a permission
  all at once. So AGREED_MAX different questions that they agree on, with no answer to any of them in between, tell
  against all: each rests at its next refusal, until one is answered again.
- Against the source: ODD_MAX different questions get an odd answer, with no good one in between.

A question is known by what is asked, whichever credential asks.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection

REFUSED_MAX = 5
AGREEING = 2
AGREED_MAX = 30  # no list has so many profiles in a row that nobody may see
ODD_MAX = 5


class Doubts:
    """What the credentials of one source were refused since their last answers; a few texts for each."""

    def __init__(self) -> None:
        self._answered: set[uuid.UUID] = set()
        self._refused: defaultdict[uuid.UUID, set[str]] = defaultdict(set)
        self._agreed: set[str] = set()  # since the last answer to any, as the odd ones
        self._odd: set[str] = set()

    def answered(self, credential: uuid.UUID) -> None:
        self._agreed.clear()
        self._odd.clear()
        self._answered.add(credential)
        self._refused.pop(credential, None)

    def refused(self, credential: uuid.UUID, question: str) -> bool:
        """Whether it is the credential, by all that it was refused."""
        if not _are_many(self._refused[credential], question, REFUSED_MAX) and len(self._agreed) < AGREED_MAX:
            return False
        self._answered.discard(credential)
        return True

    def agreed(self, refused: Collection[uuid.UUID], question: str) -> bool:
        """Whether it is the question, by the credentials that it was refused to: then it tells against none of them."""
        if len(self._answered.intersection(refused)) < AGREEING:
            return False
        _are_many(self._agreed, question, AGREED_MAX)
        for credential in refused:
            self._refused[credential].discard(question)
        return True

    def odd(self, question: str) -> bool:
        """Whether it is the source, by all that got an odd answer."""
        return _are_many(self._odd, question, ODD_MAX)


def _are_many(questions: set[str], question: str, most: int) -> bool:
    """Whether they are `most` different ones with this one; no more are kept."""
    if len(questions) < most:
        questions.add(question)
    return len(questions) >= most

"""Whose fault a refusal is: the credential's, or the question's. Pure.

"You may not see this" is said to a credential without permission, and of a thing that nobody may see. It tells against
the credential when another one gets an answer to the same question, or when it is refused REFUSED_MAX different
questions with no answer in between. It tells against the question when AGREEING credentials that were answered before
say the same. Until one of these is known it is only a doubt, which the next answer ends: so a bad question cannot take
out one credential after the other.

They can also lose a permission all at once. So AGREED_MAX different questions that they agree on, with no answer to any
of them in between, tell against all: each rests at its next refusal, until one is answered again.
"""

import uuid
from collections.abc import Collection

REFUSED_MAX = 5
AGREEING = 2
AGREED_MAX = 30  # no list has so many profiles in a row that nobody may see


class Doubts:
    """What each credential of one source was refused since its last answer; a few texts for each."""

    def __init__(self) -> None:
        self._answered: set[uuid.UUID] = set()
        self._refused: dict[uuid.UUID, set[str]] = {}
        self._agreed: set[str] = set()  # since the last answer to any

    def answered(self, credential: uuid.UUID) -> None:
        self._agreed.clear()
        self._answered.add(credential)
        self._refused.pop(credential, None)

    def refused(self, credential: uuid.UUID, question: str) -> bool:
        """Whether it is the credential, by all that it was refused."""
        questions = self._refused.setdefault(credential, set())
        if len(questions) < REFUSED_MAX:
            questions.add(question)
        if len(questions) < REFUSED_MAX and len(self._agreed) < AGREED_MAX:
            return False
        self._answered.discard(credential)
        return True

    def agreed(self, refused: Collection[uuid.UUID], question: str) -> bool:
        """Whether it is the question, by the credentials that it was refused to: then it tells against none of them."""
        if len(self._answered.intersection(refused)) < AGREEING:
            return False
        self._agreed.add(question)
        for credential in refused:
            self._refused.get(credential, set()).discard(question)
        return True

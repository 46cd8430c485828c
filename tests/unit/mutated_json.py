"""Hypothesis strategy: a JSON document with a few of its values replaced by anything, or left out; and what may be made
of one where it is refused."""

import copy
import random
from typing import Any

from hypothesis import strategies as st

from gcc.sources.verdicts import (
    CredentialDead,
    CredentialRefused,
    CredentialRests,
    MaybeAway,
    NotFound,
    NotVisible,
    QuestionFailed,
    SourceFailed,
)

VERDICTS = (
    CredentialDead, CredentialRefused, CredentialRests, MaybeAway, NotFound, NotVisible, QuestionFailed, SourceFailed,
)  # fmt: skip
LONG = random.Random(1).randbytes(5000).hex()  # does not compress: an index on it would refuse the row
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        [
            "",
            "0",
            "-1",
            "12",
            "9" * 30,
            "٣",
            "2026-01-01",
            "0001-01-01T00:00:00+14:00",
            "PT0S",
            "P",
            "\x00",
            LONG,
            "tea \ud83d",
            "\udc00",
            "\ufffd",
            f"https://www.instagram.com/p/{LONG}/",
            "#\ud83d#x",
            10**400,
            -1,
        ]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key or index) in a document."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [place for key in keys for place in [(value, key), *places(value[key])]]


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> Any:
    root = [copy.deepcopy(document)]
    for _ in range(draw(st.integers(1, 3))):
        container, key = draw(st.sampled_from(places(root)))
        if isinstance(container, dict) and draw(st.booleans()):
            del container[key]
        else:
            container[key] = draw(ANYTHING)
    return root[0]

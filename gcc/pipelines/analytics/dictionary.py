"""The words of rule 2.7 of the models: which category, language or country a text names, and how one is called.

In: the lists in `sql/models/macros`, which mart_genre_dictionary is made of. Out: canonical values and labels.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from gcc.pipelines.analytics import models

Kind = Literal["category", "language", "country"]

_MACROS: Mapping[Kind, str] = {
    "category": "dictionary_categories",
    "language": "dictionary_languages",
    "country": "dictionary_countries",
}
_SUBTAGS = re.compile(r"([a-z]{2,3})[- ](?:[a-z]{2}|[a-z]{4}|[0-9]{3})(?:[- ][a-z0-9]+)*")


@dataclass(frozen=True)
class Dictionary:
    """`values`: the canonical value of each spelling, by kind; `labels`: what each canonical value is called."""

    values: Mapping[Kind, Mapping[str, str]]
    labels: Mapping[Kind, Mapping[str, str]]

    def canonical(self, kind: Kind, text: str) -> str | None:
        """None: the text names none, or is not known."""
        return self.values[kind].get(_key(kind, text))

    def label(self, kind: Kind, value: str) -> str | None:
        """None: the value is no canonical one."""
        return self.labels[kind].get(value)


@cache
def dictionary() -> Dictionary:
    words = {kind: models.list_of(macro) for kind, macro in _MACROS.items()}
    return Dictionary(
        {
            kind: {_key(kind, spelling): value for value, _, spellings in listed if value for spelling in spellings}
            for kind, listed in words.items()
        },
        {kind: {value: label for value, label, _ in listed if value} for kind, listed in words.items()},
    )


def called(row: Mapping[str, Any]) -> dict[str, str | None]:
    """The groups of a ranked creator as people call them: the table holds canonical values."""
    labels, category, language = dictionary().labels, row["category"], row["language"]
    return {
        "category": labels["category"].get(category, category),
        "language": labels["language"].get(language, language),
    }


def _key(kind: Kind, text: str) -> str:
    """As the macro dictionary_key has it."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).replace("&", " and ")
    spaced = re.sub(r"[\s_]+", " ", folded).strip()
    match = _SUBTAGS.fullmatch(spaced) if kind == "language" else None
    return match[1] if match else spaced

"""What a check of `doctor` found."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    state: State
    found: str
    mend: str | None = None  # a sentence with the command or setting; None where there is nothing to do

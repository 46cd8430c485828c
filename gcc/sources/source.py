"""What is declared of an outside API: a folder here holds its client and parsers, a row of table.py the rest."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gcc.sources.chain import Outside
from gcc.sources.limits import Daily, Limit, Rule


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """An outside API: where it lives, where the world answers for it, and the limits of how often it may be called.

    `client` makes, of what asks and of the address (with `version` at its end, where the API has one), what the flows'
    retrieve functions get. `unofficial`: it reads the platform without its consent, so it is off until it is switched
    on by name. `kept_days`: how long the platform lets us keep what it answered unless it is asked again (None: for
    ever), and `derives`: whether it lets us compute figures of our own from it; docs/sources.md tells where that is
    written. The settings override what stands here.
    """

    name: str
    base_url: str
    world_path: str
    limits: tuple[Rule, ...]
    client: Callable[[Outside, str], Any]
    version: str = ""
    unofficial: bool = False
    kept_days: int | None = None
    derives: bool = True
    versions: str = ""
    """How a version of its API is written, as a pattern; empty: anyhow."""
    account: str = ""
    """Whose account each of its credentials must name; empty: it need name none."""
    keyless: bool = False
    """It has no credentials of its own: it is asked with another source's."""
    shares: str = ""
    """The source whose credentials, and their rests, it uses; empty: it has its own."""
    of_owners: bool = False
    """Asked with owners' own credentials alone, which come as owners log in: to have none is no fault."""

    def __post_init__(self) -> None:
        names = [rule.name(self.name) for rule in self.limits]
        if len(set(names)) < len(names):
            raise ValueError(f"{self.name}: two of its limits have one name; give one a word: {', '.join(names)}")
        if not isinstance(self.rules.get(self.name), Limit):
            raise ValueError(f"{self.name}: it needs a limit of all its calls, per so many seconds")

    @property
    def rules(self) -> dict[str, Limit | Daily]:
        """What its limits are called, and how many there are."""
        return {rule.name(self.name): rule.limit for rule in self.limits if rule.limit}

    def address(self, root: str, version: str = "") -> str:
        """Where its calls begin, below `root`, which may name its version already."""
        root, version = root.rstrip("/"), version or self.version
        return f"{root}/{version}" if version and not root.endswith(f"/{version}") else root

    def has_version(self, version: str) -> bool:
        """Whether it may be one of its API."""
        return not self.versions or re.fullmatch(self.versions, version) is not None

    @property
    def has_credentials(self) -> bool:
        """Whether some are stored under its name."""
        return not (self.keyless or self.shares)

    @property
    def needs_credentials(self) -> bool:
        """Whether nothing at all can be asked of it without any, of its own or of who lends it some."""
        return not (self.keyless or self.of_owners)

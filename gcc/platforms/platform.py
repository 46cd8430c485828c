"""What the platform knows of an outside platform, in one row: everything else asks it. Pure."""

from dataclasses import dataclass

from gcc.tables import Table


@dataclass(frozen=True, slots=True)
class Platform:
    """`account` and `post` hold current state. The first's key is a profile's id, and a column of the second, too."""

    name: str
    account: Table
    post: Table

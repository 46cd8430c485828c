"""Labelled accounts of others, read from a folder: rows with what each set tells, and no licence to ship them.

Sets (docs/scoring.md): `instafake` has numbers alone, `instagram_2017` handles and numbers, `twitter` all.
"""

import csv
import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from gcc.pipelines.scoring.record import Account


class Labelled(NamedTuple):
    handle: str  # "" where the set has none
    full_name: str
    account: Account
    fake: bool


def instafake(folder: Path) -> Iterator[Labelled]:
    for name in ("fakeAccountData.json", "realAccountData.json"):
        for row in json.loads((folder / "instafake" / name).read_text()):
            account = Account(
                row["userFollowerCount"],
                row["userFollowingCount"],
                row["userMediaCount"],
                bool(row["userHasProfilPic"]),
                bool(row["userIsPrivate"]),
            )
            yield Labelled("", "", account, bool(row["isFake"]))


def instagram_2017(folder: Path) -> Iterator[Labelled]:
    with (folder / "instagram_labelled_followers_2017.csv").open(encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(file):
            account = Account(
                int(row["Number.of.followers"]),
                int(row["Number.of.people.they.follow"]),
                int(row["Number.of.posts"]),
                row["has_profile_picture"] == "TRUE",
                row["Private.account"] == "TRUE",
            )
            yield Labelled(row["Username"], "", account, row["rating"] == "TRUE")


def twitter(folder: Path) -> Iterator[Labelled]:
    for name, fake in (("twitter_fake_users.csv.gz", True), ("twitter_genuine_users.csv.gz", False)):
        with gzip.open(folder / name, "rt", encoding="utf-8", errors="replace") as file:
            for row in csv.DictReader(file):
                made = datetime.strptime(row["created_at"], "%a %b %d %H:%M:%S %z %Y")
                seen = datetime.fromisoformat(row["updated"]).replace(tzinfo=UTC)
                account = Account(
                    int(row["followers_count"]),
                    int(row["friends_count"]),
                    int(row["statuses_count"]),
                    row["default_profile_image"] not in ("1", "1.0"),
                    row["protected"] in ("1", "1.0"),
                    (seen - made).days,
                )
                yield Labelled(row["screen_name"], row["name"], account, fake)


def read(folder: Path) -> dict[str, list[Labelled]]:
    """By set; `folder`: fake_accounts, with the files as their authors publish them."""
    return {
        "instafake": list(instafake(folder)),
        "instagram_2017": list(instagram_2017(folder)),
        "twitter": list(twitter(folder)),
    }

"""A creator's stories of the last 24 hours before the world's today. Pure."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from gcc.world import ids, names
from gcc.world.chance import key_of, letters, mix, unit
from gcc.world.model import Cast, Creator

LIVES = dt.timedelta(hours=24)
_WITH_STORIES = 0.7  # of all creators, on a day
_MOST = 6


@dataclass(frozen=True, slots=True)
class Story:
    story_id: str
    shortcode: str
    kind: Literal["image", "video"]
    published: dt.datetime
    caption: str | None
    bits: int  # the chance of all that is its own

    @property
    def pk(self) -> str:
        """Instagram's own id; `story_id` is the Graph API's."""
        return ids.media_pk(self.shortcode)

    @property
    def expires(self) -> dt.datetime:
        return self.published + LIVES


def stories(cast: Cast, creator: Creator) -> list[Story]:
    """Newest first."""
    day = mix(key_of(creator.profile_id), cast.today.toordinal())
    count = 1 + day % _MOST if unit(day) < _WITH_STORIES else 0
    midnight = dt.datetime.combine(cast.today, dt.time(), dt.UTC)
    found = []
    for number in range(count):
        bits = mix(day, number)
        at_s = int((number + 0.9 * unit(bits)) * LIVES.total_seconds() / count)
        found.append(
            Story(
                ids.encode(ids.Thing("story", cast.slot(creator), cast.today.toordinal() % ids.PARTS, number)),
                "D" + letters(bits)[:10],
                "video" if bits % 3 == 0 else "image",
                midnight - LIVES + dt.timedelta(seconds=at_s),
                names.headline(bits, creator.category)[0] if bits % 2 else None,
                bits,
            )
        )
    return found[::-1]


def story(cast: Cast, story_id: str) -> tuple[Creator, Story] | None:
    """A story that lives, by its id."""
    thing = ids.decode(story_id)
    if thing is None or thing.sort != "story" or (creator := cast.owner(thing.slot)) is None:
        return None
    return next(((creator, each) for each in stories(cast, creator) if each.story_id == story_id), None)

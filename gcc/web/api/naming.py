"""How paths name platforms and profiles, and how each platform's profiles and posts look.

A further platform is a row of SHOWN, with its shapes.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from types import GenericAlias
from typing import Any

import pydantic

from gcc.platforms import INSTAGRAM, YOUTUBE, Platform
from gcc.platforms.platform import HANDLE_CHARS_MAX
from gcc.stores.profiles_read import Columns
from gcc.web.api import shapes
from gcc.web.api.errors import ApiError, Code

_MADE_HERE = ("platform", "recent_posts")
"""Fields that are no columns."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A platform's profiles and posts: the fields of their shapes are columns of its tables."""

    platform: Platform
    profile: type[pydantic.BaseModel]
    post: type[pydantic.BaseModel]
    figures: type[pydantic.BaseModel]
    columns: Columns = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        shown = (self.profile, self.post, self.figures)
        columns = (tuple(name for name in shape.model_fields if name not in _MADE_HERE) for shape in shown)
        object.__setattr__(self, "columns", Columns(*columns))


SHOWN = (
    Shown(INSTAGRAM, shapes.InstagramProfile, shapes.InstagramPost, shapes.InstagramFigures),
    Shown(YOUTUBE, shapes.YouTubeProfile, shapes.YouTubePost, shapes.YouTubeFigures),
)


class Naming:
    """`parts` and `part_schemas` describe {platform} and {handle} in paths; `profile` and `posts` are the
    types of those of any platform."""

    def __init__(self, shown: Iterable[Shown]) -> None:
        self._shown = {each.platform.name: each for each in shown}
        platforms = self.platforms
        self.platform = {"platform": f"{' or '.join(self._shown)}, in any case."}
        by_id = " and ".join(platform.name for platform in platforms if platform.known_by_id)
        handle = "The handle, in any case, with or without a leading @"
        self.parts = {**self.platform, "handle": f"{handle}; for {by_id} also the id." if by_id else f"{handle}."}
        self.part_schemas: dict[str, Any] = {
            "platform": {"type": "string", "enum": list(self._shown)},
            "handle": {
                "type": "string",
                "maxLength": HANDLE_CHARS_MAX + 1,
                "anyOf": [
                    {"title": platform.name, "description": platform.handle_rule, "pattern": platform.handle_pattern}
                    for platform in platforms
                ],
            },
        }
        self.profile: Any = reduce(or_, (each.profile for each in self._shown.values()))
        self.posts: Any = GenericAlias(list, reduce(or_, (each.post for each in self._shown.values())))

    @property
    def platforms(self) -> list[Platform]:
        return [each.platform for each in self._shown.values()]

    def platform_named(self, text: str) -> Shown:
        """The platform of a path, in any case. Raises INVALID_PLATFORM."""
        if text.isascii() and (found := self._shown.get(text.upper())):
            return found
        reason = f"{text[:40]!r} is not one of {', '.join(self._shown)}"
        raise ApiError(Code.INVALID_PLATFORM, f"platform {reason}", errors=[{"path": "platform", "reason": reason}])

    def profile_named(self, platform: str, handle: str) -> tuple[Shown, str]:
        """Platform and handle of a path, the handle without @. Raises INVALID_PLATFORM, INVALID_HANDLE."""
        shown = self.platform_named(platform)
        bare = handle.removeprefix("@")
        if not shown.platform.is_handle(bare):
            name, rule = shown.platform.name, shown.platform.handle_rule
            raise invalid_handle(f"{bare[:40]!r} cannot be a handle on {name}. Handles have: {rule}")
        return shown, bare


def invalid_handle(reason: str) -> ApiError:
    return ApiError(Code.INVALID_HANDLE, reason, errors=[{"path": "handle", "reason": reason}])

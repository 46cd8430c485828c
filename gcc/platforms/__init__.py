"""The outside platforms, each declared in its file: a further one is a file here, and what asks it in gcc/sources."""

from collections.abc import Mapping

from gcc.platforms.instagram import INSTAGRAM
from gcc.platforms.platform import Platform
from gcc.platforms.youtube import YOUTUBE

__all__ = ["INSTAGRAM", "PLATFORMS", "YOUTUBE", "Platform"]

PLATFORMS: Mapping[str, Platform] = {platform.name: platform for platform in (INSTAGRAM, YOUTUBE)}

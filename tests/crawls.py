"""Crawls as flows make them, of snapshots that a test made."""

from gcc.channels.jobs import Crawl
from gcc.clock import SystemClock
from gcc.pipelines.scraping.yields import of_profile
from gcc.platforms import PLATFORMS
from gcc.sources.snapshot import ProfileSnapshot, derive


def crawl_of(profile: ProfileSnapshot) -> Crawl:
    found = of_profile(PLATFORMS[profile.platform], derive(profile), SystemClock().new_id)
    return Crawl(profile.source, found.writes, found.frames, sum(frame.events for frame in found.frames), found.data)

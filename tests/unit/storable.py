"""What must hold for every snapshot: any store can hold it, any encoder can write it."""

import math
from typing import Any

import msgspec

from gcc.clock import SystemClock
from gcc.pipelines.events.emit import post_frames, profile_frames
from gcc.platforms import PLATFORMS
from gcc.sources.fields import ID_CHARS_MAX
from gcc.sources.snapshot import ProfileSnapshot, derive


def check_storable(profile: ProfileSnapshot) -> None:
    whole = derive(profile)
    for holder in (whole, *whole.posts):
        assert 0 < len(holder.profile_id) <= ID_CHARS_MAX
        assert 0 < len(holder.handle) <= ID_CHARS_MAX
        for number in holder.metrics.values():
            assert number is None or 0 <= number < 2**63
            assert number is None or math.isfinite(number)
        check_value(holder.dimensions)
    for post in whole.posts:
        assert 0 < len(post.post_id) <= ID_CHARS_MAX
        assert 0 < len(post.shortcode) <= ID_CHARS_MAX
        assert post.publish_time is None or 1969 <= post.publish_time.year <= 2200
    assert len({post.post_id for post in whole.posts}) == len(whole.posts)
    check_value(list(whole.notes))
    new_id = SystemClock().new_id
    lines = [
        msgspec.json.decode(line)
        for frame in (*profile_frames(PLATFORMS[whole.platform], whole, new_id), *post_frames(whole.posts, new_id))
        for line in frame.body.splitlines()
    ]
    assert len(lines) == 1 + len(whole.posts)


def check_value(value: Any) -> None:
    match value:
        case str():
            assert "\x00" not in value
            value.encode()  # no lone surrogate
        case bool() | None:
            pass
        case int():
            assert 0 <= value < 2**63
        case dict():
            for inner in value.values():
                check_value(inner)
        case list():
            for inner in value:
                check_value(inner)
        case _:
            raise AssertionError(f"{value!r} was not expected here")

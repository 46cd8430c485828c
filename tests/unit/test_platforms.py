"""What the platforms can have: handles, ids, and the handle inside a profile's URL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcc.platforms import PLATFORMS

CHANNEL = "UCq-Fj5jknLsUf-MWSy4_brA"
PROFILES = [
    ("INSTAGRAM", "virat.kohli", "virat.kohli"),
    ("INSTAGRAM", "@Virat_", "Virat_"),
    ("INSTAGRAM", "https://www.instagram.com/bug27/", "bug27"),
    ("INSTAGRAM", "https://www.instagram.com/bug27/?hl=en&igshid=x#top", "bug27"),
    ("INSTAGRAM", "HTTP://Instagram.com/Bug27", "Bug27"),
    ("INSTAGRAM", "instagram.com/bug27", "bug27"),
    ("INSTAGRAM", "www.instagram.com/@bug27/", "bug27"),
    ("INSTAGRAM", "//m.instagram.com//bug27//", "bug27"),
    ("INSTAGRAM", "https://instagram.com:443/_u/bug27", "bug27"),
    ("INSTAGRAM", "https://instagr.am/bug27/tagged/", "bug27"),
    ("INSTAGRAM", "https://www.instagram.com/bug27/reels/", "bug27"),
    ("YOUTUBE", "@t-series", "t-series"),
    ("YOUTUBE", "@हिंदी", "हिंदी"),
    ("YOUTUBE", CHANNEL, CHANNEL),
    ("YOUTUBE", "https://www.youtube.com/@tseries", "tseries"),
    ("YOUTUBE", "https://youtube.com/@tseries/videos?view=0", "tseries"),
    ("YOUTUBE", "youtube.com/%40%E0%A4%B9%E0%A4%BF", "हि"),
    ("YOUTUBE", f"https://m.youtube.com/channel/{CHANNEL}?si=x", CHANNEL),
    ("YOUTUBE", "youtube.com/tseries", "tseries"),
    ("YOUTUBE", "youtube.com/@signin", "signin"),
    ("YOUTUBE", f"youtube.com/Channel/{CHANNEL}/about", CHANNEL),
    ("YOUTUBE", f"music.youtube.com/channel/{CHANNEL}", CHANNEL),
]
NOBODY = [
    *(("INSTAGRAM", text) for text in (
        "", "@", ".", "a..b", ".a", "a.", "a b", "a-b", "é!", "a" * 31, "a\x00", "a\n", "१", "@@a", "#REF!", "1.78E+16",
        "instagram.com", "www.instagram.com", "https://www.instagram.com/", "https://www.instagram.com/p/C0de/",
        "https://www.instagram.com/reel/C0de", "https://www.instagram.com/bug27/p/C0de/",
        "instagram.com/explore/tags/x",
        "https://www.instagram.com/stories/bug27/1/", "https://www.youtube.com/@tseries", "https://example.com/bug27",
        "https://instagram.com.example.com/bug27", "https://example.com/instagram.com/bug27", "instagram.com/a b",
        "javascript://instagram.com/bug27", "http://[::1/x", "https://[", "/", "//", "a/b", "instagram.com/%00",
        "https://l.instagram.com/?u=x",
    )),
    *(("YOUTUBE", text) for text in (
        "", "@", "a b", "a!b", "a" * 31, "a\u200bb", "\ufeffa", "youtube.com", "https://www.youtube.com/",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ", "https://youtu.be/dQw4w9WgXcQ", "youtube.com/shorts/dQw4w9WgXcQ",
        "https://www.youtube.com/playlist?list=PL1", "https://www.youtube.com/channel/", "youtube.com/c",
        "https://www.youtube.com/channel/UCshort", "https://www.instagram.com/tseries", "youtube.com/feed/you",
        "youtube.com/user", "youtube.com/c/", "youtube.com/channel",
        "https://www.youtube.com/signin?next=/@tseries", "youtube.com/profile?user=tseries", "youtube.com/show/x",
        "youtube.com/rss", "youtube.com/rss/user/x", "youtube.com/Login", "youtube.com/feeds/videos.xml?channel_id=x",
        "youtube.com/view_play_list?p=x", "youtube.com/e/dQw4w9WgXcQ", "youtube.com/trending",
    )),
]  # fmt: skip


@pytest.mark.parametrize(("platform", "text", "handle"), PROFILES)
def test_a_profile_is_found(platform: str, text: str, handle: str) -> None:
    assert PLATFORMS[platform].handle_in(text) == handle
    assert PLATFORMS[platform].is_handle(handle)


@pytest.mark.parametrize("path", ["c/TSeries/", "C/TSeries", "user/tseries/about", "user/TSeries?x=1", "c/%E0%A4%B9 x"])
def test_old_names_of_channels_are_no_handles(path: str) -> None:
    assert PLATFORMS["YOUTUBE"].handle_in(f"https://www.youtube.com/{path}") is None
    with pytest.raises(ValueError, match="no profile"):
        PLATFORMS["INSTAGRAM"].handle_in(f"https://www.instagram.com/{path}")


def test_accents_of_a_list_are_kept() -> None:
    assert PLATFORMS["INSTAGRAM"].handle_in("café.josé") == "café.josé"
    assert not PLATFORMS["INSTAGRAM"].is_handle("café.josé")


@pytest.mark.parametrize(("platform", "text"), NOBODY)
def test_what_is_nobody_is_refused_with_a_reason(platform: str, text: str) -> None:
    with pytest.raises(ValueError, match=r".{10}"):
        PLATFORMS[platform].handle_in(text)


@given(st.sampled_from(sorted(PLATFORMS)), st.text(), st.sampled_from(["", "//", "https://www.youtube.com/"]))
def test_any_text_is_a_possible_handle_or_refused(platform: str, text: str, before: str) -> None:
    try:
        assert PLATFORMS[platform].handle_in(before + text)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("platform", "text", "possible"),
    [
        ("INSTAGRAM", "17841400000000000", True),
        ("INSTAGRAM", "1", True),
        ("INSTAGRAM", "1.78414E+16", False),
        ("INSTAGRAM", "17841400000000000.0", False),
        ("INSTAGRAM", "17,841,400,000,000,000", False),
        ("INSTAGRAM", "-1", False),
        ("INSTAGRAM", "٣", False),
        ("INSTAGRAM", "1\n", False),
        ("INSTAGRAM", CHANNEL, False),
        ("INSTAGRAM", "", False),
        ("YOUTUBE", CHANNEL, True),
        ("YOUTUBE", CHANNEL[:-1], False),
        ("YOUTUBE", CHANNEL + "x", False),
        ("YOUTUBE", CHANNEL.lower(), False),
        ("YOUTUBE", "17841400000000000", False),
    ],
)
def test_ids(platform: str, text: str, possible: bool) -> None:
    assert PLATFORMS[platform].is_id(text) is possible

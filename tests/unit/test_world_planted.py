"""What the world plants is in its figures, posts and bios, and /truth tells all of it."""

import datetime as dt

import pytest

from gcc.world import planted, truth
from gcc.world.creators import generate
from gcc.world.model import Cast
from gcc.world.planted import persons

TODAY = dt.date(2026, 11, 28)


@pytest.fixture(scope="module")
def casts() -> tuple[Cast, Cast]:
    instagram, youtube = persons(generate("INSTAGRAM", 1, 200, 6), generate("YOUTUBE", 1, 200, 6), 1)
    return Cast("INSTAGRAM", instagram, TODAY), Cast("YOUTUBE", youtube, TODAY)


def test_anomalies_are_in_the_history(casts: tuple[Cast, Cast]) -> None:
    kinds = set()
    for cast in casts:
        for creator, _ in cast.ranked:
            told = truth.profile(cast, creator)
            followers = {dt.date.fromisoformat(day["date"]): day["followers"] for day in told["history"]}
            for each in told["planted"]["anomalies"]:
                day = dt.date.fromisoformat(each["date"])
                if (before := followers.get(day - dt.timedelta(days=1))) is None:
                    continue
                change = followers[day] / before - 1
                sign = -1 if each["kind"] == "DROP" else 1
                others = len([a for a in told["planted"]["anomalies"] if a["date"] == each["date"]]) > 1
                assert others or sign * change > each["share"] - 0.003, (creator.handle, each, change)
                kinds.add(each["kind"])
    assert kinds == {"DROP", "SPIKE", "SPIKE_LOST"}


def test_bought_followers_stay_or_leave() -> None:
    kinds = set()
    for key in range(400):
        for day in range(300):
            if (kind := planted.bought_on(key, day)) is not None:
                before, on_it, later = (planted.bought(key, day + days) for days in (-1, 0, 14))
                left = (later - before) / (on_it - before)
                assert left == pytest.approx(1.0) if kind == "SPIKE" else left < 0.1
                kinds.add(kind)
    assert kinds == {"SPIKE", "SPIKE_LOST"}


def test_sponsored_posts_are_told_and_no_others(casts: tuple[Cast, Cast]) -> None:
    for cast in casts:
        posts = [(creator, post) for creator, _ in cast.ranked for post in cast.posts_of(creator)]
        sponsored = [post for _, post in posts if post.sponsored]
        assert 0.08 < len(sponsored) / len(posts) < 0.14
        assert any("#ad " in f"{post.title} {post.description} " for post in sponsored)
        assert not any(
            "paid partnership" in f"{post.title} {post.description}".lower() for _, post in posts if not post.sponsored
        )
        creator, post = next(pair for pair in posts if pair[1].sponsored and pair[0].shows_posts)
        assert post.shortcode in truth.planted(cast, creator)["sponsored"]


def test_a_person_s_accounts_name_each_other_in_the_truth(casts: tuple[Cast, Cast]) -> None:
    instagram, youtube = casts
    pairs = [(creator, youtube.by_id(creator.same_person)) for creator, _ in instagram.ranked if creator.same_person]
    assert 35 < len(pairs) < 65
    for one, other in pairs:
        assert other is not None
        assert other.same_person == one.profile_id
        assert truth.planted(instagram, one)["same_person"] == other.profile_id
        assert one.full_name == other.full_name
    ways = {
        (f"@{other.handle}" in one.bio, f"/{one.handle}/" in other.bio) for one, other in pairs if other is not None
    }
    assert ways == {(True, True), (True, False), (False, True), (False, False)}


def test_many_link_to_the_channel_of_somebody_else(casts: tuple[Cast, Cast]) -> None:
    instagram, youtube = casts
    (handle,) = {creator.bio.rpartition("@")[2] for creator, _ in instagram.ranked if "I watch" in creator.bio}
    fans = [creator for creator, _ in instagram.ranked if "I watch" in creator.bio]
    assert len(fans) > 10
    assert youtube.by_handle(handle) is not None
    assert all(fan.same_person is None for fan in fans)


def test_the_same_seed_plants_the_same(casts: tuple[Cast, Cast]) -> None:
    again = persons(generate("INSTAGRAM", 1, 200, 6), generate("YOUTUBE", 1, 200, 6), 1)
    for cast, creators in zip(casts, again, strict=True):
        for creator in creators:
            known = cast.remembered(creator.profile_id)
            assert known is not None
            assert (known.bio, known.same_person) == (creator.bio, creator.same_person)

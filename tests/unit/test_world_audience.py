"""The crowd around the creators: lists that are computed page by page, comments, stories, tags, insights."""

import datetime as dt
import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from gcc.world import audience, comments, crowd, ids, insights, stories, tagging
from gcc.world.creators import ODD_STATES, generate
from gcc.world.crowd import Person
from gcc.world.model import Cast, Creator, Post

TODAY = dt.date(2026, 10, 30)
MIDNIGHT = dt.datetime.combine(TODAY, dt.time(), dt.UTC)


@pytest.fixture(scope="module")
def cast() -> Cast:
    return Cast("INSTAGRAM", generate("INSTAGRAM", 1, 200), TODAY)


@pytest.fixture(scope="module")
def star(cast: Cast) -> Creator:
    return cast.ranked[0][0]


def busiest(cast: Cast, creator: Creator) -> Post:
    return max(cast.posts_of(creator), key=lambda post: post.comments)


def test_the_crowd_is_spread_as_labelled_accounts_are() -> None:
    people = [crowd.person(number * 7919) for number in range(4000)]
    genuine = [person for person in people if not person.fake]
    assert 0.02 < 1 - len(genuine) / len(people) < 0.06
    assert 0.4 < sum(person.private for person in people) / len(people) < 0.5
    assert 300 < statistics.median(person.followers for person in genuine) < 380
    assert 350 < statistics.median(person.following for person in genuine) < 450
    sold = [person for person in people if person.kind in ("bought", "bot farm")]
    assert statistics.median(person.media_count for person in sold) <= 1
    assert statistics.median(person.following for person in sold) > 1000
    assert statistics.median(len(person.handle) for person in people) <= 14


def test_fakes_are_of_five_kinds_and_each_gives_itself_away_in_its_own_manner() -> None:
    fakes = {kind: [each for each in map(crowd.fake, range(2000)) if each.kind == kind] for kind in crowd.KINDS}
    assert all(300 < len(people) < 500 for people in fakes.values())
    assert all(sum(map(str.isdigit, each.handle)) > 4 for kind in ("bought", "bot farm") for each in fakes[kind])
    assert all(not (each.media_count or each.picture_url) for each in fakes["inactive"])
    assert not any(each.full_name.isascii() for kind in ("foreign script", "mimic") for each in fakes[kind])
    assert statistics.median(each.followers for each in fakes["mimic"]) > 250, "its account looks like anybody's"
    assert all(crowd.by_handle(each.handle) == each for people in fakes.values() for each in people[:20])
    genuine = list(map(crowd.genuine, range(2000)))
    assert not any(each.fake or each.kind for each in genuine)
    assert [crowd.genuine(crowd.GENUINE - 1).number, crowd.fake(crowd.FAKES - 1).number] == [
        crowd.SIZE - 1,
        9_999_999_982,
    ]
    assert len({each.number for each in genuine}) == len(genuine)


def test_some_creators_have_bought_followers(cast: Cast) -> None:
    creators = [creator for creator, _ in cast.ranked]
    shares = {creator.handle: audience.fake_share(creator) for creator in creators}
    assert 0.1 < sum(share > 0.1 for share in shares.values()) / len(shares) < 0.4
    assert all(0.02 <= share <= 0.4 for share in shares.values())
    for creator in creators[:5]:
        people = audience.followers(cast, creator, 0, 2000)
        found = sum(person.fake for person in people) / len(people)
        assert abs(found - shares[creator.handle]) < 0.05


def test_a_person_is_found_by_handle_and_by_id() -> None:
    for number in (0, 1, 99, crowd.SIZE - 1, 123_456_789):
        person = crowd.person(number)
        assert crowd.by_handle(f"@{person.handle.upper()}") == crowd.by_id(person.profile_id) == person
    fake = next(person for number in range(1000) if (person := crowd.person(number)).fake)
    assert crowd.by_handle(fake.handle) == fake
    for name in ("", "nobody.here", "kumenaloti9", "abcdefghij", "0" * 10):
        assert crowd.by_handle(name) is None
    for name in ("", "x", "19999999999", "30000000000", "²0000000000"):
        assert crowd.by_id(name) is None


LISTS: list[Callable[[Cast, Creator, int, int], list[Person]]] = [
    audience.followers,
    lambda cast, creator, start, stop: audience.likers(cast, creator, busiest(cast, creator), start, stop),
]


@pytest.mark.parametrize("people", LISTS)
def test_pages_of_a_list_are_the_list(cast: Cast, people: Callable[[Cast, Creator, int, int], list[Person]]) -> None:
    creator = cast.ranked[-1][0]
    whole = people(cast, creator, 0, 10**9)
    paged = [person for start in range(0, len(whole) + 50, 50) for person in people(cast, creator, start, start + 50)]
    assert paged == whole
    assert len({person.profile_id for person in whole}) == len({person.handle for person in whole}) == len(whole)


def test_lists_are_as_long_as_the_figures_say(cast: Cast) -> None:
    creator, day = cast.ranked[-1]
    post = busiest(cast, creator)
    follower_ids = {person.number for person in audience.followers(cast, creator, 0, 10**9)}
    likers = audience.likers(cast, creator, post, 0, 10**9)
    followed = audience.following(cast, creator, 0, 10**9)
    assert len(follower_ids) == day.followers
    assert len(likers) == post.likes
    assert {person.number for person in likers} <= follower_ids
    assert len({each.profile_id for each in followed}) == len(followed) == day.following
    creators = [each for each in followed if isinstance(each, Creator)]
    assert creators
    assert creator not in creators


def test_the_newest_follower_comes_first(cast: Cast, star: Creator) -> None:
    tomorrow = Cast("INSTAGRAM", generate("INSTAGRAM", 1, 200), TODAY + dt.timedelta(days=1))
    gained = tomorrow.today_of(star).followers - cast.today_of(star).followers
    assert gained > 0
    assert audience.followers(tomorrow, star, gained, gained + 5) == audience.followers(cast, star, 0, 5)


def test_deep_pages_cost_what_first_pages_do(cast: Cast, star: Creator) -> None:
    def cost_s(start: int) -> float:
        begun = time.perf_counter()
        assert len([person.handle for person in audience.followers(cast, star, start, start + 1000)]) == 1000
        return time.perf_counter() - begun

    first, deep = (min(cost_s(start) for _ in range(5)) for start in (0, 20_000_000))
    assert deep < 10 * first  # one that builds the list up to there takes a thousand times as long


def test_comments_and_replies_are_as_many_as_the_post_says(cast: Cast) -> None:
    replied = 0
    for creator, _ in cast.ranked[::29]:
        for post in cast.posts_of(creator)[::5]:
            threads = comments.threads(cast, creator, post, 0, 10**9)
            assert len(threads) == comments.thread_count(post)
            found = [*threads]
            for thread in threads:
                answers = comments.replies(cast, creator, post, thread, 0, 10**9)
                assert [each.parent_id for each in answers] == [thread.comment_id] * thread.replies
                assert all(older.published <= newer.published for older, newer in pairwise([thread, *answers]))
                found += answers
            replied += len(found) - len(threads)
            assert len({each.comment_id for each in found}) == len(found) == post.comments
            assert sorted(each.number for each in found) == list(range(post.comments))
            assert all(newer.published >= older.published for newer, older in pairwise(threads))
            assert all(post.published <= each.published < MIDNIGHT for each in found)
    assert replied > 100


def test_a_comment_is_found_by_its_id(cast: Cast, star: Creator) -> None:
    post = busiest(cast, star)
    thread = next(each for each in comments.threads(cast, star, post, 0, 100) if each.replies)
    for each in (thread, *comments.replies(cast, star, post, thread, 0, 3)):
        assert comments.comment(cast, each.comment_id) == (star, post, each)
    for name in ("", "17", "x" * 17, post.post_id, "17000000000000001", ids.encode(ids.Thing("comment", 5000, 0, 0))):
        assert comments.comment(cast, name) is None


def test_comments_sound_like_people(cast: Cast, star: Creator) -> None:
    found = comments.threads(cast, star, busiest(cast, star), 0, 2000)
    sizes = statistics.quantiles((len(each.text) for each in found), n=10)
    assert 15 < sizes[4] < 60
    assert sizes[8] > 70
    assert sum(not each.text.isascii() for each in found) > len(found) / 4
    assert sum(isinstance(each.actor, Person) and each.actor.fake for each in found) > len(found) / 100
    assert sum(each.likes == 0 for each in found) > len(found) / 3
    assert max(each.likes for each in found) > 20


def test_stories_lived_within_the_last_day(cast: Cast) -> None:
    found = [(creator, stories.stories(cast, creator)) for creator, _ in cast.ranked]
    assert 0.5 < sum(bool(some) for _, some in found) / len(found) < 0.9
    for creator, some in found:
        assert all(MIDNIGHT - stories.LIVES <= each.published < MIDNIGHT < each.expires for each in some)
        assert all(newer.published >= older.published for newer, older in pairwise(some))
        for each in some:
            assert stories.story(cast, each.story_id) == (creator, each)
    every = [each.story_id for _, some in found for each in some]
    assert len(set(every)) == len(every)
    assert stories.story(cast, "17000000000000001") is None


def test_a_hashtag_finds_the_posts_that_bear_it(cast: Cast, star: Creator) -> None:
    tag = cast.posts_of(star)[0].tags[1]
    found = tagging.hashtag(cast, tag.upper())
    assert (star, cast.posts_of(star)[0]) in found
    assert all(tag in post.tags for _, post in found)
    assert all(newer.published >= older.published for (_, newer), (_, older) in pairwise(found))
    assert len({creator.handle for creator, _ in tagging.hashtag(cast, "reels")}) == tagging.CREATORS_MAX
    assert tagging.hashtag(cast, "nobodyusesthis") == []


def test_tagged_posts_are_those_of_others(cast: Cast) -> None:
    found = {creator.handle: tagging.tagged(cast, creator) for creator, _ in cast.ranked}
    assert max(map(len, found.values())) > 15
    assert min(map(len, found.values())) == 0
    for handle, some in found.items():
        assert handle not in {creator.handle for creator, _ in some}
        assert len({post.post_id for _, post in some}) == len(some)


def test_followers_of_a_breakdown_are_as_many_as_there_are(cast: Cast) -> None:
    for creator, day in cast.ranked[::17]:
        for breakdown in ("age", "gender", "country"):
            assert sum(insights.demographics(cast, creator, breakdown).values()) == day.followers
        cities = insights.demographics(cast, creator, "city")
        assert len(cities) <= 45
        assert 0 < sum(cities.values()) < day.followers
        assert insights.demographics(cast, creator, "gender").keys() == {"F", "M", "U"}


def test_insights_hang_together(cast: Cast) -> None:
    for creator, day in cast.ranked[::17]:
        post = cast.posts_of(creator)[0]
        figures = insights.post(creator, post)
        assert figures["views"] >= figures["reach"] >= figures["likes"] == post.likes
        assert ("ig_reels_avg_watch_time" in figures) == (post.kind == "reel") == ("follows" not in figures)
        for story in stories.stories(cast, creator):
            seen = insights.story(cast, creator, story)
            assert seen["navigation"] == sum(seen[step] for step in insights.NAVIGATION)
        for ago in range(1, 30):
            date = TODAY - dt.timedelta(days=ago)
            today, before = creator.course.day(date), creator.course.day(date - dt.timedelta(days=1))
            account = insights.account(cast, creator, date)
            assert account["follows"] - account["unfollows"] == today.followers - before.followers
            assert all(value >= 0 for value in account.values())
            assert account["reach"] < day.followers * 2


def test_odd_creators_come_beside_the_others(cast: Cast) -> None:
    odd = Cast("INSTAGRAM", generate("INSTAGRAM", 1, 200, odd=7), TODAY)
    assert odd.ranked[:200] == cast.ranked
    assert tuple(creator.state for creator in generate("INSTAGRAM", 1, 200, odd=7)[200:]) == (
        *ODD_STATES,
        *ODD_STATES[:2],
    )
    by_state = {creator.state: creator for creator, _ in odd.ranked}
    gone, renamed = by_state["gone"], by_state["renamed"]
    assert odd.by_handle(gone.handle) is odd.by_id(gone.profile_id) is None
    assert odd.by_handle(renamed.former_handles[0]) is None
    assert odd.by_handle(renamed.handle) == renamed
    assert odd.remembered(gone.handle) == odd.remembered(gone.profile_id) == gone
    assert odd.remembered(renamed.former_handles[0]) == renamed
    assert odd.remembered("nobody.here") is None
    assert not by_state["private"].shows_posts
    assert not by_state["hides_likes"].shows_likes


@pytest.mark.parametrize("sort", ["comment", "story", "child"])
def test_ids_tell_whose_they_are(sort: ids.Sort) -> None:
    things = [
        ids.Thing(sort, slot, part, number) for slot in (0, 999_999) for part in (0, 99) for number in (0, 999_999)
    ]
    names = [ids.encode(thing) for thing in things]
    assert [ids.decode(name) for name in names] == things
    assert len(set(names)) == len(names)
    assert {len(name) for name in names} == {17}
    for name in ("", "18" + "0" * 15, "17" + "²" * 15):
        assert ids.decode(name) is None

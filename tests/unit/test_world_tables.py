"""Reading tables whose headers drift: what is understood, what is refused and why."""

import datetime as dt
import json

import pytest

from gcc.errors import Permanent
from gcc.world import tables, trending
from gcc.world.tables import Row, TableError

INSTAGRAM = """s.no,Name,Instagram Name,Category-1,Followers,Followers,"
Country",Eng. (Auth.),Eng. (Auth.),Eng. (Avg.),Eng. (Avg.),Category-2
1,anna.b,Anna B!,,483.1M,483100000,India,4.5M,4500000,5.6M,5600000,Music
2,bob,Bob \u2665,Fashion,370M,370000000,United States,2.8M,2800000,4.4M,4400000,
"""
LYING = """instagram name,influencer name ,Category_1,Category_2,Subscribers count,Subscribers count,\
Views avg.,Likes avg,Likes avg,Comments avg.,Comments avg.
anna.b,Anna B!,Music,,50.7M,50700000,Spain,274.9K,274900,456.7K,456700
bob,Bob \u2665,Music,,13.4M,13400000,India,269.6K,269600,304.1K,304100
"""
SWAPPED = """S.no,Name,Youtuber,Country, Subscribers, Subscribers,Category_2,\
Avg. likes,Avg. likes,Avg Comments,Avg Comments,Category_3
1,T One,tone,India,224.4M,224400000,Music,4.6K,4600,125,125,
2,C - Rhymes!,checks,,142.5M,142500000,,64.8K,64800,N/A',#VALOR!,Humor
"""


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("409.8M", 409.8e6),
        ("3.3k", 3300),
        ("29.0b", 29e9),
        ("1.39%", 0.0139),
        ("2.28E+11", 2.28e11),
        (" 7 ", 7),
        ("0", 0),
    ],
)
def test_numbers(cell: str, value: float) -> None:
    assert tables.number(cell) == pytest.approx(value)


@pytest.mark.parametrize("cell", ["", "-", "N/A", "N/A'", "#VALOR!", "nan", "unknown"])
def test_ways_to_say_nothing(cell: str) -> None:
    assert tables.number(cell) is None
    assert tables.country(cell) is None


@pytest.mark.parametrize("cell", ["India", "1,5M", "-3", "12 M", "M", "1.2.3"])
def test_what_is_no_number(cell: str) -> None:
    with pytest.raises(Permanent, match="no number"):
        tables.number(cell)


def test_encodings() -> None:
    assert tables.decode("\ufeffrank,é".encode()) == "rank,é"
    assert tables.decode(b"It\x92s") == "It\u2019s"


def test_columns_are_known_by_their_cells() -> None:
    reading = tables.monthly("INSTAGRAM", "t", INSTAGRAM)
    assert reading.rows == [
        Row("anna.b", "Anna B!", 483_100_000, "Music", "IN", engagement=5_600_000.0),
        Row("bob", "Bob \u2665", 370_000_000, "Fashion", "US", engagement=4_400_000.0),
    ]
    assert (reading.records, reading.doubled, reading.refused) == (2, 0, [])


def test_headers_that_lie_are_not_believed() -> None:
    first, _ = tables.monthly("INSTAGRAM", "t", LYING).rows
    assert first == Row("anna.b", "Anna B!", 50_700_000, "Music", "ES", engagement=456_700.0)


def test_swapped_names_and_broken_formulas() -> None:
    first, second = tables.monthly("YOUTUBE", "t", SWAPPED).rows
    assert first == Row("tone", "T One", 224_400_000, "Music", "IN", avg_likes=4600.0, avg_comments=125.0)
    assert second == Row("checks", "C - Rhymes!", 142_500_000, "Humor", None, avg_likes=64_800.0)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("3,cleo,Cleo,,1M,1100000,India,1K,1000,2K,2000,", "followers: '1M' and '1100000' are not the same"),
        ("3,cleo,Cleo,,1M,1000000,7.1M,1K,1000,2K,2000,", "'7.1M' is no country"),
        ("3,cleo,Cleo,,1M,1000000,India,1K,1000,,0,", "engagement: '' and '0' are not the same"),
        ("3,cleo,Cleo,,1M,1000000,India,3K,3000,2K,2000,", "more authentic engagement"),
        ("3,cleo,Cleo,,-,-,India,1K,1000,2K,2000,", "no followers are told"),
        ("3,cleo,Cleo,,one,one,India,1K,1000,2K,2000,", "'one' is no number"),
        ("3,,Cleo,,1M,1000000,India,1K,1000,2K,2000,", "the handle is empty"),
        ("3,cleo", "only 2 cells"),
        ("3,bob,Bob,,1M,1000000,India,1K,1000,2K,2000,", "'bob' stands with other figures in record 2"),
    ],
)
def test_a_record_that_is_not_understood_is_refused_with_its_reason(record: str, reason: str) -> None:
    # the column must still be told by most of its cells
    good = "".join(f"9,more{n},More {n},,1M,1000000,India,1K,1000,2K,2000,\n" for n in range(20))
    reading = tables.monthly("INSTAGRAM", "t", INSTAGRAM + record + "\n" + good)
    assert len(reading.rows) == 22
    ((number, why),) = reading.refused
    assert number == 3
    assert reason in why


def test_a_record_that_stands_twice_counts_once() -> None:
    twin = INSTAGRAM.splitlines()[-1].replace("2,bob", "9,bob")
    reading = tables.monthly("INSTAGRAM", "t", INSTAGRAM + twin)
    assert (len(reading.rows), reading.doubled, reading.refused) == (2, 1, [])


def test_a_table_of_another_kind_is_refused_whole() -> None:
    with pytest.raises(TableError, match="t: "):
        tables.monthly("INSTAGRAM", "t", "a,b\nx,1\ny,2\n")
    with pytest.raises(TableError, match="not all known"):
        tables.monthly("YOUTUBE", "t", SWAPPED.replace("Avg. likes", "Avg. claps"))
    with pytest.raises(TableError, match="'Youtuber'"):
        tables.statistics_2023("t", "Rank\n1\n")


def test_the_global_table() -> None:
    header = "Rank,Youtuber,Subscribers,Video Views,Category,Uploads,Country,Created Year,Created Month,Created Date\n"
    text = header + "1,T One,245000000,2.28E+11,nan,20082,India,2006,Mar,13\n2,Vocï¿½ï¿½,1,1,x,1,India,nan,nan,nan\n"
    reading = tables.statistics_2023("t", text)
    assert reading.rows == [
        Row(
            None,
            "T One",
            245_000_000,
            None,
            "IN",
            media_count=20_082,
            total_views=228 * 10**9,
            joined=dt.date(2006, 3, 13),
        )
    ]
    assert reading.refused == [(2, "the name 'Vocï¿½ï¿½' has lost letters")]


VIDEOS = """video_id,trending_date,channel_title,category_id,publish_time,views,likes,dislikes,comment_count
kzwfHumJyYc,17.14.11,T One,1,2017-11-12T12:20:39.000Z,10,3,1,2
kzwfHumJyYc,18.02.01,T One,1,2017-11-12T12:20:39.000Z,30,5,1,4
kzwfHumJyYc,17.15.11,T One,1,2017-11-12T12:20:39.000Z,20,4,1,3
zUZ1z7FwLc8,17.14.11,t one,25,2017-11-13T05:43:56.000Z,7,6,5,4
#NAME?,17.14.11,T One,1,2017-11-12T12:20:39.000Z,1,1,1,1
"""


def test_a_trending_video_counts_as_of_its_last_day() -> None:
    about = trending.described(("a", 'video_id,title,tags\nkzwfHumJyYc,Song,"x|""y z"""\n'), ("b", "video_id,title\n"))
    videos = trending.read("t", VIDEOS, about)
    newest, older = videos.by_channel["t one"]
    assert newest.post_id == "zUZ1z7FwLc8"
    assert (older.views, older.likes, older.comments, older.title, older.tags) == (30, 5, 4, "Song", ("x", "y z"))
    assert older.published == dt.datetime(2017, 11, 12, 12, 20, 39, tzinfo=dt.UTC)
    (reading,) = videos.readings
    assert (reading.records, reading.doubled) == (5, 2)
    assert reading.refused == [(5, "'#NAME?' is no video id")]


def test_a_video_with_a_broken_figure_is_refused() -> None:
    videos = trending.read("t", VIDEOS.replace("05:43:56.000Z,7,", "05:43:56.000Z,many,"), {})
    assert [post.post_id for post in videos.by_channel["t one"]] == ["kzwfHumJyYc"]
    assert [number for number, _ in videos.readings[0].refused] == [4, 5]


def test_category_names_of_several_lists() -> None:
    lists = [
        json.dumps({"items": [{"id": n, "snippet": {"title": t}}]}) for n, t in (("1", "Film"), ("29", "Nonprofits"))
    ]
    assert trending.category_names(*lists) == {"1": "Film", "29": "Nonprofits"}

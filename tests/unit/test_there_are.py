"""Names that somebody may have meant: few are all told, of many those that are like what was written."""

from gcc.errors import there_are


def test_few_names_are_told_and_none_is_said() -> None:
    assert there_are(["b", "a", "b"], "x") == "there are b, a"
    assert there_are([], "x") == "there are none"


def test_of_many_those_are_told_that_are_like_what_was_written() -> None:
    names = [f"mart_{number}" for number in range(100)] + ["mart_leaderboard", "mart_leaderboard_rank"]
    assert there_are(names, "mart_leaderbord") == "like it, of 102: mart_leaderboard, mart_leaderboard_rank"
    assert there_are(names, "board_rank") == "like it, of 102: mart_leaderboard_rank"


def test_of_many_without_a_likeness_the_first_are_told() -> None:
    names = [f"mart_{number:03}" for number in range(100)]
    assert there_are(names, "zzz") == f"there are {', '.join(names[:20])} and 80 more"

"""Walking pages: where it ends, what it says of what is missing, and that no answer has it walk for ever."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcc.errors import Transient
from gcc.sources.paging import Page, pages
from gcc.sources.snapshot import Found
from gcc.sources.verdicts import NotFound, QuestionFailed, SourceFailed


class Book:
    """Pages by their numbers, each a page or what it raises; `asked` holds the cursors that were asked for."""

    def __init__(self, *answers: Page[int] | Exception) -> None:
        self.answers = answers
        self.asked: list[str | None] = []

    async def ask(self, after: str | None) -> Page[int]:
        self.asked.append(after)
        answer = self.answers[len(self.asked) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def read(self, pages_max: int = 10, start: str | None = None) -> Found[list[int]]:
        return await pages(self.ask, pages_max=pages_max, key=lambda item: item, start=start)


async def test_a_capped_walk_tells_where_the_next_one_goes_on() -> None:
    book = Book(Page([1], "a"), Page([2], "b"), Page([3], None))
    assert await book.read(2) == Found([1, 2], "there are more than 2 pages", [], after="b")
    assert await book.read(2, start="b") == Found([3], None, [])
    assert book.asked == [None, "a", "b"]


@pytest.mark.parametrize(
    ("answers", "items", "partial"),
    [
        ([Page([1, 2], None)], [1, 2], None),
        ([Page([], None)], [], None),
        ([Page([1, 1, 2], "a"), Page([2, 3], None)], [1, 2, 3], None),
        ([Page([1], "a"), Page([], "b"), Page([], "c"), Page([2], None)], [1, 2], None),
        ([Page([1], None, partial="7000 at most")], [1], "7000 at most"),
        ([Page([1], "a", partial="first"), Page([2], None, partial="second")], [1, 2], "first"),
        ([Page([1], "a"), Page([1], "b")], [1], "page 2 brought nothing new, though another one was to follow"),
        ([Page([1], "a"), Page([1], None)], [1], None),
        ([Page([1], "a"), Page([2], "a")], [1, 2], "page 2 names a next one that was asked before"),
        ([Page([1], "a"), Page([], "b"), Page([2], "a")], [1, 2], "page 3 names a next one that was asked before"),
        ([Page([1], "a"), SourceFailed("HTTP 500\nagain")], [1], "page 2 is missing: HTTP 500 again"),
        ([Page([1], "a"), NotFound("GONE", "is gone")], [1], "page 2 is missing: is gone"),
        ([Page([1], "a"), Page([2], "b"), Page([3], "c")], [1, 2, 3], "there are more than 3 pages"),
    ],
)
async def test_where_it_ends(answers: Sequence[Page[int] | Exception], items: list[int], partial: str | None) -> None:
    book = Book(*answers)
    found = await book.read(pages_max=3 if len(answers) == 3 else 10)
    assert (found.items, found.partial) == (items, partial)
    assert len(book.asked) == len(answers)


@pytest.mark.parametrize(
    ("answers", "items", "partial"),
    [
        ([Page([1], "a"), Page([2], "a"), Page([3], None)], [1, 2, 3], None),
        ([Page([1], "a"), Page([2], "a"), Page([2], "a")], [1, 2], "page 3 brought nothing new"),
        ([Page([1], "a"), Page([], "a")], [1], "page 2 brought nothing new"),
        ([Page([1], "a"), Page([], "b"), Page([2], None)], [1, 2], None),
    ],
)
async def test_one_cursor_for_all_pages(answers: list[Page[int]], items: list[int], partial: str | None) -> None:
    found = await pages(Book(*answers).ask, pages_max=10, key=lambda item: item, cursors_move=False)
    assert found.items == items
    assert (found.partial or "").startswith(partial or "")
    assert (found.partial is None) == (partial is None)


async def test_each_page_is_asked_by_the_cursor_of_the_one_before() -> None:
    book = Book(Page([1], "a"), Page([], "b"), Page([2], None))
    await book.read()
    assert book.asked == [None, "a", "b"]


@pytest.mark.parametrize("error", [SourceFailed("HTTP 500"), NotFound("GONE", "is gone")])
async def test_without_its_first_page_there_is_no_answer(error: Exception) -> None:
    with pytest.raises(type(error)):
        await Book(error).read()


async def test_a_circle_without_items_is_no_answer() -> None:
    with pytest.raises(QuestionFailed, match="page 2 names a next one that was asked before"):
        await Book(Page([], "a"), Page([], "a")).read()


async def test_notes_are_gathered_and_bounded() -> None:
    book = Book(Page([1], "a", ["x"] * 15), Page([2], None, ["y"] * 15))
    assert list((await book.read()).notes) == ["x"] * 15 + ["y"] * 5


@given(
    answers=st.lists(
        st.builds(Page, st.lists(st.integers(0, 5), max_size=3), st.sampled_from(["a", "b", "c", None])),
        min_size=10,
        max_size=10,
    )
)
async def test_no_answers_are_walked_for_ever_or_lose_an_item(answers: list[Page[int]]) -> None:
    book = Book(*answers)
    try:
        found = await book.read()
    except Transient as error:
        assert "asked before" in str(error)
        return
    read = [item for page in answers[: len(book.asked)] for item in page.items]
    assert found.items == list(dict.fromkeys(read))
    assert (found.partial is None) == (answers[len(book.asked) - 1].after is None)
    assert len(book.asked) == len(set(book.asked))

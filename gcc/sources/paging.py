"""Walking the pages of a list, whatever its source: to the last one, or to where it stops being of use.

A client's `ask` makes each page's address anew from the cursor, never from a URL that the last page names: those hold
tokens. A page without items is no end, only one without a cursor is.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from gcc.errors import Transient
from gcc.sources.fields import NOTES_MAX
from gcc.sources.snapshot import Found
from gcc.sources.verdicts import QuestionFailed, Refused
from gcc.supervisor.lifecycle import one_line

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page: its items, the cursor of the next page (None: it is the last), and what was odd in it, by path.

    `partial` says why something is missing from it, or after it.
    """

    items: Sequence[T]
    after: str | None
    notes: Sequence[str] = ()
    partial: str | None = None


async def pages(
    ask: Callable[[str | None], Awaitable[Page[T]]],
    *,
    pages_max: int,
    key: Callable[[T], Hashable],
    cursors_move: bool = True,
    start: str | None = None,
) -> Found[list[T]]:
    """The items of at most `pages_max` pages, each `key` once, in order, from the one at `start` on; `ask(None)` gets
    the first page.

    `cursors_move`: no two pages name the same cursor. Where they may, the other side remembers the place, and a page
    without anything new that names the same one is the last.

    Partial, with the reason, where there may be more: the cap, a page with items of which none is new, a cursor that
    came before, or a page after the first that was refused or failed. Raises what `ask` raises for the first page, and
    QuestionFailed where cursors go in a circle and nothing was found. Cancelled: what was found is lost.
    """
    found: dict[Hashable, T] = {}
    notes: list[str] = []
    cursors: set[str | None] = {None, start}
    after = start
    partial: str | None = None
    for number in range(1, pages_max + 1):
        try:
            page = await ask(after)
        except (Transient, Refused) as error:
            if number == 1:
                raise
            return _found(found, f"page {number} is missing: {one_line(str(error))}", notes)
        known = len(found)
        for item in page.items:
            found.setdefault(key(item), item)
        notes += page.notes
        after, partial = page.after, partial or page.partial
        if after is None:
            return _found(found, partial, notes)
        again = not cursors_move and after in cursors
        if (page.items or again) and len(found) == known:
            return _found(found, f"page {number} brought nothing new, though another one was to follow", notes)
        if cursors_move and after in cursors:
            if not found:
                raise QuestionFailed(f"page {number} names a next one that was asked before, and none had an item")
            return _found(found, f"page {number} names a next one that was asked before", notes)
        cursors.add(after)
    return replace(_found(found, f"there are more than {pages_max} pages", notes), after=after)


def _found(found: dict[Hashable, T], partial: str | None, notes: list[str]) -> Found[list[T]]:
    return Found(list(found.values()), partial, notes[:NOTES_MAX])

"""Dead letters over HTTP: listed, looked at, replayed. What is shown of them is in shown_letters.py.

The rules of the actions (actions.py) hold: GETs need the token, the POST also a reason, unless it is a dry run.
"""

from typing import Annotated
from uuid import UUID

from pydantic import Field
from quart import Response, request
from quart_trio import QuartTrio

from gcc.channels.letters import LetterFilter
from gcc.errors import Permanent
from gcc.web.ops.access import Access, Refused
from gcc.web.ops.actions import (
    FOUND_MAX,
    Body,
    DryRun,
    Limit,
    MaybeWhy,
    Since,
    Word,
    by,
    done,
    id_of,
    read_action,
    read_query,
    why_is_needed,
)  # fmt: skip
from gcc.web.ops.operations import Operations
from gcc.web.ops.shown_letters import shown_content, shown_letter, shown_line, shown_replayed, shown_waiting


class LetterFilterBody(Body):
    """See `LetterFilter`."""

    queue: Word | None = None
    reason: Word | None = None
    since: Since | None = None
    ids: list[UUID] | None = None
    limit: Limit | None = None

    def as_filter(self) -> LetterFilter:
        return LetterFilter(**dict(self))


class ReplayBody(Body):
    filter: LetterFilterBody
    why: MaybeWhy = ""
    dry_run: DryRun = False


class FindLettersQuery(LetterFilterBody):
    ids: None = None
    limit: Annotated[int, Field(ge=1, le=FOUND_MAX)] = 50


def add_letters(app: QuartTrio, access: Access, operations: Operations) -> None:
    """Give `app` the routes of the dead letters."""

    @app.get("/api/dead-letters")
    async def letters() -> Response:
        access.check_reader(request)
        found, waiting = await operations.find_letters(read_query(FindLettersQuery).as_filter())
        shown = shown_waiting(waiting)
        counts = {"total": shown["letters"], "events": shown["events"], "groups": shown["groups"]}
        return done([shown_line(letter) for letter in found], **counts)

    @app.get("/api/dead-letters/<letter_id>")
    async def letter(letter_id: str) -> Response:
        access.check_reader(request)
        wanted = id_of(letter_id, "dead letter")
        try:
            found, document, trouble = await operations.letter(wanted)
        except Permanent as error:
            raise Refused(404, "DEAD_LETTER_NOT_FOUND", "No such dead letter", str(error)) from None
        return done({**shown_letter(found), **shown_content(document, trouble)})

    @app.post("/api/replay")
    async def replay() -> Response:
        wanted = await read_action(access, ReplayBody, "replay")
        letters = wanted.filter.as_filter()
        if wanted.dry_run:
            return done(shown_waiting(await operations.would_replay(letters)))
        if not wanted.why:
            raise why_is_needed()
        return done(shown_replayed(await operations.replay(letters, by(access, wanted.why))))

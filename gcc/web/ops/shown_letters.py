"""Dead letters as people are shown them, as JSON: every secret in them masked. Pure."""

from dataclasses import asdict, replace
from typing import Any

from gcc.channels.deadletters import Document
from gcc.channels.letters import Letter, Replayed, Waiting
from gcc.errors import Permanent
from gcc.masking import masked_body, masked_headers, masked_text

BODY_CHARS_MAX = 100_000
LISTED_CHARS_MAX = 300  # of a reason in a list


def shown_waiting(waiting: Waiting) -> dict[str, Any]:
    """How many wait, and which."""
    groups = [
        {
            "queue": group.queue,
            "reason": masked_text(group.reason),
            "letters": group.letters,
            "events": group.events,
            "newest": group.newest.isoformat(),
        }
        for group in waiting.groups
    ]
    return {"letters": waiting.letters, "events": waiting.events, "groups": groups}


def shown_replayed(replayed: Replayed) -> dict[str, Any]:
    """What a replay did."""
    errors = [{"id": trouble.id, "reason": masked_text(trouble.reason)} for trouble in replayed.errors]
    return {**asdict(replayed), "errors": errors}


def shown_line(letter: Letter) -> dict[str, Any]:
    """A line of a list: its reason may be cut."""
    return shown_letter(replace(letter, reason=letter.reason[:LISTED_CHARS_MAX]))


def shown_letter(letter: Letter) -> dict[str, Any]:
    """A letter without headers and body."""
    return {
        "id": letter.id,
        "at": letter.at,
        "queue": letter.queue,
        "exchange": letter.exchange,
        "routing_key": letter.routing_key,
        "frame_id": letter.frame_id,
        "events": letter.events,
        "reason": masked_text(letter.reason),
        "object": letter.object_key,
        "replayed_at": letter.replayed_at,
        "replayed_by": letter.replayed_by,
    }


def shown_content(document: Document | None, trouble: str) -> dict[str, Any]:
    """Headers and body, or the `trouble` with them. `whole` False: the body goes on."""
    if document is not None:
        try:
            content = document.content
        except Permanent as error:
            trouble = str(error)
        else:
            text, whole = masked_body(content, BODY_CHARS_MAX)
            headers = masked_headers(document.headers)
            return {"headers": headers, "body": text, "whole": whole, "bytes": len(content), "trouble": None}
    return {"headers": {}, "body": None, "whole": False, "bytes": None, "trouble": masked_text(trouble)}

"""Comments as YouTube names them: the world's threads and replies under its own ids, and who wrote them."""

import base64
import binascii

from gcc.world import comments
from gcc.world.chance import letters, mix
from gcc.world.comments import Comment
from gcc.world.crowd import Person
from gcc.world.model import Cast, Creator, Post

_HEAD, _TAIL = "Ugw", "4AaABAg"


def comment_id(comment: Comment) -> str:
    """A reply's holds its thread's before a dot."""
    own = _packed(comment.comment_id)
    return own if comment.parent_id is None else f"{_packed(comment.parent_id)}.{own.removeprefix(_HEAD)}"


def comment(cast: Cast, comment_id: str) -> tuple[Creator, Post, Comment] | None:
    """By such an id; None: there is none."""
    thread, _, reply = comment_id.partition(".")
    number = _unpacked(_HEAD + reply if reply else thread)
    return None if number is None else comments.comment(cast, number)


def channel_id(actor: Creator | Person) -> str:
    return "UC" + letters(actor.bits, mix(actor.number)) if isinstance(actor, Person) else actor.profile_id


def handle(actor: Creator | Person) -> str:
    return "@" + actor.handle


def _packed(number: str) -> str:
    return _HEAD + base64.urlsafe_b64encode(int(number).to_bytes(8)).decode().rstrip("=") + _TAIL


def _unpacked(packed: str) -> str | None:
    """The number, as text."""
    if not (packed.startswith(_HEAD) and packed.endswith(_TAIL)):
        return None
    try:
        raw = base64.b64decode(packed[len(_HEAD) : -len(_TAIL)] + "=", altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    return str(int.from_bytes(raw)) if len(raw) == 8 else None

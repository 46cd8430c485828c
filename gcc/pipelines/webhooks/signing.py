"""Signatures of webhooks, as Standard Webhooks has them (standardwebhooks.com). Pure.

No secret of an endpoint is stored: it is derived from the master, the endpoint's id and its secret's generation. A new
generation takes the old one's place; for a day both sign, so that who checks may change over in peace.
"""

import base64
import datetime as dt
import hmac
import uuid
from collections.abc import Sequence

BOTH_SIGN = dt.timedelta(hours=24)


class Secrets:
    def __init__(self, master: bytes) -> None:
        self._master = master

    def of(self, endpoint_id: uuid.UUID, generation: int) -> bytes:
        return hmac.digest(self._master, f"webhook {endpoint_id} {generation}".encode(), "sha256")

    def shown(self, endpoint_id: uuid.UUID, generation: int) -> str:
        """As its owner is told it, once."""
        return "whsec_" + base64.b64encode(self.of(endpoint_id, generation)).decode()

    def valid(
        self, endpoint_id: uuid.UUID, generation: int, rotated_at: dt.datetime | None, now: dt.datetime
    ) -> list[bytes]:
        """Those that sign now, the newest first."""
        both = generation > 1 and rotated_at is not None and now < rotated_at + BOTH_SIGN
        return [self.of(endpoint_id, each) for each in ((generation, generation - 1) if both else (generation,))]


def signed(event_id: uuid.UUID | str, at: int, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """The headers of a post, sent at that second of the epoch."""
    text = f"{event_id}.{at}.".encode() + body
    signatures = [f"v1,{base64.b64encode(hmac.digest(secret, text, 'sha256')).decode()}" for secret in secrets]
    return {
        "webhook-id": str(event_id),
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(signatures),
    }

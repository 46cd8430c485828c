"""Requests to addresses that others choose: webhooks of tenants, media of profiles. See docs/security.md.

What a stranger names may lead to our own network, so such a request goes through this room and no other: its URL is
read once and strictly (target.py), its host is looked up once, every address of the answer must be a public one
(addresses.py), and the connection goes to one of these and nowhere else (guarded.py).
"""

from gcc.sources.outbound.guarded import Guarded, resolved
from gcc.sources.outbound.target import NotAllowed, Target, target_of

__all__ = ["Guarded", "NotAllowed", "Target", "resolved", "target_of"]

"""Who is calling: `Authorization: Bearer TOKEN` into a Tenant.

For now there is one token, of the embedded config (gcc/config/sections.py refuses it beyond loopback).
"""

import hmac

from werkzeug.datastructures import Headers

from gcc.stores.tenant import Tenant
from gcc.web.api.errors import ApiError, Code

CHALLENGE = 'Bearer realm="gcc"'
DEVELOPMENT = Tenant(partner_id=1, plan="PAID")


def authenticate(headers: Headers, dev_token: str) -> Tenant:
    """The tenant of a request. Raises ApiError UNAUTHORIZED. An empty `dev_token` opens nothing."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise ApiError(Code.UNAUTHORIZED, "send the header Authorization: Bearer TOKEN")
    # In constant time: how long the comparison takes tells nothing about the token.
    if not hmac.compare_digest(token.strip().encode(), dev_token.encode()) or not dev_token:
        raise ApiError(Code.UNAUTHORIZED, "the token is not valid")
    return DEVELOPMENT

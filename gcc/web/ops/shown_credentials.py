"""A credential as people see it: all but its secret."""

import math
from typing import Any

from gcc.masking import masked_text
from gcc.sources.credentials import BY_HAND
from gcc.stores.vault import Listed


def shown(each: Listed) -> dict[str, Any]:
    """`rests` tells what rests: this credential, its app or the source; `buckets` which of its calls do."""
    state = "ready" if each.out_s <= 0 else "rests" if math.isfinite(each.out_s) else "waits for a new token"
    if not each.enabled and (each.reason or "").startswith(BY_HAND):
        state = "disabled"
    return {
        "handle": each.handle,
        "kind": each.kind,
        "app": each.app,
        "account": each.account,
        "scopes": list(each.scopes),
        "state": state,
        "rests": each.rest_scope if state == "rests" else None,
        "back_in_s": round(each.out_s, 1) if math.isfinite(each.out_s) else None,
        "reason": None if each.reason is None else masked_text(each.reason),
        "buckets": [rest | {"reason": masked_text(rest["reason"])} for rest in each.buckets],
        "expires_at": each.expires_at,
        "data_access_expires_at": each.data_access_expires_at,
        "uses": each.uses,
        "used_at": each.used_at,
        "updated_at": each.updated_at,
    }

"""When somebody may try a password again: a pure rule over how long ago the failures were.

An e-mail waits after FAILURES within WINDOW_S, first WINDOW_S, then twice as long each time up to LONGEST_S; after as
long without failures it begins anew. An address waits while it has ADDRESS_FAILURES within ADDRESS_WINDOW_S.
"""

from collections.abc import Sequence

FAILURES, WINDOW_S, LONGEST_S = 5, 15 * 60.0, 3600.0
ADDRESS_FAILURES, ADDRESS_WINDOW_S = 20, 60.0


def email_wait_s(ages_s: Sequence[float]) -> float:
    """`ages_s`: how long ago the failures were, the oldest first. 0: now."""
    until, level, recent = -float("inf"), 0, list[float]()
    for at in (-age_s for age_s in ages_s):
        if at > until + LONGEST_S:
            level = 0
        recent = [*(each for each in recent if at - each < WINDOW_S), at]
        if len(recent) >= FAILURES:
            until = at + min(WINDOW_S * 2**level, LONGEST_S)
            level, recent = level + 1, []
    return max(0.0, until)


def address_wait_s(ages_s: Sequence[float]) -> float:
    """As `email_wait_s`, of an address."""
    if len(ages_s) < ADDRESS_FAILURES:
        return 0.0
    return max(0.0, ADDRESS_WINDOW_S - ages_s[-ADDRESS_FAILURES])

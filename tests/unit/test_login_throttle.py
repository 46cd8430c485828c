"""How long somebody waits who gave wrong passwords."""

import pytest

from gcc.stores.login_throttle import address_wait_s, email_wait_s

MINUTE = 60.0


def ages(*minutes: float) -> list[float]:
    """Minutes ago, the oldest first."""
    return [each * MINUTE for each in minutes]


@pytest.mark.parametrize(
    ("failures", "minutes"),
    [
        ((), 0),
        ((4, 3, 2, 1), 0),
        ((5, 4, 3, 2, 1), 14),
        ((16, 4, 3, 2, 1), 0),  # not within a quarter of an hour
        ((15, 15, 15, 15, 15), 0),  # it is over
        ((14.5, 14.5, 14.5, 14.5, 14.5), 0.5),
        ((20, 20, 20, 20, 20, 4, 4, 4, 4), 0),
        ((20, 20, 20, 20, 20, 4, 4, 4, 4, 4), 26),  # the second time half an hour
        ((55, 55, 55, 55, 55, 39, 39, 39, 39, 39, 5, 5, 5, 5, 5), 55),  # then an hour
        ((155,) * 5 + (139,) * 5 + (105,) * 5 + (40,) * 5, 20),  # and never more
        ((90,) * 5 + (10,) * 5, 5),  # an hour after the end of a wait it begins anew
        ((80,) * 5 + (10,) * 5, 20),
    ],
)
def test_an_e_mail_waits(failures: tuple[float, ...], minutes: float) -> None:
    assert email_wait_s(ages(*failures)) == pytest.approx(minutes * MINUTE)


@pytest.mark.parametrize(
    ("seconds", "wait_s"), [([50] * 19, 0), ([50] * 20, 10), ([59, *[5] * 20], 55), ([60] * 20, 0)]
)
def test_an_address_waits(seconds: list[float], wait_s: float) -> None:
    assert address_wait_s(seconds) == wait_s

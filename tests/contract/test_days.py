"""Days of limits: one suite for the fake and for PostgreSQL, at moments that the test chooses."""

import datetime as dt
from collections.abc import Callable

import pytest

from gcc.clock import VirtualClock
from gcc.sources.days import Block, Days
from gcc.stores import days as stored
from gcc.stores.days import PostgresDays
from gcc.stores.postgres import Pool
from tests.fakes.days import FakeDays

PACIFIC = "America/Los_Angeles"
H = 3600.0
# (zone, moment, hours since its day began, hours to its end)
MOMENTS = [
    ("UTC", "2026-11-29T00:00:00+00:00", 0, 24),
    ("Asia/Kolkata", "2026-11-29T18:00:00+00:00", 23.5, 0.5),
    (PACIFIC, "2026-11-29T08:00:00+00:00", 0, 24),
    (PACIFIC, "2026-11-29T07:59:00+00:00", 24 - 1 / 60, 1 / 60),
    (PACIFIC, "2027-03-14T11:00:00+00:00", 3, 20),  # its clocks go forward: a day of 23 hours
    (PACIFIC, "2026-11-01T12:00:00+00:00", 5, 20),  # and back: one of 25
    ("America/Santiago", "2026-09-06T03:00:00+00:00", 23, 1),  # midnight of this one never comes
    ("America/Santiago", "2026-09-06T04:30:00+00:00", 0.5, 22.5),
]

At = Callable[[str], Days]


@pytest.fixture(params=["fake", "postgres"])
async def at(request: pytest.FixtureRequest, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> At:
    """Makes the days as they are at a moment; all share what is reserved."""
    if request.param == "fake":
        clock = VirtualClock(seed=1)
        fake = FakeDays(clock)

        def moved(moment: str) -> Days:
            monkeypatch.setattr(clock, "now", lambda: dt.datetime.fromisoformat(moment))
            return fake

        return moved
    reserve = stored.SQL["reserve"]

    def of(moment: str) -> Days:
        monkeypatch.setattr(stored, "SQL", {"reserve": reserve.replace("now()", f"timestamptz '{moment}'")})
        return PostgresDays(pool)

    return of


@pytest.mark.parametrize(("zone", "moment", "begun_h", "left_h"), MOMENTS)
async def test_a_day_ends_at_midnight_there(at: At, zone: str, moment: str, begun_h: float, left_h: float) -> None:
    block = await at(moment).reserve("x", units=2, calls=10, zone=zone)
    assert block == Block(2, 2, pytest.approx(begun_h * H), pytest.approx(left_h * H))


async def test_no_more_is_given_than_is_left_and_each_name_has_its_own(at: At) -> None:
    days = at("2026-11-29T10:00:00+00:00")
    got = [(await days.reserve("x", units=4, calls=10, zone=PACIFIC)).units for _ in range(4)]
    assert got == [4, 4, 2, 0]
    assert (await days.reserve("y", units=99, calls=10, zone=PACIFIC)).units == 10


async def test_a_new_day_begins_anew_and_a_clock_that_is_set_back_does_not(at: At) -> None:
    await at("2026-11-29T10:00:00+00:00").reserve("x", units=10, calls=10, zone=PACIFIC)
    tomorrow = at("2026-11-30T08:00:01+00:00")
    assert (await tomorrow.reserve("x", units=9, calls=10, zone=PACIFIC)).units == 9
    back = await at("2026-11-29T10:00:00+00:00").reserve("x", units=9, calls=10, zone=PACIFIC)
    assert (back.units, back.reserved, back.ends_s) == (1, 10, pytest.approx(46 * H))


async def test_a_limit_that_was_lowered_below_what_is_spent_gives_nothing(at: At) -> None:
    days = at("2026-11-29T10:00:00+00:00")
    await days.reserve("x", units=8, calls=10, zone=PACIFIC)
    assert (await days.reserve("x", units=1, calls=5, zone=PACIFIC)).units == 0
    assert (await days.reserve("x", units=9, calls=10, zone=PACIFIC)).units == 2

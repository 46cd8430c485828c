"""How a history file is written, as far as it does not tell itself: what its user says of it. Pure.

Nobody guesses what two readings have: 03/04/2026 is a date once `date_format` says which, 1.234 a thousand once
`thousands` says so. Until then such a value is refused, with the option that would read it.
"""

import datetime as dt
import re
from dataclasses import dataclass
from functools import lru_cache

from gcc.errors import Permanent
from gcc.pipelines.events import history_text
from gcc.sources.times import instant

THOUSANDS = {",": ".", ".": ",", " ": ".,", "'": ".,"}
"""What may part the thousands of a number -> what may then stand before its decimals."""
_MARKS = {" ": "[ \u00a0\u2009\u202f]", "'": "['\u2019]"}  # spaces and apostrophes of other kinds
_NUMERIC = re.compile("[+-]?[0-9][0-9., '\u00a0\u2009\u202f\u2019]*")
_DATE = re.compile(r"([0-9]{1,2})([/.-])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})( [0-9]{1,2}:[0-9]{2}(:[0-9]{2})?)?")
_YEAR_FIRST = re.compile(r"[0-9]{4}([/.])[0-9]{1,2}\1[0-9]{1,2}( [0-9]{1,2}:[0-9]{2}(:[0-9]{2})?)?")
_SAMPLE = dt.datetime(2026, 11, 23, 21, 43, 56, tzinfo=dt.timezone(dt.timedelta(hours=5.5)))
_DATE_FORMAT_CHARS_MAX = 60


@dataclass(frozen=True, slots=True)
class Form:
    """`encoding`, `date_format` (strptime's) and `thousands` (a key of THOUSANDS); None: what the file tells."""

    encoding: str | None = None
    date_format: str | None = None
    thousands: str | None = None

    def check(self) -> None:
        """Permanent: no file can be read so."""
        if self.encoding is not None:
            history_text.check(self.encoding)
        if self.thousands is not None and self.thousands not in THOUSANDS:
            marks = ", ".join(map(repr, THOUSANDS))
            raise Permanent(f"thousands are parted by one of {marks}, not by {self.thousands[:20]!r}")
        if self.date_format is not None and not _tells_dates(self.date_format):
            shown = ascii(self.date_format[:_DATE_FORMAT_CHARS_MAX])
            raise Permanent(f"date format {shown} does not tell a day; write one such as %d/%m/%Y or %Y-%m-%d %H:%M")

    def time(self, text: str) -> dt.datetime:
        """The time that is written there. ValueError: it is none; the text says how one is written."""
        if self.date_format is None:
            try:
                return instant(text)
            except ValueError:
                raise ValueError(_asked(text) or _ISO) from None
        try:
            return dt.datetime.strptime(text, self.date_format)  # noqa: DTZ007 - the caller knows
        except ValueError:
            raise ValueError(f"is not written as {self.date_format} says, or there is no such time") from None

    def plain(self, text: str) -> str:
        """A number in digits with at most a point among them; any other text as it is.

        ValueError: its thousands are not where this form has them.
        """
        if self.thousands is None:
            return text
        if found := _pattern(self.thousands).fullmatch(text):
            whole, decimals = "".join(filter(lambda letter: letter in "+-0123456789", found[1])), found[2]
            return f"{whole}.{decimals}" if decimals else whole
        if _NUMERIC.fullmatch(text):
            raise ValueError(f"is no number whose thousands are parted by {self.thousands!r}")
        return text


AS_IT_TELLS = Form()


def hint(text: str, form: Form) -> str:
    """What to add to the reason why this is no number, if another mark of thousands would read it."""
    if form.thousands is not None and _pattern(form.thousands).fullmatch(text):
        return ""
    for mark in THOUSANDS:
        if re.search(_MARKS.get(mark, re.escape(mark)), text) and _pattern(mark).fullmatch(text):
            return _as(f"{mark!r} parts its thousands", mark)
    return _as("',' stands before its decimals", ".") if "," in text and _pattern(".").fullmatch(text) else ""


def _as(told: str, mark: str) -> str:
    return f"; if {told}, import with --thousands {mark!r}"


_ISO = "is neither RFC 3339 (2026-12-31T18:30:00Z) nor a date (2026-12-31)"


def _asked(text: str) -> str | None:
    """The date formats in which this would be a date, as a question to its user."""
    if found := _YEAR_FIRST.fullmatch(text):
        return f"{_ISO}; import with --date-format '%Y{found[1]}%m{found[1]}%d{_clock(found[2], found[3])}'"
    if (found := _DATE.fullmatch(text)) is None:
        return None
    first, mark, second, year, clock, seconds = found.groups()
    rest = f"{mark}%{'Y' if len(year) == 4 else 'y'}{_clock(clock, seconds)}"
    formats = [
        f"--date-format '{order}{rest}'"
        for order, month in ((f"%d{mark}%m", second), (f"%m{mark}%d", first))
        if 1 <= int(month) <= 12
    ]
    if len(formats) == 2:
        return f"may be a day and a month, or a month and a day: say which, by {' or '.join(formats)}"
    return f"{_ISO}; import with {formats[0]}" if formats else None


def _clock(clock: str | None, seconds: str | None) -> str:
    return "" if clock is None else " %H:%M:%S" if seconds else " %H:%M"


@lru_cache(maxsize=16)
def _pattern(thousands: str) -> re.Pattern[str]:
    mark = _MARKS.get(thousands, re.escape(thousands))
    return re.compile(
        rf"([+-]?(?:[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+|[0-9]{{1,40}}))(?:[{THOUSANDS[thousands]}]([0-9]{{1,40}}))?"
    )


def _tells_dates(date_format: str) -> bool:
    """Whether what it writes of a time is read again as a time of that day, and hour if it has one.

    The time is one of India: of zones only offsets (%z) tell, names (%Z) are read and passed over.
    """
    try:
        read = dt.datetime.strptime(_SAMPLE.strftime(date_format), date_format)  # noqa: DTZ007 - as is
    except (ValueError, re.error):  # the latter: a part stands twice
        return False
    midnight = dt.time(tzinfo=read.tzinfo)
    return read.date() == _SAMPLE.date() and (read.timetz() == midnight or read.hour == _SAMPLE.hour)

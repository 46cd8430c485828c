"""Past snapshots from files: every line is a row, a part of one, or refused with its reason, whatever stands in it."""

import bz2
import csv
import datetime as dt
import gc
import io
import json
import lzma
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gcc.errors import Permanent
from gcc.pipelines.events import history_rows
from gcc.pipelines.events.history import UNKNOWN_SHOWN_MAX, Batch, ImportReport
from gcc.pipelines.events.history_form import AS_IT_TELLS, Form
from gcc.pipelines.events.history_rows import QUOTED_LINES_MAX, ROW_CHARS_MAX, Rows
from gcc.pipelines.events.history_snapshot import ByHandle

HEADER = "platform,profile_id,handle,timestamp,followers,dimensions.bio"
LATEST = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)
WIDTH = HEADER.count(",") + 1
CHANNEL = "UCq-Fj5jknLsUf-MWSy4_brA"


@dataclass
class Imported:
    report: ImportReport
    events: list[dict[str, Any]] = field(default_factory=list)
    by_handle: list[ByHandle] = field(default_factory=list)

    @property
    def handles(self) -> list[str]:
        return [event["handle"] for event in self.events]

    @property
    def refused(self) -> list[tuple[int, str]]:
        return [(entry["line"], entry["field"]) for entry in self.report.rejected]

    @property
    def reasons(self) -> list[str]:
        return [entry["reason"] for entry in self.report.rejected]


def chunks(content: bytes, size: int) -> Iterable[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


def imported(
    content: str | bytes, *, chunk: int = 7, encoding: str | None = None, form: Form = AS_IT_TELLS
) -> Imported:
    """What the import makes of a file, apart from storing it."""
    content = content.encode() if isinstance(content, str) else content
    rows, report = Rows(encoding), ImportReport()
    batch = Batch(rows, report, LATEST, form)
    for piece in chunks(content, chunk):
        for records in rows.feed(piece):
            for number, record in records:
                batch.read(number, record)
    for records in rows.end():
        for number, record in records:
            batch.read(number, record)
    batch.warn()
    snapshots, by_handle = batch.taken()
    found = Imported(report, [msgspec.json.decode(row.line) for row in snapshots], by_handle)
    assert report.rows == len(found.events) + len(by_handle) + report.rejected_total
    return found


def line(number: int, *, bio: str = "x", followers: object = 10) -> str:
    return f"INSTAGRAM,{number},bug{number},2026-11-01,{followers},{bio}"


def table(*lines: str, end: str = "\n") -> str:
    return end.join([HEADER, *lines, ""])


# Lines


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("chunk", [1, 2, 7, 10_000])
def test_lines_end_with_lf_crlf_or_cr(end: str, chunk: int) -> None:
    found = imported(table(line(1), line(2), end=end), chunk=chunk)
    assert (found.handles, found.refused) == (["bug1", "bug2"], [])


def test_lines_end_as_they_like_within_one_file() -> None:
    found = imported(f"{HEADER}\r\n{line(1)}\r{line(2)}\n\r\n\n{line(3)}\r\r\n{line(4, followers='x')}\r{line(5)}")
    assert found.handles == ["bug1", "bug2", "bug3", "bug5"]
    assert found.refused == [(8, "followers")]


def test_other_characters_end_no_line() -> None:
    (event,) = imported(table(line(1, bio="a\x0bb\x0cc\x1cd\x85e\u2028f"))).events
    assert event["dimensions"]["bio"] == "a\x0bb\x0cc\x1cd\x85e\u2028f"


def test_csv_with_quotes_line_breaks_and_a_bom() -> None:
    first = line(1, bio='"two\r\nlines, ""x"""')
    content = f"\ufeff{HEADER}\r\n{first}\r\n\r\n{line(2)}"
    found = imported(content)
    assert [event["dimensions"]["bio"] for event in found.events] == ['two\r\nlines, "x"', "x"]
    assert imported(content + "\n\n,x").refused == [(7, "(row)")]


@pytest.mark.parametrize(
    "blank",
    ["\n", "\r\n\r\n", "  \n\t\r", "\ufeff\n", "\ufeff\ufeff", ",,,,\n", "sep=,\r\n", '\ufeff"SEP=,"\n', "sep=;\n"],
)
def test_what_is_blank_or_of_excel_comes_before_a_header(blank: str) -> None:
    assert imported(blank + table(line(1))).handles == ["bug1"]


@pytest.mark.parametrize("blank", [",,,,,", ",,", ", ,\t,  ,,", '"","","","","",""', ",,,,,,,,,,"])
def test_rows_without_any_value_are_blank_lines(blank: str) -> None:
    found = imported(table(blank, line(1), *[blank] * 500, line(2), "x" + blank, blank))
    assert found.handles == ["bug1", "bug2"]
    assert found.refused[0][0] == 505
    assert found.report.rows == 3


@pytest.mark.parametrize("end", ["\n", "\r"])
@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("before", ["", "sep={}\n"])
def test_the_header_tells_what_parts_the_cells(delimiter: str, end: str, before: str) -> None:
    row = 'INSTAGRAM;1;bug1;2026-11-01;10;"a;b, ""c""\nd"'
    odd = 'INSTAGRAM;2;bug2;2026-11-01;1,5;"open'
    content = f"{end.join([HEADER.replace(',', ';'), row, odd, row.replace('1;bug1', '3;bug3')])}".replace(
        ";", delimiter
    )
    found = imported(before.format(delimiter) + content)
    assert [event["dimensions"]["bio"] for event in found.events] == [f'a{delimiter}b, "c"\nd'] * 2
    assert [name for _, name in found.refused] == ["(row)"]


@pytest.mark.parametrize(
    "row",
    [
        "INSTAGRAM, 1, bug1, 2026-11-01, 10, a b",
        "  INSTAGRAM ,1\t,\u00a0bug1\u00a0,2026-11-01 , 10 , a b\t",
        'INSTAGRAM, "1", "bug1", "2026-11-01", "10", " a b "',
        'INSTAGRAM,1,"bug1 ",2026-11-01,"10\n","\na b"',
        "INSTAGRAM,1,bug1,2026-11-01,10,a b,,,",
        "INSTAGRAM,1,bug1,2026-11-01,10,a b, , ",
    ],
)
def test_cells_are_trimmed(row: str) -> None:
    (event,) = imported(table(row)).events
    assert (event["handle"], event["metrics"]) == ("bug1", {"followers": 10})
    assert event["dimensions"] == {"bio": "a b", "handle": "bug1"}


def test_a_quote_after_a_space_quotes_what_parts_cells() -> None:
    (event,) = imported(table('INSTAGRAM, 1, bug1, 2026-11-01, 10, "a, b"')).events
    assert event["dimensions"]["bio"] == "a, b"


# Quotes


@pytest.mark.parametrize(
    ("bio", "kept"),
    [
        ("5'10\" tall", "5'10\" tall"),
        ('tall 6"', 'tall 6"'),
        ('a"b"c', 'a"b"c'),
        (' "a"', "a"),
        ('x "a"', 'x "a"'),
        ('"He" said', '"He" said'),
        ('"a""b"', 'a"b'),
        ('""', None),
        ('""""', '"'),
        ('"a"b"', '"a"b"'),
    ],
)
def test_quotes_inside_a_line(bio: str, kept: str | None) -> None:
    found = imported(table(line(3), line(4, bio=bio), line(5), line(6)))
    assert found.handles == ["bug3", "bug4", "bug5", "bug6"]
    assert found.events[1]["dimensions"].get("bio") == kept


@pytest.mark.parametrize(
    "odd",
    [
        ['"tall'],
        ['"'],
        ['"""'],
        ['"tall', '"small'],
        ['"tall', 'x"'],  # would close the first one's: the lines between are rows
        ['"tall', "5'10\""],
        ['"tall', 'a "b" c', '"small'],
        ['"tall', '"quoted, well"', '"small'],
    ],
)
def test_a_quote_that_does_not_close_costs_its_own_line_alone(odd: list[str]) -> None:
    plain = [line(number) for number in range(100, 100 + len(odd) + 1)]
    rows = [plain[0], *(each for n, bio in enumerate(odd) for each in (line(n, bio=bio), plain[n + 1]))]
    found = imported(table(*rows))
    assert [handle for handle in found.handles if handle >= "bug100"] == [f"bug{100 + n}" for n in range(len(odd) + 1)]
    well = [f"bug{n}" for n, bio in enumerate(odd) if not bio.startswith('"') or "," in bio]
    assert [handle for handle in found.handles if len(handle) < 6] == well
    assert len(found.refused) == len(odd) - len(well)


def test_a_row_that_stands_inside_quotes_is_told_of() -> None:
    """Nobody can know whether the quotes are marks of inches, or somebody wrote a row into a bio."""
    found = imported(table(line(1, bio=f'"hi\n{line(2, followers=1)}\n"'), line(3)))
    assert (found.handles, found.refused) == (["bug2", "bug3"], [(2, "(row)"), (4, "(row)")])
    assert found.reasons[0].endswith("does not end with one: line 3 begins like a row, and was read as one")


def test_a_quoted_cell_ends_somewhere() -> None:
    long = "\n".join("x" * 10 for _ in range(QUOTED_LINES_MAX - 1))
    found = imported(table(line(1, bio=f'"{long}"'), line(2)), chunk=1000)
    assert found.handles == ["bug1", "bug2"]
    found = imported(table(line(1, bio=f'"{long}\nx\nx"'), line(2)), chunk=1000)
    assert found.handles == ["bug2"]
    assert found.refused[:2] == [(2, "(row)"), (3, "(row)")]
    assert "begins with a quote" in found.reasons[0]


@pytest.mark.parametrize(
    "lines",
    [
        ["x" * 30] * 400_000,
        [line(7)] * 60_000,
        [line(1, bio='"tall')] * 60_000,
        ['"', ""] * 100_000,
        ['",a,"'] * 100_000,
        ['"x', "y"] * 100_000,
    ],
    ids=["words", "rows", "open quotes", "lone quotes", "toggled", "open, plain"],
)
def test_an_open_quote_costs_a_bounded_work_a_line_and_no_long_step(lines: list[str]) -> None:
    """The work grows as the lines do, and no step takes long: one step for all lines took 24 s."""
    content = table(line(1, bio='"tall'), *lines).encode()

    def steps(content: bytes) -> list[float]:
        rows, at = Rows(), [time.thread_time()]
        for _ in rows.feed(content):
            at.append(time.thread_time())
        return [after - before for before, after in pairwise(at)]

    gc.disable()  # the garbage of all tests before is not the import's work: to look through it took half a second
    try:
        whole, part = steps(content), steps(content[: len(content) // 8])
    finally:
        gc.enable()
    assert sorted(whole)[-3] < 0.05, sorted(whole)[-5:]  # but for what another process took of the caches
    assert sum(whole) < 16 * sum(part) + 0.1


# What is no row


def test_a_line_that_is_too_long_is_refused_and_its_neighbours_are_imported() -> None:
    found = imported(
        table(line(1), line(2, bio="b" * 140_000), line(3), line(4, bio="c" * (5 << 20)), line(5)), chunk=9999
    )
    assert found.handles == ["bug1", "bug3", "bug5"]
    assert found.refused == [(3, "(row)"), (5, "(row)")]
    assert f"{ROW_CHARS_MAX:,}" in found.reasons[0]


def test_an_endless_line_is_not_kept() -> None:
    rows = Rows()
    for _ in range(1000):
        list(rows.feed(b"x" * 16384))
    assert rows._splitter._chars <= ROW_CHARS_MAX + 1
    ((_, record),) = next(rows.end())
    assert isinstance(record, history_rows.Malformed)


def test_a_row_of_another_width_is_refused() -> None:
    found = imported(table(line(1), line(2) + ",extra", "INSTAGRAM,3", line(4)))
    assert (found.handles, found.refused) == (["bug1", "bug4"], [(3, "(row)"), (4, "(row)")])
    assert found.reasons == ["has 7 cells where the header has 6", "has 2 cells where the header has 6"]


@pytest.mark.parametrize(
    "bad",
    [
        '{"platform": "INSTAGRAM"',
        "[1]",
        "null",
        "broken",
        '{"x": NaN}',
        '{"x": "\\ud83d"}',
        "[" * 50_000,
        '{"a":' * 50_000,
        '{"dimensions.x": ' + "[" * 900 + "]" * 900 + "}",
        '{"followers": ' + "9" * 100_000 + "}",
        '{"followers": 1, "followers": 2}',
        '{"platform": "INSTAGRAM",',
        "{",
        "}",
        '  "handle": "bug3",',
        '{"x": -Infinity}',
        '{"platform": "INSTAGRAM"},',
        "\x00",
        "x" * 200_000,
        "",
    ],
    ids=lambda text: text[:12],
)
def test_a_bad_line_of_ndjson_costs_itself_alone(bad: str) -> None:
    good = [json.dumps({"platform": "INSTAGRAM", "profile_id": n, "handle": f"bug{n}", "timestamp": "2026-11-01",
                        "followers": 5}) for n in (1, 2)]  # fmt: skip
    found = imported("\n".join([good[0], bad, good[1]]), chunk=5000)
    assert found.handles == ["bug1", "bug2"]
    assert [number for number, _ in found.refused] == ([2] if bad else [])


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        ('{"followers": NaN}', "holds NaN, which JSON has not: write null"),
        ('{"views": [1, -Infinity]}', "holds -Infinity, which JSON has not"),
        ('{"dimensions.bio": "tea \\ud83d"}', "half a character"),
        ('{"dimensions.bio": "\\udc00"}', "half a character"),
        ('{"\\ud83d": 1}', "half a character"),
        ("{", "looks like one pretty-printed over several lines"),
        ('{"platform": "INSTAGRAM",', "looks like one pretty-printed over several lines"),
        ('{"platform": "INST', "it was cut, or one JSON object a line is wanted"),
        ('  "followers": 1,', "one JSON object a line is wanted (not one over several lines, nor a list)"),
        ("}", "one JSON object a line is wanted"),
        ("[1]", "one JSON object a line is wanted"),
        ('{"views": 1},', "goes on after its object; one JSON object a line is wanted"),
        ('{"views": 1} {"views": 2}', "goes on after its object"),
        ("{'views': 1}", "is not a JSON object: "),
        ('{"views": 01}', "is not a JSON object: "),
        ("[" * 9999, "one JSON object a line is wanted"),
        ('{"a":' * 9999, "nested too deeply"),
    ],
    ids=lambda text: text[:30],
)
def test_a_line_of_ndjson_is_told_what_is_wrong_with_it(odd: str, told: str) -> None:
    (_, reason) = imported('{"a": 1}\n' + odd, chunk=999).reasons
    assert told in reason


def test_a_list_over_many_lines_is_refused_once() -> None:
    content = json.dumps([{"platform": "INSTAGRAM"}] * 50, indent=2)
    assert imported(content).refused == [(1, "(file)")]
    assert imported(content[1:-1]).reasons == [
        "one JSON object a line is wanted; this looks like one pretty-printed over several lines; nothing was imported"
    ]


def test_a_nul_costs_its_row_alone() -> None:
    found = imported(table(line(1), line(2, bio="a\x00b"), "INSTAGRAM,3,a\x00b,2026-11-01,1,x", line(4, bio="\\u0000")))
    assert found.handles == ["bug1", "bug4"]
    assert found.refused == [(3, "(row)"), (4, "handle")]


def test_a_fault_of_ours_is_the_failure_of_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> dict[str, Any]:
        if "bug2" in text:
            raise KeyError("a bug")
        return dict(json.loads(text))

    monkeypatch.setattr(history_rows, "_from_json", broken)
    row = '{{"platform": "INSTAGRAM", "profile_id": {0}, "handle": "bug{0}", "timestamp": "2026-11-01", "views": 1}}'
    found = imported("\n".join(row.format(n) for n in (1, 2, 3)))
    assert (found.handles, found.refused) == (["bug1", "bug3"], [(2, "(row)")])
    assert found.reasons == ["could not be read: KeyError: 'a bug'"]


# Headers


@pytest.mark.parametrize(
    ("header", "name", "told"),
    [
        ("platform,profile_id", "handle", "not in the CSV header"),
        ("platform,handle,Followers", "timestamp", "not in the CSV header"),
        (HEADER + ",views,followers", "followers", "column 5 ('followers') and column 8"),
        (HEADER + ",Followers ", "Followers", "column 5 ('followers') and column 7 ('Followers')"),
        (HEADER.upper() + ",handle", "handle", "column 3 ('HANDLE') and column 7 ('handle')"),
        (HEADER + ",Profile ID", "Profile ID", "column 2 ('profile_id') and column 7 ('Profile ID')"),
        (HEADER + ",dimensions. bio", "dimensions. bio", "column 6 ('dimensions.bio') and column 7"),
        (HEADER + ",DIMENSIONS.BIO", "DIMENSIONS.BIO", "column 6 ('dimensions.bio') and column 7"),
        ("platform:profile_id:handle", "platform", "not in the CSV header, which begins with 'platform:profile_id:"),
        ("platform;profile_id;bio", "handle", "header, which begins with 'platform', 'profile_id', 'bio'"),
        ("Network,ID", "platform", "not in the CSV header, which begins with 'Network', 'ID'"),
        ("[", "(file)", "one object a line"),
        ('[{"platform": 1}]', "(file)", "one object a line"),
        ('[{"platform": 1},' + " " * 200_000, "(file)", "one object a line"),
        ("{", "(file)", "pretty-printed over several lines"),
        (" {\r", "(file)", "pretty-printed over several lines"),
        ("x" * 200_000, "(row)", "longer than"),
        ('"platform', "(row)", "quote"),
        (f"{HEADER}\x85{line(1)}\x85", "(file)", "another line end than LF, CRLF and CR"),
        (f"{HEADER}\u2028{line(1)}", "(file)", "another line end than LF, CRLF and CR"),
        (f"{HEADER}\\n{line(1)}\\n", "(file)", "another line end than LF, CRLF and CR"),
        ("\x00" * 8, "platform", "not in the CSV header"),
    ],
    ids=lambda text: text[:16],
)
def test_a_header_that_is_none_imports_nothing(header: str, name: str, told: str) -> None:
    found = imported(f"{header}\n{line(1)}\n", chunk=9999)
    assert (found.handles, found.refused) == ([], [(1, name)])
    assert told in found.reasons[0]
    assert found.reasons[0].endswith("nothing was imported")


@pytest.mark.parametrize("content", ["", "\n\n", HEADER, HEADER + "\r\n", "\ufeff", " "])
def test_a_file_without_rows_has_none(content: str) -> None:
    report = imported(content).report
    assert (report.rows, report.rejected_total) == (0, 0)


@pytest.mark.parametrize(
    "named",
    [
        str.upper,
        str.title,
        lambda text: f" {text}\t",
        lambda text: f'"{text} "',
        lambda text: text.replace("_", " "),
        lambda text: f" \u2060 {text} \u200b",
        lambda text: f"{text}\u00ad\ufeff",
    ],
)
def test_names_of_columns_are_folded(named: Any) -> None:
    names = ",".join(map(named, [*HEADER.split(","), "avg_likes", "source"]))
    (event,) = imported(f"{names}\n{line(1)},1.5,agency\n").events
    assert event["metrics"] == {"followers": 10, "avg_likes": 1.5}
    assert (event["source"], event["dimensions"]) == ("agency", {"bio": "x", "handle": "bug1"})
    (reason,) = imported(f"{names}\n{line(1, followers='1.234')},1.5,agency\n").reasons
    assert "whole number" in reason, "the rules for counts hold for them, too"


def test_names_of_json_fields_are_folded() -> None:
    row = '{"Platform": "INSTAGRAM", " profile_id": 1, "HANDLE": "bug1", "timestamp ": "2026-11-01", "Followers": %s%s}'
    (event,) = imported(row % (10, ', "Dimensions.Bio": " x "')).events
    assert (event["metrics"], event["dimensions"]) == ({"followers": 10}, {"bio": " x ", "handle": "bug1"})
    (odd,) = imported(row % (1, ', "": 5')).reasons
    assert odd == "has the value 5 without a name"
    assert imported(row % (1, ', "": "", " ": null')).refused == [(1, " ")]
    found = imported("\n".join([row % ('"-1"', ""), row % (1, ', "followers": 2'), row % (1, ', "x": 1, "X ": 1')]))
    assert found.refused == [(1, "followers"), (2, "followers"), (3, "X ")]
    assert found.reasons[1:] == [
        "stands twice in the object, as 'Followers' and as 'followers'",
        "stands twice in the object, as 'x' and as 'X '",
    ]


@pytest.mark.parametrize("space", ["", " ", "\t \t", "\v"])
def test_a_json_field_that_stands_twice_is_refused_however_it_is_spaced(space: str) -> None:
    row = (
        '{"platform":"INSTAGRAM","profile_id":1,"handle":"bug1","timestamp":"2026-11-01","followers":5,"followers"%s:7}'
    )
    assert imported(row % space).refused == [(1, "(row)" if space == "\v" else "followers")]


def test_telling_an_encoding_is_bounded_work_a_line() -> None:
    content = table(line(1), *[line(2, bio="caf\xe9 au lait " * 8_000)] * 100).encode("cp1252")
    began = time.thread_time()
    found = imported(content, chunk=100_000)
    assert time.thread_time() - began < 1.5, "all of a line was looked at, which took 2.4 s here"
    assert len(found.refused) == 100
    assert "cp1252" in found.reasons[0]


def test_a_metric_that_nobody_knows_is_kept_with_a_warning() -> None:
    found = imported(f"{HEADER.replace('followers', 'folowers')}\n{line(1)}\n{line(2)}\n")
    assert found.events[0]["metrics"] == {"folowers": 10}
    (told,) = found.report.warnings
    assert told.startswith("'folowers' is no column that anything here reads: it is kept with the events, as a metric")
    assert imported(table(line(1))).report.warnings == []
    assert imported(f"{HEADER},notes\n{line(1)},\n").report.warnings == [], "nothing is kept of it"


def test_text_in_a_column_that_nobody_knows_is_a_dimension() -> None:
    found = imported(f"{HEADER},Campaign,rank,City\n{line(1)},Diwali 26,7,Pune\n{line(2)},2027,8,411001\n")
    assert [(event["metrics"]["rank"], event["dimensions"]) for event in found.events] == [
        (7, {"bio": "x", "handle": "bug1", "campaign": "Diwali 26", "city": "Pune"}),
        (8, {"bio": "x", "handle": "bug2", "campaign": "2027", "city": "411001"}),
    ]
    campaign, rank = found.report.warnings
    assert "'campaign' is no column that anything here reads" in campaign
    assert "as text (line 2 has 'Diwali 26')" in campaign
    assert "'rank'" in rank


def test_the_first_value_of_a_column_that_nobody_knows_tells_what_it_is() -> None:
    header = f"{HEADER},growth"
    found = imported(f"{header}\n{line(1)},\n{line(2)},0.5\n{line(3)},4%\n{line(4)},1\n")
    assert (found.handles, found.refused) == (["bug1", "bug2", "bug4"], [(4, "growth")])
    found = imported(f"{header}\n{line(1)},4%\n{line(2)},0.5\n")
    assert [event["dimensions"]["growth"] for event in found.events] == ["4%", "0.5"]
    assert found.events[1]["metrics"] == {"followers": 10}


def test_fields_that_nobody_knows_are_bounded() -> None:
    row = '{"platform":"INSTAGRAM","profile_id":1,"handle":"bug1","timestamp":"2026-11-01","followers":1,"x%d":"a"}'
    found = imported("\n".join(row % number for number in range(1500)), chunk=9999)
    assert (len(found.events), len(found.refused)) == (1000, 500)
    assert len(found.report.warnings) == 1 + UNKNOWN_SHOWN_MAX


def test_a_column_of_text_stands_once() -> None:
    assert imported(f"{HEADER},bio\n{line(1)},y\n").refused == [(2, "bio")]


def test_all_faults_of_a_row_are_told() -> None:
    found = imported(table("INSTAGRAM,1.78E+16,bug 1,11/12/2026,1.2M,x", line(2)))
    assert found.handles == ["bug2"]
    (rejected,) = found.report.rejected
    assert (rejected["line"], rejected["field"]) == (2, "profile_id")
    assert [other["field"] for other in rejected["also"]] == ["handle", "followers", "timestamp"]
    assert "say which" in rejected["also"][2]["reason"]


def test_files_as_agencies_write_them() -> None:
    rows = "Instagram;@bug1;24/11/2026;3.937.106;Diwali\r\nInstagram;bug2;25/11/2026;9;\r\n"
    content = ("Platform;Handle;Timestamp;Followers;Campaign\r\n" + rows).encode("utf-16")
    found = imported(content, form=Form(date_format="%d/%m/%Y", thousands="."))
    assert found.refused == []
    assert [row.handle for row in found.by_handle] == ["bug1", "bug2"]
    assert found.by_handle[0].snapshot is not None
    event = msgspec.json.decode(found.by_handle[0].snapshot("7").line)
    assert (event["event_timestamp"], event["metrics"]) == ("2026-11-24 00:00:00.000000", {"followers": 3_937_106})
    assert imported("platform,handle\nINSTAGRAM,bug1\n").by_handle == [ByHandle("INSTAGRAM", "bug1", None)]


@pytest.mark.parametrize("names", ["x²,x2", "views\\reach,a", "dimensions.path\\name,dimensions.ﬁ"])
def test_names_that_look_odd_are_names(names: str) -> None:
    found = imported(f"{HEADER},{names}\n{line(1)},1,2\n")
    assert (found.handles, found.refused) == (["bug1"], [])


def test_nested_fields_of_json_are_told_how_to_be_written() -> None:
    row = '{"platform":"INSTAGRAM","profile_id":1,"handle":"bug1","timestamp":"2026-11-01","dimensions":{"bio":"x"}}'
    assert imported(row).reasons == ["an object is no number; write its fields as dimensions.NAME, or NAME"]


def test_a_column_without_a_name_has_no_values() -> None:
    found = imported(f"{HEADER},,\n{line(1)},, \n{line(2)},,stray\n")
    assert (found.handles, found.refused) == (["bug1"], [(3, "column 8")])


# Encodings


def test_a_line_in_another_encoding_is_refused_with_its_likely_name() -> None:
    content = table(line(1), line(2, bio="Müage Zürich"), line(3)).encode("cp1252")
    found = imported(content)
    assert (found.handles, found.refused) == (["bug1", "bug3"], [(3, "(row)")])
    assert "--encoding cp1252" in found.reasons[0]
    assert imported(content, encoding="cp1252").events[1]["dimensions"]["bio"] == "Müage Zürich"


@pytest.mark.parametrize(
    ("text", "encoding", "told"),
    [
        ("café josé", "cp1252", "cp1252"),
        ("Привет, мир", "cp1251", "cp1251"),
        ("こんにちは世界", "shift_jis", "shift_jis"),
        ("你好世界影响者", "gb18030", "gb18030"),
        ("naïve", "latin-1", "cp1252"),
        ("don’t – Müage", "cp1252", "cp1252"),
        ("Köln Müller", "cp850", "cp850"),
    ],
)
def test_likely_encodings(text: str, encoding: str, told: str) -> None:
    content = table(line(1, bio=f'"{text}"')).encode(encoding)
    assert imported(content).reasons[0].endswith(f"--encoding {told}")
    assert imported(content, encoding=encoding).events[0]["dimensions"]["bio"] == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("Привет, мир", "cp1251"), ("Привет, мир", "koi8-r"), ("สวัสดีครับ", "cp874"), ("Γειά σου Κόσμε", "cp1253"),
     ("שלום עולם", "cp1255"), ("مرحبا بالعالم", "cp1256"), ("안녕하세요", "euc_kr"), ("你好世界", "big5")],
)  # fmt: skip
def test_of_several_likely_encodings_none_is_claimed(text: str, encoding: str) -> None:
    content = table(line(1, bio=f'"{text}"')).encode(encoding)
    (reason,) = imported(content).reasons
    assert reason.startswith("is not UTF-8; it may be ")
    assert encoding in reason


def test_where_no_encoding_is_likely_none_is_named() -> None:
    content = table(line(1, bio="?")).encode().replace(b"?", b"\xff\x98\xa4\xb1\xa6")
    assert imported(content).reasons == [
        "is not UTF-8: import it with --encoding and the name of the one in which it was written"
    ]


def test_a_guess_costs_little_however_long_the_line() -> None:
    """It took minutes: every letter was looked at once for each before it."""
    content = table(line(1, bio="a" * 120_000 + "?" + "’a" * 2000), line(2)).encode("cp1252")
    began = time.thread_time()
    assert imported(content, chunk=1 << 20).handles == ["bug2"]
    assert time.thread_time() - began < 2


def test_damaged_utf_8_is_called_so() -> None:
    found = imported(table(line(1, bio="हिंदी")).encode().replace("ह".encode(), "ह".encode()[:2]))
    assert found.reasons == ["is UTF-8 with damaged characters"]


@pytest.mark.parametrize("chunk", [1, 3, 9999])
@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
)
def test_the_unicode_encodings_are_told_by_the_file(encoding: str, chunk: int) -> None:
    found = imported(table(line(1, bio="tea 🍵 Zürich"), line(2), end="\r\n").encode(encoding), chunk=chunk)
    assert (found.handles, found.refused) == (["bug1", "bug2"], [])
    assert found.events[0]["dimensions"]["bio"] == "tea 🍵 Zürich"


@pytest.mark.parametrize(
    ("encoding", "same", "other"),
    [
        ("utf-8-sig", ["utf-8", "utf-8-sig"], ["cp1252", "utf-16"]),
        ("utf-16", ["utf-16", "utf-16-le"], ["utf-8", "cp037"]),
        ("utf-32", ["utf-32"], ["latin-1", "utf-16-be"]),
    ],
)
def test_a_mark_that_contradicts_the_named_encoding_imports_nothing(
    encoding: str, same: list[str], other: list[str]
) -> None:
    content = table(line(1, bio="Zürich")).encode(encoding)
    assert [imported(content, encoding=each).handles for each in same] == [["bug1"]] * len(same)
    for each in other:
        found = imported(content, encoding=each)
        assert (found.events, found.refused) == ([], [(1, "(file)")])
        assert "import it without --encoding" in found.reasons[0]


def test_half_a_character_of_utf_16_costs_its_line_alone() -> None:
    content = table(line(1, bio="?"), line(2)).encode("utf-16").replace(b"?\0", b"\x3c\xd8")
    found = imported(content + b"\n")
    assert (found.handles, found.refused) == (["bug2"], [(2, "(row)"), (4, "(row)")])


@pytest.mark.parametrize(
    "encoding", ["latin-1", "cp1252", "shift_jis", "euc_kr", "big5", "koi8-r", "cp037", "mac_roman"]
)
def test_text_encodings_of_every_kind_are_read(encoding: str) -> None:
    assert imported(table(line(1), line(2)).encode(encoding), encoding=encoding).handles == ["bug1", "bug2"]


@pytest.mark.parametrize(
    "encoding",
    ["", "utf-7", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "hz", "undefined", "base64", "rot13",
     "zlib", "bogus", "a\x00b", "\udc80", "../x", "x" * 10_000],
)  # fmt: skip
def test_what_is_no_encoding_of_lines_is_refused_in_a_sentence(encoding: str) -> None:
    with pytest.raises(Permanent, match="cannot be read line by line"):
        Rows(encoding)


@pytest.mark.parametrize(
    ("magic", "told"),
    [(b"\x1f\x8b\x08\x00", "gzip"), (b"PK\x03\x04", "xlsx"), (b"\xd0\xcf\x11\xe0", "xls"), (b"%PDF-1.7", "PDF"),
     (lzma.compress(b"x"), "xz"), (bz2.compress(b"x"), "bzip2"), (b"\x28\xb5\x2f\xfd", "zstd"),
     (b"Rar!\x1a\x07", "RAR"),
     (b"7z\xbc\xaf\x27\x1c", "7z"), (b"SQLite format 3\0", "SQLite"), (b"PAR1", "Parquet"), (b"{\\rtf1", "rtf"),
     (b"<!DOCTYPE html>", "web page"), (b"\xef\xbb\xbf\n<HTML>", "web page"), (b"<?xml", "XML"),
     (b"\x89PNG", "picture")],
)  # fmt: skip
@pytest.mark.parametrize("chunk", [1, 9999])
def test_what_is_no_text_is_named(magic: bytes, told: str, chunk: int) -> None:
    found = imported(magic + bytes(range(256)) * 5, chunk=chunk)
    assert found.refused == [(1, "(file)")]
    assert told in found.reasons[0]


# What only all rows together show


def ids_warned_of(*ids: str) -> list[str]:
    return imported(table(*(f"INSTAGRAM,{each},bug,2026-11-01,10,x" for each in ids)), chunk=9999).report.warnings


def test_ids_that_look_rounded_are_imported_with_a_warning() -> None:
    (told,) = ids_warned_of("12", "17841400000000000", "17841405793187218", "17841400000000000", "17841405822304001")
    assert told.startswith("1 of 3 long ids have nothing but zeros after 15 digits")
    assert "17841400000000000 in line 3" in told


@pytest.mark.parametrize(
    "ids",
    [
        ["17841405793187218"],
        ["1784140000", "100000000000000"],
        [f"17841405793187{n:03}" for n in range(1000)],  # as many as chance makes: 10
        [f"178414057931{n:04}" for n in range(1000, 3000)],  # 200
        [f"178414057931{n:05}" for n in range(10_000, 22_000)],
    ],
    ids=len,
)
def test_ids_that_end_in_zeros_by_chance_are_no_news(ids: list[str]) -> None:
    assert ids_warned_of(*ids) == []


def test_rows_that_contradict_each_other_are_told() -> None:
    assert imported(table(line(1), line(1), line(2))).report.warnings == []
    found = imported(table(line(1), line(1, followers=11), line(2), line(1, bio="y"), line(1)))
    assert found.report.warnings == [
        "2 rows tell of a profile and time what a row shortly before them tells otherwise: the first is kept"
    ]


# Whatever comes

cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text('",\r\n \tx', max_size=12)


@given(
    rows=st.lists(st.lists(cells, min_size=WIDTH, max_size=WIDTH), max_size=8),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    size=st.integers(1, 40),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-be"]),
)
def test_rows_that_csv_wrote_come_out_the_same(
    rows: list[list[str]], end: str, quoting: Any, size: int, encoding: str
) -> None:
    if quoting == csv.QUOTE_MINIMAL:  # it does not quote a line's end of another kind, which would end the line
        rows = [[cell.replace("\r", "").replace("\n", end) for cell in row] for row in rows]
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator=end, quoting=quoting)
    writer.writerows([HEADER.split(","), *rows])
    reader, found = Rows(encoding), []
    for piece in chunks(file.getvalue().encode(encoding), size):
        found += [reader.row(record) for records in reader.feed(piece) for _, record in records]
    found += [reader.row(record) for records in reader.end() for _, record in records]
    kept = [[cell.strip() for cell in row] for row in rows]
    assert [list(row.values()) for row in found] == [row for row in kept if any(row)]


pieces = st.sampled_from(
    [b"\n", b"\r", b"\r\n", b";", b"\t", b"sep=;", b"<html>", b"Platform",
     b'"', b'""', b",", b"{", b"}", b"[", b"\x00", b"\xff", b"\xe9", b"\xff\xfe",
     b"\xef\xbb\xbf", b'{"', b"\\u0000", b"INSTAGRAM,1,a,2026-01-01,5,x", b'{"platform": "YOUTUBE"}', HEADER.encode(),
     b" ", b"1e999", b"\x1f\x8b"]
)  # fmt: skip


@settings(max_examples=300)
@given(
    content=st.lists(pieces | st.binary(max_size=6), max_size=40).map(b"".join),
    header=st.sampled_from([b"", HEADER.encode() + b"\n", "\ufeff".encode("utf-16")]),
    size=st.integers(1, 50),
    encoding=st.sampled_from([None, None, "cp1252", "utf-16", "utf-32", "shift_jis", "gb18030", "iso2022_jp", "cp037"]),
)
@example(content=b'"\r', header=b"", size=1, encoding=None)
def test_any_bytes_are_rows_or_refused(content: bytes, header: bytes, size: int, encoding: str | None) -> None:
    """No exception, every row accounted for (`imported` looks), and the same whatever the chunks."""
    found = imported(header + content, chunk=size, encoding=encoding)
    again = imported(header + content, chunk=10_000, encoding=encoding)
    assert found == again
    assert not any("could not be read" in reason for reason in found.reasons)


def test_names_with_accents_are_imported_in_their_encoding() -> None:
    content = f"{HEADER}\nINSTAGRAM,9915,café.josé,2026-11-15,15,Müage Zürich\n".encode("cp1252")
    assert imported(content).refused == [(2, "(row)")]
    assert imported(content, encoding="cp1252").handles == ["café.josé"]

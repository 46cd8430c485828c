"""Files of followers as rows: the same rows from each kind of file, from anywhere in it, and of broken ones all that is
whole."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from gcc.errors import ConfigError
from gcc.pipelines.scoring import pieces as bounds
from gcc.pipelines.scoring import rows
from gcc.pipelines.scoring.files import open_source
from gcc.pipelines.scoring.parquets import Parquet
from gcc.pipelines.scoring.pieces import Piece, Position
from gcc.pipelines.scoring.record import Account, Follower, Scored
from gcc.pipelines.scoring.rows import Row, _account, _decoded, score_rows

FOLLOWERS: list[dict[str, Any]] = [
    {"handle": "asha", "follower_handle": f"ravi_{number}", "follower_full_name": name}
    for number, name in enumerate(
        ("Ravi Kumar", 'Ravi "R" Kumar', "रवि, कुमार", "", "}]\\", "Ravi\nKumar", "{[,", "रवि")
    )
]


def written(folder: Path, kind: str) -> Path:
    file = folder / f"followers.{kind.partition(' ')[0]}"
    header = list(FOLLOWERS[0])
    if kind == "ndjson":
        file.write_text("".join(json.dumps(row) + "\n" for row in FOLLOWERS))
    elif kind == "json":
        file.write_text(
            "\ufeff [\r\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in FOLLOWERS) + "\n ]\n"
        )
    elif kind == "json pretty":
        file.write_text(json.dumps(FOLLOWERS, indent=2))
    elif kind == "json wrapped":
        file.write_text(json.dumps({"status": "ok", "data": FOLLOWERS}, indent=1))
    elif kind == "json of objects":
        file.write_text("\n".join(json.dumps(row, indent=1) for row in FOLLOWERS))
    elif kind == "json of lists":
        file.write_text(json.dumps(FOLLOWERS[:3]) + "\n" + json.dumps(FOLLOWERS[3:]))
    elif kind == "json of lines":
        file.write_text("".join(json.dumps(row) + "\r\n\r\n" for row in FOLLOWERS))
    elif kind == "parquet":
        parquet.write_table(pyarrow.Table.from_pylist(FOLLOWERS), file, row_group_size=3)
    else:
        quoted = [
            delimiter_of(kind).join('"' + str(row[name]).replace('"', '""') + '"' for name in header)
            for row in FOLLOWERS
        ]
        file.write_text("\ufeff" + delimiter_of(kind).join(header) + "\n" + "\n".join(quoted), newline="")
    return file


def delimiter_of(kind: str) -> str:
    return {"csv": ",", "csv of semicolons": ";", "tsv": "\t"}[kind]


JSON = ("ndjson", "json", "json pretty", "json of lines", "json wrapped", "json of objects", "json of lists")
KINDS = (*JSON, "parquet", "csv", "csv of semicolons", "tsv")


@pytest.fixture(params=(1, 3, 1000))
def piece_rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "PIECE_ROWS", request.param)


def rows_of(pieces: list[Piece]) -> list[Any]:
    return [dict(_decoded(row.given)) for piece in pieces for row in piece.rows]


@pytest.mark.parametrize("read_bytes", [7, 1 << 18])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_file_has_the_same_rows_from_wherever_it_is_read(
    kind: str, read_bytes: int, piece_rows: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "READ_BYTES", read_bytes)
    source = open_source(written(tmp_path, kind))
    pieces = list(source.pieces(Position()))
    assert rows_of(pieces) == FOLLOWERS
    for number, piece in enumerate(pieces, 1):
        assert rows_of(list(source.pieces(piece.after))) == rows_of(pieces[number:])


def told(file: Path) -> tuple[list[str], list[tuple[int, str]]]:
    """Handles, and what is told of other lines."""
    found = [row for piece in open_source(file).pieces(Position()) for row in piece.rows]
    answer = score_rows("ndjson", found)
    return [json.loads(line)["follower_handle"] for line in answer.body.splitlines()], answer.bad


def good(handle: str) -> str:
    return json.dumps({"follower_handle": handle, "follower_full_name": "Ravi Kumar"})


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"follower_handle": "x"', "it is no JSON"),
        ("nonsense", "it is no JSON"),
        ("42", "it is no object but 42"),
        ("[1]", "it is no object but [1]"),
        ("[" * 100_000, "it is"),
        ('{"a": "' + "x" * bounds.ROW_BYTES_MAX + '"}', "it is longer than"),
    ],
)
def test_a_line_that_is_no_row_is_told_and_costs_no_other(line: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    file.write_text(f"{good('a')}\n\n{line}\n{good('b')}\n{good('c')}")
    handles, bad = told(file)
    assert handles == ["a", "b", "c"]
    assert [number for number, _ in bad] == [3] and why in bad[0][1]


@pytest.mark.parametrize(
    ("element", "why"),
    [
        ("nonsense", "it is no JSON"),
        ("42", "it is no object but 42"),
        ('"text"', 'it is no object but "text"'),
        ('{"follower_handle": x}', "it is no JSON"),
        ('{"follower_handle": "x"', "it is never closed"),
        ('{"a": "' + "x" * bounds.ROW_BYTES_MAX + '"}', "or longer than"),
    ],
)
def test_an_element_that_is_no_row_is_told_and_costs_no_other(element: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(f"[{good('a')},\n{element},\n{good('b')},\n{good('c')}]\n")
    handles, bad = told(file)
    assert handles == ["a", "b", "c"]
    assert [number for number, _ in bad] == [2] and why in bad[0][1]


def test_an_array_that_was_cut_off_keeps_its_whole_elements(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    whole = f"[{good('a')}, {good('b')}]"
    for cut, handles in ((len(whole) - 1, ["a", "b"]), (len(whole) - 3, ["a"]), (1, [])):
        file.write_text(whole[:cut])
        assert told(file)[0] == handles
        assert told(file)[1]


def test_in_csv_quotes_may_hold_line_breaks_and_may_be_inches(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    lines = [
        "follower_handle,follower_full_name",
        "a,Ravi",
        'b,"Ravi\nKumar"',
        'c,"5\'10" tall"',  # no quotes, but inches: as it is written
        'd,"never closed',
        *(f"e{number},Ravi" for number in range(20)),
        "f,Ravi,more,and more",
        "g,Ravi,,",
        ",",
        "h",
    ]
    file.write_text("\n".join(lines) + "\n")
    handles, bad = told(file)
    assert handles == ["a", "b", "c", "d", *(f"e{number}" for number in range(20)), "g", "h"]
    assert bad == [(27, "it has 4 fields, and the header 2")]
    file.write_bytes(b"follower_handle,follower_full_name\na,Jos\xe9 Pe\xf1a\nb,Ravi\n")
    handles, bad = told(file)
    assert handles == ["b"]
    assert bad[0][0] == 2 and "it is not UTF-8; it looks like cp1252" in bad[0][1]


def test_an_open_quote_costs_a_few_lines_of_work_each(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("follower_handle,follower_full_name\n" + 'a,"Ravi\n' * 5_000)
    handles, bad = told(file)
    assert len(handles) + len(bad) <= 5_000 and len(handles) > 600


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        (
            "a.csv",
            b"handle_of,full\nx,y\n",
            "needs the columns follower_handle and follower_full_name; it has handle_of, full",
        ),
        ("a.csv", b"", "needs the columns"),
        ("a.csv", b"follower_handle,follower_full_name,follower_handle\n", "has the column follower_handle twice"),
        ("a.csv", b"follower_handle,follower_full_name\ra,b\r", "ends its lines with CR alone"),
        ("a.csv", "follower_handle,follower_full_name\n".encode("utf-16"), "is UTF-16"),
        ("a.json", b"\x1f\x8b\x08\0", "is packed (gzip)"),
        ("a.parquet", b"PAR1", "is no Parquet"),
        ("a.txt", b"", "must end in one of"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(
    name: str, content: bytes, why: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r".") as refused:
        open_source(file)
    assert why in str(refused.value)


def test_no_file_is_refused(tmp_path: Path) -> None:
    for file in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(ConfigError):
            open_source(file)


@pytest.mark.parametrize(
    "row",
    [
        {"followers": 3, "following": 4.0, "posts": 0, "picture": True, "private": False, "age_days": 9},
        {"followers": "3", "following": "4", "posts": "0", "picture": "true", "private": "no", "age_days": "9"},
        {"account": {"followers": 3, "following": 4, "posts": 0, "picture": 1, "private": 0, "age_days": 9}},
    ],
)
def test_what_a_row_tells_of_the_account(row: dict[str, Any]) -> None:
    assert _account(row) == Account(3, 4, 0, True, False, 9)


@pytest.mark.parametrize(
    "odd", ["", "1.234", "1_000", "-1", -1, True, [], {}, "9" * 40, float("nan"), float("inf"), None]
)
def test_what_is_no_count_is_not_known(odd: Any) -> None:
    assert _account({"followers": odd, "picture": "perhaps"}) == Account()


def damaged(content: bytes, chance: random.Random) -> bytes:
    broken = bytearray(content)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(broken) + 1)
        odd = bytes(chance.choice(b'"{}[],\\\n\r \0\xff\xef;\t') for _ in range(chance.randrange(6)))
        broken[at : at + chance.choice((0, 1, 1, 30))] = odd
    return bytes(broken)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", [*JSON, "csv"])
def test_whatever_a_file_holds_reading_goes_on_from_anywhere_to_the_same_rows(
    kind: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "PIECE_ROWS", 3)
    chance = random.Random(seed)
    file = written(tmp_path, kind)
    content = file.read_bytes()
    for _ in range(20):
        file.write_bytes(damaged(content, chance))
        monkeypatch.setattr(bounds, "READ_BYTES", chance.choice((5, 17, 64, 1 << 18)))
        try:
            source = open_source(file)
        except ConfigError:
            continue  # its header, or its first bytes
        pieces = list(source.pieces(Position()))
        monkeypatch.setattr(bounds, "READ_BYTES", chance.choice((5, 17, 64, 1 << 18)))
        for number, piece in enumerate(pieces, 1):
            assert [row for later in source.pieces(piece.after) for row in later.rows] == [
                row for later in pieces[number:] for row in later.rows
            ]
            score_rows("ndjson", piece.rows)


@pytest.mark.parametrize("kind", ["ndjson", "json", "csv"])
def test_rows_of_a_megabyte_come_one_by_one(kind: str, tmp_path: Path) -> None:
    file = tmp_path / f"a.{kind}"
    handles = [str(number) * (bounds.ROW_BYTES_MAX - 200) for number in range(4)]
    if kind == "csv":
        file.write_text("follower_handle,follower_full_name\n" + "".join(f"{handle},Ravi\n" for handle in handles))
    else:
        parts = {"ndjson": ("", "\n", "\n"), "json": ("[", ",", "]")}[kind]
        file.write_text(parts[0] + parts[1].join(map(good, handles)) + parts[2])
    pieces = list(open_source(file).pieces(Position()))
    assert [dict(_decoded(row.given))["follower_handle"] for piece in pieces for row in piece.rows] == handles
    assert max(len(piece.rows) for piece in pieces) <= 2


def test_a_bug_of_the_scorer_costs_its_row_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    real = rows.score

    def broken(follower: Follower) -> Scored:
        if follower.handle == "b":
            raise ZeroDivisionError("a bug")
        return real(follower)

    monkeypatch.setattr(rows, "score", broken)
    answer = score_rows("ndjson", [Row(line, good(handle).encode()) for line, handle in enumerate("abc", 1)])
    answers = [json.loads(line) for line in answer.body.splitlines()]
    assert [one["follower_handle"] for one in answers] == ["a", "b", "c"]
    assert [one["score"] is None for one in answers] == [False, True, False]
    assert answers[1]["refused"] == "the scorer failed over it: ZeroDivisionError('a bug')"
    assert answer.counts["unscored"] == 1


def test_odd_values_of_a_row_are_answered() -> None:
    odd = [{"follower_handle": value, "follower_full_name": value} for value in (None, 7, [], {}, "\ud800", "", True)]
    given = [Row(number, json.dumps(row).encode()) for number, row in enumerate(odd, 1)]
    for form in ("ndjson", "array", "csv"):
        answer = score_rows(form, given)
        assert not answer.bad and answer.counts.keys() <= {"unscored", "real", "weak"}
        answer.body.decode()
    answers = [json.loads(line) for line in score_rows("ndjson", given).body.splitlines()]
    assert [answer["follower_handle"] for answer in answers] == ["", "7", "", "", "\ud800", "", ""]
    assert all((answer["score"] is None) == bool(answer["refused"]) for answer in answers)


@pytest.mark.parametrize("kind", ["string", "large_string"])
def test_texts_that_parquet_holds_once_for_many_rows_take_the_memory_of_one_piece(kind: str, tmp_path: Path) -> None:
    """A bomb: a kilobyte of a file for gigabytes of rows."""
    texts = pyarrow.array(["b" * 600_000, "Ravi", "c" * 2_000_000], getattr(pyarrow, kind)())
    places = pyarrow.array([0, 0, 0, 1, 1, 2, 1, None, 0, 1], pyarrow.int32())
    names = pyarrow.DictionaryArray.from_arrays(places, texts)
    handles = [f"ravi_{number}" for number in range(10)]
    file = tmp_path / "bomb.parquet"
    parquet.write_table(
        pyarrow.table({"follower_handle": handles, "follower_full_name": names}), file, row_group_size=4
    )
    pieces = list(open_source(file).pieces(Position()))
    assert max(sum(len(str(row.given)) for row in piece.rows) for piece in pieces) < 2 * bounds.ROW_BYTES_MAX
    found = [row for piece in pieces for row in piece.rows]
    assert [row.line for row in found] == list(range(1, 11)) and pieces[-1].after == Position(10, 11)
    assert found[5].given == bounds.TOO_LONG
    assert found[4].given == {"follower_handle": "ravi_4", "follower_full_name": "Ravi"}
    for at in range(11):
        rest = [row for piece in open_source(file).pieces(Position(at, at + 1)) for row in piece.rows]
        assert rest == found[at:]


def test_rows_of_parquet_that_are_large_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "large.parquet"
    names = [chr(97 + number) * 400_000 for number in range(20)]
    parquet.write_table(
        pyarrow.table({"follower_handle": names, "follower_full_name": names}), file, use_dictionary=False
    )
    source = open_source(file)
    assert isinstance(source, Parquet) and source._rows_at_once < bounds.PIECE_ROWS

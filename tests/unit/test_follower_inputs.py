"""Files as people have them: what spreadsheets, pandas, Spark and Instagram's own download make of followers."""

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from gcc.errors import ConfigError
from gcc.pipelines.scoring import pieces as bounds
from gcc.pipelines.scoring.arrays import opening
from gcc.pipelines.scoring.files import kind_of, open_source
from gcc.pipelines.scoring.pieces import Position
from gcc.pipelines.scoring.record import Account
from gcc.pipelines.scoring.rows import COLUMNS, _account, _known, known_as, plain_handle, score_rows

ASHA, RAVI = ({"follower_handle": handle, "follower_full_name": "Asha Rao"} for handle in ("asha", "ravi"))
A, R = json.dumps(ASHA), json.dumps(RAVI)
WRAPPED = {"status": 'ok "', "count": 2.0, "next": None, "data": [ASHA, RAVI]}
NAMES = ("follower_handle", "follower_full_name")


def read(folder: Path, name: str, content: str | bytes) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """Answers, and lines that are none; alike from behind any row."""
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    source = open_source(file)
    found = list(source.pieces(Position()))
    rows = [row for piece in found for row in piece.rows]
    for number, piece in enumerate(found, 1):
        rest = [row for later in source.pieces(piece.after) for row in later.rows]
        assert rest == [row for later in found[number:] for row in later.rows]
    answer = score_rows("ndjson", rows)
    return [json.loads(line) for line in answer.body.splitlines()], answer.bad


def handles(answers: list[dict[str, Any]]) -> list[str]:
    return [answer["follower_handle"] for answer in answers]


@pytest.mark.parametrize("piece_rows", [1, 1000])
@pytest.mark.parametrize(
    ("content", "form"),
    [
        (f"[{A},{R}]", "list"),
        (f"[{A}]\n[{R}]\n", "list"),
        (f"{A}\n{R}\n", "lines"),
        (f"{A}{R}", "objects"),
        (f"{A},\n{R},\n", "objects"),
        (json.dumps(ASHA, indent=2) + "\n" + json.dumps(RAVI, indent=2), "objects"),
        (json.dumps({"followers": [ASHA, RAVI]}), "wrapped list"),
        (json.dumps(WRAPPED, indent=1), "wrapped list"),
        (f'\ufeff {{ "data" : [ {A}, {R} ] }}\n', "wrapped list"),
    ],
)
@pytest.mark.parametrize("suffix", ["json", "ndjson", "jsonl"])
def test_json_of_any_shape_has_its_followers(
    suffix: str, content: str, form: str, piece_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "PIECE_ROWS", piece_rows)
    answers, bad = read(tmp_path, f"a.{suffix}", content)
    assert (handles(answers), bad) == (["asha", "ravi"], [])
    assert opening(tmp_path / f"a.{suffix}").form == form


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        ({"follower_handle": {"0": "asha"}, "follower_full_name": {"0": "Asha"}}, 1, "orient='records'"),
        ({"columns": [*NAMES], "index": [0], "data": [["asha", "Asha"]]}, 1, "but columns, index, data; an object for"),
        ({"0": ASHA, "1": RAVI}, 1, "it has neither follower_handle nor follower_full_name, but 0, 1"),
        ([{"user": ASHA}], 1, "but user"),
        ([{}], 1, "but nothing"),
        ([{"\ud800": 1}], 1, "but ?"),
    ],
)
def test_what_names_nobody_is_told_and_is_no_follower_without_a_score(
    content: Any, line: int, why: str, tmp_path: Path
) -> None:
    answers, ((number, told),) = read(tmp_path, "a.json", json.dumps(content))
    assert (answers, number) == ([], line) and why in told


def test_what_stands_behind_a_list_is_told(tmp_path: Path) -> None:
    for behind in (', "more": [1]}', "nonsense", "{}"):
        answers, ((line, told),) = read(tmp_path, "a.json", f'{{"data": [{A}\n]{behind}')
        assert (handles(answers), line, told) == (["asha"], 2, "it stands behind the list, and is not read")


def test_followers_as_instagram_lets_people_download_them(tmp_path: Path) -> None:
    said = {"href": "https://www.instagram.com/ravi.k", "value": "ravi.k", "timestamp": 1700000000}
    followers = [{"title": "", "media_list_data": [], "string_list_data": [said]}]
    following = {"title": "ravi.k", "string_list_data": [{"href": "https://www.instagram.com/_u/ravi_12345"}]}
    answers, bad = read(tmp_path, "followers_1.json", json.dumps(followers, indent=2))
    assert (handles(answers), bad, answers[0]["refused"]) == (
        ["ravi.k"],
        [],
        "the full name has no letter to compare with the handle",
    )
    assert answers[0]["string_list_data"] == [said]
    answers, bad = read(tmp_path, "following.json", json.dumps({"relationships_following": [following] * 2}, indent=2))
    assert (len(answers), bad, answers[0]["score"]) == (2, [], 1.0)


@pytest.mark.parametrize(
    "header",
    [
        "follower_handle,follower_full_name,followers,private",
        "Follower_Handle, FOLLOWER_FULL_NAME ,Followers,Private",
        "Follower Handle,Follower Full Name,Followers Count,Is Private",
        "followerHandle,followerFullName,followersCount,isPrivate",
        "Username,Full Name,Followers,Private",
        "userName,fullName,follower_count,is_private",
        '"Follower-Handle","follower.full.name","Followers","Private"',
    ],
)
def test_columns_are_known_however_they_are_spelled(header: str, tmp_path: Path) -> None:
    (row,), bad = read(tmp_path, "a.csv", f'{header}\nasha,Asha Rao,"1,234",no\n')
    assert not bad and (row["follower_handle"], row["follower_full_name"]) == ("asha", "Asha Rao")
    assert {reason["feature"]: reason["value"] for reason in row["account_reasons"]}["followers"] == 1234
    spelled = [name.strip().strip('"') for name in header.split(",")]
    assert _account(_known(dict(zip(spelled, ("asha", "Asha", 9, True), strict=True)))) == Account(9, private=True)
    as_json = dict(zip(spelled, ("asha", "Asha Rao", 1234, False), strict=True))
    again, _ = read(tmp_path, "a.json", json.dumps([as_json]))
    assert (again[0]["score"], again[0]["account_score"]) == (row["score"], row["account_score"])


def test_a_key_that_says_nothing_is_nothing() -> None:
    for key in ("", "_", "follower", "x" * 10_000, "follower_handle_of", "\ud800"):
        assert known_as(key) == ""


@pytest.mark.parametrize(
    "content",
    [
        "\n \n{header}\n{row}\n",
        "sep=,\n{header}\n{row}\n",
        '\ufeff"sep=,"\r\n{header}\r\n{row}\r\n,,,\r\n\r\n',
        "{header},,\n{row},,\n",
    ],
)
def test_tables_as_spreadsheets_write_them(content: str, tmp_path: Path) -> None:
    for delimiter in ",;\t|":
        text = content.format(header="note,follower_handle,follower_full_name", row="x,asha,Asha Rao")
        (row,), bad = read(tmp_path, "a.csv", text.replace(",", delimiter))
        assert (row["follower_handle"], row["note"], bad) == ("asha", "x", [])
        assert "" not in row


def test_a_header_that_comes_again_is_no_follower(tmp_path: Path) -> None:
    """Files that were put one behind the other."""
    table = " follower_handle,Full Name\r\nasha,Asha Rao\r\n"
    answers, bad = read(tmp_path, "a.csv", table * 2 + '"follower_handle","Full Name"\r\n' + "follower_handle,Asha")
    assert (handles(answers), bad) == (["asha", "asha", "follower_handle"], [])


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("12.0", 12), ("1,234", 1234), ("1,23,456", 123456), ("1,234.00", 1234), (" 7 ", 7), ("1.2K", 1200),
        ("1.234k", 1234), ("3M", 3_000_000), ("0.5b", 500_000_000), (Decimal("12"), 12),
        ("1.234", None), ("1,2", None), ("1,2K", None), ("12.5", None), ("K", None), ("1e3", None), ("٣", None),
        ("NaN", None), ("1,234K", None), ("-3", None), (Decimal("NaN"), None),
    ],
)  # fmt: skip
def test_counts_as_people_and_pandas_write_them(text: Any, count: int | None) -> None:
    assert _account({"followers": text}).followers == count


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("@ravi.k", "ravi.k"),
        (" ravi.k ", "ravi.k"),
        ("https://www.instagram.com/ravi.k/", "ravi.k"),
        ("instagram.com/ravi.k?igsh=abc12345", "ravi.k"),
        ("HTTPS://Instagram.com/_u/ravi.k", "ravi.k"),
        ("https://www.youtube.com/@ravi-k", "ravi-k"),
        ("https://www.instagram.com/p/abc123456/", "https://www.instagram.com/p/abc123456/"),
        ("ravi@gmail.com", "ravi@gmail.com"),
        ("ravi/k", "ravi/k"),
        ("", ""),
    ],
)
def test_handles_are_read_out_of_what_stands_for_them(given: str, plain: str, tmp_path: Path) -> None:
    assert plain_handle(given) == plain
    rows = [{"follower_handle": handle, "follower_full_name": "Ravi K"} for handle in (given, plain)]
    (of_given, of_plain), _ = read(tmp_path, "a.json", json.dumps(rows))
    assert of_given | {"follower_handle": plain} == of_plain and of_given["follower_handle"] == given


@pytest.mark.parametrize("nothing", ["nan", "NaN", "None", "null", "NULL", "<NA>", "N/A", "\\N"])
def test_what_programs_write_for_nothing_is_no_name(nothing: str, tmp_path: Path) -> None:
    rows = f"follower_handle,follower_full_name\nravi_k,{nothing}\n{nothing},Ravi K\nnan_k,Nan K\n"
    (nameless, nobody, nan), _ = read(tmp_path, "a.csv", rows)
    assert (nameless["score"], nobody["refused"], nan["score"]) == (None, "the follower has no handle", 0.0)


def test_what_else_a_row_has_is_repeated_as_it_is(tmp_path: Path) -> None:
    own = {"id": 10**25, "note": "x\ud83d", "tags": [1, {"a": None}], "Score": 3, "followers": 9, "username": "b"}
    (row,), _ = read(tmp_path, "a.json", json.dumps([own | ASHA | {"score": "of before", "handle": 7}]))
    assert {key: row[key] for key in own} == own
    assert (row["score"], row["handle"], list(row)[-1]) == (0.0, "7", "refused")
    (row,), _ = read(tmp_path, "a.json", '[{"a": NaN, "b": 1e999, "c": "\\ud800", "follower_handle": "asha"}]')
    assert (row["a"], row["b"]) == (None, None)


@pytest.mark.parametrize("depth", range(960, 1000, 3))
def test_what_is_nested_as_deep_as_can_be_read_costs_nobody_a_score(depth: int, tmp_path: Path) -> None:
    answers, bad = read(tmp_path, "a.json", f'[{R}, {A[:-1]}, "deep": {"[" * depth}{"]" * depth}}}]')
    assert len(answers) + len(bad) == 2 and handles(answers)[0] == "ravi"


def test_columns_of_the_file_are_its_own_and_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("score,note,Note,note,,follower_handle,follower_full_name\n1,2,3,4,5,asha,Asha\n")
    source = open_source(tmp_path / "a.csv")
    own = source.own()
    assert list(own) == ["note", "Note", "note.1"]
    ((row,),) = [piece.rows for piece in source.pieces(Position())]
    head, line = (score_rows("csv", [row], own).body.decode().partition("\n")[0], rows_header(own))
    assert line.split(",") == [*own, *COLUMNS] and head.startswith("2,3,4,")
    many = ",".join(f"c{number}" for number in range(5_000))
    (tmp_path / "a.csv").write_text(f"follower_handle,follower_full_name,{many}\n")
    assert len(open_source(tmp_path / "a.csv").own()) == bounds.OWN_MAX
    long = ",".join(f"{number:05d}{'x' * 5_000}" for number in range(150))
    (answer,), _ = read(tmp_path, "a.csv", f"{long},follower_handle,full_name\n{',' * 150}asha,Asha\n")
    assert len(json.dumps(answer)) < 3_000, "or a row of a hundred bytes would have a megabyte of names"
    (tmp_path / "a.json").write_text(json.dumps([{"b": 1, "\ud800": 2} | ASHA, {"a": 1} | RAVI]))
    assert list(open_source(tmp_path / "a.json").own()) == ["b", "a"]


def rows_header(own: Any) -> str:
    from gcc.pipelines.scoring.rows import header

    return header("csv", own).decode().rstrip()


def test_parquet_of_pandas_and_spark_has_its_columns_as_json_has_them(tmp_path: Path) -> None:
    at = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    columns: dict[str, Any] = {
        "Follower Handle": pyarrow.array([b"asha", b"ra\xffvi"], pyarrow.binary()),
        "follower_full_name": pyarrow.array(["Asha Rao", None]).dictionary_encode(),
        "followers": pyarrow.array([Decimal("12.00"), None], pyarrow.decimal128(10, 2)),
        "following": pyarrow.array([7.0, float("nan")]),
        "id": pyarrow.array([1, None], pyarrow.int64()),
        "rank": pyarrow.array([1, 2], pyarrow.int8()).dictionary_encode(),
        "big": pyarrow.array([2**64 - 1, 0], pyarrow.uint64()),
        "ok": pyarrow.array([True, None]),
        "at": pyarrow.array([at, None], pyarrow.timestamp("ns", "Asia/Kolkata")),
        "nothing": pyarrow.nulls(2),
        "tags": pyarrow.array([["a"], None]),
        "a.b": ["x", "y"],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet", use_deprecated_int96_timestamps=True)
    (asha, ravi), bad = read(tmp_path, "a.parquet", (tmp_path / "a.parquet").read_bytes())
    told = {"Follower Handle": "asha", "id": 1, "rank": 1, "big": str(2**64 - 1), "ok": True, "nothing": None}
    assert asha["a.b"] == "x" and told.items() <= asha.items() and not bad
    assert asha["at"].startswith("2026-01-02 03:04:05") and "tags" not in asha
    values = {reason["feature"]: reason["value"] for reason in asha["account_reasons"]}
    assert (values["followers"], values["following"]) == (12, 7)
    assert (ravi["follower_handle"], ravi["follower_full_name"], ravi["account_score"]) == ("ra\ufffdvi", "", None)
    kinds = dict(open_source(tmp_path / "a.parquet").own())
    assert (kinds["id"], kinds["rank"], kinds["following"], kinds["ok"], kinds["big"]) == (
        "int", "int", "float", "bool", "text",
    )  # fmt: skip
    assert "tags" not in kinds


def test_of_what_parquet_nests_only_the_figures_of_the_account_are_read(tmp_path: Path) -> None:
    """Else a bomb: a few kilobytes for gigabytes."""
    accounts = [{"followers": 5, "isPrivate": True, "bio": "b" * 1_000_000, "posts": [1] * 9}] * 3
    table = pyarrow.table({"follower_handle": ["a", "b", "c"], "follower_full_name": ["Asha"] * 3, "account": accounts})
    parquet.write_table(table, tmp_path / "a.parquet")
    source = open_source(tmp_path / "a.parquet")
    rows = [row for piece in source.pieces(Position()) for row in piece.rows]
    assert [dict(row.given)["account"] for row in rows] == [{"followers": 5, "isPrivate": True}] * 3  # type: ignore[arg-type]
    assert _account(_known(rows[0].given)) == Account(5, private=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.csv", f"{','.join(NAMES)}\n".encode("utf-16-le"), "is UTF-16"),
        ("a.csv.gz", b"", "unpack it first: gunzip"),
        ("a.xlsx", b"", "save it as CSV UTF-8"),
        ("followers_1.html", b"", "ask for JSON"),
        ("a.csv", b"Follower Handle,follower_handle,full_name\n", "twice (Follower Handle, follower_handle)"),
        ("-", None, "there is no"),
    ],
)
def test_what_is_not_read_says_the_way_out(name: str, content: bytes | None, why: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        open_source(tmp_path / name)
    assert why in str(refused.value)
    with pytest.raises(ConfigError, match=r"must end in one of [^;]*$"):
        kind_of(Path("out.csv.gz"))  # of a result
    with pytest.raises(ConfigError, match="is a folder"):
        open_source(tmp_path)

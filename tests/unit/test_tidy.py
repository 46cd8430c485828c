"""The shape of the house: which room may import which, how large rooms are, where time and chance come from.

Sizes count lines of code: no blank lines, comments or docstrings. An exception stands in LARGE, with its reason.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "gcc").rglob("*.py"))
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
LARGE: dict[str, str] = {}

# A room may import itself and the rooms of later rows; those of one row do not know each other.
ROWS = (
    ("gcc.cli",),
    ("gcc.tree",),
    ("gcc.parts",),
    ("gcc.keeping",),
    ("gcc.world",),
    ("gcc.web",),
    ("gcc.pipelines",),
    ("gcc.stores",),
    ("gcc.actors",),
    ("gcc.channels",),
    ("gcc.sources",),
    ("gcc.metrics", "gcc.config", "gcc.clock", "gcc.supervisor", "gcc.statements", "gcc.threads"),
    ("gcc.platforms",),
    ("gcc.refusals",),
    ("gcc.errors", "gcc.addresses", "gcc.passwords", "gcc.tables", "gcc.masking", "gcc.interrupt", "gcc.formulas"),
)
# Drivers, and the rooms that may import them. What actors and pipelines speak stands below the stores.
DRIVERS = (
    (("psycopg", "clickhouse_connect", "chdb", "urllib3", "redis", "pamqp", "botocore"), ("gcc.stores",)),
    (("httpx",), ("gcc.sources", "gcc.cli", "gcc.world")),
    (("quart", "quart_trio", "hypercorn", "httptools"), ("gcc.web",)),
)
FORBIDDEN_NAMES = ("utils", "common", "helpers", "manager", "base")
CLOCKS = re.compile(
    r"datetime\.(now|utcnow)\(|dt\.datetime\.now\(|\btime\.time\(|uuid4\(|\brandom\.(random|choice|uniform|randint)\("
)


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def within(name: str, *rooms: str) -> bool:
    return any(name == room or name.startswith(room + ".") for room in rooms)


def room_of(name: str) -> tuple[int, str]:
    """The row of a module's room, and the room."""
    found = [(number, room) for number, rooms in enumerate(ROWS) for room in rooms if within(name, room)]
    assert found, f"{name} is in no row"
    return found[0]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def code_lines(source: str) -> set[int]:
    """Numbers of the lines that hold code."""
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (
            tokenize.COMMENT,
            tokenize.NL,
            tokenize.NEWLINE,
            tokenize.INDENT,
            tokenize.DEDENT,
            tokenize.ENDMARKER,
        ):
            held.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            text = node.body[0]
            held.difference_update(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    return held


@pytest.mark.parametrize("path", FILES, ids=module)
def test_imports_point_one_way(path: Path) -> None:
    own = module(path)
    if own in ("gcc", "gcc.supervisor.__main__"):  # __main__ is the five lines that call the command line
        return
    row, room = room_of(own)
    for name in imports(path):
        if name.startswith("gcc."):
            assert within(name, room) or room_of(name)[0] > row, f"{own} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=module)
def test_drivers_stay_in_their_rooms(path: Path) -> None:
    used = {name.partition(".")[0] for name in imports(path)}
    for drivers, rooms in DRIVERS:
        assert within(module(path), *rooms) or not used & set(drivers), f"{module(path)} imports {used & set(drivers)}"


def test_only_the_tree_imports_the_world() -> None:
    users = {module(path) for path in FILES for name in imports(path) if name.startswith("gcc.world")}
    assert {user for user in users if not user.startswith("gcc.world")} <= {"gcc.tree"}


def test_the_supervisor_knows_nothing_of_the_platform() -> None:
    for path in (ROOT / "gcc" / "supervisor").glob("*.py"):
        if path.name != "__main__.py":
            known = {name for name in imports(path) if name.startswith("gcc.")}
            assert all(name.startswith("gcc.supervisor") for name in known), (path, known)


@pytest.mark.parametrize("path", FILES, ids=module)
def test_sizes(path: Path) -> None:
    source = path.read_text()
    held = code_lines(source)
    name = module(path)
    if name not in LARGE:
        assert len(held) <= FILE_LINES_MAX, f"{name}: {len(held)} lines of code"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = len(held & set(range(node.lineno, (node.end_lineno or node.lineno) + 1)))
            if f"{name}.{node.name}" not in LARGE:
                assert size <= FUNCTION_LINES_MAX, f"{name}.{node.name}: {size} lines of code"


@pytest.mark.parametrize("path", FILES, ids=module)
def test_names_and_time(path: Path) -> None:
    assert not set(path.relative_to(ROOT).with_suffix("").parts) & set(FORBIDDEN_NAMES)
    if module(path) != "gcc.clock":
        assert not CLOCKS.search(path.read_text()), f"{path} reads time or chance itself; use gcc.clock"


def test_versions_are_pinned_without_addresses() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert len(lines) > 20
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line), line

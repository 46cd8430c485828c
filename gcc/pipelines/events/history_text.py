"""A history file's bytes as text: which encoding they are in, and what a line in another one probably is.

Without a named encoding a byte order mark tells, or the zeros of UTF-16 and UTF-32; else it is UTF-8. Bytes that the
encoding does not have become lone surrogates, which no text has, so that they cost their line alone (`unreadable`).
An encoding is taken if it is one of text, decodes byte by byte as at once, and writes every ASCII character as a
character of its own (UTF-7, IDNA, unicode_escape and their kind do not: a line's end could hide in them).
"""

import codecs
import re

from gcc.errors import Permanent

DEFAULT = "utf-8"
OPENING_BYTES = 4
"""What is needed of a file to tell its encoding."""

_ERRORS = "gcc.unreadable"
_UNREADABLE = re.compile("[\ud800-\udfff]")
_ASCII = "\t\r\n" + "".join(map(chr, range(32, 127)))
_OPENINGS = (  # the first that fits; the zeros are those of an ASCII character, with which every file begins
    (re.compile(rb"\xef\xbb\xbf"), "utf-8"),
    (re.compile(rb"\xff\xfe\0\0"), "utf-32-le"),
    (re.compile(rb"\0\0\xfe\xff"), "utf-32-be"),
    (re.compile(rb"\xff\xfe"), "utf-16-le"),
    (re.compile(rb"\xfe\xff"), "utf-16-be"),
    (re.compile(rb"[^\0]\0\0\0", re.DOTALL), "utf-32-le"),
    (re.compile(rb"\0\0\0[^\0]", re.DOTALL), "utf-32-be"),
    (re.compile(rb"[^\0]\0", re.DOTALL), "utf-16-le"),
    (re.compile(rb"\0[^\0]", re.DOTALL), "utf-16-be"),
)
LETTERS_MIN = 4
"""Fewer letters tell of no alphabet."""

_ALPHABETS = (
    ("cp1251", re.compile(r"[\x00-\x7f\u0400-\u04ff]*")),
    ("shift_jis", re.compile(r"[\x00-\x7f\u3000-\u9fff]*")),
    ("gb18030", re.compile(r"[\x00-\x7f\u3000-\u9fff\uff00-\uff0f]*")),
)
_NO_TEXT = (
    (b"\x1f\x8b", "is packed (gzip); unpack it first"),
    (b"PK\x03\x04", "is a spreadsheet (.xlsx) or a ZIP archive; save it as CSV, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "is a spreadsheet (.xls); save it as CSV"),
    (b"PAR1", "is Parquet; write it as CSV or NDJSON"),
)


def no_text(opening: bytes) -> str | None:
    """What a file that begins so is, if it is no text at all."""
    return next((what for magic, what in _NO_TEXT if opening.startswith(magic)), None)


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
    odd = len(_UNREADABLE.findall(text))
    if sum(not letter.isascii() for letter in text) >= 2 * odd:
        return "is UTF-8 with damaged characters"
    name = _likely_encoding(text.encode("utf-8", "surrogateescape"))
    return f"is not UTF-8; it looks like {name}: import it with --encoding {name}"


def _likely_encoding(line: bytes) -> str:
    """Of a line that is no UTF-8. In words of Latin letters the odd bytes are few."""
    words = b"".join(re.findall(rb"[A-Za-z]*[\x80-\xff][A-Za-z\x80-\xff]*", line))
    odd = len(re.findall(rb"[\x80-\xff]", words))
    if odd >= LETTERS_MIN and 2 * odd > len(words):
        for name, letters in _ALPHABETS:
            if letters.fullmatch(line.decode(name, "replace")):
                return name
    return "cp1252"


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

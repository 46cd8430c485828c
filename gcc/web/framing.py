"""What is no request of ours: the rules of a head, and how it is refused. Pure; gcc/web/connection.py has the socket.

In: a head, as the parser read it. Out: the ApiError with which it is refused, or None. What two readers of the same
bytes could take for different requests, or for different paths, is refused with its reason, on every port and before
anything else of the order of refusals. llhttp itself refuses lengths that are doubled or stand beside
Transfer-Encoding, folded lines, line ends that are not CRLF, and names and values with bytes that belong in neither.
"""

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from gcc.clock import SystemClock
from gcc.web.api import envelope
from gcc.web.api.errors import ApiError, Code

Header = tuple[bytes, bytes]
"""Name in small letters, value."""

HEADERS_BYTES_MAX = 32 * 1024
HEADERS_MAX = 100
URL_BYTES_MAX = 8 * 1024
METHODS = "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE"

NAMES = frozenset({b"host", b"transfer-encoding", b"expect"})
"""Of what tells where a request ends, and for whom it is; llhttp sees to the rest."""

_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\\\[\],]*)(?::[0-9]*)?")
_ODD_PATHS = (
    (re.compile(rb"/{2}"), "has //"),
    (re.compile(rb"\\|%5c", re.IGNORECASE), "has a backslash"),
    (re.compile(rb"%2f", re.IGNORECASE), "has an encoded /"),
    (re.compile(rb"%00"), "has a NUL"),
    (re.compile(rb"%(?![0-9A-Fa-f]{2})"), "has a % that encodes nothing"),
    # some servers drop what follows a semicolon
    (re.compile(rb"/(?:\.|%2e){1,2}(?=/|;|%3b|$)", re.IGNORECASE), "has . or .. between its /"),
    (re.compile(rb"#"), "has a #"),
)
_SUSPECT = re.compile(rb"//|[\\%#]|/\.")
"""What every odd path has: the others, nearly all, are looked at once."""

STATUS_LINES = {each.value: b"HTTP/1.1 %d %b\r\n" % (each, each.phrase.encode()) for each in HTTPStatus}

_DETAILS = {
    400: "send HTTP/1.1, and a path that begins with /; HTTP/2 is not spoken here",
    403: "there is no websocket at this path",
    408: "the rest of the request did not come; send it in one go",
    414: f"the URL is longer than {URL_BYTES_MAX} bytes",
    431: f"send at most {HEADERS_MAX} headers of {HEADERS_BYTES_MAX} bytes together",
    500: "the log has the cause",
    501: "the only transfer-encoding that is understood is chunked",
    503: "this port has as many connections as it takes; try again",
}
_CODES = {
    400: Code.MALFORMED_REQUEST, 403: Code.NO_WEBSOCKET, 405: Code.METHOD_NOT_ALLOWED, 408: Code.REQUEST_TIMEOUT,
    414: Code.URI_TOO_LONG, 431: Code.HEADERS_TOO_LARGE, 500: Code.INTERNAL, 501: Code.NOT_IMPLEMENTED,
    503: Code.BUSY,
}  # fmt: skip
RETRY_S = 1  # said to whom there is no room for
_ids = SystemClock()


def refused(status: int, detail: str = "") -> ApiError:
    """What is answered on the socket and not by an app."""
    return ApiError(_CODES.get(status, Code.MALFORMED_REQUEST), detail or _DETAILS.get(status, _DETAILS[400]))


def answer(error: ApiError) -> tuple[int, list[Header], bytes]:
    """Status, headers and body of a refusal; the connection ends with it."""
    more = {503: {"retry_after": str(RETRY_S)}, 405: {"allow": METHODS}}.get(error.code.status, {})
    return envelope.whole_failure(error, str(_ids.new_id()), connection="close", **more)


def head(status: int, headers: Iterable[Header]) -> bytes:
    """Of an answer that is made here."""
    line = STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    return line + b"".join([b"%b: %b\r\n" % header for header in headers]) + b"\r\n"


def check(
    method: bytes, target: bytes, version: str, headers: Sequence[Header], framing: Sequence[Header]
) -> ApiError | None:
    """Why this head is refused; None: it is a request. `framing`: those of `headers` that are in NAMES."""
    if version not in ("1.1", "1.0"):
        return refused(400)
    if method == b"CONNECT":
        return refused(405, "this is no proxy; use GET or POST")
    if len(target) > URL_BYTES_MAX:
        return refused(414)
    if len(headers) > HEADERS_MAX or headers_bytes(headers) > HEADERS_BYTES_MAX:
        return refused(431)
    return _of_path(target) or _of_headers(version, framing)


def headers_bytes(headers: Sequence[Header]) -> int:
    """As they came, with colon, space and line end."""
    return sum([len(name) + len(value) + 4 for name, value in headers])


def _of_path(target: bytes) -> ApiError | None:
    path = target.partition(b"?")[0]
    if not path.startswith(b"/"):
        return refused(400, "ask for a path that begins with /: no whole URL, no *")
    if _SUSPECT.search(path):
        for odd, why in _ODD_PATHS:
            if odd.search(path):
                return refused(400, f"the path {why}")
        try:
            unquote_to_bytes(path).decode()
        except UnicodeDecodeError:
            return refused(400, "the path is not UTF-8 before it is %-encoded")
    return None


def _of_headers(version: str, headers: Sequence[Header]) -> ApiError | None:
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        return refused(400, f"send one Host; there are {len(hosts)}")
    if hosts and not _HOST.fullmatch(hosts[0]):
        return refused(400, "Host is no name and port")
    encodings = [value for name, value in headers if name == b"transfer-encoding"]
    if encodings and version == "1.0":
        return refused(400, "HTTP/1.0 has no Transfer-Encoding")
    if encodings and (len(encodings) > 1 or encodings[0].lower() != b"chunked"):
        return refused(501)
    return None

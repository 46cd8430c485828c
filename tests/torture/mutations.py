"""What a producer may send: messages of every event type, bent in every place. A random.Random decides all.

In: a payload as its sender documents it. Out: bodies, properties, routing keys: bytes, valid or not.
"""

import random
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from gcc.stores import rabbitmq

Json = msgspec.json.encode


class Raw(bytes):
    """Bytes that stand where JSON has a value, or a name with its quotes."""


HUGE = b"9" * 400
TIMES = (
    b'"2026-03-01 10:20:30"', b'"2026-03-01T10:20:30Z"', b'"2026-03-01t10:20:30"',
    b'"2026-03-01T10:20:30.1234567891+05:30"',
    b'"0001-01-01 00:00:00"', b'"9999-12-31 23:59:59"', b'"2200-01-01 00:00:00"', b'"1969-12-31 23:59:59"',
    b'"2026-02-30 00:00:00"', b'"2026-03-01 24:00:00"', b'"2026-03-01 10:20:60"', b'"2026-03-01"', b'"20260301"',
    b'"2026-W09-7"',
    b'"31/12/2026"', b'"now"', b'"\\u0661\\u0662\\u0663"', b"1767262830", b"1767262830.25", b"1767262830123456",
    b"-1", b"1e300",
    b'"1767262830"', b'"-0"', b'" 2026-03-01 10:20:30 "', b'"2026-03-01 10:20:30.000001\\u0000"',
    b'"2026-03-01 10:20:30 IST"',
)  # fmt: skip
IDS = (
    b'"0191b2c3-0000-7000-8000-00000000000a"', b'"0191B2C300007000800000000000000A"',
    b'"{0191b2c3-0000-7000-8000-00000000000a}"',
    b'"urn:uuid:0191b2c3-0000-7000-8000-00000000000a"', b'"00000000-0000-0000-0000-000000000000"', b'"evt_1"', b'"0"',
    b"7", b"0.5",
    b'"0191b2c3-0000-7000-8000-00000000000\\u0661"', b'"0191b2c3_0000_7000_8000_00000000000a"',
)  # fmt: skip
NUMBERS = (
    b"0", b"-0", b"-0.0", b"1", b"-1", b"1.0", b"1.5", b"1e3", b"1E-400", b"1e400", b"-1e400",
    b"1.7976931348623157e308", b"32768",
    b"65535", b"65536", b"2147483648", b"-2147483649", b"4294967296", b"9007199254740993", b"9223372036854775807",
    b"9223372036854775808", b"-9223372036854775808", b"-9223372036854775809", b"18446744073709551615",
    b"18446744073709551616",
    b"1" + b"0" * 200, HUGE, b"-" + HUGE, b"9" * 4300, b"9" * 5000, b"NaN", b"Infinity", b"-Infinity", b"01", b".5",
    b"1.", b"+1", b"0x1",
    b"1_000", b"1e", b"1" * 30 + b".5", b"0." + b"3" * 400,
)  # fmt: skip
TEXTS = (
    b'""', b'" "', b'"0"', b'"12"', b'"-1"', b'"1e5"', b'"nan"', b'"inf"', b'"-Infinity"', b'"true"', b'"null"',
    b'"1 000"', b'"1.234"',
    b'"' + HUGE + b'"', b'"\\u0000"', b'"a\\u0000b"', b'"\\ud83d"', b'"\\ude00 x"', b'"\\ud83d\\ude00"',
    b'"\\ud83d\\ud83d"', b'"\\uD800\\uDC00"',
    b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\xbd"', b'"\xf4\x90\x80\x80"', b'"\xe2\x82"', b'"\x00"', b'"\x1f"',
    b'"\x7f"', b'"\t"', b'"\\x"',
    b'"\\/"', b'"\\u00e9"', '"e\u0301\u0323\u200d\u202e\ufeff"'.encode(),
    '"\u0928\u092e\u0938\u094d\u0924\u0947"'.encode(), '"\U0001f468\u200d\U0001f469"'.encode(),
    '"\u2028\u2029\u0085"'.encode(), b'"' + b"x" * 501 + b'"', b'"' + b"y" * 5000 + b'"',
    b'"' + b"\\u0928" * 700 + b'"', b"'a'", b'"a', b'a"',
    b'"\\"', b'"\\\\"', b'"{\\"a\\":1}"', b'"ASearchEvent"', b'"searched"',
)  # fmt: skip
OTHERS = (
    b"null", b"true", b"false", b"nul", b"True", b"None", b"undefined", b"[]", b"{}", b"[null]", b'{"":null}',
    b"[1,2,3]", b'[{"a":[{}]}]', b'{"a":1,"a":2}',
    b'{"a":{"b":{"c":{"d":1}}}}', b'{"likes":1e400}', b'{"likes":"12","x":null}', b'{"likes":true}', b'{"likes":[1]}',
    b'{"referral_code":["x"]}',
    b'{"referral_code":1' + b"0" * 300 + b'}', b'{"referral_code":"' + b"z" * 3000 + b'"}',
    b'{"referrer_user_id":"\\u0000"}', b"[,]", b"{,}",
    b'{"a"}', b'{"a":}', b"[1 2]", b"{1:2}", b'{"\\ud83d":1}', b"/**/1", b"",
)  # fmt: skip
VALUES = tuple(Raw(value) for value in (*TIMES, *IDS, *NUMBERS, *TEXTS, *OTHERS))
NAMES = tuple(
    Raw(name)
    for name in (
        b'""', b'" "', b'"extra"', b'"event_id"', b'"\\u0065vent_id"', b'"event_timestamp"', b'"insert_timestamp"',
        b'"followers"', b'"v"', b'"origin"',
        b'"origin_id"', b'"event_name"', b'"id"', b'"\\u0000"', b'"\xff"', b'"\\ud83d"', b'"a.b"', b'"__proto__"',
        b"v", b"'v'", b'"' + b"n" * 3000 + b'"',
    )
)  # fmt: skip
PIECES = (
    b"", b"\n", b"\n\n", b" \n", b"\r\n", b"\r", b" ", b"\t", b"\x0b", b"\x0c", b"\0", b"\xff", b"\xef\xbb\xbf",
    b"\xc0\x80", b"\xed\xa0\x80", b"\xf0\x9f\x98",
    b'"', b"'", b"\\", b"{", b"}", b"[", b"]", b",", b":", b"null", b"NaN", b"//", b"\xc2\x85", b"\xe2\x80\xa8",
    b"\\u0000", b"\\ud800", b"\x1f\x8b\x08", b"-", b"e9", b".",
)  # fmt: skip
BODIES = (
    b"", b" ", b"   ", b"\n", b"\n\n", b" \n \n", b"\t\r\n", b"\r", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n",
    b"\xff\xfe{\0}\0", b"\0", b"\0\0\0", b"null", b"true", b"0",
    b'""', b"[]", b"{}", b"[{}]", b"{}{}", b"{}\n{}", b"{}\n\n\n{}", b"<xml/>", b"a=1&b=2",
    b"\x1f\x8b\x08\0\0\0\0\0\0\3", bytes(range(256)), b"\x0a\x03abc\x10\x01",
    b"---\na: 1\n", b"{", b"}", b'{"a', b"\xa0", "\u3000\u2003\u200b".encode(), "\u2028".encode(), b"undefined",
)  # fmt: skip
KEYS = (
    b"", b"SearchEvent", b"AEvent", b"event", b"#", b"a.b.c", b"A\0Event", b"\xff\xfe", b"\xed\xa0\xbdEvent",
    b"E" * 255, "\u0928\u092e\u0938\u094d\u0924\u0947Event".encode(), b" ",
    b"\nEvent", b"Event", b"LaunchReferEvent",
)  # fmt: skip


class Pairs(list[tuple[Any, Any]]):
    """An object, name by name: one may stand in it twice."""


def dumped(value: Any) -> bytes:
    """JSON of what JSON knows, and of what it does not: Raw, and objects as Pairs."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, dict):
        value = Pairs(value.items())
    if isinstance(value, Pairs):
        return b"{" + b",".join(dumped(name) + b":" + dumped(each) for name, each in value) + b"}"
    return Json(value)


class Mutations:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def body(self, payload: dict[str, Any]) -> bytes:
        """A body: mostly one event with something odd in it, at times many lines, at times anything."""
        chance = self._rng.random()
        if chance < 0.05:
            return self._rng.choice(BODIES)
        if chance < 0.80:
            return self.event(payload)
        if chance < 0.97:
            separator = self._rng.choice((b"\n", b"\n\n", b"\r\n", b" \n", b"\n\t\n", b"", b",", b"\n\0\n"))
            return separator.join(self.event(payload) for _ in range(self._rng.randint(2, 12)))
        return self._strange(payload)

    def event(self, payload: dict[str, Any]) -> bytes:
        pairs = Pairs(payload.items())
        chance = self._rng.random()
        if chance < 0.08:
            line = dumped(pairs)
        else:
            for _ in range(1 if chance < 0.75 else self._rng.randint(2, 5)):
                self._bend(pairs)
            line = dumped(pairs)
        return self._torn(line) if self._rng.random() < 0.25 else line

    def _bend(self, pairs: Pairs) -> None:
        """One field: another value, another name, twice, gone, or new."""
        at = self._rng.randrange(len(pairs)) if pairs else 0
        match self._rng.randrange(12):
            case 0 if pairs:
                del pairs[at]
            case 1 if pairs:
                pairs[at] = (self._rng.choice(NAMES), pairs[at][1])
            case 2 if pairs:
                pairs.insert(self._rng.randint(0, len(pairs)), pairs[at])
            case 3 if pairs:
                pairs.insert(self._rng.randint(0, len(pairs)), (pairs[at][0], self._value()))
            case 4:
                pairs.insert(at, (self._rng.choice(NAMES), self._value()))
            case 5 if pairs and isinstance(pairs[at][1], dict):
                inner = Pairs(pairs[at][1].items())
                self._bend(inner)
                pairs[at] = (pairs[at][0], inner)
            case _ if pairs:
                pairs[at] = (pairs[at][0], self._value())

    def _value(self) -> Raw:
        chance = self._rng.random()
        if chance < 0.03:
            return self._nested()
        if chance < 0.08:
            return Raw(
                Json("".join(chr(self._rng.choice((10, 0x7F, 0x3A9, 0x300, 0xFFFF, 0x1F600))) for _ in range(9)))
            )
        if chance < 0.1:
            return Raw(Json(self._rng.choice((2.0, -1.0)) ** self._rng.randint(-1000, 1000)))
        return self._rng.choice(VALUES)

    def _nested(self) -> Raw:
        depth = self._rng.choice((5, 50, 400, 900, 960, 980, 995, 1010, 1100, 3000, 100_000))
        opening, closing = self._rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'[{"b":', b"}]")))
        return Raw(
            opening * depth + self._rng.choice((b"1", b"null", b'"x"')) + closing * self._rng.choice((depth, depth - 1))
        )

    def _torn(self, line: bytes) -> bytes:
        """Bytes put in, taken out, changed or doubled, wherever they stand."""
        for _ in range(self._rng.choice((1, 1, 1, 2, 5))):
            at = self._rng.randint(0, len(line))
            until = min(len(line), at + self._rng.choice((0, 1, 1, 2, 8, 40)))
            match self._rng.randrange(5):
                case 0:
                    line = line[:at] + self._rng.choice(PIECES) + line[at:]
                case 1:
                    line = line[:at] + line[until:]
                case 2:
                    line = line[:at] + bytes(self._rng.randrange(256) for _ in range(until - at)) + line[until:]
                case 3:
                    line = line[:until] + line[at:until] + line[until:]
                case _:
                    line = line[:at]
        return line

    def _strange(self, payload: dict[str, Any]) -> bytes:
        match self._rng.randrange(8):
            case 0:
                return msgspec.json.format(Json(payload), indent=2)
            case 1:
                return b"[" + self.event(payload) + b"," + self.event(payload) + b"]"
            case 2:
                encoding = self._rng.choice(("utf-16", "utf-32", "utf-8-sig", "cp037"))
                return Json(payload).decode().encode(encoding, errors="replace")
            case 3:
                return self._rng.randbytes(self._rng.choice((1, 16, 500)))
            case 4:
                return self.event(payload) + b"\n" * 300 + self.event(payload)
            case 5:
                return b"\n".join(self.event(payload) for _ in range(120))
            case 6:
                size = self._rng.choice((70_000, 70_000, 70_000, 1_000_000))
                return dumped({**payload, "long": "x" * size})
            case _:
                return Json(Json(payload).decode())

    def key(self, key: str) -> bytes:
        return key.encode() if self._rng.random() < 0.8 else self._rng.choice(KEYS)

    def properties(self, events: int) -> bytes:
        """As a content header carries them: mostly as a sender would pack them, with odd values; at times torn.

        Where a body has several lines, mostly those of a frame of ours with so many `events`.
        """
        chance = self._rng.random()
        if events > 1 and chance < 0.6:
            frame_id = str(uuid.UUID(int=self._rng.getrandbits(128)))
            ours = {"frame": frame_id, "events": events, "committed_ms": 1767262830123}
            return rabbitmq.Properties(headers=ours).pack()
        if chance < 0.1:
            return b"\0\0"
        if chance < 0.15:
            return self._rng.randbytes(self._rng.randint(0, 40))
        packed = rabbitmq.Properties(
            content_type=self._rng.choice((None, "application/json", "text/plain; charset=latin-1", "\u0928")),
            message_id=self._rng.choice((None, None, "m-1", "", "\0", "x" * 255, str(self._rng.random()))),
            timestamp=None,
            delivery_mode=self._rng.choice((None, 1, 2, 255)),
            headers=self._headers(),
        ).pack()
        if self._rng.random() < 0.1:
            packed = bytes((packed[0], packed[1] | 0x40)) + packed[2:] + self._rng.randbytes(8)  # a time of any kind
        return self._torn(packed) if self._rng.random() < 0.3 else packed

    def _headers(self) -> dict[str, Any] | None:
        chance = self._rng.random()
        if chance < 0.3:
            return None
        headers: dict[str, Any] = {
            self._rng.choice(_HEADER_NAMES): self._rng.choice(_HEADER_VALUES) for _ in range(self._rng.randint(0, 4))
        }
        if chance > 0.8:  # says that it is ours
            headers |= {
                "frame": self._rng.choice(_FRAMES),
                "events": self._rng.choice((1, 2, 100, 0, -1, 2**31 - 1, "1", 1.0, True)),
                "committed_ms": self._rng.choice((1767262830123, 0, -1, 2**62, "x", None)),
            }
        return headers


_FRAMES = ("0191b2c3-0000-7000-8000-00000000000a", "00000000-0000-0000-0000-000000000000", "", "no id", "{" * 36, 7)
_HEADER_NAMES = ("x-retry-count", "x-exception", "x-death", "error", "", "\u0928", "a\0b", "n" * 120, "frame", "events")
_HEADER_VALUES: Sequence[Any] = (
    0, -1, 2**31, 2**62, 1.5, True, None, "", "\0", "half \\ud83d", "x" * 5000, "\u0928" * 600,
    bytearray(b"\xff\xfe"), [1, [2, ["x"]]],
    {"a": {"b": [None, True, "c"]}}, [{"count": 3, "reason": "rejected", "queue": "q"}],
)  # fmt: skip

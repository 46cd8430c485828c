"""Chance as a function: the same numbers in, the same number out, in every process.

The generated world is never stored: each figure is computed from (seed, creator, day) when it is
asked for. So chance cannot come from a generator with a state; it comes from mixing integers.
"""

import base64
import hashlib
import math

_MASK = 2**64 - 1


def mix(*parts: int) -> int:
    """64 well mixed bits of the integers, order mattering (the finaliser of splitmix64, chained)."""
    bits = 0x9E3779B97F4A7C15
    for part in parts:
        bits = ((bits ^ part) * 0xBF58476D1CE4E5B9) & _MASK
        bits = ((bits ^ (bits >> 29)) * 0x94D049BB133111EB) & _MASK
        bits ^= bits >> 32
    return bits


def key_of(text: str) -> int:
    """A 64-bit key for a text, the same in every process (unlike `hash`)."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def unit(bits: int) -> float:
    """The bits as a number in [0, 1), uniform."""
    return (bits >> 11) * 2.0**-53


def bell(bits: int) -> float:
    """The bits as a number near a normal one: mean 0, deviation 1, never beyond 3.5."""
    total = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48)
    return (total / 65535.0 - 2.0) * math.sqrt(3.0)


def letters(*bits: int) -> str:
    """Each 64 bits as about 11 characters of A-Z a-z 0-9 _ -, the alphabet of video and channel ids."""
    raw = b"".join(part.to_bytes(8) for part in bits)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

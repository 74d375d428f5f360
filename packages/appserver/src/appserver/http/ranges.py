"""Ranges: the byte ranges and validators of HTTP (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass

# No size has more than 18 digits, and Python refuses to read a number of thousands of them.
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """Bytes from *start* up to and without *end*."""

    start: int
    end: int

    def content_range(self, size: int) -> str:
        """Return the Content-Range of this part of *size* bytes."""
        return f"bytes {self.start}-{self.end - 1}/{size}"


class UnsatisfiableRangeError(Exception):
    """The range begins behind the end."""


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """Return the part of *size* bytes that *header* asks for, or ``None`` for all of them.

    A header that is malformed, or asks for several ranges, is ignored, as the specification allows.

    Raises:
        UnsatisfiableRangeError: The range begins behind the end.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    # "bytes=-5" asks for the last five.
    if not first:
        length = min(int(last), size)
        if length == 0:
            raise UnsatisfiableRangeError
        return ByteRange(start=size - length, end=size)
    start = int(first)
    end = min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    if start >= size:
        raise UnsatisfiableRangeError
    return ByteRange(start=start, end=end)


def matches(header: str | None, etag: str) -> bool:
    """Return whether an If-None-Match *header* names *etag*; weak comparison, as the specification says."""
    if header is None:
        return False
    names = {name.strip().removeprefix("W/") for name in header.split(",")}
    return etag in names or "*" in names

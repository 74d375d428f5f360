"""The announced size of a body: what a request says before a byte of it is read."""

from __future__ import annotations

from starlette.datastructures import Headers


def announced_bytes(headers: Headers) -> int:
    """Return how many bytes *headers* announce; 0 where they say nothing that is a number."""
    announced = headers.get("content-length", "")
    # Python refuses to read a number of thousands of digits.
    return int(announced[:20]) if announced.isdecimal() else 0

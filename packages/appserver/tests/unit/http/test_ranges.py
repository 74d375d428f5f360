from __future__ import annotations

import pytest

from appserver.http.ranges import ByteRange, UnsatisfiableRangeError, matches, parse_range


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        ("bytes=0-0", 10, (0, 1)),
        ("bytes=0-9", 10, (0, 10)),
        ("bytes=0-10", 10, (0, 10)),
        ("bytes=9-", 10, (9, 10)),
        ("bytes=-3", 10, (7, 10)),
        ("bytes=-30", 10, (0, 10)),
        (" bytes=2-3 ", 10, (2, 4)),
        (None, 10, None),
        ("", 10, None),
        ("bytes=", 10, None),
        ("bytes=-", 10, None),
        ("bytes=5-4", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("items=0-1", 10, None),
        ("bytes=a-b", 10, None),
        ("bytes=1-2-3", 10, None),
        ("bytes=٣-٤", 10, None),
        ("bytes=+1-2", 10, None),
        ("bytes=" + "9" * 400 + "-", 10, None),
    ],
)
def test_range_header_is_read_or_ignored(header: str | None, size: int, expected: tuple[int, int] | None) -> None:
    found = parse_range(header, size)

    assert found == (None if expected is None else ByteRange(start=expected[0], end=expected[1]))


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=99-100", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
)
def test_range_after_end_is_unsatisfiable(header: str, size: int) -> None:
    with pytest.raises(UnsatisfiableRangeError):
        parse_range(header, size)


def test_part_names_itself() -> None:
    assert ByteRange(start=2, end=5).content_range(10) == "bytes 2-4/10"


@pytest.mark.parametrize(
    ("header", "expected"),
    [(None, False), ('"a"', True), ('W/"a"', True), ('"b", W/"a"', True), ("*", True), ('"b"', False), ("a", False)],
)
def test_etag_is_found_among_many(header: str | None, expected: bool) -> None:
    assert matches(header, '"a"') is expected

"""Formats: numbers and times as people read them."""

from __future__ import annotations

from datetime import datetime

UNITS = ("bytes", "KiB", "MiB", "GiB")


def size_of(count: int) -> str:
    """Return a number of bytes as people read it."""
    size, unit = float(count), UNITS[0]
    for unit in UNITS:
        if size < 1024 or unit == UNITS[-1]:
            break
        size /= 1024
    return f"{count:,} bytes" if unit == UNITS[0] else f"{size:.1f} {unit}"


def clock_of(moment: datetime) -> str:
    """Return a time as people read it."""
    return f"{moment:%d %B %Y, %H:%M:%S} UTC"

"""JSON Pointers (RFC 6901): the place of a value in a document."""

from __future__ import annotations

from collections.abc import Iterable


def pointer_of(parts: Iterable[str | int]) -> str:
    """Return the pointer of the value that is reached by these names and indexes; empty for the whole document."""
    return "".join(f"/{part}" if isinstance(part, int) else f"/{escaped(part)}" for part in parts)


def escaped(name: str) -> str:
    """Return a name as one part of a pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def parts_of(pointer: str) -> tuple[str, ...]:
    """Return the names and indexes of a pointer, all as texts."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])

"""Storable values: the limits of what the database takes, with the place of each value that it would refuse."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, TypeAlias

MAX_ERRORS = 20
MAX_DEPTH = 64
"""Levels of a value; MongoDB refuses documents far deeper than any sensible value."""
MAX_VALUES = 50_000
"""Of a value; more do not fit into its 256 KiB, and to look at a whole body of them would hold up other requests."""
MAX_INTEGER = 2**63

Place: TypeAlias = tuple[str | int, ...]


class Misfit(NamedTuple):
    """One place where a value does not fit.

    Args:
        path: The names and indexes that lead to it.
        message: What is wrong there.
    """

    path: Place
    message: str


def storage_errors(value: object) -> list[Misfit]:
    """Return the places of what cannot be stored, at most 20."""
    return list(islice(_errors(value), MAX_ERRORS))


def has_more_values(value: object, than: int) -> bool:
    """Return whether *value* holds more values than that, itself and those inside of others included."""
    return next(islice(_values(value), than, None), None) is not None


def _errors(value: object) -> Iterator[Misfit]:
    for number, (path, inner) in enumerate(_values(value)):
        if number == MAX_VALUES:
            yield Misfit((), f"it has more than {MAX_VALUES:,} values; give less, or large things as text")
            return
        if len(path) >= MAX_DEPTH:
            # The beginning of the path: all of it would be unreadable.
            yield Misfit(path[:2], f"it is nested more than {MAX_DEPTH} levels deep")
        elif problem := _problem_of(inner):
            yield Misfit(path, problem)


def _values(value: object) -> Iterator[tuple[Place, object]]:
    # A stack of iterators: nothing is copied, whatever the size, and a caller that stops has looked at no more.
    open_ones: list[Iterator[tuple[Place, object]]] = [iter([((), value)])]
    while open_ones:
        for path, each in open_ones[-1]:
            yield path, each
            if len(path) < MAX_DEPTH and isinstance(each, dict | list):
                open_ones.append(_inner(each, path))
                break
        else:
            open_ones.pop()


def _inner(value: dict[str, object] | list[object], path: Place) -> Iterator[tuple[Place, object]]:
    if isinstance(value, dict):
        return (((*path, name), inner) for name, inner in value.items() if _is_name(name))
    return (((*path, index), inner) for index, inner in enumerate(value))


def _problem_of(value: object) -> str | None:
    match value:
        case str() if not _is_text(value):
            return "it holds half of a surrogate pair, which is no character"
        case float() if not math.isfinite(value):
            return "it must be a finite number"
        # BSON has integers of 64 bits.
        case int() if not -MAX_INTEGER <= value < MAX_INTEGER:
            return "it must fit into 64 bits"
        case dict() if not all(map(_is_name, value)):
            return "the name of a field holds a NUL or half of a surrogate pair"
        case _:
            return None


def _is_name(value: str) -> bool:
    return "\0" not in value and _is_text(value)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True

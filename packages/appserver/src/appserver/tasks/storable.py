"""Storable payloads: the limits of what the database takes, with the path of each value that it would refuse."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice

from pydantic import JsonValue

from appserver.errors import FieldError

MAX_ERRORS = 20
MAX_DEPTH = 64
"""Levels of a payload; MongoDB refuses documents far deeper than any sensible payload."""
MAX_VALUES = 50_000
"""Of a payload; more do not fit into its 256 KiB, and to look at a whole body of them would hold up other requests."""
MAX_INTEGER = 2**63
ROOT = ("payload",)

Path = tuple[str, ...]


def storage_errors(payload: dict[str, JsonValue]) -> list[FieldError]:
    """Return the errors of the values that cannot be stored, at most 20."""
    return list(islice(_errors(payload), MAX_ERRORS))


def has_more_values(payload: dict[str, JsonValue], than: int) -> bool:
    """Return whether *payload* holds more values than that, itself and those inside of others included."""
    return next(islice(_values(payload), than, None), None) is not None


def named(path: Iterable[str], message: str) -> FieldError:
    """Return the error of the field at *path*."""
    return FieldError(field=".".join(path), message=message)


def _errors(payload: dict[str, JsonValue]) -> Iterator[FieldError]:
    for number, (path, value) in enumerate(_values(payload)):
        if number == MAX_VALUES:
            yield named(ROOT, f"it has more than {MAX_VALUES:,} values; give less, or large things as text")
            return
        if len(path) > MAX_DEPTH:
            # The beginning of the path: all of it would be unreadable.
            yield named(path[:3], f"it is nested more than {MAX_DEPTH} levels deep")
        elif problem := _problem_of(value):
            yield named(path, problem)


def _values(payload: dict[str, JsonValue]) -> Iterator[tuple[Path, JsonValue]]:
    # A stack of iterators: nothing is copied, whatever the size, and a caller that stops has looked at no more.
    open_ones: list[Iterator[tuple[Path, JsonValue]]] = [iter([(ROOT, payload)])]
    while open_ones:
        for path, value in open_ones[-1]:
            yield path, value
            if len(path) <= MAX_DEPTH and isinstance(value, dict | list):
                open_ones.append(_inner(value, path))
                break
        else:
            open_ones.pop()


def _inner(value: dict[str, JsonValue] | list[JsonValue], path: Path) -> Iterator[tuple[Path, JsonValue]]:
    if isinstance(value, dict):
        return (((*path, name), inner) for name, inner in value.items() if _is_name(name))
    return (((*path, str(index)), inner) for index, inner in enumerate(value))


def _problem_of(value: JsonValue) -> str | None:
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

"""Paths: dotted names and indexes, such as ``modules.form.answer.scenes.0.text``, and the values that they lead to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

MAX_PATH_CHARACTERS = 256
PATH_FORM = re.compile(r"[\w-]+(?:\.[\w-]+)*")
MAX_INDEX_DIGITS = 9


class Nothing(Enum):
    """The answer of ``lookup`` where a path leads nowhere; ``null`` is a value."""

    HERE = "nothing"


NOTHING: Final = Nothing.HERE
NothingType: TypeAlias = Literal[Nothing.HERE]


def is_path(text: str) -> bool:
    """Return whether *text* has the form of a path: names of letters, digits, ``_`` and ``-``, and indexes, by dots."""
    return len(text) <= MAX_PATH_CHARACTERS and PATH_FORM.fullmatch(text) is not None


def lookup(scope: Mapping[str, Any], path: str) -> Any | NothingType:
    """Return what *path* leads to in *scope*, or ``NOTHING``; it never raises."""
    found: Any = scope
    for part in path.split("."):
        found = inner(found, part)
        if found is NOTHING:
            return NOTHING
    return found


def inner(value: object, part: str) -> Any | NothingType:
    """Return what a mapping has under this name, or a list at this index; else ``NOTHING``."""
    if isinstance(value, Mapping):
        return value.get(part, NOTHING)
    if isinstance(value, list | tuple) and is_index(part) and int(part) < len(value):
        return value[int(part)]
    return NOTHING


def is_index(part: str) -> bool:
    """Return whether a part of a path may be an index of a list."""
    return part.isascii() and part.isdecimal() and len(part) <= MAX_INDEX_DIGITS


def known_part(scope: Mapping[str, Any], path: str) -> str:
    """Return the longest beginning of *path* that leads to a value; empty when not even its root does."""
    parts = path.split(".")
    lengths = (length for length in range(len(parts) - 1, 0, -1))
    beginnings = (".".join(parts[:length]) for length in lengths)
    return next((beginning for beginning in beginnings if lookup(scope, beginning) is not NOTHING), "")
